//! The description of operators' paths as an `OpenAPI` 3.1 document, made from the table that the router follows. No
//! gateway serves it: it is `docs/admin-api.json`.

mod rollouts;
mod scale;

use serde_json::{Map, Value, json};

use super::{AdminPath, BASE, right};
use crate::api::Right;

/// The document as it stands in `docs/admin-api.json`.
pub fn admin_api() -> String {
    let mut paths = Map::new();
    for path in AdminPath::ALL {
        let methods = path.methods().split(", ").filter(|method| *method != "HEAD");
        let mut item: Map<String, Value> = methods
            .map(|method| (method.to_lowercase(), operation(path, method)))
            .collect();
        let parameters: Vec<_> = names(path.template()).map(parameter).collect();
        if !parameters.is_empty() {
            item.insert("parameters".to_owned(), parameters.into());
        }
        paths.insert(format!("{BASE}{}", path.template()), item.into());
    }
    let document = json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Tidegate's admin API",
            "version": "1",
            "description": "docs/admin.md tells how it is used. HEAD does wherever GET does.",
        },
        "security": [{"key": []}],
        "paths": paths,
        "components": {
            "securitySchemes": {"key": {
                "type": "http", "scheme": "bearer",
                "description": "One of admin.keys in gateway.toml; to look, admin.read_keys do as well.",
            }},
            "schemas": {"error": error()},
        },
    });
    format!("{document:#}\n")
}

fn operation(path: AdminPath, method: &str) -> Value {
    let described = Described::of(path, method);
    let takes_write = method.parse().is_ok_and(|method| right(path, &method) == Right::Write);
    let needs = if takes_write {
        "Takes a key of admin.keys."
    } else {
        "Takes any admin key."
    };
    let mut refused: Vec<u16> = vec![401, 503];
    refused.extend(described.refused);
    if takes_write {
        refused.push(403);
    }
    let mut responses: Map<String, Value> = refused
        .into_iter()
        .map(|status| {
            let content = json!({"application/json": {"schema": {"$ref": "#/components/schemas/error"}}});
            (
                status.to_string(),
                json!({"description": meaning(status), "content": content}),
            )
        })
        .collect();
    let (media, answer) = described.answer;
    let content = Map::from_iter([(media.to_owned(), json!({"schema": answer}))]);
    responses.insert("200".to_owned(), json!({"description": "Done.", "content": content}));
    let mut operation = json!({
        "operationId": described.id, "summary": described.summary, "description": needs, "responses": responses,
    });
    if let Some((media, body, required)) = described.body {
        let content = Map::from_iter([(media.to_owned(), json!({"schema": body}))]);
        operation["requestBody"] = json!({"required": required, "content": content});
    }
    operation
}

