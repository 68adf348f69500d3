//! What each path of the API does.

pub(super) mod admin;
pub(super) mod budgets;
mod cache;
mod canned;
mod carry_out;
mod clusters;
mod config;
mod drains;
mod explain;
mod generate;
mod instead;
pub(super) mod models;
pub(super) mod probes;
mod requests;
mod rollouts;
pub(super) mod scale;
pub(super) mod signals;
mod tokenize;

pub(super) use carry_out::carry_out;
pub(super) use explain::explain;
pub(super) use generate::generate;
pub(super) use tokenize::tokenize;
