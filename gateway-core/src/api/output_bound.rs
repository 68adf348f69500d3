//! How long an engine is to let an answer become: which of a request's bounds it goes by, and the one that it is told where
//! it would otherwise go on for longer than it may. An engine's own default is never raised knowingly.

use std::ops::Range;

use super::endpoint::Endpoint;
use super::json_edits::Edit;
use super::request::Generation;
use crate::config::EngineKind;
use crate::ids::Tokens;

/// A bound on output as a request has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct WrittenBound {
    pub param: &'static str,
    pub value: BoundValue,
    /// Where in the body it stands.
    pub span: Range<usize>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BoundValue {
    Count(u64),
    /// No bound, to engines that know it.
    MinusOne,
    Null,
}

/// What bounds an answer besides its client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutputLimit {
    /// What the model's context leaves for it at most.
    pub room: Tokens,
    /// What it leaves surely. Engines that bound answers by their context themselves are told of no bound beyond that:
    /// some refuse one.
    pub surely_left: Tokens,
    /// What its tenant's budgets bear, where any bounds tokens.
    pub most: Option<Tokens>,
}

/// What an engine does with a request that has none of the bounds that it reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Unbounded {
    /// It generates so many tokens at most.
    UpTo(u64),
    /// It generates what its context leaves.
    ToContext,
    /// It may go on beyond its context.
    Endless,
}

impl Generation {
    /// The bound that budgets set for the answer of such an engine; `None` where it ends by another one first.
    pub fn budgeted(&self, engine: EngineKind, limit: &OutputLimit) -> Option<Tokens> {
        let most = limit
            .most
            .filter(|most| self.endpoint.generates() && *most < limit.room)?
            .0;
        let is_less = match self.in_force(engine) {
            Some(bound) => most < bound,
            None => self.added(engine, limit) == Some(most),
        };
        (is_less && self.max_output.is_none_or(|bound| most < bound)).then_some(Tokens(most))
    }

    /// What tells an engine how long the answer may become: no bound goes beyond it, and one is there.
    pub(super) fn bound_edits(&self, engine: EngineKind, limit: &OutputLimit) -> Vec<Edit<'static>> {
        if !self.endpoint.generates() {
            return Vec::new();
        }
        let most = limit.most.unwrap_or(limit.room).min(limit.room).0;
        let added = self.added(engine, limit).filter(|_| self.in_force(engine).is_none());
        let place = self.read_by(engine).next().filter(|_| added.is_some());
        let told = |bound: &WrittenBound| match (bound.value, added) {
            (_, Some(added)) if place == Some(bound) => Some(added.to_string()),
            (BoundValue::Count(count), _) => Some(count.min(most).to_string()),
            (BoundValue::MinusOne, _) if !engine.takes_minus_one_for_no_bound() => Some("null".to_owned()),
            (BoundValue::MinusOne | BoundValue::Null, _) => None,
        };
        let edit = |bound: &WrittenBound| {
            let is_new = |told: &String| self.body.get(bound.span.clone()) != Some(told.as_bytes());
            let told = told(bound).filter(is_new)?;
            Some((bound.span.clone(), told.into()))
        };
        let mut edits: Vec<Edit<'static>> = self.bounds.iter().filter_map(edit).collect();
        if let (Some(added), None) = (added, place) {
            // The body is an object that has a model at least.
            let end = self.body.trim_ascii_end().len().saturating_sub(1);
            edits.push((end..end, format!(",\"{NAME}\":{added}").into()));
        }
        edits
    }

    /// Whether an engine of that kind reads -1 here, and does not take it for no bound; by which name.
    pub(super) fn unknown_minus_one(&self, engine: EngineKind) -> Option<&'static str> {
        let mut read = self.read_by(engine);
        let bound = read.find(|bound| bound.value == BoundValue::MinusOne)?;
        (!engine.takes_minus_one_for_no_bound()).then_some(bound.param)
    }

    /// The bound that such an engine goes by.
    fn in_force(&self, engine: EngineKind) -> Option<u64> {
        let zero_is_none = engine == EngineKind::Sglang && self.endpoint == Endpoint::Chat;
        let counts = self.read_by(engine).find_map(|bound| match bound.value {
            BoundValue::Count(0) if zero_is_none => None,
            BoundValue::Count(count) => Some(Some(count)),
            BoundValue::MinusOne if engine.takes_minus_one_for_no_bound() => Some(None),
            BoundValue::MinusOne | BoundValue::Null => None,
        });
        counts.flatten()
    }

    /// The bound that such an engine has to be told where none is in force; `None` where it keeps to as much by itself.
    fn added(&self, engine: EngineKind, limit: &OutputLimit) -> Option<u64> {
        let client = self.max_output.map_or(limit.room, Tokens);
        let most = limit.most.unwrap_or(limit.room).min(limit.room).min(client).0;
        let by_itself = match unbounded(engine, self.endpoint) {
            // That is what they do where none is written: null is no bound to vLLM, and an error to SGLang.
            Unbounded::UpTo(count) if self.read_by(engine).next().is_none() => count,
            Unbounded::UpTo(_) | Unbounded::ToContext => limit.surely_left.0,
            Unbounded::Endless => u64::MAX,
        };
        (most < by_itself).then_some(most.max(1))
    }

    /// The bounds that such an engine reads, those first that count before others.
    fn read_by(&self, engine: EngineKind) -> impl Iterator<Item = &WrittenBound> {
        let of = |param: &&str| self.bounds.iter().find(|bound| bound.param == *param);
        params(engine, self.endpoint).iter().filter_map(of)
    }
}

