//! What operators change.

use std::fmt;

use crate::auth::AdminKeyId;

/// An operator has changed something.
#[derive(Clone, Copy, Debug)]
pub struct AdminChange<'a> {
    /// With which key.
    pub by: AdminKeyId,
    /// What kind of thing, in one word.
    pub what: &'static str,
    /// Which one; empty where there is one alone.
    pub which: &'a str,
    /// How it was, in JSON or one word.
    pub before: &'a str,
    /// How it is.
    pub after: &'a str,
}

impl AdminChange<'_> {
    /// The rest of its line in a log.
    pub(super) fn write_particulars(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { by, what, .. } = self;
        write!(f, " by={by} what={what}")?;
        for (name, value) in [("which", self.which), ("before", self.before), ("after", self.after)] {
            if !value.is_empty() {
                write!(f, " {name}={value}")?;
            }
        }
        Ok(())
    }
}
