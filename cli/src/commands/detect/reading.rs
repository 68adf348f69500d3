//! All detectors over a saved answer, as the gateway has them hear one that comes whole.

use tidegate_core::api::{Dialect, NoAnswer, OutputDelta, Part};
use tidegate_core::detect::{Action, DetectionPolicy, Detector, Finding, Watch};

use super::answer::Answer;

/// What was found, and where.
#[derive(Debug)]
pub struct Found {
    /// The part of the answer.
    pub channel: String,
    /// What it is.
    pub finding: Finding,
}

/// Reads each choice of an answer. Where the line does not say which tools there were, its calls are not judged.
///
/// # Errors
/// When it is none: what engines send in its place is told.
pub fn read(answer: &Answer) -> Result<Vec<Found>, String> {
    let rewriter = Dialect::OpenAi.rewriter("saved", true);
    let whole = rewriter.rewrite_whole(&answer.body).map_err(|error| match error {
        NoAnswer::Error(error) => format!("no answer but an error: {error}"),
        NoAnswer::NotJson | NoAnswer::NotUtf8 => "no answer of OpenAI's API".to_owned(),
    })?;
    let mut policy = DetectionPolicy::default();
    if !answer.knows_tools {
        policy.actions[Detector::ToolCalls as usize] = Action::Off;
    }
    let choices = whole.deltas.iter().map(|delta| delta.channel.choice);
    let mut choices: Vec<u64> = choices.chain(whole.ended.iter().map(|ended| ended.choice)).collect();
    choices.sort_unstable();
    choices.dedup();
    let mut found = Vec::new();
    for choice in choices {
        let Some(mut watch) = Watch::new(&policy, answer.subject.clone()) else {
            continue;
        };
        let mut note = |watch: &mut Watch, channel: &str| {
            let channel = if choice == 0 {
                channel.to_owned()
            } else {
                format!("{channel} of choice {choice}")
            };
            let findings = watch.take_found().into_iter();
            found.extend(findings.map(|finding| Found {
                channel: channel.clone(),
                finding,
            }));
        };
        for delta in whole.deltas.iter().filter(|delta| delta.channel.choice == choice) {
            delta.tell(&mut watch);
            note(&mut watch, channel(delta));
        }
        for ended in whole.ended.iter().filter(|ended| ended.choice == choice) {
            watch.on_finish(ended.finish);
            note(&mut watch, "the whole");
        }
    }
    Ok(found)
}

fn channel(delta: &OutputDelta<'_>) -> &'static str {
    match delta.channel.part {
        Part::Content => "content",
        Part::Reasoning => "reasoning",
        Part::Refusal => "refusal",
        Part::ToolCall => "arguments",
        Part::Other => "what is not read",
    }
}
