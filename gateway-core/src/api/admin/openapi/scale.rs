//! What is told of how many replicas clusters should have: flat, for who reads one number by its name.

use serde_json::{Value, json};

use super::{Described, count, list, maybe, object, said, text};

/// Of all clusters.
pub(super) fn of_all() -> Described {
    let elsewhere = object(&[("cluster", text()), ("ask_at", maybe("string"))]);
    Described::new(
        "listScales",
        "How many replicas all clusters should have; those that are not known here are named apart.",
        object(&[
            ("clusters", list(scale())),
            ("unreachable", list(text())),
            ("elsewhere", list(elsewhere)),
        ]),
        &[],
    )
}

/// Of one of them.
pub(super) fn of_one() -> Described {
    Described::new(
        "readScale",
        "How many replicas a cluster should have, and why.",
        scale(),
        &[404, 409],
    )
}

fn scale() -> Value {
    let p95 = "Time to first token that 95% of streams of the last minute had at most; null without streams.";
    let mut members = vec![
        ("cluster", text()),
        ("reasons", said(list(text()), "Why so many, in whole sentences.")),
        ("ttft_ms_p95", said(maybe("number"), p95)),
    ];
    members.extend(COUNTS.map(|(name, about)| (name, said(count(), about))));
    let number = || json!({"type": "number"});
    members.extend(NUMBERS.map(|(name, about)| (name, said(number(), about))));
    object(&members)
}

/// Whole numbers from 0 on, and what each is.
const COUNTS: [(&str, &str); 15] = [
    ("desired_replicas", "How many there should be."),
    ("min_replicas", "As configured."),
    ("max_replicas", "As configured."),
    (
        "configured_replicas",
        "How many the configuration names; each is one of those that follow.",
    ),
    ("serving_replicas", "Those that serve."),
    ("loading_replicas", "Those whose engines say that they load."),
    ("draining_replicas", "Those that drain, and hold something."),
    ("ill_replicas", "Those that are there and fail."),
    ("standby_replicas", "Those that are not there, as far as is known."),
    ("unknown_replicas", "Those of which nothing was heard."),
    ("ttft_streams", "How many streams `ttft_ms_p95` is of."),
    ("queue_requests", "Requests that wait."),
    ("queue_tokens", "Their prompts and expected answers."),
    (
        "in_flight_requests",
        "Requests in flight, and slots kept for the next ones.",
    ),
    ("in_flight_tokens", "Their prompts and expected answers."),
];

/// Other numbers.
const NUMBERS: [(&str, &str); 11] = [
    (
        "ttft_relative_error",
        "By how much `ttft_ms_p95` may be off, as a share of itself.",
    ),
    ("queue_oldest_ms", "For how long the first of those that wait has."),
    (
        "batch_fullness",
        "Share of the places of replicas that serve which is taken, from 0 to 1.",
    ),
    ("kv_cache_usage", "Share of their kv_cache, from 0 to 1."),
    ("arrival_requests_per_s", "Requests that come."),
    ("arrival_tokens_per_s", "Their prompts and expected answers."),
    (
        "arrival_tokens_per_s_per_minute",
        "By how much that changes; below 0 where it falls.",
    ),
    (
        "expected_arrival_tokens_per_s",
        "What is expected after `cold_start_ms`.",
    ),
    (
        "prefill_tokens_per_s",
        "Prompt tokens in no cache that one replica computes.",
    ),
    ("decode_tokens_per_s", "Tokens that one answer writes beside others."),
    (
        "cold_start_ms",
        "From the advice of a replica to its first sign, measured or configured.",
    ),
];
