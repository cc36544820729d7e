//! Who may ask: whoever shows one of the tokens in a file of the bank's. Several may be valid at
//! once, so that one can be changed for another while both are in use. Certificates are judged
//! before a request is read, in `host::tls`.

use std::fs::File;
use std::io::Read as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use base64ct::{Base64, Encoding as _};
use crypto::{Digest, Secret, sha256};
use host::config::ConfigError;
use host::shutdown::Shutdown;
use host::telemetry::Telemetry;
use host::telemetry::prometheus_client::metrics::counter::Counter;
use tokio::sync::watch;

use super::problem::{Problem, ProblemType};

/// The tokens of one file; clones see the same ones.
#[derive(Clone)]
pub struct Tokens {
    path: Arc<Path>,
    /// Only digests are kept: what is compared has one length, and says nothing of the token.
    known: watch::Sender<Vec<Digest>>,
    refused: Counter,
}

impl Tokens {
    /// Reads the file: a token a line, blank lines and those that begin with `#` left out.
    ///
    /// # Errors
    /// [`ConfigError`], which names the file, and the line at fault without a word of it, or the
    /// mode where others may read it.
    pub fn read(path: &Path) -> Result<Self, ConfigError> {
        let known = read(path)?;
        if known.is_empty() {
            return Err(none_in(path));
        }
        Ok(Self {
            path: Arc::from(path),
            known: watch::Sender::new(known),
            refused: Counter::default(),
        })
    }

    /// Asks every request to `router` for a token, but those with which a supervisor asks whether
    /// the process lives and is ready.
    pub fn guard(&self, router: Router, telemetry: &Telemetry) -> Router {
        let refused = self.refused.clone();
        telemetry.register(|registry| {
            let registry = registry.sub_registry_with_prefix("phalanx");
            let meaning = "Requests without a token that is known";
            registry.register("http_unauthorized", meaning, refused);
        });
        router.layer(from_fn_with_state(self.clone(), admit))
    }

    /// Reads the file again and again, until the process is to leave, so that tokens are changed
    /// without a restart. While it cannot be read, the tokens stay that it held last; where all
    /// were taken out, nobody is let in.
    pub async fn follow(self, shutdown: Shutdown) {
        let mut fault = None;
        loop {
            tokio::select! {
                () = tokio::time::sleep(READ_EVERY) => {}
                () = shutdown.triggered() => return,
            }
            let tokens = self.clone();
            match tokio::task::spawn_blocking(move || tokens.look()).await {
                Ok(Ok(())) => fault = None,
                Ok(Err(error)) => {
                    let error = error.to_string();
                    if fault.as_ref() != Some(&error) {
                        tracing::warn!(%error, "the tokens stay as they were");
                    }
                    fault = Some(error);
                }
                // The runtime is closing.
                Err(_) => return,
            }
        }
    }

    /// Takes what the file holds now.
    fn look(&self) -> Result<(), ConfigError> {
        let (found, known) = (read(&self.path)?, &self.known);
        let count = found.len();
        if known.send_if_modified(|known| std::mem::replace(known, found.clone()) != found) {
            match count {
                0 => tracing::warn!(file = %self.path.display(), "no token is known any more"),
                _ => tracing::info!(tokens = count, "the tokens have changed"),
            }
        }
        Ok(())
    }

    fn admits(&self, headers: &HeaderMap) -> bool {
        let Some(shown) = shown(headers) else {
            return false;
        };
        let shown = Secret::new(shown.0);
        // Each is looked at, in constant time: how long it takes tells how many there are.
        let known = self.known.borrow();
        let equal = known
            .iter()
            .map(|known| Secret::new(known.0).ct_eq(&shown))
            .fold(false, |before, equal| before | equal);
        drop(known);
        equal
    }
}

