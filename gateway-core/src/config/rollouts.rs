//! Versions of models' clusters, and how they take over from each other: as written -> validated.

use std::collections::{BTreeMap, BTreeSet};

use super::error::Problem;
use super::names::{Names, Once};
use super::read::{entries, value};
use super::report::{At, Report};
use super::suggest::suggest;
use super::validated::Serving;
use super::written::{self, Root};
use crate::ids::VersionName;
use crate::rollout::{RolloutPolicy, Weights};

/// The `[[rollouts]]` tables, by their models' names.
pub(super) struct Rollouts<'w>(BTreeMap<String, (At<String>, &'w written::Rollout)>);

/// Whether any cluster of the model has a version.
pub(super) fn has_versions(model: &written::Model) -> bool {
    let mut serving = entries(&model.serving).iter();
    serving.any(|at| value(&at.value.version).is_some_and(Option::is_some))
}

/// The version of a cluster of a model that has versions.
pub(super) fn version(serving: &written::Serving) -> VersionName {
    let written = value(&serving.version).and_then(Option::as_deref);
    written.unwrap_or(DEFAULT_VERSION).into()
}

impl<'w> Rollouts<'w> {
    /// All tables, each with its model.
    pub fn of(root: &'w Root, models: &Names<'_>, report: &mut Report) -> Self {
        let mut once = Once::of("a rollout for", "expected one table for each model");
        let mut rollouts = BTreeMap::new();
        for At { value: written, .. } in entries(&root.rollouts) {
            let model = written.model.as_ref().and_then(|model| models.resolve(model, report));
            let Some(model) = model else { continue };
            once.add(&model, report);
            rollouts.insert(model.value.clone(), (model, written));
        }
        Self(rollouts)
    }

    /// How the versions of a model that is served so take over from each other; `None` where it has no two.
    pub fn policy(&self, model: Option<&String>, serving: &[Serving], report: &mut Report) -> Option<RolloutPolicy> {
        let versions: Vec<&VersionName> = serving.iter().filter_map(|serving| serving.version.as_ref()).collect();
        let written = model.and_then(|model| self.0.get(model));
        let is_versioned = versions.iter().collect::<BTreeSet<_>>().len() > 1;
        if !is_versioned {
            if let Some((model, _)) = written {
                let problem = Problem::NoVersions {
                    model: model.value.clone(),
                };
                let expected = "expected `version` in entries of its `serving`, of two versions at least";
                report.add(model.place, problem, expected);
            }
            return None;
        }
        match written {
            Some((_, written)) => of_written(written, &versions, report),
            None => Some(RolloutPolicy {
                weights: first_has_all(&versions),
                steps: DEFAULT_STEPS.to_vec(),
                step_after: None,
                worse_errors: DEFAULT_WORSE_ERRORS,
                worse_ttft_percent: DEFAULT_WORSE_TTFT_PERCENT,
                min_requests: DEFAULT_MIN_REQUESTS,
            }),
        }
    }
}

fn of_written(written: &written::Rollout, versions: &[&VersionName], report: &mut Report) -> Option<RolloutPolicy> {
    let weights = weights(written, versions, report);
    let steps = steps(written, report);
    let worse_errors = value(&written.worse_errors_percent)?.map(|percent| (percent * 100.0).round() as u32);
    Some(RolloutPolicy {
        weights: weights?,
        steps,
        step_after: *value(&written.step_after_ms)?,
        worse_errors: worse_errors.unwrap_or(DEFAULT_WORSE_ERRORS),
        worse_ttft_percent: *value(&written.worse_ttft_percent)?,
        min_requests: *value(&written.min_requests)?,
    })
}

/// The weights of all versions; what is not written has none.
fn weights(written: &written::Rollout, versions: &[&VersionName], report: &mut Report) -> Option<Weights> {
    let at = written.versions.as_ref()?;
    if at.value.is_empty() {
        return Some(first_has_all(versions));
    }
    let mut once = Once::of("version", "expected each version once");
    let mut parts: BTreeMap<VersionName, u64> = versions.iter().map(|version| ((*version).clone(), 0)).collect();
    for entry in &at.value {
        let (Some(name), Some(weight)) = (&entry.value.name, value(&entry.value.weight)) else {
            continue;
        };
        once.add(name, report);
        if let Some(part) = parts.get_mut(name.value.as_str()) {
            *part = *weight;
        } else {
            let problem = Problem::UnknownName {
                what: "version",
                name: name.value.clone(),
            };
            let known = versions.iter().map(|version| version.as_str());
            report.add(name.place, problem, suggest(&name.value, known));
        }
    }
    let is_written = at.value.iter().all(|entry| {
        let name = value(&entry.value.name);
        name.is_some_and(|name| parts.contains_key(name.as_str())) && entry.value.weight.is_some()
    });
    let weights = Weights::of_parts(parts);
    if weights.is_none() && is_written {
        report.add(
            at.place,
            Problem::NoWeight,
            "expected a weight above 0 for one at least",
        );
    }
    weights
}

