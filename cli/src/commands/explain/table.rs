//! A decision record for a person: what came one after the other, in about 120 columns.

use std::fmt::Write;

use serde_json::Value;

/// All of a record.
pub fn table(record: &Value) -> String {
    let mut table = heading(record);
    for budget in members(&record["budgets"]) {
        table += &said(budget);
    }
    for step in members(&record["steps"]) {
        table += &told(step);
    }
    if let Some(left_out) = record["steps_left_out"].as_u64() {
        let _ = writeln!(table, "  … and {left_out} steps more in between");
    }
    table += &ending(record);
    table
}

fn heading(record: &Value) -> String {
    let mut heading = format!("{} of {}", text(&record["route"]), text(&record["tenant"]));
    if let Some(model) = record["model"].as_str() {
        let kind = if record["stream"] == true {
            "a stream"
        } else {
            "a whole answer"
        };
        let _ = write!(heading, " for {model}, {kind}");
    }
    let _ = write!(heading, ", priority {}", text(&record["priority"]));
    if let (Some(prompt), Some(by)) = (record["prompt"].as_u64(), record["counted_by"].as_str()) {
        let _ = write!(heading, "\nprompt    {prompt} tokens ({by})");
    }
    heading + "\n"
}

/// What a budget says of a request that is only tried.
fn said(budget: &Value) -> String {
    let admits = match budget["admits"].as_bool() {
        Some(true) => "has room",
        Some(false) => "has NO room",
        None => "does not answer",
    };
    let mut line = format!(
        "budget    {} {admits}: it takes {} tokens",
        text(&budget["budget"]),
        budget["needs_tokens"]
    );
    if let Some(left) = budget["left_tokens"].as_i64() {
        let _ = write!(
            line,
            ", {left} are left and {} held by edge locations",
            budget["held_tokens"]
        );
    }
    line + "\n"
}

fn told(step: &Value) -> String {
    let at = format!("{:>9} ms  ", number(&step["at_ms"]));
    match text(&step["step"]) {
        "ranked" => at + &ranked(step),
        "weighed" => at + &weighed(step),
        "failed" | "broke_off" => at + &failed(step),
        "permitted" => at + &permitted(step),
        "reserved" => format!("{at}budget {} has reserved for it\n", text(&step["budget"])),
        "budget_refused" => format!(
            "{at}budget {} REFUSES: {}\n",
            text(&step["budget"]),
            text(&step["error"])
        ),
        "queued" => format!(
            "{at}waits at {}, for about {} ms\n",
            text(&step["cluster"]),
            number(&step["expected_ms"])
        ),
        "waited" => format!(
            "{at}has waited at {} for {} ms: {}\n",
            text(&step["cluster"]),
            number(&step["ms"]),
            text(&step["ended"])
        ),
        "region" => at + &by_region(step),
        "first_token" => format!("{at}first token from {}{}\n", text(&step["cluster"]), expected(step)),
        "whole_answer" => format!("{at}whole answer from {}\n", text(&step["cluster"])),
        "found" => format!(
            "{at}{} tokens of the prompt were in memory, {} were expected\n",
            step["cached"], step["expected"]
        ),
        "used" => format!(
            "{at}the answer took {} + {} tokens\n",
            step["prompt"], step["completion"]
        ),
        "version" if step["counts"] == true => format!("{at}has version {}\n", text(&step["version"])),
        "version" => format!(
            "{at}has version {}, and no part in its rollout\n",
            text(&step["version"])
        ),
        "fell_back" => format!("{at}is answered by version {} instead\n", text(&step["served"])),
        "cached" => format!(
            "{at}the response cache: {}, under the key {}\n",
            text(&step["status"]),
            text(&step["key"])
        ),
        "canned" => format!("{at}the canned answer is given, for {}\n", text(&step["reason"])),
        "canned_withheld" => format!("{at}no canned answer is given: {}\n", text(&step["why"])),
        "maintenance" => format!("{at}{} is out of service for maintenance\n", text(&step["model"])),
        other => format!("{at}{other}\n"),
    }
}

