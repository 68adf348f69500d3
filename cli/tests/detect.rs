//! `tidegate detect`, on a file with an answer of each sort.

use std::io::Write as _;
use std::process::{Command, Output, Stdio};

const FINE: &str = r#"{"text": "The harbour was quiet, and nobody had seen the letter before noon."}"#;

fn detect(arguments: &[&str], lines: &[&str]) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_tidegate"))
        .arg("detect")
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("tidegate can be run");
    let mut input = child.stdin.take().expect("it takes standard input");
    input.write_all(lines.join("\n").as_bytes()).expect("it reads");
    drop(input);
    child.wait_with_output().expect("it ends")
}

fn looping() -> String {
    let looping = "I am sorry, I cannot do that. ".repeat(100);
    format!(r#"{{"choices": [{{"message": {{"content": "Well.", "reasoning_content": "{looping}"}}}}]}}"#)
}

#[test]
fn what_is_found_is_told_by_line_and_part() {
    let output = detect(&["-"], &[FINE, "", &looping()]);
    let text = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.starts_with("line 3: repetition in reasoning at byte "), "{text}");
    assert!(text.contains("of 2 answers; 0 lines are none"), "{text}");
    assert!(!text.contains("sorry"), "a finding has nothing of the answer: {text}");
}

#[test]
fn findings_are_objects_where_json_is_asked_for() {
    let noise = format!("\"{}\"", "\u{FFFD}".repeat(2000));
    let output = detect(&["-", "--json"], &[&looping(), &noise]);
    let lines: Vec<serde_json::Value> = String::from_utf8_lossy(&output.stdout)
        .lines()
        .map(|line| serde_json::from_str(line).expect("each line is JSON"))
        .collect();
    let found: Vec<_> = lines.iter().map(|line| (&line["line"], &line["detector"])).collect();
    assert_eq!(found[0], (&1.into(), &"repetition".into()));
    assert!(found.contains(&(&2.into(), &"gibberish".into())), "{lines:?}");
    assert_eq!(lines.last().expect("there are counts")["failed"], 2);
}

#[test]
fn only_what_is_asked_for_is_told() {
    let output = detect(&["-", "--only", "gibberish"], &[&looping()]);
    assert_eq!(
        output.status.code(),
        Some(0),
        "{}",
        String::from_utf8_lossy(&output.stdout)
    );
}

#[test]
fn a_line_that_is_no_answer_is_named_and_the_others_are_read() {
    let output = detect(&["-"], &["{}", &looping(), FINE]);
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("line 1: no answer"));
    assert!(String::from_utf8_lossy(&output.stdout).contains("line 2: repetition"));
}

#[test]
fn answers_that_are_fine_end_with_nothing_found() {
    assert_eq!(detect(&["-"], &[FINE, FINE]).status.code(), Some(0));
    assert_eq!(detect(&["no-such-file.jsonl"], &[]).status.code(), Some(2));
}
