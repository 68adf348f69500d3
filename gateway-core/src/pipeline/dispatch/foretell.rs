//! What would come of an order: the same walk, by the same steps and the same choice in clusters' cells, of which nothing is
//! taken. No permit is held, nothing is sent and nobody waits; where the walk would stand still, it ends.

use std::collections::BTreeSet;

use super::attempt::{Prepared, prepare};
use super::judge::known;
use super::walk::descent;
use crate::cluster::{Acquired, ChoiceReason, DryRun, Expectation, ExpectedPlace, Grant, PermitId, Queued};
use crate::config::CannedReason;
use crate::explain::{Millis, Outcome, words};
use crate::ids::ReplicaName;
use crate::ladder::{AttemptError, Descent, Step, WaitsFor, canned_reason, more_telling};
use crate::observe::Event;
use crate::pipeline::context::Waiting;
use crate::pipeline::dispatch::{ClusterClient, Wanted};
use crate::pipeline::failure::Failure;
use crate::pipeline::intake::{Order, Target};
use crate::platform::Platform;

/// Walks down the ladder as far as the order would, and then looks at the clusters of the same tiers that it would not come to,
/// so that they can be compared. What is found out on the way is told as what happens to others is.
pub(in crate::pipeline) async fn foretell<P: Platform>(order: &Order<P>) -> Outcome {
    if let Some(error) = known(order) {
        return refused(order, Some(&error));
    }
    let mut descent = descent(order);
    let mut seen = BTreeSet::new();
    let mut failure = None;
    let mut reason = None;
    let outcome = loop {
        let (tier, cluster, waits) = match descent.step() {
            Step::Attempt { tier, cluster, waits } => (tier, cluster, waits),
            Step::Canned => break canned(order, reason, &descent).unwrap_or_else(|| refused(order, failure.as_ref())),
            Step::GiveUp => break refused(order, failure.as_ref()),
        };
        seen.insert((tier, cluster));
        let error = match order.target(tier, cluster).await {
            Some(target) => match attempt(order, &target, waits).await {
                Ok(outcome) => break outcome,
                Err(error) => {
                    order.exchange.tell(&Event::AttemptFailed {
                        cluster: &target.serving.cluster.name,
                        replica: None,
                        error: &error,
                    });
                    error
                }
            },
            None => AttemptError::Unfit,
        };
        descent.after(&error);
        reason = canned_reason(reason, &error);
        failure = Some(more_telling(failure.take(), error));
    };
    look_at_others(order, seen).await;
    outcome
}

/// Has the cells of clusters weigh the order to which it would not come, in the tiers to which it would.
async fn look_at_others<P: Platform>(order: &Order<P>, seen: BTreeSet<(usize, usize)>) {
    let tiers: BTreeSet<usize> = seen.iter().map(|(tier, _)| *tier).collect();
    let clusters = order.plan.clusters();
    let places = tiers
        .into_iter()
        .flat_map(|tier| (0..clusters[tier]).map(move |cluster| (tier, cluster)));
    for (tier, cluster) in places.filter(|place| !seen.contains(place)).take(MOST_OTHERS) {
        let Some(target) = order.target(tier, cluster).await else {
            continue;
        };
        if order.exchange.hop(&target.serving.cluster).is_none() {
            let Prepared { client, wanted, .. } = prepare(order, &target, WaitsFor::Nothing).await;
            // Who does not answer is not weighed.
            let _ = ask(&client, wanted).await;
        }
    }
}

