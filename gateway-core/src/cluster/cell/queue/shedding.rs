//! Who may not begin to wait because of how full the queue is: requests of low priority first, more of them the fuller it
//! is, long before nobody may. Which of them is decided by their permits' names, which are random.

use crate::cluster::permit::PermitId;
use crate::cluster::waiting::QueueBounds;

/// What waits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Filling {
    pub requests: u32,
    pub bytes: u64,
}

impl Filling {
    /// Whether it is within its bounds.
    pub fn is_within(self, bounds: QueueBounds) -> bool {
        self.requests <= bounds.requests && self.bytes <= bounds.bytes
    }

    /// The larger of its parts of the two bounds, in a unit that is the same for the same bounds.
    pub fn share(self, bounds: QueueBounds) -> u128 {
        let requests = u128::from(self.requests) * u128::from(bounds.bytes.max(1));
        requests.max(u128::from(self.bytes) * u128::from(bounds.requests.max(1)))
    }

    /// How full the queue is, in thousandths.
    fn permille(self, bounds: QueueBounds) -> u64 {
        let share = |part: u64, all: u64| (u128::from(part) * 1_000 / u128::from(all.max(1))).min(1_000);
        let fuller = share(self.requests.into(), bounds.requests.into()).max(share(self.bytes, bounds.bytes));
        u64::try_from(fuller).unwrap_or(1_000)
    }
}

/// Whether a request is sent away although the queue is not full.
pub(super) fn is_shed(filling: Filling, bounds: QueueBounds, priority: u8, permit: PermitId) -> bool {
    let Some((from, to)) = SHED
        .iter()
        .find(|(of, ..)| *of == priority.min(2))
        .map(|(_, from, to)| (*from, *to))
    else {
        return false;
    };
    let beyond = filling.permille(bounds).saturating_sub(from);
    permit.0 % (to - from) < beyond
}

/// For each priority, from which filling on some are shed, and from which on all, in thousandths. The first one waits as long
/// as there is room.
const SHED: [(u8, u64, u64); 2] = [(1, 900, 1_000), (2, 500, 800)];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn low_priorities_go_first_and_more_of_them_the_fuller_it_is() {
        let bounds = QueueBounds {
            requests: 100,
            bytes: 1_000,
        };
        for (requests, bytes, low, normal, high) in [
            (0, 0, 0, 0, 0),
            (50, 0, 0, 0, 0),
            (65, 0, 50, 0, 0),
            (10, 650, 50, 0, 0),
            (80, 0, 100, 0, 0),
            (95, 0, 100, 50, 0),
            (99, 1_000, 100, 100, 0),
        ] {
            let filling = Filling { requests, bytes };
            let shed = |priority| {
                let permits = (0..3_000).map(|number: u64| PermitId(number.wrapping_mul(0x9e37_79b9_7f4a_7c15)));
                let shed = permits.filter(|permit| is_shed(filling, bounds, priority, *permit));
                shed.count() as i64 / 30
            };
            for (priority, expected) in [(2, low), (1, normal), (0, high), (7, low)] {
                let found = shed(priority);
                assert!((found - expected).abs() <= 3, "{filling:?} {priority}: {found} of 100");
            }
        }
    }
}
