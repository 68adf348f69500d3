//! The estimate for a model without a table: what its scripts are likely to take, corrected by what its engines
//! reported for earlier prompts of the same tenant, within bounds around what those of all tenants taught.

use super::correction::{Correction, LEAST_FACTOR, Observed};
use super::uncorrected::Uncorrected;
use crate::ids::Tokens;

/// An estimate of a prompt.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Estimate {
    /// What it is taken to be.
    pub tokens: Tokens,
    /// What it surely is at least; 0 where too little has been reported to be sure of anything.
    pub at_least: Tokens,
    /// The mean error of such estimates as a share of the true count, where it is known.
    pub error: Option<f64>,
}

/// What is known of one tenant's texts for a model.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Estimator {
    /// What all tenants' prompts have taught, see [`super::ModelCorrections::factor`].
    pub model_factor: f64,
    /// What the tenant's own have taught.
    pub own: Correction,
}

impl Default for Estimator {
    fn default() -> Self {
        Self {
            model_factor: 1.0,
            own: Correction::default(),
        }
    }
}

impl Estimator {
    /// What an uncorrected estimate is multiplied by: the tenant's own factor, within bounds around the model's, and the
    /// nearer to the model's the fewer of its prompts were reported.
    pub fn factor(&self) -> f64 {
        let own = (self.own.factor() / self.model_factor).clamp(LEAST_OF_MODEL, MOST_OF_MODEL);
        (self.model_factor * own.powf(self.own.confidence())).max(LEAST_FACTOR)
    }

    /// The estimate for a prompt. Only what every template reads is sure, and only the tenant's own prompts make sure of
    /// anything. By a factor above the model's nothing is: a tenant may write something else than before.
    pub fn estimate(&self, uncorrected: &Uncorrected) -> Estimate {
        let (factor, error) = (self.factor(), self.own.error());
        let sure = match error {
            Some(error) if uncorrected.is_plain => 1.0 - SURE * error.max(LEAST_ERROR),
            Some(_) | None => 0.0,
        };
        let least = uncorrected.without_tools * factor.min(self.model_factor);
        Estimate {
            tokens: Tokens((uncorrected.tokens * factor).round().max(1.0) as u64),
            at_least: Tokens((least * sure).max(0.0) as u64),
            error,
        }
    }

    /// A prompt was `reported` tokens. `None` where that teaches nothing: it was not all text, or cannot be so many. Of a
    /// prompt with tools it is not known whether the template reads them; what comes nearer to the report is taken to be so.
    pub fn observe(&self, uncorrected: &Uncorrected, reported: Tokens) -> Option<Observed> {
        let (reported, factor) = (reported.0 as f64, self.factor());
        let off = |likely: &f64| (likely * factor / reported).ln().abs();
        let likely = [uncorrected.tokens, uncorrected.without_tools]
            .into_iter()
            .filter(|likely| *likely > 0.0)
            .min_by(|one, other| off(one).total_cmp(&off(other)))?;
        let observed = Observed::of_prompt(likely, uncorrected.tokens * factor, reported)?;
        uncorrected.is_plain.then_some(observed)
    }
}

