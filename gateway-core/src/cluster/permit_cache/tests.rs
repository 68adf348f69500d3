use super::*;

const TTL: Duration = Duration::from_secs(30);
const PERMIT: PermitId = PermitId(7);
const KV: Tokens = Tokens(10);

fn at(millis: u64) -> Timestamp {
    Timestamp::from_millis(1_000_000 + millis)
}

fn name() -> ReplicaName {
    "http://a".into()
}

/// A cache that has just been given a permit with that many slots besides the one of the request that asked.
fn lent(slots: u32) -> PermitCache {
    let mut cache = PermitCache::default();
    let held = HeldPermit {
        permit: PERMIT,
        replica: name(),
        capacity: Capacity::of_one(KV).times(1 + slots),
    };
    cache.on_granted(at(0), &held, Capacity::of_one(KV), TTL);
    cache
}

fn take(cache: &mut PermitCache, now: Timestamp) -> Option<CachedGrant> {
    cache.take(now, &name(), KV, 0)
}

fn end(cache: &mut PermitCache, now: Timestamp, outcome: Outcome) -> Vec<Release> {
    cache.on_end(now, &name(), PERMIT, Capacity::of_one(KV), outcome)
}

#[test]
fn the_next_request_takes_the_place_of_the_one_before() {
    let mut cache = lent(0);
    assert_eq!(take(&mut cache, at(1)), None, "it is in use");
    assert_eq!(end(&mut cache, at(2), Outcome::Served), []);
    let taken = take(&mut cache, at(3)).unwrap();
    assert_eq!((taken.permit, taken.is_to_extend), (PERMIT, false));
}

#[test]
fn a_failure_that_is_known_late_is_told_and_closes_the_cache() {
    let mut cache = lent(2);
    assert_eq!(end(&mut cache, at(1), Outcome::Unknown), [], "its place is kept");
    take(&mut cache, at(2)).unwrap();
    assert_eq!(end(&mut cache, at(3), Outcome::Served), []);
    let returned = cache.on_failed_before(at(4), &name(), PERMIT);
    assert_eq!(returned[0].left, None, "all of it goes back");
    assert_eq!(returned[1], Release::late(PERMIT, name(), true));
    assert_eq!(take(&mut cache, at(5)), None);
    let known_no_more = cache.on_failed_before(at(6), &name(), PERMIT);
    assert_eq!(known_no_more, [Release::late(PERMIT, name(), false)]);
}

#[test]
fn a_request_that_does_not_fit_or_is_of_low_priority_has_to_ask() {
    let mut cache = lent(1);
    assert_eq!(cache.take(at(0), &name(), Tokens(KV.0 + 1), 0), None);
    assert_eq!(cache.take(at(0), &name(), KV, 51), None);
    assert!(cache.take(at(0), &name(), KV, 50).is_some());
}

#[test]
fn after_its_time_nothing_begins_under_a_permit_unless_the_cell_says_so_again() {
    let mut cache = lent(4);
    for _ in 0..3 {
        take(&mut cache, at(1)).unwrap();
    }
    assert!(!take(&mut cache, at(499)).unwrap().is_to_extend);
    end(&mut cache, at(499), Outcome::Served);
    assert!(take(&mut cache, at(500)).unwrap().is_to_extend);
    end(&mut cache, at(500), Outcome::Served);
    assert!(
        !take(&mut cache, at(501)).unwrap().is_to_extend,
        "one question is enough"
    );
    end(&mut cache, at(502), Outcome::Served);
    let mut without_reply = lent(1);
    assert_eq!(take(&mut without_reply, at(1_000)), None);
    assert_eq!(cache.on_extended(at(600), &name(), true, TTL), []);
    assert!(take(&mut cache, at(1_499)).is_some());
    assert_eq!(take(&mut cache, at(1_500)), None, "it was asked at 500");
}

#[test]
fn when_the_cell_lends_no_longer_everything_idle_goes_back() {
    let mut cache = lent(3);
    let returned = cache.on_extended(at(600), &name(), false, TTL);
    assert_eq!(returned[0].left, Some(Capacity::of_one(KV)));
    assert_eq!(take(&mut cache, at(601)), None);
    assert_eq!(end(&mut cache, at(700), Outcome::Served)[0].left, None);
    assert!(cache.replicas.is_empty());
}

#[test]
fn what_was_needed_since_the_last_look_is_kept() {
    let mut cache = lent(11);
    for _ in 0..7 {
        take(&mut cache, at(1)).unwrap();
    }
    for _ in 0..6 {
        assert_eq!(end(&mut cache, at(2), Outcome::Served), []);
    }
    let held = |cache: &PermitCache| {
        cache
            .held_at(&name())
            .iter()
            .map(|held| held.capacity.requests)
            .sum::<u32>()
    };
    cache.give_back_idle(at(500));
    assert_eq!(held(&cache), 8, "most ran at once");
    assert_eq!(cache.give_back_idle(at(999)), [], "too early");
    take(&mut cache, at(999)).unwrap();
    cache.give_back_idle(at(1_000));
    assert_eq!(cache.held_at(&name())[0].capacity, Capacity::of_one(KV).times(3));
}

#[test]
fn a_failure_is_told_at_once_with_the_success_before_it_and_all_idle_places() {
    let mut cache = lent(1);
    take(&mut cache, at(1)).unwrap();
    assert_eq!(end(&mut cache, at(2), Outcome::Served), []);
    let returned = end(&mut cache, at(3), Outcome::Failed);
    assert_eq!(returned.len(), 1);
    assert!(returned[0].served_before && returned[0].left.is_none() && returned[0].outcome == Outcome::Failed);
    assert_eq!(take(&mut cache, at(4)), None);
}

#[test]
fn what_nobody_takes_goes_back_and_one_looks_after_it() {
    let mut cache = lent(0);
    assert!(!cache.watch(at(0)), "nothing is idle");
    end(&mut cache, at(10), Outcome::Served);
    assert!(cache.watch(at(10)));
    assert!(!cache.watch(at(11)));
    assert_eq!(cache.give_back_idle(at(510)), []);
    let returned = cache.give_back_idle(at(1_010));
    assert_eq!(returned, [Release::of_all(PERMIT, Some(name()), Outcome::Unknown)]);
    cache.on_watched();
    assert!(!cache.watch(at(1_011)));
    let mut lost = lent(0);
    end(&mut lost, at(10), Outcome::Served);
    assert!(lost.watch(at(10)) && lost.watch(at(2_010)), "who looked was lost");
}

#[test]
fn permits_are_renewed_once_a_period_by_whoever_comes() {
    let mut cache = lent(0);
    let period = TTL / 3;
    assert_eq!(cache.renew(at(4_999), period), []);
    assert_eq!(cache.renew(at(5_000), period), cache.held_at(&name()));
    assert_eq!(cache.renew(at(5_001), period), []);
}
