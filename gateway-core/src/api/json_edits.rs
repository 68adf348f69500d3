//! JSON that is edited in place. What no edit names stays byte for byte.

use std::borrow::Cow;
use std::ops::Range;

use super::json_fields::span_within;

/// A span of a text, and what is to stand there instead.
pub type Edit<'a> = (Range<usize>, Cow<'a, str>);

/// Edits of one text.
#[derive(Debug)]
pub struct Edits<'a> {
    text: &'a str,
    /// In the order of their spans.
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

    /// Whether nothing is to be changed.
    pub fn is_empty(&self) -> bool {
        self.edits.is_empty()
    }

    /// Puts `json` where `value` stands, which must have been borrowed from the text.
    pub fn replace(&mut self, value: &str, json: impl Into<Cow<'a, str>>) {
        self.add(span_within(self.text, value), json.into());
    }

    /// Takes out the member of that name and value with one comma beside it. Where the name is written in an
    /// unusual way, with escapes, the member stays.
    pub fn remove(&mut self, name: &str, value: &str) {
        let Range { start, end } = span_within(self.text, value);
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
        let Range { start, end } = span_within(self.text, part);
        (&self.text[..start], &self.text[end..])
    }

    /// The same, with all edits made, none of which may touch `part`.
    pub fn edited_around(&self, part: &str) -> (String, String) {
        let Range { start, end } = span_within(self.text, part);
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
        let index = self.edits.partition_point(|(other, _)| other.start <= at.start);
        self.edits.insert(index, (at, json));
    }
}

/// The edit of `text` that adds `member` (`"key":value`) behind the last member of `object`, which must have been borrowed
/// from it.
pub fn appended(text: &str, object: &str, member: &str, object_is_empty: bool) -> Edit<'static> {
    let start = span_within(text, object).start;
    let end = start + object.trim_end().len().saturating_sub(1);
    let comma = if object_is_empty { "" } else { "," };
    (end..end, format!("{comma}{member}").into())
}

/// `json` with these edits made, which come in the order of their spans.
pub fn spliced(json: &[u8], edits: &[Edit<'_>]) -> Vec<u8> {
    let added: usize = edits.iter().map(|(_, json)| json.len()).sum();
    let mut edited = Vec::with_capacity(json.len() + added);
    let mut next = 0;
    for (at, new) in edits {
        edited.extend_from_slice(&json[next..at.start]);
        edited.extend_from_slice(new.as_bytes());
        next = at.end;
    }
    edited.extend_from_slice(&json[next..]);
    edited
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::api::json_fields::Fields;

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
        let with_b = |object: &str, is_empty| {
            let edit = appended(text, object, "\"b\":1", is_empty);
            String::from_utf8(spliced(text.as_bytes(), &[edit])).unwrap()
        };
        assert_eq!(with_b(text, false), "{\"a\":{ } ,\"b\":1} \n");
        assert_eq!(with_b(&text[5..8], true), "{\"a\":{ \"b\":1} } \n");
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
