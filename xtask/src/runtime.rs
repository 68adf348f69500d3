//! The three runtimes.

/// What the gateway runs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Runtime {
    /// The `tidegate` binary.
    Native,
    /// Cloudflare Workers: workerd, under Miniflare.
    Cloudflare,
    /// Spin.
    Spin,
}

impl Runtime {
    /// All of them, in the order in which reports name them.
    pub const ALL: [Self; 3] = [Self::Native, Self::Cloudflare, Self::Spin];

    /// The name that commands, folders and variables use.
    pub fn name(self) -> &'static str {
        match self {
            Self::Native => "native",
            Self::Cloudflare => "cloudflare",
            Self::Spin => "spin",
        }
    }
}
