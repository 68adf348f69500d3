//! What follows from what a detector finds, as an operator says it for a model and a tenant.

use serde::{Deserialize, Serialize};

use super::Detector;

/// What follows when a detector is sure.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Action {
    /// Nothing is looked for.
    Off,
    /// It is told, and nothing else.
    #[default]
    Flag,
    /// The answer ends there, as if the model had ended it.
    Cut,
    /// The answer is a failure: somebody else is asked or, where the client has a part of it already, it ends with an error.
    FailOver,
}

/// What is looked for in an answer, and what follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DetectionPolicy {
    /// Of each detector, in the order of [`Detector::ALL`].
    pub actions: [Action; Detector::ALL.len()],
    /// How much of what an answer may take its reasoning may, in percent; 1 to 100.
    pub reasoning_percent: u8,
    /// The same in tokens, whatever the answer may take.
    pub reasoning_tokens: u64,
}

/// What is said otherwise of one model or one tenant.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DetectionOverrides {
    /// Of each detector, in the order of [`Detector::ALL`].
    pub actions: [Option<Action>; Detector::ALL.len()],
    /// How much of what an answer may take its reasoning may, in percent.
    pub reasoning_percent: Option<u8>,
    /// The same in tokens.
    pub reasoning_tokens: Option<u64>,
}

impl Action {
    /// All of them, from the least to the most.
    pub const ALL: [Self; 4] = [Self::Off, Self::Flag, Self::Cut, Self::FailOver];

    /// Its name, as configuration, events and metrics have it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Flag => "flag",
            Self::Cut => "cut",
            Self::FailOver => "fail_over",
        }
    }
}

impl Default for DetectionPolicy {
    fn default() -> Self {
        Self {
            actions: [Action::Flag; Detector::ALL.len()],
            reasoning_percent: 90,
            reasoning_tokens: MOST_TOKENS,
        }
    }
}

impl DetectionPolicy {
    /// A policy by which nothing is looked for.
    pub const NOTHING: Self = Self {
        actions: [Action::Off; Detector::ALL.len()],
        reasoning_percent: 100,
        reasoning_tokens: MOST_TOKENS,
    };

    /// What follows from what that detector finds.
    pub fn action(&self, detector: Detector) -> Action {
        self.actions[detector as usize]
    }

    /// Whether that is looked for.
    pub fn looks_for(&self, detector: Detector) -> bool {
        self.action(detector) != Action::Off
    }

    /// Whether anything is.
    pub fn looks_for_any(&self) -> bool {
        self.actions.iter().any(|action| *action != Action::Off)
    }

    /// The same, but for what is said otherwise.
    #[must_use]
    pub fn with(self, overrides: &DetectionOverrides) -> Self {
        let mut actions = self.actions;
        for (action, other) in actions.iter_mut().zip(overrides.actions) {
            *action = other.unwrap_or(*action);
        }
        Self {
            actions,
            reasoning_percent: overrides.reasoning_percent.unwrap_or(self.reasoning_percent),
            reasoning_tokens: overrides.reasoning_tokens.unwrap_or(self.reasoning_tokens),
        }
    }

    /// The same, where nothing follows from a finding but that it is told.
    #[must_use]
    pub fn only_told(self) -> Self {
        Self {
            actions: self.actions.map(|action| action.min(Action::Flag)),
            ..self
        }
    }
}

/// No model's context has more tokens, so that only the share counts.
const MOST_TOKENS: u64 = 1_000_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_detector_has_the_action_at_its_own_place() {
        for (place, detector) in Detector::ALL.into_iter().enumerate() {
            let mut policy = DetectionPolicy::NOTHING;
            policy.actions[place] = Action::Cut;
            assert_eq!(policy.action(detector), Action::Cut, "{detector:?}");
        }
    }

    #[test]
    fn what_is_said_of_one_goes_before_what_is_said_of_all() {
        let mut overrides = DetectionOverrides::default();
        overrides.actions[Detector::Echo as usize] = Some(Action::Off);
        overrides.reasoning_tokens = Some(9);
        let policy = DetectionPolicy::default().with(&overrides);
        assert_eq!((policy.looks_for(Detector::Echo), policy.reasoning_tokens), (false, 9));
        assert_eq!(policy.action(Detector::Empty), Action::Flag);
        assert_eq!(policy.with(&DetectionOverrides::default()), policy);
    }
}
