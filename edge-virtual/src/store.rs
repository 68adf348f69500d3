//! The store: what is written is seen at once by the process that wrote it, and elsewhere later, within a bound that is
//! the world's to set; each process sees it at a moment of its own.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use tidegate_core::platform::StoreError;
use tidegate_core::time::Timestamp;

use crate::process::ProcessId;
use crate::random::Random;

/// Keys and values.
#[derive(Debug)]
pub struct Store {
    seed: u64,
    values: RefCell<BTreeMap<String, Vec<Version>>>,
    written: Cell<u64>,
    staleness: Cell<Duration>,
    is_failing: Cell<bool>,
    delay: Cell<Duration>,
    reads: Cell<u64>,
}

#[derive(Debug)]
struct Version {
    number: u64,
    value: Bytes,
    /// `None`: it was there before anybody.
    by: Option<ProcessId>,
    at: Timestamp,
    ends: Option<Timestamp>,
}

impl Store {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            seed,
            values: RefCell::default(),
            written: Cell::default(),
            staleness: Cell::default(),
            is_failing: Cell::default(),
            delay: Cell::default(),
            reads: Cell::default(),
        }
    }

    /// From now on what is written may be unseen elsewhere for so long.
    pub fn set_staleness(&self, bound: Duration) {
        self.staleness.set(bound);
    }

    /// From now on every read and write fails, or none does.
    pub fn fail(&self, is_failing: bool) {
        self.is_failing.set(is_failing);
    }

    /// From now on every read takes so long.
    pub fn set_delay(&self, delay: Duration) {
        self.delay.set(delay);
    }

    /// A read begins; it takes so long.
    pub(crate) fn begin_read(&self) -> Duration {
        self.reads.set(self.reads.get() + 1);
        self.delay.get()
    }

    /// How often it was asked for values, in vain too.
    pub fn reads(&self) -> u64 {
        self.reads.get()
    }

    /// Puts a value there that everybody sees.
    pub fn put(&self, key: &str, value: &str) {
        let by_nobody = Version {
            number: self.next_number(),
            value: Bytes::copy_from_slice(value.as_bytes()),
            by: None,
            at: Timestamp::default(),
            ends: None,
        };
        self.values.borrow_mut().insert(key.to_owned(), vec![by_nobody]);
    }

    pub(crate) fn read(
        &self,
        now: Timestamp,
        reader: ProcessId,
        keys: &[&str],
    ) -> Result<Vec<Option<Bytes>>, StoreError> {
        self.check()?;
        let values = self.values.borrow();
        let seen = |version: &&Version| self.seen_from(version, reader) <= now;
        Ok(keys
            .iter()
            .map(|key| {
                let newest = values.get(*key)?.iter().rev().find(seen)?;
                let is_there = newest.ends.is_none_or(|ends| now < ends);
                is_there.then(|| newest.value.clone())
            })
            .collect())
    }

    pub(crate) fn write(
        &self,
        now: Timestamp,
        by: ProcessId,
        key: &str,
        value: Bytes,
        ttl: Option<Duration>,
    ) -> Result<(), StoreError> {
        self.check()?;
        let version = Version {
            number: self.next_number(),
            value,
            by: Some(by),
            at: now,
            ends: ttl.map(|ttl| now + ttl),
        };
        let mut values = self.values.borrow_mut();
        let versions = values.entry(key.to_owned()).or_default();
        // All but the last of those that everybody has been able to see by now are of no use.
        let is_seen = |version: &Version| version.at + self.staleness.get() <= now;
        let seen = versions.iter().take_while(|version| is_seen(version)).count();
        versions.drain(..seen.saturating_sub(1));
        versions.push(version);
        Ok(())
    }

    fn seen_from(&self, version: &Version, reader: ProcessId) -> Timestamp {
        if version.by.is_none_or(|by| by == reader) {
            return version.at;
        }
        let mut random = Random::of(self.seed ^ version.number, reader.0);
        version.at + random.time_within(&(Duration::ZERO..self.staleness.get()))
    }

    fn next_number(&self) -> u64 {
        self.written.set(self.written.get() + 1);
        self.written.get()
    }

    fn check(&self) -> Result<(), StoreError> {
        if self.is_failing.get() {
            Err(StoreError("cannot be reached".to_owned()))
        } else {
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_seen_elsewhere_within_the_bound_and_never_unseen_again() {
        let store = Store::new(7);
        store.set_staleness(Duration::from_secs(60));
        let at = |secs: u64| Timestamp::from_millis(1_000_000 + secs * 1_000);
        let value = |number: u64| Bytes::from(number.to_string());
        let read = |now, reader| store.read(now, ProcessId(reader), &["key"]).unwrap()[0].clone();
        let write = |now, number| store.write(now, ProcessId(0), "key", value(number), None).unwrap();
        write(at(0), 0);
        write(at(100), 1);
        assert_eq!(read(at(100), 0), Some(value(1)), "its own");
        let seen: Vec<_> = (100..=160)
            .map(|secs| {
                (1..40)
                    .filter(|reader| read(at(secs), *reader) == Some(value(1)))
                    .count()
            })
            .collect();
        assert!(seen.is_sorted() && seen[30] > 0 && seen[30] < 39, "{seen:?}");
        assert_eq!(seen.last(), Some(&39));
        store.fail(true);
        assert!(store.read(at(200), ProcessId(0), &["key"]).is_err());
    }

    #[test]
    fn a_value_ends_when_its_time_is_over() {
        let store = Store::new(7);
        let ttl = Some(Duration::from_secs(60));
        store
            .write(Timestamp::default(), ProcessId(0), "key", Bytes::new(), ttl)
            .unwrap();
        let is_there = |millis| {
            store
                .read(Timestamp::from_millis(millis), ProcessId(0), &["key"])
                .unwrap()[0]
                .is_some()
        };
        assert!(is_there(59_999) && !is_there(60_000));
    }
}
