//! What a prompt begins with, as keys: requests that share a key share all of their prompts up to there, and with it what
//! an engine has computed of it. From a request alone; where anything is warm is not known here.

mod boundaries;
mod chain;
pub mod index;
mod places;
mod presumption;
mod reading;
mod session;
mod source;

pub use boundaries::Boundaries;
pub use presumption::Presumptions;
pub use reading::Reading;
pub use session::session_affinity;
