//! `cargo xtask size`: what the wasm bundles weigh, compressed as the platforms count them, code and token tables apart.

use std::io::Write as _;
use std::path::Path;

use flate2::Compression;
use flate2::write::GzEncoder;

use crate::build::{self, Profile, Purpose};
use crate::carried::tables_in;
use crate::error::TaskError;
use crate::setup::{tested_tables, wasm_toolchain};
use crate::terminal;

/// Builds both bundles, prints their weight, and fails when one is over its budget.
pub fn run() -> Result<(), TaskError> {
    let wasm = wasm_toolchain()?;
    let tidegate = terminal::step("build tidegate", || build::native(Profile::Debug, Purpose::Deployment))?;
    let tables = terminal::step("token tables", || tested_tables(&tidegate))?;
    let worker = terminal::step("build cloudflare", || {
        build::cloudflare(&wasm, Purpose::Deployment, &tables)
    })?;
    let component = terminal::step("build spin", || build::spin(&wasm, Purpose::Deployment, &tables))?;
    check(&worker, &component)
}

/// Prints what the two weigh, and fails when something is over its budget.
pub fn check(worker: &Path, component: &Path) -> Result<(), TaskError> {
    let script = ["index.js", "index_bg.wasm"].map(|name| read(&worker.join(name)));
    let code = script.into_iter().sum::<Result<Weight, TaskError>>()?;
    let mut bundle = code;
    let mut component_code = std::fs::read(component).map_err(TaskError::file(component))?;
    let mut weights = vec![("Cloudflare code".to_owned(), code, CLOUDFLARE_CODE_BUDGET)];
    for path in tables_in(worker)? {
        let table = std::fs::read(&path).map_err(TaskError::file(&path))?;
        cut(&mut component_code, &table, component, &path)?;
        let weight = Weight::of(&table, &path)?;
        bundle = bundle + weight;
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        weights.push((name, weight, TABLE_BUDGET));
    }
    weights.push(("Cloudflare bundle".to_owned(), bundle, CLOUDFLARE_BUDGET));
    let spin = Weight::of(&component_code, component)?;
    weights.push(("Spin code".to_owned(), spin, SPIN_CODE_BUDGET));
    print(&weights)
}

fn print(weights: &[(String, Weight, u64)]) -> Result<(), TaskError> {
    let mut worst = Ok(());
    println!("{:<20} {:>10} {:>10} {:>10}", "", "KB", "KB gzip", "budget");
    for (name, weight, budget) in weights {
        let over = weight.gzip > *budget;
        let [plain, gzip, budget] = [weight.plain, weight.gzip, *budget].map(|bytes| bytes as f64 / 1000.0);
        println!("{name:<20} {plain:>10.0} {gzip:>10.0} {budget:>10.0}");
        if over {
            let found = format!("{gzip:.0} KB gzip");
            worst = Err(TaskError::unmet(
                name.clone(),
                found,
                format!("at most {budget:.0} KB are allowed"),
            ));
        }
    }
    worst
}

/// In bytes.
#[derive(Clone, Copy, Debug, Default)]
struct Weight {
    plain: u64,
    gzip: u64,
}

impl Weight {
    /// What `bytes`, which `path` holds, weigh by themselves.
    fn of(bytes: &[u8], path: &Path) -> Result<Self, TaskError> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        let compressed = encoder
            .write_all(bytes)
            .and_then(|()| encoder.finish())
            .map_err(TaskError::file(path))?;
        Ok(Self {
            plain: bytes.len() as u64,
            gzip: compressed.len() as u64,
        })
    }
}

impl std::ops::Add for Weight {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            plain: self.plain + other.plain,
            gzip: self.gzip + other.gzip,
        }
    }
}

impl std::iter::Sum for Weight {
    fn sum<I: Iterator<Item = Self>>(weights: I) -> Self {
        weights.fold(Self::default(), |sum, weight| sum + weight)
    }
}

fn read(path: &Path) -> Result<Weight, TaskError> {
    Weight::of(&std::fs::read(path).map_err(TaskError::file(path))?, path)
}

/// Takes a table out of the component that carries it.
fn cut(component: &mut Vec<u8>, table: &[u8], component_path: &Path, table_path: &Path) -> Result<(), TaskError> {
    let Some(at) = component.windows(table.len()).position(|window| window == table) else {
        let wanted = format!("it should carry {}", table_path.display());
        return Err(TaskError::unmet(
            component_path.display().to_string(),
            "has not all tables",
            wanted,
        ));
    };
    component.drain(at..at + table.len());
    Ok(())
}

/// In bytes, compressed, as all budgets: a small script starts sooner.
const CLOUDFLARE_CODE_BUDGET: u64 = 1_000_000;
/// Cloudflare's own limit on its free plan, which two tables must fit into beside the code.
const CLOUDFLARE_BUDGET: u64 = 3_000_000;
const SPIN_CODE_BUDGET: u64 = 1_500_000;
/// For 150,000 tokens, about as many as the tokenizers have that are carried.
const TABLE_BUDGET: u64 = 1_100_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_compresses_weighs_less() {
        let weight = Weight::of(&vec![b'a'; 10_000], Path::new("a")).expect("memory takes it");
        assert_eq!(weight.plain, 10_000);
        assert!(weight.gzip < 100, "10,000 equal bytes take {} compressed", weight.gzip);
    }

    #[test]
    fn a_component_is_weighed_without_its_tables() {
        let mut component = b"code, a table, more code".to_vec();
        let path = Path::new("a");
        cut(&mut component, b" a table,", path, path).expect("it is there");
        assert_eq!(component, b"code, more code");
        assert!(
            cut(&mut component, b" a table,", path, path).is_err(),
            "it is not there twice"
        );
    }
}
