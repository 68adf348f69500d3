//! What engines sent and are asked, as the first inputs of fuzz targets.

use std::fs;
use std::path::{Path, PathBuf};

use tidegate_tests::recording::Recording;

use crate::cases;

/// Where they go.
#[derive(Clone, Debug, clap::Args)]
pub struct Options {
    /// The folder in which `answers` and `requests` are made.
    #[arg(long)]
    out: PathBuf,
}

/// Writes them.
pub fn run(options: &Options) {
    let answers = options.out.join("answers");
    for recording in Recording::all() {
        write(&answers, &recording.name.replace('/', "-"), &recording.body());
    }
    let requests = options.out.join("requests");
    for case in cases::all() {
        write(&requests, case.name, case.request.body_bytes());
    }
}

fn write(folder: &Path, name: &str, bytes: &[u8]) {
    fs::create_dir_all(folder).expect("the folder can be made");
    fs::write(folder.join(name), bytes).expect("the input can be written");
}
