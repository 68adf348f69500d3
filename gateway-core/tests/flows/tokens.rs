use std::time::Duration;

use serde_json::Value;

use crate::world::{Piece, Reaction, World};
use crate::{CHAT, chat, chunk, config, done, event, header, sse, streaming, world};

fn answer(prompt_tokens: u64) -> Reaction {
    let body = format!(
        r#"{{"model":"org/big","choices":[],"usage":{{"prompt_tokens":{prompt_tokens},"completion_tokens":2}}}}"#
    );
    Reaction::Answer(200, "application/json", vec![Piece::Text(body)])
}

fn long_chat(model: &str, words: usize) -> String {
    format!(
        r#"{{"model":"{model}","messages":[{{"role":"user","content":"{}"}}]}}"#,
        "word ".repeat(words)
    )
}

/// Teaches the estimate of model `big` that each prompt of a hundred words is so many tokens.
fn teach(world: &mut World, prompts: usize) {
    for _ in 0..prompts {
        world.post(CHAT, &long_chat("big", 100));
        world.pass(Duration::from_secs(1));
    }
    world.pass(Duration::from_secs(15));
    world.post(CHAT, &long_chat("big", 100));
}

#[test]
fn what_engines_report_corrects_the_estimate_and_its_error_is_shown() {
    let mut world = world(|_| answer(333));
    let first = world.post(CHAT, &long_chat("big", 100));
    assert!(header(&first, "x-tidegate-prompt-tokens").ends_with(";estimated"));
    assert_ne!(header(&first, "x-tidegate-prompt-tokens"), "333;estimated");
    teach(&mut world, 100);
    let taught = world.post(CHAT, &long_chat("big", 100));
    assert_eq!(header(&taught, "x-tidegate-prompt-tokens"), "333;estimated");
    let metrics = world.metrics();
    assert!(
        metrics.contains("tidegate_prompt_counts_total{model=\"big\",basis=\"estimated\"}"),
        "{metrics}"
    );
    assert!(
        metrics.contains("tidegate_estimate_error_ratio{model=\"big\"}"),
        "{metrics}"
    );
    assert!(
        metrics.contains("tidegate_estimate_factor{model=\"small\"} 1.0\n"),
        "{metrics}"
    );
}

