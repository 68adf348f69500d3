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
    let (mut searched, mut limit) = (0, WINDOW_BYTES);
    while limit < text.len() {
        let cut = (searched + 1..=limit).rev().find(|at| is_safe_cut(text, *at));
        if let Some(cut) = cut {
            return cut;
        }
        (searched, limit) = (limit, limit * 2);
    }
    text.len()
}

/// The last safe cut of `text`, if there is any.
pub(in crate::tokens) fn last_cut(text: &str) -> Option<usize> {
    (1..text.len()).rev().find(|at| is_safe_cut(text, *at))
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

/// Splitting takes ten bytes of memory for each: 80 KiB.
pub(super) const WINDOW_BYTES: usize = 8 * 1024;
