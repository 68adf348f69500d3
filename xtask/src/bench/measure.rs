//! Runs the load generator against two servers in turn, and takes medians.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use super::cpu;
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

/// What to ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Whole answers.
    Requests,
    /// Streamed ones.
    Streams,
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
    pub fn compare(&self, base: &Server, ours: &Server, mode: Mode) -> Result<Measured<Throughput>, TaskError> {
        let mut rounds = Vec::new();
        // The first round warms both up and does not count.
        for round in 0..=self.rounds {
            let pair = Measured {
                base: self.throughput(base, mode)?,
                ours: self.throughput(ours, mode)?,
            };
            if round > 0 {
                let Measured {
                    base: theirs,
                    ours: our,
                } = &pair;
                terminal::note(&format!(
                    "{} {:.0}/s, {} {:.0}/s",
                    base.name, theirs.per_s, ours.name, our.per_s
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

    fn throughput(&self, server: &Server, mode: Mode) -> Result<Throughput, TaskError> {
        let before = cpu::used(server.group).unwrap_or_default();
        let report = self.run(server, &Load { mode, rate: None })?;
        let used = cpu::used(server.group).unwrap_or_default().saturating_sub(before);
        let (per_s, answers) = (figure(&report, "per_s")?, figure(&report, "answers")?);
        Ok(Throughput {
            per_s,
            cpu_us: used.as_secs_f64() * 1e6 / answers,
        })
    }

    /// What each server adds to the median time of a direct answer at 200 requests/s, in microseconds.
    ///
    /// # Errors
    /// When an answer is no success.
    pub fn added_us(&self, direct: &Server, servers: &[&Server]) -> Result<Vec<f64>, TaskError> {
        let load = Load {
            mode: Mode::Requests,
            rate: Some(RATE),
        };
        let mut added = vec![Vec::new(); servers.len()];
        for _ in 0..self.rounds {
            let direct = figure(&self.run(direct, &load)?, "us_p50")?;
            for (server, added) in servers.iter().zip(&mut added) {
                let through = figure(&self.run(server, &load)?, "us_p50")?;
                terminal::note(&format!("direct {direct:.0} us, {} {through:.0} us", server.name));
                added.push(through - direct);
            }
        }
        Ok(added.into_iter().map(|added| median(added.into_iter())).collect())
    }

    /// The load generator's report.
    fn run(&self, server: &Server, load: &Load) -> Result<Value, TaskError> {
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
        ]);
        match load.mode {
            Mode::Requests => {}
            Mode::Streams => drop(command.arg("--stream")),
        }
        match load.rate {
            Some(rate) => command.args(["--connections", "8", "--rate", &rate.to_string()]),
            None => command.args(["--connections", "32"]),
        };
        let command = pinned(&command, self.cores.map(|cores| cores.load));
        let printed = Run::new(command.get_program()).args(command.get_args()).quiet()?;
        let wanted = || TaskError::unmet("the load generator's report", printed.clone(), "it should be JSON");
        serde_json::from_str(&printed).map_err(|_| wanted())
    }
}

/// One figure of a report.
fn figure(report: &Value, name: &str) -> Result<f64, TaskError> {
    let wanted = || {
        TaskError::unmet(
            "the load generator's report",
            report.to_string(),
            format!("it needs `{name}`"),
        )
    };
    report[name].as_f64().filter(|figure| *figure > 0.0).ok_or_else(wanted)
}

#[derive(Clone, Copy, Debug)]
struct Load {
    mode: Mode,
    rate: Option<u32>,
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
fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut sorted: Vec<f64> = values.collect();
    sorted.sort_unstable_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or_default()
}

/// Requests per second at which added time is measured.
const RATE: u32 = 200;

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