#[test]
fn prompts_that_are_not_read_as_a_whole_do_not_bend_the_estimate() {
    let mut world = world(|_| answer(26));
    let short = |fields: &str| {
        let text = "When does the tide come to the harbour of Saint-Malo, and how high is it?";
        format!(r#"{{"model":"big","messages":[{{"role":"user","content":"{text}"}}]{fields}}}"#)
    };
    let prompt_tokens = |world: &mut World| {
        let response = world.post(CHAT, &short(""));
        let count = header(&response, "x-tidegate-prompt-tokens");
        count.trim_end_matches(";estimated").parse::<u64>().unwrap()
    };
    let before = prompt_tokens(&mut world);
    let tool = r#"{"type":"function","function":{"name":"tide","description":"When the tide comes to a harbour"}}"#;
    let tools = format!(r#","tools":[{}]"#, [tool; 8].join(","));
    for fields in [
        tools.as_str(),
        r#","truncate_prompt_tokens":26"#,
        r#","chat_template":"{{ 1 }}""#,
    ] {
        for _ in 0..100 {
            world.post(CHAT, &short(fields));
            world.pass(Duration::from_secs(1));
        }
        world.pass(Duration::from_secs(15));
        let after = prompt_tokens(&mut world);
        assert!(
            (before.min(26)..=before.max(26)).contains(&after),
            "{fields}: {before}, then {after}"
        );
    }
}

#[test]
fn an_estimate_refuses_what_is_surely_too_long_and_nothing_else() {
    let mut world = world(|_| answer(110));
    // Two and a half times the context, going by the estimate; but nothing has shown yet what that is worth.
    assert_eq!(world.post(CHAT, &long_chat("big", 20_000)).status(), 200);
    teach(&mut world, 100);
    let asked = world.sent().len();
    let refused = world.post(CHAT, &long_chat("big", 20_000));
    assert_eq!(refused.status(), 400);
    assert_eq!(world.sent().len(), asked, "no engine is asked");
    let error: Value = serde_json::from_str(&world.rest(refused.into_body())).unwrap();
    assert_eq!(error["error"]["code"], "context_length_exceeded");
    assert_eq!(error["error"]["param"], "messages");
    let message = error["error"]["message"].as_str().unwrap();
    assert!(
        message.starts_with(
            "This model's maximum context length is 8192 tokens. However, your messages resulted in at least "
        ),
        "{message}"
    );
    assert_eq!(
        world.post(CHAT, &long_chat("big", 7_500)).status(),
        200,
        "near enough to fit"
    );
}

#[test]
fn prompts_that_are_tokens_already_are_counted_exactly_also_without_a_table() {
    let mut world = world(|_| answer(3));
    let body = |length: usize, bound: u64| {
        let tokens = vec!["7"; length].join(",");
        format!(r#"{{"model":"big","prompt":[{tokens}],"max_tokens":{bound}}}"#)
    };
    let fits = world.post("/v1/completions", &body(3, 8_189));
    assert_eq!(
        (fits.status().as_u16(), header(&fits, "x-tidegate-prompt-tokens")),
        (200, "3")
    );
    let cut = world.post("/v1/completions", &body(3, 8_190));
    assert_eq!(cut.status(), 200);
    let (_, sent) = world.sent().pop().unwrap();
    assert!(sent.contains("\"max_tokens\":8189,"), "{sent}");
    let refused = world.post("/v1/completions", &body(8_192, 1));
    assert_eq!(refused.status(), 400);
    let text = world.rest(refused.into_body());
    assert!(text.contains("your prompt resulted in 8192 tokens"), "{text}");
}

#[test]
fn a_count_that_differs_from_the_engines_is_an_alarm() {
    let mut world = world(|_| answer(5));
    world.post("/v1/completions", r#"{"model":"big","prompt":[1,2,3]}"#);
    let metrics = world.metrics();
    let labels = "{cluster=\"near\",model=\"big\"}";
    assert!(
        metrics.contains(&format!("tidegate_prompt_tokens_mismatch_total{labels} 1\n")),
        "{metrics}"
    );
    assert!(
        metrics.contains(&format!("tidegate_prompt_tokens_mismatch_tokens_total{labels} 2\n")),
        "{metrics}"
    );
}

#[test]
fn what_was_written_is_counted_where_no_engine_tells() {
    let mut world = world(|_| sse(vec![event("some words"), event(" more"), done()]));
    let response = world.post(CHAT, &chat("big", true));
    world.rest(response.into_body());
    let whole = world.metrics();
    let mut body = streaming(world.post(CHAT, &chat("big", true)));
    world.next(&mut body);
    drop(body);
    let left = world.metrics();
    let completion = |metrics: &str| {
        let series = "tidegate_tokens_unreported_total{model=\"big\",kind=\"completion\"} ";
        let line = metrics.lines().find_map(|line| line.strip_prefix(series));
        line.map_or(0, |count| count.parse::<u64>().unwrap())
    };
    assert!(completion(&whole) >= 3, "{whole}");
    assert!(
        completion(&left) > completion(&whole),
        "also of a client that left: {left}"
    );
}

#[test]
fn a_lower_tier_that_cannot_hold_the_prompt_is_passed_over() {
    let small = config().replace(
        "name = \"small\"\ncontext_length = 8192",
        "name = \"small\"\ncontext_length = 2",
    );
    let mut world = World::new(&small, |_| Reaction::Refuse);
    let response = world.post("/v1/completions", r#"{"model":"big","prompt":[1,2,3]}"#);
    assert_eq!(header(&response, "x-tidegate-tier"), "canned");
    assert!(
        world.sent().iter().all(|(_, body)| body.contains("org/big")),
        "{:?}",
        world.sent()
    );
}

#[test]
fn an_early_committed_stream_tells_the_count_in_its_comment() {
    let late = || Piece::Wait(Duration::from_secs(12));
    let mut world = world(move |_| {
        let chunk = Piece::Text(format!("data: {}\n\n", chunk("a")));
        sse(vec![late(), chunk, done()])
    });
    let response = world.post("/v1/completions", r#"{"model":"big","stream":true,"prompt":[1,2,3]}"#);
    let text = world.rest(response.into_body());
    assert!(text.contains(" model=big tier=0 prompt_tokens=3 "), "{text}");
}

#[test]
fn tokenize_answers_estimates_that_say_so() {
    let mut world = world(|_| answer(1));
    for (key, body, status, expected) in [
        (
            "key",
            r#"{"model":"gpt","prompt":"one two three"}"#,
            200,
            "\"estimated\":true",
        ),
        (
            "key",
            r#"{"model":"big","messages":[{"role":"user","content":"hi"}]}"#,
            200,
            "\"tokens\":null",
        ),
        ("key", r#"{"model":"big"}"#, 400, "`prompt`"),
        ("key", r#"{"model":"none","prompt":"a"}"#, 404, "model_not_found"),
        ("nobody", r#"{"model":"big","prompt":"a"}"#, 401, "invalid_api_key"),
    ] {
        let response = world.post_as(key, "/tokenize", body);
        assert_eq!(response.status(), status, "{body}");
        let text = world.rest(response.into_body());
        assert!(text.contains(expected), "{body}: {text}");
    }
    assert!(world.sent().is_empty(), "no engine is asked");
}
