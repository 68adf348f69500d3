//! Tokenizers small enough to be made up by a test.

use std::collections::BTreeMap;

use serde_json::{Value, json};

/// A `tokenizer.json` of all bytes, and of what the merges make of them, in the order of the merges. Tokens are written as
/// byte-level tokenizers do ([`byte_characters`]).
pub fn small_tokenizer(merges: &[(String, String)], ignore_merges: bool) -> Value {
    let mut vocabulary: Vec<String> = byte_characters().map(String::from).collect();
    for (left, right) in merges {
        let both = [left.as_str(), right.as_str()].concat();
        if !vocabulary.contains(&both) {
            vocabulary.push(both);
        }
    }
    let vocabulary: BTreeMap<&String, usize> = vocabulary.iter().zip(0..).collect();
    let merges: Vec<[&String; 2]> = merges.iter().map(|(left, right)| [left, right]).collect();
    let byte_level = json!({"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true});
    json!({
        "version": "1.0",
        "added_tokens": [],
        "normalizer": null,
        "pre_tokenizer": byte_level,
        "post_processor": byte_level,
        "decoder": byte_level,
        "model": {
            "type": "BPE", "dropout": null, "unk_token": null, "continuing_subword_prefix": null,
            "end_of_word_suffix": null, "fuse_unk": false, "byte_fallback": false, "ignore_merges": ignore_merges,
            "vocab": vocabulary, "merges": merges,
        },
    })
}

/// The characters that byte-level tokenizers write bytes as, by byte: printable ones of Latin-1 are themselves, the
/// others stand from U+0100 on in their order (GPT-2's encoder.py, `bytes_to_unicode`).
pub fn byte_characters() -> impl Iterator<Item = char> {
    let mut next = 0x100..;
    (0..=u8::MAX).map(move |byte| match byte {
        b'!'..=b'~' | 0xa1..=0xac | 0xae..=0xff => char::from(byte),
        _ => next.next().and_then(char::from_u32).unwrap_or_default(),
    })
}
