//! Which chat template a table carries.

use super::error::CompileError;
use super::written::{Templates, TokenizerConfig};

/// The one given by itself, else the one in the configuration.
pub(super) fn template(given: Option<&str>, config: &TokenizerConfig) -> Result<Option<String>, CompileError> {
    match (given, &config.chat_template) {
        (Some(given), _) => Ok(Some(given.to_owned())),
        (None, None) => Ok(None),
        (None, Some(Templates::One(template))) => Ok(Some(template.clone())),
        (None, Some(Templates::Several(templates))) => match &templates[..] {
            [only] => Ok(Some(only.template.clone())),
            _ => Err(CompileError::SeveralTemplates {
                names: templates
                    .iter()
                    .map(|template| template.name.as_str())
                    .collect::<Vec<_>>()
                    .join(", "),
            }),
        },
    }
}
