//! What holds whatever becomes of the wall clocks: of the one where the cell is, and of those where caches are.

use proptest::prelude::*;
use tidegate_core::budget::{BudgetCommand, BudgetLimits, BudgetReply, BudgetStatus, LeaseCache, Rate};
use tidegate_core::time::{Moment, Timestamp};
use tidegate_core::timeline::Timeline;

use crate::properties::step;
use crate::world::{LIMITS, Step, World};

/// The clocks of a world, each so many milliseconds from the true time.
#[derive(Debug, Default)]
pub struct Clocks {
    /// Whether there are steady clocks as well.
    are_steady: bool,
    cell: i64,
    /// How far the cell's steady clock is ahead: as far as the wall clock was when its process began.
    begun: i64,
    caches: [(i64, Option<Timeline>); 3],
    /// How often the cell's time may have leapt.
    leaps: u32,
}

impl Clocks {
    fn steady() -> Self {
        Self {
            are_steady: true,
            ..Self::default()
        }
    }

    pub fn set(&mut self, whose: Option<usize>, ahead: i64) {
        let clock = match whose {
            Some(cache) => &mut self.caches[cache].0,
            None => &mut self.cell,
        };
        let before = std::mem::replace(clock, ahead);
        if whose.is_none() && !self.are_steady {
            self.leaps += u32::from(ahead > before);
        }
    }

    pub fn on_restart(&mut self) {
        if self.are_steady {
            self.leaps += u32::from(self.cell > self.begun);
            self.begun = self.cell;
        }
    }

    pub fn at_cell(&self, now: u64) -> Moment {
        let wall = read(now, self.cell);
        let steady = if self.are_steady { read(now, self.begun) } else { wall };
        Moment { steady, wall }
    }

    pub fn time_of_cache(&mut self, at: usize, now: u64) -> Timestamp {
        let (ahead, time) = &mut self.caches[at];
        let wall = read(now, if self.are_steady { 0 } else { *ahead });
        time.get_or_insert(Timeline::new(wall, wall)).read(wall)
    }
}

fn read(now: u64, ahead: i64) -> Timestamp {
    // Late enough that clocks can be set back by a year.
    Timestamp::from_millis((2 * YEAR + now).saturating_add_signed(ahead))
}

const HOUR: i64 = 3_600_000;
const DAY: u64 = 86_400_000;
const YEAR: u64 = 365 * DAY;

/// How far a clock is set from the true time: by moments, hours, days or a year, either way.
fn ahead() -> impl Strategy<Value = i64> {
    prop_oneof![
        2 => Just(0),
        2 => -90_000..90_000_i64,
        2 => (-30..30_i64).prop_map(|hours| hours * HOUR),
        1 => Just(-(YEAR as i64)),
        1 => Just(YEAR as i64),
    ]
}

fn clock() -> impl Strategy<Value = Step> {
    (prop::option::weighted(0.4, 0..3_usize), ahead()).prop_map(|(whose, ahead)| Step::SetClock(whose, ahead))
}

fn step_or_clock() -> impl Strategy<Value = Step> {
    prop_oneof![
        40 => step(),
        4 => clock(),
        1 => Just(Step::Restart),
    ]
}

/// A burst, and then next to nothing: whatever time adds that has not passed is seen.
const SLOW: BudgetLimits = BudgetLimits {
    tokens: Some(Rate {
        per_minute: 60,
        burst: 1_000,
    }),
    requests: None,
    tokens_per_day: None,
    concurrent_requests: None,
    day_starts_at_minute: 0,
};
const FAST: BudgetLimits = BudgetLimits {
    tokens_per_day: None,
    ..LIMITS
};
/// Of which a day's tokens are gone at once.
const OF_DAYS: BudgetLimits = BudgetLimits {
    tokens_per_day: Some(500),
    concurrent_requests: None,
    requests: None,
    ..LIMITS
};

/// What one leap may add.
const WINDOW: f64 = 1_000.0;

/// Everything ends, the clocks go on as they are until caches take it that they are idle, and all is told.
fn end_all(world: &mut World) {
    for at in 0..3 {
        world.happen(Step::GiveUp(at));
        while !world.running[at].is_empty() {
            world.happen(Step::End(at, 0));
        }
    }
    pass(world, 60);
    for at in 0..3 {
        let now = world.time_of(at);
        let report = world.caches[at].settle_up(now);
        world.apply(BudgetCommand::Settle(report));
    }
}

