//! `tidegate explain`: what it tells, of a gateway that runs and of a configuration alone, and how it fails.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::client::fetch;
use crate::process::{Bench, Gateway, TIDEGATE};

const REQUEST: &str = r#"{"model":"m","max_tokens":4,"messages":[{"role":"user","content":"told of nobody"}]}"#;

struct Run {
    code: Option<i32>,
    out: String,
    error: String,
}

fn run(key: Option<&str>, arguments: &[&str]) -> Run {
    let mut command = Command::new(TIDEGATE);
    command.arg("explain").args(arguments).env_remove("TIDEGATE_ADMIN_KEY");
    command.envs(key.map(|key| ("TIDEGATE_ADMIN_KEY", key)));
    let output = command.output().expect("run");
    Run {
        code: output.status.code(),
        out: String::from_utf8_lossy(&output.stdout).into_owned(),
        error: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

fn written(folder: &Path, name: &str, text: &str) -> PathBuf {
    let path = folder.join(name);
    fs::write(&path, text).expect("written");
    path
}

fn text(path: &Path) -> &str {
    path.to_str().expect("text")
}

#[test]
fn a_configuration_alone_tells_where_a_request_would_go() {
    let bench = Bench::new("explain-alone");
    let request = written(bench.folder(), "request.json", REQUEST);
    let config = bench.config();
    let alone = |arguments: &[&str]| run(None, &[&["--config", text(&config)], arguments].concat());
    let told = alone(&[text(&request)]);
    assert_eq!(told.code, Some(0), "{}", told.error);
    for words in ["prompt ", "tier 0: m", "REPLICA", "WOULD GO", "comes first by affinity"] {
        assert!(told.out.contains(words), "{words}: {}", told.out);
    }
    assert!(told.out.lines().all(|line| line.chars().count() <= 130), "{}", told.out);
    let json = alone(&[text(&request), "--json"]);
    let record: Value = serde_json::from_str(&json.out).expect("JSON");
    assert_eq!(record["outcome"]["kind"], "served", "{record}");
    assert!(!json.out.contains("told of nobody"), "no prompt is told");
    assert!(bench.engine_metrics().contains("vllm:num_requests_running"), "it runs");
    let unknown = written(bench.folder(), "unknown.json", &REQUEST.replace("\"m\"", "\"n\""));
    let broken = written(bench.folder(), "broken.json", "{\"model\":");
    let missing = bench.folder().join("missing.json");
    for (arguments, code, words) in [
        (&[text(&unknown)][..], 4, "model"),
        (&[text(&broken)], 2, "no JSON"),
        (&[text(&missing)], 2, "cannot read"),
        (&[text(&request), "--tenant", "nobody"], 4, "no tenant `nobody`"),
        (&[text(&request), "--path", "/v1/models"], 2, "engines answer"),
        (&[text(&request), "--header", "x"], 2, "NAME: VALUE"),
    ] {
        let failed = alone(arguments);
        assert_eq!(failed.code, Some(code), "{arguments:?}: {}", failed.error);
        assert!(failed.error.contains(words), "{arguments:?}: {}", failed.error);
    }
    let wrong = written(bench.folder(), "wrong.toml", "[[clusters]]\nname = 7\n");
    assert_eq!(run(None, &["--config", text(&wrong), text(&request)]).code, Some(2));
}

#[test]
fn a_gateway_that_runs_tells_what_was_and_what_would_be() {
    let bench = Bench::new("explain-running");
    let mut gateway = Gateway::start(&bench, &[]);
    let request = written(bench.folder(), "request.json", REQUEST);
    let url = format!("http://{}", gateway.address());
    let (admin_key, key) = (gateway.admin_key.clone(), gateway.key.clone());
    let ask = |key: &str, arguments: &[&str]| run(Some(key), &[&["--url", &url], arguments].concat());
    let config = fs::read_to_string(bench.config()).expect("readable");
    let tenant = config.split("[[tenants]]").nth(1).expect("a tenant");
    let tenant = tenant.split('"').nth(1).expect("its name").to_owned();
    let told = ask(&admin_key, &[text(&request), "--tenant", &tenant]);
    assert_eq!(told.code, Some(0), "{}", told.error);
    assert!(told.out.contains("WOULD GO"), "{}", told.out);

    let answer = fetch(&gateway.address(), "POST /v1/chat/completions", Some(&key), REQUEST);
    let id = answer
        .lines()
        .find_map(|line| line.strip_prefix("x-request-id: "))
        .expect("an id")
        .trim()
        .to_owned();
    let told = ask(&admin_key, &["--request-id", &id]);
    assert_eq!(told.code, Some(0), "{}", told.error);
    for words in ["goes to http://", "answered with 200", "the answer took"] {
        assert!(told.out.contains(words), "{words}: {}", told.out);
    }
    for (key, arguments, code) in [
        (
            &admin_key,
            &["--request-id", "req_00000000000000000000000000000000"][..],
            4,
        ),
        (&admin_key, &[text(&request), "--tenant", "nobody"], 4),
        (&admin_key, &[text(&request)], 2),
        (&key, &[text(&request), "--tenant", &tenant], 5),
    ] {
        let failed = ask(key, arguments);
        assert_eq!(failed.code, Some(code), "{arguments:?}: {}", failed.error);
    }
    gateway.signal("TERM");
    gateway.exit_code();
    assert_eq!(ask(&admin_key, &[text(&request), "--tenant", &tenant]).code, Some(1));
}
