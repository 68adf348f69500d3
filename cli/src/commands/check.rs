//! `tidegate check`.

use std::fs;
use std::io::{self, Read, Write};
use std::path::PathBuf;

use tidegate_core::config::Config;
use tidegate_core::tokens::Tables;
use tidegate_native::{beside, read_tables};

use crate::failure::Failure;

/// What to check.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The configuration to validate; `-` reads it from stdin.
    #[arg(value_name = "CONFIG", default_value = "gateway.toml")]
    config: PathBuf,
    /// Folder with the token tables, NAME.tokens, that the deployment carries [default: the folder `tokens` beside the
    /// configuration; where there is none, names of tables are not checked].
    #[arg(long, value_name = "DIR")]
    tokens: Option<PathBuf>,
}

/// Validates the configuration; prints what is in it, or everything that is wrong.
///
/// # Errors
/// When it cannot be read or is invalid.
pub fn run(args: &Args) -> Result<(), Failure> {
    let text = read(args)?;
    let folder = args.tokens.clone().or_else(|| beside(&args.config));
    let tables = folder
        .map(|folder| read_tables(Some(&folder), &args.config))
        .transpose();
    let tables = tables.map_err(Failure::usage)?;
    let names = tables.as_ref().map(Tables::names);
    let config = Config::parse(&text, names.as_deref()).map_err(|errors| {
        let count = errors.as_slice().len();
        Failure::failed(format!(
            "{} has {}:\n{errors}",
            args.config.display(),
            counted(count, "error")
        ))
    })?;
    let mut summary = summary(&config);
    if tables.is_none() && config.models.values().any(|model| model.tokens.is_some()) {
        summary.push_str(UNCHECKED_TABLES);
    }
    io::stdout().write_all(summary.as_bytes())?;
    Ok(())
}

fn read(args: &Args) -> Result<String, Failure> {
    let text = if args.config.as_os_str() == "-" {
        let mut text = String::new();
        io::stdin().read_to_string(&mut text).map(|_| text)
    } else {
        fs::read_to_string(&args.config)
    };
    text.map_err(|error| Failure::usage(format!("cannot read {}: {error}", args.config.display())))
}

fn summary(config: &Config) -> String {
    let replicas = config.clusters.values().map(|cluster| cluster.replicas.len()).sum();
    let mut summary = format!(
        "valid: {}, {} with {}, {}, {} (version {})\n",
        counted(config.regions.len(), "region"),
        counted(config.clusters.len(), "cluster"),
        counted(replicas, "replica"),
        counted(config.models.len(), "model"),
        counted(config.tenants.len(), "tenant"),
        config.version,
    );
    for model in config.models.values() {
        let clusters: Vec<&str> = model
            .serving
            .iter()
            .map(|serving| serving.cluster.name.as_str())
            .collect();
        let counted_by = match &model.tokens {
            Some(table) => format!("counted by {table}"),
            None => "tokens estimated".to_owned(),
        };
        summary.push_str(&format!("  {}: on {}; {counted_by}\n", model.name, clusters.join(", ")));
    }
    summary
}

fn counted(count: usize, what: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {what}{plural}")
}

/// What a summary must not leave unsaid where no folder of tables was looked into.
const UNCHECKED_TABLES: &str = "  not checked: whether the token tables are there; --tokens DIR names their folder\n";
