//! What goes on behind requests' backs.

mod config;

pub(super) use config::{current_config, publish_config, refresh_config};
