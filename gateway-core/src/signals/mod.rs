//! What engines say of themselves on their own pages: how many requests they run, how many wait inside of them, and how
//! full their kv_cache is. From a page's bytes to figures that can be believed; what is missing, absurd or contradicts itself
//! is left out, and told. It asks nobody, and never fails.

mod claims;
mod llama_cpp;
mod prometheus;
mod sglang;
mod tensorrt_llm;
mod tgi;
mod vllm;

use self::claims::Claims;
use crate::cluster::EngineFigures;
use crate::config::EngineKind;

/// What a page came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reading {
    /// What it says; `None` where it does not say how many requests run.
    pub figures: Option<EngineFigures>,
    /// Why something of it was not believed, each figure once.
    pub ignored: Vec<Ignored>,
}

/// Why a page, or a figure on it, was not believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Ignored {
    /// The engine could not be reached, or broke off.
    Unreachable,
    /// It did not answer in time.
    Late,
    /// It answered with another status than 200.
    Status,
    /// The page is larger than it may be.
    TooLarge,
    /// It is not what the engine's pages are written in.
    Garbage,
    /// A figure is not there, or under another name.
    Missing,
    /// A figure is no number, negative, or more than any engine has.
    Absurd,
    /// Two figures cannot both be true.
    Contradictory,
}

impl Ignored {
    /// One word for metrics.
    pub fn label(self) -> &'static str {
        match self {
            Self::Unreachable => "unreachable",
            Self::Late => "late",
            Self::Status => "status",
            Self::TooLarge => "too_large",
            Self::Garbage => "garbage",
            Self::Missing => "missing",
            Self::Absurd => "absurd",
            Self::Contradictory => "contradictory",
        }
    }
}

/// Reads a page of that engine. Where an engine has pages of two kinds, what the page begins with says which it is.
pub fn read(engine: EngineKind, page: &[u8]) -> Reading {
    let is_json = matches!(page.trim_ascii_start().first(), Some(b'{' | b'['));
    let claims = match engine {
        EngineKind::Vllm => Some(vllm::claims(page)),
        EngineKind::Sglang if is_json => sglang::claims_of_loads(page),
        EngineKind::Sglang => Some(sglang::claims(page)),
        EngineKind::Tgi => Some(tgi::claims(page)),
        EngineKind::TensorrtLlm => tensorrt_llm::claims(page),
        EngineKind::LlamaCpp if is_json => llama_cpp::claims_of_slots(page),
        EngineKind::LlamaCpp => Some(llama_cpp::claims(page)),
    };
    claims.map_or_else(|| Reading::of(Ignored::Garbage), Claims::believe)
}

impl Reading {
    /// Nothing can be believed, for that reason.
    pub fn of(ignored: Ignored) -> Self {
        Self {
            figures: None,
            ignored: vec![ignored],
        }
    }
}

#[cfg(test)]
mod tests;
