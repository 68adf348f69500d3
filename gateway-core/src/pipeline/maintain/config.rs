//! Looking for a newer configuration in the store, and for canned texts beside it, and putting one there.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::canned::{self, offer_canned};
use crate::config::Config;
use crate::observe::{Event, StoreAccess};
use crate::pipeline::context::within;
use crate::pipeline::failure::Failure;
use crate::pipeline::state::{Gateway, LONGEST_LOOK, LOOKER_IS_GONE, Look};
use crate::platform::{Platform, StoreError};
use crate::time::Timestamp;

/// The configuration for a request that arrives now. Until the store was read once, one request at a time looks there
/// and the others wait for it; later ones have it looked at behind their backs when the last look is too old.
///
/// # Errors
/// When the store has never been read, and cannot be now.
pub(in crate::pipeline) async fn current_config<P: Platform>(
    gateway: &Arc<Gateway>,
    platform: &P,
) -> Result<Arc<Config>, Failure> {
    let arrived = platform.now();
    let mut now = arrived;
    loop {
        let (config, look) = gateway.active_config.look(now);
        match look {
            Look::NotNeeded => return Ok(config),
            Look::Behind => {
                let (gateway, handle) = (Arc::clone(gateway), platform.clone());
                platform.after_response(async move { refresh_config(&gateway, &handle).await });
                return Ok(config);
            }
            Look::First => refresh_config(gateway, platform).await,
            Look::Await if now.since(arrived) <= LOOKER_IS_GONE => platform.sleep(GLANCE_EVERY).await,
            Look::Await => return Err(Failure::ConfigUnread { wait: GLANCE_EVERY }),
            Look::Refused(wait) => return Err(Failure::ConfigUnread { wait }),
        }
        now = platform.now();
    }
}

/// Looks at the store now.
pub(in crate::pipeline) async fn refresh_config<P: Platform>(gateway: &Gateway, platform: &P) {
    let published = || (gateway.active_config.published(), gateway.canned.published());
    let (config_before, canned_before) = published();
    let read = read_store(platform).await;
    let now = platform.now();
    if let Ok([config, canned]) = &read {
        // What was read before an operator put another one there is older than that.
        let (config_now, canned_now) = published();
        if let Some(text) = config.as_ref().filter(|_| config_now == config_before) {
            offer(gateway, now, text.clone());
        }
        if let Some(text) = canned.as_ref().filter(|_| canned_now == canned_before) {
            offer_canned(gateway, now, text.clone());
        }
    }
    gateway.active_config.on_looked(now, read.is_ok());
    gateway.on_store(now, StoreAccess::Read, read.map(drop));
}

/// What the store holds, if anything: a configuration, and canned texts.
async fn read_store<P: Platform>(platform: &P) -> Result<[Option<Bytes>; 2], StoreError> {
    match within(
        platform,
        LONGEST_LOOK,
        platform.store_read(&[STORE_KEY, canned::STORE_KEY]),
    )
    .await
    {
        Some(read) => {
            let mut found = read?.into_iter();
            Ok([(); 2].map(|()| found.next().flatten()))
        }
        None => Err(StoreError("no answer in time".to_owned())),
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
    gateway.active_config.on_published();
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
/// How often a request that waits for another's look asks whether that has ended. Requests cannot wait for each other's
/// futures everywhere.
const GLANCE_EVERY: Duration = Duration::from_millis(5);
