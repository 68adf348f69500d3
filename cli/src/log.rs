//! Log lines on stderr: what the process itself does, one event a line. Libraries' own events stay out, since some
//! quote what goes over a connection, and so do the messages of panics, which may quote what was being read.

use std::io;
use std::panic;

use tracing::error;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, fmt, registry};

/// What is logged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Detail {
    /// What the process does, and what fails.
    Process,
    /// The course of every request as well.
    Requests,
}

/// Starts logging for the rest of the process.
pub fn start(detail: Detail) {
    let level = match detail {
        Detail::Process => LevelFilter::INFO,
        Detail::Requests => LevelFilter::DEBUG,
    };
    let ours = Targets::new().with_target("tidegate", level);
    registry()
        .with(
            fmt::layer()
                .with_writer(io::stderr)
                .with_target(false)
                .with_filter(ours),
        )
        .init();
    panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        error!(place, "panic: please report it");
    }));
}
