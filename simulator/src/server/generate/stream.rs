//! A streamed answer: one event per token, or per so many of them, as the engine gives them out, and the faults that
//! strike a stream.

use std::collections::VecDeque;
use std::io;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, StatusCode, header};

use super::plan::{Plan, Style};
use super::render::event;
use super::shape::Usage;
use crate::server::connection::Connection;
use crate::server::driver::{EngineError, Ticket};
use crate::server::error::ApiError;
use crate::server::faults::{Break, DrawnFaults, Framer};
use crate::server::record::Exchange;
use crate::server::reply::{Reply, ReplyBody, reply as make_reply};
use crate::server::wire::StreamOptions;

/// How a stream is given out.
#[derive(Debug, Clone, Copy)]
pub(super) struct Delivery {
    /// As the request says.
    pub options: StreamOptions,
    /// Tokens in one event, behind the first.
    pub interval: NonZeroU32,
}

/// The reply, whose body is a stream of events.
pub(super) fn reply(plan: Plan, ticket: Ticket, delivery: Delivery, exchange: &Exchange, drawn: &DrawnFaults) -> Reply {
    let Delivery { options, interval } = delivery;
    let streamer = Streamer {
        phase: if plan.style == Style::Chat {
            Phase::Roles { next: 0 }
        } else {
            Phase::Tokens
        },
        positions: vec![0; plan.choices.len()],
        interval: interval.get() as usize,
        plan,
        ticket,
        include_usage: options.include_usage == Some(true),
        continuous_usage: options.continuous_usage_stats == Some(true),
        break_off: drawn.break_off(),
        framer: Framer::of(drawn),
        pieces: VecDeque::new(),
        sent: 0,
        connection: Connection::of(exchange.parts()),
    };
    let events = futures::stream::unfold(Box::new(streamer), |mut streamer| async move {
        let item = streamer.next_item().await?;
        Some((item, streamer))
    });
    let mut reply = make_reply(
        StatusCode::OK,
        "text/event-stream; charset=utf-8",
        ReplyBody::stream(events),
    );
    reply
        .headers_mut()
        .insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    reply
}

struct Streamer {
    plan: Plan,
    ticket: Ticket,
    phase: Phase,
    /// Tokens of each choice that are sent.
    positions: Vec<usize>,
    /// Tokens that an event waits for, behind the first.
    interval: usize,
    include_usage: bool,
    continuous_usage: bool,
    break_off: Option<(usize, Break)>,
    framer: Framer,
    /// What is left of the event being written.
    pieces: VecDeque<Bytes>,
    /// Events sent.
    sent: usize,
    connection: Option<Arc<Connection>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Roles { next: usize },
    Tokens,
    Usage,
    Done,
    Over,
}

impl Streamer {
    async fn next_item(&mut self) -> Option<io::Result<Bytes>> {
        if let Some(piece) = self.next_piece().await {
            return Some(Ok(piece));
        }
        let event = match self.next_event().await {
            Ok(Some(event)) => event,
            Ok(None) => return None,
            Err(error) => {
                self.phase = Phase::Over;
                return Some(Err(error));
            }
        };
        self.sent += 1;
        if self.framer.is_plain() {
            return Some(Ok(event));
        }
        self.pieces = self.framer.pieces(&event, self.sent).into();
        self.pieces.pop_front().map(Ok)
    }

    /// The next piece of an event that is written in several, in a write of its own.
    async fn next_piece(&mut self) -> Option<Bytes> {
        let piece = self.pieces.pop_front()?;
        match self.framer.pause {
            Some(pause) => tokio::time::sleep(pause).await,
            None => tokio::task::yield_now().await,
        }
        Some(piece)
    }

    async fn next_event(&mut self) -> io::Result<Option<Bytes>> {
        let due = self.break_off.as_ref().is_some_and(|(after, _)| self.sent >= *after);
        if due
            && self.phase != Phase::Over
            && let Some((_, kind)) = self.break_off.take()
            && let Some(event) = self.break_off(kind).await?
        {
            return Ok(Some(event));
        }
        Ok(self.next_regular_event().await)
    }

