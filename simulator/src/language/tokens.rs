//! The simulated model's tokens: about four bytes of English each, reversible without a vocabulary file.
//!
//! Text is cut left to right into
//! * word pieces: an optional space, then up to five ASCII letters of which only the first may be a capital
//!   (" gateway" is " gatew" and "ay", "HTTP" is four pieces);
//! * raw pieces of at most three bytes: runs of digits, of other whitespace, or of ASCII punctuation; a character
//!   beyond ASCII is one piece, or two when it takes four bytes.
//!
//! A token's id is its piece, packed: 0 to 255 single bytes; 16 special tokens, which no text encodes to; pieces of two
//! and three bytes; then letters in base 27 with a bit for the space and one for the capital. Ids stay below 2^27.

/// A token's id.
pub type TokenId = u32;

/// Special tokens of the chat template.
pub const IM_START: TokenId = SPECIAL_BASE;
/// Ends a message.
pub const IM_END: TokenId = SPECIAL_BASE + 1;
/// Ends an answer.
pub const END_OF_TEXT: TokenId = SPECIAL_BASE + 2;
/// Stands for (a part of) an image.
pub const IMAGE: TokenId = SPECIAL_BASE + 3;
/// Begins a tool call.
pub const TOOL_CALL: TokenId = SPECIAL_BASE + 4;

/// Encodes text.
#[must_use]
pub fn encode(text: &str) -> Vec<TokenId> {
    pieces(text).map(|(token, _)| token).collect()
}

/// Each token of `text` with the byte offset of its end.
pub fn pieces(text: &str) -> impl Iterator<Item = (TokenId, usize)> + '_ {
    let bytes = text.as_bytes();
    let mut start = 0;
    std::iter::from_fn(move || {
        let rest = bytes.get(start..).filter(|rest| !rest.is_empty())?;
        let (token, length) = word_piece(rest).unwrap_or_else(|| raw_piece(rest));
        start += length;
        Some((token, start))
    })
}

/// Appends a token's bytes; false, and nothing is appended, when there is no such token.
pub fn decode_into(token: TokenId, bytes: &mut Vec<u8>) -> bool {
    match token {
        0..SPECIAL_BASE => bytes.push(token as u8),
        SPECIAL_BASE..RAW2_BASE => match SPECIAL.get((token - SPECIAL_BASE) as usize) {
            Some(name) => bytes.extend_from_slice(name.as_bytes()),
            None => return false,
        },
        RAW2_BASE..RAW3_BASE => bytes.extend_from_slice(&(token - RAW2_BASE).to_be_bytes()[2..]),
        RAW3_BASE..WORD_BASE => bytes.extend_from_slice(&(token - RAW3_BASE).to_be_bytes()[1..]),
        WORD_BASE..TOKEN_END => unpack_word(token - WORD_BASE, bytes),
        TOKEN_END.. => return false,
    }
    true
}

/// The text of tokens; incomplete characters and unknown tokens become U+FFFD.
#[must_use]
pub fn decode(tokens: &[TokenId]) -> String {
    let mut bytes = Vec::with_capacity(tokens.len() * 4);
    for token in tokens {
        if !decode_into(*token, &mut bytes) {
            bytes.extend_from_slice("\u{FFFD}".as_bytes());
        }
    }
    String::from_utf8(bytes).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
}

/// Whether there is such a token.
#[must_use]
pub const fn is_token(token: TokenId) -> bool {
    token < SPECIAL_BASE + SPECIAL.len() as u32 || (RAW2_BASE <= token && token < TOKEN_END)
}

const SPECIAL: [&str; 5] = [
    "<|im_start|>",
    "<|im_end|>",
    "<|endoftext|>",
    "<|image|>",
    "<|tool_call|>",
];
const SPECIAL_BASE: TokenId = 256;
const RAW2_BASE: TokenId = SPECIAL_BASE + 16;
const RAW3_BASE: TokenId = RAW2_BASE + (1 << 16);
const WORD_BASE: TokenId = RAW3_BASE + (1 << 24);
const TOKEN_END: TokenId = WORD_BASE + 4 * 27_u32.pow(WORD_LETTERS as u32);
const WORD_LETTERS: usize = 5;
const RAW_BYTES: usize = 3;

fn word_piece(bytes: &[u8]) -> Option<(TokenId, usize)> {
    let space = bytes[0] == b' ';
    let letters = &bytes[usize::from(space)..];
    let first = letters.first().filter(|byte| byte.is_ascii_alphabetic())?;
    let lower = letters
        .iter()
        .skip(1)
        .take(WORD_LETTERS - 1)
        .take_while(|byte| byte.is_ascii_lowercase())
        .count();
    let packed = letters[..=lower]
        .iter()
        .rev()
        .fold(0, |packed, letter| packed * 27 + letter_number(*letter));
    let flags = u32::from(space) * 2 + u32::from(first.is_ascii_uppercase());
    Some((WORD_BASE + packed * 4 + flags, usize::from(space) + lower + 1))
}

