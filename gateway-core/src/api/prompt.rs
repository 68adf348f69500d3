//! What of a request's body makes its prompt, read for counting only: what a model's template and tokenizer turn into
//! tokens. Nothing here is sent on, and what cannot be read here an engine may still understand.

use std::borrow::Cow;

use serde::Deserialize;
use thiserror::Error;

use super::endpoint::Endpoint;
use super::json_fields::Fields;

/// A prompt before it is tokens.
#[derive(Debug)]
pub struct PromptSource<'a> {
    /// What it is made of.
    pub input: Input<'a>,
    /// Whether the tokenizer puts its own tokens (BOS and such) around it.
    pub add_special_tokens: bool,
    /// Whether the request changes the prompt in a way that only the engine knows: a template of its own, a bound
    /// to which the prompt is cut, embeddings in place of text.
    pub only_engine_knows: bool,
}

/// What a prompt is made of.
#[derive(Debug)]
pub enum Input<'a> {
    /// A conversation.
    Chat(Conversation<'a>),
    /// Texts, each a prompt of its own.
    Texts(Vec<Cow<'a, str>>),
    /// Prompts that are tokens already, by their lengths.
    Tokens(Vec<u64>),
}

/// A conversation and what shapes its prompt.
#[derive(Debug)]
pub struct Conversation<'a> {
    /// The array of messages.
    pub messages: &'a str,
    /// The array of tools, where there is one.
    pub tools: Option<&'a str>,
    /// Documents for the template.
    pub documents: Option<&'a str>,
    /// Further variables for the template: an object.
    pub template_kwargs: Option<&'a str>,
    /// How much the model is to think, which some templates read.
    pub reasoning_effort: Option<&'a str>,
    /// How the prompt ends.
    pub ending: Ending,
}

/// How a prompt ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// With the last message.
    Message,
    /// With what asks the model to answer: `add_generation_prompt`.
    Answer,
    /// Inside the last message, which the model is to go on with: `continue_final_message`.
    Continuation,
}

/// A parameter that cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("`{param}` must be {expected}")]
pub struct UnreadablePrompt {
    /// Which.
    pub param: &'static str,
    /// What it should be.
    pub expected: &'static str,
}

impl UnreadablePrompt {
    /// The body as a whole.
    pub(super) const BODY: Self = Self {
        param: "body",
        expected: "a JSON object",
    };
}

impl<'a> PromptSource<'a> {
    /// Reads the prompt of a request to `endpoint`.
    ///
    /// # Errors
    /// The first parameter that is not what the API says.
    pub fn read(endpoint: Endpoint, fields: &Fields<'a>) -> Result<Self, UnreadablePrompt> {
        match endpoint {
            Endpoint::Chat => Self::of_chat(fields, true),
            Endpoint::Completions => Self::of_text(fields, "prompt"),
            Endpoint::Embeddings if fields.given("input").is_none() && fields.given("messages").is_some() => {
                Self::of_chat(fields, false)
            }
            Endpoint::Embeddings => Self::of_text(fields, "input"),
        }
    }

    /// `asks_for_answer` says whether the prompt asks the model to answer where the request does not say.
    fn of_chat(fields: &Fields<'a>, asks_for_answer: bool) -> Result<Self, UnreadablePrompt> {
        let continue_final_message = flag(fields, "continue_final_message")?.unwrap_or(false);
        let asked_to_begin = flag(fields, "add_generation_prompt")?;
        if continue_final_message && asked_to_begin == Some(true) {
            return Err(UnreadablePrompt {
                param: "continue_final_message",
                expected: "false where `add_generation_prompt` is true",
            });
        }
        let conversation = Conversation {
            messages: fields.given("messages").ok_or(UnreadablePrompt {
                param: "messages",
                expected: "an array of messages",
            })?,
            tools: fields.given("tools"),
            documents: fields.given("documents"),
            template_kwargs: fields.given("chat_template_kwargs"),
            reasoning_effort: fields.given("reasoning_effort"),
            ending: match (continue_final_message, asked_to_begin.unwrap_or(asks_for_answer)) {
                (true, _) => Ending::Continuation,
                (false, true) => Ending::Answer,
                (false, false) => Ending::Message,
            },
        };
        Ok(Self {
            input: Input::Chat(conversation),
            // The template writes them itself, as it does for vLLM.
            add_special_tokens: flag(fields, "add_special_tokens")?.unwrap_or(false),
            only_engine_knows: only_engine_knows(fields),
        })
    }

    fn of_text(fields: &Fields<'a>, param: &'static str) -> Result<Self, UnreadablePrompt> {
        let unreadable = UnreadablePrompt {
            param,
            expected: "a string, an array of strings, an array of tokens or an array of such arrays",
        };
        let input = fields.given(param).and_then(Input::of_json);
        Ok(Self {
            input: input.ok_or(unreadable)?,
            add_special_tokens: flag(fields, "add_special_tokens")?.unwrap_or(true),
            only_engine_knows: only_engine_knows(fields),
        })
    }
}

