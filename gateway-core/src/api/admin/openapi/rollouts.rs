//! What the description says of rollouts.

use serde_json::{Value, json};

use super::{Described, JSON, boolean, count, list, maybe, object, open_object, said, seconds, text};

/// Of all of them.
pub(super) fn all() -> Described {
    Described::new(
        "listRollouts",
        "How the versions of all models that have some share conversations; those whose cells do not answer are named apart.",
        object(&[("rollouts", list(rollout())), ("unreachable", list(text()))]),
        &[409],
    )
}

/// Of one method of one of them.
pub(super) fn one(method: &str) -> Described {
    match method {
        "PUT" => Described {
            body: Some((JSON, rollout_weights(), true)),
            ..Described::new(
                "setWeights",
                "Sets the weights of the versions that the body names, in percent; the others share the rest as before. \
                 Where that raises one, a rollout of it is under way, and paused.",
                rollout(),
                &[404, 409, 422],
            )
        },
        "POST" => Described {
            body: Some((JSON, rollout_action(), true)),
            ..Described::new(
                "actOnRollout",
                "Has a version take over from the others in steps, has that stop at its step or go on, or puts the \
                 weights back.",
                rollout(),
                &[404, 409, 422],
            )
        },
        _ => Described::new("readRollout", "How a model's versions stand.", rollout(), &[404, 409]),
    }
}

fn rollout() -> Value {
    let running = object(&[
        ("version", said(text(), "Which one takes over.")),
        ("before", said(percents(), "The weights to which an abort goes back.")),
        ("since_s", seconds()),
        ("step_for_s", seconds()),
        ("paused", said(boolean(), "Whether steps forward wait for an operator.")),
        (
            "next",
            said(maybe("number"), "The next step, in percent; null after the last."),
        ),
    ]);
    let ended = object(&[
        ("version", text()),
        (
            "how",
            json!({"type": "string", "enum": ["done", "rolled_back", "aborted"]}),
        ),
        ("reason", maybe("string")),
        ("ago_s", seconds()),
    ]);
    let change = object(&[
        ("change", text()),
        ("version", maybe("string")),
        ("weights", percents()),
        ("reason", maybe("string")),
        ("ago_s", seconds()),
    ]);
    object(&[
        ("model", text()),
        (
            "state",
            json!({"type": "string", "enum": ["steady", "running", "paused"]}),
        ),
        ("in_force_in_s", said(seconds(), "0 when the weights hold.")),
        ("versions", list(version())),
        ("rollout", json!({"anyOf": [running, {"type": "null"}]})),
        ("ended", json!({"anyOf": [ended, {"type": "null"}]})),
        ("steps", said(list(count()), "Of the configuration, in percent.")),
        (
            "step_after_s",
            said(maybe("number"), "Null where an operator goes from step to step."),
        ),
        ("min_requests", count()),
        ("log", said(list(change), "The latest last.")),
    ])
}

fn version() -> Value {
    let first_tokens = object(&[
        ("tokens_from", count()),
        ("tokens_below", maybe("integer")),
        ("median_ms", count()),
    ]);
    object(&[
        ("version", text()),
        ("weight", said(json!({"type": "number"}), "In percent.")),
        ("clusters", list(text())),
        ("requests", said(count(), "Since the weights last changed.")),
        ("failed", count()),
        ("faults", said(open_object(), "How many failed in which way.")),
        (
            "first_tokens",
            said(list(first_tokens), "By how much of their prompts there was to compute."),
        ),
    ])
}

fn percents() -> Value {
    json!({"type": "object", "additionalProperties": {"type": "number", "minimum": 0, "maximum": 100}})
}

fn rollout_weights() -> Value {
    let mut weights = object(&[("weights", percents()), ("reason", rollout_reason())]);
    weights["required"] = json!(["weights"]);
    weights
}

fn rollout_action() -> Value {
    let mut action = object(&[
        (
            "action",
            json!({"type": "string", "enum": ["start", "pause", "resume", "abort"]}),
        ),
        ("version", said(maybe("string"), "For `start`: which one takes over.")),
        ("reason", rollout_reason()),
    ]);
    action["required"] = json!(["action"]);
    action
}

fn rollout_reason() -> Value {
    json!({"type": ["string", "null"], "maxLength": 200})
}
