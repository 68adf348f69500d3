//! A prompt's length by a model's table, and its tokens. A long prompt is read turn by turn, so that other requests of the
//! same thread, isolate or instance go on meanwhile, and one that is far beyond the model's context is not read to its end.

use std::time::Duration;

use crate::api::PromptSource;
use crate::ids::Tokens;
use crate::pipeline::context::Exchange;
use crate::platform::Platform;
use crate::time::Timestamp;
use crate::tokens::{self, Measured, Tokenizer, Unmeasured};

/// Measures a prompt by a tokenizer. Where a text is longer than `most`, it is only said that it is.
///
/// # Errors
/// Why that cannot be done.
pub(super) async fn measure<P: Platform>(
    exchange: &Exchange<P>,
    tokenizer: &Tokenizer,
    source: &PromptSource<'_>,
    most: Tokens,
) -> Result<Measured, Unmeasured> {
    let prompts = tokens::prompts(tokenizer, source, exchange.platform.wall())?;
    let table = tokenizer.table();
    let added = if source.add_special_tokens {
        table.wrapping().count()
    } else {
        Tokens(0)
    };
    let mut turn = Turn::new(exchange);
    let (mut lengths, mut is_stopped) = (Vec::new(), false);
    for text in prompts.texts() {
        let mut counting = table.counting(text);
        turn.work(text.len(), |bytes| counting.go_on(bytes) && counting.tokens() <= most)
            .await;
        lengths.push(counting.tokens() + added);
        is_stopped = counting.tokens() > most;
        if is_stopped {
            break;
        }
    }
    let measured = prompts.measured(lengths.into_iter());
    Ok(Measured { is_stopped, ..measured })
}

/// A prompt's tokens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::pipeline) struct Encoded {
    /// Those of its text, all prompts one after another.
    pub tokens: Vec<u32>,
    /// Its length.
    pub measured: Measured,
}

/// The tokens of a prompt, all of them.
///
/// # Errors
/// Why they cannot be told.
pub(in crate::pipeline) async fn encode<P: Platform>(
    exchange: &Exchange<P>,
    tokenizer: &Tokenizer,
    source: &PromptSource<'_>,
) -> Result<Encoded, Unmeasured> {
    let prompts = tokens::prompts(tokenizer, source, exchange.platform.wall())?;
    let table = tokenizer.table();
    let wrapping = table.wrapping();
    let (before, after) = if source.add_special_tokens {
        (wrapping.before, wrapping.after)
    } else {
        ([].as_slice(), [].as_slice())
    };
    let mut turn = Turn::new(exchange);
    let (mut tokens, mut lengths) = (Vec::new(), Vec::new());
    for text in prompts.texts() {
        let begun = tokens.len();
        tokens.extend_from_slice(before);
        let mut encoding = table.encoding(text, |token| tokens.push(token));
        turn.work(text.len(), |bytes| encoding.go_on(bytes)).await;
        drop(encoding);
        tokens.extend_from_slice(after);
        lengths.push(Tokens((tokens.len() - begun) as u64));
    }
    let measured = prompts.measured(lengths.into_iter());
    Ok(Encoded { tokens, measured })
}

/// How long a request has kept the thread to itself.
pub(super) struct Turn<'a, P: Platform> {
    exchange: &'a Exchange<P>,
    since: Timestamp,
    bytes: usize,
}

impl<'a, P: Platform> Turn<'a, P> {
    /// It begins now.
    pub fn new(exchange: &'a Exchange<P>) -> Self {
        Self {
            exchange,
            since: exchange.platform.now(),
            bytes: 0,
        }
    }

    /// Has a text of so many bytes read, for as long as `go_on`, which reads about as many bytes as it is told, says that
    /// there is more; in between others have their turns.
    pub async fn work(&mut self, bytes: usize, mut go_on: impl FnMut(usize) -> bool) {
        // What was done before, such as rendering the prompt, is a turn by itself.
        if bytes > TURN_BYTES {
            self.give_way().await;
        }
        let mut is_more = true;
        while is_more {
            is_more = go_on(STEP_BYTES);
            self.bytes += STEP_BYTES.min(bytes.max(LEAST_BYTES));
            let platform = &self.exchange.platform;
            if self.bytes >= TURN_BYTES || platform.now().since(self.since) >= LONGEST {
                self.give_way().await;
            }
        }
    }

    async fn give_way(&mut self) {
        self.exchange.platform.give_way().await;
        self.since = self.exchange.platform.now();
        self.bytes = 0;
    }
}

/// What a text counts as at least: an empty one is work too, and there may be a million of them.
const LEAST_BYTES: usize = 64;
/// Between two looks at the clock, and at how many tokens there are.
const STEP_BYTES: usize = 4 << 10;
/// What is read in one turn at most: of English natively in half a millisecond.
pub(super) const TURN_BYTES: usize = 64 << 10;
/// How long a turn is at most, where clocks move while code runs: some texts take ten times as long as English.
const LONGEST: Duration = Duration::from_millis(1);
