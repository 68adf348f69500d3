//! Which requests for a whole answer go to an engine as they came. All others are asked of it as streams, so that one
//! that falls silent is noticed: but engines refuse some in streams, and some ask for what streams do not have.

use crate::api::endpoint::Endpoint;
use crate::api::json_fields::Fields;
use crate::api::request::{AskedAs, WholeReason};

/// In which form an engine is to be asked, for a client that wants a whole answer.
pub fn asked_as(endpoint: Endpoint, fields: &Fields<'_>) -> AskedAs {
    match reason(endpoint, fields) {
        Some(reason) => AskedAs::Whole(reason),
        None => AskedAs::Stream,
    }
}

fn reason(endpoint: Endpoint, fields: &Fields<'_>) -> Option<WholeReason> {
    let is_set = |name: &str| fields.given(name).is_some_and(|json| !["false", "[]"].contains(&json));
    let any_of = |names: &[&'static str]| names.iter().find(|name| is_set(name)).copied();
    if !endpoint.generates() {
        return Some(WholeReason::NotGenerated);
    }
    if is_set("stream_options") {
        return Some(WholeReason::ForStreams);
    }
    let choices = fields.given("n").unwrap_or("1");
    if fields.given("best_of").is_some_and(|best_of| best_of != choices) {
        return Some(WholeReason::Refused("best_of"));
    }
    if is_set("tools") && is_set("logprobs") {
        return Some(WholeReason::Refused("logprobs"));
    }
    any_of(REFUSED)
        .map(WholeReason::Refused)
        .or_else(|| any_of(NOT_IN_STREAMS).map(WholeReason::NotInStreams))
}

/// What engines refuse in streams, besides more answers to choose from (`best_of`: TGI, and vLLM when it had it) and log
/// probabilities beside tools (llama.cpp, `oaicompat_chat_params_parse`).
const REFUSED: &[&str] = &[
    // vLLM: "Streaming is not currently supported with beam search".
    "use_beam_search",
    // vLLM: "`prompt_logprobs` are not available when `stream=True`".
    "prompt_logprobs",
];

/// What asks for something that whole answers alone have, or have otherwise.
const NOT_IN_STREAMS: &[&str] = &[
    // vLLM has the prompt's log probabilities beside it in whole completions; a chat's last message may be of parts.
    "echo",
    // vLLM: the parameters for the other engine of a pair are in whole answers.
    "kv_transfer_params",
    "ec_transfer_params",
    "routed_experts_prompt_start",
    // SGLang: another place in a stream, and the last token's alone.
    "return_hidden_states",
    "return_routed_experts",
    "return_meta_info",
];

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(endpoint: Endpoint, fields: &str) -> AskedAs {
        asked_as(endpoint, &Fields::parse(&format!("{{{fields}}}")).unwrap())
    }

    #[test]
    fn most_answers_are_asked_for_as_streams() {
        for fields in [
            "",
            r#""n":2,"best_of":2,"logprobs":true,"tools":[]"#,
            r#""tools":[{}],"logprobs":false,"stream_options":null,"prompt_logprobs":null"#,
            r#""use_beam_search":false,"echo":false,"return_token_ids":true,"best_of":1"#,
        ] {
            assert_eq!(asked(Endpoint::Chat, fields), AskedAs::Stream, "{fields}");
            assert_eq!(asked(Endpoint::Completions, fields), AskedAs::Stream, "{fields}");
        }
    }

    #[test]
    fn what_engines_refuse_or_leave_out_in_streams_is_asked_for_as_it_came() {
        for (fields, reason) in [
            (r#""best_of":3"#, WholeReason::Refused("best_of")),
            (r#""n":2,"best_of":1"#, WholeReason::Refused("best_of")),
            (r#""use_beam_search":true"#, WholeReason::Refused("use_beam_search")),
            (r#""prompt_logprobs":0"#, WholeReason::Refused("prompt_logprobs")),
            (r#""tools":[{}],"logprobs":true"#, WholeReason::Refused("logprobs")),
            (r#""stream_options":{}"#, WholeReason::ForStreams),
            (r#""echo":true"#, WholeReason::NotInStreams("echo")),
            (
                r#""kv_transfer_params":{}"#,
                WholeReason::NotInStreams("kv_transfer_params"),
            ),
        ] {
            assert_eq!(asked(Endpoint::Completions, fields), AskedAs::Whole(reason), "{fields}");
        }
        let embeddings = asked(Endpoint::Embeddings, "");
        assert_eq!(embeddings, AskedAs::Whole(WholeReason::NotGenerated));
    }
}
