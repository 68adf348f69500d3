//! An answer that is kept: its bytes as its engine would have sent it whole, what it took, and when it was made.
//!
//! As bytes, version 2: the version; when its request began and when it was stored, in microseconds of the wall clock, and
//! the tokens of its prompt, those of them that its engine had in memory, and those of the answer, as `postcard` writes them; then the answer in gzip's
//! coding, whose checksum tells damage. How long it counts is not in it: the configuration may change meanwhile.

use std::time::Duration;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::api::{ContentCoding, Usage, gzip};
use crate::config::CachePolicy;
use crate::time::Timestamp;

/// An answer that is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// When its request began, by the wall clock: what an operator purged after that counts no more.
    pub began: Timestamp,
    /// When it was stored, by the wall clock.
    pub stored: Timestamp,
    /// What it took.
    pub usage: Usage,
    /// The whole answer, as JSON.
    pub body: Bytes,
}

/// How an entry that is found counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Freshness {
    /// It may be given.
    Fresh,
    /// It may be given where no engine can answer.
    Stale,
    /// It may not be given.
    Over,
}

#[derive(Serialize, Deserialize)]
struct Head {
    began_micros: u64,
    stored_micros: u64,
    prompt_tokens: u64,
    cached_tokens: Option<u64>,
    completion_tokens: u64,
}

impl Entry {
    /// The entry as bytes; `None` where it cannot be written, which does not happen.
    pub fn encode(&self) -> Option<Bytes> {
        let head = Head {
            began_micros: self.began.as_micros(),
            stored_micros: self.stored.as_micros(),
            prompt_tokens: self.usage.prompt_tokens,
            cached_tokens: self.usage.cached_tokens,
            completion_tokens: self.usage.completion_tokens,
        };
        let mut bytes = postcard::to_extend(&head, vec![VERSION]).ok()?;
        bytes.extend_from_slice(&gzip(&self.body).ok()?);
        Some(bytes.into())
    }

    /// The entry that is written so, whose answer has at most `limit` bytes; `None` of any other version, and of what is
    /// damaged.
    pub fn decode(bytes: &[u8], limit: usize) -> Option<Self> {
        let body = bytes.strip_prefix(&[VERSION])?;
        let (head, body) = postcard::take_from_bytes::<Head>(body).ok()?;
        Some(Self {
            began: Timestamp::from_micros(head.began_micros),
            stored: Timestamp::from_micros(head.stored_micros),
            usage: Usage {
                prompt_tokens: head.prompt_tokens,
                cached_tokens: head.cached_tokens.map(|cached| cached.min(head.prompt_tokens)),
                completion_tokens: head.completion_tokens,
            },
            body: ContentCoding::Gzip.decode(body, limit).ok()?,
        })
    }

    /// How old it is.
    pub fn age(&self, wall: Timestamp) -> Duration {
        wall.since(self.stored)
    }

    /// How it counts now.
    pub fn freshness(&self, wall: Timestamp, policy: CachePolicy) -> Freshness {
        match self.age(wall) {
            age if age < policy.ttl => Freshness::Fresh,
            age if age < policy.ttl + policy.stale => Freshness::Stale,
            _ => Freshness::Over,
        }
    }

    /// What it takes in memory, about, in bytes.
    pub fn bytes(&self) -> usize {
        self.body.len() + ENTRY_BYTES
    }
}

const VERSION: u8 = 2;
/// What an entry takes besides its answer, with its key and places in lists.
const ENTRY_BYTES: usize = 256;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::config::CacheMode;

    fn entry(body: &str) -> Entry {
        Entry {
            began: Timestamp::from_millis(1_700_000_000_123),
            stored: Timestamp::from_millis(1_700_000_000_123),
            usage: Usage {
                prompt_tokens: 7,
                cached_tokens: Some(3),
                completion_tokens: 300,
            },
            body: body.to_owned().into(),
        }
    }

    #[test]
    fn version_2_reads_as_it_was_first_written() {
        let mut bytes = hex("02f8c080c1c1c48203f8c080c1c1c48203070103ac02");
        bytes.extend_from_slice(&gzip(b"{}").unwrap());
        assert_eq!(bytes, entry("{}").encode().unwrap());
        assert_eq!(Entry::decode(&bytes, 10), Some(entry("{}")));
    }

    fn hex(digits: &str) -> Vec<u8> {
        let pairs = digits.as_bytes().chunks_exact(2);
        pairs
            .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
            .collect()
    }

    #[test]
    fn what_is_damaged_too_large_or_of_another_version_is_none() {
        let bytes = entry("{\"a\":1}").encode().unwrap();
        assert_eq!(Entry::decode(&bytes, 7), Some(entry("{\"a\":1}")));
        assert_eq!(Entry::decode(&bytes, 6), None);
        assert_eq!(Entry::decode(&[], 100), None);
        for at in 0..bytes.len() {
            assert_eq!(Entry::decode(&bytes[..at], 100), None, "{at}");
        }
        let mut other = bytes.to_vec();
        other[0] += 1;
        assert_eq!(Entry::decode(&other, 100), None);
        let last = other.len() - 6;
        let mut flipped = bytes.to_vec();
        flipped[last] ^= 1;
        assert_eq!(Entry::decode(&flipped, 100), None);
    }

    #[test]
    fn an_entry_is_fresh_then_stale_then_over() {
        let policy = CachePolicy {
            mode: CacheMode::Always,
            any_temperature: true,
            ttl: Duration::from_secs(60),
            stale: Duration::from_secs(30),
        };
        let entry = entry("");
        let after = |seconds| entry.freshness(entry.stored + Duration::from_secs(seconds), policy);
        assert_eq!(
            [0, 59, 60, 89, 90].map(after),
            [
                Freshness::Fresh,
                Freshness::Fresh,
                Freshness::Stale,
                Freshness::Stale,
                Freshness::Over
            ]
        );
        let earlier = Timestamp::from_millis(1);
        assert_eq!(
            entry.freshness(earlier, policy),
            Freshness::Fresh,
            "a clock that was set back"
        );
    }

    proptest! {
        #[test]
        fn entries_read_as_they_are_written(body in "(?s).{0,200}", stored in any::<u32>(), cached in prop::option::of(0..1_u64)) {
            let usage = Usage { prompt_tokens: u64::from(stored), cached_tokens: cached, completion_tokens: 1 };
            let (began, stored) = (Timestamp::from_millis(stored.into()), Timestamp::from_millis(u64::from(stored) + 1));
            let entry = Entry { began, stored, usage, body: body.into() };
            prop_assert_eq!(Entry::decode(&entry.encode().unwrap(), 4_000), Some(entry));
        }

        #[test]
        fn whatever_comes_back_is_read_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            Entry::decode(&[&[VERSION], &bytes[..]].concat(), 1_000);
        }
    }
}
