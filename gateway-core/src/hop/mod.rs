//! Two gateways on a request's way: one at the edge, where it comes in, and one beside the cluster that serves it. What each
//! of them does, how the second knows what comes of the first, and that nothing comes twice.

mod health;
mod orders;
mod role;
mod signature;

pub use health::HopHealth;
pub use orders::{Admit, Admitted, OrdersCell, OrdersId, SHARDS};
pub use role::{Role, UnknownRole};
pub use signature::{BodyDigest, MAC_BYTES, Signature, SignatureError, Signed, mac};
