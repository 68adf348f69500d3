//! Commands to a cluster's cell as version 3 of the formats knew them: with all of the policy in each.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::breaker::BreakerPolicy;
use super::hot::HotDigest;
use super::message::{Acquire, ClusterCommand, Extend, Release, Releases, Renew};
use super::permit::{HeldPermit, PermitId};
use super::policy::PolicyRef;
use super::prompt::PromptOutline;
use super::wire::{RoomWire, policy, whole};
use crate::ids::{ReplicaName, Tokens};

/// What could be asked of a cluster cell.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) enum ClusterCommandV3 {
    Acquire(AcquireV3),
    Extend(ExtendV3),
    Renew(Renew),
    Release(ReleasesV3),
    Status,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct AcquireV3 {
    permit: PermitId,
    kv_tokens: Tokens,
    spare: u32,
    replicas: Vec<ReplicaName>,
    room: RoomWire,
    headroom_percent: u8,
    tried: Vec<ReplicaName>,
    affinity: Option<u64>,
    ttl: Duration,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct ExtendV3 {
    replica: ReplicaName,
    held: Vec<HeldPermit>,
    replicas: Vec<ReplicaName>,
    room: RoomWire,
    ttl: Duration,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct ReleasesV3 {
    releases: Vec<Release>,
    breaker: BreakerPolicy,
}

impl ClusterCommandV3 {
    /// The command in version 3; `None` where it names its policy by a digest, or is one that version 3 does not have.
    pub fn of(command: &ClusterCommand) -> Option<Self> {
        Some(match command {
            ClusterCommand::Acquire(acquire) => Self::Acquire(AcquireV3::of(acquire)?),
            ClusterCommand::Extend(extend) => Self::Extend(ExtendV3::of(extend)?),
            ClusterCommand::Renew(renew) => Self::Renew(renew.clone()),
            ClusterCommand::Release(releases) => Self::Release(ReleasesV3 {
                releases: releases.releases.clone(),
                breaker: releases.breaker,
            }),
            ClusterCommand::Status => Self::Status,
            ClusterCommand::Queue
            | ClusterCommand::Drain(_)
            | ClusterCommand::AskForTurn(_)
            | ClusterCommand::DryRun(_)
            | ClusterCommand::TellSignals(_)
            | ClusterCommand::Scale(_) => return None,
        })
    }
}

impl From<ClusterCommandV3> for ClusterCommand {
    fn from(command: ClusterCommandV3) -> Self {
        match command {
            ClusterCommandV3::Acquire(acquire) => Self::Acquire(acquire.into()),
            ClusterCommandV3::Extend(extend) => Self::Extend(extend.into()),
            ClusterCommandV3::Renew(renew) => Self::Renew(renew),
            ClusterCommandV3::Release(ReleasesV3 { releases, breaker }) => Self::Release(Releases {
                releases,
                breaker,
                prefilled: Vec::new(),
                forgotten: Vec::new(),
                served: None,
            }),
            ClusterCommandV3::Status => Self::Status,
        }
    }
}

impl AcquireV3 {
    fn of(acquire: &Acquire) -> Option<Self> {
        let (replicas, room) = told(&acquire.policy)?;
        Some(Self {
            permit: acquire.permit,
            kv_tokens: acquire.kv_tokens,
            spare: acquire.spare,
            replicas,
            room,
            headroom_percent: acquire.headroom_percent,
            tried: acquire.tried.clone(),
            affinity: acquire.affinity,
            ttl: acquire.ttl,
        })
    }
}

impl From<AcquireV3> for Acquire {
    fn from(acquire: AcquireV3) -> Self {
        Self {
            permit: acquire.permit,
            kv_tokens: acquire.kv_tokens,
            spare: acquire.spare,
            policy: policy(None, (acquire.replicas, acquire.room), (None, None)),
            headroom_percent: acquire.headroom_percent,
            tried: acquire.tried,
            affinity: acquire.affinity,
            prompt: PromptOutline::default(),
            known_hot: HotDigest::default(),
            ttl: acquire.ttl,
            queueing: None,
            explains: false,
            is_new: false,
        }
    }
}

impl ExtendV3 {
    fn of(extend: &Extend) -> Option<Self> {
        let (replicas, room) = told(&extend.policy)?;
        Some(Self {
            replica: extend.replica.clone(),
            held: extend.held.clone(),
            replicas,
            room,
            ttl: extend.ttl,
        })
    }
}

impl From<ExtendV3> for Extend {
    fn from(extend: ExtendV3) -> Self {
        Self {
            replica: extend.replica,
            held: extend.held,
            policy: policy(None, (extend.replicas, extend.room), (None, None)),
            ttl: extend.ttl,
            served: None,
        }
    }
}

fn told(policy: &PolicyRef) -> Option<(Vec<ReplicaName>, RoomWire)> {
    match policy {
        PolicyRef::Digest(_) => None,
        PolicyRef::Whole(_) => Some(whole(policy)),
    }
}
