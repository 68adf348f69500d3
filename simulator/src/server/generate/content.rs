//! What a chat's answer consists of: what a fault makes of it, calls of tools, JSON, or prose.

use serde_json::Value;

use super::tools::{CalledTool, declared_tool, tool_call};
use crate::language::answer::Content;
use crate::language::json::{any_object, value_for_schema};
use crate::language::random::hash_bytes;
use crate::server::faults::{DrawnFaults, Fault};
use crate::server::wire::GenerateRequest;

/// The content behind `text_so_far`.
pub(super) fn content<'a>(
    seed: u64,
    request: &GenerateRequest,
    drawn: &DrawnFaults,
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
fn faulty_content<'a>(seed: u64, request: &GenerateRequest, drawn: &DrawnFaults) -> Option<Content<'a>> {
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
pub(super) fn faulty_text<'a>(drawn: &DrawnFaults) -> Option<Content<'a>> {
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
