//! How an engine's answer is rewritten on its way to the client: the model's public name, no usage for clients that did
//! not ask, reasons to finish that clients know.

use std::borrow::Cow;

use bytes::Bytes;

use super::cut::Frame;
use super::finish_reason::{Finish, StreamedChoices, known_reason};
use super::parsed_answer::{Choice, ParsedAnswer};
use super::stream_end::{is_end, write_end};
use super::templated_chunk::ChunkTemplate;
use crate::api::answer::{Deltas, EventOutcome, NoAnswer, RewrittenAnswer, Usage};
use crate::api::engine_error::EngineError;
use crate::api::json_edits::{Edits, appended, spliced};
use crate::api::output_delta::OutputDelta;
use crate::api::request::quoted;
use crate::api::sse::{SseEvent, data_event};

/// Rewrites one answer, whole or in chunks.
#[derive(Clone, Debug)]
pub struct Rewriter {
    /// The model's public name as a JSON string.
    model: String,
    /// Whether the usage stays in a stream's chunks.
    keep_usage: bool,
    /// The stream's last chunk that was read in full.
    last: Option<ChunkTemplate>,
    /// Something was said other than whose turn it is.
    has_begun: bool,
    choices: StreamedChoices,
    /// What all chunks of a stream have in common.
    frame: Option<Frame>,
    /// The chunk that completes a choice, edited, while the fingerprint that belongs into it may still come with a usage
    /// that nobody asked for.
    held: Option<String>,
}

impl Rewriter {
    /// A rewriter that names the model `model`. Whole answers always keep their usage.
    pub fn new(model: &str, keep_usage: bool) -> Self {
        Self {
            model: quoted(model),
            keep_usage,
            last: None,
            has_begun: false,
            choices: StreamedChoices::default(),
            frame: None,
            held: None,
        }
    }

