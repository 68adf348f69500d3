//! The estimate for a model without a table: what its scripts are likely to take, corrected by what its engines
//! reported for earlier prompts, with an error that is known. Pure; where corrections are kept is the cell's matter.

use serde::{Deserialize, Serialize};

use super::uncorrected::Uncorrected;
use crate::ids::Tokens;

/// What engines' reports have taught about one model, the newest weighing most. Sums, so that a prompt weighs by its
/// length: it is the long ones that fill caches and contexts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Correction {
    /// Uncorrected estimates.
    #[serde(rename = "likely")]
    uncorrected_estimate: f64,
    /// What engines reported for the same prompts.
    reported: f64,
    /// By how much the corrected estimates of the time were off, without sign.
    off: f64,
    /// Prompts, all alike, as far as they have not faded.
    weight: f64,
}

/// Prompts whose length has been reported, summed up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Observed {
    #[serde(rename = "likely")]
    uncorrected_estimate: f64,
    reported: f64,
    off: f64,
    prompts: u32,
}

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

impl Correction {
    /// The estimate for a prompt. Only what every template reads is sure.
    pub fn estimate(&self, uncorrected: &Uncorrected) -> Estimate {
        let error = self.error();
        let sure = match error {
            Some(error) if uncorrected.is_plain => 1.0 - SURE * error.max(LEAST_ERROR),
            Some(_) | None => 0.0,
        };
        Estimate {
            tokens: Tokens((uncorrected.tokens * self.factor()).round().max(1.0) as u64),
            at_least: Tokens((uncorrected.without_tools * self.factor() * sure).max(0.0) as u64),
            error,
        }
    }

    /// What an uncorrected estimate is multiplied by.
    pub fn factor(&self) -> f64 {
        if self.uncorrected_estimate > 0.0 {
            (self.reported / self.uncorrected_estimate).max(LEAST_FACTOR)
        } else {
            1.0
        }
    }

    /// The mean error as a share of the true count; `None` before enough prompts were reported.
    pub fn error(&self) -> Option<f64> {
        (self.weight >= LEAST_PROMPTS).then(|| self.off / self.reported)
    }

    /// A prompt was `reported` tokens. `None` where that teaches nothing: it was not all text, or no text of its size can
    /// be so many, as when an engine reports something else than the prompt's length. Of a prompt with tools it is not known
    /// whether the template reads them; what comes nearer to the report is taken to be so.
    pub fn observe(&self, uncorrected: &Uncorrected, reported: Tokens) -> Option<Observed> {
        let true_count = reported.0 as f64;
        let off = |likely: &f64| (likely * self.factor() / true_count).ln().abs();
        let likely = [uncorrected.tokens, uncorrected.without_tools]
            .into_iter()
            .filter(|likely| *likely > 0.0)
            .min_by(|one, other| off(one).total_cmp(&off(other)))?;
        let plausible = (likely * LEAST_FACTOR..=likely * MOST_FACTOR).contains(&true_count);
        (uncorrected.is_plain && plausible).then(|| Observed {
            uncorrected_estimate: likely,
            reported: true_count,
            off: (uncorrected.tokens * self.factor() - true_count).abs(),
            prompts: 1,
        })
    }

    /// Learns from reports.
    pub fn learn(&mut self, observed: &Observed) {
        for _ in 0..observed.prompts.min(MEMORY_PROMPTS) {
            *self = self.faded();
        }
        self.uncorrected_estimate += observed.uncorrected_estimate;
        self.reported += observed.reported;
        self.off += observed.off;
        self.weight += f64::from(observed.prompts);
        debug_assert_eq!(self.check_invariants(), Ok(()));
    }

    fn faded(self) -> Self {
        const KEPT: f64 = 1.0 - 1.0 / MEMORY_PROMPTS as f64;
        Self {
            uncorrected_estimate: self.uncorrected_estimate * KEPT,
            reported: self.reported * KEPT,
            off: self.off * KEPT,
            weight: self.weight * KEPT,
        }
    }

    /// What must hold after every report: sums are such as reports have, and no tokenizer is farther off than it can be.
    ///
    /// # Errors
    /// What is broken.
    pub fn check_invariants(&self) -> Result<(), String> {
        let sums = [self.uncorrected_estimate, self.reported, self.off, self.weight];
        let are_sums = sums.iter().all(|sum| sum.is_finite() && *sum >= 0.0);
        let belong_together = (self.uncorrected_estimate > 0.0) == (self.reported > 0.0);
        let is_plausible = (LEAST_FACTOR..=1.01 * MOST_FACTOR).contains(&self.factor());
        if are_sums && belong_together && is_plausible {
            Ok(())
        } else {
            Err(format!("no sums of reports: {self:?}"))
        }
    }
}

impl Observed {
    /// Adds what another prompt told.
    pub fn add(&mut self, other: &Self) {
        self.uncorrected_estimate += other.uncorrected_estimate;
        self.reported += other.reported;
        self.off += other.off;
        self.prompts = self.prompts.saturating_add(other.prompts);
    }

    /// Whether it tells nothing.
    pub fn is_empty(&self) -> bool {
        self.prompts == 0
    }
}