/// The parameters that such an engine reads, of which the first that is given counts. They are those of vLLM 0.32.0
/// and SGLang 0.5.23 (`CompletionRequest`, `ChatCompletionRequest`), TGI 3.3.7 (`CompletionRequest`, `ChatRequest`; both of a
/// chat's at once are an error there, also where one is null), TensorRT-LLM (`openai_protocol.py`) and llama.cpp
/// (`server-schema.cpp`).
fn params(engine: EngineKind, endpoint: Endpoint) -> &'static [&'static str] {
    match (engine, endpoint) {
        (_, Endpoint::Embeddings) => &[],
        (EngineKind::LlamaCpp, Endpoint::Chat | Endpoint::Completions) => &["n_predict", "max_completion_tokens", NAME],
        (EngineKind::Vllm | EngineKind::Sglang | EngineKind::Tgi, Endpoint::Chat) => &["max_completion_tokens", NAME],
        (EngineKind::TensorrtLlm, Endpoint::Chat)
        | (EngineKind::Vllm | EngineKind::Sglang | EngineKind::Tgi | EngineKind::TensorrtLlm, Endpoint::Completions) => {
            &[NAME]
        }
    }
}

/// What such an engine does with a request without a bound.
fn unbounded(engine: EngineKind, endpoint: Endpoint) -> Unbounded {
    match (engine, endpoint) {
        // `max_tokens: int = 16`, as OpenAI's.
        (EngineKind::Vllm | EngineKind::Sglang, Endpoint::Completions) => Unbounded::UpTo(16),
        (EngineKind::Vllm | EngineKind::Sglang | EngineKind::Tgi | EngineKind::TensorrtLlm, _) => Unbounded::ToContext,
        // Its context shifts with `--context-shift`.
        (EngineKind::LlamaCpp, _) => Unbounded::Endless,
    }
}