/// What would come of an attempt at a cluster.
///
/// # Errors
/// Why nothing would.
async fn attempt<P: Platform>(order: &Order<P>, target: &Target<'_>, waits: WaitsFor) -> Result<Outcome, AttemptError> {
    let (exchange, cluster) = (&order.exchange, &target.serving.cluster);
    if let Some(hop) = exchange.hop(cluster) {
        return Ok(Outcome::Region {
            tier: target.tier,
            model: target.model.name.clone(),
            cluster: cluster.name.clone(),
            hop: hop.to_string(),
        });
    }
    let Prepared { client, wanted, .. } = prepare(order, target, waits).await;
    let now = exchange.platform.now();
    let is_kept = |place: &ExpectedPlace| {
        let replica = &cluster.policy.replicas[place.replica];
        client.with(|cache| cache.has(now, replica, wanted.kv_tokens, wanted.headroom_percent))
    };
    let kept = wanted.kept_place(&[]).filter(is_kept);
    let expectation = kept.map(|place| wanted.expectation(&place, cluster.prefill_tokens_per_s));
    let asked = ask(&client, wanted).await;
    if let Some(place) = kept {
        let replica = &cluster.policy.replicas[place.replica];
        return Ok(served(
            order,
            target,
            (replica, true),
            (Some(place.reason), expectation),
        ));
    }
    match asked? {
        Acquired::Granted(Grant {
            replica,
            choice,
            expected,
            ..
        }) => Ok(served(order, target, (&replica, false), (choice, expected))),
        Acquired::Queued(Queued { expected, .. }) => {
            let name = &cluster.name;
            exchange.tell(&Event::Queued {
                cluster: name,
                expected,
            });
            Ok(Outcome::Waits {
                tier: target.tier,
                model: target.model.name.clone(),
                cluster: name.clone(),
                expected_ms: expected.into(),
            })
        }
        Acquired::Refused(refusal) => Err(AttemptError::of_refusal(&refusal)),
    }
}

/// What a cluster's cell would reply, with what it weighs.
async fn ask<P: Platform>(client: &ClusterClient<P>, wanted: Wanted) -> Result<Acquired, AttemptError> {
    let permit = PermitId(client.exchange.platform.random());
    let dry_run = DryRun(wanted.into_acquire(client, permit));
    let acquired = client.ask_under_policy(dry_run, Waiting::Request).await?;
    let weighed = match &acquired {
        Acquired::Granted(grant) => &grant.weighed,
        Acquired::Refused(refusal) => &refusal.weighed,
        Acquired::Queued(queued) => &queued.weighed,
    };
    client.on_weighed(weighed.as_deref());
    Ok(acquired)
}

/// A replica would serve the order.
fn served<P: Platform>(
    order: &Order<P>,
    target: &Target<'_>,
    (replica, is_kept): (&ReplicaName, bool),
    (choice, expected): (Option<ChoiceReason>, Option<Expectation>),
) -> Outcome {
    let (exchange, cluster) = (&order.exchange, &target.serving.cluster);
    exchange.tell(&Event::Permitted {
        cluster: &cluster.name,
        replica,
        is_kept,
        choice,
        expected,
    });
    let first_token = expected.map(|expected| exchange.round_trip(cluster) + expected.first_token_in);
    Outcome::Served {
        tier: target.tier,
        model: target.model.name.clone(),
        cluster: cluster.name.clone(),
        replica: replica.clone(),
        why: choice.map_or_else(String::new, words),
        first_token_ms: first_token.map(Millis),
    }
}

/// The canned answer, where there is one for the order.
fn canned<P: Platform>(order: &Order<P>, reason: Option<CannedReason>, descent: &Descent) -> Option<Outcome> {
    let reason = reason.unwrap_or(order.plan.reason_without_attempts());
    let unanswered = order.unanswered(reason, descent.recovery());
    order.plan.canned.as_ref()?.find(&order.exchange, unanswered)?.ok()?;
    Some(Outcome::Canned {
        reason: reason.as_str(),
    })
}

fn refused<P: Platform>(order: &Order<P>, error: Option<&AttemptError>) -> Outcome {
    let (error, why) = match error {
        Some(error) => (error.label(), error.to_string()),
        None if order.plan.is_in_maintenance => ("maintenance", Failure::Maintenance.to_string()),
        None => ("no_room", "no cluster of the ladder may be asked".to_owned()),
    };
    Outcome::Refused { error, why }
}

/// So many clusters are looked at beside those that the order would come to: each is a question to its cell.
const MOST_OTHERS: usize = 16;
