//! Chat templates of real models against Python: the prompts of thousands of conversations, byte for byte as
//! transformers renders them. tests/templates/oracle.py writes the file that the variable names; `cargo xtask test`
//! runs it before.
#![cfg(feature = "compile")]

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead as _, BufReader};

use serde::Deserialize;
use serde_json::value::RawValue;
use tidegate_core::time::Timestamp;
use tidegate_core::tokens::template::{
    Chat, ChatTemplate, ContentFormat, Ending, Reader, Rendered, TemplateError, content_format,
};

/// The first line of a template's cases.
#[derive(Deserialize)]
struct Header {
    name: String,
    template: String,
    special_tokens: BTreeMap<String, String>,
    parts: bool,
    now_micros: u64,
}

/// A request, and what Python makes of it.
#[derive(Deserialize)]
struct Case<'a> {
    reader: String,
    #[serde(borrow)]
    request: Request<'a>,
    #[serde(flatten)]
    outcome: Outcome,
}

#[derive(Deserialize)]
struct Request<'a> {
    #[serde(borrow)]
    messages: &'a RawValue,
    #[serde(borrow, default)]
    tools: Option<&'a RawValue>,
    #[serde(borrow, default)]
    documents: Option<&'a RawValue>,
    #[serde(borrow, default)]
    chat_template_kwargs: Option<&'a RawValue>,
    #[serde(borrow, default)]
    reasoning_effort: Option<&'a RawValue>,
    add_generation_prompt: bool,
    continue_final_message: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Outcome {
    Rendered(String),
    Refused(String),
    Failed(String),
}

/// What came of the cases of one template.
#[derive(Default)]
struct Tally {
    rendered: usize,
    refused: usize,
    failed: usize,
}

#[test]
#[ignore = "needs the cases that `cargo xtask test` lets Python make"]
fn prompts_are_what_transformers_makes_of_the_same_conversations() {
    let path = std::env::var_os(CASES).unwrap_or_else(|| panic!("{CASES} names no file: see `cargo xtask test`"));
    let mut template: Option<(Header, ChatTemplate)> = None;
    let mut tallies: BTreeMap<String, Tally> = BTreeMap::new();
    let mut mismatches = Vec::new();
    for line in BufReader::new(File::open(path).unwrap()).lines() {
        let line = line.unwrap();
        if line.starts_with("{\"template\"") {
            let header: Header = serde_json::from_str(&line).unwrap();
            let compiled = compile(&header);
            template = Some((header, compiled));
            continue;
        }
        let (header, compiled) = template.as_ref().expect("cases without a template");
        let case: Case<'_> = serde_json::from_str(&line).unwrap();
        let tally = tallies.entry(header.name.clone()).or_default();
        if let Err(mismatch) = compare(&case, compiled, header.now_micros, tally) {
            mismatches.push(format!(
                "{} for {}: {mismatch}\n{}",
                header.name, case.reader, case.request.messages
            ));
        }
    }
    for (name, tally) in &tallies {
        let Tally {
            rendered,
            refused,
            failed,
        } = tally;
        println!("{name:>40}: {rendered} rendered, {refused} refused, {failed} failed in Python");
    }
    assert!(!tallies.is_empty(), "there are no cases");
    let first: Vec<&str> = mismatches.iter().take(5).map(String::as_str).collect();
    assert!(
        mismatches.is_empty(),
        "{} prompts differ:\n{}",
        mismatches.len(),
        first.join("\n\n")
    );
    for (name, tally) in &tallies {
        let compared = tally.rendered;
        assert!(
            compared >= LEAST_RENDERED,
            "{name}: only {compared} prompts were compared"
        );
    }
}

fn compile(header: &Header) -> ChatTemplate {
    let format = content_format(&header.template);
    assert_eq!(
        format == ContentFormat::Parts,
        header.parts,
        "what {} wants",
        header.name
    );
    let special_tokens = header
        .special_tokens
        .iter()
        .map(|(name, text)| (name.as_str(), text.as_str()));
    ChatTemplate::compile(&header.template, special_tokens, format)
        .unwrap_or_else(|error| panic!("{}: {error}", header.name))
}

fn compare(case: &Case<'_>, template: &ChatTemplate, now_micros: u64, tally: &mut Tally) -> Result<(), String> {
    let request = &case.request;
    let chat = Chat {
        messages: request.messages.get(),
        tools: request.tools.map(RawValue::get),
        documents: request.documents.map(RawValue::get),
        chat_template_kwargs: request.chat_template_kwargs.map(RawValue::get),
        reasoning_effort: request.reasoning_effort.map(RawValue::get),
        ending: match (request.add_generation_prompt, request.continue_final_message) {
            (_, true) => Ending::Continuation,
            (true, false) => Ending::Answer,
            (false, false) => Ending::Message,
        },
        reader: match case.reader.as_str() {
            "vllm" => Reader::Vllm,
            _ => Reader::Transformers,
        },
    };
    let ours = template.render(&chat, Timestamp::from_micros(now_micros));
    match (&case.outcome, ours) {
        (Outcome::Rendered(theirs), Ok(Rendered { text, .. })) if *theirs == text => tally.rendered += 1,
        (Outcome::Rendered(theirs), Ok(Rendered { text, .. })) => return Err(difference(theirs, &text)),
        // transformers appends the whole conversation to some of its messages.
        (Outcome::Refused(theirs), Err(TemplateError::Refused { message })) if theirs.starts_with(&message) => {
            tally.refused += 1;
        }
        (Outcome::Failed(_), Err(_)) => tally.failed += 1,
        (Outcome::Rendered(_), Err(error)) => return Err(format!("{error}, where Python renders")),
        (Outcome::Refused(theirs), ours) => return Err(format!("{ours:?}, where Python refuses: {theirs}")),
        (Outcome::Failed(theirs), Ok(_)) => return Err(format!("rendered, where Python fails: {theirs}")),
    }
    Ok(())
}

/// Where two prompts part.
fn difference(theirs: &str, ours: &str) -> String {
    let same = theirs
        .chars()
        .zip(ours.chars())
        .take_while(|(theirs, ours)| theirs == ours)
        .count();
    let from = |text: &str| text.chars().skip(same.saturating_sub(30)).take(90).collect::<String>();
    format!(
        "at character {same}\nPython: {:?}\nhere:   {:?}",
        from(theirs),
        from(ours)
    )
}

const CASES: &str = "TIDEGATE_TEMPLATE_CASES";
/// Of each template; the rest of its cases are refused, or make Python fail.
const LEAST_RENDERED: usize = 100;
