//! What a cell tells of its choice, and what it would choose.

use super::*;
use crate::cluster::WarmthBasis;
use crate::cluster::choice::Hindrance;
use crate::cluster::drain::{DrainOrder, SetDrain};
use crate::cluster::weighed::{Weighed, WeighedReplica};

fn explained(permit: u64, prompt: PromptOutline) -> Acquire {
    Acquire {
        prompt,
        explains: true,
        ..acquire(permit)
    }
}

fn weighed(reply: ClusterReply) -> Weighed {
    let weighed = match reply {
        ClusterReply::Granted(grant) => grant.weighed,
        ClusterReply::Refused(refusal) => refusal.weighed,
        ClusterReply::Queued(queued) => queued.weighed,
        other @ (ClusterReply::Extended(_)
        | ClusterReply::Done
        | ClusterReply::Status(_)
        | ClusterReply::Queue(_)
        | ClusterReply::PollTurn(_)
        | ClusterReply::PolicyUnknown
        | ClusterReply::DrainSet(_)
        | ClusterReply::Scale(_)) => panic!("{other:?}"),
    };
    *weighed.expect("it was asked for")
}

fn of<'w>(weighed: &'w Weighed, replica: &str) -> &'w WeighedReplica {
    let mut replicas = weighed.replicas.iter();
    replicas
        .find(|weighed| weighed.replica.as_str() == replica)
        .expect("it is told of")
}

proptest! {
    #[test]
    fn a_dry_run_tells_what_would_be_and_changes_nothing(
        steps in prop::collection::vec((0_u8..5, 0_u64..8, 0_u64..20, prompt()), 0..60),
        asked in prompt(),
        later in 0_u64..40,
        tried in any::<bool>(),
    ) {
        let mut cell = ClusterCell::default();
        let mut now = 0;
        for (kind, permit, wait, prompt) in steps {
            now += wait;
            cell.apply(at(now), match kind {
                0 | 1 => ClusterCommand::Acquire(Acquire { prompt, ..acquire(permit) }),
                2 => prefilled(permit, "http://a", wait),
                3 => release(permit, Some("http://a".into()), Outcome::Failed),
                _ => release(permit, None, Outcome::Served),
            });
        }
        let tried = if tried { vec!["http://a".into()] } else { Vec::new() };
        let asked = Acquire { tried, ..explained(99, asked) };
        let before = cell.clone();
        let told = cell.apply(at(now + later), ClusterCommand::DryRun(DryRun(asked.clone())));
        prop_assert_eq!(&cell, &before);
        let truth = cell.apply(at(now + later), ClusterCommand::Acquire(asked));
        prop_assert_eq!(&told, &truth);
        let expected = if let ClusterReply::Granted(grant) = &truth {
            grant.expected.map(|expected| (grant.replica.clone(), expected.first_token_in))
        } else {
            None
        };
        let weighed = weighed(truth);
        prop_assert_eq!((weighed.replicas.len(), weighed.left_out), (2, 0));
        for replica in &weighed.replicas {
            let parts = replica.queued + replica.prefill + replica.step;
            prop_assert_eq!(replica.first_token_in.is_some(), replica.hindrance.is_none());
            prop_assert!(replica.first_token_in.is_none_or(|total| total == parts), "{:?}", replica);
            prop_assert!(replica.warm == Tokens(0) || replica.basis != WarmthBasis::Nothing);
        }
        if let Some((chosen, first_token_in)) = expected {
            prop_assert_eq!(of(&weighed, chosen.as_str()).first_token_in, Some(first_token_in));
        }
    }
}

#[test]
fn nothing_is_weighed_for_who_does_not_ask() {
    let mut cell = ClusterCell::default();
    let reply = cell.apply(at(0), ClusterCommand::Acquire(acquire(1)));
    assert!(matches!(reply, ClusterReply::Granted(Grant { weighed: None, .. })));
}

#[test]
fn each_replica_is_told_with_what_stands_in_its_way() {
    let mut cell = ClusterCell::default();
    granted(&mut cell, at(0), acquire(1));
    cell.apply(at(0), release(7, Some("http://b".into()), Outcome::Failed));
    let told = weighed(cell.apply(
        at(1),
        ClusterCommand::DryRun(DryRun(explained(2, PromptOutline::default()))),
    ));
    let (a, b) = (of(&told, "http://a"), of(&told, "http://b"));
    assert_eq!((a.hindrance, a.held.requests, a.room.requests), (None, 1, 2));
    assert_eq!(b.hindrance, Some(Hindrance::Open));
    assert_eq!(b.breaker_passes_in, Some(Duration::from_secs(4)));
    let order = DrainOrder {
        deadline: TTL,
        reason: None,
        ttl: TTL,
    };
    let set = SetDrain {
        replica: "http://a".into(),
        order: Some(order),
    };
    cell.apply(at(1), ClusterCommand::Drain(set));
    let told = weighed(cell.apply(at(1), ClusterCommand::Acquire(explained(2, PromptOutline::default()))));
    assert_eq!(of(&told, "http://a").hindrance, Some(Hindrance::Draining));
}
