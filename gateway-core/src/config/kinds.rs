//! Numbers and lists as `gateway.toml` holds them, with their bounds in the type: what it says is what the reader
//! enforces, what messages state and what the JSON Schema promises.

use std::marker::PhantomData;
use std::time::Duration;

use super::error::Problem;
use super::read::{Kind, Node, whole};
use super::report::{At, Place, Report};
use crate::ids::Tokens;

/// A whole number from `MIN` to `MAX` that must be there.
pub(super) struct Whole<T, const MIN: i64, const MAX: i64>(PhantomData<T>);

impl<T: FromWhole, const MIN: i64, const MAX: i64> Kind for Whole<T, MIN, MAX> {
    type Value = T;

    fn expected() -> String {
        integer(MIN, MAX)
    }

    fn read(node: Node<'_>, report: &mut Report) -> Option<T> {
        read_integer(node, MIN, MAX, report).map(T::from_whole)
    }
}

fn integer(min: i64, max: i64) -> String {
    format!("an integer from {} to {}", grouped(min), grouped(max))
}

/// Apart from `Whole` because that is compiled for every pair of bounds.
#[inline(never)]
fn read_integer(node: Node<'_>, min: i64, max: i64, report: &mut Report) -> Option<i64> {
    let Some(written) = node.integer() else {
        node.wrong_type(&integer(min, max), report);
        return None;
    };
    let value = whole(written).filter(|value| (min..=max).contains(value));
    if value.is_none() {
        let found = written.to_string();
        node.wrong(Problem::OutOfRange { found }, &integer(min, max), report);
    }
    value
}

/// A whole number from `MIN` to `MAX`; `DEFAULT` when it is not there.
pub(super) struct Limit<T, const DEFAULT: i64, const MIN: i64, const MAX: i64>(PhantomData<T>);

impl<T: FromWhole, const DEFAULT: i64, const MIN: i64, const MAX: i64> Kind for Limit<T, DEFAULT, MIN, MAX> {
    type Value = T;

    fn expected() -> String {
        Whole::<T, MIN, MAX>::expected()
    }

    fn read(node: Node<'_>, report: &mut Report) -> Option<T> {
        Whole::<T, MIN, MAX>::read(node, report)
    }

    fn absent(_place: Place, _report: &mut Report) -> Option<T> {
        Some(T::from_whole(DEFAULT))
    }
}

/// `true` or `false`; `DEFAULT` when it is not there.
pub(super) struct Flag<const DEFAULT: bool>;

impl<const DEFAULT: bool> Kind for Flag<DEFAULT> {
    type Value = bool;

    fn expected() -> String {
        "`true` or `false`".to_owned()
    }

    fn read(node: Node<'_>, report: &mut Report) -> Option<bool> {
        let flag = node.flag();
        if flag.is_none() {
            node.wrong_type(&Self::expected(), report);
        }
        flag
    }

    fn absent(_place: Place, _report: &mut Report) -> Option<bool> {
        Some(DEFAULT)
    }
}

/// What a whole number within the bounds of its kind becomes.
pub(super) trait FromWhole {
    fn from_whole(whole: i64) -> Self;
}

impl FromWhole for u64 {
    fn from_whole(whole: i64) -> Self {
        whole.unsigned_abs()
    }
}

impl FromWhole for u32 {
    fn from_whole(whole: i64) -> Self {
        whole.try_into().unwrap_or(Self::MAX)
    }
}

impl FromWhole for u16 {
    fn from_whole(whole: i64) -> Self {
        whole.try_into().unwrap_or(Self::MAX)
    }
}

impl FromWhole for u8 {
    fn from_whole(whole: i64) -> Self {
        whole.try_into().unwrap_or(Self::MAX)
    }
}

impl FromWhole for usize {
    fn from_whole(whole: i64) -> Self {
        whole.try_into().unwrap_or(Self::MAX)
    }
}

impl FromWhole for Tokens {
    fn from_whole(whole: i64) -> Self {
        Self(whole.unsigned_abs())
    }
}

/// In milliseconds.
impl FromWhole for Duration {
    fn from_whole(whole: i64) -> Self {
        Self::from_millis(whole.unsigned_abs())
    }
}

/// A number, with or without a fraction, from `MIN` to `MAX`.
pub(super) struct Decimal<const MIN: i64, const MAX: i64>;

impl<const MIN: i64, const MAX: i64> Kind for Decimal<MIN, MAX> {
    type Value = f64;

    fn expected() -> String {
        format!("a number from {} to {}", grouped(MIN), grouped(MAX))
    }

    fn read(node: Node<'_>, report: &mut Report) -> Option<f64> {
        let Some((number, written)) = node.number() else {
            node.wrong_type(&Self::expected(), report);
            return None;
        };
        let within = (MIN as f64..=MAX as f64).contains(&number);
        if !within {
            let found = written.to_owned();
            node.wrong(Problem::OutOfRange { found }, &Self::expected(), report);
        }
        within.then_some(number)
    }
}

/// Entries of one kind, at least `MIN`; none when the key is not there and `MIN` is 0.
pub(super) struct List<K, const MIN: usize>(PhantomData<K>);

impl<K: Kind, const MIN: usize> Kind for List<K, MIN> {
    type Value = Vec<At<K::Value>>;

    fn expected() -> String {
        let at_least = match MIN {
            0 => String::new(),
            least => format!(" of at least {least}"),
        };
        format!("a list{at_least}, each entry {}", K::expected())
    }

    fn read(node: Node<'_>, report: &mut Report) -> Option<Self::Value> {
        let Some(entries) = node.entries(report) else {
            node.wrong_type(&Self::expected(), report);
            return None;
        };
        if entries.len() < MIN {
            node.wrong(Problem::Empty, &Self::expected(), report);
            return None;
        }
        let mut sound = Vec::new();
        for entry in entries {
            sound.extend(entry.read::<K>(report));
        }
        Some(sound)
    }

    fn absent(_place: Place, _report: &mut Report) -> Option<Self::Value> {
        (MIN == 0).then(Vec::new)
    }
}

/// What may be left out.
impl<K: Kind> Kind for Option<K> {
    type Value = Option<K::Value>;

    fn expected() -> String {
        K::expected()
    }

    fn read(node: Node<'_>, report: &mut Report) -> Option<Self::Value> {
        K::read(node, report).map(Some)
    }

    fn absent(_place: Place, _report: &mut Report) -> Option<Self::Value> {
        Some(None)
    }
}

/// The number as TOML may write it, with `_` between thousands.
fn grouped(number: i64) -> String {
    let digits = number.unsigned_abs().to_string();
    let mut grouped = if number < 0 { "-".to_owned() } else { String::new() };
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            grouped.push('_');
        }
        grouped.push(digit);
    }
    grouped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_are_grouped() {
        let cases = [
            (0, "0"),
            (-90, "-90"),
            (999, "999"),
            (-1_000, "-1_000"),
            (12_345_678, "12_345_678"),
        ];
        for (number, written) in cases {
            assert_eq!(grouped(number), written);
        }
    }
}
