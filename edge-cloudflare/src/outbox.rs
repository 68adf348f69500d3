//! Commands on their way to a cell that can wait a moment for company: those that only tell it something. The next
//! call to the cell, whichever request makes it, takes them along; so under load one message does for many, which is
//! also what an object can take: about a thousand messages a second.
//!
//! What requests share here is data only. None of them waits for another's I/O: each looks, by its own timer, how its
//! letter fares, and sends it itself when nobody else has.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;

use tidegate_core::cells::CellCommand;

/// How a letter fares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It lies in the outbox.
    Waiting,
    /// It is on its way.
    Taken,
    /// The cell has it.
    Delivered,
    /// Its message got no reply.
    Lost,
}

/// What its sender keeps of a letter.
pub(crate) type Receipt = Rc<Cell<Fate>>;

/// The commands of one message, in order.
pub(crate) struct Batch {
    pub commands: Vec<CellCommand>,
    receipts: Vec<Receipt>,
}

/// Leaves a command for the cell with that key.
pub(crate) fn post(key: &str, command: CellCommand) -> Receipt {
    let receipt = Receipt::new(Cell::new(Fate::Waiting));
    OUTBOX.with_borrow_mut(|outbox| {
        let letters = outbox.entry(key.to_owned()).or_default();
        letters.push((command, Rc::clone(&receipt)));
    });
    receipt
}

/// Takes what waits for the cell with that key, the oldest first, up to a message's fill.
pub(crate) fn collect(key: &str) -> Batch {
    let letters = OUTBOX.with_borrow_mut(|outbox| match outbox.get_mut(key) {
        Some(letters) if letters.len() > FILL => letters.drain(..FILL).collect(),
        Some(_) => outbox.remove(key).unwrap_or_default(),
        None => Vec::new(),
    });
    let (commands, receipts): (Vec<_>, Vec<Receipt>) = letters.into_iter().unzip();
    receipts.iter().for_each(|receipt| receipt.set(Fate::Taken));
    Batch { commands, receipts }
}

impl Batch {
    /// The cell has replied.
    pub fn on_delivered(mut self) {
        self.receipts.drain(..).for_each(|receipt| receipt.set(Fate::Delivered));
    }
}

impl Drop for Batch {
    fn drop(&mut self) {
        self.receipts.iter().for_each(|receipt| receipt.set(Fate::Lost));
    }
}

thread_local! {
    static OUTBOX: RefCell<BTreeMap<String, Vec<(CellCommand, Receipt)>>> = RefCell::default();
}

/// Most letters that one message carries, some 150 bytes each.
const FILL: usize = 64;

#[cfg(test)]
mod tests {
    use tidegate_core::cluster::ClusterCommand;

    use super::*;

    fn command() -> CellCommand {
        CellCommand::Cluster(ClusterCommand::Status)
    }

    #[test]
    fn a_letter_goes_with_the_next_message_to_its_cell() {
        let (mine, other) = (post("a letter", command()), post("elsewhere", command()));
        let batch = collect("a letter");
        assert_eq!(
            (batch.commands.len(), mine.get(), other.get()),
            (1, Fate::Taken, Fate::Waiting)
        );
        batch.on_delivered();
        assert_eq!(mine.get(), Fate::Delivered);
        assert!(collect("a letter").commands.is_empty());
    }

    #[test]
    fn a_message_without_reply_is_lost() {
        let mine = post("lost", command());
        drop(collect("lost"));
        assert_eq!(mine.get(), Fate::Lost);
    }

    #[test]
    fn a_full_message_leaves_the_rest_for_the_next() {
        let receipts: Vec<_> = (0..=FILL).map(|_| post("full", command())).collect();
        let first = collect("full");
        assert_eq!(first.commands.len(), FILL);
        assert_eq!(receipts.last().map(|last| last.get()), Some(Fate::Waiting));
        assert_eq!(collect("full").commands.len(), 1);
    }
}
