//! JSON of a client's schema that refuses: it has the text where the schema has a place for such a thing, and says nothing
//! otherwise. A figure, a name or a verdict that the schema demands would be made up, and a client would take it for an
//! answer; there is no refusal then. Nor is there where the schema says something that is not known here. What is built is
//! held against the schema before it is given.

mod schema;

use serde_json::{Map, Value};

use schema::{Effort, Kinds, Schema};

/// JSON of that schema which says `text`, and nothing else.
pub(super) fn refusal(schema: &Value, text: &str) -> Option<Value> {
    let builder = Builder { text };
    builder.build(Schema::root(schema), Says::Text(Spot::Root), &mut Effort::whole())
}

/// What a part of the JSON is to say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Says {
    /// The text, somewhere within it.
    Text(Spot),
    Nothing,
}

/// Where a part stands that is to say the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Spot {
    /// It is the whole.
    Root,
    /// In a member whose name is meant for such a text.
    Place,
    /// In any other member: there may be a place within it.
    Elsewhere,
}

#[derive(Clone, Copy)]
struct Builder<'t> {
    text: &'t str,
}

impl Builder<'_> {
    fn build(self, schema: Schema<'_>, says: Says, effort: &mut Effort) -> Option<Value> {
        effort.within(|effort| {
            let schema = schema.resolved()?;
            // Nothing says less.
            if says == Says::Nothing && schema.holds(&Value::Null, effort) {
                return Some(Value::Null);
            }
            if let Some(built) = self.of_a_choice(schema, says, effort) {
                return Some(built);
            }
            let built = match says {
                Says::Text(spot) => self.saying_text(schema, spot, effort),
                Says::Nothing => self.saying_nothing(schema, effort),
            };
            built.filter(|built| schema.holds(built, effort))
        })
    }

    /// What the first of a union's branches makes of it that can be built. Where branches differ in what they have to say,
    /// to take one is an answer: what it says must be that there is none, and no other branch can be built.
    fn of_a_choice(self, schema: Schema<'_>, says: Says, effort: &mut Effort) -> Option<Value> {
        let choices: Vec<_> = schema.choices().filter(|choice| !choice.is_null()).collect();
        let built = choices.iter().filter_map(|choice| self.build(*choice, says, effort));
        let built: Vec<_> = built.collect();
        let mut built = built.into_iter().filter(|built| schema.holds(built, effort));
        let first = built.next()?;
        let said = self.constants(&first);
        let mut alike = 1;
        for other in built {
            if self.constants(&other) != said {
                return None;
            }
            alike += 1;
        }
        let is_refusal = says != Says::Nothing && said.iter().all(|(_, constant)| is_refusal(constant));
        (said.is_empty() || alike == choices.len() || is_refusal).then_some(first)
    }

    /// What a value that was built says besides the text, each with the name of its member.
    fn constants(self, value: &Value) -> Vec<(&str, &Value)> {
        let mut constants = Vec::new();
        let mut left = vec![("", value)];
        while let Some((name, value)) = left.pop() {
            match value {
                Value::Null => {}
                Value::String(text) if text.is_empty() || text == self.text => {}
                Value::Bool(_) | Value::Number(_) | Value::String(_) => constants.push((name, value)),
                Value::Array(items) => left.extend(items.iter().map(|item| (name, item))),
                Value::Object(members) => left.extend(members.iter().map(|(name, value)| (name.as_str(), value))),
            }
        }
        constants
    }

    fn saying_text(self, schema: Schema<'_>, spot: Spot, effort: &mut Effort) -> Option<Value> {
        let kinds = schema.kinds();
        let (is_string, is_object) = (kinds.has(Kinds::STRING), kinds.has(Kinds::OBJECT));
        match spot {
            Spot::Place if is_string => Some(self.text.into()),
            Spot::Root if is_string && !is_object => Some(self.text.into()),
            Spot::Root | Spot::Place | Spot::Elsewhere if is_object => self.object_with_text(schema, spot, effort),
            Spot::Root | Spot::Place | Spot::Elsewhere => None,
        }
    }

    /// An object that has the text in a member of a name that is meant for such, or somewhere within another.
    fn object_with_text(self, schema: Schema<'_>, spot: Spot, effort: &mut Effort) -> Option<Value> {
        let Some(properties) = schema.properties() else {
            let says_so = Map::from_iter([(PLACES[0].to_owned(), self.text.into())]);
            return (spot != Spot::Elsewhere).then(|| says_so.into());
        };
        let named = PLACES.iter().filter(|name| properties.contains_key(**name));
        let others = properties.keys().map(String::as_str);
        let others = others
            .filter(|name| !PLACES.contains(name))
            .map(|name| (name, Spot::Elsewhere));
        let mut places = named.map(|name| (*name, Spot::Place)).chain(others);
        places.find_map(|(name, spot)| {
            let said = self.build(schema.property(name)?, Says::Text(spot), effort)?;
            let object = self.object(schema, Some((name, said)), effort)?;
            schema.holds(&object, effort).then_some(object)
        })
    }

    /// An object with these members and those that it must have, which say nothing.
    fn object(self, schema: Schema<'_>, said: Option<(&str, Value)>, effort: &mut Effort) -> Option<Value> {
        let mut object = Map::new();
        object.extend(said.map(|(name, value)| (name.to_owned(), value)));
        for name in schema.required()? {
            if !object.contains_key(name) {
                let silent = self.build(schema.property(name)?, Says::Nothing, effort)?;
                object.insert(name.to_owned(), silent);
            }
        }
        Some(object.into())
    }

    /// Something empty, or the only value that is allowed. Of several, whichever were taken would be an answer.
    fn saying_nothing(self, schema: Schema<'_>, effort: &mut Effort) -> Option<Value> {
        match schema.allowed() {
            Some([only]) => return Some(only.clone()),
            Some(_) => return None,
            None => {}
        }
        let kinds = schema.kinds();
        if kinds.has(Kinds::STRING) {
            Some("".into())
        } else if kinds.has(Kinds::ARRAY) {
            Some(Vec::<Value>::new().into())
        } else if kinds.has(Kinds::OBJECT) {
            self.object(schema, None, effort)
        } else {
            None
        }
    }
}

/// Whether it says of what has the text that it is no answer.
fn is_refusal(constant: &Value) -> bool {
    let word = constant.as_str();
    word.is_some_and(|word| REFUSALS.iter().any(|refusal| word.eq_ignore_ascii_case(refusal)))
}

/// Names of members in which a text may stand that is no answer, the clearest first.
const PLACES: [&str; 6] = ["error", "refusal", "error_message", "errorMessage", "reason", "message"];
/// What the branch of a union is called that is no answer.
const REFUSALS: [&str; 6] = ["error", "failed", "failure", "refusal", "refused", "unavailable"];

#[cfg(test)]
mod tests;
