//! Texts that nobody meant: no damage makes the parser panic, and its errors name lines that are there.

use proptest::prelude::*;

use super::super::Config;
use super::{EXAMPLE, SOUND, json_of, validator};

proptest! {
    #[test]
    fn no_text_makes_it_panic(text in ".{0,200}") {
        check_report(&text)?;
    }

    #[test]
    fn no_damage_to_a_sound_text_makes_it_panic(damages in prop::collection::vec(damage(), 1..6), example: bool) {
        let mut text = if example { EXAMPLE } else { SOUND }.to_owned();
        damages.iter().for_each(|damage| damage.apply(&mut text));
        check_report(&text)?;
    }
}

/// What a careless editor does to a text. Places are shares of its length.
#[derive(Clone, Debug)]
enum Damage {
    Truncate { at: f64 },
    Delete { from: f64, characters: usize },
    Insert { at: f64, text: String },
    ReplaceValue { line: f64, value: String },
    RepeatLine { line: f64 },
    DeleteLine { line: f64 },
}

const VALUES: &[&str] = &[
    "",
    "0",
    "-1",
    "1e400",
    "nan",
    "\"\"",
    "\"canned\"",
    "[]",
    "[[]]",
    "{}",
    "[{}]",
    "{ canned = 1 }",
    "true",
];

fn damage() -> impl Strategy<Value = Damage> {
    let value = prop_oneof![prop::sample::select(VALUES).prop_map(str::to_owned), ".{0,12}"];
    prop_oneof![
        1 => (0.0..1.0).prop_map(|at| Damage::Truncate { at }),
        3 => (0.0..1.0, 1..30usize).prop_map(|(from, characters)| Damage::Delete { from, characters }),
        3 => (0.0..1.0, "[\\[\\]{}\"'=.,#\n\\\\a-z0-9é\u{0}]{1,8}").prop_map(|(at, text)| Damage::Insert { at, text }),
        6 => (0.0..1.0, value).prop_map(|(line, value)| Damage::ReplaceValue { line, value }),
        3 => (0.0..1.0).prop_map(|line| Damage::RepeatLine { line }),
        3 => (0.0..1.0).prop_map(|line| Damage::DeleteLine { line }),
    ]
}

impl Damage {
    fn apply(&self, text: &mut String) {
        let mut lines: Vec<String> = text.split('\n').map(str::to_owned).collect();
        let line_at = |share: f64| (share * lines.len() as f64) as usize;
        match self {
            Self::Truncate { at } => return text.truncate(boundary(text, *at)),
            Self::Delete { from, characters } => {
                let start = boundary(text, *from);
                let deleted: usize = text[start..].chars().take(*characters).map(char::len_utf8).sum();
                return text.replace_range(start..start + deleted, "");
            }
            Self::Insert { at, text: inserted } => return text.insert_str(boundary(text, *at), inserted),
            Self::ReplaceValue { line, value } => {
                let line = line_at(*line);
                let key = lines[line].split('=').next().unwrap_or_default();
                lines[line] = format!("{key}= {value}");
            }
            Self::RepeatLine { line } => lines.insert(line_at(*line), lines[line_at(*line)].clone()),
            Self::DeleteLine { line } => {
                lines.remove(line_at(*line));
            }
        }
        *text = lines.join("\n");
    }
}

fn boundary(text: &str, share: f64) -> usize {
    text.floor_char_boundary((share * text.len() as f64) as usize)
}

/// Whatever the text, errors name lines that it has, in order; and what is sound is so for the schema too.
fn check_report(text: &str) -> Result<(), TestCaseError> {
    match Config::parse(text, None) {
        Ok(_) => prop_assert!(validator().is_valid(&json_of(text))),
        Err(errors) => {
            let lines: Vec<usize> = errors.as_slice().iter().map(|error| error.line).collect();
            prop_assert!(lines.is_sorted() && !lines.is_empty());
            prop_assert!(
                lines
                    .iter()
                    .all(|line| (1..=1 + text.matches('\n').count()).contains(line))
            );
            prop_assert_eq!(errors.to_string().lines().count(), lines.len());
        }
    }
    Ok(())
}
