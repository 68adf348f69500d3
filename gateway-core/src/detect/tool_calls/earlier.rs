//! How often the turns before an answer made the same call as it does, and learned the same from it. Asking again is what a
//! client does that waits for something: then the results differ sooner or later, and only a row of equal ones counts.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

#[derive(Deserialize)]
struct Message<'a> {
    #[serde(borrow)]
    role: Cow<'a, str>,
    #[serde(borrow, default)]
    content: Option<&'a RawValue>,
    #[serde(borrow, default)]
    tool_calls: Option<Vec<MadeCall<'a>>>,
    #[serde(borrow, default)]
    function_call: Option<Function<'a>>,
    #[serde(borrow, default)]
    tool_call_id: Option<Cow<'a, str>>,
}

#[derive(Deserialize)]
struct MadeCall<'a> {
    #[serde(borrow, default)]
    id: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    function: Option<Function<'a>>,
}

#[derive(Deserialize)]
struct Function<'a> {
    #[serde(borrow)]
    name: Cow<'a, str>,
    #[serde(borrow)]
    arguments: Cow<'a, str>,
}

/// A call that an earlier turn made, and what it learned.
struct Earlier<'a> {
    id: Option<Cow<'a, str>>,
    function: Option<Function<'a>>,
    result: Option<&'a str>,
}

/// How many calls in a row, right before the answer, were this one and had one result. `messages` are the last ones of the
/// request, with commas between them. None where they are not understood, and before what anybody but the model and its tools
/// has said.
pub(super) fn repeats(messages: &[u8], name: &str, arguments: &str) -> u32 {
    let array = [b"[", messages, b"]"].concat();
    let Ok(messages) = serde_json::from_slice::<Vec<Message<'_>>>(&array) else {
        return 0;
    };
    let arguments = canonical(arguments);
    let calls = calls(&messages);
    let is_same = |call: &&Earlier<'_>| {
        let function = call.function.as_ref();
        function.is_some_and(|function| function.name == name && canonical(&function.arguments) == arguments)
    };
    let mut row = calls.iter().rev().take_while(is_same).map(|call| call.result);
    let Some(Some(result)) = row.next() else { return 0 };
    let more = row.take_while(|other| *other == Some(result)).count();
    u32::try_from(more + 1).unwrap_or(u32::MAX)
}

/// The calls behind all that others have said, in order.
fn calls<'a>(messages: &'a [Message<'a>]) -> Vec<Earlier<'a>> {
    let is_others = |message: &Message<'_>| !matches!(message.role.as_ref(), "assistant" | "tool" | "function");
    let first = messages.iter().rposition(is_others).map_or(0, |last| last + 1);
    let mut calls: Vec<Earlier<'a>> = Vec::new();
    for message in &messages[first..] {
        let made = message.tool_calls.iter().flatten();
        calls.extend(made.map(|call| Earlier::new(call.id.as_deref(), call.function.as_ref())));
        calls.extend(
            message
                .function_call
                .iter()
                .map(|function| Earlier::new(None, Some(function))),
        );
        let answers = |call: &&mut Earlier<'_>| match message.role.as_ref() {
            "tool" => call.id.is_some() && call.id == message.tool_call_id,
            "function" => call.result.is_none(),
            _ => false,
        };
        if let Some(call) = calls.iter_mut().rev().find(answers) {
            call.result = message.content.map(RawValue::get);
        }
    }
    calls
}

impl<'a> Earlier<'a> {
    fn new(id: Option<&'a str>, function: Option<&'a Function<'a>>) -> Self {
        Self {
            id: id.map(Cow::Borrowed),
            function: function.map(|function| Function {
                name: Cow::Borrowed(&function.name),
                arguments: Cow::Borrowed(&function.arguments),
            }),
            result: None,
        }
    }
}

/// Arguments whatever the order of their members; as they stand, where they are no JSON.
fn canonical(arguments: &str) -> Value {
    serde_json::from_str(arguments).unwrap_or_else(|_| Value::String(arguments.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ARGUMENTS: &str = r#"{"city":"Kyiv","days":3}"#;

    fn turn(id: u32, arguments: &str, result: &str) -> String {
        let call = serde_json::json!({"id": format!("c{id}"), "type": "function",
            "function": {"name": "weather", "arguments": arguments}});
        let made = serde_json::json!({"role": "assistant", "content": null, "tool_calls": [call]});
        let told = serde_json::json!({"role": "tool", "tool_call_id": format!("c{id}"), "content": result});
        format!("{made},{told}")
    }

    fn count(turns: &[String]) -> u32 {
        repeats(turns.join(",").as_bytes(), "weather", ARGUMENTS)
    }

    #[test]
    fn calls_count_that_are_the_same_in_a_row_and_had_the_same_result() {
        let same: Vec<_> = (0..3).map(|id| turn(id, ARGUMENTS, "rain")).collect();
        assert_eq!(count(&same), 3);
        let mut other_order = same.clone();
        other_order[1] = turn(1, r#"{ "days": 3, "city": "Kyiv" }"#, "rain");
        assert_eq!(count(&other_order), 3);
        let mut changing = same.clone();
        changing[0] = turn(0, ARGUMENTS, "sun");
        assert_eq!(count(&changing), 2);
        let mut between = same.clone();
        between[1] = turn(1, r#"{"city":"Lviv"}"#, "rain");
        assert_eq!(count(&between), 1);
        let user = r#"{"role":"user","content":"again"}"#.to_owned();
        assert_eq!(
            count(&[same.clone(), vec![user]].concat()),
            0,
            "somebody wants it again"
        );
    }

    #[test]
    fn calls_of_the_older_form_count_as_well() {
        let call = r#"{"role":"assistant","content":null,"function_call":{"name":"weather","arguments":"{}"}}"#;
        let told = r#"{"role":"function","name":"weather","content":"rain"}"#;
        let turns = [call, told, call, told].join(",");
        assert_eq!(repeats(turns.as_bytes(), "weather", "{}"), 2);
        assert_eq!(repeats(turns.as_bytes(), "other", "{}"), 0);
    }

    #[test]
    fn of_calls_without_a_result_and_of_what_is_not_understood_nothing_is_said() {
        let made = turn(0, ARGUMENTS, "rain");
        let made = made.split(",{\"content\"").next().unwrap_or_default().to_owned();
        assert_eq!(count(&[made]), 0);
        assert_eq!(repeats(b"7", "weather", ARGUMENTS), 0);
        assert_eq!(repeats(b"{", "weather", ARGUMENTS), 0);
        assert_eq!(repeats(b"", "weather", ARGUMENTS), 0);
    }
}
