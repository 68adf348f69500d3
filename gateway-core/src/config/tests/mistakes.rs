//! What each mistake is called, and that all of them are told at once.

use super::super::MAX_BYTES;
use super::{SOUND, errors, json_of, validator};

#[test]
fn each_mistake_has_its_message() {
    let schema = validator();
    let mistakes: Vec<Mistake> = MISTAKES.split("\n\n").skip(1).map(Mistake::read).collect();
    assert!(mistakes.len() > 50, "{} mistakes", mistakes.len());
    for mistake in mistakes {
        let occurrences = SOUND.matches(&mistake.right).count();
        assert_eq!(occurrences, 1, "{}: stands once in the sound text", mistake.title);
        let text = SOUND.replace(&mistake.right, &mistake.wrong);
        assert_eq!(errors(&text), mistake.errors, "{}", mistake.title);
        assert_eq!(
            !schema.is_valid(&json_of(&text)),
            mistake.is_marked_in_editor,
            "{}",
            mistake.title
        );
    }
}

const MISTAKES: &str = include_str!("mistakes.txt");

/// A paragraph of `mistakes.txt`.
#[derive(Default)]
struct Mistake {
    title: String,
    is_marked_in_editor: bool,
    right: String,
    wrong: String,
    errors: Vec<String>,
}

impl Mistake {
    fn read(paragraph: &str) -> Self {
        let mut mistake = Self::default();
        for line in paragraph.lines() {
            let (sign, rest) = line.split_once(' ').unwrap_or((line, ""));
            match sign {
                "-" => mistake.right += &format!("\n{rest}"),
                "+" => mistake.wrong += &format!("\n{rest}"),
                "!" => mistake.errors.push(format!("gateway.toml:{rest}")),
                _ => {
                    mistake.is_marked_in_editor = sign == "editor:";
                    mistake.title = rest.to_owned();
                }
            }
        }
        mistake.right.push('\n');
        mistake.wrong.push('\n');
        mistake
    }
}

#[test]
fn all_mistakes_are_told_at_once_in_the_order_of_lines() {
    let text = SOUND
        .replace("heartbeat_ms = 1_000", "heartbeat = 1")
        .replace("latitude = 50", "latitude = 500")
        .replace("region = \"fra\"", "region = \"far\"")
        .replace("secret = \"ENGINE_TOKEN\"", "secret = \"hunter2\"")
        .replace("context_length = 4096\nserving = [{ cluster = \"big-gpus\" }]", "")
        .replace("tiers = [\"small\"", "tiers = [7, \"large\"")
        .replace("models = [\"gpt\"]", "models = [\"gtp\"]");
    let errors: Vec<String> = errors(&text)
        .iter()
        .map(|error| before_third_colon(error).to_owned())
        .collect();
    let expected = [
        "gateway.toml:3: regions[0].latitude",
        "gateway.toml:9: clusters[0].region",
        "gateway.toml:15: clusters[0].secret",
        "gateway.toml:26: models[1].context_length",
        "gateway.toml:26: models[1].serving",
        "gateway.toml:32: ladders[0].tiers[0]",
        "gateway.toml:32: ladders[0].tiers[1]",
        "gateway.toml:37: tenants[0].models[0]",
        "gateway.toml:44: streams.heartbeat",
    ];
    assert_eq!(errors, expected);
}

fn before_third_colon(error: &str) -> &str {
    error.match_indices(": ").nth(1).map_or(error, |(end, _)| &error[..end])
}

#[test]
fn what_is_no_toml_is_told_by_line() {
    let cases: [(&str, &[&str]); 5] = [
        ("keys = [[[[", &["1: (syntax): not TOML: unclosed array; expected `]`"]),
        (
            "[[regions]]\nname = \"fra",
            &["2: (syntax): not TOML: invalid basic string; expected `\"`"],
        ),
        (
            "\n= 1\n[admin\n",
            &[
                "2: (syntax): not TOML: unquoted keys cannot be empty; expected letters, numbers, `-`, `_`",
                "3: (syntax): not TOML: unclosed table; expected `]`",
            ],
        ),
        (
            "[admin]\nkeys = []\nkeys = []\n",
            &["3: (syntax): not TOML: duplicate key; expected valid TOML"],
        ),
        (
            "a = 1\u{0}",
            &["1: (syntax): not TOML: string values must be quoted; expected literal string"],
        ),
    ];
    for (text, expected) in cases {
        let expected: Vec<String> = expected.iter().map(|error| format!("gateway.toml:{error}")).collect();
        assert_eq!(errors(text), expected, "{text}");
    }
}

#[test]
fn an_empty_text_misses_its_four_lists() {
    let errors = errors("");
    let keys = ["regions", "clusters", "models", "tenants"];
    assert_eq!(errors.len(), keys.len(), "{errors:?}");
    for (error, key) in errors.iter().zip(keys) {
        assert!(
            error.starts_with(&format!("gateway.toml:1: {key}: missing; expected a list")),
            "{error}"
        );
    }
}

#[test]
fn what_is_too_much_is_cut_short() {
    let long = " ".repeat(MAX_BYTES + 1);
    assert_eq!(
        errors(&long),
        ["gateway.toml:1: (text): 1048577 bytes are too much; expected at most 1048576"]
    );
    let unknown: String = (0..2_000).map(|index| format!("key-{index} = 1\n")).collect();
    let errors = errors(&unknown);
    assert_eq!(
        (errors.len(), errors.last().map(String::as_str)),
        (1_001, Some("and 1004 more"))
    );
}

#[test]
fn nesting_bombs_are_refused() {
    let dotted = format!("a{} = 1", ".a".repeat(100_000));
    let lists = format!("a = {}", "[".repeat(100_000));
    let tables = format!("a = {}", "{ a = ".repeat(100_000));
    for bomb in [dotted, lists, tables] {
        assert!(
            errors(&bomb).iter().any(|error| error.contains("recurs")),
            "{}",
            &bomb[..20]
        );
    }
}
