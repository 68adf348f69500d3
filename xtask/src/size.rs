//! `cargo xtask size`: what the wasm bundles weigh, compressed as the platforms count them.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::write::GzEncoder;

use crate::build::{self, Purpose};
use crate::error::TaskError;
use crate::setup::wasm_toolchain;
use crate::terminal;

/// Builds both bundles, prints their weight, and fails when one is over its budget.
pub fn run() -> Result<(), TaskError> {
    let wasm = wasm_toolchain()?;
    let worker = terminal::step("build cloudflare", || build::cloudflare(&wasm, Purpose::Deployment))?;
    let component = terminal::step("build spin", || build::spin(&wasm, Purpose::Deployment))?;
    check(&worker, &component)
}

/// Prints what the two weigh, and fails when one is over its budget.
pub fn check(worker: &Path, component: &Path) -> Result<(), TaskError> {
    let script = ["index.js", "index_bg.wasm"].map(|name| worker.join(name));
    let bundles = [
        Bundle {
            name: "Cloudflare bundle",
            files: script.to_vec(),
            budget: CLOUDFLARE_BUDGET,
        },
        Bundle {
            name: "Spin component",
            files: vec![component.to_owned()],
            budget: SPIN_BUDGET,
        },
    ];
    let mut worst = Ok(());
    println!("{:<20} {:>10} {:>10} {:>10}", "", "KB", "KB gzip", "budget");
    for bundle in bundles {
        let weight = weigh(&bundle.files)?;
        let [plain, gzip, budget] = [weight.plain, weight.gzip, bundle.budget].map(|bytes| bytes as f64 / 1000.0);
        println!("{:<20} {plain:>10.0} {gzip:>10.0} {budget:>10.0}", bundle.name);
        if weight.gzip > bundle.budget {
            let found = format!("{gzip:.0} KB gzip");
            worst = Err(TaskError::unmet(
                bundle.name,
                found,
                format!("at most {budget:.0} KB are allowed"),
            ));
        }
    }
    worst
}

struct Bundle {
    name: &'static str,
    files: Vec<PathBuf>,
    budget: u64,
}

/// In bytes.
struct Weight {
    plain: u64,
    gzip: u64,
}

/// What files weigh together, each compressed by itself.
fn weigh(files: &[PathBuf]) -> Result<Weight, TaskError> {
    let mut weight = Weight { plain: 0, gzip: 0 };
    for path in files {
        let bytes = std::fs::read(path).map_err(TaskError::file(path))?;
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        let compressed = encoder
            .write_all(&bytes)
            .and_then(|()| encoder.finish())
            .map_err(TaskError::file(path))?;
        weight.plain += bytes.len() as u64;
        weight.gzip += compressed.len() as u64;
    }
    Ok(weight)
}

/// In bytes, compressed. Cloudflare's own limit is 3 MB on its free plan; a small bundle starts sooner.
const CLOUDFLARE_BUDGET: u64 = 1_000_000;
/// In bytes, compressed.
const SPIN_BUDGET: u64 = 1_500_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_compresses_weighs_less() {
        let path = std::env::temp_dir().join(format!("tidegate-size-{}", std::process::id()));
        std::fs::write(&path, vec![b'a'; 10_000]).expect("a temporary file can be written");
        let weight = weigh(std::slice::from_ref(&path)).expect("it can be read");
        std::fs::remove_file(&path).expect("it can be removed");
        assert_eq!(weight.plain, 10_000);
        assert!(weight.gzip < 100, "10,000 equal bytes take {} compressed", weight.gzip);
    }
}
