//! One sequence: a prompt and the output that grows behind it.

use std::time::Duration;

use tidegate_core::time::Timestamp;

use super::blocks::BlockId;
use super::prefix::{BLOCK_TOKENS, BlockHash};

/// Names a sequence within its engine; never used twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SequenceId(pub u64);

/// What is asked of the engine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SequenceRequest {
    /// Length of the prompt in tokens, at least one.
    pub prompt_tokens: u32,
    /// Tokens to generate before it is finished; none for an embedding.
    pub output_tokens: u32,
    /// Hashes of the full blocks of prompt and output together, as far as they are known: blocks without one are
    /// never found again.
    pub block_hashes: Vec<BlockHash>,
    /// How it is held back, beyond what its steps take.
    pub pace: Pace,
}

/// Holds a sequence back while it stays in the batch and keeps its blocks: what a fault does to it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Pace {
    /// Least time from arrival to the first token, and from each token to the next.
    pub token_gap: Duration,
    /// After so many tokens there comes no other.
    pub stuck_after: Option<u32>,
}

/// A sequence inside the engine.
#[derive(Debug)]
pub(super) struct Sequence {
    pub id: SequenceId,
    pub request: SequenceRequest,
    /// Tokens whose keys and values are in the `kv_cache`.
    pub computed: u32,
    /// Output tokens given out so far; after a preemption they are recomputed like a prompt.
    pub emitted: u32,
    /// Tokens that the step under way computes.
    pub scheduled: u32,
    pub held: Vec<BlockId>,
    /// Prompt tokens that were found in the cache when the sequence was first admitted.
    pub cached_tokens: Option<u32>,
    pub arrived: Timestamp,
    pub admitted: Option<Timestamp>,
    pub first_token: Option<Timestamp>,
    /// When the last token came out; arrival before the first.
    pub last_token: Timestamp,
}

impl Sequence {
    pub fn new(id: SequenceId, request: SequenceRequest, now: Timestamp) -> Self {
        Self {
            id,
            request,
            computed: 0,
            emitted: 0,
            scheduled: 0,
            held: Vec::new(),
            cached_tokens: None,
            arrived: now,
            admitted: None,
            first_token: None,
            last_token: now,
        }
    }

    /// Prompt and output so far, in tokens.
    pub fn known_tokens(&self) -> u32 {
        self.request.prompt_tokens + self.emitted
    }

    /// Tokens that are known but not computed.
    pub fn uncomputed(&self) -> u32 {
        self.known_tokens() - self.computed
    }

    /// The prefixes that may be taken from the cache: all but the last token, which must be computed to go on.
    pub fn reusable_hashes(&self) -> &[BlockHash] {
        let full_blocks = ((self.known_tokens() - 1) / BLOCK_TOKENS) as usize;
        &self.request.block_hashes[..full_blocks.min(self.request.block_hashes.len())]
    }

    /// When it may be computed next; never when it is stuck.
    pub fn due(&self) -> Option<Timestamp> {
        let Pace { token_gap, stuck_after } = self.request.pace;
        let stuck = stuck_after.is_some_and(|tokens| self.emitted >= tokens);
        (!stuck).then(|| self.last_token + token_gap)
    }

    /// Blocks to add before `tokens` more can be computed.
    pub fn missing_blocks(&self, tokens: u32) -> u32 {
        (self.computed + tokens)
            .div_ceil(BLOCK_TOKENS)
            .saturating_sub(self.held.len() as u32)
    }

    pub fn is_finished(&self) -> bool {
        self.uncomputed() == 0 && self.request.output_tokens == 0
            || self.emitted > 0 && self.emitted == self.request.output_tokens
    }
}
