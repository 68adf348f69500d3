//! Any bytes at all, as the file of a table, and a whole table with any of its bytes changed: it is refused, or counts.
//! The checksum is put right, so that what stands behind it is looked at too.

#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use tidegate_core::tokens::Table;
use tidegate_core::tokens::compile::{Source, compile};
use tidegate_tokens_tests::{sealed, small_tokenizer};

static WHOLE: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let merges = [("a", "a"), ("aa", "aa"), ("Ġ", "t"), ("o", "w"), ("1", "2")];
    let merges = merges.map(|(left, right)| (left.to_owned(), right.to_owned()));
    let tokenizer = small_tokenizer(&merges, false).to_string();
    let source = Source {
        tokenizer: &tokenizer,
        config: None,
        chat_template: None,
    };
    compile(&source).expect("the tokenizer can be represented")
});

fuzz_target!(|bytes: &[u8]| {
    count_with(bytes.to_vec());
    count_with(sealed(bytes.to_vec()));
    count_with(sealed(changed(bytes)));
});

/// The whole table, with three bytes for each change: where, in two of them, and to what.
fn changed(changes: &[u8]) -> Vec<u8> {
    let mut file = WHOLE.clone();
    let (changes, _) = changes.as_chunks::<3>();
    for [low, high, value] in changes {
        let at = usize::from(u16::from_le_bytes([*low, *high])) % file.len();
        file[at] = *value;
    }
    file
}

fn count_with(file: Vec<u8>) {
    let Ok(table) = Table::open(file) else { return };
    let mut ids = 0;
    table.encode(TEXT, |_| ids += 1);
    assert_eq!(table.count(TEXT).0, ids);
    assert!(
        ids <= 3 * TEXT.len() as u64,
        "no text has more tokens than bytes in its composed form"
    );
    let _ = (table.chat(), table.wrapping().count());
}

const TEXT: &str = "<|im_start|>user\r\n\t  How many? 1234567 don't e\u{301}\u{323} 你好 👩‍👩‍👧 aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
