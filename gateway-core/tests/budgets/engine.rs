//! Engines whose answers take what chance decides, and what the audit hears of them. A request's prompt is tokens, and
//! its answer one token at most, so that what it reserves can be read off it: its prompt and one.

use std::cell::RefCell;
use std::ops::Range;
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use futures::{FutureExt, StreamExt, stream};
use http::Response;
use serde_json::{Value, json};
use tidegate_core::platform::SendError;
use tidegate_virtual::{BodyStream, Engines, ProcessId, Random};

use crate::audit::Audit;

/// What answers take.
#[derive(Clone, Debug)]
pub struct Answers {
    /// Tokens, prompt included.
    pub takes: Range<u64>,
    /// How long they run.
    pub runs: Range<Duration>,
}

/// A request that reserves so many tokens, at least two.
pub fn request(reserves: u64) -> String {
    let prompt = vec![7; usize::try_from(reserves - 1).unwrap()];
    json!({"model": "model", "prompt": prompt, "max_tokens": 1}).to_string()
}

/// Engines that answer so. Each request that they are sent is told to the audit, and how it ends.
pub fn engines(audit: &Rc<RefCell<Audit>>, answers: Answers, seed: u64) -> Engines {
    let (audit, random) = (Rc::clone(audit), RefCell::new(Random::new(seed)));
    Rc::new(move |caller, upstream| {
        let body: Value = serde_json::from_slice(upstream.request.body()).unwrap();
        let prompt = body["prompt"].as_array().unwrap().len() as u64;
        let (takes, runs) = {
            let mut random = random.borrow_mut();
            (random.within(answers.takes.clone()), random.time_within(&answers.runs))
        };
        let running = Running::begin(&audit, caller.process, prompt);
        let clock = caller.clock;
        async move {
            clock.sleep(runs).await;
            running.end(takes);
            Ok(answer(prompt, takes))
        }
        .boxed_local()
    })
}

/// An answer whose usage costs that much.
pub fn answer(prompt: u64, takes: u64) -> Response<BodyStream> {
    let completion = takes.saturating_sub(prompt);
    let cached = prompt.saturating_sub(takes);
    let usage = json!({
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "prompt_tokens_details": {"cached_tokens": cached},
    });
    let body = json!({"model": "model", "choices": [], "usage": usage}).to_string();
    let pieces = stream::iter([Ok::<_, SendError>(Bytes::from(body))]);
    Response::builder()
        .header("content-type", "application/json")
        .body(pieces.boxed_local())
        .unwrap()
}

/// A request that an engine works on. One whose client leaves pays for its prompt.
struct Running {
    audit: Rc<RefCell<Audit>>,
    process: ProcessId,
    prompt: u64,
    is_over: bool,
}

impl Running {
    fn begin(audit: &Rc<RefCell<Audit>>, process: ProcessId, prompt: u64) -> Self {
        audit.borrow_mut().on_dispatched(process, prompt + 1);
        Self {
            audit: Rc::clone(audit),
            process,
            prompt,
            is_over: false,
        }
    }

    fn end(mut self, takes: u64) {
        self.is_over = true;
        self.audit.borrow_mut().on_ended(self.process, self.prompt + 1, takes);
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if !self.is_over {
            let prompt = self.prompt;
            self.audit.borrow_mut().on_ended(self.process, prompt + 1, prompt);
        }
    }
}
