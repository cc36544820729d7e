//! What every page of the queue has around it: one style, one script, and the headers that keep a
//! browser to them. Nothing is fetched from elsewhere, and no script runs but the one whose digest
//! the policy names, so that a text of a payment stays a text.

use std::sync::LazyLock;

use askama::Template;
use axum::http::{HeaderName, StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use crypto::sha256;

/// The parts of a page that are the same on all of them.
pub(super) struct Frame {
    pub(super) style: &'static str,
    pub(super) script: &'static str,
    /// What a file without headers says of itself.
    pub(super) policy: &'static str,
    /// Whether the page is a file to keep: it does nothing and links nowhere.
    pub(super) is_export: bool,
}

impl Frame {
    pub(super) fn live() -> Self {
        Self {
            style: STYLE,
            script: SCRIPT,
            policy: &POLICY,
            is_export: false,
        }
    }

    pub(super) fn export() -> Self {
        Self {
            policy: &EXPORT_POLICY,
            is_export: true,
            ..Self::live()
        }
    }
}

/// A page with its headers.
pub(super) fn answer(status: StatusCode, page: &impl Template) -> Response {
    let Ok(text) = page.render() else {
        // Templates have no filter that can fail, and a text takes every write.
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    };
    let headers: [(HeaderName, &str); 5] = [
        (header::CONTENT_SECURITY_POLICY, &POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::X_FRAME_OPTIONS, "DENY"),
        // Without any referrer a browser would not say whose page a form was on.
        (header::REFERRER_POLICY, "same-origin"),
        (header::CACHE_CONTROL, "no-store"),
    ];
    (status, headers, Html(text)).into_response()
}

/// Digest of a script or style as a policy names it.
fn source(text: &str) -> String {
    format!("'sha256-{}'", base64(&sha256(&[text.as_bytes()]).0))
}

fn base64(bytes: &[u8]) -> String {
    let quads = bytes.chunks(3).flat_map(|chunk| {
        let word = chunk
            .iter()
            .fold(0_u32, |word, byte| word << 8 | u32::from(*byte));
        let word = word << (8 * (3 - chunk.len()));
        (0..4).map(move |at| match at <= chunk.len() {
            true => char::from(DIGITS[(word >> (18 - 6 * at) & 63) as usize]),
            false => '=',
        })
    });
    quads.collect()
}

/// RFC 4648, section 4.
const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

static POLICY: LazyLock<String> = LazyLock::new(|| {
    let (style, script) = (source(STYLE), source(SCRIPT));
    format!(
        "default-src 'none'; style-src {style}; script-src {script}; connect-src 'self'; \
         form-action 'self'; img-src data:; base-uri 'none'; frame-ancestors 'none'"
    )
});

static EXPORT_POLICY: LazyLock<String> = LazyLock::new(|| {
    let style = source(STYLE);
    format!("default-src 'none'; style-src {style}; img-src data:; base-uri 'none'")
});

const STYLE: &str = include_str!("../../../../templates/alerts.css");
const SCRIPT: &str = include_str!("../../../../templates/alerts.js");

#[cfg(test)]
mod tests {
    use super::*;

    // RFC 4648, section 10.
    #[test]
    fn digests_are_written_in_base64() {
        let pairs = [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foobar", "Zm9vYmFy"),
        ];
        for (text, expected) in pairs {
            assert_eq!(base64(text.as_bytes()), expected);
        }
        // printf 'x' | openssl dgst -sha256 -binary | openssl base64
        assert_eq!(
            source("x"),
            "'sha256-LXEWQrcmsEQBYnyp+6wy9chTD7GQPMTbAiWHF5IaSIE='"
        );
    }

    #[test]
    fn style_and_script_end_no_element_and_fetch_nothing_from_elsewhere() {
        for text in [STYLE, SCRIPT] {
            assert!(!text.contains("</") && !text.contains("://") && !text.contains("<!--"));
        }
        assert!(!SCRIPT.contains("innerHTML") && !SCRIPT.contains("eval"));
    }
}
