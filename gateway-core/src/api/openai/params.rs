//! The parameters of a request, with errors that name them.

use std::borrow::Cow;

use serde::Deserialize;

use crate::api::json_cursor::{JsonCursor, string};
use crate::api::json_fields::{Fields, span_within};
use crate::api::output_bound::{BoundValue, WrittenBound};
use crate::api::request::BOUND_EXPECTED;
use crate::api::request_error::RequestError;

/// Typed access to fields. `null` counts as absent, as it does for OpenAI.
pub(in crate::api) struct Params<'f, 'a> {
    pub fields: &'f Fields<'a>,
}

impl<'a> Params<'_, 'a> {
    /// The value of a parameter that may be left out.
    pub fn optional<T: Deserialize<'a>>(
        &self,
        param: &'static str,
        expected: &'static str,
    ) -> Result<Option<T>, RequestError> {
        match self.fields.given(param) {
            None => Ok(None),
            Some(json) => match serde_json::from_str(json) {
                Ok(value) => Ok(Some(value)),
                Err(_) => Err(RequestError::WrongType { param, expected }),
            },
        }
    }

    /// The value of a parameter that must be there.
    pub fn required<T: Deserialize<'a>>(&self, param: &'static str, expected: &'static str) -> Result<T, RequestError> {
        self.optional(param, expected)?
            .ok_or(RequestError::Missing { param, expected })
    }

    /// A value as it was written.
    fn json(&self, param: &'static str, expected: &'static str) -> Result<&'a str, RequestError> {
        self.fields
            .given(param)
            .ok_or(RequestError::Missing { param, expected })
    }

    /// A string or an array, as it was written.
    pub fn string_or_array(&self, param: &'static str) -> Result<&'a str, RequestError> {
        let expected = "a string or an array";
        let json = self.json(param, expected)?;
        if json.starts_with(['"', '[']) {
            Ok(json)
        } else {
            Err(RequestError::WrongType { param, expected })
        }
    }

    /// Every bound on output tokens that is written in `text`, from which the fields were read.
    pub fn output_bounds(&self, text: &str) -> Result<Vec<WrittenBound>, RequestError> {
        let expected = BOUND_EXPECTED;
        let written = OUTPUT_BOUNDS
            .iter()
            .filter_map(|param| Some((*param, self.fields.get(param)?)));
        let bound = |(param, json)| {
            let value = match Whole::read(json) {
                Some(Whole::Count(count)) => BoundValue::Count(count),
                Some(Whole::MinusOne) => BoundValue::MinusOne,
                None if json == "null" => BoundValue::Null,
                None => return Err(RequestError::WrongType { param, expected }),
            };
            let span = span_within(text, json);
            Ok(WrittenBound { param, value, span })
        };
        written.map(bound).collect()
    }

    /// A whole number; none where there is something else, which engines refuse.
    pub fn count(&self, param: &str) -> Option<u64> {
        match Whole::read(self.fields.get(param)?)? {
            Whole::Count(count) => Some(count),
            Whole::MinusOne => None,
        }
    }

    /// How many answers are wanted, or made to choose from; one where the request does not say.
    pub fn answers(&self, param: &'static str) -> Result<u64, RequestError> {
        let expected = "a whole number from 1 to 16384";
        match self.fields.given(param).map(Whole::read) {
            None => Ok(1),
            Some(Some(Whole::Count(choices))) if (1..=MOST_CHOICES).contains(&choices) => Ok(choices),
            Some(Some(Whole::Count(_) | Whole::MinusOne) | None) => Err(RequestError::WrongType { param, expected }),
        }
    }

    /// Hands out the messages of a conversation, each with its role; gives the array of them, which holds at least one.
    pub fn messages(&self, mut on_message: impl FnMut(&'a str, &str)) -> Result<&'a str, RequestError> {
        let param = "messages";
        let wrong = |expected| RequestError::WrongType { param, expected };
        let expected = "an array of messages";
        let json = self.json(param, expected)?;
        let mut cursor = JsonCursor::new(json);
        if !cursor.enter(b'[') {
            return Err(wrong(expected));
        }
        let mut is_empty = true;
        while cursor.next() {
            let before = cursor;
            let role = role(&mut cursor).ok_or_else(|| wrong("an array of objects, each with a string `role`"))?;
            on_message(cursor.since(before), &role);
            is_empty = false;
        }
        if is_empty {
            return Err(wrong("an array of at least one message"));
        }
        Ok(json)
    }

    /// An object's fields.
    pub fn object(&self, param: &'static str) -> Result<Option<Fields<'a>>, RequestError> {
        self.optional(param, "an object")
    }
}

/// A whole number as JSON has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Whole {
    Count(u64),
    MinusOne,
}

impl Whole {
    /// Reads an integer, or a number whose fraction is zero.
    fn read(json: &str) -> Option<Self> {
        if let Ok(count) = json.parse() {
            return Some(Self::Count(count));
        }
        let number = serde_json::from_str::<f64>(json).ok()?;
        if number == -1.0 {
            return Some(Self::MinusOne);
        }
        let is_count = number.fract() == 0.0 && (0.0..=LARGEST_WHOLE).contains(&number);
        is_count.then_some(Self::Count(number as u64))
    }
}

/// Passes a message, and gives its role, if it is an object that has just one.
fn role<'a>(cursor: &mut JsonCursor<'a>) -> Option<Cow<'a, str>> {
    if !cursor.enter(b'{') {
        return None;
    }
    let (mut role, mut count) = (None, 0);
    while cursor.next() {
        let is_role = cursor.name() == "role";
        let value = cursor.pass();
        if is_role {
            (role, count) = (string(value), count + 1);
        }
    }
    role.filter(|_| count == 1)
}

/// The parameters that bound an answer's tokens, to one engine or another.
const OUTPUT_BOUNDS: [&str; 4] = ["max_tokens", "max_completion_tokens", "max_output_tokens", "n_predict"];
/// The largest number up to which a double holds every whole one: 2^53.
const LARGEST_WHOLE: f64 = 9_007_199_254_740_992.0;
/// What vLLM takes unless it is told otherwise (`VLLM_MAX_N_SEQUENCES`); OpenAI takes 128.
const MOST_CHOICES: u64 = 16_384;
