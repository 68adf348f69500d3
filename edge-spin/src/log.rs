//! Warnings, to the standard error stream that Spin keeps for each component. What goes as it should is in the
//! metrics only: a line for each request would cost as much as the request.

use std::cell::RefCell;
use std::fmt::Write as _;

use spin_sdk::wasip3::cli::stderr;
use spin_sdk::wasip3::wit_stream;
use tidegate_core::observe::Record;

use crate::tasks;

/// Logs what failed.
pub(crate) fn on_record(record: &Record<'_>) {
    warn(&record.to_string());
}

/// Logs a line. What is logged at one time is written at once, by a task beside the request.
pub(crate) fn warn(line: &str) {
    let is_first = LINES.with_borrow_mut(|lines| {
        let is_first = lines.is_empty();
        // Writing to a string cannot fail.
        let _ = writeln!(lines, "warn {line}");
        is_first
    });
    if is_first {
        tasks::spawn(write());
    }
}

async fn write() {
    let (mut writer, reader) = wit_stream::new();
    let written = stderr::write_via_stream(reader);
    let lines = LINES.take().into_bytes();
    // Nobody can be told that the log does not take lines.
    let _ = writer.write_all(lines).await;
    drop(writer);
    let _ = written.await;
}

thread_local! {
    static LINES: RefCell<String> = const { RefCell::new(String::new()) };
}
