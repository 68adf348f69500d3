//! JSON that is read in part and edited in place: the fields of one object with the bytes of their values, and
//! replacements in the text they came from. What no edit names stays byte for byte.

use std::borrow::Cow;
use std::fmt;
use std::ops::Range;

use serde::Deserialize;
use serde::de::{Deserializer, Error, MapAccess, Visitor};
use serde_json::value::RawValue;

/// The fields of an object, in the order written.
#[derive(Debug)]
pub struct Fields<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'a> Fields<'a> {
    /// The fields of the object that `text` is.
    ///
    /// # Errors
    /// When `text` is not JSON, or not an object.
    pub fn parse(text: &'a str) -> Result<Self, serde_json::Error> {
        serde_json::from_str(text)
    }

    /// The value of the field of that name; the first one where there are several.
    pub fn get(&self, name: &str) -> Option<&'a RawValue> {
        self.0.iter().find(|(key, _)| key == name).map(|(_, value)| *value)
    }

    /// The values, in the order written.
    pub fn values(&self) -> impl DoubleEndedIterator<Item = &'a RawValue> {
        self.0.iter().map(|(_, value)| *value)
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
            fields.push((key, map.next_value::<&RawValue>().map_err(M::Error::custom)?));
        }
        Ok(Fields(fields))
    }
}

/// A key that is borrowed unless it holds escapes.
#[derive(Deserialize)]
struct Key<'a>(#[serde(borrow)] Cow<'a, str>);

/// What stands at a place of a text, and what is to stand there instead.
pub type Edit<'a> = (Range<usize>, Cow<'a, str>);

/// Edits of one text, by places in it.
#[derive(Debug)]
pub struct Edits<'a> {
    text: &'a str,
    /// By their places.
    edits: Vec<Edit<'a>>,
}

impl<'a> Edits<'a> {
    /// No edits yet.
    pub fn new(text: &'a str) -> Self {
        Self {
            text,
            edits: Vec::new(),
        }
    }

