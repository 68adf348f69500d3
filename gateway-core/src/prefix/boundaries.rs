//! The boundaries of one prompt, and which of them chooses its replica.

use crate::cluster::Boundary;
use crate::ids::{PrefixKey, Tokens};

/// The boundaries of a prompt: at most 64, ascending.
///
/// Where they are depends on bytes alone, so that it stays as it was when the conversation goes on. How many tokens that is
/// is the share of the request's own count: a key says what is shared, and whoever finds one takes his own tokens there.
#[derive(Clone, Debug, Default)]
pub struct Boundaries {
    pub(super) found: Vec<Found>,
    /// The places that may choose a replica, best first.
    pub(super) anchors: Vec<u64>,
    /// The places that are told to others.
    pub(super) outline: Vec<u64>,
    /// Where what tells a conversation from others ends.
    pub(super) conversation: u64,
    /// Where the last answer ends that the prompt goes on from.
    pub(super) answered: u64,
    /// The bytes of all prompts of the request.
    pub(super) length: u64,
    /// Whether it has messages.
    pub(super) is_conversation: bool,
}

/// A place that the chain has passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Found {
    pub key: PrefixKey,
    /// In bytes from the prompt's beginning.
    pub at: u64,
}

impl Boundaries {
    /// The boundaries of a request that takes `total` prompt tokens, strictly ascending. The last one is the end of its
    /// prompt; of its first prompt, where there are several.
    pub fn with_total(&self, total: Tokens) -> Vec<Boundary> {
        self.scaled(&self.found, total)
    }

    /// At most 16 of them, by which others find what they share with the prompt.
    pub fn outline(&self, total: Tokens) -> Vec<Boundary> {
        let is_told = |found: &&Found| self.outline.binary_search(&found.at).is_ok();
        self.scaled(self.found.iter().filter(is_told), total)
    }

    fn scaled<'f>(&self, found: impl IntoIterator<Item = &'f Found>, total: Tokens) -> Vec<Boundary> {
        let mut boundaries: Vec<Boundary> = Vec::new();
        for Found { key, at } in found {
            let (key, tokens) = (*key, self.share(*at, total));
            match boundaries.last_mut() {
                Some(last) if last.tokens >= tokens => last.key = key,
                None if tokens == Tokens(0) => {}
                Some(_) | None => boundaries.push(Boundary { key, tokens }),
            }
        }
        boundaries
    }

    /// How many of `total` prompt tokens some replica should have computed already, if the conversation has been here:
    /// all up to the end of the last answer in it, which is a prompt and what came of it. 0 in a first turn.
    pub fn presumed(&self, total: Tokens) -> Tokens {
        self.share(self.answered, total)
    }

    /// About how many tokens the prompt is, before it is counted: of English four bytes are one.
    pub fn rough_tokens(&self) -> Tokens {
        Tokens(self.length / 4)
    }

    /// Whether a replica may have seen most of it: all but a conversation's first turn, whose client knows no answer yet.
    pub fn may_have_been_here(&self) -> bool {
        self.answered > 0 || !self.is_conversation
    }

    /// The key by which a replica is chosen where nothing else is known: the first of those that may choose and is not
    /// `hot`, which is to say that it draws more than one replica's share; the last of them where all are. `None` where
    /// there is no prefix to keep warm.
    pub fn affinity(&self, is_hot: impl Fn(PrefixKey) -> bool) -> Option<PrefixKey> {
        let mut last = None;
        for place in &self.anchors {
            let index = self.found.binary_search_by_key(place, |found| found.at).ok()?;
            let key = self.found[index].key;
            if !is_hot(key) {
                return Some(key);
            }
            last = Some(key);
        }
        last
    }

    /// The key of what tells a conversation from others, which is the same in all of its turns: all up to the end of its
    /// first message of a user. Of a prompt without messages all of it. `None` where there is no prompt.
    pub fn conversation(&self) -> Option<PrefixKey> {
        let index = self.found.binary_search_by_key(&self.conversation, |found| found.at);
        Some(self.found[index.ok()?].key)
    }

    /// Whether there is an answer in it that somebody has gone on from.
    pub fn has_answer(&self) -> bool {
        self.answered > 0
    }

    fn share(&self, at: u64, total: Tokens) -> Tokens {
        let share = u128::from(total.0) * u128::from(at) / u128::from(self.length.max(1));
        Tokens(u64::try_from(share).unwrap_or(u64::MAX).min(total.0))
    }
}
