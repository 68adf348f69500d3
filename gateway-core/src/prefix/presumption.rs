//! How far it can be relied upon that a conversation with an answer in it is warm where its key leads, as engines have
//! reported of those of which nothing else was known. Most are where a gateway serves whole conversations; few are where
//! clients bring histories that other services have computed.

use std::collections::BTreeMap;

use crate::ids::{ModelName, Tokens};

/// What this process, isolate or instance has learned, by model.
#[derive(Debug, Default)]
pub struct Presumptions(BTreeMap<ModelName, f64>);

impl Presumptions {
    /// How much of a prompt to expect where `presumed` of it may be warm.
    pub fn expected(&self, model: &ModelName, presumed: Tokens) -> Tokens {
        let share = self.0.get(model).copied().unwrap_or(UNKNOWN);
        Tokens((presumed.0 as f64 * share) as u64)
    }

    /// An engine had `cached` tokens of a prompt of which `presumed` may have been warm.
    pub fn on_found(&mut self, model: &ModelName, presumed: Tokens, cached: Tokens) {
        if presumed == Tokens(0) {
            return;
        }
        let found = (cached.0 as f64 / presumed.0 as f64).min(1.0);
        match self.0.get_mut(model) {
            Some(share) => *share += (found - *share) * WEIGHT,
            None => {
                self.0.insert(model.clone(), UNKNOWN + (found - UNKNOWN) * WEIGHT);
            }
        }
    }
}

/// What counts before anything was reported, and where engines report nothing.
const UNKNOWN: f64 = 0.5;
/// Of the latest report: some twenty of them make the figure.
const WEIGHT: f64 = 1.0 / 16.0;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_engines_report_is_what_is_expected_soon() {
        let model = ModelName::from("m");
        let mut known = Presumptions::default();
        let expected = |known: &Presumptions| known.expected(&model, Tokens(1_000)).0;
        assert_eq!(expected(&known), 500);
        for _ in 0..64 {
            known.on_found(&model, Tokens(1_000), Tokens(900));
        }
        assert!((880..=900).contains(&expected(&known)));
        for _ in 0..64 {
            known.on_found(&model, Tokens(1_000), Tokens(0));
        }
        assert!(expected(&known) < 30);
        known.on_found(&model, Tokens(0), Tokens(7));
        known.on_found(&model, Tokens(10), Tokens(7_000));
        assert!(expected(&known) < 100, "no report counts for more than all");
        assert_eq!(known.expected(&"other".into(), Tokens(10)), Tokens(5));
    }
}
