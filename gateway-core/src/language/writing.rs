//! Which language a text is written in. A script that one language alone is commonly written in tells it; Latin and
//! Cyrillic letters leave it to the small words. Chinese and Japanese are told apart by kana, whatever is written in Arabic
//! letters counts as Arabic, in Devanagari as Hindi.

use super::words::WORDS;

/// The tag of the language that the beginning of a text is written in, [`MOST_BYTES_READ`] of it; `None` where it does not give
/// enough to go by: fewer than half of its letters are of one script, or the small words of one language are fewer than two,
/// or not more than those of another.
pub fn written_in(text: &str) -> Option<&'static str> {
    let text = &text[..text.floor_char_boundary(MOST_BYTES_READ)];
    let mut counts = [0_u32; SCRIPTS.len()];
    let mut letters = 0;
    for letter in text.chars().filter(|c| c.is_alphabetic()) {
        letters += 1;
        if let Some(script) = SCRIPTS.iter().position(|script| script.holds(letter)) {
            counts[script] += 1;
        }
    }
    // A Japanese text has more Chinese characters than kana, and a Chinese one has none.
    let kana = SCRIPTS
        .iter()
        .zip(counts)
        .find(|(script, _)| script.language == Some("ja"));
    if kana.is_some_and(|(_, kana)| kana * KANA_SHARE > letters) {
        return Some("ja");
    }
    let (script, count) = SCRIPTS.iter().zip(counts).max_by_key(|(_, count)| *count)?;
    if count == 0 || count * 2 < letters {
        return None;
    }
    script.language.or_else(|| by_small_words(text))
}

/// The language with the most small words in the text, where they are enough.
fn by_small_words(text: &str) -> Option<&'static str> {
    let mut votes = [0_u32; WORDS.len()];
    for word in text.split(|c: char| !c.is_alphabetic()).filter(|word| !word.is_empty()) {
        let word = word.to_lowercase();
        for (votes, (_, words)) in votes.iter_mut().zip(WORDS) {
            *votes += u32::from(words.contains(&word.as_str()));
        }
    }
    let (most, language) = votes.iter().zip(WORDS).map(|(votes, (tag, _))| (*votes, tag)).max()?;
    let is_alone = votes.iter().filter(|votes| **votes == most).count() == 1;
    (most >= FEWEST_WORDS && is_alone).then_some(language)
}

/// Letters that belong together.
struct Script {
    /// Ranges of code points, both ends included.
    ranges: &'static [(u32, u32)],
    /// The language that is commonly written so; `None` where many are.
    language: Option<&'static str>,
}

impl Script {
    fn holds(&self, letter: char) -> bool {
        let code = u32::from(letter);
        self.ranges.iter().any(|(first, last)| (*first..=*last).contains(&code))
    }
}

/// After the blocks of Unicode. Kana come before Chinese characters, which Japanese has as well.
const SCRIPTS: [Script; 16] = [
    script(&[(0x41, 0x24F), (0x1E00, 0x1EFF)], None),
    script(&[(0x400, 0x52F)], None),
    script(&[(0x3040, 0x30FF)], Some("ja")),
    script(&[(0x3400, 0x4DBF), (0x4E00, 0x9FFF), (0xF900, 0xFAFF)], Some("zh")),
    script(&[(0x1100, 0x11FF), (0x3130, 0x318F), (0xAC00, 0xD7AF)], Some("ko")),
    script(&[(0x370, 0x3FF), (0x1F00, 0x1FFF)], Some("el")),
    script(&[(0x590, 0x5FF)], Some("he")),
    script(&[(0x600, 0x6FF), (0x750, 0x77F)], Some("ar")),
    script(&[(0x900, 0x97F)], Some("hi")),
    script(&[(0x980, 0x9FF)], Some("bn")),
    script(&[(0xB80, 0xBFF)], Some("ta")),
    script(&[(0xC00, 0xC7F)], Some("te")),
    script(&[(0xE00, 0xE7F)], Some("th")),
    script(&[(0x10A0, 0x10FF)], Some("ka")),
    script(&[(0x530, 0x58F)], Some("hy")),
    script(&[(0x1200, 0x137F)], Some("am")),
];

const fn script(ranges: &'static [(u32, u32)], language: Option<&'static str>) -> Script {
    Script { ranges, language }
}

/// Of a text: a few paragraphs, read in some microseconds.
pub const MOST_BYTES_READ: usize = 2_048;
/// One may be a name, or a word of another language.
const FEWEST_WORDS: u32 = 2;
/// Japanese has kana for at least one letter in so many.
const KANA_SHARE: u32 = 10;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn languages_are_told_by_script_and_small_words() {
        for (text, expected) in [
            (
                "Wie kann ich die Zeile in einer Tabelle löschen, und was ist mit dem Rest?",
                Some("de"),
            ),
            ("How do I delete the row of a table?", Some("en")),
            ("¿Cómo puedo borrar una fila de la tabla? Es muy lento.", Some("es")),
            (
                "Comment est-ce que je peux supprimer une ligne dans le tableau ?",
                Some("fr"),
            ),
            (
                "Come posso cancellare una riga della tabella? Non è chiaro.",
                Some("it"),
            ),
            (
                "Hoe kan ik een rij uit het bestand verwijderen? Dat is niet duidelijk.",
                Some("nl"),
            ),
            ("Jak usunąć wiersz z tabeli? To nie jest jasne.", Some("pl")),
            ("Como eu apago uma linha? Não é muito claro para mim.", Some("pt")),
            ("Как удалить строку из таблицы и что это значит?", Some("ru")),
            ("Як видалити рядок з таблиці і що це означає?", Some("uk")),
            ("Hur tar jag bort en rad? Det är inte klart.", Some("sv")),
            ("Bu tablodan bir satırı nasıl silerim?", Some("tr")),
            ("如何删除表格中的一行?", Some("zh")),
            ("表から行を削除する方法を教えて", Some("ja")),
            ("표에서 행을 어떻게 삭제하나요?", Some("ko")),
            ("Πώς διαγράφω μια γραμμή;", Some("el")),
            ("איך מוחקים שורה?", Some("he")),
            ("كيف أحذف صفًا من الجدول؟", Some("ar")),
            ("पंक्ति कैसे हटाएँ?", Some("hi")),
            ("ลบแถวอย่างไร", Some("th")),
        ] {
            assert_eq!(written_in(text), expected, "{text}");
        }
    }

    #[test]
    fn what_says_too_little_is_not_guessed() {
        for text in [
            "",
            "12 + 34 = ?",
            "ok",
            "Berlin",
            "SELECT id FROM users",
            "qwerty asdf zxcv",
            "Ы",
            "word слово λέξη 字",
        ] {
            assert_eq!(written_in(text), None, "{text}");
        }
    }

    #[test]
    fn what_is_quoted_behind_the_beginning_is_not_read() {
        let text = format!(
            "{}{}",
            "How do I translate this, please? ".repeat(80),
            "и что это как ".repeat(900)
        );
        assert_eq!(written_in(&text), Some("en"));
    }

    proptest! {
        #[test]
        fn any_text_has_a_known_language_or_none(text in "\\PC{0,300}") {
            let known = SCRIPTS.iter().filter_map(|script| script.language);
            let mut known = known.chain(WORDS.iter().map(|(tag, _)| *tag));
            prop_assert!(written_in(&text).is_none_or(|language| known.any(|tag| tag == language)));
        }
    }
}
