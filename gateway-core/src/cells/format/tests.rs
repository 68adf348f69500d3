use std::time::Duration;

use super::*;
use crate::cache::{AskerId, CacheKey, EndFlight, EntryBytes, FlightEnding, ForgetFlight, JoinFlight};
use crate::cells::log::ReplayedCell;
use crate::cells::{CellCall, CellCommand, CellId, CellReply};
use crate::cluster::{
    Acquire, Boundary, BreakerPolicy, BreakerStanding, Capacity, ClusterPolicy, ClusterReply, DryRun, Evidence,
    Forgotten, HealthPolicy, HeldPermit, HotDigest, Missed, Outcome, PermitId, PolicyRef, PrefillPolicy, Prefilled,
    PromptOutline, ReadReplicas, Release, Releases, Renew, ReplicaStatus,
};
use crate::ids::{PrefixKey, Tokens};
use crate::rollout::{
    self, EvidenceReport, FaultKind, OrderRollout, PromptClass, RolloutAction, RolloutPolicy, Weights,
};
use crate::time::Timestamp;
use crate::tokens::Observed;

const ENTRY_V3: &str = include_str!("fixtures/entry-v3.hex");
const COMMANDS_V3: &str = include_str!("fixtures/commands-v3.json");
const CLUSTER_V3: &str = include_str!("fixtures/cluster-v3.json");
const BUDGET_V3: &str = include_str!("fixtures/budget-v3.json");

const TTL: Duration = Duration::from_secs(30);

fn at(seconds: u64) -> Timestamp {
    Timestamp::from_millis(seconds * 1_000)
}

fn cluster() -> CellId {
    CellId::Cluster("a".into())
}

fn entry_v3() -> Vec<u8> {
    let hex = ENTRY_V3.trim().as_bytes().chunks(2);
    hex.map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
        .collect()
}

fn policy() -> ClusterPolicy {
    ClusterPolicy {
        replicas: vec!["http://a.test".into(), "http://b.test".into()],
        capacity: Capacity {
            requests: 32,
            kv_tokens: Tokens(1_000),
        },
        prefill: PrefillPolicy::default(),
        health: HealthPolicy::default(),
    }
}

fn acquire(permit: u64, policy: PolicyRef) -> CellCommand {
    asked(permit, policy).into_command()
}

fn asked(permit: u64, policy: PolicyRef) -> Acquire {
    Acquire {
        permit: PermitId(permit),
        kv_tokens: Tokens(7),
        spare: 0,
        policy,
        headroom_percent: 0,
        tried: vec!["http://b.test".into()],
        affinity: Some(5),
        prompt: PromptOutline::default(),
        known_hot: HotDigest::default(),
        ttl: TTL,
        queueing: None,
        explains: false,
        is_new: false,
    }
}

fn replicas(cell: &mut ReplayedCell, now: Timestamp) -> Vec<ReplicaStatus> {
    let look = Entry::new(now, vec![ReadReplicas.into_command()]);
    let reply = cell.clone().apply(Some(look)).remove(0);
    ReadReplicas::read(reply).expect("a status")
}

fn knows_policy(reply: &CellReply) -> bool {
    match reply {
        CellReply::Cluster(ClusterReply::Granted(grant)) => grant.knows_policy,
        CellReply::Cluster(
            ClusterReply::Refused(_)
            | ClusterReply::Queued(_)
            | ClusterReply::Extended(_)
            | ClusterReply::Done
            | ClusterReply::Status(_)
            | ClusterReply::Queue(_)
            | ClusterReply::DrainSet(_)
            | ClusterReply::Scale(_)
            | ClusterReply::PollTurn(_)
            | ClusterReply::PolicyUnknown,
        )
        | CellReply::Estimate(_)
        | CellReply::Budget(_)
        | CellReply::Order(_)
        | CellReply::Rollout(_)
        | CellReply::Flight(_)
        | CellReply::AnotherKind => panic!("{reply:?}"),
    }
}

