//! What a chat completion will answer.
//!
//! A tool is called when `tool_choice` is `required` or names a function, or when the last message is the user's and says
//! `call NAME` for a declared function NAME; several names make several calls. `response_format` makes the answer JSON.

use std::borrow::Cow;

use serde_json::Value;

use super::limits::{Prompted, choices, invalid, limits, stops};
use super::plan::{Choice, Plan, Style, choice_seed, work};
use crate::engine::prefix::PrefixScope;
use crate::language::answer::{Content, ToolCall, write};
use crate::language::json::{any_object, value_for_schema};
use crate::language::random::hash_bytes;
use crate::language::template::{Ending, Prompt, Turn, render};
use crate::server::error::ApiError;
use crate::server::faults::{Drawn, Fault};
use crate::server::record::Exchange;
use crate::server::shared::{Shared, unix_seconds};
use crate::server::wire::{GenerateRequest, Logprobs, Message, MessageContent};

/// Plans the reply.
pub(super) fn plan(
    shared: &Shared,
    request: &GenerateRequest,
    drawn: &Drawn,
    exchange: &Exchange,
) -> Result<Plan, ApiError> {
    let model = shared.find_model(request.model.as_deref())?;
    let messages = request.messages.as_deref().unwrap_or_default();
    if messages.is_empty() {
        return Err(invalid(
            "messages must hold at least one message.".to_owned(),
            "messages",
        ));
    }
    let tools = request.tools.as_deref().unwrap_or_default();
    let ending = ending(request)?;
    let prompt = render_messages(messages, tools, ending);
    let prompt_tokens = prompt.tokens.len() as u32;
    let stop = stops(request)?;
    let prompted = Prompted {
        tokens: prompt_tokens,
        default_output: None,
        place: "messages",
    };
    let limits = limits(request, &stop, shared.context_tokens, prompted)?;
    let called = called_tools(request, tools, messages)?;
    let scope = PrefixScope {
        adapter: model.adapter,
        cache_salt: request.cache_salt.as_deref(),
    };
    let choices = (0..choices(request)?).map(|index| {
        let before_answer = &prompt.tokens[..prompt.answer_start];
        let seed = choice_seed(shared.options.seed, request.seed, model.adapter, index, before_answer);
        let content = content(seed, request, drawn, &called, &prompt.text_so_far);
        let answer = write(seed, content, limits);
        Choice {
            work: work(scope, &prompt.tokens, &answer),
            answer,
            seed,
            echo: None,
        }
    });
    Ok(Plan {
        style: Style::Chat,
        id: format!("chatcmpl-{}", request_id(shared, exchange)),
        created: unix_seconds(),
        model: model.name.to_owned(),
        prompt_tokens,
        choices: choices.collect(),
        top_logprobs: top_logprobs(request),
        finish_reason: drawn.finish_reason().map(str::to_owned),
    })
}

/// The prompt of a conversation.
pub(in crate::server) fn render_messages(messages: &[Message], tools: &[Value], ending: Ending) -> Prompt {
    let turns: Vec<Turn<'_>> = messages.iter().map(turn).collect();
    let tools: Vec<String> = tools.iter().map(Value::to_string).collect();
    render(&turns, &tools, ending)
}

/// The caller's `x-request-id`, as vLLM takes it over, or one of our own.
pub(super) fn request_id(shared: &Shared, exchange: &Exchange) -> String {
    let given = exchange
        .parts()
        .headers
        .get("x-request-id")
        .and_then(|id| id.to_str().ok());
    given.map_or_else(
        || {
            let number = hash_bytes(shared.options.seed, &exchange.id().to_le_bytes());
            format!("{number:016x}{:016x}", exchange.id())
        },
        str::to_owned,
    )
}

fn ending(request: &GenerateRequest) -> Result<Ending, ApiError> {
    let continues = request.continue_final_message == Some(true);
    let begins = request.add_generation_prompt.unwrap_or(true);
    match (continues, begins) {
        (true, true) => Err(invalid(
            "Cannot set both `continue_final_message` and `add_generation_prompt` to True.".to_owned(),
            "continue_final_message",
        )),
        (true, false) => Ok(Ending::LastIsContinued),
        (false, true) => Ok(Ending::AssistantBegins),
        (false, false) => Ok(Ending::Closed),
    }
}

fn turn(message: &Message) -> Turn<'_> {
    let (text, images) = match &message.content {
        None => (Cow::Borrowed(""), 0),
        Some(MessageContent::Text(text)) => (Cow::Borrowed(text.as_str()), 0),
        Some(MessageContent::Parts(parts)) => {
            let text: String = parts.iter().filter_map(|part| part.text.as_deref()).collect();
            let images = parts.iter().filter(|part| part.r#type.contains("image")).count();
            (Cow::Owned(text), images as u32)
        }
    };
    let text = match &message.tool_calls {
        Some(calls) if !calls.is_null() => Cow::Owned(format!("{text}{calls}")),
        _ => text,
    };
    Turn {
        role: &message.role,
        text,
        images,
    }
}

fn top_logprobs(request: &GenerateRequest) -> Option<usize> {
    let asked = match request.logprobs {
        Some(Logprobs::Flag(flag)) => flag,
        Some(Logprobs::Count(count)) => count > 0,
        None => false,
    };
    asked.then(|| request.top_logprobs.unwrap_or(0).min(20) as usize)
}

