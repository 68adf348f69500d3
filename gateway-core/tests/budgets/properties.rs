//! What holds whatever happens between lease caches and a cell.

use proptest::prelude::*;
use tidegate_core::budget::{BudgetCommand, IDLE};

use crate::world::{LIMITS, Step, World};

pub fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => (0..3_usize, 1..400_u64).prop_map(|(at, tokens)| Step::Arrive(at, tokens)),
        6 => (0..3_usize, 0..150_u64).prop_map(|(at, percent)| Step::End(at, percent)),
        8 => (0..9_usize, prop::bool::weighted(0.1)).prop_map(|(which, again)| Step::Deliver(which, again)),
        8 => (0..9_usize, prop::bool::weighted(0.1)).prop_map(|(which, is_lost)| Step::Reply(which, is_lost)),
        1 => (0..3_usize).prop_map(Step::GiveUp),
        2 => (0..3_usize).prop_map(Step::KeepUp),
        6 => (1..3_000_u64).prop_map(Step::Pass),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn no_window_and_no_day_admits_more_than_it_may(steps in prop::collection::vec(step(), 1..300)) {
        let mut world = World::new();
        for step in steps {
            world.happen(step);
            prop_assert_eq!(world.cell().check_invariants(), Ok(()));
            prop_assert!(world.windows.worst <= 0.0, "{} beyond, after {step:?}", world.windows.worst);
            prop_assert!(world.admitted <= LIMITS.tokens_per_day.unwrap() as f64, "after {step:?}");
            let running: usize = world.running.iter().map(Vec::len).sum();
            prop_assert!(running <= 5, "{running} run, after {step:?}");
        }
    }

    #[test]
    fn whatever_was_granted_is_accounted_for(steps in prop::collection::vec(step(), 1..200)) {
        let mut world = World::new();
        steps.into_iter().for_each(|step| world.happen(step));
        // Everything ends, is told, and gets there.
        for at in 0..3 {
            world.happen(Step::GiveUp(at));
            while !world.running[at].is_empty() {
                world.happen(Step::End(at, 100));
            }
        }
        world.to_cell.clear();
        world.now += u64::try_from(IDLE.as_millis()).unwrap();
        let mut spent = 0;
        for at in 0..3 {
            let now = world.time_of(at);
            let report = world.caches[at].settle_up(now);
            spent += report.tokens.spent;
            world.apply(BudgetCommand::Settle(report));
        }
        let totals = world.totals();
        prop_assert_eq!(totals.spent, spent);
        prop_assert_eq!(totals.granted, totals.spent + totals.returned);
    }

    #[test]
    fn a_cell_that_begins_anew_from_its_record_lends_no_more_than_was_under_way_twice(
        before in prop::collection::vec(step(), 1..120),
        after in prop::collection::vec(step(), 1..120),
    ) {
        let mut world = World::new();
        for step in before.into_iter().chain([Step::Restart]).chain(after) {
            world.happen(step);
            prop_assert_eq!(world.cell().check_invariants(), Ok(()));
            prop_assert!(world.windows.worst <= world.under_way, "{} beyond, after {step:?}", world.windows.worst);
        }
    }
}
