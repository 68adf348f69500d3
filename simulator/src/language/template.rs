//! The chat template of the simulated model: ChatML. Decides what prompt tokens a conversation takes, and where in them
//! the answer begins.

use std::borrow::Cow;

use super::tokens::{IM_END, IM_START, IMAGE, TokenId, encode};

/// A message as the model reads it.
#[derive(Debug, Clone)]
pub struct Turn<'a> {
    /// system, user, assistant, tool.
    pub role: &'a str,
    /// Its text; tool calls stand in it as JSON.
    pub text: Cow<'a, str>,
    /// Images in it.
    pub images: u32,
}

/// What follows the last message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// The begin of an assistant message (`add_generation_prompt`).
    AssistantBegins,
    /// Nothing, and the last message is not closed either (`continue_final_message`).
    LastIsContinued,
    /// Nothing.
    Closed,
}

/// A rendered conversation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prompt {
    /// All prompt tokens.
    pub tokens: Vec<TokenId>,
    /// How many of them come before the answer's text; less than all when the last message is continued.
    pub answer_start: usize,
    /// The text of the answer that is already there.
    pub text_so_far: String,
}

/// Prompt tokens that one image takes.
pub const IMAGE_TOKENS: usize = 256;

/// Renders tools (each as JSON) and messages.
#[must_use]
pub fn render(turns: &[Turn<'_>], tools: &[String], ending: Ending) -> Prompt {
    let mut tokens = Vec::with_capacity(turns.iter().map(|turn| turn.text.len() / 4 + 8).sum());
    if !tools.is_empty() {
        begin(&mut tokens, "system");
        tokens.extend(encode("# Tools\n"));
        for tool in tools {
            tokens.extend(encode(tool));
            tokens.extend(encode("\n"));
        }
        end(&mut tokens);
    }
    let mut answer_start = None;
    for (index, turn) in turns.iter().enumerate() {
        begin(&mut tokens, turn.role);
        let continued = ending == Ending::LastIsContinued && index + 1 == turns.len();
        if continued {
            answer_start = Some(tokens.len());
        }
        tokens.extend(std::iter::repeat_n(IMAGE, turn.images as usize * IMAGE_TOKENS));
        tokens.extend(encode(&turn.text));
        if !continued {
            end(&mut tokens);
        }
    }
    if ending == Ending::AssistantBegins {
        begin(&mut tokens, "assistant");
    }
    let last_text = turns.last().map_or("", |turn| &turn.text);
    let text_so_far = if answer_start.is_some() {
        last_text.to_owned()
    } else {
        String::new()
    };
    Prompt {
        answer_start: answer_start.unwrap_or(tokens.len()),
        tokens,
        text_so_far,
    }
}

fn begin(tokens: &mut Vec<TokenId>, role: &str) {
    tokens.push(IM_START);
    tokens.extend(encode(role));
    tokens.extend(encode("\n"));
}

fn end(tokens: &mut Vec<TokenId>) {
    tokens.push(IM_END);
    tokens.extend(encode("\n"));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::language::tokens::decode;

    fn turn<'a>(role: &'a str, text: &'a str) -> Turn<'a> {
        Turn {
            role,
            text: Cow::Borrowed(text),
            images: 0,
        }
    }

    #[test]
    fn it_is_chatml() {
        let prompt = render(&[turn("user", "Hi")], &["{}".to_owned()], Ending::AssistantBegins);
        assert_eq!(
            decode(&prompt.tokens),
            "<|im_start|>system\n# Tools\n{}\n<|im_end|>\n<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n"
        );
        assert_eq!(prompt.answer_start, prompt.tokens.len());
    }

    #[test]
    fn a_continued_message_begins_where_a_new_one_would() {
        let asked = render(&[turn("user", "Hi")], &[], Ending::AssistantBegins);
        let continued = render(
            &[turn("user", "Hi"), turn("assistant", "Hello th")],
            &[],
            Ending::LastIsContinued,
        );
        assert_eq!(continued.tokens[..continued.answer_start], asked.tokens);
        assert_eq!(continued.text_so_far, "Hello th");
        assert_eq!(decode(&continued.tokens[continued.answer_start..]), "Hello th");
    }
}
