//! Which version a conversation is on, by the weights that hold and those that held before. One that began under earlier
//! weights stays where it began: those that hold decide about new ones alone.
//!
//! A conversation that goes on does not tell when it began. Most began where the oldest weights say that may still have an
//! effect; those that did not are exceptions, which are written down as they begin. So where the exceptions cannot be read,
//! a conversation goes where the oldest weights say.

use std::time::Duration;

use super::message::{Standing, WeightsSince};
use super::weights::Weights;
use crate::ids::VersionName;
use crate::time::Timestamp;

/// The weights that a gateway knows of, by its own clock.
#[derive(Clone, Debug, PartialEq)]
pub struct KnownWeights {
    /// Each with when it comes into force, ascending; at least one.
    past: Vec<Known>,
}

#[derive(Clone, Debug, PartialEq)]
struct Known {
    since: Timestamp,
    revision: u64,
    weights: Weights,
}

/// By what a request is told from those of other conversations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Conversation {
    /// The same for all requests of the conversation.
    pub key: u64,
    /// Whether it has come before: there are answers in it.
    pub has_begun: bool,
}

/// Which versions a conversation may be on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Choice<'w> {
    /// That of the weights in force.
    pub new: &'w VersionName,
    /// Where it is if nothing is known of it: that of the oldest weights that still have an effect, if it has begun.
    pub presumed: &'w VersionName,
    /// Whether it may be on another one, since weights say different things.
    pub is_doubtful: bool,
    /// Of the weights in force.
    pub revision: u64,
}

impl KnownWeights {
    /// Those of the configuration, where no others were ever set.
    pub fn initial(weights: &Weights) -> Self {
        let first = Known {
            since: Timestamp::default(),
            revision: 0,
            weights: weights.clone(),
        };
        Self { past: vec![first] }
    }

    /// As the model's cell told, which was asked at that moment; `initial` where none were ever set.
    pub fn told(standing: &Standing, asked: Timestamp, initial: &Weights) -> Self {
        let known = |told: &WeightsSince| Known {
            since: asked + told.in_force_in - told.ago,
            revision: told.revision,
            weights: told.weights.clone(),
        };
        let past: Vec<_> = standing.weights.iter().map(known).collect();
        if past.is_empty() {
            return Self::initial(initial);
        }
        Self { past }
    }

    /// The weights in force.
    pub fn in_force(&self, now: Timestamp) -> &Weights {
        &self.past[self.current(now)].weights
    }

    /// The revision of the weights in force.
    pub fn revision(&self, now: Timestamp) -> u64 {
        self.past[self.current(now)].revision
    }

    /// The versions of a conversation with that key among those that `may` serve it. Weights that have held no more for
    /// `stay` have no effect. `None` where no version with a weight may serve it.
    pub fn choose(
        &self,
        now: Timestamp,
        conversation: Conversation,
        stay: Duration,
        may: impl Fn(&VersionName) -> bool,
    ) -> Option<Choice<'_>> {
        let current = self.current(now);
        let oldest = self
            .past
            .iter()
            .rposition(|known| known.since <= now - stay)
            .unwrap_or(0);
        let held = self.past[oldest.min(current)..=current].iter();
        let versions: Vec<_> = held.map(|known| known.weights.choose(conversation.key, &may)).collect();
        let new = (*versions.last()?)?;
        Some(Choice {
            new,
            presumed: versions.iter().copied().flatten().next().unwrap_or(new),
            is_doubtful: versions.iter().any(|version| *version != Some(new)),
            revision: self.past[current].revision,
        })
    }

    fn current(&self, now: Timestamp) -> usize {
        self.past.iter().rposition(|known| known.since <= now).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STAY: Duration = Duration::from_secs(3_600);

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_millis(seconds * 1_000)
    }

    fn weights(new: u64) -> Weights {
        Weights::of_parts([("v1".into(), 100 - new), ("v2".into(), new)]).expect("weights")
    }

    fn known(past: &[(u64, u64)]) -> KnownWeights {
        let known = |(revision, (since, new)): (usize, &(u64, u64))| Known {
            since: at(*since),
            revision: revision as u64,
            weights: weights(*new),
        };
        KnownWeights {
            past: past.iter().enumerate().map(known).collect(),
        }
    }

    fn choice(known: &KnownWeights, seconds: u64, key: u64) -> (String, String, bool) {
        let conversation = Conversation { key, has_begun: true };
        let choice = known
            .choose(at(seconds), conversation, STAY, |_| true)
            .expect("a version");
        (choice.new.to_string(), choice.presumed.to_string(), choice.is_doubtful)
    }

    #[test]
    fn what_a_step_moves_is_doubtful_for_an_hour_and_nothing_else_is() {
        let known = known(&[(0, 10), (10_000, 50)]);
        let mut moved = 0;
        for key in 0..1_000 {
            let before = choice(&known, 9_999, key);
            assert!(before.0 == before.1 && !before.2, "{before:?}");
            let (new, presumed, is_doubtful) = choice(&known, 10_001, key);
            assert_eq!(presumed, before.0);
            assert_eq!(is_doubtful, new != before.0);
            moved += u32::from(is_doubtful);
            assert_eq!(choice(&known, 13_599, key), (new.clone(), presumed, is_doubtful));
            assert_eq!(choice(&known, 13_601, key), (new.clone(), new, false));
        }
        assert!((350..450).contains(&moved), "{moved}");
    }

    #[test]
    fn weights_that_went_up_and_down_leave_doubt_about_what_began_between() {
        let known = known(&[(0, 0), (10_000, 50), (10_100, 0)]);
        let doubtful = (0..1_000).filter(|key| choice(&known, 10_200, *key).2).count();
        assert!((430..570).contains(&doubtful), "{doubtful}");
        assert!((0..1_000).all(|key| choice(&known, 10_200, key).1 == "v1"));
    }

    #[test]
    fn what_is_announced_holds_from_its_moment_on() {
        let standing = Standing {
            weights: vec![
                WeightsSince {
                    ago: Duration::from_secs(50),
                    ..WeightsSince::new(3, weights(0))
                },
                WeightsSince {
                    in_force_in: Duration::from_secs(3),
                    ..WeightsSince::new(4, weights(100))
                },
            ],
            changed: None,
        };
        let known = KnownWeights::told(&standing, at(100), &weights(50));
        assert_eq!((known.in_force(at(102)), known.revision(at(102))), (&weights(0), 3));
        assert_eq!((known.in_force(at(103)), known.revision(at(103))), (&weights(100), 4));
        let none = Standing::default();
        assert_eq!(
            KnownWeights::told(&none, at(100), &weights(50)),
            KnownWeights::initial(&weights(50))
        );
    }

    #[test]
    fn who_may_see_no_version_with_a_weight_gets_none() {
        let known = known(&[(0, 0)]);
        let conversation = Conversation {
            key: 1,
            has_begun: false,
        };
        assert_eq!(
            known.choose(at(1), conversation, STAY, |version| version.as_str() == "v2"),
            None
        );
    }
}
