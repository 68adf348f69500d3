//! Models, their aliases, who serves them and their ladders: as written -> validated.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::check::KnownNames;
use super::detection;
use super::error::Problem;
use super::names::{Names, Once};
use super::read::{entries, value};
use super::report::{At, Report};
use super::rollouts::{self, Rollouts};
use super::suggest::one_of;
use super::validated::{Cluster, Ladder, Model, PartTokens, Serving, Tier};
use super::written::{self, Root};
use crate::ids::{ClusterName, ModelName, TableName};
use crate::rollout::RolloutPolicy;

/// The names and aliases of all models.
pub(super) fn names<'w>(root: &'w Root, report: &mut Report) -> Names<'w> {
    let models = entries(&root.models);
    let has_aliases = models.iter().all(|model| model.value.aliases.is_some());
    let mut names = Names::of("model").complete_if(root.models.is_some() && has_aliases);
    for model in models {
        let name = model.value.name.as_ref();
        name.iter().for_each(|name| refuse_reserved(name, report));
        names.add(name, report);
    }
    for (alias, name) in written_aliases(root) {
        refuse_reserved(alias, report);
        names.add_alias(alias, name, report);
    }
    names
}

/// What else clients may ask for a model by.
pub(super) fn aliases(root: &Root) -> BTreeMap<String, ModelName> {
    let mut aliases = BTreeMap::new();
    aliases.extend(written_aliases(root).map(|(alias, name)| (alias.value.clone(), ModelName::from(name))));
    aliases
}

fn written_aliases(root: &Root) -> impl Iterator<Item = (&At<String>, &str)> {
    entries(&root.models).iter().flat_map(|At { value: model, .. }| {
        let name = value(&model.name).map_or("", String::as_str);
        entries(&model.aliases).iter().map(move |alias| (alias, name))
    })
}

fn refuse_reserved(name: &At<String>, report: &mut Report) {
    if name.value == CANNED_TIER {
        let problem = Problem::ReservedName {
            name: name.value.clone(),
        };
        report.add(
            name.place,
            problem,
            "expected another name, for clients ask for the canned tier by this one",
        );
    }
}

/// What clients call the canned tier.
pub const CANNED_TIER: &str = "canned";

/// The models, each with its ladder.
pub(super) fn check(
    root: &Root,
    names: &KnownNames<'_>,
    clusters: &BTreeMap<ClusterName, Arc<Cluster>>,
    report: &mut Report,
) -> BTreeMap<ModelName, Arc<Model>> {
    let mut lower_tiers = ladders(root, &names.models, report);
    let rollouts = Rollouts::of(root, &names.models, report);
    let mut models = BTreeMap::new();
    for At { value: written, .. } in entries(&root.models) {
        let serving = serving(written, &names.clusters, clusters, report);
        check_table(written, names.tables, report);
        let lower_tiers = value(&written.name).and_then(|name| lower_tiers.remove(name));
        let rollout = rollouts.policy(value(&written.name), &serving, report);
        if let Some(model) = model(written, (serving, rollout), lower_tiers.unwrap_or_default()) {
            models.insert(model.name.clone(), Arc::new(model));
        }
    }
    models
}

/// Reports a table that the deployment does not carry.
fn check_table(model: &written::Model, tables: Option<&[&str]>, report: &mut Report) {
    let (Some(at), Some(tables)) = (&model.tokens, tables) else {
        return;
    };
    let Some(name) = at.value.as_ref().filter(|name| !tables.contains(&name.as_str())) else {
        return;
    };
    let problem = Problem::NoTable { name: name.clone() };
    let expected = match tables {
        [] => "it carries none: `tidegate tokens compile` makes one; leave `tokens` out, and prompts are counted by estimate"
            .to_owned(),
        tables => format!("it carries {}", one_of(tables.iter().copied())),
    };
    report.add(at.place, problem, expected);
}

