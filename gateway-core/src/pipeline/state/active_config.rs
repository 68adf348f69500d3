//! The configuration in force: the bundled one until the store holds a newer one that is sound.

use std::sync::{Arc, PoisonError, RwLock};

use bytes::Bytes;

use crate::config::{Config, ConfigErrors};
use crate::time::Timestamp;

/// The configuration in force, and when the store was last looked at.
#[derive(Debug)]
pub(in crate::pipeline) struct ActiveConfig(RwLock<State>);

#[derive(Debug)]
struct State {
    config: Arc<Config>,
    text: Bytes,
    /// What the store held when it was refused, so that it is refused, and told, only once.
    refused: Option<Bytes>,
    checked: Option<Timestamp>,
}

impl ActiveConfig {
    /// The configuration to begin with, and the text that it was read from.
    pub fn new(config: Arc<Config>, text: Bytes) -> Self {
        Self(RwLock::new(State {
            config,
            text,
            refused: None,
            checked: None,
        }))
    }

    /// The text in force.
    pub fn text(&self) -> Bytes {
        self.read(|state| state.text.clone())
    }

    /// Whether the store holds a configuration that was refused.
    pub fn is_refusing(&self) -> bool {
        self.read(|state| state.refused.is_some())
    }

    /// The configuration, and when the store was last looked at.
    pub fn current(&self) -> (Arc<Config>, Option<Timestamp>) {
        self.read(|state| (Arc::clone(&state.config), state.checked))
    }

    /// The store is looked at now.
    pub fn on_checked(&self, now: Timestamp) {
        self.write(|state| state.checked = Some(now));
    }

    /// Puts a text in force, if it is news and sound: the version of what is in force then, or what is wrong with it.
    /// `None` where it is no news.
    pub fn offer(
        &self,
        text: Bytes,
        check: impl FnOnce(&str) -> Result<Config, ConfigErrors>,
    ) -> Option<Result<String, ConfigErrors>> {
        if self.read(|state| state.text == text && state.refused.is_none() || state.refused.as_ref() == Some(&text)) {
            return None;
        }
        let checked = check(&String::from_utf8_lossy(&text));
        Some(match checked {
            Ok(config) => {
                let version = config.version.clone();
                self.write(|state| {
                    state.config = Arc::new(config);
                    state.text = text;
                    state.refused = None;
                });
                Ok(version)
            }
            Err(errors) => {
                self.write(|state| state.refused = Some(text));
                Err(errors)
            }
        })
    }

    fn read<T>(&self, read: impl FnOnce(&State) -> T) -> T {
        read(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn write(&self, write: impl FnOnce(&mut State)) {
        write(&mut self.0.write().unwrap_or_else(PoisonError::into_inner));
    }
}
