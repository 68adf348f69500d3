//! Why a region could not carry an order out, as it tells the edge: the last attempt's error, so that the walk goes on from there
//! as if the edge had asked the replicas itself, and its client is told the same.

use std::time::Duration;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::api::EngineError;
use crate::cells::CellError;
use crate::cluster::{Dropped, PassedOver};
use crate::detect::Detector;
use crate::ladder::{AttemptError, Garbage};
use crate::platform::SendError;

/// An attempt's error on its way between two hops.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(in crate::pipeline) struct HopFailure {
    /// The error's label.
    error: String,
    /// An engine's status.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    status: Option<u16>,
    /// An engine's words, or details for operators.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    words: String,
    /// Until asking again may help, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    recovery_ms: Option<u64>,
    /// Why not each replica, where none has room.
    #[serde(default)]
    passed_over: PassedOver,
    /// How long a turn would take to come, where none has room, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    expected_wait_ms: Option<u64>,
    /// Why the order did not wait for one, or no longer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    dropped: Option<Dropped>,
    /// The bound that an answer was too large for, in bytes.
    #[serde(default)]
    limit: usize,
    /// How many replicas were asked.
    #[serde(default)]
    pub attempts: u32,
}

impl HopFailure {
    /// Of a walk's last error, after so many attempts.
    pub fn new(error: &AttemptError, recovery: Option<Duration>, attempts: u32) -> Self {
        let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        let mut told = Self {
            error: error.label().to_owned(),
            recovery_ms: recovery.map(millis),
            attempts,
            ..Self::default()
        };
        match error {
            AttemptError::NoRoom {
                passed_over,
                expected_wait,
                dropped,
                recovery: _,
            } => {
                told.passed_over = *passed_over;
                told.expected_wait_ms = expected_wait.map(millis);
                told.dropped = *dropped;
            }
            AttemptError::Cell(error) => told.words = error.to_string(),
            AttemptError::Send(error) => told.words = error.to_string(),
            AttemptError::Rejected { status, body } => {
                told.status = Some(*status);
                told.words = String::from_utf8_lossy(body).into_owned();
            }
            AttemptError::NotServed { status, words }
            | AttemptError::Blamed { status, words }
            | AttemptError::Status { status, words, .. } => {
                told.status = Some(*status);
                told.words.clone_from(words);
            }
            AttemptError::InBand(error) => {
                told.words = String::from_utf8_lossy(&error.clone().into_told()).into_owned();
            }
            AttemptError::TooLarge { limit } => told.limit = *limit,
            AttemptError::Garbage(Garbage::ContentType { found }) => told.words.clone_from(found),
            AttemptError::Semantic { detector, again: _ } => detector.name().clone_into(&mut told.words),
            AttemptError::Garbage(Garbage::NotJson | Garbage::Empty)
            | AttemptError::Hop(_)
            | AttemptError::Unfit
            | AttemptError::FirstByteTimeout
            | AttemptError::BetweenBytesTimeout
            | AttemptError::Deadline
            | AttemptError::Stopping => {}
        }
        told
    }

    /// As its body has it.
    pub fn to_body(&self) -> Bytes {
        serde_json::to_vec(self).unwrap_or_default().into()
    }

    /// What a body says; `None` where that is not understood.
    pub fn parse(body: &[u8]) -> Option<Self> {
        serde_json::from_slice(body).ok()
    }

