//! Which replica: the one where the prompt's prefix should be warm, else the least loaded. Pure: it sees only what is
//! passed in, and tells why it chose. The cell chooses so among all replicas, and a permit cache among those at which it
//! has a slot to give.

use std::fmt;
use std::hash::Hasher;

use serde::{Deserialize, Serialize};
use siphasher::sip::SipHasher13;

use super::permit::Capacity;
use crate::ids::{ReplicaName, Tokens};

/// How a replica stands to one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// It can take the request; what it holds now.
    Free(Capacity),
    /// It cannot.
    Passed(Obstacle),
}

impl Standing {
    /// Of a replica with that capacity, of which so much is held. It can take a request when one more and `kv_tokens` fit.
    /// A request larger than any replica's whole kv_cache fits into an idle one: the engine itself must refuse it, with
    /// its own words.
    pub fn within(capacity: Capacity, held: Capacity, kv_tokens: Tokens) -> Self {
        let fits = held.requests < capacity.requests
            && (held.requests == 0 || held.kv_tokens + kv_tokens <= capacity.kv_tokens);
        if fits {
            Self::Free(held)
        } else {
            Self::Passed(Obstacle::Full)
        }
    }
}

/// Why a replica does not get a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Obstacle {
    /// It has no room for it, or, in a permit cache, no slot for it.
    Full,
    /// Its breaker is open, or a probe is on its way.
    Open,
    /// The request has failed there already.
    Tried,
}

/// Among which replicas to choose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scope {
    /// Only the one where the prefix should be warm.
    First,
    /// All of them.
    All,
}

/// The replica to take, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Choice {
    /// As an index into the replicas.
    pub replica: usize,
    pub reason: ChoiceReason,
}

/// Why a replica was chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ChoiceReason {
    /// It is the first in the affinity's order: the prefix should be warm there.
    Warm,
    /// The first in the affinity's order is out for this reason, and this one is the next that is not.
    NextWarm(Obstacle),
    /// It is the least loaded: the first in the affinity's order cannot take the request for this reason, nor can the next.
    LeastLoaded(Obstacle),
    /// It is the least loaded, and the request has no prefix to keep warm.
    NoAffinity,
}

impl ChoiceReason {
    /// One word for metrics and logs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Warm => "warm",
            Self::NextWarm(Obstacle::Full) => "next_warm_full",
            Self::NextWarm(Obstacle::Open) => "next_warm_open",
            Self::NextWarm(Obstacle::Tried) => "next_warm_tried",
            Self::LeastLoaded(Obstacle::Full) => "least_loaded_full",
            Self::LeastLoaded(Obstacle::Open) => "least_loaded_open",
            Self::LeastLoaded(Obstacle::Tried) => "least_loaded_tried",
            Self::NoAffinity => "no_affinity",
        }
    }
}

/// How many replicas could not take a request, by why not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PassedOver {
    /// They have no room for it.
    pub full: u32,
    /// Their breakers are open.
    pub open: u32,
    /// It has failed there already.
    pub tried: u32,
}

impl PassedOver {
    fn of(standings: impl IntoIterator<Item = Standing>) -> Self {
        let mut passed = Self::default();
        for standing in standings {
            match standing {
                Standing::Free(_) => {}
                Standing::Passed(Obstacle::Full) => passed.full += 1,
                Standing::Passed(Obstacle::Open) => passed.open += 1,
                Standing::Passed(Obstacle::Tried) => passed.tried += 1,
            }
        }
        passed
    }
}

impl fmt::Display for PassedOver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { full, open, tried } = self;
        write!(f, "{full} full, {open} with an open breaker, {tried} tried")
    }
}

/// The first replica in the affinity's order that is not out (open or tried), if it has room; else the least loaded that
/// has, by requests, then by kv_cache.
///
/// # Errors
/// When none within the scope can take the request: why not, each.
pub(super) fn choose(
    replicas: &[ReplicaName],
    affinity: Option<u64>,
    scope: Scope,
    standing: impl Fn(&ReplicaName) -> Standing,
) -> Result<Choice, PassedOver> {
    let first = affinity.and_then(|affinity| first_choice(affinity, replicas));
    let obstacle = match first.map(|first| (first, standing(&replicas[first]))) {
        Some((replica, Standing::Free(_))) => {
            let reason = ChoiceReason::Warm;
            return Ok(Choice { replica, reason });
        }
        Some((_, Standing::Passed(obstacle))) => Some(obstacle),
        None => None,
    };
    match scope {
        Scope::First => Err(PassedOver::of(obstacle.map(Standing::Passed))),
        Scope::All => choose_elsewhere(replicas, affinity, obstacle, standing),
    }
}

