//! A cell as the log of its commands, for runtimes that capacity nothing but a database. Running a command is appending
//! it; whoever uses the cell replays what others appended, in the log's order. A state follows from its commands and
//! their times alone, so that all who replay one log come to one state, and to the same replies.
//!
//! Entries of a cell are numbered from 1 without gaps. Now and then somebody writes the state as a snapshot and removes
//! older entries; who was away for longer starts from the snapshot.

use std::time::Duration;

use super::format::{Writers, decode_entry, decode_record, encode_entry, encode_record};
use super::{CellCommand, CellError, CellId, CellReply, TimedCell};
use crate::time::Timestamp;

/// What one entry holds. It is written in a compact form, since everybody reads what anybody writes.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// When the commands are run. A database with a clock of its own puts its time in place of this one.
    pub at: Timestamp,
    /// The commands, in order.
    pub commands: Vec<CellCommand>,
    /// Whether whoever wrote it reads the current version.
    pub(super) writer_is_current: bool,
}

impl Entry {
    /// An entry of this process.
    pub fn new(at: Timestamp, commands: Vec<CellCommand>) -> Self {
        let writer_is_current = true;
        Self {
            at,
            commands,
            writer_is_current,
        }
    }

    /// The entry as it is appended to a log.
    ///
    /// # Errors
    /// Never for commands that this crate makes.
    pub fn encode(&self) -> Result<Vec<u8>, CellError> {
        encode_entry(self)
    }

    /// What `bytes` hold; `None` where they are damaged or of a version that this code does not read. Such an entry has
    /// its number all the same and counts as one without commands: what it held heals.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        decode_entry(bytes)
    }
}

/// A cell's state after the entry of that number.
#[derive(Clone, Debug, PartialEq)]
pub struct ReplayedCell {
    number: u64,
    cell: TimedCell,
    writers: Writers,
    set_back: Option<Duration>,
}

impl ReplayedCell {
    /// Of a cell whose log is empty.
    pub fn new(id: &CellId) -> Self {
        Self {
            number: 0,
            cell: TimedCell::new(id),
            writers: Writers::default(),
            set_back: None,
        }
    }

    /// Of the snapshot that was written after the entry `number`.
    ///
    /// # Errors
    /// When the record is damaged or of a version that this code does not read.
    pub fn from_snapshot(number: u64, record: &[u8]) -> Result<Self, CellError> {
        let (cell, writers) = decode_record(record)?;
        Ok(Self {
            number,
            cell,
            writers: writers.unwrap_or_default(),
            set_back: None,
        })
    }

    /// The number of the last entry in it; 0 before the first.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// Runs the commands of the next entry; `None` is one that was not understood.
    pub fn apply(&mut self, entry: Option<Entry>) -> Vec<CellReply> {
        self.number += 1;
        let Some(entry) = entry else {
            return Vec::new();
        };
        self.writers.on_entry(entry.at, entry.writer_is_current);
        self.set_back = self.cell.set_back_by(entry.at).or(self.set_back);
        let run = |command| self.cell.apply(entry.at, command).reply;
        let replies: Vec<_> = entry.commands.into_iter().map(run).collect();
        if self.writers.are_current() {
            replies
        } else {
            // Who reads the version before alone would miss commands that name a policy by its digest.
            replies.into_iter().map(CellReply::without_policy).collect()
        }
    }

    /// How far the clock that entries have their times from was set back, where it was since this was last asked.
    pub fn take_set_back(&mut self) -> Option<Duration> {
        self.set_back.take()
    }

    /// The state to write as a snapshot, when whoever appended the last entry is to write one.
    ///
    /// # Errors
    /// Never for states that this crate makes.
    pub fn due_snapshot(&self) -> Result<Option<Vec<u8>>, CellError> {
        let is_due = self.number.is_multiple_of(SNAPSHOT_EVERY);
        let record = || encode_record(&self.cell, Some(self.writers));
        is_due.then(record).transpose()
    }
}

