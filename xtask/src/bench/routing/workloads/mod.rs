//! What clients ask for: one trace of real traffic, and generators that give the same requests in every run.

mod agents;
mod documents;
mod overload;
mod questions;
mod trace;
mod unrelated;

use std::path::Path;

use super::prompt::Request;
use crate::error::TaskError;

pub use trace::Shape;

/// A kind of traffic.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Workload {
    /// The Mooncake conversation trace, as chats.
    Conversation,
    /// The same as completions, whose prompts show no messages.
    ConversationFlat,
    /// Coding agents with long system prompts and many turns.
    Agents,
    /// 150 clients with five short questions each below one system prompt.
    Questions,
    /// Questions about documents, as completions.
    Documents,
    /// Prompts that have nothing in common.
    Unique,
    /// Chats below some system prompts, most of which come in bursts.
    Bursts,
    /// Half as much again as the engines can carry, of two tenants, one of them with prompts a hundred times as long.
    Overload,
}

impl Workload {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Conversation,
        Self::ConversationFlat,
        Self::Agents,
        Self::Questions,
        Self::Documents,
        Self::Unique,
        Self::Bursts,
        Self::Overload,
    ];

    /// As the command line and the tables call it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Conversation => "conversation",
            Self::ConversationFlat => "conversation-flat",
            Self::Agents => "agents",
            Self::Questions => "questions",
            Self::Documents => "documents",
            Self::Unique => "unique",
            Self::Bursts => "bursts",
            Self::Overload => "overload",
        }
    }

    /// Whether it is read from the trace.
    pub fn needs_trace(self) -> bool {
        match self {
            Self::Conversation | Self::ConversationFlat => true,
            Self::Agents | Self::Questions | Self::Documents | Self::Unique | Self::Bursts | Self::Overload => false,
        }
    }

    /// How many times as fast as engines time may pass for this machine to keep up: short requests come more often.
    pub fn speed(self) -> f64 {
        match self {
            Self::Conversation | Self::ConversationFlat => 20.0,
            Self::Documents | Self::Unique => 16.0,
            Self::Agents | Self::Bursts => 8.0,
            Self::Questions | Self::Overload => 4.0,
        }
    }

    /// The share of what the engines can carry that is asked for, where that is what the workload is about.
    pub fn load(self) -> Option<f64> {
        (self == Self::Overload).then_some(overload::LOAD)
    }

    /// The requests, with times in any unit; `trace` is the conversation trace.
    ///
    /// # Errors
    /// When the trace is needed and cannot be read.
    pub fn requests(self, trace: &Path) -> Result<Vec<Request>, TaskError> {
        Ok(match self {
            Self::Conversation => trace::read(trace, Shape::Chat)?,
            Self::ConversationFlat => trace::read(trace, Shape::Flat)?,
            Self::Agents => agents::requests(),
            Self::Questions => questions::requests(),
            Self::Documents => documents::requests(),
            Self::Unique => unrelated::unique(),
            Self::Bursts => unrelated::bursts(),
            Self::Overload => overload::requests(),
        })
    }
}
