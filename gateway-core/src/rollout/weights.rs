//! Weights of versions, and which version a conversation has by them.

use std::collections::BTreeMap;
use std::fmt;
use std::hash::Hasher;

use serde::{Deserialize, Serialize};
use siphasher::sip::SipHasher13;
use thiserror::Error;

use crate::ids::VersionName;

/// The share of conversations that each version gets, in parts of [`Weights::WHOLE`], which they sum up to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Weights(BTreeMap<VersionName, u32>);

/// Why weights cannot be set so.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum WeightsError {
    /// No such version.
    #[error("the model has no version `{version}`: it has {known}")]
    UnknownVersion {
        /// What was asked for.
        version: String,
        /// Those that there are.
        known: String,
    },
    /// A share that is none.
    #[error("the weight of `{version}` must be from 0 to 100")]
    OutOfRange {
        /// Whose.
        version: VersionName,
    },
    /// They are more than all, or leave something that nobody takes.
    #[error("the weights of all versions must sum up to 100: those that are named have {named}, and {rest}")]
    Sum {
        /// The sum of those that are named, in percent.
        named: String,
        /// What becomes of the others.
        rest: &'static str,
    },
}

impl Weights {
    /// All conversations together: weights are told in hundredths of a percent.
    pub const WHOLE: u32 = 10_000;

    /// Shares in proportion to `parts`; `None` where those sum up to nothing. What rounding leaves goes to the first ones
    /// that have any.
    pub fn of_parts(parts: impl IntoIterator<Item = (VersionName, u64)>) -> Option<Self> {
        let parts: BTreeMap<VersionName, u64> = parts.into_iter().collect();
        let sum: u128 = parts.values().map(|part| u128::from(*part)).sum();
        let share = |part: u64| (u128::from(part) * u128::from(Self::WHOLE)).checked_div(sum);
        let mut weights = BTreeMap::new();
        for (version, part) in &parts {
            weights.insert(version.clone(), u32::try_from(share(*part)?).ok()?);
        }
        let mut left = Self::WHOLE - weights.values().sum::<u32>();
        for weight in weights.values_mut().filter(|weight| **weight > 0) {
            *weight += left;
            left = 0;
        }
        (left == 0).then_some(Self(weights))
    }

    /// The versions, with their weights.
    pub fn iter(&self) -> impl Iterator<Item = (&VersionName, u32)> {
        self.0.iter().map(|(version, weight)| (version, *weight))
    }

    /// The weight of a version; 0 of one that there is none of.
    pub fn of(&self, version: &VersionName) -> u32 {
        self.0.get(version).copied().unwrap_or_default()
    }

    /// Whether it has that version, with whatever weight.
    pub fn has(&self, version: &VersionName) -> bool {
        self.0.contains_key(version)
    }

    /// Whether it has no versions.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The same where those `named` have these weights, and the others what is left in proportion to what they have, or the
    /// only other one all of it.
    /// Versions are those of `known`, which may have come since.
    ///
    /// # Errors
    /// When a version is unknown, or the weights do not sum up to all.
    pub fn with(&self, known: &Self, named: &[(VersionName, u32)]) -> Result<Self, WeightsError> {
        let named: BTreeMap<&VersionName, u32> = named.iter().map(|(version, weight)| (version, *weight)).collect();
        for (version, weight) in &named {
            if !known.has(version) {
                return Err(WeightsError::UnknownVersion {
                    version: version.to_string(),
                    known: known.names(),
                });
            }
            if *weight > Self::WHOLE {
                let version = (*version).clone();
                return Err(WeightsError::OutOfRange { version });
            }
        }
        let sum: u64 = named.values().map(|weight| u64::from(*weight)).sum();
        let wrong = |rest| WeightsError::Sum {
            named: format!("{} %", sum as f64 / 100.0),
            rest,
        };
        let left = u64::from(Self::WHOLE).checked_sub(sum);
        let left = left.ok_or_else(|| wrong("nothing is left for the others"))?;
        let others = known.0.keys().filter(|version| !named.contains_key(version));
        let mut others: Vec<_> = others
            .map(|version| (version.clone(), u64::from(self.of(version))))
            .collect();
        let mut weights: BTreeMap<_, _> = named
            .iter()
            .map(|(version, weight)| ((*version).clone(), *weight))
            .collect();
        if left == 0 {
            weights.extend(others.into_iter().map(|(version, _)| (version, 0)));
            return Ok(Self(weights));
        }
        if let [(_, part)] = others.as_mut_slice() {
            // There is nobody to share with, whatever it had.
            *part = 1;
        }
        let sum: u64 = others.iter().map(|(_, weight)| weight).sum();
        if sum == 0 {
            return Err(wrong("none of the others has any weight to take the rest by"));
        }
        let mut rest = left;
        for (version, part) in others {
            let weight = left * part / sum;
            rest -= weight;
            weights.insert(version, u32::try_from(weight).unwrap_or(Self::WHOLE));
        }
        let is_other = |(version, _): &(&VersionName, &mut u32)| !named.contains_key(version) && self.of(version) > 0;
        if let Some((_, weight)) = weights.iter_mut().find(is_other) {
            *weight += u32::try_from(rest).unwrap_or_default();
        }
        Ok(Self(weights))
    }

