//! Where a long text may be cut so that its parts are encoded as the whole would be.
//!
//! Only cuts are taken that no splitter ever puts a piece across, and that change no decision before them:
//! - before a space (U+0020) behind anything but white space: pieces hold a space as their first character or among
//!   white space, and looking ahead is done from white space only;
//! - between an ASCII letter or digit and ASCII punctuation, white space or control: runs of letters and digits end
//!   there. Not before an apostrophe, which may begin a contraction;
//! - between an ideograph, kana or Hangul syllable and a full-width or ideographic punctuation mark.
//!
//! None of the characters behind these cuts combines with what is before it, so that normalization stays the same
//! too. That was read off the regular expressions of [`Splitter`](crate::tokens::table::Splitter); the property at
//! this file's end holds it against them.

/// How many bytes of `text` make the next window: about [`WINDOW_BYTES`], and more only where no safe cut comes
/// sooner. At least one byte of a text that has any.
pub(super) fn window(text: &str) -> usize {
    if text.len() <= WINDOW_BYTES {
        return text.len();
    }
    let is_safe = |at: &usize| is_safe_cut(text, *at);
    let before = (1..=WINDOW_BYTES).rev().find(is_safe);
    before
        .or_else(|| (WINDOW_BYTES + 1..text.len()).find(is_safe))
        .unwrap_or(text.len())
}

/// The last safe cut of `text` that is not before `from`, if there is any.
pub(in crate::tokens) fn last_cut(text: &str, from: usize) -> Option<usize> {
    (from.max(1)..text.len()).rev().find(|at| is_safe_cut(text, *at))
}

fn is_safe_cut(text: &str, at: usize) -> bool {
    let bytes = text.as_bytes();
    let (Some(before), Some(behind)) = (bytes.get(at.wrapping_sub(1)), bytes.get(at)) else {
        return false;
    };
    match behind {
        b' ' if before.is_ascii() => !matches!(before, b'\t'..=b'\r' | b' '),
        b' ' => last_char(text, at).is_some_and(|before| !before.is_whitespace()),
        b'\'' => false,
        0..=0x7f => before.is_ascii_alphanumeric() && !behind.is_ascii_alphanumeric(),
        0xe3 | 0xef => {
            let mark = text.get(at..).and_then(|text| text.chars().next());
            mark.is_some_and(is_wide_mark) && last_char(text, at).is_some_and(is_east_asian_letter)
        }
        0x80.. => false,
    }
}

/// The character before `at`.
fn last_char(text: &str, at: usize) -> Option<char> {
    text.get(..at)?.chars().next_back()
}

fn is_wide_mark(mark: char) -> bool {
    matches!(mark, '、' | '。' | '！' | '，' | '：' | '；' | '？')
}

fn is_east_asian_letter(letter: char) -> bool {
    matches!(letter, 'ぁ'..='ゖ' | 'ァ'..='ヺ' | '\u{4e00}'..='\u{9fa5}' | '가'..='힣')
}

/// Splitting takes ten bytes of memory for each: 30 KiB.
pub(super) const WINDOW_BYTES: usize = 3 * 1024;

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;
    use unicode_normalization::UnicodeNormalization as _;

    use super::super::split::Scratch;
    use super::*;
    use crate::tokens::table::Splitter;

    pub(in super::super) const SPLITTERS: [Splitter; 6] = [
        Splitter::Gpt2,
        Splitter::Cl100k,
        Splitter::Qwen,
        Splitter::O200k,
        Splitter::Tekken,
        Splitter::DeepSeek,
    ];

    pub(in super::super) fn pieces(splitter: Splitter, text: &str) -> Vec<&str> {
        let mut scratch = Scratch::default();
        let spans = splitter.split(text, &mut scratch);
        spans.iter().map(|span| &text[span.range()]).collect()
    }

    /// Bits of text in which cuts, and what may go wrong at them, are frequent.
    pub(in super::super) fn bits() -> impl Strategy<Value = &'static str> {
        prop::sample::select(vec![
            " ",
            "  ",
            "\n",
            "\r\n",
            "\r",
            "\u{b}",
            "\t",
            "\u{a0}",
            "\u{3000}",
            "a",
            "B",
            "s",
            "'s",
            "'S",
            "'ſ",
            "'re",
            "'",
            "1",
            "23",
            "½",
            ".",
            "!",
            "/",
            "_",
            "-",
            "(",
            "é",
            "e\u{301}",
            "\u{301}",
            "ж",
            "中",
            "文",
            "。",
            "，",
            "か",
            "か\u{3099}",
            "カ",
            "한",
            "\u{1112}\u{1161}\u{11ab}",
            "ㄱ",
            "😀",
            "\u{200d}",
            "\u{7f}",
            "\u{e000}",
            "ǅ",
            "ª",
        ])
    }

    fn text() -> impl Strategy<Value = String> {
        prop::collection::vec(bits(), 0..40).prop_map(|bits| bits.concat())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(1024))]

        #[test]
        fn no_piece_and_no_composition_goes_across_a_safe_cut(text in text()) {
            for at in (1..text.len()).filter(|at| is_safe_cut(&text, *at)) {
                let (head, tail) = text.split_at(at);
                for splitter in SPLITTERS {
                    let apart = [pieces(splitter, head), pieces(splitter, tail)].concat();
                    prop_assert_eq!(pieces(splitter, &text), apart, "{:?} at {}", splitter, at);
                }
                let apart: String = head.nfc().chain(tail.nfc()).collect();
                prop_assert_eq!(text.nfc().collect::<String>(), apart);
            }
        }
    }

    #[test]
    fn windows_are_small_where_a_cut_is_near_and_whole_where_there_is_none() {
        let prose = "word ".repeat(10_000);
        assert!((WINDOW_BYTES - 8..=WINDOW_BYTES).contains(&window(&prose)));
        let run = "x".repeat(50_000);
        assert_eq!(window(&run), run.len());
        assert_eq!(window(&[&run, " ", &prose].concat()), run.len());
        assert_eq!(last_cut("no cut in here", 0), Some(9));
        assert_eq!(last_cut("no cut in here", 10), None);
        assert_eq!(last_cut("don't", 0), None);
    }
}
