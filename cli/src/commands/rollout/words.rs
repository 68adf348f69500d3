//! How a rollout stands, in words.

use std::fmt::Write;

use serde_json::Value;

/// All models with versions, a line for each version.
pub fn table(answer: &Value) -> String {
    let mut table = format!(
        "{:<28} {:>7} {:>10} {:>8}  {}\n",
        "VERSION", "WEIGHT", "REQUESTS", "FAILED", "FIRST TOKEN"
    );
    for rollout in members(&answer["rollouts"]) {
        table += &in_short(rollout);
        table.push('\n');
        for version in members(&rollout["versions"]) {
            let _ = writeln!(
                table,
                "  {:<26} {:>6}% {:>10} {:>8}  {}",
                text(&version["version"]),
                version["weight"].to_string(),
                version["requests"].to_string(),
                version["failed"].to_string(),
                first_tokens(version)
            );
        }
    }
    for model in members(&answer["unreachable"]) {
        let _ = writeln!(table, "{}: its cell does not answer", text(model));
    }
    table
}

/// In one line: the model, which version takes over or has last, and what comes next.
pub fn in_short(rollout: &Value) -> String {
    let mut words = text(&rollout["model"]).to_owned();
    let running = &rollout["rollout"];
    if running.is_null() {
        words += &format!(": {}", at_rest(rollout));
    } else {
        let version = text(&running["version"]);
        words += &format!(": {version} takes over, {}%", weight_of(rollout, version));
        words += &match (&running["paused"], &running["next"]) {
            (Value::Bool(true), _) => ", paused".to_owned(),
            (_, Value::Null) => ", its last step".to_owned(),
            (_, next) => match rollout["step_after_s"].as_f64() {
                Some(after) => format!(", {next}% after {after} s at the soonest"),
                None => format!(", {next}% when somebody says so"),
            },
        };
    }
    if let Some(seconds) = rollout["in_force_in_s"].as_f64().filter(|seconds| *seconds > 0.0) {
        let _ = write!(words, " (in force in {seconds:.0} s)");
    }
    words
}

fn at_rest(rollout: &Value) -> String {
    let ended = &rollout["ended"];
    if ended.is_null() {
        return "no rollout is under way".to_owned();
    }
    let how = match text(&ended["how"]) {
        "done" => "has taken over",
        "rolled_back" => "was taken back",
        _ => "was taken back by an operator",
    };
    let reason = ended["reason"]
        .as_str()
        .map_or(String::new(), |reason| format!(": {reason}"));
    format!("{} {how}{reason}", text(&ended["version"]))
}

fn weight_of<'a>(rollout: &'a Value, name: &str) -> &'a Value {
    let of_version = |version: &&Value| version["version"] == name;
    let version = members(&rollout["versions"]).iter().find(of_version);
    version.map_or(&Value::Null, |version| &version["weight"])
}

/// The median of each class of prompts, the shortest first.
fn first_tokens(version: &Value) -> String {
    let medians = members(&version["first_tokens"]).iter();
    let medians: Vec<_> = medians.map(|class| format!("{} ms", class["median_ms"])).collect();
    medians.join(", ")
}

fn members(list: &Value) -> &[Value] {
    list.as_array().map_or(&[], Vec::as_slice)
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn rollout(running: Value, ended: Value) -> Value {
        json!({
            "model": "big", "in_force_in_s": 0.0, "step_after_s": 600, "rollout": running, "ended": ended,
            "versions": [
                {"version": "v1", "weight": 95, "requests": 190, "failed": 2, "first_tokens": [{"median_ms": 120}]},
                {"version": "v2", "weight": 5, "requests": 10, "failed": 0, "first_tokens": []},
            ],
        })
    }

    #[test]
    fn a_rollout_is_told_in_one_line() {
        let running = |paused, next| json!({"version": "v2", "paused": paused, "next": next});
        let told = |running, ended| in_short(&rollout(running, ended));
        let ended = json!({"version": "v2", "how": "rolled_back", "reason": "9 of 10 requests failed"});
        assert_eq!(
            told(running(false, json!(25)), Value::Null),
            "big: v2 takes over, 5%, 25% after 600 s at the soonest"
        );
        assert_eq!(
            told(running(true, json!(25)), Value::Null),
            "big: v2 takes over, 5%, paused"
        );
        assert_eq!(
            told(Value::Null, ended),
            "big: v2 was taken back: 9 of 10 requests failed"
        );
        assert_eq!(told(Value::Null, Value::Null), "big: no rollout is under way");
    }

    #[test]
    fn the_table_has_a_line_for_each_version() {
        let all = json!({"rollouts": [rollout(Value::Null, Value::Null)], "unreachable": ["small"]});
        let table = table(&all);
        let line = table.lines().find(|line| line.contains("v1")).expect("a line");
        let header = table.lines().next().expect("a header");
        let ends = |line: &str, word: &str| line.find(word).map(|at| at + word.len());
        assert_eq!(ends(header, "REQUESTS"), ends(line, "190"), "{table}");
        assert_eq!(
            line.split_whitespace().collect::<Vec<_>>(),
            ["v1", "95%", "190", "2", "120", "ms"]
        );
        assert!(table.ends_with("small: its cell does not answer\n"));
    }
}
