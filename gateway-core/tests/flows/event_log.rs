//! What an operator reads in the log: the events of whole scenarios, as `snapshots/` has them. Moments are seconds from
//! the scenario's beginning, and requests are numbered as they come.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http::Request;
use tidegate_core::observe::{Level, Sink};
use tidegate_core::platform::Platform;

use crate::budgets::{ask, limited, taking};
use crate::world::{Piece, Reaction, World};
use crate::{CHAT, chat, config, done, event, host, sse, streaming, usage};

/// A world in which all that happens is written down. Its requests come in at the region `fra`.
struct Watched {
    world: World,
    /// In the order in which they came.
    requests: Arc<Mutex<Vec<String>>>,
    lines: Arc<Mutex<Vec<String>>>,
}

impl Watched {
    fn new(config: &str, engines: impl Fn(&Request<Bytes>) -> Reaction + 'static) -> Self {
        let mut world = World::new(config, engines);
        world.come_in_at("fra");
        let (lines, requests) = (Arc::<Mutex<Vec<_>>>::default(), Arc::<Mutex<Vec<_>>>::default());
        let (written, numbered) = (Arc::clone(&lines), Arc::clone(&requests));
        let begun = world.platform.now();
        world.gateway.set_sink(Sink::new(Level::Debug, move |record| {
            let after = record.at.since(begun).as_secs_f64();
            let mut requests = numbered.lock().unwrap();
            if let Some(id) = record.request.map(|id| id.as_str().to_owned())
                && !requests.contains(&id)
            {
                requests.push(id);
            }
            written.lock().unwrap().push(format!("{after:>7.3}  {record}"));
        }));
        Self { world, requests, lines }
    }

    /// Two clusters and a ladder, as the other tests have them.
    fn usual(engines: impl Fn(&Request<Bytes>) -> Reaction + 'static) -> Self {
        Self::new(&config(), engines)
    }

    /// Asks, and reads the answer to its end.
    fn ask(&mut self, model: &str, stream: bool) {
        let response = self.world.post(CHAT, &chat(model, stream));
        self.world.rest(response.into_body());
    }

    /// Compares all that happened, and what happens in the seconds after, with the snapshot.
    fn check(mut self, name: &str, scenario: &str) {
        self.world.pass(Duration::from_secs(3));
        let mut log = self.lines.lock().unwrap().join("\n");
        for (index, id) in self.requests.lock().unwrap().iter().enumerate() {
            log = log.replace(id, &format!("#{}", index + 1));
        }
        let mut settings = insta::Settings::clone_current();
        settings.set_prepend_module_to_snapshot(false);
        settings.set_omit_expression(true);
        settings.set_description(scenario);
        settings.bind(|| insta::assert_snapshot!(name, log));
    }
}

fn whole() -> Reaction {
    let body = r#"{"model":"org/big","choices":[{"message":{"content":"a"}}],"usage":{"prompt_tokens":3,"completion_tokens":1}}"#;
    json(200, body)
}

fn json(status: u16, body: &str) -> Reaction {
    Reaction::Answer(status, "application/json", vec![Piece::Text(body.to_owned())])
}

fn wait(millis: u64) -> Piece {
    Piece::Wait(Duration::from_millis(millis))
}

#[test]
fn whole_answer() {
    let mut watched = Watched::usual(|_| whole());
    watched.ask("big", false);
    watched.check("whole_answer", "An answer that is not streamed.");
}

#[test]
fn silent_engine() {
    let mut watched = Watched::usual(|request| match host(request) {
        "near-a" => sse(vec![event("a"), wait(200), event("b"), wait(90_000), done()]),
        _ => sse(vec![event("a"), wait(50), event("b"), usage(), done()]),
    });
    watched.ask("big", false);
    watched.check(
        "silent_engine",
        "A replica falls silent in the middle of an answer that is not streamed; another one serves.",
    );
}

#[test]
fn stream() {
    let mut watched = Watched::usual(|_| sse(vec![wait(200), event("a"), wait(50), event("b"), usage(), done()]));
    watched.ask("big", true);
    watched.check("stream", "A stream whose first token comes after 200 ms.");
}

#[test]
fn kept_permit() {
    let roomy = config().replace("max_running = 4", "max_running = 64");
    let mut watched = Watched::new(&roomy, |_| whole());
    watched.ask("big", false);
    watched.ask("big", false);
    watched.check(
        "kept_permit",
        "Two requests; the second runs under the permit of the first.",
    );
}

#[test]
fn stream_breaks_off() {
    let mut watched = Watched::usual(|_| sse(vec![event("a"), wait(100), Piece::Break]));
    watched.ask("big", true);
    watched.check(
        "stream_breaks_off",
        "The connection to the engine breaks in the middle of a stream.",
    );
}

