use proptest::prelude::*;

use super::*;
use crate::detect::samples::{Dice, prose, read};

fn found(text: &str) -> Option<u64> {
    let mut detector = Gibberish::default();
    read(text, 20, |piece| detector.push(piece)).map(|finding| finding.at_bytes)
}

/// A failure after a text that is fine: it has to be found within 400 tokens.
#[track_caller]
fn assert_is_found(failure: &str) {
    let beginning = prose(&mut Dice::new(1), 3000);
    let at = found(&(beginning.clone() + failure)).unwrap_or_else(|| panic!("{:.60} is not found", failure));
    let late = at as usize - beginning.len();
    assert!(late <= 1_600, "{failure:.60} is found after {late} bytes");
}

/// Letters of any alphabet in words of a few.
fn words(dice: &mut Dice, letters: &str, bytes: usize) -> String {
    let letters: Vec<char> = letters.chars().collect();
    let mut text = String::new();
    while text.len() < bytes {
        for _ in 0..3 + dice.below(7) {
            text.push(letters[dice.below(letters.len())]);
        }
        text.push(' ');
    }
    text
}

/// UTF-8 read as Latin-1.
fn misread(text: &str) -> String {
    text.bytes().map(char::from).collect()
}

#[test]
fn failures_of_every_kind_are_found() {
    let mut dice = Dice::new(2);
    let tokens = [
        "ность",
        "的时候",
        "العر",
        "ing",
        "थेटर",
        "λογ",
        "조건",
        "ation",
        "ხელ",
        "ство",
        "を使",
        "ון",
        "er",
        "ción",
    ];
    let salad: String = (0..800).map(|_| dice.one_of(&tokens)).collect();
    let noise: String = (0..4000).map(|_| char::from(dice.below(256) as u8)).collect();
    let cut: String = (0..3000)
        .map(|place| if place % 4 == 0 { '\u{FFFD}' } else { 'e' })
        .collect();
    for failure in [
        salad,
        noise,
        cut,
        words(&mut dice, "abcdefghijklmnopqrstuvwxyz", 4000),
        misread(&"Déjà vu à l'été, où ça gêne où naître. ".repeat(60)),
        misread(&"我认为我们应该先看一下数据。".repeat(60)),
        words(&mut dice, "锟鍚庡彴绋嬪簭鐨勪竴鏄閫氳繃缁忛獙", 4000),
        words(&mut dice, "РрСџРЃСѓРЎСЊ", 4000),
        words(&mut dice, "é╨ü¥ñ┤ú", 4000),
    ] {
        assert_is_found(&failure);
    }
}

#[test]
fn texts_in_many_languages_and_no_language_are_fine() {
    let mut dice = Dice::new(3);
    let languages =
        "English Русский 中文 العربية हिन्दी Ελληνικά 한국어 עברית ไทย 日本語 Español ქართული Türkçe\n".repeat(40);
    let digests = (0..200).map(|_| format!("{:032x}\n", dice.below(usize::MAX))).collect();
    let base64 = (0..20_000)
        .map(|_| char::from(b"ABCDEFGHIJKLMNOPabcdefghijklmnop0123456789+/"[dice.below(44)]))
        .collect();
    let program = (0..400)
        .map(|number| format!("let idx{number} = ptr.wrapping_add(xs[{number}] << 3); // TODO\n"))
        .collect();
    let knitting = "Row 3: k2, p2, yo, ssk, k2tog, p1, psso, kfb, skp, m1l\n".repeat(60);
    let french = "Le garçon a été très étonné : où est passée la fenêtre ? « À côté », répondit-elle. ".repeat(40);
    for text in [
        languages,
        digests,
        base64,
        program,
        knitting,
        french,
        prose(&mut dice, 100_000),
    ] {
        assert_eq!(found(&text), None, "{text:.60}");
    }
}

#[test]
fn scripts_of_the_prompt_may_be_mixed() {
    let mut dice = Dice::new(4);
    let tokens = ["ность", "العر", "थेटर", "ხელ", "ing", "ון"];
    let answer: String = (0..800).map(|_| dice.one_of(&tokens)).collect();
    assert!(found(&answer).is_some());
    let mut expecting = Gibberish::new(Scripts::of(&answer));
    assert_eq!(read(&answer, 20, |piece| expecting.push(piece)), None);
}

#[test]
fn a_finding_is_given_once() {
    let noise = "\u{FFFD}".repeat(4000);
    let mut detector = Gibberish::default();
    assert!(detector.push(&noise).is_some_and(|finding| finding.score >= 1.0));
    assert_eq!(detector.push(&noise), None);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn how_a_text_is_cut_changes_nothing(parts in proptest::collection::vec("[a-zA-Z é中ностьξ\u{FFFD}€]{1,40}", 1..200), size in 1usize..70) {
        let text = parts.concat();
        let [mut whole, mut cut] = [Gibberish::default(), Gibberish::default()];
        let expected = whole.push(&text);
        prop_assert_eq!(read(&text, size, |piece| cut.push(piece)), expected);
    }

    #[test]
    fn nothing_makes_it_panic(text in any::<String>(), count in 1usize..500) {
        Gibberish::default().push(&text.repeat(count));
    }
}
