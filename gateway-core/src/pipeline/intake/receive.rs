//! A request's body, within its bounds.

use std::fmt::Display;
use std::pin::pin;

use bytes::Bytes;
use futures::Stream;
use futures::future::{Either, select};
use http::HeaderMap;
use http::header::CONTENT_LENGTH;

use crate::api::RequestError;
use crate::config::Config;
use crate::pipeline::collect::{CollectError, collect};
use crate::platform::Platform;

/// Reads the body to its end.
///
/// # Errors
/// When it is too large, too slow, or breaks off.
pub(in crate::pipeline) async fn receive<P, B, E>(
    platform: &P,
    headers: &HeaderMap,
    body: B,
    config: &Config,
) -> Result<Bytes, RequestError>
where
    P: Platform,
    B: Stream<Item = Result<Bytes, E>> + Unpin,
    E: Display,
{
    let limit = config.sizes.request_body_bytes;
    let announced = headers
        .get(CONTENT_LENGTH)
        .and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    if announced.is_some_and(|length| length > limit as u64) {
        return Err(RequestError::TooLarge { limit });
    }
    let whole = pin!(collect(body, limit));
    match select(whole, pin!(platform.sleep(config.timeouts.request_body))).await {
        Either::Left((Ok(body), _)) if announced.is_some_and(|length| length != body.len() as u64) => {
            Err(RequestError::Incomplete {
                detail: format!("{} bytes of those announced", body.len()),
            })
        }
        Either::Left((Ok(body), _)) => Ok(body),
        Either::Left((Err(CollectError::TooLarge), _)) => Err(RequestError::TooLarge { limit }),
        Either::Left((Err(CollectError::Broken(error)), _)) => Err(RequestError::Incomplete {
            detail: error.to_string(),
        }),
        Either::Right(_) => Err(RequestError::TooSlow {
            limit: config.timeouts.request_body,
        }),
    }
}
