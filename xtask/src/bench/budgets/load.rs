//! Eight gateways on one Redis, and 64 clients that ask for several times what their tenant's budget has.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use serde_json::Value;

use super::verdicts::Verdicts;
use super::{figure, log};
use crate::command::Run;
use crate::dev::{Child, Gateway, Place, new_key, start_redis};
use crate::error::TaskError;
use crate::{http, workspace};

/// What is run.
#[derive(Clone, Copy, Debug)]
pub struct Case {
    /// What the table calls it.
    pub name: &'static str,
    per_minute: u64,
    burst: u64,
    /// Whether one gateway is killed after a third of the time.
    kills: bool,
    /// Whether clients ask for more than the budget has.
    is_scarce: bool,
}

impl Case {
    /// All of them.
    pub const ALL: [Self; 4] = [
        Self {
            name: "8 gateways, 64 clients, 100,000 tokens/min, a burst of as many",
            per_minute: 100_000,
            burst: 100_000,
            kills: false,
            is_scarce: true,
        },
        Self {
            name: "the same with a burst of 5,000, of which the gateways have to share every bit",
            ..Self::SMALL_BURST
        },
        Self {
            name: "the same, and one gateway is killed after a third of the time",
            kills: true,
            ..Self::SMALL_BURST
        },
        // Leases are large only where there is plenty.
        Self {
            name: "one gateway is killed while it holds much: 60,000,000 tokens/min, a fifteenth of the time",
            per_minute: 60_000_000,
            burst: 60_000_000,
            kills: true,
            is_scarce: false,
        },
    ];

    const SMALL_BURST: Self = Self {
        name: "",
        per_minute: 100_000,
        burst: 5_000,
        kills: false,
        is_scarce: true,
    };
}

/// What all loads share.
#[derive(Debug)]
pub struct Fleet {
    tidegate: PathBuf,
    load: PathBuf,
    redis: PathBuf,
    folder: PathBuf,
    load_ms: u32,
}

/// How a load went.
#[derive(Debug)]
pub struct Measured {
    /// As the load generator reports.
    figures: Figures,
    /// Calls to the budget's cell.
    calls: u64,
    /// Tokens that the cell does not expect back, or that nobody has told it of.
    wasted: f64,
    time_ms: u32,
}

#[derive(Debug)]
struct Figures {
    asked: f64,
    admitted: f64,
    refused: f64,
    lost: f64,
    tokens: f64,
    tokens_lost: f64,
    bound: f64,
    overshoot: f64,
    as_told: f64,
    admitted_as_told: f64,
    wait_ms: [f64; 2],
    us: [f64; 2],
    refused_us: [f64; 2],
}

impl Fleet {
    /// With programs in the folder `built`, for `load_ms` each.
    ///
    /// # Errors
    /// When there is no room for logs.
    pub fn new(built: &std::path::Path, redis: PathBuf, load_ms: u32) -> Result<Self, TaskError> {
        Ok(Self {
            tidegate: built.join("tidegate"),
            load: built.join("tidegate-load"),
            redis,
            folder: workspace::work_folder("bench/budgets")?,
            load_ms,
        })
    }

    /// Starts everything, sends the load, and asks the budget's cell how it was.
    ///
    /// # Errors
    /// When something does not start or a request fails.
    pub fn run(&self, case: &Case) -> Result<Measured, TaskError> {
        let (key, admin) = (new_key(&self.tidegate)?, new_key(&self.tidegate)?);
        let redis = start_redis(&self.redis, &self.folder)?;
        let upstream = Child::start("upstream", Command::new(&self.load).arg("upstream"), &self.folder)?;
        let template = workspace::read(&workspace::root().join("xtask/src/bench/budgets/gateway.toml"))?;
        let config = self.folder.join("gateway.toml");
        let config_text = template
            .replace("{upstream}", &upstream.url)
            .replace("{digest}", &key.digest)
            .replace("{admin digest}", &admin.digest)
            .replace("{per minute}", &case.per_minute.to_string())
            .replace("{burst}", &case.burst.to_string());
        workspace::write(&config, config_text)?;
        let mut gateways = (0..GATEWAYS)
            .map(|number| self.start(number, &config, &redis.url))
            .collect::<Result<Vec<_>, _>>()?;
        let load = self.load_command(&key.key, case, &gateways);
        let figures = std::thread::scope(|scope| {
            let running = scope.spawn(|| load.quiet());
            if case.kills {
                std::thread::sleep(Duration::from_millis(u64::from(self.time_ms(case)) / 3));
                gateways.pop().into_iter().for_each(Child::kill);
            }
            running.join().unwrap_or(Err(TaskError::Stopped))
        })?;
        let figures = serde_json::from_str(&figures).unwrap_or_default();
        let calls = log::entries(&redis.url)
            .map_err(|error| TaskError::unmet("the log of the budget's cell", error.to_string(), "it is wanted"))?;
        Ok(Measured {
            figures: Figures::read(&figures)?,
            calls,
            wasted: wasted(&gateways[0].url, &admin.key)?,
            time_ms: self.time_ms(case),
        })
    }

    /// Where there is plenty, requests are too many to compare all of them with each other.
    fn time_ms(&self, case: &Case) -> u32 {
        if case.is_scarce {
            self.load_ms
        } else {
            self.load_ms / 15
        }
    }

