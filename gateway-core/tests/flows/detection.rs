//! What is found in answers, and what follows.

use bytes::Bytes;
use http::{Request, Response};
use serde_json::Value;
use tidegate_core::Body;

use crate::hops::config_of_two_hops;
use crate::world::{Piece, Reaction, World};
use crate::{CHAT, chat, config, done, event, header, host, sse, usage};

/// The usual configuration, where that follows from what is found.
fn with(detection: &str) -> String {
    config() + &format!("\n[detection]\n{detection}\n")
}

/// An event in which the model has ended its answer.
fn stop() -> Piece {
    Piece::Text("data: {\"model\":\"org/big\",\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n".to_owned())
}

/// An answer of nothing.
fn nothing() -> Reaction {
    sse(vec![stop(), usage(), done()])
}

/// A call of a tool that nobody has declared, behind a text where there is one.
fn stray_call(text: Option<&str>) -> Reaction {
    let call = r#"data: {"model":"org/big","choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"id":"c","function":{"name":"moon","arguments":"{}"}}]},"finish_reason":null}]}"#;
    let call = Piece::Text(format!("{call}\n\n"));
    let more = [event("and on"), stop(), usage(), done()];
    sse(text.map(event).into_iter().chain([call]).chain(more).collect())
}

fn good(text: &'static str) -> Reaction {
    sse(vec![event(text), stop(), usage(), done()])
}

fn near(answer: fn() -> Reaction) -> impl Fn(&Request<Bytes>) -> Reaction {
    move |request| {
        if host(request).starts_with("near") {
            answer()
        } else {
            good("far")
        }
    }
}

fn answer(world: &mut World, response: Response<Body>) -> Value {
    serde_json::from_str(&world.rest(response.into_body())).expect("JSON")
}

fn content(answer: &Value) -> &str {
    answer["choices"][0]["message"]["content"].as_str().unwrap_or_default()
}

fn asked(world: &World) -> Vec<String> {
    let sent = world.sent().into_iter();
    sent.map(|(url, _)| {
        url.trim_start_matches("http://")
            .split('/')
            .next()
            .unwrap_or_default()
            .to_owned()
    })
    .collect()
}

#[test]
fn what_is_flagged_passes_and_is_told_in_a_header_or_behind_the_end() {
    let mut world = World::new(&config(), |_| nothing());
    let response = world.post(CHAT, &chat("big", false));
    assert_eq!(
        (response.status().as_u16(), header(&response, "x-tidegate-detected")),
        (200, "empty")
    );
    let response = world.post(CHAT, &chat("big", true));
    assert_eq!(header(&response, "x-tidegate-detected"), "");
    let stream = world.rest(response.into_body());
    assert!(
        stream.ends_with("data: [DONE]\n\n: tidegate detected=empty\n\n"),
        "{stream}"
    );
    let metrics = world.metrics();
    let counted = "tidegate_detected_total{cluster=\"near\",model=\"big\",detector=\"empty\",action=\"flag\"} 2";
    assert!(metrics.contains(counted), "{metrics}");
}

#[test]
fn what_nobody_looks_for_is_not_found() {
    let mut world = World::new(&with("empty = \"off\""), |_| nothing());
    let response = world.post(CHAT, &chat("big", false));
    assert_eq!(
        (response.status().as_u16(), header(&response, "x-tidegate-detected")),
        (200, "")
    );
}

