//! Where a request belongs as far as one can tell who does not see its cluster: what the prefix index says, or else the
//! affinity's order. Edges choose so among kept permits, and a cell presumes that they did.

use super::choice::{ChoiceReason, first_choice, first_of};
use super::hot::{HotPrefix, HotSet};
use super::prompt::PromptOutline;
use crate::ids::{ReplicaName, Tokens};

/// A replica, and what of a prompt is expected to be in its memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExpectedPlace {
    /// The stateless choice, as an index into the replicas.
    pub first_choice: usize,
    /// Which, as an index into the replicas.
    pub replica: usize,
    /// So much of the prompt.
    pub warm: Tokens,
    /// Why there.
    pub reason: ChoiceReason,
    /// Whether the cell may want it elsewhere: nothing speaks for this replica but a hot prefix, which is not in the memory of
    /// all of them.
    pub is_spreading: bool,
}

/// The replica that a request goes to as long as nobody knows better, as an index into `replicas`: the first in the
/// affinity's order among those where the hot prefix that it shares is warm; without one, among all.
pub fn stateless_choice(affinity: u64, hot: Option<&HotPrefix>, replicas: &[ReplicaName]) -> Option<usize> {
    let is_warm = |index: &usize| hot.is_some_and(|hot| hot.warm.contains(&replicas[*index]));
    first_of(affinity, replicas, is_warm).or_else(|| first_choice(affinity, replicas))
}

/// Where a prompt is expected to be warm: at the replica that has most of it as far as that is known, or else at the
/// stateless choice, where it is if an earlier request of the conversation went there or others share its beginning.
pub fn expected_place(
    affinity: u64,
    prompt: &PromptOutline,
    hot: &HotSet,
    replicas: &[ReplicaName],
) -> Option<ExpectedPlace> {
    let shared = hot.longest(&prompt.boundaries);
    let first_choice = stateless_choice(affinity, shared.map(|(hot, _)| hot), replicas)?;
    let place = |replica: &ReplicaName| replicas.iter().position(|known| known == replica);
    let known = prompt
        .warm
        .iter()
        .filter_map(|warm| Some((warm.tokens, place(&warm.replica)?)));
    if let Some((warm, replica)) = known.max() {
        return Some(ExpectedPlace {
            first_choice,
            replica,
            warm: warm.min(prompt.tokens),
            reason: ChoiceReason::Warm,
            is_spreading: false,
        });
    }
    let is_warm = |hot: &HotPrefix| hot.warm.contains(&replicas[first_choice]);
    let is_everywhere = shared.is_none_or(|(hot, _)| hot.warm.len() >= replicas.len());
    let shared = shared
        .filter(|(hot, _)| is_warm(hot))
        .map_or(Tokens(0), |(_, tokens)| tokens);
    let warm = shared.max(prompt.presumed).min(prompt.tokens);
    let reason = match warm {
        Tokens(0) => ChoiceReason::First,
        warm if warm == shared => ChoiceReason::Shared,
        _ => ChoiceReason::Presumed,
    };
    Some(ExpectedPlace {
        first_choice,
        replica: first_choice,
        warm,
        reason,
        is_spreading: reason == ChoiceReason::Shared && !is_everywhere,
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::cluster::prompt::{Boundary, WarmAt};
    use crate::ids::PrefixKey;

    #[test]
    fn who_shares_a_hot_prefix_goes_where_that_is_warm() {
        let replicas: Vec<_> = ["http://a", "http://b", "http://c"].map(ReplicaName::from).into();
        let hot = |warm: &[&str]| HotPrefix {
            key: PrefixKey(1),
            warm: warm.iter().copied().map(ReplicaName::from).collect(),
        };
        let two = hot(&["http://a", "http://c", "http://gone"]);
        let chosen = |hot| (0..64).map(move |affinity| stateless_choice(affinity, hot, &replicas).expect("one"));
        let of_two: Vec<_> = chosen.clone()(Some(&two)).collect();
        assert!(of_two.contains(&0) && of_two.contains(&2) && !of_two.contains(&1));
        let of_all: Vec<_> = chosen.clone()(None).collect();
        let nowhere = hot(&["http://gone"]);
        assert_eq!(chosen.clone()(Some(&nowhere)).collect::<Vec<_>>(), of_all);
        let stay = of_two.iter().zip(&of_all).filter(|(_, all)| **all != 1);
        assert!(stay.into_iter().all(|(two, all)| two == all), "the order is the same");
        assert_eq!(stateless_choice(1, None, &[]), None);
    }

    #[test]
    fn what_is_known_comes_before_what_is_presumed() {
        let replicas: Vec<_> = ["http://a", "http://b", "http://c"].map(ReplicaName::from).into();
        let at = |name: &str, tokens| WarmAt {
            replica: name.into(),
            tokens: Tokens(tokens),
            ago: Duration::ZERO,
        };
        let prompt = |presumed, warm| PromptOutline {
            tokens: Tokens(1_000),
            boundaries: vec![Boundary {
                key: PrefixKey(1),
                tokens: Tokens(600),
            }],
            presumed: Tokens(presumed),
            warm,
        };
        let first = first_choice(7, &replicas).expect("one");
        let other = (first + 1) % 3;
        let elsewhere = replicas[other].as_str();
        let hot = |warm: &str| HotSet {
            prefixes: vec![HotPrefix {
                key: PrefixKey(1),
                warm: vec![warm.into()],
            }],
            ..HotSet::default()
        };
        let nothing = HotSet::default();
        for (prompt, hot, expected) in [
            (prompt(0, vec![]), &nothing, (first, 0, ChoiceReason::First)),
            (prompt(900, vec![]), &nothing, (first, 900, ChoiceReason::Presumed)),
            (prompt(0, vec![]), &hot(elsewhere), (other, 600, ChoiceReason::Shared)),
            (
                prompt(900, vec![]),
                &hot(elsewhere),
                (other, 900, ChoiceReason::Presumed),
            ),
            (
                prompt(900, vec![]),
                &hot("http://gone"),
                (first, 900, ChoiceReason::Presumed),
            ),
            (
                prompt(
                    900,
                    vec![at("http://gone", 990), at(elsewhere, 9_999), at("http://a", 5)],
                ),
                &nothing,
                (other, 1_000, ChoiceReason::Warm),
            ),
        ] {
            let place = expected_place(7, &prompt, hot, &replicas).expect("one");
            assert_eq!((place.replica, place.warm.0, place.reason), expected, "{prompt:?}");
        }
        assert_eq!(expected_place(7, &prompt(0, vec![]), &nothing, &[]), None);
    }
}
