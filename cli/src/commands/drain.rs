//! `tidegate drain`: has a replica drain, and waits until it has; for a preStop hook among others.

use std::io::{self, Write};
use std::time::{Duration, Instant};

use http::Method;
use serde_json::{Value, json};
use tokio::time::sleep;

use super::operator::{Gateway, Operator, encoded, time};
use crate::failure::Failure;
use crate::server;

/// What to drain.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The replica: its URL as in gateway.toml, or what stands in that behind `://`.
    #[arg(value_name = "CLUSTER/REPLICA", value_parser = target)]
    target: Target,
    #[command(flatten)]
    gateway: Gateway,
    /// In how long it should hold nothing any more, such as 900s or 15m. Nothing is ended by it.
    #[arg(long, value_name = "TIME", default_value = "900s", value_parser = time)]
    deadline: Duration,
    /// Why, for whoever looks.
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    /// Wait until it holds nothing any more. A gateway that does not answer meanwhile is asked again.
    #[arg(long)]
    wait: bool,
    /// Wait no longer than that [default: the deadline].
    #[arg(long, value_name = "TIME", value_parser = time, requires = "wait")]
    timeout: Option<Duration>,
    /// It is to be as others again.
    #[arg(long, conflicts_with_all = ["deadline", "reason", "wait"])]
    undo: bool,
    /// Print what the gateway says of the replica as JSON, at the end.
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Debug)]
struct Target {
    cluster: String,
    replica: String,
}

/// Drains, or undoes it.
///
/// # Errors
/// When the gateway refuses or does not answer, or requests are left when the time is over.
pub fn run(args: &Args) -> Result<(), Failure> {
    server::block_on(async {
        let operator = Operator::new(&args.gateway)?;
        let drained = Drain { args, operator };
        let status = drained.run().await?;
        if args.json {
            writeln!(io::stdout(), "{status:#}")?;
        }
        Ok(())
    })
}

struct Drain<'a> {
    args: &'a Args,
    operator: Operator,
}

impl Drain<'_> {
    async fn run(&self) -> Result<Value, Failure> {
        let args = self.args;
        if args.undo {
            let status = self.ask(Method::DELETE, None).await?;
            self.say(&format!("{} is as others again", self.name()));
            return Ok(status);
        }
        let until = Instant::now() + args.timeout.unwrap_or(args.deadline);
        let order = json!({"deadline_s": args.deadline.as_secs(), "reason": args.reason});
        let mut status = self.ask_until(until, Method::POST, Some(&order)).await?;
        self.say(&in_words(&status));
        let mut said = Instant::now();
        while args.wait && status["drain"]["done"] != true {
            if Instant::now() >= until {
                return Err(Failure::TimedOut(format!("the time is over: {}", in_words(&status))));
            }
            sleep(ASK_EVERY).await;
            status = match self.ask_until(until, Method::GET, None).await {
                // It has left the configuration, and nothing runs there.
                Err(Failure::NotFound(_)) => return Ok(Value::Null),
                answer => answer?,
            };
            if status["drain"].is_null() {
                return Err(Failure::failed(format!(
                    "{} drains no more: somebody has undone it",
                    self.name()
                )));
            }
            if said.elapsed() >= SAY_EVERY || status["drain"]["done"] == true {
                self.say(&in_words(&status));
                said = Instant::now();
            }
        }
        Ok(status)
    }

    /// Asks again where the gateway does not answer, if there is time to wait.
    async fn ask_until(&self, until: Instant, method: Method, body: Option<&Value>) -> Result<Value, Failure> {
        loop {
            match self.ask(method.clone(), body).await {
                Err(Failure::Failed(message)) if self.args.wait && Instant::now() < until => {
                    eprintln!("{message}; asking again");
                    sleep(ASK_EVERY).await;
                }
                answer => return answer,
            }
        }
    }

    async fn ask(&self, method: Method, body: Option<&Value>) -> Result<Value, Failure> {
        let Target { cluster, replica } = &self.args.target;
        let path = format!("/clusters/{}/replicas/{}/drain", encoded(cluster), encoded(replica));
        self.operator.ask(method, &path, body).await
    }

    fn name(&self) -> String {
        let Target { cluster, replica } = &self.args.target;
        format!("{cluster}/{replica}")
    }

    /// Tells a person; whoever wants JSON gets nothing else on stdout.
    fn say(&self, words: &str) {
        if !self.args.json {
            // A closed stdout ends no drain.
            let _ = writeln!(io::stdout(), "{words}");
        }
    }
}

fn in_words(status: &Value) -> String {
    let (name, drain) = (status["replica"].as_str().unwrap_or_default(), &status["drain"]);
    if drain["done"] == true {
        return format!("{name} has drained: it holds nothing any more");
    }
    format!("{name} drains: {}", left(drain))
}

