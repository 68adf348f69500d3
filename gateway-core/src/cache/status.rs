//! What the cache has to do with an answer.

/// What the cache has to do with an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum CacheStatus {
    /// Nothing: the request does not use it.
    Bypass,
    /// It had none: an engine was asked, and the answer may be kept.
    Miss,
    /// It is from the cache.
    Hit,
    /// It is that to the same request, which was under way.
    Shared,
    /// It is from the cache and past its time: no engine could answer.
    Stale,
}

impl CacheStatus {
    /// One word for headers, metrics and log lines.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Bypass => "bypass",
            Self::Miss => "miss",
            Self::Hit => "hit",
            Self::Shared => "shared",
            Self::Stale => "stale",
        }
    }
}
