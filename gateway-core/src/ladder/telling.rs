//! Which of a request's failures its client is told of.

use super::attempt_error::AttemptError;

/// The one of two errors that helps the client more, the later one where they help alike. That engines have no room says
/// that it is worth while to wait, which helps more than how one of them failed; and that helps more than that there is
/// nobody left to ask.
pub fn more_telling(before: Option<AttemptError>, error: AttemptError) -> AttemptError {
    match before {
        Some(before) if rank(&before) > rank(&error) => before,
        Some(_) | None => error,
    }
}

fn rank(error: &AttemptError) -> u8 {
    match error {
        AttemptError::Unfit => 0,
        AttemptError::NoRoom { passed_over, .. } if passed_over.full + passed_over.open == 0 => 0,
        AttemptError::NoRoom { .. } | AttemptError::Status { status: 429 | 503, .. } => 2,
        AttemptError::Cell(_)
        | AttemptError::Send(_)
        | AttemptError::FirstByteTimeout
        | AttemptError::BetweenBytesTimeout
        | AttemptError::Status { .. }
        | AttemptError::InBand(_)
        | AttemptError::Hop(_)
        | AttemptError::Garbage(_)
        | AttemptError::Semantic { .. } => 1,
        // These end the walk.
        AttemptError::Rejected { .. }
        | AttemptError::NotServed { .. }
        | AttemptError::Blamed { .. }
        | AttemptError::TooLarge { .. }
        | AttemptError::Deadline
        | AttemptError::Stopping => 3,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::PassedOver;
    use crate::platform::SendError;

    fn no_room(full: u32, open: u32) -> AttemptError {
        let tried = 1;
        AttemptError::NoRoom {
            recovery: None,
            passed_over: PassedOver {
                full,
                open,
                tried,
                draining: 0,
            },
            expected_wait: None,
            dropped: None,
        }
    }

    fn status(status: u16) -> AttemptError {
        AttemptError::Status {
            status,
            retry_after: None,
            words: String::new(),
        }
    }

    #[test]
    fn that_waiting_helps_is_told_first_and_that_nobody_is_left_last() {
        let refused = AttemptError::Send(SendError::Connect(String::new()));
        for (errors, told) in [
            (vec![refused.clone(), no_room(0, 0)], refused.clone()),
            (vec![refused.clone(), no_room(1, 0)], no_room(1, 0)),
            (vec![refused.clone(), no_room(0, 1), status(500)], no_room(0, 1)),
            (vec![status(429), no_room(0, 0), refused.clone()], status(429)),
            (vec![status(500), AttemptError::Unfit, refused.clone()], refused.clone()),
            (vec![no_room(1, 0), AttemptError::Deadline], AttemptError::Deadline),
        ] {
            let chosen = errors
                .iter()
                .cloned()
                .fold(None, |before, error| Some(more_telling(before, error)));
            assert_eq!(chosen, Some(told), "{errors:?}");
        }
    }
}
