//! What is registered, what docs/metrics.md says of it, and what the dashboard shows are the same metrics.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::*;

const PAGE: &str = include_str!("../../../../docs/metrics.md");
const DASHBOARD: &str = include_str!("../../../../docs/deploy/grafana.json");

/// What the page says of a metric.
struct Described {
    kind: String,
    labels: BTreeSet<String>,
    help: String,
}

/// The page's metrics, by name.
fn described() -> BTreeMap<String, Described> {
    let rows = PAGE.lines().filter(|line| line.starts_with("| `tidegate_"));
    let read = |row: &str| {
        let cells: Vec<&str> = row.trim_matches('|').split('|').map(str::trim).collect();
        let [name, kind, labels, _, help] = cells[..] else {
            panic!("five columns: {row}")
        };
        let labels = labels.split(", ").filter(|label| !label.is_empty());
        let described = Described {
            kind: kind.to_owned(),
            labels: labels.map(str::to_owned).collect(),
            help: help.to_owned(),
        };
        (name.trim_matches('`').to_owned(), described)
    };
    rows.map(read).collect()
}

/// What is registered, with its help text. A registry tells that in its debug output alone.
fn registered() -> BTreeMap<String, String> {
    let metrics = Metrics::new();
    let text = format!("{:?}{:?}", metrics.registry, metrics.named);
    let read = |descriptor: &str| {
        let (name, rest) = descriptor.split_once("\", help: \"").expect("a help text");
        let (help, _) = rest.split_once("\", unit").expect("its end");
        let help = help.strip_suffix('.').unwrap_or(help);
        (format!("tidegate_{name}"), help.replace("\\'", "'"))
    };
    text.split("Descriptor { name: \"").skip(1).map(read).collect()
}

#[test]
fn the_page_describes_what_is_registered_in_the_same_words() {
    let on_page: BTreeMap<String, String> = described()
        .into_iter()
        .map(|(name, described)| {
            let is_counter = described.kind == "counter";
            let base = name.strip_suffix("_total").filter(|_| is_counter);
            assert_eq!(base.is_some(), is_counter, "{name} is a {}", described.kind);
            (base.unwrap_or(&name).to_owned(), described.help)
        })
        .collect();
    assert_eq!(on_page, registered());
    assert!(on_page.len() > 40, "{}", on_page.len());
}

/// What is before a metric's name in an expression, or behind it, is none of these.
fn words(expression: &str) -> impl Iterator<Item = &str> {
    expression.split(|c: char| !c.is_ascii_alphanumeric() && c != '_')
}

/// Every query in the dashboard.
fn expressions(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                match value.as_str() {
                    Some(text) if name == "expr" || name == "query" => found.push(text.to_owned()),
                    _ => expressions(value, found),
                }
            }
        }
        Value::Array(values) => values.iter().for_each(|value| expressions(value, found)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

#[test]
fn the_dashboard_asks_for_metrics_that_there_are_by_labels_that_they_have() {
    let dashboard: Value = serde_json::from_str(DASHBOARD).expect("JSON");
    let described = described();
    let mut found = Vec::new();
    expressions(&dashboard, &mut found);
    let mut shown = BTreeSet::new();
    for expression in &found {
        let mut labels = BTreeSet::new();
        for name in words(expression).filter(|word| word.starts_with("tidegate_")) {
            let of_histogram = ["_bucket", "_sum", "_count"]
                .iter()
                .find_map(|end| name.strip_suffix(end));
            let base = of_histogram.unwrap_or(name);
            let metric = described
                .get(base)
                .unwrap_or_else(|| panic!("no metric {name}: {expression}"));
            assert_eq!(of_histogram.is_some(), metric.kind == "histogram", "{expression}");
            labels.extend(metric.labels.iter().map(String::as_str));
            shown.insert(base.to_owned());
        }
        labels.extend(["le", "job", "instance"]);
        for label in asked_labels(expression) {
            assert!(labels.contains(label), "no label {label}: {expression}");
        }
    }
    let unseen: Vec<&String> = described.keys().filter(|name| !shown.contains(*name)).collect();
    assert!(unseen.is_empty(), "not on the dashboard: {unseen:?}");
}

/// The labels that an expression selects and groups by.
fn asked_labels(expression: &str) -> Vec<&str> {
    let between = |open: &'static str, close: char| {
        let parts = expression.split(open).skip(1);
        parts.filter_map(move |part| part.split(close).next())
    };
    let selected = between("{", '}').flat_map(|selectors| selectors.split(','));
    let selected = selected.filter_map(|selector| selector.split(['=', '!']).next());
    let grouped = between("by (", ')').flat_map(|labels| labels.split(','));
    let all = selected.chain(grouped).map(str::trim);
    all.filter(|label| !label.is_empty()).collect()
}
