//! The simulated replicas: one process carries them all. A new one has empty caches.

use std::path::Path;
use std::process::Command;

use crate::dev::Child;
use crate::error::TaskError;
use crate::http;

/// Running replicas.
#[derive(Debug)]
pub struct Engines {
    /// Their base URLs.
    pub urls: Vec<String>,
    /// Ends them when it is dropped.
    _process: Child,
}

/// What the engines counted, each for itself.
#[derive(Debug, Default)]
pub struct Counted {
    /// Prompt tokens of each.
    pub prompt_tokens: Vec<f64>,
    /// Those of them that its cache had.
    pub cached_tokens: Vec<f64>,
    /// Answers that have begun, and the seconds of engine time from when they were asked to when they did.
    pub begun: f64,
    pub begin_s: f64,
    /// Requests that were taken out of a batch again since the kv_cache was full.
    pub preemptions: f64,
}

impl Engines {
    /// Starts them, `speed` times as fast as the hardware that they stand for.
    ///
    /// # Errors
    /// When they do not get ready.
    pub fn start(tidegate: &Path, folder: &Path, speed: f64) -> Result<Self, TaskError> {
        let mut command = Command::new(tidegate);
        command.args(["engine", "--model", super::MODEL, "--profile", PROFILE]);
        command.args(["--time-scale", &(1.0 / speed).to_string()]);
        command.args(["--stream-interval", STREAM_INTERVAL]);
        command.args(["--listen", "127.0.0.1:0"].repeat(REPLICAS));
        let (process, urls) = Child::start_several("engines", &command, folder, REPLICAS)?;
        Ok(Self {
            urls,
            _process: process,
        })
    }

    /// What they have counted since they were started.
    ///
    /// # Errors
    /// When one does not answer.
    pub fn counted(&self) -> Result<Counted, TaskError> {
        let mut counted = Counted::default();
        for url in &self.urls {
            let page = http::get(url, "/metrics")
                .map_err(|error| TaskError::unmet("an engine's metrics", error.to_string(), "they are wanted"))?;
            let figure = |name: &str| sum(&page.body, name, "").unwrap_or_default();
            counted.prompt_tokens.push(figure("vllm:prefix_cache_queries_total"));
            counted.cached_tokens.push(figure("vllm:prefix_cache_hits_total"));
            counted.begun += figure("vllm:time_to_first_token_seconds_count");
            counted.begin_s += figure("vllm:time_to_first_token_seconds_sum");
            counted.preemptions += figure("vllm:num_preemptions_total");
        }
        Ok(counted)
    }
}

impl Counted {
    /// The share of prompt tokens that caches had.
    pub fn hits(&self) -> f64 {
        self.cached_tokens.iter().sum::<f64>() / self.prompt_tokens.iter().sum::<f64>().max(1.0)
    }

    /// What the busiest replica computed of prompts, over the mean.
    pub fn imbalance(&self) -> f64 {
        let each = self.prompt_tokens.iter().zip(&self.cached_tokens);
        let computed: Vec<f64> = each.map(|(all, cached)| all - cached).collect();
        let mean = computed.iter().sum::<f64>() / computed.len().max(1) as f64;
        computed.iter().copied().fold(0.0, f64::max) / mean.max(1.0)
    }

    /// The mean time to the first token as the engines saw it, in seconds.
    pub fn first_token_s(&self) -> f64 {
        self.begin_s / self.begun.max(1.0)
    }
}

/// The values of a metric that have `label`, over all other labels; none where there is no such metric.
pub fn sum(page: &str, name: &str, label: &str) -> Option<f64> {
    let values = page.lines().filter_map(|line| {
        let rest = line.strip_prefix(name)?;
        let (labels, value) = match rest.strip_prefix('{') {
            Some(labels) => labels.rsplit_once("} ")?,
            None => ("", rest.strip_prefix(' ')?),
        };
        value.trim().parse::<f64>().ok().filter(|_| labels.contains(label))
    });
    values.fold(None, |sum, value| Some(sum.unwrap_or_default() + value))
}

/// How many there are.
pub const REPLICAS: usize = 8;
/// Llama-2-70B on four H100 each (docs/simulated-engine.md).
const PROFILE: &str = "h100x4-70b";
/// Tokens that such a replica's cache holds.
pub const KV_CACHE_TOKENS: u32 = 461_000;
/// Uncached prompt tokens that it reads in a second.
pub const PREFILL_TOKENS_PER_S: f64 = 8_700.0;
/// Requests that it runs at once.
pub const MAX_RUNNING: u32 = 256;
/// Events of single tokens would keep this machine busier than routing does.
const STREAM_INTERVAL: &str = "16";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_metric_is_summed_over_its_labels_and_no_other_is() {
        let page = "# TYPE a_total counter\na_total{x=\"1\"} 2\na_total{x=\"} 9\"} 3.5\na_total_more 7\nb 4\n";
        let [all, one, bare, none] =
            [("a_total", ""), ("a_total", "x=\"1\""), ("b", ""), ("c", "")].map(|(name, label)| sum(page, name, label));
        assert_eq!([all, one, bare, none], [Some(5.5), Some(2.0), Some(4.0), None]);
    }

    #[test]
    fn the_busiest_replica_is_compared_with_the_mean() {
        let counted = Counted {
            prompt_tokens: vec![100.0, 300.0],
            cached_tokens: vec![0.0, 100.0],
            begun: 4.0,
            begin_s: 2.0,
            preemptions: 0.0,
        };
        assert_eq!([counted.hits(), counted.first_token_s()], [0.25, 0.5]);
        assert!((counted.imbalance() - 200.0 / 150.0).abs() < 1e-9);
    }
}
