//! Engines that do what a test tells them.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use futures::stream::{self, StreamExt};
use futures::{FutureExt, future};
use http::{Request, Response};
use tidegate_core::platform::SendError;

use crate::clock::Clock;
use crate::engines::{BodyStream, EngineAnswer, Engines};

/// What an engine does with a request.
#[derive(Clone, Debug)]
pub enum Reaction {
    /// Answers with that status, content type and pieces of a body.
    Answer(u16, &'static str, Vec<Piece>),
    /// No connection.
    Refuse,
    /// The kept connection is closed before anything comes.
    Lose,
    /// Never answers.
    Hang,
}

/// What comes of a body.
#[derive(Clone, Debug)]
pub enum Piece {
    /// This text.
    Text(String),
    /// These bytes, which may be half of a character.
    Bytes(Bytes),
    /// Nothing for that long.
    Wait(Duration),
    /// The connection breaks.
    Break,
}

type React = dyn Fn(&Request<Bytes>) -> Reaction;

/// Engines that react as a function says.
pub struct Script {
    react: Box<React>,
    cancelled: Cell<usize>,
}

impl Script {
    /// Engines that react so.
    pub fn new(react: impl Fn(&Request<Bytes>) -> Reaction + 'static) -> Rc<Self> {
        Rc::new(Self {
            react: Box::new(react),
            cancelled: Cell::new(0),
        })
    }

    /// Them as the world wants them.
    pub fn engines(self: &Rc<Self>) -> Engines {
        let script = Rc::clone(self);
        Rc::new(move |caller, upstream| script.answer(caller.clock, &upstream.request))
    }

    /// How many requests were dropped before their end.
    pub fn cancelled(&self) -> usize {
        self.cancelled.get()
    }

    fn answer(self: &Rc<Self>, clock: Rc<Clock>, request: &Request<Bytes>) -> EngineAnswer {
        let open = Open {
            script: Rc::clone(self),
            is_over: false,
        };
        match (self.react)(request) {
            Reaction::Refuse => {
                open.end();
                future::ready(Err(SendError::Connect("refused".to_owned()))).boxed_local()
            }
            Reaction::Lose => {
                open.end();
                future::ready(Err(SendError::Lost("closed".to_owned()))).boxed_local()
            }
            Reaction::Hang => async move {
                let _open = open;
                future::pending().await
            }
            .boxed_local(),
            Reaction::Answer(status, content_type, pieces) => {
                let pieces = Pieces {
                    clock,
                    left: pieces.into_iter(),
                    open: Some(open),
                };
                let body: BodyStream = stream::unfold(pieces, Pieces::next).boxed_local();
                let mut response = Response::new(body);
                *response.status_mut() = http::StatusCode::from_u16(status).unwrap_or_default();
                let content_type = http::HeaderValue::from_static(content_type);
                response.headers_mut().insert(http::header::CONTENT_TYPE, content_type);
                future::ready(Ok(response)).boxed_local()
            }
        }
    }
}

/// A body that is still to come.
struct Pieces {
    clock: Rc<Clock>,
    left: std::vec::IntoIter<Piece>,
    /// `None` when the body is over.
    open: Option<Open>,
}

impl Pieces {
    async fn next(mut self) -> Option<(Result<Bytes, SendError>, Self)> {
        loop {
            match self.left.next() {
                Some(Piece::Wait(duration)) => self.clock.sleep(duration).await,
                Some(Piece::Text(text)) => return Some((Ok(text.into()), self)),
                Some(Piece::Bytes(bytes)) => return Some((Ok(bytes), self)),
                Some(Piece::Break) => {
                    self.end();
                    return Some((Err(SendError::Broken("broken".to_owned())), self));
                }
                None => {
                    self.end();
                    return None;
                }
            }
        }
    }

    fn end(&mut self) {
        if let Some(open) = self.open.take() {
            open.end();
        }
    }
}

/// A request that an engine works on.
struct Open {
    script: Rc<Script>,
    is_over: bool,
}

impl Open {
    /// It has come to its end.
    fn end(mut self) {
        self.is_over = true;
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        if !self.is_over {
            self.script.cancelled.set(self.script.cancelled.get() + 1);
        }
    }
}
