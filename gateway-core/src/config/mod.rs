//! The configuration: what the operator writes in `gateway.toml`, and the validated form that the code uses. A
//! value of [`Config`] is sound: every name it mentions exists, every figure is within its range.

mod validated;

pub use validated::{
    Admin, CannedTier, Cluster, Config, EngineKind, KeyDigest, Ladder, Limits, Model, Region, Replica, Serving, Tenant, Tier,
};
