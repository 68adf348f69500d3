//! What is told about a replay, in the engines' time.

use std::time::Duration;

use serde_json::{Value, json};

use super::schedule::Request;
use crate::report::percentile;

/// How a schedule was answered.
#[derive(Clone, Debug)]
pub struct Figures {
    speed: f64,
    /// On the engines' clock.
    in_time: Duration,
    tenants: Vec<OfTenant>,
    /// From when a request was due to its first event; of those that had none in time, the time that was waited.
    pub first_event: Vec<Duration>,
    /// From when a request was due to when it was sent.
    pub late: Vec<Duration>,
    /// From the first request to the last answer's end.
    pub took: Duration,
    failed: usize,
    failure: String,
}

/// How one tenant's requests were answered.
#[derive(Clone, Debug, Default)]
struct OfTenant {
    sent: usize,
    first_event: Vec<Duration>,
    in_time: usize,
    tokens_in_time: u64,
}

impl Figures {
    /// None yet. What begins within `in_time` of the engines' clock is in time.
    pub fn new(speed: f64, in_time: Duration) -> Self {
        Self {
            speed,
            in_time,
            tenants: Vec::new(),
            first_event: Vec::new(),
            late: Vec::new(),
            took: Duration::ZERO,
            failed: 0,
            failure: String::new(),
        }
    }

    /// A tenant has sent a request.
    pub fn on_sent(&mut self, tenant: usize) {
        self.tenant(tenant).sent += 1;
    }

    /// A request was answered, whose first event took so long.
    pub fn on_answered(&mut self, request: &Request, first_event: Duration) {
        self.first_event.push(first_event);
        let is_in_time = first_event.mul_f64(self.speed) <= self.in_time;
        let tenant = self.tenant(request.tenant);
        tenant.first_event.push(first_event);
        if is_in_time {
            tenant.in_time += 1;
            tenant.tokens_in_time += request.prompt.tokens();
        }
    }

    fn tenant(&mut self, tenant: usize) -> &mut OfTenant {
        if self.tenants.len() <= tenant {
            self.tenants.resize_with(tenant + 1, OfTenant::default);
        }
        &mut self.tenants[tenant]
    }

    /// A request failed.
    pub fn fail(&mut self, why: &str) {
        self.failed += 1;
        if self.failure.is_empty() {
            why.clone_into(&mut self.failure);
        }
    }

    /// One JSON object: milliseconds of the engines' time, but for `late_ms_p99`, which is the machine's.
    pub fn to_json(&self) -> Value {
        let first_event = sorted_us(&self.first_event);
        let late = sorted_us(&self.late);
        let engine_ms = |us: f64| us * self.speed / 1e3;
        let mean = first_event.iter().sum::<u64>() as f64 / first_event.len().max(1) as f64;
        json!({
            "sent": self.late.len(),
            "completed": self.late.len() - self.failed,
            "failed": self.failed,
            "failure": self.failure,
            "ttft_ms_mean": engine_ms(mean),
            "ttft_ms_p50": engine_ms(percentile(&first_event, 0.50) as f64),
            "ttft_ms_p99": engine_ms(percentile(&first_event, 0.99) as f64),
            "took_ms": engine_ms(self.took.as_micros() as f64),
            "late_ms_p99": percentile(&late, 0.99) as f64 / 1e3,
            "tenants": self.tenants.iter().map(|tenant| tenant.to_json(engine_ms)).collect::<Vec<_>>(),
        })
    }
}

impl OfTenant {
    fn to_json(&self, engine_ms: impl Fn(f64) -> f64) -> Value {
        let first_event = sorted_us(&self.first_event);
        json!({
            "sent": self.sent,
            "completed": self.first_event.len(),
            "in_time": self.in_time,
            "tokens_in_time": self.tokens_in_time,
            "ttft_ms_p99": engine_ms(percentile(&first_event, 0.99) as f64),
        })
    }
}

fn sorted_us(times: &[Duration]) -> Vec<u64> {
    let mut sorted: Vec<u64> = times.iter().map(|time| time.as_micros() as u64).collect();
    sorted.sort_unstable();
    sorted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_the_engines() {
        let mut figures = Figures::new(10.0, Duration::from_secs(1));
        figures.first_event = vec![Duration::from_millis(30), Duration::from_millis(10)];
        figures.late = vec![Duration::from_millis(1); 3];
        figures.fail("first");
        figures.fail("second");
        let told = figures.to_json();
        assert_eq!(
            [&told["ttft_ms_mean"], &told["ttft_ms_p50"], &told["ttft_ms_p99"]],
            [&json!(200.0), &json!(100.0), &json!(300.0)]
        );
        assert_eq!((&told["completed"], &told["failure"]), (&json!(1), &json!("first")));
        assert_eq!(told["late_ms_p99"], json!(1.0));
    }
}
