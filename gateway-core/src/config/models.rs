//! Models, their aliases, who serves them and their ladders: as written -> validated.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::check::KnownNames;
use super::error::Problem;
use super::names::{Names, Once};
use super::read::{At, Report, entries, value};
use super::validated::{CannedTier, Cluster, Ladder, Model, Serving, Tier};
use super::written::{self, Root};
use crate::ids::{ClusterName, ModelName};

/// The names and aliases of all models.
pub(super) fn names<'w>(root: &'w Root, report: &mut Report) -> Names<'w> {
    let mut names = Names::of("model");
    for model in entries(&root.models) {
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
    written_aliases(root)
        .map(|(alias, name)| (alias.value.clone(), ModelName::from(name)))
        .collect()
}

fn written_aliases(root: &Root) -> impl Iterator<Item = (&At<String>, &str)> {
    entries(&root.models).iter().flat_map(|At { value: model, .. }| {
        let name = value(&model.name).map_or("", String::as_str);
        entries(&model.aliases).iter().map(move |alias| (alias, name))
    })
}

fn refuse_reserved(name: &At<String>, report: &mut Report) {
    if name.value == CANNED {
        let problem = Problem::ReservedName {
            name: name.value.clone(),
        };
        report.add(
            &name.place,
            problem,
            "expected another name, for clients ask for the canned tier by this one",
        );
    }
}

/// What clients call the canned tier.
const CANNED: &str = "canned";

/// The models, each with its ladder.
pub(super) fn check(
    root: &Root,
    names: &KnownNames<'_>,
    clusters: &BTreeMap<ClusterName, Arc<Cluster>>,
    report: &mut Report,
) -> BTreeMap<ModelName, Arc<Model>> {
    let mut ladders = ladders(root, &names.models, report);
    let mut models = BTreeMap::new();
    for At { value: written, .. } in entries(&root.models) {
        let serving = serving(written, &names.clusters, clusters, report);
        let name = value(&written.name).map(|name| ModelName::from(name.as_str()));
        let tiers = name.as_ref().map(|name| ladders.remove(name).unwrap_or_default());
        if let Some(model) = model(written, serving, tiers.unwrap_or_default()) {
            models.insert(model.name.clone(), Arc::new(model));
        }
    }
    models
}

fn model(written: &written::Model, serving: Vec<Serving>, lower_tiers: Vec<Tier>) -> Option<Model> {
    let name = ModelName::from(value(&written.name)?.as_str());
    let tiers = std::iter::once(Tier::Model(name.clone())).chain(lower_tiers).collect();
    Some(Model {
        name,
        context_length: *value(&written.context_length)?,
        owned_by: value(&written.owned_by)?.as_deref().unwrap_or("tidegate").to_owned(),
        created: *value(&written.created)?,
        serving,
        ladder: Ladder { tiers },
    })
}

fn serving(
    model: &written::Model,
    names: &Names<'_>,
    clusters: &BTreeMap<ClusterName, Arc<Cluster>>,
    report: &mut Report,
) -> Vec<Serving> {
    let mut once = Once::new();
    let mut serving = Vec::new();
    for At { value: written, .. } in entries(&model.serving) {
        let Some(cluster) = &written.cluster else {
            continue;
        };
        let problem = |line| Problem::Duplicate {
            what: "cluster",
            name: cluster.value.clone(),
            line,
        };
        once.add(cluster, problem, "expected each cluster once for a model", report);
        let cluster = names.resolve(cluster, report).and_then(|cluster| clusters.get(cluster));
        let own_name = value(&model.name);
        let served_name = value(&written.served_name).and_then(|name| name.as_ref().or(own_name));
        if let (Some(cluster), Some(served_name)) = (cluster, served_name) {
            serving.push(Serving {
                cluster: Arc::clone(cluster),
                served_name: served_name.clone(),
            });
        }
    }
    serving
}

/// What follows each model in its ladder.
fn ladders(root: &Root, models: &Names<'_>, report: &mut Report) -> BTreeMap<ModelName, Vec<Tier>> {
    let mut once = Once::new();
    let mut ladders = BTreeMap::new();
    for At { value: written, .. } in entries(&root.ladders) {
        let model = written
            .model
            .as_ref()
            .and_then(|model| Some((model, models.resolve(model, report)?)));
        let tiers = tiers(entries(&written.tiers), model.map(|(_, name)| name), models, report);
        if let Some((at, name)) = model {
            let at = At {
                place: at.place.clone(),
                value: name.to_owned(),
            };
            let problem = |line| Problem::Duplicate {
                what: "ladder for",
                name: at.value.clone(),
                line,
            };
            once.add(&at, problem, "expected one ladder for each model", report);
            ladders.insert(ModelName::from(name), tiers);
        }
    }
    ladders
}

/// The tiers below `own`, the model that the ladder is for.
fn tiers(written: &[At<written::Tier>], own: Option<&str>, models: &Names<'_>, report: &mut Report) -> Vec<Tier> {
    let mut once = Once::new();
    let mut tiers = Vec::new();
    for At { place, value: tier } in written {
        if matches!(tiers.last(), Some(Tier::Canned(_))) {
            report.add(place, Problem::AfterCanned, "expected the canned tier last");
        }
        match tier {
            written::Tier::Canned(canned) => {
                let text = value(&canned.canned).cloned().unwrap_or_default();
                tiers.push(Tier::Canned(CannedTier { text }));
            }
            written::Tier::Model(asked) => {
                let asked = At {
                    place: place.clone(),
                    value: asked.clone(),
                };
                let Some(name) = models.resolve(&asked, report) else {
                    continue;
                };
                if own == Some(name) {
                    let problem = Problem::OwnModel { model: name.to_owned() };
                    report.add(place, problem, "expected what comes after it");
                }
                let at = At {
                    place: place.clone(),
                    value: name.to_owned(),
                };
                let problem = |line| Problem::Duplicate {
                    what: "tier",
                    name: name.to_owned(),
                    line,
                };
                once.add(&at, problem, "expected each model once in a ladder", report);
                tiers.push(Tier::Model(ModelName::from(name)));
            }
        }
    }
    tiers
}
