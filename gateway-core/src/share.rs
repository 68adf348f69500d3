//! How many of so many, and which true shares that rules out, whenever it is looked at.
//!
//! The test. Of `n` trials `k` were hits. A share `p` is ruled out where `(n + 1) · C(n, k) · pᵏ · (1 - p)ⁿ⁻ᵏ ≤ α`: what
//! stands on the left is one over the likelihood ratio of a uniform mixture of all shares to `p`, which is a martingale
//! under `p`, so that it ever falls to `α` with that probability at most (Ville's inequality). Source: Robbins,
//! "Statistical methods related to the law of the iterated logarithm", 1970. All shares that are not ruled out are a
//! confidence sequence. No approximation is in it that needs large counts.

/// So many of so many.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Share {
    /// Of these.
    pub hits: u64,
    /// Of so many; no fewer.
    pub trials: u64,
}

impl Share {
    fn observed(self) -> f64 {
        self.hits as f64 / self.trials.max(1) as f64
    }

    /// Whether a true share of `p` is ruled out.
    fn rules_out(self, p: f64, alpha: f64) -> bool {
        let (n, k) = (self.trials as f64, self.hits as f64);
        let term = |count: f64, share: f64| if count == 0.0 { 0.0 } else { count * share.ln() };
        let ln_mass = ln_factorial(n) - ln_factorial(k) - ln_factorial(n - k) + term(k, p) + term(n - k, 1.0 - p);
        (n + 1.0).ln() + ln_mass <= alpha.ln()
    }

    /// Whether the true share is more than `p`, but for a probability of `alpha` in all looks together.
    pub fn is_surely_more(self, p: f64, alpha: f64) -> bool {
        self.observed() > p && self.rules_out(p, alpha)
    }

    /// Whether the true share is less than `p`, likewise.
    pub fn is_surely_less(self, p: f64, alpha: f64) -> bool {
        self.observed() < p && self.rules_out(p, alpha)
    }

    /// The largest share that is not ruled out; 1 where nothing is known.
    pub fn largest(self, alpha: f64) -> f64 {
        let (mut known, mut ruled_out) = (self.observed(), 1.0);
        if self.trials == 0 || !self.rules_out(ruled_out, alpha) {
            return 1.0;
        }
        for _ in 0..BISECTIONS {
            let middle = f64::midpoint(known, ruled_out);
            if self.rules_out(middle, alpha) {
                ruled_out = middle;
            } else {
                known = middle;
            }
        }
        ruled_out
    }
}

/// To a billionth.
const BISECTIONS: u32 = 30;

/// The logarithm of a factorial, by Stirling's series; its error is less than a part in a billion from 10 on, and for less
/// it goes by way of those.
fn ln_factorial(n: f64) -> f64 {
    let (mut x, mut below) = (n + 1.0, 0.0);
    while x < 10.0 {
        below += x.ln();
        x += 1.0;
    }
    let series = (1.0 / 12.0 - (1.0 / 360.0 - 1.0 / (1_260.0 * x * x)) / (x * x)) / x;
    (x - 0.5) * x.ln() - x + 0.5 * std::f64::consts::TAU.ln() + series - below
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_factorial_is_known_to_a_billionth() {
        for (n, expected) in [
            (0.0, 0.0),
            (1.0, 0.0),
            (5.0, 120_f64.ln()),
            (20.0, 2_432_902_008_176_640_000_f64.ln()),
        ] {
            assert!((ln_factorial(n) - expected).abs() < 1e-9, "{n}");
        }
    }

    #[test]
    fn a_share_is_bounded_by_what_was_seen_and_by_nothing_else() {
        let none = Share::default();
        assert_eq!((none.largest(0.01), none.is_surely_more(0.0, 0.01)), (1.0, false));
        let few = Share { hits: 0, trials: 100 };
        assert!((0.05..0.15).contains(&few.largest(0.01)), "{}", few.largest(0.01));
        assert!(few.is_surely_less(0.2, 0.01) && !few.is_surely_less(0.05, 0.01));
        let all = Share { hits: 20, trials: 20 };
        assert!(all.is_surely_more(0.5, 0.01) && !all.is_surely_more(0.9, 0.01));
    }
}
