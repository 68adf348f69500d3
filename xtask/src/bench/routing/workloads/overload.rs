//! More than the engines can carry, of two tenants that ask for as much of their time each: one with short prompts, and one
//! whose prompts are a hundred times as long.

use crate::bench::routing::prompt::{Prompt, Request, Role, Tenant, name_of, text};
use crate::bench::routing::random::Random;

/// What both send, within one unit of time.
pub fn requests() -> Vec<Request> {
    let mut random = Random::new(SEED);
    let mut requests = Vec::new();
    for (tenant, count, tokens) in [
        (Tenant::First, SHORT, SHORT_TOKENS),
        (Tenant::Second, LONG, LONG_TOKENS),
    ] {
        let mut at_s = 0.0;
        requests.extend((0..count).map(|number| {
            at_s += random.gap() / f64::from(count);
            Request {
                at_s,
                prompt: Prompt::Chat(vec![(Role::User, text(name_of(&("overload", tokens, number)), tokens))]),
                output: OUTPUT,
                tenant,
            }
        }));
    }
    requests
}

/// How many times what the engines can carry is asked for.
pub const LOAD: f64 = 1.5;
const SEED: u64 = 6;
const SHORT: u32 = 2_600;
const SHORT_TOKENS: u32 = 200;
const LONG: u32 = 144;
const LONG_TOKENS: u32 = 100 * SHORT_TOKENS;
const OUTPUT: u32 = 100;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::routing::schedule::Schedule;

    #[test]
    fn both_ask_for_as_much_time_and_together_for_more_than_there_is() {
        let of = |tenant| requests().into_iter().filter(move |request| request.tenant == tenant);
        let [first, second] = [Tenant::First, Tenant::Second].map(|tenant| {
            let schedule = Schedule::new(of(tenant).collect(), LOAD, 8);
            schedule.demand.seconds
        });
        assert!((first / second - 1.0).abs() < 0.05, "{first} {second}");
        let all = Schedule::new(requests(), LOAD, 8);
        assert!((all.load(8)[1] - LOAD).abs() < 1e-9);
    }
}
