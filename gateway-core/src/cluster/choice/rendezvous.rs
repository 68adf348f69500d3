//! The order of replicas that an affinity key has by itself, whatever anybody knows of them: rendezvous (highest random
//! weight) hashing. Each affinity has its own stable order, and a replica that comes or goes moves only the affinities
//! that it is first for. Source: Thaler and Ravishankar, "Using name-based mappings to increase hit rates", 1998.

use std::hash::Hasher;

use siphasher::sip::SipHasher13;

use crate::ids::ReplicaName;

/// The index of the first replica in the affinity's order.
pub(in crate::cluster) fn first_choice(affinity: u64, replicas: &[ReplicaName]) -> Option<usize> {
    first_of(affinity, replicas, |_| true)
}

/// The index of the first one in the affinity's order among those that are in.
pub(in crate::cluster) fn first_of(
    affinity: u64,
    replicas: &[ReplicaName],
    is_in: impl Fn(&usize) -> bool,
) -> Option<usize> {
    first_weighed(&weights(affinity, replicas), is_in)
}

/// The same, where the weights are known.
pub(in crate::cluster) fn first_weighed(weights: &[u64], is_in: impl Fn(&usize) -> bool) -> Option<usize> {
    (0..weights.len()).filter(is_in).max_by_key(|index| weights[*index])
}

/// What the order goes by: the first has the most.
pub(in crate::cluster) fn weights(affinity: u64, replicas: &[ReplicaName]) -> Vec<u64> {
    replicas.iter().map(|replica| weight(affinity, replica)).collect()
}

fn weight(affinity: u64, replica: &ReplicaName) -> u64 {
    let mut hasher = SipHasher13::new_with_keys(affinity, 0);
    hasher.write(replica.as_str().as_bytes());
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(count: usize) -> Vec<ReplicaName> {
        (0..count)
            .map(|index| ReplicaName::from(format!("http://replica-{index}").as_str()))
            .collect()
    }

    #[test]
    fn affinities_spread() {
        let names = names(8);
        let mut hits = [0_u32; 8];
        for affinity in 0..8_000 {
            hits[first_choice(affinity, &names).expect("one of 8")] += 1;
        }
        assert!(hits.iter().all(|hits| (850..1_150).contains(hits)), "{hits:?}");
    }

    #[test]
    fn a_replica_that_goes_moves_only_its_own() {
        for count in [3, 8, 64] {
            let all = names(count);
            let mut moved = 0;
            for affinity in 0..2_000 {
                let before = first_choice(affinity, &all).expect("one");
                let after = first_choice(affinity, &all[1..]).expect("one");
                assert!(before == after + 1 || before == 0);
                moved += u32::from(before == 0);
            }
            let share = f64::from(moved) / 2_000.0;
            assert!(share < 1.0 / count as f64 + 0.02, "{share} of {count}");
        }
    }
}
