//! A request's body, within its bounds: decoded where it is compressed, and passed over where nobody wants it.

use std::fmt::Display;
use std::pin::pin;
use std::time::Duration;

use bytes::Bytes;
use futures::future::{Either, select};
use futures::{Stream, StreamExt};
use http::HeaderMap;
use http::header::{CONTENT_LENGTH, EXPECT};

use crate::api::{ContentCoding, RequestError};
use crate::config::Config;
use crate::pipeline::collect::{CollectError, collect};
use crate::platform::Platform;

/// Reads the body to its end, and decodes it.
///
/// # Errors
/// When it is too large, too slow, or breaks off, or is in a content coding that is not read here.
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
    let coding = ContentCoding::of(headers)?;
    let body = read_whole(platform, headers, body, config).await?;
    match coding {
        Some(coding) => coding.decode(&body, config.sizes.request_body_bytes),
        None => Ok(body),
    }
}

async fn read_whole<P, B, E>(platform: &P, headers: &HeaderMap, body: B, config: &Config) -> Result<Bytes, RequestError>
where
    P: Platform,
    B: Stream<Item = Result<Bytes, E>> + Unpin,
    E: Display,
{
    let limit = config.sizes.request_body_bytes;
    let announced = announced(headers);
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

/// Reads what is left of the body of a request that was refused, and forgets it, until its end, a bound, or a pause. A
/// client that is still sending would lose its connection, and the refusal with it: whoever closes with bytes unread
/// resets. nginx calls it a lingering close; where the answer must come first, as on workerd, nothing can be read after.
pub(in crate::pipeline) async fn pass_over<P, B, E>(platform: &P, headers: &HeaderMap, body: &mut B)
where
    P: Platform,
    B: Stream<Item = Result<Bytes, E>> + Unpin,
{
    let waits_to_be_told = headers.contains_key(EXPECT);
    if waits_to_be_told || announced(headers).is_some_and(|length| length > MOST_PASSED_OVER) {
        return;
    }
    let mut passed = 0;
    while passed <= MOST_PASSED_OVER {
        match select(body.next(), pin!(platform.sleep(LONGEST_PAUSE))).await {
            Either::Left((Some(Ok(piece)), _)) => passed += piece.len() as u64,
            Either::Left((Some(Err(_)) | None, _)) | Either::Right(_) => return,
        }
    }
}

fn announced(headers: &HeaderMap) -> Option<u64> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// The largest body that any configuration takes, in bytes.
const MOST_PASSED_OVER: u64 = 64 << 20;
/// How long a client may pause before it counts as one that waits for the answer.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);
