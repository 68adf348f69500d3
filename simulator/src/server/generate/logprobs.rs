//! The log probabilities of an answer's tokens, in the shapes of the two APIs.

use std::ops::Range;

use super::plan::{Choice, Plan};
use super::shape::{ChatLogprobs, CompletionLogprobs, TokenLogprob};
use crate::language::answer::Emission;
use crate::language::logprobs::{Scored, score};
use crate::language::tokens::{TokenId, decode, decode_into};

impl Plan {
    /// Those of some positions of a chat's choice, if they are asked for.
    pub fn chat_logprobs(&self, choice: &Choice, range: Range<usize>) -> Option<ChatLogprobs> {
        let top = self.top_logprobs?;
        let scored = range.filter(|position| is_text(choice, *position));
        let content = scored.map(|position| {
            let (chosen, candidates) = score(choice.seed, position, choice.answer.tokens[position], top);
            let candidates = candidates
                .iter()
                .map(|candidate| token_logprob(candidate, None))
                .collect();
            token_logprob(&chosen, Some(candidates))
        });
        Some(ChatLogprobs {
            content: content.collect(),
        })
    }

    /// Those of some positions of a completion's choice, if they are asked for.
    pub fn completion_logprobs(&self, choice: &Choice, range: Range<usize>) -> Option<CompletionLogprobs> {
        let top = self.top_logprobs?;
        let base = choice.echo.as_ref().map_or(0, String::len);
        let mut logprobs = CompletionLogprobs {
            text_offset: Vec::new(),
            token_logprobs: Vec::new(),
            tokens: Vec::new(),
            top_logprobs: Vec::new(),
        };
        for position in range {
            let Some(Emission::Text(shown)) = choice.answer.emissions.get(position) else {
                continue;
            };
            let (chosen, candidates) = score(choice.seed, position, choice.answer.tokens[position], top);
            logprobs.text_offset.push(base + shown.start);
            logprobs.token_logprobs.push(chosen.logprob);
            logprobs.tokens.push(decode(&[chosen.token]));
            let candidates = candidates
                .iter()
                .map(|candidate| (decode(&[candidate.token]), candidate.logprob));
            logprobs.top_logprobs.push(candidates.collect());
        }
        Some(logprobs)
    }
}

fn is_text(choice: &Choice, position: usize) -> bool {
    matches!(choice.answer.emissions.get(position), Some(Emission::Text(_)))
}

fn token_logprob(scored: &Scored, top_logprobs: Option<Vec<TokenLogprob>>) -> TokenLogprob {
    let bytes = token_bytes(scored.token);
    TokenLogprob {
        token: decode(&[scored.token]),
        logprob: scored.logprob,
        bytes,
        top_logprobs,
    }
}

fn token_bytes(token: TokenId) -> Vec<u8> {
    let mut bytes = Vec::new();
    decode_into(token, &mut bytes);
    bytes
}
