//! Puts a text into Unicode's normalization form C, character by character (Unicode Standard Annex 15, sections 1.2 and
//! 1.3).
//!
//! The crate's own iterators choose between canonical and compatible decompositions as they run, so that a module carries
//! the tables of both: 60 KB for a form that no tokenizer here has.

use unicode_normalization::char::{canonical_combining_class, compose, decompose_canonical};

/// `text` in normalization form C.
pub(super) fn composed(text: &str) -> String {
    let mut composer = Composer {
        composed: String::with_capacity(text.len()),
        starter: None,
        marks: Vec::new(),
    };
    for character in text.chars() {
        decompose_canonical(character, |part| composer.push(part));
    }
    composer.finish()
}

/// A text that is being composed.
struct Composer {
    /// What is final.
    composed: String,
    /// The last character of class 0, with what has been composed into it.
    starter: Option<char>,
    /// The marks since, of other classes, in the text's order.
    marks: Vec<(u8, char)>,
}

impl Composer {
    fn push(&mut self, character: char) {
        let may_join = character >= FIRST_THAT_JOINS;
        let class = if may_join {
            canonical_combining_class(character)
        } else {
            0
        };
        if class != 0 {
            self.marks.push((class, character));
            return;
        }
        self.compose_marks();
        let joined = self.starter.filter(|_| may_join && self.marks.is_empty());
        match joined.and_then(|starter| compose(starter, character)) {
            Some(whole) => self.starter = Some(whole),
            None => {
                self.release();
                self.starter = Some(character);
            }
        }
    }

    fn finish(mut self) -> String {
        self.compose_marks();
        self.release();
        self.composed
    }

    /// Brings the marks into canonical order, and composes those into the starter that none before them blocks.
    fn compose_marks(&mut self) {
        if self.marks.is_empty() {
            return;
        }
        self.marks.sort_by_key(|(class, _)| *class);
        let Some(starter) = &mut self.starter else {
            return;
        };
        let mut left = 0;
        self.marks.retain(|(class, mark)| {
            let whole = (left < *class).then(|| compose(*starter, *mark)).flatten();
            match whole {
                Some(whole) => *starter = whole,
                None => left = *class,
            }
            whole.is_none()
        });
    }

    fn release(&mut self) {
        self.composed.extend(self.starter.take());
        self.composed.extend(self.marks.drain(..).map(|(_, mark)| mark));
    }
}

/// No character before it is a mark or composed into one that it follows.
const FIRST_THAT_JOINS: char = '\u{300}';

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use unicode_normalization::UnicodeNormalization as _;

    use super::*;

    /// Letters, marks and jamo that meet often in what they are composed of, and any other characters.
    fn character() -> impl Strategy<Value = char> {
        let meeting = "aeouAO\u{300}\u{301}\u{304}\u{307}\u{308}\u{323}\u{327}\u{328}\u{345}\u{3b1}\u{313}\u{1100}\u{1161}\u{11a8}각가か\u{3099}\u{9c7}\u{9be}\u{9d7}\u{212b}\u{fb1d}\u{1d15e}";
        prop_oneof![4 => prop::sample::select(meeting.chars().collect::<Vec<char>>()), 1 => any::<char>()]
    }

    #[test]
    fn every_character_by_itself_is_composed() {
        for character in '\0'..=char::MAX {
            let text = character.to_string();
            let expected: String = text.nfc().collect();
            assert_eq!(composed(&text), expected, "{:x}", u32::from(character));
            assert!(text.nfd().skip(1).all(|part| part >= FIRST_THAT_JOINS));
        }
    }

    proptest! {
        #[test]
        fn it_is_what_the_crate_makes(characters in prop::collection::vec(character(), 0..24)) {
            let text: String = characters.into_iter().collect();
            prop_assert_eq!(composed(&text), text.nfc().collect::<String>());
        }
    }
}
