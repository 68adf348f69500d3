//! What a request's prompt begins with: the session that its client names, and the boundaries of the prompt. What the index
//! says of it is read from then on, beside counting and reserving. A long prompt is hashed turn by turn, so that other
//! requests of the same thread, isolate or instance go on meanwhile.

use super::measure::Turn;
use super::{Decoded, Wishes};
use crate::cluster::WarmAt;
use crate::ids::PrefixKey;
use crate::pipeline::context::Exchange;
use crate::pipeline::warmth::Identity;
use crate::platform::Platform;
use crate::prefix::index::RowKey;
use crate::prefix::{Boundaries, Reading, session_affinity};

/// A request whose prompt is known by its prefixes.
#[derive(Debug)]
pub(in crate::pipeline) struct Identified {
    pub decoded: Decoded,
    pub identity: Identity,
}

/// Finds out by what the request is known.
pub(in crate::pipeline) async fn identify<P: Platform>(
    exchange: &Exchange<P>,
    decoded: Decoded,
    wishes: Wishes<'_>,
) -> Identified {
    let Decoded { model, request, caller } = &decoded;
    let tenant = &caller.tenant.name;
    let salt = request.cache_salt.as_str();
    let session = request.session.as_deref().map(str::as_bytes).or(wishes.session);
    let session = session.filter(|session| !session.is_empty());
    let session = session.map(|session| session_affinity(salt, &model.name, session));
    let boundaries = boundaries(exchange, &decoded).await;
    let row_key = |affinity| RowKey::of(&request.cache_salt, &model.name, affinity);
    let identity = Identity::new(exchange, (tenant, model), session, boundaries, row_key);
    Identified { decoded, identity }
}

/// The same of an order of the edge, which knows the session, and where the prompt is warm.
pub(in crate::pipeline) async fn identify_order<P: Platform>(
    exchange: &Exchange<P>,
    decoded: Decoded,
    session: Option<PrefixKey>,
    warm: Vec<WarmAt>,
) -> Identified {
    let boundaries = boundaries(exchange, &decoded).await;
    let of = (&decoded.caller.tenant.name, &*decoded.model);
    let identity = Identity::of_order(of, session, boundaries, warm);
    Identified { decoded, identity }
}

async fn boundaries<P: Platform>(exchange: &Exchange<P>, Decoded { model, request, .. }: &Decoded) -> Boundaries {
    let mut reading = Reading::new(&model.name, request);
    let mut turn = Turn::new(exchange);
    turn.work(reading.length() / FASTER, |bytes| reading.go_on(bytes * FASTER))
        .await;
    reading.into_boundaries()
}

/// How many bytes are hashed in the time in which one is counted, at least: a turn has a megabyte of them.
const FASTER: usize = 16;
