//! Which faults are switched on, and which of them hit a request.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use memchr::memmem;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::kind::{DrawnFaults, Fault};
use crate::language::random::Random;

/// The faults that are switched on.
#[derive(Debug)]
pub(in crate::server) struct FaultRules {
    /// How many there are: most requests meet none, and take no lock.
    armed: AtomicUsize,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    rules: Vec<Rule>,
    random: Random,
    last_id: u64,
}

#[derive(Debug, Serialize)]
struct Rule {
    id: u64,
    #[serde(flatten)]
    fault: Fault,
    #[serde(flatten)]
    scope: Scope,
    hits: u64,
}

/// Which requests a fault applies to.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Scope {
    #[serde(rename = "match", skip_serializing_if = "Option::is_none")]
    needle: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    path: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    count: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    probability: Option<f64>,
}

/// A fault that cannot be switched on.
#[derive(Debug, thiserror::Error)]
pub(in crate::server) enum RuleError {
    #[error("a fault is a JSON object with a \"kind\"")]
    NotAnObject,
    #[error("{0}")]
    Json(#[from] serde_json::Error),
    #[error("{field} must be {range}")]
    OutOfRange { field: &'static str, range: &'static str },
}

/// Paths that a fault without `path` applies to.
const INFERENCE_PATHS: [&str; 3] = ["/v1/chat/completions", "/v1/completions", "/v1/embeddings"];
/// Fields of [`Scope`], as written.
const SCOPE_FIELDS: [&str; 4] = ["match", "path", "count", "probability"];

impl FaultRules {
    pub fn new(seed: u64) -> Self {
        let state = State {
            rules: Vec::new(),
            random: Random::new(seed),
            last_id: 0,
        };
        Self {
            armed: AtomicUsize::new(0),
            state: Mutex::new(state),
        }
    }

    /// Switches on one fault or a list of them, all or none.
    pub fn add(&self, written: &[u8]) -> Result<Value, RuleError> {
        let written: Value = serde_json::from_slice(written)?;
        let list = if let Value::Array(list) = written {
            list
        } else {
            vec![written]
        };
        let parsed = list.into_iter().map(parse).collect::<Result<Vec<_>, _>>()?;
        let mut state = self.lock();
        let mut added = Vec::with_capacity(parsed.len());
        for (fault, scope) in parsed {
            state.last_id += 1;
            let rule = Rule {
                id: state.last_id,
                fault,
                scope,
                hits: 0,
            };
            added.push(serde_json::to_value(&rule)?);
            state.rules.push(rule);
        }
        self.armed.store(state.rules.len(), Ordering::Release);
        Ok(json!({ "faults": added }))
    }

    /// Everything that is switched on.
    pub fn list(&self) -> Result<Value, RuleError> {
        Ok(json!({ "faults": serde_json::to_value(&self.lock().rules)? }))
    }

    /// Switches off all faults, or the one with this id; says how many that were.
    pub fn remove(&self, id: Option<u64>) -> usize {
        let mut state = self.lock();
        let before = state.rules.len();
        state.rules.retain(|rule| id.is_some_and(|id| rule.id != id));
        self.armed.store(state.rules.len(), Ordering::Release);
        before - state.rules.len()
    }

