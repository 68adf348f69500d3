//! `tidegate cache`: has answers of the response cache given no more.

use std::io::{self, Write};

use http::Method;

use super::operator::{Gateway, Operator, encoded};
use crate::failure::Failure;
use crate::server;

/// What to do with the response cache.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Purge answers that are there by now: of a tenant, of a model, of a model and a tenant, one, or all.
    Purge(PurgeArgs),
}

#[derive(Debug, clap::Args)]
pub struct PurgeArgs {
    #[command(flatten)]
    what: What,
    #[command(flatten)]
    gateway: Gateway,
    /// Print what the gateway says as JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, clap::Args)]
#[group(required = true, multiple = true)]
struct What {
    /// Those of that tenant.
    #[arg(long, value_name = "NAME")]
    tenant: Option<String>,
    /// Those of that model, by name or alias.
    #[arg(long, value_name = "NAME")]
    model: Option<String>,
    /// The one of that key, as `tidegate explain --request-id` tells it.
    #[arg(long, value_name = "KEY", conflicts_with_all = ["tenant", "model", "all"])]
    key: Option<String>,
    /// All.
    #[arg(long, conflicts_with_all = ["tenant", "model"])]
    all: bool,
}

/// Does it.
///
/// # Errors
/// When the gateway refuses or does not answer.
pub fn run(command: &Command) -> Result<(), Failure> {
    let Command::Purge(args) = command;
    server::block_on(async {
        let operator = Operator::new(&args.gateway)?;
        let path = format!("/cache?{}", args.what.query());
        let answer = operator.ask(Method::DELETE, &path, None).await?;
        if args.json {
            writeln!(io::stdout(), "{answer:#}")?;
        } else {
            let within = &answer["everywhere_within_s"];
            writeln!(
                io::stdout(),
                "purged; no gateway gives such an answer any more in {within} s"
            )?;
        }
        Ok(())
    })
}

impl What {
    fn query(&self) -> String {
        let all = self.all.then(|| "1".to_owned());
        let named = [
            ("tenant", &self.tenant),
            ("model", &self.model),
            ("key", &self.key),
            ("all", &all),
        ];
        let given = named
            .into_iter()
            .filter_map(|(name, value)| Some((name, value.as_ref()?)));
        let parameters: Vec<_> = given
            .map(|(name, value)| format!("{name}={}", encoded(value)))
            .collect();
        parameters.join("&")
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        args: PurgeArgs,
    }

    fn query(words: &[&str]) -> Option<String> {
        let words = ["tidegate"].into_iter().chain(words.iter().copied());
        Some(Line::try_parse_from(words).ok()?.args.what.query())
    }

    #[test]
    fn a_purge_names_what_goes() {
        for (words, expected) in [
            (&["--tenant", "acme"][..], Some("tenant=acme")),
            (
                &["--model", "org/m", "--tenant", "acme"],
                Some("tenant=acme&model=org%2Fm"),
            ),
            (&["--key", "a0"], Some("key=a0")),
            (&["--all"], Some("all=1")),
            (&[], None),
            (&["--all", "--model", "m"], None),
            (&["--key", "a0", "--tenant", "acme"], None),
        ] {
            assert_eq!(query(words).as_deref(), expected, "{words:?}");
        }
    }
}