    /// The error; `None` where this version does not know it. That the region's own process stops is no reason for the edge to
    /// give up: the cluster counts as one that could not be reached.
    pub fn into_error(self) -> Option<AttemptError> {
        let recovery = self
            .recovery_ms
            .map(|recovery| Duration::from_millis(recovery.min(LONGEST_MS)));
        // What is no error has no place in one.
        let status = self.status.filter(|status| (400..600).contains(status));
        let words = self.words;
        Some(match (self.error.as_str(), status) {
            ("no_room", _) => AttemptError::NoRoom {
                recovery,
                passed_over: self.passed_over,
                expected_wait: self
                    .expected_wait_ms
                    .map(|wait| Duration::from_millis(wait.min(LONGEST_MS))),
                dropped: self.dropped,
            },
            ("unfit", _) => AttemptError::Unfit,
            ("cell", _) => AttemptError::Cell(CellError::Unreachable(words)),
            ("connect" | "no_secret", _) => AttemptError::Send(SendError::Connect(words)),
            ("broken" | "local" | "stopping", _) => AttemptError::Send(SendError::Broken(words)),
            ("first_byte_timeout", _) => AttemptError::FirstByteTimeout,
            ("between_bytes_timeout", _) => AttemptError::BetweenBytesTimeout,
            ("deadline", _) => AttemptError::Deadline,
            ("rejected", Some(status)) => AttemptError::Rejected {
                status,
                body: words.into(),
            },
            ("not_served", Some(status)) => AttemptError::NotServed { status, words },
            ("blamed", Some(status)) => AttemptError::Blamed { status, words },
            ("status", Some(status)) => AttemptError::Status {
                status,
                retry_after: recovery,
                words,
            },
            ("in_band", _) => AttemptError::InBand(EngineError::read(words.as_bytes())),
            ("too_large", _) => AttemptError::TooLarge { limit: self.limit },
            ("semantic", _) => AttemptError::Semantic {
                detector: Detector::ALL.into_iter().find(|known| known.name() == words)?,
                again: false,
            },
            ("garbage", _) => AttemptError::Garbage(Garbage::ContentType { found: words }),
            _ => return None,
        })
    }
}

/// Longer waits are none that anybody would wait.
const LONGEST_MS: u64 = 3_600_000;

#[cfg(test)]
mod tests {
    use super::*;

    fn there_and_back(error: &AttemptError) -> Option<AttemptError> {
        let told = HopFailure::new(error, error.recovery(), 2);
        HopFailure::parse(&told.to_body()).expect("it is read").into_error()
    }

    #[test]
    fn an_error_arrives_as_it_was() {
        let words = || "too long".to_owned();
        for error in [
            AttemptError::NoRoom {
                recovery: Some(Duration::from_secs(2)),
                passed_over: PassedOver {
                    full: 2,
                    open: 1,
                    tried: 0,
                    draining: 1,
                },
                expected_wait: Some(Duration::from_secs(2)),
                dropped: Some(Dropped::QueueFull),
            },
            AttemptError::Unfit,
            AttemptError::FirstByteTimeout,
            AttemptError::BetweenBytesTimeout,
            AttemptError::Deadline,
            AttemptError::Rejected {
                status: 422,
                body: r#"{"error":{"message":"\u00e4"}}"#.into(),
            },
            AttemptError::NotServed {
                status: 404,
                words: words(),
            },
            AttemptError::Blamed {
                status: 500,
                words: words(),
            },
            AttemptError::Status {
                status: 429,
                retry_after: Some(Duration::from_secs(3)),
                words: words(),
            },
            AttemptError::InBand(EngineError::read(br#"{"error":{"message":"oom","code":500}}"#)),
            AttemptError::TooLarge { limit: 9 },
            AttemptError::Semantic {
                detector: Detector::Echo,
                again: false,
            },
        ] {
            assert_eq!(there_and_back(&error).as_ref(), Some(&error));
        }
    }

    #[test]
    fn what_is_the_regions_own_is_a_cluster_that_was_not_reached() {
        let stopping = there_and_back(&AttemptError::Stopping);
        assert_eq!(stopping.map(|error| error.label()), Some("broken"));
        let secret = there_and_back(&AttemptError::Send(SendError::NoSecret("TOKEN".into())));
        assert_eq!(secret.map(|error| error.label()), Some("connect"));
    }

    #[test]
    fn an_error_of_a_version_to_come_is_not_guessed() {
        let told = HopFailure::parse(br#"{"error":"moonphase","later":1}"#).expect("it is read");
        assert_eq!(told.into_error(), None);
        assert_eq!(HopFailure::parse(b"<html>"), None);
        let told = HopFailure::parse(br#"{"error":"rejected","status":200,"words":"fine"}"#).expect("it is read");
        assert_eq!(told.into_error(), None);
    }
}
