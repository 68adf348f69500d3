use proptest::prelude::*;

use super::super::evidence::{FaultKind, PromptClass};
use super::super::message::ReadRollout;
use super::*;
use crate::ids::Tokens;

const MINUTE: u64 = 60;

fn at(seconds: u64) -> Timestamp {
    Timestamp::from_millis(1_000_000_000 + seconds * 1_000)
}

fn policy() -> RolloutPolicy {
    let weights = Weights::of_parts([("v1".into(), 100), ("v2".into(), 0), ("v3".into(), 0)]);
    RolloutPolicy {
        weights: weights.expect("weights"),
        steps: vec![5, 50, 100],
        step_after: Some(Duration::from_secs(10 * MINUTE)),
        worse_errors: 100,
        worse_ttft_percent: 50,
        min_requests: 100,
    }
}

fn order(cell: &mut RolloutCell, seconds: u64, action: RolloutAction) -> Result<RolloutStatus, OrderRefused> {
    let order = OrderRollout {
        policy: policy(),
        action,
        reason: None,
    };
    match cell.apply(at(seconds), RolloutCommand::Order(order)).0 {
        RolloutReply::Ordered(ordered) => Ok(ordered.status),
        RolloutReply::Refused(refused) => Err(refused),
        other @ (RolloutReply::Standing(_) | RolloutReply::Status(_)) => panic!("{other:?}"),
    }
}

fn start(cell: &mut RolloutCell, seconds: u64) -> RolloutStatus {
    order(cell, seconds, RolloutAction::Start("v2".into())).expect("it starts")
}

fn set(cell: &mut RolloutCell, seconds: u64, weight: u32) -> Result<RolloutStatus, OrderRefused> {
    order(cell, seconds, RolloutAction::Set(vec![("v2".into(), weight)]))
}

fn status(cell: &RolloutCell, seconds: u64) -> RolloutStatus {
    let read = ReadRollout { policy: policy() };
    match cell.clone().apply(at(seconds), RolloutCommand::Status(read)).0 {
        RolloutReply::Status(status) => *status,
        other @ (RolloutReply::Standing(_) | RolloutReply::Ordered(_) | RolloutReply::Refused(_)) => {
            panic!("{other:?}")
        }
    }
}

/// So many requests at a version, of which so many of a hundred fail, and whose first tokens take so long.
fn met(requests: u64, failing: u64, first_ms: u64) -> Evidence {
    let mut evidence = Evidence::default();
    for request in 0..requests {
        let fault = (request % 100 < failing).then_some(FaultKind::Error);
        let first = (PromptClass::of(Tokens(10)), Duration::from_millis(first_ms));
        evidence.on_request(fault, Some(first));
    }
    evidence
}

/// Reports of the weights that hold.
fn report(cell: &mut RolloutCell, seconds: u64, old: Evidence, new: Evidence) -> Option<ChangeKind> {
    let revision = cell.revision();
    report_of(cell, seconds, revision, old, new)
}

fn report_of(cell: &mut RolloutCell, seconds: u64, revision: u64, old: Evidence, new: Evidence) -> Option<ChangeKind> {
    let report = EvidenceReport {
        policy: policy(),
        revision,
        seen: vec![("v1".into(), old), ("v2".into(), new)],
    };
    match cell.apply(at(seconds), RolloutCommand::Report(report)) {
        (RolloutReply::Standing(standing), has_changed) => {
            assert_eq!(standing.changed.is_some(), has_changed);
            standing.changed.map(|changed| changed.kind)
        }
        (other @ (RolloutReply::Status(_) | RolloutReply::Ordered(_) | RolloutReply::Refused(_)), _) => {
            panic!("{other:?}")
        }
    }
}

fn weight(cell: &RolloutCell) -> u32 {
    cell.weights(&policy()).of(&"v2".into())
}

