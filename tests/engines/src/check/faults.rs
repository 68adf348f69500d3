//! Clients that leave, engines that hang, engines that are told to end.

use std::time::{Duration, Instant};

use serde_json::json;
use tidegate_tests::http::{Request, connect};
use tidegate_tests::runtime::Runtime;
use tidegate_tests::wait::wait_until;

use super::mistakes::assert_told;
use super::setting::{CHAT, Setting};
use crate::cases::body as chat;
use crate::engine::{Engine, Kind};

/// The engine stops when its client leaves a stream, and, where the runtime tells of it, a whole answer.
pub fn leaving(setting: &mut Setting) -> String {
    let long = |stream: bool| chat(json!({"max_tokens": 3_000, "stream": stream}));
    let mut exchange = setting.open(CHAT, &long(true));
    exchange.read_until("content");
    drop(exchange);
    let streamed = stopped_within(setting);
    if Runtime::current() != Runtime::Native {
        return format!("a stream after {streamed:.1} s");
    }
    let request = Request::post(CHAT, long(false).to_string()).key(&tidegate_tests::world::key("everyone"));
    let mut connection = connect(setting.gateway.address());
    std::io::Write::write_all(&mut connection, &request.to_bytes("gateway")).expect("sent");
    wait_until("an engine runs", PATIENCE, || running(setting) > 0);
    drop(connection);
    let whole = stopped_within(setting);
    format!("a stream after {streamed:.1} s, a whole answer after {whole:.1} s")
}

/// How many seconds it takes until no engine runs anything.
fn stopped_within(setting: &Setting) -> f64 {
    wait_until("no engine runs anything", PATIENCE, || running(setting) == 0).as_secs_f64()
}

/// How many requests run at the engines.
fn running(setting: &Setting) -> usize {
    setting.replicas.iter().map(requests_of).sum()
}

fn requests_of(engine: &Engine) -> usize {
    let ask = |path: &str| Request::get(path).send(&engine.address()).json();
    match engine.kind {
        Kind::Vllm => usize::try_from(ask("/load")["server_load"].as_u64().unwrap_or_default()).unwrap_or_default(),
        Kind::LlamaCpp => {
            let slots = ask("/slots");
            let busy = slots
                .as_array()
                .into_iter()
                .flatten()
                .filter(|slot| slot["is_processing"] == true);
            busy.count()
        }
    }
}

/// The cores of one replica stand still: requests are answered by the other, and soon no longer tried here.
pub fn hanging(setting: &mut Setting) -> String {
    let stopped = &setting.replicas[0];
    stopped.signal_core("STOP");
    let mut slowest = Duration::ZERO;
    let mut last = Duration::ZERO;
    for number in 0..8 {
        let text = format!("Question {number} while one hangs");
        let more = json!({"messages": [{"role": "user", "content": text}], "stream": number % 2 == 0});
        let begun = Instant::now();
        // A stream's status is sent before anything answers, where that takes long.
        let response = setting.ask(CHAT, &chat(more));
        last = begun.elapsed();
        slowest = slowest.max(last);
        assert_eq!(response.status, 200, "{}", response.text());
        if number % 2 == 0 {
            assert_told(response.text());
        }
    }
    stopped.signal_core("CONT");
    format!(
        "slowest {:.1} s, last {:.1} s",
        slowest.as_secs_f64(),
        last.as_secs_f64()
    )
}

/// Both replicas are told to end while they stream; afterwards, one after the other, they come back.
pub fn ending(setting: &mut Setting) -> String {
    let long = chat(json!({"max_tokens": 3_000, "stream": true}));
    let mut exchange = setting.open(CHAT, &long);
    exchange.read_until("content");
    for replica in &setting.replicas {
        replica.signal("TERM");
    }
    let told = assert_told(exchange.finish().text());
    let gone = setting.ask(CHAT, &chat(json!({})));
    assert!(matches!(gone.status, 502..=504), "{} {}", gone.status, gone.text());
    setting.replicas[0].restart();
    let took = wait_until("it comes back", Duration::from_secs(60), || {
        setting.ask(CHAT, &chat(json!({}))).status == 200
    });
    format!(
        "{told}; then {}; {:.1} s after one is back: 200",
        gone.status,
        took.as_secs_f64()
    )
}

/// For what engines do at once.
const PATIENCE: Duration = Duration::from_secs(10);
