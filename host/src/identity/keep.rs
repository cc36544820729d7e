//! The banks' bucket key on one bank's disk: a file beside its other keys, since it must live as
//! long as they do. Nothing of it is in the store, whose records may be copied and replayed.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use crypto::{Digest, Secret};
use protocol::bucket::BucketKey;

use super::{IdentityError, hex, read, to_hex};

/// The key kept in `folder` for the consortium of this session; none where there is none yet.
///
/// # Errors
/// [`IdentityError`] where the file cannot be read, or is another consortium's.
pub fn load(folder: &Path, session: &Digest) -> Result<Option<BucketKey>, IdentityError> {
    let path = folder.join(BUCKET_KEY);
    if !path.exists() {
        return Ok(None);
    }
    let text = Secret::new(read(&path)?);
    let mut lines = text.expose().lines();
    let found = lines.next().and_then(Digest::from_hex);
    let key = lines.next().and_then(hex);
    match key.and_then(|bytes| <[u8; 32]>::try_from(bytes).ok()) {
        Some(bytes) if found == Some(*session) => Ok(Some(BucketKey::new(session, bytes))),
        Some(_) | None => Err(IdentityError::NotHex { path }),
    }
}

/// Keeps a key in `folder` in place of any before it, whole or not at all, readable by its owner
/// alone; durable when this returns.
///
/// # Errors
/// [`IdentityError`] where the folder cannot be written.
pub fn store(folder: &Path, session: &Digest, key: &BucketKey) -> Result<(), IdentityError> {
    let (path, draft) = (folder.join(BUCKET_KEY), folder.join(BUCKET_KEY_DRAFT));
    let secret = Secret::new(to_hex(key.expose()));
    let text = Secret::new(format!("{}\n{}\n", session.to_hex(), secret.expose()));
    write_durably(folder, (&draft, &path), text.expose())
        .map_err(|error| IdentityError::file("write", &path, error))
}

/// Whether a key could be kept in `folder`: better known at the start than when one comes. As many
/// bytes as a key takes are written, so that a full disk shows.
///
/// # Errors
/// [`IdentityError`] where the folder cannot be written.
pub fn probe(folder: &Path) -> Result<(), IdentityError> {
    let draft = folder.join(BUCKET_KEY_DRAFT);
    let written = File::create(&draft).and_then(|mut file| {
        file.write_all(&[b'0'; KEY_FILE_BYTES])?;
        file.sync_all()
    });
    // What was written of it goes in any case.
    let removed = std::fs::remove_file(&draft);
    written
        .and(removed)
        .map_err(|error| IdentityError::file("write", &draft, error))
}

fn write_durably(
    folder: &Path,
    (draft, path): (&Path, &Path),
    text: &str,
) -> Result<(), std::io::Error> {
    // One left by a death is made anew: its mode may be anybody's.
    if draft.exists() {
        std::fs::remove_file(draft)?;
    }
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(draft)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    std::fs::rename(draft, path)?;
    File::open(folder)?.sync_all()
}

/// The consortium's session, then the key, a line each in hexadecimal.
/// Two lines of 64 digits.
const KEY_FILE_BYTES: usize = 130;
const BUCKET_KEY: &str = "bucket.key";
const BUCKET_KEY_DRAFT: &str = "bucket.key.draft";

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    const SESSION: Digest = Digest([7; 32]);

    #[test]
    fn a_key_comes_back_and_the_next_one_takes_its_place() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(load(dir.path(), &SESSION).unwrap(), None);
        std::fs::write(dir.path().join(BUCKET_KEY_DRAFT), "half of a").unwrap();
        for byte in [1, 2] {
            let key = BucketKey::new(&SESSION, [byte; 32]);
            store(dir.path(), &SESSION, &key).unwrap();
            let loaded = load(dir.path(), &SESSION).unwrap().unwrap();
            assert_eq!(loaded.expose(), key.expose());
            let path = dir.path().join(BUCKET_KEY);
            let mode = std::fs::metadata(path).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
        }
        assert!(!dir.path().join(BUCKET_KEY_DRAFT).exists());
        let nowhere = dir.path().join("nowhere");
        let key = BucketKey::new(&SESSION, [1; 32]);
        assert!(store(&nowhere, &SESSION, &key).is_err());
        assert!(probe(&nowhere).is_err());
        probe(dir.path()).unwrap();
        let kept = load(dir.path(), &SESSION).unwrap();
        assert_eq!(kept, Some(BucketKey::new(&SESSION, [2; 32])));
    }

    #[test]
    fn a_damaged_key_and_one_of_another_consortium_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let key = BucketKey::new(&SESSION, [1; 32]);
        store(dir.path(), &SESSION, &key).unwrap();
        let error = load(dir.path(), &Digest([8; 32])).unwrap_err();
        assert!(error.to_string().contains(BUCKET_KEY), "{error}");
        let path = dir.path().join(BUCKET_KEY);
        let text = std::fs::read_to_string(&path).unwrap();
        for damaged in ["", &text[..100], &text.replace("01", "0x")] {
            std::fs::write(&path, damaged).unwrap();
            assert!(load(dir.path(), &SESSION).is_err(), "{damaged}");
        }
    }
}
