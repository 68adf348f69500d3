//! What each path of the API does.

pub(super) mod budgets;
mod carry_out;
pub(super) mod config;
mod generate;
pub(super) mod models;
pub(super) mod probes;
mod tokenize;

pub(super) use carry_out::carry_out;
pub(super) use generate::generate;
pub(super) use tokenize::tokenize;
