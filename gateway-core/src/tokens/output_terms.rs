//! What of a request's output a budget holds for it, and how long its answers may become: no more than a multiple of that,
//! so that debt has a bound. Both come from the client's own bound, what is expected and what the budget has; no running
//! answer is ever judged here.

use super::count::Count;
use crate::api::Generation;
use crate::ids::Tokens;

/// What one budget says of a request's output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutputTerms {
    /// What is held for all answers, those included that are made only to choose from.
    pub held: Tokens,
    /// Most tokens of each; no less than is held for it.
    pub most: Tokens,
}

/// What a budget goes by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutputPolicy {
    /// Tokens that most answers stay within; at least 1.
    pub expected: u64,
    /// How many times what is held for it an answer may take; at least 1.
    pub multiple: u64,
    /// The most tokens, of prompt and answers, that the budget has for one request.
    pub most: u64,
}

impl Count {
    /// The terms of a request. For a bound that the client sets enough is held that it stands, where the budget has so much;
    /// where it sets none, answers get `ORDINARY` tokens at least and no more than the budget can have.
    pub fn output_terms(&self, request: &Generation, policy: OutputPolicy) -> OutputTerms {
        let made = self.answers_made(request);
        let affordable = policy.most.saturating_sub(self.prompt.0) / made.max(1);
        let bound = request.max_output.unwrap_or(u64::MAX).min(self.room.0);
        let stands = bound.min(request.max_output.unwrap_or(ORDINARY));
        let share = stands.div_ceil(policy.multiple).min(affordable);
        let expected = policy.expected.max(request.min_output);
        let held = bound.min(expected.max(share));
        let most = held.saturating_mul(policy.multiple).min(bound);
        OutputTerms {
            held: Tokens(held.saturating_mul(made)),
            most: Tokens(match request.max_output {
                Some(_) => most,
                None => most.min(affordable.max(ORDINARY)).max(held),
            }),
        }
    }
}

/// Answers up to this length are not cut where the budget can have them, however short others were: some four pages.
const ORDINARY: u64 = 2_048;

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use proptest::prelude::*;

    use super::*;
    use crate::api::{Dialect, Endpoint};
    use crate::tokens::Basis;

    fn terms(more: &str, policy: OutputPolicy, room: u64) -> OutputTerms {
        let body = format!(r#"{{"model":"m","prompt":[1]{more}}}"#);
        let request = Dialect::decode(Endpoint::Completions, Bytes::from(body), 8).unwrap();
        let count = Count {
            prompt: Tokens(100),
            basis: Basis::Exact,
            at_least: Tokens(100),
            room: Tokens(room),
            answers: request.choices,
        };
        count.output_terms(&request, policy)
    }

    const POLICY: OutputPolicy = OutputPolicy {
        expected: 500,
        multiple: 16,
        most: 100_000,
    };

    #[test]
    fn an_answer_may_take_a_multiple_of_what_is_held_for_it() {
        let short = OutputPolicy { expected: 11, ..POLICY };
        let tight = OutputPolicy { most: 1_100, ..POLICY };
        for (more, policy, room, held, most) in [
            ("", POLICY, 50_000, 500, 8_000),
            ("", POLICY, 6_000, 500, 6_000),
            (r#","n":4"#, POLICY, 50_000, 2_000, 8_000),
            (r#","min_tokens":700"#, POLICY, 50_000, 700, 11_200),
            // Ordinary answers are not cut where answers are short.
            ("", short, 50_000, 128, 2_048),
            (r#","max_tokens":300"#, short, 50_000, 19, 300),
            // A client's own bound stands.
            (r#","max_tokens":40000"#, POLICY, 50_000, 2_500, 40_000),
            (r#","max_tokens":40000,"n":2"#, POLICY, 50_000, 5_000, 40_000),
            // Where a budget has not enough for that, it does what it can.
            ("", tight, 50_000, 500, 2_048),
            (r#","max_tokens":40000"#, tight, 50_000, 1_000, 16_000),
        ] {
            let expected = (Tokens(held), Tokens(most));
            let terms = terms(more, policy, room);
            assert_eq!((terms.held, terms.most), expected, "{more} {policy:?}");
        }
    }

    proptest! {
        #[test]
        fn no_answer_takes_more_than_the_multiple_nor_less_than_what_is_held(
            (bound, least, n) in (prop::option::of(1_u64..1 << 40), 0_u64..5_000, 1_u64..9),
            (expected, multiple, most) in (1_u64..1 << 20, 1_u64..1_000, 1_u64..1 << 40),
            room in 1_u64..1 << 24,
        ) {
            let bound = bound.map_or(String::new(), |bound| format!(r#","max_tokens":{bound}"#));
            let policy = OutputPolicy { expected, multiple, most };
            let OutputTerms { held, most } = terms(&format!(r#"{bound},"min_tokens":{least},"n":{n}"#), policy, room);
            prop_assert!(n * most.0 <= multiple * held.0);
            prop_assert!(held.0 <= n * most.0 && most.0 <= room);
        }
    }
}
