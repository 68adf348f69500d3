//! The settings as they are written, one table for each theme. Every key has a default.

use std::time::Duration;

use crate::config::kinds::{Flag, Limit, List, Whole};
use crate::config::media::MediaPattern;
use crate::config::origin::Origin;
use crate::config::section::section;
use crate::config::texts::{Header, Secret};
use crate::ids::Tokens;

section! {
    /// How large what comes in may be.
    Sizes {
        /// Largest request body, in bytes.
        request_body_bytes: Limit<usize, { 4 * MIB }, KIB, { 64 * MIB }>,
        /// Most memory for request bodies that are not admitted yet, in all of a process, isolate or instance, in bytes; a
        /// request that finds none is refused with a 503. 64 MiB when left out, or twice what one tenant may have.
        bodies_bytes: Option<Whole<usize, KIB, { 1024 * MIB }>>,
        /// The part of it that one tenant may have, in bytes; more than `request_body_bytes` and less than `bodies_bytes`. 32
        /// MiB when left out, or the largest body twice, if that is more, and half of `bodies_bytes` at most.
        tenant_bodies_bytes: Option<Whole<usize, KIB, { 1024 * MIB }>>,
        /// Largest answer that is not streamed and no embeddings, as its engine sends it or as it is put together here, in bytes.
        response_body_bytes: Limit<usize, { 32 * MIB }, KIB, { 64 * MIB }>,
        /// Longest single event of an engine's stream, in bytes.
        event_bytes: Limit<usize, MIB, KIB, { 16 * MIB }>,
        /// Deepest nesting of arrays and objects in a request.
        nesting: Limit<usize, 128, 8, 128>,
    }
}

section! {
    /// How long a request, and each step of it, may take.
    Timeouts {
        /// Most time for a client to deliver its request body, in milliseconds.
        request_body_ms: Limit<Duration, 30_000, MIN_MS, HOUR_MS>,
        /// Most time to connect to a replica, in milliseconds.
        connect_ms: Limit<Duration, 2_000, MIN_MS, HOUR_MS>,
        /// Most time until the first event of an engine's stream in one attempt, in milliseconds; less than `deadline_ms`,
        /// so that another attempt is possible. Answers that are not streamed to the client are asked of engines as
        /// streams too, where those can send them so.
        first_byte_ms: Limit<Duration, 60_000, MIN_MS, HOUR_MS>,
        /// Most time for a whole answer that is not streamed in one attempt, in milliseconds.
        whole_answer_ms: Limit<Duration, 600_000, MIN_MS, HOUR_MS>,
        /// Most time between two events of an engine's stream, in milliseconds; comments are none.
        between_bytes_ms: Limit<Duration, 30_000, MIN_MS, HOUR_MS>,
        /// Most time for the whole ladder until the first event of an engine's stream, in milliseconds; no attempt at an
        /// answer begins after it.
        deadline_ms: Limit<Duration, 120_000, MIN_MS, HOUR_MS>,
        /// Most time that one request waits for cells, those of its tenant's budgets and of clusters together, in
        /// milliseconds.
        cells_ms: Limit<Duration, 1_000, MIN_MS, HOUR_MS>,
    }
}

section! {
    /// How often a request is tried.
    Retries {
        /// Most attempts at replicas that one request may take, over all tiers.
        attempts: Limit<u32, 4, 1, 32>,
    }
}

section! {
    /// What a client sees of a stream while nothing comes.
    Streams {
        /// Time after which a stream is opened towards the client although no engine has answered yet, in milliseconds.
        early_commit_ms: Limit<Duration, 10_000, MIN_MS, HOUR_MS>,
        /// Time between two heartbeat comments on a quiet stream, in milliseconds; less than `timeouts.between_bytes_ms`.
        heartbeat_ms: Limit<Duration, 15_000, MIN_MS, HOUR_MS>,
    }
}

section! {
    /// How long answers are taken to become.
    Estimates {
        /// Output tokens to expect of a request that sets no bound.
        output_tokens: Limit<Tokens, 512, 1, 1_000_000>,
        /// How many times the output that its budgets hold for it an answer may take.
        output_multiple: Limit<u64, 16, 1, 1_000>,
    }
}

