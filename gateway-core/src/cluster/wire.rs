//! Commands that name a policy, as they are written down. Readers of the version before read a policy that is told whole,
//! and writers of the version before are understood: fields were only added.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::health::HealthPolicy;
use super::hot::HotDigest;
use super::message::{Acquire, Extend};
use super::permit::{Capacity, HeldPermit, PermitId};
use super::policy::{ClusterPolicy, PolicyDigest, PolicyRef, PrefillPolicy};
use super::prompt::PromptOutline;
use super::scaling::Served;
use super::waiting::Queueing;
use crate::ids::{ReplicaName, Tokens};

/// [`Acquire`].
#[derive(Serialize, Deserialize)]
pub(super) struct AcquireWire {
    permit: PermitId,
    kv_tokens: Tokens,
    spare: u32,
    replicas: Vec<ReplicaName>,
    room: RoomWire,
    #[serde(rename = "kept_percent")]
    headroom_percent: u8,
    tried: Vec<ReplicaName>,
    affinity: Option<u64>,
    ttl: Duration,
    #[serde(default)]
    policy: Option<PolicyDigest>,
    #[serde(default)]
    prompt: PromptOutline,
    #[serde(default)]
    known_hot: HotDigest,
    #[serde(default)]
    prefill: Option<PrefillPolicy>,
    #[serde(default)]
    queueing: Option<Queueing>,
    #[serde(default)]
    health: Option<HealthPolicy>,
    #[serde(default)]
    explains: bool,
    #[serde(default)]
    is_new: bool,
}

/// [`Extend`].
#[derive(Serialize, Deserialize)]
pub(super) struct ExtendWire {
    replica: ReplicaName,
    held: Vec<HeldPermit>,
    replicas: Vec<ReplicaName>,
    room: RoomWire,
    ttl: Duration,
    #[serde(default)]
    policy: Option<PolicyDigest>,
    #[serde(default)]
    prefill: Option<PrefillPolicy>,
    #[serde(default)]
    health: Option<HealthPolicy>,
    #[serde(default)]
    served: Option<Served>,
}

/// What each replica has room for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct RoomWire {
    max_running: u32,
    kv_cache_tokens: Tokens,
}

impl From<Acquire> for AcquireWire {
    fn from(acquire: Acquire) -> Self {
        let (replicas, room) = whole(&acquire.policy);
        Self {
            permit: acquire.permit,
            kv_tokens: acquire.kv_tokens,
            spare: acquire.spare,
            replicas,
            room,
            headroom_percent: acquire.headroom_percent,
            tried: acquire.tried,
            affinity: acquire.affinity,
            ttl: acquire.ttl,
            policy: digest(&acquire.policy),
            prompt: acquire.prompt,
            known_hot: acquire.known_hot,
            prefill: prefill(&acquire.policy),
            queueing: acquire.queueing,
            explains: acquire.explains,
            health: health(&acquire.policy),
            is_new: acquire.is_new,
        }
    }
}

impl From<AcquireWire> for Acquire {
    fn from(wire: AcquireWire) -> Self {
        Self {
            permit: wire.permit,
            kv_tokens: wire.kv_tokens,
            spare: wire.spare,
            policy: policy(wire.policy, (wire.replicas, wire.room), (wire.prefill, wire.health)),
            headroom_percent: wire.headroom_percent,
            tried: wire.tried,
            affinity: wire.affinity,
            prompt: wire.prompt,
            known_hot: wire.known_hot,
            ttl: wire.ttl,
            queueing: wire.queueing,
            explains: wire.explains,
            is_new: wire.is_new,
        }
    }
}

impl From<Extend> for ExtendWire {
    fn from(extend: Extend) -> Self {
        let (replicas, room) = whole(&extend.policy);
        Self {
            replica: extend.replica,
            held: extend.held,
            replicas,
            room,
            ttl: extend.ttl,
            policy: digest(&extend.policy),
            prefill: prefill(&extend.policy),
            health: health(&extend.policy),
            served: extend.served,
        }
    }
}

impl From<ExtendWire> for Extend {
    fn from(wire: ExtendWire) -> Self {
        Self {
            replica: wire.replica,
            held: wire.held,
            policy: policy(wire.policy, (wire.replicas, wire.room), (wire.prefill, wire.health)),
            ttl: wire.ttl,
            served: wire.served,
        }
    }
}

/// What a policy says, as far as it is told.
pub(super) fn whole(policy: &PolicyRef) -> (Vec<ReplicaName>, RoomWire) {
    match policy {
        PolicyRef::Digest(_) => Default::default(),
        PolicyRef::Whole(policy) => {
            let Capacity { requests, kv_tokens } = policy.capacity;
            let room = RoomWire {
                max_running: requests,
                kv_cache_tokens: kv_tokens,
            };
            (policy.replicas.clone(), room)
        }
    }
}

fn digest(policy: &PolicyRef) -> Option<PolicyDigest> {
    match policy {
        PolicyRef::Digest(digest) => Some(*digest),
        PolicyRef::Whole(_) => None,
    }
}

fn prefill(policy: &PolicyRef) -> Option<PrefillPolicy> {
    match policy {
        PolicyRef::Digest(_) => None,
        PolicyRef::Whole(policy) => Some(policy.prefill),
    }
}

fn health(policy: &PolicyRef) -> Option<HealthPolicy> {
    match policy {
        PolicyRef::Digest(_) => None,
        PolicyRef::Whole(policy) => Some(policy.health),
    }
}

/// The policy that is named by a digest, or else told whole. The version before tells neither how long prompts take nor when
/// replicas are ill.
pub(super) fn policy(
    digest: Option<PolicyDigest>,
    (replicas, room): (Vec<ReplicaName>, RoomWire),
    (prefill, health): (Option<PrefillPolicy>, Option<HealthPolicy>),
) -> PolicyRef {
    let capacity = Capacity {
        requests: room.max_running,
        kv_tokens: room.kv_cache_tokens,
    };
    let whole = || {
        PolicyRef::Whole(Arc::new(ClusterPolicy {
            replicas,
            capacity,
            prefill: prefill.unwrap_or_default(),
            health: health.unwrap_or_default(),
        }))
    };
    digest.map_or_else(whole, PolicyRef::Digest)
}
