//! The configuration in force: the bundled one until the store holds a newer one that is sound.

use std::sync::{Arc, PoisonError, RwLock};

use bytes::Bytes;

use super::Gateway;
use crate::config::{Config, ConfigErrors};
use crate::observe::Event;
use crate::platform::{Platform, StoreError};
use crate::time::Timestamp;
use crate::tokens::Tables;

/// The configuration in force, and when the store was last looked at.
#[derive(Debug)]
pub(super) struct Live(RwLock<State>);

#[derive(Debug)]
struct State {
    config: Arc<Config>,
    text: Bytes,
    /// What the store held when it was refused, so that it is refused, and told, only once.
    refused: Option<Bytes>,
    checked: Option<Timestamp>,
}

impl Live {
    pub fn new(bundled: &str, tables: &Tables) -> Result<Self, ConfigErrors> {
        let config = Arc::new(Config::parse(bundled, Some(&tables.names()))?);
        let text = Bytes::copy_from_slice(bundled.as_bytes());
        Ok(Self(RwLock::new(State {
            config,
            text,
            refused: None,
            checked: None,
        })))
    }

    /// The configuration for a request that arrives now. The very first one waits for the store; later ones have it
    /// looked at behind their backs when the last look is too old.
    pub async fn current<P: Platform>(&self, gateway: &Arc<Gateway>, platform: &P) -> Arc<Config> {
        let now = platform.now();
        let (config, checked) = self.read(|state| (Arc::clone(&state.config), state.checked));
        match checked {
            None => {
                self.refresh(gateway, platform).await;
                self.read(|state| Arc::clone(&state.config))
            }
            Some(checked) => {
                if now.since(checked) >= config.limits.config_refresh {
                    // Marked at once, so that one request alone looks.
                    self.write(|state| state.checked = Some(now));
                    let (gateway, handle) = (Arc::clone(gateway), platform.clone());
                    platform.after_response(async move { gateway.live.refresh(&gateway, &handle).await });
                }
                config
            }
        }
    }

    /// Looks at the store now.
    pub async fn refresh<P: Platform>(&self, gateway: &Gateway, platform: &P) {
        let read = platform.store_read(&[STORE_KEY]).await;
        self.write(|state| state.checked = Some(platform.now()));
        match read {
            Ok(values) => {
                if let Some(Some(text)) = values.into_iter().next() {
                    self.offer(gateway, text);
                }
            }
            Err(StoreError(detail)) => gateway.tell(&Event::StoreUnreachable { detail: &detail }),
        }
    }

    /// Writes a configuration that an operator sent to the store, and puts it in force here.
    ///
    /// # Errors
    /// When the store does not take it.
    pub async fn publish<P: Platform>(&self, gateway: &Gateway, platform: &P, text: Bytes) -> Result<(), StoreError> {
        platform.store_write(STORE_KEY, text.clone(), None).await?;
        self.offer(gateway, text);
        Ok(())
    }

    /// The text in force.
    pub fn text(&self) -> Bytes {
        self.read(|state| state.text.clone())
    }

    /// Whether the store holds a configuration that was refused.
    pub fn is_refusing(&self) -> bool {
        self.read(|state| state.refused.is_some())
    }

    fn offer(&self, gateway: &Gateway, text: Bytes) {
        if self.read(|state| state.text == text && state.refused.is_none() || state.refused.as_ref() == Some(&text)) {
            return;
        }
        match gateway.check_config(&String::from_utf8_lossy(&text)) {
            Ok(config) => {
                gateway.tell(&Event::ConfigApplied {
                    version: &config.version,
                });
                self.write(|state| {
                    state.config = Arc::new(config);
                    state.text = text;
                    state.refused = None;
                });
            }
            Err(errors) => {
                gateway.tell(&Event::ConfigRefused { errors: &errors });
                self.write(|state| state.refused = Some(text));
            }
        }
    }

    fn read<T>(&self, read: impl FnOnce(&State) -> T) -> T {
        read(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn write(&self, write: impl FnOnce(&mut State)) {
        write(&mut self.0.write().unwrap_or_else(PoisonError::into_inner));
    }
}

/// Where the store holds a newer `gateway.toml`.
const STORE_KEY: &str = "config";
