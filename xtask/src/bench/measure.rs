//! Runs the load generator against two servers in turn, and takes medians.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use super::usage;
use crate::cli::BenchOptions;
use crate::command::Run;
use crate::dev::Child;
use crate::error::TaskError;
use crate::terminal;

/// Measures servers.
#[derive(Debug)]
pub struct Meter {
    program: PathBuf,
    rounds: u32,
    round_ms: u32,
    /// The cores of servers and of load, when there are enough to keep the two apart.
    cores: Option<Cores>,
}

#[derive(Clone, Copy, Debug)]
struct Cores {
    servers: usize,
    load: usize,
}

/// What load is sent to.
#[derive(Clone, Copy, Debug)]
pub struct Server<'a> {
    /// For the terminal and the table.
    pub name: &'a str,
    url: &'a str,
    key: &'a str,
    /// Its group of processes.
    group: u32,
}

/// A server, and what it is asked for.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// Who.
    pub server: Server<'a>,
    mode: Mode,
}

/// What to ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Whole answers.
    Requests,
    /// Streamed ones.
    Streams,
    /// Whole answers that have been given before.
    Cached,
    /// A file of the size of a whole answer.
    File,
}

/// Two medians.
#[derive(Clone, Copy, Debug)]
pub struct Measured<T> {
    /// Of what the gateway is compared with.
    pub base: T,
    /// Of the gateway.
    pub ours: T,
}

/// How a server did under as much load as it takes.
#[derive(Clone, Copy, Debug)]
pub struct Throughput {
    /// Answers in a second.
    pub per_s: f64,
    /// Processor time for one answer, in microseconds; 0 where it cannot be told.
    pub cpu_us: f64,
}

impl<'a> Server<'a> {
    /// A server of `process` that takes `key`.
    pub fn new(name: &'a str, process: &'a Child, key: &'a str) -> Self {
        Self {
            name,
            url: &process.url,
            key,
            group: process.group(),
        }
    }

    /// The same server where it listens at `url` too.
    pub fn at(self, url: &'a str) -> Self {
        Self { url, ..self }
    }

    /// It, asked for answers of that kind.
    pub fn asked(self, mode: Mode) -> Asked<'a> {
        Asked { server: self, mode }
    }
}

impl Meter {
    /// Measures with the load generator `program`.
    pub fn new(program: PathBuf, options: &BenchOptions) -> Self {
        let count = std::thread::available_parallelism().map_or(1, usize::from);
        let can_pin = Run::new("taskset").args(["--cpu-list", "0", "true"]).probe().is_some();
        let cores = (count > 1 && can_pin).then_some(Cores {
            servers: 0,
            load: count - 1,
        });
        if cores.is_none() {
            terminal::note("servers and load share the cores of this machine, which brings all shares closer to 100%");
        }
        Self {
            program,
            rounds: options.rounds,
            round_ms: options.round_ms,
            cores,
        }
    }

    /// The same that keeps nothing to a core.
    pub fn unpinned(&self) -> Self {
        Self {
            program: self.program.clone(),
            rounds: self.rounds,
            round_ms: self.round_ms,
            cores: None,
        }
    }

    /// How many times each server is measured.
    pub fn rounds(&self) -> u32 {
        self.rounds
    }

    /// The fixed-answer upstream.
    pub fn upstream(&self) -> Command {
        let mut command = Command::new(&self.program);
        command.arg("upstream");
        pinned(&command, self.cores.map(|cores| cores.load))
    }

    /// `server`, kept to the servers' core.
    pub fn server(&self, server: &Command) -> Command {
        pinned(server, self.cores.map(|cores| cores.servers))
    }

    /// How much both do in a second, at most. Shares are taken within each round: the median of the rounds' ratios
    /// goes with the median of the base.
    ///
    /// # Errors
    /// When an answer is no success.
    pub fn compare(&self, base: Asked, ours: Asked) -> Result<Measured<Throughput>, TaskError> {
        let mut rounds = Vec::new();
        // The first round warms both up and does not count.
        for round in 0..=self.rounds {
            let pair = Measured {
                base: self.throughput(&base)?,
                ours: self.throughput(&ours)?,
            };
            if round > 0 {
                let Measured {
                    base: theirs,
                    ours: our,
                } = &pair;
                terminal::note(&format!(
                    "{} {:.0}/s, {} {:.0}/s",
                    base.server.name, theirs.per_s, ours.server.name, our.per_s
                ));
                rounds.push(pair);
            }
        }
        let medians = |figure: fn(&Throughput) -> f64| {
            let base = median(rounds.iter().map(|round| figure(&round.base)));
            Measured {
                base,
                ours: base * median(rounds.iter().map(|round| figure(&round.ours) / figure(&round.base))),
            }
        };
        let (per_s, cpu_us) = (medians(|figures| figures.per_s), medians(|figures| figures.cpu_us));
        let base = Throughput {
            per_s: per_s.base,
            cpu_us: cpu_us.base,
        };
        Ok(Measured {
            base,
            ours: Throughput {
                per_s: per_s.ours,
                cpu_us: cpu_us.ours,
            },
        })
    }

