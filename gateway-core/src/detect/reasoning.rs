//! Reasoning that never ends: thinking that takes nearly all of what the answer may, or more than an operator lets it, and has
//! said nothing and called nothing yet.

use super::{DetectionPolicy, Detector, Finding};

/// How long a model has been thinking.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reasoning {
    bytes: u64,
    /// From how many bytes on it never ends.
    most_bytes: u64,
    /// Something else was said, or this was told before.
    is_over: bool,
}

impl Reasoning {
    /// Of an answer that may take so many tokens.
    pub fn new(policy: &DetectionPolicy, room_tokens: u64) -> Self {
        let share = room_tokens.saturating_mul(policy.reasoning_percent.into()) / 100;
        let most = share.max(LEAST_TOKENS);
        let most = most.min(policy.reasoning_tokens);
        Self {
            bytes: 0,
            most_bytes: most.saturating_mul(BYTES_PER_TOKEN),
            is_over: false,
        }
    }

    /// The model thinks that.
    pub fn push(&mut self, text: &str) -> Option<Finding> {
        self.bytes += text.len() as u64;
        if self.is_over || self.bytes < self.most_bytes {
            return None;
        }
        self.is_over = true;
        Some(Finding {
            detector: Detector::Reasoning,
            score: self.bytes as f32 / self.most_bytes.max(1) as f32,
            at_bytes: self.bytes,
            reason: format!(
                "about {} tokens of reasoning and nothing else, of {} that it may take",
                self.bytes / BYTES_PER_TOKEN,
                self.most_bytes / BYTES_PER_TOKEN
            ),
        })
    }

    /// The model says or calls something.
    pub fn on_other(&mut self) {
        self.is_over = true;
    }
}

/// What a token takes in reasoning, on the average: English has 4 to 5 bytes, Chinese 3 for a character and fewer tokens than
/// characters, code 3 to 4.
const BYTES_PER_TOKEN: u64 = 4;
/// However little an answer may take, less is no thinking without an end: it ends at its bound soon enough.
const LEAST_TOKENS: u64 = 8_192;

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(reasoning_tokens: Option<u64>) -> DetectionPolicy {
        DetectionPolicy {
            reasoning_tokens: reasoning_tokens.unwrap_or(u64::MAX),
            ..DetectionPolicy::default()
        }
    }

    /// After how many tokens of thinking it is found.
    fn found_at(mut reasoning: Reasoning) -> Option<u64> {
        (1..100_000).find(|_| reasoning.push("hmm ").is_some())
    }

    #[test]
    fn thinking_ends_at_its_share_or_at_what_an_operator_says() {
        assert_eq!(found_at(Reasoning::new(&policy(None), 40_000)), Some(36_000));
        assert_eq!(found_at(Reasoning::new(&policy(Some(500)), 40_000)), Some(500));
        assert_eq!(found_at(Reasoning::new(&policy(None), 100)), Some(LEAST_TOKENS));
        assert_eq!(found_at(Reasoning::new(&policy(None), u64::MAX)), None);
    }

    #[test]
    fn whoever_says_anything_has_come_to_an_end_and_it_is_told_once() {
        let mut reasoning = Reasoning::new(&policy(Some(2)), 9);
        reasoning.on_other();
        assert_eq!(found_at(reasoning), None);
        let mut reasoning = Reasoning::new(&policy(Some(2)), 9);
        assert!(reasoning.push("thinking").is_some());
        assert_eq!(reasoning.push("thinking"), None);
    }
}
