//! Secrets by name: environment variables of this process, turned into header values once. A changed value takes a
//! restart, as the environment of a running process does not change.

use std::cell::RefCell;
use std::collections::BTreeMap;

use http::HeaderValue;
use tidegate_core::ids::SecretName;

/// One thread's view of the secrets that it was asked for.
#[derive(Debug, Default)]
pub struct Secrets {
    bearers: RefCell<BTreeMap<SecretName, Option<HeaderValue>>>,
}

impl Secrets {
    /// The secret itself, or `None` when the variable is unset or blank.
    pub fn value(&self, name: &SecretName) -> Option<String> {
        let value = std::env::var(name.as_str()).ok()?;
        let value = value.trim();
        (!value.is_empty()).then(|| value.to_owned())
    }

    /// The value of `authorization` that presents the secret, or `None` when the variable is unset, empty, or holds
    /// what no header can. It is marked as sensitive, so that nothing prints it.
    pub fn bearer(&self, name: &SecretName) -> Option<HeaderValue> {
        let mut bearers = self.bearers.borrow_mut();
        if let Some(known) = bearers.get(name) {
            return known.clone();
        }
        let bearer = self.value(name).and_then(|value| to_bearer(&value));
        bearers.insert(name.clone(), bearer.clone());
        bearer
    }
}

fn to_bearer(secret: &str) -> Option<HeaderValue> {
    let mut value = HeaderValue::try_from(format!("Bearer {secret}")).ok()?;
    value.set_sensitive(true);
    Some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_environment_variable_becomes_a_bearer_that_debug_output_hides() {
        // PATH stands for any variable that is set: tests cannot set one safely.
        let bearer = Secrets::default().bearer(&"PATH".into()).expect("PATH is set");
        assert!(bearer.as_bytes().starts_with(b"Bearer /"));
        assert_eq!(format!("{bearer:?}"), "Sensitive");
    }

    #[test]
    fn what_is_unset_empty_or_no_header_is_no_secret() {
        assert_eq!(Secrets::default().bearer(&"TIDEGATE_TEST_UNSET".into()), None);
        assert_eq!(to_bearer("a\nb"), None);
    }
}
