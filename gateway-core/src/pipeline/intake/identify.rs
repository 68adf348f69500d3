//! What a request's prompt begins with: the session that its client names, and the boundaries of the prompt. A long prompt
//! is hashed turn by turn, so that other requests of the same thread, isolate or instance go on meanwhile.

use super::measure::Turn;
use super::{Decoded, Wishes};
use crate::cluster::{HotSet, PromptOutline};
use crate::ids::{PrefixKey, Tokens};
use crate::pipeline::context::Exchange;
use crate::platform::Platform;
use crate::prefix::{Boundaries, Reading, session_affinity};

/// A request whose prompt is known by its prefixes.
#[derive(Debug)]
pub(in crate::pipeline) struct Identified {
    pub decoded: Decoded,
    pub identity: Identity,
}

/// By what a request may be known where others like it were served.
#[derive(Debug)]
pub(in crate::pipeline) struct Identity {
    /// The session, where the client names one.
    session: Option<PrefixKey>,
    boundaries: Boundaries,
}

impl Identity {
    /// By which a replica of a cluster is chosen where nothing else is known: the session's key, or else that of a prefix
    /// which is not among those that are hot there.
    pub fn affinity(&self, hot: &HotSet) -> Option<PrefixKey> {
        let of_prefix = || self.boundaries.affinity(|key| hot.get(key).is_some());
        self.session.or_else(of_prefix)
    }

    /// What a cluster is told of the prompt, which takes so many tokens there.
    pub fn outline(&self, tokens: Tokens) -> PromptOutline {
        PromptOutline {
            tokens,
            boundaries: self.boundaries.outline(tokens),
            presumed: self.boundaries.presumed(tokens),
            warm: Vec::new(),
        }
    }
}

/// Finds out by what the request is known.
pub(in crate::pipeline) async fn identify<P: Platform>(
    exchange: &Exchange<P>,
    decoded: Decoded,
    wishes: Wishes<'_>,
) -> Identified {
    let Decoded { model, request, .. } = &decoded;
    let salt = request.cache_salt.as_str();
    let session = request.session.as_deref().map(str::as_bytes).or(wishes.session);
    let session = session.filter(|session| !session.is_empty());
    let session = session.map(|session| session_affinity(salt, &model.name, session));
    let mut reading = Reading::new(&model.name, request);
    let mut turn = Turn::new(exchange);
    turn.work(reading.length(), |bytes| reading.go_on(bytes)).await;
    let boundaries = reading.into_boundaries();
    let identity = Identity { session, boundaries };
    Identified { decoded, identity }
}
