//! An attempt that came to nothing, as records tell it.

use serde::Serialize;

use super::millis::Millis;
use crate::cluster::PassedOver;
use crate::ids::{ClusterName, ReplicaName};
use crate::ladder::AttemptError;

/// An attempt that came to nothing.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Failed {
    /// Which cluster was asked.
    pub cluster: ClusterName,
    /// Which replica; `None` where none was.
    pub replica: Option<ReplicaName>,
    /// Why, in one word.
    pub error: &'static str,
    /// The engine's status.
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<u16>,
    /// What the runtime says of a connection, or of a cell.
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<String>,
    /// Why not each replica.
    #[serde(skip_serializing_if = "Option::is_none")]
    passed_over: Option<PassedOver>,
    #[serde(skip_serializing_if = "Option::is_none")]
    expected_wait_ms: Option<Millis>,
    #[serde(skip_serializing_if = "Option::is_none")]
    dropped: Option<&'static str>,
    /// In how long asking again may help.
    #[serde(skip_serializing_if = "Option::is_none")]
    recovery_ms: Option<Millis>,
}

impl Failed {
    /// Of an attempt's error. An engine's words stay out: they may quote the request.
    pub fn new(cluster: &ClusterName, replica: Option<&ReplicaName>, error: &AttemptError) -> Self {
        let mut failed = Self {
            cluster: cluster.clone(),
            replica: replica.cloned(),
            error: error.label(),
            status: None,
            detail: None,
            passed_over: None,
            expected_wait_ms: None,
            dropped: None,
            recovery_ms: error.recovery().map(Millis),
        };
        match error {
            AttemptError::NoRoom {
                passed_over,
                expected_wait,
                dropped,
                recovery: _,
            } => {
                failed.passed_over = Some(*passed_over);
                failed.expected_wait_ms = expected_wait.map(Millis);
                failed.dropped = dropped.map(|dropped| dropped.as_str());
            }
            AttemptError::Rejected { status, .. }
            | AttemptError::NotServed { status, .. }
            | AttemptError::Blamed { status, .. }
            | AttemptError::Status { status, .. } => failed.status = Some(*status),
            AttemptError::Cell(error) => failed.detail = Some(short(&error.to_string())),
            AttemptError::Send(error) => failed.detail = Some(short(&error.to_string())),
            AttemptError::Semantic { detector, again: _ } => failed.detail = Some(detector.name().to_owned()),
            AttemptError::Unfit
            | AttemptError::FirstByteTimeout
            | AttemptError::BetweenBytesTimeout
            | AttemptError::Deadline
            | AttemptError::InBand(_)
            | AttemptError::TooLarge { .. }
            | AttemptError::Garbage(_)
            | AttemptError::Hop(_)
            | AttemptError::Stopping => {}
        }
        failed
    }
}

/// The beginning of what a runtime says, in ASCII: it is told in headers as well.
fn short(text: &str) -> String {
    let printable = text
        .chars()
        .map(|it| if it.is_ascii_graphic() || it == ' ' { it } else { '?' });
    printable.take(MOST_DETAIL).collect()
}

/// So much of what a runtime says of a connection is enough to know it by, in characters.
const MOST_DETAIL: usize = 160;
