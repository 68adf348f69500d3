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
    /// The same as operators try and deploy it: under `wrangler dev`, and `wrangler deploy` without the upload.
    Wrangler,
    /// Spin, with its state in SQLite and Spin's key-value store.
    Spin,
    /// Spin, with its state in Redis.
    SpinRedis,
}

impl Target {
    /// All of them, in the order in which reports name them.
    pub const ALL: [Self; 6] = [
        Self::Native,
        Self::NativeRedis,
        Self::Cloudflare,
        Self::Wrangler,
        Self::Spin,
        Self::SpinRedis,
    ];

    /// What reports call the contract suite over it.
    pub fn contract(self) -> &'static str {
        match self {
            Self::Native => "contract, native",
            Self::NativeRedis => "contract, native on Redis",
            Self::Cloudflare => "contract, cloudflare",
            Self::Wrangler => "contract, wrangler dev",
            Self::Spin => "contract, spin",
            Self::SpinRedis => "contract, spin on Redis",
        }
    }

    /// What reports call the conformance suite over it; none where another runs the same code on the same platform.
    pub fn conformance(self) -> Option<&'static str> {
        match self {
            Self::Native => Some("conformance, native"),
            Self::NativeRedis => Some("conformance, native on Redis"),
            Self::Cloudflare => Some("conformance, cloudflare"),
            Self::Wrangler => None,
            Self::Spin => Some("conformance, spin"),
            Self::SpinRedis => Some("conformance, spin on Redis"),
        }
    }

    /// The themes of the contract that are run over it, all of them where none is named. `wrangler dev` starts slowly and
    /// adds a hop of its own: it runs those that show that the Worker answers there as under Miniflare.
    pub fn themes(self) -> &'static [&'static str] {
        match self {
            Self::Wrangler => &["api::", "bad_input::", "sdk::"],
            Self::Native | Self::NativeRedis | Self::Cloudflare | Self::Spin | Self::SpinRedis => &[],
        }
    }

    /// What reports call the gateway on it before real engines.
    pub fn before_engines(self) -> &'static str {
        match self {
            Self::Native => "engines, native",
            Self::NativeRedis => "engines, native on Redis",
            Self::Cloudflare => "engines, cloudflare",
            Self::Wrangler => "engines, wrangler dev",
            Self::Spin => "engines, spin",
            Self::SpinRedis => "engines, spin on Redis",
        }
    }

    /// What it runs on.
    pub fn runtime(self) -> Runtime {
        match self {
            Self::Native | Self::NativeRedis => Runtime::Native,
            Self::Cloudflare | Self::Wrangler => Runtime::Cloudflare,
            Self::Spin | Self::SpinRedis => Runtime::Spin,
        }
    }

    /// Whether its state is in Redis.
    pub fn is_on_redis(self) -> bool {
        match self {
            Self::NativeRedis | Self::SpinRedis => true,
            Self::Native | Self::Cloudflare | Self::Wrangler | Self::Spin => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A filter that no name of a test contains would pass on nothing.
    #[test]
    fn the_themes_that_are_named_are_there() {
        let contract = include_str!("../../../tests/tests/contract/main.rs");
        for theme in Target::ALL.into_iter().flat_map(Target::themes) {
            let module = format!("mod {};", theme.trim_end_matches("::"));
            assert!(contract.contains(&module), "the contract has no {module}");
        }
    }
}
