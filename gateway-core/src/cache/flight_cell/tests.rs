use proptest::prelude::*;

use super::*;

const TTL: Duration = Duration::from_secs(30);

fn at(millis: u64) -> Timestamp {
    Timestamp::from_millis(1_000_000 + millis)
}

fn join(cell: &mut FlightCell, millis: u64, asker: u64) -> FlightStanding {
    let asker = AskerId(asker);
    match cell.apply(at(millis), FlightCommand::Join(JoinFlight { asker, ttl: TTL })) {
        FlightReply::Joined(standing) => standing,
        FlightReply::Done => panic!("no standing"),
    }
}

fn end(cell: &mut FlightCell, millis: u64, asker: u64, ending: FlightEnding) {
    let asker = AskerId(asker);
    let reply = cell.apply(at(millis), FlightCommand::End(EndFlight { asker, ending }));
    assert_eq!(reply, FlightReply::Done);
}

fn entry(length: usize) -> EntryBytes {
    EntryBytes(vec![7; length].into())
}

fn follows(millis: u64) -> FlightStanding {
    FlightStanding::Follows {
        again_in: Duration::from_millis(millis),
    }
}

#[test]
fn one_leads_and_its_answer_stays_until_the_store_shows_it() {
    let mut cell = FlightCell::default();
    assert_eq!(join(&mut cell, 0, 1), FlightStanding::Leads);
    assert_eq!(join(&mut cell, 10, 2), follows(29_990));
    assert_eq!(join(&mut cell, 20_000, 1), FlightStanding::Leads, "it leads on");
    assert_eq!(join(&mut cell, 30_000, 2), follows(20_000));
    end(&mut cell, 30_001, 2, FlightEnding::Landed(entry(9)));
    assert_eq!(
        join(&mut cell, 30_001, 3),
        follows(19_999),
        "whoever does not lead has no say"
    );
    end(&mut cell, 30_002, 1, FlightEnding::Landed(entry(3)));
    for millis in [30_003, 120_001] {
        assert_eq!(join(&mut cell, millis, 3), FlightStanding::Landed(entry(3)));
    }
    assert!(!cell.is_over(at(120_001)) && cell.is_over(at(120_002)));
    assert_eq!(join(&mut cell, 120_002, 4), FlightStanding::Leads);
}

#[test]
fn one_takes_over_from_a_leader_that_has_left_or_is_not_heard_of() {
    let mut cell = FlightCell::default();
    assert_eq!(join(&mut cell, 0, 1), FlightStanding::Leads);
    end(&mut cell, 5, 1, FlightEnding::Left);
    assert_eq!(join(&mut cell, 6, 2), FlightStanding::Leads);
    assert_eq!(join(&mut cell, 7, 3), follows(29_999));
    end(&mut cell, 8, 1, FlightEnding::Left);
    assert_eq!(join(&mut cell, 8, 3), follows(29_998), "the second leads on");
    assert_eq!(join(&mut cell, 30_006, 3), FlightStanding::Leads, "and is gone");
    assert_eq!(join(&mut cell, 30_007, 4), follows(29_999));
    end(&mut cell, 30_008, 2, FlightEnding::Unfit);
    assert_eq!(join(&mut cell, 30_008, 4), follows(29_998));
}

#[test]
fn who_has_left_does_not_lead_though_it_is_heard_of_late() {
    let mut cell = FlightCell::default();
    end(&mut cell, 0, 1, FlightEnding::Left);
    assert_eq!(join(&mut cell, 1, 1), FlightStanding::Alone);
    assert_eq!(join(&mut cell, 2, 2), FlightStanding::Leads);
}

#[test]
fn an_answer_that_is_too_large_or_unfit_is_somebody_elses_to_find() {
    for (ending, standing) in [
        (FlightEnding::TooLarge, FlightStanding::Stored),
        (
            FlightEnding::Landed(entry(EntryBytes::MOST + 1)),
            FlightStanding::Stored,
        ),
        (FlightEnding::Unfit, FlightStanding::Alone),
    ] {
        let mut cell = FlightCell::default();
        join(&mut cell, 0, 1);
        end(&mut cell, 1, 1, ending);
        assert_eq!(join(&mut cell, 1_999, 2), standing);
        assert_eq!(join(&mut cell, 2_001, 2), FlightStanding::Leads);
    }
}

#[test]
fn what_has_landed_can_be_forgotten_and_who_leads_goes_on() {
    let mut cell = FlightCell::default();
    let forget = FlightCommand::Forget(ForgetFlight);
    join(&mut cell, 0, 1);
    cell.apply(at(1), forget.clone());
    assert_eq!(join(&mut cell, 2, 2), follows(29_998));
    end(&mut cell, 3, 1, FlightEnding::Landed(entry(3)));
    cell.apply(at(4), forget);
    assert_eq!(join(&mut cell, 5, 2), FlightStanding::Leads);
}

