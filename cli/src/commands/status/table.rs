//! The table, in 100 columns.

use std::fmt::Write;

use serde_json::Value;

use crate::commands::drain::left;

/// All clusters with their replicas and queues, and the budgets that somebody should look at.
pub fn table(clusters: &Value, budgets: &Value) -> String {
    let mut table = format!(
        "{:<34} {:>8} {:>5}  {:<16} {}\n",
        "REPLICA", "RUNNING", "KV", "BREAKER", "DRAIN"
    );
    for cluster in members(&clusters["clusters"]) {
        table += &heading(cluster);
        for replica in members(&cluster["replicas"]) {
            table += &row(cluster, replica);
        }
    }
    let noted: Vec<_> = members(&budgets["budgets"]).iter().filter_map(note).collect();
    if !noted.is_empty() {
        table += "budgets of note\n";
        noted.iter().for_each(|note| table += &line(&format!("  {note}")));
    }
    table
}

fn heading(cluster: &Value) -> String {
    let mut heading = format!(
        "{} ({}, {})",
        text(&cluster["cluster"]),
        text(&cluster["region"]),
        text(&cluster["engine"])
    );
    if let Some(at) = cluster["ask_at"].as_str() {
        heading += &format!(": known in its region, at {at}");
    } else if cluster["replicas"].is_null() {
        heading += ": its cell does not answer";
    } else if cluster["takes_requests"] == false {
        heading += ": TAKES NO REQUESTS";
    }
    let queue = &cluster["queue"];
    if queue["requests"].as_u64() > Some(0) {
        let by = &queue["by_priority"];
        let _ = write!(
            heading,
            "  {} wait (high {}, normal {}, low {}), oldest {}",
            queue["requests"],
            by["high"],
            by["normal"],
            by["low"],
            seconds(&queue["oldest_ms"])
        );
    }
    line(&heading)
}

fn row(cluster: &Value, replica: &Value) -> String {
    let number = |value: &Value| value.as_u64().unwrap_or_default();
    let running = format!("{}/{}", number(&replica["running"]), number(&cluster["max_running"]));
    let room = number(&cluster["kv_cache_tokens"]).max(1);
    let kv = format!("{}%", number(&replica["kv_tokens"]).saturating_mul(100) / room);
    let mut breaker = text(&replica["breaker"]).to_owned();
    if !replica["breaker_passes_in_ms"].is_null() {
        breaker += &format!(" {}", seconds(&replica["breaker_passes_in_ms"]));
    }
    let drain = match (&replica["drain"], &replica["configured"]) {
        (Value::Null, Value::Bool(false)) => "has left the configuration".to_owned(),
        (Value::Null, _) => String::new(),
        (drain, _) => left(drain),
    };
    let name = shortened(text(&replica["replica"]), 32);
    line(&format!("  {name:<32} {running:>8} {kv:>5}  {breaker:<16} {drain}"))
}

/// A budget that is overridden, nearly used up, in debt, or of which a tenth is left.
fn note(budget: &Value) -> Option<String> {
    let limit = budget["limits"]["tokens_per_minute"].as_u64();
    let left = budget["tokens"]["remaining"].as_u64();
    let day = budget["limits"]["tokens_per_day"].as_u64();
    let day_left = budget["day"]["tokens_remaining"].as_u64();
    let is_low = |limit: Option<u64>, left: Option<u64>| Some(left? <= limit? / 10);
    let mut notes = Vec::new();
    if budget["overridden"] == true {
        notes.push("limits set by an operator".to_owned());
    }
    if let (Some(true), Some(left)) = (is_low(limit, left), left) {
        notes.push(format!("{left} tokens left this minute"));
    }
    if let (Some(true), Some(left)) = (is_low(day, day_left), day_left) {
        notes.push(format!("{left} tokens left today"));
    }
    let name = format!("{}/{}", text(&budget["tenant"]), text(&budget["name"]));
    (!notes.is_empty()).then(|| format!("{name}: {}", notes.join(", ")))
}

fn members(list: &Value) -> &[Value] {
    list.as_array().map_or(&[], Vec::as_slice)
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn seconds(ms: &Value) -> String {
    format!("{:.1} s", ms.as_f64().unwrap_or_default() / 1e3)
}

/// A line that fits, without what names might do to a terminal.
fn line(text: &str) -> String {
    let printable: String = text.chars().filter(|character| !character.is_control()).collect();
    format!("{}\n", shortened(printable.trim_end(), COLUMNS))
}

fn shortened(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    let kept: String = text.chars().take(most - 1).collect();
    kept + "…"
}

const COLUMNS: usize = 100;

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn it_reads_well_in_100_columns() {
        let replica = |name: &str, breaker: &str, passes: Value, drain: Value| {
            json!({"replica": name, "configured": true, "running": 12, "kv_tokens": 5_000, "takes_requests": true,
                "breaker": breaker, "breaker_passes_in_ms": passes, "drain": drain})
        };
        let drain = json!({"done": false, "left": 3, "oldest_s": 61.0, "ends_in_s": 40.4, "overdue": false});
        let clusters = json!({"clusters": [
            {"cluster": "eu", "region": "fra", "engine": "vllm", "ask_at": null, "max_running": 64,
                "kv_cache_tokens": 100_000, "takes_requests": true,
                "queue": {"requests": 3, "by_priority": {"high": 0, "normal": 2, "low": 1}, "oldest_ms": 2_100},
                "replicas": [
                    replica("http://10.0.0.1:8000", "closed", Value::Null, Value::Null),
                    replica(&format!("http://{}:8000", "long".repeat(20)), "open", json!(3_200), drain),
                ]},
            {"cluster": "us", "region": "iad", "engine": "vllm", "ask_at": "https://iad", "replicas": null, "queue": null},
        ]});
        let budgets = json!({"budgets": [
            {"tenant": "acme", "name": "all", "overridden": true, "limits": {"tokens_per_minute": 1_000},
                "tokens": {"remaining": 50}, "day": {}},
            {"tenant": "calm", "name": "all", "overridden": false, "limits": {}, "tokens": {}, "day": {}},
        ]});
        let table = table(&clusters, &budgets);
        let expected = "\
REPLICA                             RUNNING    KV  BREAKER          DRAIN
eu (fra, vllm)  3 wait (high 0, normal 2, low 1), oldest 2.1 s
  http://10.0.0.1:8000                12/64    5%  closed
  http://longlonglonglonglonglong…    12/64    5%  open 3.2 s       3 left, oldest 61 s, ~40 s more
us (iad, vllm): known in its region, at https://iad
budgets of note
  acme/all: limits set by an operator, 50 tokens left this minute
";
        assert_eq!(table, expected);
        assert!(table.lines().all(|line| line.chars().count() <= COLUMNS));
    }
}
