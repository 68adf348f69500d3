//! What detectors found in the answers of a cluster's replicas, as gateways tell its cell, and as that tells others.

use std::collections::BTreeMap;
use std::hash::Hasher;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use siphasher::sip::SipHasher13;

use crate::ids::ReplicaName;
use crate::parts::hash_parts;

/// Answers that were watched since the cell was told last, by the replicas that gave them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct WatchedAnswers(BTreeMap<ReplicaName, AnswersOf>);

/// The same of one replica.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AnswersOf {
    /// In which nothing was found.
    pub sound: u64,
    /// For each in which something was, the digest of its request: of one that is asked again and again only the first
    /// counts. See [`request_digest`].
    pub faulty: Vec<u64>,
    /// Whose answers they were, by [`tenant_digest`]: no more than two, since more say no more. Of a gateway of a version that
    /// does not tell, none.
    #[serde(default)]
    pub tenants: Vec<u16>,
}

/// The same for the same tenant, wherever it comes in.
pub fn tenant_digest(tenant: &str) -> u16 {
    let mut hasher = SipHasher13::new();
    hash_parts(&mut hasher, [tenant.as_bytes()]);
    (hasher.finish() >> (u64::BITS - TENANT_BITS)) as u16
}

/// The same for the same request of that tenant, wherever it comes in; which tenant's it is, is in its highest 16 bits.
pub fn request_digest(tenant: &str, body: &[u8]) -> u64 {
    let mut hasher = SipHasher13::new();
    hash_parts(&mut hasher, [tenant.as_bytes(), body]);
    u64::from(tenant_digest(tenant)) << (u64::BITS - TENANT_BITS) | hasher.finish() >> TENANT_BITS
}

/// Whose request it is.
pub fn tenant_of(request: u64) -> u16 {
    (request >> (u64::BITS - TENANT_BITS)) as u16
}

/// Adds a tenant to those that are known, as long as they are fewer than two.
pub fn note_tenant(tenants: &mut Vec<u16>, tenant: u16) {
    if tenants.len() < MOST_TENANTS && !tenants.contains(&tenant) {
        tenants.push(tenant);
    }
}

/// What is known of one replica's answers, for whoever reads of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct WatchedStatus {
    /// Answers that were watched in the present window.
    pub answers: u64,
    /// Those of them in which something was found.
    pub faulty: u64,
    /// How long it is left alone because of that, where it is.
    #[serde(default)]
    pub left_alone_for: Option<Duration>,
}

impl WatchedAnswers {
    /// A replica has given an answer to a tenant with that digest; one in which something was found, to the request of that.
    pub fn on_answer(&mut self, replica: &ReplicaName, tenant: u16, faulty: Option<u64>) {
        let answers = self.0.entry(replica.clone()).or_default();
        note_tenant(&mut answers.tenants, tenant);
        match faulty {
            Some(request) if answers.faulty.len() < MOST_TOLD => answers.faulty.push(request),
            Some(_) => {}
            None => answers.sound = answers.sound.saturating_add(1),
        }
    }

    /// Each replica with its answers.
    pub fn iter(&self) -> impl Iterator<Item = (&ReplicaName, &AnswersOf)> {
        self.0.iter()
    }
}

/// More faulty answers of one replica between two reports say no more than these.
const MOST_TOLD: usize = 64;
/// Whether there are several is all that is asked.
const MOST_TENANTS: usize = 2;
/// How much of a request's digest says whose it is.
const TENANT_BITS: u32 = u16::BITS;
