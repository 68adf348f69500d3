//! Texts with variables: `{{model}}` and the like, which are known when the text is given.

use serde::{Deserialize, Serialize};

use super::reason::CannedReason;
use crate::config::error::Problem;
use crate::config::read::{Kind, Node};
use crate::config::report::Report;
use crate::config::suggest::one_of;
use crate::config::texts::{Text, beginning};

/// A text, and where in it something stands that is known only when it is given. Values are put in as they are; whoever
/// writes the text into JSON escapes it as a whole.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Template(Vec<Piece>);

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Piece {
    Text(String),
    Variable(Variable),
}

/// What stands for something else.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Variable {
    Model,
    Tenant,
    Reason,
    RequestId,
    RetryAfterSeconds,
}

/// What variables stand for in one answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Values<'a> {
    /// The model that was asked for, by its own name.
    pub model: &'a str,
    /// Whose request it is.
    pub tenant: &'a str,
    /// Why no model answers.
    pub reason: CannedReason,
    /// The request's id, by which operators find it.
    pub request_id: &'a str,
    /// In how many seconds asking again may help.
    pub retry_after_seconds: u64,
}

impl Variable {
    const ALL: [Self; 5] = [
        Self::Model,
        Self::Tenant,
        Self::Reason,
        Self::RequestId,
        Self::RetryAfterSeconds,
    ];

    fn as_str(self) -> &'static str {
        match self {
            Self::Model => "model",
            Self::Tenant => "tenant",
            Self::Reason => "reason",
            Self::RequestId => "request_id",
            Self::RetryAfterSeconds => "retry_after_seconds",
        }
    }
}

impl Template {
    /// The text with these values.
    pub fn render(&self, values: &Values<'_>) -> String {
        let mut text = String::new();
        for piece in &self.0 {
            match piece {
                Piece::Text(piece) => text.push_str(piece),
                Piece::Variable(Variable::Model) => text.push_str(values.model),
                Piece::Variable(Variable::Tenant) => text.push_str(values.tenant),
                Piece::Variable(Variable::Reason) => text.push_str(values.reason.as_str()),
                Piece::Variable(Variable::RequestId) => text.push_str(values.request_id),
                Piece::Variable(Variable::RetryAfterSeconds) => {
                    text.push_str(itoa::Buffer::new().format(values.retry_after_seconds));
                }
            }
        }
        text
    }

    /// The text as it is written.
    pub fn as_written(&self) -> String {
        let written = |piece: &Piece| match piece {
            Piece::Text(text) => text.clone(),
            Piece::Variable(variable) => format!("{OPEN}{}{CLOSE}", variable.as_str()),
        };
        self.0.iter().map(written).collect()
    }

    fn parse(text: &str) -> Result<Self, Problem> {
        let mut pieces = Vec::new();
        let mut rest = text;
        while let Some((before, behind)) = rest.split_once(OPEN) {
            let Some((name, behind)) = behind.split_once(CLOSE) else {
                let found = beginning(&rest[before.len()..]);
                return Err(Problem::Malformed { found });
            };
            let mut all = Variable::ALL.into_iter();
            let variable = all.find(|variable| variable.as_str() == name.trim());
            pieces.extend((!before.is_empty()).then(|| Piece::Text(before.to_owned())));
            pieces.push(Piece::Variable(variable.ok_or_else(|| Problem::UnknownName {
                what: "variable",
                name: beginning(name.trim()),
            })?));
            rest = behind;
        }
        pieces.extend((!rest.is_empty()).then(|| Piece::Text(rest.to_owned())));
        Ok(Self(pieces))
    }
}

/// A text of at most `MAX` characters that says something, and whose variables are known.
pub(in crate::config) struct TemplateText<const MAX: usize>;

impl<const MAX: usize> Kind for TemplateText<MAX> {
    type Value = Template;

    fn expected() -> String {
        let variables = one_of(Variable::ALL.map(Variable::as_str).into_iter());
        format!(
            "{}, in which `{OPEN}NAME{CLOSE}` stands for {variables}",
            Text::<MAX>::expected()
        )
    }

    fn read(node: Node<'_>, report: &mut Report) -> Option<Template> {
        Text::<MAX>::read(node, report)?;
        node.parse::<Self>(report, Template::parse)
    }
}

const OPEN: &str = "{{";
const CLOSE: &str = "}}";

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const VALUES: Values<'_> = Values {
        model: "m",
        tenant: "{{model}}",
        reason: CannedReason::Overload,
        request_id: "req_1",
        retry_after_seconds: 30,
    };

    #[test]
    fn variables_are_replaced_once_and_others_are_none() {
        let text = "{{model}} for {{ tenant }}: {{reason}}, {{request_id}} in {{retry_after_seconds}} s } {";
        let template = Template::parse(text).expect("a template");
        assert_eq!(template.render(&VALUES), "m for {{model}}: overload, req_1 in 30 s } {");
        assert_eq!(template.as_written(), text.replace("{{ tenant }}", "{{tenant}}"));
        for (text, message) in [
            ("in {{seconds}}", "there is no variable `seconds`"),
            ("{{}}", "there is no variable ``"),
            ("say {{model", "\"{{model\" does not fit"),
        ] {
            assert_eq!(Template::parse(text).expect_err(text).to_string(), message);
        }
    }

    proptest! {
        #[test]
        fn what_has_no_variables_stays_as_it_is(text in "[^{]{0,60}") {
            let template = Template::parse(&text).expect("no variables");
            prop_assert_eq!(template.render(&VALUES), &text[..]);
            prop_assert_eq!(template.as_written(), text);
        }

        #[test]
        fn whatever_is_taken_is_taken_as_it_is_written_again(text in "([{} a]|\\{\\{model\\}\\}){0,12}") {
            if let Ok(template) = Template::parse(&text) {
                prop_assert_eq!(Template::parse(&template.as_written()), Ok(template));
            }
        }
    }
}
