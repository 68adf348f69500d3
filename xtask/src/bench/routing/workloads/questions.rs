//! One system prompt that everybody has: 150 clients ask five short questions each, one after the other.

use crate::bench::routing::prompt::{Prompt, Request, Role, Tenant, name_of, text};
use crate::bench::routing::random::Random;

/// All questions; times in clients' lengths.
pub fn requests() -> Vec<Request> {
    let mut random = Random::new(SEED);
    let mut requests = Vec::new();
    for client in 0..CLIENTS {
        let mut at_s = random.unit();
        let mut messages = vec![(Role::System, text(name_of(&"questions"), SYSTEM_TOKENS))];
        for question in 0..QUESTIONS {
            let length = random.between(20..120);
            messages.push((Role::User, text(name_of(&("question", client, question)), length)));
            requests.push(Request {
                at_s,
                prompt: Prompt::Chat(messages.clone()),
                output: ANSWER_TOKENS,
                tenant: Tenant::First,
            });
            messages.push((
                Role::Assistant,
                text(name_of(&("said", client, question)), ANSWER_TOKENS),
            ));
            at_s += GAP * (0.5 + 0.5 * random.gap());
        }
    }
    requests
}

const SEED: u64 = 2;
const CLIENTS: u32 = 150;
const QUESTIONS: u32 = 5;
const SYSTEM_TOKENS: u32 = 4_000;
const ANSWER_TOKENS: u32 = 100;
/// Between two questions of a client, as a share of the time in which clients come.
const GAP: f64 = 0.15;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_share_the_system_prompt_and_nobody_a_question() {
        let requests = requests();
        assert_eq!(requests.len(), 750);
        let [one, other] = [0, 5].map(|number: usize| requests[number].prompt.chained());
        let shared = one.iter().zip(&other).take_while(|(one, other)| one == other).count();
        assert_eq!((shared, one.len()), (8, 9));
    }
}
