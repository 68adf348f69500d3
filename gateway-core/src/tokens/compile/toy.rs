//! A tokenizer of a few merges for tests, and what is made of it.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{Source, compile};
use crate::tokens::Table;

/// Merges of letters, in order: among them words that others are parts of, and runs.
const MERGES: &[(&str, &str)] = &[
    ("a", "a"),
    ("a", "b"),
    ("b", "a"),
    ("aa", "aa"),
    ("ab", "a"),
    ("b", "b"),
    ("aaaa", "aaaa"),
    ("c", "ab"),
    ("ba", "ab"),
    ("bb", "aa"),
    ("Ġ", "cab"),
];

/// Its `tokenizer.json`.
pub(crate) fn tokenizer() -> Value {
    tokenizer_with(MERGES)
}

/// The `tokenizer.json` of a tokenizer with other merges.
pub(crate) fn tokenizer_with(merges: &[(&str, &str)]) -> Value {
    let printable = (b'!'..=b'~').chain(0xa1..=0xac).chain(0xae..=0xff).map(char::from);
    let bytes = printable.chain(('\u{100}'..).take(68)).map(String::from);
    let made = merges.iter().map(|(left, right)| [*left, *right].concat());
    let vocab: BTreeMap<String, usize> = bytes.chain(made).zip(0..).collect();
    json!({
        "added_tokens": [{"id": 900, "content": "<|end|>", "special": true}],
        "normalizer": {"type": "NFC"},
        "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": false, "use_regex": true},
        "post_processor": null,
        "model": {"type": "BPE", "vocab": vocab, "merges": merges},
    })
}

/// Its table.
pub(crate) fn table() -> Table {
    Table::open(file(&tokenizer())).unwrap()
}

/// The file of its table.
pub(crate) fn file(tokenizer: &Value) -> Vec<u8> {
    let source = Source {
        tokenizer: &tokenizer.to_string(),
        config: None,
        chat_template: None,
    };
    compile(&source).unwrap()
}

/// What merging by the list makes of `piece`, as lengths: the leftmost of the first possible merge, again and again.
pub(crate) fn merge_by_the_list(piece: &str) -> Vec<usize> {
    merge_by(MERGES, piece)
}

/// The same by another list.
pub(crate) fn merge_by(merges: &[(&str, &str)], piece: &str) -> Vec<usize> {
    let ranks: BTreeMap<(&str, &str), usize> = merges.iter().copied().zip(0..).collect();
    let mut parts: Vec<String> = piece.chars().map(String::from).collect();
    let rank = |pair: &[String]| ranks.get(&(pair[0].as_str(), pair[1].as_str())).copied();
    while let Some(lowest) = parts.windows(2).filter_map(rank).min() {
        let at = parts.windows(2).position(|pair| rank(pair) == Some(lowest)).unwrap();
        let right = parts.remove(at + 1);
        parts[at].push_str(&right);
    }
    parts.iter().map(String::len).collect()
}
