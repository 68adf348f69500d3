//! `tidegate detect`, on a file with an answer of each sort.

use std::io::Write as _;
use std::process::{Command, Output, Stdio};

const FINE: &str = r#"{"text": "The harbour was quiet, and nobody had seen the letter before noon."}"#;

fn detect(arguments: &[&str], lines: &[&str]) -> Output {
    detect_bytes(arguments, lines.join("\n").as_bytes())
}

fn detect_bytes(arguments: &[&str], bytes: &[u8]) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_tidegate"))
        .arg("detect")
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("tidegate can be run");
    let mut input = child.stdin.take().expect("it takes standard input");
    input.write_all(bytes).expect("it reads");
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
fn calls_are_held_against_the_tools_of_the_request() {
    let call = r#""choices": [{"index": 0, "finish_reason": "tool_calls", "message": {"content": null, "tool_calls": [{"id": "a",
        "type": "function", "function": {"name": "tide", "arguments": "{\"port\": 7}"}}]}}]"#;
    let call = call.replace('\n', " ");
    let tool = |name: &str| {
        format!(
            r#"{{"messages": [{{"role": "user", "content": "When is high water?"}}], "tools": [{{"type": "function", "function":
            {{"name": "{name}", "parameters": {{"type": "object", "properties": {{"port": {{"type": "string"}}}}}}}}}}], {call}}}"#
        )
        .replace('\n', " ")
    };
    let found = |line: &str| {
        let output = detect(&["-"], &[line]);
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    assert!(
        found(&tool("weather")).starts_with("line 1: tool_calls in arguments"),
        "undeclared"
    );
    assert!(
        found(&tool("tide")).starts_with("line 1: tool_calls in "),
        "a number is no port"
    );
    assert!(
        !found(&format!("{{{call}}}")).contains("line 1"),
        "nobody says which tools there were"
    );
    let nothing = r#"{"messages": [{"role": "user", "content": "When is high water?"}], "text": " "}"#;
    assert!(found(nothing).starts_with("line 1: empty in the whole"));
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
fn a_line_that_is_no_utf_8_is_named_and_a_mark_of_byte_order_is_passed_over() {
    let lines = [
        b"\xEF\xBB\xBF\"fine\"".as_slice(),
        b"\"caf\xE9\"",
        br#""\ud83d""#,
        looping().as_bytes(),
    ]
    .join(&b'\n');
    let output = detect_bytes(&["-"], &lines);
    let (out, err) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    assert_eq!(output.status.code(), Some(2), "{err}");
    assert!(
        err.starts_with("line 2: no UTF-8") && err.contains("line 3: no JSON"),
        "{err}"
    );
    assert!(
        out.starts_with("line 4: repetition") && out.contains("of 2 answers; 2 lines are none"),
        "{out}"
    );
}

#[test]
fn whoever_has_read_enough_ends_it_quietly() {
    let mut child = Command::new(env!("CARGO_BIN_EXE_tidegate"))
        .args(["detect", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("tidegate can be run");
    drop(child.stdout.take());
    let mut input = child.stdin.take().expect("it takes standard input");
    input.write_all(looping().as_bytes()).expect("it reads");
    drop(input);
    let output = child.wait_with_output().expect("it ends");
    let err = String::from_utf8_lossy(&output.stderr);
    assert_eq!((output.status.code(), &*err), (Some(0), ""));
}

#[test]
fn answers_that_are_fine_end_with_nothing_found() {
    assert_eq!(detect(&["-"], &[FINE, FINE]).status.code(), Some(0));
    assert_eq!(detect(&["no-such-file.jsonl"], &[]).status.code(), Some(2));
}
