//! What engines' reports have taught, as sums over prompts, the newest weighing most. Pure; whose prompts they are, and
//! where sums are kept, is for others.

use serde::{Deserialize, Serialize};

/// What reports have taught, the newest weighing most. Sums, so that a prompt weighs by its length, up to
/// `HEAVIEST`: it is the long ones that fill caches and contexts.
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
    pub(super) uncorrected_estimate: f64,
    pub(super) reported: f64,
    pub(super) off: f64,
    pub(super) prompts: u32,
}

impl Correction {
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

    /// How far it is to be trusted: 1 from as many prompts on as an error takes to be known, 0 before the first.
    pub fn confidence(&self) -> f64 {
        (self.weight / LEAST_PROMPTS).min(1.0)
    }

    /// Prompts, as far as they have not faded: [`MEMORY_PROMPTS`] at most.
    pub(super) fn weight(&self) -> f64 {
        self.weight
    }

    /// Learns from reports. Those that come together teach what they would have taught one by one, were they alike.
    pub fn learn(&mut self, observed: &Observed) {
        const KEPT: f64 = 1.0 - 1.0 / MEMORY_PROMPTS;
        if observed.is_empty() {
            return;
        }
        let kept = (0..observed.prompts.min(MOST_FADING)).fold(1.0, |kept, _| kept * KEPT);
        let share = MEMORY_PROMPTS * (1.0 - kept) / f64::from(observed.prompts);
        let learn = |sum: &mut f64, seen: f64| *sum = *sum * kept + seen * share;
        learn(&mut self.uncorrected_estimate, observed.uncorrected_estimate);
        learn(&mut self.reported, observed.reported);
        learn(&mut self.off, observed.off);
        learn(&mut self.weight, f64::from(observed.prompts));
        debug_assert_eq!(self.check_invariants(), Ok(()));
    }

    /// Adds what others have taught.
    pub(super) fn add(&mut self, other: &Self) {
        self.uncorrected_estimate += other.uncorrected_estimate;
        self.reported += other.reported;
        self.off += other.off;
        self.weight += other.weight;
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
    /// A prompt of `reported` tokens that was taken for `corrected` ones, and for `uncorrected` before the correction.
    /// `None` where no text of its size can be so many, as when an engine reports something else than the prompt's length.
    pub(super) fn of_prompt(uncorrected: f64, corrected: f64, reported: f64) -> Option<Self> {
        let is_plausible = (uncorrected * LEAST_FACTOR..=uncorrected * MOST_FACTOR).contains(&reported);
        let weight = (HEAVIEST / uncorrected).min(1.0);
        (uncorrected > 0.0 && is_plausible).then(|| Self {
            uncorrected_estimate: uncorrected * weight,
            reported: reported * weight,
            off: (corrected - reported).abs() * weight,
            prompts: 1,
        })
    }

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
/// the model or of what is asked. It is also what all of them weigh together, however many there are.
pub(super) const MEMORY_PROMPTS: f64 = 64.0;
/// What fades over more prompts than these is gone: `e^-8` is left.
const MOST_FADING: u32 = 512;
/// An error that fewer prompts tell is not known.
const LEAST_PROMPTS: f64 = 16.0;
/// Longer prompts weigh like one of so many tokens. In the traces of Azure's LLM inference service (2023), 86% of the
/// prompts of conversations and 61% of those about code are no longer, with means of 1,155 and 2,048: one of 14,000
/// tokens, the longest, weighs 3% of the memory so, and would weigh 16% by its length.
const HEAVIEST: f64 = 2_000.0;
/// No tokenizer makes more of a text.
const MOST_FACTOR: f64 = 16.0;
/// No tokenizer makes less of a text, unless it is one character over and over. Of 9,000 texts of `tests/tokens/corpus`
/// the least that one of the tokenizers of Qwen 3, DeepSeek V3 and gpt-oss took was 0.51 of what [`super::Scripts`] finds
/// likely in prose, 0.44 in code, 0.56 in markdown, 0.77 in JSON, 0.35 in phrases of a few words.
pub(super) const LEAST_FACTOR: f64 = 0.3;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Prompts of this uncorrected estimate and report, one after another.
    fn taught(prompts: impl IntoIterator<Item = (f64, f64)>) -> Correction {
        let mut correction = Correction::default();
        for (uncorrected, reported) in prompts {
            let corrected = uncorrected * correction.factor();
            let observed = Observed::of_prompt(uncorrected, corrected, reported);
            correction.learn(&observed.expect("a prompt that can be"));
        }
        correction
    }

    #[test]
    fn what_cannot_be_a_prompts_length_teaches_nothing() {
        for (uncorrected, reported) in [(100.0, 0.0), (100.0, 29.0), (100.0, 100_000.0), (0.0, 5.0), (1e9, 1.0)] {
            assert_eq!(Observed::of_prompt(uncorrected, uncorrected, reported), None);
        }
    }

    #[test]
    fn no_prompt_outweighs_the_others_by_its_length() {
        let usual = || std::iter::repeat_n((1_000.0, 1_000.0), 400);
        let giant = taught(usual().chain([(1e6, 4e6)]));
        assert!((1.0..1.1).contains(&giant.factor()), "{giant:?}");
        let longer = taught(usual().chain([(2_000.0, 8_000.0)]));
        assert_eq!(giant.factor(), longer.factor());
    }

    #[test]
    fn however_many_prompts_are_told_together_they_weigh_as_much_as_is_remembered() {
        let mut correction = Correction::default();
        let mut many = Observed::of_prompt(100.0, 100.0, 130.0).unwrap();
        (0..12).for_each(|_| many.add(&many.clone()));
        correction.learn(&many);
        assert!(correction.weight() <= MEMORY_PROMPTS, "{correction:?}");
        assert!((correction.factor() - 1.3).abs() < 1e-9, "{correction:?}");
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
        assert_eq!(bent.factor(), LEAST_FACTOR);
    }

    proptest! {
        #[test]
        fn reports_told_together_teach_nearly_what_they_teach_one_by_one(
            reports in prop::collection::vec(900.0..1_100.0_f64, 2..20),
        ) {
            let base = taught(std::iter::repeat_n((1_000.0, 1_000.0), 100));
            let mut one_by_one = base;
            let mut together = Observed::default();
            for reported in reports {
                let observed = Observed::of_prompt(1_000.0, 1_000.0, reported).unwrap();
                one_by_one.learn(&observed);
                together.add(&observed);
            }
            let mut at_once = base;
            at_once.learn(&together);
            prop_assert!((at_once.factor() - one_by_one.factor()).abs() < 0.01);
            prop_assert!((at_once.weight() - one_by_one.weight()).abs() < 1e-9);
        }
    }
}