fn ranked(step: &Value) -> String {
    let mut lines = format!(
        "tier {}: {}, a prompt of {} tokens\n",
        step["tier"],
        text(&step["model"]),
        step["prompt"]
    );
    let _ = writeln!(
        lines,
        "{INDENT}{:<24} {:>10} {:>8} {:>9} {:>7} {:>8}  LOAD KNOWN",
        "CLUSTER", "ROUND TRIP", "WAIT", "PREFILL", "PRICE", "WARM"
    );
    for cluster in members(&step["clusters"]) {
        let age = match cluster["load_age_ms"].as_f64() {
            Some(_) => format!("{} ms ago", number(&cluster["load_age_ms"])),
            None => "no, idle".to_owned(),
        };
        let _ = writeln!(
            lines,
            "{INDENT}{:<24} {:>7} ms {:>5} ms {:>6} ms {:>4} ms {:>8}  {age}{}",
            text(&cluster["cluster"]),
            number(&cluster["round_trip_ms"]),
            number(&cluster["wait_ms"]),
            number(&cluster["prefill_ms"]),
            number(&cluster["price_ms"]),
            number(&cluster["warm"]),
            if cluster["full"] == true { ", FULL" } else { "" },
        );
    }
    lines += &more(step, "clusters");
    for excluded in members(&step["outside_jurisdiction"]) {
        let _ = writeln!(
            lines,
            "{INDENT}{:<24} outside of the tenant's jurisdictions",
            text(excluded)
        );
    }
    lines
}

fn weighed(step: &Value) -> String {
    let mut lines = format!("{} weighs its replicas\n", text(&step["cluster"]));
    let _ = writeln!(
        lines,
        "{INDENT}{:<32} {:>9} = {:>8} {:>9} {:>6} {:>8} {:>9}  STANDING",
        "REPLICA", "COST", "QUEUED", "PREFILL", "STEP", "WARM", "RUNNING"
    );
    for replica in members(&step["replicas"]) {
        let cost = match replica["cost_ms"].as_f64() {
            Some(_) => format!("{} ms", number(&replica["cost_ms"])),
            None => "-".to_owned(),
        };
        let _ = writeln!(
            lines,
            "{INDENT}{:<32} {cost:>9} = {:>5} ms {:>6} ms {:>3} ms {:>8} {:>9}  {}",
            shortened(text(&replica["replica"]), 32),
            number(&replica["queued_ms"]),
            number(&replica["prefill_ms"]),
            number(&replica["step_ms"]),
            number(&replica["warm"]),
            format!("{}/{}", replica["running"], replica["max_running"]),
            standing(replica),
        );
    }
    lines + &more(step, "replicas")
}

/// Why a replica could not have the request, or how it is known to be warm.
fn standing(replica: &Value) -> String {
    let mut words = match replica["not_because"].as_str() {
        Some("full") => "no room".to_owned(),
        Some("behind") => "behind with its prompts".to_owned(),
        Some("others_first") => "others wait for it".to_owned(),
        Some("waits_inside") => "something of others waits inside".to_owned(),
        Some("open") => "left alone after failures".to_owned(),
        Some("tried") => "has failed at it".to_owned(),
        Some("draining") => "drains".to_owned(),
        Some(other) => other.to_owned(),
        None => match text(&replica["warm_by"]) {
            "nothing" => "can have it".to_owned(),
            basis => format!("can have it, warm: {basis}"),
        },
    };
    if replica["passes_in_ms"].is_number() {
        let _ = write!(words, ", tried in {} ms", number(&replica["passes_in_ms"]));
    }
    words
}

fn permitted(step: &Value) -> String {
    let how = if step["kept"] == true {
        "under a permit that the gateway kept, so that the cell was not asked"
    } else {
        "by its cell"
    };
    let reason = text(&step["reason"]);
    let saves = step["saves_ms"]
        .as_u64()
        .map_or(String::new(), |saves| format!(" by {saves} ms"));
    format!(
        "goes to {} of {}, {how}: {reason}{saves}{}\n",
        text(&step["replica"]),
        text(&step["cluster"]),
        expected(step)
    )
}

fn expected(step: &Value) -> String {
    if step["expected_ms"].is_number() {
        format!(", expected {} ms", number(&step["expected_ms"]))
    } else {
        String::new()
    }
}

