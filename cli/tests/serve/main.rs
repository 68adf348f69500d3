//! The binary as an operator runs it: an engine, a gateway in front of it, signals, files. What the gateway answers is
//! the contract suite's concern; here it is how the process behaves.

mod client;
mod crowds;
mod explain;
mod operators;
mod process;

use std::fs;

use client::{Stream, get, put};
use process::{Bench, Gateway, eventually};

const DEFAULTS: &[&str] = &[];

#[test]
fn a_stream_that_runs_when_the_signal_comes_is_finished() {
    let bench = Bench::new("finish");
    let mut gateway = Gateway::start(&bench, DEFAULTS);
    let mut stream = Stream::open(&gateway, 300);
    stream.next_event();
    gateway.signal("TERM");
    let events = stream.rest();
    assert_eq!(events.last().map(String::as_str), Some("[DONE]"));
    assert!(events.len() > 200, "{} events", events.len());
    assert_eq!(gateway.exit_code(), Some(0));
}

#[test]
fn what_runs_after_the_drain_timeout_ends_with_an_error_in_band() {
    let bench = Bench::new("cut");
    let mut gateway = Gateway::start(&bench, &["--drain-timeout", "1"]);
    let mut stream = Stream::open(&gateway, 20_000);
    stream.next_event();
    gateway.signal("TERM");
    let events = stream.rest();
    let last = events.last().expect("events");
    assert!(last.starts_with("{\"error\":"), "{last}");
    assert_eq!(gateway.exit_code(), Some(0));
}

#[test]
fn a_second_signal_ends_the_process_at_once() {
    let bench = Bench::new("at-once");
    let mut gateway = Gateway::start(&bench, DEFAULTS);
    let mut stream = Stream::open(&gateway, 20_000);
    stream.next_event();
    gateway.signal("INT");
    eventually("the gateway drains", || gateway.log().contains("draining"));
    gateway.signal("TERM");
    assert_eq!(gateway.exit_code(), Some(1));
}

#[test]
fn nothing_is_accepted_while_draining_and_idle_connections_do_not_hold_it_up() {
    let bench = Bench::new("idle");
    let mut gateway = Gateway::start(&bench, DEFAULTS);
    let idle = std::net::TcpStream::connect(gateway.address()).expect("connected");
    assert!(get(&gateway, "/healthz").starts_with("HTTP/1.1 200"));
    gateway.signal("TERM");
    assert_eq!(gateway.exit_code(), Some(0));
    drop(idle);
}

#[test]
fn a_client_that_leaves_frees_the_engine_and_its_permit() {
    let bench = Bench::new("leave");
    let gateway = Gateway::start(&bench, DEFAULTS);
    let mut stream = Stream::open(&gateway, 20_000);
    stream.next_event();
    assert!(
        bench
            .engine_metrics()
            .contains("vllm:num_requests_running{engine=\"0\",model_name=\"m\"} 1")
    );
    drop(stream);
    eventually("the engine stops", || {
        bench
            .engine_metrics()
            .contains("vllm:num_requests_running{engine=\"0\",model_name=\"m\"} 0")
    });
    eventually("the permit is back", || {
        get(&gateway, "/metrics").contains("outcome=\"unknown\"} 1")
    });
}

#[test]
fn a_changed_file_is_taken_up_and_a_wrong_one_refused() {
    let bench = Bench::new("change");
    let gateway = Gateway::start(&bench, DEFAULTS);
    let good = fs::read_to_string(bench.config()).expect("readable");
    fs::write(bench.config(), "[[regions]]\nname = 3\n").expect("written");
    gateway.signal("HUP");
    eventually("the wrong one is refused", || {
        gateway.log().contains("clusters: missing")
    });
    assert!(get(&gateway, "/v1/models").contains("\"m\""));
    fs::write(bench.config(), good.replace("name = \"m\"", "name = \"renamed\"")).expect("written");
    gateway.signal("HUP");
    eventually("the new one is in force", || {
        get(&gateway, "/v1/models").contains("\"renamed\"")
    });
}

#[test]
fn what_an_operator_put_survives_a_crash_until_the_file_changes() {
    let bench = Bench::new("precedence");
    let data = bench.folder().join("data");
    let options = ["--data", data.to_str().expect("text")];
    let mut gateway = Gateway::start(&bench, &options);
    let file = fs::read_to_string(bench.config()).expect("readable");
    let answer = put(
        &gateway,
        "/admin/config",
        &file.replace("name = \"m\"", "name = \"put\""),
    );
    assert!(answer.starts_with("HTTP/1.1 20"), "{answer}");
    gateway.signal("KILL");
    assert_eq!(gateway.exit_code(), None, "killed");

    let mut gateway = Gateway::start(&bench, &options);
    assert!(get(&gateway, "/v1/models").contains("\"put\""));
    gateway.signal("TERM");
    assert_eq!(gateway.exit_code(), Some(0));

    fs::write(bench.config(), file.replace("name = \"m\"", "name = \"edited\"")).expect("written");
    let gateway = Gateway::start(&bench, &options);
    assert!(get(&gateway, "/v1/models").contains("\"edited\""));
}

#[test]
fn a_gateway_that_cannot_start_says_why() {
    let bench = Bench::new("refused");
    let data = bench.folder().join("data");
    let gateway = Gateway::start(&bench, &["--data", data.to_str().expect("text")]);
    let taken = bench.fail(&["--data", data.to_str().expect("text")]);
    assert_eq!(taken.0, Some(1));
    assert!(taken.1.contains("in use by another process"), "{}", taken.1);
    let taken = bench.fail(&["--listen", &gateway.address()]);
    assert_eq!(taken.0, Some(1));
    assert!(taken.1.contains("cannot listen on"), "{}", taken.1);
    fs::write(bench.config(), "[[regions]]\nname = 3\n").expect("written");
    let wrong = bench.fail(&[]);
    assert_eq!(wrong.0, Some(2));
    assert!(
        wrong.1.contains("models: missing") && wrong.1.contains("regions[0].name"),
        "{}",
        wrong.1
    );
}

#[test]
fn a_table_that_cannot_be_used_is_named_at_the_start() {
    let bench = Bench::new("tables");
    let elsewhere = bench.folder().join("elsewhere");
    let missing = bench.fail(&["--tokens", elsewhere.to_str().expect("text")]);
    assert_eq!(missing.0, Some(2));
    assert!(missing.1.contains("elsewhere"), "{}", missing.1);
    let beside = bench.folder().join("tokens");
    fs::create_dir(&beside).expect("a folder");
    fs::write(beside.join("README"), "no table, and not taken for one").expect("written");
    drop(Gateway::start(&bench, DEFAULTS));
    fs::write(beside.join("broken.tokens"), "no table").expect("written");
    let broken = bench.fail(&[]);
    assert_eq!(broken.0, Some(2));
    assert!(
        broken.1.contains("broken.tokens: this is no token table"),
        "{}",
        broken.1
    );
}

#[test]
fn half_a_head_costs_a_connection_and_nothing_else() {
    use std::io::Write;
    let bench = Bench::new("half");
    let mut gateway = Gateway::start(&bench, &["--drain-timeout", "1", "--threads", "1"]);
    let mut half = std::net::TcpStream::connect(gateway.address()).expect("connected");
    half.write_all(b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-le")
        .expect("written");
    // The one thread takes connections in the order in which they came: once it answers here, it has half a head there.
    assert!(get(&gateway, "/healthz").starts_with("HTTP/1.1 200"));
    gateway.signal("TERM");
    assert_eq!(gateway.exit_code(), Some(0));
}