#[test]
fn an_answer_is_cut_as_if_the_model_had_ended_it() {
    let mut world = World::new(&with("tool_calls = \"cut\""), |_| stray_call(Some("hi")));
    let wish = chat("big", true).replacen('{', "{\"stream_options\":{\"include_usage\":true},", 1);
    let response = world.post(CHAT, &wish);
    let stream = world.rest(response.into_body());
    let events: Vec<_> = stream.split("\n\n").collect();
    let count = events.len();
    assert!(
        events[count - 5].contains(r#""delta":{},"logprobs":null,"finish_reason":"stop""#),
        "{stream}"
    );
    assert!(
        events[count - 4].contains(r#""choices":[],"usage":{"completion_tokens":"#),
        "{stream}"
    );
    assert_eq!(
        &events[count - 3..],
        ["data: [DONE]", ": tidegate detected=tool_calls", ""]
    );
    assert!(
        !stream.contains("and on"),
        "what comes behind it is not for the client: {stream}"
    );
    let response = world.post(CHAT, &chat("big", false));
    assert_eq!(header(&response, "x-tidegate-detected"), "tool_calls");
    let whole = answer(&mut world, response);
    assert_eq!(
        (content(&whole), &whole["choices"][0]["finish_reason"]),
        ("hi", &Value::from("stop"))
    );
    assert_eq!(world.in_flight("near"), 0);
}

#[test]
fn where_nothing_has_gone_out_another_replica_answers_and_after_two_another_tier() {
    let failing = with("empty = \"fail_over\"\ntool_calls = \"fail_over\"");
    let mut world = World::new(&failing, |request| match host(request) {
        "near-a" => nothing(),
        _ => good("other"),
    });
    for stream in [false, true] {
        let response = world.post(CHAT, &chat("big", stream));
        assert_eq!(
            (response.status().as_u16(), header(&response, "x-tidegate-detected")),
            (200, "")
        );
        let body = world.rest(response.into_body());
        assert!(body.contains("other") && !body.contains("detected"), "{body}");
    }
    for (answer_of, stream) in [
        (nothing as fn() -> Reaction, true),
        (|| stray_call(None), true),
        (|| stray_call(Some("hi")), false),
    ] {
        let mut world = World::new(&failing, near(answer_of));
        let response = world.post(CHAT, &chat("big", stream));
        assert_eq!(header(&response, "x-tidegate-tier"), "1", "{stream}");
        assert!(world.rest(response.into_body()).contains("far"));
        let asked = asked(&world);
        assert_eq!(asked[2], "far-a", "{asked:?}");
        assert!(asked[..2].iter().all(|host| host.starts_with("near")), "{asked:?}");
        assert!(world.metrics().contains("error=\"semantic\"} 2"));
        assert!(
            world.replicas("near").iter().all(|replica| replica.available),
            "engines are well"
        );
    }
}

#[test]
fn where_the_client_has_a_part_the_stream_ends_with_an_error() {
    let mut world = World::new(&with("tool_calls = \"fail_over\""), |_| stray_call(Some("hi")));
    let response = world.post(CHAT, &chat("big", true));
    let mut pieces = crate::streaming(response);
    let mut stream = String::new();
    while let Some(piece) = world.next(&mut pieces) {
        stream += &piece;
    }
    assert!(stream.contains("hi") && !stream.contains("[DONE]"), "{stream}");
    assert!(stream.contains(r#""code":"model_output_invalid""#), "{stream}");
    assert!(stream.ends_with(": tidegate detected=tool_calls\n\n"), "{stream}");
}

#[test]
fn models_and_tenants_may_want_something_else() {
    let config = config()
        .replace(
            "name = \"big\"\n",
            "name = \"big\"\ndetection = { empty = \"fail_over\" }\n",
        )
        .replace(
            "name = \"europeans\"\n",
            "name = \"europeans\"\ndetection = { empty = \"off\" }\n",
        );
    let mut world = World::new(&config, near(nothing));
    let response = world.post(CHAT, &chat("big", false));
    assert_eq!(header(&response, "x-tidegate-tier"), "1");
    let response = world.post_as("eu-key", CHAT, &chat("big", false));
    assert_eq!(
        (
            header(&response, "x-tidegate-tier"),
            header(&response, "x-tidegate-detected")
        ),
        ("0", "")
    );
}

#[test]
fn a_replica_that_fails_far_more_often_than_its_peers_is_left_alone() {
    let mut world = World::new(&config(), |request| match host(request) {
        "near-a" => nothing(),
        _ => good("fine"),
    });
    let mut asked_ill = 0;
    for turn in 0..400 {
        let body = chat("big", false).replace("\"he\"", &format!("\"turn {turn}\""));
        let response = world.post(CHAT, &body);
        asked_ill += usize::from(header(&response, "x-tidegate-detected") == "empty");
    }
    let replicas = world.replicas("near");
    let ill = replicas
        .iter()
        .find(|status| status.replica.as_str() == "http://near-a")
        .expect("it is known");
    assert!(!ill.available, "{replicas:?}");
    assert!(
        ill.watched.is_some_and(|watched| watched.left_alone_for.is_some()),
        "{ill:?}"
    );
    assert!((5..200).contains(&asked_ill), "{asked_ill}");
    assert!(
        replicas
            .iter()
            .filter(|status| status.replica.as_str() != "http://near-a")
            .all(|status| status.available)
    );
}

#[test]
fn a_region_hop_tells_its_cell_and_the_edge_acts() {
    let config = config_of_two_hops() + "\n[detection]\nempty = \"fail_over\"\n";
    for stream in [false, true] {
        let (mut world, _) = World::of_two_hops(&config, near(nothing));
        let response = world.post(CHAT, &chat("big", stream));
        assert_eq!(header(&response, "x-tidegate-cluster"), "far", "{stream}");
        let body = world.rest(response.into_body());
        assert!(body.contains("far") && !body.contains("detected"), "{body}");
        world.pass(std::time::Duration::from_secs(5));
        let replicas = world.replicas("near");
        let faulty: u64 = replicas.iter().filter_map(|status| Some(status.watched?.faulty)).sum();
        assert_eq!(faulty, 1, "{replicas:?}");
    }
}

#[test]
fn a_version_whose_answers_are_of_no_use_has_failed() {
    let serving = |cluster: &str| format!("{{ cluster = \"{cluster}\", served_name = \"org/big\"");
    let config =
        [("near", "v1"), ("far", "v2")]
            .iter()
            .fold(with("empty = \"fail_over\""), |config, (cluster, version)| {
                let with_version = format!("{}, version = \"{version}\"", serving(cluster));
                config.replacen(&serving(cluster), &with_version, 1)
            });
    let mut world = World::new(&config, near(nothing));
    let response = world.post(CHAT, &chat("big", false));
    assert_eq!(response.status(), 200);
    let metrics = world.metrics();
    let counted = "tidegate_version_requests_total{model=\"big\",version=\"v1\",outcome=\"semantic\"} 1";
    assert!(metrics.contains(counted), "{metrics}");
}

#[test]
fn a_record_tells_what_was_found_and_nothing_of_what_was_said() {
    let mut world = World::new(&config(), |_| stray_call(Some("a secret")));
    let headers = [("x-tidegate-explain", "1"), ("x-tidegate-admin-key", "admin-key")];
    let posting = world.posting(CHAT, &headers, &chat("big", true));
    let response = world.run(posting);
    let stream = world.rest(response.into_body());
    let (_, record) = stream.split_once(": tidegate-explain ").expect("it is told");
    assert!(
        record.contains(r#""step":"detected""#) && record.contains(r#""detector":"tool_calls""#),
        "{record}"
    );
    assert!(!record.contains("secret") && !record.contains("moon"), "{record}");
}
