//! The schedule as `cargo xtask bench routing` writes it, a JSON object a line:
//! `{"at_ms":0,"output":500,"tenant":0,"messages":[["system",[[ID,TOKENS,PREFIX],…]],…]}`, or `"prompt":[[ID,TOKENS,PREFIX],…]` for
//! a completion. ID names a text of so many tokens, PREFIX all of the prompt up to its end.

use std::io::{BufRead as _, BufReader, Error, ErrorKind, Result};
use std::path::Path;

use serde_json::Value;

use super::oracle::Block;
use super::text;

/// A request, and when it is due.
#[derive(Debug)]
pub struct Request {
    /// Milliseconds since the first one, before any speed-up.
    pub at_ms: u64,
    /// Tokens of the answer.
    output: u64,
    /// Whose it is, by number.
    pub tenant: usize,
    /// What is asked.
    pub prompt: Prompt,
}

/// A prompt in pieces.
#[derive(Debug)]
pub enum Prompt {
    /// Of a chat: roles and their texts.
    Chat(Vec<(String, Vec<Piece>)>),
    /// Of a completion.
    Flat(Vec<Piece>),
}

/// A text.
#[derive(Clone, Copy, Debug)]
pub struct Piece {
    id: u64,
    tokens: u32,
    prefix: u64,
}

/// Reads the schedule in a file.
///
/// # Errors
/// When it cannot be read, or a line of it is something else.
pub fn read(file: &Path) -> Result<Vec<Request>> {
    let lines = BufReader::new(std::fs::File::open(file)?).lines();
    lines
        .map(|line| {
            let line = line?;
            let value: Value = serde_json::from_str(&line)?;
            request(&value).ok_or_else(|| Error::new(ErrorKind::InvalidData, line))
        })
        .collect()
}

fn request(value: &Value) -> Option<Request> {
    let prompt = match value.get("prompt") {
        Some(flat) => Prompt::Flat(pieces(flat)?),
        None => {
            let messages = value["messages"].as_array()?.iter();
            let message = |message: &Value| Some((message[0].as_str()?.to_owned(), pieces(&message[1])?));
            Prompt::Chat(messages.map(message).collect::<Option<_>>()?)
        }
    };
    Some(Request {
        at_ms: value["at_ms"].as_u64()?,
        output: value["output"].as_u64()?,
        tenant: usize::try_from(value["tenant"].as_u64().unwrap_or(0)).ok()?,
        prompt,
    })
}

fn pieces(value: &Value) -> Option<Vec<Piece>> {
    let piece = |piece: &Value| {
        Some(Piece {
            id: piece[0].as_u64()?,
            tokens: u32::try_from(piece[1].as_u64()?).ok()?,
            prefix: piece[2].as_u64()?,
        })
    };
    value.as_array()?.iter().map(piece).collect()
}

impl Request {
    /// The path that it is sent to.
    pub fn path(&self) -> &'static str {
        match self.prompt {
            Prompt::Chat(_) => "/v1/chat/completions",
            Prompt::Flat(_) => "/v1/completions",
        }
    }

    /// The body, which asks for a stream of exactly so many tokens. Texts are letters and blanks: nothing is escaped.
    pub fn body(&self) -> String {
        let mut body = format!(
            "{{\"model\":\"bench\",\"stream\":true,\"stream_options\":{{\"include_usage\":true}},\"max_tokens\":{},\
             \"ignore_eos\":true,",
            self.output
        );
        match &self.prompt {
            Prompt::Flat(pieces) => {
                body.push_str("\"prompt\":\"");
                write(pieces, &mut body);
                body.push_str("\"}");
            }
            Prompt::Chat(messages) => {
                body.push_str("\"messages\":[");
                for (at, (role, pieces)) in messages.iter().enumerate() {
                    let comma = if at > 0 { "," } else { "" };
                    body.push_str(&format!("{comma}{{\"role\":\"{role}\",\"content\":\""));
                    write(pieces, &mut body);
                    body.push_str("\"}");
                }
                body.push_str("]}");
            }
        }
        body
    }
}

fn write(pieces: &[Piece], body: &mut String) {
    for piece in pieces {
        text::write(piece.id, piece.tokens, body);
    }
}

impl Prompt {
    /// How long it is.
    pub fn tokens(&self) -> u64 {
        self.blocks().iter().map(|block| u64::from(block.tokens)).sum()
    }

    /// Its pieces as a cache holds them.
    pub fn blocks(&self) -> Vec<Block> {
        let block = |piece: &Piece| Block {
            prefix: piece.prefix,
            tokens: piece.tokens,
        };
        match self {
            Self::Flat(pieces) => pieces.iter().map(block).collect(),
            Self::Chat(messages) => messages.iter().flat_map(|(_, pieces)| pieces).map(block).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_becomes_a_request_with_the_text_that_its_pieces_name() {
        let line = r#"{"at_ms":7,"output":3,"messages":[["system",[[1,2,9]]],["user",[[1,2,10],[5,1,11]]]]}"#;
        let read = request(&serde_json::from_str(line).unwrap()).unwrap();
        let body: Value = serde_json::from_str(&read.body()).unwrap();
        let (system, user) = (&body["messages"][0], &body["messages"][1]);
        assert_eq!(
            (&system["role"], &user["role"]),
            (&Value::from("system"), &Value::from("user"))
        );
        assert!(
            user["content"]
                .as_str()
                .unwrap()
                .starts_with(system["content"].as_str().unwrap())
        );
        assert_eq!(user["content"].as_str().unwrap().split(' ').skip(1).count(), 3);
        assert_eq!(
            (read.path(), body["max_tokens"].as_u64()),
            ("/v1/chat/completions", Some(3))
        );
        assert_eq!(read.prompt.blocks()[2], Block { prefix: 11, tokens: 1 });

        let line = r#"{"at_ms":7,"output":3,"tenant":1,"prompt":[[1,2,9]]}"#;
        let flat = request(&serde_json::from_str(line).unwrap()).unwrap();
        assert_eq!([read.tenant, flat.tenant], [0, 1]);
        assert_eq!([read.prompt.tokens(), flat.prompt.tokens()], [5, 2]);
        let flat_body: Value = serde_json::from_str(&flat.body()).unwrap();
        assert_eq!(
            (flat.path(), &flat_body["prompt"]),
            ("/v1/completions", &system["content"])
        );
        assert!(request(&serde_json::json!({ "at_ms": 1, "output": 1 })).is_none());
    }
}
