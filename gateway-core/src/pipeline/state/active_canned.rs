//! The canned texts in force: the configuration's, until the store holds a document that is sound.

use std::sync::{Arc, PoisonError, RwLock};

use bytes::Bytes;

use super::stored_text::StoredText;
use crate::config::{CannedAnswers, Config, ConfigErrors, version};

/// The document of the store, where there is one.
#[derive(Debug, Default)]
pub(in crate::pipeline) struct ActiveCanned(RwLock<State>);

#[derive(Debug, Default)]
struct State {
    /// What the document says; `None` where the configuration's texts are in force.
    answers: Option<Arc<CannedAnswers>>,
    /// The document; blank where there is none.
    stored: StoredText,
}

impl ActiveCanned {
    /// The texts in force, where that is the configuration.
    pub fn current(&self, config: &Config) -> Arc<CannedAnswers> {
        self.read(|state| Arc::clone(state.answers.as_ref().unwrap_or(&config.canned)))
    }

    /// The document in force, with its version, where there is one.
    pub fn document(&self) -> Option<(Bytes, String)> {
        self.read(|state| {
            state.answers.as_ref()?;
            let text = state.stored.text();
            Some((text.clone(), version(&String::from_utf8_lossy(text))))
        })
    }

    /// Whether the store holds a document that was refused.
    pub fn is_refusing(&self) -> bool {
        self.read(|state| state.stored.is_refusing())
    }

    /// An operator has put a document into the store.
    pub fn on_published(&self) {
        self.write(|state| state.stored.on_published());
    }

    /// How often that has happened: what was read of the store before the last time is out of date.
    pub fn published(&self) -> u64 {
        self.read(|state| state.stored.published())
    }

    /// Puts a document in force, if it is news and sound; a blank one says that there is none. The version of what is in
    /// force then, or what is wrong with it. `None` where it is no news.
    pub fn offer(&self, text: Bytes) -> Option<Result<Option<String>, ConfigErrors>> {
        if self.read(|state| !state.stored.is_news(&text)) {
            return None;
        }
        let is_blank = text.trim_ascii().is_empty();
        match (!is_blank).then(|| CannedAnswers::read(&text)).transpose() {
            Ok(answers) => {
                let version = answers.is_some().then(|| version(&String::from_utf8_lossy(&text)));
                self.write(|state| {
                    state.answers = answers.map(Arc::new);
                    state.stored.on_applied(text);
                });
                Some(Ok(version))
            }
            Err(errors) => {
                self.write(|state| state.stored.on_refused(text));
                Some(Err(errors))
            }
        }
    }

    fn read<T>(&self, read: impl FnOnce(&State) -> T) -> T {
        read(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn write<T>(&self, write: impl FnOnce(&mut State) -> T) -> T {
        write(&mut self.0.write().unwrap_or_else(PoisonError::into_inner))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_text_is_refused_and_told_once() {
        let active = ActiveCanned::default();
        let sound = Bytes::from_static(b"[[canned.texts]]\ntext = \"sound\"\n");
        assert!(matches!(active.offer(sound.clone()), Some(Ok(Some(_)))));
        let damaged = Bytes::from_static(b"[[canned.texts]]\ntext = \"\xff\"\n");
        let Some(Err(errors)) = active.offer(damaged.clone()) else {
            panic!("it is taken");
        };
        assert_eq!(
            errors.to_string(),
            "canned.toml:2: (text): not TOML: not UTF-8; expected UTF-8"
        );
        assert!(active.is_refusing() && active.offer(damaged).is_none());
        assert_eq!(
            active.document().map(|(text, _)| text),
            Some(sound),
            "those before stay"
        );
    }
}
