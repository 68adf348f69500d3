//! Keys of a table that is no more, `[limits]`: each is refused with the place where it stands instead.

use toml::de::DeTable;

use crate::config::error::Problem;
use crate::config::report::{Place, Report};
use crate::config::suggest::{nearest, one_of};

/// Takes `[limits]` out of a text's tree, and reports each key of it, or that it has no place any more.
pub(in crate::config) fn refuse_moved(root: &mut DeTable<'_>, report: &mut Report) {
    let Some((name, limits)) = root.get_key_value(TABLE) else {
        return;
    };
    let Some(limits) = limits.get_ref().as_table() else {
        return;
    };
    let within = report.key(Place::TEXT, TABLE, name.span().start);
    if limits.is_empty() {
        report.add(within, Problem::Moved, format!("expected {}", one_of(tables())));
    }
    for key in limits.keys() {
        let (written, offset) = (key.get_ref().as_ref(), key.span().start);
        let meant = nearest(written, MOVED.iter().map(|moved| moved.0));
        let moved = MOVED.iter().find(|moved| Some(moved.0) == meant);
        match moved {
            Some((old, table, new)) if *old == written => {
                let place = report.key(within, old, offset);
                report.add(place, Problem::Moved, format!("expected `{new}` in `[{table}]`"));
            }
            Some((_, table, new)) => {
                report.unknown_key(within, written, offset, format!("did you mean `{new}` in `[{table}]`?"));
            }
            None => report.unknown_key(within, written, offset, format!("expected {}", one_of(tables()))),
        }
    }
    root.remove(TABLE);
}

/// The tables that keys stand in instead, each once.
fn tables() -> impl Iterator<Item = &'static str> {
    let starts = MOVED
        .iter()
        .enumerate()
        .filter(|(index, moved)| *index == 0 || MOVED[index - 1].1 != moved.1);
    starts.map(|(_, moved)| moved.1)
}

const TABLE: &str = "limits";

/// Each key as it was, the table that it stands in, and its name there; by table.
const MOVED: [(&str, &str, &str); 22] = [
    ("request_body_bytes", "sizes", "request_body_bytes"),
    ("response_body_bytes", "sizes", "response_body_bytes"),
    ("event_bytes", "sizes", "event_bytes"),
    ("nesting", "sizes", "nesting"),
    ("request_body_ms", "timeouts", "request_body_ms"),
    ("connect_ms", "timeouts", "connect_ms"),
    ("first_byte_ms", "timeouts", "first_byte_ms"),
    ("whole_answer_ms", "timeouts", "whole_answer_ms"),
    ("between_bytes_ms", "timeouts", "between_bytes_ms"),
    ("deadline_ms", "timeouts", "deadline_ms"),
    ("attempts", "retries", "attempts"),
    ("early_commit_ms", "streams", "early_commit_ms"),
    ("heartbeat_ms", "streams", "heartbeat_ms"),
    ("expected_output", "estimates", "output_tokens"),
    ("permit_ttl_ms", "permits", "ttl_ms"),
    ("load_ttl_ms", "load", "ttl_ms"),
    ("breaker_failures", "breaker", "failures"),
    ("breaker_open_ms", "breaker", "open_ms"),
    ("lease_ttl_ms", "leases", "ttl_ms"),
    ("kept_for_high_percent", "headroom", "for_high_percent"),
    ("kept_from_low_percent", "headroom", "for_normal_percent"),
    ("config_refresh_ms", "refresh", "config_ms"),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Config, json_schema};

    #[test]
    fn every_key_is_refused_in_its_line_with_a_place_that_there_is() {
        let schema: serde_json::Value = serde_json::from_str(&json_schema()).unwrap_or_default();
        let keys: String = MOVED.iter().map(|(old, ..)| format!("{old} = 1\n")).collect();
        let errors = Config::parse(&format!("[limits]\n{keys}"), None).map_err(|errors| errors.to_string());
        let errors = errors.expect_err("a table that is no more");
        for (index, (old, table, new)) in MOVED.iter().enumerate() {
            let line = index + 2;
            let error = format!(
                "gateway.toml:{line}: limits.{old}: this key has another place now; expected `{new}` in `[{table}]`"
            );
            assert!(errors.lines().any(|told| told == error), "{error}\n\n{errors}");
            assert!(
                schema["properties"][table]["properties"][new].is_object(),
                "{table}.{new}"
            );
        }
        assert_eq!(
            errors.lines().count(),
            MOVED.len() + 4,
            "and the four lists that are missing"
        );
    }
}
