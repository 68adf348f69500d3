//! Tools and calls of them as vLLM's chat endpoint passes them on, which shows wherever a template prints a whole one: a
//! tool with the members that vLLM knows, in its own order (`FunctionDefinition` in `entrypoints/generate/base/protocol.py`); a
//! call with all of its members, those of the OpenAI SDK's types first, since vLLM's request allows others.

use minijinja::Value;
use minijinja::value::ValueKind;

use super::TemplateError;
use super::conversation::{members_of, none};
use super::read::{self, Members, ReadError};

/// A tool that the model may call.
///
/// # Errors
/// When it is no function.
pub fn definition(tool: &Value) -> Result<Value, TemplateError> {
    let function = member(tool, "function")
        .filter(is_map)
        .ok_or_else(|| unfit("a tool is a function"))?;
    let mut known: Members = ["name", "description", "parameters"]
        .into_iter()
        .map(|name| (Value::from(name), member(&function, name).unwrap_or_else(none)))
        .collect();
    let deferred = member(tool, "defer_loading");
    known.extend(named("strict", member(&function, "strict")));
    known.extend(named(
        "defer_loading",
        member(&function, "defer_loading").or_else(|| deferred.clone()),
    ));
    let mut definition = vec![
        (Value::from("type"), Value::from("function")),
        (Value::from("function"), Value::from_pairs(known)),
    ];
    definition.extend(named("defer_loading", deferred));
    Ok(Value::from_pairs(definition))
}

/// A tool among the template's variables: transformers takes any object.
///
/// # Errors
/// When it is none.
pub fn as_written(tool: &Value) -> Result<Value, TemplateError> {
    Some(tool.clone())
        .filter(is_map)
        .ok_or_else(|| unfit("a tool is an object"))
}

/// The calls that an assistant's message holds; none when the list is empty.
///
/// # Errors
/// When one calls something else than a function.
pub fn calls(calls: &Value) -> Result<Option<Value>, TemplateError> {
    if calls.kind() != ValueKind::Seq {
        return Err(unfit("tool_calls are an array"));
    }
    let calls: Vec<Value> = calls
        .try_iter()
        .into_iter()
        .flatten()
        .map(|item| call(&item))
        .collect::<Result<_, _>>()?;
    Ok((!calls.is_empty()).then(|| Value::from(calls)))
}

fn call(call: &Value) -> Result<Value, TemplateError> {
    let kind = member(call, "type");
    let function = member(call, "function").filter(is_map).filter(|_| {
        let kind = kind.as_ref().map(Value::as_str);
        matches!(kind, None | Some(Some("function")))
    });
    let function = function.ok_or_else(|| unfit("only functions are called"))?;
    let arguments = arguments(member(&function, "arguments"))?;
    let others_of_call = others(call, &["id", "function", "type"]);
    let mut called = vec![("arguments".into(), arguments)];
    called.extend(named("name", member(&function, "name")));
    let others = others(&function, &["arguments", "name"]);
    let function = Value::from_pairs(called.into_iter().chain(others));
    let known = [
        named("id", member(call, "id")),
        named("function", Some(function)),
        named("type", kind),
    ];
    Ok(Value::from_pairs(known.into_iter().flatten().chain(others_of_call)))
}

/// Arguments as an object: clients send it as text, templates expect a mapping. What is no object becomes an empty
/// one, as in vLLM, whose reason is that history cannot be taken back.
fn arguments(given: Option<Value>) -> Result<Value, TemplateError> {
    let read = match given.as_ref().and_then(Value::as_str) {
        Some(text) => match read::value(text) {
            Ok(value) => Some(value),
            Err(ReadError::Syntax { .. } | ReadError::Kind { .. }) => None,
            Err(source @ (ReadError::Depth | ReadError::Wide | ReadError::Surrogate)) => {
                return Err(TemplateError::Unreadable {
                    part: "arguments",
                    source,
                });
            }
        },
        None => given,
    };
    Ok(read.filter(is_map).unwrap_or_else(|| Value::from_pairs(Members::new())))
}

/// A member of that name, where there is a value.
fn named(name: &str, value: Option<Value>) -> Option<(Value, Value)> {
    value.map(|value| (Value::from(name), value))
}

/// The members that have none of these names, in the order written.
fn others(object: &Value, known: &[&str]) -> impl Iterator<Item = (Value, Value)> {
    let members = members_of(object).into_iter();
    members.filter(|(key, _)| !key.as_str().is_some_and(|key| known.contains(&key)))
}

/// The member of that name, if it is not null.
fn member(object: &Value, name: &str) -> Option<Value> {
    object
        .get_attr(name)
        .ok()
        .filter(|value| !value.is_none() && !value.is_undefined())
}

fn is_map(value: &Value) -> bool {
    value.kind() == ValueKind::Map
}

fn unfit(reason: &'static str) -> TemplateError {
    TemplateError::Message { reason }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn defined(json: &str) -> String {
        let defined = definition(&read::value(json).unwrap());
        defined.map_or_else(|error| error.to_string(), |tool| tool.to_string())
    }

    fn call_of(json: &str) -> String {
        let call = call(&read::value(json).unwrap());
        call.map_or_else(|error| error.to_string(), |call| call.to_string())
    }

    #[test]
    fn a_tool_has_the_members_that_vllm_knows_in_its_order() {
        assert_eq!(
            defined(r#"{"function":{"x":1,"parameters":{"b":1,"a":2},"name":"f","strict":true},"type":"function"}"#),
            "{'type': 'function', 'function': {'name': 'f', 'description': None, 'parameters': {'b': 1, 'a': 2}, \
             'strict': True}}"
        );
        assert_eq!(
            defined(r#"{"function":{"name":"f"},"defer_loading":true}"#),
            "{'type': 'function', 'function': {'name': 'f', 'description': None, 'parameters': None, 'defer_loading': \
             True}, 'defer_loading': True}"
        );
        assert_eq!(defined(r#"{"name":"f"}"#), "messages: a tool is a function");
    }

    #[test]
    fn a_call_keeps_all_that_the_client_sent() {
        let call = r#"{"index":0,"type":"function","function":{"parsed":null,"name":"f","arguments":""},"id":"1"}"#;
        assert_eq!(
            call_of(call),
            "{'id': '1', 'function': {'arguments': {}, 'name': 'f', 'parsed': None}, 'type': 'function', 'index': 0}"
        );
    }

    #[test]
    fn arguments_are_an_object_whatever_was_sent() {
        for (given, read) in [
            ("\"{\\\"a\\\": 1e-7, \\\"b\\\": NaN}\"", "{'a': 1e-07, 'b': nan}"),
            ("{\"a\":1}", "{'a': 1}"),
            ("\"\"", "{}"),
            ("\"[1]\"", "{}"),
            ("\"{broken\"", "{}"),
            ("7", "{}"),
        ] {
            assert_eq!(arguments(Some(read::value(given).unwrap())).unwrap().to_string(), read);
        }
        assert_eq!(arguments(None).unwrap().to_string(), "{}");
    }
}
