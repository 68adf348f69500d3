//! The tokens of an answer while it passes: text is kept until there is enough of it to be worth counting, counted,
//! and let go. Memory is constant, and most answers never have to be counted at all, since their engine reports.

use std::sync::Arc;

use super::scripts::Scripts;
use super::tables::Tokenizer;
use crate::api::{Said, Strand};
use crate::ids::Tokens;

/// A running count.
#[derive(Debug)]
pub struct Running {
    by: By,
}

#[derive(Debug)]
enum By {
    Table(Exact),
    /// A model without a table.
    Scripts(Scripts),
}

#[derive(Debug)]
struct Exact {
    tokenizer: Arc<Tokenizer>,
    counted: Tokens,
    strand: Strand,
    pending: String,
}

impl Running {
    /// A count by that tokenizer; without one, an estimate.
    pub fn new(tokenizer: Option<Arc<Tokenizer>>) -> Self {
        let by = match tokenizer {
            Some(tokenizer) => By::Table(Exact {
                tokenizer,
                counted: Tokens(0),
                strand: Strand::default(),
                pending: String::new(),
            }),
            None => By::Scripts(Scripts::default()),
        };
        Self { by }
    }

    /// A piece of an answer, or of several, has passed.
    pub fn on_said(&mut self, said: &[Said<'_>]) {
        for said in said {
            said.each(|strand, text| self.on_text(strand, text));
        }
    }

    fn on_text(&mut self, strand: Strand, text: &str) {
        match &mut self.by {
            By::Table(exact) => exact.on_text(strand, text),
            By::Scripts(scripts) => scripts.add(text.as_bytes()),
        }
    }

    /// The tokens so far. `factor` corrects an estimate.
    pub fn count(&self, factor: f64) -> Tokens {
        match &self.by {
            By::Table(exact) => exact.counted + exact.tokenizer.table().count(&exact.pending),
            By::Scripts(scripts) => Tokens((scripts.tokens() * factor).ceil() as u64),
        }
    }
}

impl Exact {
    fn on_text(&mut self, strand: Strand, text: &str) {
        if strand != self.strand {
            self.count_pending(self.pending.len());
            self.strand = strand;
        }
        self.pending.push_str(text);
        if self.pending.len() > PENDING_BYTES {
            self.count_pending(safe_cut(&self.pending));
        }
    }

    fn count_pending(&mut self, end: usize) {
        self.counted += self.tokenizer.table().count(&self.pending[..end]);
        self.pending.drain(..end);
    }
}

/// Where a text can be cut without changing its count: before the last space between two ASCII letters, for no
/// splitter of words lets a token reach over that. Where there is none, as in Chinese, near the end: that may cost one
/// token in [`PENDING_BYTES`].
fn safe_cut(text: &str) -> usize {
    let is_safe = |three: &[u8]| three[0].is_ascii_alphabetic() && three[1] == b' ' && three[2].is_ascii_alphabetic();
    match text.as_bytes().windows(3).rposition(is_safe) {
        Some(letter) if letter >= text.len() / 2 => letter + 1,
        Some(_) | None => text.floor_char_boundary(text.len() - CONTEXT_BYTES.min(text.len())),
    }
}

/// Text that is kept before it is counted: a second of a fast engine's output.
const PENDING_BYTES: usize = 2_048;
/// What stays uncounted where no cut is safe, so that the next one is not at a word that has only begun.
const CONTEXT_BYTES: usize = 16;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn cuts_stand_between_words_or_near_the_end() {
        assert_eq!(safe_cut("one two three"), 7);
        assert_eq!(safe_cut(&format!("one two {}", "x".repeat(100))), 92);
        let chinese = "世".repeat(100);
        assert_eq!(safe_cut(&chinese), 282);
    }

    #[test]
    fn without_a_table_pieces_add_up_to_the_estimate_of_the_whole() {
        let mut running = Running::new(None);
        for piece in ["Hel", "lo, wörld ", "世界"] {
            running.on_text(Strand::default(), piece);
        }
        let whole = Scripts::of("Hello, wörld 世界".as_bytes()).tokens();
        assert_eq!(running.count(2.0), Tokens((whole * 2.0).ceil() as u64));
    }

    proptest! {
        #[test]
        fn a_cut_is_within_the_text_and_at_a_character(text in "\\PC{1,300}") {
            prop_assert!(text.is_char_boundary(safe_cut(&text)));
        }
    }
}