fn model(
    written: &written::Model,
    (serving, rollout): (Vec<Serving>, Option<RolloutPolicy>),
    lower_tiers: Vec<Tier>,
) -> Option<Model> {
    let name = ModelName::from(value(&written.name)?.as_str());
    let tiers = std::iter::once(Tier::Model(name.clone())).chain(lower_tiers).collect();
    Some(Model {
        name,
        context_length: *value(&written.context_length)?,
        tokens: value(&written.tokens)?.as_deref().map(TableName::from),
        part_tokens: PartTokens {
            image: *value(&written.image_tokens)?,
            audio: *value(&written.audio_tokens)?,
            video: *value(&written.video_tokens)?,
        },
        owned_by: value(&written.owned_by)?.as_deref().unwrap_or("tidegate").to_owned(),
        created: *value(&written.created)?,
        serving,
        rollout: rollout.map(Arc::new),
        ladder: Ladder { tiers },
        detection: detection::overrides(&written.detection)?,
    })
}

fn serving(
    model: &written::Model,
    names: &Names<'_>,
    clusters: &BTreeMap<ClusterName, Arc<Cluster>>,
    report: &mut Report,
) -> Vec<Serving> {
    let mut once = Once::of("cluster", "expected each cluster once for a model");
    let mut serving = Vec::new();
    let has_versions = rollouts::has_versions(model);
    for At { value: written, .. } in entries(&model.serving) {
        let Some(cluster) = &written.cluster else {
            continue;
        };
        once.add(cluster, report);
        let cluster = names
            .resolve(cluster, report)
            .and_then(|cluster| clusters.get(cluster.value.as_str()));
        let own_name = value(&model.name);
        let served_name = value(&written.served_name).and_then(|name| name.as_ref().or(own_name));
        if let (Some(cluster), Some(served_name)) = (cluster, served_name) {
            serving.push(Serving {
                cluster: Arc::clone(cluster),
                served_name: served_name.clone(),
                version: has_versions.then(|| rollouts::version(written)),
            });
        }
    }
    serving
}

/// What follows each model in its ladder, by the model's name.
fn ladders(root: &Root, models: &Names<'_>, report: &mut Report) -> BTreeMap<String, Vec<Tier>> {
    let mut once = Once::of("a ladder for", "expected one ladder for each model");
    let mut ladders = BTreeMap::new();
    for At { value: written, .. } in entries(&root.ladders) {
        let model = written.model.as_ref().and_then(|model| models.resolve(model, report));
        if let Some(model) = &model {
            once.add(model, report);
        }
        let own = model.map(|model| model.value);
        let tiers = tiers(entries(&written.tiers), own.as_deref(), models, report);
        ladders.extend(own.map(|own| (own, tiers)));
    }
    ladders
}

/// The tiers below `own`, the model that the ladder is for.
fn tiers(written: &[At<written::Tier>], own: Option<&str>, models: &Names<'_>, report: &mut Report) -> Vec<Tier> {
    let mut once = Once::of("tier", "expected each model once in a ladder");
    let mut tiers = Vec::new();
    for at in written {
        if matches!(tiers.last(), Some(Tier::Canned(_))) {
            report.add(at.place, Problem::AfterCanned, "expected the canned tier last");
        }
        tiers.extend(match &at.value {
            written::Tier::Canned(tier) => value(&tier.canned).cloned().map(Tier::Canned),
            written::Tier::Model(asked) => lower_model(&at.with(asked.clone()), own, models, &mut once, report),
        });
    }
    tiers
}

/// The model of a tier below `own`.
fn lower_model(
    asked: &At<String>,
    own: Option<&str>,
    models: &Names<'_>,
    once: &mut Once,
    report: &mut Report,
) -> Option<Tier> {
    let model = models.resolve(asked, report)?;
    once.add(&model, report);
    if own == Some(&model.value) {
        let problem = Problem::OwnModel {
            model: model.value.clone(),
        };
        report.add(model.place, problem, "expected what comes after it");
    }
    Some(Tier::Model(ModelName::from(model.value.as_str())))
}
