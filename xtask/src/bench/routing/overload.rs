//! What counts when more is asked for than the engines can carry: how much is answered in time, of whom, and whether the
//! engines had to take requests out of their batches again.

use std::time::Duration;

use serde_json::Value;

use super::contenders::Contender;
use super::run::Measured;

/// How a tenant did.
#[derive(Clone, Copy, Debug, Default)]
pub struct OfTenant {
    /// Requests that it sent.
    pub sent: f64,
    /// Those that were answered, to their end.
    pub completed: f64,
    /// Those of them whose first event came within [`IN_TIME`].
    pub in_time: f64,
    /// Tokens of the prompts of these.
    pub tokens_in_time: f64,
    /// The 99th percentile of the time to the first event, in engine seconds, of those that were answered.
    pub ttft_p99_s: f64,
}

impl OfTenant {
    /// What the load generator says of each.
    pub fn all(report: &Value) -> Vec<Self> {
        let tenants = report["tenants"].as_array();
        let read = |tenant: &Value| {
            let figure = |name: &str| tenant[name].as_f64().unwrap_or_default();
            Self {
                sent: figure("sent"),
                completed: figure("completed"),
                in_time: figure("in_time"),
                tokens_in_time: figure("tokens_in_time"),
                ttft_p99_s: figure("ttft_ms_p99") / 1e3,
            }
        };
        tenants.map_or_else(Vec::new, |tenants| tenants.iter().map(read).collect())
    }
}

/// A contender's line.
pub fn row(contender: Contender, measured: &Measured) -> String {
    let [first, second] = [0, 1].map(|at| measured.tenants.get(at).copied().unwrap_or_default());
    let share = |part: f64, whole: f64| format!("{:.1}%", 100.0 * part / whole.max(1.0));
    let tokens = first.tokens_in_time + second.tokens_in_time;
    let mut cells = vec![contender.title().to_owned()];
    for tenant in [first, second] {
        cells.push(share(tenant.in_time, tenant.sent));
        cells.push(share(tenant.completed, tenant.sent));
        cells.push(format!("{:.2}", tenant.ttft_p99_s));
    }
    cells.push(format!("{:.0}", tokens / 1e3));
    cells.push(format!("{:.0}", measured.preemptions));
    format!("| {} |", cells.join(" | "))
}

/// An answer that begins later, in engine time, is of no use any more to who waits for it.
pub const IN_TIME: Duration = Duration::from_secs(10);

/// What [`row`] has.
pub const HEAD: &str = "*In time* is an answer that begins within ten engine seconds. The first tenant's prompts have 200 \
tokens, the second's 20,000.\n\n| router | short: in time | answered | p99 | long: in time | answered | p99 | thousand prompt tokens in time | preemptions |\n\
|---|---:|---:|---:|---:|---:|---:|---:|---:|\n";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tenants_stand_side_by_side() {
        let report = serde_json::json!({ "tenants": [
            { "sent": 200, "completed": 190, "in_time": 100, "tokens_in_time": 20_000, "ttft_ms_p99": 1_500.0 },
            { "sent": 10, "completed": 5, "in_time": 1, "tokens_in_time": 20_000, "ttft_ms_p99": 30_000.0 },
        ] });
        let measured = Measured {
            tenants: OfTenant::all(&report),
            preemptions: 3.0,
            ..Measured::default()
        };
        assert_eq!(
            row(Contender::Nginx, &measured),
            "| nginx, round robin | 50.0% | 95.0% | 1.50 | 10.0% | 50.0% | 30.00 | 40 | 3 |"
        );
    }
}