#[test]
fn a_version_that_does_well_takes_over_in_steps() {
    let mut cell = RolloutCell::default();
    let mut now = 0;
    let started = start(&mut cell, now);
    assert_eq!((weight(&cell), started.in_force_in), (500, ANNOUNCED));
    for (step, kind) in [(5_000, ChangeKind::Stepped), (10_000, ChangeKind::Done)] {
        now += 3 + 10 * MINUTE;
        assert_eq!(
            report(&mut cell, now - 1, met(900, 1, 10), met(99, 1, 10)),
            None,
            "too soon"
        );
        assert_eq!(report(&mut cell, now, met(1, 0, 10), met(0, 0, 10)), None, "too few");
        assert_eq!(report(&mut cell, now, met(1, 0, 10), met(1, 0, 10)), Some(kind));
        assert_eq!(weight(&cell), step);
    }
    let ended = status(&cell, now).ended.expect("its end");
    assert_eq!((ended.version.as_str(), ended.how), ("v2", ChangeKind::Done));
    assert_eq!(
        order(&mut cell, now, RolloutAction::Abort),
        Err(OrderRefused::NotRunning)
    );
    let all = RolloutAction::Start("v2".into());
    assert!(matches!(order(&mut cell, now, all), Err(OrderRefused::HasAll { .. })));
}

#[test]
fn a_version_that_is_worse_is_taken_back_at_once() {
    for (old, new, word) in [
        (met(2_000, 1, 10), met(100, 20, 10), "failed"),
        (met(2_000, 1, 10), met(400, 1, 30), "first tokens"),
    ] {
        for is_paused in [false, true] {
            let mut cell = RolloutCell::default();
            start(&mut cell, 0);
            if is_paused {
                order(&mut cell, 1, RolloutAction::Pause).expect("it is paused");
            }
            let changed = report(&mut cell, 10, old.clone(), new.clone());
            assert_eq!((changed, weight(&cell)), (Some(ChangeKind::RolledBack), 0));
            let status = status(&cell, 10);
            assert_eq!((status.in_force_in, status.running), (Duration::ZERO, None));
            let reason = status.ended.and_then(|ended| ended.reason).expect("why");
            assert!(reason.contains(word), "{reason}");
            assert_eq!(cell.past.len(), 1, "nothing that began on it stays");
        }
    }
}

#[test]
fn what_was_met_under_other_weights_says_nothing_of_these() {
    let mut cell = RolloutCell::default();
    start(&mut cell, 0);
    assert_eq!(report_of(&mut cell, 10, 0, met(2_000, 1, 10), met(500, 50, 10)), None);
    assert_eq!(
        report(&mut cell, 2, met(2_000, 1, 10), met(500, 50, 10)),
        None,
        "not in force yet"
    );
    assert!(report(&mut cell, 10, Evidence::default(), Evidence::default()).is_some());
}

#[test]
fn a_rollout_that_is_paused_stays_at_its_step() {
    let mut cell = RolloutCell::default();
    start(&mut cell, 0);
    let act = |cell: &mut RolloutCell, action| order(cell, 1, action).map(|status| status.running.expect("it runs"));
    assert!(act(&mut cell, RolloutAction::Pause).expect("done").is_paused);
    assert_eq!(report(&mut cell, 3_600, met(900, 1, 10), met(900, 1, 10)), None);
    assert!(!act(&mut cell, RolloutAction::Resume).expect("done").is_paused);
    let none = Evidence::default();
    assert_eq!(report(&mut cell, 3_600, none.clone(), none), Some(ChangeKind::Stepped));
}