section! {
    /// Permits: who runs on which replica, as clusters' cells count it.
    Permits {
        /// Time after which a permit that nobody renewed is free again, in milliseconds; it is renewed three times as
        /// often.
        ttl_ms: Limit<Duration, 30_000, MIN_MS, HOUR_MS>,
    }
}

section! {
    /// How busy clusters are, as edge locations know it.
    Load {
        /// Time after which a cluster's figures count as unknown, in milliseconds.
        ttl_ms: Limit<Duration, 5_000, MIN_MS, HOUR_MS>,
    }
}

section! {
    /// Which cluster and which replica, and how it is known where a request came in.
    Routing {
        /// How much later than another a replica may answer that has a request's prompt in memory, in milliseconds.
        warm_penalty_ms: Limit<Duration, 2_000, 0, HOUR_MS>,
        /// How long prompts may keep a replica that were sent there and are not computed yet, in milliseconds: beyond it,
        /// requests wait in the gateway.
        queued_prefill_ms: Limit<Duration, 2_000, 0, HOUR_MS>,
        /// What one unit of a cluster's `price` counts for, in milliseconds of expected time to first token.
        price_weight_ms: Limit<Duration, 0, 0, HOUR_MS>,
        /// Headers that say where a request came in, the first of them that it has: a region's name, or
        /// `LATITUDE,LONGITUDE` in degrees. Only those that whatever stands before the gateway sets, and takes out of what
        /// clients send. None when left out.
        location_headers: List<Header, 0>,
    }
}

section! {
    /// When a replica that fails is left alone.
    Breaker {
        /// Failures of a replica in a row that open its breaker.
        failures: Limit<u32, 3, 1, 1_000>,
        /// Time that a breaker stays open before one request probes the replica, in milliseconds.
        open_ms: Limit<Duration, 5_000, MIN_MS, HOUR_MS>,
    }
}

section! {
    /// When a replica is taken for ill that has not failed, and how one is loaded that comes back.
    Health {
        /// Time after which a replica is left alone of which nothing is heard although something was sent there, beyond what
        /// that should take, in milliseconds.
        wedged_ms: Limit<Duration, 60_000, 1_000, HOUR_MS>,
        /// Time in which a replica that came back, or is new, gets all of its room, from a tenth on, in milliseconds.
        slow_start_ms: Limit<Duration, 30_000, 0, HOUR_MS>,
    }
}

section! {
    /// Leases: what budgets lend to edge locations.
    Leases {
        /// Time for which an edge location may spend what it was lent of a budget before it asks again, in milliseconds; it
        /// asks three times as often while it is busy.
        ttl_ms: Limit<Duration, 30_000, 3_000, HOUR_MS>,
    }
}

section! {
    /// The shares of budgets, and of clusters' room, that are left for requests of higher priority.
    Headroom {
        /// The share that requests of high priority alone may use, in percent.
        for_high_percent: Limit<u8, 0, 0, 90>,
        /// The share, beyond that, that requests of normal and high priority alone may use, in percent.
        for_normal_percent: Limit<u8, 25, 0, 90>,
    }
}

section! {
    /// What waits where no replica of a cluster has room, over all edge locations together; of each cluster.
    Queue {
        /// Most requests that wait at once; none do with 0. From half of that on, ever more of those of low priority are sent
        /// away, and from nine tenths on of those of normal priority.
        requests: Limit<u32, 512, 0, 16_384>,
        /// Most bytes of their bodies, which edge locations keep in memory meanwhile; the same holds of it.
        bytes: Limit<u64, { 64 * MIB }, KIB, { 16 * 1024 * MIB }>,
        /// Longest time that a request waits in one tier of its ladder, in milliseconds; it does not begin to where its turn is
        /// not expected in that time. Nobody waits with 0.
        wait_ms: Limit<Duration, 10_000, 0, HOUR_MS>,
        /// Longest time that a request is held at a cluster whose replicas are all gone, loading or left alone, where nothing
        /// else on its ladder answers, in milliseconds; `timeouts.deadline_ms` bounds it as well. Nobody is held with 0.
        hold_ms: Limit<Duration, 0, 0, HOUR_MS>,
    }
}

