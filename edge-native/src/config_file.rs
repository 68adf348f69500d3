//! The configuration file. Its text is offered to the store when the process starts and whenever it changes; whether
//! it replaces what the store holds is settled by which is newer: a file that has not changed since it was last
//! offered leaves a configuration alone that an operator put there since, also over restarts.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tidegate_core::Gateway;
use tidegate_core::platform::StoreError;
use tokio::sync::Notify;
use tokio::time::{MissedTickBehavior, interval};
use tracing::{error, info, warn};

use crate::platform::NativePlatform;
use crate::state::State;

/// A `gateway.toml` and what is known of it.
#[derive(Debug)]
pub struct ConfigFile {
    path: PathBuf,
    /// The text that was dealt with last, adopted or refused.
    settled: String,
}

impl ConfigFile {
    /// Reads the file.
    ///
    /// # Errors
    /// When it is missing or no text.
    pub fn read(path: PathBuf) -> io::Result<Self> {
        let settled = std::fs::read_to_string(&path)?;
        Ok(Self { path, settled })
    }

    /// The text as it was read last.
    pub fn text(&self) -> &str {
        &self.settled
    }

    /// Offers the text that the process starts with.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub async fn offer_at_start(&self, state: &State) -> Result<(), StoreError> {
        if !state.offer_file(STORE_KEY, &self.settled).await? {
            info!(
                file = %self.path.display(),
                "the file is as it was when last offered: a configuration put into the store since then stays in force"
            );
        }
        Ok(())
    }

    /// Offers every new text, for ever: within twice [`LOOK_EVERY`], or at once when told to `reload`.
    pub async fn watch(mut self, reload: Arc<Notify>, gateway: Arc<Gateway>, platform: NativePlatform) {
        let mut looks = interval(LOOK_EVERY);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut seen = self.settled.clone();
        let mut is_stuck = false;
        loop {
            let told = tokio::select! {
                _tick = looks.tick() => false,
                () = reload.notified() => true,
            };
            let text = match tokio::fs::read_to_string(&self.path).await {
                Ok(text) => text,
                Err(error) => {
                    warn!(%error, file = %self.path.display(), "cannot read the configuration file");
                    continue;
                }
            };
            // Two looks must agree, so that a file that is half written is left alone, unless somebody says it is done.
            if text != self.settled && (told || text == seen) {
                let offered = self.offer(&text, &gateway, &platform).await;
                match &offered {
                    Ok(()) => self.settled.clone_from(&text),
                    Err(error) if !is_stuck => {
                        error!(%error, file = %self.path.display(), "the changed configuration cannot be stored yet");
                    }
                    Err(_) => {}
                }
                is_stuck = offered.is_err();
            }
            seen = text;
        }
    }

    /// Offers a new text, of which a wrong one is dealt with by a word in the log.
    ///
    /// # Errors
    /// When the store does not take it: then it is to be offered again.
    async fn offer(&self, text: &str, gateway: &Arc<Gateway>, platform: &NativePlatform) -> Result<(), StoreError> {
        if let Err(errors) = gateway.check_config(text) {
            let file = self.path.display();
            error!(%file, "the changed configuration is refused, the old one stays in force:\n{errors}");
            return Ok(());
        }
        platform.state().offer_file(STORE_KEY, text).await?;
        gateway.maintain(platform.clone()).await;
        Ok(())
    }
}

/// Time between two looks at the file.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// Where the core looks for a newer configuration.
const STORE_KEY: &str = "config";
