//! Commands on their way to a cell that can wait a moment for company: those that only tell it something. The next
//! call to the cell, whichever request makes it, takes them along; so under load one message does for many, which is
//! also what an object can take: about a thousand messages a second.
//!
//! What requests share here is data only. None of them waits for another's I/O: one of them waits for the letters of
//! all, by its own timer, and sends what nobody has taken along by then.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::time::Duration;

use tidegate_core::cells::CellCommand;
use tidegate_core::time::Timestamp;

/// The letters to one cell.
#[derive(Default)]
struct Letters {
    commands: Vec<CellCommand>,
    /// Until when somebody waits, to send what is here then.
    attended_until: Timestamp,
}

/// Leaves a command for the cell with that key. Whether the caller must wait for [`LINGER`] and send what is there then:
/// nobody else does.
pub(crate) fn post(key: &str, command: CellCommand, now: Timestamp) -> bool {
    OUTBOX.with_borrow_mut(|outbox| {
        let letters = outbox.entry(key.to_owned()).or_default();
        letters.commands.push(command);
        let is_attended = now < letters.attended_until;
        if !is_attended {
            letters.attended_until = now + LINGER;
        }
        !is_attended
    })
}

/// Takes what waits for the cell with that key, the oldest first, up to a message's fill.
pub(crate) fn collect(key: &str) -> Vec<CellCommand> {
    OUTBOX.with_borrow_mut(|outbox| {
        let Some(Letters { commands, .. }) = outbox.get_mut(key) else {
            return Vec::new();
        };
        commands.drain(..commands.len().min(FILL)).collect()
    })
}

thread_local! {
    static OUTBOX: RefCell<BTreeMap<String, Letters>> = RefCell::default();
}

/// How long a command that only tells something waits for company.
pub(crate) const LINGER: Duration = Duration::from_millis(10);
/// Most letters that one message carries, some 150 bytes each.
const FILL: usize = 64;

#[cfg(test)]
mod tests {
    use tidegate_core::cluster::ClusterCommand;

    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(1_000);

    fn command() -> CellCommand {
        CellCommand::Cluster(ClusterCommand::Status)
    }

    #[test]
    fn a_letter_goes_with_the_next_message_to_its_cell() {
        post("a letter", command(), NOW);
        post("elsewhere", command(), NOW);
        assert_eq!(collect("a letter").len(), 1);
        assert!(collect("a letter").is_empty());
    }

    #[test]
    fn one_waits_for_the_letters_of_all() {
        assert!(post("shared", command(), NOW));
        assert!(!post("shared", command(), NOW));
        // By then the first has sent them, or its event was lost.
        assert!(post("shared", command(), NOW + LINGER));
        assert_eq!(collect("shared").len(), 3);
    }

    #[test]
    fn a_full_message_leaves_the_rest_for_the_next() {
        for _ in 0..=FILL {
            post("full", command(), NOW);
        }
        assert_eq!(collect("full").len(), FILL);
        assert_eq!(collect("full").len(), 1);
    }
}
