//! The latest records of a process, isolate or instance: as many as there may be, in as much memory as they may take.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::record::DecisionRecord;
use crate::time::Timestamp;

/// A record that its request still writes on, and others read.
#[derive(Clone, Debug)]
pub struct KeptRecord(Arc<Mutex<DecisionRecord>>);

impl KeptRecord {
    /// Of a request that has just been let in.
    pub fn new(record: DecisionRecord) -> Self {
        Self(Arc::new(Mutex::new(record)))
    }

    /// The record, for a moment: nobody holds it across a wait.
    pub fn get(&self) -> MutexGuard<'_, DecisionRecord> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The latest records, in the order in which their requests came.
#[derive(Debug, Default)]
pub struct KeptRecords {
    records: VecDeque<Weighty>,
    /// The number of the first of them.
    first: u64,
    bytes: usize,
    /// When a record of a request that failed was last stored for others.
    stored: Option<Timestamp>,
}

#[derive(Debug)]
struct Weighty {
    record: KeptRecord,
    bytes: usize,
}

/// How much may be kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Most {
    /// So many records,
    pub records: usize,
    /// in about so many bytes.
    pub bytes: usize,
}

/// Which records are looked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// Of that status.
    pub status: Option<u16>,
    /// Of that tenant.
    pub tenant: Option<String>,
    /// That went to that cluster last.
    pub cluster: Option<String>,
}

impl Filter {
    fn lets(&self, record: &DecisionRecord) -> bool {
        let is =
            |asked: &Option<String>, found: Option<&str>| asked.as_deref().is_none_or(|asked| found == Some(asked));
        self.status.is_none_or(|status| record.status == Some(status))
            && is(&self.tenant, Some(record.tenant.as_str()))
            && is(&self.cluster, record.cluster().map(|cluster| cluster.as_str()))
    }
}

impl KeptRecords {
    /// One more is kept, in place of the oldest where there are too many. Gives its number.
    pub fn push(&mut self, record: &KeptRecord, most: Most) -> u64 {
        let bytes = record.get().weight();
        self.records.push_back(Weighty {
            record: record.clone(),
            bytes,
        });
        self.bytes += bytes;
        self.make_room(most);
        self.first + self.records.len() as u64 - 1
    }

    /// The record of that number has its last step, and takes what it takes.
    pub fn on_ended(&mut self, number: u64, most: Most) {
        let index = number
            .checked_sub(self.first)
            .and_then(|index| usize::try_from(index).ok());
        if let Some(kept) = index.and_then(|index| self.records.get_mut(index)) {
            let bytes = kept.record.get().weight();
            self.bytes = self.bytes - kept.bytes + bytes;
            kept.bytes = bytes;
        }
        self.make_room(most);
    }

    /// The oldest go where there are too many, or take too much; the newest stays.
    fn make_room(&mut self, most: Most) {
        while self.records.len() > most.records || (self.bytes > most.bytes && self.records.len() > 1) {
            let Some(dropped) = self.records.pop_front() else {
                return;
            };
            self.bytes -= dropped.bytes;
            self.first += 1;
        }
    }

    /// The record of the request of that name.
    pub fn find(&self, request: &str) -> Option<KeptRecord> {
        let mut newest_first = self.records.iter().rev();
        let found = newest_first.find(|kept| kept.record.get().request == request)?;
        Some(found.record.clone())
    }

    /// The newest records that a filter lets through, in that order; a thousand at most.
    pub fn list(&self, filter: &Filter) -> Vec<KeptRecord> {
        let newest_first = self.records.iter().rev().map(|kept| &kept.record);
        let found = newest_first.filter(|record| filter.lets(&record.get()));
        found.take(MOST_LISTED).cloned().collect()
    }

    /// Whether the record of a request that failed may be stored for others now: one in a second is. Where everything fails,
    /// each tells the same.
    pub fn may_store(&mut self, now: Timestamp) -> bool {
        let may = self.stored.is_none_or(|stored| now.since(stored) >= STORED_EVERY);
        if may {
            self.stored = Some(now);
        }
        may
    }
}

/// A list of so many lines is some 300 KB.
const MOST_LISTED: usize = 1_000;
const STORED_EVERY: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::explain::{Step, What};
    use crate::ids::RequestId;

    fn record(number: u64) -> KeptRecord {
        let id = RequestId::from_random(0, number);
        let whose = ("acme".into(), "normal");
        KeptRecord::new(DecisionRecord::new(&id, Timestamp::default(), "chat", whose))
    }

    fn most(records: usize, bytes: usize) -> Most {
        Most { records, bytes }
    }

    fn numbers(records: &KeptRecords) -> Vec<String> {
        let kept = records.list(&Filter::default());
        kept.iter()
            .map(|record| record.get().request[30..].to_owned())
            .collect()
    }

    #[test]
    fn the_latest_are_kept_and_found_while_they_go_on() {
        let mut records = KeptRecords::default();
        let kept: Vec<_> = (0..5).map(record).collect();
        kept.iter().for_each(|record| {
            records.push(record, most(3, usize::MAX));
        });
        assert_eq!(numbers(&records), ["000004", "000003", "000002"]);
        kept[3].get().status = Some(503);
        let filter = Filter {
            status: Some(503),
            ..Filter::default()
        };
        assert_eq!(records.list(&filter).len(), 1);
        let names: Vec<_> = kept.iter().map(|record| record.get().request.clone()).collect();
        let found = |number: usize| records.find(&names[number]);
        assert_eq!(found(3).and_then(|record| record.get().status), Some(503));
        assert!(found(0).is_none());
    }

    #[test]
    fn those_that_became_large_push_older_ones_out_and_never_the_newest() {
        let mut records = KeptRecords::default();
        let kept: Vec<_> = (0..4).map(record).collect();
        let numbered: Vec<_> = kept
            .iter()
            .map(|record| records.push(record, most(10, usize::MAX)))
            .collect();
        let small = kept[0].get().weight();
        let step = Step {
            at_ms: Duration::ZERO.into(),
            what: What::Canned { reason: "overload" },
        };
        kept[2].get().steps = vec![step; 40];
        let large = kept[2].get().weight();
        records.on_ended(numbered[2], most(10, small + large));
        assert_eq!(numbers(&records), ["000003", "000002"]);
        assert_eq!(records.bytes, small + large);
        records.on_ended(numbered[0], most(10, small + large));
        records.on_ended(numbered[3], most(10, 0));
        assert_eq!(numbers(&records), ["000003"]);
        assert_eq!(records.bytes, small);
    }

    #[test]
    fn one_failure_a_second_is_stored() {
        let mut records = KeptRecords::default();
        let at = |millis| Timestamp::from_millis(millis);
        let stored: Vec<_> = [0, 999, 1_000, 1_500, 2_000]
            .into_iter()
            .filter(|millis| records.may_store(at(*millis)))
            .collect();
        assert_eq!(stored, [0, 1_000, 2_000]);
    }
}
