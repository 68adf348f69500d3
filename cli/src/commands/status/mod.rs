//! `tidegate status`: how the clusters behind a gateway stand, as a table or as JSON.

mod table;

use std::io::{self, IsTerminal, Write};
use std::time::Duration;

use http::Method;
use serde_json::json;
use tokio::time::sleep;

use self::table::table;
use super::operator::{Gateway, Operator};
use crate::failure::Failure;
use crate::server;

/// What to tell.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    gateway: Gateway,
    /// Tell it again every two seconds.
    #[arg(long)]
    watch: bool,
    /// Print JSON, one line each time.
    #[arg(long)]
    json: bool,
}

/// Asks and prints.
///
/// # Errors
/// When the gateway refuses or does not answer; while watching, that is told instead.
pub fn run(args: &Args) -> Result<(), Failure> {
    server::block_on(async {
        let operator = Operator::new(&args.gateway)?;
        if !args.watch {
            io::stdout().write_all(told(&operator, args.json).await?.as_bytes())?;
            return Ok(());
        }
        loop {
            let told = match told(&operator, args.json).await {
                Err(Failure::Failed(message)) => format!("{message}\n"),
                told => told?,
            };
            let mut out = io::stdout();
            if out.is_terminal() && !args.json {
                out.write_all(CLEAR)?;
            }
            out.write_all(told.as_bytes())?;
            out.flush()?;
            sleep(WATCH_EVERY).await;
        }
    })
}

async fn told(operator: &Operator, as_json: bool) -> Result<String, Failure> {
    let clusters = operator.ask(Method::GET, "/clusters", None).await?;
    let budgets = operator.ask(Method::GET, "/budgets", None).await?;
    if as_json {
        let both = json!({"clusters": clusters["clusters"], "budgets": budgets["budgets"]});
        return Ok(format!("{both}\n"));
    }
    Ok(table(&clusters, &budgets))
}

/// The sequence that empties a terminal, and puts its cursor into the corner.
const CLEAR: &[u8] = b"\x1b[2J\x1b[H";
const WATCH_EVERY: Duration = Duration::from_secs(2);
