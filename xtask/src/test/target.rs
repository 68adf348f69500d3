//! What the suites run over.

use crate::runtime::Runtime;

/// A runtime, and where it keeps its state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Target {
    /// The `tidegate` binary, with its own state.
    Native,
    /// The `tidegate` binary, with its state in Redis.
    NativeRedis,
    /// Cloudflare Workers: workerd, under Miniflare.
    Cloudflare,
    /// Spin, with its state in SQLite and Spin's key-value store.
    Spin,
    /// Spin, with its state in Redis.
    SpinRedis,
}

impl Target {
    /// All of them, in the order in which reports name them.
    pub const ALL: [Self; 5] = [
        Self::Native,
        Self::NativeRedis,
        Self::Cloudflare,
        Self::Spin,
        Self::SpinRedis,
    ];

    /// What reports call the contract suite over it, and the conformance suite.
    pub fn steps(self) -> [&'static str; 2] {
        match self {
            Self::Native => ["contract, native", "conformance, native"],
            Self::NativeRedis => ["contract, native on Redis", "conformance, native on Redis"],
            Self::Cloudflare => ["contract, cloudflare", "conformance, cloudflare"],
            Self::Spin => ["contract, spin", "conformance, spin"],
            Self::SpinRedis => ["contract, spin on Redis", "conformance, spin on Redis"],
        }
    }

    /// What reports call the gateway on it before real engines.
    pub fn before_engines(self) -> &'static str {
        match self {
            Self::Native => "engines, native",
            Self::NativeRedis => "engines, native on Redis",
            Self::Cloudflare => "engines, cloudflare",
            Self::Spin => "engines, spin",
            Self::SpinRedis => "engines, spin on Redis",
        }
    }

    /// What it runs on.
    pub fn runtime(self) -> Runtime {
        match self {
            Self::Native | Self::NativeRedis => Runtime::Native,
            Self::Cloudflare => Runtime::Cloudflare,
            Self::Spin | Self::SpinRedis => Runtime::Spin,
        }
    }

    /// Whether its state is in Redis.
    pub fn is_on_redis(self) -> bool {
        match self {
            Self::NativeRedis | Self::SpinRedis => true,
            Self::Native | Self::Cloudflare | Self::Spin => false,
        }
    }
}
