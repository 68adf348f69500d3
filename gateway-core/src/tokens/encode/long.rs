//! Where a piece ends that is longer than a window: one run of characters of a kind, as splitters put them together,
//! read with a few of them in memory at a time.
//!
//! Only such pieces are known here, as far as they are simple; all others are left to `bitcannon`. What is said of each
//! splitter was read off its regular expressions, and is held against `bitcannon` by the property in `pieces.rs`.

use bitcannon::classify::{CONT, classify};

use crate::tokens::table::Splitter;

/// Where the piece ends that `text` begins with, when it is such a run. [`None`] when what it is takes more to tell.
pub(super) fn long_piece(splitter: Splitter, text: &str) -> Option<usize> {
    let first = Tag::at(text, 0)?;
    let width = text.chars().next()?.len_utf8();
    let second = Tag::at(text, width)?;
    if first.is_space() && second.is_space() {
        return Some(spaces(splitter, text));
    }
    // At most one character goes before a run: any one before letters, a space before others.
    let is_letter = |tag: Tag| tag.is_letter(splitter);
    let run = if is_letter(first) || !(is_letter(second) || first.is_space()) {
        0
    } else {
        width
    };
    let kind = if run == 0 { first } else { second };
    if kind.is_letter(splitter) {
        letters(splitter, text, run)
    } else if kind.is_number() {
        (splitter == Splitter::Gpt2).then(|| run_end(text, run, |tag, _| tag.is_number()))
    } else {
        others(splitter, text, run)
    }
}

/// A run of white space: up to its last line break, where that matters, else without its last character, which goes to
/// what is behind it.
fn spaces(splitter: Splitter, text: &str) -> usize {
    let end = run_end(text, 0, |tag, _| tag.is_space());
    let (run, behind) = text.split_at(end);
    match run.rfind(['\r', '\n']).filter(|_| splitter != Splitter::Gpt2) {
        Some(line_break) => line_break + 1,
        None if behind.is_empty() => end,
        // What is split off before spaces are looked at does not take one.
        None if splitter == Splitter::DeepSeek && splits_off(behind) => end,
        None => end - run.chars().next_back().map_or(0, char::len_utf8),
    }
}

fn letters(splitter: Splitter, text: &str, run: usize) -> Option<usize> {
    match splitter {
        Splitter::Gpt2 | Splitter::Cl100k | Splitter::Qwen => {
            Some(run_end(text, run, |tag, _| tag.is_letter(splitter)))
        }
        Splitter::O200k | Splitter::Tekken => cased(splitter, text, run),
        Splitter::DeepSeek => {
            let is_ideograph = |at| text[at..].chars().next().is_some_and(is_east_asian);
            let bytes = text.as_bytes();
            if run == 1 && bytes[0].is_ascii_punctuation() {
                return Some(run_end(text, run, |_, at| bytes[at].is_ascii_alphabetic()));
            }
            let is_first = is_ideograph(run);
            (run == 0 || !is_first).then(|| {
                run_end(text, run, |tag, at| {
                    tag.is_letter(splitter) && is_ideograph(at) == is_first
                })
            })
        }
    }
}

/// Letters of no case and lower-case ones end before an upper-case one, when there is a lower-case one among them.
fn cased(splitter: Splitter, text: &str, run: usize) -> Option<usize> {
    let mut lower = false;
    let end = run_end(text, run, |tag, _| {
        lower |= tag.is_lower();
        tag.is_letter(splitter) && !tag.is_upper()
    });
    let goes_on = Tag::at(text, end).is_some_and(Tag::is_upper);
    // Marks may go to what is before letters as well.
    let is_simple = (lower || !goes_on) && !Tag::at(text, 0)?.is_mark();
    let suffix = if splitter == Splitter::O200k {
        contraction(&text[end..])
    } else {
        0
    };
    is_simple.then_some(end + suffix)
}

/// Characters that are neither white space nor letters nor numbers, and line breaks behind them.
fn others(splitter: Splitter, text: &str, run: usize) -> Option<usize> {
    let end = match splitter {
        Splitter::Gpt2 => return Some(run_end(text, run, |tag, _| tag.is_other())),
        Splitter::Cl100k | Splitter::Qwen | Splitter::O200k | Splitter::Tekken => {
            run_end(text, run, |tag, _| tag.is_other())
        }
        Splitter::DeepSeek if Tag::at(text, run)?.is_punctuation() && !splits_off(&text[run..]) => {
            run_end(text, run, |tag, at| tag.is_punctuation() && !splits_off(&text[at..]))
        }
        Splitter::DeepSeek if run == 0 && is_left_over(text) => return Some(left_over(text)),
        Splitter::DeepSeek => return None,
    };
    let slash = matches!(splitter, Splitter::O200k | Splitter::Tekken);
    let tail = text[end..].find(|character| !(matches!(character, '\r' | '\n') || (slash && character == '/')));
    Some(tail.map_or(text.len(), |tail| end + tail))
}

