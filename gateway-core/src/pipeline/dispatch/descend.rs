//! The loop over attempts: down the ladder until something answers.

use std::rc::Rc;

use bytes::Bytes;

use super::ServedBy;
use crate::api::canned;
use crate::ladder::{AttemptError, Descent, Step};
use crate::observe::Event;
use crate::pipeline::context::Exchange;
use crate::pipeline::delivery::Relay;
use crate::pipeline::dispatch::{Begun, Target, attempt};
use crate::pipeline::failure::Failure;
use crate::pipeline::intake::{Planned, Reserved};
use crate::platform::Platform;

/// An answer that has begun, and who gives it.
#[derive(Debug)]
pub(in crate::pipeline) struct Answered<P: Platform> {
    pub served_by: ServedBy,
    pub answer: Answer<P>,
}

/// What the client gets.
#[derive(Debug)]
pub(in crate::pipeline) enum Answer<P: Platform> {
    /// A whole body of JSON.
    Whole(Bytes),
    /// Whole, as the events of a stream.
    Events(Bytes),
    /// A stream that has begun.
    Stream(Box<Relay<P>>),
}

/// Goes down the ladder.
///
/// # Errors
/// When nothing on it answers.
pub(in crate::pipeline) async fn descend<P: Platform>(
    exchange: Rc<Exchange<P>>,
    reserved: Reserved<P>,
) -> Result<Answered<P>, Failure> {
    let Reserved { planned, charge } = reserved;
    let mut descent = Descent::new(
        planned.clusters(),
        planned.canned.is_some(),
        exchange.config.limits.attempts,
    );
    // Replicas of the cluster that the walk stands at.
    let mut tried = Vec::new();
    let mut failure: Option<AttemptError> = None;
    loop {
        match descent.step() {
            Step::Attempt { tier, cluster } => {
                let attempted = match planned.target(&exchange, tier, cluster) {
                    Some(target) => attempt(&exchange, &target, &charge, &mut tried)
                        .await
                        .map(|begun| answered(begun, &target)),
                    None => Err(AttemptError::Unfit),
                };
                match attempted {
                    Ok(answered) => return Ok(answered),
                    Err(error) => {
                        if descent.after(&error) != (Step::Attempt { tier, cluster }) {
                            tried.clear();
                        }
                        failure = Some(more_telling(failure, error));
                    }
                }
            }
            Step::Canned => match give_canned(&exchange, &planned) {
                Some(answered) => {
                    charge.settle_canned();
                    return Ok(answered);
                }
                None => return Err(exhausted(failure, &descent)),
            },
            Step::GiveUp => return Err(exhausted(failure, &descent)),
        }
    }
}

fn answered<P: Platform>(begun: Begun<P>, target: &Target<'_>) -> Answered<P> {
    let served_by = ServedBy::Engine {
        cluster: target.serving.cluster.name.clone(),
        model: target.model.name.clone(),
        tier: target.tier,
        prompt: target.count.prompt,
        is_exact: target.count.basis.is_exact(),
    };
    let answer = match begun {
        Begun::Whole(body) => Answer::Whole(body),
        Begun::Stream(relay) => Answer::Stream(relay),
    };
    Answered { served_by, answer }
}

fn give_canned<P: Platform>(exchange: &Exchange<P>, planned: &Planned) -> Option<Answered<P>> {
    let decoded = &planned.counted.decoded;
    let text = planned.canned.as_deref()?;
    let body = canned(text, &decoded.request, &exchange.id, exchange.platform.now())?;
    exchange.gateway.tell(&Event::Canned {
        model: &decoded.model.name,
    });
    let answer = if decoded.request.stream {
        Answer::Events(body)
    } else {
        Answer::Whole(body)
    };
    Some(Answered {
        served_by: ServedBy::Canned,
        answer,
    })
}

/// That a cluster has no replica left tells less than why the replicas before it failed.
fn more_telling(before: Option<AttemptError>, error: AttemptError) -> AttemptError {
    match (before, error) {
        (Some(before), AttemptError::NoRoom { .. } | AttemptError::Unfit) => before,
        (_, error) => error,
    }
}

fn exhausted(failure: Option<AttemptError>, descent: &Descent) -> Failure {
    let error = failure.unwrap_or(AttemptError::NoRoom { recovery: None });
    Failure::Exhausted {
        error,
        recovery: descent.recovery(),
    }
}
