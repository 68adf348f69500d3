//! The tools that a request declares: read anew for each call, so that an answer without calls costs nothing, and nothing of
//! them is kept.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::ToolContext;

/// What is declared of a name.
#[derive(Debug)]
pub(super) enum Declared<'a> {
    /// No tool of the name, while there are so many of others.
    Not {
        /// How many.
        declared: usize,
    },
    /// A function; with the schema of its arguments, where it has one.
    With {
        /// It.
        parameters: Option<&'a RawValue>,
    },
    /// A tool that takes any text.
    Freely,
    /// What is declared is not understood, or too much to be read.
    Unknown,
}

#[derive(Deserialize)]
struct Tool<'a> {
    #[serde(borrow, default)]
    function: Option<Function<'a>>,
    #[serde(borrow, default)]
    custom: Option<Function<'a>>,
}

#[derive(Deserialize)]
struct Function<'a> {
    #[serde(borrow)]
    name: Cow<'a, str>,
    #[serde(borrow, default)]
    parameters: Option<&'a RawValue>,
}

impl ToolContext {
    /// What is declared of that name.
    pub(super) fn declared(&self, name: &str) -> Declared<'_> {
        let read = || -> Option<Declared<'_>> {
            let tools: Vec<Tool<'_>> = read(self.tools.as_deref())?;
            let functions: Vec<Function<'_>> = read(self.functions.as_deref())?;
            let declared = tools.len() + functions.len();
            // One of a kind that is to come may have any name.
            if tools
                .iter()
                .any(|tool| tool.function.is_none() && tool.custom.is_none())
            {
                return None;
            }
            let is_custom = |tool: &Tool<'_>| tool.custom.as_ref().is_some_and(|tool| tool.name == name);
            if tools.iter().any(is_custom) {
                return Some(Declared::Freely);
            }
            let of_tools = tools.into_iter().filter_map(|tool| tool.function);
            let found = of_tools.chain(functions).find(|function| function.name == name);
            Some(match found {
                Some(function) => Declared::With {
                    parameters: function.parameters,
                },
                None => Declared::Not { declared },
            })
        };
        read().unwrap_or(Declared::Unknown)
    }
}

/// What an array of the request holds, nothing where there is none; `None` where it is not understood.
fn read<'a, T: Deserialize<'a>>(json: Option<&'a [u8]>) -> Option<Vec<T>> {
    match json {
        Some(json) if json.len() > MOST_DECLARED => None,
        Some(json) => serde_json::from_slice(json).ok(),
        None => Some(Vec::new()),
    }
}

/// Tools that take more are not read, in bytes: a hundred of them, each with a page of description.
const MOST_DECLARED: usize = 256 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    fn context(tools: &'static str, functions: &'static str) -> ToolContext {
        ToolContext {
            tools: Some(tools.into()),
            functions: Some(functions.into()),
            last_messages: None,
        }
    }

    #[test]
    fn tools_of_every_form_are_known_by_their_names() {
        let tools = r#"[{"type":"function","function":{"name":"a","parameters":{"type":"object"}}},
            {"type":"custom","custom":{"name":"b"}}]"#;
        let context = context(tools, r#"[{"name":"\u0063"}]"#);
        let of = |name| context.declared(name);
        assert!(matches!(of("a"), Declared::With { parameters: Some(schema) } if schema.get().contains("object")));
        assert!(matches!(of("b"), Declared::Freely));
        assert!(matches!(of("c"), Declared::With { parameters: None }));
        assert!(matches!(of("A"), Declared::Not { declared: 3 }));
        assert!(matches!(
            ToolContext::default().declared("a"),
            Declared::Not { declared: 0 }
        ));
    }

    #[test]
    fn of_what_is_not_understood_nothing_is_said() {
        for tools in [
            "{}",
            "[7]",
            r#"[{"type":"function","function":{}}]"#,
            r#"[{"type":"moonphase"}]"#,
        ] {
            assert!(
                matches!(context(tools, "[]").declared("a"), Declared::Unknown),
                "{tools}"
            );
        }
        let large = format!("[{}]", " ".repeat(MOST_DECLARED));
        let context = ToolContext {
            tools: Some(large.into()),
            ..ToolContext::default()
        };
        assert!(matches!(context.declared("a"), Declared::Unknown));
    }
}
