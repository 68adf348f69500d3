//! Why a budget does not admit a request.

use std::time::Duration;

use thiserror::Error;

use super::message::{Denied, Shortage};

/// A budget does not admit a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum BudgetError {
    /// It has no room for it.
    #[error("{}", message(*denied, *tokens, *most))]
    Denied {
        /// What is short.
        denied: Denied,
        /// What the request was to reserve; `None` before its body is read.
        tokens: Option<u64>,
        /// The most that one request can have.
        most: u64,
    },
    /// Its cell cannot be reached, and nothing may be admitted without it.
    #[error("the budget of this tenant cannot be reached at the moment: try again in {}", spell(*wait))]
    Unreachable {
        /// Until it is asked again.
        wait: Duration,
    },
}

fn message(denied: Denied, tokens: Option<u64>, most: u64) -> String {
    let needs = tokens.map_or_else(String::new, |tokens| format!("this request needs {tokens} tokens; "));
    let wait = denied.wait.map_or_else(
        || "when others have ended".to_owned(),
        |wait| format!("in {}", spell(wait)),
    );
    match denied.short {
        Shortage::Tokens => format!("token limit reached: {needs}try again {wait}"),
        Shortage::Requests => format!("request limit reached: try again {wait}"),
        Shortage::Concurrency => format!("too many requests at once: try again {wait}"),
        Shortage::Priority => {
            format!("what is left of the token limit is kept for requests of higher priority: try again {wait}")
        }
        Shortage::Day => format!("the day's tokens are used up: {needs}try again {wait}"),
        Shortage::TooLarge => format!(
            "{needs}the budget never holds more than {most} for one, prompt and expected answer together: shorten the prompt \
             or ask for less output"
        ),
    }
}

/// A time for people, to a tenth of a second below a minute, rounded up.
fn spell(time: Duration) -> String {
    let tenths = time.as_millis().div_ceil(100);
    if tenths < 600 {
        format!("{}.{} s", tenths / 10, tenths % 10)
    } else {
        let minutes = time.as_secs().div_ceil(60);
        format!("{} h {} min", minutes / 60, minutes % 60)
    }
}
