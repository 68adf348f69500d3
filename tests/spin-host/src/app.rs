//! What the manifest and the command line grant the component, checked once.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

use wasmtime::Result;
use wasmtime::error::Context as _;

use crate::key_value::KeyValues;
use crate::manifest::Manifest;
use crate::outbound::Client;
use crate::outbound_hosts::OutboundHosts;
use crate::template;

/// What all instances share.
pub(crate) struct App {
    /// The component's variables.
    pub(crate) variables: BTreeMap<String, String>,
    /// Where it may send requests.
    pub(crate) hosts: Arc<OutboundHosts>,
    /// What sends them.
    pub(crate) client: Client,
    /// The key-value stores that it may open.
    pub(crate) stores: BTreeSet<String>,
    /// Their contents.
    pub(crate) key_values: KeyValues,
    /// The databases that it may open.
    pub(crate) databases: BTreeSet<String>,
    /// Where the databases are.
    pub(crate) state: PathBuf,
    /// Instances that live now.
    pub(crate) instances: AtomicUsize,
}

impl App {
    /// Checks the manifest against the variables that were `set`.
    ///
    /// # Errors
    /// When a variable is missing or unknown, or an allowed outbound host is not understood.
    pub(crate) fn new(manifest: &Manifest, set: &[(String, String)], state: &Path) -> Result<Self> {
        let values = template::values(&manifest.variables, set, |name| std::env::var(name).ok())?;
        let component = &manifest.component;
        let resolve = |template: &String| template::resolve(template, &values);
        let variable = |(name, template): (&String, &String)| {
            let value = resolve(template).with_context(|| format!("component variable `{name}`"))?;
            Ok((name.clone(), value))
        };
        let hosts = component
            .allowed_outbound_hosts
            .iter()
            .map(resolve)
            .collect::<Result<Vec<_>>>()?;
        Ok(Self {
            variables: component.variables.iter().map(variable).collect::<Result<_>>()?,
            hosts: Arc::new(OutboundHosts::parse(&hosts)?),
            client: Client::new(),
            stores: component.key_value_stores.iter().cloned().collect(),
            key_values: KeyValues::open(&state.join("key_value.db"))?,
            databases: component.sqlite_databases.iter().cloned().collect(),
            state: state.to_path_buf(),
            instances: AtomicUsize::new(0),
        })
    }
}