/// The first choice cannot take the request for that reason; there is none for a request without affinity.
fn choose_elsewhere(
    replicas: &[ReplicaName],
    affinity: Option<u64>,
    obstacle: Option<Obstacle>,
    standing: impl Fn(&ReplicaName) -> Standing,
) -> Result<Choice, PassedOver> {
    let standings: Vec<_> = replicas.iter().map(standing).collect();
    let is_out = |index: &usize| match standings[*index] {
        Standing::Free(_) | Standing::Passed(Obstacle::Full) => false,
        Standing::Passed(Obstacle::Open | Obstacle::Tried) => true,
    };
    let held = |index: &usize| match standings[*index] {
        Standing::Free(held) => Some(held),
        Standing::Passed(_) => None,
    };
    let next = affinity.and_then(|affinity| first_of(affinity, replicas, |index| !is_out(index)));
    if let (Some(obstacle), Some(replica)) = (obstacle, next.filter(|next| held(next).is_some())) {
        let reason = ChoiceReason::NextWarm(obstacle);
        return Ok(Choice { replica, reason });
    }
    let free = (0..replicas.len()).filter_map(|index| Some((index, held(&index)?)));
    let least = free.min_by_key(|(index, held)| (held.requests, held.kv_tokens, &replicas[*index]));
    let reason = obstacle.map_or(ChoiceReason::NoAffinity, ChoiceReason::LeastLoaded);
    match least {
        Some((replica, _)) => Ok(Choice { replica, reason }),
        None => Err(PassedOver::of(standings)),
    }
}

/// The index of the first replica in the affinity's order, by rendezvous (highest random weight) hashing: each affinity
/// has its own stable order of replicas, and a replica that comes or goes moves only the affinities that it is first for.
/// Source: Thaler and Ravishankar, "Using name-based mappings to increase hit rates", 1998.
pub(super) fn first_choice(affinity: u64, replicas: &[ReplicaName]) -> Option<usize> {
    first_of(affinity, replicas, |_| true)
}

pub(super) fn first_of(affinity: u64, replicas: &[ReplicaName], is_in: impl Fn(&usize) -> bool) -> Option<usize> {
    let indices = (0..replicas.len()).filter(is_in);
    let weighed = indices.map(|index| (weight(affinity, &replicas[index]), index));
    weighed.max().map(|(_, index)| index)
}

