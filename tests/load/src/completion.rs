//! The answer to a completion of a prompt of tokens: it reports exactly what the prompt has and what may be written.

use serde_json::{Value, json};

/// The body of the answer to such a request; none to anything else.
pub fn answer(request: &[u8]) -> Option<String> {
    let request: Value = serde_json::from_slice(request).ok()?;
    let prompt = request["prompt"].as_array()?.len() as u64;
    let output = request["max_tokens"].as_u64()?;
    let usage = json!({ "prompt_tokens": prompt, "completion_tokens": output, "total_tokens": prompt + output });
    let choice = json!({ "index": 0, "text": " tide", "logprobs": null, "finish_reason": "length" });
    let answer = json!({ "id": "cmpl-7f2d0c7ab6f14d0c9d5e", "object": "text_completion", "created": 1_767_225_600,
        "model": "bench", "choices": [choice], "usage": usage });
    Some(answer.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn usage_is_what_was_asked() {
        let answered = answer(br#"{"prompt":[7,7,7],"max_tokens":10}"#).expect("an answer");
        let answered: Value = serde_json::from_str(&answered).expect("JSON");
        assert_eq!(
            (
                &answered["usage"]["prompt_tokens"],
                &answered["usage"]["completion_tokens"]
            ),
            (&json!(3), &json!(10))
        );
        assert_eq!(answer(br#"{"prompt":"text","max_tokens":10}"#), None);
    }
}
