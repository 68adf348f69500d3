//! The bottom of a request's ladder: texts that may stand for an answer that no engine gives.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::context::Exchange;
use crate::api::{CannedAnswer, Dialect, Generation, NoCannedAnswer};
use crate::config::{CannedAnswers, CannedFor, CannedReason, Model, Tenant, Values};
use crate::language::{LanguageTag, MOST_BYTES_READ, accepted, written_in};
use crate::observe::{Canning, Event};
use crate::platform::Platform;

/// The texts in force when a request came in, and what its client says that it reads.
#[derive(Clone, Debug)]
pub(super) struct CannedTier {
    texts: Arc<CannedAnswers>,
    accepts: String,
}

/// A request that no engine answers.
#[derive(Clone, Copy, Debug)]
pub(super) struct Unanswered<'a> {
    pub tenant: &'a Tenant,
    /// The model that was asked for.
    pub model: &'a Model,
    pub request: &'a Generation,
    /// Why no engine answers.
    pub reason: CannedReason,
    /// In how long asking again may help, where that is known.
    pub recovery: Option<Duration>,
}

impl CannedTier {
    /// Of these texts, for a client that says by `accept-language` that it reads that.
    pub fn new(texts: Arc<CannedAnswers>, accepts: String) -> Self {
        Self { texts, accepts }
    }

    /// The answer that there is for the request: one body, or the events of a whole stream.
    pub fn give<P: Platform>(&self, exchange: &Exchange<P>, unanswered: Unanswered<'_>) -> Option<Bytes> {
        let (model, reason) = (&unanswered.model.name, unanswered.reason);
        let (given, told) = match self.find(exchange, unanswered)? {
            Ok(answer) => (Some(answer), Canning::Given { model, reason }),
            Err(why) => (None, Canning::Withheld { model, reason, why }),
        };
        exchange.tell(&Event::Canned(told));
        given
    }

    /// The same, without a word to anybody; `None` where there is no text for the request.
    pub fn find<P: Platform>(
        &self,
        exchange: &Exchange<P>,
        unanswered: Unanswered<'_>,
    ) -> Option<Result<Bytes, NoCannedAnswer>> {
        let Unanswered {
            tenant,
            model,
            request,
            reason,
            recovery,
        } = unanswered;
        let wanted = CannedFor {
            model,
            tenant: &tenant.name,
            reason,
            languages: &self.languages(request),
        };
        let own = || model.ladder.canned().filter(|_| !reason.must_be_named());
        let text = self.texts.find(&exchange.config, wanted).or_else(own)?;
        let text = text.render(&Values {
            model: model.name.as_str(),
            tenant: tenant.name.as_str(),
            reason,
            request_id: exchange.id.as_str(),
            retry_after_seconds: seconds(recovery.unwrap_or(UNKNOWN_RECOVERY)),
        });
        let answer = CannedAnswer {
            text: &text,
            id: &exchange.id,
            now: exchange.platform.wall(),
        };
        Some(Dialect::canned(answer, request))
    }

    /// The languages that the client reads, as it says, and after them the one that it writes.
    fn languages(&self, request: &Generation) -> Vec<LanguageTag> {
        let mut languages = accepted(&self.accepts);
        let words = request.last_words(MOST_BYTES_READ);
        let written = words.as_deref().and_then(written_in);
        languages.extend(written.and_then(|tag| tag.parse().ok()));
        languages
    }
}

/// Whole ones, so that who waits so long is not too early.
fn seconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis().div_ceil(1_000))
        .unwrap_or(u64::MAX)
        .max(1)
}

/// What people are told to wait where nobody knows how long it takes.
const UNKNOWN_RECOVERY: Duration = Duration::from_secs(60);
