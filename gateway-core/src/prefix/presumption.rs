//! How far it can be relied upon that a conversation with an answer in it is warm where its key leads, as engines have
//! reported of those of which nothing else was known. Most are where a gateway serves whole conversations; few are where
//! clients bring histories that other services have computed. Each tenant's reports count for that tenant alone.

use std::collections::BTreeMap;

use crate::ids::{ModelName, TenantName, Tokens};

/// What this process, isolate or instance has learned, of each tenant and model of its configurations.
#[derive(Debug, Default)]
pub struct Presumptions(BTreeMap<TenantName, BTreeMap<ModelName, f64>>);

impl Presumptions {
    /// How much of a prompt to expect where `presumed` of it may be warm.
    pub fn expected(&self, tenant: &TenantName, model: &ModelName, presumed: Tokens) -> Tokens {
        let share = self.0.get(tenant).and_then(|of_tenant| of_tenant.get(model));
        let share = share.copied().unwrap_or(UNKNOWN);
        Tokens((presumed.0 as f64 * share) as u64)
    }

    /// An engine had `cached` tokens of a prompt of which `presumed` may have been warm.
    pub fn on_found(&mut self, (tenant, model): (&TenantName, &ModelName), presumed: Tokens, cached: Tokens) {
        if presumed == Tokens(0) {
            return;
        }
        let found = (cached.0 as f64 / presumed.0 as f64).min(1.0);
        let of_tenant = self.0.entry(tenant.clone()).or_default();
        let share = of_tenant.entry(model.clone()).or_insert(UNKNOWN);
        *share += (found - *share) * WEIGHT;
    }
}

/// What counts before anything was reported, and where engines report nothing.
const UNKNOWN: f64 = 0.5;
/// Of the latest report: some twenty of them make the figure.
const WEIGHT: f64 = 1.0 / 16.0;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_engines_report_is_what_is_expected_soon() {
        let (tenant, model) = (TenantName::from("t"), ModelName::from("m"));
        let mut known = Presumptions::default();
        let expected = |known: &Presumptions| known.expected(&tenant, &model, Tokens(1_000)).0;
        assert_eq!(expected(&known), 500);
        for _ in 0..64 {
            known.on_found((&tenant, &model), Tokens(1_000), Tokens(900));
        }
        assert!((880..=900).contains(&expected(&known)));
        for _ in 0..64 {
            known.on_found((&tenant, &model), Tokens(1_000), Tokens(0));
        }
        assert!(expected(&known) < 30);
        known.on_found((&tenant, &model), Tokens(0), Tokens(7));
        known.on_found((&tenant, &model), Tokens(10), Tokens(7_000));
        assert!(expected(&known) < 100, "no report counts for more than all");
        assert_eq!(known.expected(&tenant, &"other".into(), Tokens(10)), Tokens(5));
        assert_eq!(known.expected(&"other".into(), &model, Tokens(10)), Tokens(5));
    }
}
