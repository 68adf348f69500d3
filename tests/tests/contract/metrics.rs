//! `/metrics`: Prometheus' text format, true figures, and nothing that anybody said.

use std::collections::{BTreeMap, BTreeSet};

use tidegate_tests::http::Request;
use tidegate_tests::world::key;

use crate::support::{ENGINE_KEY_EU, SHARED, ask, assert_error, chat, chat_stream, eventually, invalid_request};

#[test]
fn metrics_are_for_operators() {
    let response = SHARED.send(&Request::get("/metrics"));
    assert_error(&response, invalid_request(401, None, Some("invalid_api_key")));
    let response = SHARED.send(&Request::get("/metrics").key(&key("everyone")));
    assert_error(&response, invalid_request(401, None, Some("invalid_api_key")));
    let response = SHARED.send(&Request::get("/metrics").key(&key("admin")));
    assert_eq!(response.status, 200);
    let kind = response.header("content-type").unwrap_or_default();
    assert!(
        kind.starts_with("text/plain") || kind.starts_with("application/openmetrics-text"),
        "{kind}"
    );
}

#[test]
fn metrics_are_in_prometheus_text_format() {
    ask(&chat("tide-solo", "something to count"));
    let metrics = SHARED.metrics();
    assert!(metrics.ends_with('\n'));
    let mut typed = BTreeSet::new();
    for line in metrics.lines() {
        match line.strip_prefix("# ") {
            Some(comment) => {
                let words: Vec<&str> = comment.splitn(3, ' ').collect();
                assert!(matches!(words[0], "HELP" | "TYPE" | "EOF"), "{line}");
                if words[0] == "TYPE" {
                    assert!(["counter", "gauge", "histogram"].contains(&words[2]), "{line}");
                    assert!(typed.insert(words[1].to_owned()), "typed twice: {line}");
                }
            }
            None => assert_sample(line, &typed),
        }
    }
    assert!(typed.iter().any(|name| name.starts_with("tidegate_")), "{metrics}");
}

/// A row of docs/metrics.md for each metric: `| name | type | labels | …`.
#[test]
fn samples_have_the_type_and_the_labels_that_the_page_says() {
    const PAGE: &str = include_str!("../../../docs/metrics.md");
    ask(&chat("tide-solo", "something to count"));
    ask(&chat_stream("tide-solo", "something to count"));
    let rows = PAGE.lines().filter_map(|line| line.strip_prefix("| `"));
    let described: BTreeMap<&str, (&str, BTreeSet<&str>)> = rows
        .map(|row| {
            let cells: Vec<&str> = row.split('|').map(str::trim).collect();
            let labels = cells[2].split(", ").filter(|label| !label.is_empty());
            (cells[0].trim_matches('`'), (cells[1], labels.collect()))
        })
        .collect();
    let metrics = SHARED.metrics();
    let mut kind = "";
    let mut seen = BTreeSet::new();
    for line in metrics.lines() {
        if let Some(typed) = line.strip_prefix("# TYPE ") {
            kind = typed.rsplit(' ').next().unwrap_or_default();
        }
        if line.starts_with('#') {
            continue;
        }
        let (series, _) = line.rsplit_once(' ').expect("a value");
        let (name, labels) = series.split_once('{').unwrap_or((series, ""));
        let name = match kind {
            "histogram" => name.rsplit_once('_').expect("what of it").0,
            _ => name,
        };
        let labels = labels
            .trim_end_matches('}')
            .split("\",")
            .filter(|label| !label.is_empty());
        let labels: BTreeSet<&str> = labels.filter_map(|label| label.split('=').next()).collect();
        let (described_kind, described_labels) = &described[name];
        assert_eq!(*described_kind, kind, "{line}");
        let without_le: BTreeSet<&str> = labels.into_iter().filter(|label| *label != "le").collect();
        assert_eq!(*described_labels, without_le, "{line}");
        seen.insert(name);
    }
    assert!(seen.len() > 15, "{seen:?}");
}

#[test]
fn requests_are_counted() {
    // Counters are those of one process, isolate or instance: a round counts when one of them served all of it.
    eventually("both are counted", || {
        let before = total("tidegate_requests");
        ask(&chat("tide-solo", "counted"));
        ask(&chat_stream("tide-solo", "counted"));
        total("tidegate_requests") >= before + 2.0
    });
}

#[test]
fn metrics_say_nothing_that_anybody_said() {
    ask(&chat("tide-solo", "Wellenbrecher"));
    ask(&chat("no-such-model-Wellenbrecher", "hello"));
    SHARED.send(&Request::get("/v1/models/Wellenbrecher").key(&key("everyone")));
    SHARED.send(&Request::get("/Wellenbrecher").key(&key("everyone")));
    let metrics = SHARED.metrics();
    let log = SHARED.gateway.log_text();
    for secret in [
        "Wellenbrecher",
        &key("everyone")[3..],
        &key("admin")[3..],
        ENGINE_KEY_EU,
    ] {
        assert!(!metrics.contains(secret), "{secret} is in {metrics}");
        assert!(
            !log.contains(secret),
            "{secret} is in the log {}",
            SHARED.gateway.log.display()
        );
    }
}

/// The sum of all samples of a counter.
fn total(name: &str) -> f64 {
    let metrics = SHARED.metrics();
    let samples = metrics
        .lines()
        .filter(|line| line.starts_with(name) && !line.starts_with('#'));
    samples
        .filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok())
        .sum()
}

fn assert_sample(line: &str, typed: &BTreeSet<String>) {
    let (series, value) = line.rsplit_once(' ').unwrap_or_else(|| panic!("no value: {line}"));
    assert!(value.parse::<f64>().is_ok(), "not a number: {line}");
    let name = series.split('{').next().expect("a name");
    assert!(name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_'), "{line}");
    let base = ["_total", "_bucket", "_sum", "_count"]
        .iter()
        .find_map(|suffix| name.strip_suffix(suffix));
    assert!(
        typed.contains(name) || base.is_some_and(|base| typed.contains(base)),
        "no type: {line}"
    );
    if let Some(labels) = series.strip_prefix(name).filter(|labels| !labels.is_empty()) {
        assert!(
            labels.starts_with('{') && labels.ends_with('}') && labels.contains("=\""),
            "{line}"
        );
    }
}
