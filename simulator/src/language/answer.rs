//! One answer, token by token, as far as the limits of its request let it go.
//!
//! An answer is made whole before its first token is due: it depends on nothing that happens later. When each token is
//! due is the engine's decision.

use std::ops::Range;

use super::prose::{Prose, Sentence};
use super::random::{Random, hash_bytes};
use super::tokens::{END_OF_TEXT, TOOL_CALL, TokenId, pieces};

/// What the answer consists of.
#[derive(Debug, Clone)]
pub enum Content<'a> {
    /// Prose behind a text: the answer so far, or the prompt of a completion.
    Prose { after: &'a str },
    /// This text, less what is there of it already.
    Fixed { text: String, after: &'a str },
    /// Calls of tools.
    Tools(Vec<ToolCall>),
    /// Prose for so many tokens, then the same words until the limit.
    Repetition { after_tokens: u32 },
    /// Prose for so many tokens, then noise.
    Gibberish { after_tokens: u32 },
    /// Nothing.
    Empty,
}

/// A call of a tool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ToolCall {
    /// Its id.
    pub id: String,
    /// The function's name.
    pub name: String,
    /// JSON, as text.
    pub arguments: String,
}

/// Where an answer ends at the latest.
#[derive(Debug, Clone, Copy)]
pub struct Limits<'a> {
    /// Most tokens, at least one.
    pub max_tokens: u32,
    /// No end and no stop string before so many tokens.
    pub min_tokens: u32,
    /// Only `max_tokens` and stop strings end it.
    pub ignore_eos: bool,
    /// Strings that end it.
    pub stop: &'a [String],
    /// Whether the stop string stays in the text.
    pub include_stop: bool,
}

/// Why an answer ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Finish {
    /// By itself or at a stop string.
    Stop,
    /// At the limit.
    Length,
    /// It called tools.
    ToolCalls,
}

/// A whole answer.
#[derive(Debug, Clone)]
pub struct Answer {
    /// Its text.
    pub text: String,
    /// Its tool calls; the arguments may be cut short by the limit.
    pub tool_calls: Vec<ToolCall>,
    /// One per token: what the client sees of it.
    pub emissions: Vec<Emission>,
    /// The tokens.
    pub tokens: Vec<TokenId>,
    /// Why it ended.
    pub finish: Finish,
    /// The stop string that ended it.
    pub stop_reason: Option<String>,
}

/// What a client sees of one token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Emission {
    /// Text, as a range of [`Answer::text`]; empty while a character is incomplete.
    Text(Range<usize>),
    /// A tool call begins.
    ToolName { call: usize },
    /// Part of a tool call's arguments, as a range of them.
    ToolArguments { call: usize, range: Range<usize> },
    /// The end token.
    End,
}

/// Writes the answer.
#[must_use]
pub fn write(seed: u64, content: Content<'_>, limits: Limits<'_>) -> Answer {
    let mut writer = Writer::new(limits);
    match content {
        Content::Prose { after } => {
            let mut prose = Prose::after(seed, after);
            writer.write_sentences(|_| Some(prose.next_sentence()));
        }
        Content::Fixed { text, after } => {
            let rest = text.strip_prefix(after).unwrap_or(&text);
            writer.write_sentences(once(rest));
        }
        Content::Tools(calls) => writer.write_tools(calls),
        Content::Repetition { after_tokens } => {
            let mut prose = Prose::after(seed, "");
            let phrase = format!(" {}", Prose::after(hash_bytes(seed, b"loop"), "").next_sentence().text);
            writer.write_sentences(|written| {
                let text = if written < after_tokens {
                    prose.next_sentence().text
                } else {
                    phrase.clone()
                };
                Some(Sentence { text, may_end: false })
            });
        }
        Content::Gibberish { after_tokens } => {
            let mut prose = Prose::after(seed, "");
            let mut random = Random::new(hash_bytes(seed, b"noise"));
            writer.write_sentences(|written| {
                if written < after_tokens {
                    return Some(Sentence {
                        text: prose.next_sentence().text,
                        may_end: false,
                    });
                }
                Some(Sentence {
                    text: noise(&mut random),
                    may_end: written > after_tokens + NOISE_TOKENS,
                })
            });
        }
        Content::Empty => writer.write_sentences(once("")),
    }
    writer.answer
}

