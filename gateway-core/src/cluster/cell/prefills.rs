//! The prompts that were sent to one replica and are not computed yet, in the order in which they were sent, as engines
//! compute them. Counted from the moment of the permit, when no engine has heard of them.

use std::collections::VecDeque;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::sites::duration;
use crate::cluster::permit::PermitId;
use crate::cluster::prompt::TELLS_FROM;
use crate::ids::PrefixKey;
use crate::time::Timestamp;

/// The queue of one replica: at most one prompt for each permit there.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct PrefillQueue {
    prefills: VecDeque<Prefill>,
    /// The sum over all.
    tokens: u64,
    /// The sum over those whose holders say when they are done.
    #[serde(default)]
    told: u64,
    /// Since when the first one is computed.
    first_since: Timestamp,
    /// None leaves by itself before this moment.
    sweep_at: Timestamp,
}

/// A prompt, or the part of it that has to be computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Prefill {
    pub permit: PermitId,
    /// What has to be computed.
    tokens: u64,
    /// That, and what was queued before it when it was sent.
    pub work: u64,
    /// When it was sent.
    #[serde(default)]
    sent: Timestamp,
    /// When it is not waited for any longer.
    leaves: Timestamp,
    /// What names all of its prompt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prompt: Option<PrefixKey>,
}

/// What is sent to a replica.
#[derive(Clone, Copy, Debug)]
pub(super) struct SentPrompt {
    /// Under which permit.
    pub permit: PermitId,
    /// What names all of it.
    pub key: Option<PrefixKey>,
    /// So many tokens of it have to be computed.
    pub uncached: u64,
}

impl Prefill {
    /// Whether nothing was queued before it.
    pub fn was_alone(&self) -> bool {
        self.work == self.tokens
    }

    /// Whether its holder says when it is done.
    fn is_told(&self) -> bool {
        self.tokens >= TELLS_FROM.0
    }

    /// Its tokens, where its holder says when it is done.
    fn told(&self) -> u64 {
        if self.is_told() { self.tokens } else { 0 }
    }

    /// How long after its time it is still waited for, where it should take so long in all.
    fn patience(&self, takes: Duration) -> Duration {
        if self.is_told() {
            (takes * (SLOWEST - 1)).clamp(LEAST_OVERDUE, MOST_OVERDUE)
        } else {
            Duration::ZERO
        }
    }
}

impl PrefillQueue {
    pub fn is_empty(&self) -> bool {
        self.prefills.is_empty()
    }

    pub fn iter(&self) -> impl Iterator<Item = &Prefill> {
        self.prefills.iter()
    }

    /// A prompt was sent.
    pub fn push(&mut self, now: Timestamp, sent: SentPrompt, tokens_per_s: u32) {
        let tokens = sent.uncached.min(MOST_TOKENS);
        if tokens == 0 {
            return;
        }
        if self.prefills.is_empty() {
            (self.first_since, self.sweep_at) = (now, Timestamp::NEVER);
        }
        let work = self.left(now, tokens_per_s) + tokens;
        self.tokens += tokens;
        let mut prefill = Prefill {
            permit: sent.permit,
            tokens,
            work,
            sent: now,
            leaves: now,
            prompt: sent.key,
        };
        let takes = duration(work, tokens_per_s);
        prefill.leaves = now + takes + prefill.patience(takes);
        self.sweep_at = self.sweep_at.min(prefill.leaves);
        self.told += prefill.told();
        self.prefills.push_back(prefill);
    }

    /// The prompt under that permit keeps the replica no longer. Gives it, if it was here.
    pub fn remove(&mut self, now: Timestamp, permit: PermitId) -> Option<Prefill> {
        let place = self.prefills.iter().position(|prefill| prefill.permit == permit)?;
        let removed = self.prefills.remove(place)?;
        self.tokens -= removed.tokens;
        // A record of a version before has no sum.
        self.told = self.told.saturating_sub(removed.told());
        if self.prefills.is_empty() {
            *self = Self::default();
        } else if place == 0 {
            self.first_since = now;
        }
        Some(removed)
    }

    /// Prompts of which nobody tells when they are done leave when they should be; one of which somebody was to tell, when
    /// that is long overdue.
    pub fn sweep(&mut self, now: Timestamp) {
        if self.prefills.is_empty() || now < self.sweep_at {
            return;
        }
        self.keep(now, |prefill| now < prefill.leaves);
    }

    /// What was sent before that moment is computed.
    pub fn forget_before(&mut self, now: Timestamp, before: Timestamp) {
        self.keep(now, |prefill| prefill.sent >= before);
    }

    fn keep(&mut self, now: Timestamp, stays: impl Fn(&Prefill) -> bool) {
        let first = self.prefills.front().map(|prefill| prefill.permit);
        self.prefills.retain(stays);
        if self.prefills.is_empty() {
            *self = Self::default();
            return;
        }
        self.tokens = self.prefills.iter().map(|prefill| prefill.tokens).sum();
        self.told = self.prefills.iter().map(Prefill::told).sum();
        let leaves = self.prefills.iter().map(|prefill| prefill.leaves);
        self.sweep_at = leaves.min().unwrap_or(Timestamp::NEVER);
        if self.prefills.front().map(|prefill| prefill.permit) != first {
            self.first_since = now;
        }
    }

    /// The same of those alone whose holders say when they are done.
    pub fn told_left(&self, now: Timestamp, tokens_per_s: u32) -> u64 {
        match self.prefills.front() {
            Some(first) if first.is_told() => {
                let computed = self.tokens - self.left(now, tokens_per_s);
                self.told.saturating_sub(computed)
            }
            Some(_) | None => self.told,
        }
    }