fn status(world: &mut World) -> BudgetStatus {
    match world.apply(BudgetCommand::Status { limits: world.limits }) {
        BudgetReply::Status(status) => *status,
        other @ (BudgetReply::Leased(_) | BudgetReply::Done) => panic!("{other:?}"),
    }
}

fn pass(world: &mut World, seconds: u64) {
    for _ in 0..seconds {
        world.now += 1_000;
        for at in 0..3 {
            world.time_of(at);
        }
        world.apply(BudgetCommand::Status { limits: world.limits });
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn where_there_is_a_steady_clock_no_wall_clock_adds_anything_to_a_window(
        steps in prop::collection::vec(step_or_clock(), 1..300),
    ) {
        let mut world = World::with(Clocks::steady()).under(SLOW);
        let mut under_way = 0.0;
        for step in steps {
            world.happen(step);
            under_way += std::mem::take(&mut world.under_way);
            prop_assert_eq!(world.cell().check_invariants(), Ok(()));
            let allowed = under_way + WINDOW * f64::from(world.clocks.leaps);
            prop_assert!(world.windows.worst <= allowed, "{} beyond, after {step:?}", world.windows.worst - allowed);
        }
    }

    #[test]
    fn where_there_is_none_each_leap_adds_at_most_a_window(
        steps in prop::collection::vec(step_or_clock(), 1..300),
    ) {
        let mut world = World::with(Clocks::default()).under(SLOW);
        let mut under_way = 0.0;
        for step in steps {
            world.happen(step);
            under_way += std::mem::take(&mut world.under_way);
            let allowed = under_way + WINDOW * f64::from(world.clocks.leaps);
            prop_assert!(world.windows.worst <= allowed, "{} beyond, after {step:?}", world.windows.worst - allowed);
        }
    }

    #[test]
    fn a_clock_that_goes_to_and_fro_adds_a_window_once(
        steps in prop::collection::vec(step(), 1..300),
        ahead in HOUR..YEAR as i64,
        every in 1..20_usize,
    ) {
        let mut world = World::with(Clocks::default()).under(SLOW);
        let begun = world.now;
        for (number, step) in steps.into_iter().enumerate() {
            if number % every == 0 {
                let is_ahead = number / every % 2 == 1;
                world.happen(Step::SetClock(None, if is_ahead { ahead } else { 0 }));
            }
            world.happen(step);
            // Whoever leads for a minute without being read leads no more, and leaps again.
            let minutes = (world.now - begun) / 60_000;
            let allowed = WINDOW * (1 + minutes) as f64;
            prop_assert!(world.windows.worst <= allowed, "{} beyond, after {step:?}", world.windows.worst - allowed);
        }
    }

    #[test]
    fn no_clock_lets_a_budget_stand_still_for_longer_than_a_window(
        are_steady: bool,
        steps in prop::collection::vec(step_or_clock(), 1..200),
    ) {
        let mut world = World::with(Clocks { are_steady, ..Clocks::default() }).under(FAST);
        steps.into_iter().for_each(|step| world.happen(step));
        let debt = world.cell().debt() + world.caches.iter().map(LeaseCache::debt).sum::<u64>();
        let filled = (1_000 + debt).div_ceil(6_000 / 60);
        end_all(&mut world);
        pass(&mut world, 60 + filled);
        let status = status(&mut world);
        // What a process held that is gone is waited for.
        let there = status.left.tokens + i64::try_from(status.held.tokens).unwrap();
        prop_assert!(there >= 1_000, "{status:?}");
    }

    #[test]
    fn no_wall_clock_grants_a_day_more_than_once_more_or_keeps_it_from_coming(
        are_steady: bool,
        steps in prop::collection::vec(step_or_clock(), 1..300),
    ) {
        let mut world = World::with(Clocks { are_steady, ..Clocks::default() }).under(OF_DAYS);
        let of_day = OF_DAYS.tokens_per_day.unwrap();
        let mut under_way = 0.0;
        for step in steps {
            world.happen(step);
            under_way += std::mem::take(&mut world.under_way);
            // To a cell whose time has leapt, the day that ran ahead is past, and another may.
            let days = 2 * (1 + u64::from(world.clocks.leaps));
            let allowed = (of_day * days) as f64 + under_way;
            prop_assert!(world.admitted <= allowed, "{} of {allowed}, after {step:?}", world.admitted);
        }
        end_all(&mut world);
        // Days that were given out while clocks led, by 30 hours at most in a process that is gone, are waited for, and the one
        // that may run ahead.
        world.now += 4 * DAY;
        pass(&mut world, 60);
        let status = status(&mut world);
        prop_assert!(status.left.day_tokens > 0, "{status:?}");
    }
}
