//! What comes through two hops is what comes through one gateway.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use tidegate_tests::engine::Fault;
use tidegate_tests::http::{Request, Response};
use tidegate_tests::scripted::Script;
use tidegate_tests::sse::Stream;
use tidegate_tests::world::{World, key};

use super::{HOPS, SINGLE, ask, ask_as, served_by, worlds};
use crate::streams::arrival;
use crate::support::{
    ENGINE_KEY_EU, assert_error, chat, chat_stream, chunk, eventually, invalid_request, post, post_chat, with,
};

#[test]
fn whole_answers_are_those_of_one_gateway() {
    let requests = [
        ("/v1/chat/completions", chat("tide-eu", "whole")),
        (
            "/v1/completions",
            json!({"model": "tide-eu", "prompt": "whole", "max_tokens": 8}),
        ),
        (
            "/v1/embeddings",
            json!({"model": "tide-eu", "input": ["the tide", "the gate"]}),
        ),
    ];
    for (target, body) in requests {
        let request = post(target, body.to_string());
        let single = request.send(SINGLE.address());
        assert_eq!(single.status, 200, "{}", single.text());
        for world in worlds() {
            let double = world.send(&request);
            assert_same_labels(&double, &single);
            assert_eq!(lasting(double.json()), lasting(single.json()), "{target}");
            assert_eq!(double.json()["model"], "tide-eu");
        }
    }
}

#[test]
fn streams_are_those_of_one_gateway() {
    let chat = with(
        chat_stream("tide-eu", "streamed"),
        json!({"stream_options": {"include_usage": true}}),
    );
    let completion = json!({"model": "tide-eu", "prompt": "streamed", "max_tokens": 8, "stream": true});
    for (target, body) in [("/v1/chat/completions", chat), ("/v1/completions", completion)] {
        let request = post(target, body.to_string());
        let single = request.send(SINGLE.address());
        let events = events(&single);
        assert!(events.len() > 2, "{events:?}");
        for world in worlds() {
            let double = world.send(&request);
            assert_same_labels(&double, &single);
            assert_eq!(self::events(&double), events, "{target}");
        }
    }
}

#[test]
fn engines_are_sent_what_one_gateway_sends_them() {
    // Some of it compresses well, and some not at all.
    let noise: String = (0..60_000_u64)
        .map(|number| format!("{:x}", number.wrapping_mul(0x9E37_79B9_7F4A_7C15)))
        .collect();
    let sizes = [
        ("sent-small", String::new()),
        ("sent-large", "tide ".repeat(100_000) + &noise[..100_000]),
    ];
    for (marker, text) in sizes {
        let body = chat("tide-scripted", &format!("{marker} {text}"));
        let sent = |world: &World, send: &dyn Fn() -> Response| {
            let scripted = world.scripted("scripted");
            scripted.on(marker, Script::stream().then(chunk("yes")).then("data: [DONE]\n\n"));
            let response = send();
            assert_eq!(response.status, 200, "{}", response.text());
            let seen = scripted.seen(marker);
            let [seen] = &seen[..] else {
                panic!("asked {} times", seen.len())
            };
            seen.body_without_salt()
        };
        let single = sent(&HOPS, &|| post_chat(body.to_string()).send(SINGLE.address()));
        assert!(single.len() > text.len());
        for world in worlds() {
            assert!(sent(world, &|| ask(world, &body)) == single, "{marker}");
        }
    }
    let orders = HOPS.way("fra").carried("/hop/v1/chat/completions");
    let mut compressed = orders
        .iter()
        .filter(|order| order.header("content-encoding") == Some("gzip"));
    assert!(
        compressed.any(|order| order.body.len() > 10_000),
        "the large one was compressed"
    );
}

