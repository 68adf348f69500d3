//! Why an attempt at a replica failed: whose fault it is and what may help. What is displayed is fit for clients:
//! names and addresses stay in the sources, which only operators see.

use std::time::Duration;

use bytes::Bytes;
use thiserror::Error;

use super::hop_error::HopError;
use crate::api::{EngineError, NoAnswer};
use crate::cells::CellError;
use crate::cluster::{Dropped, PassedOver, Refusal};
use crate::detect::Detector;
use crate::platform::SendError;

/// Whose fault an error is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The request is wrong.
    Client,
    /// An engine, or the way to it.
    Upstream,
    /// The gateway itself or what it stands on.
    Gateway,
}

/// What may help.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Remedy {
    /// Nothing: whoever is asked will say the same.
    Never,
    /// Another replica of the same cluster, or the next cluster where there is none.
    AnotherReplica,
    /// Another cluster: this one is out as a whole.
    AnotherCluster,
    /// Another tier: this one's model cannot take the request.
    AnotherTier,
    /// Only what needs no engine: time is up, or none can be reached from here.
    Canned,
}

/// Why an attempt gave no answer.
#[derive(Clone, Debug, PartialEq, Error)]
pub enum AttemptError {
    /// No replica of the cluster has room, or all breakers are open.
    #[error("no replica of the cluster can take the request now")]
    NoRoom {
        /// Until the first breaker lets a probe pass.
        recovery: Option<Duration>,
        /// Why not each of them.
        passed_over: PassedOver,
        /// How long its turn would take to come, as far as can be told; `None` where waiting does not help.
        expected_wait: Option<Duration>,
        /// Why it does not wait, or no longer, where it wanted to.
        dropped: Option<Dropped>,
    },
    /// The tier's model cannot take the request: its context is too short for it, or its template refuses it. The model
    /// that the client asked for could.
    #[error("the model of a lower tier cannot take the request")]
    Unfit,
    /// The cluster's cell did not answer.
    #[error("the cluster's cell did not answer")]
    Cell(#[from] CellError),
    /// The engine could not be reached, or went away before its answer began.
    #[error("the engine could not be reached, or broke off")]
    Send(#[from] SendError),
    /// The engine did not begin to answer in time.
    #[error("the engine did not begin to answer in time")]
    FirstByteTimeout,
    /// The engine fell silent in the middle of its answer.
    #[error("the engine fell silent in the middle of its answer")]
    BetweenBytesTimeout,
    /// The ladder's deadline has passed.
    #[error("the deadline for beginning an answer has passed")]
    Deadline,
    /// The engine says that the request is wrong.
    #[error("the engine rejected the request with status {status}")]
    Rejected {
        /// Its status: 400, 413, 415 or 422.
        status: u16,
        /// Its words.
        body: Bytes,
    },
    /// The engine's model does not do what the endpoint is for, whichever replica is asked.
    #[error("the model does not serve this endpoint")]
    NotServed {
        /// What the engine answered: 404 or 501.
        status: u16,
        /// What it said.
        words: String,
    },
    /// Two engines failed at the request alike: the failure is the request's own.
    #[error("engines fail at this request")]
    Blamed {
        /// The status that they answered with.
        status: u16,
        /// What the second of them said.
        words: String,
    },
    /// The engine answered with an error that is not the client's, as far as one answer tells.
    #[error("the engine answered with status {status}")]
    Status {
        /// Its status.
        status: u16,
        /// Until it wants to be asked again.
        retry_after: Option<Duration>,
        /// What it said. It may be about the operator's secrets, so that clients see it as part of [`Self::Blamed`] only.
        words: String,
    },
    /// The engine reported an error inside an answer of status 200.
    #[error("the engine reported an error inside its answer")]
    InBand(#[source] EngineError),
    /// The answer that was asked for, or one event of it, is larger than the gateway holds at once.
    #[error(
        "the answer takes more than the {limit} bytes that the gateway holds at once: ask for fewer or shorter answers, \
         fewer log probabilities or fewer inputs"
    )]
    TooLarge {
        /// The bound that it went beyond, in bytes.
        limit: usize,
    },
    /// What the engine sent is no answer.
    #[error("the engine's answer is not understood")]
    Garbage(#[from] Garbage),
    /// The engine takes its answer for a good one, and a detector does not.
    #[error("the model's answer is of no use: {} was found in it", detector.name())]
    Semantic {
        /// Which one.
        detector: Detector,
        /// Whether another attempt at the same tier came to the same before.
        again: bool,
    },
    /// The region hop of the cluster did nothing with the order.
    #[error("the cluster's region could not be reached")]
    Hop(#[from] HopError),
    /// The gateway is going down.
    #[error("the gateway is shutting down")]
    Stopping,
}

/// In which way an engine's answer is none.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Garbage {
    /// The body of an answer, or the data of an event, is not the JSON that it should be.
    #[error("not the JSON of an answer")]
    NotJson,
    /// A stream of no events.
    #[error("empty")]
    Empty,
    /// Another content type than the one asked for.
    #[error("unexpected content type `{found}`")]
    ContentType {
        /// The beginning of it; empty where there is none.
        found: String,
    },
}

impl From<NoAnswer> for AttemptError {
    fn from(no_answer: NoAnswer) -> Self {
        match no_answer {
            NoAnswer::Error(error) => match error.clients_fault() {
                Some(status) => Self::Rejected {
                    status,
                    body: error.into_told(),
                },
                None => Self::InBand(error),
            },
            NoAnswer::NotJson | NoAnswer::NotUtf8 => Garbage::NotJson.into(),
        }
    }
}

impl AttemptError {
    /// What is told of an engine that answers, and says that it is not ready.
    pub const NOT_READY: &str = "its engine's /health says 503";

    /// A cluster's cell has given no permit.
    pub fn of_refusal(refusal: &Refusal) -> Self {
        Self::NoRoom {
            recovery: refusal.recovery,
            passed_over: refusal.passed_over,
            expected_wait: refusal.expected_wait,
            dropped: refusal.dropped,
        }
    }

    /// Whose fault it is.
    pub fn fault(&self) -> Fault {
        match self {
            Self::Rejected { .. } | Self::NotServed { .. } | Self::Blamed { .. } | Self::TooLarge { .. } => {
                Fault::Client
            }
            Self::Cell(_) | Self::Stopping | Self::Unfit => Fault::Gateway,
            Self::Send(SendError::NoSecret(_) | SendError::Local(_)) | Self::Hop(_) => Fault::Gateway,
            Self::NoRoom { .. }
            | Self::Send(SendError::Connect(_) | SendError::Broken(_) | SendError::Lost(_))
            | Self::FirstByteTimeout
            | Self::BetweenBytesTimeout
            | Self::Deadline
            | Self::Status { .. }
            | Self::InBand(_)
            | Self::Garbage(_)
            | Self::Semantic { .. } => Fault::Upstream,
        }
    }

    /// What may help.
    pub fn remedy(&self) -> Remedy {
        match self {
            Self::Rejected { .. }
            | Self::NotServed { .. }
            | Self::Blamed { .. }
            | Self::TooLarge { .. }
            | Self::Stopping => Remedy::Never,
            Self::Deadline | Self::Send(SendError::Local(_)) => Remedy::Canned,
            // Two in a row are the model's doing rather than a replica's.
            Self::Unfit | Self::Semantic { again: true, .. } => Remedy::AnotherTier,
            Self::NoRoom { .. } | Self::Cell(_) | Self::Hop(_) | Self::Send(SendError::NoSecret(_)) => {
                Remedy::AnotherCluster
            }
            // The cluster's engines want another key, or do not know the model: all of them alike.
            Self::Status {
                status: 401 | 403 | 404,
                ..
            } => Remedy::AnotherCluster,
            Self::Send(SendError::Connect(_) | SendError::Broken(_) | SendError::Lost(_))
            | Self::FirstByteTimeout
            | Self::BetweenBytesTimeout
            | Self::Status { .. }
            | Self::InBand(_)
            | Self::Garbage(_)
            | Self::Semantic { again: false, .. } => Remedy::AnotherReplica,
        }
    }

    /// In how long asking again may help, where that is known.
    pub fn recovery(&self) -> Option<Duration> {
        match self {
            // Where somebody could wait, what is expected counts the first probe of a replica that has failed.
            Self::NoRoom {
                recovery,
                expected_wait,
                ..
            } => expected_wait.or(*recovery),
            Self::Status { retry_after, .. } => *retry_after,
            Self::Send(SendError::Local(_)) => Some(LACK_PASSES),
            Self::Hop(HopError::Open { recovery }) => Some(*recovery),
            Self::Hop(_)
            | Self::Cell(_)
            | Self::Unfit
            | Self::Send(SendError::Connect(_) | SendError::Broken(_) | SendError::Lost(_) | SendError::NoSecret(_))
            | Self::FirstByteTimeout
            | Self::BetweenBytesTimeout
            | Self::Deadline
            | Self::Rejected { .. }
            | Self::NotServed { .. }
            | Self::Blamed { .. }
            | Self::TooLarge { .. }
            | Self::InBand(_)
            | Self::Garbage(_)
            | Self::Semantic { .. }
            | Self::Stopping => None,
        }
    }

    /// The status and the engine's words, where it failed at what it was doing and the request may be what made it fail.
    /// Not where it says that it has no time (503), nor where something before it cannot reach it (502, 504).
    pub fn failed_with(&self) -> Option<(u16, &str)> {
        let failure = match self {
            Self::Status { status, words, .. } => Some((*status, words.as_str())),
            Self::InBand(error) => error.status().map(|status| (status, error.words())),
            Self::NoRoom { .. }
            | Self::Unfit
            | Self::Cell(_)
            | Self::Send(_)
            | Self::FirstByteTimeout
            | Self::BetweenBytesTimeout
            | Self::Deadline
            | Self::Rejected { .. }
            | Self::NotServed { .. }
            | Self::Blamed { .. }
            | Self::TooLarge { .. }
            | Self::Garbage(_)
            | Self::Semantic { .. }
            | Self::Hop(_)
            | Self::Stopping => None,
        };
        failure.filter(|(status, _)| matches!(status, 500 | 505..=599))
    }

    /// Whether the engine is not there, or not yet: nobody can connect, or it says that it loads its model (llama.cpp's
    /// server; others do not listen before).
    pub fn is_absence(&self) -> bool {
        matches!(self, Self::Send(SendError::Connect(_))) || self.is_loading()
    }

    /// Whether the engine is there, and says that it is not ready.
    pub fn is_loading(&self) -> bool {
        let says_so = |words: &str| words.to_ascii_lowercase().contains("loading");
        matches!(self, Self::Send(SendError::Connect(words)) if words == Self::NOT_READY)
            || matches!(self, Self::Status { status: 503, words, .. } if says_so(words))
    }

    /// Why the request does not wait for room, or no longer, where it wanted to.
    pub fn dropped(&self) -> Option<Dropped> {
        if let Self::NoRoom { dropped, .. } = self {
            *dropped
        } else {
            None
        }
    }

    /// One word for metrics.
    pub fn label(&self) -> &'static str {
        match self {
            Self::NoRoom { .. } => "no_room",
            Self::Unfit => "unfit",
            Self::Cell(_) => "cell",
            Self::Send(SendError::Connect(_)) => "connect",
            Self::Send(SendError::Broken(_) | SendError::Lost(_)) => "broken",
            Self::Send(SendError::NoSecret(_)) => "no_secret",
            Self::Send(SendError::Local(_)) => "local",
            Self::FirstByteTimeout => "first_byte_timeout",
            Self::BetweenBytesTimeout => "between_bytes_timeout",
            Self::Deadline => "deadline",
            Self::Rejected { .. } => "rejected",
            Self::NotServed { .. } => "not_served",
            Self::Blamed { .. } => "blamed",
            Self::TooLarge { .. } => "too_large",
            Self::Status { .. } => "status",
            Self::InBand(_) => "in_band",
            Self::Garbage(_) => "garbage",
            Self::Semantic { .. } => "semantic",
            Self::Hop(error) => error.label(),
            Self::Stopping => "stopping",
        }
    }
}

/// What the gateway lacks for a moment is there again when other requests have ended.
const LACK_PASSES: Duration = Duration::from_secs(1);
