//! Canned texts of the store: looked for with the configuration, and put there.

use bytes::Bytes;

use crate::observe::{Canning, Event};
use crate::pipeline::state::Gateway;
use crate::platform::{Platform, StoreError};
use crate::time::Timestamp;

/// Writes a document that an operator sent to the store, and puts it in force here; a blank one says that there is none.
///
/// # Errors
/// When the store does not take it.
pub(in crate::pipeline) async fn publish_canned<P: Platform>(
    gateway: &Gateway,
    platform: &P,
    text: Bytes,
) -> Result<(), StoreError> {
    platform.store_write(STORE_KEY, text.clone(), None).await?;
    gateway.canned.on_published();
    offer_canned(gateway, platform.now(), text);
    Ok(())
}

/// Puts what the store holds in force, where it is news and sound.
pub(super) fn offer_canned(gateway: &Gateway, now: Timestamp, text: Bytes) {
    match gateway.canned.offer(text) {
        Some(Ok(version)) => {
            let version = version.as_deref();
            gateway.tell(now, &Event::Canned(Canning::Applied { version }));
        }
        Some(Err(errors)) => gateway.tell(now, &Event::Canned(Canning::Refused { errors: &errors })),
        None => {}
    }
}

/// Where the store holds the document.
pub(super) const STORE_KEY: &str = "canned";
