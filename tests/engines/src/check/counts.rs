//! How many tokens a prompt is: what the gateway says before the engine sees it, beside what the engine reports.

use serde_json::json;

use super::conversations;
use super::setting::{CHAT, Setting};
use crate::cases::body as chat;
use crate::cases::with;

/// Counts that are told as exact are what the engine counts.
pub fn exactly(setting: &mut Setting) -> String {
    let all = conversations::all();
    let (mut exact, mut estimated, mut differing) = (0, 0, Vec::new());
    for (name, body) in &all {
        let response = setting.ask(CHAT, body);
        assert_eq!(response.status, 200, "{name}: {}", response.text());
        let counted = response.json()["usage"]["prompt_tokens"].as_u64();
        let told = response.header("x-tidegate-prompt-tokens").unwrap_or_default();
        match told.parse() {
            Ok(told) if Some(told) == counted => exact += 1,
            Ok(told) => differing.push(format!("{name}: {told} told, {counted:?} counted")),
            Err(_) => estimated += 1,
        }
    }
    assert!(
        differing.is_empty(),
        "{} of {}: {}",
        differing.len(),
        all.len(),
        differing.join("; ")
    );
    format!("{exact} of {} exact, {estimated} told as estimates", all.len())
}

/// Without a table a count is an estimate, and not far off once some have been seen.
pub fn estimates(setting: &mut Setting) -> String {
    let mut ratio = 0.0;
    for number in 0..12 {
        let text = format!("Tell me {number} things about the tides of the North Sea, and when they come in.");
        let more = json!({"model": "unknown", "messages": [{"role": "user", "content": text}]});
        let response = setting.ask(CHAT, &with(chat(json!({})), more));
        let told = response
            .header("x-tidegate-prompt-tokens")
            .unwrap_or_default()
            .to_owned();
        let counted = response.json()["usage"]["prompt_tokens"].as_f64().unwrap_or_default();
        let Some(told) = told
            .strip_suffix(";estimated")
            .and_then(|told| told.parse::<f64>().ok())
        else {
            panic!("not told as an estimate: {told:?}")
        };
        ratio = told / counted;
    }
    assert!(
        (0.7..1.4).contains(&ratio),
        "the last one is {ratio:.2} of what was counted"
    );
    format!("the last of twelve is {ratio:.2} of what was counted")
}
