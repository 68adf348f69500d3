//! Chats have as many tokens as transformers finds in them: their prompts are compared by gateway-core/tests/templates,
//! with the same conversations; here they are counted.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader};

use serde_json::Value;
use tidegate_tokens_tests::tokenizers;

#[test]
fn a_chat_is_as_many_tokens_as_transformers_says() {
    let path = std::env::var_os("TIDEGATE_TEMPLATE_CASES").expect("TIDEGATE_TEMPLATE_CASES names the conversations");
    let tokenizers: BTreeMap<String, _> = tokenizers().into_iter().map(|it| (it.name.clone(), it)).collect();
    let mut counted: BTreeMap<String, usize> = BTreeMap::new();
    let mut name = String::new();
    for line in BufReader::new(std::fs::File::open(path).expect("the file can be opened")).lines() {
        let case: Value = serde_json::from_str(&line.expect("it can be read")).expect("each line is JSON");
        if let Some(next) = case["name"].as_str() {
            name = next.to_owned();
        }
        let (Some(prompt), Some(count)) = (case["rendered"].as_str(), case["count"].as_u64()) else {
            continue;
        };
        let tokenizer = tokenizers
            .get(&name)
            .unwrap_or_else(|| panic!("there is no table for {name}"));
        assert_eq!(tokenizer.table.count(prompt).0, count, "{name}: {prompt}");
        *counted.entry(name.clone()).or_default() += 1;
    }
    println!("counted: {counted:?}");
    assert!(counted.len() >= 2, "chats of two models at least");
    assert!(
        counted.values().all(|chats| *chats >= LEAST_CHATS),
        "only {counted:?} were counted"
    );
}

/// Of the 500 conversations for each template; the others are refused by it, or make Python fail.
const LEAST_CHATS: usize = 100;
