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
    let mut component_code = std::fs::read(component).map_err(TaskError::file(component))?;
    let mut tables = Vec::new();
    for path in tables_in(worker)? {
        let table = std::fs::read(&path).map_err(TaskError::file(&path))?;
        cut(&mut component_code, &table, component, &path)?;
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        tables.push((name, Weight::of(&table, &path)?));
    }
    let spin = Weight::of(&component_code, component)?;
    let rows = rows(code, spin, tables);
    print(&rows);
    rows.iter().try_for_each(Row::judge)
}

/// All that has a budget.
fn rows(cloudflare_code: Weight, spin_code: Weight, tables: Vec<(String, Weight)>) -> Vec<Row> {
    let row = |name: &str, weight, budget, note| Row {
        name: name.to_owned(),
        weight,
        budget,
        note,
    };
    let weights = || tables.iter().map(|(_, weight)| *weight);
    let one = cloudflare_code + weights().max_by_key(|table| table.gzip).unwrap_or_default();
    let all = cloudflare_code + weights().sum();
    let mut rows = vec![
        row("Cloudflare code", cloudflare_code, CLOUDFLARE_CODE_BUDGET, ""),
        row("Spin code", spin_code, SPIN_CODE_BUDGET, ""),
    ];
    rows.extend(tables.iter().map(|(name, weight)| row(name, *weight, TABLE_BUDGET, "")));
    rows.extend([
        row("Worker, one table", one, FREE_PLAN_BUDGET, "Cloudflare's free plan"),
        row("Worker, all tables", all, PAID_PLAN_BUDGET, "Cloudflare's paid plan"),
    ]);
    rows
}

/// What weighs something.
#[derive(Debug)]
struct Row {
    name: String,
    weight: Weight,
    /// In bytes, compressed.
    budget: u64,
    /// Whose limit the budget is, when it is not ours.
    note: &'static str,
}

impl Row {
    fn judge(&self) -> Result<(), TaskError> {
        if self.weight.gzip <= self.budget {
            return Ok(());
        }
        let [gzip, budget] = [self.weight.gzip, self.budget].map(kilobytes);
        let found = format!("weighs {gzip:.0} KB gzip");
        Err(TaskError::unmet(
            self.name.clone(),
            found,
            format!("at most {budget:.0} KB are allowed"),
        ))
    }
}

fn print(rows: &[Row]) {
    println!("{:<20} {:>10} {:>10} {:>10}", "", "KB", "KB gzip", "budget");
    for row in rows {
        let [plain, gzip, budget] = [row.weight.plain, row.weight.gzip, row.budget].map(kilobytes);
        let line = format!(
            "{:<20} {plain:>10.0} {gzip:>10.0} {budget:>10.0}  {}",
            row.name, row.note
        );
        println!("{}", line.trim_end());
    }
}

fn kilobytes(bytes: u64) -> f64 {
    bytes as f64 / 1000.0
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

/// In bytes, compressed, as all budgets: a small script starts sooner, and leaves room for a table. See docs/sizes.md.
const CLOUDFLARE_CODE_BUDGET: u64 = 1_940_000;
const SPIN_CODE_BUDGET: u64 = 1_940_000;
/// Cloudflare's own limit on its free plan, which the code and one table must fit into.
const FREE_PLAN_BUDGET: u64 = 3_000_000;
/// The same on its paid plan, for code and all tables that are carried.
const PAID_PLAN_BUDGET: u64 = 10_000_000;
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
    fn the_free_plan_is_for_the_heaviest_table_and_the_paid_one_for_all() {
        let kilobytes = |gzip: u64| Weight {
            plain: gzip * 2000,
            gzip: gzip * 1000,
        };
        let table = |name: &str, gzip| (name.to_owned(), kilobytes(gzip));
        let over = |code, tables| {
            let rows = rows(kilobytes(code), kilobytes(1), tables);
            rows.iter()
                .filter(|row| row.judge().is_err())
                .map(|row| row.name.clone())
                .collect::<Vec<_>>()
        };
        assert!(over(1800, vec![table("a", 1000), table("b", 1100), table("c", 1000)]).is_empty());
        assert_eq!(over(1400, vec![table("a", 1601)]), ["a", "Worker, one table"]);
        let eight = (0..8).map(|_| table("a", 1050)).collect();
        assert_eq!(over(1941, eight), ["Cloudflare code", "Worker, all tables"]);
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