/// What is left of a drain, in words.
pub fn left(drain: &Value) -> String {
    if drain["done"] == true {
        return "done".to_owned();
    }
    let mut words = format!("{} left", drain["left"]);
    if drain["left"] == 0 {
        words = "none known, and the gateway has counted too short a time to be sure".to_owned();
    }
    if let Some(oldest) = drain["oldest_s"].as_f64() {
        words += &format!(", oldest {oldest:.0} s");
    }
    if let Some(ends_in) = drain["ends_in_s"].as_f64() {
        words += &format!(", ~{ends_in:.0} s more");
    }
    if drain["overdue"] == true {
        words += ", overdue";
    }
    words
}

fn target(text: &str) -> Result<Target, String> {
    match text.split_once('/') {
        Some((cluster, replica)) if !cluster.is_empty() && !replica.is_empty() => Ok(Target {
            cluster: cluster.to_owned(),
            replica: replica.to_owned(),
        }),
        _ => Err("expected CLUSTER/REPLICA, such as eu/10.0.0.1:8000".to_owned()),
    }
}

const ASK_EVERY: Duration = Duration::from_secs(1);
const SAY_EVERY: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        args: Args,
    }

    const KUBERNETES: &str = include_str!("../../../docs/deploy/kubernetes.md");

    /// The keys of a document in YAML, each with those that it stands under, and what stands behind it.
    fn keys(yaml: &str) -> Vec<(String, &str)> {
        let mut above: Vec<(usize, &str)> = Vec::new();
        let mut keys = Vec::new();
        for line in yaml.lines() {
            let entry = line.trim_start_matches([' ', '-']);
            let depth = line.len() - entry.len();
            let Some((key, value)) = entry
                .split_once(':')
                .filter(|(key, _)| !key.contains(['"', ' ', '{', '[', '/']))
            else {
                continue;
            };
            above.retain(|(other, _)| *other < depth);
            above.push((depth, key));
            let path: Vec<_> = above.iter().map(|(_, key)| *key).collect();
            keys.push((path.join("."), value.trim()));
        }
        keys
    }

    #[test]
    fn the_example_for_kubernetes_drains_within_its_grace_period_and_undoes_it() {
        let yaml = KUBERNETES.split("```yaml\n").nth(1).expect("an example");
        let yaml = yaml.split("```").next().expect("its end");
        let keys = keys(yaml);
        let grace = |(path, _): &&(String, &str)| path == "spec.template.spec.terminationGracePeriodSeconds";
        let (_, grace) = keys.iter().find(grace).expect("where Kubernetes reads it");
        assert_eq!(*grace, "900");
        let container = "spec.template.spec.containers";
        for hook in ["preStop", "postStart"] {
            let path = format!("{container}.lifecycle.{hook}.exec.command");
            assert!(keys.iter().any(|(known, _)| *known == path), "{path}: {keys:?}");
        }
        let lines = yaml
            .lines()
            .filter_map(|line| line.split_once("/tools/tidegate drain "));
        let lines: Vec<_> = lines
            .map(|(_, line)| {
                let line = line.trim_end_matches(" || true").replace("$POD_NAME", "vllm-0");
                let words = line.split('"').enumerate().flat_map(|(index, part)| match index % 2 {
                    0 => part.split_whitespace().map(str::to_owned).collect(),
                    _ => vec![part.to_owned()],
                });
                let words: Vec<String> = [String::from("tidegate")].into_iter().chain(words).collect();
                Line::try_parse_from(words).expect("a command line").args
            })
            .collect();
        let [undoes, drains] = lines.as_slice() else {
            panic!("two hooks: {lines:?}")
        };
        assert!(undoes.undo && drains.wait && !drains.undo);
        assert!(drains.timeout.unwrap_or(drains.deadline) < Duration::from_secs(grace.parse().expect("seconds")));
        for args in &lines {
            assert_eq!(args.target.replica, "vllm-0.vllm:8000");
            assert!(KUBERNETES.contains(&format!("name = \"{}\"", args.target.cluster)));
            assert!(KUBERNETES.contains(&format!("\"http://{}\"", args.target.replica)));
        }
    }

    #[test]
    fn targets_times_and_paths_are_read_as_they_are_meant() {
        let found = target("eu/http://10.0.0.1:8000").expect("a target");
        assert_eq!(
            (found.cluster.as_str(), found.replica.as_str()),
            ("eu", "http://10.0.0.1:8000")
        );
        assert_eq!(encoded(&found.replica), "http%3A%2F%2F10.0.0.1%3A8000");
        for wrong in ["eu", "eu/", "/replica"] {
            assert!(target(wrong).is_err(), "{wrong}");
        }
        for (text, seconds) in [("900s", 900), ("15m", 900), ("1h", 3_600), ("30", 30)] {
            assert_eq!(time(text), Ok(Duration::from_secs(seconds)), "{text}");
        }
        for wrong in ["", "s", "0s", "1d", "-1s", "2 m", "90000s", "99999999999999999999h"] {
            assert!(time(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_drain_is_told_in_words() {
        let drain = json!({"done": false, "left": 3, "oldest_s": 61.2, "ends_in_s": null, "overdue": true});
        assert_eq!(left(&drain), "3 left, oldest 61 s, overdue");
    }
}
