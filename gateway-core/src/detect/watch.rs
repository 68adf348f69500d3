//! All that is looked for in one answer, over all its channels: which detectors run, and what each has found. It keeps no more
//! than [`Watch::MOST_BYTES`], however long the answer is.
//!
//! An answer of several choices is watched at its first one: what fails semantically fails at each, and what is kept has a
//! bound.

use bytes::Bytes;

use super::echo::Echo;
use super::empty::Empty;
use super::reasoning::Reasoning;
use super::tool_calls::{ToolCalls, ToolContext};
use super::{DetectionPolicy, Detector, Finding, Gibberish, Repetition, Scripts};

/// What an answer is an answer to, as far as detectors want to know.
#[derive(Clone, Debug, Default)]
pub struct Subject {
    /// What the request says of tools.
    pub tools: ToolContext,
    /// The text that has the instructions, as it stands in the request, a JSON string; `None` where none is known to have them.
    pub instructions: Option<Bytes>,
    /// The end of the prompt, as JSON: scripts that it has, the answer may have as well.
    pub prompt: Bytes,
    /// Whether saying nothing may be an answer.
    pub may_be_empty: bool,
    /// The most tokens that the answer may take.
    pub room_tokens: u64,
}

/// A part of an answer that is a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TextPart {
    /// What it says.
    Content,
    /// What the model thinks before.
    Reasoning,
    /// Arguments of a call.
    Arguments,
}

/// Why an answer has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Finish {
    /// The model has ended it.
    Stop,
    /// The model has called tools.
    ToolCalls,
    /// It is as long as it may be.
    Length,
    /// Something else has ended it.
    Filtered,
}

/// The detectors of one answer.
#[derive(Debug)]
pub struct Watch {
    texts: Option<Texts>,
    tool_calls: Option<ToolCalls>,
    empty: Option<Empty>,
    echo: Option<Echo>,
    reasoning: Option<Reasoning>,
    found: Vec<Finding>,
}

/// What reads texts for what they are, whichever part they belong to. There is one for all parts of an answer, which come one
/// after another: with another part it begins anew.
#[derive(Debug)]
struct Texts {
    part: TextPart,
    /// Those of the prompt.
    scripts: Scripts,
    /// `None` where that is not looked for, or was found.
    repetition: Option<Repetition>,
    /// The same.
    gibberish: Option<Gibberish>,
}

impl Watch {
    /// Of an answer of which nothing has come yet; `None` where nothing is looked for.
    pub fn new(policy: &DetectionPolicy, subject: Subject) -> Option<Self> {
        if !policy.looks_for_any() {
            return None;
        }
        let looks_for = |detector| policy.looks_for(detector);
        let looks_at_empty = looks_for(Detector::Empty) && !subject.may_be_empty;
        Some(Self {
            texts: Texts::new(policy, &subject.prompt),
            tool_calls: looks_for(Detector::ToolCalls).then(|| ToolCalls::new(subject.tools)),
            empty: looks_at_empty.then(Empty::default),
            echo: looks_for(Detector::Echo).then(|| Echo::new(subject.instructions)),
            reasoning: looks_for(Detector::Reasoning).then(|| Reasoning::new(policy, subject.room_tokens)),
            found: Vec::new(),
        })
    }

    /// The answer goes on with that text of that part, which is no argument of a call.
    pub fn on_text(&mut self, part: TextPart, text: &str) {
        if text.is_empty() {
            return;
        }
        if let Some(empty) = &mut self.empty {
            empty.on_text(text);
        }
        let found = match part {
            TextPart::Reasoning => self.reasoning.as_mut().and_then(|reasoning| reasoning.push(text)),
            TextPart::Content => {
                self.on_said(text);
                self.echo.as_mut().and_then(|echo| echo.push(text))
            }
            TextPart::Arguments => None,
        };
        self.found.extend(found);
        self.on_any_text(part, text);
    }

    /// The call of that index goes on with that of its name.
    pub fn on_call_name(&mut self, index: u64, text: &str) {
        self.on_other();
        let found = self.tool_calls.as_mut().and_then(|calls| calls.on_name(index, text));
        self.found.extend(found);
    }

    /// The call of that index goes on with that of its arguments.
    pub fn on_call_arguments(&mut self, index: u64, text: &str) {
        self.on_other();
        let found = self
            .tool_calls
            .as_mut()
            .and_then(|calls| calls.on_arguments(index, text));
        self.found.extend(found);
        self.on_any_text(TextPart::Arguments, text);
    }

    /// The answer has something in it that is neither text nor a call: a refusal, or what is to be heard.
    pub fn on_other(&mut self) {
        if let Some(empty) = &mut self.empty {
            empty.on_other();
        }
        if let Some(reasoning) = &mut self.reasoning {
            reasoning.on_other();
        }
    }

    /// The answer has ended.
    pub fn on_finish(&mut self, finish: Finish) {
        let of_calls = self.tool_calls.as_mut().and_then(|calls| calls.on_finish(finish));
        let of_nothing = self.empty.take().and_then(|empty| empty.on_finish(finish));
        self.found.extend(of_calls.into_iter().chain(of_nothing));
    }

    /// What has been found since this was last asked. Each detector finds something once.
    pub fn take_found(&mut self) -> Vec<Finding> {
        std::mem::take(&mut self.found)
    }

