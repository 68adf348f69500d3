//! In which form a request wants its answer, as far as that decides whether a text can stand for it.

use serde_json::Value;

use crate::api::canned::NoCannedAnswer;
use crate::api::endpoint::Endpoint;
use crate::api::json_fields::Fields;
use crate::api::request::Generation;

/// The form of an answer that a text can have.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Form {
    /// Any text.
    Text,
    /// Any JSON object.
    Json,
    /// JSON of that schema.
    Schema(Box<Value>),
}

impl Form {
    /// What the request asks for.
    ///
    /// # Errors
    /// When a text cannot be that, or it is not sure that it can.
    pub fn of(request: &Generation) -> Result<Self, NoCannedAnswer> {
        if request.endpoint == Endpoint::Embeddings {
            return Err(NoCannedAnswer::Embedding);
        }
        let text = std::str::from_utf8(request.body()).map_err(|_| NoCannedAnswer::Guided)?;
        let fields = Fields::parse(text).map_err(|_| NoCannedAnswer::Guided)?;
        if demands_call(&fields) {
            return Err(NoCannedAnswer::ToolCall);
        }
        if GUIDES.iter().any(|guide| fields.every(guide).next().is_some()) {
            return Err(NoCannedAnswer::Guided);
        }
        // Servers differ in which of several counts.
        let mut formats = fields.every("response_format");
        match (formats.next(), formats.next()) {
            (None, _) => Ok(Self::Text),
            (Some(format), None) => Self::of_format(format).ok_or(NoCannedAnswer::Guided),
            (Some(_), Some(_)) => Err(NoCannedAnswer::Guided),
        }
    }

    /// The form that a `response_format` names. Of `json_object` llama.cpp's server takes a `schema`, and TGI a `value`.
    fn of_format(format: &str) -> Option<Self> {
        let format: Value = serde_json::from_str(format).ok()?;
        let own_schema = ["schema", "value"].iter().find_map(|name| given(&format, name));
        match format["type"].as_str()? {
            "text" => Some(Self::Text),
            "json_object" => Some(own_schema.map_or(Self::Json, |schema| Self::Schema(Box::new(schema.clone())))),
            "json_schema" => {
                let of_openai = given(&format, "json_schema").and_then(|written| given(written, "schema"));
                let schema = of_openai.or(own_schema)?;
                Some(Self::Schema(Box::new(schema.clone())))
            }
            _ => None,
        }
    }
}

fn given<'v>(object: &'v Value, name: &str) -> Option<&'v Value> {
    object.get(name).filter(|value| !value.is_null())
}

/// Whether nothing but a call of a tool, or of what came before tools, is an answer.
fn demands_call(fields: &Fields<'_>) -> bool {
    let choices = ["tool_choice", "function_call"];
    let mut chosen = choices.iter().flat_map(|choice| fields.every(choice));
    chosen.any(|choice| ![r#""auto""#, r#""none""#].contains(&choice))
}

/// By which engines are told the form of what they write: vLLM (`StructuredOutputsParams`, and what it was called before),
/// SGLang, llama.cpp's server and TGI.
const GUIDES: [&str; 10] = [
    "structured_outputs",
    "structural_tag",
    "guided_json",
    "guided_regex",
    "guided_choice",
    "guided_grammar",
    "regex",
    "ebnf",
    "grammar",
    "json_schema",
];