#[test]
fn an_entry_of_version_3_is_read_with_its_full_effect() {
    let entry = Entry::decode(&entry_v3()).expect("it is read");
    assert!(!entry.writer_is_current);
    let mut cell = ReplayedCell::new(&cluster());
    let replies = cell.apply(Some(entry));
    assert_eq!(replies.len(), 6);
    let b = ReplicaStatus {
        replica: "http://b.test".into(),
        running: 3,
        kv_tokens: Tokens(21),
        available: false,
        breaker: BreakerStanding::Open,
        breaker_passes_in: Some(Duration::from_secs(5)),
        ..ReplicaStatus::idle("http://b.test".into())
    };
    assert_eq!(replies[5], CellReply::Cluster(ClusterReply::Status(vec![b])));
}

#[test]
fn what_is_written_for_the_version_before_is_what_it_wrote() {
    let entry = Entry::decode(&entry_v3()).expect("it is read");
    let entry = Entry::new(entry.at, entry.commands);
    let written = encode_entry(&entry).expect("bytes");
    let (last, rest) = written.split_last().expect("bytes");
    assert_eq!((rest, *last), (entry_v3().as_slice(), Format::CURRENT.of_entries()));
}

#[test]
fn records_of_version_3_are_read_and_written_as_they_were() {
    for record in [CLUSTER_V3, BUDGET_V3] {
        let cell = TimedCell::from_record(record.as_bytes()).expect("it is read");
        let written = encode_record(&cell, None).expect("a record");
        assert_eq!(String::from_utf8(written).unwrap(), record.trim());
    }
}

/// As a release writes them that comes after this one, and may be taken back.
#[test]
fn records_of_the_current_version_are_read() {
    for record in [CLUSTER_V3, BUDGET_V3] {
        let cell = TimedCell::from_record(record.as_bytes()).expect("it is read");
        let cell = TimedCell::with(cell.state().clone(), Some(Timeline::new(at(7), at(9))));
        let mut writers = Writers::default();
        writers.on_entry(at(7), true);
        let v = Format::CURRENT.of_records();
        let record = serde_json::json!({ "v": v, "state": cell.state(), "writers": writers, "time": cell.time() });
        assert_eq!(decode_record(record.to_string().as_bytes()), Ok((cell, Some(writers))));
    }
}

#[test]
fn a_snapshot_of_version_3_goes_on_from_when_its_log_was_last_used() {
    let mut writers = Writers::default();
    writers.on_entry(at(7), false);
    let mut record: serde_json::Value = serde_json::from_str(CLUSTER_V3).unwrap();
    record["writers"] = serde_json::to_value(writers).unwrap();
    let (cell, _) = decode_record(record.to_string().as_bytes()).expect("it is read");
    assert_eq!(cell.time(), Some(&Timeline::new(at(7), at(7))));
}

/// Fields may be added to messages; those that there were keep their names and meanings.
#[test]
fn messages_of_version_3_are_read_and_written_as_they_were() {
    let commands: Vec<CellCommand> = decode(COMMANDS_V3.as_bytes()).expect("they are read");
    let written = serde_json::to_value(&commands).unwrap();
    let mut before: serde_json::Value = serde_json::from_str(COMMANDS_V3).unwrap();
    let mut add = |command: &str, name: &str, value: serde_json::Value| {
        let fields = before.pointer_mut(command).and_then(serde_json::Value::as_object_mut);
        fields.unwrap().insert(name.to_owned(), value);
    };
    let prefill = serde_json::to_value(PrefillPolicy::default()).unwrap();
    let health = serde_json::to_value(HealthPolicy::default()).unwrap();
    for command in ["/0/cluster/acquire", "/1/cluster/extend"] {
        add(command, "policy", serde_json::Value::Null);
        add(command, "prefill", prefill.clone());
        add(command, "health", health.clone());
    }
    let nothing = serde_json::to_value(PromptOutline::default()).unwrap();
    add("/0/cluster/acquire", "prompt", nothing);
    add("/0/cluster/acquire", "known_hot", 0.into());
    add("/0/cluster/acquire", "queueing", serde_json::Value::Null);
    add("/0/cluster/acquire", "explains", false.into());
    add("/0/cluster/acquire", "is_new", false.into());
    add("/1/cluster/extend", "served", serde_json::Value::Null);
    assert_eq!(written, before);
}

