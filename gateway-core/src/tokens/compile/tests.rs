//! Tables of the toy tokenizer: they encode as the list of merges says, and nothing that does not fit becomes one.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::{CompileError, Source, compile, toy};
use crate::tokens::{Table, TableError};

fn ids(table: &Table, text: &str) -> Vec<u32> {
    let mut ids = Vec::new();
    table.encode(text, |id| ids.push(id));
    ids
}

fn changed(pointer: &str, value: Value) -> Result<Vec<u8>, CompileError> {
    let mut tokenizer = toy::tokenizer();
    *tokenizer.pointer_mut(pointer).unwrap() = value;
    let source = Source {
        tokenizer: &tokenizer.to_string(),
        config: None,
        chat_template: None,
    };
    compile(&source)
}

#[test]
fn text_is_split_merged_and_searched_for_added_tokens() {
    let table = toy::table();
    assert_eq!(ids(&table, ""), [] as [u32; 0]);
    assert_eq!(ids(&table, " cab<|end|>aab"), [266, 900, 256, 65]);
    // Composed before it is split: é is two bytes, the mark by itself three.
    assert_eq!(ids(&table, "e\u{301}"), ids(&table, "\u{e9}"));
}

proptest! {
    // Merging by the list takes its time.
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_table_merges_as_the_list_does(piece in "[abc]{1,60}|[ab]{500,700}|a{600,1100}|(ab?c?){300,400}") {
        let (table, lengths) = &*TOY;
        let found: Vec<_> = ids(table, &piece).iter().map(|id| lengths[id]).collect();
        prop_assert_eq!(table.count(&piece).0, found.len() as u64);
        prop_assert_eq!(table.count(&piece).0, found.len() as u64, "also when it is remembered");
        prop_assert_eq!(found, toy::merge_by_the_list(&piece));
    }

    #[test]
    fn a_changed_file_is_refused(at in 0_usize..2000, bit in 0_u8..8) {
        let mut file = toy::file(&toy::tokenizer());
        let at = at % file.len();
        file[at] ^= 1 << bit;
        prop_assert!(Table::open(file).is_err());
    }
}

#[test]
fn parts_of_a_long_piece_are_joined_only_where_they_fit() {
    // A walk over pairs of letters, none of them twice. The last pair merges first: where tokens begin at the start of
    // a piece depends on its end, and no two parts fit together.
    let letters: Vec<String> = ('a'..='z').chain('A'..='Z').map(String::from).collect();
    let (count, mut at) = (letters.len(), 0);
    let mut walk: Vec<(&str, &str)> = Vec::new();
    for step in 1..count / 2 {
        for _ in 0..count {
            let next = (at + step) % count;
            if !walk.contains(&(&letters[at], &letters[next])) {
                walk.push((&letters[at], &letters[next]));
                at = next;
            }
        }
    }
    let merges: Vec<_> = walk.iter().rev().copied().collect();
    let table = Table::open(toy::file(&toy::tokenizer_with(&merges))).unwrap();
    for length in [600, 601, 700, 701] {
        let piece: String = walk.iter().take(length).map(|(letter, _)| *letter).collect();
        assert_eq!(piece.len(), length);
        let expected = toy::merge_by(&merges, &piece);
        assert_eq!(table.count(&piece).0, expected.len() as u64);
        // The ids of bytes come first, all others are pairs.
        let found: Vec<_> = ids(&table, &piece)
            .iter()
            .map(|id| if *id < 256 { 1 } else { 2 })
            .collect();
        assert_eq!(found, expected, "{length}");
    }
}

/// The toy tokenizer's table, and how long its tokens are, by their ids.
static TOY: LazyLock<(Table, BTreeMap<u32, usize>)> = LazyLock::new(|| {
    let tokenizer = toy::tokenizer();
    let vocab = tokenizer["model"]["vocab"].as_object().unwrap();
    let length = |(token, id): (&String, &Value)| (u32::try_from(id.as_u64().unwrap()).unwrap(), token.chars().count());
    (toy::table(), vocab.iter().map(length).collect())
});

