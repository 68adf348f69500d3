//! What one gateway has seen of a cluster that its cell cannot see, until the cell is told.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::arrivals::Work;
use super::sketch::LatencySketch;
use crate::cluster::watched::WatchedAnswers;

/// What a gateway tells a cluster's cell behind requests' backs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Served {
    /// Requests that came under kept permits, of which the cell is not asked.
    pub arrived: Work,
    /// Times to first token of streams, from the request's arrival on.
    pub first_tokens: LatencySketch,
    /// Answers that have ended.
    pub ended: Ended,
    /// What detectors found in answers.
    #[serde(default)]
    pub watched: WatchedAnswers,
}

/// Answers that have ended, by what they took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ended {
    /// How many.
    pub answers: u64,
    /// What they have written, in tokens.
    pub output_tokens: u64,
    /// From their first events to their ends, in milliseconds.
    pub decode_ms: u64,
}

impl Served {
    /// Whether there is nothing to tell.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

impl Ended {
    /// One answer has ended that has written so much since its first event came.
    pub fn on_answer(&mut self, output_tokens: u64, took: Duration) {
        self.add(Self {
            answers: 1,
            output_tokens,
            decode_ms: u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
        });
    }

    /// More have ended. What ended long ago counts ever less: half as much after each `FORGETS_AFTER` answers.
    pub fn add(&mut self, more: Self) {
        self.answers = self.answers.saturating_add(more.answers);
        self.output_tokens = self.output_tokens.saturating_add(more.output_tokens);
        self.decode_ms = self.decode_ms.saturating_add(more.decode_ms);
        while self.answers >= FORGETS_AFTER * 2 {
            self.answers /= 2;
            self.output_tokens /= 2;
            self.decode_ms /= 2;
        }
    }

    /// Tokens that one answer writes in a second beside others; `None` as long as nothing is known.
    pub fn tokens_per_s(self) -> Option<f64> {
        (self.output_tokens > 0 && self.decode_ms > 0).then(|| self.output_tokens as f64 * 1e3 / self.decode_ms as f64)
    }

    /// What an answer has written, in tokens; `None` as long as nothing is known.
    pub fn tokens(self) -> Option<f64> {
        (self.answers > 0).then(|| self.output_tokens as f64 / self.answers as f64)
    }
}

/// So many answers tell how long one takes: their mean is off by a tenth where lengths vary as much as they are long.
const FORGETS_AFTER: u64 = 128;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn speeds_are_those_of_the_latest_answers() {
        let mut ended = Ended::default();
        assert_eq!((ended.tokens_per_s(), ended.tokens()), (None, None));
        (0..1_000).for_each(|_| ended.on_answer(100, Duration::from_secs(5)));
        assert_eq!((ended.tokens_per_s(), ended.tokens()), (Some(20.0), Some(100.0)));
        (0..1_000).for_each(|_| ended.on_answer(100, Duration::from_secs(10)));
        let tokens_per_s = ended.tokens_per_s().expect("it is known");
        assert!((10.0..10.2).contains(&tokens_per_s), "{tokens_per_s}");
    }

    #[test]
    fn absurd_sums_stay_sums() {
        let mut ended = Ended::default();
        let most = Ended {
            answers: u64::MAX,
            output_tokens: u64::MAX,
            decode_ms: u64::MAX,
        };
        ended.add(most);
        ended.add(most);
        assert!(ended.tokens_per_s().is_some_and(f64::is_finite));
    }
}
