//! `spin.toml` as it is written: the part of it that this host understands, read and checked for what it cannot do.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use wasmtime::error::Context as _;
use wasmtime::{Result, bail, ensure};

/// A manifest of version 2 with one component behind one route.
#[derive(Debug)]
pub(crate) struct Manifest {
    /// Application variables, by name.
    pub(crate) variables: BTreeMap<String, Variable>,
    /// The one component.
    pub(crate) component: Component,
    /// The folder that relative paths in the manifest start from.
    folder: PathBuf,
}

/// A variable of the application.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Variable {
    /// Its value unless somebody sets another.
    pub(crate) default: Option<String>,
    /// Whether somebody must set it.
    #[serde(default)]
    pub(crate) required: bool,
    /// Whether its value is kept out of logs; this host logs no values at all.
    #[serde(default, rename = "secret")]
    _secret: bool,
    #[serde(default, rename = "description")]
    _description: Option<String>,
}

/// A component, and what it is granted.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Component {
    /// The file that `cargo xtask build` makes.
    source: PathBuf,
    /// Where it may send requests, as templates.
    #[serde(default)]
    pub(crate) allowed_outbound_hosts: Vec<String>,
    /// The key-value stores that it may open.
    #[serde(default)]
    pub(crate) key_value_stores: Vec<String>,
    /// The databases that it may open.
    #[serde(default)]
    pub(crate) sqlite_databases: Vec<String>,
    /// The variables that it can read, as templates.
    #[serde(default)]
    pub(crate) variables: BTreeMap<String, String>,
    #[serde(default, rename = "description")]
    _description: Option<String>,
    #[serde(default, rename = "build")]
    _build: Option<toml::Table>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AsWritten {
    spin_manifest_version: u32,
    #[serde(rename = "application")]
    _application: toml::Table,
    #[serde(default)]
    variables: BTreeMap<String, Variable>,
    trigger: Trigger,
    component: BTreeMap<String, Component>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Trigger {
    http: Vec<Route>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Route {
    route: String,
    component: String,
}

impl Manifest {
    /// Reads the manifest at `path`.
    pub(crate) fn read(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
        let folder = path.parent().unwrap_or(Path::new("")).to_path_buf();
        Self::parse(&text, folder).with_context(|| path.display().to_string())
    }

    fn parse(text: &str, folder: PathBuf) -> Result<Self> {
        let AsWritten {
            spin_manifest_version,
            variables,
            trigger,
            mut component,
            ..
        } = toml::from_str(text)?;
        ensure!(spin_manifest_version == 2, "this host reads manifests of version 2");
        let [route] = &trigger.http[..] else {
            bail!("this host serves one route, the manifest has {}", trigger.http.len());
        };
        ensure!(
            route.route == "/...",
            "this host serves the route `/...`, the manifest has `{}`",
            route.route
        );
        let component = component
            .remove(&route.component)
            .with_context(|| format!("there is no component `{}`", route.component))?;
        Ok(Self {
            variables,
            component,
            folder,
        })
    }

    /// The component's file as the manifest names it.
    pub(crate) fn component_path(&self) -> PathBuf {
        self.folder.join(&self.component.source)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINIMAL: &str = r#"
        spin_manifest_version = 2
        [application]
        name = "a"
        [[trigger.http]]
        route = "/..."
        component = "c"
        [component.c]
        source = "c.wasm"
    "#;

    #[test]
    fn paths_start_from_the_manifest() -> Result<()> {
        let manifest = Manifest::parse(MINIMAL, PathBuf::from("here"))?;
        assert_eq!(manifest.component_path(), Path::new("here/c.wasm"));
        Ok(())
    }

    #[test]
    fn what_this_host_cannot_do_is_refused() {
        for (from, to) in [
            ("/...", "/api"),
            ("= 2", "= 1"),
            ("component = \"c\"", "component = \"d\""),
        ] {
            let text = MINIMAL.replace(from, to);
            assert!(Manifest::parse(&text, PathBuf::new()).is_err(), "{text}");
        }
        let text = format!("{MINIMAL}\nfiles = [\"secrets\"]");
        assert!(
            Manifest::parse(&text, PathBuf::new()).is_err(),
            "a grant that it does not know"
        );
    }
}
