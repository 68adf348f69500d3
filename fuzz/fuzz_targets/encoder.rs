//! Any text, with every tokenizer: the gateway finds the ids that the reference finds. `TIDEGATE_TOKENS` names the folder
//! of tables.

#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use tidegate_tokens_tests::{Tokenizer, tokenizers};

/// Opened before the first text, for the references take seconds to open.
static TOKENIZERS: LazyLock<Vec<Tokenizer>> = LazyLock::new(tokenizers);

fuzz_target!(
    init: {
        LazyLock::force(&TOKENIZERS);
    },
    |text: &str| {
        for tokenizer in &*TOKENIZERS {
            let disagreement = tokenizer.disagreement(text);
            assert!(disagreement.is_none(), "{}", disagreement.unwrap_or_default());
        }
    }
);