    /// Does what the fault says; gives the event that it puts into the stream, if any.
    async fn break_off(&mut self, kind: Break) -> io::Result<Option<Bytes>> {
        // What was sent so far leaves before the fault strikes.
        tokio::task::yield_now().await;
        match kind {
            Break::Stall { for_ms: None } => futures::future::pending().await,
            Break::Stall { for_ms: Some(ms) } => tokio::time::sleep(Duration::from_millis(ms)).await,
            Break::Cut { reset } => {
                if let Some(connection) = self.connection.as_ref().filter(|_| reset) {
                    connection.reset_on_close();
                }
                return Err(io::Error::new(io::ErrorKind::ConnectionAborted, "cut by a fault"));
            }
            Break::EndEarly => self.phase = Phase::Over,
            Break::Error(error) => {
                self.phase = Phase::Done;
                return Ok(Some(event(&error.json())));
            }
            Break::Malformed => return Ok(Some(self.malformed_event())),
        }
        Ok(None)
    }

    async fn next_regular_event(&mut self) -> Option<Bytes> {
        loop {
            match self.phase {
                Phase::Roles { next } => {
                    if let Err(error) = self.wait_for_token().await {
                        return Some(self.engine_failed(error));
                    }
                    let last = next + 1 == self.plan.choices.len();
                    self.phase = if last {
                        Phase::Tokens
                    } else {
                        Phase::Roles { next: next + 1 }
                    };
                    return Some(self.plan.role_event(next, self.usage_so_far()));
                }
                Phase::Tokens => {
                    if let Some(event) = self.next_token_event() {
                        return Some(event);
                    }
                    if self.is_complete() {
                        self.phase = Phase::Usage;
                    } else if let Err(error) = self.ticket.moved().await {
                        return Some(self.engine_failed(error));
                    }
                }
                Phase::Usage => {
                    self.phase = Phase::Done;
                    if self.include_usage {
                        return Some(self.plan.usage_event(self.usage()));
                    }
                }
                Phase::Done => {
                    self.phase = Phase::Over;
                    return Some(Bytes::from_static(b"data: [DONE]\n\n"));
                }
                Phase::Over => return None,
            }
        }
    }

    async fn wait_for_token(&self) -> Result<(), EngineError> {
        while (0..self.plan.choices.len()).all(|index| self.ticket.emitted(index) == 0) {
            self.ticket.moved().await?;
        }
        self.ticket.check()
    }

    /// The next tokens that are out and due: of the choice that is furthest behind.
    fn next_token_event(&mut self) -> Option<Bytes> {
        let due = (0..self.positions.len()).filter(|index| self.is_due(*index));
        let index = due.min_by_key(|index| self.positions[*index])?;
        let position = self.positions[index];
        let out = self.ticket.emitted(index).min(position + self.interval);
        let end = self.plan.event_end(index, position..out);
        self.positions[index] = end;
        Some(self.plan.token_event(index, position..end, self.usage_so_far()))
    }

    /// Whether a choice has enough tokens for an event: the first is sent at once, and what is left when all are out.
    fn is_due(&self, index: usize) -> bool {
        let (sent, out) = (self.positions[index], self.ticket.emitted(index));
        let is_all = out == self.plan.choices[index].answer.emissions.len();
        sent < out && (sent == 0 || is_all || out - sent >= self.interval)
    }

    fn is_complete(&self) -> bool {
        let mut both = self.positions.iter().zip(&self.plan.choices);
        both.all(|(position, choice)| *position == choice.answer.emissions.len())
    }

    fn engine_failed(&mut self, error: EngineError) -> Bytes {
        self.phase = Phase::Done;
        event(&ApiError::Engine(error).json())
    }

    fn usage_so_far(&self) -> Option<Usage> {
        (self.continuous_usage && self.include_usage).then(|| self.usage())
    }

    fn usage(&self) -> Usage {
        let sent: usize = self.positions.iter().sum();
        Usage::new(self.plan.prompt_tokens, sent as u32, self.ticket.cached_tokens(0))
    }

    /// A chunk that breaks off in the middle of a string.
    fn malformed_event(&self) -> Bytes {
        let whole = self.plan.role_event(0, None);
        let cut = whole.len() * 2 / 3;
        Bytes::from([&whole[..cut], b"\n\n"].concat())
    }
}
