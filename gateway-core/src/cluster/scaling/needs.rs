//! How many replicas the work of a cluster takes, by what each kind of it is bounded by. Figures in, replicas out.

use super::figures::Figures;
use crate::cluster::permit::Capacity;

/// What a cluster's work takes, in replicas.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Needs {
    /// Whose time is all taken, by computing prompts and writing answers: an engine does one beside the other.
    pub computing: Computing,
    /// Whose places in batches are all taken, by what runs and waits.
    pub places: f64,
    /// Whose kv_cache is full of what runs and waits, or will run at once. By Little's law that is what comes in a second,
    /// times the seconds that it takes. Source: Little, "A proof for the queuing formula L = λW", 1961.
    pub kv_cache: f64,
}

/// The time of engines, in that of whole replicas.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Computing {
    /// That prompts take.
    pub prompts: f64,
    /// That answers take, in full batches.
    pub answers: f64,
}

/// What most replicas are needed for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Bottleneck {
    Computing,
    Places,
    KvCache,
}

impl Needs {
    /// Of what is measured, where each replica has room for so much.
    pub fn of(figures: &Figures, capacity: Capacity) -> Self {
        let Figures {
            waiting,
            arrival,
            arrival_ahead,
            ..
        } = figures;
        // What comes less in a while comes now all the same.
        let requests_per_s = arrival.requests_per_s.max(arrival_ahead.requests_per_s);
        let uncached_per_s = arrival.uncached_tokens_per_s.max(arrival_ahead.uncached_tokens_per_s);
        let tokens_per_s = arrival.tokens_per_s.max(arrival_ahead.tokens_per_s);
        let prefill_s = ratio(1.0, figures.prefill_tokens_per_s);
        let decode_s = full_step_s(prefill_s, capacity.requests) / f64::from(capacity.requests.max(1));
        let waiting_requests = f64::from(waiting.requests);
        let waiting_uncached = waiting.uncached_tokens.0 as f64;
        let takes_s =
            figures.output_tokens / figures.decode_tokens_per_s + ratio(uncached_per_s, requests_per_s) * prefill_s;
        let at_once = ratio(takes_s, 1.0) * tokens_per_s;
        let kv_tokens = (figures.running_tokens.0 as f64).max(at_once) + waiting.tokens.0 as f64;
        Self {
            computing: Computing {
                prompts: ratio(uncached_per_s + waiting_uncached / CATCH_UP_S, 1.0) * prefill_s,
                answers: ratio(requests_per_s + waiting_requests / CATCH_UP_S, 1.0)
                    * figures.output_tokens.max(0.0)
                    * decode_s,
            },
            places: ratio(f64::from(figures.running) + waiting_requests, capacity.requests.into()),
            kv_cache: ratio(kv_tokens, capacity.kv_tokens.0 as f64),
        }
    }

    /// How many replicas that are, where each is used to that share, and what for. Places may all be taken: who runs in the last one
    /// is served as others are.
    pub fn replicas(self, target: f64) -> (f64, Bottleneck) {
        let Computing { prompts, answers } = self.computing;
        let first = (ratio(prompts + answers, target), Bottleneck::Computing);
        let others = [
            (self.places, Bottleneck::Places),
            (ratio(self.kv_cache, target), Bottleneck::KvCache),
        ];
        let more = |most: (f64, Bottleneck), other: (f64, Bottleneck)| if other.0 > most.0 { other } else { most };
        others.into_iter().fold(first, more)
    }
}

/// How long a step takes in which a full batch writes a token each, in seconds. A 70B model on four H100 takes 52 ms with 64
/// requests and 29 ms with one, and computes 9,600 prompt tokens a second: a step grows by 1.26% of its least time with each
/// request. Source: the measurements that come with Splitwise (Patel et al., 2024), of which other engines are taken for
/// faster or slower copies.
fn full_step_s(prefill_s: f64, requests: u32) -> f64 {
    let least_s = 277.0 * prefill_s;
    least_s * (1.0 + 0.0126 * f64::from(requests))
}

/// One number over another; nothing where that is nothing, or neither is a number.
fn ratio(of: f64, to: f64) -> f64 {
    let ratio = of / to;
    if ratio.is_finite() { ratio.max(0.0) } else { 0.0 }
}

/// What waits should be computed within so many seconds, beside what comes.
const CATCH_UP_S: f64 = 30.0;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_is_that_of_the_measurements() {
        for (requests, measured_s) in [(1, 0.029_4), (32, 0.036_9), (64, 0.052_4)] {
            let step_s = full_step_s(1.0 / 9_600.0, requests);
            assert!((step_s / measured_s - 1.0_f64).abs() < 0.12, "{requests}: {step_s}");
        }
    }
}
