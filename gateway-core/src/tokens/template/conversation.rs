//! A request -> the variables that a template sees: the messages as transformers passes them, or as vLLM makes them
//! first, and beside them tools, documents, and what the client adds.

use minijinja::value::ValueKind;
use minijinja::{Error, ErrorKind, Value};

use super::read::{self, Members};
use super::strftime::strftime;
use super::{Chat, ChatTemplate, Ending, Media, Reader, TemplateError, attribution, message, parts, tools};
use crate::time::Timestamp;

/// The messages of a chat, as a template is to see them.
pub struct Messages {
    pub messages: Vec<Members>,
    /// What is in them beside text.
    pub media: Media,
    /// Whether some versions of vLLM would show the template others.
    pub versions_differ: bool,
}

/// The messages of `chat`, as `template` is to see them.
///
/// # Errors
/// When they are not what a chat endpoint takes.
pub fn messages(chat: &Chat<'_>, template: &ChatTemplate) -> Result<Messages, TemplateError> {
    let mut messages = read::objects(chat.messages).map_err(unreadable("messages"))?;
    if messages.is_empty() {
        return Err(TemplateError::Message {
            reason: "there is none",
        });
    }
    let mut media = Media::default();
    let mut versions_differ = false;
    match chat.reader {
        Reader::Transformers => messages.iter().for_each(|message| parts::count(message, &mut media)),
        Reader::Vllm => {
            for message in &mut messages {
                versions_differ |= attribution::take_out(message);
                *message = message::uniform(message, template.content, &mut media)?;
            }
            if !template.knows_developers {
                message::developers_to_system(&mut messages);
            }
        }
    }
    messages.iter_mut().for_each(message::normalize);
    Ok(Messages {
        messages,
        media,
        versions_differ,
    })
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
    let names_thinking = variables.iter().any(|(key, _)| key.as_str() == Some("enable_thinking"));
    if chat.reader == Reader::Vllm {
        variables.retain(|(_, value)| says_something(value));
    }
    if let Some(effort) = given(chat.reasoning_effort) {
        let effort = read::value(effort).map_err(unreadable("reasoning_effort"))?;
        if chat.reader == Reader::Vllm && !names_thinking {
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
    let tools = tools(chat, find(&variables, "tools").cloned())?;
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

/// The members of an object, in the order written.
pub fn members_of(object: &Value) -> Members {
    let member = |key: Value| {
        let value = object.get_item(&key).unwrap_or_default();
        (key, value)
    };
    object.try_iter().into_iter().flatten().map(member).collect()
}

/// Whether vLLM hands a variable on to the template (`merge_kwargs` in `renderers/params.py`).
fn says_something(value: &Value) -> bool {
    !value.is_none() && value.as_str() != Some("auto")
}

/// The tools that the template sees. For vLLM those among the template's variables count before the request's own, and
/// are what the client wrote.
fn tools(chat: &Chat<'_>, variable: Option<Value>) -> Result<Value, TemplateError> {
    let given = given(chat.tools).map(|tools| read::value(tools).map_err(unreadable("tools")));
    let given = given.transpose()?;
    match chat.reader {
        Reader::Transformers => Ok(given.unwrap_or_else(none)),
        Reader::Vllm => {
            let own = given.map(|given| each_tool(&given, tools::definition)).transpose()?;
            let variable = variable.map(|given| each_tool(&given, tools::as_written)).transpose()?;
            Ok(variable.or(own).unwrap_or_else(none))
        }
    }
}

fn each_tool(given: &Value, read: fn(&Value) -> Result<Value, TemplateError>) -> Result<Value, TemplateError> {
    if given.kind() != ValueKind::Seq {
        return Err(TemplateError::Message {
            reason: "tools are an array",
        });
    }
    let tools: Result<Vec<Value>, _> = given.try_iter().into_iter().flatten().map(|tool| read(&tool)).collect();
    tools.map(Value::from)
}

/// The text of a field that stands there and is not null.
fn given(field: Option<&str>) -> Option<&str> {
    field.filter(|text| *text != "null")
}

fn unreadable(part: &'static str) -> impl Fn(read::ReadError) -> TemplateError {
    move |source| TemplateError::Unreadable { part, source }
}

#[cfg(test)]
mod tests {
    use super::super::ContentFormat;
    use super::*;

    const TOOL: &str = r#"[{"type":"function","function":{"name":"f"}}]"#;

    /// What a template sees of its variables.
    fn seen(kwargs: &str, effort: Option<&str>, tools: Option<&str>) -> String {
        let source = "{{ enable_thinking is defined }} {{ enable_thinking }} {{ reasoning_effort }} \
                      {% for tool in tools or [] %}{{ tool.name or tool.function.name }}{% endfor %}";
        let template = ChatTemplate::compile(source, [], ContentFormat::Text).unwrap();
        let chat = Chat {
            messages: r#"[{"role":"user","content":"Hi"}]"#,
            tools,
            documents: None,
            chat_template_kwargs: Some(kwargs),
            reasoning_effort: effort,
            ending: Ending::Answer,
            reader: Reader::Vllm,
        };
        let rendered = template.render(&chat, Timestamp::default());
        rendered.map_or_else(|error| error.to_string(), |rendered| rendered.text)
    }

    #[test]
    fn what_a_client_leaves_open_the_effort_does_not_decide() {
        let none = Some("\"none\"");
        assert_eq!(seen("{}", none, None), "True False none ");
        for open in [r#"{"enable_thinking":null}"#, r#"{"enable_thinking":"auto"}"#] {
            assert_eq!(seen(open, none, None), "False  none ", "{open}");
            assert_eq!(seen(open, None, None), "False   ", "{open}");
        }
        assert_eq!(seen(r#"{"enable_thinking":true}"#, none, None), "True True none ");
        assert_eq!(seen(r#"{"reasoning_effort":"low"}"#, Some("null"), None), "False  low ");
    }

    #[test]
    fn tools_among_the_variables_count_before_the_requests() {
        let bare = r#"{"tools":[{"name":"bare"}]}"#;
        assert_eq!(seen(bare, None, None), "False   bare");
        assert_eq!(seen(bare, None, Some(TOOL)), "False   bare");
        for open in [r#"{"tools":null}"#, r#"{"tools":"auto"}"#, "{}"] {
            assert_eq!(seen(open, None, Some(TOOL)), "False   f", "{open}");
        }
        assert_eq!(seen(r#"{"tools":[]}"#, None, Some(TOOL)), "False   ");
        assert_eq!(seen(r#"{"tools":["f"]}"#, None, None), "messages: a tool is an object");
    }
}
