//! A saved answer: one line of JSON.

use serde_json::Value;

/// What is looked at of it.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Answer {
    /// All texts of the prompt, where it is known.
    pub prompt: String,
    /// The answer's texts, each with what it is: `content`, `reasoning`, `arguments`, of a choice after the first with its
    /// number.
    pub parts: Vec<(String, String)>,
}

impl Answer {
    /// Reads a line.
    ///
    /// # Errors
    /// Says what it should be.
    pub fn read(line: &str) -> Result<Self, String> {
        let value: Value = serde_json::from_str(line).map_err(|error| format!("no JSON: {error}"))?;
        let mut answer = Self::default();
        for field in ["prompt", "messages"] {
            answer.add_prompt(&value[field]);
        }
        let choices = value["choices"].as_array().map(Vec::as_slice).unwrap_or_default();
        match (value.as_str().or(value["text"].as_str()), choices) {
            (Some(text), []) => answer.add("content", 0, text),
            (None, [_, ..]) => {
                for (index, choice) in choices.iter().enumerate() {
                    answer.add_choice(index, choice);
                }
            }
            (None, []) | (Some(_), [_, ..]) => return Err(EXPECTED.to_owned()),
        }
        Ok(answer)
    }

    fn add_choice(&mut self, index: usize, choice: &Value) {
        let message = &choice["message"];
        let mut texts = vec![("content", &choice["text"]), ("content", &message["content"])];
        texts.extend(["reasoning_content", "reasoning"].map(|field| ("reasoning", &message[field])));
        let calls = message["tool_calls"].as_array().into_iter().flatten();
        texts.extend(calls.map(|call| ("arguments", &call["function"]["arguments"])));
        for (channel, value) in texts {
            for text in texts_of(value) {
                self.add(channel, index, text);
            }
        }
    }

    fn add(&mut self, channel: &str, choice: usize, text: &str) {
        let channel = match choice {
            0 => channel.to_owned(),
            choice => format!("{channel} of choice {choice}"),
        };
        self.parts.push((channel, text.to_owned()));
    }

    /// The texts of a prompt, of messages or of their parts.
    fn add_prompt(&mut self, value: &Value) {
        for text in texts_of(value) {
            self.prompt.push_str(text);
            self.prompt.push('\n');
        }
        for message in value.as_array().into_iter().flatten() {
            for text in texts_of(&message["content"]) {
                self.prompt.push_str(text);
                self.prompt.push('\n');
            }
        }
    }
}

/// A text, or those of an array's parts.
fn texts_of(value: &Value) -> Vec<&str> {
    let parts = value.as_array().into_iter().flatten();
    let texts = parts.filter_map(|part| part.as_str().or(part["text"].as_str()));
    value.as_str().into_iter().chain(texts).collect()
}

const EXPECTED: &str = "no answer: it should be a text, an object with `text`, or one with `choices`";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_of_an_answer_is_read() {
        let parts = |line: &str| Answer::read(line).expect(line).parts;
        let said = |channel: &str, text: &str| (channel.to_owned(), text.to_owned());
        assert_eq!(parts(r#""a\nb""#), [said("content", "a\nb")]);
        assert_eq!(parts(r#"{"text": "a"}"#), [said("content", "a")]);
        assert_eq!(
            parts(r#"{"choices": [{"text": "a"}, {"text": "b"}]}"#),
            [said("content", "a"), said("content of choice 1", "b")]
        );
        let chat = r#"{"choices": [{"message": {"content": [{"type": "text", "text": "a"}], "reasoning": "b",
            "tool_calls": [{"function": {"name": "f", "arguments": "{}"}}]}}]}"#;
        assert_eq!(
            parts(&chat.replace('\n', " ")),
            [said("content", "a"), said("reasoning", "b"), said("arguments", "{}")]
        );
    }

    #[test]
    fn a_prompt_is_read_in_every_form() {
        for line in [
            r#"{"text": "", "prompt": "да"}"#,
            r#"{"text": "", "messages": [{"role": "user", "content": "да"}]}"#,
            r#"{"text": "", "messages": [{"role": "user", "content": [{"type": "text", "text": "да"}]}]}"#,
        ] {
            assert_eq!(Answer::read(line).expect(line).prompt, "да\n");
        }
    }

    #[test]
    fn what_is_no_answer_is_refused() {
        for line in [
            "{",
            "1",
            "{}",
            r#"{"choices": []}"#,
            r#"{"text": "a", "choices": [{"text": "b"}]}"#,
        ] {
            assert!(Answer::read(line).is_err(), "{line}");
        }
    }
}