fn weight(affinity: u64, replica: &ReplicaName) -> u64 {
    let mut hasher = SipHasher13::new_with_keys(affinity, 0);
    hasher.write(replica.as_str().as_bytes());
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn names(count: usize) -> Vec<ReplicaName> {
        (0..count)
            .map(|index| ReplicaName::from(format!("http://replica-{index}").as_str()))
            .collect()
    }

    fn idle(_: &ReplicaName) -> Standing {
        Standing::Free(Capacity::default())
    }

    fn holding(requests: u32, kv_tokens: u64) -> Capacity {
        let kv_tokens = Tokens(kv_tokens);
        Capacity { requests, kv_tokens }
    }

    #[test]
    fn an_affinity_keeps_its_replica_and_affinities_spread() {
        let names = names(8);
        let mut hits = [0_u32; 8];
        for affinity in 0..8_000 {
            let chosen = choose(&names, Some(affinity), Scope::All, idle).unwrap();
            assert_eq!(Ok(chosen), choose(&names, Some(affinity), Scope::First, idle));
            hits[chosen.replica] += 1;
        }
        assert!(hits.iter().all(|hits| (850..1_150).contains(hits)), "{hits:?}");
    }

    #[test]
    fn a_replica_that_goes_moves_only_its_own() {
        let all = names(8);
        for affinity in 0..500 {
            let before = first_choice(affinity, &all).unwrap();
            let after = first_choice(affinity, &all[1..]).unwrap();
            assert!(before == after + 1 || before == 0);
        }
    }

    #[test]
    fn a_replica_takes_what_fits_and_a_giant_when_it_is_idle() {
        let capacity = holding(2, 100);
        let stands = |held, kv_tokens| Standing::within(capacity, held, Tokens(kv_tokens));
        assert_eq!(stands(holding(1, 60), 40), Standing::Free(holding(1, 60)));
        assert_eq!(stands(holding(1, 61), 40), Standing::Passed(Obstacle::Full));
        assert_eq!(stands(holding(2, 0), 1), Standing::Passed(Obstacle::Full));
        assert_eq!(stands(holding(0, 0), 1_000), Standing::Free(holding(0, 0)));
    }

    #[test]
    fn where_the_first_choice_is_full_the_least_loaded_serves() {
        let names = names(3);
        let first = first_choice(7, &names).unwrap();
        let standing = |name: &ReplicaName| match names.iter().position(|other| other == name).unwrap() {
            index if index == first => Standing::Passed(Obstacle::Full),
            index => Standing::Free(holding(1, 50 - index as u64)),
        };
        let chosen = choose(&names, Some(7), Scope::All, standing).unwrap();
        assert_eq!(chosen.replica, (0..3).rfind(|index| *index != first).unwrap());
        assert_eq!(chosen.reason, ChoiceReason::LeastLoaded(Obstacle::Full));
        let passed = PassedOver {
            full: 1,
            ..PassedOver::default()
        };
        assert_eq!(choose(&names, Some(7), Scope::First, standing), Err(passed));
        assert_eq!(choose(&[], Some(7), Scope::All, standing), Err(PassedOver::default()));
    }

    fn standing() -> impl Strategy<Value = Standing> {
        let obstacle = prop_oneof![Just(Obstacle::Full), Just(Obstacle::Open), Just(Obstacle::Tried)];
        prop_oneof![
            (0_u32..3, 0_u64..3).prop_map(|(requests, kv_tokens)| Standing::Free(holding(requests, kv_tokens))),
            obstacle.prop_map(Standing::Passed),
        ]
    }

    proptest! {
        #[test]
        fn what_is_chosen_is_free_and_its_reason_is_true(
            standings in prop::collection::vec(standing(), 0..7),
            affinity in prop::option::of(0_u64..50),
        ) {
            let names = names(standings.len());
            let at = |name: &ReplicaName| standings[names.iter().position(|other| other == name).unwrap()];
            let first = affinity.and_then(|affinity| first_choice(affinity, &names));
            let obstacle = first.and_then(|first| match standings[first] {
                Standing::Free(_) => None,
                Standing::Passed(obstacle) => Some(obstacle),
            });
            let loads = || standings.iter().filter_map(|standing| match standing {
                Standing::Free(held) => Some((held.requests, held.kv_tokens)),
                Standing::Passed(_) => None,
            });
            match choose(&names, affinity, Scope::All, at) {
                Ok(Choice { replica, reason }) => {
                    let Standing::Free(held) = standings[replica] else { panic!("{reason:?}") };
                    let is_least = loads().all(|other| (held.requests, held.kv_tokens) <= other);
                    match reason {
                        ChoiceReason::Warm => prop_assert!(first == Some(replica) && obstacle.is_none()),
                        ChoiceReason::NextWarm(why) => {
                            prop_assert!(obstacle == Some(why) && why != Obstacle::Full);
                        }
                        ChoiceReason::LeastLoaded(why) => prop_assert!(obstacle == Some(why) && is_least),
                        ChoiceReason::NoAffinity => prop_assert!(affinity.is_none() && is_least),
                    }
                    prop_assert_eq!(
                        choose(&names, affinity, Scope::First, at).ok(),
                        (reason == ChoiceReason::Warm).then_some(Choice { replica, reason })
                    );
                }
                Err(PassedOver { full, open, tried }) => {
                    prop_assert_eq!(loads().count(), 0);
                    prop_assert_eq!((full + open + tried) as usize, names.len());
                }
            }
        }

        /// An order of replicas does not depend on how they stand: whoever is out makes way for the next in it.
        #[test]
        fn those_that_are_out_are_as_if_they_were_not_there(
            standings in prop::collection::vec(standing(), 1..7), affinity in 0_u64..50,
        ) {
            let all = names(standings.len());
            let is_in = |index: &usize| !matches!(standings[*index], Standing::Passed(Obstacle::Open | Obstacle::Tried));
            let left: Vec<_> = (0..all.len()).filter(is_in).map(|index| all[index].clone()).collect();
            let at = |name: &ReplicaName| standings[all.iter().position(|other| other == name).unwrap()];
            let name = |names: &[ReplicaName], choice: Result<Choice, PassedOver>| choice.ok().map(|it| names[it.replica].clone());
            let among_all = choose(&all, Some(affinity), Scope::All, at);
            let among_left = choose(&left, Some(affinity), Scope::All, at);
            prop_assert_eq!(name(&all, among_all), name(&left, among_left));
        }
    }
}
