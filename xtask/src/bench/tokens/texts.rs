//! The texts that libraries count, from the corpus of the tests and from fixed seeds.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::Value;

use crate::error::TaskError;
use crate::workspace;

/// What is measured: `markdown` has a target of its own, the last five have no border that a splitter could use.
pub const NAMES: [&str; 11] = [
    "markdown",
    "code",
    "chinese",
    "russian",
    "json",
    "emoji",
    "one-letter",
    "letters",
    "spaces",
    "digits",
    "one-emoji",
];

/// Writes `NAME.txt` for each of [`NAMES`] into `folder`, a megabyte for each round where the corpus has as much.
pub fn write(corpus: &Path, folder: &Path, rounds: u32) -> Result<(), TaskError> {
    let bytes = rounds as usize * ROUND_BYTES;
    let json = samples(corpus, "json")?;
    let translations = samples(corpus, "translations")?;
    let values = |name: &str| -> Result<String, TaskError> {
        let text = named(&json, name);
        let messages: BTreeMap<String, String> =
            serde_json::from_str(text.trim_start_matches('\u{feff}')).map_err(|error| {
                TaskError::unmet(
                    "the corpus",
                    format!("{name}: {error}"),
                    "it should hold a compiler's messages",
                )
            })?;
        Ok(messages.into_values().collect::<Vec<_>>().join("\n"))
    };
    for name in NAMES {
        let text = match name {
            "markdown" | "code" | "emoji" => joined(&samples(corpus, name)?),
            "chinese" => values("typescript/zh-cn")? + &messages(&translations, &["zh_Hans", "zh_Hant"]),
            "russian" => values("typescript/ru")? + &messages(&translations, &["ru", "uk"]),
            "json" => json.iter().map(|(_, text)| text.as_str()).collect(),
            "one-letter" => of_rounds(rounds, |round| repeated(char::from(b'a' + round % 26))),
            // Each round has as many tabs before its spaces as there were rounds before it.
            "spaces" => of_rounds(rounds, |round| {
                let tabs = usize::from(round);
                "\t".repeat(tabs) + &" ".repeat(ROUND_BYTES - tabs)
            }),
            "one-emoji" => of_rounds(rounds, |round| {
                repeated(char::from_u32(0x1f600 + u32::from(round)).unwrap_or('😀'))
            }),
            "letters" => drawn(b"abcdefghijklmnopqrstuvwxyz", bytes),
            _ => drawn(b"0123456789", bytes),
        };
        workspace::write(
            &folder.join(format!("{name}.txt")),
            &text[..text.floor_char_boundary(bytes)],
        )?;
    }
    Ok(())
}

/// Django's messages in these languages, one by one.
fn messages(translations: &[(String, String)], languages: &[&str]) -> String {
    let is_of = |name: &str, language: &&str| name.contains(&format!("/{language}/LC_MESSAGES/django.po/"));
    let found = translations
        .iter()
        .filter(|(name, _)| languages.iter().any(|language| is_of(name, language)));
    found.flat_map(|(_, text)| [text.as_str(), "\n"]).collect()
}

/// Name and text of each sample of a class.
fn samples(corpus: &Path, class: &str) -> Result<Vec<(String, String)>, TaskError> {
    let path = corpus.join(format!("{class}.jsonl"));
    let text = workspace::read(&path)?;
    let sample = |line: &str| {
        let sample: Value = serde_json::from_str(line).ok()?;
        Some((sample["name"].as_str()?.to_owned(), sample["text"].as_str()?.to_owned()))
    };
    let samples: Option<Vec<_>> = text.split_terminator('\n').map(sample).collect();
    samples.ok_or_else(|| TaskError::unmet(path.display().to_string(), "no samples", "each line should be one"))
}

fn joined(samples: &[(String, String)]) -> String {
    samples.iter().map(|(_, text)| text.as_str()).collect()
}

fn named(samples: &[(String, String)], wanted: &str) -> String {
    samples
        .iter()
        .filter(|(name, _)| name == wanted)
        .map(|(_, text)| text.as_str())
        .collect()
}

/// What `text` makes for each round: another one for each, so that a library which remembers whole pieces is of no use.
fn of_rounds(rounds: u32, text: impl Fn(u8) -> String) -> String {
    (0..=u8::MAX).take(rounds as usize).map(text).collect()
}

/// As much of one character as a round counts.
fn repeated(character: char) -> String {
    std::iter::repeat_n(character, ROUND_BYTES / character.len_utf8()).collect()
}

/// Letters in an order that no token table knows: the high bits of a linear congruential generator, with the
/// constants of Knuth's MMIX.
fn drawn(letters: &[u8], bytes: usize) -> String {
    let mut state = 1_u64;
    let draw = || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        char::from(letters[(state >> 33) as usize % letters.len()])
    };
    std::iter::repeat_with(draw).take(bytes).collect()
}

/// The most that a round counts of one text.
const ROUND_BYTES: usize = 1_000_000;