section! {
    /// What engines say of themselves on their own pages, such as vLLM's `/metrics`: what others have sent them takes room.
    Signals {
        /// Whether they are asked.
        enabled: Flag<true>,
        /// Time between two times that an engine is asked, in milliseconds, whichever gateway does it; it is put off or
        /// forward by up to an eighth.
        every_ms: Limit<Duration, 1_000, 100, 60_000>,
        /// Time after which it does not count any more what one has said, in milliseconds; more than `every_ms`, and three
        /// times as much when left out.
        ttl_ms: Option<Whole<Duration, 100, 600_000>>,
        /// Most time that one answer may take, in milliseconds.
        timeout_ms: Limit<Duration, 500, MIN_MS, 10_000>,
        /// Largest page that is read, in bytes.
        page_bytes: Limit<usize, MIB, KIB, { 16 * MIB }>,
    }
}

section! {
    /// Records of why requests went where they went.
    Explain {
        /// How many of the latest each process, isolate or instance keeps; none with 0.
        kept_requests: Limit<usize, 256, 0, 16_384>,
        /// About how much memory they may take, in bytes.
        kept_bytes: Limit<usize, MIB, { 16 * KIB }, { 256 * MIB }>,
        /// How long the records are stored that all gateways find, in milliseconds: of requests that asked to be explained, and
        /// one a second of those that failed.
        stored_ms: Limit<Duration, HOUR_MS, 60_000, { 24 * HOUR_MS }>,
    }
}

section! {
    /// Which web pages may ask, and read what is answered. Browsers keep others from both; whatever is no browser needs
    /// no leave.
    Cors {
        /// The origins of those pages, as browsers send them; `*` for all, as when left out; an empty list for none.
        /// Keys are what counts: browsers send no cookies along.
        allow_origins: Option<List<Origin, 0>>,
    }
}

section! {
    /// How clients name a conversation, so that all of it goes to one replica.
    Sessions {
        /// The headers that do, the first of them that a request has; `x-session-id`, and those of coding agents
        /// (`session-id`, `session_id`), when left out. A `prompt_cache_key` in the body comes before them.
        headers: Option<List<Header, 0>>,
    }
}

section! {
    /// The index of prefixes: rows in the store that tell where a prompt is warm when that is not where its beginning alone
    /// would lead.
    Prefixes {
        /// Whether there is one.
        index: Flag<true>,
        /// Most time that a request waits for its row, beyond what else it does meanwhile, in milliseconds.
        index_wait_ms: Limit<Duration, 10, 1, 1_000>,
        /// Prompts of fewer tokens are not looked up: to compute them takes no longer than to read.
        index_min_tokens: Limit<Tokens, 1_024, 256, 1_000_000>,
        /// Time after which it does not count any more what a row says, in milliseconds: as long as engines keep a prefix
        /// that nobody asks for.
        index_ttl_ms: Limit<Duration, HOUR_MS, 60_000, { 24 * HOUR_MS }>,
    }
}

section! {
    /// How gateways for the edge and gateways beside the clusters know each other.
    Hops {
        /// The names of the secrets that they share. With the first, the edge signs what it sends to a region hop, which takes
        /// what is signed with any of them. At least one where a region has a `hop`. To change the secret without a gap, add
        /// the new one at the end, then put it first, then take the old one out, each everywhere before the next.
        keys: List<Secret, 0>,
    }
}

section! {
    /// What prompts hold besides text.
    Media {
        /// Where engines may fetch images, audio and videos that requests name by URL: `https://*` for every public name,
        /// as when left out, `https://*.example.com` for the names below one, or an origin such as
        /// `http://images.internal:8080`. An empty list for nowhere; what comes inside the request (`data:`) always may.
        urls: Option<List<MediaPattern, 0>>,
    }
}

section! {
    /// How often what is stored is read anew.
    Refresh {
        /// Time between two looks into the store for a newer configuration, in milliseconds.
        config_ms: Limit<Duration, 20_000, MIN_MS, 60_000>,
        /// Whether the configuration that is bundled with the gateway serves while the store has never been read. Else
        /// requests are refused until then, since the store may hold one in which keys are revoked.
        bundled_until_read: Flag<false>,
    }
}

const KIB: i64 = 1 << 10;
const MIB: i64 = 1 << 20;
const HOUR_MS: i64 = 3_600_000;
/// Shorter times measure the runtime's timers.
const MIN_MS: i64 = 10;
