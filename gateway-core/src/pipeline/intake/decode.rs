//! What a request says: its headers and its body, read.

use std::sync::Arc;

use bytes::Bytes;
use http::header::{ACCEPT_LANGUAGE, CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue};

use crate::api::headers::{LOWEST_TIER, OWN_PREFIX, X_ADMIN_KEY, X_CACHE, X_EXPLAIN};
use crate::api::{Dialect, Endpoint, Generation, RequestError};
use crate::auth::{Caller, wants_explanation};
use crate::cache::CacheWish;
use crate::config::{Config, Model};
use crate::explain::Asked;
use crate::pipeline::context::Exchange;
use crate::pipeline::entrance::Entrance;
use crate::platform::Platform;

/// A request that is understood: whose it is, and which model it is for.
#[derive(Debug)]
pub(in crate::pipeline) struct Decoded {
    pub caller: Caller,
    pub model: Arc<Model>,
    pub request: Generation,
}

/// What the headers of a request wish for.
#[derive(Clone, Copy, Debug)]
pub(in crate::pipeline) struct Wishes<'h> {
    /// The lowest tier that the client accepts.
    pub lowest_tier: Option<&'h str>,
    /// The client's name for the conversation.
    pub session: Option<&'h [u8]>,
    /// What the client says that it reads.
    pub languages: Languages<'h>,
    /// Whether an operator wants to know why the request goes where it goes.
    pub explains: bool,
    /// What the client wishes of the response cache.
    pub cache: CacheWish,
}

/// What the headers of a request say of the languages that its client reads.
#[derive(Clone, Copy, Debug)]
pub(in crate::pipeline) struct Languages<'h>(&'h HeaderMap);

impl Languages<'_> {
    /// All of its `accept-language` lines, which are one list (RFC 9110, 5.3); empty where it says nothing.
    pub fn accepted(self) -> String {
        let lines = self.0.get_all(ACCEPT_LANGUAGE).iter();
        let lines: Vec<_> = lines.filter_map(|line| line.to_str().ok()).collect();
        lines.join(",")
    }
}

/// Reads what the headers of a request wish for, which came in by that entrance. Where operators have their own, nobody can
/// even try their keys at the clients'.
///
/// # Errors
/// When there are headers that are not a client's to send, an explanation is asked for without an operator's key, or the body
/// is said to be no JSON.
pub(in crate::pipeline) fn check_headers<'h>(
    config: &Config,
    entrance: Entrance,
    headers: &'h HeaderMap,
) -> Result<Wishes<'h>, RequestError> {
    let ours = headers
        .keys()
        .map(http::HeaderName::as_str)
        .filter(|name| name.starts_with(OWN_PREFIX));
    let trusted = &config.routing.location_headers;
    let is_of_operator = |name: &str| (X_EXPLAIN == name || X_ADMIN_KEY == name) && entrance != Entrance::Clients;
    let is_trusted = |name: &str| trusted.iter().any(|trusted| trusted == name);
    let is_known = |name: &str| name == LOWEST_TIER || X_CACHE == name || is_of_operator(name) || is_trusted(name);
    if let Some(name) = ours.into_iter().find(|name| !is_known(name)) {
        return Err(RequestError::ReservedHeader { name: name.to_owned() });
    }
    let is_json = |value: &HeaderValue| {
        let essence = value.to_str().unwrap_or_default().split(';').next().unwrap_or_default();
        essence.trim().eq_ignore_ascii_case("application/json")
    };
    if !headers.get(CONTENT_TYPE).is_none_or(is_json) {
        return Err(RequestError::WrongContentType);
    }
    let session_headers = config.sessions.headers.iter();
    let session = session_headers
        .filter_map(|name| headers.get(name))
        .map(HeaderValue::as_bytes);
    Ok(Wishes {
        lowest_tier: headers.get(LOWEST_TIER).map(|tier| tier.to_str().unwrap_or_default()),
        session: session.into_iter().find(|session| !session.is_empty()),
        languages: Languages(headers),
        explains: wants_explanation(&config.admin, headers)?,
        cache: cache_wish(headers)?,
    })
}

/// What a client wishes of the response cache: in the gateway's own header or, as caches of HTTP know it, in
/// `cache-control`.
fn cache_wish(headers: &HeaderMap) -> Result<CacheWish, RequestError> {
    let says = |directive: &str| {
        let lines = headers
            .get_all(CACHE_CONTROL)
            .iter()
            .filter_map(|line| line.to_str().ok());
        let mut directives = lines.flat_map(|line| line.split(','));
        directives.any(|said| said.trim().eq_ignore_ascii_case(directive))
    };
    let mut lines = headers.get_all(X_CACHE).iter();
    let wish = match lines.next().map(HeaderValue::to_str) {
        None => CacheWish::Unsaid,
        Some(_) if lines.next().is_some() => return Err(RequestError::WrongCacheWish),
        Some(said) => {
            let said = said.unwrap_or_default();
            let mut named = CacheWish::NAMED.into_iter();
            let found = named.find(|(name, _)| said == *name);
            found.ok_or(RequestError::WrongCacheWish)?.1
        }
    };
    Ok(match wish {
        _ if says("no-store") => CacheWish::Bypass,
        CacheWish::Use if says("no-cache") => CacheWish::Refresh,
        CacheWish::Unsaid if says("no-cache") => CacheWish::Reload,
        CacheWish::Unsaid | CacheWish::Use | CacheWish::Reload | CacheWish::Refresh | CacheWish::Bypass => wish,
    })
}

/// Has the request's record say what it asks for.
pub(in crate::pipeline) fn note_asked<P: Platform>(exchange: &Exchange<P>, decoded: &Decoded) {
    let (model, stream) = (&decoded.model.name, decoded.request.stream);
    exchange.recorder.with(|record| {
        record.asked = Some(Asked {
            model: model.clone(),
            stream,
        });
    });
}

/// Reads the body of an order for that model. Whether the caller may send it so was found out at the edge.
///
/// # Errors
/// When the body is not what the API says.
pub(in crate::pipeline) fn decode_order<P: Platform>(
    exchange: &Exchange<P>,
    endpoint: Endpoint,
    caller: Caller,
    model: &Arc<Model>,
    body: Bytes,
) -> Result<Decoded, RequestError> {
    let mut request = Dialect::decode(endpoint, body, exchange.config.sizes.nesting)?;
    request.cache_salt = request.cache_salt.within(&caller.tenant.cache_salt);
    let model = Arc::clone(model);
    Ok(Decoded { caller, model, request })
}

/// Reads the body, and finds the model that it asks for.
///
/// # Errors
/// When the body is not what the API says, or not what the model's engines know, or the caller may use no such model, or
/// not steer engines as the request would.
pub(in crate::pipeline) fn decode<P: Platform>(
    exchange: &Exchange<P>,
    endpoint: Endpoint,
    caller: Caller,
    body: Bytes,
) -> Result<Decoded, RequestError> {
    let config = &exchange.config;
    let mut request = Dialect::decode(endpoint, body, config.sizes.nesting)?;
    let asked_for = config.model(&request.model);
    let Some(model) = asked_for.filter(|model| caller.tenant.may_use(&model.name)) else {
        return Err(RequestError::UnknownModel { model: request.model });
    };
    request.check_for(model)?;
    let steering = &request.steering;
    steering.check(config.engines(model), &caller.tenant, &config.media)?;
    request.cache_salt = request.cache_salt.within(&caller.tenant.cache_salt);
    Ok(Decoded {
        caller,
        model: Arc::clone(model),
        request,
    })
}