/// Who reads version 3 alone passes over what tenants are named in: what it misses, its own prompts teach it.
#[test]
fn estimates_are_told_in_version_3_where_they_name_no_tenants() {
    let of_one = CommandV3::Estimate(Observed::default());
    let asked = CellCommand::from(of_one);
    let named = CellCommand::Estimate(vec![("acme".into(), Observed::default())].into());
    let versions = [asked, named].map(|command| {
        let entry = Entry::new(at(1), vec![command]);
        let bytes = encode_entry(&entry).expect("bytes");
        assert_eq!(Entry::decode(&bytes), Some(entry));
        bytes[0]
    });
    assert_eq!(versions, [3, 4]);
}

#[test]
fn one_log_may_hold_entries_of_both_versions() {
    let whole = PolicyRef::from(policy());
    let renewal = HeldPermit {
        permit: PermitId(1),
        replica: "http://b.test".into(),
        capacity: Capacity::of_one(Tokens(7)).times(2),
    };
    let releases = Releases {
        releases: vec![Release::of_all(PermitId(3), None, Outcome::Served)],
        breaker: BreakerPolicy {
            failures: 1,
            open: Duration::from_secs(5),
        },
        prefilled: Vec::new(),
        forgotten: Vec::new(),
        served: Default::default(),
    };
    let held = vec![renewal];
    let commands = [
        acquire(3, whole),
        Renew { held, ttl: TTL }.into_command(),
        acquire(4, PolicyRef::Digest(policy().digest())),
        releases.into_command(),
    ];
    let mut log = vec![entry_v3()];
    log.extend(commands.map(|command| encode_entry(&Entry::new(at(2), vec![command])).expect("bytes")));
    let versions: Vec<_> = log.iter().map(|entry| entry[0]).collect();
    assert_eq!(versions, [3, 3, 3, 4, 3], "a digest cannot be said in version 3");
    let mut cell = ReplayedCell::new(&cluster());
    for entry in &log {
        let entry = Entry::decode(entry).expect("it is read");
        cell.apply(Some(entry));
    }
    let running: Vec<_> = replicas(&mut cell, at(2))
        .iter()
        .map(|it| (it.running, it.kv_tokens.0))
        .collect();
    assert_eq!(running, [(1, 7), (2, 14)]);
}

/// Who reads version 3 alone counts the permit, and does without the rest.
#[test]
fn what_version_3_cannot_say_of_a_permit_stands_behind_what_it_can() {
    let told = |prompt| {
        let acquire = Acquire {
            prompt,
            ..asked(3, policy().into())
        };
        let entry = Entry::new(at(1), vec![acquire.into_command()]);
        (entry.encode().expect("bytes"), entry)
    };
    let (plain, _) = told(PromptOutline::default());
    let (whole, entry) = told(PromptOutline::of_tokens(Tokens(900)));
    assert!(
        plain.len() < whole.len() && whole.starts_with(&plain),
        "{plain:?} {whole:?}"
    );
    assert_eq!((plain[0], Entry::decode(&whole)), (3, Some(entry)));
}

/// A dry run is nothing to who reads version 3 alone, and what it asks for is nothing that a log must keep from it.
#[test]
fn a_dry_run_is_an_entry_like_others() {
    let explained = Acquire {
        explains: true,
        ..asked(3, policy().into())
    };
    for (command, format) in [
        (DryRun(explained.clone()).into_command(), Format::V4),
        (explained.into_command(), Format::V3),
    ] {
        let entry = Entry::new(at(1), vec![command]);
        let bytes = entry.encode().expect("bytes");
        assert_eq!((bytes[0], Entry::decode(&bytes)), (format.of_entries(), Some(entry)));
    }
}

