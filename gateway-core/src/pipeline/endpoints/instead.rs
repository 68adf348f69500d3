//! What answers in place of a refusal: a text, where one names the reason for it. Clients act on such errors, so that they get
//! them unless an operator wants it otherwise.

use std::fmt::Display;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::Stream;
use http::{HeaderMap, Response};

use crate::api::{Endpoint, RequestError};
use crate::auth::Caller;
use crate::budget::{BudgetError, Shortage};
use crate::config::{CANNED_TIER, CannedAnswers, CannedReason};
use crate::pipeline::body::Body;
use crate::pipeline::canned::{CannedTier, Unanswered};
use crate::pipeline::context::Exchange;
use crate::pipeline::delivery::respond_canned;
use crate::pipeline::failure::Failure;
use crate::pipeline::intake::{Received, Wishes, decode, note_asked, receive_of};
use crate::platform::Platform;

/// The head of a request, as far as it has been read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked<'h> {
    pub endpoint: Endpoint,
    pub caller: &'h Caller,
    pub headers: &'h HeaderMap,
    pub wishes: Wishes<'h>,
}

/// The body of a request: on its way, and then here.
#[derive(Debug)]
pub(super) struct Arriving<B> {
    body: B,
    received: Option<Received>,
}

impl<B> Arriving<B> {
    pub fn new(body: B) -> Self {
        Self { body, received: None }
    }

    /// The body, once it is here. Its share of the memory for bodies is held as long as this is.
    ///
    /// # Errors
    /// As [`receive_of`].
    pub async fn receive<P, E>(
        &mut self,
        exchange: &Exchange<P>,
        asked: Asked<'_>,
        on_body: impl FnOnce(&[u8]),
    ) -> Result<Bytes, Failure>
    where
        P: Platform,
        B: Stream<Item = Result<Bytes, E>> + Unpin,
        E: Display,
    {
        if let Some(received) = &self.received {
            return Ok(received.body.clone());
        }
        let tenant = &asked.caller.tenant.name;
        let received = receive_of(exchange, tenant, asked.headers, &mut self.body, on_body).await?;
        let body = received.body.clone();
        self.received = Some(received);
        Ok(body)
    }
}

/// The text that is configured for such a failure, else the failure. Where the body has not come yet, it is read for that.
///
/// # Errors
/// When there is none.
pub(super) async fn instead<P, B, E>(
    exchange: &Exchange<P>,
    asked: Asked<'_>,
    mut arriving: Arriving<B>,
    failure: Failure,
) -> Result<Response<Body>, Failure>
where
    P: Platform,
    B: Stream<Item = Result<Bytes, E>> + Unpin,
    E: Display,
{
    let Some((reason, recovery)) = reason(&failure) else {
        return Err(failure);
    };
    let texts = exchange.gateway.canned.current(&exchange.config);
    let is_wanted = asked.wishes.lowest_tier.is_none_or(|lowest| lowest == CANNED_TIER);
    if !is_wanted || !texts.names(&asked.caller.tenant.name, reason) {
        return Err(failure);
    }
    let body = arriving.receive(exchange, asked, |_| ()).await;
    let answer = body
        .ok()
        .and_then(|body| answer(exchange, asked, (texts, reason, recovery), body));
    answer.ok_or(failure)
}

fn answer<P: Platform>(
    exchange: &Exchange<P>,
    asked: Asked<'_>,
    (texts, reason, recovery): (Arc<CannedAnswers>, CannedReason, Option<Duration>),
    body: Bytes,
) -> Option<Response<Body>> {
    let decoded = decode(exchange, asked.endpoint, asked.caller.clone(), body).ok()?;
    note_asked(exchange, &decoded);
    let unanswered = Unanswered {
        tenant: &decoded.caller.tenant,
        model: &decoded.model,
        request: &decoded.request,
        reason,
        recovery,
    };
    let given = CannedTier::new(texts, asked.wishes.languages.accepted()).give(exchange, unanswered)?;
    Some(respond_canned(decoded.request.stream, given, reason))
}

/// For which reason a text may answer in place of that failure, and in how long asking again may help. A request that is too
/// large for its budget is wrong in itself, and a budget that nobody reaches refuses nothing for good.
fn reason(failure: &Failure) -> Option<(CannedReason, Option<Duration>)> {
    if let Failure::Request(RequestError::Jurisdiction { .. }) = failure {
        return Some((CannedReason::BlockedRegion, None));
    }
    let Failure::Budget(BudgetError::Denied { denied, .. }) = failure else {
        return None;
    };
    match denied.short {
        Shortage::Tokens | Shortage::Requests | Shortage::Concurrency | Shortage::Priority | Shortage::Day => {
            Some((CannedReason::Budget, denied.wait))
        }
        Shortage::TooLarge => None,
    }
}
