//! What a model's cell keeps of its estimates: a correction for each tenant that it heard of lately, and what they teach
//! together. Its messages and records hold the sums over all tenants beside those of each: who reads the version before
//! finds what it knows there.

use serde::{Deserialize, Serialize};

use super::correction::{Correction, MEMORY_PROMPTS, Observed};
use super::recent_tenants::RecentTenants;
use crate::ids::TenantName;

/// The state of a model's cell.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(from = "Lesson", into = "Lesson")]
pub struct ModelCorrections(RecentTenants<Correction>);

/// What a cell is told: what was observed of each tenant's prompts. It replies what it knows of those tenants; of one of
/// whom nothing was observed it is asked only.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(from = "WrittenReports", into = "WrittenReports")]
pub struct Reports(Vec<(TenantName, Observed)>);

/// What a cell replies.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Lesson {
    /// Over all tenants.
    #[serde(flatten)]
    pub total: Correction,
    /// See [`ModelCorrections::factor`]; the version before does not tell it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    model_factor: Option<f64>,
    /// Of those that were asked for.
    #[serde(default)]
    pub tenants: Vec<(TenantName, Correction)>,
}

impl ModelCorrections {
    /// Learns from reports, and tells what is known now.
    pub fn learn(&mut self, reports: &Reports) -> Lesson {
        for (tenant, observed) in reports.0.iter().filter(|(_, observed)| !observed.is_empty()) {
            self.0.see(tenant).learn(observed);
        }
        let known = |(tenant, _): &(TenantName, Observed)| Some((tenant.clone(), *self.0.get(tenant)?));
        Lesson {
            total: self.total(),
            model_factor: Some(self.factor()),
            tenants: reports.0.iter().filter_map(known).collect(),
        }
    }

    /// What uncorrected estimates are multiplied by for a tenant of whom nothing is known: the geometric mean of the
    /// tenants' factors by the weight of their prompts, and, where there are fewer than `FULL_TENANTS` of them, of 1.
    /// Nobody has more weight than the memory's, and a factor counts as at most `MOST_FACTOR` and at least `1 /
    /// MOST_FACTOR`. So one tenant, whatever it sends, moves it by 19% at most (2^(1/4)) as long as there are no more than
    /// three others, and by 32% (4^(1/5)) where four or more are all at the opposite end; its first six prompts by 3%.
    pub fn factor(&self) -> f64 {
        model_factor(self.0.iter().map(|(_, correction)| correction))
    }

    /// The sums over all tenants.
    fn total(&self) -> Correction {
        let mut total = Correction::default();
        self.0.iter().for_each(|(_, correction)| total.add(correction));
        total
    }
}

fn model_factor<'a>(corrections: impl Iterator<Item = &'a Correction>) -> f64 {
    let (mut sum, mut weights) = (0.0, 0.0);
    for correction in corrections {
        let weight = correction.weight().min(MEMORY_PROMPTS);
        sum += weight * correction.factor().clamp(1.0 / MOST_FACTOR, MOST_FACTOR).ln();
        weights += weight;
    }
    (sum / f64::max(weights, FULL_TENANTS * MEMORY_PROMPTS)).exp()
}

impl Lesson {
    /// What uncorrected estimates are multiplied by for a tenant of whom nothing is known.
    pub fn model_factor(&self) -> f64 {
        let of_total = || model_factor([&self.total].into_iter());
        self.model_factor.unwrap_or_else(of_total)
    }
}

impl From<Vec<(TenantName, Observed)>> for Reports {
    fn from(reports: Vec<(TenantName, Observed)>) -> Self {
        Self(reports)
    }
}

impl Reports {
    /// What was observed, where the version before can say it: it names no tenants.
    pub fn without_names(&self) -> Option<Observed> {
        let is_unnamed = self.0.iter().all(|(tenant, _)| tenant.as_str() == UNNAMED);
        is_unnamed.then(|| self.total())
    }

    fn total(&self) -> Observed {
        let mut total = Observed::default();
        self.0.iter().for_each(|(_, observed)| total.add(observed));
        total
    }
}

impl From<Observed> for Reports {
    fn from(observed: Observed) -> Self {
        let reports = (!observed.is_empty()).then(|| (UNNAMED.into(), observed));
        Self(reports.into_iter().collect())
    }
}

/// Reports as they are written. Nothing is left out or flattened: entries of logs do not tell which fields they have.
#[derive(Serialize, Deserialize)]
struct WrittenReports {
    likely: f64,
    reported: f64,
    off: f64,
    prompts: u32,
    #[serde(default)]
    tenants: Vec<(TenantName, Observed)>,
}

impl From<Reports> for WrittenReports {
    fn from(reports: Reports) -> Self {
        let Observed {
            uncorrected_estimate,
            reported,
            off,
            prompts,
        } = reports.total();
        Self {
            likely: uncorrected_estimate,
            reported,
            off,
            prompts,
            tenants: reports.0,
        }
    }
}

impl From<WrittenReports> for Reports {
    fn from(written: WrittenReports) -> Self {
        if !written.tenants.is_empty() {
            return Self(written.tenants);
        }
        Self::from(Observed {
            uncorrected_estimate: written.likely,
            reported: written.reported,
            off: written.off,
            prompts: written.prompts,
        })
    }
}

impl From<ModelCorrections> for Lesson {
    fn from(corrections: ModelCorrections) -> Self {
        Self {
            total: corrections.total(),
            model_factor: None,
            tenants: corrections.0.iter().cloned().collect(),
        }
    }
}

