//! How far back a replica's memory reaches. An engine whose `kv_cache` is full drops first what was used longest ago, so that
//! what was not used while a whole `kv_cache` of tokens came in is gone; an engine that has begun anew has nothing of before.
//! From what is sent there, and from what its answers say; it knows of no prompt.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::ids::Tokens;
use crate::time::Timestamp;

/// The memory of one replica.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Turnover {
    /// What was last used before this moment is not in memory.
    reaches: Timestamp,
    /// So many tokens have come in.
    tokens: u64,
    /// When the present turn began, which ends when a whole `kv_cache` has come in.
    turn: Mark,
    kv_cache_tokens: u64,
}

/// A moment, by the clock and by how many tokens had come in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Mark {
    pub at: Timestamp,
    tokens: u64,
}

impl Turnover {
    /// So many tokens come in to a replica that has a `kv_cache` of that size. Whether a turn has ended so: what was not used
    /// since it began is gone.
    pub fn on_sent(&mut self, now: Timestamp, tokens: u64, kv_cache_tokens: u64) -> bool {
        self.kv_cache_tokens = kv_cache_tokens;
        self.tokens = self.tokens.saturating_add(tokens);
        let has_turned = kv_cache_tokens > 0 && self.tokens - self.turn.tokens >= kv_cache_tokens;
        if has_turned {
            self.reaches = self.reaches.max(self.turn.at);
            self.turn = self.mark(now);
        }
        has_turned
    }

    /// This moment.
    pub fn mark(&self, now: Timestamp) -> Mark {
        Mark {
            at: now,
            tokens: self.tokens,
        }
    }

    /// Whether what was last used at that moment may be in memory.
    pub fn has(&self, used: Timestamp) -> bool {
        used >= self.reaches
    }

    /// What was last used then is not in memory any more. Whether that says that the replica has lost all that it had: so
    /// little has come in since, beside what it `holds` for requests that run, that nothing had to make room.
    pub fn is_lost(&self, used: Mark, holds: Tokens) -> bool {
        let room = self.kv_cache_tokens.saturating_sub(holds.0);
        self.tokens.saturating_sub(used.tokens) < room / 2
    }

    /// Nothing is in memory of what was used before that moment.
    pub fn forget_before(&mut self, moment: Timestamp) {
        self.reaches = self.reaches.max(moment);
    }

    /// Nothing is in memory of what was used until then.
    pub fn forget_until(&mut self, moment: Timestamp) {
        self.forget_before(moment + Duration::from_micros(1));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KV_CACHE: u64 = 1_000;

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_millis(seconds * 1_000)
    }

    #[test]
    fn what_was_not_used_while_the_whole_cache_came_in_is_gone() {
        let mut memory = Turnover::default();
        let turns: Vec<_> = (1..=6)
            .map(|second| memory.on_sent(at(second), 400, KV_CACHE))
            .collect();
        assert_eq!(turns, [false, false, true, false, false, true]);
        assert!(memory.has(at(3)) && !memory.has(at(2)));
        assert!(!memory.on_sent(at(7), 400, KV_CACHE));
        assert!(memory.has(at(3)), "a turn is not over");
    }

    #[test]
    fn what_is_gone_although_nothing_had_to_make_room_went_with_all_else() {
        let mut memory = Turnover::default();
        memory.on_sent(at(1), 400, KV_CACHE);
        let used = memory.mark(at(1));
        memory.on_sent(at(2), 400, KV_CACHE);
        assert!(memory.is_lost(used, Tokens(0)) && !memory.is_lost(used, Tokens(200)));
        memory.on_sent(at(3), 400, KV_CACHE);
        assert!(
            !memory.is_lost(used, Tokens(0)),
            "more may have come in than was told here"
        );
        memory.forget_before(at(3));
        assert!(memory.has(at(3)) && !memory.has(at(2)));
        memory.forget_until(at(3));
        assert!(!memory.has(at(3)) && memory.has(at(4)));
    }
}
