//! What is known of a prompt, before a replica is chosen for it, that tells how much of it is in a replica's memory.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::ids::{PrefixKey, ReplicaName, Tokens};

/// Where a prefix of a prompt ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Boundary {
    /// Names all that stands before it.
    pub key: PrefixKey,
    /// How much that is.
    pub tokens: Tokens,
}

/// That a replica has computed a prefix of the prompt, and most likely still has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WarmAt {
    /// Which replica.
    pub replica: ReplicaName,
    /// How long the prefix is.
    pub tokens: Tokens,
    /// How long ago that was; zero from who does not tell.
    #[serde(default)]
    pub ago: Duration,
}

/// A prompt by its length and its prefixes, and what is known of where they are warm.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PromptOutline {
    /// All of it.
    pub tokens: Tokens,
    /// Ends of its prefixes, the shortest first; at most [`MOST_BOUNDARIES`](Self::MOST_BOUNDARIES).
    pub boundaries: Vec<Boundary>,
    /// What a request before this one, most likely, has left where the affinity leads, if nobody knows of another place.
    pub presumed: Tokens,
    /// Where prefixes of it are known to be warm.
    pub warm: Vec<WarmAt>,
}

impl PromptOutline {
    /// So many boundaries go into one message.
    pub const MOST_BOUNDARIES: usize = 16;

    /// A prompt of which no more than its length is known.
    pub fn of_tokens(tokens: Tokens) -> Self {
        Self {
            tokens,
            ..Self::default()
        }
    }
}

/// Whoever sends a prompt of which so much has to be computed tells when the answer begins, so that the cluster's cell
/// knows how long it keeps its replica; and does not send it under a kept permit, of which the cell is not told. At 10,000
/// tokens in a second that is a tenth of one, which is what two steps of a full batch take.
pub(crate) const TELLS_FROM: Tokens = Tokens(1_024);