/// Entries from one snapshot to the next.
pub const SNAPSHOT_EVERY: u64 = 64;
/// Entries that are kept behind a snapshot, for those who were away.
pub const KEPT: u64 = 256;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::budget::{
        Amount, BudgetCommand, BudgetLimits, Lease, LeaseAccount, LeaseholderId, Need, Outputs, Rate, Report,
    };
    use crate::cluster::{Capacity, ClusterCommand, ClusterReply, HeldPermit, PermitId, Renew};
    use crate::ids::Tokens;

    fn renewal(permit: u64) -> Entry {
        let held = HeldPermit {
            permit: PermitId(permit),
            replica: "http://a.test".into(),
            capacity: Capacity::of_one(Tokens(7)),
        };
        let ttl = Duration::from_secs(30);
        Entry::new(
            Timestamp::from_millis(1_000),
            vec![CellCommand::Cluster(ClusterCommand::Renew(Renew {
                held: vec![held],
                ttl,
            }))],
        )
    }

    fn replayed() -> ReplayedCell {
        ReplayedCell::new(&CellId::Cluster("a".into()))
    }

    #[test]
    fn who_starts_from_a_snapshot_comes_to_the_state_of_who_replayed_all() {
        let mut all = replayed();
        (1..=SNAPSHOT_EVERY).for_each(|permit| drop(all.apply(Some(renewal(permit)))));
        let record = all.due_snapshot().expect("a record").expect("it is due");
        let mut late = ReplayedCell::from_snapshot(SNAPSHOT_EVERY, &record).expect("a snapshot");
        for replica in [&mut all, &mut late] {
            let replies = replica.apply(Entry::decode(&renewal(99).encode().expect("bytes")));
            assert_eq!(replies, [CellReply::Cluster(ClusterReply::Done)]);
        }
        assert_eq!(late, all);
        assert_eq!((all.number(), all.due_snapshot()), (SNAPSHOT_EVERY + 1, Ok(None)));
    }

    /// A holder's report, of answers or of none.
    fn report(outputs: &[Outputs]) -> Report {
        Report {
            holder: LeaseholderId(7),
            sequence: 3,
            tokens: LeaseAccount {
                granted: 9,
                spent: 4,
                returned: 1,
            },
            requests: LeaseAccount::default(),
            slots: 2,
            tokens_per_s: 5,
            outputs: outputs.iter().map(|outputs| ("m".into(), outputs.clone())).collect(),
        }
    }

    #[test]
    fn what_budgets_are_told_is_read_as_it_was_written() {
        let mut outputs = Outputs::default();
        outputs.on_output(40);
        let limits = BudgetLimits {
            tokens: Some(Rate::per_minute(60)),
            ..BudgetLimits::default()
        };
        let need = Need {
            tokens: 5,
            slots: 1,
            headroom_percent: 10,
        };
        let lease = |outputs: &[Outputs], need| {
            BudgetCommand::Lease(Lease {
                report: report(outputs),
                need,
                waiting: Amount::default(),
                want: Amount::default(),
                want_slots: 1,
                limits,
                ttl: Duration::from_secs(30),
            })
        };
        let commands = [
            lease(&[], Some(need)),
            lease(&[outputs.clone()], None),
            BudgetCommand::Settle(report(&[])),
            BudgetCommand::Settle(report(&[outputs])),
            BudgetCommand::Status { limits },
            BudgetCommand::SetLimits(None),
            BudgetCommand::SetLimits(Some(limits)),
        ];
        let commands = commands.map(CellCommand::Budget).to_vec();
        let entry = Entry::new(Timestamp::from_millis(1_000), commands);
        assert_eq!(Entry::decode(&entry.encode().expect("bytes")), Some(entry));
    }

    #[test]
    fn an_entry_that_is_not_understood_counts_but_does_nothing() {
        let mut cell = replayed();
        let before = cell.cell.clone();
        assert!(cell.apply(Entry::decode(b"")).is_empty());
        assert_eq!((cell.number(), cell.cell), (1, before));
    }

    #[test]
    fn that_a_clock_was_set_back_is_told_once() {
        let mut cell = replayed();
        let at = |seconds: u64| Timestamp::from_millis(1_000 * seconds);
        for (seconds, told) in [(7_200, None), (3_600, Some(Duration::from_secs(3_600))), (3_601, None)] {
            let look = vec![CellCommand::Cluster(ClusterCommand::Status)];
            cell.apply(Some(Entry::new(at(seconds), look)));
            assert_eq!(cell.take_set_back(), told);
        }
    }

    #[test]
    fn a_snapshot_of_another_version_is_an_error_that_says_so() {
        let record = br#"{"v":9,"state":{"cluster":{}}}"#;
        let error = ReplayedCell::from_snapshot(64, record).expect_err("another version");
        assert!(error.to_string().contains("version 9"), "{error}");
    }
}
