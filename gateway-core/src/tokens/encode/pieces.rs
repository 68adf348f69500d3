//! The pieces of a text, by as much of it at a time as memory is meant for, so that who wants them can pause in between.
//!
//! None of the splitters' regular expressions looks back, so that the pieces of a text from the border of one on are
//! those of that text alone. What goes before the end of a window is another matter: the last pieces may be longer in
//! truth. A border is sure where nothing behind the window can move it or one before it: away from the window's end, and
//! in no run of white space, nor of letters whose case decides.

use bitcannon::Span;

use super::long::{Tag, long_piece};
use super::split::Scratch;
use crate::tokens::table::Splitter;

/// The first pieces of a text.
#[derive(Debug)]
pub(super) enum First<'s> {
    /// Some, as spans in it.
    Some(&'s [Span]),
    /// One, which ends there.
    One(usize),
}

/// The pieces that `text`, which is not empty, begins with: of about the first `window_bytes`, and more where those do not
/// tell.
pub(super) fn first_pieces<'s>(
    splitter: Splitter,
    text: &str,
    window_bytes: usize,
    scratch: &'s mut Scratch,
) -> First<'s> {
    let mut bytes = window_bytes;
    loop {
        let window = &text[..text.floor_char_boundary(bytes)];
        let spans = splitter.split(window, scratch);
        let sure = if window.len() == text.len() {
            spans.len()
        } else {
            sure(splitter, window, spans)
        };
        if sure > 0 {
            return First::Some(scratch.pieces(sure));
        }
        if let Some(end) = long_piece(splitter, text).filter(|end| *end > 0) {
            return First::One(end);
        }
        bytes *= 4;
    }
}

/// How many of a window's pieces are what they are whatever comes behind it.
fn sure(splitter: Splitter, window: &str, spans: &[Span]) -> usize {
    let is_sure = |span: &Span| {
        let end = span.end as usize;
        end + MARGIN_BYTES <= window.len() && is_sure_border(splitter, &window[span.range()], window, end)
    };
    spans.iter().rposition(is_sure).map_or(0, |last| last + 1)
}

/// Whether the border between `piece` and what stands in the window from `end` on stays.
fn is_sure_border(splitter: Splitter, piece: &str, window: &str, end: usize) -> bool {
    let before = piece.char_indices().next_back().and_then(|(at, _)| Tag::at(piece, at));
    let (Some(before), Some(behind)) = (before, Tag::at(window, end)) else {
        return false;
    };
    if before.is_space() && behind.is_space() {
        // Line breaks behind other characters are those that follow at once.
        return !piece.chars().all(char::is_whitespace);
    }
    match splitter {
        Splitter::Gpt2 | Splitter::Cl100k | Splitter::Qwen | Splitter::DeepSeek => true,
        Splitter::O200k | Splitter::Tekken => {
            let are_letters = before.is_letter(splitter) && behind.is_letter(splitter);
            !are_letters || (before.is_lower() && behind.is_upper())
        }
    }
}

/// More than any expression looks at behind a border, but for runs.
const MARGIN_BYTES: usize = 64;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::windows::tests::{SPLITTERS, bits, pieces};
    use super::*;

    /// Runs of a few kinds of characters, some longer than windows here are.
    fn text() -> impl Strategy<Value = String> {
        let run =
            (prop::collection::vec(bits(), 1..3), 1..120_usize).prop_map(|(bits, times)| bits.concat().repeat(times));
        let few = prop::collection::vec(bits(), 0..6).prop_map(|bits| bits.concat());
        prop::collection::vec((run, few), 1..6)
            .prop_map(|parts| parts.into_iter().flat_map(|(run, few)| [run, few]).collect())
    }

    /// Tells `each` group of pieces of `text`, in order, as spans in a part of it.
    fn each_pieces(
        splitter: Splitter,
        text: &str,
        bytes: usize,
        scratch: &mut Scratch,
        mut each: impl FnMut(&str, Span),
    ) {
        let mut rest = text;
        while !rest.is_empty() {
            let end = match first_pieces(splitter, rest, bytes, scratch) {
                First::Some(spans) => {
                    spans.iter().for_each(|span| each(rest, *span));
                    spans.last().map_or(0, |last| last.end as usize)
                }
                First::One(end) => {
                    each(rest, Span::new(0, end as u32));
                    end
                }
            };
            rest = &rest[end..];
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4096))]

        #[test]
        fn pieces_are_the_same_however_little_is_looked_at(text in text()) {
            for splitter in SPLITTERS {
                let mut scratch = Scratch::default();
                let mut found = Vec::new();
                each_pieces(splitter, &text, 96, &mut scratch, |rest, span| found.push(rest[span.range()].to_owned()));
                prop_assert_eq!(found, pieces(splitter, &text), "{:?}", splitter);
            }
        }
    }

    #[test]
    fn long_runs_take_no_more_memory_than_a_window() {
        let digits = "0123456789".repeat(10_000);
        let runs = ["a", "中", " ", "\t\n", "!", "😀", "aB", "한 ", "\u{200d}"].map(|unit| unit.repeat(50_000));
        for (splitter, text) in SPLITTERS
            .into_iter()
            .flat_map(|splitter| runs.iter().map(move |run| (splitter, run)))
        {
            let mut scratch = Scratch::default();
            each_pieces(splitter, text, 4096, &mut scratch, |_, _| {});
            assert!(scratch.window_bytes() <= 4096, "{splitter:?}, {:?}", &text[..8]);
        }
        for splitter in SPLITTERS {
            let mut scratch = Scratch::default();
            each_pieces(splitter, &digits, 4096, &mut scratch, |_, _| {});
            assert!(scratch.window_bytes() <= 4096, "{splitter:?}");
        }
    }
}