#[test]
fn another_replica() {
    let mut watched = Watched::usual(|request| match host(request) {
        "near-a" => json(500, "{}"),
        _ => whole(),
    });
    watched.ask("big", false);
    watched.check(
        "another_replica",
        "The first replica fails, another one of the cluster serves.",
    );
}

#[test]
fn full_cluster() {
    let narrow = config().replace("max_running = 4", "max_running = 1");
    let mut watched = Watched::new(&narrow, |_| sse(vec![event("a"), wait(1_000), usage(), done()]));
    let first: Vec<_> = (0..2).map(|_| watched.world.post(CHAT, &chat("big", true))).collect();
    watched.ask("big", true);
    drop(first);
    watched.check(
        "full_cluster",
        "Two streams fill the near cluster, and the third request is served by the far one. Then the two clients leave.",
    );
}

#[test]
fn lower_tier() {
    let is_small = |request: &Request<Bytes>| String::from_utf8_lossy(request.body()).contains("org/small");
    let mut watched = Watched::usual(move |request| if is_small(request) { whole() } else { json(503, "{}") });
    watched.ask("big", false);
    watched.check(
        "lower_tier",
        "No replica of the model answers; the ladder's next tier does.",
    );
}

#[test]
fn canned_answer() {
    let mut watched = Watched::usual(|_| Reaction::Refuse);
    watched.ask("big", true);
    watched.check("canned_answer", "No engine can be reached; the canned answer is given.");
}

#[test]
fn budget_refuses() {
    let mut watched = Watched::new(&limited("tokens_per_minute = 1_000"), taking(600, 0, 100));
    for _ in 0..2 {
        let response = watched.world.post_as("key-of-payer", "/v1/completions", &ask(600, 100));
        watched.world.rest(response.into_body());
    }
    watched.check(
        "budget_refuses",
        "A budget of 1,000 tokens a minute has room for the first request of 700, not for the second.",
    );
}

#[test]
fn budget_unreachable() {
    let mut watched = Watched::new(&limited("tokens_per_minute = 1_000"), taking(600, 0, 100));
    watched.world.cut_off(true);
    let response = watched.world.post_as("key-of-payer", "/v1/completions", &ask(600, 100));
    watched.world.rest(response.into_body());
    watched.check(
        "budget_unreachable",
        "The budget's cell cannot be reached, and the request is refused.",
    );
}

#[test]
fn client_leaves() {
    let mut watched = Watched::usual(|_| sse(vec![event("a"), wait(5_000), event("b"), usage(), done()]));
    let mut body = streaming(watched.world.post(CHAT, &chat("big", true)));
    watched.world.next(&mut body);
    watched.world.pass(Duration::from_secs(1));
    drop(body);
    watched.check("client_leaves", "The client leaves one second into the stream.");
}

#[test]
fn early_commit() {
    let mut watched = Watched::usual(|_| sse(vec![wait(20_000), event("a"), usage(), done()]));
    watched.ask("big", true);
    watched.check(
        "early_commit",
        "The engine's first token takes 20 s: the response's head goes out before it.",
    );
}

#[test]
fn configurations() {
    let mut watched = Watched::usual(|_| whole());
    for text in ["[[clusters]]\nname = 7\n", &config().replace("\"small\"", "\"tiny\"")] {
        watched.world.put("config", text);
        let (gateway, platform) = (Arc::clone(&watched.world.gateway), watched.world.platform.clone());
        watched.world.run(async move { gateway.maintain(platform).await });
        watched.world.pass(Duration::from_secs(30));
    }
    watched.check(
        "configurations",
        "The store holds a wrong configuration, and half a minute later a sound one.",
    );
}

#[test]
fn engine_rejects() {
    let mut watched = Watched::usual(|_| json(400, r#"{"error":{"message":"too long"}}"#));
    watched.ask("big", false);
    watched.check(
        "engine_rejects",
        "The engine finds fault with the request: nobody else is asked.",
    );
}

#[test]
fn cells_unreachable() {
    let mut watched = Watched::usual(|_| whole());
    watched.world.cut_clusters_off();
    watched.ask("big", false);
    watched.check(
        "cells_unreachable",
        "The clusters' cells cannot be reached, so that no replica may be asked.",
    );
}

#[test]
fn counts_and_reports() {
    let mut watched = Watched::usual(|request| match host(request) {
        "far-a" => json(200, r#"{"model":"org/small","choices":[{"text":"so it is"}]}"#),
        _ => taking(4, 0, 2)(request),
    });
    for model in ["big", "small"] {
        let body = ask(3, 2).replace("\"big\"", &format!("\"{model}\""));
        let response = watched.world.post("/v1/completions", &body);
        watched.world.rest(response.into_body());
    }
    watched.check(
        "counts_and_reports",
        "Two prompts of three tokens: one engine reports four, the other nothing.",
    );
}
