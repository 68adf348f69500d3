use proptest::prelude::*;

use super::*;
use crate::api::openai::decode;
use crate::ids::RequestId;
use crate::time::Timestamp;

const TEXT: &str = "Say \"later\",\n\u{2028}\u{0}</script>";

fn answered_with(text: &str, endpoint: Endpoint, fields: &str) -> Result<Bytes, NoCannedAnswer> {
    let prompt = match endpoint {
        Endpoint::Chat => r#""messages":[{"role":"user","content":"hi"}]"#,
        Endpoint::Completions => r#""prompt":["a","b"]"#,
        Endpoint::Embeddings => r#""input":"a""#,
    };
    let body = format!(r#"{{"model":"m",{prompt}{fields}}}"#);
    let request = decode(endpoint, body.into(), 32).expect("a request");
    let answer = CannedAnswer {
        text,
        id: &RequestId::from_random(1, 2),
        now: Timestamp::from_millis(5_000),
    };
    canned(answer, &request)
}

fn body(endpoint: Endpoint, fields: &str) -> Value {
    serde_json::from_slice(&answered_with(TEXT, endpoint, fields).expect(fields)).expect("JSON")
}

fn chunks(events: &[u8]) -> Vec<Value> {
    let events = std::str::from_utf8(events).expect("UTF-8");
    let events = events.strip_suffix("data: [DONE]\n\n").expect("it ends as it should");
    let data = events
        .split_terminator("\n\n")
        .map(|event| event.strip_prefix("data: ").expect("data"));
    data.map(|data| serde_json::from_str(data).expect("JSON")).collect()
}

#[test]
fn a_whole_answer_has_every_choice() {
    let chat = body(Endpoint::Chat, r#","n":2"#);
    let choice = |index| json!({"index": index, "message": {"role": "assistant", "content": TEXT}, "logprobs": null, "finish_reason": "stop"});
    assert_eq!(chat["choices"], json!([choice(0), choice(1)]));
    assert_eq!(
        (&chat["object"], &chat["model"]),
        (&json!("chat.completion"), &json!("canned"))
    );
    assert_eq!(chat["usage"], usage());
    let completion = body(Endpoint::Completions, r#","n":2"#);
    let texts: Vec<_> = completion["choices"]
        .as_array()
        .unwrap()
        .iter()
        .map(|choice| &choice["text"])
        .collect();
    assert_eq!(texts, [&json!(TEXT); 4], "two for each prompt");
}

#[test]
fn a_stream_says_each_choice_ends_it_and_tells_the_usage_where_it_is_wanted() {
    for (endpoint, name, last) in [
        (Endpoint::Chat, "delta", json!({})),
        (Endpoint::Completions, "text", json!("")),
    ] {
        let plain = chunks(&answered_with(TEXT, endpoint, r#","stream":true"#).unwrap());
        assert!(plain.iter().all(|chunk| chunk.get("usage").is_none()), "{plain:?}");
        let with_usage = r#","n":2,"stream":true,"stream_options":{"include_usage":true}"#;
        let mut chunks = chunks(&answered_with(TEXT, endpoint, with_usage).unwrap());
        let of_usage = chunks.pop().expect("usage");
        assert_eq!((&of_usage["choices"], &of_usage["usage"]), (&json!([]), &usage()));
        for (index, pair) in chunks.chunks(2).enumerate() {
            let [said, ended] = pair else { panic!("{pair:?}") };
            assert!(said["choices"][0][name].to_string().contains(&json!(TEXT).to_string()));
            assert_eq!(
                (&said["choices"][0]["index"], &said["choices"][0]["finish_reason"]),
                (&json!(index), &Value::Null)
            );
            assert_eq!(
                (&ended["choices"][0][name], &ended["choices"][0]["finish_reason"]),
                (&last, &json!("stop"))
            );
            assert_eq!(said["usage"], Value::Null);
        }
    }
}

#[test]
fn json_is_json_and_of_the_schema_that_is_asked_for() {
    let content = |fields: &str| {
        let body = body(Endpoint::Chat, fields);
        let message = body["choices"][0]["message"].clone();
        let content: Value = serde_json::from_str(message["content"].as_str().expect("a text")).expect("JSON");
        (content, message["refusal"].clone())
    };
    let free = json!({"error": TEXT});
    assert_eq!(
        content(r#","response_format":{"type":"json_object"}"#),
        (free.clone(), Value::Null)
    );
    let schema = r#"{"type":"object","properties":{"a":{"type":["number","null"]},"reason":{"type":"string"}},"required":["a","reason"]}"#;
    let refused = (json!({"a": null, "reason": TEXT}), json!(TEXT));
    for format in [
        format!(r#"{{"type":"json_schema","json_schema":{{"name":"x","strict":true,"schema":{schema}}}}}"#),
        format!(r#"{{"type":"json_schema","schema":{schema}}}"#),
        format!(r#"{{"type":"json_object","schema":{schema}}}"#),
        format!(r#"{{"type":"json_object","value":{schema}}}"#),
    ] {
        assert_eq!(content(&format!(r#","response_format":{format}"#)), refused, "{format}");
    }
    let text = body(
        Endpoint::Chat,
        r#","response_format":{"type":"text"},"tool_choice":"auto","tools":[]"#,
    );
    assert_eq!(text["choices"][0]["message"]["content"], TEXT);
    let completion = body(Endpoint::Completions, r#","response_format":{"type":"json_object"}"#);
    assert_eq!(completion["choices"][0]["text"], free.to_string());
}

#[test]
fn what_no_text_can_stand_for_has_none() {
    for (fields, why) in [
        (r#","tool_choice":"required""#, NoCannedAnswer::ToolCall),
        (
            r#","tool_choice":{"type":"function","function":{"name":"f"}}"#,
            NoCannedAnswer::ToolCall,
        ),
        (
            r#","tool_choice":"auto","tool_choice":"required""#,
            NoCannedAnswer::ToolCall,
        ),
        (r#","function_call":{"name":"f"}"#, NoCannedAnswer::ToolCall),
        (r#","guided_choice":["yes","no"]"#, NoCannedAnswer::Guided),
        (r#","structured_outputs":{"regex":"a+"}"#, NoCannedAnswer::Guided),
        (r#","grammar":"root ::= \"a\"""#, NoCannedAnswer::Guided),
        (r#","guided_json":null,"guided_json":{}"#, NoCannedAnswer::Guided),
        (
            r#","response_format":{"type":"structural_tag"}"#,
            NoCannedAnswer::Guided,
        ),
        (r#","response_format":{"type":"json_schema"}"#, NoCannedAnswer::Guided),
        (r#","response_format":"json""#, NoCannedAnswer::Guided),
        (
            r#","response_format":{"type":"text"},"response_format":{"type":"json_object"}"#,
            NoCannedAnswer::Guided,
        ),
        (
            r#","response_format":{"type":"json_schema","json_schema":{"schema":{"type":"integer"}}}"#,
            NoCannedAnswer::Schema,
        ),
        (r#","n":16384"#, NoCannedAnswer::TooLong),
    ] {
        assert_eq!(answered_with(TEXT, Endpoint::Chat, fields), Err(why), "{fields}");
    }
    assert_eq!(
        answered_with(TEXT, Endpoint::Embeddings, ""),
        Err(NoCannedAnswer::Embedding)
    );
}

proptest! {
    #[test]
    fn any_text_is_the_content_of_valid_json(text in "(?s).{0,80}", stream in any::<bool>(), is_json in any::<bool>()) {
        let format = if is_json { r#","response_format":{"type":"json_object"}"# } else { "" };
        let answer = answered_with(&text, Endpoint::Chat, &format!(r#"{format},"stream":{stream}"#)).unwrap();
        let content = if stream {
            chunks(&answer)[0]["choices"][0]["delta"]["content"].clone()
        } else {
            serde_json::from_slice::<Value>(&answer).unwrap()["choices"][0]["message"]["content"].clone()
        };
        let content = content.as_str().expect("a text");
        if is_json {
            prop_assert_eq!(&serde_json::from_str::<Value>(content).unwrap()["error"], &text);
        } else {
            prop_assert_eq!(content, text);
        }
    }
}