/// What is said of one method of one path.
struct Described {
    id: &'static str,
    summary: &'static str,
    /// Media type, schema, and whether there must be one.
    body: Option<(&'static str, Value, bool)>,
    answer: (&'static str, Value),
    /// Statuses besides those that every path may answer with.
    refused: &'static [u16],
}

impl Described {
    fn new(id: &'static str, summary: &'static str, answer: Value, refused: &'static [u16]) -> Self {
        Self {
            id,
            summary,
            body: None,
            answer: (JSON, answer),
            refused,
        }
    }

    fn of_drain(method: &str) -> Self {
        match method {
            "POST" => Self {
                body: Some((JSON, drain_order(), false)),
                ..Self::new(
                    "drain",
                    "Has a replica drain: it gets no more requests, and those that run there go on. Asked again it takes \
                     the newer deadline.",
                    replica(),
                    &[404, 409, 422],
                )
            },
            "DELETE" => Self::new("undoDrain", "The replica is as others again.", replica(), &[404, 409]),
            _ => Self::new("readDrain", "How a replica stands.", replica(), &[404, 409]),
        }
    }

    fn of_canned(method: &str) -> Self {
        let stands = object(&[
            (
                "version",
                said(maybe("string"), "Of the document; null where there is none."),
            ),
            ("texts", said(count(), "How many texts are in force.")),
        ]);
        match method {
            "PUT" => Self {
                body: Some((TOML, text(), true)),
                ..Self::new(
                    "writeCannedTexts",
                    "Puts texts in force that stand for answers, in place of those of the configuration: a [canned] table as \
                     gateway.toml has it.",
                    stands,
                    &[413, 422],
                )
            },
            "DELETE" => Self::new(
                "resetCannedTexts",
                "Puts the configuration's texts in force again.",
                stands,
                &[],
            ),
            _ => Self {
                answer: (TOML, text()),
                ..Self::new(
                    "readCannedTexts",
                    "The texts in force: the document as it was put, or one that says what the configuration does.",
                    Value::Null,
                    &[],
                )
            },
        }
    }

    fn of_poll() -> Self {
        Self::new(
            "pollCluster",
            "Asks a cluster's engines what they say of themselves, where it is time for that.",
            object(&[
                ("cluster", text()),
                (
                    "turn",
                    said(boolean(), "Whether it was time, and nobody else asks them."),
                ),
                ("replicas", said(count(), "How many were to be asked.")),
                ("read", said(count(), "How many have said something.")),
            ]),
            &[404, 409],
        )
    }

    fn of_cache() -> Self {
        Self::new(
            "purgeCache",
            "Purges answers of the response cache that are there by now: of ?tenant=, of ?model=, of a model and a tenant, the one \
             with ?key=, or all with ?all=1.",
            object(&[
                ("purged", said(open_object(), "What was asked for.")),
                (
                    "everywhere_within_s",
                    said(count(), "By when no gateway gives such an answer any more."),
                ),
            ]),
            &[404, 422],
        )
    }

    fn of_explaining(path: AdminPath) -> Self {
        if path == AdminPath::Requests {
            return Self::new(
                "listRequests",
                "The latest requests that this process, isolate or instance has answered, the newest first; ?status=, \
                 ?tenant= and ?cluster= leave out others.",
                object(&[("requests", list(open_object()))]),
                &[422],
            );
        }
        if path == AdminPath::Request {
            return Self::new(
                "readRequest",
                "Why a request went where it went: its decision record, as docs/explain.md tells it.",
                open_object(),
                &[404],
            );
        }
        Self {
            body: Some((JSON, request_to_try(), true)),
            ..Self::new(
                "explainRequest",
                "Where a request would go now, and why: its decision record. Nothing is reserved, held or sent. One that \
                 would be refused before it has a way is refused as its client would be.",
                open_object(),
                &[400, 403, 404, 413, 422],
            )
        }
    }

    fn of(path: AdminPath, method: &str) -> Self {
        let new = Self::new;
        match (path, method) {
            (AdminPath::Config, "PUT") => Self {
                body: Some((TOML, json!({"type": "string"}), true)),
                ..new(
                    "writeConfig",
                    "Puts a configuration in force. One without an admin key has to come with ?without-admin=1.",
                    object(&[("version", json!({"type": "string"}))]),
                    &[413, 422],
                )
            },
            (AdminPath::Config, _) => Self {
                answer: (TOML, json!({"type": "string"})),
                ..new("readConfig", "The configuration in force, as text.", Value::Null, &[])
            },
            (AdminPath::Canned, method) => Self::of_canned(method),
            (AdminPath::Budgets, _) => new(
                "listBudgets",
                "How all budgets stand; those whose cells do not answer are named apart.",
                object(&[("budgets", list(open_object())), ("unreachable", list(text()))]),
                &[],
            ),
            (AdminPath::Budget, "PUT") => Self {
                body: Some((JSON, open_object(), true)),
                ..new(
                    "setBudgetLimits",
                    "Changes the limits that the body names, in place of the configuration's; null takes one away.",
                    open_object(),
                    &[404, 422],
                )
            },
            (AdminPath::Budget, "DELETE") => new(
                "resetBudgetLimits",
                "Puts the configuration's limits back.",
                open_object(),
                &[404],
            ),
            (AdminPath::Budget, _) => new("readBudget", "How a budget stands.", open_object(), &[404]),
            (AdminPath::Clusters, _) => new(
                "listClusters",
                "How all clusters stand.",
                object(&[("clusters", list(cluster()))]),
                &[],
            ),
            (AdminPath::Drain, method) => Self::of_drain(method),
            (AdminPath::Poll, _) => Self::of_poll(),
            (AdminPath::Rollouts, _) => rollouts::all(),
            (AdminPath::Rollout, method) => rollouts::one(method),
            (AdminPath::Requests | AdminPath::Request | AdminPath::Explain, _) => Self::of_explaining(path),
            (AdminPath::Cache, _) => Self::of_cache(),
            (AdminPath::Scales, _) => scale::of_all(),
            (AdminPath::Scale, _) => scale::of_one(),
            (AdminPath::Cluster, _) => new("readCluster", "How a cluster stands.", cluster(), &[404]),
        }
    }
}

fn cluster() -> Value {
    object(&[
        ("cluster", text()),
        ("region", text()),
        ("engine", text()),
        (
            "ask_at",
            said(
                maybe("string"),
                "The region hop that knows; null where this gateway does.",
            ),
        ),
        ("max_running", said(count(), "Requests at once, of each replica.")),
        ("kv_cache_tokens", said(count(), "Of each replica.")),
        (
            "takes_requests",
            said(
                maybe("boolean"),
                "Whether any replica does; null where it is not known.",
            ),
        ),
        (
            "replicas",
            json!({"anyOf": [list(replica()), {"type": "null"}],
                "description": "Null where it is not known: the cell does not answer, or the region hop knows."}),
        ),
        ("queue", json!({"anyOf": [queue(), {"type": "null"}]})),
    ])
}

fn replica() -> Value {
    object(&[
        ("replica", text()),
        (
            "configured",
            said(boolean(), "Whether the configuration names it still."),
        ),
        (
            "running",
            said(count(), "Requests in flight, and slots kept for the next ones."),
        ),
        ("kv_tokens", said(count(), "kv_cache held, in tokens.")),
        ("takes_requests", boolean()),
        (
            "breaker",
            json!({"type": "string", "enum": ["closed", "open", "half_open"]}),
        ),
        ("breaker_passes_in_ms", maybe("integer")),
        ("drain", json!({"anyOf": [drain(), {"type": "null"}]})),
        (
            "watched",
            said(
                json!({"anyOf": [watched(), {"type": "null"}]}),
                "What detectors found in its answers in the present window.",
            ),
        ),
    ])
}

fn watched() -> Value {
    object(&[
        ("answers", count()),
        ("faulty", said(count(), "Those in which something was found.")),
        (
            "left_alone_ms",
            said(maybe("integer"), "For how long it is left alone because of that."),
        ),
    ])
}

fn request_to_try() -> Value {
    let mut request = object(&[
        ("tenant", text()),
        (
            "path",
            said(
                json!({"type": "string", "default": "/v1/chat/completions"}),
                "What it would be sent to.",
            ),
        ),
        (
            "priority",
            json!({"type": "string", "enum": ["low", "normal", "high"], "default": "normal"}),
        ),
        (
            "location",
            said(
                maybe("string"),
                "Where it would come in: a region's name, or `LATITUDE,LONGITUDE` in degrees.",
            ),
        ),
        (
            "headers",
            json!({"type": "object", "additionalProperties": {"type": "string"}}),
        ),
        ("body", said(open_object(), "The request itself.")),
    ]);
    request["required"] = json!(["tenant", "body"]);
    request
}

fn drain_order() -> Value {
    let mut order = object(&[
        (
            "deadline_s",
            json!({"type": "integer", "minimum": 1, "maximum": 86_400, "default": 900}),
        ),
        ("reason", json!({"type": ["string", "null"], "maxLength": 200})),
    ]);
    order["required"] = json!([]);
    order
}

fn drain() -> Value {
    object(&[
        ("since_s", seconds()),
        ("deadline_in_s", said(seconds(), "0 when it has passed.")),
        ("overdue", said(boolean(), "Whether requests run beyond the deadline.")),
        (
            "done",
            said(
                boolean(),
                "Whether nothing is held there any more, as far as can be known.",
            ),
        ),
        ("left", count()),
        ("kv_tokens", count()),
        ("oldest_s", said(maybe("number"), "No request has run longer.")),
        (
            "ends_in_s",
            said(
                maybe("number"),
                "In how long it is over, if requests end as fast as they have.",
            ),
        ),
        ("reason", maybe("string")),
    ])
}

fn queue() -> Value {
    object(&[
        ("requests", count()),
        (
            "by_priority",
            object(&[("high", count()), ("normal", count()), ("low", count())]),
        ),
        ("bytes", count()),
        ("oldest_ms", count()),
        ("expected_wait_ms", count()),
    ])
}

fn error() -> Value {
    let error = object(&[
        ("message", text()),
        ("type", text()),
        ("param", maybe("string")),
        ("code", maybe("string")),
    ]);
    object(&[("error", error)])
}

fn meaning(status: u16) -> &'static str {
    match status {
        400 => "The request would be refused; the message says why.",
        401 => "There is no key, or nobody's.",
        403 => "The key may only look, or the tenant may not have that.",
        404 => "There is nothing of that name.",
        409 => "Another gateway has to be asked: the message says which.",
        413 => "The body is too large.",
        422 => "The body is wrong; the message says what would be right.",
        _ => "What has to be asked or written does not answer.",
    }
}

/// The names in a path's braces.
fn names(template: &str) -> impl Iterator<Item = &str> {
    let parts = template.split('/');
    parts.filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'))
}

fn parameter(name: &str) -> Value {
    json!({"name": name, "in": "path", "required": true, "schema": {"type": "string"}})
}

fn object(members: &[(&str, Value)]) -> Value {
    let names: Vec<_> = members.iter().map(|(name, _)| *name).collect();
    let members = members.iter().map(|(name, value)| ((*name).to_owned(), value.clone()));
    let members: Map<_, _> = members.collect();
    json!({"type": "object", "properties": members, "required": names, "additionalProperties": false})
}

fn open_object() -> Value {
    json!({"type": "object"})
}

fn list(of: Value) -> Value {
    json!({"type": "array", "items": of})
}

fn said(mut schema: Value, description: &str) -> Value {
    schema["description"] = json!(description);
    schema
}

fn maybe(kind: &str) -> Value {
    json!({"type": [kind, "null"]})
}

fn text() -> Value {
    json!({"type": "string"})
}

fn boolean() -> Value {
    json!({"type": "boolean"})
}

fn seconds() -> Value {
    json!({"type": "number", "minimum": 0})
}

fn count() -> Value {
    json!({"type": "integer", "minimum": 0})
}

const JSON: &str = "application/json";
const TOML: &str = "application/toml";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_description_in_the_repository_is_the_one_that_the_table_makes() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/admin-api.json");
        let stored = std::fs::read_to_string(path).unwrap_or_default();
        assert!(
            stored == admin_api(),
            "out of date; make it anew: tidegate schema admin > docs/admin-api.json"
        );
    }

    #[test]
    fn every_operation_has_a_name_of_its_own() {
        let document: Value = serde_json::from_str(&admin_api()).expect("JSON");
        let paths = document["paths"].as_object().expect("paths");
        let operations = paths
            .values()
            .flat_map(|item| item.as_object().expect("methods").values());
        let mut ids: Vec<_> = operations
            .filter_map(|operation| operation["operationId"].as_str())
            .collect();
        let count = ids.len();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!((ids.len(), paths.len()), (count, AdminPath::ALL.len()));
    }
}