    /// The same without one version, and without those that are none of `known`: as they stand to each other here, or else
    /// there, or else alike. The same as here where nothing is left.
    pub fn without(&self, version: &VersionName, known: &Self) -> Self {
        let stays = |(other, _): &(&VersionName, u32)| *other != version && known.has(other);
        let of = |weights: &Self| {
            let stay = weights.iter().filter(stays);
            Self::of_parts(stay.map(|(other, weight)| (other.clone(), u64::from(weight))))
        };
        let alike = || Self::of_parts(known.iter().filter(stays).map(|(other, _)| (other.clone(), 1)));
        let rest = of(self).or_else(|| of(known)).or_else(alike);
        let Some(Self(mut rest)) = rest else {
            return self.clone();
        };
        for (other, _) in self.iter().chain(known.iter()).filter(|(other, _)| known.has(other)) {
            rest.entry(other.clone()).or_default();
        }
        Self(rest)
    }

    /// The version of a conversation with that key, among those that `may` serve it; `None` where none with a weight may.
    ///
    /// Weighted rendezvous hashing: each version draws a number from the key, and the least of their exponential variates
    /// with the weights as rates wins, which happens with a probability in proportion to its weight. Whatever the others
    /// do, where one weight is raised conversations move to that version alone, and no more of them than must. Source:
    /// Schindelhauer and Schomaker, "Weighted distributed hash tables", 2005.
    pub fn choose(&self, key: u64, may: impl Fn(&VersionName) -> bool) -> Option<&VersionName> {
        let candidates = self.0.iter().filter(|(version, weight)| **weight > 0 && may(version));
        let score = |(version, weight): (_, &u32)| (variate(key, version) / f64::from(*weight), version);
        let (_, least) = candidates.map(score).min_by(|(a, _), (b, _)| a.total_cmp(b))?;
        Some(least)
    }

    fn names(&self) -> String {
        let names: Vec<_> = self.0.keys().map(|version| format!("`{version}`")).collect();
        names.join(", ")
    }

    /// What must hold of weights that requests go by.
    ///
    /// # Errors
    /// What is broken.
    pub fn check_invariants(&self) -> Result<(), String> {
        let sum: u64 = self.0.values().map(|weight| u64::from(*weight)).sum();
        if sum == u64::from(Self::WHOLE) {
            Ok(())
        } else {
            Err(format!("weights that sum up to {sum}: {self:?}"))
        }
    }
}

/// An exponential variate of rate 1 that the key draws for the version.
fn variate(key: u64, version: &VersionName) -> f64 {
    let mut hasher = SipHasher13::new_with_keys(key, VERSIONS);
    hasher.write(version.as_str().as_bytes());
    // 53 bits are what a float holds; never 0, whose logarithm is none.
    let uniform = ((hasher.finish() >> 11) as f64 + 0.5) / (1_u64 << 53) as f64;
    -uniform.ln()
}

/// Keeps these draws apart from those that choose a replica by the same key.
const VERSIONS: u64 = u64::from_le_bytes(*b"versions");

/// `v1=90% v2=10%`
impl fmt::Display for Weights {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (version, weight)) in self.0.iter().enumerate() {
            let separator = if index == 0 { "" } else { " " };
            write!(f, "{separator}{version}={}%", f64::from(*weight) / 100.0)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn weights(parts: &[u64]) -> Weights {
        let named = parts.iter().enumerate();
        let named = named.map(|(index, part)| (format!("v{index}").as_str().into(), *part));
        Weights::of_parts(named).expect("some parts")
    }

    fn name(index: usize) -> VersionName {
        format!("v{index}").as_str().into()
    }

    #[test]
    fn conversations_are_shared_out_by_weight() {
        let weights = weights(&[90, 9, 1]);
        let mut counts = [0_u32; 3];
        for key in 0..100_000 {
            let version = weights.choose(key, |_| true).expect("a version");
            counts[usize::from(version.as_str().as_bytes()[1] - b'0')] += 1;
        }
        // Four standard deviations.
        for (count, share) in counts.iter().zip([0.9, 0.09, 0.01]) {
            let off = (f64::from(*count) - 100_000.0 * share).abs();
            assert!(off < 4.0 * (100_000.0 * share * (1.0 - share)).sqrt(), "{counts:?}");
        }
    }

