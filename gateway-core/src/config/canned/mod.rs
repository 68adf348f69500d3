//! Texts that are given where no model answers, and models that operators keep out of service: a table of `gateway.toml`, or
//! a document of the same form in the store, which stands in its place. Which text a request gets is decided here, from what
//! it asks for, whose it is, what its client reads, and why no model answers.

mod reason;
mod template;
mod written;

use serde::{Deserialize, Serialize};

pub use reason::CannedReason;
pub(super) use template::TemplateText;
pub use template::{Template, Values};
pub(super) use written::{Canned, check};
#[cfg(any(test, feature = "schema"))]
pub(super) use {reason::Reason, written::Language};

use super::validated::{Config, Model};
use crate::ids::{ModelName, TenantName};
use crate::language::LanguageTag;

/// What is answered where no model does.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CannedAnswers {
    /// Models that are not asked, by names or aliases.
    maintenance: Vec<ModelName>,
    texts: Vec<CannedText>,
}

/// A text, and for what it is meant; where something is `None`, for whatever that is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct CannedText {
    /// By name or alias.
    model: Option<ModelName>,
    tenant: Option<TenantName>,
    language: Option<LanguageTag>,
    reason: Option<CannedReason>,
    text: Template,
}

/// For what a text is looked for.
#[derive(Clone, Copy, Debug)]
pub struct CannedFor<'a> {
    /// The model that was asked for.
    pub model: &'a Model,
    /// Whose request it is.
    pub tenant: &'a TenantName,
    /// Why no model answers.
    pub reason: CannedReason,
    /// What its client reads, best first.
    pub languages: &'a [LanguageTag],
}

impl CannedAnswers {
    /// How many texts there are.
    pub fn len(&self) -> usize {
        self.texts.len()
    }

    /// Whether there is no text at all.
    pub fn is_empty(&self) -> bool {
        self.texts.is_empty()
    }

    /// Whether operators keep the model out of service.
    pub fn is_in_maintenance(&self, config: &Config, model: &Model) -> bool {
        self.maintenance.iter().any(|named| is_called(config, model, named))
    }

    /// Whether any text may be for that tenant's requests for that model, where engines cannot answer them.
    pub fn may_answer(&self, config: &Config, model: &Model, tenant: &TenantName) -> bool {
        let mut texts = self.texts.iter();
        texts.any(|text| text.is_for(config, model, tenant) && text.reason.is_none_or(|reason| !reason.must_be_named()))
    }

    /// Whether any text is for that tenant and that reason, which it names, whatever the model.
    pub fn names(&self, tenant: &TenantName, reason: CannedReason) -> bool {
        let is_for = |text: &CannedText| text.tenant.as_ref().is_none_or(|named| named == tenant);
        self.texts
            .iter()
            .any(|text| text.reason == Some(reason) && is_for(text))
    }

    /// The text that is meant most closely: one that names the tenant before one that does not; of those alike, one that
    /// names the model; then the reason; then the language that the client reads best. No two texts name the same.
    pub fn find(&self, config: &Config, wanted: CannedFor<'_>) -> Option<&Template> {
        let CannedFor {
            model,
            tenant,
            reason,
            languages,
        } = wanted;
        let closeness = |text: &CannedText| {
            let is_for_reason = match text.reason {
                Some(named) => named == reason,
                None => !reason.must_be_named(),
            };
            if !is_for_reason || !text.is_for(config, model, tenant) {
                return None;
            }
            let language = match &text.language {
                Some(named) => languages.len() - languages.iter().position(|wanted| named.serves(wanted))?,
                None => 0,
            };
            Some((
                text.tenant.is_some(),
                text.model.is_some(),
                text.reason.is_some(),
                language,
            ))
        };
        let meant = self
            .texts
            .iter()
            .filter_map(|text| Some((closeness(text)?, &text.text)));
        meant.max_by_key(|(closeness, _)| *closeness).map(|(_, text)| text)
    }
}

impl CannedText {
    fn is_for(&self, config: &Config, model: &Model, tenant: &TenantName) -> bool {
        self.model.as_ref().is_none_or(|named| is_called(config, model, named))
            && self.tenant.as_ref().is_none_or(|named| named == tenant)
    }
}

/// Whether the model has that name or alias in a configuration, which may be another than the one that the texts came with.
fn is_called(config: &Config, model: &Model, named: &ModelName) -> bool {
    config
        .model(named.as_str())
        .is_some_and(|called| called.name == model.name)
}

#[cfg(test)]
mod tests;