    fn start(&self, number: usize, config: &std::path::Path, redis: &str) -> Result<Child, TaskError> {
        let gateway = Gateway::Native {
            tidegate: self.tidegate.clone(),
            tables: workspace::work_folder("bench/budgets/no-tables")?,
        };
        let mut command = gateway.command(&Place {
            config,
            port: 0,
            folder: &self.folder,
            redis: Some(redis),
        });
        Child::start(
            &format!("gateway-{number}"),
            command.args(["--threads", "1"]),
            &self.folder,
        )
    }

    fn load_command(&self, key: &str, case: &Case, gateways: &[Child]) -> Run {
        let addresses = gateways
            .iter()
            .flat_map(|gateway| ["--to", gateway.url.trim_start_matches("http://")]);
        let run = Run::new(&self.load).arg("budget").args(addresses).args(["--key", key]);
        let run = run.args(["--clients", CLIENTS, "--burst", &case.burst.to_string()]);
        let run = run.args(["--per-minute", &case.per_minute.to_string()]);
        run.args(["--ms", &self.time_ms(case).to_string()])
    }
}

/// Tokens that were granted and not spent or given back, when the idle gateways have given back theirs.
fn wasted(gateway: &str, admin: &str) -> Result<f64, TaskError> {
    std::thread::sleep(GIVEN_BACK_AFTER);
    let answer = http::get_with_key(gateway, "/admin/budgets/bench/all", admin);
    let answer = answer.map_err(|error| TaskError::unmet("the budget", error.to_string(), "it is wanted"))?;
    let budget: Value = serde_json::from_str(&answer.body).unwrap_or_default();
    Ok(figure(&budget["tokens"], "held")? + figure(&budget["token_totals"], "written_off")?)
}

impl Figures {
    fn read(report: &Value) -> Result<Self, TaskError> {
        let one = |name: &str| figure(report, name);
        let both = |name: &str| Ok::<_, TaskError>([one(&format!("{name}_p50"))?, one(&format!("{name}_p99"))?]);
        Ok(Self {
            asked: one("asked")?,
            admitted: one("admitted")?,
            refused: one("refused")?,
            lost: one("lost")?,
            tokens: one("tokens")?,
            tokens_lost: one("tokens_lost")?,
            bound: one("bound")?,
            overshoot: one("overshoot")?,
            as_told: one("as_told")?,
            admitted_as_told: one("admitted_as_told")?,
            wait_ms: both("wait_ms")?,
            us: both("us")?,
            refused_us: both("refused_us")?,
        })
    }
}

impl Measured {
    /// Prints the figures.
    pub fn judge(&self, case: &Case, verdicts: &mut Verdicts) {
        let figures = &self.figures;
        let used = figures.tokens / figures.bound;
        let share = format!("{:.1}%", used * 100.0);
        verdicts.tell("requests asked", &format!("{:.0}", figures.asked));
        verdicts.tell("admitted", &format!("{:.0}", figures.admitted));
        verdicts.tell("refused", &format!("{:.0}", figures.refused));
        let tokens = format!("{:.0} of {:.0}", figures.tokens, figures.bound);
        verdicts.judge(
            "tokens admitted, of burst + rate x time",
            &tokens,
            figures.tokens <= figures.bound,
            "<= 100%",
        );
        let overshoot = format!("{:.0}", figures.overshoot.max(0.0));
        verdicts.judge(
            "overshoot in the worst window, tokens",
            &overshoot,
            figures.overshoot <= 0.0,
            "0",
        );
        if case.is_scarce && !case.kills {
            verdicts.judge("of the budget used", &share, used >= LEAST_USED, ">= 97%");
        } else {
            verdicts.tell("of the budget used", &share);
        }
        if case.kills {
            let lost = format!("{:.0} with {:.0} tokens", figures.lost, figures.tokens_lost);
            verdicts.tell("requests lost with the gateway", &lost);
            verdicts.tell("tokens that its lease wasted", &format!("{:.0}", self.wasted));
            let per_gateway = figures.tokens / GATEWAYS as f64;
            let seconds = self.wasted / per_gateway * f64::from(self.time_ms) / 1e3;
            verdicts.tell("  which it would have spent in", &format!("{seconds:.1} s"));
        }
        let calls = self.calls as f64;
        verdicts.tell("calls to the cell", &format!("{calls:.0}"));
        verdicts.tell("  for each request asked", &format!("{:.3}", calls / figures.asked));
        verdicts.tell(
            "  for each request admitted",
            &format!("{:.3}", calls / figures.admitted),
        );
        verdicts.tell("answers, p50 and p99", &millis(figures.us));
        verdicts.tell("refusals, p50 and p99", &millis(figures.refused_us));
        let [median, longest] = figures.wait_ms;
        verdicts.tell("told to wait, p50 and p99", &format!("{median:.0} / {longest:.0} ms"));
        let as_told = figures.admitted_as_told / figures.as_told.max(1.0) * 100.0;
        verdicts.tell("served at the first try after that", &format!("{as_told:.1}%"));
    }
}

fn millis([median, longest]: [f64; 2]) -> String {
    format!("{:.2} / {:.2} ms", median / 1e3, longest / 1e3)
}

const GATEWAYS: usize = 8;
const CLIENTS: &str = "64";
const LEAST_USED: f64 = 0.97;
/// Twice as long as an idle book waits before it gives back what it holds.
const GIVEN_BACK_AFTER: Duration = Duration::from_secs(2);
