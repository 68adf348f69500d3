//! How many replicas a cluster should have: what is measured for that, over all gateways, and the advice that follows. It
//! advises, and starts or ends no replica; whoever does decides by the number ([`Advice::desired`]).
//!
//! Gateways tell what the cluster's cell does not see ([`Served`]); the cell counts the rest, and asks [`advise`], which is
//! pure.

mod advice;
mod arrivals;
mod figures;
mod history;
mod needs;
mod served;
mod sketch;

pub(super) use self::advice::advise;
pub use self::advice::{Advice, ScalingPolicy};
pub(super) use self::arrivals::Arrivals;
pub use self::arrivals::{Rates, Work};
pub use self::figures::{Figures, ReadScale, ReplicaCounts, Scale, Waiting};
pub(super) use self::history::History;
pub use self::served::{Ended, Served};
pub use self::sketch::LatencySketch;
