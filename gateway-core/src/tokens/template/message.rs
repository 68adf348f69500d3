//! One message on its way to the template: what vLLM keeps of it (`renderers/chat_utils/chat_message.py`, and the
//! endpoint's validators in `entrypoints/openai/chat_completion/protocol.py`), and what transformers does to all
//! (`apply_chat_template`).

use minijinja::Value;
use minijinja::value::ValueKind;

use super::conversation::find;
use super::read::Members;
use super::{ContentFormat, Media, TemplateError, parts, tools};

/// A message with what vLLM knows of it, and nothing else.
///
/// # Errors
/// When vLLM's chat endpoint would not take it.
pub fn uniform(message: &Members, format: ContentFormat, media: &mut Media) -> Result<Members, TemplateError> {
    let text = |name: &str| {
        find(message, name)
            .filter(|value| value.kind() == ValueKind::String)
            .cloned()
    };
    let role = text("role").ok_or(TemplateError::Message {
        reason: "a role is text",
    })?;
    let content = parts::content(find(message, "content"), &role, format, media)?;
    let mut uniform = Members::with_capacity(8);
    let mut keep = |name: &str, value: Option<Value>| uniform.extend(value.map(|value| (Value::from(name), value)));
    keep("role", Some(role.clone()));
    keep("content", Some(content));
    match role.as_str() {
        Some("assistant") => {
            let calls = find(message, "tool_calls").map(tools::calls).transpose()?;
            keep("tool_calls", calls.flatten());
            let reasoning = find(message, "reasoning").or_else(|| find(message, "reasoning_content"));
            keep("reasoning", reasoning.cloned());
            keep("reasoning_content", reasoning.cloned());
        }
        Some("tool") => keep("tool_call_id", find(message, "tool_call_id").cloned()),
        Some("developer") => keep("tools", find(message, "tools").cloned()),
        Some(_) | None => {}
    }
    keep("name", text("name"));
    keep("task", text("task"));
    Ok(uniform)
}

/// Where the template knows no developers, they become the system, and all of the system's messages become one.
/// Without a developer nothing changes.
pub fn developers_to_system(messages: &mut Vec<Members>) {
    let has_role = |message: &Members, role: &str| find(message, "role").and_then(Value::as_str) == Some(role);
    if !messages.iter().any(|message| has_role(message, "developer")) {
        return;
    }
    for message in messages.iter_mut().filter(|message| has_role(message, "developer")) {
        message.retain(|(key, _)| key.as_str() != Some("tools"));
        message.push((Value::from("role"), Value::from("system")));
    }
    if !messages[1..].iter().any(|message| has_role(message, "system")) {
        return;
    }
    let (system, others): (Vec<_>, Vec<_>) = messages.drain(..).partition(|message| has_role(message, "system"));
    let contents = system
        .iter()
        .filter_map(|message| find(message, "content"))
        .map(parts::text);
    let contents: Vec<String> = contents.filter(|content| !content.is_empty()).collect();
    messages.push(vec![
        (Value::from("role"), Value::from("system")),
        (Value::from("content"), Value::from(contents.join("\n\n"))),
    ]);
    messages.extend(others);
}

/// What transformers does to every message: no member is null, and the reasoning goes by all names that templates
/// know it under.
pub fn normalize(message: &mut Members) {
    message.retain(|(_, value)| !value.is_none());
    let names = ["reasoning_content", "thinking", "reasoning"];
    let reasoning = names.iter().find_map(|name| find(message, name)).cloned();
    if let Some(reasoning) = reasoning {
        message.insert(0, (Value::from("thinking"), reasoning.clone()));
        message.push((Value::from("reasoning_content"), reasoning));
    }
}

#[cfg(test)]
mod tests {
    use super::super::read;
    use super::*;

    fn printed(message: Members) -> String {
        Value::from_pairs(message).to_string()
    }

    fn uniform(message: &str, format: ContentFormat) -> String {
        let message = read::members(message).unwrap();
        super::uniform(&message, format, &mut Media::default()).map_or_else(|error| error.to_string(), printed)
    }

    #[test]
    fn a_message_keeps_what_vllm_knows() {
        let assistant = r#"{"x":1,"role":"assistant","reasoning_content":"so","name":"n",
            "tool_calls":[{"type":"function","x":2,"function":{"name":"f","arguments":"{\"b\":1,\"a\":[2.0]}"},"id":"1"}]}"#;
        assert_eq!(
            uniform(assistant, ContentFormat::Text),
            "{'role': 'assistant', 'content': '', 'tool_calls': [{'id': '1', 'function': {'arguments': {'b': 1, 'a': \
             [2.0]}, 'name': 'f'}, 'type': 'function', 'x': 2}], 'reasoning': 'so', 'reasoning_content': 'so', 'name': 'n'}"
        );
        assert_eq!(
            uniform(
                r#"{"role":"tool","content":[{"type":"text","text":"a"},"b"],"tool_call_id":"1"}"#,
                ContentFormat::Parts
            ),
            "{'role': 'tool', 'content': 'a\\nb', 'tool_call_id': '1'}"
        );
        assert_eq!(
            uniform(
                r#"{"role":"user","content":"hi","tool_calls":[]}"#,
                ContentFormat::Parts
            ),
            "{'role': 'user', 'content': [{'type': 'text', 'text': 'hi'}]}"
        );
        assert_eq!(
            uniform(r#"{"content":"hi"}"#, ContentFormat::Text),
            "messages: a role is text"
        );
    }

    #[test]
    fn reasoning_stays_whatever_stands_beside_it() {
        let call = r#""tool_calls":[{"id":"1","type":"function","function":{"name":"f","arguments":"{}"}}]"#;
        for beside in [
            format!("\"content\":null,{call}"),
            call.to_owned(),
            r#""content":null"#.to_owned(),
            r#""content":"a","refusal":null"#.to_owned(),
            r#""content":"a","tool_calls":[],"audio":{"id":"1"}"#.to_owned(),
        ] {
            for reasoning in [
                r#""reasoning":"so""#,
                r#""reasoning_content":"so""#,
                r#""reasoning":null,"reasoning_content":"so""#,
                r#""reasoning":"so","reasoning_content":"other""#,
            ] {
                let message = format!("{{\"role\":\"assistant\",{beside},{reasoning}}}");
                let uniform = uniform(&message, ContentFormat::Text);
                assert!(
                    uniform.ends_with("'reasoning': 'so', 'reasoning_content': 'so'}"),
                    "{message}: {uniform}"
                );
            }
        }
    }

    #[test]
    fn developers_join_the_system_unless_the_template_knows_them() {
        let messages = r#"[{"role":"system","content":"a"},{"role":"user","content":"u"},
            {"role":"developer","content":"b","tools":[1]},{"role":"developer","content":""}]"#;
        let mut messages = read::objects(messages).unwrap();
        developers_to_system(&mut messages);
        let printed: Vec<String> = messages.into_iter().map(printed).collect();
        assert_eq!(
            printed,
            [
                "{'role': 'system', 'content': 'a\\n\\nb'}",
                "{'role': 'user', 'content': 'u'}"
            ]
        );
    }

    #[test]
    fn reasoning_goes_by_all_its_names() {
        let mut message = read::members(r#"{"role":"assistant","content":null,"reasoning":"so"}"#).unwrap();
        normalize(&mut message);
        assert_eq!(
            printed(message),
            "{'thinking': 'so', 'role': 'assistant', 'reasoning': 'so', 'reasoning_content': 'so'}"
        );
    }
}
