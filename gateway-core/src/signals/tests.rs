use proptest::prelude::*;

use super::*;
use crate::cluster::KvUsed;

const VLLM: &str = include_str!("fixtures/vllm-0.32.txt");
const SGLANG: &str = include_str!("fixtures/sglang-0.5.txt");
const LOADS: &str = include_str!("fixtures/sglang-0.5-loads.json");
const TGI: &str = include_str!("fixtures/tgi-3.txt");
const TENSORRT_LLM: &str = include_str!("fixtures/tensorrt-llm-1.json");
const LLAMA_CPP: &str = include_str!("fixtures/llama-cpp.txt");
const SLOTS: &str = include_str!("fixtures/llama-cpp-slots.json");

fn believed(engine: EngineKind, page: &str) -> (u32, u32, Option<f64>) {
    let reading = read(engine, page.as_bytes());
    assert_eq!(reading.ignored, [], "{page}");
    let figures = reading.figures.expect("figures");
    (figures.running, figures.waiting, figures.kv_used.map(KvUsed::share))
}

fn ignored(engine: EngineKind, page: &str) -> Vec<Ignored> {
    read(engine, page.as_bytes()).ignored
}

#[test]
fn pages_of_all_engines_are_read() {
    assert_eq!(believed(EngineKind::Vllm, VLLM), (8, 4, Some(0.000_976)));
    assert_eq!(believed(EngineKind::Sglang, SGLANG), (9, 2, Some(0.28)));
    assert_eq!(believed(EngineKind::Sglang, LOADS), (9, 2, Some(0.28)));
    assert_eq!(believed(EngineKind::Tgi, TGI), (5, 1, None));
    assert_eq!(believed(EngineKind::TensorrtLlm, TENSORRT_LLM), (3, 1, Some(0.25)));
    assert_eq!(believed(EngineKind::LlamaCpp, LLAMA_CPP), (2, 0, None));
    assert_eq!(believed(EngineKind::LlamaCpp, SLOTS), (2, 0, Some(0.008_3)));
}

#[test]
fn data_parallel_engines_add_up_and_the_fullest_counts() {
    let second = VLLM
        .replace("engine=\"0\"", "engine=\"1\"")
        .replace("} 0.0009766817238432424", "} 0.5");
    let both = [VLLM, &second].concat();
    assert_eq!(believed(EngineKind::Vllm, &both), (16, 8, Some(0.5)));
}

#[test]
fn an_older_name_of_the_kv_cache_counts_where_the_new_one_is_missing() {
    let older = VLLM.replace("kv_cache_usage_perc", "gpu_cache_usage_perc");
    assert_eq!(believed(EngineKind::Vllm, &older).2, Some(0.000_976));
    let both = [VLLM, &older.replace("0.0009766817238432424", "0.9")].concat();
    let reading = read(EngineKind::Vllm, both.as_bytes());
    assert_eq!(reading.ignored, [Ignored::Contradictory]);
    assert_eq!(reading.figures.expect("the rest").kv_used, None);
}

#[test]
fn what_is_missing_absurd_or_contradictory_is_not_believed() {
    use Ignored::{Absurd, Contradictory, Garbage, Missing};
    let running = |value: &str| {
        VLLM.replace(
            "running{engine=\"0\",model_name=\"Qwen/tiny\"} 8.0",
            &["running ", value].concat(),
        )
    };
    for value in ["NaN", "-1", "1e30", "2.5", "+Inf"] {
        let reading = read(EngineKind::Vllm, running(value).as_bytes());
        assert_eq!((reading.figures, reading.ignored), (None, vec![Absurd]), "{value}");
    }
    assert_eq!(ignored(EngineKind::Vllm, &running("eight")), [Missing]);
    assert_eq!(
        ignored(EngineKind::Vllm, "<html>404</html>"),
        [Missing, Missing, Missing]
    );
    let renamed = VLLM.replace("num_requests_waiting{", "requests_waiting{");
    let reading = read(EngineKind::Vllm, renamed.as_bytes());
    assert_eq!(
        (reading.figures.map(|figures| figures.waiting), reading.ignored),
        (Some(0), vec![Missing])
    );
    let fuller = VLLM.replace("} 0.0009766817238432424", "} 1.5");
    assert_eq!(ignored(EngineKind::Vllm, &fuller), [Absurd]);
    let more_reasons = VLLM.replace("reason=\"deferred\"} 0.0", "reason=\"deferred\"} 7.0");
    assert_eq!(ignored(EngineKind::Vllm, &more_reasons), [Contradictory]);
    let one_is_none = [
        VLLM,
        "vllm:num_requests_running{engine=\"1\"} NaN\nvllm:num_requests_running{engine=\"2\"} 1\n",
    ]
    .concat();
    assert_eq!(ignored(EngineKind::Vllm, &one_is_none), [Absurd]);
    let more_blocks = TENSORRT_LLM.replace("\"usedNumBlocks\":250", "\"usedNumBlocks\":2500");
    assert_eq!(ignored(EngineKind::TensorrtLlm, &more_blocks), [Contradictory]);
    let more_tokens = LOADS.replace("\"num_used_tokens\":700", "\"num_used_tokens\":70000");
    assert_eq!(ignored(EngineKind::Sglang, &more_tokens), [Contradictory]);
    assert_eq!(ignored(EngineKind::TensorrtLlm, "[]"), [Missing, Missing, Missing]);
    for (engine, page) in [
        (EngineKind::TensorrtLlm, "{}"),
        (EngineKind::TensorrtLlm, VLLM),
        (EngineKind::Sglang, "{\"loads\":7}"),
        (EngineKind::LlamaCpp, "[{\"id\":0}]"),
        (EngineKind::LlamaCpp, &SLOTS[..200]),
    ] {
        assert_eq!(ignored(engine, page), [Garbage], "{engine:?} {page}");
    }
}

proptest! {
    /// Whatever engines send, what is believed is within bounds.
    #[test]
    fn any_bytes_are_read(start in 0..7_usize, cut in any::<prop::sample::Index>(), bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let page = [VLLM, SGLANG, LOADS, TGI, TENSORRT_LLM, LLAMA_CPP, SLOTS][start].as_bytes();
        let at = cut.index(page.len());
        let page = [&page[..at], &bytes, &page[at..]].concat();
        for engine in EngineKind::ALL {
            for page in [&page[..], &bytes] {
                let reading = read(engine, page);
                prop_assert!(reading.ignored.len() <= 3);
                if let Some(figures) = reading.figures {
                    prop_assert!(figures.running <= 1_000_000 && figures.waiting <= 1_000_000);
                }
            }
        }
    }
}
