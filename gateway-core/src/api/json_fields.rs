//! The fields of one JSON object, with their values as they were written.

use std::borrow::Cow;
use std::fmt;
use std::ops::Range;

use serde::Deserialize;
use serde::de::{Deserializer, Error, MapAccess, Visitor};
use serde_json::value::RawValue;

/// The fields of an object, in the order written.
#[derive(Debug)]
pub struct Fields<'a>(Vec<(Cow<'a, str>, &'a str)>);

impl<'a> Fields<'a> {
    /// The fields of the object that `text` is.
    ///
    /// # Errors
    /// When `text` is not JSON, or not an object.
    pub fn parse(text: &'a str) -> Result<Self, serde_json::Error> {
        serde_json::from_str(text)
    }

    /// The value of the field of that name; the first one where there are several.
    pub fn get(&self, name: &str) -> Option<&'a str> {
        self.0.iter().find(|(key, _)| key == name).map(|(_, value)| *value)
    }

    /// The same, where it is not null: null counts as absent, as it does for OpenAI.
    pub fn given(&self, name: &str) -> Option<&'a str> {
        self.get(name).filter(|json| *json != "null")
    }

    /// The values that are not null of all fields of that name: servers differ in which of several counts.
    pub fn every(&self, name: &str) -> impl Iterator<Item = &'a str> {
        let named = self.0.iter().filter(move |(key, _)| key == name);
        named.map(|(_, value)| *value).filter(|json| *json != "null")
    }

    /// All of them, with their names.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &'a str)> {
        self.0.iter().map(|(name, value)| (name.as_ref(), *value))
    }

    /// A name among `names` that stands more than once.
    pub fn duplicate<'n>(&self, names: &[&'n str]) -> Option<&'n str> {
        names
            .iter()
            .find(|name| self.0.iter().filter(|(key, _)| key == **name).nth(1).is_some())
            .copied()
    }

    /// Whether there is no field at all.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Where the fields of these names stand in `text`, which they were read from.
    pub fn spans(&self, text: &str, names: &[&'static str]) -> FieldSpans {
        let named = |(key, value): &(Cow<'_, str>, &str)| {
            let name = names.iter().find(|name| key == **name)?;
            Some((*name, span_within(text, value)))
        };
        FieldSpans(self.0.iter().filter_map(named).collect())
    }
}

/// Where fields of an object stand in the text that it was read from.
#[derive(Clone, Debug)]
pub struct FieldSpans(Vec<(&'static str, Range<usize>)>);

impl FieldSpans {
    /// Where the value of the field of that name stands; of the first one where there are several.
    pub fn get(&self, name: &str) -> Option<Range<usize>> {
        let found = self.0.iter().find(|(key, _)| *key == name);
        found.map(|(_, span)| span.clone())
    }

    /// The fields, of the text that they were read from. Nothing is parsed again. `None` of any other text.
    pub fn fields_of<'a>(&self, text: &'a [u8]) -> Option<Fields<'a>> {
        let field = |(name, span): &(&'static str, Range<usize>)| {
            let json = std::str::from_utf8(text.get(span.clone())?).ok()?;
            Some((Cow::Borrowed(*name), json))
        };
        self.0.iter().map(field).collect::<Option<_>>().map(Fields)
    }
}

/// Where `part` stands in `text`, which it must have been borrowed from.
pub fn span_within(text: &str, part: &str) -> Range<usize> {
    let start = (part.as_ptr() as usize).wrapping_sub(text.as_ptr() as usize);
    assert!(start + part.len() <= text.len(), "a part of another text");
    start..start + part.len()
}

impl<'de: 'a, 'a> Deserialize<'de> for Fields<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(FieldsVisitor)
    }
}

struct FieldsVisitor;

impl<'de> Visitor<'de> for FieldsVisitor {
    type Value = Fields<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Self::Value, M::Error> {
        let mut fields = Vec::with_capacity(16);
        while let Some(Key(key)) = map.next_key()? {
            fields.push((key, map.next_value::<&RawValue>().map_err(M::Error::custom)?.get()));
        }
        Ok(Fields(fields))
    }
}

/// A key that is borrowed unless it holds escapes.
#[derive(Deserialize)]
struct Key<'a>(#[serde(borrow)] Cow<'a, str>);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_stand_twice_are_found_also_in_disguise() {
        let fields = Fields::parse("{\"model\":1,\"a\":2,\"\\u006dodel\":3,\"a\":4}").unwrap();
        assert_eq!(fields.duplicate(&["stream", "model"]), Some("model"));
        assert_eq!(fields.duplicate(&["stream"]), None);
    }

    #[test]
    fn fields_are_found_again_by_their_spans() {
        let text = " {\"b\" : [1, {}],\"a\":\"\u{e9}\" ,\"\\u0061\":2,\"c\": null}";
        let spans = Fields::parse(text).unwrap().spans(text, &["a", "b", "x"]);
        let found = spans.fields_of(text.as_bytes()).unwrap();
        assert_eq!(
            ["a", "b", "c", "x"].map(|name| found.get(name)),
            [Some("\"\u{e9}\""), Some("[1, {}]"), None, None]
        );
        assert_eq!(spans.get("b").map(|span| &text[span]), Some("[1, {}]"));
        assert!(spans.fields_of(b"{}").is_none());
    }
}