/// Noise goes on for at least so many tokens.
const NOISE_TOKENS: u32 = 200;

/// A few bytes that belong to no language.
fn noise(random: &mut Random) -> String {
    const GLYPHS: &[char] = &[
        '#', 'x', 'Q', '%', 'z', '\u{fffd}', '7', '~', 'ж', 'k', '|', '¤', 'V', '}', '0', 'ß', '^', 'j',
    ];
    let mut text: String = (0..4 + random.below(9)).map(|_| random.pick(GLYPHS)).collect();
    if random.below(3) == 0 {
        text.push(' ');
    }
    text
}

/// A source of exactly one text.
fn once(text: &str) -> impl FnMut(u32) -> Option<Sentence> {
    let mut only = Some(Sentence {
        text: text.to_owned(),
        may_end: true,
    });
    move |_| only.take()
}

struct Writer<'a> {
    limits: Limits<'a>,
    answer: Answer,
    /// Text before this offset was searched for stop strings.
    searched: usize,
}

impl<'a> Writer<'a> {
    fn new(limits: Limits<'a>) -> Self {
        let answer = Answer {
            text: String::new(),
            tool_calls: Vec::new(),
            emissions: Vec::new(),
            tokens: Vec::new(),
            finish: Finish::Length,
            stop_reason: None,
        };
        Self {
            limits,
            answer,
            searched: 0,
        }
    }

    /// Writes until a limit is met or the source, which is told how many tokens there are, ends.
    fn write_sentences(&mut self, mut source: impl FnMut(u32) -> Option<Sentence>) {
        while !self.is_full() {
            let Some(sentence) = source(self.answer.tokens.len() as u32) else {
                return self.end(Finish::Stop);
            };
            self.write_text(&sentence.text);
            if self.stop_at_string() {
                return;
            }
            let long_enough = self.answer.tokens.len() >= self.limits.min_tokens as usize;
            if sentence.may_end && long_enough && !self.limits.ignore_eos {
                return self.end(Finish::Stop);
            }
        }
    }

    fn write_tools(&mut self, calls: Vec<ToolCall>) {
        for (call, mut tool) in calls.into_iter().enumerate() {
            if self.is_full() {
                return;
            }
            self.push(TOOL_CALL, Emission::ToolName { call });
            let mut start = 0;
            for (token, end) in pieces(&tool.arguments) {
                if self.is_full() {
                    break;
                }
                let range = visible(&tool.arguments, start, end);
                start = range.end;
                self.push(token, Emission::ToolArguments { call, range });
            }
            tool.arguments.truncate(start);
            self.answer.tool_calls.push(tool);
        }
        self.end(Finish::ToolCalls);
    }

    fn write_text(&mut self, text: &str) {
        let base = self.answer.text.len();
        let mut start = 0;
        for (token, end) in pieces(text) {
            if self.is_full() {
                break;
            }
            let range = visible(text, start, end);
            start = range.end;
            self.push(token, Emission::Text(base + range.start..base + range.end));
        }
        self.answer.text.push_str(&text[..start]);
    }

    /// Cuts the answer at the first stop string in it.
    fn stop_at_string(&mut self) -> bool {
        let emissions = &mut self.answer.emissions;
        let reached = self.limits.min_tokens as usize;
        let earliest = match emissions.get(reached.wrapping_sub(1)) {
            Some(Emission::Text(range)) => range.end,
            _ if reached == 0 => 0,
            _ => self.answer.text.len(),
        };
        let longest = self.limits.stop.iter().map(String::len).max().unwrap_or(0);
        let from = floor_boundary(&self.answer.text, self.searched.saturating_sub(longest).max(earliest));
        self.searched = self.answer.text.len();
        let text = &self.answer.text[from..];
        let found = self
            .limits
            .stop
            .iter()
            .filter_map(|stop| Some((from + text.find(stop.as_str())?, stop)))
            .min();
        let Some((at, stop)) = found else { return false };
        let match_end = at + stop.len();
        let shown = if self.limits.include_stop { match_end } else { at };
        let completing = emissions
            .iter()
            .position(|emission| matches!(emission, Emission::Text(range) if range.end >= match_end));
        let kept = completing.map_or(emissions.len(), |index| index + 1);
        emissions.truncate(kept);
        for emission in emissions.iter_mut() {
            if let Emission::Text(range) = emission {
                *range = range.start.min(shown)..range.end.min(shown);
            }
        }
        self.answer.tokens.truncate(kept);
        self.answer.text.truncate(shown);
        self.answer.finish = Finish::Stop;
        self.answer.stop_reason = Some(stop.clone());
        true
    }

