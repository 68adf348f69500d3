//! What happens to messages on their way between edge locations and cells.

use std::ops::Range;
use std::time::Duration;

/// The way to the cells of one kind and back.
#[derive(Clone, Debug, PartialEq)]
pub struct Link {
    /// How long a message takes, each way: at random within the range.
    pub delay: Range<Duration>,
    /// The share of messages, each way, that is lost; 0 to 1.
    pub lost: f64,
    /// The share of commands that come a second time; 0 to 1. The first of their replies counts.
    pub doubled: f64,
    /// When the second one comes.
    pub doubled_after: Range<Duration>,
    /// Who has no reply by then is told that the cell cannot be reached. Its command may come all the same.
    pub patience: Duration,
    /// Whether every call fails at once.
    pub is_cut: bool,
}

impl Link {
    /// A message is there as it is sent.
    pub const IDEAL: Self = Self {
        delay: Duration::ZERO..Duration::ZERO,
        lost: 0.0,
        doubled: 0.0,
        doubled_after: Duration::ZERO..Duration::ZERO,
        patience: Duration::from_secs(10),
        is_cut: false,
    };

    /// Nothing gets through, and whoever tries is told so.
    pub const CUT: Self = Self {
        is_cut: true,
        ..Self::IDEAL
    };

    /// Whether a reply is there as soon as the command is sent.
    pub(crate) fn is_ideal(&self) -> bool {
        self.delay.end.is_zero() && self.lost <= 0.0 && self.doubled <= 0.0
    }
}