#[test]
fn what_is_told_of_prompts_and_memories_is_read_in_any_order() {
    let prefilled = Prefilled {
        permit: PermitId(3),
        replica: "http://b.test".into(),
        took: Some(TTL),
    };
    let missed = Missed {
        boundaries: vec![Boundary {
            key: PrefixKey(7),
            tokens: Tokens(900),
        }],
        cached: Tokens(3),
        ago: TTL,
    };
    let forgotten = [Evidence::Unreachable, Evidence::Missed(missed)].map(|evidence| Forgotten {
        replica: "http://b.test".into(),
        evidence,
    });
    for (prefilled, forgotten) in [
        (vec![prefilled.clone()], Vec::new()),
        (Vec::new(), forgotten.to_vec()),
        (vec![prefilled], forgotten.to_vec()),
    ] {
        let told = Releases {
            releases: vec![Release::of_all(PermitId(3), None, Outcome::Served)],
            breaker: BreakerPolicy {
                failures: 1,
                open: Duration::from_secs(5),
            },
            prefilled,
            forgotten,
            served: Default::default(),
        };
        let entry = Entry::new(at(1), vec![told.clone().into_command(), told.into_command()]);
        let bytes = encode_entry(&entry).expect("bytes");
        assert_eq!(
            (bytes[0], Entry::decode(&bytes)),
            (3, Some(entry)),
            "version 3 passes over it"
        );
    }
}

/// Runs an entry of this version at that moment; gives the reply to it.
fn append(cell: &mut ReplayedCell, seconds: u64, command: CellCommand) -> CellReply {
    let bytes = Entry::new(at(seconds), vec![command]).encode().expect("bytes");
    cell.apply(Entry::decode(&bytes)).remove(0)
}