    /// The model speaks: white space is no end of thinking.
    fn on_said(&mut self, text: &str) {
        if let Some(reasoning) = &mut self.reasoning
            && !text.trim_start().is_empty()
        {
            reasoning.on_other();
        }
    }

    fn on_any_text(&mut self, part: TextPart, text: &str) {
        if let Some(texts) = &mut self.texts {
            texts.push(part, text, &mut self.found);
        }
    }

    /// The most that one takes, findings aside, in bytes.
    pub const MOST_BYTES: usize = 8 << 10;
}

impl Texts {
    fn new(policy: &DetectionPolicy, prompt: &[u8]) -> Option<Self> {
        let looks_for = |detector| policy.looks_for(detector);
        let is_any = looks_for(Detector::Repetition) || looks_for(Detector::Gibberish);
        is_any.then(|| {
            let scripts = Scripts::of_json(&String::from_utf8_lossy(prompt));
            Self {
                part: TextPart::Content,
                scripts,
                repetition: looks_for(Detector::Repetition).then(Repetition::default),
                gibberish: looks_for(Detector::Gibberish).then(|| Gibberish::new(scripts)),
            }
        })
    }

    /// Another piece of text; what is found in it is put to the rest.
    fn push(&mut self, part: TextPart, text: &str, found: &mut Vec<Finding>) {
        if self.part != part {
            self.part = part;
            self.repetition = self.repetition.take().map(|_| Repetition::default());
            self.gibberish = self.gibberish.take().map(|_| Gibberish::new(self.scripts));
        }
        if let Some(repeats) = self.repetition.as_mut().and_then(|repetition| repetition.push(text)) {
            self.repetition = None;
            found.push(repeats);
        }
        if let Some(is_none) = self.gibberish.as_mut().and_then(|gibberish| gibberish.push(text)) {
            self.gibberish = None;
            found.push(is_none);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::detect::Action;

    fn watch(subject: Subject) -> Watch {
        Watch::new(&DetectionPolicy::default(), subject).expect("something is looked for")
    }

    fn detectors(watch: &mut Watch) -> Vec<Detector> {
        watch.take_found().into_iter().map(|found| found.detector).collect()
    }

    #[test]
    fn one_takes_no_more_than_it_says() {
        let most = size_of::<Watch>() + ToolCalls::MOST_HEAP;
        assert!(most <= Watch::MOST_BYTES, "{most}");
    }

    #[test]
    fn nothing_is_kept_where_nothing_is_looked_for() {
        assert!(Watch::new(&DetectionPolicy::NOTHING, Subject::default()).is_none());
        let mut policy = DetectionPolicy::NOTHING;
        policy.actions[Detector::Empty as usize] = Action::Flag;
        let mut watch = Watch::new(&policy, Subject::default()).expect("one is looked for");
        watch.on_call_name(0, "undeclared");
        watch.on_call_arguments(0, "x");
        watch.on_finish(Finish::ToolCalls);
        assert_eq!(detectors(&mut watch), []);
    }

    #[test]
    fn each_detector_hears_what_is_for_it() {
        let mut nothing = watch(Subject::default());
        nothing.on_text(TextPart::Content, " \n");
        nothing.on_finish(Finish::Stop);
        assert_eq!(detectors(&mut nothing), [Detector::Empty]);
        let instructions = "Answer as a tide gauge would. ".repeat(20);
        let json = serde_json::to_vec(&instructions).expect("JSON");
        let mut parrot = watch(Subject {
            instructions: Some(json.into()),
            ..Subject::default()
        });
        parrot.on_text(TextPart::Reasoning, &instructions);
        assert_eq!(detectors(&mut parrot), [], "it may think of them");
        parrot.on_text(TextPart::Content, &instructions);
        assert_eq!(detectors(&mut parrot), [Detector::Echo]);
        let mut thinker = watch(Subject::default());
        thinker.on_text(TextPart::Content, "\n");
        thinker.on_text(TextPart::Reasoning, &"hmm ".repeat(10_000));
        assert_eq!(detectors(&mut thinker), [Detector::Reasoning, Detector::Repetition]);
        let mut caller = watch(Subject::default());
        caller.on_call_name(0, "weather");
        caller.on_finish(Finish::ToolCalls);
        assert_eq!(detectors(&mut caller), [Detector::ToolCalls]);
    }

    proptest! {
        #[test]
        fn an_answer_of_any_pieces_is_read_to_its_end(
            pieces in prop::collection::vec((0..6_u8, 0..3_u64, "(?s).{0,8}"), 0..40),
        ) {
            let mut watch = watch(Subject {
                instructions: Some(Bytes::from_static(b"\"a\\u00e9\"")),
                ..Subject::default()
            });
            for (kind, index, text) in &pieces {
                match kind {
                    0 => watch.on_text(TextPart::Content, text),
                    1 => watch.on_text(TextPart::Reasoning, text),
                    2 => watch.on_call_name(*index, text),
                    3 => watch.on_call_arguments(*index, text),
                    4 => watch.on_other(),
                    _ => watch.on_finish(Finish::Stop),
                }
            }
            let mut found = detectors(&mut watch);
            found.sort_unstable();
            let count = found.len();
            found.dedup();
            prop_assert_eq!(found.len(), count, "each is found once");
        }
    }
}
