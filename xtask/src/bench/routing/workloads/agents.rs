//! Coding agents: each session is of one of a few kinds, whose system prompts have 3,000 to 100,000 tokens; 2 to 20 turns
//! of 1,500 tokens in and 800 out. The answers in a history are texts of their own, not what the engine wrote: no cache can
//! have them before they are sent.

use crate::bench::routing::prompt::{Prompt, Request, Role, Tenant, name_of, text};
use crate::bench::routing::random::Random;

/// All turns of all sessions; times in sessions' lengths.
pub fn requests() -> Vec<Request> {
    let mut random = Random::new(SEED);
    let kinds: Vec<u32> = (0..KINDS).map(|_| random.log_between(3_000..100_000)).collect();
    let mut requests = Vec::new();
    for session in 0..SESSIONS {
        let kind = random.popular(KINDS);
        let begin = random.unit();
        let turns = random.between(2..21);
        let system = text(name_of(&("agent", kind)), kinds[kind as usize]);
        let mut messages = vec![(Role::System, system)];
        let mut at_s = begin;
        for turn in 0..turns {
            messages.push((Role::User, text(name_of(&("asked", session, turn)), INPUT_TOKENS)));
            let prompt = Prompt::Chat(messages.clone());
            if prompt.tokens() + OUTPUT_TOKENS > CONTEXT_TOKENS {
                break;
            }
            requests.push(Request {
                at_s,
                prompt,
                output: OUTPUT_TOKENS,
                tenant: Tenant::First,
            });
            messages.push((
                Role::Assistant,
                text(name_of(&("answered", session, turn)), OUTPUT_TOKENS),
            ));
            at_s += GAP * (0.5 + 0.5 * random.gap());
        }
    }
    requests
}

const SEED: u64 = 1;
/// Together about as many tokens as one replica holds.
const KINDS: u32 = 16;
const SESSIONS: u32 = 44;
const INPUT_TOKENS: u32 = 1_500;
const OUTPUT_TOKENS: u32 = 800;
/// Between two turns, as a share of the time in which sessions begin.
const GAP: f64 = 0.08;
/// A little less than the profile's, for the chat template.
const CONTEXT_TOKENS: u32 = 130_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_turn_has_all_that_the_one_before_had() {
        let requests = requests();
        assert!((300..600).contains(&requests.len()), "{}", requests.len());
        let longest = requests.iter().map(|request| request.prompt.tokens()).max();
        assert!(
            longest.is_some_and(|tokens| (60_000..CONTEXT_TOKENS).contains(&tokens)),
            "{longest:?}"
        );
        let [first, second] = [requests[0].prompt.chained(), requests[1].prompt.chained()];
        assert_eq!(second[..first.len()], first[..]);
        assert_eq!(requests[1].prompt.tokens() - requests[0].prompt.tokens(), 2_300);
    }
}
