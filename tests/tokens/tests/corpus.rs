//! The gateway finds the same tokens as the libraries, in every sample of the corpus.

use std::fmt::Write as _;
use std::ops::RangeInclusive;

use tidegate_tokens_tests::{
    Expected, Tokenizer, classes, digest, digest_of_ids, oracle, reference_errs, tokenizers, unassigned,
};
use unicode_normalization::UnicodeNormalization as _;

#[test]
fn the_same_ids_as_the_rust_library() {
    let mut report = Report::default();
    for tokenizer in tokenizers() {
        for class in classes() {
            for sample in class.samples() {
                let compared = match tokenizer.difference(&sample.text) {
                    None => Compared::Same,
                    Some(_) if reference_errs(&sample.text) => Compared::SetApart,
                    Some(difference) => Compared::Differs(difference),
                };
                report.add(&class.name, &sample.name, compared);
            }
        }
    }
    report.conclude();
}

#[test]
fn the_same_ids_as_the_python_library() {
    let mut report = Report::default();
    let unassigned = unassigned();
    for tokenizer in tokenizers() {
        for class in classes() {
            let mut expected = oracle(&tokenizer.name, &class.name);
            for sample in class.samples() {
                let expected = expected.next().expect("the oracle has a line for every sample");
                report.add(
                    &class.name,
                    &sample.name,
                    compare(&tokenizer, &sample.text, &expected, &unassigned),
                );
            }
            assert!(
                expected.next().is_none(),
                "the oracle has a line too many for {}",
                class.name
            );
        }
    }
    report.conclude();
}

fn compare(tokenizer: &Tokenizer, text: &str, expected: &Expected, unassigned: &[RangeInclusive<char>]) -> Compared {
    let ids = tokenizer.ids(text);
    if ids.len() as u64 == expected.count && digest_of_ids(&ids) == expected.ids {
        Compared::Same
    } else if older_unicode(text, expected, unassigned) {
        Compared::SetApart
    } else {
        let name = &tokenizer.name;
        Compared::Differs(format!("{name}: {} ids, the library has {}", ids.len(), expected.count))
    }
}

/// Where the library in Python knows an older version of Unicode than the gateway: when characters are unassigned to it, or
/// when it normalizes otherwise.
fn older_unicode(text: &str, expected: &Expected, unassigned: &[RangeInclusive<char>]) -> bool {
    let composed = || digest(text.nfc().collect::<String>().as_bytes());
    expected
        .normalized
        .as_ref()
        .is_some_and(|normalized| *normalized != composed())
        || text.chars().any(|character| is_in(character, unassigned))
}

fn is_in(character: char, ranges: &[RangeInclusive<char>]) -> bool {
    let at = ranges.partition_point(|range| *range.end() < character);
    ranges.get(at).is_some_and(|range| range.contains(&character))
}

enum Compared {
    Same,
    /// The library is known to differ, for a reason of its own.
    SetApart,
    /// They differ, in this way.
    Differs(String),
}

/// What was compared, and the first samples that differ.
#[derive(Default)]
struct Report {
    compared: usize,
    set_apart: usize,
    differing: usize,
    shown: String,
}

impl Report {
    fn add(&mut self, class: &str, sample: &str, compared: Compared) {
        self.compared += 1;
        let disagreement = match compared {
            Compared::Same => return,
            Compared::SetApart => {
                self.set_apart += 1;
                return;
            }
            Compared::Differs(disagreement) => disagreement,
        };
        self.differing += 1;
        if self.differing <= SHOWN {
            writeln!(self.shown, "{class}, {sample}: {disagreement}").expect("memory can be written to");
        }
    }

    fn conclude(self) {
        let Self {
            compared,
            set_apart,
            differing,
            shown,
        } = self;
        println!("{compared} samples compared, {set_apart} of them set apart");
        assert!(compared >= LEAST_SAMPLES, "only {compared} samples were compared");
        assert!(
            set_apart <= compared / 500,
            "{set_apart} of {compared} samples were set apart"
        );
        assert!(
            differing == 0,
            "{differing} of {compared} samples differ, such as:\n{shown}"
        );
    }
}

/// Of a corpus that is whole, for one tokenizer at least.
const LEAST_SAMPLES: usize = 100_000;
const SHOWN: usize = 20;
