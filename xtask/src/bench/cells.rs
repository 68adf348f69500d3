//! `cargo xtask bench cells`: how many commands one cell in Redis takes, from one process and from several.

use crate::command::Run;
use crate::error::TaskError;
use crate::packages::{self, OPTIMISED, selected};
use crate::{setup, terminal, workspace};

/// Measures each case for `time_ms`, and prints the figures.
pub fn run(time_ms: u32) -> Result<(), TaskError> {
    let program = terminal::step("Redis", setup::redis_server)?;
    let folder = workspace::work_folder("bench/cells")?;
    terminal::step("build the program", || {
        let build = Run::cargo().arg("build").args(selected(packages::NATIVE));
        build.args(["--example", "cells", "--profile", OPTIMISED]).shown()
    })?;
    let redis = crate::dev::start_redis(&program, &folder)?;
    let cells = workspace::target().join(OPTIMISED).join("examples/cells");
    Run::new(cells)
        .arg("cluster")
        .arg(&redis.url)
        .arg(time_ms.to_string())
        .shown()
}
