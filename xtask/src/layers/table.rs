//! Which module may import which. Read it from the bottom: a module imports what stands below it, never what stands
//! above or beside it.
//!
//! Layers are listed from the bottom to the top, and the modules of one layer do not import each other. A module that
//! stands in no layer fails the check, so a new one is put here first: as low as what it needs allows. A file `lib.rs`
//! or `mod.rs` stands above what its folder holds. What it re-exports counts as what it is, where it is defined.

/// All that is checked.
pub const AREAS: &[Area] = &[GATEWAY_CORE, PIPELINE, VIRTUAL_WORLD, SIMULATOR, ENGINE_SERVER];

const GATEWAY_CORE: Area = Area {
    source: "gateway-core/src",
    module: &[],
    layers: &[
        &["excerpt", "geo", "ids", "language", "parts", "share", "sleeps", "time"],
        &["budget", "cluster", "detect", "hop", "pace", "rollout", "timeline"],
        &["config", "route"],
        &["api", "signals"],
        &["auth", "cache", "prefix", "tokens"],
        &["cells"],
        &["platform"],
        &["ladder"],
        &["observe"],
        &["explain"],
        &["pipeline"],
        &["conformance"],
    ],
    exceptions: &[],
};

const PIPELINE: Area = Area {
    source: "gateway-core/src",
    module: &["pipeline"],
    layers: &[
        // What bodies, failures and responses are made of.
        &[
            "body",
            "body_memory",
            "cell_time",
            "collect",
            "detected",
            "entrance",
            "hops",
            "recorder",
        ],
        &["failure"],
        &["cors", "response"],
        // What is kept between requests, and what every stage of one may look at.
        &["state"],
        &["context"],
        // What a request holds, and what goes on behind requests' backs.
        &[
            "canned",
            "leases",
            "maintain",
            "records",
            "response_cache",
            "rollouts",
            "warmth",
        ],
        // The stages of a request.
        &["intake"],
        &["answer"],
        &["dispatch"],
        &["delivery"],
        // What each path answers.
        &["endpoints"],
        &["serve"],
    ],
    exceptions: &[],
};

const VIRTUAL_WORLD: Area = Area {
    source: "edge-virtual/src",
    module: &[],
    layers: &[
        &["link", "random", "skew"],
        &["process"],
        &["cells", "clock", "executor", "store"],
        &["engines"],
        &["script", "state"],
        &["platform"],
        &["edge", "world"],
        &["region_hops"],
    ],
    exceptions: &[],
};

const SIMULATOR: Area = Area {
    source: "simulator/src",
    module: &[],
    layers: &[&["engine", "language"], &["server"]],
    exceptions: &[],
};

const ENGINE_SERVER: Area = Area {
    source: "simulator/src",
    module: &["server"],
    layers: &[
        // The engine in real time, and what is known of a request and its connection.
        &["connection", "driver", "options", "record"],
        // What goes back.
        &["reply"],
        &["error"],
        // What requests say, and what tests want to go wrong.
        &["faults", "routes", "wire"],
        &["shared"],
        &["load_header", "prompt", "strike"],
        // What each path answers.
        &["endpoints", "generate"],
        &["router"],
        &["serve"],
    ],
    exceptions: &[],
};

/// A folder of sources whose modules stand in layers.
#[derive(Debug, Clone, Copy)]
pub struct Area {
    /// The crate's sources, from the workspace's root.
    pub source: &'static str,
    /// The module whose children are meant, from the crate's root.
    pub module: &'static [&'static str],
    /// From the bottom to the top, each with its modules.
    pub layers: &'static [&'static [&'static str]],
    /// Imports that lead up or sideways and are let through: who, and whom. One that nobody needs fails the check.
    pub exceptions: &'static [(&'static str, &'static str)],
}