    #[test]
    fn who_may_not_serve_is_passed_over_and_the_others_keep_theirs() {
        let all = weights(&[50, 30, 20]);
        for key in 0..1_000 {
            let free = all.choose(key, |_| true).expect("a version");
            let without = all.choose(key, |version| *version != name(0)).expect("a version");
            assert!(free == without || *free == name(0));
        }
        assert_eq!(all.choose(1, |_| false), None);
        assert_eq!(weights(&[1, 0]).choose(1, |version| *version == name(1)), None);
    }

    #[test]
    fn those_that_are_not_named_share_the_rest_as_before() {
        let before = weights(&[60, 30, 10]);
        let with = |named: &[(usize, u32)]| {
            let named: Vec<_> = named.iter().map(|(index, weight)| (name(*index), *weight)).collect();
            before
                .with(&before, &named)
                .map(|weights| weights.0.into_values().collect::<Vec<_>>())
        };
        assert_eq!(with(&[(2, 5_500)]), Ok(vec![3_000, 1_500, 5_500]));
        assert_eq!(with(&[(2, 10_000)]), Ok(vec![0, 0, 10_000]));
        assert_eq!(with(&[(0, 0), (2, 4_000)]), Ok(vec![0, 6_000, 4_000]));
        let all = weights(&[0, 0, 1]);
        let back = all.with(&all, &[(name(2), 0), (name(1), 0)]).expect("weights");
        assert_eq!(
            back.of(&name(0)),
            Weights::WHOLE,
            "the only one that is left takes the rest"
        );
        assert!(all.with(&all, &[(name(2), 0)]).is_err(), "nobody says which of the two");
        assert_eq!(with(&[(0, 0), (1, 0), (2, 10_000)]), Ok(vec![0, 0, 10_000]));
        assert!(matches!(with(&[(2, 9_000), (1, 2_000)]), Err(WeightsError::Sum { .. })));
        assert!(matches!(with(&[(0, 1), (1, 1), (2, 1)]), Err(WeightsError::Sum { .. })));
        assert!(matches!(with(&[(7, 1)]), Err(WeightsError::UnknownVersion { .. })));
        assert!(matches!(with(&[(0, 10_001)]), Err(WeightsError::OutOfRange { .. })));
    }

    #[test]
    fn what_is_taken_back_and_what_is_not_there_any_more_gets_nothing() {
        let parts = |parts: &[(usize, u64)]| {
            Weights::of_parts(parts.iter().map(|(index, part)| (name(*index), *part))).expect("some parts")
        };
        let before = parts(&[(0, 60), (1, 30), (2, 10)]);
        assert_eq!(before.without(&name(2), &before), parts(&[(0, 60), (1, 30), (2, 0)]));
        let without_0 = parts(&[(1, 0), (2, 1)]);
        assert_eq!(before.without(&name(2), &without_0), parts(&[(1, 1), (2, 0)]));
        let only_0 = parts(&[(0, 1), (2, 0)]);
        let new = parts(&[(2, 1), (3, 0)]);
        assert_eq!(only_0.without(&name(2), &new), parts(&[(2, 0), (3, 1)]));
        assert_eq!(only_0.without(&name(0), &parts(&[(0, 1)])), only_0);
    }

    proptest! {
        #[test]
        fn raising_one_weight_moves_conversations_to_it_alone(
            parts in prop::collection::vec(0_u64..100, 2..6), raised in 0_usize..6, to in 0_u32..=10_000, keys in any::<[u64; 64]>(),
        ) {
            prop_assume!(parts.iter().sum::<u64>() > 0);
            let before = weights(&parts);
            let raised = name(raised % parts.len());
            if let Ok(after) = before.with(&before, &[(raised.clone(), to)]) {
                after.check_invariants().map_err(TestCaseError::fail)?;
                let rises = to >= before.of(&raised);
                // Beside what must move, what hundredths of a percent are rounded by.
                let mut moved_elsewhere = 0;
                for key in keys {
                    let (old, new) = (before.choose(key, |_| true), after.choose(key, |_| true));
                    if old != new && rises && new != Some(&raised) {
                        moved_elsewhere += 1;
                    }
                }
                prop_assert!(moved_elsewhere <= 3, "{before} then {after}");
            }
        }

        #[test]
        fn shares_of_any_parts_sum_up_to_all(parts in prop::collection::vec(any::<u64>(), 1..9)) {
            let named = parts.iter().enumerate().map(|(index, part)| (name(index), *part));
            match Weights::of_parts(named) {
                Some(weights) => weights.check_invariants().map_err(TestCaseError::fail)?,
                None => prop_assert!(parts.iter().all(|part| *part == 0)),
            }
        }
    }
}
