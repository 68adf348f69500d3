//! `GET /metrics`: the engine's figures in Prometheus' text format, under vLLM's names and as its Python client writes
//! them (`vllm/v1/metrics/loggers.py`).

use std::fmt::Write;

use http::StatusCode;

use crate::engine::prefix::BLOCK_TOKENS;
use crate::engine::scheduler::Engine;
use crate::engine::stats::Histogram;
use crate::server::driver::FinishedCounts;
use crate::server::reply::{Reply, ReplyBody, reply};
use crate::server::shared::Shared;

/// Answers the request.
pub(in crate::server) fn metrics(shared: &Shared) -> Reply {
    let page = shared.driver.inspect(|engine, finished| {
        let mut page = Page::new(&shared.options.models[0]);
        page.scheduler(engine);
        page.tokens(engine);
        page.finished(finished, engine.stats().aborted);
        page.histograms(engine);
        page.cache_config(engine);
        page.text
    });
    reply(
        StatusCode::OK,
        "text/plain; version=0.0.4; charset=utf-8",
        ReplyBody::whole(page),
    )
}

struct Page {
    text: String,
    /// `engine="0",model_name="…"`
    labels: String,
}

impl Page {
    fn new(model: &str) -> Self {
        let model = model.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
        Self {
            text: String::with_capacity(16 << 10),
            labels: format!(r#"engine="0",model_name="{model}""#),
        }
    }

    fn scheduler(&mut self, engine: &Engine) {
        let (running, waiting) = (engine.running() as f64, engine.waiting() as f64);
        self.gauge(
            "num_requests_running",
            "Number of requests in model execution batches.",
            running,
        );
        self.gauge(
            "num_requests_waiting",
            "Number of requests waiting to be processed.",
            waiting,
        );
        self.head(
            "num_requests_waiting_by_reason",
            "Number of waiting requests by reason.",
            "gauge",
        );
        self.line("num_requests_waiting_by_reason", r#",reason="capacity""#, waiting);
        self.line("num_requests_waiting_by_reason", r#",reason="deferred""#, 0.0);
        let usage = engine.kv_cache_usage();
        self.gauge(
            "kv_cache_usage_perc",
            "KV-cache usage. 1 means 100 percent usage.",
            usage,
        );
    }

    fn tokens(&mut self, engine: &Engine) {
        let stats = engine.stats();
        let counters = [
            (
                "prefix_cache_queries",
                "Prefix cache queries, in terms of number of queried tokens.",
                stats.prefix_cache_queries,
            ),
            (
                "prefix_cache_hits",
                "Prefix cache hits, in terms of number of cached tokens.",
                stats.prefix_cache_hits,
            ),
            (
                "num_preemptions",
                "Cumulative number of preemption from the engine.",
                stats.preemptions,
            ),
            (
                "prompt_tokens",
                "Number of prefill tokens processed.",
                stats.prompt_tokens,
            ),
            (
                "generation_tokens",
                "Number of generation tokens processed.",
                stats.generation_tokens,
            ),
        ];
        for (name, help, value) in counters {
            let name = format!("{name}_total");
            self.head(&name, help, "counter");
            self.line(&name, "", value as f64);
        }
    }

    fn finished(&mut self, finished: FinishedCounts, aborted: u64) {
        self.head(
            "request_success_total",
            "Count of successfully processed requests.",
            "counter",
        );
        for (reason, count) in [("stop", finished.stop), ("length", finished.length), ("abort", aborted)] {
            self.line(
                "request_success_total",
                &format!(r#",finished_reason="{reason}""#),
                count as f64,
            );
        }
    }

    fn histograms(&mut self, engine: &Engine) {
        let stats = engine.stats();
        let histograms = [
            (
                "iteration_tokens_total",
                "Histogram of number of tokens per engine_step.",
                &stats.iteration_tokens,
            ),
            (
                "time_to_first_token_seconds",
                "Histogram of time to first token in seconds.",
                &stats.time_to_first_token,
            ),
            (
                "inter_token_latency_seconds",
                "Histogram of inter-token latency in seconds.",
                &stats.inter_token_latency,
            ),
            (
                "e2e_request_latency_seconds",
                "Histogram of e2e request latency in seconds.",
                &stats.e2e_request_latency,
            ),
            (
                "request_queue_time_seconds",
                "Histogram of time spent in WAITING phase for request.",
                &stats.request_queue_time,
            ),
            (
                "request_prefill_time_seconds",
                "Histogram of time spent in PREFILL phase for request.",
                &stats.request_prefill_time,
            ),
            (
                "request_decode_time_seconds",
                "Histogram of time spent in DECODE phase for request.",
                &stats.request_decode_time,
            ),
            (
                "request_prompt_tokens",
                "Number of prefill tokens processed.",
                &stats.request_prompt_tokens,
            ),
            (
                "request_generation_tokens",
                "Number of generation tokens processed.",
                &stats.request_generation_tokens,
            ),
        ];
        for (name, help, histogram) in histograms {
            self.histogram(name, help, histogram);
        }
    }

    fn histogram(&mut self, name: &str, help: &str, histogram: &Histogram) {
        self.head(name, help, "histogram");
        let bucket = format!("{name}_bucket");
        for (bound, count) in histogram.cumulative() {
            self.line(&bucket, &format!(r#",le="{bound:?}""#), count as f64);
        }
        let count = histogram.count() as f64;
        self.line(&bucket, r#",le="+Inf""#, count);
        self.line(&format!("{name}_count"), "", count);
        self.line(&format!("{name}_sum"), "", histogram.sum());
    }

    fn cache_config(&mut self, engine: &Engine) {
        self.head("cache_config_info", "Information of the LLMEngine CacheConfig", "gauge");
        let blocks = engine.capacity().kv_cache_tokens / BLOCK_TOKENS;
        let labels = format!(r#",block_size="{BLOCK_TOKENS}",enable_prefix_caching="True",num_gpu_blocks="{blocks}""#);
        self.line("cache_config_info", &labels, 1.0);
    }

    fn gauge(&mut self, name: &str, help: &str, value: f64) {
        self.head(name, help, "gauge");
        self.line(name, "", value);
    }

    fn head(&mut self, name: &str, help: &str, kind: &str) {
        // Writing to a string does not fail.
        let _ = writeln!(self.text, "# HELP vllm:{name} {help}\n# TYPE vllm:{name} {kind}");
    }

    fn line(&mut self, name: &str, more_labels: &str, value: f64) {
        let _ = writeln!(self.text, "vllm:{name}{{{}{more_labels}}} {value:?}", self.labels);
    }
}
