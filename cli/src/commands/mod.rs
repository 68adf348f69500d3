//! The subcommands.

pub mod calibrate;
pub mod check;
pub mod detect;
pub mod drain;
pub mod engine;
pub mod explain;
pub mod keys;
mod operator;
pub mod rollout;
pub mod schema;
pub mod serve;
pub mod status;
pub mod tokens;
