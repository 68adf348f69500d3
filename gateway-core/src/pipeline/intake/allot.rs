//! Which version of a model a request has: by its conversation, the weights that hold and held before, and, where these
//! leave doubt, by the row that was written as the conversation began.

use std::sync::Arc;

use super::Order;
use crate::config::{Model, Serving};
use crate::ids::{PrefixKey, VersionName};
use crate::observe::{Event, RollingOut};
use crate::pipeline::rollouts::Allotment;
use crate::pipeline::warmth::replica_of_first_turn;
use crate::platform::Platform;
use crate::prefix::index::{ReplicaId, RowKey};
use crate::rollout::{Choice, Conversation, RolloutPolicy, Weights};

/// The version of the order in a tier whose model is served so, of the clusters that may see its data; `None` where the
/// model has no two versions.
pub(super) async fn allot<P: Platform>(
    order: &Order<P>,
    tier: usize,
    model: &Arc<Model>,
    allowed: &[usize],
) -> Option<VersionName> {
    let policy = model.rollout.as_deref()?;
    let exchange = &order.exchange;
    let versions: Vec<&VersionName> = allowed
        .iter()
        .filter_map(|index| model.serving[*index].version.as_ref())
        .collect();
    let may = |version: &VersionName| versions.contains(&version);
    // What is of no conversation is one by itself.
    let conversation = order.identity.conversation().unwrap_or_else(|| Conversation {
        key: exchange.platform.random(),
        has_begun: false,
    });
    let weights = exchange.weights(model, policy).await;
    let stay = exchange.config.prefixes.ttl;
    let now = exchange.platform.now();
    let allotment = match weights.choose(now, conversation, stay, may) {
        Some(choice) => {
            let row = RowKey::of_version(&order.request.cache_salt, &model.name, PrefixKey(conversation.key));
            let began_at = began_at(order, model, conversation, &choice, row.clone()).await;
            let version = match began_at.filter(|version| may(version)) {
                Some(version) => version,
                None if conversation.has_begun => choice.presumed,
                None => choice.new,
            };
            // Whose tenant may not see all versions, and what is on one from before, is no fair sample.
            let is_fair = version == choice.new && policy.weights.iter().all(|(version, _)| may(version));
            let is_exception = !conversation.has_begun && choice.presumed != choice.new;
            Allotment {
                model: Arc::clone(model),
                version: version.clone(),
                revision: is_fair.then_some(choice.revision),
                row: is_exception.then_some(row),
            }
        }
        None => Allotment {
            model: Arc::clone(model),
            version: without_weight(policy, conversation, &versions)?,
            revision: None,
            row: None,
        },
    };
    let version = allotment.version.clone();
    exchange.tell(&Event::Rollout(RollingOut::Allotted {
        model: &model.name,
        version: &version,
        counts: allotment.revision.is_some(),
    }));
    order.trials.begin(exchange, tier, allotment);
    Some(version)
}

/// The version at which a conversation began that may be on several, where that is written down.
async fn began_at<'m, P: Platform>(
    order: &Order<P>,
    model: &'m Model,
    conversation: Conversation,
    choice: &Choice<'_>,
    row: RowKey,
) -> Option<&'m VersionName> {
    if !conversation.has_begun || !choice.is_doubtful {
        return None;
    }
    let replica = replica_of_first_turn(&order.exchange, row).await?;
    let has_replica = |serving: &&Serving| {
        let cluster = &serving.cluster;
        let mut replicas = cluster.replicas.iter();
        replicas.any(|known| ReplicaId::of(&cluster.name, &known.name) == replica)
    };
    model.serving.iter().find(has_replica)?.version.as_ref()
}

/// Where no version with a weight may serve the tenant: the configuration's weights decide, or else chance, which is the same
/// for all of a conversation.
fn without_weight(
    policy: &RolloutPolicy,
    conversation: Conversation,
    versions: &[&VersionName],
) -> Option<VersionName> {
    let may = |version: &VersionName| versions.contains(&version);
    let of_config = policy.weights.choose(conversation.key, may).cloned();
    of_config.or_else(|| {
        let alike = versions.iter().map(|version| ((*version).clone(), 1));
        Weights::of_parts(alike)?.choose(conversation.key, |_| true).cloned()
    })
}
