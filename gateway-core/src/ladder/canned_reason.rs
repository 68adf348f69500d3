//! Why nothing on the ladder answers, as a canned answer tells it.

use super::attempt_error::AttemptError;
use crate::config::CannedReason;

/// Why nothing answers, after one more failure. That all replicas drain which could be asked is maintenance; whatever else
/// has failed on the way makes an overload of it. What says nothing of engines leaves it as it was.
pub fn canned_reason(before: Option<CannedReason>, error: &AttemptError) -> Option<CannedReason> {
    match error {
        AttemptError::NoRoom { passed_over, .. }
            if passed_over.draining > 0 && passed_over.full + passed_over.open + passed_over.tried == 0 =>
        {
            before.or(Some(CannedReason::Maintenance))
        }
        AttemptError::Unfit => before,
        AttemptError::NoRoom { .. }
        | AttemptError::Cell(_)
        | AttemptError::Send(_)
        | AttemptError::FirstByteTimeout
        | AttemptError::BetweenBytesTimeout
        | AttemptError::Deadline
        | AttemptError::Status { .. }
        | AttemptError::InBand(_)
        | AttemptError::Garbage(_)
        | AttemptError::Semantic { .. }
        | AttemptError::Hop(_) => Some(CannedReason::Overload),
        // No text stands for these: they end the walk.
        AttemptError::Rejected { .. }
        | AttemptError::NotServed { .. }
        | AttemptError::Blamed { .. }
        | AttemptError::TooLarge { .. }
        | AttemptError::Stopping => before,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::PassedOver;

    fn no_room(full: u32, draining: u32) -> AttemptError {
        AttemptError::NoRoom {
            recovery: None,
            passed_over: PassedOver {
                full,
                draining,
                ..PassedOver::default()
            },
            expected_wait: None,
            dropped: None,
        }
    }

    #[test]
    fn it_is_maintenance_only_where_nothing_else_has_failed() {
        let (overload, maintenance) = (Some(CannedReason::Overload), Some(CannedReason::Maintenance));
        for (errors, reason) in [
            (vec![no_room(0, 2), AttemptError::Unfit], maintenance),
            (vec![AttemptError::Unfit], None),
            (vec![no_room(0, 2), no_room(1, 0)], overload),
            (vec![no_room(1, 0), no_room(0, 2)], overload),
            (vec![no_room(1, 2)], overload),
            (vec![no_room(0, 0)], overload),
            (vec![no_room(0, 1), AttemptError::Deadline], overload),
        ] {
            let found = errors.iter().fold(None, canned_reason);
            assert_eq!(found, reason, "{errors:?}");
        }
    }
}