async fn admit(State(tokens): State<Tokens>, request: Request, next: Next) -> Response {
    let path = request.uri().path();
    if OPEN.contains(&path) || tokens.admits(request.headers()) {
        return next.run(request).await;
    }
    tokens.refused.inc();
    let detail = "found no token that is known here, expected `Authorization: Bearer TOKEN`, or \
                  `Basic` with the token as password";
    Problem::new(ProblemType::Unauthorized, detail).into_response()
}

/// The digest of the token that a request shows; nothing where it shows none, or two. Browsers know
/// no other way than `Basic` (RFC 7617): the token is the password, and any user name will do.
fn shown(headers: &HeaderMap) -> Option<Digest> {
    let mut shown = headers.get_all(header::AUTHORIZATION).iter();
    let (value, None) = (shown.next()?.as_bytes(), shown.next()) else {
        return None;
    };
    if let Some(token) = after(BEARER, value) {
        return Some(sha256(&[token.trim_ascii()]));
    }
    let pair = std::str::from_utf8(after(BASIC, value)?.trim_ascii()).ok()?;
    let pair = Secret::new(Base64::decode_vec(pair).ok()?);
    let mut words = pair.expose().splitn(2, |byte| *byte == b':');
    let token = words.nth(1)?;
    Some(sha256(&[token.trim_ascii()]))
}

/// What follows the name of a scheme.
fn after<'a>(scheme: &[u8], value: &'a [u8]) -> Option<&'a [u8]> {
    let (found, rest) = value.split_at_checked(scheme.len())?;
    found.eq_ignore_ascii_case(scheme).then_some(rest)
}

/// The first token of a file, for a client that is to show one.
///
/// # Errors
/// [`ConfigError`], as [`Tokens::read`] has it.
pub(crate) fn first(path: &Path) -> Result<Secret<String>, ConfigError> {
    let text = Secret::new(text_of(path)?);
    let tokens = tokens(path, text.expose())?;
    let first = tokens.first().ok_or_else(|| none_in(path))?;
    Ok(Secret::new((*first).to_owned()))
}

/// What the file holds; it may be nothing.
fn read(path: &Path) -> Result<Vec<Digest>, ConfigError> {
    let text = Secret::new(text_of(path)?);
    let tokens = tokens(path, text.expose())?;
    Ok(tokens
        .iter()
        .map(|token| sha256(&[token.as_bytes()]))
        .collect())
}

fn tokens<'a>(path: &Path, text: &'a str) -> Result<Vec<&'a str>, ConfigError> {
    let mut tokens = Vec::new();
    for (number, line) in (1_u32..).zip(text.lines()) {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        if !is_token(line) {
            return Err(wrong(path, format!("another line {number}")));
        }
        tokens.push(line);
    }
    match tokens.len() {
        0..=TOKENS_MAX => Ok(tokens),
        count => Err(wrong(path, format!("{count} tokens"))),
    }
}

fn none_in(path: &Path) -> ConfigError {
    wrong(path, "0 tokens".to_owned())
}

fn wrong(path: &Path, found: String) -> ConfigError {
    ConfigError::Value {
        key: path.display().to_string(),
        found,
        expected: format!(
            "1 to {TOKENS_MAX} lines with a token each, of {TOKEN_MIN} to {TOKEN_MAX} letters, \
             digits and -._~+/="
        ),
    }
}

/// Whether a text can be shown in a header as RFC 6750 has it, and cannot be guessed.
fn is_token(text: &str) -> bool {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~+/=".contains(&byte);
    (TOKEN_MIN..=TOKEN_MAX).contains(&text.len()) && text.bytes().all(is_allowed)
}