#[test]
fn an_answer_is_written_as_digits_in_text_and_no_log_has_it() {
    let bytes = EntryBytes(vec![0, 0x1f, 0xff].into());
    let text = serde_json::to_string(&bytes).unwrap();
    assert_eq!(text, "\"001fff\"");
    assert_eq!(serde_json::from_str::<EntryBytes>(&text).unwrap(), bytes);
    for wrong in ["\"0\"", "\"0g\"", "\"é0\"", "[1]"] {
        assert!(serde_json::from_str::<EntryBytes>(wrong).is_err(), "{wrong}");
    }
    let written = postcard::to_allocvec(&bytes).unwrap();
    assert_eq!(written.len(), 4);
    assert_eq!(postcard::from_bytes::<EntryBytes>(&written).unwrap(), bytes);
    assert_eq!(format!("{bytes:?}"), "3 bytes");
}

/// A command of one of four.
fn command() -> impl Strategy<Value = FlightCommand> {
    let asker = (0..4_u64).prop_map(AskerId);
    let ending = prop_oneof![
        prop_oneof![Just(3), Just(EntryBytes::MOST), Just(EntryBytes::MOST + 1)]
            .prop_map(|length| FlightEnding::Landed(entry(length))),
        Just(FlightEnding::TooLarge),
        Just(FlightEnding::Unfit),
        Just(FlightEnding::Left),
    ];
    let ttl = prop_oneof![Just(Duration::ZERO), Just(TTL), Just(Duration::MAX)];
    prop_oneof![
        (asker.clone(), ttl).prop_map(|(asker, ttl)| FlightCommand::Join(JoinFlight { asker, ttl })),
        (asker, ending).prop_map(|(asker, ending)| FlightCommand::End(EndFlight { asker, ending })),
        Just(FlightCommand::Forget(ForgetFlight)),
    ]
}

proptest! {
    #[test]
    fn one_leads_at_most_and_no_commands_leave_it_stuck(
        commands in prop::collection::vec((command(), prop_oneof![0..50_u64, 0..700_000_u64]), 0..60),
    ) {
        let (mut cell, mut now) = (FlightCell::default(), 0);
        // Who leads, and until when.
        let mut leads: Option<(AskerId, Timestamp)> = None;
        for (command, after) in commands {
            now += after;
            let asked = command.clone();
            let reply = cell.apply(at(now), command);
            prop_assert_eq!(cell.check_invariants(at(now)), Ok(()));
            let lives = leads.filter(|(_, until)| at(now) < *until);
            match (asked, reply) {
                (FlightCommand::Join(join), FlightReply::Joined(FlightStanding::Leads)) => {
                    prop_assert!(lives.is_none_or(|(leader, _)| leader == join.asker), "two lead");
                    leads = Some((join.asker, at(now) + join.ttl.clamp(SHORTEST_LEAD, LONGEST_LEAD)));
                }
                (FlightCommand::Join(_), FlightReply::Joined(FlightStanding::Follows { again_in })) => {
                    let until = lives.map(|(_, until)| until);
                    prop_assert_eq!(until, Some(at(now) + again_in), "nobody is followed");
                }
                (FlightCommand::Join(_), FlightReply::Joined(_)) => prop_assert_eq!(lives, None),
                (FlightCommand::End(end), FlightReply::Done) => {
                    leads = lives.filter(|(leader, _)| *leader != end.asker);
                }
                (FlightCommand::Forget(_), FlightReply::Done) => {}
                other => prop_assert!(false, "{:?}", other),
            }
        }
        // Whoever comes back for as long as anything may last leads in the end.
        let mut late = cell.clone();
        prop_assert_eq!(join(&mut late, now + 600_000, 9), FlightStanding::Leads);
        prop_assert!(cell.is_over(at(now + 600_000)));
    }

    #[test]
    fn a_record_of_whatever_time_goes_on(until in any::<u32>(), now in any::<u32>()) {
        let until = Timestamp::from_millis(until.into());
        let mut cell = FlightCell(State::Under { leader: AskerId(1), until });
        let now = Timestamp::from_millis(now.into());
        let ask = |cell: &mut FlightCell, now| cell.apply(now, FlightCommand::Join(JoinFlight { asker: AskerId(2), ttl: TTL }));
        ask(&mut cell, now);
        let later = now + LONGEST_LEAD;
        prop_assert_eq!(ask(&mut cell, later), FlightReply::Joined(FlightStanding::Leads));
    }
}