#[test]
fn an_engine_may_answer_a_wish_for_a_stream_with_a_whole_answer() {
    let answer = json!({"id": "x", "object": "chat.completion", "created": 1, "model": "m", "choices": [{"index": 0,
        "message": {"role": "assistant", "content": "yes"}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 3, "completion_tokens": 1, "total_tokens": 4}});
    for (status, body) in [
        (200, chat("tide-scripted", "whole-for-stream")),
        (502, chat_stream("tide-scripted", "whole-for-stream")),
    ] {
        let script = Script::json(&answer.to_string());
        HOPS.scripted("scripted").on("whole-for-stream", script.clone());
        let single = post_chat(body.to_string()).send(SINGLE.address());
        assert_eq!(single.status, status, "{}", single.text());
        for world in worlds() {
            world.scripted("scripted").on("whole-for-stream", script.clone());
            let double = ask(world, &body);
            assert_eq!((double.status, double.json()), (single.status, single.json()));
        }
    }
}

#[test]
fn engines_are_shown_their_secret_by_the_region() {
    for world in worlds() {
        served_by(&ask(world, &chat("tide-eu", "shown the secret")));
        let requests = ["eu-1", "eu-2"].map(|engine| world.engine(engine).requests("shown the secret"));
        let bearer = format!("Bearer {ENGINE_KEY_EU}");
        assert_eq!(requests.concat()[0].header("authorization"), Some(&*bearer));
    }
}

#[test]
fn the_first_event_arrives_while_the_engine_still_writes() {
    let script = Script::stream()
        .then(chunk("first"))
        .wait(700)
        .then(chunk("second"))
        .wait(700);
    let script = script.then(chunk("third")).then("data: [DONE]\n\n");
    for world in worlds() {
        let scripted = world.scripted("scripted");
        scripted.on("paced", script.clone());
        let response = ask(world, &chat_stream("tide-scripted", "paced"));
        let done = scripted.seen("paced")[0].steps_done.clone();
        assert!(arrival(&response, "first") < done[3], "the first event was held back");
        assert!(arrival(&response, "second") < done[5], "the second event was held back");
        assert!(Stream::parse(response.text()).done);
    }
}

#[test]
fn what_an_engine_refuses_is_told_in_its_words_and_not_tried_again() {
    const WORDS: &str = "This model's maximum context length is 3 tokens, says the engine";
    let body = json!({"object": "error", "message": WORDS, "type": "BadRequestError", "code": 400}).to_string();
    let script = Script::raw(format!(
        "HTTP/1.1 400 Bad Request\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    ));
    for request in [
        chat("tide-scripted", "refused-by-engine"),
        chat_stream("tide-scripted", "refused-by-engine"),
    ] {
        let scripted = HOPS.scripted("scripted");
        scripted.on("refused-by-engine", script.clone());
        let single = post_chat(request.to_string()).send(SINGLE.address());
        for world in worlds() {
            let scripted = world.scripted("scripted");
            scripted.on("refused-by-engine", script.clone());
            let double = ask(world, &request);
            assert!(double.text().contains(WORDS), "{}", double.text());
            assert_eq!((double.status, double.json()), (single.status, single.json()));
            assert_eq!(scripted.seen("refused-by-engine").len(), 1, "it was asked again");
        }
    }
}

#[test]
fn what_the_edge_refuses_never_reaches_the_region() {
    let body = json!({"model": "tide-eu", "messages": "never-reaches-the-region"});
    assert_error(
        &ask(&HOPS, &body),
        invalid_request(400, Some("messages"), Some("invalid_type")),
    );
    assert!(HOPS.way("fra").carried("never-reaches-the-region").is_empty());
}

#[test]
fn budgets_are_kept_and_settled_at_the_edge() {
    for world in worlds() {
        let mut statuses = [0; 3].map(|_| ask_as(world, "twice", &chat("tide-eu", "thrice")).status);
        statuses.sort_unstable();
        assert_eq!(statuses, [200, 200, 429]);
        let answers = [
            ask_as(world, "metered", &chat("tide-eu", "metered whole")),
            ask_as(
                world,
                "metered",
                &with(
                    chat_stream("tide-eu", "metered stream"),
                    json!({"stream_options": {"include_usage": true}}),
                ),
            ),
        ];
        let took = total_tokens(&answers[0].json())
            + Stream::parse(answers[1].text())
                .usages()
                .into_iter()
                .map(total_tokens)
                .sum::<u64>();
        eventually("both are settled", || used_today(world) == took);
    }
}

#[test]
fn a_client_that_leaves_frees_the_replica() {
    for world in worlds() {
        let engines = || {
            ["eu-1", "eu-2"]
                .map(|engine| world.engine(engine).requests("left at the edge"))
                .concat()
        };
        for engine in ["eu-1", "eu-2"] {
            world.engine(engine).fault("left at the edge", Fault::Stall(2));
        }
        let body = with(chat_stream("tide-eu", "left at the edge"), json!({"max_tokens": 64}));
        let mut exchange = post_chat(body.to_string()).open(world.gateway.address());
        exchange.read_until("content");
        assert_eq!(engines()[0].outcome(), "running");
        drop(exchange);
        eventually("the engine stops", || engines()[0].outcome() == "aborted");
    }
}

/// What every answer is labelled with, and that nothing of what hops tell each other is shown.
#[track_caller]
fn assert_same_labels(double: &Response, single: &Response) {
    let names =
        |response: &Response| -> BTreeSet<String> { response.headers().iter().map(|(name, _)| name.clone()).collect() };
    assert_eq!(names(double), names(single));
    for name in LABELS {
        assert_eq!(double.header(name), single.header(name), "{name}");
    }
}

/// The events of a stream, without what differs each time.
fn events(response: &Response) -> Vec<Value> {
    assert_eq!(response.status, 200, "{}", response.text());
    let stream = Stream::parse(response.text());
    assert!(stream.done, "{stream:?}");
    stream.chunks.into_iter().map(lasting).collect()
}

/// An answer or an event without what differs each time.
fn lasting(mut value: Value) -> Value {
    for field in ["id", "created"] {
        if let Some(fields) = value.as_object_mut() {
            fields.remove(field);
        }
    }
    value
}

/// Tokens of its day that the metered tenant has used, as the edge tells.
fn used_today(world: &World) -> u64 {
    let usage = world.send(&Request::get("/v1/usage").key(&key("metered")));
    assert_eq!(usage.status, 200, "{}", usage.text());
    usage.json()["budgets"][0]["day"]["tokens_used"]
        .as_u64()
        .expect("a figure")
}

fn total_tokens(answer: &Value) -> u64 {
    answer["usage"]["total_tokens"].as_u64().expect("a usage")
}

/// Those that are equal whichever replica answers, whatever it has in memory, and whatever an estimate has learned.
const LABELS: [&str; 5] = [
    "content-type",
    "x-tidegate-cache",
    "x-tidegate-cluster",
    "x-tidegate-model",
    "x-tidegate-tier",
];

#[test]
fn a_region_tells_why_to_an_edge_that_asks_and_to_no_client() {
    for world in worlds() {
        let request = post_chat(chat("tide-global", "explain by hops").to_string());
        let request = request
            .header("x-tidegate-explain", "1")
            .header("x-tidegate-admin-key", &key("admin"));
        let response = world.send(&request);
        assert_eq!(served_by(&response), "eu");
        let record = response.header("x-tidegate-explain").expect("the record");
        let record: serde_json::Value = serde_json::from_str(record).expect("JSON");
        let mut steps = record["steps"].as_array().expect("steps").iter();
        let region = steps.find(|step| step["step"] == "region").expect("the region's part");
        let its = region["record"]["steps"].as_array().expect("its steps");
        assert!(its.iter().any(|step| step["step"] == "permitted"), "{record}");
        let plain = ask(world, &chat("tide-global", "explain by hops"));
        assert!(plain.header("x-tidegate-explain").is_none());
    }
}
