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

/// Writes `NAME.txt` for each of [`NAMES`] into `folder`, a megabyte each where the corpus has as much.
pub fn write(corpus: &Path, folder: &Path) -> Result<(), TaskError> {
    let json = samples(corpus, "json")?;
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
            "chinese" => values("typescript/zh-cn")?,
            "russian" => values("typescript/ru")?,
            "json" => named(&json, "typescript/ja") + &named(&json, "emoji/en"),
            "one-letter" => "a".repeat(BYTES),
            "spaces" => " ".repeat(BYTES),
            "one-emoji" => "😀".repeat(BYTES / "😀".len()),
            "letters" => drawn(b"abcdefghijklmnopqrstuvwxyz"),
            _ => drawn(b"0123456789"),
        };
        workspace::write(
            &folder.join(format!("{name}.txt")),
            &text[..text.floor_char_boundary(BYTES)],
        )?;
    }
    Ok(())
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

/// Letters in an order that no token table knows: the high bits of a linear congruential generator, with the
/// constants of Knuth's MMIX.
fn drawn(letters: &[u8]) -> String {
    let mut state = 1_u64;
    let draw = || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        char::from(letters[(state >> 33) as usize % letters.len()])
    };
    std::iter::repeat_with(draw).take(BYTES).collect()
}

const BYTES: usize = 1_000_000;
