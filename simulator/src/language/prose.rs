//! The simulated model's text: plausible sentences, each a pure function of the seed and the 64 bytes before it.
//!
//! Because nothing else counts, text can be cut anywhere and continued: [`Prose::after`] finds the sentence that the
//! cut fell into by trying the places where one can have begun. That holds for a chat answer (the text is the answer
//! so far) and for a completion (the text is the prompt, to which a resumed request appends what came already).

use super::random::{Random, hash_bytes};
use super::words::{ADJECTIVES, ADVERBS, NOUNS, PLURALS, SHAPES, VERBS};

/// Text without end, sentence by sentence, behind a given start.
#[derive(Debug, Clone)]
pub struct Prose {
    seed: u64,
    /// The last bytes of the text so far; all that the next sentence depends on.
    tail: String,
    /// Length of the whole text so far, in bytes.
    length: usize,
    /// What is left of a sentence that the given start was cut in.
    begun: Option<Sentence>,
}

/// A sentence with the space before it, or what is left of one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sentence {
    /// May be empty: the given start ended where the sentence did.
    pub text: String,
    /// An answer may end here.
    pub may_end: bool,
}

impl Prose {
    /// The text that follows `text`, which is an earlier output of the same seed (cut anywhere), something else, or both.
    #[must_use]
    pub fn after(seed: u64, text: &str) -> Self {
        let mut prose = Self {
            seed,
            tail: String::new(),
            length: 0,
            begun: None,
        };
        let begun = begun_sentence(seed, text);
        prose.push(text);
        prose.begun = begun;
        prose
    }

    /// The next sentence.
    pub fn next_sentence(&mut self) -> Sentence {
        let sentence = self
            .begun
            .take()
            .unwrap_or_else(|| sentence(self.seed, &self.tail, self.length));
        self.push(&sentence.text);
        sentence
    }

    fn push(&mut self, text: &str) {
        self.length += text.len();
        self.tail.push_str(text);
        if self.tail.len() > 4 * WINDOW_BYTES {
            self.tail
                .drain(..floor_boundary(&self.tail, self.tail.len() - WINDOW_BYTES));
        }
    }
}

/// Bytes before a sentence that decide it.
const WINDOW_BYTES: usize = 64;
/// How far back from a cut the begin of its sentence is looked for; more than twice the longest sentence.
const SEARCH_BYTES: usize = 600;
/// An answer does not end before it has this many bytes.
const SHORTEST_ANSWER_BYTES: usize = 160;
/// One in so many sentences may be an answer's last.
const SENTENCES_PER_ANSWER: u64 = 7;
/// One in so many sentences begins a paragraph.
const SENTENCES_PER_PARAGRAPH: u64 = 6;

/// The sentence after a text of `length` bytes that ends with `tail`.
fn sentence(seed: u64, tail: &str, length: usize) -> Sentence {
    let window = &tail.as_bytes()[tail.len().saturating_sub(WINDOW_BYTES)..];
    let mut random = Random::new(hash_bytes(seed, window));
    let begins_paragraph = random.below(SENTENCES_PER_PARAGRAPH) == 0;
    let may_end = random.below(SENTENCES_PER_ANSWER) == 0;
    let space = match tail.as_bytes().last() {
        None => "",
        Some(byte) if byte.is_ascii_whitespace() => "",
        Some(_) if begins_paragraph => "\n\n",
        Some(_) => " ",
    };
    let mut text = String::with_capacity(128);
    text.push_str(space);
    fill_shape(&mut text, &mut random);
    Sentence {
        may_end: may_end && length + text.len() >= SHORTEST_ANSWER_BYTES,
        text,
    }
}

fn fill_shape(text: &mut String, random: &mut Random) {
    let shape = random.pick(SHAPES);
    let mut parts = shape.split(['{', '}']);
    while let Some(literal) = parts.next() {
        text.push_str(literal);
        let words = match parts.next() {
            Some("n") => NOUNS,
            Some("p") => PLURALS,
            Some("v") => VERBS,
            Some("a") => ADJECTIVES,
            Some("d") => ADVERBS,
            _ => return,
        };
        text.push_str(random.pick(words));
    }
}

/// What is left of the sentence that `text` was cut in, if its end is this seed's text.
fn begun_sentence(seed: u64, text: &str) -> Option<Sentence> {
    let search_from = text.len().saturating_sub(SEARCH_BYTES);
    (search_from..text.len())
        .filter(|start| may_begin(text, *start))
        .find_map(|start| rest_from(seed, text, start))
}

