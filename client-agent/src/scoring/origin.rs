//! Who may change things from a browser: pages of the agent itself. A browser sends along what a
//! page of any site asks for, with the certificates and passwords it has for the agent; it says
//! whose page it was, and that is judged here, for every route. Programs say nothing and pass.
//!
//! The rule is that of Go's `http.CrossOriginProtection`: `Sec-Fetch-Site` where the browser sends
//! it, else `Origin` against `Host`.
//!
//! A site whose name leads to this machine (DNS rebinding) passes for the agent's own by that rule.
//! Where nobody is asked who it is, the door therefore answers to no name but that of the machine.

use std::net::IpAddr;

use axum::Router;
use axum::extract::Request;
use axum::http::uri::Authority;
use axum::http::{HeaderMap, Method, Uri, header};
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};

use super::problem::{Problem, ProblemType};
use super::tokens::OPEN;

/// Refuses what is asked of `router` under another name than `localhost` or an address, but for
/// what a supervisor asks. For a door with neither certificates nor tokens: with either of them a
/// page has nothing to show that it did not get from the agent.
pub(crate) fn answer_locally(router: Router) -> Router {
    router.layer(from_fn(refuse_names))
}

async fn refuse_names(request: Request, next: Next) -> Response {
    let host = host_of(request.headers(), request.uri());
    if OPEN.contains(&request.uri().path()) || host.is_some_and(is_local) {
        return next.run(request).await;
    }
    let detail = "found a host that may be anybody's name for this machine, expected localhost or \
                  an address where neither tls nor bearer_token is configured";
    Problem::new(ProblemType::CrossSite, detail).into_response()
}

/// Whether a host, its port aside, is an address or `localhost`: no foreign zone can hold these.
fn is_local(host: &str) -> bool {
    let Ok(authority) = host.parse::<Authority>() else {
        return false;
    };
    let host = authority.host();
    let bare = host.strip_prefix('[').and_then(|it| it.strip_suffix(']'));
    let is_address = bare.unwrap_or(host).parse::<IpAddr>().is_ok();
    is_address || host.eq_ignore_ascii_case("localhost")
}

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
    let origin = origin.to_str().ok();
    let origin = origin.and_then(|origin| Some(origin.split_once("://")?.1));
    origin
        .zip(host_of(headers, uri))
        .is_some_and(|(origin, host)| origin.eq_ignore_ascii_case(host))
}

/// Under which name the agent is asked.
fn host_of<'a>(headers: &'a HeaderMap, uri: &'a Uri) -> Option<&'a str> {
    let host = headers
        .get(header::HOST)
        .and_then(|host| host.to_str().ok());
    host.or_else(|| Some(uri.authority()?.as_str()))
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
        let absolute = Uri::from_static("http://localhost:8443/v1/labels");
        assert_eq!(
            host_of(&HeaderMap::new(), &absolute),
            Some("localhost:8443")
        );
        assert!(is_safe(&Method::GET) && !is_safe(&Method::POST) && !is_safe(&Method::PUT));
    }

    #[test]
    fn a_name_that_a_stranger_can_hold_is_not_local() {
        for host in [
            "localhost",
            "LocalHost:8443",
            "127.0.0.1",
            "127.0.0.1:8443",
            "[::1]:8443",
            "[::ffff:127.0.0.1]",
        ] {
            assert!(is_local(host), "{host}");
        }
        for host in [
            "",
            "evil.example",
            "evil.example:8443",
            "localhost.evil.example",
            "127.0.0.1.evil.example:8443",
            "1270.0.0.1",
            "[localhost]",
            "::1",
        ] {
            assert!(!is_local(host), "{host}");
        }
    }
}
