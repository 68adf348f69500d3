//! One contender under one workload: new engines, a new router, the whole schedule, and what all of them counted.

use std::path::Path;
use std::time::Duration;

use serde_json::Value;

use super::contenders::{Contender, Setting, Started};
use super::engines::{Counted, Engines, KV_CACHE_TOKENS, sum};
use super::overload::{IN_TIME, OfTenant};
use crate::command::Run;
use crate::error::TaskError;
use crate::http;

/// What is the same for all contenders of a workload.
#[derive(Debug)]
pub struct Bench<'a> {
    /// What contenders are started with.
    pub setting: Setting,
    /// The program that engines are.
    pub engine: &'a Path,
    /// The load generator.
    pub load: &'a Path,
    /// The schedule.
    pub schedule: &'a Path,
}

/// How a contender did. Times are engine seconds.
#[derive(Clone, Debug, Default)]
pub struct Measured {
    /// Prompt tokens that caches had, as a share of all.
    pub hits: f64,
    /// Time to the first event at the client: mean, median and 99th percentile.
    pub ttft_s: [f64; 3],
    /// What of the mean was spent outside of the engines.
    pub outside_s: f64,
    /// What the busiest replica computed of prompts, over the mean.
    pub imbalance: f64,
    /// Requests that were answered, and that were not.
    pub completed: u64,
    pub failed: u64,
    /// Why the first of those was not.
    pub failure: String,
    /// Of each request, where the contender tells.
    pub traffic: Traffic,
    /// The 99th percentile of how late requests were sent, in milliseconds of this machine.
    pub late_ms: f64,
    /// How each tenant did.
    pub tenants: Vec<OfTenant>,
    /// Requests that engines took out of a batch again since the kv_cache was full.
    pub preemptions: f64,
}

/// What a gateway asked of stores and cells, for each request; none where it does not tell.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Traffic {
    /// Reads of the prefix index.
    pub reads: Option<f64>,
    /// Writes to it.
    pub writes: Option<f64>,
    /// Permits that the cluster's cell was asked for; the others were kept.
    pub permits: Option<f64>,
}

impl Bench<'_> {
    /// Measures one contender.
    ///
    /// # Errors
    /// When something does not start, or ends in between.
    pub fn measure(&self, contender: Contender) -> Result<Measured, TaskError> {
        let Setting { folder, speed, .. } = &self.setting;
        let engines = Engines::start(self.engine, folder, *speed)?;
        // Somebody may have taken a port that was free a moment ago.
        let start = || contender.start(&self.setting, &engines);
        let mut started = start().or_else(|_| start())?;
        let printed = self.load(contender, &started).quiet()?;
        if let Some(ended) = started.ended() {
            return Err(ended);
        }
        let report: Value = serde_json::from_str(&printed).unwrap_or_default();
        Measured::read(&report, &engines.counted()?, traffic(contender, &started)?)
    }

    fn load(&self, contender: Contender, started: &Started) -> Run {
        let addresses = started.urls.iter();
        let addresses = addresses.flat_map(|url| ["--to", url.trim_start_matches("http://")]);
        let run = Run::new(self.load).arg("replay").args(addresses);
        let run = run.args(started.keys.iter().flat_map(|key| ["--key", key]));
        let run = run.args(["--speed", &self.setting.speed.to_string()]);
        let run = run.args(["--in-time-ms", &IN_TIME.as_millis().to_string()]);
        let patience_ms = PATIENCE.div_f64(self.setting.speed).as_millis();
        let run = run
            .args(["--patience-ms", &patience_ms.to_string()])
            .arg("--schedule")
            .arg(self.schedule);
        match contender {
            Contender::Oracle => run.args(["--oracle", &KV_CACHE_TOKENS.to_string()]),
            Contender::Nginx
            | Contender::SmgCacheAware
            | Contender::SmgPrefixHash
            | Contender::VllmRouter
            | Contender::Tidegate1
            | Contender::Tidegate2
            | Contender::Tidegate5
            | Contender::TidegateHops
            | Contender::Direct => run,
        }
    }
}

