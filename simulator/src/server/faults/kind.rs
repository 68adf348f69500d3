//! The kinds of faults and what each does to a request. `after` counts SSE events, the one with the role included; an
//! answer with fewer events ends before the fault. Without streaming, such a fault strikes in the middle of the body.

use http::StatusCode;
use serde::{Deserialize, Serialize};

use crate::server::error::ApiError;

/// What goes wrong. In JSON the variant is `kind`, in snake case, with its fields beside it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Fault {
    /// The connection is reset as soon as the request is read.
    Refuse {},
    /// The request is never answered.
    Hang {},
    /// The request is answered with this status and an error in vLLM's shape.
    Status {
        /// 400 to 599.
        status: u16,
        /// Value of `retry-after`, as it is to appear.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        retry_after: Option<String>,
        /// The error's message.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        message: Option<String>,
    },
    /// The stream stops, for a time or for good, with the connection open. For good, it stays in the engine's batch.
    Stall {
        /// Events before it.
        #[serde(default)]
        after: u32,
        /// How long, in milliseconds; for good when absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        for_ms: Option<u64>,
    },
    /// The connection closes in the middle of the body, without `[DONE]`.
    Cut {
        /// Events before it.
        #[serde(default)]
        after: u32,
        /// Whether it is reset instead of closed.
        #[serde(default)]
        reset: bool,
    },
    /// The body ends in good order, but without `[DONE]`, finish reason or usage.
    EndEarly {
        /// Events before it.
        #[serde(default)]
        after: u32,
    },
    /// An error event inside the stream, then `[DONE]`, as vLLM does it; without streaming, an error reply.
    StreamError {
        /// Events before it; 0 makes it the first event of a status 200 stream.
        #[serde(default)]
        after: u32,
        /// The error's code.
        #[serde(default = "internal_server_error")]
        status: u16,
        /// The error's message.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        message: Option<String>,
    },
    /// One event is JSON that breaks off; the stream goes on behind it. Without streaming, the whole body breaks off.
    Malformed {
        /// Events before it.
        #[serde(default)]
        after: u32,
    },
    /// The answer turns into noise.
    Gibberish {
        /// Tokens before it.
        #[serde(default)]
        after: u32,
    },
    /// The answer repeats itself until its limit.
    Repetition {
        /// Tokens before it.
        #[serde(default)]
        after: u32,
    },
    /// The answer has no content.
    Empty {},
    /// The answer calls a tool that the request does not declare.
    UndeclaredTool {
        /// Its name.
        #[serde(default = "undeclared_tool")]
        name: String,
    },
    /// The answer calls a declared tool (or `broken_tool` if there is none) with arguments that are no JSON.
    BrokenArguments {},
    /// The answer's finish reason is this one.
    FinishReason {
        /// May be one that no API knows.
        reason: String,
    },
    /// The GPU runs out of memory: status 500.
    OutOfMemory {
        /// Whether the engine dies of it: every request under way is lost, the cache too, and `/health` is 503.
        #[serde(default)]
        crash: bool,
        /// How long it stays dead, in milliseconds.
        #[serde(default = "restart_ms")]
        restart_ms: u64,
    },
    /// Each token takes so many times as long as on an idle engine; on a profile without delays, so many milliseconds.
    Slow {
        /// At least 1.
        factor: f64,
    },
    /// The stream is the same to a parser, and looks different to a careless one.
    Framing {
        /// Writes pieces of so many bytes.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        split: Option<usize>,
        /// Milliseconds between pieces, so that they arrive apart.
        #[serde(default)]
        pause_ms: u64,
        /// Lines end with CRLF.
        #[serde(default)]
        crlf: bool,
        /// Comment lines stand between events.
        #[serde(default)]
        comments: bool,
        /// Each event has an `event:` and an `id:` line.
        #[serde(default)]
        event_lines: bool,
        /// The JSON of each event is spread over two `data:` lines.
        #[serde(default)]
        data_lines: bool,
    },
}

/// The faults that hit one request, oldest first.
#[derive(Debug, Default)]
pub(in crate::server) struct DrawnFaults(pub Vec<Fault>);

/// How a body is broken off, and after how many events.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::server) enum Break {
    Stall { for_ms: Option<u64> },
    Cut { reset: bool },
    EndEarly,
    Error(ApiError),
    Malformed,
}

impl DrawnFaults {
    /// How and when the body is broken off.
    pub fn break_off(&self) -> Option<(usize, Break)> {
        self.0
            .iter()
            .find_map(|fault| match fault {
                Fault::Stall { after, for_ms } => Some((*after, Break::Stall { for_ms: *for_ms })),
                Fault::Cut { after, reset } => Some((*after, Break::Cut { reset: *reset })),
                Fault::EndEarly { after } => Some((*after, Break::EndEarly)),
                Fault::StreamError { after, status, message } => {
                    Some((*after, Break::Error(simulated(*status, message.as_deref(), None))))
                }
                Fault::Malformed { after } => Some((*after, Break::Malformed)),
                Fault::Refuse {}
                | Fault::Hang {}
                | Fault::Status { .. }
                | Fault::Gibberish { .. }
                | Fault::Repetition { .. }
                | Fault::Empty {}
                | Fault::UndeclaredTool { .. }
                | Fault::BrokenArguments {}
                | Fault::FinishReason { .. }
                | Fault::OutOfMemory { .. }
                | Fault::Slow { .. }
                | Fault::Framing { .. } => None,
            })
            .map(|(after, kind)| (after as usize, kind))
    }

    /// After how many tokens the engine gives no more: a stall for good, which stays in the engine's batch.
    pub fn stuck_after(&self) -> Option<u32> {
        self.0.iter().find_map(|fault| {
            if let Fault::Stall { after, for_ms: None } = fault {
                Some(*after)
            } else {
                None
            }
        })
    }

    /// By how much the answer is slowed down.
    pub fn slow_factor(&self) -> Option<f64> {
        self.0.iter().find_map(|fault| {
            if let Fault::Slow { factor } = fault {
                Some(*factor)
            } else {
                None
            }
        })
    }

    /// A finish reason to give instead of the true one.
    pub fn finish_reason(&self) -> Option<&str> {
        self.0.iter().find_map(|fault| {
            if let Fault::FinishReason { reason } = fault {
                Some(reason.as_str())
            } else {
                None
            }
        })
    }
}

/// The error that a fault answers with.
pub(in crate::server) fn simulated(status: u16, message: Option<&str>, retry_after: Option<&str>) -> ApiError {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let message = message.map_or_else(|| default_message(status).to_owned(), str::to_owned);
    ApiError::Simulated {
        status,
        message,
        retry_after: retry_after.map(str::to_owned),
    }
}

/// What PyTorch says.
pub(in crate::server) const OUT_OF_MEMORY: &str = "CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total \
    capacity of 79.10 GiB of which 1.12 GiB is free.";

fn default_message(status: StatusCode) -> &'static str {
    match status.as_u16() {
        429 => "Too many requests. Please try again later.",
        503 => "The engine is overloaded. Please try again later.",
        _ => "EngineCore encountered an issue. See stack trace (above) for the root cause.",
    }
}

const fn internal_server_error() -> u16 {
    500
}

const fn restart_ms() -> u64 {
    1_000
}

fn undeclared_tool() -> String {
    "undeclared_tool".to_owned()
}
