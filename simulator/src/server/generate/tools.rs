//! Which tools an answer calls, and with what.
//!
//! A tool is called when `tool_choice` is `required` or names a function, or when the last message is the user's and says
//! `call NAME` for a declared function NAME; several names make several calls.

use serde_json::Value;

use crate::language::answer::ToolCall;
use crate::language::random::hash_bytes;
use crate::server::error::ApiError;
use crate::server::prompt::turn;
use crate::server::wire::{GenerateRequest, Message};

/// A function that the answer calls.
pub(super) struct CalledTool {
    pub name: String,
    pub parameters: Value,
}

/// The tools that the answer calls; none for an answer in words.
pub(super) fn called_tools(
    request: &GenerateRequest,
    tools: &[Value],
    messages: &[Message],
) -> Result<Vec<CalledTool>, ApiError> {
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
                return Err(ApiError::invalid(message, "tool_choice"));
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
        return Err(ApiError::invalid(
            "When using `tool_choice`, `tools` must be set.".to_owned(),
            "tool_choice",
        ));
    }
    Ok(chosen)
}

/// The function that a tool of the request declares.
pub(super) fn declared_tool(tool: &Value) -> Option<CalledTool> {
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

/// A call; its id depends on the seed and the name only.
pub(super) fn tool_call(seed: u64, name: &str, arguments: String) -> ToolCall {
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
