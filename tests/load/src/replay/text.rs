//! Texts by their names: equal names give equal texts, and different ones texts that differ from their first words on.

/// Appends the text `id` of so many tokens: words of three letters with a blank before each, which is one token each to the
/// simulated model, and four bytes.
pub fn write(id: u64, tokens: u32, into: &mut String) {
    let mut state = id;
    for _ in 0..tokens {
        let mut number = next(&mut state);
        into.push(' ');
        for _ in 0..LETTERS {
            into.push(char::from(b'a' + (number % 26) as u8));
            number /= 26;
        }
    }
}

/// SplitMix64 (Steele, Lea and Flood, 2014).
fn next(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let mut mixed = *state;
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    mixed ^ (mixed >> 31)
}

const LETTERS: usize = 3;

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    fn text(id: u64, tokens: u32) -> String {
        let mut text = String::new();
        write(id, tokens, &mut text);
        text
    }

    #[test]
    fn a_name_gives_one_text_and_no_other_name_gives_it() {
        assert_eq!(text(7, 512), text(7, 512));
        assert_eq!(text(7, 512).len(), 4 * 512);
        let first_blocks: HashSet<String> = (0..10_000).map(|id| text(id, 16)).collect();
        assert_eq!(first_blocks.len(), 10_000);
    }
}
