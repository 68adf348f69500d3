//! What the reader sees of a running task. All of it goes to standard error: standard output is for results.

use std::io::{IsTerminal as _, Write as _};
use std::time::Instant;

use crate::error::TaskError;

/// Runs `work` under a headline, and says how long it took.
pub fn step<T>(name: &str, work: impl FnOnce() -> Result<T, TaskError>) -> Result<T, TaskError> {
    line(&format!("{} {name}", bold("==>")));
    let begun = Instant::now();
    let result = work();
    let seconds = begun.elapsed().as_secs_f64();
    match &result {
        Ok(_) if seconds < QUICK_S => {}
        Ok(_) => line(&format!("{} {name} {seconds:.0} s", bold("  ✓"))),
        Err(_) => line(&format!("{} {name} after {seconds:.0} s", bold("  ✗"))),
    }
    result
}

/// One line beside the steps.
pub fn note(text: &str) {
    line(&format!("    {text}"));
}

/// One line, written in one piece: wrangler shows each piece that a build writes as a line of its own.
pub fn line(text: &str) {
    // Nobody reads it where it cannot be written.
    let _ = std::io::stderr().write_all(format!("{text}\n").as_bytes());
}

/// `text`, set off where the terminal can.
pub fn bold(text: &str) -> String {
    let plain = !std::io::stderr().is_terminal() || std::env::var_os("NO_COLOR").is_some();
    if plain {
        text.to_owned()
    } else {
        format!("\x1b[1m{text}\x1b[0m")
    }
}

/// A step that took less than this needs no word about its end, in seconds.
const QUICK_S: f64 = 1.0;
