//! Looking for a newer configuration in the store, and putting one there.

use std::sync::Arc;

use bytes::Bytes;

use crate::config::Config;
use crate::observe::Event;
use crate::pipeline::state::Gateway;
use crate::platform::{Platform, StoreError};
use crate::time::Timestamp;

/// The configuration for a request that arrives now. The very first one waits for the store; later ones have it looked
/// at behind their backs when the last look is too old.
pub(in crate::pipeline) async fn current_config<P: Platform>(gateway: &Arc<Gateway>, platform: &P) -> Arc<Config> {
    let now = platform.now();
    let (config, checked) = gateway.active_config.current();
    let Some(checked) = checked else {
        refresh_config(gateway, platform).await;
        return gateway.active_config.current().0;
    };
    if now.since(checked) >= config.refresh.config {
        // Marked at once, so that one request alone looks.
        gateway.active_config.on_checked(now);
        let (gateway, handle) = (Arc::clone(gateway), platform.clone());
        platform.after_response(async move { refresh_config(&gateway, &handle).await });
    }
    config
}

/// Looks at the store now.
pub(in crate::pipeline) async fn refresh_config<P: Platform>(gateway: &Gateway, platform: &P) {
    let read = platform.store_read(&[STORE_KEY]).await;
    let now = platform.now();
    gateway.active_config.on_checked(now);
    match read {
        Ok(values) => {
            if let Some(Some(text)) = values.into_iter().next() {
                offer(gateway, now, text);
            }
        }
        Err(StoreError(detail)) => gateway.tell(now, &Event::StoreUnreachable { detail: &detail }),
    }
}

/// Writes a configuration that an operator sent to the store, and puts it in force here.
///
/// # Errors
/// When the store does not take it.
pub(in crate::pipeline) async fn publish_config<P: Platform>(
    gateway: &Gateway,
    platform: &P,
    text: Bytes,
) -> Result<(), StoreError> {
    platform.store_write(STORE_KEY, text.clone(), None).await?;
    offer(gateway, platform.now(), text);
    Ok(())
}

fn offer(gateway: &Gateway, now: Timestamp, text: Bytes) {
    match gateway.active_config.offer(text, |text| gateway.check_config(text)) {
        Some(Ok(version)) => gateway.tell(now, &Event::ConfigApplied { version: &version }),
        Some(Err(errors)) => gateway.tell(now, &Event::ConfigRefused { errors: &errors }),
        None => {}
    }
}

/// Where the store holds a newer `gateway.toml`.
const STORE_KEY: &str = "config";
