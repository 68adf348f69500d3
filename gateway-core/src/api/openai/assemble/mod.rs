//! The whole answer that an engine would have sent, put together from the chunks in which it streams it. It is made of
//! what the client of a stream would have been sent: names, reasons to finish and errors are the rewriter's.
//!
//! What is put together how, [`place`] says. Where engines' whole answers and streams differ:
//!
//! - vLLM (`entrypoints/openai/{chat_completion,completion}/{protocol,serving}.py`, 0.32 and main of 2026): whole answers
//!   alone have `prompt_logprobs`, `kv_transfer_params`, `ec_transfer_params` and `routed_experts`, and write members that
//!   are null, which chunks leave out. `token_ids` come piece by piece, `prompt_token_ids` and `prompt_text` in the first
//!   chunk, `system_fingerprint` and `metrics` beside the usage. The first chunk's content is `""`, also before tool calls
//!   and reasoning, where a whole answer's is null (`""` where the request demands a tool).
//! - SGLang (`srt/entrypoints/openai/{protocol,serving_chat,serving_completions}.py`): `hidden_states` stand in the choice
//!   of a whole answer and in a delta of a stream, where only the last token's are. Calls have an `index` in both.
//! - llama.cpp (`tools/server/server-task.cpp`): `timings`, and `__verbose` where it is asked for, are on the last chunk.
//!   With `--reasoning-format deepseek-legacy`, which is not the default, a stream has the reasoning in its content.
//! - TGI (`router/src/lib.rs`, 3.3): the same members in both; `logprobs` of completions are a bare array, later pieces of
//!   a call repeat its id as `""`.
//!
//! The other way about, `index` of a call and `obfuscation` stand in streams alone.
//!
//! It never reads what is inside a text, and never holds more than its bound.

mod alike;
mod joined;
mod place;
mod write;

use bytes::Bytes;

use self::alike::Alike;
use self::joined::{Members, Trace};
use self::place::Place;
use super::stream_end::is_end;
use crate::api::answer::AnswerTooLarge;

/// Puts one answer together.
#[derive(Debug)]
pub struct Assembler {
    answer: Members,
    /// The last chunk that was read in full, where those behind it may be like it.
    alike: Option<Alike>,
    /// What is held, in bytes.
    held: usize,
    limit: usize,
}

impl Assembler {
    /// Of an answer that may take so many bytes.
    pub fn new(limit: usize) -> Self {
        Self {
            answer: Members::default(),
            alike: None,
            held: 0,
            limit,
        }
    }

    /// Takes in events as the rewriter writes them: each one line of data.
    ///
    /// # Errors
    /// When the answer is over its limit.
    pub fn push(&mut self, events: &[u8]) -> Result<(), AnswerTooLarge> {
        let mut begin = 0;
        for end in memchr::memchr_iter(b'\n', events) {
            let line = &events[std::mem::replace(&mut begin, end + 1)..end];
            let data = line.strip_prefix(b"data: ").filter(|data| !is_end(data));
            let Some(chunk) = data else { continue };
            self.on_chunk(chunk);
            if self.held > self.limit {
                return Err(AnswerTooLarge { limit: self.limit });
            }
        }
        Ok(())
    }

    /// The answer; `None` where no chunk had a choice.
    pub fn finish(mut self) -> Option<Bytes> {
        self.read_alike();
        write::answer(&self.answer, self.held)
    }

    fn on_chunk(&mut self, chunk: &[u8]) {
        if let Some(added) = self.alike.as_mut().and_then(|alike| alike.add(chunk)) {
            self.held += added;
            return;
        }
        let Ok(chunk) = std::str::from_utf8(chunk) else { return };
        self.read_alike();
        let trace = self.join(chunk);
        self.alike = trace.single_text().map(|text| Alike::new(chunk, text));
    }

    /// Reads the chunks that were like the last one, as one.
    fn read_alike(&mut self) {
        let Some(alike) = self.alike.take() else { return };
        // They are counted again as they are read.
        self.held -= alike.added();
        if let Some(chunk) = alike.into_chunk() {
            self.join(&chunk);
        }
    }

    fn join<'c>(&mut self, chunk: &'c str) -> Trace<'c> {
        let mut trace = Trace::default();
        self.answer.join(Place::Answer, chunk, &mut trace);
        self.held = (self.held + trace.added).saturating_sub(trace.freed);
        trace
    }
}

#[cfg(test)]
mod tests;