    /// The faults that hit this request; each counts the hit.
    pub fn draw(&self, path: &str, body: &[u8]) -> DrawnFaults {
        if self.armed.load(Ordering::Acquire) == 0 {
            return DrawnFaults::default();
        }
        let mut state = self.lock();
        let State { rules, random, .. } = &mut *state;
        let mut drawn = Vec::new();
        for rule in rules.iter_mut().filter(|rule| rule.scope.covers(path, body)) {
            if rule
                .scope
                .probability
                .is_some_and(|probability| random.fraction() >= probability)
            {
                continue;
            }
            rule.hits += 1;
            if let Some(left) = &mut rule.scope.count {
                *left -= 1;
            }
            drawn.push(rule.fault.clone());
        }
        rules.retain(|rule| rule.scope.count != Some(0));
        self.armed.store(rules.len(), Ordering::Release);
        DrawnFaults(drawn)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Scope {
    fn covers(&self, path: &str, body: &[u8]) -> bool {
        let path_covered = match &self.path {
            Some(only) => only == path,
            None => INFERENCE_PATHS.contains(&path),
        };
        path_covered
            && self
                .needle
                .as_ref()
                .is_none_or(|needle| memmem::find(body, needle.as_bytes()).is_some())
    }
}

fn parse(written: Value) -> Result<(Fault, Scope), RuleError> {
    let Value::Object(mut fields) = written else {
        return Err(RuleError::NotAnObject);
    };
    let scope = SCOPE_FIELDS
        .iter()
        .filter_map(|field| fields.remove_entry(*field))
        .collect();
    let scope: Scope = serde_json::from_value(Value::Object(scope))?;
    let fault: Fault = serde_json::from_value(Value::Object(fields))?;
    check(&fault, &scope)?;
    Ok((fault, scope))
}

fn check(fault: &Fault, scope: &Scope) -> Result<(), RuleError> {
    let out_of_range = |field, range| Err(RuleError::OutOfRange { field, range });
    if scope
        .probability
        .is_some_and(|probability| !(0.0..=1.0).contains(&probability))
    {
        return out_of_range("probability", "0 to 1");
    }
    if scope.count == Some(0) {
        return out_of_range("count", "at least 1");
    }
    if let Fault::Status { status, .. } | Fault::StreamError { status, .. } = fault
        && !(400..600).contains(status)
    {
        return out_of_range("status", "400 to 599");
    }
    if let Fault::Slow { factor } = fault
        && !(1.0..=10_000.0).contains(factor)
    {
        return out_of_range("factor", "1 to 10000");
    }
    if let Fault::Framing { split: Some(0), .. } = fault {
        return out_of_range("split", "at least 1");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHAT: &str = "/v1/chat/completions";

    fn rules(written: &str) -> FaultRules {
        let rules = FaultRules::new(1);
        rules.add(written.as_bytes()).unwrap();
        rules
    }

    #[test]
    fn a_fault_hits_what_it_matches_as_often_as_it_may() {
        let rules = rules(r#"{"kind":"hang","match":"mark","count":2}"#);
        assert!(rules.draw(CHAT, b"other").0.is_empty());
        assert!(rules.draw("/metrics", b"mark").0.is_empty());
        for _ in 0..2 {
            assert_eq!(rules.draw(CHAT, b"a mark").0, [Fault::Hang {}]);
        }
        assert!(rules.draw(CHAT, b"a mark").0.is_empty());
        assert_eq!(rules.list().unwrap(), json!({ "faults": [] }));
    }

    #[test]
    fn a_path_can_be_named_and_an_id_removed() {
        let rules = rules(r#"[{"kind":"status","status":503,"path":"/metrics"},{"kind":"empty"}]"#);
        assert_eq!(rules.draw("/metrics", b"").0.len(), 1);
        assert_eq!(rules.draw(CHAT, b"").0, [Fault::Empty {}]);
        assert_eq!(
            (rules.remove(Some(1)), rules.remove(Some(1)), rules.remove(None)),
            (1, 0, 1)
        );
        assert!(rules.draw(CHAT, b"").0.is_empty());
    }

    #[test]
    fn probability_is_drawn_from_the_seed() {
        let hits = || {
            let rules = rules(r#"{"kind":"empty","probability":0.3}"#);
            (0..1_000).map(|_| rules.draw(CHAT, b"").0.len()).collect::<Vec<_>>()
        };
        let first = hits();
        assert!((230..370).contains(&first.iter().sum::<usize>()));
        assert_eq!(first, hits());
    }

    #[test]
    fn what_is_written_wrongly_is_refused_with_its_reason() {
        let rules = FaultRules::new(1);
        for (written, reason) in [
            ("5", "JSON object"),
            (r#"{"kind":"explode"}"#, "unknown variant `explode`"),
            (r#"{"kind":"hang","cuont":1}"#, "unknown field `cuont`"),
            (r#"{"kind":"hang","count":0}"#, "count must be"),
            (r#"{"kind":"status","status":200}"#, "status must be"),
            (r#"{"kind":"slow","factor":0.5}"#, "factor must be"),
            (r#"{"kind":"hang","probability":2}"#, "probability must be"),
            (r#"{"kind":"framing","split":0}"#, "split must be"),
        ] {
            let error = rules.add(written.as_bytes()).unwrap_err().to_string();
            assert!(error.contains(reason), "{written}: {error}");
        }
        assert_eq!(rules.list().unwrap(), json!({ "faults": [] }));
    }
}