impl<'a> Input<'a> {
    fn of_json(json: &'a str) -> Option<Self> {
        let first = json.trim_start_matches(['[', ' ', '\t', '\n', '\r']).chars().next()?;
        let depth = json
            .bytes()
            .take_while(|byte| *byte != first as u8)
            .filter(|byte| *byte == b'[')
            .count();
        match (depth, first) {
            (0, '"') => Some(Self::Texts(vec![serde_json::from_str::<Text<'_>>(json).ok()?.0])),
            (1, '"') => {
                let texts: Vec<Text<'_>> = serde_json::from_str(json).ok()?;
                Some(Self::Texts(texts.into_iter().map(|text| text.0).collect()))
            }
            (1, '0'..='9') => {
                let tokens: Vec<u32> = serde_json::from_str(json).ok()?;
                Some(Self::Tokens(vec![tokens.len() as u64]))
            }
            (2, '0'..='9') => {
                let prompts: Vec<Vec<u32>> = serde_json::from_str(json).ok()?;
                Some(Self::Tokens(prompts.iter().map(|tokens| tokens.len() as u64).collect()))
            }
            _ => None,
        }
    }
}

/// Text that is borrowed unless it holds escapes.
#[derive(Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

fn flag(fields: &Fields<'_>, param: &'static str) -> Result<Option<bool>, UnreadablePrompt> {
    let expected = "a boolean";
    let read = |json: &str| serde_json::from_str(json).map_err(|_| UnreadablePrompt { param, expected });
    fields.given(param).map(read).transpose()
}

/// Whether the request changes its prompt in a way that only the engine knows.
pub(super) fn only_engine_knows(fields: &Fields<'_>) -> bool {
    ["chat_template", "truncate_prompt_tokens", "prompt_embeds"]
        .iter()
        .any(|param| fields.given(param).is_some())
}

/// The parameters that are read here.
pub(super) const PROMPT_PARAMS: &[&str] = &[
    "messages",
    "prompt",
    "input",
    "tools",
    "documents",
    "chat_template",
    "chat_template_kwargs",
    "reasoning_effort",
    "add_generation_prompt",
    "continue_final_message",
    "add_special_tokens",
    "truncate_prompt_tokens",
    "prompt_embeds",
];

#[cfg(test)]
mod tests {
    use super::*;

    fn read(endpoint: Endpoint, body: &str) -> Result<String, UnreadablePrompt> {
        let fields = Fields::parse(body).unwrap();
        let source = PromptSource::read(endpoint, &fields)?;
        let input = match source.input {
            Input::Chat(chat) => format!("{} {:?}", chat.messages, chat.tools),
            Input::Texts(texts) => format!("{texts:?}"),
            Input::Tokens(lengths) => format!("{lengths:?}"),
        };
        Ok(format!(
            "{input} {} {}",
            source.add_special_tokens, source.only_engine_knows
        ))
    }

    #[test]
    fn prompts_come_as_texts_and_as_tokens_one_or_many() {
        for (prompt, expected) in [
            (r#""a\"b""#, r#"["a\"b"]"#),
            (r#"["a", "b"]"#, r#"["a", "b"]"#),
            ("[1, 2,3]", "[3]"),
            ("[ [1,2], [3] ]", "[2, 1]"),
        ] {
            let body = format!(r#"{{"prompt":{prompt}}}"#);
            assert_eq!(
                read(Endpoint::Completions, &body),
                Ok(format!("{expected} true false")),
                "{body}"
            );
        }
        for prompt in [
            "[]",
            "[[]]",
            "[[[1]]]",
            "[\"a\",1]",
            "[1,\"a\"]",
            "[-1]",
            "7",
            "{}",
            "\"\\ud800\"",
            "null",
        ] {
            let body = format!(r#"{{"prompt":{prompt}}}"#);
            assert_eq!(
                read(Endpoint::Completions, &body).unwrap_err().param,
                "prompt",
                "{body}"
            );
        }
    }

    #[test]
    fn special_tokens_are_the_templates_in_chats_and_the_tokenizers_elsewhere() {
        let chat = r#"{"messages":[1],"tools":null,"add_special_tokens":true}"#;
        assert_eq!(read(Endpoint::Chat, chat), Ok("[1] None true false".to_owned()));
        let embedding = r#"{"input":"a","add_special_tokens":false,"truncate_prompt_tokens":3}"#;
        assert_eq!(
            read(Endpoint::Embeddings, embedding),
            Ok("[\"a\"] false true".to_owned())
        );
        let wrong = r#"{"messages":[1],"add_generation_prompt":"yes"}"#;
        assert_eq!(
            read(Endpoint::Chat, wrong).unwrap_err().to_string(),
            "`add_generation_prompt` must be a boolean"
        );
    }
}
