//! A cell's log in Redis or Valkey, as the calls to send and the replies to read; how they travel is the adapter's.
//!
//! A log is one list: how many entries were removed, the number of the last entry in the snapshot, the snapshot, then
//! the entries. An entry is the server's time when it was appended (16 digits, microseconds since the Unix epoch), its
//! name (8 random bytes) and the commands. Running commands is one script, and so one trip: it appends an entry and
//! returns what others appended since the caller last looked. Who is further behind than the log reaches gets the
//! snapshot instead, and nothing is appended: only a caller who sees all entries since it last looked can be told
//! whether an entry whose reply was lost is there already.

use std::time::Duration;

use super::log::{Entry, KEPT, ReplayedCell};
use super::{CellCommand, CellError, CellId, CellReply};
use crate::time::Timestamp;

/// A script that Redis runs, and the digest that names it.
#[derive(Debug)]
pub struct Script {
    /// The script, for `EVAL`.
    pub text: &'static str,
    /// Its SHA-1, for `EVALSHA`.
    pub sha1: &'static str,
}

/// A script to run.
#[derive(Debug)]
pub struct Call {
    /// Which.
    pub script: &'static Script,
    /// The one key that it touches.
    pub key: String,
    /// What it is told besides.
    pub arguments: Vec<Vec<u8>>,
}

/// A cell as far as the caller has followed its log.
#[derive(Debug)]
pub struct Follower {
    id: CellId,
    cell: ReplayedCell,
    /// The name of the last entry in the cell; empty before the first.
    last: Vec<u8>,
    left_out: u64,
}

/// Commands on their way into a log.
#[derive(Debug)]
pub struct Append {
    name: [u8; NAME_BYTES],
    entry: Entry,
    /// Whether an attempt got no reply, so that the entry may be in the log.
    is_doubtful: bool,
}

/// What a reply says.
#[derive(Debug, PartialEq)]
pub enum Step {
    /// The commands ran; their replies.
    Done(Vec<CellReply>),
    /// Nothing was appended, but the follower has caught up: call again.
    CaughtUp,
}

impl Follower {
    /// Who knows nothing of the cell yet.
    pub fn new(id: &CellId) -> Self {
        Self {
            id: id.clone(),
            cell: ReplayedCell::new(id),
            last: Vec::new(),
            left_out: 0,
        }
    }

    /// How many entries were passed over since this was asked last, because they are damaged or of another version.
    pub fn take_left_out(&mut self) -> u64 {
        std::mem::take(&mut self.left_out)
    }

    /// How far the server's clock was set back, where it was since this was last asked.
    pub fn take_set_back(&mut self) -> Option<Duration> {
        self.cell.take_set_back()
    }

    /// Writes a snapshot, when whoever appended the last entry is to write one. Its reply says nothing.
    ///
    /// # Errors
    /// Never for states that this crate makes.
    pub fn due_snapshot(&self) -> Result<Option<Call>, CellError> {
        let due = self.cell.due_snapshot()?;
        Ok(due.map(|record| Call {
            script: &SNAPSHOT,
            key: key(&self.id),
            arguments: vec![decimal(self.cell.number()), self.last.clone(), record, decimal(KEPT)],
        }))
    }

    fn replay(&mut self, entries: &[Vec<u8>]) -> Result<(), CellError> {
        for entry in entries {
            let (at, name, commands) = split(entry)?;
            let entry = Entry::decode(commands).map(|entry| Entry { at, ..entry });
            self.left_out += u64::from(entry.is_none());
            self.cell.apply(entry);
            self.last = name.to_vec();
        }
        Ok(())
    }

    fn start_from(&mut self, number: u64, record: &[u8]) -> Result<(), CellError> {
        self.cell = if number == 0 {
            ReplayedCell::new(&self.id)
        } else {
            ReplayedCell::from_snapshot(number, record)?
        };
        Ok(())
    }
}

impl Append {
    /// The commands as one entry, which `random` names: 64 bits that nobody else draws.
    pub fn new(random: u64, commands: Vec<CellCommand>) -> Self {
        Self {
            name: random.to_be_bytes(),
            entry: Entry::new(Timestamp::default(), commands),
            is_doubtful: false,
        }
    }

    /// What to send, the first time and again. However often it reaches Redis, the commands run once.
    ///
    /// # Errors
    /// Never for commands that this crate makes.
    pub fn call(&self, follower: &Follower) -> Result<Call, CellError> {
        Ok(Call {
            script: &APPEND,
            key: key(&follower.id),
            arguments: vec![
                decimal(follower.cell.number()),
                follower.last.clone(),
                self.name.to_vec(),
                self.entry.encode()?,
                decimal(if follower.id.is_passing() {
                    PASSING_FORGOTTEN_AFTER_MS
                } else {
                    FORGOTTEN_AFTER_MS
                }),
            ],
        })
    }