    /// The edits alone, for the same text at another time.
    pub fn into_list(self) -> Vec<Edit<'a>> {
        self.edits
    }

    /// Edits that were made for the same text.
    pub fn of(text: &'a str, mut edits: Vec<Edit<'a>>) -> Self {
        edits.sort_by_key(|(range, _)| range.start);
        Self { text, edits }
    }

    /// Whether nothing is to be changed.
    pub fn is_empty(&self) -> bool {
        self.edits.is_empty()
    }

    /// Puts `json` in place of `value`, which must have been borrowed from the text.
    pub fn replace(&mut self, value: &RawValue, json: impl Into<Cow<'a, str>>) {
        self.add(self.range(value.get()), json.into());
    }

    /// Adds `member` (`"key":value`) behind the last member of `object`, which must have been borrowed from the text.
    pub fn append(&mut self, object: &str, member: &str, object_is_empty: bool) {
        let start = self.offset(object);
        let end = start + object.trim_end().len().saturating_sub(1);
        let comma = if object_is_empty { "" } else { "," };
        self.add(end..end, format!("{comma}{member}").into());
    }

    /// Takes out the member of that name and value with one comma beside it. Where the name is written in an
    /// unusual way, with escapes, the member stays.
    pub fn remove(&mut self, name: &str, value: &RawValue) {
        let Range { start, end } = self.range(value.get());
        let before = self.text[..start].trim_end().strip_suffix(':').map(str::trim_end);
        let before = before.and_then(|text| text.strip_suffix('"')?.strip_suffix(name)?.strip_suffix('"'));
        let Some(before) = before else { return };
        let after = &self.text[end..];
        let range = match (
            before.trim_end().strip_suffix(','),
            after.trim_start().strip_prefix(','),
        ) {
            (Some(before), _) => before.len()..end,
            (None, Some(rest)) => before.len()..self.text.len() - rest.len(),
            (None, None) => before.len()..end,
        };
        self.add(range, Cow::Borrowed(""));
    }

    /// The text with all edits made.
    pub fn apply(&self) -> String {
        self.apply_within(0..self.text.len())
    }

    /// What stands before and behind `part`, which must have been borrowed from the text.
    pub fn unedited_around(&self, part: &str) -> (&'a str, &'a str) {
        let Range { start, end } = self.range(part);
        (&self.text[..start], &self.text[end..])
    }

    /// The same, with all edits made, none of which may touch `part`.
    pub fn edited_around(&self, part: &str) -> (String, String) {
        let Range { start, end } = self.range(part);
        (self.apply_within(0..start), self.apply_within(end..self.text.len()))
    }

    fn apply_within(&self, Range { start, end }: Range<usize>) -> String {
        let edits = self.edits.iter().filter(|(at, _)| start <= at.start && at.end <= end);
        let added: usize = edits.clone().map(|(_, json)| json.len()).sum();
        let mut edited = String::with_capacity(end - start + added);
        let mut next = start;
        for (at, json) in edits {
            edited.push_str(&self.text[next..at.start]);
            edited.push_str(json);
            next = at.end;
        }
        edited.push_str(&self.text[next..end]);
        edited
    }

    fn add(&mut self, at: Range<usize>, json: Cow<'a, str>) {
        let place = self.edits.partition_point(|(other, _)| other.start <= at.start);
        self.edits.insert(place, (at, json));
    }

    /// Where `part` stands, which must have been borrowed from the text.
    pub fn range(&self, part: &str) -> Range<usize> {
        let start = self.offset(part);
        start..start + part.len()
    }

    fn offset(&self, part: &str) -> usize {
        let offset = (part.as_ptr() as usize).wrapping_sub(self.text.as_ptr() as usize);
        assert!(offset + part.len() <= self.text.len(), "an edit of another text");
        offset
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn edited(text: &str, edit: impl FnOnce(&Fields<'_>, &mut Edits<'_>)) -> String {
        let fields = Fields::parse(text).unwrap();
        let mut edits = Edits::new(text);
        edit(&fields, &mut edits);
        edits.apply()
    }

    #[test]
    fn what_no_edit_names_stays_byte_for_byte() {
        let text = " {\"b\" :1.50e+3,\t\"model\":\"x\",\"a\":{\"model\":\"y\"} ,\"\\u00e9\": 0} \n";
        let replaced = edited(text, |fields, edits| {
            edits.replace(fields.get("model").unwrap(), "\"z\"")
        });
        assert_eq!(replaced, text.replacen("\"x\"", "\"z\"", 1));
        assert_eq!(edited(text, |_, _| {}), text);
    }

    #[test]
    fn members_are_removed_with_one_comma() {
        for (text, without) in [
            ("{\"usage\":null}", "{}"),
            ("{ \"usage\" : null , \"a\":1}", "{  \"a\":1}"),
            ("{\"a\":1,\"usage\":{\"x\":[1,2]}}", "{\"a\":1}"),
            ("{\"a\":1 , \"usage\":null, \"b\":2}", "{\"a\":1 , \"b\":2}"),
        ] {
            assert_eq!(
                edited(text, |fields, edits| edits
                    .remove("usage", fields.get("usage").unwrap())),
                without
            );
        }
    }

    #[test]
    fn members_are_appended_inside_the_last_brace() {
        let text = "{\"a\":{ } } \n";
        let appended = |object: fn(&str) -> &str, empty| {
            let mut edits = Edits::new(text);
            edits.append(object(text), "\"b\":1", empty);
            edits.apply()
        };
        assert_eq!(appended(|text| text, false), "{\"a\":{ } ,\"b\":1} \n");
        assert_eq!(appended(|text| &text[5..8], true), "{\"a\":{ \"b\":1} } \n");
    }

    #[test]
    fn names_that_stand_twice_are_found_also_in_disguise() {
        let fields = Fields::parse("{\"model\":1,\"a\":2,\"\\u006dodel\":3,\"a\":4}").unwrap();
        assert_eq!(fields.duplicate(&["stream", "model"]), Some("model"));
        assert_eq!(fields.duplicate(&["stream"]), None);
    }

    proptest! {
        #[test]
        fn edits_keep_json_valid_and_other_fields_equal(
            before in prop::collection::btree_map("[a-z]{1,4}", any::<i32>(), 0..4),
            spaces in "[ \n\t]{0,3}",
        ) {
            let members = before.iter().map(|(key, value)| format!("\"{key}\"{spaces}:{spaces}{value}{spaces},"));
            let text = format!("{{{spaces}{}\"usage!\":null{spaces}}}", members.collect::<String>());
            let removed = edited(&text, |fields, edits| edits.remove("usage!", fields.get("usage!").unwrap()));
            let parsed: std::collections::BTreeMap<String, i32> = serde_json::from_str(&removed).unwrap();
            prop_assert_eq!(parsed, before);
        }
    }
}
