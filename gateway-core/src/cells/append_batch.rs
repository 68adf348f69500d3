//! Commands that wait until they are appended to a cell's log. Those that come while others are being appended go
//! together with the next; those that only tell the cell something wait a little longer, for one that asks: a request
//! then costs about one trip to the database. No clock and no task: the adapter has them, and is told when to begin.

use std::time::Duration;

use super::{CellCommand, CellError, CellReply};

/// What waits for one cell. `R` is how a reply is given to whoever asked.
#[derive(Debug)]
pub struct AppendBatch<R> {
    waiting: Vec<PendingCommand<R>>,
    /// Whether a task appends what waits.
    is_appending: bool,
    /// Whether a task waits until what only tells the cell something has waited for long enough.
    is_lingering: bool,
    /// Whether it has.
    is_overdue: bool,
}

/// A command, and whom to tell the reply, if anybody waits for it.
#[derive(Debug)]
struct PendingCommand<R> {
    command: CellCommand,
    replier: Option<R>,
}

/// Who waits for the replies to one entry, in the order of its commands.
#[derive(Debug)]
pub struct Repliers<R>(Vec<Option<R>>);

impl<R> Default for AppendBatch<R> {
    fn default() -> Self {
        Self {
            waiting: Vec::new(),
            is_appending: false,
            is_lingering: false,
            is_overdue: false,
        }
    }
}

impl<R> AppendBatch<R> {
    /// Leaves a command that somebody waits for. True when the caller must start the task that appends what waits.
    pub fn ask(&mut self, command: CellCommand, replier: R) -> bool {
        let replier = Some(replier);
        let command = command.without_holding();
        self.waiting.push(PendingCommand { command, replier });
        self.begin_appending()
    }

    /// Leaves a command that only tells the cell something. True when the caller must start a task that calls
    /// [`end_lingering`](Self::end_lingering) after [`PAUSE`].
    pub fn tell(&mut self, command: CellCommand) -> bool {
        self.waiting.push(PendingCommand { command, replier: None });
        !std::mem::replace(&mut self.is_lingering, true)
    }

    /// What waits has waited for long enough. True when the caller must start the task that appends it.
    pub fn end_lingering(&mut self) -> bool {
        self.is_lingering = false;
        self.is_overdue = true;
        self.begin_appending()
    }

    /// Whether nothing waits and nothing is being appended.
    pub fn is_idle(&self) -> bool {
        self.waiting.is_empty() && !self.is_appending
    }

    /// What has to be appended now as one entry, at most [`MOST_TOGETHER`] commands. `None` says that the task that
    /// appends has ended.
    pub fn take(&mut self) -> Option<(Vec<CellCommand>, Repliers<R>)> {
        let is_urgent = self.is_overdue || self.waiting.iter().any(|waiting| waiting.replier.is_some());
        let count = if is_urgent {
            self.waiting.len().min(MOST_TOGETHER)
        } else {
            0
        };
        self.is_appending = count > 0;
        self.is_overdue &= count < self.waiting.len();
        let taken = self.waiting.drain(..count);
        let (commands, repliers) = taken.map(|waiting| (waiting.command, waiting.replier)).unzip();
        self.is_appending.then_some((commands, Repliers(repliers)))
    }

    fn begin_appending(&mut self) -> bool {
        !std::mem::replace(&mut self.is_appending, true)
    }
}

impl<R> Repliers<R> {
    /// Gives everybody their reply, or why there is none. Where only told commands failed, nobody hears of it: what
    /// only tells a cell something heals when it is lost.
    pub fn reply(
        self,
        replies: Result<Vec<CellReply>, CellError>,
        mut give: impl FnMut(R, Result<CellReply, CellError>),
    ) {
        let mut replies = replies.map(Vec::into_iter);
        for replier in self.0 {
            let reply = match &mut replies {
                Ok(replies) => replies.next().map(Ok),
                Err(error) => Some(Err(error.clone())),
            };
            if let (Some(replier), Some(reply)) = (replier, reply) {
                give(replier, reply);
            }
        }
    }
}

/// Commands that are appended as one entry. An instance seldom has more requests than this.
pub const MOST_TOGETHER: usize = 256;
/// How long a command waits that only tells the cell something: a third of the time that an engine takes for one token,
/// and a fraction of what a request takes.
pub const PAUSE: Duration = Duration::from_millis(10);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::{ClusterCommand, ClusterReply};

    fn command() -> CellCommand {
        CellCommand::Cluster(ClusterCommand::Status)
    }

    fn taken(batch: &mut AppendBatch<u32>) -> usize {
        batch.take().map_or(0, |(commands, _)| commands.len())
    }

    #[test]
    fn what_only_tells_waits_for_a_command_that_asks_or_until_it_is_overdue() {
        let mut batch = AppendBatch::default();
        assert!(batch.tell(command()) && !batch.tell(command()));
        assert!(batch.ask(command(), 1) && !batch.ask(command(), 2));
        assert_eq!((taken(&mut batch), taken(&mut batch)), (4, 0));
        assert!(batch.is_idle());
        batch.tell(command());
        assert_eq!(taken(&mut batch), 0);
        assert!(!batch.is_idle());
        assert!(batch.end_lingering() && !batch.end_lingering());
        assert_eq!((taken(&mut batch), taken(&mut batch)), (1, 0));
        assert!(batch.tell(command()), "the next one lingers anew");
    }

    #[test]
    fn what_does_not_fit_into_one_entry_goes_into_the_next() {
        let mut batch = AppendBatch::default();
        let lingering: Vec<_> = (0..=MOST_TOGETHER).map(|_| batch.tell(command())).collect();
        assert!(lingering[0] && !lingering[1..].contains(&true) && batch.end_lingering());
        let counts = [0; 3].map(|_| taken(&mut batch));
        assert_eq!(counts, [MOST_TOGETHER, 1, 0]);
    }

    #[test]
    fn everybody_who_asked_gets_their_own_reply_or_the_error() {
        let mut batch = AppendBatch::default();
        batch.ask(command(), 1);
        batch.tell(command());
        batch.ask(command(), 2);
        let done = || CellReply::Cluster(ClusterReply::Done);
        let status = || CellReply::Cluster(ClusterReply::Status(Vec::new()));
        let (_, repliers) = batch.take().expect("three commands");
        let mut given = Vec::new();
        repliers.reply(Ok(vec![status(), done(), CellReply::AnotherKind]), |who, reply| {
            given.push((who, reply))
        });
        assert_eq!(given, [(1, Ok(status())), (2, Ok(CellReply::AnotherKind))]);

        let error = CellError::Unreachable("down".to_owned());
        batch.ask(command(), 3);
        let (_, repliers) = batch.take().expect("a command");
        repliers.reply(Err(error.clone()), |who, reply| {
            assert_eq!((who, reply), (3, Err(error.clone())))
        });
    }
}