    /// No reply came to a call: the commands may have run.
    pub fn on_lost(&mut self) {
        self.is_doubtful = true;
    }

    /// Reads the reply to a call: its values in order, those of nested lists too, integers as decimals.
    ///
    /// # Errors
    /// When the reply or the snapshot is not understood, and where nobody can tell any more whether the commands ran.
    pub fn on_reply(&mut self, follower: &mut Follower, reply: &[Vec<u8>]) -> Result<Step, CellError> {
        match reply {
            [said, number, at, others @ ..] if said == b"appended" => {
                let number = read_decimal(number)?;
                follower.replay(others)?;
                if follower.cell.number() + 1 != number {
                    return Err(not_understood(&follower.id));
                }
                let entry = Entry::new(read_time(at)?, std::mem::take(&mut self.entry.commands));
                follower.last = self.name.to_vec();
                Ok(Step::Done(follower.cell.apply(Some(entry))))
            }
            [said, number, record, last, since @ ..] if said == b"behind" => {
                let number = read_decimal(number)?;
                follower.start_from(number, record)?;
                follower.replay(since)?;
                follower.last.clone_from(last);
                // A log without a snapshot is all there: what is not in it has not run, or was lost with another log.
                let is_all_there = number == 0 && !since.iter().any(|entry| self.is_in(entry));
                if self.is_doubtful && !is_all_there {
                    return Err(CellError::Unreachable(
                        "a reply was lost, and the log no longer tells whether the command ran".to_owned(),
                    ));
                }
                Ok(Step::CaughtUp)
            }
            _ => Err(not_understood(&follower.id)),
        }
    }
}

impl Append {
    fn is_in(&self, entry: &[u8]) -> bool {
        split(entry).is_ok_and(|(_, name, _)| name == self.name)
    }
}

/// The key of a cell's log.
pub fn key(id: &CellId) -> String {
    format!("{PREFIX}cell:{}", id.key())
}

fn split(entry: &[u8]) -> Result<(Timestamp, &[u8], &[u8]), CellError> {
    let parts = entry
        .split_at_checked(TIME_DIGITS)
        .and_then(|(at, rest)| Some((at, rest.split_at_checked(NAME_BYTES)?)));
    match parts {
        Some((at, (name, commands))) => Ok((read_time(at)?, name, commands)),
        None => Err(CellError::Malformed("an entry that is cut off".to_owned())),
    }
}

fn read_time(digits: &[u8]) -> Result<Timestamp, CellError> {
    read_decimal(digits).map(Timestamp::from_micros)
}

fn read_decimal(digits: &[u8]) -> Result<u64, CellError> {
    let number = std::str::from_utf8(digits).ok().and_then(|digits| digits.parse().ok());
    number.ok_or_else(|| CellError::Malformed("no number where one should be".to_owned()))
}

fn decimal(number: u64) -> Vec<u8> {
    number.to_string().into_bytes()
}

fn not_understood(id: &CellId) -> CellError {
    CellError::Malformed(format!("a reply about the log of {}", id.key()))
}

/// What every key begins with, and the version of the format of what the keys hold.
pub const PREFIX: &str = "tidegate:1:";
/// A log that nobody appended to for this long is forgotten: eight days, so that what a budget keeps of a week outlives
/// it.
const FORGOTTEN_AFTER_MS: u64 = 8 * 24 * 60 * 60 * 1_000;
/// One of a passing cell: longer than anything that it keeps is of use.
const PASSING_FORGOTTEN_AFTER_MS: u64 = 10 * 60 * 1_000;
const TIME_DIGITS: usize = 16;
const NAME_BYTES: usize = 8;

/// Keys: the log. Arguments: number and name of the last entry seen, the new entry's name, the entry, the milliseconds
/// after which an idle log is forgotten.
static APPEND: Script = Script {
    text: include_str!("append.lua"),
    sha1: "70fb732a737b12c73a1e2e494db6a9142ba2eaa7",
};
/// Keys: the log. Arguments: number and name of the last entry in the snapshot, the snapshot, the entries to keep.
static SNAPSHOT: Script = Script {
    text: include_str!("snapshot.lua"),
    sha1: "64617b503b5a77e3f59473697d28b52c1d1903cb",
};

#[cfg(test)]
mod tests {
    use super::super::TimedCell;
    use super::super::format::encode_record;
    use super::*;
    use crate::cluster::{ClusterCommand, ClusterReply};

    fn id() -> CellId {
        CellId::Cluster("a".into())
    }

    fn append(random: u64) -> Append {
        Append::new(random, vec![CellCommand::Cluster(ClusterCommand::Status)])
    }

    fn reply(values: &[&[u8]]) -> Vec<Vec<u8>> {
        values.iter().map(|value| value.to_vec()).collect()
    }

