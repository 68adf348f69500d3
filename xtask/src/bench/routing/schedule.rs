//! When requests come: their order and rhythm are the workload's, their rate is what makes up the stated load.

use std::collections::HashSet;
use std::fmt::Write as _;
use std::path::Path;

use super::prompt::{Prompt, Request, Tenant};
use crate::error::TaskError;
use crate::workspace;

/// A workload with its times.
#[derive(Debug)]
pub struct Schedule {
    /// In the order of their times.
    pub requests: Vec<Request>,
    /// What they ask for.
    pub demand: Demand,
    /// From the first request to the last, in engine seconds.
    pub span_s: f64,
}

/// What requests ask of engines.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Demand {
    /// Tokens of all prompts.
    pub prompt_tokens: u64,
    /// Those of them that a request before had at the same place behind the same text: found by caches that every replica
    /// shares and that forget nothing.
    pub possible_tokens: u64,
    /// Seconds of one engine that all of it takes when every possible token is found.
    pub seconds: f64,
    /// The same when none is.
    pub seconds_uncached: f64,
}

impl Schedule {
    /// Stretches `requests`, whose times have any unit, so that they are `load` of what `replicas` can carry if every
    /// possible token is found, or [`MOST_UNCACHED`] of it if none is, whichever is less; but no less than what an overload
    /// is to be.
    pub fn new(mut requests: Vec<Request>, load: f64, replicas: usize) -> Self {
        requests.sort_by(|one, other| one.at_s.total_cmp(&other.at_s));
        let demand = Demand::of(&requests);
        let carried = |seconds: f64, load: f64| seconds / (load * replicas as f64);
        let span_s = carried(demand.seconds, load).max(carried(demand.seconds_uncached, MOST_UNCACHED.max(load)));
        let (first, last) = (first(&requests), requests.last().map_or(0.0, |request| request.at_s));
        let factor = span_s / (last - first).max(f64::MIN_POSITIVE);
        for request in &mut requests {
            request.at_s = (request.at_s - first) * factor;
        }
        Self {
            requests,
            demand,
            span_s,
        }
    }

    /// Writes it for the load generator.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write(&self, file: &Path) -> Result<(), TaskError> {
        let mut lines = String::new();
        for request in &self.requests {
            line(request, &mut lines);
        }
        workspace::write(file, lines)
    }

    /// The share of what `replicas` can carry, with every possible token found and with none.
    pub fn load(&self, replicas: usize) -> [f64; 2] {
        [self.demand.seconds, self.demand.seconds_uncached].map(|seconds| seconds / (self.span_s * replicas as f64))
    }
}

impl Demand {
    fn of(requests: &[Request]) -> Self {
        let mut seen = HashSet::new();
        let mut demand = Self::default();
        for request in requests {
            let prompt = request.prompt.chained();
            let known = prompt.iter().take_while(|(_, _, prefix)| seen.contains(prefix));
            let possible: u64 = known.map(|(_, piece, _)| u64::from(piece.tokens)).sum();
            seen.extend(prompt.iter().map(|(_, _, prefix)| *prefix));
            let tokens = u64::from(request.prompt.tokens());
            demand.prompt_tokens += tokens;
            demand.possible_tokens += possible;
            let decode_s = f64::from(request.output) * (DECODE_TOKEN_S + tokens as f64 * CONTEXT_TOKEN_S);
            demand.seconds += decode_s + (tokens - possible) as f64 * PREFILL_TOKEN_S;
            demand.seconds_uncached += decode_s + tokens as f64 * PREFILL_TOKEN_S;
        }
        demand
    }

    /// Possible tokens as a share of all.
    pub fn possible(&self) -> f64 {
        self.possible_tokens as f64 / self.prompt_tokens.max(1) as f64
    }
}

fn first(requests: &[Request]) -> f64 {
    requests.first().map_or(0.0, |request| request.at_s)
}

