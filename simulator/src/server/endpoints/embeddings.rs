//! `POST /v1/embeddings`: a prefill per input, and a unit vector that only its tokens decide.

use std::sync::Arc;

use http::StatusCode;
use serde::Serialize;

use crate::engine::prefix::{PrefixScope, block_hashes};
use crate::engine::sequence::{Pace, SequenceRequest};
use crate::language::answer::Finish;
use crate::language::embedding::{DEFAULT_DIMENSIONS, embed};
use crate::server::driver::Work;
use crate::server::error::ApiError;
use crate::server::faults::DrawnFaults;
use crate::server::prompt::{TextPrompt, prompts};
use crate::server::record::Exchange;
use crate::server::reply::{Reply, json_reply};
use crate::server::shared::{Shared, unix_seconds};
use crate::server::wire::{EmbeddingRequest, decode};

/// Most dimensions a request may ask for.
const MOST_DIMENSIONS: usize = 8_192;

#[derive(Serialize)]
struct Embeddings<'a> {
    id: String,
    object: &'static str,
    created: u64,
    model: &'a str,
    data: Vec<Embedding>,
    usage: Usage,
}

#[derive(Serialize)]
struct Embedding {
    index: usize,
    object: &'static str,
    embedding: Vector,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Vector {
    Floats(Vec<f32>),
    Base64(String),
}

#[derive(Serialize)]
struct Usage {
    prompt_tokens: u32,
    total_tokens: u32,
    completion_tokens: u32,
    prompt_tokens_details: Option<()>,
}

/// Answers the request.
pub(in crate::server) async fn embeddings(
    shared: &Arc<Shared>,
    exchange: &Exchange,
    drawn: &DrawnFaults,
) -> Result<Reply, ApiError> {
    let request: EmbeddingRequest = decode(exchange.body())?;
    let model = shared.find_model(request.model.as_deref())?;
    let inputs = prompts(shared, &request.input, request.add_special_tokens, "input")?;
    let form = Form::of(&request)?;
    let scope = PrefixScope {
        adapter: model.adapter,
        cache_salt: None,
    };
    let ticket = shared.driver.submit(
        inputs
            .iter()
            .map(|input| work(scope, input, shared.pace(drawn, false)))
            .collect(),
    )?;
    ticket.finished().await?;
    let prompt_tokens = inputs.iter().map(|input| input.tokens.len() as u32).sum();
    let data = inputs.iter().enumerate().map(|(index, input)| {
        let vector = embed(shared.options.seed, &input.tokens, form.dimensions);
        Embedding {
            index,
            object: "embedding",
            embedding: form.vector(vector),
        }
    });
    let body = Embeddings {
        id: format!("embd-{:032x}", exchange.id()),
        object: "list",
        created: unix_seconds(),
        model: model.name,
        data: data.collect(),
        usage: Usage {
            prompt_tokens,
            total_tokens: prompt_tokens,
            completion_tokens: 0,
            prompt_tokens_details: None,
        },
    };
    // Strings, finite numbers and lists of them always serialise.
    Ok(json_reply(
        StatusCode::OK,
        serde_json::to_vec(&body).unwrap_or_default(),
    ))
}

/// How vectors are to be written.
struct Form {
    dimensions: usize,
    in_base64: bool,
}

impl Form {
    fn of(request: &EmbeddingRequest) -> Result<Self, ApiError> {
        let dimensions = request.dimensions.unwrap_or(DEFAULT_DIMENSIONS);
        if !(1..=MOST_DIMENSIONS).contains(&dimensions) {
            return Err(ApiError::invalid(
                format!("dimensions must be 1 to {MOST_DIMENSIONS}, got {dimensions}."),
                "dimensions",
            ));
        }
        match request.encoding_format.as_deref() {
            None | Some("float") => Ok(Self {
                dimensions,
                in_base64: false,
            }),
            Some("base64") => Ok(Self {
                dimensions,
                in_base64: true,
            }),
            Some(other) => {
                let message = format!("encoding_format must be float or base64, got {other}.");
                Err(ApiError::invalid(message, "encoding_format"))
            }
        }
    }

    fn vector(&self, vector: Vec<f32>) -> Vector {
        if self.in_base64 {
            Vector::Base64(base64_of(&vector))
        } else {
            Vector::Floats(vector)
        }
    }
}

fn work(scope: PrefixScope<'_>, input: &TextPrompt, pace: Pace) -> Work {
    let request = SequenceRequest {
        prompt_tokens: input.tokens.len() as u32,
        output_tokens: 0,
        block_hashes: block_hashes(scope, &input.tokens),
        pace,
    };
    Work {
        request,
        finish: Finish::Stop,
    }
}

/// The vector's little-endian bytes in Base64 (RFC 4648, section 4).
fn base64_of(vector: &[f32]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let bytes: Vec<u8> = vector.iter().flat_map(|value| value.to_le_bytes()).collect();
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let group = chunk.iter().fold(0_u32, |group, byte| group << 8 | u32::from(*byte)) << (8 * (3 - chunk.len()));
        for digit in 0..4 {
            let is_padding = digit > chunk.len();
            let index = (group >> (18 - 6 * digit)) & 63;
            text.push(if is_padding {
                '='
            } else {
                char::from(ALPHABET[index as usize])
            });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_padded_and_little_endian() {
        assert_eq!(base64_of(&[1.0]), "AACAPw==");
        assert_eq!(base64_of(&[1.0, -2.0]), "AACAPwAAAMA=");
        assert_eq!(base64_of(&[1.0, -2.0, 0.5]), "AACAPwAAAMAAAAA/");
    }
}