/// The one name that every engine reads.
const NAME: &str = "max_tokens";

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::api::Dialect;

    /// What such an engine is sent in place of `bounds`, where the context leaves 900 tokens at most, and 600 surely.
    fn sent(engine: EngineKind, endpoint: Endpoint, bounds: &str, most: Option<u64>) -> String {
        let prompt = r#""messages":[{"role":"user","content":"hi"}],"prompt":"hi","input":"hi""#;
        let body = format!(r#"{{"model":"m",{prompt},"echo":true{bounds}}}"#);
        let request = Dialect::decode(endpoint, Bytes::from(body.clone()), 32).unwrap();
        let limit = OutputLimit {
            room: Tokens(900),
            surely_left: Tokens(600),
            most: most.map(Tokens),
        };
        let sent = request.body_for("m", engine, &limit).to_vec();
        let sent = String::from_utf8(sent).unwrap();
        let before = body.strip_suffix(&format!("{bounds}}}")).unwrap();
        sent.strip_prefix(before).unwrap().strip_suffix('}').unwrap().to_owned()
    }

    fn assert_told(endpoint: Endpoint, engines: &[EngineKind], cases: &[(&str, &str)]) {
        for engine in engines {
            for (bounds, told) in cases {
                let sent = sent(*engine, endpoint, bounds, Some(70));
                assert_eq!(sent, *told, "{engine:?} {endpoint:?} {bounds}");
            }
        }
    }

    #[test]
    fn whoever_sets_no_bound_that_its_engine_reads_is_given_one_there() {
        let of_all = [
            ("", r#","max_tokens":70"#),
            (r#","max_tokens":null"#, r#","max_tokens":70"#),
            (r#","max_tokens":80"#, r#","max_tokens":70"#),
            (r#","max_tokens":9"#, r#","max_tokens":9"#),
        ];
        let by_the_other_name = [(r#","max_completion_tokens":-1"#, r#","max_completion_tokens":70"#)];
        let not_by_it = [(
            r#","max_completion_tokens":-1"#,
            r#","max_completion_tokens":null,"max_tokens":70"#,
        )];
        let (tensorrt, others): (Vec<_>, Vec<_>) = EngineKind::ALL
            .into_iter()
            .partition(|engine| *engine == EngineKind::TensorrtLlm);
        assert_told(Endpoint::Chat, &EngineKind::ALL, &of_all);
        assert_told(Endpoint::Chat, &others, &by_the_other_name);
        assert_told(Endpoint::Chat, &tensorrt, &not_by_it);
        assert_told(Endpoint::Embeddings, &EngineKind::ALL, &[("", "")]);
    }

    #[test]
    fn a_bound_that_its_engine_does_not_go_by_is_none() {
        let zero = r#","max_tokens":0"#;
        assert_told(Endpoint::Chat, &[EngineKind::Sglang], &[(zero, r#","max_tokens":1"#)]);
        assert_told(Endpoint::Chat, &[EngineKind::Vllm], &[(zero, zero)]);
        let endless = r#","max_tokens":5,"n_predict":-1"#;
        let ended = endless.replace("-1", "70");
        assert_told(Endpoint::Completions, &[EngineKind::LlamaCpp], &[(endless, &ended)]);
        let of_chats = r#","max_completion_tokens":5"#;
        let told = format!(r#"{of_chats},"max_tokens":5"#);
        let engines = [EngineKind::Vllm, EngineKind::Tgi];
        assert_told(Endpoint::Completions, &engines, &[(of_chats, &told)]);
    }

    #[test]
    fn what_an_engine_keeps_to_by_itself_it_is_not_told() {
        let (vllm, sglang, tgi) = (EngineKind::Vllm, EngineKind::Sglang, EngineKind::Tgi);
        for (engine, endpoint, bounds, most, told) in [
            (vllm, Endpoint::Completions, "", Some(70), ""),
            (sglang, Endpoint::Completions, "", Some(16), ""),
            (sglang, Endpoint::Completions, "", Some(15), r#","max_tokens":15"#),
            (tgi, Endpoint::Completions, "", Some(70), r#","max_tokens":70"#),
            (
                vllm,
                Endpoint::Completions,
                r#","max_tokens":null"#,
                Some(70),
                r#","max_tokens":70"#,
            ),
            // A bound beyond what is left some refuse, and the prompt may be longer than it was estimated.
            (sglang, Endpoint::Chat, "", Some(600), ""),
            (tgi, Endpoint::Chat, "", None, ""),
            // This one may go on without end.
            (
                EngineKind::LlamaCpp,
                Endpoint::Chat,
                "",
                Some(600),
                r#","max_tokens":600"#,
            ),
            (EngineKind::LlamaCpp, Endpoint::Chat, "", None, r#","max_tokens":900"#),
        ] {
            assert_eq!(
                sent(engine, endpoint, bounds, most),
                told,
                "{engine:?} {endpoint:?} {bounds}"
            );
        }
    }
}
