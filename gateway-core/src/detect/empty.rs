//! Answers that say nothing: neither text but white space, nor a refusal, a call or a thought, and that the model has ended of
//! itself.

use super::{Detector, Finding, Finish};

/// Whether anything has been said.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Empty {
    has_said: bool,
    bytes: u64,
}

impl Empty {
    /// The model says that.
    pub fn on_text(&mut self, text: &str) {
        self.bytes += text.len() as u64;
        self.has_said = self.has_said || !text.trim().is_empty();
    }

    /// The model says something that is no text.
    pub fn on_other(&mut self) {
        self.has_said = true;
    }

    /// The answer has ended.
    pub fn on_finish(self, finish: Finish) -> Option<Finding> {
        let is_own_end = match finish {
            Finish::Stop | Finish::ToolCalls => true,
            Finish::Length | Finish::Filtered => false,
        };
        (is_own_end && !self.has_said).then(|| Finding {
            detector: Detector::Empty,
            score: 1.0,
            at_bytes: self.bytes,
            reason: format!("the answer has ended with {} bytes of white space", self.bytes),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ended(texts: &[&str], finish: Finish) -> bool {
        let mut empty = Empty::default();
        texts.iter().for_each(|text| empty.on_text(text));
        empty.on_finish(finish).is_some()
    }

    #[test]
    fn an_answer_of_nothing_but_white_space_is_empty_where_the_model_has_ended_it() {
        assert!(ended(&[], Finish::Stop));
        assert!(ended(&["\n", " \u{a0}\t"], Finish::Stop));
        assert!(ended(&[], Finish::ToolCalls), "calls of which there is none");
        assert!(!ended(&["\n", "0"], Finish::Stop));
        assert!(!ended(&[], Finish::Length), "it had no room to say anything");
        assert!(!ended(&[], Finish::Filtered));
        let mut called = Empty::default();
        called.on_other();
        assert_eq!(called.on_finish(Finish::ToolCalls), None);
    }
}
