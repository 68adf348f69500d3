//! The events.

use std::fmt;
use std::time::Duration;

use http::StatusCode;

use super::budgeting::Budgeting;
use super::counting::Counting;
use crate::api::Usage;
use crate::cluster::Outcome;
use crate::config::ConfigErrors;
use crate::ids::{ClusterName, ModelName, ReplicaName, RequestId};
use crate::ladder::AttemptError;

/// Something that happened.
#[derive(Clone, Debug)]
pub enum Event<'a> {
    /// A request has its response head.
    Responded {
        /// The request.
        id: &'a RequestId,
        /// What it was for.
        route: &'static str,
        /// Its status.
        status: StatusCode,
        /// Time since it arrived.
        after: Duration,
    },
    /// An attempt ended without an answer.
    AttemptFailed {
        /// The request.
        id: &'a RequestId,
        /// Which cluster was asked.
        cluster: &'a ClusterName,
        /// Which replica, where the cluster gave one.
        replica: Option<&'a ReplicaName>,
        /// Why.
        error: &'a AttemptError,
    },
    /// An engine's first event, or whole answer, is here.
    FirstToken {
        /// Which cluster answered.
        cluster: &'a ClusterName,
        /// As which model.
        model: &'a ModelName,
        /// Time since the request arrived.
        after: Duration,
    },
    /// Something about the counting of tokens.
    Counting(Counting<'a>),
    /// Something about a budget.
    Budget(Budgeting<'a>),
    /// An engine reported what an answer took.
    Used {
        /// Which model it was.
        model: &'a ModelName,
        /// The figures.
        usage: Usage,
    },
    /// A stream broke off after its first event.
    StreamFailed {
        /// Which cluster.
        cluster: &'a ClusterName,
        /// Which replica.
        replica: &'a ReplicaName,
        /// Why.
        error: &'a AttemptError,
    },
    /// A request has a place at a replica.
    Permitted {
        /// Which cluster.
        cluster: &'a ClusterName,
        /// Whether the place was kept here; else the cluster's cell was asked.
        is_kept: bool,
    },
    /// A permit was given back.
    Released {
        /// Which cluster.
        cluster: &'a ClusterName,
        /// How its request ended.
        outcome: Outcome,
    },
    /// A canned answer was given.
    Canned {
        /// The model that was asked for.
        model: &'a ModelName,
    },
    /// A newer configuration is in force.
    ConfigApplied {
        /// Its version.
        version: &'a str,
    },
    /// The configuration in the store is wrong; the one before stays.
    ConfigRefused {
        /// What is wrong with it.
        errors: &'a ConfigErrors,
    },
    /// The store could not be read; the configuration stays.
    StoreUnreachable {
        /// What the platform says.
        detail: &'a str,
    },
}

/// How much an event matters to somebody who reads logs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// The course of things.
    Info,
    /// Something failed, and the gateway went on.
    Warn,
}

impl Event<'_> {
    /// How much it matters.
    pub fn level(&self) -> Level {
        match self {
            Self::Counting(counting) => counting.level(),
            Self::Budget(budgeting) => budgeting.level(),
            Self::Responded { .. }
            | Self::FirstToken { .. }
            | Self::Used { .. }
            | Self::Permitted { .. }
            | Self::Released { .. }
            | Self::ConfigApplied { .. } => Level::Info,
            Self::AttemptFailed { .. }
            | Self::StreamFailed { .. }
            | Self::Canned { .. }
            | Self::ConfigRefused { .. }
            | Self::StoreUnreachable { .. } => Level::Warn,
        }
    }
}

impl fmt::Display for Event<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Responded {
                id,
                route,
                status,
                after,
            } => {
                write!(
                    f,
                    "responded request={} route={route} status={} ms={}",
                    id.as_str(),
                    status.as_u16(),
                    after.as_millis()
                )
            }
            Self::AttemptFailed {
                id,
                cluster,
                replica,
                error,
            } => {
                write!(f, "attempt failed request={} cluster={cluster}", id.as_str())?;
                if let Some(replica) = replica {
                    write!(f, " replica={replica}")?;
                }
                write_error(f, error)
            }
            Self::FirstToken { cluster, model, after } => {
                write!(
                    f,
                    "first token cluster={cluster} model={model} ms={}",
                    after.as_millis()
                )
            }
            Self::Counting(counting) => counting.fmt(f),
            Self::Budget(budgeting) => budgeting.fmt(f),
            Self::Used { model, usage } => {
                write!(
                    f,
                    "used model={model} prompt={} completion={}",
                    usage.prompt_tokens, usage.completion_tokens
                )
            }
            Self::StreamFailed {
                cluster,
                replica,
                error,
            } => {
                write!(f, "stream failed cluster={cluster} replica={replica}")?;
                write_error(f, error)
            }
            Self::Permitted { cluster, is_kept } => write!(f, "permitted cluster={cluster} kept={is_kept}"),
            Self::Released { cluster, outcome } => write!(f, "released cluster={cluster} outcome={outcome:?}"),
            Self::Canned { model } => write!(f, "canned answer model={model}"),
            Self::ConfigApplied { version } => write!(f, "configuration applied version={version}"),
            Self::ConfigRefused { errors } => {
                write!(f, "configuration in the store refused, the one before stays:\n{errors}")
            }
            Self::StoreUnreachable { detail } => write!(f, "store unreachable, the configuration stays: {detail}"),
        }
    }
}

fn write_error(f: &mut fmt::Formatter<'_>, error: &AttemptError) -> fmt::Result {
    write!(f, " error={}: {error}", error.label())?;
    match std::error::Error::source(error) {
        Some(source) => write!(f, " ({source})"),
        None => Ok(()),
    }
}
