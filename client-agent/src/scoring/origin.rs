//! Who may change things from a browser: pages of the agent itself. A browser sends along what a
//! page of any site asks for, with the certificates and passwords it has for the agent; it says
//! whose page it was, and that is judged here, for every route. Programs say nothing and pass.
//!
//! The rule is that of Go's `http.CrossOriginProtection`: `Sec-Fetch-Site` where the browser sends
//! it, else `Origin` against `Host`.

use axum::extract::Request;
use axum::http::{HeaderMap, Method, Uri, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::problem::{Problem, ProblemType};

pub(super) async fn refuse_cross_site(request: Request, next: Next) -> Response {
    if is_safe(request.method()) || is_ours(request.headers(), request.uri()) {
        return next.run(request).await;
    }
    let detail =
        "found a request that a page of another site asks for, expected one of the agent's";
    Problem::new(ProblemType::CrossSite, detail).into_response()
}

/// Methods that change nothing.
fn is_safe(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS)
}

fn is_ours(headers: &HeaderMap, uri: &Uri) -> bool {
    if let Some(site) = headers.get(SEC_FETCH_SITE) {
        return site == "same-origin" || site == "none";
    }
    let Some(origin) = headers.get(header::ORIGIN) else {
        return true;
    };
    let host = headers
        .get(header::HOST)
        .and_then(|host| host.to_str().ok());
    let host = host.or_else(|| Some(uri.authority()?.as_str()));
    let origin = origin.to_str().ok();
    let origin = origin.and_then(|origin| Some(origin.split_once("://")?.1));
    origin
        .zip(host)
        .is_some_and(|(origin, host)| origin.eq_ignore_ascii_case(host))
}

const SEC_FETCH_SITE: &str = "sec-fetch-site";

#[cfg(test)]
mod tests {
    use axum::http::HeaderName;

    use super::*;

    fn judged(told: &[(&str, &str)]) -> bool {
        let mut headers = HeaderMap::new();
        for (name, value) in told {
            let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
            headers.insert(name, value.parse().unwrap());
        }
        is_ours(&headers, &Uri::from_static("/v1/labels"))
    }

    #[test]
    fn a_page_of_another_site_is_told_by_what_the_browser_says() {
        let host = ("host", "agent.bank:8443");
        let ours = ("origin", "https://Agent.bank:8443");
        for told in [
            &[host][..],
            &[host, ours],
            &[host, ours, ("sec-fetch-site", "same-origin")],
            &[host, ("sec-fetch-site", "none")],
            // A proxy may have renamed the host; the browser knows better.
            &[("host", "inner"), ours, ("sec-fetch-site", "same-origin")],
        ] {
            assert!(judged(told), "{told:?}");
        }
        for told in [
            &[host, ours, ("sec-fetch-site", "cross-site")][..],
            &[host, ours, ("sec-fetch-site", "same-site")],
            &[host, ("origin", "https://evil.example")],
            &[host, ("origin", "https://agent.bank")],
            &[host, ("origin", "null")],
            &[ours],
        ] {
            assert!(!judged(told), "{told:?}");
        }
        assert!(is_safe(&Method::GET) && !is_safe(&Method::POST) && !is_safe(&Method::PUT));
    }
}
