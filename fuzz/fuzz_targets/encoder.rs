//! Any text, with every tokenizer: the gateway finds the ids that the reference finds. `TIDEGATE_TOKENS` names the folder
//! of tables.

#![no_main]

use std::cell::OnceCell;

use libfuzzer_sys::fuzz_target;
use tidegate_tokens_tests::{Tokenizer, tokenizers};

thread_local! {
    static TOKENIZERS: OnceCell<Vec<Tokenizer>> = const { OnceCell::new() };
}

fuzz_target!(|text: &str| {
    TOKENIZERS.with(|opened| {
        for tokenizer in opened.get_or_init(tokenizers) {
            if let Some(disagreement) = tokenizer.disagreement(text) {
                panic!("{disagreement}");
            }
        }
    });
});
