//! `tidegate rollout`: has a version of a model take over from the others, stops it, takes it back, and tells how far it is;
//! for pipelines among others, which wait until it has taken over or was taken back.

mod words;

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::time::{Duration, Instant};

use http::Method;
use serde_json::{Value, json};
use tokio::time::sleep;

use self::words::{in_short, table};
use super::operator::{Gateway, Operator, encoded, time};
use crate::failure::Failure;
use crate::server;

/// What to do with a rollout.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Tell how the versions of a model, or of all that have some, stand.
    Status(StatusArgs),
    /// Have a version take over from the others, in the steps of the configuration.
    Start(StartArgs),
    /// Set the weights of versions; those that are not named share the rest as before.
    Set(SetArgs),
    /// Have a rollout stay at its step. It is still taken back where the version is worse.
    Pause(ActArgs),
    /// Have it go on.
    Resume(ResumeArgs),
    /// Put the weights back that held before.
    Abort(ActArgs),
}

#[derive(Debug, clap::Args)]
pub struct StatusArgs {
    /// The model; all with versions when left out.
    model: Option<String>,
    #[command(flatten)]
    asking: Asking,
    /// Tell it again as often as anything has changed, until no rollout is under way.
    #[arg(long, requires = "model")]
    watch: bool,
}

#[derive(Debug, clap::Args)]
pub struct StartArgs {
    /// The model.
    model: String,
    /// The version that is to take over.
    #[arg(id = "taking_over", value_name = "VERSION")]
    version: String,
    #[command(flatten)]
    changing: Changing,
    #[command(flatten)]
    waiting: Waiting,
}

#[derive(Debug, clap::Args)]
pub struct SetArgs {
    /// The model.
    model: String,
    /// Versions with their weights in percent.
    #[arg(value_name = "VERSION=PERCENT", required = true, value_parser = weight)]
    weights: Vec<(String, f64)>,
    #[command(flatten)]
    changing: Changing,
}

#[derive(Debug, clap::Args)]
pub struct ActArgs {
    /// The model.
    model: String,
    #[command(flatten)]
    changing: Changing,
}

#[derive(Debug, clap::Args)]
pub struct ResumeArgs {
    #[command(flatten)]
    act: ActArgs,
    #[command(flatten)]
    waiting: Waiting,
}

#[derive(Debug, clap::Args)]
struct Asking {
    #[command(flatten)]
    gateway: Gateway,
    /// Print what the gateway says as JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, clap::Args)]
struct Changing {
    #[command(flatten)]
    asking: Asking,
    /// Why, for whoever looks.
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
}

#[derive(Debug, clap::Args)]
struct Waiting {
    /// Wait until the version has taken over, or was taken back. A gateway that does not answer meanwhile is asked again.
    #[arg(long)]
    wait: bool,
    /// Wait no longer than that.
    #[arg(long, value_name = "TIME", default_value = "24h", value_parser = time, requires = "wait")]
    timeout: Duration,
}

/// Does it.
///
/// # Errors
/// When the gateway refuses or does not answer, or what is waited for was taken back or did not come in time.
pub fn run(command: &Command) -> Result<(), Failure> {
    server::block_on(async {
        match command {
            Command::Status(args) => status(args).await,
            Command::Start(args) => {
                let body = json!({"action": "start", "version": args.version, "reason": args.changing.reason});
                change(
                    &args.model,
                    &args.changing.asking,
                    (Method::POST, body),
                    Some(&args.waiting),
                )
                .await
            }
            Command::Set(args) => {
                let weights: BTreeMap<_, _> = args.weights.iter().cloned().collect();
                let body = json!({"weights": weights, "reason": args.changing.reason});
                change(&args.model, &args.changing.asking, (Method::PUT, body), None).await
            }
            Command::Pause(args) => act("pause", args, None).await,
            Command::Resume(args) => act("resume", &args.act, Some(&args.waiting)).await,
            Command::Abort(args) => act("abort", args, None).await,
        }
    })
}

async fn act(action: &str, args: &ActArgs, waiting: Option<&Waiting>) -> Result<(), Failure> {
    let body = json!({"action": action, "reason": args.changing.reason});
    change(&args.model, &args.changing.asking, (Method::POST, body), waiting).await
}

async fn status(args: &StatusArgs) -> Result<(), Failure> {
    let operator = Operator::new(&args.asking.gateway)?;
    let Some(model) = &args.model else {
        let all = operator.ask(Method::GET, "/rollouts", None).await?;
        return print(&all, args.asking.json, || table(&all));
    };
    let mut told = String::new();
    loop {
        let rollout = operator.ask(Method::GET, &path(model), None).await?;
        let one = json!({"rollouts": [rollout]});
        let words = table(&one);
        if words != told {
            print(&rollout, args.asking.json, || words.clone())?;
            told = words;
        }
        if !args.watch || rollout["rollout"].is_null() {
            return Ok(());
        }
        sleep(ASK_EVERY).await;
    }
}

async fn change(
    model: &str,
    asking: &Asking,
    (method, body): (Method, Value),
    waiting: Option<&Waiting>,
) -> Result<(), Failure> {
    let operator = Operator::new(&asking.gateway)?;
    let mut rollout = operator.ask(method, &path(model), Some(&body)).await?;
    let Some(waiting) = waiting.filter(|waiting| waiting.wait) else {
        return print(&rollout, asking.json, || in_short(&rollout) + "\n");
    };
    let until = Instant::now() + waiting.timeout;
    let mut told = String::new();
    while !rollout["rollout"].is_null() {
        let words = in_short(&rollout);
        if words != told && !asking.json {
            writeln!(io::stdout(), "{words}")?;
        }
        told = words;
        if Instant::now() >= until {
            return Err(Failure::TimedOut(format!("the time is over: {told}")));
        }
        sleep(ASK_EVERY).await;
        rollout = match operator.ask(Method::GET, &path(model), None).await {
            Err(Failure::Failed(message)) => {
                eprintln!("{message}; asking again");
                continue;
            }
            answer => answer?,
        };
    }
    print(&rollout, asking.json, || in_short(&rollout) + "\n")?;
    if rollout["ended"]["how"] == "done" {
        Ok(())
    } else {
        Err(Failure::TakenBack(in_short(&rollout)))
    }
}

fn print(answer: &Value, is_json: bool, words: impl FnOnce() -> String) -> Result<(), Failure> {
    let text = if is_json { format!("{answer:#}\n") } else { words() };
    io::stdout().write_all(text.as_bytes())?;
    Ok(())
}

fn path(model: &str) -> String {
    format!("/rollouts/{}", encoded(model))
}

fn weight(text: &str) -> Result<(String, f64), String> {
    let expected = || "expected VERSION=PERCENT, such as v2=10".to_owned();
    let (version, percent) = text.split_once('=').ok_or_else(expected)?;
    let percent: f64 = percent.trim_end_matches('%').parse().map_err(|_| expected())?;
    if version.is_empty() || !(0.0..=100.0).contains(&percent) {
        return Err(expected());
    }
    Ok((version.to_owned(), percent))
}

const ASK_EVERY: Duration = Duration::from_secs(2);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_are_read_as_they_are_meant() {
        assert_eq!(weight("v2=10"), Ok(("v2".to_owned(), 10.0)));
        assert_eq!(weight("v2=0.5%"), Ok(("v2".to_owned(), 0.5)));
        for wrong in ["v2", "v2=", "=1", "v2=101", "v2=-1", "v2=NaN", "v2=ten"] {
            assert!(weight(wrong).is_err(), "{wrong}");
        }
    }
}
