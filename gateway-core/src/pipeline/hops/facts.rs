//! What the edge says of an order.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::cluster::{HotDigest, WarmAt};
use crate::config::Priority;
use crate::ids::{ClusterName, ModelName, PrefixKey, TenantName, Tokens};
use crate::tokens::Count;

/// What the edge has found out about a request, and the region need not find out again.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(in crate::pipeline) struct OrderFacts {
    /// The cluster that is to serve it.
    pub cluster: ClusterName,
    /// As which model.
    pub model: ModelName,
    /// Whose it is.
    pub tenant: TenantName,
    /// Its key's priority.
    pub priority: Priority,
    /// What it takes of that model.
    pub count: Count,
    /// Most output tokens of each answer that its tenant's budgets bear.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub most_output: Option<Tokens>,
    /// The session, where the client names one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<PrefixKey>,
    /// Where in the cluster its prompt is warm, as the index has it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warm: Vec<WarmAt>,
    /// Whether the cluster is where it goes if nothing is known of its prompt.
    #[serde(default)]
    pub is_home: bool,
    /// How many replicas it may come to.
    pub attempts: u32,
    /// Whether it is to wait where no replica has room.
    #[serde(default)]
    pub waits: bool,
    /// Whether it is to be held where there are no replicas: nothing else that the edge could ask answers.
    #[serde(default)]
    pub is_held: bool,
    /// How long until an answer must have begun, in milliseconds.
    pub left_ms: u64,
    /// The cluster's hot prefixes that the edge knows of.
    #[serde(default)]
    pub known_hot: HotDigest,
    /// Whether the region is to tell why the order goes where it goes.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub explains: bool,
}

impl OrderFacts {
    /// As their header has them: JSON in ASCII.
    pub fn to_header(&self) -> Option<String> {
        // Names in the configuration are ASCII, and so is all else.
        serde_json::to_string(self).ok()
    }

    /// What a header says; `None` where that is not understood.
    pub fn parse(header: &str) -> Option<Self> {
        serde_json::from_str(header).ok()
    }

    /// How long until an answer must have begun.
    pub fn left(&self) -> Duration {
        Duration::from_millis(self.left_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tokens::Basis;

    fn facts() -> OrderFacts {
        OrderFacts {
            cluster: "fra-large".into(),
            model: "qwen3-32b".into(),
            tenant: "acme".into(),
            priority: Priority::High,
            count: Count {
                prompt: Tokens(12),
                basis: Basis::Exact,
                at_least: Tokens(12),
                room: Tokens(100),
                answers: 1,
            },
            most_output: Some(Tokens(7)),
            session: Some(PrefixKey(u64::MAX)),
            warm: vec![WarmAt {
                replica: "http://10.0.0.1:8000".into(),
                tokens: Tokens(8),
                ago: Duration::from_secs(3),
            }],
            is_home: true,
            attempts: 3,
            waits: true,
            is_held: true,
            left_ms: 60_000,
            known_hot: HotDigest(u64::MAX - 1),
            explains: true,
        }
    }

    #[test]
    fn facts_read_as_they_are_written() {
        let header = facts().to_header().expect("it is written");
        assert!(header.is_ascii());
        assert_eq!(OrderFacts::parse(&header), Some(facts()));
    }

    #[test]
    fn what_another_version_leaves_out_or_adds_is_no_hindrance() {
        let least = r#"{"cluster":"fra-large","model":"qwen3-32b","tenant":"acme","priority":"Normal","count":{"prompt":1,
            "basis":"exact","at_least":1,"room":9,"answers":1},"attempts":4,"left_ms":10,"later":{"x":[1]}}"#;
        let facts = OrderFacts::parse(least).expect("it is read");
        assert_eq!(
            (facts.session, facts.warm.len(), facts.known_hot, facts.explains),
            (None, 0, HotDigest(0), false)
        );
        assert_eq!(OrderFacts::parse("{}"), None);
    }
}