impl Measured {
    fn read(report: &Value, counted: &Counted, traffic: [Option<f64>; 3]) -> Result<Self, TaskError> {
        let figure = |name: &str| {
            let wanted = || {
                TaskError::unmet(
                    "the load generator's report",
                    report.to_string(),
                    format!("it needs `{name}`"),
                )
            };
            report[name].as_f64().ok_or_else(wanted)
        };
        let mean_s = figure("ttft_ms_mean")? / 1e3;
        let per_request = figure("sent")?.max(1.0);
        let [reads, writes, permits] = traffic.map(|count| count.map(|count| count / per_request));
        Ok(Self {
            hits: counted.hits(),
            ttft_s: [mean_s, figure("ttft_ms_p50")? / 1e3, figure("ttft_ms_p99")? / 1e3],
            outside_s: mean_s - counted.first_token_s(),
            imbalance: counted.imbalance(),
            completed: figure("completed")? as u64,
            failed: figure("failed")? as u64,
            failure: report["failure"].as_str().unwrap_or_default().to_owned(),
            traffic: Traffic { reads, writes, permits },
            late_ms: figure("late_ms_p99")?,
            tenants: OfTenant::all(report),
            preemptions: counted.preemptions,
        })
    }
}

impl Traffic {
    /// What a million requests cost at the list price of Workers KV, in dollars.
    pub fn kv_dollars(&self) -> Option<f64> {
        Some(self.reads? * KV_READ_DOLLARS + self.writes? * KV_WRITE_DOLLARS)
    }
}

/// What the gateways counted together.
fn traffic(contender: Contender, started: &Started) -> Result<[Option<f64>; 3], TaskError> {
    let mut totals = [None; 3];
    if contender.gateways() == 0 {
        return Ok(totals);
    }
    for url in &started.urls {
        let page = http::get(url, "/metrics")
            .map_err(|error| TaskError::unmet("a gateway's metrics", error.to_string(), "they are wanted"))?;
        for (total, (name, labels)) in totals.iter_mut().zip(METRICS) {
            let own = labels.iter().filter_map(|label| sum(&page.body, name, label));
            let own = own.reduce(|sum, own| sum + own);
            *total = own.map(|own| own + total.unwrap_or_default()).or(*total);
        }
    }
    Ok(totals)
}

/// Reads and writes of the index, and permits that were asked of the cluster's cell: names, and labels of which they have
/// one.
const METRICS: [(&str, &[&str]); 3] = [
    (
        "tidegate_prefix_index_lookups_total",
        &["outcome=\"found\"", "outcome=\"absent\"", "outcome=\"failed\""],
    ),
    ("tidegate_prefix_index_writes_total", &[""]),
    ("tidegate_permits_taken_total", &["from=\"cell\""]),
];
/// A million reads, and a million writes, of Workers KV beyond what the plan includes
/// (<https://developers.cloudflare.com/kv/platform/pricing/>).
const KV_READ_DOLLARS: f64 = 0.50;
const KV_WRITE_DOLLARS: f64 = 5.00;
/// The longest wait for an answer, in engine time.
const PATIENCE: Duration = Duration::from_mins(10);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_counted_is_told_for_each_request() {
        let report = serde_json::json!({ "sent": 10, "completed": 9, "failed": 1, "failure": "503", "ttft_ms_mean": 1500.0,
            "ttft_ms_p50": 1000.0, "ttft_ms_p99": 4000.0, "late_ms_p99": 0.5 });
        let counted = Counted {
            prompt_tokens: vec![100.0],
            cached_tokens: vec![25.0],
            begun: 10.0,
            begin_s: 14.0,
            preemptions: 0.0,
        };
        let measured = Measured::read(&report, &counted, [Some(2.0), Some(1.0), None]).expect("all there");
        assert_eq!(
            (measured.hits, measured.ttft_s, measured.failed),
            (0.25, [1.5, 1.0, 4.0], 1)
        );
        assert!((measured.outside_s - 0.1).abs() < 1e-9);
        assert_eq!(measured.traffic.kv_dollars(), Some(0.2 * 0.5 + 0.1 * 5.0));
        assert!(Measured::read(&Value::Null, &counted, [None; 3]).is_err());
    }
}
