//! What a gateway does of a request's way.

use std::str::FromStr;

use thiserror::Error;

/// What a gateway does of a request's way. It belongs to the deployment, not to the configuration, which both hops share.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Role {
    /// All of it: clients come to it, and it asks replicas.
    #[default]
    All,
    /// Clients come to it. It asks the region hop, where the region of a cluster has one, and else replicas.
    Edge,
    /// Gateways at the edge come to it, clients do not. It asks the replicas of its region.
    Region,
}

impl Role {
    /// Every role.
    pub const ALL: [Self; 3] = [Self::All, Self::Edge, Self::Region];

    /// Its name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Edge => "edge",
            Self::Region => "region",
        }
    }
}

impl FromStr for Role {
    type Err = UnknownRole;

    fn from_str(name: &str) -> Result<Self, UnknownRole> {
        let is_named = |role: &Self| role.as_str() == name;
        Self::ALL.into_iter().find(is_named).ok_or(UnknownRole)
    }
}

/// No role has that name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("a gateway's role is `all`, `edge` or `region`")]
pub struct UnknownRole;
