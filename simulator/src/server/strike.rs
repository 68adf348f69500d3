//! The faults that strike before anything is answered.

use std::time::Duration;

use http::request::Parts;

use super::connection::Connection;
use super::error::ApiError;
use super::faults::{DrawnFaults, Fault, OUT_OF_MEMORY, simulated};
use super::shared::Shared;

/// The connection is to be closed without an answer.
#[derive(Debug, thiserror::Error)]
#[error("refused by a fault, or the client sent no whole request")]
pub(super) struct NoAnswer;

/// Does what the faults say; the error to answer with, if they say so.
pub(super) async fn strike(shared: &Shared, parts: &Parts, drawn: &DrawnFaults) -> Result<Option<ApiError>, NoAnswer> {
    for fault in &drawn.0 {
        if let Fault::Refuse {} = fault {
            if let Some(connection) = Connection::of(parts) {
                connection.reset_on_close();
            }
            return Err(NoAnswer);
        }
        if let Fault::Hang {} = fault {
            return futures::future::pending().await;
        }
        if let Fault::Status {
            status,
            retry_after,
            message,
        } = fault
        {
            return Ok(Some(simulated(*status, message.as_deref(), retry_after.as_deref())));
        }
        if let Fault::OutOfMemory { crash, restart_ms } = fault {
            if *crash {
                shared.driver.crash(Duration::from_millis(*restart_ms));
            }
            return Ok(Some(simulated(500, Some(OUT_OF_MEMORY), None)));
        }
    }
    Ok(None)
}