/// Appends a line as `tests/load/src/replay/schedule.rs` reads it.
fn line(request: &Request, lines: &mut String) {
    let at_ms = (request.at_s * 1e3) as u64;
    // Writing to a string does not fail.
    let tenant = match request.tenant {
        Tenant::First => 0,
        Tenant::Second => 1,
    };
    let _ = write!(
        lines,
        "{{\"at_ms\":{at_ms},\"output\":{},\"tenant\":{tenant},",
        request.output
    );
    let chained = request.prompt.chained();
    let pieces = |message: usize| {
        let own = chained.iter().filter(|(number, _, _)| *number == message);
        let own = own.map(|(_, piece, prefix)| format!("[{},{},{prefix}]", piece.id, piece.tokens));
        own.collect::<Vec<_>>().join(",")
    };
    let _ = match &request.prompt {
        Prompt::Flat(_) => writeln!(lines, "\"prompt\":[{}]}}", pieces(0)),
        Prompt::Chat(messages) => {
            let messages = messages.iter().enumerate();
            let messages = messages.map(|(number, (role, _))| format!("[\"{}\",[{}]]", role.name(), pieces(number)));
            writeln!(lines, "\"messages\":[{}]}}", messages.collect::<Vec<_>>().join(","))
        }
    };
}

/// Costs of the profile `h100x4-70b` (simulator/src/engine/profile.rs): a prompt token, a token of the answer in a batch of
/// 32, and reading a token of its context.
const PREFILL_TOKEN_S: f64 = 115e-6;
const DECODE_TOKEN_S: f64 = 36.9e-3 / 32.0;
const CONTEXT_TOKEN_S: f64 = 40e-9;
/// Most of what the replicas can carry if nothing is found: beyond it, round robin would do nothing but queue.
const MOST_UNCACHED: f64 = 1.1;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::routing::prompt::{Role, text};

    fn request(at_s: f64, names: &[u64]) -> Request {
        let pieces = names.iter().flat_map(|name| text(*name, 512)).collect();
        Request {
            at_s,
            prompt: Prompt::Flat(pieces),
            output: 100,
            tenant: Tenant::First,
        }
    }

    #[test]
    fn possible_is_what_a_request_before_began_with() {
        let demand = Demand::of(&[
            request(0.0, &[1, 2]),
            request(1.0, &[1, 2, 3]),
            request(2.0, &[2, 3]),
            request(3.0, &[1, 4, 3]),
        ]);
        assert_eq!((demand.prompt_tokens, demand.possible_tokens), (10 * 512, 3 * 512));
        assert!((demand.seconds_uncached - demand.seconds - 3.0 * 512.0 * PREFILL_TOKEN_S).abs() < 1e-9);
    }

    #[test]
    fn times_are_stretched_to_the_load() {
        let requests: Vec<Request> = (0..50)
            .map(|number| request(5.0 + number as f64, &[number + 100]))
            .collect();
        let schedule = Schedule::new(requests, 0.5, 2);
        assert!((schedule.load(2)[0] - 0.5).abs() < 1e-9);
        let times: Vec<f64> = schedule.requests.iter().map(|request| request.at_s).collect();
        assert!(times[0] == 0.0 && (times[49] - schedule.span_s).abs() < 1e-9);
        assert!((times[1] * 49.0 - schedule.span_s).abs() < 1e-9);

        let repeated: Vec<Request> = (0..50).map(|number| request(number as f64, &[1, 2, 3, 4])).collect();
        assert!((Schedule::new(repeated, 0.9, 2).load(2)[1] - MOST_UNCACHED).abs() < 1e-9);
    }

    #[test]
    fn a_line_names_every_piece_in_its_message() {
        let prompt = Prompt::Chat(vec![(Role::System, text(1, 600)), (Role::User, text(2, 5))]);
        let mut lines = String::new();
        line(
            &Request {
                at_s: 1.5,
                prompt,
                output: 9,
                tenant: Tenant::First,
            },
            &mut lines,
        );
        let value: serde_json::Value = serde_json::from_str(&lines).expect("JSON");
        assert_eq!((&value["at_ms"], &value["output"]), (&1_500.into(), &9.into()));
        assert_eq!(value["messages"][0][1].as_array().map(Vec::len), Some(2));
        assert_eq!(
            (&value["messages"][1][0], &value["messages"][1][1][0][1]),
            (&"user".into(), &5.into())
        );
    }
}