    /// The end token, if there is room for it.
    fn end(&mut self, finish: Finish) {
        if !self.is_full() {
            self.push(END_OF_TEXT, Emission::End);
            self.answer.finish = finish;
        }
    }

    fn push(&mut self, token: TokenId, emission: Emission) {
        self.answer.tokens.push(token);
        self.answer.emissions.push(emission);
    }

    const fn is_full(&self) -> bool {
        self.answer.tokens.len() >= self.limits.max_tokens as usize
    }
}

/// What can be shown of `start..end`: up to the last complete character.
fn visible(text: &str, start: usize, end: usize) -> Range<usize> {
    start..floor_boundary(text, end)
}

fn floor_boundary(text: &str, mut at: usize) -> usize {
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::language::tokens::decode;

    const LIMITS: Limits<'static> = Limits {
        max_tokens: 4_000,
        min_tokens: 0,
        ignore_eos: false,
        stop: &[],
        include_stop: false,
    };

    fn prose(seed: u64, after: &str, limits: Limits<'_>) -> Answer {
        write(seed, Content::Prose { after }, limits)
    }

    fn shown(answer: &Answer) -> String {
        let texts = answer.emissions.iter().filter_map(|emission| match emission {
            Emission::Text(range) => Some(&answer.text[range.clone()]),
            Emission::ToolName { .. } | Emission::ToolArguments { .. } | Emission::End => None,
        });
        texts.collect()
    }

    #[test]
    fn an_answer_ends_by_itself_and_counts_its_end_token() {
        let answer = prose(1, "", LIMITS);
        assert_eq!(answer.finish, Finish::Stop);
        assert_eq!(answer.emissions.last(), Some(&Emission::End));
        assert_eq!(answer.emissions.len(), answer.tokens.len());
        assert_eq!(shown(&answer), answer.text);
        assert_eq!(decode(&answer.tokens[..answer.tokens.len() - 1]), answer.text);
    }

    #[test]
    fn the_limit_is_exact() {
        let natural = prose(1, "", LIMITS).tokens.len() as u32;
        for (max_tokens, finish) in [
            (1, Finish::Length),
            (natural - 1, Finish::Length),
            (natural, Finish::Stop),
            (natural + 1, Finish::Stop),
        ] {
            let answer = prose(1, "", Limits { max_tokens, ..LIMITS });
            assert_eq!(
                (answer.tokens.len() as u32, answer.finish),
                (max_tokens.min(natural), finish)
            );
        }
    }

    #[test]
    fn min_tokens_and_ignore_eos_write_on() {
        let natural = prose(1, "", LIMITS).tokens.len() as u32;
        let longer = prose(
            1,
            "",
            Limits {
                min_tokens: natural + 50,
                ..LIMITS
            },
        );
        assert!(longer.tokens.len() as u32 > natural + 50 && longer.finish == Finish::Stop);
        let endless = prose(
            1,
            "",
            Limits {
                ignore_eos: true,
                ..LIMITS
            },
        );
        assert_eq!((endless.tokens.len(), endless.finish), (4_000, Finish::Length));
    }

    #[test]
    fn a_stop_string_ends_it_before_the_string_is_seen() {
        let whole = prose(1, "", LIMITS);
        let stop = [whole.text[30..36].to_owned(), "never there".to_owned()];
        let answer = prose(1, "", Limits { stop: &stop, ..LIMITS });
        assert_eq!(answer.text, whole.text[..whole.text.find(&stop[0]).unwrap()]);
        assert_eq!(shown(&answer), answer.text);
        assert_eq!(
            (answer.finish, answer.stop_reason.as_deref()),
            (Finish::Stop, Some(stop[0].as_str()))
        );
        let included = prose(
            1,
            "",
            Limits {
                stop: &stop,
                include_stop: true,
                ..LIMITS
            },
        );
        assert!(included.text.ends_with(&stop[0]));
        let later = prose(
            1,
            "",
            Limits {
                stop: &stop,
                min_tokens: 40,
                ..LIMITS
            },
        );
        assert!(later.tokens.len() >= 40);
    }

    #[test]
    fn tools_are_called_one_after_the_other_and_can_be_cut() {
        let call = |name: &str| ToolCall {
            id: name.into(),
            name: name.into(),
            arguments: r#"{"city":"Lima"}"#.into(),
        };
        let calls = vec![call("a"), call("b")];
        let answer = write(1, Content::Tools(calls.clone()), LIMITS);
        assert_eq!((&answer.tool_calls, answer.finish), (&calls, Finish::ToolCalls));
        let arguments: String = answer
            .emissions
            .iter()
            .filter_map(|emission| match emission {
                Emission::ToolArguments { call: 1, range } => Some(&calls[1].arguments[range.clone()]),
                Emission::ToolArguments { .. } | Emission::Text(_) | Emission::ToolName { .. } | Emission::End => None,
            })
            .collect();
        assert_eq!(arguments, calls[1].arguments);
        let cut = write(
            1,
            Content::Tools(calls),
            Limits {
                max_tokens: 4,
                ..LIMITS
            },
        );
        assert_eq!((cut.tool_calls.len(), cut.finish), (1, Finish::Length));
        assert!(cut.tool_calls[0].arguments.len() < 15);
    }

    #[test]
    fn faulty_contents_are_what_they_say() {
        let repetition = write(
            1,
            Content::Repetition { after_tokens: 10 },
            Limits {
                max_tokens: 500,
                ..LIMITS
            },
        );
        assert_eq!(repetition.finish, Finish::Length);
        let tail = &repetition.text[repetition.text.len() - 40..];
        assert!(repetition.text.matches(tail).count() > 3, "{}", repetition.text);
        let gibberish = write(1, Content::Gibberish { after_tokens: 0 }, LIMITS);
        let words = gibberish.text.matches(" the ").count();
        assert!(
            words == 0 && gibberish.text.len() > 200 && gibberish.finish == Finish::Stop,
            "{}",
            gibberish.text
        );
        assert_eq!(shown(&gibberish), gibberish.text);
        let empty = write(1, Content::Empty, LIMITS);
        assert_eq!(
            (empty.text.as_str(), empty.tokens.len(), empty.finish),
            ("", 1, Finish::Stop)
        );
    }

    proptest! {
        #[test]
        fn a_continued_answer_is_the_answer(seed in any::<u64>(), cut in 0..1_000_usize, max_tokens in 1..400_u32) {
            let whole = prose(seed, "", Limits { max_tokens, ..LIMITS });
            let done = cut % whole.emissions.len();
            let so_far: String = whole.emissions[..done].iter().filter_map(|emission| match emission {
                Emission::Text(range) => Some(&whole.text[range.clone()]),
                Emission::ToolName { .. } | Emission::ToolArguments { .. } | Emission::End => None,
            }).collect();
            let rest = prose(seed, &so_far, Limits { max_tokens: max_tokens - done as u32, ..LIMITS });
            prop_assert_eq!(format!("{so_far}{}", rest.text), whole.text);
            prop_assert_eq!(rest.finish, whole.finish);
            prop_assert_eq!(rest.tokens.len() + done, whole.tokens.len());
        }

        #[test]
        fn fixed_text_is_continued_too(cut in 0..40_usize) {
            let text = r#"{"title":"The 😀 harbor","count":12345678}"#;
            prop_assume!(text.is_char_boundary(cut));
            let rest = write(1, Content::Fixed { text: text.into(), after: &text[..cut] }, LIMITS);
            prop_assert_eq!(&rest.text, &text[cut..]);
            prop_assert_eq!(shown(&rest), rest.text.clone());
        }
    }
}
