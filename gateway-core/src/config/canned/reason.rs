//! Why no model answers a request.

use serde::{Deserialize, Serialize};

use crate::config::error::Problem;
use crate::config::read::{Kind, Node};
use crate::config::report::Report;
use crate::config::suggest::one_of;

/// Why no model answers a request, so that a text does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CannedReason {
    /// Engines have no room, fail, or are too slow.
    Overload,
    /// Operators have taken out of service what could answer.
    Maintenance,
    /// No cluster of the model may see the tenant's data.
    BlockedRegion,
    /// A budget of the tenant refuses the request for now.
    Budget,
}

impl CannedReason {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Overload, Self::Maintenance, Self::BlockedRegion, Self::Budget];

    /// Its name, in the configuration, headers and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Overload => "overload",
            Self::Maintenance => "maintenance",
            Self::BlockedRegion => "blocked_region",
            Self::Budget => "budget",
        }
    }

    /// Whether only texts that name it are given for it. Clients act on these errors, and SDKs on their status: they are
    /// errors unless somebody wants them otherwise.
    pub fn must_be_named(self) -> bool {
        match self {
            Self::Overload | Self::Maintenance => false,
            Self::BlockedRegion | Self::Budget => true,
        }
    }
}

/// A reason by name.
pub(in crate::config) struct Reason;

impl Kind for Reason {
    type Value = CannedReason;

    fn expected() -> String {
        one_of(CannedReason::ALL.iter().map(|reason| reason.as_str()))
    }

    fn read(node: Node<'_>, report: &mut Report) -> Option<CannedReason> {
        node.parse::<Self>(report, |text| {
            let mut all = CannedReason::ALL.into_iter();
            all.find(|reason| reason.as_str() == text)
                .ok_or_else(|| Problem::UnknownName {
                    what: "reason",
                    name: text.to_owned(),
                })
        })
    }
}
