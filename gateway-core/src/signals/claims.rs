//! What a page claims, and what of it is believed: figures that an engine can have.

use super::{Ignored, Reading};
use crate::cluster::{EngineFigures, KvUsed};

/// What a page says, before anything of it is believed.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Claims {
    /// Requests that are computed.
    pub running: Claim,
    /// Requests that wait inside the engine.
    pub waiting: Claim,
    /// The share of the kv_cache that is taken, 0 to 1.
    pub kv_used: Claim,
    /// Whether pages of this kind never tell the kv_cache.
    pub tells_no_kv: bool,
}

/// One figure, of which a page may have several: one for each of its engines.
#[derive(Clone, Copy, Debug, Default)]
pub(super) enum Claim {
    /// The page does not say.
    #[default]
    Missing,
    /// It says so much; not a number where one of them was none, or negative.
    Said(f64),
    /// It says two things that cannot both be true.
    Contradictory,
}

impl Claim {
    /// One more, where they add up.
    pub fn plus(&mut self, value: f64) {
        self.fold(value, |one, other| one + other);
    }

    /// One more, where it is told.
    pub fn plus_told(&mut self, value: Option<f64>) {
        if let Some(value) = value {
            self.plus(value);
        }
    }

    /// One more, where the largest counts.
    pub fn raise(&mut self, value: f64) {
        self.fold(value, |one, other| if one < other { other } else { one });
    }

    fn fold(&mut self, value: f64, both: impl Fn(f64, f64) -> f64) {
        let value = if value >= 0.0 { value } else { f64::NAN };
        *self = match *self {
            Self::Missing => Self::Said(value),
            Self::Said(before) if before.is_nan() || value.is_nan() => Self::Said(f64::NAN),
            Self::Said(before) => Self::Said(both(before, value)),
            Self::Contradictory => Self::Contradictory,
        };
    }

    /// What is said, where it is a number.
    pub fn number(self) -> Option<f64> {
        match self {
            Self::Said(value) if !value.is_nan() => Some(value),
            Self::Missing | Self::Said(_) | Self::Contradictory => None,
        }
    }

    /// The number of requests.
    fn requests(self) -> Result<u32, Ignored> {
        let value = self.believed()?;
        // Engines count in whole requests.
        if value <= MOST_REQUESTS && value.fract() == 0.0 {
            Ok(value as u32)
        } else {
            Err(Ignored::Absurd)
        }
    }

    fn share(self) -> Result<KvUsed, Ignored> {
        KvUsed::of_share(self.believed()?).ok_or(Ignored::Absurd)
    }

    fn believed(self) -> Result<f64, Ignored> {
        match self {
            Self::Missing => Err(Ignored::Missing),
            Self::Contradictory => Err(Ignored::Contradictory),
            Self::Said(value) if value.is_nan() => Err(Ignored::Absurd),
            Self::Said(value) => Ok(value),
        }
    }
}

impl Claims {
    /// What can be believed. Without the number of requests that run nothing else says much.
    pub fn believe(self) -> Reading {
        let mut ignored = Vec::new();
        let running = note(self.running.requests(), &mut ignored);
        let waiting = note(self.waiting.requests(), &mut ignored);
        let kv_used = if self.tells_no_kv {
            None
        } else {
            note(self.kv_used.share(), &mut ignored)
        };
        let figures = running.map(|running| EngineFigures {
            running,
            waiting: waiting.unwrap_or_default(),
            kv_used,
        });
        Reading { figures, ignored }
    }
}

fn note<T>(believed: Result<T, Ignored>, ignored: &mut Vec<Ignored>) -> Option<T> {
    believed.map_err(|why| ignored.push(why)).ok()
}

/// More than any engine runs at once: what the configuration takes for `max_running` at most.
const MOST_REQUESTS: f64 = 1_000_000.0;