#[test]
fn nobody_names_a_policy_by_its_digest_while_somebody_could_not_read_it() {
    let ask = |permit| acquire(permit, policy().into());
    let mut cell = ReplayedCell::new(&cluster());
    for seconds in [0, 300, 599] {
        let reply = append(&mut cell, seconds, ask(seconds + 1));
        assert!(!knows_policy(&reply), "after {seconds} s");
    }
    assert!(knows_policy(&append(&mut cell, 600, ask(601))));
    let by_digest = acquire(602, PolicyRef::Digest(policy().digest()));
    assert!(knows_policy(&append(&mut cell, 601, by_digest)));

    let record = loop {
        append(&mut cell, 601, ReadReplicas.into_command());
        if let Some(record) = cell.due_snapshot().expect("a record") {
            break record;
        }
    };
    assert!(
        record.starts_with(br#"{"v":1,"#),
        "whoever reads version 3 alone goes on from it"
    );
    let mut late = ReplayedCell::from_snapshot(cell.number(), &record).expect("a snapshot");
    assert_eq!(append(&mut late, 602, ask(603)), append(&mut cell, 602, ask(603)));
    assert_eq!(late, cell);

    let mut old = Entry::decode(&entry_v3()).expect("it is read");
    old.at = at(603);
    cell.apply(Some(old));
    let reply = append(&mut cell, 604, ask(605));
    assert!(!knows_policy(&reply), "one of the version before has come");
}

#[test]
fn a_digest_says_with_few_bytes_what_eight_replicas_take_many_for() {
    let replicas = (0..8).map(|number| format!("http://10.0.0.{number}:8000").as_str().into());
    let eight = ClusterPolicy {
        replicas: replicas.collect(),
        ..policy()
    };
    let digest = PolicyRef::Digest(eight.digest());
    let sizes = [PolicyRef::from(eight), digest].map(|policy| {
        let commands = vec![acquire(u64::MAX, policy)];
        let message = encode(&commands).expect("a message").len();
        let entry = encode_entry(&Entry::new(at(1_800_000_000), commands));
        (entry.expect("an entry").len(), message)
    });
    assert_eq!(sizes, [(217, 763), (68, 405)]);
}

#[test]
fn what_is_of_another_version_or_damaged_is_not_read() {
    let known = entry_v3();
    let other_version = [&[Format::CURRENT.of_entries() + 1], &known[1..]].concat();
    for bytes in [other_version.as_slice(), &known[..known.len() - 1], b""] {
        assert_eq!(Entry::decode(bytes), None);
    }
    let error = TimedCell::from_record(br#"{"v":9,"state":{"cluster":{}}}"#).expect_err("another version");
    assert!(error.to_string().contains("version 9"), "{error}");
}

/// Rollouts are in words of the current version, also in logs whose snapshots are the version before's.
#[test]
fn a_rollout_goes_through_entries_and_records() {
    let mut seen = rollout::Evidence::default();
    seen.on_request(Some(FaultKind::Out), Some((PromptClass::of(Tokens(700)), TTL)));
    let policy = RolloutPolicy {
        weights: Weights::of_parts([("v1".into(), 3), ("v2".into(), 1)]).expect("weights"),
        steps: vec![50, 100],
        step_after: Some(TTL),
        ..RolloutPolicy::default()
    };
    let order = OrderRollout {
        policy: policy.clone(),
        action: RolloutAction::Start("v2".into()),
        reason: Some("why".to_owned()),
    };
    let report = EvidenceReport {
        policy,
        revision: 1,
        seen: vec![("v2".into(), seen)],
    };
    let entry = Entry::new(at(7), vec![order.into_command(), report.into_command()]);
    let read = Entry::decode(&encode_entry(&entry).expect("bytes")).expect("it is read");
    assert_eq!(read, entry);
    let mut cell = TimedCell::new(&CellId::Rollout("m".into()));
    for command in entry.commands {
        cell.apply(at(7), command);
    }
    let mut writers = Writers::default();
    writers.on_entry(at(7), true);
    let record = encode_record(&cell, Some(writers)).expect("a record");
    assert_eq!(decode_record(&record), Ok((cell.clone(), Some(writers))));
    let lasting = cell.to_lasting_record().expect("a record").expect("it lasts");
    assert!(lasting.len() < record.len(), "what requests have met is gathered anew");
    assert!(TimedCell::from_record(&lasting).is_ok());
}

/// So are flights; an answer travels as it is.
#[test]
fn a_flight_goes_through_entries_and_records() {
    let (asker, entry) = (AskerId(u64::MAX), EntryBytes(vec![0xff; 500].into()));
    let ending = FlightEnding::Landed(entry);
    let commands = vec![
        JoinFlight { asker, ttl: TTL }.into_command(),
        ForgetFlight.into_command(),
        EndFlight { asker, ending }.into_command(),
    ];
    let written = encode_entry(&Entry::new(at(7), commands.clone())).expect("bytes");
    assert!(written.len() < 550, "{}", written.len());
    assert_eq!(Entry::decode(&written), Some(Entry::new(at(7), commands.clone())));
    let message = encode(&commands).expect("a message");
    assert_eq!(decode::<Vec<CellCommand>>(&message), Ok(commands.clone()));
    let mut cell = TimedCell::new(&CellId::Flight(CacheKey::parse(&"0f".repeat(32)).expect("a key")));
    for command in commands {
        cell.apply(at(7), command);
    }
    let record = encode_record(&cell, None).expect("a record");
    assert_eq!(decode_record(&record), Ok((cell.clone(), None)));
    assert_eq!(cell.to_lasting_record(), Ok(None), "it heals");
    assert!(!cell.is_over(at(96)) && cell.is_over(at(97)));
}
