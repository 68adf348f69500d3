//! `continue_final_message`: the prompt ends inside the last message, so that the model goes on with it. As in
//! transformers (`render_jinja_template`), a mark is put behind that message's text, and the prompt is cut where the
//! mark comes out.

use minijinja::Value;
use minijinja::value::ValueKind;

use super::conversation::{find, members_of};
use super::read::Members;
use super::{TemplateError, python};

/// The text that is to be gone on with.
#[derive(Debug)]
pub struct Continuation {
    text: String,
}

impl Continuation {
    /// Marks the end of the last message. `reads_content`: whether the template names it at all.
    ///
    /// # Errors
    /// When there is no text to go on with.
    pub fn begin(messages: &mut [Members], reads_content: bool) -> Result<Self, TemplateError> {
        let last = messages.last_mut().ok_or_else(|| refused(EMPTY))?;
        let content = find(last, "content").cloned().ok_or_else(|| refused(NOTHING))?;
        if !reads_content {
            return Err(refused(UNREAD));
        }
        let (marked, text) = match content.as_str() {
            Some(text) => (Value::from(format!("{text}{MARK}")), text.to_owned()),
            None => mark_last_part(&content).ok_or_else(|| refused(TEXTLESS))?,
        };
        last.push((Value::from("content"), marked));
        Ok(Self { text })
    }

    /// Cuts `prompt` at the mark.
    ///
    /// # Errors
    /// When the template left out the text, or changed it.
    pub fn end(self, mut prompt: String) -> Result<String, TemplateError> {
        let (text, mark) = (self.text.trim_matches(python::is_space), MARK.trim_end());
        let at = prompt
            .rfind(mark)
            .filter(|_| prompt.contains(text))
            .ok_or_else(|| refused(LOST))?;
        let kept = prompt[at..].starts_with(MARK);
        prompt.truncate(at);
        if !kept {
            // The template trims, and so what stood before the mark would have been trimmed.
            prompt.truncate(prompt.trim_end_matches(python::is_space).len());
        }
        Ok(prompt)
    }
}

/// The parts with the last one that has text marked, and its text.
fn mark_last_part(content: &Value) -> Option<(Value, String)> {
    if content.kind() != ValueKind::Seq {
        return None;
    }
    let mut parts: Vec<Value> = content.try_iter().ok()?.collect();
    let last = parts
        .iter_mut()
        .rev()
        .find(|part| part.get_attr("text").is_ok_and(|text| !text.is_undefined()))?;
    let text = last.get_attr("text").ok()?.as_str()?.to_owned();
    let marked = ("text".into(), Value::from(format!("{text}{MARK}")));
    *last = Value::from_pairs(members_of(last).into_iter().chain([marked]));
    Some((Value::from(parts), text))
}

fn refused(message: &str) -> TemplateError {
    TemplateError::Refused {
        message: message.to_owned(),
    }
}

/// transformers' own mark: a template's output must not depend on who renders it.
const MARK: &str = "CONTINUE_FINAL_MESSAGE_TAG ";
const EMPTY: &str = "continue_final_message is set but the conversation is empty!";
const NOTHING: &str = "continue_final_message is set but the final message has no \"content\" to continue!";
const UNREAD: &str =
    "continue_final_message is set to \"content\" but this is not an accepted field in the chat_template";
const TEXTLESS: &str = "continue_final_message is set but we could not find any text to continue in the final message!";
const LOST: &str = "continue_final_message is set but the final message does not appear in the chat after applying the \
                    chat template! This can happen if the chat template deletes portions of the final message. Please \
                    verify the chat template and final message in your chat to ensure they are compatible.";

#[cfg(test)]
mod tests {
    use super::super::read;
    use super::*;

    fn continued(messages: &str, render: impl Fn(&str) -> String) -> Result<String, TemplateError> {
        let mut messages = read::objects(messages).unwrap();
        let continuation = Continuation::begin(&mut messages, true)?;
        let content = find(messages.last().unwrap(), "content").cloned().unwrap();
        let text = super::super::parts::text(&content);
        continuation.end(render(&text))
    }

    #[test]
    fn a_prompt_ends_where_the_last_message_ends() {
        let message = |content: &str| format!("[{{\"role\":\"assistant\",\"content\":{content}}}]");
        let kept = |text: &str| format!("<a>{text}</a>");
        let trimmed = |text: &str| format!("<a>{}</a>", text.trim());
        assert_eq!(continued(&message("\"So \""), kept).unwrap(), "<a>So ");
        assert_eq!(continued(&message("\"So \""), trimmed).unwrap(), "<a>So");
        let parts = r#"[{"text":"x","type":"text"},{"text":"So","type":"text"},{"type":"image"}]"#;
        assert_eq!(continued(&message(parts), kept).unwrap(), "<a>x\nSo");
        assert_eq!(continued(&message("\"So\""), |_| String::new()), Err(refused(LOST)));
        assert_eq!(continued(&message("null"), kept), Err(refused(NOTHING)));
        assert_eq!(continued(&message("[]"), kept), Err(refused(TEXTLESS)));
    }
}