#[test]
fn weights_set_by_hand_are_watched_and_go_no_further_by_themselves() {
    let mut cell = RolloutCell::default();
    let running = set(&mut cell, 0, 1_000).expect("set").running.expect("it runs");
    assert_eq!(
        (running.version.as_str(), running.is_paused, running.next),
        ("v2", true, Some(5_000))
    );
    assert_eq!(report(&mut cell, 3_600, met(900, 1, 10), met(900, 1, 10)), None);
    let again = set(&mut cell, 3_600, 3_000).expect("set").running.expect("it runs");
    assert_eq!(
        (again.since, again.before.of(&"v2".into())),
        (Duration::from_secs(3_600), 0)
    );
    let worse = report(&mut cell, 3_700, met(900, 1, 10), met(900, 20, 10));
    assert_eq!((worse, weight(&cell)), (Some(ChangeKind::RolledBack), 0));
    assert_eq!(
        set(&mut cell, 3_700, 10_000).expect("set").running,
        None,
        "nothing is left to compare with"
    );
    assert!(matches!(set(&mut cell, 3_700, 10_001), Err(OrderRefused::Weights(_))));
}

#[test]
fn an_abort_puts_the_weights_back() {
    let mut cell = RolloutCell::default();
    start(&mut cell, 0);
    set(&mut cell, 10, 4_000).expect("set");
    let again = RolloutAction::Start("v3".into());
    assert!(matches!(order(&mut cell, 11, again), Err(OrderRefused::Running { .. })));
    let status = order(&mut cell, 20, RolloutAction::Abort).expect("aborted");
    assert_eq!((status.weights, status.running), (policy().weights, None));
    let kinds: Vec<_> = status.log.iter().map(|change| change.kind).collect();
    assert_eq!(kinds, [ChangeKind::Started, ChangeKind::Set, ChangeKind::Aborted]);
}

#[test]
fn a_gateway_whose_configuration_lacks_the_version_changes_nothing() {
    let mut cell = RolloutCell::default();
    start(&mut cell, 0);
    let policy = RolloutPolicy {
        weights: Weights::of_parts([("v1".into(), 1)]).expect("weights"),
        ..policy()
    };
    let report = EvidenceReport {
        policy,
        revision: cell.revision(),
        seen: vec![("v1".into(), met(9_000, 0, 10))],
    };
    cell.apply(at(3_600), RolloutCommand::Report(report));
    assert_eq!((weight(&cell), status(&cell, 3_600).running.is_some()), (500, true));
}

#[test]
fn what_lasts_goes_on_after_a_restart() {
    let mut cell = RolloutCell::default();
    start(&mut cell, 0);
    report(&mut cell, 5, met(50, 0, 10), met(50, 0, 10));
    let written = serde_json::to_string(&cell.without_evidence()).expect("JSON");
    let read: RolloutCell = serde_json::from_str(&written).expect("it is read");
    assert_eq!(read, cell.without_evidence());
    assert_eq!((weight(&read), status(&read, 6).evidence.len()), (500, 0));
}

fn action() -> impl Strategy<Value = RolloutAction> {
    let version = || (1_u8..5).prop_map(|number| VersionName::from(format!("v{number}").as_str()));
    prop_oneof![
        version().prop_map(RolloutAction::Start),
        prop::collection::vec((version(), 0_u32..11_000), 0..4).prop_map(RolloutAction::Set),
        Just(RolloutAction::Pause),
        Just(RolloutAction::Resume),
        Just(RolloutAction::Abort),
    ]
}

proptest! {
    #[test]
    fn whatever_is_done_weights_are_whole_and_every_key_has_a_version(
        steps in prop::collection::vec((0_u64..900, prop::option::of(action()), 0_u64..300, 0_u64..100, 1_u64..500), 1..60),
    ) {
        let mut cell = RolloutCell::default();
        let mut now = 0;
        for (passed, action, requests, failing, first_ms) in steps {
            now += passed;
            match action {
                Some(action) => drop(order(&mut cell, now, action)),
                None => drop(report(&mut cell, now, met(300, 1, 10), met(requests, failing, first_ms))),
            }
            cell.check_invariants().map_err(TestCaseError::fail)?;
            prop_assert!(cell.weights(&policy()).choose(now, |_| true).is_some());
            let json = serde_json::to_string(&cell).expect("JSON");
            prop_assert_eq!(serde_json::from_str::<RolloutCell>(&json).expect("it is read"), cell.clone());
        }
    }
}
