//! Questions about documents, some of which are asked about often, as completions: the document first, then the question,
//! in one text without messages.

use crate::bench::routing::prompt::{Prompt, Request, Tenant, name_of, text};
use crate::bench::routing::random::Random;

/// All questions, one per unit of time on average.
pub fn requests() -> Vec<Request> {
    let mut random = Random::new(SEED);
    let documents: Vec<u32> = (0..DOCUMENTS).map(|_| random.log_between(2_000..24_000)).collect();
    let mut at_s = 0.0;
    let request = |number: u32| {
        at_s += random.gap();
        let document = random.popular(DOCUMENTS);
        let mut pieces = text(name_of(&("document", document)), documents[document as usize]);
        pieces.extend(text(name_of(&("about", number)), random.between(50..400)));
        Request {
            at_s,
            prompt: Prompt::Flat(pieces),
            output: random.between(50..300),
            tenant: Tenant::First,
        }
    };
    (0..REQUESTS).map(request).collect()
}

const SEED: u64 = 3;
/// About 700,000 tokens: more than one replica holds, much less than eight do.
const DOCUMENTS: u32 = 80;
const REQUESTS: u32 = 1_200;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::routing::schedule::Schedule;

    #[test]
    fn most_of_it_was_asked_about_before() {
        let possible = Schedule::new(requests(), 0.65, 8).demand.possible();
        assert!((0.7..0.97).contains(&possible), "{possible}");
    }
}
