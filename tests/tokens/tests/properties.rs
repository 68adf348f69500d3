//! Properties of counting, over texts and tokenizers that nobody wrote.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use proptest::test_runner::TestRunner;
use serde_json::Value;
use tidegate_core::tokens::Table;
use tidegate_core::tokens::compile::{Source, compile};
use tidegate_tokens_tests::{Tokenizer, byte_characters, small_tokenizer, tokenizers};
use tokenizers::pipeline::{EncodeOptions, PipelineToken};

#[test]
fn any_text_has_the_ids_of_the_reference() {
    each_tokenizer(|tokenizer| {
        let any = any::<String>();
        let near_words = "[ a-zA-Z0-9'\\n\\r\\t.,\u{301}\u{323}\u{ac00}-\u{ad00}\u{4e00}-\u{4f00}éſǅ<|>_▁｜-]{0,400}";
        agrees(tokenizer, prop_oneof![any.boxed(), near_words.boxed()]);
    });
}

#[test]
fn any_row_of_tokens_has_the_ids_of_the_reference() {
    each_tokenizer(|tokenizer| {
        let pieces = pieces(tokenizer);
        agrees(tokenizer, vec(select(pieces), 0..60).prop_map(|row| row.concat()));
    });
}

#[test]
fn any_part_of_a_text_has_the_ids_of_the_reference() {
    let text: String = [
        include_str!("../corpus/synthetic.py"),
        include_str!("../corpus/make.py"),
    ]
    .concat();
    let characters: Vec<char> = text.chars().collect();
    each_tokenizer(|tokenizer| {
        let characters = characters.clone();
        let part = (any::<Index>(), any::<Index>()).prop_map(move |(a, b)| {
            let (a, b) = (a.index(characters.len()), b.index(characters.len()));
            characters[a.min(b)..a.max(b)].iter().collect()
        });
        agrees(tokenizer, part);
    });
}

/// A tokenizer of merges drawn at random is either refused, or encodes every text as the reference does.
#[test]
fn any_tokenizer_is_represented_exactly_or_refused() {
    let accepted = Cell::new(0);
    let cases = 3000;
    let draws = vec((any::<Index>(), any::<Index>()), 1..40);
    let words = vec(select(ALPHABET.to_vec()), 0..300);
    // Long enough to be encoded part by part.
    let long_word = vec(select(LETTERS.to_vec()), 500..3000);
    let texts = vec(prop_oneof![words.boxed(), long_word.boxed()], 8);
    let repeated = (vec(select(LETTERS.to_vec()), 1..6), 500..2000_usize).prop_map(|(unit, times)| unit.repeat(times));
    runner(cases)
        .run(
            &(draws, any::<bool>(), texts, repeated),
            |(draws, ignore_merges, mut texts, long)| {
                let written = small_tokenizer(&merges(&draws), ignore_merges).to_string();
                let source = Source {
                    tokenizer: &written,
                    config: None,
                    chat_template: None,
                };
                let Ok(file) = compile(&source) else { return Ok(()) };
                accepted.set(accepted.get() + 1);
                let table = Table::open(file).expect("what was compiled can be opened");
                let canonical = tokenizers::canonicalize_str(&written).expect("the reference knows the form");
                let reference = tokenizers::from_json(&canonical).expect("the reference reads it");
                texts.push(long);
                for text in texts {
                    let text: String = text.into_iter().collect();
                    let (mut ours, mut theirs) = (Vec::new(), Vec::<PipelineToken>::new());
                    table.encode(&text, |id| ours.push(id));
                    reference
                        .encode_into(&text, &EncodeOptions::no_specials(), &mut theirs)
                        .expect("it encodes");
                    let theirs: Vec<u32> = theirs.into_iter().map(PipelineToken::id).collect();
                    prop_assert_eq!(&ours, &theirs, "{:?} with {}", text, written);
                    prop_assert_eq!(table.count(&text).0, theirs.len() as u64);
                }
                Ok(())
            },
        )
        .unwrap_or_else(|error| panic!("{error}"));
    let accepted = accepted.get();
    assert!(
        accepted > cases / 20,
        "only {accepted} of {cases} tokenizers were accepted"
    );
}

fn each_tokenizer(check: impl Fn(&Tokenizer)) {
    tokenizers().iter().for_each(check);
}

fn agrees(tokenizer: &Tokenizer, texts: impl Strategy<Value = String>) {
    let agreed = runner(CASES).run(&texts, |text| {
        let disagreement = tokenizer.disagreement(&text);
        prop_assert!(disagreement.is_none(), "{}", disagreement.unwrap_or_default());
        Ok(())
    });
    agreed.unwrap_or_else(|error| panic!("{error}"));
}

fn runner(cases: u32) -> TestRunner {
    TestRunner::new(ProptestConfig {
        cases,
        failure_persistence: None,
        ..ProptestConfig::default()
    })
}

/// What the tokens stand for, as text; what is cut inside of a character shows as U+FFFD.
fn pieces(tokenizer: &Tokenizer) -> Vec<String> {
    let source = tokenizer
        .path
        .with_file_name("sources")
        .join(&tokenizer.name)
        .join("tokenizer.json");
    let written = std::fs::read_to_string(source).expect("the tokenizer stands beside its table");
    let written: Value = serde_json::from_str(&written).expect("it is JSON");
    let bytes: BTreeMap<char, u8> = byte_characters().zip(0..=u8::MAX).collect();
    let piece = |token: &String| {
        let bytes: Vec<u8> = token
            .chars()
            .filter_map(|character| bytes.get(&character).copied())
            .collect();
        String::from_utf8_lossy(&bytes).into_owned()
    };
    let vocabulary = written["model"]["vocab"].as_object().expect("it has a vocabulary");
    let added = written["added_tokens"].as_array().into_iter().flatten();
    let added = added.filter_map(|token| token["content"].as_str().map(str::to_owned));
    vocabulary.keys().map(piece).chain(added).collect()
}

/// Pairs of tokens to merge, of those that there are by then.
fn merges(draws: &[(Index, Index)]) -> Vec<(String, String)> {
    let characters: Vec<char> = byte_characters().collect();
    let bytes: BTreeSet<u8> = ALPHABET.iter().collect::<String>().into_bytes().into_iter().collect();
    let mut tokens: Vec<String> = bytes
        .iter()
        .map(|byte| characters[usize::from(*byte)].to_string())
        .collect();
    let merge = |(left, right): &(Index, Index)| {
        let pair = (left.get(&tokens).clone(), right.get(&tokens).clone());
        let both = [pair.0.as_str(), pair.1.as_str()].concat();
        if !tokens.contains(&both) {
            tokens.push(both);
        }
        pair
    };
    draws.iter().map(merge).collect()
}

/// Some share their first bytes or their last ones, so that merges come to characters by different ways, and across them.
const LETTERS: [char; 7] = ['a', 'b', 'é', 'è', 'ũ', '中', '丈'];
const ALPHABET: [char; 8] = ['a', 'b', 'é', 'è', 'ũ', '中', '丈', ' '];
/// Of each property, with each tokenizer.
const CASES: u32 = 2000;