/// A run of what none of DeepSeek's expressions takes. The last one goes to letters behind it.
fn left_over(text: &str) -> usize {
    let end = run_end(text, 0, |_, at| is_left_over(&text[at..]));
    let (run, behind) = text.split_at(end);
    let takes_one = !splits_off(behind) && Tag::at(behind, 0).is_some_and(|tag| tag.is_letter(Splitter::DeepSeek));
    let last = run.chars().next_back().map_or(0, char::len_utf8);
    if takes_one { end - last } else { end }
}

fn is_left_over(text: &str) -> bool {
    let is_taken = |tag: Tag| tag.is_letter(Splitter::DeepSeek) || tag.is_punctuation() || tag.is_space();
    !splits_off(text) && Tag::at(text, 0).is_some_and(|tag| !is_taken(tag))
}

/// Where the run of characters ends that begins at `from`.
fn run_end(text: &str, from: usize, mut is_of_it: impl FnMut(Tag, usize) -> bool) -> usize {
    let mut tags = [0; CHUNK_BYTES];
    let mut at = from;
    while at < text.len() {
        let chunk = &text[at..text.floor_char_boundary(at + CHUNK_BYTES)];
        classify(chunk.as_bytes(), &mut tags[..chunk.len()]);
        let outside = |(nth, tag): (usize, &u8)| *tag != CONT && !is_of_it(Tag(*tag), at + nth);
        if let Some(end) = tags[..chunk.len()].iter().enumerate().position(outside) {
            return at + end;
        }
        at += chunk.len();
    }
    at
}

/// How long the contraction is that `text` begins with; 0 when it begins with none.
fn contraction(text: &str) -> usize {
    let Some(rest) = text.strip_prefix('\'') else { return 0 };
    let mut letters = rest.chars();
    let (first, second) = (letters.next(), letters.next());
    match (
        first.map(|letter| letter.to_ascii_lowercase()),
        second.map(|letter| letter.to_ascii_lowercase()),
    ) {
        (Some('s' | 't' | 'm' | 'd'), _) => 2,
        (Some('ſ'), _) | (Some('r' | 'v'), Some('e')) | (Some('l'), Some('l')) => 3,
        _ => 0,
    }
}

/// Whether DeepSeek's first two expressions take the character that `text` begins with: numbers, ideographs and kana.
fn splits_off(text: &str) -> bool {
    let is_east_asian = text.chars().next().is_some_and(is_east_asian);
    is_east_asian || Tag::at(text, 0).is_some_and(Tag::is_number)
}

fn is_east_asian(character: char) -> bool {
    matches!(character, '\u{4e00}'..='\u{9fa5}' | '\u{3040}'..='\u{30ff}')
}

/// What `bitcannon` says a character is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Tag(u8);

impl Tag {
    /// Of the character that stands at `at`.
    pub fn at(text: &str, at: usize) -> Option<Self> {
        let width = text.get(at..)?.chars().next()?.len_utf8();
        let mut tags = [0; 4];
        classify(&text.as_bytes()[at..at + width], &mut tags[..width]);
        Some(Self(tags[0]))
    }

    /// Whether the splitter puts it into words. With some, marks are letters.
    pub fn is_letter(self, splitter: Splitter) -> bool {
        match splitter {
            Splitter::Gpt2 | Splitter::Cl100k | Splitter::Qwen => self.0 & 0x0f == 0,
            Splitter::O200k | Splitter::Tekken | Splitter::DeepSeek => self.0 & 0x0f == 0 || self.is_mark(),
        }
    }

    pub fn is_upper(self) -> bool {
        self.0 == 0x10
    }

    pub fn is_lower(self) -> bool {
        self.0 == 0x20
    }

    pub fn is_space(self) -> bool {
        matches!(self.0, 3..=5)
    }

    fn is_mark(self) -> bool {
        self.0 == 0x06
    }

    fn is_number(self) -> bool {
        matches!(self.0 & 0x0f, 1 | 2)
    }

    fn is_other(self) -> bool {
        !(self.0 & 0x0f == 0 || self.is_number() || self.is_space())
    }

    fn is_punctuation(self) -> bool {
        matches!(self.0, 0x07..=0x0a | 0x16 | 0x3a)
    }
}

const CHUNK_BYTES: usize = 512;
