//! What engines tell of their sizes, each in its own place.

use serde_json::Value;

/// What an engine tells; `None` for what it does not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Told {
    /// Tokens that fit into its kv_cache.
    pub kv_cache_tokens: Option<u64>,
    /// Tokens of a block of it, of which a request takes whole ones.
    pub kv_block_tokens: Option<u64>,
    /// Requests that it runs at once.
    pub max_running: Option<u64>,
}

/// Reads what a page tells.
type Read = fn(&str) -> Told;

/// Where engines tell it, and how it is read there.
pub const PLACES: [(&str, Read); 4] = [
    ("/metrics", of_vllm),
    ("/props", of_llama_cpp),
    ("/get_server_info", of_sglang),
    ("/info", of_tgi),
];

impl Told {
    /// This, and what another place tells besides.
    pub fn or(self, other: Self) -> Self {
        Self {
            kv_cache_tokens: self.kv_cache_tokens.or(other.kv_cache_tokens),
            kv_block_tokens: self.kv_block_tokens.or(other.kv_block_tokens),
            max_running: self.max_running.or(other.max_running),
        }
    }
}

/// vLLM has the labels of `vllm:cache_config_info`: the tokens since 0.32, blocks and their size before.
fn of_vllm(page: &str) -> Told {
    let line = page.lines().find(|line| line.starts_with("vllm:cache_config_info{"));
    let label = |name: &str| {
        let (_, rest) = line?.split_once(&format!("{name}=\""))?;
        rest.split('"').next()?.parse::<u64>().ok()
    };
    let blocks = || label(",num_gpu_blocks")?.checked_mul(label(",block_size")?);
    Told {
        kv_cache_tokens: label(",kv_cache_size_tokens").or_else(blocks),
        kv_block_tokens: label(",block_size"),
        max_running: None,
    }
}

/// llama.cpp's server tells the context of one slot, and how many slots there are.
fn of_llama_cpp(page: &str) -> Told {
    let json = json(page);
    let slots = json["total_slots"].as_u64();
    let of_one = json["default_generation_settings"]["n_ctx"].as_u64();
    Told {
        kv_cache_tokens: slots.zip(of_one).and_then(|(slots, of_one)| slots.checked_mul(of_one)),
        kv_block_tokens: None,
        max_running: slots,
    }
}

fn of_sglang(page: &str) -> Told {
    let json = json(page);
    let max_running = ["max_running_requests", "effective_max_running_requests_per_dp"]
        .iter()
        .find_map(|name| json[*name].as_u64());
    Told {
        kv_cache_tokens: json["max_total_num_tokens"].as_u64(),
        kv_block_tokens: json["page_size"].as_u64(),
        max_running,
    }
}

fn of_tgi(page: &str) -> Told {
    let json = json(page);
    Told {
        kv_cache_tokens: json["max_batch_total_tokens"].as_u64(),
        kv_block_tokens: None,
        max_running: None,
    }
}

fn json(page: &str) -> Value {
    serde_json::from_str(page).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(kv_cache_tokens: u64, max_running: impl Into<Option<u64>>) -> Told {
        Told {
            kv_cache_tokens: Some(kv_cache_tokens),
            kv_block_tokens: None,
            max_running: max_running.into(),
        }
    }

    fn in_blocks_of(kv_block_tokens: u64, told: Told) -> Told {
        Told {
            kv_block_tokens: Some(kv_block_tokens),
            ..told
        }
    }

    #[test]
    fn vllm_tells_tokens_or_blocks() {
        let new = "# TYPE vllm:cache_config_info gauge\nvllm:cache_config_info{_block_size_resolved=\"True\",\
                   block_size=\"128\",kv_cache_size_tokens=\"2097152\",num_gpu_blocks=\"16384\",x=\"1\"} 1.0\n";
        assert_eq!(of_vllm(new), in_blocks_of(128, told(2_097_152, None)));
        let old = new.replace(",kv_cache_size_tokens=\"2097152\"", "");
        assert_eq!(of_vllm(&old), in_blocks_of(128, told(16_384 * 128, None)));
        let unknown = old.replace("16384", "None");
        assert_eq!(of_vllm(&unknown), in_blocks_of(128, Told::default()));
        assert_eq!(of_vllm(""), Told::default());
    }

    #[test]
    fn others_tell_it_in_json() {
        let props = r#"{"default_generation_settings":{"n_ctx":4096},"total_slots":4}"#;
        assert_eq!(of_llama_cpp(props), told(16_384, 4));
        let info = r#"{"max_total_num_tokens":441000,"max_running_requests":2048,"page_size":64}"#;
        assert_eq!(of_sglang(info), in_blocks_of(64, told(441_000, 2_048)));
        assert_eq!(of_tgi(r#"{"max_batch_total_tokens":64000}"#), told(64_000, None));
        for read in PLACES.map(|(_, read)| read) {
            assert_eq!(read("<html>"), Told::default());
        }
    }
}
