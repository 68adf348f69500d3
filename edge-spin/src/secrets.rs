//! Secrets: variables of the component, by the secret's name in lower case.

use std::cell::RefCell;
use std::collections::BTreeMap;

use http::HeaderValue;
use spin_sdk::variables;
use tidegate_core::ids::SecretName;
use tidegate_core::platform::SendError;

use crate::log;

/// Secrets that were asked for already. An instance lives for 128 requests, so that a changed secret is soon seen.
#[derive(Default)]
pub(crate) struct Secrets(RefCell<BTreeMap<SecretName, String>>);

impl Secrets {
    /// The secret itself, or `None` where there is none, or an empty one.
    pub(crate) async fn value(&self, name: &SecretName) -> Option<String> {
        if let Some(value) = self.0.borrow().get(name) {
            return Some(value.clone());
        }
        let value = match variables::get(name.as_str().to_lowercase()).await {
            Ok(secret) => Some(secret).filter(|secret| !secret.is_empty()),
            Err(variables::Error::Undefined(_) | variables::Error::InvalidName(_)) => None,
            Err(error) => {
                log::warn(&format!("secret `{name}` cannot be read: {error}"));
                None
            }
        }?;
        self.0.borrow_mut().insert(name.clone(), value.clone());
        Some(value)
    }

    /// The value of the `authorization` header that presents the secret.
    ///
    /// # Errors
    /// When there is no such secret.
    pub(crate) async fn authorization(&self, name: &SecretName) -> Result<HeaderValue, SendError> {
        let value = self.value(name).await;
        let value = value.and_then(|secret| HeaderValue::try_from(format!("Bearer {secret}")).ok());
        let mut value = value.ok_or_else(|| SendError::NoSecret(name.clone()))?;
        value.set_sensitive(true);
        Ok(value)
    }
}
