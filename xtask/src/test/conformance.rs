//! The core's suite for platforms, run inside each runtime: a gateway built for it serves it at `POST /conformance`.

use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use crate::dev::{Child, Gateway, Place, start_redis};
use crate::error::TaskError;
use crate::{http, terminal, workspace};

/// Has the gateway run the suite against its platform, and reads the report. `tidegate` is a native binary, for the
/// simulated engine that the suite sends to; `redis`, where state is to be kept in one, its program.
pub fn run(gateway: &Gateway, tidegate: &Path, redis: Option<&Path>) -> Result<(), TaskError> {
    let folder = workspace::work_folder("conformance")?;
    let mut engine = Command::new(tidegate);
    engine.args([
        "engine",
        "--listen",
        "127.0.0.1:0",
        "--model",
        "conformance",
        "--profile",
        PROFILE,
        "--seed",
        "1",
    ]);
    let engine = Child::start("engine", &engine, &folder)?;
    let config = workspace::root().join("gateway.toml");
    let redis = redis.map(|program| start_redis(program, &folder)).transpose()?;
    let gateway = gateway.start(&Place {
        config: &config,
        port: 0,
        folder: &folder,
        redis: redis.as_ref().map(|redis| redis.url.as_str()),
    })?;
    let options = json!({ "upstream": engine.url }).to_string();
    let answer = http::post(&gateway.url, "/conformance", &options)
        .map_err(|error| gateway.failure(&format!("does not answer POST /conformance: {error}")))?;
    match failed(&answer) {
        Some((passed, failed)) if failed.is_empty() && passed > 0 => {
            terminal::note(&format!("{passed} checks passed"));
            Ok(())
        }
        Some((_, failed)) if !failed.is_empty() => {
            Err(gateway.failure(&format!("does not do what a platform must:\n  {}", failed.join("\n  "))))
        }
        Some(_) | None => Err(gateway.failure(&format!(
            "answers POST /conformance with {}: {}",
            answer.status, answer.body
        ))),
    }
}

/// How many checks passed, and the failed ones with what was found instead; none when the answer is no report.
fn failed(answer: &http::Answer) -> Option<(usize, Vec<String>)> {
    if answer.status != 200 {
        return None;
    }
    let report: Value = serde_json::from_str(&answer.body).ok()?;
    let checks = report["checks"].as_array()?;
    let failed = checks
        .iter()
        .filter_map(|check| Some(format!("{}: {}", check["name"], check["error"].as_str()?)));
    let failed: Vec<String> = failed.collect();
    Some((checks.len() - failed.len(), failed))
}

/// Slow enough for a stream to be seen arriving piece by piece.
const PROFILE: &str = "h100-8b";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_is_read_check_by_check() {
        let body = r#"{"checks":[{"name":"a","error":null},{"name":"b","error":"slept 0 s"}]}"#.to_owned();
        let report = failed(&http::Answer {
            status: 200,
            body: body.clone(),
        });
        assert_eq!(report, Some((1, vec!["\"b\": slept 0 s".to_owned()])));
        assert_eq!(failed(&http::Answer { status: 404, body }), None);
        assert_eq!(
            failed(&http::Answer {
                status: 200,
                body: "{}".to_owned()
            }),
            None
        );
    }
}
