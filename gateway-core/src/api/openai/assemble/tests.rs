use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::api::sse::data_event;

/// What is put together of these chunks.
fn assembled(chunks: &[Value]) -> Value {
    let mut assembler = Assembler::new(1 << 20);
    for chunk in chunks {
        let mut event = Vec::new();
        data_event(&chunk.to_string(), &mut event);
        assembler.push(&event).unwrap();
    }
    assembler.push(b"data: [DONE]\n\n").unwrap();
    serde_json::from_slice(&assembler.finish().expect("an answer")).unwrap()
}

/// A chunk of a chat, with one choice.
fn chunk(index: u64, delta: Value) -> Value {
    envelope(json!([{"index": index, "delta": delta, "logprobs": null, "finish_reason": null}]))
}

fn envelope(choices: Value) -> Value {
    json!({"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 7, "model": "m", "choices": choices})
}

fn finish(index: u64, reason: &str) -> Value {
    envelope(json!([{"index": index, "delta": {}, "finish_reason": reason, "stop_reason": null}]))
}

#[test]
fn a_chat_is_what_vllm_would_have_sent_whole() {
    let mut last = envelope(json!([]));
    last["usage"] = json!({"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7});
    last["system_fingerprint"] = json!("vllm-0.32");
    let answer = assembled(&[
        chunk(0, json!({"role": "assistant", "content": ""})),
        chunk(0, json!({"content": "Hig"})),
        chunk(0, json!({"content": "h \"tide\"\n"})),
        chunk(0, json!({"content": "é"})),
        finish(0, "stop"),
        last,
    ]);
    let expected = json!({
        "id": "chatcmpl-1", "object": "chat.completion", "created": 7, "model": "m",
        "choices": [{
            "index": 0,
            "message": {"role": "assistant", "content": "High \"tide\"\né", "refusal": null},
            "logprobs": null, "finish_reason": "stop", "stop_reason": null,
        }],
        "usage": {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7},
        "system_fingerprint": "vllm-0.32",
    });
    assert_eq!(answer, expected);
}

#[test]
fn calls_are_merged_by_index_and_have_none_afterwards() {
    let call = |index: u64, call: Value| {
        let mut call = call;
        call["index"] = json!(index);
        chunk(0, json!({"tool_calls": [call]}))
    };
    let answer = assembled(&[
        chunk(0, json!({"role": "assistant", "content": ""})),
        call(
            1,
            json!({"id": "b", "type": "function", "function": {"name": "two", "arguments": ""}}),
        ),
        call(
            0,
            json!({"id": "a", "type": "function", "function": {"name": "one", "arguments": "{\"x\""}}),
        ),
        call(1, json!({"function": {"arguments": "{}"}})),
        // TGI repeats the id as "", SGLang as null.
        call(
            0,
            json!({"id": "", "type": "function", "function": {"name": null, "arguments": ":1}"}}),
        ),
        finish(0, "tool_calls"),
    ]);
    let message = &answer["choices"][0]["message"];
    let expected = json!([
        {"id": "a", "type": "function", "function": {"name": "one", "arguments": "{\"x\":1}"}},
        {"id": "b", "type": "function", "function": {"name": "two", "arguments": "{}"}},
    ]);
    assert_eq!(message["tool_calls"], expected);
    assert_eq!(message["content"], Value::Null, "nothing was said but calls");
    assert_eq!(answer["choices"][0]["finish_reason"], "tool_calls");
}

#[test]
fn parts_of_a_message_are_put_together_each() {
    let answer = assembled(&[
        chunk(
            0,
            json!({"role": "assistant", "content": null, "reasoning_content": null, "tool_calls": null}),
        ),
        chunk(0, json!({"reasoning_content": "h", "reasoning": "x"})),
        chunk(0, json!({"reasoning_content": "m", "reasoning": "y"})),
        chunk(0, json!({"content": "a", "reasoning_content": null})),
        chunk(0, json!({"content": "b", "citations": [1]})),
        chunk(
            0,
            json!({"refusal": "no", "citations": [2, 3], "function_call": {"name": "f", "arguments": "{"}}),
        ),
        chunk(0, json!({"function_call": {"arguments": "}"}})),
        finish(0, "stop"),
    ]);
    let expected = json!({
        "role": "assistant", "content": "ab", "reasoning_content": "hm", "reasoning": "xy", "tool_calls": null,
        "citations": [1, 2, 3], "refusal": "no", "function_call": {"name": "f", "arguments": "{}"},
    });
    assert_eq!(answer["choices"][0]["message"], expected);
}

#[test]
fn content_is_null_where_there_is_reasoning_alone_and_empty_where_there_is_nothing() {
    let begun = chunk(0, json!({"role": "assistant", "content": ""}));
    for (delta, content) in [(json!({"reasoning": "hm"}), Value::Null), (json!({}), json!(""))] {
        let answer = assembled(&[begun.clone(), chunk(0, delta), finish(0, "length")]);
        assert_eq!(answer["choices"][0]["message"]["content"], content);
    }
    let answer = assembled(&[finish(0, "stop")]);
    let expected = json!({"role": "assistant", "content": null, "refusal": null});
    assert_eq!(answer["choices"][0]["message"], expected);
}

#[test]
fn choices_stand_in_the_order_of_their_index_whatever_the_order_of_their_chunks() {
    let answer = assembled(&[
        chunk(1, json!({"content": "b"})),
        chunk(0, json!({"content": "a"})),
        chunk(1, json!({"content": "B"})),
        finish(1, "length"),
        chunk(0, json!({"content": "A"})),
        finish(0, "stop"),
    ]);
    let choices = answer["choices"].as_array().unwrap().iter();
    let seen = choices.map(|choice| {
        (
            &choice["index"],
            &choice["message"]["content"],
            &choice["finish_reason"],
        )
    });
    let expected = [
        (json!(0), json!("aA"), json!("stop")),
        (json!(1), json!("bB"), json!("length")),
    ];
    assert_eq!(
        seen.map(|(a, b, c)| (a.clone(), b.clone(), c.clone()))
            .collect::<Vec<_>>(),
        expected
    );
}

#[test]
fn log_probabilities_and_tokens_are_appended() {
    let chat = |token: &str| {
        json!([{"index": 0, "delta": {"content": token}, "token_ids": [token.len()],
            "logprobs": {"content": [{"token": token, "logprob": -0.5, "top_logprobs": []}], "refusal": null}}])
    };
    let answer = assembled(&[
        chunk(0, json!({"role": "assistant", "content": ""})),
        envelope(chat("a")),
        envelope(chat("bc")),
        finish(0, "stop"),
    ]);
    let choice = &answer["choices"][0];
    assert_eq!(choice["message"]["content"], "abc");
    assert_eq!(choice["token_ids"], json!([1, 2]));
    let tokens = |choice: &Value| choice["logprobs"]["content"].as_array().unwrap().len();
    assert_eq!((tokens(choice), &choice["logprobs"]["refusal"]), (2, &Value::Null));

    let text = |text: &str, offset: u64| {
        json!({"object": "text_completion", "choices": [{"index": 0, "text": text, "finish_reason": null, "logprobs":
            {"tokens": [text], "token_logprobs": [-1.5], "top_logprobs": [{text: -1.5}], "text_offset": [offset]}}]})
    };
    let answer = assembled(&[text("a", 0), text("b", 1)]);
    let expected = json!({"object": "text_completion", "choices": [{"index": 0, "text": "ab", "finish_reason": null,
        "logprobs": {"tokens": ["a", "b"], "token_logprobs": [-1.5, -1.5], "top_logprobs": [{"a": -1.5}, {"b": -1.5}],
            "text_offset": [0, 1]}}]});
    assert_eq!(answer, expected);
    let bare = |number: f64| json!({"choices": [{"text": "x", "logprobs": [number]}]});
    assert_eq!(
        assembled(&[bare(1.5), bare(2.5)])["choices"][0]["logprobs"],
        json!([1.5, 2.5])
    );
}

#[test]
fn members_that_nobody_knows_are_those_of_the_last_chunk_that_had_them() {
    let mut first = chunk(0, json!({"content": "a"}));
    first["prompt_token_ids"] = json!([1, 2]);
    first["service_tier"] = Value::Null;
    let mut last = envelope(json!([{"index": 0, "delta": {}, "finish_reason": "stop", "matched_stop": 151_645}]));
    last["timings"] = json!({"predicted_n": 1});
    last["service_tier"] = json!("default");
    let answer = assembled(&[first, last]);
    assert_eq!(answer["prompt_token_ids"], json!([1, 2]));
    assert_eq!(answer["timings"], json!({"predicted_n": 1}));
    assert_eq!(answer["service_tier"], "default");
    assert_eq!(answer["choices"][0]["matched_stop"], 151_645);
}

#[test]
fn usage_that_is_reported_in_parts_is_put_together() {
    let reported = |usage: Value| json!({"choices": [], "usage": usage});
    let answer = assembled(&[
        reported(json!({"prompt_tokens": 3, "completion_tokens": 0, "prompt_tokens_details": {"cached_tokens": 2}})),
        chunk(0, json!({"content": "a"})),
        reported(json!({"prompt_tokens": 0, "completion_tokens": 4, "prompt_tokens_details": null})),
        reported(json!({"completion_tokens": 5, "service": "a"})),
        reported(json!({"service": "a"})),
    ]);
    let expected = json!({"prompt_tokens": 3, "completion_tokens": 5, "prompt_tokens_details": {"cached_tokens": 2},
        "service": "a"});
    assert_eq!(answer["usage"], expected);
}

#[test]
fn a_message_in_place_of_deltas_is_the_message_and_beside_them_it_says_nothing_new() {
    let whole = json!({"role": "assistant", "content": "all of it"});
    let alone = envelope(json!([{"index": 0, "message": whole, "finish_reason": "stop"}]));
    assert_eq!(assembled(&[alone])["choices"][0]["message"]["content"], "all of it");
    let both = envelope(json!([{"index": 0, "message": whole, "delta": whole}]));
    assert_eq!(assembled(&[both])["choices"][0]["message"]["content"], "all of it");
}

#[test]
fn a_message_beside_a_delta_that_says_nothing_is_the_message_once() {
    let whole = json!({"role": "assistant", "content": "all of it"});
    for delta in [json!({"role": "assistant", "content": ""}), json!({}), json!(null)] {
        let both = envelope(json!([{"index": 0, "delta": delta, "message": whole}]));
        let mut assembler = Assembler::new(1 << 10);
        let event = format!("data: {both}\n\n");
        assembler.push(event.as_bytes()).unwrap();
        let answer = String::from_utf8(assembler.finish().unwrap().to_vec()).unwrap();
        assert_eq!(answer.matches("\"message\"").count(), 1, "{answer}");
        assert!(answer.contains("all of it"), "{answer}");
    }
}

#[test]
fn a_pair_of_surrogates_may_be_spread_over_two_chunks() {
    let mut assembler = Assembler::new(1 << 10);
    for half in ["\\ud83c", "\\udf0a"] {
        let event = format!("data: {{\"choices\":[{{\"delta\":{{\"content\":\"{half}\"}}}}]}}\n\n");
        assembler.push(event.as_bytes()).unwrap();
    }
    let answer: Value = serde_json::from_slice(&assembler.finish().unwrap()).unwrap();
    assert_eq!(answer["choices"][0]["message"]["content"], "\u{1f30a}");
}

#[test]
fn an_answer_without_choices_is_none() {
    let mut assembler = Assembler::new(1 << 10);
    assembler
        .push(b"data: {}\n\ndata: {\"choices\":[]}\n\ndata: [DONE]\n\n")
        .unwrap();
    assert_eq!(assembler.finish(), None);
}

#[test]
fn what_is_held_is_bounded_however_it_comes() {
    let text = "x".repeat(100);
    for chunk in [
        chunk(0, json!({"content": text})),
        chunk(0, json!({"content": text, "reasoning": text})),
        envelope(json!([{"index": 0, "token_ids": vec![7; 50]}])),
        chunk(
            0,
            json!({"tool_calls": [{"index": 0, "function": {"arguments": text}}]}),
        ),
    ] {
        let mut assembler = Assembler::new(10_000);
        let mut event = Vec::new();
        data_event(&chunk.to_string(), &mut event);
        let pushed = (0..200).position(|_| assembler.push(&event).is_err());
        assert!(
            pushed.is_some_and(|pushed| (40..100).contains(&pushed)),
            "{pushed:?} {chunk}"
        );
    }
    let mut assembler = Assembler::new(10_000);
    let many = (0..200).position(|index| {
        assembler
            .push(format!("data: {{\"choices\":[{{\"index\":{index}}}]}}\n\n").as_bytes())
            .is_err()
    });
    assert!(many.is_some(), "each choice takes room");
    let mut assembler = Assembler::new(10_000);
    let usage = (0..2_000).all(|tokens| {
        let event = format!("data: {{\"usage\":{{\"completion_tokens\":{tokens}}}}}\n\n");
        assembler.push(event.as_bytes()).is_ok()
    });
    assert!(usage, "what is replaced takes no room");
}

/// One of the chunks of a stream.
fn any_chunk() -> impl Strategy<Value = Value> {
    let text = prop_oneof!["[a-c ]{0,2}", "(?s).{0,2}"];
    let delta = prop::sample::select(vec!["content", "reasoning", "arguments", "both", "none"]);
    (0..2_u64, text, delta, any::<bool>()).prop_map(|(index, text, delta, logprobs)| {
        let delta = match delta {
            "arguments" => json!({"tool_calls": [{"index": index, "function": {"arguments": text}}]}),
            "both" => json!({"content": text, "reasoning": text}),
            "none" => json!({}),
            name => json!({name: text}),
        };
        let mut chunk = chunk(index, delta);
        if logprobs {
            chunk["choices"][0]["logprobs"] = json!({"content": [text]});
        }
        chunk
    })
}

proptest! {
    #[test]
    fn chunks_that_are_alike_are_read_as_if_each_came_alone(
        chunks in prop::collection::vec((any_chunk(), 1..4_usize), 1..8),
    ) {
        let chunks: Vec<_> = chunks.iter().flat_map(|(chunk, times)| std::iter::repeat_n(chunk.clone(), *times)).collect();
        let mut members = Members::default();
        for chunk in &chunks {
            members.join(Place::Answer, &chunk.to_string(), &mut Trace::default());
        }
        let one_by_one = write::answer(&members, 0).unwrap();
        prop_assert_eq!(assembled(&chunks), serde_json::from_slice::<Value>(&one_by_one).unwrap());
    }

    #[test]
    fn any_json_is_read_without_a_panic_and_gives_json(
        chunks in prop::collection::vec("(\\{|\\}|\\[|\\]|\"choices\":|\"delta\":|\"index\":|\"a\"|,|:|1|null| ){0,24}", 1..6),
    ) {
        let mut assembler = Assembler::new(1 << 10);
        for chunk in chunks.iter().filter(|chunk| serde_json::from_str::<Value>(chunk).is_ok()) {
            let _ = assembler.push(format!("data: {chunk}\n\n").as_bytes());
        }
        if let Some(answer) = assembler.finish() {
            prop_assert!(serde_json::from_slice::<Value>(&answer).is_ok());
        }
    }
}