/// Whether a sentence can have begun here: at a space, at a line's end or at a capital after either.
fn may_begin(text: &str, at: usize) -> bool {
    let bytes = text.as_bytes();
    let capital_at = |index: usize| bytes.get(index).is_none_or(u8::is_ascii_uppercase);
    let after_space = at == 0 || bytes[at - 1].is_ascii_whitespace();
    match bytes[at] {
        b' ' => !after_space && capital_at(at + 1),
        b'\n' => !after_space,
        byte => byte.is_ascii_uppercase() && after_space,
    }
}

/// Writes on from `start` as this seed would, as long as `text` agrees; what is left when `text` is at its end.
fn rest_from(seed: u64, text: &str, start: usize) -> Option<Sentence> {
    let mut position = start;
    loop {
        let written = sentence(seed, &text[..position], position);
        let given = &text[position..];
        if let Some(rest) = written.text.strip_prefix(given) {
            return Some(Sentence {
                text: rest.to_owned(),
                may_end: written.may_end,
            });
        }
        if !given.starts_with(&written.text) {
            return None;
        }
        position += written.text.len();
    }
}

fn floor_boundary(text: &str, mut at: usize) -> usize {
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn write(seed: u64, after: &str, bytes: usize) -> String {
        let mut prose = Prose::after(seed, after);
        let mut text = String::new();
        while text.len() < bytes {
            text.push_str(&prose.next_sentence().text);
        }
        text
    }

    #[test]
    fn it_reads_like_sentences() {
        let text = write(1, "", 400);
        assert!(
            text.starts_with(|first: char| first.is_ascii_uppercase()) && text.ends_with('.'),
            "{text}"
        );
        assert!(!text.contains(['{', '}']), "{text}");
    }

    #[test]
    fn no_shape_outgrows_the_search() {
        let longest = |words: &[&str]| words.iter().map(|word| word.len()).max().unwrap();
        let word = [NOUNS, PLURALS, VERBS, ADJECTIVES, ADVERBS]
            .map(longest)
            .into_iter()
            .max()
            .unwrap();
        for shape in SHAPES {
            let length = shape.len() + shape.matches('{').count() * (word - 3) + 2;
            assert!(length * 2 < SEARCH_BYTES, "{shape}");
        }
    }

    #[test]
    fn long_text_does_not_run_in_circles() {
        let text = write(3, "", 200_000);
        let mut sentences: Vec<&str> = text.split('.').map(str::trim).collect();
        let written = sentences.len();
        sentences.sort_unstable();
        sentences.dedup();
        assert!(sentences.len() * 100 > written * 97, "{} of {written}", sentences.len());
    }

    #[test]
    fn answers_end_after_some_sentences() {
        let lengths: Vec<usize> = (0..200)
            .map(|seed| {
                let mut prose = Prose::after(seed, "");
                (1..).find(|_| prose.next_sentence().may_end).unwrap()
            })
            .collect();
        let mean = lengths.iter().sum::<usize>() as f64 / 200.0;
        assert!((5.0..12.0).contains(&mean), "{mean}");
    }

    proptest! {
        #[test]
        fn a_cut_text_is_continued_to_the_same_text(seed in any::<u64>(), before in "[ -~]{0,80}", cut in 0..900_usize) {
            let whole = write(seed, &before, 1_500);
            let start = format!("{before}{}", &whole[..cut]);
            let continued = write(seed, &start, whole.len() - cut);
            prop_assert!(
                continued.starts_with(&whole[cut..]),
                "cut at {cut}:\n{start}\n-- then\n{continued}\n-- wanted\n{}", &whole[cut..]
            );
        }

        #[test]
        fn where_an_answer_may_end_does_not_depend_on_the_cut(seed in any::<u64>(), cut in 0..600_usize) {
            let end_after = |start: &str| {
                let mut prose = Prose::after(seed, start);
                let mut text = start.to_owned();
                loop {
                    let sentence = prose.next_sentence();
                    text.push_str(&sentence.text);
                    if sentence.may_end {
                        return text;
                    }
                }
            };
            let whole = end_after("");
            let start = &whole[..cut.min(whole.len())];
            prop_assert_eq!(end_after(start), whole.clone());
        }

        #[test]
        fn any_start_is_continued(text in ".{0,300}") {
            prop_assert!(!write(1, &text, 50).is_empty());
        }
    }
}
