//! The configuration in force: the bundled one until the store holds a newer one that is sound.

use std::sync::{Arc, PoisonError, RwLock};

use bytes::Bytes;

use super::looks::{Look, Looks};
use super::stored_text::StoredText;
use crate::config::{Config, ConfigErrors};
use crate::time::Timestamp;

/// The configuration in force, and the looks at the store.
#[derive(Debug)]
pub(in crate::pipeline) struct ActiveConfig(RwLock<State>);

#[derive(Debug)]
struct State {
    config: Arc<Config>,
    /// What it was read from.
    stored: StoredText,
    looks: Looks,
}

impl ActiveConfig {
    /// The configuration to begin with, and the text that it was read from.
    pub fn new(config: Arc<Config>, text: Bytes) -> Self {
        Self(RwLock::new(State {
            config,
            stored: StoredText::new(text),
            looks: Looks::default(),
        }))
    }

    /// The text in force.
    pub fn text(&self) -> Bytes {
        self.read(|state| state.stored.text().clone())
    }

    /// Whether the store holds a configuration that was refused.
    pub fn is_refusing(&self) -> bool {
        self.read(|state| state.stored.is_refusing())
    }

    /// The configuration.
    pub fn current(&self) -> Arc<Config> {
        self.read(|state| Arc::clone(&state.config))
    }

    /// Whether requests are refused because the store may hold a configuration that was never read.
    pub fn is_unknown(&self) -> bool {
        self.read(|state| matches!(state.looks, Looks::Unread { .. }) && !state.config.refresh.bundled_until_read)
    }

    /// The configuration, and what a request that arrives now has to do about the store.
    pub fn look(&self, now: Timestamp) -> (Arc<Config>, Look) {
        let known = self.read(|state| {
            let is_fresh = state.looks.are_fresh(now, &state.config.refresh);
            is_fresh.then(|| Arc::clone(&state.config))
        });
        if let Some(config) = known {
            return (config, Look::NotNeeded);
        }
        self.write(|state| {
            let look = state.looks.next(now, &state.config.refresh);
            (Arc::clone(&state.config), look)
        })
    }

    /// A look at the store has ended: whether it was read.
    pub fn on_looked(&self, now: Timestamp, was_read: bool) {
        self.write(|state| state.looks.on_looked(now, was_read));
    }

    /// An operator has put a text into the store.
    pub fn on_published(&self) {
        self.write(|state| state.stored.on_published());
    }

    /// How often that has happened: what was read of the store before the last time is out of date.
    pub fn published(&self) -> u64 {
        self.read(|state| state.stored.published())
    }

    /// Puts a text in force, if it is news and sound: the version of what is in force then, or what is wrong with it.
    /// `None` where it is no news.
    pub fn offer(
        &self,
        text: Bytes,
        check: impl FnOnce(&str) -> Result<Config, ConfigErrors>,
    ) -> Option<Result<String, ConfigErrors>> {
        if self.read(|state| !state.stored.is_news(&text)) {
            return None;
        }
        let checked = check(&String::from_utf8_lossy(&text));
        Some(match checked {
            Ok(config) => {
                let version = config.version.clone();
                self.write(|state| {
                    state.config = Arc::new(config);
                    state.stored.on_applied(text);
                });
                Ok(version)
            }
            Err(errors) => {
                self.write(|state| state.stored.on_refused(text));
                Err(errors)
            }
        })
    }

    fn read<T>(&self, read: impl FnOnce(&State) -> T) -> T {
        read(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn write<T>(&self, write: impl FnOnce(&mut State) -> T) -> T {
        write(&mut self.0.write().unwrap_or_else(PoisonError::into_inner))
    }
}
