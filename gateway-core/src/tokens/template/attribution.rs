//! The line that Claude Code puts before a system's text, `x-anthropic-billing-header: …`, to tell who pays. vLLM takes it
//! out of a chat from 0.32 on (`renderers/chat_utils/chat_message.py`), since it changes with every request and would leave no
//! prefix warm; up to 0.31 the model reads it. Which of the two an engine is, no request tells.

use minijinja::Value;
use minijinja::value::ValueKind;

use super::conversation::{find, members_of};
use super::read::Members;

/// Takes the line out of a system's message; `false` where it has none.
pub fn take_out(message: &mut Members) -> bool {
    if find(message, "role").and_then(Value::as_str) != Some("system") {
        return false;
    }
    let Some(content) = find(message, "content") else {
        return false;
    };
    let parts: Vec<Value> = if content.kind() == ValueKind::Seq {
        content.try_iter().into_iter().flatten().collect()
    } else {
        vec![content.clone()]
    };
    if !parts.iter().any(|part| rest(part).is_some()) {
        return false;
    }
    let without = parts.into_iter().filter_map(|part| rest(&part).unwrap_or(Some(part)));
    let without: Value = without.collect();
    message.push((Value::from("content"), without));
    true
}

/// What is left of a part that begins with the line, if anything is; `None` for all other parts.
fn rest(part: &Value) -> Option<Option<Value>> {
    let is_object = part.kind() == ValueKind::Map;
    let text = if is_object { text_of(part)? } else { part.clone() };
    let text = text.as_str().filter(|text| text.starts_with(HEADER))?;
    let left = text
        .split_once('\n')
        .map(|(_, left)| left)
        .filter(|left| !left.is_empty());
    let part_with = |left: &str| {
        if is_object {
            with_text(part, left)
        } else {
            Value::from(left)
        }
    };
    Some(left.map(part_with))
}

fn text_of(part: &Value) -> Option<Value> {
    let kind = part.get_attr("type").ok()?;
    part.get_attr("text").ok().filter(|_| kind.as_str() == Some("text"))
}

fn with_text(part: &Value, text: &str) -> Value {
    let text = ("text".into(), Value::from(text));
    Value::from_pairs(members_of(part).into_iter().chain([text]))
}

const HEADER: &str = "x-anthropic-billing-header";

#[cfg(test)]
mod tests {
    use super::super::read;
    use super::*;

    #[test]
    fn the_line_leaves_a_systems_text_and_nothing_else_does() {
        let line = "x-anthropic-billing-header: cch=1;";
        for (role, content, expected) in [
            (
                "system",
                format!("\"{line}\\nBe brief.\\nx\""),
                Some(r#"["Be brief.\nx"]"#),
            ),
            ("system", format!("\"{line}\""), Some("[]")),
            ("system", format!("\"{line}\\n\""), Some("[]")),
            (
                "system",
                format!(
                    "[{{\"type\":\"text\",\"text\":\"{line}\"}},{{\"type\":\"text\",\"text\":\"{line}\\na\",\"b\":1}},\"c\"]"
                ),
                Some(r#"[{"type":"text","text":"a","b":1},"c"]"#),
            ),
            ("system", format!("\" {line}\""), None),
            (
                "system",
                format!("[{{\"type\":\"input_text\",\"text\":\"{line}\"}}]"),
                None,
            ),
            ("user", format!("\"{line}\""), None),
            ("developer", format!("\"{line}\""), None),
        ] {
            let written = format!("{{\"role\":\"{role}\",\"content\":{content}}}");
            let mut message = read::members(&written).unwrap();
            assert_eq!(take_out(&mut message), expected.is_some(), "{written}");
            let expected = read::value(expected.unwrap_or(&content)).unwrap();
            assert_eq!(find(&message, "content"), Some(&expected), "{written}");
        }
    }
}