    /// Rewrites a whole answer.
    ///
    /// # Errors
    /// When it is none.
    pub fn rewrite_whole<'a>(&self, body: &'a Bytes) -> Result<RewrittenAnswer<'a>, NoAnswer> {
        let text = std::str::from_utf8(body).map_err(|_| NoAnswer::NotUtf8)?;
        let parsed = ParsedAnswer::of(text)?;
        let edits = self.edits(text, &parsed, true);
        Ok(RewrittenAnswer {
            body: if edits.is_empty() {
                body.clone()
            } else {
                edits.apply().into()
            },
            usage: parsed.usage(),
            deltas: parsed
                .choices()
                .iter()
                .flat_map(|choice| choice.output().deltas())
                .collect(),
            ended: parsed.ended(),
        })
    }

    /// Rewrites the next event of a stream. One that is like the last which was read in full is not read: most are.
    ///
    /// # Errors
    /// When it is no chunk of an answer.
    pub fn rewrite_event<'a>(
        &mut self,
        event: &'a SseEvent<'_>,
        out: &mut Vec<u8>,
    ) -> Result<EventOutcome<'a>, NoAnswer> {
        let data = event.data.as_ref();
        if event.is_named_error() {
            self.release(None, out);
            return Err(NoAnswer::Error(EngineError::read(data)));
        }
        if let Some(chunk) = self.last.as_ref().and_then(|last| last.of(data)) {
            chunk.write_event(out);
            return Ok(EventOutcome {
                usage: chunk.usage(),
                deltas: Deltas::One(chunk.delta()),
                ended: Vec::new(),
                has_begun: true,
                is_end: false,
            });
        }
        if is_end(data) {
            self.release(None, out);
            write_end(out);
            return Ok(EventOutcome::END);
        }
        let text = std::str::from_utf8(data).map_err(|_| NoAnswer::NotUtf8)?;
        self.rewrite_chunk(text, out)
    }

    /// The engine's stream has ended without saying so: writes the end where the answer is complete, and tells whether it
    /// is.
    pub fn finish(&mut self, out: &mut Vec<u8>) -> bool {
        self.flush(out);
        let is_complete = self.choices.are_complete();
        if is_complete {
            write_end(out);
        }
        is_complete
    }

    /// Writes what is held back, if anything is.
    pub fn flush(&mut self, out: &mut Vec<u8>) {
        self.release(None, out);
    }

    /// Writes the end of a stream here, as if the model had ended every answer that is open, of so many that were asked for;
    /// with `usage`, where the client wants one.
    pub fn cut(&mut self, asked: u64, usage: Usage, out: &mut Vec<u8>) {
        self.release(None, out);
        if let Some(frame) = &self.frame {
            self.choices
                .open(asked)
                .for_each(|choice| frame.write_stop(choice, out));
            if self.keep_usage {
                frame.write_usage(usage, out);
            }
        }
        write_end(out);
    }

    /// Whether nothing more comes but the usage and the end.
    pub fn is_complete(&self) -> bool {
        self.choices.are_complete()
    }

    fn rewrite_chunk<'a>(&mut self, text: &'a str, out: &mut Vec<u8>) -> Result<EventOutcome<'a>, NoAnswer> {
        let parsed = ParsedAnswer::of(text);
        self.release(parsed.as_ref().ok(), out);
        let parsed = parsed?;
        let usage = parsed.usage();
        self.has_begun = self.has_begun || parsed.says_something(usage);
        for choice in parsed.choices() {
            self.choices.on_piece(choice.index(), choice.finish());
        }
        let deltas = if self.keep_usage || !parsed.is_about_usage() {
            self.pass(text, &parsed, usage, out)
        } else {
            Vec::new()
        };
        Ok(EventOutcome {
            usage,
            deltas: Deltas::Many(deltas),
            ended: parsed.ended(),
            has_begun: self.has_begun,
            is_end: false,
        })
    }

    /// Edits a chunk and writes it, or holds it back; gives what it says.
    fn pass<'a>(
        &mut self,
        text: &'a str,
        parsed: &ParsedAnswer<'a>,
        usage: Option<Usage>,
        out: &mut Vec<u8>,
    ) -> Vec<OutputDelta<'a>> {
        let edits = self.edits(text, parsed, self.keep_usage);
        let (deltas, single) = said(parsed.choices());
        let template = single.and_then(|single| ChunkTemplate::new(&edits, single, usage));
        let edited = one_line(text, &edits);
        if self.frame.is_none() {
            self.frame = Frame::of(&edited, parsed.is_completion());
        }
        let is_last = parsed
            .choices()
            .iter()
            .any(|choice| choice.finish() == Finish::Complete);
        let is_held = is_last && !self.keep_usage && usage.is_none() && parsed.system_fingerprint.is_none();
        if is_held {
            self.held = Some(edited.into_owned());
        } else {
            data_event(&edited, out);
        }
        self.last = template.filter(|_| self.has_begun && !is_held);
        deltas
    }

    /// Writes what is held back, with the fingerprint that `next` carries where the client will not see that one.
    fn release(&mut self, next: Option<&ParsedAnswer<'_>>, out: &mut Vec<u8>) {
        let Some(held) = self.held.take() else { return };
        let next = next.filter(|next| next.is_about_usage());
        let edit = next.and_then(|next| next.system_fingerprint).map(|fingerprint| {
            let member = ["\"system_fingerprint\":", fingerprint.get()].concat();
            appended(&held, &held, &member, false)
        });
        let chunk = spliced(held.as_bytes(), edit.as_slice());
        data_event(&String::from_utf8_lossy(&chunk), out);
    }

    fn edits<'a>(&'a self, text: &'a str, parsed: &ParsedAnswer<'_>, keep_usage: bool) -> Edits<'a> {
        let mut edits = Edits::new(text);
        if let Some(model) = parsed.model.filter(|model| model.get() != self.model) {
            edits.replace(model.get(), self.model.as_str());
        }
        if let Some(usage) = parsed.usage.filter(|_| !keep_usage) {
            edits.remove("usage", usage.get());
        }
        for reason in parsed.choices().iter().filter_map(|choice| choice.finish_reason) {
            if let Some(known) = known_reason(reason.get()) {
                edits.replace(reason.get(), known);
            }
        }
        edits
    }
}

/// All that choices say; and the one text of it, where that is all.
fn said<'a>(choices: &[Choice<'a>]) -> (Vec<OutputDelta<'a>>, Option<OutputDelta<'a>>) {
    match choices {
        [choice] => {
            let output = choice.output();
            (output.deltas(), output.single())
        }
        choices => (
            choices.iter().flat_map(|choice| choice.output().deltas()).collect(),
            None,
        ),
    }
}

