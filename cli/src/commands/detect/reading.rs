//! All detectors over an answer.

use tidegate_core::detect::{Finding, Gibberish, Repetition, Scripts};

use super::answer::Answer;

/// What was found, and where.
#[derive(Debug)]
pub struct Found {
    /// The part of the answer.
    pub channel: String,
    /// What it is.
    pub finding: Finding,
}

/// Reads each part of an answer as it would come, in pieces.
pub fn read(answer: &Answer) -> Vec<Found> {
    let prompt = Scripts::of(&answer.prompt);
    let mut found = Vec::new();
    for (channel, text) in &answer.parts {
        let (mut repetition, mut gibberish) = (Repetition::default(), Gibberish::new(prompt));
        let findings = pieces(text).flat_map(|piece| [repetition.push(piece), gibberish.push(piece)]);
        found.extend(findings.flatten().map(|finding| Found {
            channel: channel.clone(),
            finding,
        }));
    }
    found
}

fn pieces(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let (piece, after) = rest.split_at(rest.ceil_char_boundary(PIECE_BYTES));
        rest = after;
        (!piece.is_empty()).then_some(piece)
    })
}

/// What an engine sends together, about.
const PIECE_BYTES: usize = 20;
