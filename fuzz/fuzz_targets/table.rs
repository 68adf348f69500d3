//! Any bytes at all, as the file of a table: it is refused, or counts. The checksum is put right, so that what stands
//! behind it is looked at too.

#![no_main]

use libfuzzer_sys::fuzz_target;
use tidegate_core::tokens::Table;
use tidegate_tokens_tests::sealed;

fuzz_target!(|file: &[u8]| {
    for file in [file.to_vec(), sealed(file.to_vec())] {
        let Ok(table) = Table::open(file) else { continue };
        let mut ids = 0;
        table.encode(TEXT, |_| ids += 1);
        assert_eq!(table.count(TEXT).0, ids);
        assert!(ids <= 3 * TEXT.len() as u64, "no text has more tokens than bytes in its composed form");
        let _ = (table.chat(), table.wrapping().count());
    }
});

const TEXT: &str = "<|im_start|>user\r\n\t  How many? 1234567 don't e\u{301}\u{323} 你好 👩‍👩‍👧 aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