const fn letter_number(letter: u8) -> u32 {
    (letter.to_ascii_lowercase() - b'a' + 1) as u32
}

fn unpack_word(packed: u32, bytes: &mut Vec<u8>) {
    let (space, capital) = (packed & 2 != 0, packed & 1 != 0);
    if space {
        bytes.push(b' ');
    }
    let first = bytes.len();
    let mut letters = packed / 4;
    while letters > 0 {
        // Digit 0 stands in no encoded word; a made-up id may hold one.
        bytes.push(b'a' + (letters % 27).saturating_sub(1) as u8);
        letters /= 27;
    }
    if capital && let Some(letter) = bytes.get_mut(first) {
        letter.make_ascii_uppercase();
    }
}

fn raw_piece(bytes: &[u8]) -> (TokenId, usize) {
    let length = raw_length(bytes);
    let packed = bytes[..length]
        .iter()
        .fold(0, |packed, byte| packed << 8 | u32::from(*byte));
    let base = match length {
        1 => 0,
        2 => RAW2_BASE,
        _ => RAW3_BASE,
    };
    (base + packed, length)
}

fn raw_length(bytes: &[u8]) -> usize {
    let class = Class::of(bytes[0]);
    if class == Class::BeyondAscii {
        // The rest of a character that takes four bytes follows as a piece of its own.
        let continued = bytes[1..].iter().take_while(|byte| **byte & 0xC0 == 0x80).count();
        return (1 + continued).min(RAW_BYTES);
    }
    let run = bytes
        .iter()
        .take(RAW_BYTES)
        .take_while(|byte| Class::of(**byte) == class)
        .count();
    let takes_words_space = run > 1 && bytes[run - 1] == b' ' && bytes.get(run).is_some_and(u8::is_ascii_alphabetic);
    run - usize::from(takes_words_space)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Class {
    Digit,
    Space,
    Letter,
    Punctuation,
    BeyondAscii,
}

impl Class {
    const fn of(byte: u8) -> Self {
        match byte {
            b'0'..=b'9' => Self::Digit,
            b' ' | b'\n' | b'\r' | b'\t' => Self::Space,
            b'a'..=b'z' | b'A'..=b'Z' => Self::Letter,
            0x80.. => Self::BeyondAscii,
            _ => Self::Punctuation,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn cut(text: &str) -> Vec<String> {
        encode(text).iter().map(|token| decode(&[*token])).collect()
    }

    #[test]
    fn words_keep_their_space_and_long_ones_are_cut() {
        assert_eq!(
            cut("The gateway, HTTP 2026"),
            ["The", " gatew", "ay", ",", " H", "T", "T", "P", " ", "202", "6"]
        );
        assert_eq!(cut("a\n\n  b"), ["a", "\n\n ", " b"]);
        assert_eq!(cut("é世"), ["é", "世"]);
    }

    #[test]
    fn english_takes_about_four_bytes_per_token() {
        let text = "Tidegate reads the prompt of every request, because a warm prefix on one replica is worth more \
                    than an idle replica elsewhere, and it counts tokens instead of requests.";
        let bytes_per_token = text.len() as f64 / encode(text).len() as f64;
        assert!((3.4..4.6).contains(&bytes_per_token), "{bytes_per_token}");
    }

    #[test]
    fn special_tokens_come_from_no_text() {
        assert!(
            !encode("<|im_start|><|im_end|>")
                .iter()
                .any(|token| (256..272).contains(token))
        );
        assert_eq!(decode(&[IM_START]), "<|im_start|>");
        assert!(is_token(TOOL_CALL) && !is_token(TOOL_CALL + 1) && !is_token(TOKEN_END));
        assert!(!decode_into(TOKEN_END, &mut Vec::new()));
    }

    proptest! {
        #[test]
        fn what_was_encoded_is_decoded(text in "[ -~\n\u{e9}\u{4e16}\u{1f600}]{0,60}|.{0,40}") {
            let tokens = encode(&text);
            prop_assert_eq!(decode(&tokens), text.clone());
            prop_assert!(tokens.iter().all(|token| is_token(*token)));
            prop_assert_eq!(pieces(&text).last().map_or(0, |(_, end)| end), text.len());
        }

        #[test]
        fn any_id_decodes_without_panic(token in any::<u32>()) {
            prop_assert_eq!(decode_into(token, &mut Vec::new()), is_token(token));
        }
    }
}
