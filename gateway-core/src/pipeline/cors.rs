//! Cross-origin requests (the Fetch Standard's CORS protocol): what browsers are told of which pages may ask and what they
//! may read. It goes by the page's origin and the configuration alone, and lets nobody in: that takes a key, which the
//! page sends itself. Cookies and other credentials of the browser are never asked for.

use bytes::Bytes;
use http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_HEADERS, ORIGIN, VARY,
};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode};

use super::body::Body;
use super::entrance::Entrance;
use crate::api::RequestError;
use crate::api::headers::EXPOSED;
use crate::config::Cors;

/// The answer to a browser that asks whether a page may send a request, which it does without the page's key; `None` for
/// any other request. Whether the path is there, the request itself will learn.
pub(super) fn preflight(cors: &Cors, head: &Parts) -> Option<Result<Response<Body>, RequestError>> {
    let is_asked = head.method == Method::OPTIONS && is_for_pages(head);
    let origin = head.headers.get(ORIGIN).filter(|_| is_asked)?;
    if !is_allowed(cors, origin) {
        let origin = String::from_utf8_lossy(origin.as_bytes()).into_owned();
        return Some(Err(RequestError::ForeignOrigin { origin }));
    }
    let mut response = Response::new(Body::Full(Bytes::new()));
    *response.status_mut() = StatusCode::NO_CONTENT;
    let headers = response.headers_mut();
    headers.insert(ACCESS_CONTROL_ALLOW_METHODS, METHODS);
    headers.insert(ACCESS_CONTROL_MAX_AGE, MAX_AGE_S);
    // `*` would leave out `authorization`. A header that is not for clients is refused when it comes.
    if let Some(asked) = head.headers.get(ACCESS_CONTROL_REQUEST_HEADERS) {
        headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, asked.clone());
    }
    Some(Ok(response))
}

/// Lets the page that sent the request read the response, if it may.
pub(super) fn share(cors: &Cors, request: &Parts, response: &mut HeaderMap) {
    if !is_for_pages(request) {
        return;
    }
    let any = cors.allow_origins.is_none();
    if !any {
        response.append(VARY, HeaderValue::from_static("origin"));
    }
    let Some(origin) = request.headers.get(ORIGIN).filter(|origin| is_allowed(cors, origin)) else {
        return;
    };
    let told = if any {
        HeaderValue::from_static("*")
    } else {
        origin.clone()
    };
    response.insert(ACCESS_CONTROL_ALLOW_ORIGIN, told);
    response.insert(ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSED);
}

/// No page is let in where operators are answered without a key: it would do in an operator's browser what its own server
/// cannot.
fn is_for_pages(head: &Parts) -> bool {
    Entrance::of(head) != Entrance::Operators
}

fn is_allowed(cors: &Cors, origin: &HeaderValue) -> bool {
    let allowed = cors.allow_origins.as_ref();
    allowed.is_none_or(|allowed| allowed.iter().any(|allowed| origin == allowed.as_str()))
}

/// All that any path takes.
const METHODS: HeaderValue = HeaderValue::from_static("GET, HEAD, POST, PUT, DELETE");
/// How long a browser may go by the answer, in seconds: Starlette's, and so vLLM's.
const MAX_AGE_S: HeaderValue = HeaderValue::from_static("600");

#[cfg(test)]
mod tests {
    use super::*;

    fn listed() -> Cors {
        Cors {
            allow_origins: Some(vec!["https://app.example.com".to_owned()]),
        }
    }

    const ANY: Cors = Cors { allow_origins: None };

    fn asked(method: Method, origin: Option<&str>) -> Parts {
        let (mut head, ()) = http::Request::new(()).into_parts();
        head.method = method;
        if let Some(origin) = origin {
            head.headers.insert(ORIGIN, HeaderValue::from_str(origin).unwrap());
        }
        head
    }

    fn shared(cors: &Cors, origin: Option<&str>) -> [Option<String>; 3] {
        let mut response = HeaderMap::new();
        share(cors, &asked(Method::GET, origin), &mut response);
        [ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, VARY]
            .map(|name| Some(response.get(name)?.to_str().ok()?.to_owned()))
    }

    #[test]
    fn any_page_may_read_where_none_are_listed() {
        let [origin, exposed, vary] = shared(&ANY, Some("http://localhost:5173"));
        assert_eq!((origin.as_deref(), vary), (Some("*"), None));
        assert!(exposed.is_some_and(|exposed| exposed.contains("x-request-id")));
        assert_eq!(shared(&ANY, None), [None, None, None], "no browser asks");
    }

    #[test]
    fn no_page_reads_what_operators_are_told_without_a_key() {
        let page = Some("https://app.example.com");
        let mut response = HeaderMap::new();
        for method in [Method::GET, Method::OPTIONS] {
            let mut head = asked(method, page);
            head.extensions.insert(Entrance::Operators);
            share(&ANY, &head, &mut response);
            assert!(preflight(&ANY, &head).is_none());
        }
        assert_eq!(response, HeaderMap::new());
    }

    #[test]
    fn listed_pages_may_read_and_caches_keep_them_apart() {
        let page = "https://app.example.com";
        let [origin, exposed, vary] = shared(&listed(), Some(page));
        assert_eq!((origin.as_deref(), vary.as_deref()), (Some(page), Some("origin")));
        assert!(exposed.is_some());
        for other in [Some("https://app.example.com.evil.example"), Some("null"), None] {
            assert_eq!(shared(&listed(), other), [None, None, Some("origin".to_owned())]);
        }
    }

    #[test]
    fn a_preflight_is_answered_for_pages_that_may_ask() {
        let page = Some("https://app.example.com");
        let mut head = asked(Method::OPTIONS, page);
        let wanted = HeaderValue::from_static("authorization, x-stainless-os");
        head.headers.insert(ACCESS_CONTROL_REQUEST_HEADERS, wanted.clone());
        for cors in [ANY, listed()] {
            let response = preflight(&cors, &head).unwrap().unwrap();
            assert_eq!(response.status(), StatusCode::NO_CONTENT);
            assert_eq!(response.headers().get(ACCESS_CONTROL_ALLOW_HEADERS), Some(&wanted));
        }
        let other = asked(Method::OPTIONS, Some("https://evil.example"));
        let refused = preflight(&listed(), &other).unwrap().map(drop).unwrap_err();
        assert_eq!(
            refused.to_string(),
            "pages of the origin `https://evil.example` may not ask here: `allow_origins` in gateway.toml lists those that \
             may"
        );
        assert!(preflight(&ANY, &asked(Method::OPTIONS, None)).is_none());
        assert!(preflight(&ANY, &asked(Method::POST, page)).is_none());
    }
}
