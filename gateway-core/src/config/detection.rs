//! What is looked for in answers, and what follows: as written -> validated.

use super::error::Problem;
use super::kinds::Whole;
use super::read::{Field, Kind, Node, value};
use super::report::Report;
use super::section::section;
use super::suggest::one_of;
use super::validated::{Config, Model, Tenant};
use super::written::Root;
use crate::detect::{Action, DetectionOverrides, DetectionPolicy};

section! {
    /// What is looked for in answers, and what follows where it is found: `off`, `flag` (it is told), `cut` (the answer ends
    /// there) or `fail_over` (it is asked for elsewhere, or ends with an error where the client has a part of it). What a
    /// tenant's table says goes before what a model's says, and that before `[detection]`; what none says is `flag`.
    Detection {
        /// The same again and again.
        repetition: Option<Act>,
        /// No language that anybody writes.
        gibberish: Option<Act>,
        /// Calls of tools that are not declared, with arguments that these do not take, or over and over.
        tool_calls: Option<Act>,
        /// Nothing, or nothing but white space.
        empty: Option<Act>,
        /// The instructions.
        echo: Option<Act>,
        /// Thinking without an end.
        reasoning: Option<Act>,
        /// How much of what an answer may take its reasoning may, in percent, and 8,192 tokens at least; 90 when left out.
        reasoning_percent: Option<Whole<u8, 1, 100>>,
        /// Tokens that reasoning may take however much the answer may; 1,000,000,000 when left out, which is no bound.
        reasoning_tokens: Option<Whole<u64, 1, 1_000_000_000>>,
    }
}

/// What follows from a finding, by name.
pub(super) struct Act;

impl Kind for Act {
    type Value = Action;

    fn expected() -> String {
        one_of(Action::ALL.iter().map(|action| action.name()))
    }

    fn read(node: Node<'_>, report: &mut Report) -> Option<Action> {
        node.parse::<Self>(report, |text| {
            let action = Action::ALL.into_iter().find(|action| action.name() == text);
            action.ok_or_else(|| Problem::UnknownName {
                what: "action",
                name: text.to_owned(),
            })
        })
    }
}

#[cfg(any(test, feature = "schema"))]
impl super::schema::Describe for Act {
    fn schema() -> serde_json::Value {
        serde_json::json!({ "type": "string", "enum": Action::ALL.map(Action::name) })
    }
}

/// What holds where nothing else is said of a model or a tenant.
pub(super) fn policy(root: &Root) -> Option<DetectionPolicy> {
    Some(DetectionPolicy::default().with(&overrides(&root.detection)?))
}

/// What one table says.
pub(super) fn overrides(written: &Field<Detection>) -> Option<DetectionOverrides> {
    let written = value(written)?;
    let actions = [
        &written.repetition,
        &written.gibberish,
        &written.tool_calls,
        &written.empty,
        &written.echo,
        &written.reasoning,
    ];
    Some(DetectionOverrides {
        actions: actions.map(|action| value(action).copied().flatten()),
        reasoning_percent: *value(&written.reasoning_percent)?,
        reasoning_tokens: *value(&written.reasoning_tokens)?,
    })
}

impl Config {
    /// What is looked for in an answer of that model to that tenant.
    pub fn detection(&self, model: &Model, tenant: &Tenant) -> DetectionPolicy {
        self.detection.with(&model.detection).with(&tenant.detection)
    }
}