/// `text` with the edits made. Valid JSON may hold line ends between its tokens, where several data lines made one event:
/// they become spaces.
fn one_line<'a>(text: &'a str, edits: &Edits<'_>) -> Cow<'a, str> {
    let edited = if edits.is_empty() {
        Cow::Borrowed(text)
    } else {
        Cow::Owned(edits.apply())
    };
    match memchr::memchr(b'\n', edited.as_bytes()) {
        Some(_) => Cow::Owned(edited.replace('\n', " ")),
        None => edited,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::api::answer::Usage;
    use crate::api::output_delta::OutputChannel;

    /// What a client sees of a chunk, and all that it tells.
    type SeenChunk = (Option<String>, Option<Usage>, Vec<(OutputChannel, String)>);

    /// The next chunk, edited the short way or the long.
    fn next(rewriter: &mut Rewriter, chunk: &str) -> Result<SeenChunk, NoAnswer> {
        let (event, mut out) = (event(chunk), Vec::new());
        let outcome = rewriter.rewrite_event(&event, &mut out)?;
        rewriter.flush(&mut out);
        assert!(!outcome.is_end, "{chunk}");
        let out = String::from_utf8(out).unwrap();
        let data = out.strip_prefix("data: ").and_then(|out| out.strip_suffix("\n\n"));
        assert_eq!(data.is_none(), out.is_empty(), "{out}");
        let texts = outcome.deltas.iter();
        let texts = texts.filter_map(|delta| Some((delta.channel, delta.text()?.into_owned())));
        let texts = texts.filter(|(_, text)| !text.is_empty()).collect();
        Ok((data.map(str::to_owned), outcome.usage, texts))
    }

    fn event(data: &str) -> SseEvent<'_> {
        SseEvent {
            name: None,
            id: None,
            data: data.as_bytes().into(),
        }
    }

    fn chunk(keep_usage: bool, text: &str) -> (Option<String>, Option<Usage>) {
        let (seen, usage, _) = next(&mut Rewriter::new("public", keep_usage), text).unwrap();
        (seen, usage)
    }

    #[test]
    fn the_model_gets_its_public_name_and_all_else_stays() {
        let text =
            r#"{"id":"x", "model":"served","choices":[{"delta":{"model":"served"},"finish_reason":null}],"n":1.0}"#;
        assert_eq!(
            chunk(false, text).0.unwrap(),
            text.replacen("\"served\"", "\"public\"", 1)
        );
    }

    #[test]
    fn usage_is_for_those_who_asked() {
        let usage = Some(Usage {
            prompt_tokens: 3,
            cached_tokens: None,
            completion_tokens: 4,
        });
        let last = r#"{"model":"public","choices":[],"usage":{"prompt_tokens":3,"completion_tokens":4}}"#;
        assert_eq!(chunk(true, last), (Some(last.to_owned()), usage));
        assert_eq!(chunk(false, last), (None, usage));
        let cached = r#"{"model":"public","usage":{"prompt_tokens":9,"prompt_tokens_details":{"cached_tokens":7}}}"#;
        assert_eq!(chunk(false, cached).1.and_then(|usage| usage.cached_tokens), Some(7));
        let null = r#"{"model":"public","choices":[{}],"usage":null}"#;
        assert_eq!(chunk(true, null), (Some(null.to_owned()), None));
        assert_eq!(
            chunk(false, null),
            (Some(r#"{"model":"public","choices":[{}]}"#.to_owned()), None)
        );
        let beside = r#"{"choices":[{"delta":{}}],"usage":{"prompt_tokens":3,"completion_tokens":4}}"#;
        assert_eq!(
            chunk(false, beside),
            (Some(r#"{"choices":[{"delta":{}}]}"#.to_owned()), usage)
        );
    }

    #[test]
    fn reasons_to_finish_are_those_that_clients_know() {
        for (reason, seen) in [
            ("\"eos_token\"", "\"stop\""),
            ("\"model_length\"", "\"length\""),
            ("\"length\"", "\"length\""),
        ] {
            let text = format!(r#"{{"choices":[{{"finish_reason":{reason}}}]}}"#);
            assert_eq!(
                chunk(false, &text).0.unwrap(),
                format!(r#"{{"choices":[{{"finish_reason":{seen}}}]}}"#)
            );
        }
    }

    #[test]
    fn errors_and_garbage_are_no_answers() {
        let mut rewriter = Rewriter::new("public", false);
        for error in [
            r#"{"error":{"message":"out of memory"}}"#,
            r#"{"error":"out of memory"}"#,
            r#"{"object":"error","message":"out of memory"}"#,
            r#"{"detail":"out of memory"}"#,
            r#"{"code":500,"message":"out of memory","type":"server_error"}"#,
        ] {
            let error = next(&mut rewriter, error);
            assert!(
                matches!(&error, Err(NoAnswer::Error(error)) if error.words() == "out of memory"),
                "{error:?}"
            );
        }
        assert!(next(&mut rewriter, r#"{"error":null,"choices":[]}"#).is_ok());
        for garbage in ["", "hello", "[1]", "{\"a\":", "\"x\"", "{\"choices\":7}"] {
            let body = Bytes::copy_from_slice(garbage.as_bytes());
            assert_eq!(rewriter.rewrite_whole(&body), Err(NoAnswer::NotJson), "{garbage}");
        }
    }

    /// One of the chunks that a stream may hold, and now and then one that is no JSON.
    fn any_chunk() -> impl Strategy<Value = String> {
        let text = prop_oneof![
            "[a-c ]{0,2}".prop_map(|text| quoted(&text)),
            "(?s).{0,2}".prop_map(|text| quoted(&text)),
            prop::sample::select(vec!["null", "7", "\"a", "\"a\" \"", "\"\\x\"", "\"a\",\"b\":\"c\""])
                .prop_map(str::to_owned),
        ];
        let model = prop::sample::select(vec!["public", "served"]);
        let role = prop::sample::select(vec!["", "\"role\":\"assistant\", "]);
        let choice = prop::sample::select(vec!["\"delta\":{ROLE\"content\":TEXT}", "\"text\":TEXT"]);
        let reason = prop::sample::select(vec!["", ",\"finish_reason\":null", ",\"finish_reason\":\"eos_token\""]);
        let usage = prop::sample::select(vec![
            "",
            ",\"usage\":null",
            ",\"usage\":{\"prompt_tokens\":3}",
            ",\"error\":1",
        ]);
        (text, model, role, choice, reason, usage).prop_map(|(text, model, role, choice, reason, usage)| {
            let choice = choice.replace("ROLE", role).replace("TEXT", &text);
            format!("{{\"model\":\"{model}\",\"choices\":[{{{choice}{reason}}}]{usage}}}")
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(1_000))]

        #[test]
        fn chunks_that_are_alike_are_edited_as_if_each_came_alone(
            keep_usage in any::<bool>(),
            chunks in prop::collection::vec((any_chunk(), 1..3_usize), 1..6),
        ) {
            let mut rewriter = Rewriter::new("public", keep_usage);
            for chunk in chunks.iter().flat_map(|(chunk, times)| std::iter::repeat_n(chunk, *times)) {
                let mut fresh = Rewriter::new("public", keep_usage);
                prop_assert_eq!(next(&mut rewriter, chunk), next(&mut fresh, chunk), "{}", chunk);
            }
        }
    }

    #[test]
    fn a_chunk_like_the_last_one_is_not_read_again() {
        let chunk = |text: &str| format!(r#"{{"choices":[{{"delta":{{"content":{text}}}}}],"usage":null}}"#);
        let mut rewriter = Rewriter::new("public", false);
        assert!(next(&mut rewriter, &chunk("\"a\"")).is_ok());
        let template = rewriter.last.clone().expect("a template");
        let (like, other) = (chunk("\"\\n\""), chunk("\"b\"").replace("null", "7"));
        let mut event = Vec::new();
        template.of(like.as_bytes()).expect("alike").write_event(&mut event);
        let expected = "data: {\"choices\":[{\"delta\":{\"content\":\"\\n\"}}]}\n\n";
        assert_eq!(String::from_utf8(event).unwrap(), expected);
        assert!(template.of(other.as_bytes()).is_none());
        assert!(template.of(&like.replace("\\n", "\u{e9}").into_bytes()[..40]).is_none());
        assert!(next(&mut rewriter, &chunk("\"a\"").replace(',', "\n,")).is_ok());
        assert!(rewriter.last.is_none(), "a chunk of several lines is no template");
    }

    /// What the client sees of these events, with the end where it is written for the engine.
    fn seen(keep_usage: bool, events: &[&str]) -> String {
        let (mut rewriter, mut out) = (Rewriter::new("public", keep_usage), Vec::new());
        for data in events {
            assert!(rewriter.rewrite_event(&event(data), &mut out).is_ok(), "{data}");
        }
        rewriter.finish(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_fingerprint_that_comes_with_the_usage_stands_where_it_would_without() {
        let finish = r#"{"choices":[{"delta":{},"finish_reason":"stop"}]}"#;
        let usage = r#"{"choices":[],"usage":{},"system_fingerprint":"fp"}"#;
        let whole = format!("data: {finish}\n\ndata: {usage}\n\ndata: [DONE]\n\n");
        assert_eq!(seen(true, &[finish, usage]), whole);
        let with = finish.replace("}]}", "}],\"system_fingerprint\":\"fp\"}");
        assert_eq!(
            seen(false, &[finish, usage]),
            format!("data: {with}\n\ndata: [DONE]\n\n")
        );
        let bare = usage.replace("system_fingerprint", "x");
        for events in [&[finish][..], &[finish, &bare]] {
            assert_eq!(seen(false, events), format!("data: {finish}\n\ndata: [DONE]\n\n"));
        }
        let progress = r#"{"choices":[],"x":1}"#;
        let between = format!("data: {finish}\n\ndata: {progress}\n\ndata: [DONE]\n\n");
        assert_eq!(seen(false, &[finish, progress, usage]), between);
    }

    #[test]
    fn answers_that_have_not_begun_are_ended_as_well_where_a_stream_is_cut() {
        let (mut rewriter, mut out) = (Rewriter::new("public", false), Vec::new());
        for chunk in [
            r#"{"choices":[{"index":1,"delta":{"content":"a"},"finish_reason":"stop"}]}"#,
            r#"{"choices":[{"index":0,"delta":{"content":"a"}}]}"#,
        ] {
            assert!(rewriter.rewrite_event(&event(chunk), &mut out).is_ok());
        }
        out.clear();
        rewriter.cut(4, Usage::default(), &mut out);
        let stop = |choice| {
            format!(
                "data: {{\"choices\":[{{\"index\":{choice},\"delta\":{{}},\"logprobs\":null,\"finish_reason\":\"stop\"}}]}}\n\n"
            )
        };
        let expected = [stop(0), stop(2), stop(3), "data: [DONE]\n\n".to_owned()].concat();
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }

    #[test]
    fn an_answer_has_begun_when_something_was_said() {
        for (chunk, begins) in [
            (
                r#"{"choices":[{"delta":{"role":"assistant","content":""},"finish_reason":null}]}"#,
                false,
            ),
            (
                r#"{"choices":[{"delta":{"role":"assistant","tool_calls":[]},"finish_reason":""}],"usage":null}"#,
                false,
            ),
            (
                r#"{"choices":[{"delta":{"content":null},"message":{"content":""}}],"usage":{"prompt_tokens":9}}"#,
                false,
            ),
            (r#"{"choices":[{"text":""}]}"#, false),
            (r#"{"choices":[],"system_fingerprint":"x"}"#, false),
            (r#"{"choices":[{"delta":{"role":"assistant","content":" "}}]}"#, true),
            (r#"{"choices":[{"delta":{"tool_calls":[{"index":0}]}}]}"#, true),
            (r#"{"choices":[{"delta":{"audio":{"id":"a"}}}]}"#, true),
            (r#"{"choices":[{"text":"a"}]}"#, true),
            (r#"{"choices":[{"delta":{},"finish_reason":"length"}]}"#, true),
            (r#"{"choices":[],"usage":{}}"#, true),
            (r#"{"choices":[],"prompt_progress":{"total":9}}"#, true),
            (
                r#"{"choices":[{"delta":{"content":""}}],"usage":{"completion_tokens":1}}"#,
                true,
            ),
        ] {
            let (mut rewriter, mut out) = (Rewriter::new("public", false), Vec::new());
            let event = event(chunk);
            for _ in 0..2 {
                let outcome = rewriter.rewrite_event(&event, &mut out).unwrap();
                assert_eq!(outcome.has_begun, begins, "{chunk}");
            }
        }
    }

    #[test]
    fn the_end_passes_and_line_ends_in_a_chunk_do_not() {
        let (mut rewriter, mut out) = (Rewriter::new("public", false), Vec::new());
        let lines = event("{\"choices\":\n[]}");
        assert!(
            rewriter
                .rewrite_event(&lines, &mut out)
                .is_ok_and(|outcome| !outcome.is_end)
        );
        let end = event("[DONE]");
        assert_eq!(rewriter.rewrite_event(&end, &mut out), Ok(EventOutcome::END));
        let expected = "data: {\"choices\": []}\n\ndata: [DONE]\n\n";
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }

    #[test]
    fn a_whole_answer_says_all_of_its_choices_and_passes_uncopied_where_nothing_changes() {
        let body = Bytes::from_static(
            br#"{"model":"public","choices":[{"message":{"content":"a"}},{"index":1,"text":"b"}],"usage":{"prompt_tokens":1}}"#,
        );
        let answer = Rewriter::new("public", false).rewrite_whole(&body).unwrap();
        assert_eq!(answer.body.as_ptr(), body.as_ptr());
        assert_eq!(answer.usage.map(|usage| usage.prompt_tokens), Some(1));
        let said: Vec<_> = answer
            .deltas
            .iter()
            .map(|delta| (delta.channel.choice, delta.json))
            .collect();
        assert_eq!(said, [(0, "\"a\""), (1, "\"b\"")]);
        let other = Rewriter::new("other", false).rewrite_whole(&body).unwrap();
        assert!(other.body.starts_with(br#"{"model":"other","#));
    }
}
