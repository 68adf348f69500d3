//! Which failures of attempts speak against the version of a model that was asked.

use super::attempt_error::AttemptError;
use crate::platform::SendError;
use crate::rollout::FaultKind;

/// How the version has failed the request; `None` where the failure says nothing of it: there is no room, engines of every
/// version fail at the request, or what stands between is out. `has_begun`: an answer had, and broke off.
pub fn version_fault(error: &AttemptError, has_begun: bool) -> Option<FaultKind> {
    let fault = match error {
        AttemptError::NoRoom { passed_over, .. } => {
            // What has been tried has failed in its own way before.
            let is_out = passed_over.full == 0 && passed_over.open > 0;
            return is_out.then_some(FaultKind::Out);
        }
        // It has no time, which is no fault, unless it is not there at all.
        AttemptError::Status { status: 429 | 503, .. } if !error.is_absence() => return None,
        AttemptError::Send(SendError::NoSecret(_) | SendError::Local(_))
        | AttemptError::Unfit
        | AttemptError::Cell(_)
        | AttemptError::Deadline
        | AttemptError::Blamed { .. }
        | AttemptError::TooLarge { .. }
        | AttemptError::Hop(_)
        | AttemptError::Stopping => return None,
        AttemptError::Rejected { .. } | AttemptError::NotServed { .. } => FaultKind::Refused,
        AttemptError::Garbage(_) => FaultKind::Malformed,
        AttemptError::Semantic { .. } => FaultKind::Semantic,
        AttemptError::Send(SendError::Connect(_) | SendError::Broken(_) | SendError::Lost(_))
        | AttemptError::FirstByteTimeout
        | AttemptError::BetweenBytesTimeout
        | AttemptError::Status { .. }
        | AttemptError::InBand(_)
            if has_begun =>
        {
            FaultKind::Broken
        }
        AttemptError::Send(SendError::Connect(_) | SendError::Broken(_) | SendError::Lost(_))
        | AttemptError::FirstByteTimeout
        | AttemptError::BetweenBytesTimeout
        | AttemptError::Status { .. }
        | AttemptError::InBand(_) => FaultKind::Error,
    };
    Some(fault)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::PassedOver;
    use crate::ladder::Garbage;

    fn no_room(full: u32, open: u32) -> AttemptError {
        let passed_over = PassedOver {
            full,
            open,
            ..PassedOver::default()
        };
        AttemptError::NoRoom {
            recovery: None,
            passed_over,
            expected_wait: None,
            dropped: None,
        }
    }

    fn status(status: u16, words: &str) -> AttemptError {
        let words = words.to_owned();
        AttemptError::Status {
            status,
            retry_after: None,
            words,
        }
    }

    #[test]
    fn what_speaks_against_a_version_is_told_from_what_does_not() {
        assert_eq!(version_fault(&status(500, ""), false), Some(FaultKind::Error));
        assert_eq!(version_fault(&status(404, ""), false), Some(FaultKind::Error));
        assert_eq!(version_fault(&status(503, ""), false), None);
        assert_eq!(
            version_fault(&status(503, "Loading model"), false),
            Some(FaultKind::Error)
        );
        assert_eq!(
            version_fault(&AttemptError::BetweenBytesTimeout, true),
            Some(FaultKind::Broken)
        );
        assert_eq!(
            version_fault(&Garbage::NotJson.into(), true),
            Some(FaultKind::Malformed)
        );
        let rejected = AttemptError::Rejected {
            status: 422,
            body: bytes::Bytes::new(),
        };
        assert_eq!(version_fault(&rejected, false), Some(FaultKind::Refused));
        assert_eq!(version_fault(&no_room(0, 2), false), Some(FaultKind::Out));
        assert_eq!(version_fault(&no_room(1, 2), false), None);
        assert_eq!(
            version_fault(&AttemptError::Send(SendError::Local(String::new())), false),
            None
        );
    }
}
