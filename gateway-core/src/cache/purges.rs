//! Which answers operators have purged. The store cannot tell which answers it has of a tenant or a model: what is written
//! down instead is when they were purged, and an answer whose request had begun by then counts no more.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::ids::{ModelName, TenantName};
use crate::time::Timestamp;

/// Which answers: of a tenant or of all, and of a model or of all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PurgeScope {
    /// Whose; everybody's where it is `None`.
    pub tenant: Option<TenantName>,
    /// Of which model; of all where it is `None`.
    pub model: Option<ModelName>,
}

/// What is known here of the purges of some scopes.
#[derive(Debug, Default)]
pub struct PurgeMemory(BTreeMap<String, Known>);

#[derive(Clone, Copy, Debug)]
struct Known {
    purged: Option<Timestamp>,
    read: Timestamp,
}

impl PurgeScope {
    /// All scopes that an answer is in.
    pub fn of_answer(tenant: &TenantName, model: &ModelName) -> [Self; 4] {
        [(false, false), (true, false), (false, true), (true, true)].map(|(of_tenant, of_model)| Self {
            tenant: of_tenant.then(|| tenant.clone()),
            model: of_model.then(|| model.clone()),
        })
    }

    /// Where the store says when it was purged. Tenants' names have no slash in them.
    pub fn store_key(&self) -> String {
        let tenant = self.tenant.as_ref().map_or("", TenantName::as_str);
        let model = self.model.as_ref().map_or("", ModelName::as_str);
        format!("purged/{tenant}/{model}")
    }

    /// What stands there of a purge at that moment of the wall clock.
    pub fn value(purged: Timestamp) -> String {
        purged.as_micros().to_string()
    }
}

impl PurgeMemory {
    /// The scopes of an answer that have to be read before it is known whether it counts.
    pub fn unknown(&self, now: Timestamp, scopes: &[PurgeScope]) -> Vec<String> {
        let keys = scopes.iter().map(PurgeScope::store_key);
        let is_known = |key: &String| self.0.get(key).is_some_and(|known| now.since(known.read) < KNOWN_FOR);
        keys.filter(|key| !is_known(key)).collect()
    }

    /// The store says that of a scope.
    pub fn on_read(&mut self, now: Timestamp, key: String, value: Option<&[u8]>) {
        let micros = value.and_then(|value| std::str::from_utf8(value).ok()?.parse().ok());
        self.on_purge(now, key, micros.map(Timestamp::from_micros));
    }

    /// An operator has purged a scope, here and now. What the store says later may be older.
    pub fn on_purge(&mut self, now: Timestamp, key: String, purged: Option<Timestamp>) {
        if self.0.len() >= MOST && !self.0.contains_key(&key) {
            self.0.retain(|_, known| now.since(known.read) < KNOWN_FOR);
            if self.0.len() >= MOST {
                self.0.pop_first();
            }
        }
        let before = self.0.get(&key).and_then(|known| known.purged);
        let purged = purged.max(before);
        self.0.insert(key, Known { purged, read: now });
    }

    /// Whether an answer of these scopes, whose request began then, may have been purged, for all that is known.
    pub fn may_be_purged(&self, scopes: &[PurgeScope], began: Timestamp) -> bool {
        scopes.iter().any(|scope| match self.0.get(&scope.store_key()) {
            Some(Known { purged, .. }) => purged.is_some_and(|purged| began <= purged + CLOCKS_DIFFER),
            // It had to make room for others.
            None => true,
        })
    }
}

/// How long it is known without a look that a scope was not purged.
const KNOWN_FOR: Duration = Duration::from_secs(5);
/// By how much the clocks of two gateways may differ.
const CLOCKS_DIFFER: Duration = Duration::from_secs(1);
/// Scopes that are known at once: with their names about 1 MB.
const MOST: usize = 8_192;

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Timestamp {
        Timestamp::from_millis(1_000_000 + millis)
    }

    #[test]
    fn what_began_before_a_purge_of_any_of_its_scopes_counts_no_more() {
        let scopes = PurgeScope::of_answer(&"acme".into(), &"org/m".into());
        let mut memory = PurgeMemory::default();
        assert_eq!(
            memory.unknown(at(0), &scopes),
            ["purged//", "purged/acme/", "purged//org/m", "purged/acme/org/m"]
        );
        for key in memory.unknown(at(0), &scopes) {
            memory.on_read(at(0), key, None);
        }
        assert!(memory.unknown(at(4_999), &scopes).is_empty() && !memory.may_be_purged(&scopes, at(0)));
        memory.on_read(
            at(1),
            scopes[2].store_key(),
            Some(PurgeScope::value(at(10_000)).as_bytes()),
        );
        assert!(memory.may_be_purged(&scopes, at(9_999)) && memory.may_be_purged(&scopes, at(11_000)));
        assert!(!memory.may_be_purged(&scopes, at(11_001)));
        let other = PurgeScope::of_answer(&"acme".into(), &"other".into());
        assert!(memory.may_be_purged(&other, at(99_999)), "nobody has looked");
        for key in memory.unknown(at(1), &other) {
            memory.on_read(at(1), key, None);
        }
        assert!(!memory.may_be_purged(&other, at(9_999)));
        memory.on_read(at(5_001), scopes[2].store_key(), None);
        assert!(
            memory.may_be_purged(&scopes, at(9_999)),
            "a store that shows what was before takes nothing back"
        );
        assert_eq!(memory.unknown(at(5_001), &scopes).len(), 3);
    }

    #[test]
    fn no_more_is_known_than_may_be() {
        let mut memory = PurgeMemory::default();
        for number in 0..MOST + 10 {
            memory.on_read(at(0), number.to_string(), None);
        }
        assert_eq!(memory.0.len(), MOST);
        memory.on_read(at(5_000), "new".to_owned(), None);
        assert_eq!(memory.0.len(), 1);
    }
}
