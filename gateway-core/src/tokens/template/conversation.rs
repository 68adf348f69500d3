//! A request -> the variables that a template sees: the messages as transformers passes them, or as vLLM makes them
//! first, and beside them tools, documents, and what the client adds.

use minijinja::value::ValueKind;
use minijinja::{Error, ErrorKind, Value};

use super::read::{self, Members};
use super::strftime::strftime;
use super::{Chat, ChatTemplate, Ending, Media, Reader, TemplateError, message, parts, tools};
use crate::time::Timestamp;

/// The messages of `chat`, as `template` is to see them, and what is in them beside text.
///
/// # Errors
/// When they are not what a chat endpoint takes.
pub fn messages(chat: &Chat<'_>, template: &ChatTemplate) -> Result<(Vec<Members>, Media), TemplateError> {
    let mut messages = read::objects(chat.messages).map_err(unreadable("messages"))?;
    if messages.is_empty() {
        return Err(TemplateError::Message {
            reason: "there is none",
        });
    }
    let mut media = Media::default();
    match chat.reader {
        Reader::Transformers => messages.iter().for_each(|message| parts::count(message, &mut media)),
        Reader::Vllm => {
            for message in &mut messages {
                *message = message::uniform(message, template.content, &mut media)?;
            }
            if !template.knows_developers {
                message::developers_to_system(&mut messages);
            }
        }
    }
    messages.iter_mut().for_each(message::normalize);
    Ok((messages, media))
}

/// What the template can name, beside what is built into it.
///
/// # Errors
/// When a field of `chat` is not what a chat endpoint takes.
pub fn variables(chat: &Chat<'_>, messages: Vec<Members>, now: Timestamp) -> Result<Value, TemplateError> {
    let mut variables = match given(chat.chat_template_kwargs) {
        Some(kwargs) => read::members(kwargs).map_err(unreadable("chat_template_kwargs"))?,
        None => Members::new(),
    };
    // Of two variables with one name the later one counts.
    let set = |variables: &mut Members, name: &str, value: Value| variables.push((Value::from(name), value));
    if let Some(effort) = given(chat.reasoning_effort) {
        let effort = read::value(effort).map_err(unreadable("reasoning_effort"))?;
        if chat.reader == Reader::Vllm && find(&variables, "enable_thinking").is_none() {
            set(
                &mut variables,
                "enable_thinking",
                Value::from(effort.as_str() != Some("none")),
            );
        }
        set(&mut variables, "reasoning_effort", effort);
    }
    let documents = match given(chat.documents) {
        Some(documents) => read::value(documents).map_err(unreadable("documents"))?,
        None => find(&variables, "documents").cloned().unwrap_or_else(none),
    };
    let tools = match given(chat.tools) {
        Some(tools) => self::tools(read::value(tools).map_err(unreadable("tools"))?, chat.reader)?,
        None => none(),
    };
    let strftime_now = move |format: &str| {
        strftime(format, now).ok_or_else(|| Error::new(ErrorKind::InvalidOperation, "an unknown code of strftime"))
    };
    set(&mut variables, "strftime_now", Value::from_function(strftime_now));
    set(&mut variables, "documents", documents);
    set(&mut variables, "tools", tools);
    set(
        &mut variables,
        "add_generation_prompt",
        Value::from(chat.ending == Ending::Answer),
    );
    set(
        &mut variables,
        "messages",
        messages.into_iter().map(Value::from_pairs).collect(),
    );
    Ok(Value::from_pairs(variables))
}

/// The last member of that name, if it is not null.
pub fn find<'m>(members: &'m Members, name: &str) -> Option<&'m Value> {
    let found = members.iter().rev().find(|(key, _)| key.as_str() == Some(name));
    found.map(|(_, value)| value).filter(|value| !value.is_none())
}

/// Python's `None`.
pub fn none() -> Value {
    Value::from(())
}

fn tools(given: Value, reader: Reader) -> Result<Value, TemplateError> {
    match reader {
        Reader::Transformers => Ok(given),
        Reader::Vllm if given.kind() == ValueKind::Seq => {
            let tools: Result<Vec<Value>, _> = given
                .try_iter()
                .into_iter()
                .flatten()
                .map(|tool| tools::definition(&tool))
                .collect();
            tools.map(Value::from)
        }
        Reader::Vllm => Err(TemplateError::Message {
            reason: "tools are an array",
        }),
    }
}

/// The text of a field that stands there and is not null.
fn given(field: Option<&str>) -> Option<&str> {
    field.filter(|text| *text != "null")
}

fn unreadable(part: &'static str) -> impl Fn(read::ReadError) -> TemplateError {
    move |source| TemplateError::Unreadable { part, source }
}