    /// An entry as the log has it.
    fn logged(name: &[u8; NAME_BYTES], commands: &[u8]) -> Vec<u8> {
        [b"1700000000000001", name.as_slice(), commands].concat()
    }

    const AT: &[u8] = b"1700000000000002";

    /// An entry as another process has it.
    fn encoded(random: u64) -> Vec<u8> {
        append(random).entry.encode().expect("bytes")
    }

    /// The snapshot of a cell that holds nothing.
    fn empty() -> String {
        let record = encode_record(&TimedCell::new(&id()), None).expect("a record");
        String::from_utf8(record).expect("text")
    }

    #[test]
    fn digests_name_the_scripts() {
        for script in [&APPEND, &SNAPSHOT] {
            assert_eq!(sha1_smol::Sha1::from(script.text).digest().to_string(), script.sha1);
        }
    }

    #[test]
    fn commands_run_after_what_others_appended() {
        let mut follower = Follower::new(&id());
        let mut ours = append(7);
        let call = ours.call(&follower).expect("a call");
        assert_eq!(call.key, "tidegate:1:cell:cluster/a");
        assert_eq!(call.arguments[..2], reply(&[b"0", b""]));
        let theirs = logged(b"01234567", &encoded(8));
        let said = ours.on_reply(&mut follower, &reply(&[b"appended", b"2", AT, &theirs]));
        let empty = CellReply::Cluster(ClusterReply::Status(Vec::new()));
        assert_eq!(said, Ok(Step::Done(vec![empty])));
        assert_eq!((follower.cell.number(), follower.take_left_out()), (2, 0));
        assert_eq!(
            append(9).call(&follower).expect("a call").arguments[..2],
            [b"2".to_vec(), ours.name.to_vec()]
        );
    }

    #[test]
    fn the_log_of_a_passing_cell_is_soon_forgotten() {
        let key = crate::cache::CacheKey::parse(&"0f".repeat(32)).expect("a key");
        let after = [id(), CellId::Flight(key)].map(|id| {
            let call = append(7).call(&Follower::new(&id)).expect("a call");
            call.arguments.last().cloned()
        });
        assert_eq!(after, [Some(b"691200000".to_vec()), Some(b"600000".to_vec())]);
    }

    #[test]
    fn who_is_behind_catches_up_and_calls_again_unless_a_reply_was_lost() {
        let behind = reply(&[
            b"behind",
            b"64",
            empty().as_bytes(),
            b"lastname",
            &logged(b"lastname", b"\x09new"),
        ]);
        let mut follower = Follower::new(&id());
        let mut ours = append(7);
        assert_eq!(ours.on_reply(&mut follower, &behind), Ok(Step::CaughtUp));
        assert_eq!((follower.cell.number(), follower.take_left_out()), (65, 1));
        assert_eq!(
            ours.call(&follower).expect("a call").arguments[..2],
            reply(&[b"65", b"lastname"])
        );
        ours.on_lost();
        let doubtful = ours.on_reply(&mut follower, &behind);
        assert!(matches!(doubtful, Err(CellError::Unreachable(_))), "{doubtful:?}");
    }

    #[test]
    fn a_log_that_was_lost_begins_anew() {
        let mut follower = Follower::new(&id());
        follower.start_from(64, empty().as_bytes()).expect("a snapshot");
        let mut ours = append(7);
        ours.on_lost();
        let others = logged(b"01234567", &encoded(8));
        for since in [&[][..], &[others.as_slice()]] {
            let behind = reply(&[&[b"behind".as_slice(), b"0", b"", b""], since].concat());
            assert_eq!(ours.on_reply(&mut follower, &behind), Ok(Step::CaughtUp));
            assert_eq!(follower.cell.number(), since.len() as u64);
        }
        let name = logged(&ours.name, b"");
        let said = ours.on_reply(&mut follower, &reply(&[b"behind", b"0", b"", &ours.name, &name]));
        assert!(matches!(said, Err(CellError::Unreachable(_))), "{said:?}");
    }

    #[test]
    fn what_is_no_reply_is_an_error() {
        let other_version = empty().replace("\"v\":1", "\"v\":9");
        let cut = logged(b"01234567", b"");
        let wrong: [&[&[u8]]; 7] = [
            &[],
            &[b"appended", b"1"],
            &[b"appended", b"5", AT],
            &[b"appended", b"one", AT],
            &[b"appended", b"2", AT, &cut[..20]],
            &[b"behind", b"64", other_version.as_bytes(), b"lastname"],
            &[b"other"],
        ];
        for values in wrong {
            let said = append(7).on_reply(&mut Follower::new(&id()), &reply(values));
            assert!(matches!(said, Err(CellError::Malformed(_))), "{values:?}: {said:?}");
        }
    }
}