    /// Tokens that are still to be computed: of the first prompt some are, as long as nothing is heard of it.
    pub fn left(&self, now: Timestamp, tokens_per_s: u32) -> u64 {
        let Some(first) = self.prefills.front() else { return 0 };
        let micros = u64::try_from(now.since(self.first_since).as_micros()).unwrap_or(u64::MAX);
        let computed = micros.saturating_mul(tokens_per_s.into()) / 1_000_000;
        let most = if first.is_told() {
            first.tokens - first.tokens / OVERDUE_SHARE
        } else {
            first.tokens
        };
        self.tokens - computed.min(most)
    }

    /// What must hold after every command.
    ///
    /// # Errors
    /// What is broken.
    pub fn check_invariants(&self) -> Result<(), String> {
        let sum: u64 = self.prefills.iter().map(|prefill| prefill.tokens).sum();
        let told: u64 = self.prefills.iter().map(Prefill::told).sum();
        let is_any_empty = self.prefills.iter().any(|prefill| prefill.tokens == 0);
        let is_late = self.prefills.iter().any(|prefill| prefill.leaves < self.sweep_at);
        if (sum, told) != (self.tokens, self.told) || is_any_empty || is_late {
            return Err(format!(
                "a queue of {sum} tokens, of which {told} are told, counts {} and {}, or is swept too late",
                self.tokens, self.told
            ));
        }
        Ok(())
    }
}

/// A first prompt that is overdue counts for this part of itself: the replica is slower than expected, and nobody knows by
/// how much.
const OVERDUE_SHARE: u64 = 8;
/// A prompt is waited for so many times as long as it should take, since a replica may be as many times slower than it is
/// believed to be (`speed.rs`). Then whoever sent it is gone: a gateway that was killed tells nothing any more.
const SLOWEST: u32 = 4;
/// So long after its time at least: news may be on their way.
const LEAST_OVERDUE: Duration = Duration::from_secs(1);
/// And at most: as long as a request waits for an answer's beginning, where nobody says otherwise.
const MOST_OVERDUE: Duration = Duration::from_secs(60);
/// More than any prompt has: sums of as many as there are permits stay far from the end of what can be counted.
const MOST_TOKENS: u64 = 1 << 32;

#[cfg(test)]
mod tests {
    use super::*;

    const SPEED: u32 = 10_000;

    fn at(millis: u64) -> Timestamp {
        Timestamp::from_millis(1_000_000 + millis)
    }

    fn push(queue: &mut PrefillQueue, millis: u64, permit: u64, tokens: u64) {
        let sent = SentPrompt {
            permit: PermitId(permit),
            key: None,
            uncached: tokens,
        };
        queue.push(at(millis), sent, SPEED);
        assert_eq!(queue.check_invariants(), Ok(()));
    }

    #[test]
    fn the_first_prompt_is_computed_and_the_others_wait() {
        let mut queue = PrefillQueue::default();
        push(&mut queue, 0, 1, 8_000);
        push(&mut queue, 400, 2, 6_000);
        for (millis, left) in [(400, 10_000), (600, 8_000), (700, 7_000), (5_000, 7_000)] {
            assert_eq!(queue.left(at(millis), SPEED), left, "after {millis} ms");
        }
        let first = queue.remove(at(900), PermitId(1)).expect("it is there");
        assert_eq!((first.work, queue.left(at(900), SPEED)), (8_000, 6_000));
        assert_eq!(queue.left(at(1_000), SPEED), 5_000, "its turn");
        assert_eq!(
            queue.remove(at(1_500), PermitId(2)).map(|second| second.work),
            Some(10_000)
        );
        assert_eq!((queue.left(at(1_500), SPEED), queue.is_empty()), (0, true));
    }

    #[test]
    fn a_prompt_that_is_gone_out_of_turn_leaves_the_first_where_it_was() {
        let mut queue = PrefillQueue::default();
        push(&mut queue, 0, 1, 8_000);
        push(&mut queue, 0, 2, 6_000);
        assert_eq!(queue.remove(at(300), PermitId(9)), None);
        assert!(queue.remove(at(300), PermitId(2)).is_some());
        assert_eq!(queue.left(at(300), SPEED), 5_000);
    }

    #[test]
    fn who_does_not_tell_leaves_in_time_and_who_tells_when_it_is_long_overdue() {
        let mut queue = PrefillQueue::default();
        push(&mut queue, 0, 1, 1_000);
        push(&mut queue, 0, 2, 2_000);
        push(&mut queue, 0, 3, 0);
        queue.sweep(at(99));
        assert_eq!(queue.left(at(99), SPEED), 2_010);
        queue.sweep(at(100));
        assert_eq!(queue.left(at(100), SPEED), 2_000);
        queue.sweep(at(1_299));
        assert_eq!(queue.left(at(1_299), SPEED), 250, "it is overdue");
        queue.sweep(at(1_300));
        assert!(queue.is_empty());
    }

    /// A gateway was killed: nobody tells of its prompts any more, and nobody renews its permits either.
    #[test]
    fn prompts_of_the_dead_are_waited_for_four_times_as_long_as_they_should_take() {
        let mut queue = PrefillQueue::default();
        (1..=3).for_each(|permit| push(&mut queue, 0, permit, 10_000));
        for (millis, left) in [
            (3_999, 21_250),
            (4_000, 20_000),
            (8_000, 10_000),
            (11_999, 1_250),
            (12_000, 0),
        ] {
            queue.sweep(at(millis));
            assert_eq!(queue.left(at(millis), SPEED), left, "after {millis} ms");
        }
        push(&mut queue, 0, 4, 1 << 20);
        queue.sweep(at(104_857 + 60_000));
        assert!(!queue.is_empty());
        queue.sweep(at(104_858 + 60_000));
        assert!(queue.is_empty(), "a minute at most");
    }
}