#[test]
fn a_file_that_is_no_table_is_told_from_one_that_is_damaged() {
    let file = toy::file(&toy::tokenizer());
    assert_eq!(Table::open(&b""[..]).unwrap_err(), TableError::NoTable);
    assert_eq!(
        Table::open(&b"{\"version\":\"1.0\",\"truncation\":null}"[..]).unwrap_err(),
        TableError::NoTable
    );
    let cut = Table::open(file[..file.len() - 1].to_vec()).unwrap_err();
    assert!(matches!(cut, TableError::Damaged { .. }));
    let mut newer = file;
    newer[8] = 9;
    assert_eq!(
        Table::open(newer).unwrap_err(),
        TableError::OtherVersion { found: 9, known: 2 }
    );
}

#[test]
fn a_bundled_file_is_opened_without_being_read_through_and_only_whole() {
    let mut file = toy::file(&toy::tokenizer());
    let cut = file[..file.len() - 1].to_vec();
    assert!(matches!(Table::open_bundled(cut), Err(TableError::Damaged { .. })));
    let last = file.len() - 1;
    file[last] ^= 1;
    assert!(Table::open(file.clone()).is_err());
    assert!(Table::open_bundled(file).is_ok());
}

#[test]
fn what_a_table_cannot_represent_is_refused_with_the_reason() {
    for (pointer, value, expected) in [
        ("/model/type", json!("Unigram"), "`model` is Unigram"),
        ("/model/vocab/a", Value::Null, "tokenizer.json cannot be read"),
        (
            "/model/merges",
            json!([["x", "y"]]),
            "token that is not in `model.vocab`",
        ),
        (
            "/model/merges",
            json!([["b", "a"], "a b"]),
            "makes token 257 after token 258",
        ),
        (
            "/normalizer",
            json!({"type": "NFKC"}),
            "`normalizer` is NFKC; a table can hold none, or NFC",
        ),
        (
            "/pre_tokenizer",
            json!({"type": "Whitespace"}),
            "`pre_tokenizer` is Whitespace",
        ),
        ("/pre_tokenizer", Value::Null, "`pre_tokenizer` is absent"),
        ("/pre_tokenizer/add_prefix_space", json!(true), "a space before text"),
        (
            "/post_processor",
            json!({"type": "BertProcessing"}),
            "`post_processor` is BertProcessing",
        ),
        (
            "/added_tokens/0",
            json!({"id": 1, "content": "<x>", "single_word": true}),
            "\"<x>\" is found as a single word",
        ),
        (
            "/added_tokens/0",
            json!({"id": 1, "content": "<x>", "normalized": true}),
            "and the tokenizer normalizes",
        ),
    ] {
        let error = changed(pointer, value).unwrap_err().to_string();
        assert!(error.contains(expected), "{pointer}: {error}");
    }
}

#[test]
fn tokens_that_merges_never_make_count_as_whole_pieces_only_and_only_where_merges_are_ignored() {
    for (ignore, expected) in [(false, 2), (true, 1)] {
        let mut tokenizer = toy::tokenizer();
        tokenizer["model"]["vocab"]["bc"] = json!(500);
        tokenizer["model"]["ignore_merges"] = json!(ignore);
        let table = Table::open(toy::file(&tokenizer)).unwrap();
        assert_eq!(table.count("bc").0, expected);
        assert_eq!(table.count("bcx").0, 3, "no merge makes it");
    }
}

#[test]
fn what_stands_around_a_prompt_comes_from_the_template_or_the_class() {
    let special = json!({"<|end|>": {"id": "<|end|>", "ids": [900], "tokens": ["<|end|>"]}});
    let single = json!([{"SpecialToken": {"id": "<|end|>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}]);
    let template = json!({"type": "TemplateProcessing", "single": single, "pair": [], "special_tokens": special});
    let table = Table::open(changed("/post_processor", template).unwrap()).unwrap();
    assert_eq!((table.wrapping().before, table.wrapping().after), (&[900][..], &[][..]));

    let config = json!({"tokenizer_class": "LlamaTokenizerFast", "bos_token": {"content": "<|end|>"}, "eos_token": "<|end|>",
        "add_eos_token": true, "chat_template": "{{ bos_token }}"});
    let source = Source {
        tokenizer: &toy::tokenizer().to_string(),
        config: Some(&config.to_string()),
        chat_template: None,
    };
    let table = Table::open(compile(&source).unwrap()).unwrap();
    assert_eq!(
        (table.wrapping().before, table.wrapping().after),
        (&[900][..], &[900][..])
    );
    let chat = table.chat().unwrap();
    assert_eq!(chat.template, "{{ bos_token }}");
    assert_eq!(chat.special_tokens[0], ("bos_token".to_owned(), "<|end|>".to_owned()));
}
