use crate::world::{Piece, Reaction};
use crate::{CHAT, chat, done, event, header, host, sse, world};

fn json(status: u16, body: &str) -> Reaction {
    Reaction::Answer(status, "application/json", vec![Piece::Text(body.to_owned())])
}

#[test]
fn replicas_then_clusters_then_tiers() {
    let mut world = world(|request| {
        match (
            host(request),
            String::from_utf8_lossy(request.body()).contains("org/small"),
        ) {
            ("far-a", true) => sse(vec![event("small"), done()]),
            ("near-a", _) => Reaction::Refuse,
            ("near-b", _) => json(500, "{}"),
            _ => json(503, "{}"),
        }
    });
    let response = world.post(CHAT, &chat("big", true));
    assert_eq!(
        (
            header(&response, "x-tidegate-tier"),
            header(&response, "x-tidegate-model")
        ),
        ("1", "small")
    );
    let text = world.rest(response.into_body());
    assert!(text.contains(r#""model":"small""#), "{text}");
    let mut asked: Vec<_> = world.sent().into_iter().map(|(url, _)| url).collect();
    asked[..2].sort();
    assert_eq!(
        asked,
        ["near-a", "near-b", "far-a", "far-a"].map(|host| format!("http://{host}{CHAT}"))
    );
    assert_eq!(world.in_flight("near") + world.in_flight("far"), 0);
}

#[test]
fn at_the_bottom_a_labelled_canned_answer() {
    let mut world = world(|_| Reaction::Refuse);
    for stream in [true, false] {
        let response = world.post(CHAT, &chat("big", stream));
        assert_eq!(response.status(), 200);
        assert_eq!(header(&response, "x-tidegate-tier"), "canned");
        let text = world.rest(response.into_body());
        assert!(
            text.contains("Please try again.") && text.contains(r#""model":"canned""#),
            "{text}"
        );
        assert_eq!(text.contains("data: [DONE]"), stream);
    }
}

#[test]
fn a_client_may_refuse_lower_tiers() {
    let mut world = world(|_| Reaction::Refuse);
    let posting = world.posting(CHAT, &[("x-tidegate-lowest-tier", "gpt")], &chat("big", false));
    let response = world.run(posting);
    assert_eq!(response.status(), 502);
    assert!(world.rest(response.into_body()).contains("upstream_unreachable"));
    let posting = world.posting(CHAT, &[("x-tidegate-lowest-tier", "medium")], &chat("big", false));
    assert_eq!(world.run(posting).status(), 400);
}

#[test]
fn a_wrong_request_is_told_in_the_engines_words_and_asked_once() {
    let words = r#"{"error":{"message":"too long","type":"x","param":null,"code":400}}"#;
    let mut world = world(move |_| json(400, words));
    let response = world.post(CHAT, &chat("big", true));
    assert_eq!(response.status(), 400);
    assert_eq!(world.rest(response.into_body()), words);
    assert_eq!(world.sent().len(), 1);
}

#[test]
fn data_does_not_leave_its_jurisdiction_even_when_all_fails_there() {
    let mut world = world(|_| Reaction::Refuse);
    let response = world.post_as("eu-key", CHAT, &chat("big", false));
    assert_eq!(header(&response, "x-tidegate-tier"), "canned");
    assert!(
        world.sent().iter().all(|(url, _)| url.starts_with("http://near-")),
        "{:?}",
        world.sent()
    );
    assert_eq!(world.post_as("eu-key", CHAT, &chat("small", false)).status(), 403);
}

#[test]
fn time_runs_out_for_the_whole_ladder() {
    let mut world = world(|_| Reaction::Hang);
    let response = world.post(CHAT, &chat("big", true));
    let text = world.rest(response.into_body());
    assert!(text.contains(": tidegate cache=bypass tier=canned"), "{text}");
    assert_eq!(world.sent().len(), 2, "60 s each of 120 s");
    assert_eq!(world.cancelled(), 2);
}

#[test]
fn a_full_cluster_is_passed_over_and_full_ones_say_when_to_come_back() {
    let mut world = world(|_| {
        sse(vec![
            event("a"),
            Piece::Wait(std::time::Duration::from_secs(20)),
            done(),
        ])
    });
    let held: Vec<_> = (0..12).map(|_| world.post(CHAT, &chat("big", true))).collect();
    assert_eq!(
        held.iter()
            .filter(|response| header(response, "x-tidegate-cluster") == "near")
            .count(),
        8
    );
    assert_eq!(
        held.iter()
            .filter(|response| header(response, "x-tidegate-cluster") == "far")
            .count(),
        4
    );
    let posting = world.posting(CHAT, &[("x-tidegate-lowest-tier", "big")], &chat("big", true));
    let response = world.run(posting);
    assert_eq!(response.status(), 503);
    assert!(!header(&response, "retry-after").is_empty());
    drop(held);
    assert_eq!(world.in_flight("near") + world.in_flight("far"), 0);
}

#[test]
fn one_conversation_stays_on_one_replica() {
    let mut world = world(|_| sse(vec![event("a"), done()]));
    for turn in 0..10 {
        let body = format!(
            r#"{{"model":"big","stream":true,"messages":[{{"role":"user","content":"hi"}},{{"role":"user","content":"{turn}"}}]}}"#
        );
        let response = world.post(CHAT, &body);
        world.rest(response.into_body());
    }
    let urls: std::collections::BTreeSet<_> = world.sent().into_iter().map(|(url, _)| url).collect();
    assert_eq!(urls.len(), 1, "{urls:?}");
}
