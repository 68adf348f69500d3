//! The response cache: answers that are given again, and requests that share one.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use futures::future::join_all;
use futures::{FutureExt, StreamExt};
use http::{Request, Response};
use serde_json::{Value, json};
use tidegate_core::Body;
use tidegate_core::platform::Platform;
use tidegate_virtual::Edge;

use crate::admin::{ask, assert_conforms_to};
use crate::world::{Piece, Reaction, World};
use crate::{CHAT, config, done, header, host, sse, streaming};

pub const USE: [(&str, &str); 1] = [("x-tidegate-cache", "use")];

/// The configuration with that in its table of the response cache.
pub fn caching(settings: &str) -> String {
    format!("{}\n[response_cache]\n{settings}\n", config())
}

pub fn request(stream: bool, more: &str) -> String {
    let tool = r#"{"type":"function","function":{"name":"f"}}"#;
    format!(
        r#"{{"model":"big","stream":{stream},"temperature":0,"seed":7,"messages":[{{"role":"user","content":"he"}}],"tools":[{tool}]{more}}}"#
    )
}

/// A piece of an answer, as vLLM sends it.
pub fn chunk(delta: &Value, finish: &Value) -> Piece {
    let chunk = json!({
        "id": "chatcmpl-engine", "object": "chat.completion.chunk", "created": 1, "model": "org/big",
        "choices": [{"index": 0, "delta": delta, "logprobs": null, "finish_reason": finish}],
    });
    Piece::Text(format!("data: {chunk}\n\n"))
}

fn usage() -> Piece {
    let chunk = json!({
        "id": "chatcmpl-engine", "object": "chat.completion.chunk", "created": 1, "model": "org/big", "choices": [],
        "usage": {"prompt_tokens": 3, "completion_tokens": 5, "total_tokens": 8},
    });
    Piece::Text(format!("data: {chunk}\n\n"))
}

