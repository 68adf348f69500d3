//! The configuration: what the operator writes in `gateway.toml`, and the validated form that the code uses. A
//! value of [`Config`] is sound: every name it mentions exists, every figure is within its range. An unsound text gives
//! all of its errors at once; one that is no TOML gives those of its syntax only.

mod bundle;
mod canned;
mod check;
mod detection;
mod digest;
mod engine;
mod error;
mod hop;
mod kinds;
mod media;
mod models;
mod names;
mod origin;
mod read;
mod report;
mod response_cache;
mod rollouts;
#[cfg(any(test, feature = "schema"))]
mod schema;
mod section;
mod settings;
mod suggest;
mod tenants;
mod texts;
mod url;
mod validated;
mod written;

#[cfg(test)]
mod tests;

pub use bundle::BundleError;
pub use canned::{CannedAnswers, CannedFor, CannedReason, Template, Values};
pub use digest::{DigestError, KeyDigest};
pub use engine::EngineKind;
pub use error::{ConfigError, ConfigErrors, Problem};
pub use hop::HopAddress;
pub use media::{MediaOrigin, MediaUrls};
pub use models::CANNED_TIER;
pub use response_cache::{CacheMode, CachePolicy, CacheRule, CacheSettings, HitCost};
#[cfg(any(test, feature = "schema"))]
pub use schema::json_schema;
pub use settings::{
    Cors, Estimates, Explain, Headroom, Hops, Leases, Load, Permits, Prefixes, Queue, Refresh, Retries, Routing,
    Sessions, Signals, Sizes, Streams, Timeouts,
};
pub use url::{UrlError, url_at};
pub use validated::{
    Admin, Budget, Cluster, Config, Ladder, Model, PartTokens, Priority, Region, Replica, Serving, Tenant, TenantKey,
    Tier,
};

use sha2::{Digest, Sha256};
use toml::de::DeTable;

use read::Keys;
use report::Report;
use written::Root;

impl Config {
    /// Reads and validates the text of a `gateway.toml` for a deployment that carries token tables of the names
    /// `tables`. `None`: what it carries is not known, so that any name is taken.
    ///
    /// # Errors
    /// All that is wrong with it.
    pub fn parse(text: &str, tables: Option<&[&str]>) -> Result<Self, ConfigErrors> {
        let mut report = Report::new(text);
        let Some(mut tree) = tree(text, MAX_BYTES, &mut report) else {
            return report.finish(None);
        };
        settings::refuse_moved(&mut tree, &mut report);
        let root = Root::of(&Keys::of_text(&tree), &mut report);
        let config = check::check(&root, tables, version(text), &mut report);
        report.finish(config)
    }
}

/// The tables of a text, unless it has more than so many bytes or is no TOML.
fn tree<'t>(text: &'t str, most: usize, report: &mut Report) -> Option<DeTable<'t>> {
    if text.len() > most {
        report.too_long(text.len(), most);
        return None;
    }
    let (tree, syntax_errors) = DeTable::parse_recoverable(text);
    syntax_errors.iter().for_each(|error| report.syntax(error));
    syntax_errors.is_empty().then(|| tree.into_inner())
}

/// What tells a text from others: the first 16 hexadecimal digits of its SHA-256.
pub fn version(text: &str) -> String {
    Sha256::digest(text)
        .iter()
        .take(8)
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

/// A longer text is refused unread; thousands of tenants fit into it.
const MAX_BYTES: usize = 1 << 20;
