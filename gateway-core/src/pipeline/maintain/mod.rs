//! What goes on behind requests' backs.

mod canned;
mod config;
mod signals;

pub(super) use canned::publish_canned;
pub(super) use config::{current_config, publish_config, refresh_config};
pub(super) use signals::{Poll, Polled, poll_all};
