//! The subcommands.

pub mod calibrate;
pub mod check;
pub mod engine;
pub mod keys;
pub mod schema;
pub mod serve;
pub mod tokens;
