//! The answers that were stored or read last here: they need no read, and are there at once where the store shows what is
//! written only after a while.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::{CacheKey, Entry};
use crate::time::Timestamp;

/// Answers by their keys, within a bound.
#[derive(Debug, Default)]
pub struct EntryMemory {
    entries: BTreeMap<CacheKey, Remembered>,
    /// The same keys by their answers' numbers: the one that came first has the least.
    order: BTreeMap<u64, CacheKey>,
    last_number: u64,
    bytes: usize,
    /// When answers were last written to the store.
    writes: BTreeMap<CacheKey, Timestamp>,
}

#[derive(Debug)]
struct Remembered {
    entry: Arc<Entry>,
    since: Timestamp,
    number: u64,
}

impl EntryMemory {
    /// The answer of that key, if it came so lately that the store has hardly another.
    pub fn get(&self, now: Timestamp, key: &CacheKey) -> Option<Arc<Entry>> {
        let known = self.entries.get(key)?;
        (now.since(known.since) < REMEMBERED_FOR).then(|| Arc::clone(&known.entry))
    }

    /// Remembers an answer; those that came first make room, so that all take at most so many bytes.
    pub fn insert(&mut self, now: Timestamp, key: CacheKey, entry: Arc<Entry>, most_bytes: usize) {
        self.remove(&key);
        if entry.bytes() > most_bytes {
            return;
        }
        self.bytes += entry.bytes();
        self.last_number += 1;
        let number = self.last_number;
        self.order.insert(number, key);
        self.entries.insert(
            key,
            Remembered {
                entry,
                since: now,
                number,
            },
        );
        while self.bytes > most_bytes
            && let Some(first) = self.order.first_key_value().map(|(_, key)| *key)
        {
            self.remove(&first);
        }
    }

    /// Forgets an answer.
    pub fn remove(&mut self, key: &CacheKey) {
        if let Some(Remembered { entry, number, .. }) = self.entries.remove(key) {
            self.bytes -= entry.bytes();
            self.order.remove(&number);
        }
    }

    /// Whether an answer may be written to the store now: Workers KV takes one write of a key each second. It counts as
    /// written then.
    pub fn may_write(&mut self, now: Timestamp, key: CacheKey) -> bool {
        self.writes.retain(|_, written| now.since(*written) < WRITE_EVERY);
        if self.writes.contains_key(&key) || self.writes.len() >= MOST_WRITES {
            return false;
        }
        self.writes.insert(key, now);
        true
    }
}

/// As long as Workers KV takes to show what was written elsewhere: so an answer that was purged or made anew there is given
/// here for no longer than from there.
const REMEMBERED_FOR: Duration = Duration::from_secs(60);
const WRITE_EVERY: Duration = Duration::from_secs(1);
/// Answers that are written within one second.
const MOST_WRITES: usize = 1_024;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::Usage;

    fn key(number: u64) -> CacheKey {
        CacheKey::parse(&format!("{number:064x}")).unwrap()
    }

    fn entry(bytes: usize) -> Arc<Entry> {
        Arc::new(Entry {
            began: Timestamp::from_millis(1),
            stored: Timestamp::from_millis(1),
            usage: Usage::default(),
            body: vec![b'a'; bytes].into(),
        })
    }

    #[test]
    fn the_answers_that_came_first_make_room() {
        let mut memory = EntryMemory::default();
        let each = entry(100).bytes();
        for number in 0..4 {
            memory.insert(at(0), key(number), entry(100), 3 * each);
        }
        let known = |memory: &EntryMemory| {
            (0..4)
                .map(|number| memory.get(at(0), &key(number)).is_some())
                .collect::<Vec<_>>()
        };
        assert_eq!(known(&memory), [false, true, true, true]);
        memory.insert(at(0), key(1), entry(90), 3 * each);
        memory.insert(at(0), key(0), entry(100), 3 * each);
        assert_eq!(known(&memory), [true, true, false, true], "a newer answer is newer");
        memory.insert(at(0), key(3), entry(10_000), 3 * each);
        assert_eq!(
            known(&memory),
            [true, true, false, false],
            "what is too large is not the one before either"
        );
        memory.remove(&key(0));
        memory.remove(&key(1));
        assert_eq!((memory.bytes, memory.order.len()), (0, 0));
    }

    fn at(millis: u64) -> Timestamp {
        Timestamp::from_millis(1_000_000 + millis)
    }

    #[test]
    fn the_store_is_looked_at_again_after_a_minute() {
        let mut memory = EntryMemory::default();
        memory.insert(at(0), key(1), entry(1), 10_000);
        assert!(memory.get(at(59_999), &key(1)).is_some() && memory.get(at(60_000), &key(1)).is_none());
    }

    #[test]
    fn an_answer_is_written_once_a_second() {
        let mut memory = EntryMemory::default();
        assert!(memory.may_write(at(0), key(1)));
        assert!(!memory.may_write(at(999), key(1)));
        assert!(memory.may_write(at(999), key(2)));
        assert!(memory.may_write(at(1_000), key(1)));
    }
}