/// An answer with reasoning, a text and a call, which takes a second.
pub fn answer() -> Vec<Piece> {
    vec![
        chunk(&json!({"role": "assistant", "content": ""}), &Value::Null),
        chunk(&json!({"reasoning": "so"}), &Value::Null),
        chunk(&json!({"content": "a\u{e9}"}), &Value::Null),
        Piece::Wait(Duration::from_secs(1)),
        chunk(&json!({"content": "b"}), &Value::Null),
        chunk(
            &json!({"tool_calls": [{"index": 0, "id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}]}),
            &Value::Null,
        ),
        chunk(&json!({}), &json!("tool_calls")),
        usage(),
        done(),
    ]
}

fn world(settings: &str) -> World {
    World::new(&caching(settings), |_| sse(answer()))
}

fn ask_with(world: &mut World, headers: &[(&'static str, &str)], body: &str) -> (Response<Body>, String) {
    let posting = world.posting(CHAT, headers, body);
    let response = world.run(posting);
    let (head, body) = response.into_parts();
    let text = world.rest(body);
    (Response::from_parts(head, Body::Full(text.clone().into())), text)
}

pub fn status(response: &Response<Body>) -> &str {
    header(response, "x-tidegate-cache")
}

/// What a whole answer says, without what is another each time.
fn said(text: &str) -> Value {
    let mut answer: Value = serde_json::from_str(text).unwrap_or_else(|_| panic!("{text}"));
    answer["id"] = Value::Null;
    answer["created"] = Value::Null;
    answer
}

#[test]
fn an_answer_is_given_again_whole_and_streamed_by_every_gateway() {
    let mut world = world("");
    let (first, original) = ask_with(&mut world, &USE, &request(false, ""));
    assert_eq!((first.status().as_u16(), status(&first)), (200, "miss"));
    assert_eq!(header(&first, "x-tidegate-cluster"), "near");
    world.pass(Duration::from_secs(7));
    let (again, whole) = ask_with(&mut world, &USE, &request(false, ""));
    assert_eq!(
        (
            status(&again),
            header(&again, "age"),
            header(&again, "x-tidegate-model")
        ),
        ("hit", "7", "big")
    );
    assert_eq!(header(&again, "x-tidegate-cluster"), "");
    assert_eq!(said(&whole), said(&original));
    let (before, now): (Value, Value) = (
        serde_json::from_str(&original).unwrap(),
        serde_json::from_str(&whole).unwrap(),
    );
    assert_ne!(before["id"], now["id"]);
    assert!(now["id"].as_str().unwrap().starts_with("chatcmpl-") && now["created"] != before["created"]);
    // Another gateway knows nothing but what the store has.
    let other = world.another(&caching(""));
    let posting = other.serve(
        Request::post(CHAT)
            .header("authorization", "Bearer key")
            .header("x-tidegate-cache", "use"),
        &request(true, r#","stream_options":{"include_usage":true}"#),
    );
    let response = world.run(posting);
    assert_eq!(
        (status(&response), header(&response, "content-type")),
        ("hit", "text/event-stream")
    );
    let text = world.rest(response.into_body());
    for part in [
        "\"reasoning\":\"so\"",
        "aéb",
        "\"name\":\"f\"",
        "\"prompt_tokens\":3",
        "\"finish_reason\":\"tool_calls\"",
        "[DONE]",
    ] {
        assert_eq!(text.matches(part).count(), 1, "{part}: {text}");
    }
    assert_eq!(world.sent().len(), 1);
    let metrics = world.metrics();
    for line in [
        "tidegate_cache_requests_total{model=\"big\",status=\"miss\"} 1",
        "tidegate_cache_requests_total{model=\"big\",status=\"hit\"} 1",
        "tidegate_cache_writes_total{outcome=\"taken\"} 1",
    ] {
        assert!(metrics.contains(line), "{line}: {metrics}");
    }
}

#[test]
fn what_a_streams_client_did_not_ask_for_is_kept_too() {
    let mut world = world("");
    let (first, text) = ask_with(&mut world, &USE, &request(true, ""));
    assert!(status(&first) == "miss" && !text.contains("usage"), "{text}");
    let (again, whole) = ask_with(&mut world, &USE, &request(false, ""));
    assert_eq!(
        (status(&again), said(&whole)["usage"]["completion_tokens"].as_u64()),
        ("hit", Some(5))
    );
    let (stream, replayed) = ask_with(&mut world, &USE, &request(true, ""));
    assert!(status(&stream) == "hit" && !replayed.contains("usage"), "{replayed}");
    assert_eq!(world.sent().len(), 1);
}

#[test]
fn the_cache_is_for_requests_that_ask_for_it_and_are_answered_alike() {
    let mut world = world("");
    let warm = request(false, "").replace("\"temperature\":0", "\"temperature\":1");
    for (headers, body, expected) in [
        (&[][..], request(false, ""), "bypass"),
        (&USE[..], warm, "bypass"),
        (&USE[..], request(false, "").replace("\"seed\":7,", ""), "bypass"),
        (&[("x-tidegate-cache", "bypass")][..], request(false, ""), "bypass"),
        (
            &[("x-tidegate-cache", "use"), ("cache-control", "max-age=0, No-Store")][..],
            request(false, ""),
            "bypass",
        ),
        (&USE[..], request(false, ""), "miss"),
        (&USE[..], request(false, ""), "hit"),
        (&[("x-tidegate-cache", "refresh")][..], request(false, ""), "miss"),
        (
            &[("x-tidegate-cache", "use"), ("cache-control", "no-cache")][..],
            request(false, ""),
            "miss",
        ),
        (&[("cache-control", "no-cache")][..], request(false, ""), "bypass"),
    ] {
        let (response, _) = ask_with(&mut world, headers, &body);
        assert_eq!(status(&response), expected, "{headers:?} {body}");
    }
    let (wrong, text) = ask_with(&mut world, &[("x-tidegate-cache", "yes")], &request(false, ""));
    assert!(wrong.status() == 400 && text.contains("`refresh`"), "{text}");
    let twice = [("x-tidegate-cache", "use"), ("x-tidegate-cache", "bypass")];
    let (wrong, text) = ask_with(&mut world, &twice, &request(false, ""));
    assert!(wrong.status() == 400 && text.contains("`refresh`"), "{text}");
    let mut always = self::world(
        "mode = \"always\"\nany_temperature = true\nrules = [{ model = \"gpt\", tenant = \"acme\", ttl_ms = 60000 }]",
    );
    let body = request(false, "").replace("\"seed\":7,", "");
    let mut statuses = Vec::new();
    for seconds in [0, 0, 61] {
        always.pass(Duration::from_secs(seconds));
        statuses.push(status(&ask_with(&mut always, &[], &body).0).to_owned());
    }
    assert_eq!(statuses, ["miss", "hit", "miss"]);
}

#[test]
fn no_tenant_gets_anothers_answer_and_one_that_is_kept_to_jurisdictions_uses_none() {
    let mut world = world("mode = \"always\"");
    drop(ask_with(&mut world, &[], &request(false, "")));
    for _ in 0..2 {
        let response = world.post_as("eu-key", CHAT, &request(false, ""));
        assert_eq!((response.status().as_u16(), status(&response)), (200, "bypass"));
    }
    let mut named = self::world("mode = \"always\"\nrules = [{ tenant = \"europeans\" }]");
    drop(ask_with(&mut named, &[], &request(false, "")));
    for expected in ["miss", "hit"] {
        let response = named.post_as("eu-key", CHAT, &request(false, ""));
        assert_eq!(status(&response), expected);
        drop(named.rest(response.into_body()));
    }
    assert_eq!(named.sent().len(), 2);
}

#[test]
fn an_answer_in_which_something_was_found_is_not_given_again() {
    let mut world = world("");
    let undeclared = |stream| request(stream, "").replace(r#""name":"f""#, r#""name":"g""#);
    for stream in [false, true, false] {
        let (response, _) = ask_with(&mut world, &USE, &undeclared(stream));
        assert_eq!(
            (response.status().as_u16(), status(&response)),
            (200, "miss"),
            "{stream}"
        );
    }
    assert_eq!(world.sent().len(), 3);
}

#[test]
fn requests_under_way_share_one_answer() {
    let mut world = world("");
    let mut asking = Vec::new();
    for number in 0..6 {
        let posting = world.posting(CHAT, &USE, &request(number % 2 == 0, ""));
        let platform = world.platform.clone();
        asking.push(async move {
            platform.sleep(Duration::from_millis(10 * number)).await;
            posting.await
        });
    }
    // The first is streamed: it has to be read to its end, as a client does.
    let read = asking.into_iter().map(|asking| async {
        let response = asking.await;
        let status = status(&response).to_owned();
        let pieces: Vec<_> = match response.into_body() {
            Body::Full(body) => vec![Ok(body)],
            Body::Stream(stream) => stream.collect().await,
        };
        let pieces: Vec<_> = pieces
            .into_iter()
            .map(|piece| piece.expect("it does not break off"))
            .collect();
        (status, String::from_utf8(pieces.concat()).unwrap())
    });
    let answers = world.run(join_all(read));
    let statuses: Vec<_> = answers.iter().map(|(status, _)| status.as_str()).collect();
    assert_eq!(statuses, ["miss", "shared", "shared", "shared", "shared", "shared"]);
    assert!(
        answers
            .iter()
            .all(|(_, text)| text.contains('é') && text.contains("tool_calls")),
        "{answers:?}"
    );
    assert_eq!((world.sent().len(), world.in_flight("near")), (1, 0));
}

#[test]
fn nobody_waits_for_the_failures_of_others_one_after_another() {
    let mut world = World::new(&caching(""), |_| {
        let wrong = r#"{"error": {"message": "no", "type": "BadRequestError", "code": 400}}"#;
        let pieces = vec![Piece::Wait(Duration::from_secs(1)), Piece::Text(wrong.to_owned())];
        Reaction::Answer(400, "application/json", pieces)
    });
    let began = world.now();
    let asking: Vec<_> = (0..8).map(|_| world.posting(CHAT, &USE, &request(false, ""))).collect();
    let statuses = world.run(join_all(asking).map(|responses| {
        let statuses = responses.iter().map(|response| response.status().as_u16());
        statuses.collect::<Vec<_>>()
    }));
    assert_eq!(statuses, [400; 8]);
    let took = world.now().since(began);
    assert!(took < Duration::from_millis(2_600), "{took:?}");
}

#[test]
fn a_follower_takes_over_when_the_leaders_client_leaves() {
    let mut world = world("");
    let posting = world.posting(CHAT, &USE, &request(true, ""));
    let mut leader = streaming(world.run(posting));
    drop(world.next(&mut leader));
    let following: Vec<_> = (0..3).map(|_| world.posting(CHAT, &USE, &request(false, ""))).collect();
    let mut following = join_all(following)
        .map(|responses| {
            let statuses: Vec<_> = responses.iter().map(|response| status(response).to_owned()).collect();
            let mut first = Response::new(Body::Full(statuses.join(" ").into()));
            *first.status_mut() = responses[0].status();
            first
        })
        .boxed_local();
    world.begin(&mut following);
    drop(leader);
    let response = world.run(following);
    let mut statuses: Vec<_> = world.rest(response.into_body()).split(' ').map(str::to_owned).collect();
    statuses.sort();
    assert_eq!(statuses, ["miss", "shared", "shared"]);
    assert_eq!((world.sent().len(), world.in_flight("near")), (2, 0));
}

#[test]
fn a_stream_that_follows_is_kept_alive_and_labelled_in_a_comment() {
    let settings = caching("").replace(
        "[response_cache]",
        "[streams]\nearly_commit_ms = 100\nheartbeat_ms = 200\n[response_cache]",
    );
    let mut world = World::new(&settings, |_| {
        let mut slow = vec![Piece::Wait(Duration::from_millis(700))];
        slow.extend(answer());
        sse(slow)
    });
    let leading = world.posting(CHAT, &USE, &request(false, ""));
    let following = world.posting(CHAT, &USE, &request(true, ""));
    let platform = world.platform.clone();
    let (_, text) = world.run(futures::future::join(leading, async move {
        platform.sleep(Duration::from_millis(1)).await;
        let pieces: Vec<_> = streaming(following.await).collect().await;
        String::from_utf8(pieces.concat()).unwrap()
    }));
    assert!(
        text.contains(": keepalive") && text.contains(": tidegate cache=shared model=big age=0"),
        "{text}"
    );
    assert!(text.ends_with("data: [DONE]\n\n"), "{text}");
    assert_eq!(world.sent().len(), 1);
}

#[test]
fn errors_and_what_is_cut_or_too_large_or_of_another_model_are_not_kept() {
    let cut = |finish: Value| {
        vec![
            chunk(&json!({"content": "a"}), &Value::Null),
            chunk(&json!({}), &finish),
            usage(),
            done(),
        ]
    };
    let broken = vec![chunk(&json!({"content": "a"}), &Value::Null), Piece::Break];
    let long = "x".repeat(2_000);
    let large = vec![
        chunk(&json!({"content": long}), &Value::Null),
        chunk(&json!({}), &json!("stop")),
        done(),
    ];
    let error = Reaction::Answer(
        400,
        "application/json",
        vec![Piece::Text(r#"{"error":{"message":"no"}}"#.to_owned())],
    );
    for (name, reaction) in [
        ("filtered", sse(cut(json!("content_filter")))),
        ("open", sse(cut(Value::Null))),
        ("large", sse(large)),
        ("broken", sse(broken)),
        ("error", error),
    ] {
        for stream in [true, false] {
            let reaction = reaction.clone();
            let mut world = World::new(&caching("answer_bytes = 1024"), move |_| reaction.clone());
            for _ in 0..2 {
                let posting = world.posting(CHAT, &USE, &request(stream, ""));
                let response = world.run(posting);
                assert_ne!(status(&response), "hit", "{name} {stream}");
                drop(world.rest_of(response.into_body()));
            }
            assert!(world.sent().len() >= 2, "{name} {stream}");
            assert!(
                !world.metrics().contains("tidegate_cache_writes_total{"),
                "{name} {stream}"
            );
        }
    }
    let mut lower = World::new(&caching(""), |request| match host(request) {
        "far-a" if request.body().windows(9).any(|part| part == b"org/small") => sse(answer()),
        _ => Reaction::Answer(503, "text/plain", vec![]),
    });
    for _ in 0..2 {
        let (response, _) = ask_with(&mut lower, &USE, &request(false, ""));
        assert_eq!(
            (header(&response, "x-tidegate-model"), status(&response)),
            ("small", "miss")
        );
    }
}

#[test]
fn the_last_good_answer_is_given_when_no_engine_answers() {
    let is_down = Rc::new(Cell::new(false));
    let down = Rc::clone(&is_down);
    let mut world = World::new(&caching("ttl_ms = 60000\nstale_ms = 60000"), move |_| {
        if down.get() {
            return Reaction::Answer(503, "text/plain", vec![]);
        }
        sse(answer())
    });
    drop(ask_with(&mut world, &USE, &request(false, "")));
    world.pass(Duration::from_secs(70));
    is_down.set(true);
    let (stale, text) = ask_with(&mut world, &USE, &request(false, ""));
    assert_eq!(
        (stale.status().as_u16(), status(&stale), header(&stale, "age")),
        (200, "stale", "70"),
        "{text}"
    );
    assert!(text.contains("aéb"), "{text}");
    let (canned, _) = ask_with(&mut world, &USE, &request(false, r#","stop":["x"]"#));
    assert_eq!(
        (status(&canned), header(&canned, "x-tidegate-tier")),
        ("bypass", "canned")
    );
    world.pass(Duration::from_secs(60));
    let (over, _) = ask_with(&mut world, &USE, &request(false, ""));
    assert_eq!(header(&over, "x-tidegate-tier"), "canned");
    is_down.set(false);
    world.pass(Duration::from_secs(10));
    let (fresh, _) = ask_with(&mut world, &USE, &request(false, ""));
    assert_eq!(status(&fresh), "miss");
}

/// What the cache of a gateway has to do with its next answer.
fn status_at(world: &mut World, gateway: &Edge) -> String {
    let asked = Request::post(CHAT).header("authorization", "Bearer key");
    let posting = gateway.serve(asked, &request(false, ""));
    let response = world.run(posting);
    let status = status(&response).to_owned();
    drop(world.rest(response.into_body()));
    status
}

/// What this one's has.
fn status_here(world: &mut World) -> String {
    let response = world.post(CHAT, &request(false, ""));
    let status = status(&response).to_owned();
    drop(world.rest(response.into_body()));
    status
}

/// The answer to an operator who purges.
pub fn purge(world: &mut World, query: &str) -> (u16, Value) {
    ask(world, "admin-key", ("DELETE", &format!("/admin/v1/cache?{query}")), "")
}

#[test]
fn operators_purge_answers_everywhere() {
    let mut world = world("mode = \"always\"");
    let other = world.another(&caching("mode = \"always\""));
    assert_eq!(
        (status_here(&mut world), status_at(&mut world, &other)),
        ("miss".into(), "hit".into())
    );
    for query in ["tenant=acme", "model=gpt", "tenant=acme&model=big", "all=1"] {
        world.pass(Duration::from_secs(5));
        let (status, answer) = purge(&mut world, query);
        assert_eq!(status, 200, "{answer}");
        assert_conforms_to("delete", "/admin/v1/cache", &answer);
        world.pass(Duration::from_secs(6));
        assert_eq!(status_at(&mut world, &other), "miss", "{query}");
        assert_eq!(status_at(&mut world, &other), "hit", "{query}");
    }
    for (query, expected) in [("", 422), ("tenant=nobody", 404), ("key=zz", 422)] {
        let (status, answer) = purge(&mut world, query);
        assert_eq!(status, expected, "{answer}");
    }
    world.pass(Duration::from_secs(70));
    assert_eq!(status_here(&mut world), "hit", "others are as they were");
}

#[test]
fn a_purge_counts_for_answers_that_have_begun_and_is_never_forgotten() {
    let settings = caching("mode = \"always\"");
    let mut world = World::new(&settings, |_| {
        let mut slow = answer();
        slow.insert(3, Piece::Wait(Duration::from_secs(5)));
        sse(slow)
    });
    let leading = world.post(CHAT, &request(true, ""));
    assert_eq!(status(&leading), "miss");
    assert_eq!(purge(&mut world, "tenant=acme").0, 200);
    assert!(world.rest(leading.into_body()).ends_with("data: [DONE]\n\n"));
    let other = world.another(&settings);
    assert_eq!(status_at(&mut world, &other), "miss", "it was begun before");
    assert_eq!(status_at(&mut world, &other), "hit", "it was begun after");
    // What has an end a store may lose at a crash.
    world.pass(Duration::from_secs(366 * 24 * 3_600));
    let platform = world.platform.clone();
    let read = world.run(async move { platform.store_read(&["purged/acme/"]).await });
    assert!(read.unwrap()[0].is_some());
}

#[test]
fn an_operator_learns_the_key_of_an_answer_and_purges_it() {
    let mut world = world("mode = \"always\"");
    assert_eq!(status_here(&mut world), "miss");
    let explained = [("x-tidegate-explain", "1"), ("x-tidegate-admin-key", "admin-key")];
    let posting = world.posting(CHAT, &explained, &request(false, ""));
    let response = world.run(posting);
    let record: Value = serde_json::from_str(header(&response, "x-tidegate-explain")).unwrap();
    let mut steps = record["steps"].as_array().unwrap().iter();
    let step = steps
        .find(|step| step["step"] == "cached")
        .unwrap_or_else(|| panic!("{record}"));
    assert_eq!(step["status"], "hit");
    let (status, answer) = purge(&mut world, &format!("key={}", step["key"].as_str().unwrap()));
    assert_eq!(status, 200, "{answer}");
    assert_eq!(status_here(&mut world), "miss");
}

#[test]
fn a_store_that_is_slow_or_gone_costs_its_time_and_nothing_else() {
    let mut world = world("memory_bytes = 0");
    // The configuration has been read.
    drop(ask_with(&mut world, &[], &request(false, "")));
    world.delay_store(Duration::from_secs(3));
    let begun = world.now();
    let (first, _) = ask_with(&mut world, &USE, &request(false, ""));
    let took = world.now().since(begun);
    assert_eq!((first.status().as_u16(), status(&first)), (200, "miss"));
    assert!(
        took >= Duration::from_millis(1_050) && took < Duration::from_millis(1_200),
        "{took:?}"
    );
    world.delay_store(Duration::ZERO);
    world.fail_store(true);
    let (second, _) = ask_with(&mut world, &USE, &request(false, ""));
    assert_eq!((second.status().as_u16(), status(&second)), (200, "miss"));
    world.pass(Duration::from_secs(2));
    let metrics = world.metrics();
    for line in [
        "cache_reads_total{outcome=\"late\"} 1",
        "cache_reads_total{outcome=\"failed\"} 1",
        "cache_writes_total{outcome=\"refused\"}",
    ] {
        assert!(metrics.contains(line), "{line}: {metrics}");
    }
}

#[test]
fn a_hit_costs_the_request_alone_or_what_the_answer_took() {
    for (cost, expected) in [("request", 8), ("tokens", 16)] {
        let budget = "\n[[tenants.budgets]]\nname = \"all\"\nmodels = [\"big\", \"small\"]\ntokens_per_minute = 100000\nrequests_per_minute = 1000\n";
        let config = caching(&format!("hit_cost = \"{cost}\""));
        let tenant = "[[tenants]]\nname = \"europeans\"";
        let config = config.replacen(tenant, &format!("{budget}\n{tenant}"), 1);
        let mut world = World::new(&config, |_| sse(answer()));
        for expected in ["miss", "hit"] {
            let (response, text) = ask_with(&mut world, &USE, &request(false, ""));
            assert_eq!(status(&response), expected, "{text}");
            assert!(!header(&response, "x-ratelimit-remaining-requests").is_empty());
        }
        let metrics = world.metrics();
        let used = format!("tidegate_budget_tokens_used_total{{tenant=\"acme\",budget=\"all\"}} {expected}");
        assert!(metrics.contains(&used), "{used}: {metrics}");
    }
}

/// An engine that embeds each input as the number of its request and its place in that.
fn embedding(request: &Request<bytes::Bytes>) -> Reaction {
    let asked: Value = serde_json::from_slice(request.body()).unwrap();
    let inputs = asked["input"].as_array().map_or(1, Vec::len);
    let item = |index: usize| {
        let text = asked["input"].get(index).unwrap_or(&asked["input"]).to_string();
        format!(
            r#"{{"object":"embedding","embedding":[{}.50],"index":{index}}}"#,
            text.len()
        )
    };
    let items: Vec<_> = (0..inputs).map(item).collect();
    let body = format!(
        r#"{{"object":"list","data":[{}],"model":"org/big","usage":{{"prompt_tokens":{inputs},"total_tokens":{inputs}}}}}"#,
        items.join(",")
    );
    Reaction::Answer(200, "application/json", vec![Piece::Text(body)])
}

fn embed(world: &mut World, input: &Value) -> (String, Value) {
    let body = json!({"model": "big", "input": input}).to_string();
    let posting = world.posting("/v1/embeddings", &USE, &body);
    let response = world.run(posting);
    let status = status(&response).to_owned();
    let text = world.rest(response.into_body());
    (status, serde_json::from_str(&text).unwrap_or_else(|_| panic!("{text}")))
}

#[test]
fn a_part_of_a_batch_is_salted_as_the_whole() {
    let mut world = World::new(&caching(""), embedding);
    for own in ["", r#","cache_salt":"mine""#] {
        for input in [r#""a""#, r#"["a","b"]"#] {
            let body = format!(r#"{{"model":"big","input":{input}{own}}}"#);
            let posting = world.posting("/v1/embeddings", &USE, &body);
            let response = world.run(posting);
            assert_eq!(status(&response), "miss");
            drop(world.rest(response.into_body()));
        }
    }
    let salts = world.sent().into_iter().map(|(_, sent)| {
        let sent: Value = serde_json::from_str(&sent).unwrap();
        let inputs = if sent["input"].is_array() { 2 } else { 1 };
        (inputs, sent["cache_salt"].clone())
    });
    let salts: Vec<_> = salts.collect();
    assert!(salts[0].1.is_string() && salts[2].1.is_string(), "{salts:?}");
    assert_eq!((&salts[0].1, &salts[2].1), (&salts[1].1, &salts[3].1));
    assert!(salts[0].1 != salts[2].1 && salts[2].1 != "mine", "{salts:?}");
}

fn numbers(answer: &Value) -> Vec<(u64, f64)> {
    let items = answer["data"].as_array().unwrap().iter();
    let number = |item: &Value| (item["index"].as_u64().unwrap(), item["embedding"][0].as_f64().unwrap());
    items.map(number).collect()
}

#[test]
fn a_batch_of_embeddings_asks_for_what_is_missing_and_keeps_its_order() {
    let mut world = World::new(&caching(""), embedding);
    let (status, _) = embed(&mut world, &json!("bb"));
    assert_eq!(status, "miss");
    let (status, answer) = embed(&mut world, &json!(["a", "bb", "cccc"]));
    assert_eq!(
        (status.as_str(), numbers(&answer)),
        ("miss", vec![(0, 3.5), (1, 4.5), (2, 6.5)])
    );
    assert_eq!(
        (&answer["usage"]["prompt_tokens"], &answer["model"]),
        (&json!(2), &json!("big"))
    );
    let (_, sent) = world.sent().pop().unwrap();
    assert_eq!(
        serde_json::from_str::<Value>(&sent).unwrap()["input"],
        json!(["a", "cccc"])
    );
    let (status, answer) = embed(&mut world, &json!(["cccc", "bb", "cccc"]));
    assert_eq!(
        (status.as_str(), numbers(&answer)),
        ("hit", vec![(0, 6.5), (1, 4.5), (2, 6.5)])
    );
    assert_eq!(
        (&answer["usage"]["prompt_tokens"], &answer["model"]),
        (&json!(0), &json!("big"))
    );
    let many: Vec<_> = (0..17).map(|number| number.to_string()).collect();
    assert_eq!(embed(&mut world, &json!(many)).0, "bypass");
    assert_eq!(world.sent().len(), 3);
}

#[test]
fn what_is_known_of_a_batch_is_never_completed_by_another_model() {
    let is_down = Rc::new(Cell::new(false));
    let down = Rc::clone(&is_down);
    let mut world = World::new(&caching(""), move |request| {
        let is_of_big = !request.body().windows(9).any(|part| part == b"org/small");
        if down.get() && is_of_big {
            return Reaction::Answer(503, "text/plain", vec![]);
        }
        embedding(request)
    });
    assert_eq!(embed(&mut world, &json!("bb")).0, "miss");
    is_down.set(true);
    let (_, answer) = embed(&mut world, &json!(["bb", "c"]));
    assert!(answer["error"].is_object(), "{answer}");
    // Of which nothing is known, the lower tier embeds all, and none of that is kept.
    for _ in 0..2 {
        let (status, answer) = embed(&mut world, &json!(["d", "e"]));
        assert_eq!(
            (status.as_str(), &answer["model"]),
            ("miss", &json!("small")),
            "{answer}"
        );
    }
}