/// Beyond so many mean errors an estimate is sure. Were errors spread as by Laplace's law, which has a longer tail than
/// the normal one, e^-6 / 2 of them, about one in 800, would go farther to that side.
const SURE: f64 = 6.0;
/// No estimate is taken to be better than this, however well it did lately.
const LEAST_ERROR: f64 = 0.01;
/// A tenant's own factor is at most so many times the model's. With one token for each byte, the most that tokenizers of
/// bytes can make of a text, it is 1.9 to 5.1 times what [`super::Scripts`] finds likely, by script.
const MOST_OF_MODEL: f64 = 6.0;
/// And at least so much of it. Answers are counted by it whose client leaves: prompts that are cheap, such as one
/// character over and over, make no answer cost less than half of what the model's factor tells.
const LEAST_OF_MODEL: f64 = 0.5;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn plain(tokens: f64) -> Uncorrected {
        Uncorrected {
            tokens,
            without_tools: tokens,
            is_plain: true,
        }
    }

    fn with_tools(messages: f64, tools: f64) -> Uncorrected {
        Uncorrected {
            tokens: messages + tools,
            without_tools: messages,
            is_plain: true,
        }
    }

    fn taught(prompts: &[(f64, u64)]) -> Estimator {
        let mut estimator = Estimator::default();
        for (uncorrected_estimate, reported) in prompts {
            let observed = estimator.observe(&plain(*uncorrected_estimate), Tokens(*reported));
            observed.iter().for_each(|observed| estimator.own.learn(observed));
            assert_eq!(estimator.own.check_invariants(), Ok(()));
        }
        estimator
    }

    #[test]
    fn nothing_is_sure_before_anything_was_reported() {
        let estimate = Estimator::default().estimate(&plain(1_000.0));
        assert_eq!(
            (estimate.tokens, estimate.at_least, estimate.error),
            (Tokens(1_000), Tokens(0), None)
        );
        assert_eq!(
            taught(&[(100.0, 130); 16]).own.error(),
            None,
            "they have faded a little"
        );
    }

    #[test]
    fn a_tokenizer_that_is_steadily_off_is_soon_hit() {
        let estimator = taught(&[(100.0, 130); 400]);
        let estimate = estimator.estimate(&plain(1_000.0));
        assert!((1_300..=1_301).contains(&estimate.tokens.0), "{estimate:?}");
        assert!(estimate.error.unwrap() < 0.01, "{estimate:?}");
        assert!(
            (930..1_000).contains(&estimate.at_least.0),
            "by the model's: {estimate:?}"
        );
        let of_all = Estimator {
            model_factor: 1.3,
            ..estimator
        };
        assert!(
            of_all.estimate(&plain(1_000.0)).at_least >= Tokens(1_200),
            "{estimate:?}"
        );
    }

    #[test]
    fn a_factor_of_its_own_stays_within_bounds_around_the_models() {
        let dear = taught(&[(100.0, 1_500); 100]);
        assert!((dear.factor() - 6.0).abs() < 1e-9, "{dear:?}");
        let cheap = taught(&[(100.0, 31); 100]);
        assert!((cheap.factor() - 0.5).abs() < 1e-9, "{cheap:?}");
        let of_all = Estimator {
            model_factor: 0.5,
            ..cheap
        };
        assert!((of_all.factor() - 0.31).abs() < 0.01, "{of_all:?}");
    }

    #[test]
    fn with_few_prompts_of_its_own_a_tenant_has_mostly_the_models() {
        let factor = |prompts| {
            let own = taught(&vec![(100.0, 300); prompts]).own;
            let model_factor = 0.9;
            Estimator { model_factor, own }.factor()
        };
        assert_eq!(factor(0), 0.9);
        assert!((0.9..1.0).contains(&factor(1)), "{}", factor(1));
        assert!((2.7..=3.0).contains(&factor(19)), "within 10% after 19: {}", factor(19));
    }

    #[test]
    fn who_has_sent_little_is_refused_nothing_whatever_others_have_taught() {
        let bent = Estimator {
            model_factor: 4.0,
            ..taught(&[(100.0, 100); 10])
        };
        assert_eq!(bent.estimate(&plain(1e6)).at_least, Tokens(0));
        let known = Estimator {
            model_factor: 4.0,
            ..taught(&[(100.0, 100); 100])
        };
        let estimate = known.estimate(&plain(1_000.0));
        assert!(
            estimate.at_least <= Tokens(2_000),
            "by no more than half of the model's: {estimate:?}"
        );
    }

    #[test]
    fn errors_that_stay_are_known_and_nothing_within_them_is_sure() {
        let prompts: Vec<_> = (0..400).map(|n| (100.0, if n % 2 == 0 { 80 } else { 120 })).collect();
        let estimate = taught(&prompts).estimate(&plain(1_000.0));
        assert!((0.15..0.25).contains(&estimate.error.unwrap()), "{estimate:?}");
        assert_eq!(estimate.at_least, Tokens(0));
    }

    #[test]
    fn tools_that_a_template_ignores_bend_nothing() {
        let mut estimator = taught(&[(26.0, 26); 20]);
        for _ in 0..200 {
            let observed = estimator.observe(&with_tools(26.0, 130.0), Tokens(26)).unwrap();
            estimator.own.learn(&observed);
        }
        assert_eq!(estimator.estimate(&plain(26.0)).tokens, Tokens(26));
        let estimate = estimator.estimate(&with_tools(26.0, 130.0));
        assert!(estimate.at_least <= Tokens(26), "{estimate:?}");
        assert!(estimate.error.unwrap() > 1.0, "an error that is known: {estimate:?}");
    }

    #[test]
    fn tools_that_a_template_reads_teach_as_text_does() {
        let mut estimator = Estimator::default();
        for _ in 0..400 {
            let observed = estimator.observe(&with_tools(30.0, 70.0), Tokens(130)).unwrap();
            estimator.own.learn(&observed);
        }
        assert!((estimator.factor() - 1.3).abs() < 0.01, "{estimator:?}");
    }

    #[test]
    fn what_is_not_all_text_teaches_nothing_and_is_never_surely_too_long() {
        let estimator = taught(&[(100.0, 100); 400]);
        let other = Uncorrected {
            is_plain: false,
            ..plain(1_000.0)
        };
        assert_eq!(estimator.observe(&other, Tokens(1_000)), None);
        let estimate = estimator.estimate(&other);
        assert_eq!((estimate.tokens, estimate.at_least), (Tokens(1_000), Tokens(0)));
    }

    proptest! {
        #[test]
        fn whatever_is_reported_estimates_stay_between_the_extremes(
            prompts in prop::collection::vec((1.0..1e7_f64, 0.31..15.0_f64), 1..200),
            uncorrected_estimate in 0.0..1e7_f64,
        ) {
            let reports: Vec<_> = prompts.iter().map(|(uncorrected_estimate, factor)| (*uncorrected_estimate, (uncorrected_estimate * factor) as u64)).collect();
            let estimate = taught(&reports).estimate(&plain(uncorrected_estimate));
            prop_assert!(estimate.tokens.0 as f64 <= uncorrected_estimate * 16.0 + 1.0);
            prop_assert!(estimate.tokens.0 as f64 >= (uncorrected_estimate * 0.3).round());
            prop_assert!(estimate.at_least <= estimate.tokens);
        }
    }
}
