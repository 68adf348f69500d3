//! A stream that passes, put together as the whole answer that is kept. It hears each event as its engine sent it, so that
//! nothing is missing that this client did not ask for, and holds no more than the largest answer that is kept.

use std::cell::RefCell;
use std::rc::Rc;

use super::Caching;
use crate::api::{AnswerAssembler, AnswerRewriter, Generation, SseEvent};
use crate::platform::Platform;

/// The recording of one answer.
#[derive(Debug)]
pub(in crate::pipeline) struct Recording<P: Platform> {
    caching: Rc<Caching<P>>,
    rewriter: AnswerRewriter,
    /// `None` once the answer is too large, or handed over.
    assembler: RefCell<Option<AnswerAssembler>>,
    request: Generation,
    is_bounded: bool,
}

impl<P: Platform> Recording<P> {
    /// Of the answer to that request. `is_bounded` says that its tenant's budgets bound it.
    pub fn new(caching: &Rc<Caching<P>>, request: &Generation, is_bounded: bool) -> Self {
        let dialect = request.dialect();
        Self {
            caching: Rc::clone(caching),
            rewriter: dialect.rewriter(caching.model(), true),
            assembler: RefCell::new(Some(dialect.assembler(caching.most_bytes()))),
            request: request.clone(),
            is_bounded,
        }
    }

    /// An event has passed.
    pub fn on_event(&mut self, event: &SseEvent<'_>) {
        let Some(assembler) = self.assembler.get_mut() else {
            return;
        };
        let mut events = Vec::new();
        let is_read = self.rewriter.rewrite_event(event, &mut events).is_ok();
        if !is_read || assembler.push(&events).is_err() {
            self.assembler.take();
            self.caching.discard();
        }
    }

    /// The answer is not one to be given again.
    pub fn discard(&self) {
        self.caching.discard();
    }

    /// The stream has come to its proper end.
    pub fn on_end(&self) {
        let assembler = self.assembler.borrow_mut().take();
        match assembler.and_then(AnswerAssembler::finish) {
            Some(body) => self.caching.on_whole(&self.request, &body, self.is_bounded),
            None => self.caching.discard(),
        }
    }
}
