//! The engines that replicas run, and what a client could steer in each of them by a field of its request.

use serde::{Deserialize, Serialize};

/// The engines whose ways the gateway knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum EngineKind {
    /// vLLM.
    Vllm,
    /// SGLang.
    Sglang,
    /// Text Generation Inference.
    Tgi,
    /// TensorRT-LLM.
    TensorrtLlm,
    /// llama.cpp's server.
    LlamaCpp,
}

impl EngineKind {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Vllm, Self::Sglang, Self::Tgi, Self::TensorrtLlm, Self::LlamaCpp];

    /// Its name in the configuration.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Vllm => "vllm",
            Self::Sglang => "sglang",
            Self::Tgi => "tgi",
            Self::TensorrtLlm => "tensorrt-llm",
            Self::LlamaCpp => "llama.cpp",
        }
    }

    /// Where it says whether it is ready: 200, or 503 where it is not. Sources: vLLM's and SGLang's `http_server`/`api_server`,
    /// TGI's router, TensorRT-LLM's `openai_server.py`, llama.cpp's `server.cpp`.
    pub fn health_path(self) -> &'static str {
        match self {
            Self::Vllm | Self::Sglang | Self::Tgi | Self::TensorrtLlm | Self::LlamaCpp => "/health",
        }
    }

    /// Whether a bound of -1 output tokens means none to it: llama.cpp's server counts `n_predict` so, and reads
    /// `max_tokens` as that. The others refuse it.
    pub fn takes_minus_one_for_no_bound(self) -> bool {
        match self {
            Self::LlamaCpp => true,
            Self::Vllm | Self::Sglang | Self::Tgi | Self::TensorrtLlm => false,
        }
    }

    /// Where it says how much it has to do.
    pub fn signals_path(self) -> &'static str {
        match self {
            Self::Vllm | Self::Sglang | Self::Tgi | Self::TensorrtLlm | Self::LlamaCpp => "/metrics",
        }
    }

    /// Fields of a request by which its sender would steer the engine: which other machine it talks to, what it runs
    /// first, whose cached prefixes it reads, what code it loads, what the prompt and the bounds are in place of those
    /// that the gateway counts. `a.b` is the member `b` of the field `a`.
    pub fn steering_fields(self) -> &'static [&'static str] {
        match self {
            Self::Vllm => VLLM,
            Self::Sglang => SGLANG,
            Self::Tgi => &[],
            Self::TensorrtLlm => TENSORRT_LLM,
            Self::LlamaCpp => LLAMA_CPP,
        }
    }

    /// Those of all engines, some more than once.
    pub fn all_steering_fields() -> impl Iterator<Item = &'static str> + Clone {
        Self::ALL.into_iter().flat_map(Self::steering_fields).copied()
    }
}

/// vLLM 0.32.0, `entrypoints/openai/{chat_completion,completion}/protocol.py` and `entrypoints/pooling/base/protocol.py`;
/// `logits_processors` and `guided_decoding_backend` are of earlier versions.
const VLLM: &[&str] = &[
    // Other machines of a pair that it fetches kv_cache or encodings from.
    "kv_transfer_params",
    "ec_transfer_params",
    // Lower comes first; others have 0.
    "priority",
    // A second request of the same id is refused while the first one runs.
    "request_id",
    // Runs inside the engine, and makes another prompt than the one that was counted.
    "chat_template",
    "chat_template_kwargs.chat_template",
    "chat_template_kwargs.tokenize",
    // Tensors that are loaded as they come (CVE-2025-62164).
    "prompt_embeds",
    // Arguments for whatever extensions, loaders and processors the operator has put in.
    "vllm_xargs",
    "media_io_kwargs",
    "mm_processor_kwargs",
    // Names of Python functions to import.
    "logits_processors",
    "guided_decoding_backend",
    // What another request with that identifier has sent as its image is taken for this one's.
    "messages.content.uuid",
    // Tensors in parts of messages.
    "messages.content.embeds",
];

/// SGLang 0.5, `python/sglang/srt/entrypoints/openai/protocol.py`.
const SGLANG: &[&str] = &[
    "bootstrap_host",
    "bootstrap_port",
    "bootstrap_room",
    "routed_dp_rank",
    "data_parallel_rank",
    "disagg_prefill_dp_rank",
    "priority",
    "rid",
    // Whose prefixes it shares, besides `cache_salt`.
    "extra_key",
    "tenant_id",
    // kv_cache that other requests have left open.
    "session_id",
    "session_params",
    "lora_path",
    // So many answers at once, which nobody counts.
    "beam_width",
    // Code, serialised.
    "custom_logit_processor",
    "custom_params",
    // Stand in for the messages, which are what is counted.
    "input_ids",
    "chat_template",
    // Go to the tokenizer's own template function as they are.
    "chat_template_kwargs.chat_template",
    "chat_template_kwargs.tokenize",
    "custom_labels",
];

/// TensorRT-LLM 1.x, `tensorrt_llm/serve/openai_protocol.py`.
const TENSORRT_LLM: &[&str] = &[
    "disaggregated_params",
    "conversation_params",
    "agent_hierarchy",
    "priority",
    "lora_request",
    // Stand in for the messages, which are what is counted.
    "prompt_token_ids",
    "prompt_token_ids_b64",
    "chat_template",
    "chat_template_kwargs.chat_template",
    "chat_template_kwargs.tokenize",
    "injected_chat_template_kwargs",
    "media_io_kwargs",
    "mm_processor_kwargs",
];

/// llama.cpp's server, `tools/server/server-schema.cpp`, `server-common.cpp` and `server-context.cpp`.
const LLAMA_CPP: &[&str] = &[
    // Whose slot, with what is cached there.
    "id_slot",
    "lora",
    // Win over `max_tokens` and `n`, by which a request is counted.
    "n_predict",
    "n_cmpl",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_openai_has_steers_nothing() {
        let common = [
            "model",
            "messages",
            "prompt",
            "input",
            "stream",
            "stream_options",
            "max_tokens",
            "max_completion_tokens",
            "n",
            "temperature",
            "top_p",
            "stop",
            "seed",
            "tools",
            "tool_choice",
            "response_format",
            "logprobs",
            "reasoning_effort",
            "user",
            "metadata",
            "prompt_cache_key",
            "service_tier",
            "cache_salt",
        ];
        for engine in EngineKind::ALL {
            let fields = engine.steering_fields();
            assert!(common.iter().all(|field| !fields.contains(field)), "{engine:?}");
        }
    }
}
