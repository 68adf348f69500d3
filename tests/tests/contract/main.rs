//! The contract: what every client may rely on, on every runtime. One gateway and its engines serve most tests, side
//! by side; a test that needs another configuration starts a world of its own.

mod api;
mod attack;
mod bad_input;
mod blame;
mod browsers;
mod budgets;
mod clients_leave;
mod config;
mod drain;
mod encodings;
mod engine_errors;
mod entering;
mod explain;
mod faults;
mod health;
mod hops;
mod keys;
mod ladder;
mod metrics;
mod pass_through;
mod passing;
mod prefixes;
mod recordings;
mod rollouts;
mod routing;
mod scale;
mod sdk;
mod shared;
mod signals;
mod steering;
mod streams;
mod support;
mod tokens;
mod waiting;
mod whole_answers;
