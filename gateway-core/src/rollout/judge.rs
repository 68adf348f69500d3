//! Whether a version is worse than the others, by what requests have met there. What it is compared by holds whenever it is
//! looked at: a version that is no worse than its margins is taken for worse with a probability of [`ALPHA`] at most in
//! all looks together, however many there are.
//!
//! The test is that of `share.rs`. A version fails more often than the others by the margin where the least rate that it may
//! have is more than the largest that the others may have and the margin.
//!
//! Times to the first token are compared by the same means: whether a quantile lies above a bound is a question of how many
//! times do. Two quantiles are, each in each class of prompts.

use std::fmt;
use std::time::Duration;

use super::evidence::{Evidence, PromptClass, TimeToFirst};
use super::policy::RolloutPolicy;
use crate::share::Share;

/// With this probability at most a step is taken back although the version is within its margins: a half for failures, a
/// half for times to the first token.
pub const ALPHA: f64 = 0.01;

/// In which way a version is worse.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Worse {
    /// It fails more often, by the margin.
    Errors {
        /// How many of its requests failed, and how many there were.
        failed: (u64, u64),
        /// The same of the other versions.
        others: (u64, u64),
        /// In percent.
        margin: f64,
    },
    /// Its first tokens come later, by the margin.
    FirstToken {
        /// Of prompts of that class.
        class: PromptClass,
        /// Which quantile, in percent.
        quantile: u32,
        /// It is longer than this,
        beyond: Duration,
        /// while that of the others is no longer than this.
        others_within: Duration,
    },
}

impl fmt::Display for Worse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Errors { failed, others, margin } => {
                let ((k, n), (others_k, others_n)) = (failed, others);
                write!(
                    f,
                    "{k} of {n} requests failed, {others_k} of {others_n} at the other versions: surely more than {margin} \
                     in a hundred more"
                )
            }
            Self::FirstToken {
                class,
                quantile,
                beyond,
                others_within,
            } => {
                let (least, most) = class.bounds();
                let most = most.map_or(String::new(), |most| format!(" to {most}"));
                write!(
                    f,
                    "{quantile}% of first tokens took longer than {} ms, while at the other versions no more took longer than \
                     {} ms, for prompts with {least}{most} tokens to compute",
                    beyond.as_millis(),
                    others_within.as_millis(),
                )
            }
        }
    }
}

/// In which way the version is worse than the others beyond its margins, if it is known to be. Whether that is enough to
/// know is part of the test.
pub fn judge(version: &Evidence, others: &Evidence, policy: &RolloutPolicy) -> Option<Worse> {
    by_errors(version, others, policy).or_else(|| by_first_tokens(version, others, policy))
}

fn by_errors(version: &Evidence, others: &Evidence, policy: &RolloutPolicy) -> Option<Worse> {
    let margin = f64::from(policy.worse_errors) / 1e4;
    let (own, other) = (failed(version), failed(others));
    // Each of the two bounds may err by a half.
    let bound = other.largest(ALPHA / 4.0) + margin;
    (bound < 1.0 && own.is_surely_more(bound, ALPHA / 4.0)).then_some(Worse::Errors {
        failed: (own.hits, own.trials),
        others: (other.hits, other.trials),
        margin: margin * 100.0,
    })
}

/// How many requests a version has failed.
fn failed(evidence: &Evidence) -> Share {
    Share {
        hits: evidence.failed(),
        trials: evidence.requests,
    }
}

fn by_first_tokens(version: &Evidence, others: &Evidence, policy: &RolloutPolicy) -> Option<Worse> {
    // In buckets, rounded up.
    let margin = (1.0 + f64::from(policy.worse_ttft_percent) / 100.0).log2() * TimeToFirst::PER_OCTAVE;
    let margin = margin.ceil() as i32;
    let alpha = ALPHA / 4.0 / (QUANTILES.len() * PromptClass::COUNT) as f64;
    let compare = |class: PromptClass, quantile: u32| {
        let share = f64::from(quantile) / 100.0;
        let (own, others) = (version.first_tokens(class), others.first_tokens(class));
        let beyond = surely_beyond(&own, share, alpha)?;
        let others_within = surely_within(&others, share, alpha)?;
        (beyond.buckets_beyond(others_within) >= margin).then(|| Worse::FirstToken {
            class,
            quantile: 100 - quantile,
            beyond: beyond.bound(),
            others_within: others_within.bound(),
        })
    };
    PromptClass::all().find_map(|class| QUANTILES.iter().find_map(|quantile| compare(class, *quantile)))
}

/// The median, and what a tenth takes longer than, in percent.
const QUANTILES: [u32; 2] = [50, 90];

/// How many first tokens there were, and how many had come by the end of each bucket.
type FirstTokens = (u64, Vec<(TimeToFirst, u64)>);

/// The last bucket by whose end surely fewer than that share have come: the quantile lies beyond it.
fn surely_beyond((trials, by): &FirstTokens, share: f64, alpha: f64) -> Option<TimeToFirst> {
    let trials = *trials;
    let is_less = |hits: u64| Share { hits, trials }.is_surely_less(share, alpha);
    let first = by.iter().position(|(_, hits)| !is_less(*hits))?;
    let hits_before = first.checked_sub(1).map_or(0, |before| by[before].1);
    is_less(hits_before).then(|| by[first].0.before())?
}

/// The first bucket by whose end surely more than that share have come: the quantile lies within it.
fn surely_within((trials, by): &FirstTokens, share: f64, alpha: f64) -> Option<TimeToFirst> {
    let trials = *trials;
    let is_more = |hits: u64| Share { hits, trials }.is_surely_more(share, alpha);
    by.iter().find(|(_, hits)| is_more(*hits)).map(|(time, _)| *time)
}

#[cfg(test)]
mod tests;