fn text_of(path: &Path) -> Result<String, ConfigError> {
    let unread = |error| ConfigError::Read {
        path: PathBuf::from(path),
        error,
    };
    let mut text = String::new();
    let file = File::open(path).map_err(unread)?;
    let mode = file.metadata().map_err(unread)?.permissions().mode();
    if mode & OTHERS != 0 {
        return Err(ConfigError::Value {
            key: path.display().to_string(),
            found: format!("mode {:04o}", mode & 0o777),
            expected: "0600, or 0640 for a group, so that nobody else here can ask".to_owned(),
        });
    }
    let read = file.take(FILE_BYTES_MAX + 1).read_to_string(&mut text);
    if read.map_err(unread)? as u64 <= FILE_BYTES_MAX {
        return Ok(text);
    }
    Err(ConfigError::Value {
        key: path.display().to_string(),
        found: format!("more than {FILE_BYTES_MAX} bytes"),
        expected: "tokens, and a few comments".to_owned(),
    })
}

/// What a supervisor asks, who has no token.
pub(super) const OPEN: [&str; 2] = ["/livez", "/readyz"];

const BEARER: &[u8] = b"Bearer ";
const BASIC: &[u8] = b"Basic ";

/// An old and a new token for each of a bank's systems that ask.
const TOKENS_MAX: usize = 32;

/// 32 random characters of the alphabet are 190 bits.
const TOKEN_MIN: usize = 32;

/// Far below what a head may have.
const TOKEN_MAX: usize = 512;

/// As many tokens, and as much again of comments.
const FILE_BYTES_MAX: u64 = 2 * (TOKENS_MAX * TOKEN_MAX) as u64;

/// Bits of a mode by which those may read or write who are neither the owner nor of the group.
const OTHERS: u32 = 0o006;