/// In percent, ascending.
fn steps(written: &written::Rollout, report: &mut Report) -> Vec<u32> {
    let mut steps: Vec<u32> = Vec::new();
    for At { place, value: step } in entries(&written.steps) {
        if let Some(before) = steps.last().copied().filter(|before| before >= step) {
            let problem = Problem::NotAscending { step: *step, before };
            report.add(*place, problem, "expected each step to be more than the one before");
        }
        steps.push(*step);
    }
    if steps.is_empty() {
        DEFAULT_STEPS.to_vec()
    } else {
        steps
    }
}

fn first_has_all(versions: &[&VersionName]) -> Weights {
    let part = |version: &&VersionName| ((*version).clone(), u64::from(versions.first() == Some(version)));
    // A version that several clusters run stands there several times, with the same part.
    Weights::of_parts(versions.iter().map(part)).unwrap_or_default()
}

/// What a cluster runs that has no version, where others of its model have one.
const DEFAULT_VERSION: &str = "default";
const DEFAULT_STEPS: [u32; 5] = [1, 5, 25, 50, 100];
/// In hundredths of a percent.
const DEFAULT_WORSE_ERRORS: u32 = 100;
const DEFAULT_WORSE_TTFT_PERCENT: u32 = 50;
const DEFAULT_MIN_REQUESTS: u64 = 200;

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::config::Config;

    #[test]
    fn the_version_that_is_written_first_has_all() {
        let names: Vec<VersionName> = ["b", "a", "b"].map(VersionName::from).into();
        let weights = first_has_all(&names.iter().collect::<Vec<_>>());
        assert_eq!((weights.of(&"b".into()), weights.of(&"a".into())), (Weights::WHOLE, 0));
    }

    const TWO: &str = r#"
        [[regions]]
        name = "fra"
        latitude = 50.1
        longitude = 8.7
        jurisdiction = "eu"

        [[clusters]]
        name = "a"
        region = "fra"
        engine = "vllm"
        replicas = ["http://a"]
        kv_cache_tokens = 1000
        prefill_tokens_per_s = 1000
        max_running = 1

        [[clusters]]
        name = "b"
        region = "fra"
        engine = "vllm"
        replicas = ["http://b"]
        kv_cache_tokens = 1000
        prefill_tokens_per_s = 1000
        max_running = 1

        [[models]]
        name = "m"
        aliases = ["alias"]
        context_length = 1000
        serving = [{ cluster = "a" }, { cluster = "b", version = "new" }]

        [[tenants]]
        name = "t"
        keys = ["sha256:0000000000000000000000000000000000000000000000000000000000000001"]
    "#;

    fn read(rollout: &str) -> Result<Config, String> {
        Config::parse(&format!("{TWO}{rollout}"), None).map_err(|errors| errors.to_string())
    }

    #[test]
    fn clusters_without_a_version_have_one_where_others_have() {
        let config = read("").expect("it is sound");
        let versions: Vec<_> = config.models["m"]
            .serving
            .iter()
            .map(|serving| serving.version.clone())
            .collect();
        assert_eq!(versions, [Some("default".into()), Some("new".into())]);
        let rollout = config.models["m"].rollout.as_deref().expect("two versions");
        assert_eq!(
            (rollout.weights.of(&"default".into()), &rollout.steps[..]),
            (10_000, &DEFAULT_STEPS[..])
        );
        let one = TWO.replace(", version = \"new\"", "");
        let config = Config::parse(&one, None).expect("it is sound");
        assert!(config.models["m"].rollout.is_none() && config.models["m"].serving[0].version.is_none());
    }

    #[test]
    fn what_is_written_of_a_rollout_is_what_holds() {
        let config = read(
            r#"
            [[rollouts]]
            model = "alias"
            versions = [{ name = "new", weight = 1 }, { name = "default", weight = 3 }]
            steps = [50]
            step_after_ms = 60_000
            worse_errors_percent = 0.5
            worse_ttft_percent = 10
            min_requests = 7
            "#,
        );
        let config = config.expect("it is sound");
        let expected = RolloutPolicy {
            weights: Weights::of_parts([("default".into(), 75), ("new".into(), 25)]).expect("weights"),
            steps: vec![50],
            step_after: Some(Duration::from_secs(60)),
            worse_errors: 50,
            worse_ttft_percent: 10,
            min_requests: 7,
        };
        assert_eq!(config.models["m"].rollout.as_deref(), Some(&expected));
    }

    #[test]
    fn versions_that_there_are_none_of_and_steps_down_are_mistakes() {
        for (versions, steps, problem) in [
            ("{ name = \"old\", weight = 1 }", "1", "there is no version `old`"),
            ("{ name = \"new\", weight = 0 }", "1", "no version has a weight"),
            (
                "{ name = \"new\", weight = 1 }, { name = \"new\", weight = 2 }",
                "1",
                "version `new` is already in line",
            ),
            ("{ name = \"new\", weight = 1 }", "5, 5", "the step 5 comes after 5"),
            ("{ name = \"new\", weight = 1 }", "50, 5", "the step 5 comes after 50"),
        ] {
            let rollout = format!("[[rollouts]]\nmodel = \"m\"\nversions = [{versions}]\nsteps = [{steps}]\n");
            let errors = read(&rollout).expect_err("a mistake");
            assert!(errors.contains(problem) && errors.lines().count() == 1, "{errors}");
        }
    }
}
