//! Tables that were cut, damaged or forged: none makes the gateway panic, hang, or take memory for what is not there.

use tidegate_core::tokens::{Table, TableError};
use tidegate_tokens_tests::{Tokenizer, sealed, tokenizers};

#[test]
fn a_cut_table_is_refused() {
    for tokenizer in tokenizers() {
        let file = read(&tokenizer);
        let mut random = Random(1);
        let places = (0..200).chain(std::iter::repeat_with(|| random.below(file.len())).take(200));
        for length in places.chain([file.len() - 1]) {
            assert!(
                Table::open(file[..length].to_vec()).is_err(),
                "{} cut to {length} bytes",
                tokenizer.name
            );
            // Also with a checksum that fits what is left.
            assert!(
                Table::open(sealed(file[..length].to_vec())).is_err(),
                "{} forged to {length} bytes",
                tokenizer.name
            );
        }
    }
}

#[test]
fn a_table_with_one_bit_flipped_is_refused() {
    for tokenizer in tokenizers() {
        let mut file = read(&tokenizer);
        let mut random = Random(2);
        let places = (0..64).chain(std::iter::repeat_with(|| random.below(file.len())).take(1000));
        for at in places.collect::<Vec<_>>() {
            let bit = 1 << random.below(8);
            file[at] ^= bit;
            assert!(
                Table::open(file.clone()).is_err(),
                "{} with bits {bit:#x} of byte {at} flipped",
                tokenizer.name
            );
            file[at] ^= bit;
        }
    }
}

#[test]
fn a_forged_table_at_worst_counts_wrongly() {
    for tokenizer in tokenizers() {
        let file = read(&tokenizer);
        let mut random = Random(3);
        let mut opened = 0;
        for _ in 0..FORGERIES {
            opened += usize::from(count_with(forged(&file, &mut random)).is_ok());
        }
        assert!(
            opened > FORGERIES / 10,
            "only {opened} forged tables of {} could be opened",
            tokenizer.name
        );
        assert!(opened < FORGERIES, "no forged table of {} was refused", tokenizer.name);
    }
}

/// A file with a few changes, half of them where the lengths and the details stand, and a checksum that fits.
fn forged(file: &[u8], random: &mut Random) -> Vec<u8> {
    let mut forged = file.to_vec();
    for _ in 0..=random.below(6) {
        let end = if random.below(2) == 0 {
            file.len().min(4096)
        } else {
            file.len()
        };
        let at = LENGTH_OF_DETAILS_AT + random.below(end - LENGTH_OF_DETAILS_AT);
        match random.below(4) {
            0 => forged[at] ^= 1 << random.below(8),
            1 => forged[at] = u8::MAX,
            2 => forged[at] = 0,
            _ => {
                let end = forged.len().min(at + random.below(64));
                (at..end).for_each(|at| forged[at] = random.next().to_le_bytes()[0]);
            }
        }
    }
    sealed(forged)
}

/// Opens the file and counts with it. No text has more tokens than bytes in its composed form, which NFC makes at most
/// three times as long (UAX 15, section 9).
fn count_with(file: Vec<u8>) -> Result<(), TableError> {
    let table = Table::open(file)?;
    for text in TEXTS {
        let mut ids = 0_u64;
        table.encode(text, |_| ids += 1);
        assert_eq!(table.count(text).0, ids, "{text:?}");
        assert!(ids <= 3 * text.len() as u64, "{text:?} has {ids} tokens");
    }
    let _ = (table.chat(), table.wrapping().count());
    Ok(())
}

fn read(tokenizer: &Tokenizer) -> Vec<u8> {
    std::fs::read(&tokenizer.path).unwrap_or_else(|error| panic!("{}: {error}", tokenizer.path.display()))
}

/// SplitMix64 (Steele, Lea and Flood, "Fast splittable pseudorandom number generators", 2014).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }
}

const TEXTS: [&str; 6] = [
    "",
    "<|im_start|>user\nHow many tokens? <｜end▁of▁sentence｜><|end|>\r\n\r\n\t  1234567 don't I'LL",
    "e\u{301}e\u{323}\u{307}\u{1100}\u{1161}\u{11a8}\u{958}\u{fb1f} 你好，世界 привет नमस्ते 👩‍👩‍👧‍👦",
    concat!(
        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
        "qzxjkvbpqzxjkvbpwqzxjkvbpwfqzxjkvbpqzxjkvbpqzxjkvbpqzxjkvbpqzxjkvbpqzxjkvbpqzxjkvbpqzxjkvbpqzxjkvbpqzxjkvbpwf"
    ),
    "                                                                                \n\n\n\n\n                       x",
    "fn main() { println!(\"{:?}\", std::env::args().collect::<Vec<_>>()); } // ================================",
];
const FORGERIES: usize = 1500;
/// What stands before is told apart from a table at once.
const LENGTH_OF_DETAILS_AT: usize = 12;