/// A token that was taken out is known for so long.
const READ_EVERY: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use std::fs::Permissions;

    use super::*;

    const ONE: &str = "abcdefghijklmnopqrstuvwxyz012345";
    const OTHER: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZ-._~+/=";

    fn file(text: &str) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        file
    }

    fn head(values: &[&str]) -> HeaderMap {
        let values = values.iter().map(|value| value.parse().unwrap());
        values.map(|value| (header::AUTHORIZATION, value)).collect()
    }

    #[test]
    fn each_token_of_the_file_is_known_and_nothing_else() {
        let file = file(&format!("# gateway\n{ONE}\n\n  {OTHER}  \n"));
        let tokens = Tokens::read(file.path()).unwrap();
        for token in [ONE, OTHER] {
            assert!(tokens.admits(&head(&[&format!("Bearer {token}")])));
            assert!(tokens.admits(&head(&[&format!("bearer  {token} ")])));
        }
        let shown = format!("Bearer {ONE}");
        let (longer, basic) = (format!("{shown}x"), format!("Basic {ONE}"));
        for values in [
            &[][..],
            &[""],
            &["Bearer"],
            &["Bearer "],
            &["Bearer # gateway"],
            &[ONE],
            &[&shown[..shown.len() - 1]],
            &[longer.as_str()],
            &[basic.as_str()],
            &[shown.as_str(), shown.as_str()],
        ] {
            assert!(!tokens.admits(&head(values)), "{values:?}");
        }
        assert_eq!(first(file.path()).unwrap().expose(), ONE);
    }

    #[test]
    fn a_browser_shows_a_token_as_the_password_of_anybody() {
        let file = file(ONE);
        let tokens = Tokens::read(file.path()).unwrap();
        let shows = |scheme: &str, pair: &[u8]| {
            let value = format!("{scheme} {}", Base64::encode_string(pair));
            tokens.admits(&head(&[&value]))
        };
        for user in ["", "u-17", "J\u{f6}rg"] {
            assert!(shows("Basic", format!("{user}:{ONE}").as_bytes()), "{user}");
        }
        assert!(shows("basic", format!("u:{ONE}").as_bytes()));
        for wrong in [
            ONE.to_owned(),
            String::new(),
            ":".to_owned(),
            format!("{ONE}:"),
            format!("{ONE}:{OTHER}"),
            format!("u:v:{ONE}"),
            format!("u:{}", &ONE[1..]),
        ] {
            assert!(!shows("Basic", wrong.as_bytes()), "{wrong}");
        }
        assert!(!shows("Bearer", format!("u:{ONE}").as_bytes()));
        for wrong in ["Basic", "Basic ", "Basic !", "Basic dTp"] {
            assert!(!tokens.admits(&head(&[wrong])), "{wrong}");
        }
        let plain = format!("Basic u:{ONE}");
        assert!(!tokens.admits(&head(&[&plain])));
    }

    #[test]
    fn a_file_that_holds_no_tokens_is_refused_without_a_word_of_it() {
        let short = &ONE[1..];
        for (text, expected) in [
            ("# nothing\n".to_owned(), "0 tokens"),
            (short.to_owned(), "another line 1"),
            (format!("{ONE}\n{ONE} {ONE}\n"), "another line 2"),
            ("x".repeat(TOKEN_MAX + 1), "another line 1"),
            (format!("{ONE}\n").repeat(TOKENS_MAX + 1), "33 tokens"),
            ("#".repeat(FILE_BYTES_MAX as usize + 1), "more than"),
        ] {
            let file = file(&text);
            let error = Tokens::read(file.path()).err().unwrap().to_string();
            assert!(error.contains(expected), "{expected}: {error}");
            assert!(!error.contains(short), "{error}");
            let error = first(file.path()).err().unwrap().to_string();
            assert!(error.contains(expected), "{expected}: {error}");
        }
        let error = Tokens::read(Path::new("none.tokens")).err().unwrap();
        assert!(error.to_string().contains("none.tokens"), "{error}");
    }

    // Whoever has an account on the machine could else ask as any of the bank's systems does.
    #[test]
    fn a_file_that_others_may_read_or_write_is_refused_with_both_modes() {
        let file = file(ONE);
        let set = |mode: u32| {
            let permissions = Permissions::from_mode(mode);
            std::fs::set_permissions(file.path(), permissions).unwrap();
        };
        for mode in [0o400, 0o640, 0o600] {
            set(mode);
            Tokens::read(file.path()).unwrap();
            first(file.path()).unwrap();
        }
        let tokens = Tokens::read(file.path()).unwrap();
        std::fs::write(file.path(), OTHER).unwrap();
        for (mode, found) in [
            (0o644, "mode 0644"),
            (0o604, "mode 0604"),
            (0o602, "mode 0602"),
        ] {
            set(mode);
            for error in [
                Tokens::read(file.path()).err().unwrap(),
                first(file.path()).err().unwrap(),
                tokens.look().unwrap_err(),
            ] {
                let error = error.to_string();
                let expected = format!("{}: {found}, expected 0600", file.path().display());
                assert!(error.starts_with(&expected), "{error}");
            }
        }
        // In use, they stay as they were until the file may be read.
        let shown = head(&[&format!("Bearer {ONE}")]);
        assert!(tokens.admits(&shown));
        set(0o600);
        tokens.look().unwrap();
        assert!(!tokens.admits(&shown));
    }

    #[test]
    fn tokens_are_changed_while_they_are_in_use() {
        let file = file(ONE);
        let tokens = Tokens::read(file.path()).unwrap();
        let (old, new) = (
            head(&[&format!("Bearer {ONE}")]),
            head(&[&format!("Bearer {OTHER}")]),
        );
        let served = tokens.clone();
        for (text, expected) in [
            (format!("{ONE}\n{OTHER}\n"), (true, true)),
            (OTHER.to_owned(), (false, true)),
            // All were taken out: whoever had one is not to get in by it.
            ("# none\n".to_owned(), (false, false)),
            (OTHER.to_owned(), (false, true)),
        ] {
            std::fs::write(file.path(), text).unwrap();
            tokens.look().unwrap();
            assert_eq!((served.admits(&old), served.admits(&new)), expected);
        }
        std::fs::write(file.path(), format!("{ONE}\n{ONE} {ONE}\n")).unwrap();
        tokens.look().unwrap_err();
        drop(file);
        tokens.look().unwrap_err();
        assert_eq!((served.admits(&old), served.admits(&new)), (false, true));
    }
}
