//! The Mooncake conversation trace (Apache-2.0): arrival, length of prompt and answer, and the names of the prompt's blocks
//! of 512 tokens. Equal names become equal texts.
//!
//! Arrivals stand there in buckets of three seconds, and are spread evenly over them. Where messages end is not told: as a
//! chat, the first block, which all have, is the system prompt, and of each four blocks behind it the last is the model's
//! answer, the others are the client's message.

use std::path::Path;

use serde_json::Value;

use crate::bench::routing::prompt::{BLOCK_TOKENS, Piece, Prompt, Request, Role, Tenant, name_of};
use crate::error::TaskError;
use crate::workspace;

/// How prompts are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// With messages.
    Chat,
    /// As one text.
    Flat,
}

/// Reads the first [`REQUESTS`] of the trace.
///
/// # Errors
/// When it cannot be read, or is something else.
pub fn read(file: &Path, shape: Shape) -> Result<Vec<Request>, TaskError> {
    let text = workspace::read(file)?;
    let wanted = || {
        TaskError::unmet(
            file.display().to_string(),
            "no trace",
            "the format of Mooncake's is wanted",
        )
    };
    let lines = text.lines().take(REQUESTS);
    let parsed = lines.map(|line| parse(line, shape)).collect::<Option<Vec<_>>>();
    Ok(spread(parsed.ok_or_else(wanted)?))
}

/// A line, whose time is its bucket's.
fn parse(line: &str, shape: Shape) -> Option<Request> {
    let value: Value = serde_json::from_str(line).ok()?;
    let length = u32::try_from(value["input_length"].as_u64()?).ok()?;
    let output = u32::try_from(value["output_length"].as_u64()?).ok()?;
    let ids = value["hash_ids"].as_array()?.iter().map(Value::as_u64);
    let ids = ids.collect::<Option<Vec<u64>>>()?;
    let before_last = ids.len().saturating_sub(1) as u32 * BLOCK_TOKENS;
    let piece = |(at, id): (usize, &u64)| Piece {
        id: name_of(&("trace", id)),
        tokens: if at + 1 == ids.len() {
            length.saturating_sub(before_last).clamp(1, BLOCK_TOKENS)
        } else {
            BLOCK_TOKENS
        },
    };
    let pieces: Vec<Piece> = ids.iter().enumerate().map(piece).collect();
    Some(Request {
        at_s: value["timestamp"].as_f64()? / 1e3,
        prompt: match shape {
            Shape::Chat => chat(&pieces),
            Shape::Flat => Prompt::Flat(pieces),
        },
        output: output.max(1),
        tenant: Tenant::First,
    })
}

fn chat(pieces: &[Piece]) -> Prompt {
    let (system, rest) = pieces.split_at(pieces.len().min(1));
    let mut messages = vec![(Role::System, system.to_vec())];
    let last_group = rest.len().saturating_sub(1) / GROUP;
    for (number, group) in rest.chunks(GROUP).enumerate() {
        if number == last_group {
            messages.push((Role::User, group.to_vec()));
        } else {
            let (asked, answered) = group.split_at(GROUP - 1);
            messages.push((Role::User, asked.to_vec()));
            messages.push((Role::Assistant, answered.to_vec()));
        }
    }
    if rest.is_empty() {
        messages[0].0 = Role::User;
    }
    Prompt::Chat(messages)
}

/// Spreads those that have the same time evenly up to the next bucket.
fn spread(mut requests: Vec<Request>) -> Vec<Request> {
    for bucket in requests.chunk_by_mut(|one, other| one.at_s == other.at_s) {
        let gap = BUCKET_S / bucket.len() as f64;
        for (number, request) in bucket.iter_mut().enumerate() {
            request.at_s += number as f64 * gap;
        }
    }
    requests
}

/// The first 1,500 of 12,031: more would take the run hours.
const REQUESTS: usize = 1_500;
const GROUP: usize = 4;
const BUCKET_S: f64 = 3.0;

#[cfg(test)]
mod tests {
    use super::*;

    fn line(ids: &str, length: u32) -> String {
        format!(r#"{{"timestamp":3000,"input_length":{length},"output_length":7,"hash_ids":[{ids}]}}"#)
    }

    #[test]
    fn equal_ids_give_equal_pieces_and_the_last_has_the_rest() {
        let flat = |ids, length| match parse(&line(ids, length), Shape::Flat).map(|request| request.prompt) {
            Some(Prompt::Flat(pieces)) => pieces,
            Some(Prompt::Chat(_)) | None => Vec::new(),
        };
        let (one, other) = (flat("0,1,2", 1_100), flat("0,1,3", 1_536));
        assert_eq!(one.iter().map(|piece| piece.tokens).collect::<Vec<_>>(), [512, 512, 76]);
        assert_eq!(one[..2], other[..2]);
        assert_ne!(one[2].id, other[2].id);
        assert!(parse("{}", Shape::Flat).is_none());
    }

    #[test]
    fn a_chats_messages_end_where_a_longer_ones_do() {
        let roles = |ids, length| match parse(&line(ids, length), Shape::Chat).map(|request| request.prompt) {
            Some(Prompt::Chat(messages)) => messages.iter().map(|(role, pieces)| (*role, pieces.len())).collect(),
            Some(Prompt::Flat(_)) | None => Vec::new(),
        };
        assert_eq!(roles("0", 100), [(Role::User, 1)]);
        assert_eq!(roles("0,1,2,3,4", 2_500), [(Role::System, 1), (Role::User, 4)]);
        assert_eq!(
            roles("0,1,2,3,4,5", 3_000),
            [
                (Role::System, 1),
                (Role::User, 3),
                (Role::Assistant, 1),
                (Role::User, 1)
            ]
        );
    }

    #[test]
    fn a_bucket_is_spread_over_its_three_seconds() {
        let at = |at_s| Request {
            at_s,
            prompt: Prompt::Flat(Vec::new()),
            output: 1,
            tenant: Tenant::First,
        };
        let times: Vec<f64> = spread(vec![at(0.0), at(0.0), at(0.0), at(3.0)])
            .iter()
            .map(|request| request.at_s)
            .collect();
        assert_eq!(times, [0.0, 1.0, 2.0, 3.0]);
    }
}
