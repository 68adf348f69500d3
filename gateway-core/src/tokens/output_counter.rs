//! The tokens of an answer while it passes, in constant memory. Most answers never have to be counted to their end,
//! since their engines report; a client that leaves and an engine that does not are why it is done.

use super::scripts::Scripts;
use super::{StreamingCount, Table};
use crate::api::{OutputChannel, OutputDelta};
use crate::ids::Tokens;

/// The count of an answer so far.
#[derive(Debug)]
pub struct OutputCounter(By);

#[derive(Debug)]
enum By {
    Table {
        table: Table,
        /// Of the channels before.
        settled: Tokens,
        channel: OutputChannel,
        running: StreamingCount,
    },
    /// A model without a table.
    Scripts {
        scripts: Scripts,
        /// Pieces of text: engines send none for less than a token.
        pieces: u64,
    },
}

impl OutputCounter {
    /// Nothing yet, to be counted by that table; without one, estimated.
    pub fn new(table: Option<Table>) -> Self {
        Self(match table {
            Some(table) => By::Table {
                table,
                settled: Tokens(0),
                channel: OutputChannel::default(),
                running: StreamingCount::default(),
            },
            None => By::Scripts {
                scripts: Scripts::default(),
                pieces: 0,
            },
        })
    }

    /// A piece of an answer, or of several, has passed.
    pub fn on_deltas(&mut self, deltas: &[OutputDelta<'_>]) {
        for delta in deltas {
            let text = delta.text().unwrap_or_default();
            if !text.is_empty() {
                self.on_text(delta.channel, &text);
            }
        }
    }

    fn on_text(&mut self, next: OutputChannel, text: &str) {
        match &mut self.0 {
            By::Table {
                table,
                settled,
                channel,
                running,
            } => {
                if *channel != next {
                    *settled += std::mem::take(running).total(table);
                    *channel = next;
                }
                running.push(table, text);
            }
            By::Scripts { scripts, pieces } => {
                scripts.add(text.as_bytes());
                *pieces += 1;
            }
        }
    }

    /// The tokens so far. `factor` corrects an estimate.
    pub fn count(&self, factor: f64) -> Tokens {
        match &self.0 {
            By::Table {
                table,
                settled,
                running,
                ..
            } => *settled + running.total(table),
            By::Scripts { scripts, pieces } => Tokens(((scripts.tokens() * factor).ceil() as u64).max(*pieces)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::Part;

    #[test]
    fn without_a_table_pieces_add_up_to_the_estimate_of_the_whole() {
        let mut output = OutputCounter::new(None);
        let channel = |choice, part| OutputChannel { choice, part };
        output.on_text(channel(0, Part::Reasoning), "Hel");
        output.on_text(channel(0, Part::Content), "lo, wörld ");
        output.on_text(channel(1, Part::Content), "世界");
        let whole = Scripts::of("Hello, wörld 世界".as_bytes()).tokens();
        assert_eq!(output.count(2.0), Tokens((whole * 2.0).ceil() as u64));
    }
}