fn failed(step: &Value) -> String {
    let at = step["replica"]
        .as_str()
        .map_or(String::new(), |replica| format!(" at {replica}"));
    let mut line = format!("{} FAILS{at}: {}", text(&step["cluster"]), text(&step["error"]));
    if let Some(status) = step["status"].as_u64() {
        let _ = write!(line, " {status}");
    }
    for words in [&step["dropped"], &step["detail"]]
        .into_iter()
        .filter_map(Value::as_str)
    {
        let _ = write!(line, ", {words}");
    }
    if let Some(passed) = step["passed_over"].as_object() {
        let counts: Vec<_> = passed
            .iter()
            .filter(|(_, count)| **count != 0)
            .map(|(why, count)| format!("{count} {why}"))
            .collect();
        line += &format!(" ({})", counts.join(", "));
    }
    for (name, value) in [
        ("a wait would be", &step["expected_wait_ms"]),
        ("may help in", &step["recovery_ms"]),
    ] {
        if value.is_number() {
            line += &format!(", {name} {} ms", number(value));
        }
    }
    line + "\n"
}

/// What a region hop says of its own part.
fn by_region(step: &Value) -> String {
    let mut lines = format!(
        "sent to {}, the region hop of {}\n",
        text(&step["hop"]),
        text(&step["cluster"])
    );
    for its in members(&step["record"]["steps"]) {
        for line in told(its).lines() {
            let _ = writeln!(lines, "    | {line}");
        }
    }
    lines
}

fn ending(record: &Value) -> String {
    let outcome = &record["outcome"];
    let place = || {
        format!(
            "tier {}, {}, {}",
            outcome["tier"],
            text(&outcome["model"]),
            text(&outcome["cluster"])
        )
    };
    match text(&outcome["kind"]) {
        "served" => format!(
            "WOULD GO   to {} ({}), first token in {} ms:\n           {}\n",
            text(&outcome["replica"]),
            place(),
            number(&outcome["first_token_ms"]),
            text(&outcome["why"]),
        ),
        "waits" => format!(
            "WOULD WAIT at {}, for about {} ms\n",
            place(),
            number(&outcome["expected_ms"])
        ),
        "region" => format!(
            "WOULD GO   to the region hop {} ({}): ask that gateway what comes then\n",
            text(&outcome["hop"]),
            place()
        ),
        "canned" => format!("WOULD GET  the canned answer, for {}\n", text(&outcome["reason"])),
        "refused" => format!("WOULD FAIL {}: {}\n", text(&outcome["error"]), text(&outcome["why"])),
        _ => answered(record),
    }
}

fn answered(record: &Value) -> String {
    let status = match (record["status"].as_u64(), record["ended_ms"].is_number()) {
        (Some(status), _) => format!("answered with {status} after {} ms", number(&record["responded_ms"])),
        (None, true) => "its client has left before there was an answer".to_owned(),
        (None, false) => "not answered yet".to_owned(),
    };
    let error = record["error"]
        .as_str()
        .map_or(String::new(), |error| format!(", {error}"));
    let ended = if record["ended_ms"].is_number() {
        format!(", over after {} ms", number(&record["ended_ms"]))
    } else {
        ", under way".to_owned()
    };
    format!("{status}{error}{ended}\n")
}

fn more(step: &Value, what: &str) -> String {
    let more = |count| format!("{INDENT}… and {count} {what} more\n");
    step["left_out"].as_u64().map_or(String::new(), more)
}

fn members(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// A number as a person reads it: with a tenth where it is small.
fn number(value: &Value) -> String {
    match value.as_f64() {
        Some(number) if number < 100.0 && number.fract() != 0.0 => format!("{number:.1}"),
        Some(number) => format!("{number:.0}"),
        None => "?".to_owned(),
    }
}

/// The end of a long name tells more than its beginning.
fn shortened(name: &str, most: usize) -> String {
    let length = name.chars().count();
    if length <= most {
        return name.to_owned();
    }
    let end: String = name.chars().skip(length + 1 - most).collect();
    format!("…{end}")
}

const INDENT: &str = "              ";