/// A function that the answer calls.
struct CalledTool {
    name: String,
    parameters: Value,
}

fn called_tools(request: &GenerateRequest, tools: &[Value], messages: &[Message]) -> Result<Vec<CalledTool>, ApiError> {
    let declared = || tools.iter().filter_map(declared_tool);
    let chosen: Vec<CalledTool> = match &request.tool_choice {
        Some(Value::String(choice)) if choice == "none" => Vec::new(),
        Some(Value::String(choice)) if choice == "required" => declared().take(1).collect(),
        Some(Value::Object(choice)) => {
            let name = choice
                .get("function")
                .and_then(|function| function.get("name"))
                .and_then(Value::as_str);
            let named: Vec<CalledTool> = declared().filter(|tool| Some(tool.name.as_str()) == name).collect();
            if named.is_empty() {
                let message =
                    "The tool specified in `tool_choice` does not match any of the specified `tools`".to_owned();
                return Err(invalid(message, "tool_choice"));
            }
            return Ok(named);
        }
        _ => {
            let asked = messages.last().filter(|message| message.role == "user").map(turn);
            let asked = asked.map(|turn| turn.text.into_owned()).unwrap_or_default();
            declared().filter(|tool| asks_for(&asked, &tool.name)).collect()
        }
    };
    if chosen.is_empty() && request.tool_choice.as_ref().and_then(Value::as_str) == Some("required") {
        return Err(invalid(
            "When using `tool_choice`, `tools` must be set.".to_owned(),
            "tool_choice",
        ));
    }
    Ok(chosen)
}

fn declared_tool(tool: &Value) -> Option<CalledTool> {
    let function = tool.get("function")?;
    let parameters = function.get("parameters").cloned().unwrap_or_default();
    Some(CalledTool {
        name: function.get("name")?.as_str()?.to_owned(),
        parameters,
    })
}

/// Whether the text says `call NAME`.
fn asks_for(text: &str, name: &str) -> bool {
    let is_word = |rest: &str| {
        rest.strip_prefix(name)
            .is_some_and(|after| !after.starts_with(|next: char| next.is_alphanumeric() || next == '_'))
    };
    text.split("call ").skip(1).any(is_word)
}

fn content<'a>(
    seed: u64,
    request: &GenerateRequest,
    drawn: &Drawn,
    called: &[CalledTool],
    text_so_far: &'a str,
) -> Content<'a> {
    if let Some(faulty) = faulty_content(seed, request, drawn) {
        return faulty;
    }
    if !called.is_empty() {
        let calls = called.iter().enumerate().map(|(index, tool)| {
            let seed = hash_bytes(seed, &index.to_le_bytes());
            tool_call(seed, &tool.name, value_for_schema(seed, &tool.parameters).to_string())
        });
        return Content::Tools(calls.collect());
    }
    let format = request.response_format.as_ref();
    let json = match format.and_then(|format| format.get("type")).and_then(Value::as_str) {
        Some("json_object") => Some(any_object(seed)),
        Some("json_schema") => {
            let schema = format.and_then(|format| format.pointer("/json_schema/schema"));
            Some(value_for_schema(seed, schema.unwrap_or(&Value::Null)))
        }
        _ => None,
    };
    match json {
        Some(json) => Content::Fixed {
            text: json.to_string(),
            after: text_so_far,
        },
        None => Content::Prose { after: text_so_far },
    }
}

/// What a fault makes of the answer.
fn faulty_content<'a>(seed: u64, request: &GenerateRequest, drawn: &Drawn) -> Option<Content<'a>> {
    if let Some(content) = faulty_text(drawn) {
        return Some(content);
    }
    drawn.0.iter().find_map(|fault| {
        if let Fault::UndeclaredTool { name } = fault {
            return Some(Content::Tools(vec![tool_call(
                seed,
                name,
                r#"{"query":"harbor"}"#.to_owned(),
            )]));
        }
        if let Fault::BrokenArguments {} = fault {
            let declared = request.tools.iter().flatten().find_map(declared_tool);
            let name = declared.map_or_else(|| "broken_tool".to_owned(), |tool| tool.name);
            return Some(Content::Tools(vec![tool_call(
                seed,
                &name,
                r#"{"query": "har, [}"#.to_owned(),
            )]));
        }
        None
    })
}

/// What a fault makes of the answer's text.
pub(super) fn faulty_text<'a>(drawn: &Drawn) -> Option<Content<'a>> {
    drawn.0.iter().find_map(|fault| {
        if let Fault::Gibberish { after } = fault {
            return Some(Content::Gibberish { after_tokens: *after });
        }
        if let Fault::Repetition { after } = fault {
            return Some(Content::Repetition { after_tokens: *after });
        }
        matches!(fault, Fault::Empty {}).then_some(Content::Empty)
    })
}

fn tool_call(seed: u64, name: &str, arguments: String) -> ToolCall {
    let id = hash_bytes(seed, name.as_bytes());
    ToolCall {
        id: format!("chatcmpl-tool-{seed:016x}{id:016x}"),
        name: name.to_owned(),
        arguments,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tool_is_asked_for_by_its_whole_name() {
        assert!(asks_for("please call get_weather for Lima", "get_weather"));
        assert!(asks_for("call get_time, then call get_weather.", "get_weather"));
        assert!(!asks_for("please call get_weather_now", "get_weather"));
        assert!(!asks_for("what does get_weather do?", "get_weather"));
    }
}