impl From<Lesson> for ModelCorrections {
    fn from(written: Lesson) -> Self {
        let Lesson { total, mut tenants, .. } = written;
        if tenants.is_empty() && total != Correction::default() {
            tenants.push((UNNAMED.into(), total));
        }
        let mut corrections = RecentTenants::default();
        tenants
            .iter()
            .for_each(|(tenant, correction)| *corrections.see(tenant) = *correction);
        Self(corrections)
    }
}

/// Whose reports come from the version before are together one tenant, whose name no configuration has.
const UNNAMED: &str = "";
/// So many tenants, each with a full memory, tell all of what holds for a model. Of fewer, each tells a quarter: one
/// that alone writes what no other does must not be taken for all.
const FULL_TENANTS: f64 = 4.0;
/// A tenant's factor counts as no more than this for the others, and as no less than one by it. The tokenizers that
/// [`super::Scripts`] were fitted to take 0.6 to 1.5 times what is likely, by script; texts beyond that say little of
/// others'.
const MOST_FACTOR: f64 = 2.0;

#[cfg(test)]
mod tests {
    use super::*;

    fn name(name: &str) -> TenantName {
        name.into()
    }

    /// Has a tenant report so many prompts, one by one, that are so many times what was estimated.
    fn tell(cell: &mut ModelCorrections, tenant: &str, prompts: usize, factor: f64) -> Lesson {
        let observed = Observed::of_prompt(1e5, 1e5, 1e5 * factor).expect("a prompt that can be");
        let report = Reports::from(vec![(name(tenant), observed)]);
        (0..prompts).fold(Lesson::default(), |_, _| cell.learn(&report))
    }

    #[test]
    fn six_odd_prompts_of_one_tenant_move_another_by_less_than_5_percent() {
        for others in [&[][..], &["b"], &["b", "c", "d", "e", "f"]] {
            let mut cell = ModelCorrections::default();
            others.iter().for_each(|tenant| drop(tell(&mut cell, tenant, 100, 1.1)));
            let before = cell.factor();
            let after = tell(&mut cell, "a", 6, 15.0).model_factor();
            assert!(
                (1.0..1.05).contains(&(after / before)),
                "{others:?}: {before}, then {after}"
            );
        }
    }

    #[test]
    fn no_number_of_odd_prompts_moves_others_beyond_the_bound() {
        for odd in [0.3, 15.0] {
            let mut cell = ModelCorrections::default();
            let alone = tell(&mut cell, "a", 1_000, odd).model_factor();
            assert!((0.84..=1.19).contains(&alone), "{alone}");
            for other in ["b", "c", "d"] {
                tell(&mut cell, other, 200, 1.3);
            }
            let among_others = cell.factor() / 1.3_f64.powf(0.75);
            assert!((0.83..=1.2).contains(&among_others), "{among_others}");
        }
    }

    #[test]
    fn what_tenants_agree_on_is_the_models() {
        let mut cell = ModelCorrections::default();
        for tenant in ["a", "b", "c", "d"] {
            tell(&mut cell, tenant, 400, 1.3);
        }
        assert!((cell.factor() - 1.3).abs() < 0.01, "{}", cell.factor());
    }

    #[test]
    fn a_tenant_is_told_what_its_own_prompts_taught() {
        let mut cell = ModelCorrections::default();
        tell(&mut cell, "a", 20, 3.0);
        tell(&mut cell, "b", 20, 1.0);
        let ask = Reports::from(vec![(name("a"), Observed::default()), (name("c"), Observed::default())]);
        let before = cell.clone();
        let lesson = cell.learn(&ask);
        let [(tenant, own)] = lesson.tenants.as_slice() else {
            panic!("{lesson:?}");
        };
        assert!(
            tenant.as_str() == "a" && (own.factor() - 3.0).abs() < 1e-9,
            "{lesson:?}"
        );
        assert_eq!(cell, before, "who only asks changes nothing");
    }

    #[test]
    fn the_version_before_reads_sums_over_all_tenants_and_is_read_as_one_of_them() {
        let mut cell = ModelCorrections::default();
        tell(&mut cell, "a", 1, 3.0);
        tell(&mut cell, "b", 1, 1.0);
        let sums = |json: &serde_json::Value| -> Correction { serde_json::from_value(json.clone()).unwrap() };
        let written = serde_json::to_value(&cell).unwrap();
        assert_eq!(sums(&written).factor(), 2.0);
        assert_eq!(serde_json::from_value::<ModelCorrections>(written).unwrap(), cell);
        let reply = serde_json::to_value(cell.learn(&Reports::default())).unwrap();
        assert_eq!(sums(&reply).factor(), 2.0);

        let before = r#"{"likely":200.0,"reported":260.0,"off":6.0,"weight":2.0}"#;
        let mut read: ModelCorrections = serde_json::from_str(before).unwrap();
        assert_eq!(read.total(), sums(&serde_json::from_str(before).unwrap()));
        let lesson: Lesson = serde_json::from_str(before).unwrap();
        assert_eq!(lesson.model_factor(), read.factor());
        let report: Reports = serde_json::from_str(r#"{"likely":9.0,"reported":9.0,"off":0.0,"prompts":1}"#).unwrap();
        assert!(read.learn(&report).total.weight() > 2.9);
    }
}