/// After so many prompts one weighs a third of what it did: enough to average over, few enough to follow a change of
/// the model or of what is asked.
const MEMORY_PROMPTS: u32 = 64;
/// An error that fewer prompts tell is not known.
const LEAST_PROMPTS: f64 = 16.0;
/// Beyond so many mean errors an estimate is sure. Were errors spread as by Laplace's law, which has a longer tail than
/// the normal one, e^-6 / 2 of them, about one in 800, would go farther to that side.
const SURE: f64 = 6.0;
/// No estimate is taken to be better than this, however well it did lately.
const LEAST_ERROR: f64 = 0.01;
/// No tokenizer makes more of a text.
const MOST_FACTOR: f64 = 16.0;
/// No tokenizer makes less of a text, unless it is one character over and over. Of 9,000 texts of `tests/tokens/corpus`
/// the least that one of the tokenizers of Qwen 3, DeepSeek V3 and gpt-oss took was 0.51 of what [`super::Scripts`] finds
/// likely in prose, 0.44 in code, 0.56 in markdown, 0.77 in JSON, 0.35 in phrases of a few words.
const LEAST_FACTOR: f64 = 0.3;

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

    fn taught(prompts: &[(f64, u64)]) -> Correction {
        let mut correction = Correction::default();
        for (uncorrected_estimate, reported) in prompts {
            let observed = correction.observe(&plain(*uncorrected_estimate), Tokens(*reported));
            observed.iter().for_each(|observed| correction.learn(observed));
            assert_eq!(correction.check_invariants(), Ok(()));
        }
        correction
    }

    #[test]
    fn nothing_is_sure_before_anything_was_reported() {
        let estimate = Correction::default().estimate(&plain(1_000.0));
        assert_eq!(
            (estimate.tokens, estimate.at_least, estimate.error),
            (Tokens(1_000), Tokens(0), None)
        );
        assert_eq!(taught(&[(100.0, 130); 16]).error(), None, "they have faded a little");
    }

    #[test]
    fn a_tokenizer_that_is_steadily_off_is_soon_hit() {
        let correction = taught(&[(100.0, 130); 400]);
        let estimate = correction.estimate(&plain(1_000.0));
        assert!((1_300..=1_301).contains(&estimate.tokens.0), "{estimate:?}");
        assert!(estimate.error.unwrap() < 0.01, "{estimate:?}");
        assert!(estimate.at_least >= Tokens(1_200), "{estimate:?}");
    }

    #[test]
    fn errors_that_stay_are_known_and_nothing_within_them_is_sure() {
        let prompts: Vec<_> = (0..400).map(|n| (100.0, if n % 2 == 0 { 80 } else { 120 })).collect();
        let estimate = taught(&prompts).estimate(&plain(1_000.0));
        assert!((0.15..0.25).contains(&estimate.error.unwrap()), "{estimate:?}");
        assert_eq!(estimate.at_least, Tokens(0));
    }

    #[test]
    fn what_cannot_be_a_prompts_length_teaches_nothing() {
        for (uncorrected_estimate, reported) in [(100.0, 0), (100.0, 29), (100.0, 100_000), (0.0, 5), (1e9, 1)] {
            assert_eq!(
                Correction::default().observe(&plain(uncorrected_estimate), Tokens(reported)),
                None
            );
        }
    }

    #[test]
    fn tools_that_a_template_ignores_bend_nothing() {
        let mut correction = taught(&[(26.0, 26); 20]);
        for _ in 0..200 {
            let observed = correction.observe(&with_tools(26.0, 130.0), Tokens(26)).unwrap();
            correction.learn(&observed);
        }
        assert_eq!(correction.estimate(&plain(26.0)).tokens, Tokens(26));
        let estimate = correction.estimate(&with_tools(26.0, 130.0));
        assert!(estimate.at_least <= Tokens(26), "{estimate:?}");
        assert!(estimate.error.unwrap() > 1.0, "an error that is known: {estimate:?}");
    }

    #[test]
    fn tools_that_a_template_reads_teach_as_text_does() {
        let mut correction = Correction::default();
        for _ in 0..400 {
            let observed = correction.observe(&with_tools(30.0, 70.0), Tokens(130)).unwrap();
            correction.learn(&observed);
        }
        assert!((correction.factor() - 1.3).abs() < 0.01, "{correction:?}");
    }

    #[test]
    fn what_is_not_all_text_teaches_nothing_and_is_never_surely_too_long() {
        let correction = taught(&[(100.0, 100); 400]);
        let other = Uncorrected {
            is_plain: false,
            ..plain(1_000.0)
        };
        assert_eq!(correction.observe(&other, Tokens(1_000)), None);
        let estimate = correction.estimate(&other);
        assert_eq!((estimate.tokens, estimate.at_least), (Tokens(1_000), Tokens(0)));
    }

    #[test]
    fn a_text_is_never_less_than_its_bytes_can_be() {
        // Sums of a version that took prompts which were cut for whole.
        let bent = Correction {
            uncorrected_estimate: 1_600.0,
            reported: 100.0,
            off: 0.0,
            weight: 1.0,
        };
        assert_eq!(bent.estimate(&plain(100.0)).tokens, Tokens(30));
        assert_eq!(bent.estimate(&plain(0.0)).tokens, Tokens(1));
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

        #[test]
        fn reports_told_together_teach_nearly_what_they_teach_one_by_one(
            reports in prop::collection::vec(900_u64..1_100, 2..20),
        ) {
            let base = taught(&[(1_000.0, 1_000); 100]);
            let mut one_by_one = base;
            let mut together = Observed::default();
            for reported in reports {
                let observed = base.observe(&plain(1_000.0), Tokens(reported)).unwrap();
                one_by_one.learn(&observed);
                together.add(&observed);
            }
            let mut at_once = base;
            at_once.learn(&together);
            prop_assert!((at_once.factor() - one_by_one.factor()).abs() < 0.05);
        }
    }
}
