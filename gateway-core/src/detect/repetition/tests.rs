use proptest::prelude::*;

use super::*;
use crate::detect::samples::{Dice, prose, read};

/// Where it is found to repeat itself.
fn found(text: &str) -> Option<u64> {
    let mut detector = Repetition::default();
    read(text, 20, |piece| detector.push(piece)).map(|finding| finding.at_bytes)
}

/// A unit without end, after a text that is fine. It has to be found within 400 tokens after four rounds.
#[track_caller]
fn assert_is_found(unit: &str) {
    for beginning in [String::new(), prose(&mut Dice::new(1), 3000)] {
        let text = beginning.clone() + &unit.repeat(20_000 / unit.len() + 8);
        let at = found(&text).unwrap_or_else(|| panic!("{unit:?} is not found"));
        let late = at as usize - beginning.len();
        let (least, most) = (4 * unit.len(), 4 * unit.len() + 1_600);
        assert!((least..=most).contains(&late), "{unit:?} is found after {late} bytes");
    }
}

#[test]
fn what_comes_around_is_found_within_400_tokens() {
    for unit in [
        "The the ",
        "ha",
        "!",
        "I am sorry, but I cannot help with that. ",
        "我认为我们应该先看一下数据，然后再做决定。",
        "أعتقد أنه يجب علينا أن ننظر إلى البيانات أولا. ",
        " \n",
        "fn add(left: u32, right: u32) -> u32 {\n    let sum = left + right;\n    println!(\"the sum is {sum}\");\n    sum\n}\n",
    ] {
        assert_is_found(unit);
    }
}

#[test]
fn tokens_that_texts_do_not_have_are_found_soon() {
    for token in [
        "<pad>",
        "</s>",
        "<unk>",
        "<|im_end|>",
        "<|endoftext|>",
        "<|eot_id|>\n",
        "<｜end▁of▁sentence｜>",
        "[PAD] ",
    ] {
        let at = found(&token.repeat(2_000)).unwrap_or_else(|| panic!("{token:?} is not found"));
        assert!(
            at as usize <= 4 * token.len() + 500,
            "{token:?} is found after {at} bytes"
        );
    }
    for tag in ["<br>", "<td></td>", "<li></li>\n", "[ ]"] {
        assert_eq!(found(&tag.repeat(2_000 / tag.len())), None, "{tag:?}");
    }
}

#[test]
fn a_label_for_each_row_is_what_somebody_asked_for() {
    let mut dice = Dice::new(7);
    for labels in [
        &["positive", "negative", "neutral"][..],
        &["word O", "town B", "river I", "a O"],
    ] {
        let rows: String = (0..1_200).map(|_| dice.one_of(labels).to_owned() + "\n").collect();
        assert_eq!(found(&rows), None, "{labels:?}");
        let sentence: String = (0..1_200).map(|_| dice.one_of(labels).to_owned() + " ").collect();
        assert!(found(&sentence).is_some(), "{labels:?}");
    }
}

#[test]
fn periods_up_to_four_kilobytes_are_found() {
    for length in [33, 256, 1000, 2000, 4000] {
        assert_is_found(&prose(&mut Dice::new(length as u64), length)[..length]);
    }
}

#[test]
fn four_rounds_are_not_enough_for_a_song() {
    let chorus = "Row, row, row your boat, gently down the stream, merrily, merrily, life is but a dream. ";
    assert_eq!(found(&chorus.repeat(12)), None);
    assert!(found(&chorus.repeat(30)).is_some());
}

#[test]
fn grids_rules_and_digests_are_fine() {
    let mut dice = Dice::new(2);
    let grid = format!("[{}]\n", ["0"; 100].join(", ")).repeat(100);
    let counting: String = (0..2000).map(|number| format!("{number}\n")).collect();
    let rows: String = (0..400)
        .map(|number| format!("{{\"id\": {number}, \"name\": \"user{number}\", \"is_active\": true}},\n"))
        .collect();
    let board = "<div class=\"cell\"></div>\n".repeat(200);
    let song: String = (1..=99)
        .rev()
        .map(|left| {
            format!(
                "{left} little ducks went over the hill and far away, mother duck called and {} came back.\n",
                left - 1
            )
        })
        .collect();
    let base64: String = (0..20_000)
        .map(|_| char::from(b"ABCDEFGHabcdefgh0123+/"[dice.below(22)]))
        .collect();
    let nulls = format!("[{}],\n", ["null"; 8].join(", ")).repeat(8);
    for text in [
        grid,
        counting,
        rows,
        board,
        song,
        base64,
        nulls,
        "-".repeat(3000),
        "0".repeat(50_000),
        "| | |\n".repeat(500),
    ] {
        assert_eq!(found(&text), None, "{:?}", &text[..60]);
    }
}

#[test]
fn a_row_of_zeros_without_end_is_found_all_the_same() {
    assert!(found(&"0, ".repeat(100_000)).is_some());
}

#[test]
fn phrases_in_turns_are_found_and_sentences_that_differ_are_not() {
    let phrases = [
        "I am sorry, I cannot do that. ",
        "Let me think about it again. ",
        "There is one more thing to say. ",
    ];
    let mut dice = Dice::new(3);
    let turns: String = (0..600).map(|_| dice.one_of(&phrases)).collect();
    assert!(found(&turns).is_some_and(|at| at < 8_000));
    assert_eq!(found(&prose(&mut dice, 200_000)), None);
}

#[test]
fn a_finding_is_given_once_and_says_nothing_of_the_text() {
    let mut detector = Repetition::default();
    let finding = detector
        .push(&"a secret word ".repeat(1000))
        .expect("it repeats itself");
    assert!(
        finding.score >= 1.0 && !finding.reason.contains("secret"),
        "{finding:?}"
    );
    assert_eq!(detector.push(&"a secret word ".repeat(1000)), None);
}

#[test]
fn it_takes_less_than_six_kilobytes_with_the_other_one() {
    assert!(size_of::<Repetition>() + size_of::<crate::detect::Gibberish>() <= 6 * 1024);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn how_a_text_is_cut_changes_nothing(unit in "[a-d0-9 é中]{1,40}", count in 1usize..400, size in 1usize..70) {
        let text = prose(&mut Dice::new(4), 300) + &unit.repeat(count);
        let [mut whole, mut cut] = [Repetition::default(), Repetition::default()];
        let expected = whole.push(&text);
        prop_assert_eq!(read(&text, size, |piece| cut.push(piece)), expected);
    }

    #[test]
    fn what_is_skipped_is_read_as_byte_by_byte(parts in proptest::collection::vec(("[a-c0-9 é\\x10]{1,30}", 1usize..120), 0..12)) {
        let text: String = parts.into_iter().map(|(part, count)| part.repeat(count) + &prose(&mut Dice::new(9), 100)).collect();
        let [mut skipping, mut slow] = [Repetition::default(), Repetition::default()];
        let mut expected = None;
        for byte in text.bytes() {
            let is_due = slow.take(byte);
            slow.bytes += 1;
            if is_due && expected.is_none() {
                expected = slow.look();
            }
        }
        prop_assert_eq!(skipping.push(&text), expected.clone());
        if expected.is_none() {
            prop_assert_eq!(format!("{:?}", skipping.end), format!("{:?}", slow.end));
            prop_assert_eq!(skipping.memory, slow.memory);
        }
    }

    #[test]
    fn nothing_makes_it_panic(parts in proptest::collection::vec((any::<String>(), 1usize..200), 0..20)) {
        let mut detector = Repetition::default();
        for (part, count) in parts {
            detector.push(&part.repeat(count));
        }
    }
}