    fn throughput(&self, asked: &Asked) -> Result<Throughput, TaskError> {
        let Asked { server, mode } = *asked;
        let before = usage::cpu(server.group).unwrap_or_default();
        let load = Load {
            mode,
            connections: CONNECTIONS,
            rate: None,
        };
        let report = self.run(&server, &load)?;
        let used = usage::cpu(server.group).unwrap_or_default().saturating_sub(before);
        let (per_s, answers) = (figure(&report, "per_s")?, figure(&report, "answers")?);
        Ok(Throughput {
            per_s,
            cpu_us: used.as_secs_f64() * 1e6 / answers,
        })
    }

    /// The load generator's report.
    ///
    /// # Errors
    /// When an answer is no success.
    pub fn run(&self, server: &Server, load: &Load) -> Result<Value, TaskError> {
        let mut command = Command::new(&self.program);
        let address = server.url.trim_start_matches("http://").trim_end_matches('/');
        command.args([
            "run",
            "--to",
            address,
            "--key",
            server.key,
            "--ms",
            &self.round_ms.to_string(),
            "--connections",
            &load.connections.to_string(),
        ]);
        match load.mode {
            Mode::Requests => {}
            Mode::Streams => drop(command.arg("--stream")),
            Mode::Cached => drop(command.args(["--model", "cached"])),
            Mode::File => drop(command.args(["--get", FILE])),
        }
        if let Some(rate) = load.rate {
            command.args(["--rate", &rate.to_string()]);
        }
        let command = pinned(&command, self.cores.map(|cores| cores.load));
        let printed = Run::new(command.get_program()).args(command.get_args()).quiet()?;
        let wanted = || TaskError::unmet("the load generator's report", printed.clone(), "it should be JSON");
        serde_json::from_str(&printed).map_err(|_| wanted())
    }
}

/// One figure of a report.
///
/// # Errors
/// When it is not there.
pub fn figure(report: &Value, name: &str) -> Result<f64, TaskError> {
    let wanted = || {
        TaskError::unmet(
            "the load generator's report",
            report.to_string(),
            format!("it needs `{name}`"),
        )
    };
    report[name].as_f64().filter(|figure| *figure > 0.0).ok_or_else(wanted)
}

/// What is sent.
#[derive(Clone, Copy, Debug)]
pub struct Load {
    /// What to ask for.
    pub mode: Mode,
    /// Connections, each with one request at a time.
    pub connections: u32,
    /// Requests per second over all of them; as many as are answered when it is none.
    pub rate: Option<u32>,
}

/// `command` on one core, when one is given.
fn pinned(command: &Command, core: Option<usize>) -> Command {
    let program = Path::new(command.get_program());
    let mut pinned = match core {
        None => Command::new(program),
        Some(core) => {
            let mut taskset = Command::new("taskset");
            taskset.arg("--cpu-list").arg(core.to_string()).arg(program);
            taskset
        }
    };
    pinned.args(command.get_args());
    for (name, value) in command.get_envs() {
        if let Some(value) = value {
            pinned.env(name, value);
        }
    }
    pinned
}

/// The middle one, or the upper of the two; 0 of nothing.
pub fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut sorted: Vec<f64> = values.collect();
    sorted.sort_unstable_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or_default()
}

/// The path of what bare servers have ready.
pub const FILE: &str = "/answer.json";
/// Connections that load a server fully.
const CONNECTIONS: u32 = 32;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_slow_round_does_not_move_the_median() {
        assert_eq!(median([100.0, 3.0, 99.0].into_iter()), 99.0);
        assert_eq!(median(std::iter::empty()), 0.0);
    }

    #[test]
    fn a_pinned_command_keeps_its_arguments() {
        let mut command = Command::new("server");
        command.args(["--listen", "0"]).env("A", "b");
        let pinned = pinned(&command, Some(1));
        assert_eq!(
            pinned.get_args().collect::<Vec<_>>(),
            ["--cpu-list", "1", "server", "--listen", "0"]
        );
        assert_eq!(pinned.get_envs().count(), 1);
    }
}
