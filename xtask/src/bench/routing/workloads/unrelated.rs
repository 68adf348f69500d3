//! Prompts without a common beginning, and chats of which most come in bursts.

use crate::bench::routing::prompt::{Prompt, Request, Role, Tenant, name_of, text};
use crate::bench::routing::random::Random;

/// Chats that share nothing, one per unit of time on average.
pub fn unique() -> Vec<Request> {
    let mut random = Random::new(UNIQUE_SEED);
    let mut at_s = 0.0;
    let request = |number: u32| {
        at_s += random.gap();
        let length = random.log_between(500..12_000);
        Request {
            at_s,
            prompt: Prompt::Chat(vec![(Role::User, text(name_of(&("unique", number)), length))]),
            output: random.between(50..400),
            tenant: Tenant::First,
        }
    };
    (0..UNIQUE).map(request).collect()
}

/// Chats below one of a few system prompts: one in three comes on its own, the others in bursts of [`BURST`] within a
/// fifth of the time between two bursts.
pub fn bursts() -> Vec<Request> {
    let mut random = Random::new(BURSTS_SEED);
    let mut requests = Vec::new();
    let mut number = 0;
    for burst in 0..BURSTS {
        let begin = f64::from(burst);
        let times: Vec<f64> = (0..BURST).map(|_| begin + 0.2 * random.unit()).collect();
        let alone: Vec<f64> = (0..BURST / 2).map(|_| begin + random.unit()).collect();
        for at_s in times.into_iter().chain(alone) {
            let system = random.popular(SYSTEMS);
            let messages = vec![
                (Role::System, text(name_of(&("system", system)), SYSTEM_TOKENS)),
                (
                    Role::User,
                    text(name_of(&("burst", number)), random.log_between(100..4_000)),
                ),
            ];
            number += 1;
            requests.push(Request {
                at_s,
                prompt: Prompt::Chat(messages),
                output: random.between(50..300),
                tenant: Tenant::First,
            });
        }
    }
    requests
}

const UNIQUE_SEED: u64 = 4;
const UNIQUE: u32 = 1_600;
const BURSTS_SEED: u64 = 5;
const BURSTS: u32 = 10;
const BURST: u32 = 80;
const SYSTEMS: u32 = 20;
const SYSTEM_TOKENS: u32 = 2_000;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::routing::schedule::Schedule;

    #[test]
    fn nothing_is_possible_where_all_is_unique() {
        assert_eq!(Schedule::new(unique(), 0.65, 8).demand.possible_tokens, 0);
    }

    #[test]
    fn two_of_three_come_in_a_fifth_of_the_time() {
        let requests = bursts();
        let in_bursts = requests.iter().filter(|request| request.at_s.fract() < 0.2).count();
        let share = in_bursts as f64 / requests.len() as f64;
        assert!((0.7..0.77).contains(&share), "{share}");
        assert!(Schedule::new(requests, 0.65, 8).demand.possible() > 0.4);
    }
}
