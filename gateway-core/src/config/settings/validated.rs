//! The settings as the code uses them. gateway.toml and its schema say what each is by default.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::config::validated::Priority;
use crate::ids::{SecretName, Tokens};

/// How large what comes in may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sizes {
    /// Largest request body, in bytes.
    pub request_body_bytes: usize,
    /// Most memory for request bodies that are not admitted yet, in all, in bytes.
    pub bodies_bytes: usize,
    /// The part of it that one tenant may have, in bytes: more than `request_body_bytes`, less than `bodies_bytes`.
    pub tenant_bodies_bytes: usize,
    /// Largest answer that is not streamed and no embeddings, as its engine sends it or as it is put together, in bytes.
    pub response_body_bytes: usize,
    /// Longest single SSE event from an engine, in bytes.
    pub event_bytes: usize,
    /// Deepest nesting of arrays and objects in a request.
    pub nesting: usize,
}

/// How long a request, and each step of it, may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Timeouts {
    /// Most time for a client to deliver its request body.
    pub request_body: Duration,
    /// Most time to connect to a replica.
    pub connect: Duration,
    /// Most time until the first event of an engine's stream, in one attempt; less than `deadline`.
    pub first_byte: Duration,
    /// Most time for a whole answer that is not streamed, in one attempt.
    pub whole_answer: Duration,
    /// Most time between two events of an engine's stream; comments are none.
    pub between_bytes: Duration,
    /// Most time for the whole ladder until the first event of an engine's stream; no attempt at an answer begins
    /// after it.
    pub deadline: Duration,
    /// Most time that one request waits for cells, all its calls together.
    pub cells: Duration,
}

/// How often a request is tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Retries {
    /// Most attempts at replicas that one request may take, over all tiers; at least 1.
    pub attempts: u32,
}

/// What a client sees of a stream while nothing comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Streams {
    /// Time after which a stream is opened towards the client although no engine has answered yet.
    pub early_commit: Duration,
    /// Time between two heartbeat comments on a quiet stream; less than [`Timeouts::between_bytes`].
    pub heartbeat: Duration,
}

/// How long answers are taken to become.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Estimates {
    /// Output tokens to expect of a request that sets no bound; at least 1.
    pub output: Tokens,
    /// How many times the output that its budgets hold for it an answer may take; 1 to 1,000.
    pub output_multiple: u64,
}

/// Permits: who runs on which replica, as clusters' cells count it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Permits {
    /// Time after which a permit that nobody renewed is free again; it is renewed three times as often.
    pub ttl: Duration,
}

/// How busy clusters are, as edge locations know it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Load {
    /// Time after which a cluster's figures count as unknown.
    pub ttl: Duration,
}

/// Which cluster and which replica, and how it is known where a request came in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Routing {
    /// How much later than another a replica may answer that has a request's prompt in memory.
    pub warm_penalty: Duration,
    /// How long prompts may keep a replica that are not computed yet, before others wait in the gateway.
    pub most_queued: Duration,
    /// What one unit of a cluster's price counts for, as if it were time.
    pub price_weight: Duration,
    /// The headers that say where a request came in, in lower case, the one that counts first.
    pub location_headers: Vec<String>,
}

/// How gateways for the edge and gateways beside the clusters know each other.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hops {
    /// The secrets that they share, by name. The first one signs.
    pub keys: Vec<SecretName>,
}

/// Leases: what budgets lend to edge locations.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Leases {
    /// Time for which what was lent of a budget may be spent.
    pub ttl: Duration,
}

/// The shares of budgets, and of clusters' room, that are left for requests of higher priority.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Headroom {
    /// The share that requests of high priority alone may use, in percent; 90 at most.
    pub for_high_percent: u8,
    /// The share, beyond that, that requests of normal and high priority alone may use, in percent; 90 at most.
    pub for_normal_percent: u8,
}

impl Headroom {
    /// The share that requests of that priority may not use, in percent; less than 100.
    pub fn percent(&self, priority: Priority) -> u8 {
        match priority {
            Priority::High => 0,
            Priority::Normal => self.for_high_percent,
            Priority::Low => (self.for_high_percent + self.for_normal_percent).min(99),
        }
    }
}

/// What waits at each cluster where no replica has room, over all edge locations together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Queue {
    /// Most requests at once.
    pub requests: u32,
    /// Most bytes of their bodies.
    pub bytes: u64,
    /// Longest time that a request waits in one tier; nobody does where it is zero.
    pub wait: Duration,
    /// Longest time that a request is held where there are no replicas; nobody is where it is zero.
    pub hold: Duration,
}

/// What engines say of themselves, and how it is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Signals {
    /// Whether they are asked.
    pub enabled: bool,
    /// Time between two times that one is asked, by whichever gateway.
    pub every: Duration,
    /// Time after which it does not count any more what one has said.
    pub ttl: Duration,
    /// Most time that one answer may take.
    pub timeout: Duration,
    /// Largest page, in bytes.
    pub page_bytes: usize,
}

/// Which records of requests are kept, and for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Explain {
    /// How many of the latest there are here; none where it is 0.
    pub kept_requests: usize,
    /// About how much memory they may take, in bytes.
    pub kept_bytes: usize,
    /// How long those are stored that all gateways find; at least 60 s.
    pub stored: Duration,
}

/// Which web pages may ask, and read what is answered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cors {
    /// The origins of those pages; `None` for all of them.
    pub allow_origins: Option<Vec<String>>,
}

/// How clients name a conversation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sessions {
    /// The headers that do, in lower case, the one that counts first.
    pub headers: Vec<String>,
}

/// The index of prefixes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Prefixes {
    /// Whether there is one.
    pub index: bool,
    /// Most time that a request waits for its row.
    pub wait: Duration,
    /// Prompts of fewer tokens are not looked up.
    pub least: Tokens,
    /// Time after which it does not count any more what a row says; at least 60 s.
    pub ttl: Duration,
}

/// How often what is stored is read anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refresh {
    /// Time between two looks into the store for a newer configuration; 60 s at most.
    pub config: Duration,
    /// Whether the bundled configuration, if this is it, serves while the store has never been read.
    pub bundled_until_read: bool,
}
