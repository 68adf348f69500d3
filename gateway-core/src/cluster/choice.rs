//! Which replica: the one where the prompt's prefix should be warm, else the least loaded. Pure: it sees only what
//! is passed in.

use siphasher::sip::SipHasher13;
use std::hash::Hasher;

use super::permit::Capacity;
use crate::ids::{ReplicaName, Tokens};

/// A replica as the choice sees it.
#[derive(Clone, Copy, Debug)]
pub(super) struct ReplicaUse<'a> {
    pub replica: &'a ReplicaName,
    pub running: u32,
    pub kv_tokens: Tokens,
}

/// The first replica in the affinity's order if it has room, else the least loaded that has; `None` if none has.
/// A replica has room when one more request and `kv_tokens` fit. A request larger than any replica's whole kv_cache
/// fits into an idle one: the engine itself must refuse it, with its own words.
pub(super) fn choose<'a>(
    options: &[ReplicaUse<'a>],
    affinity: Option<u64>,
    kv_tokens: Tokens,
    room: Capacity,
) -> Option<&'a ReplicaName> {
    let has_room = |option: &&ReplicaUse<'_>| {
        option.running < room.requests && (option.running == 0 || option.kv_tokens + kv_tokens <= room.kv_tokens)
    };
    let first = affinity.and_then(|affinity| first_choice(affinity, options.iter().map(|option| option.replica)));
    let warm = first.and_then(|first| options.get(first));
    let chosen = warm.filter(has_room).or_else(|| {
        options
            .iter()
            .filter(has_room)
            .min_by_key(|option| (option.running, option.kv_tokens, option.replica))
    });
    chosen.map(|option| option.replica)
}

/// The index of the first replica in the affinity's order, by rendezvous (highest random weight) hashing: each affinity
/// has its own stable order of replicas, and a replica that comes or goes moves only the affinities that it is first for.
/// Source: Thaler and Ravishankar, "Using name-based mappings to increase hit rates", 1998.
pub(super) fn first_choice<'a>(affinity: u64, replicas: impl Iterator<Item = &'a ReplicaName>) -> Option<usize> {
    let weighed = replicas
        .enumerate()
        .map(|(index, replica)| (weight(affinity, replica), index));
    weighed.max().map(|(_, index)| index)
}

fn weight(affinity: u64, replica: &ReplicaName) -> u64 {
    let mut hasher = SipHasher13::new_with_keys(affinity, 0);
    hasher.write(replica.as_str().as_bytes());
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROOM: Capacity = Capacity {
        requests: 2,
        kv_tokens: Tokens(100),
    };

    fn names(count: usize) -> Vec<ReplicaName> {
        (0..count)
            .map(|index| ReplicaName::from(format!("http://replica-{index}").as_str()))
            .collect()
    }

    fn idle(names: &[ReplicaName]) -> Vec<ReplicaUse<'_>> {
        names
            .iter()
            .map(|replica| ReplicaUse {
                replica,
                running: 0,
                kv_tokens: Tokens(0),
            })
            .collect()
    }

    #[test]
    fn an_affinity_keeps_its_replica_and_affinities_spread() {
        let names = names(8);
        let mut hits = [0_u32; 8];
        for affinity in 0..8_000 {
            let chosen = choose(&idle(&names), Some(affinity), Tokens(1), ROOM);
            assert_eq!(chosen, choose(&idle(&names), Some(affinity), Tokens(1), ROOM));
            let index = names.iter().position(|name| Some(name) == chosen).unwrap_or_default();
            hits[index] += 1;
        }
        assert!(hits.iter().all(|hits| (850..1_150).contains(hits)), "{hits:?}");
    }

    #[test]
    fn a_replica_that_goes_moves_only_its_own() {
        let names = names(8);
        for affinity in 0..500 {
            let before = choose(&idle(&names), Some(affinity), Tokens(1), ROOM);
            let after = choose(&idle(&names[1..]), Some(affinity), Tokens(1), ROOM);
            assert!(before == after || before == Some(&names[0]));
        }
    }

    #[test]
    fn without_room_at_the_first_choice_the_least_loaded_serves() {
        let names = names(3);
        let mut uses = idle(&names);
        let first = choose(&uses, Some(7), Tokens(10), ROOM).cloned();
        for replica_use in &mut uses {
            replica_use.running = 1;
            let is_first = Some(replica_use.replica) == first.as_ref();
            replica_use.kv_tokens = if is_first { Tokens(95) } else { Tokens(50) };
        }
        uses.iter_mut()
            .rfind(|replica_use| Some(replica_use.replica) != first.as_ref())
            .unwrap()
            .kv_tokens = Tokens(40);
        let expected = uses
            .iter()
            .min_by_key(|replica_use| replica_use.kv_tokens)
            .map(|replica_use| replica_use.replica);
        assert_eq!(choose(&uses, Some(7), Tokens(10), ROOM), expected);
    }

    #[test]
    fn nothing_is_chosen_when_all_are_full_but_a_giant_fits_an_idle_one() {
        let names = names(2);
        let mut uses = idle(&names);
        assert!(choose(&uses, None, Tokens(1_000), ROOM).is_some());
        for replica_use in &mut uses {
            replica_use.running = 2;
        }
        assert_eq!(choose(&uses, None, Tokens(1), ROOM), None);
        assert_eq!(choose(&[], Some(1), Tokens(1), ROOM), None);
    }
}
