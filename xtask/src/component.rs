//! Makes the component that Spin runs of the core module that `cargo` builds for `wasm32-unknown-unknown`.
//!
//! The component imports an interface only if code in the module calls it: what a component cannot import it cannot
//! do. The imports are checked against the list here, so that a new capability is granted by a change to this file
//! and never slips in with a dependency.

use std::path::Path;

use wit_component::{ComponentEncoder, DecodedWasm};

/// The interfaces that Tidegate's Spin components may import, versions left out.
pub const ALLOWED_IMPORTS: &[&str] = &[
    "spin:key-value/key-value",
    // Only where the variable `redis_url` names a Redis that `allowed_outbound_hosts` grants.
    "spin:redis/redis",
    "spin:sqlite/sqlite",
    "spin:variables/variables",
    "wasi:cli/stderr",
    // None of its functions: the SDK takes the type of what writing to stderr returns from here.
    "wasi:cli/stdin",
    "wasi:cli/types",
    "wasi:clocks/monotonic-clock",
    "wasi:clocks/system-clock",
    "wasi:clocks/types",
    "wasi:http/client",
    "wasi:http/types",
    "wasi:random/random",
];

/// Why no component was made.
#[derive(Debug, thiserror::Error)]
pub enum ComponentError {
    /// A file could not be read or written.
    #[error("{path}: {source}")]
    File {
        /// Which one.
        path: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// The module is none that a component can be made of.
    #[error("{path} makes no component: {reason}")]
    Encode {
        /// The core module.
        path: String,
        /// The encoder's words.
        reason: String,
    },
    /// The module uses something that it was not granted.
    #[error("{path} imports `{import}`, which is not among the allowed imports in xtask/src/component.rs")]
    NotAllowed {
        /// The core module.
        path: String,
        /// The interface, with its version.
        import: String,
    },
}

/// Makes a component of the module `core_wasm`, writes it to `out`, and returns the interfaces that it imports.
///
/// # Errors
/// When a file cannot be read or written, the module is none for a component, or it imports what is not allowed.
pub fn componentize(core_wasm: &Path, out: &Path) -> Result<Vec<String>, ComponentError> {
    let path = || core_wasm.display().to_string();
    let module = std::fs::read(core_wasm).map_err(|source| ComponentError::File { path: path(), source })?;
    let component = ComponentEncoder::default()
        .module(&module)
        .and_then(|encoder| encoder.validate(true).encode())
        .map_err(|error| ComponentError::Encode {
            path: path(),
            reason: format!("{error:#}"),
        })?;
    let imports = imports(&component).map_err(|reason| ComponentError::Encode { path: path(), reason })?;
    if let Some(import) = imports.iter().find(|import| !is_allowed(import)) {
        return Err(ComponentError::NotAllowed {
            path: path(),
            import: import.clone(),
        });
    }
    std::fs::write(out, component).map_err(|source| ComponentError::File {
        path: out.display().to_string(),
        source,
    })?;
    Ok(imports)
}

/// The interfaces that a component imports, with their versions.
fn imports(component: &[u8]) -> Result<Vec<String>, String> {
    match wit_component::decode(component).map_err(|error| format!("{error:#}"))? {
        DecodedWasm::Component(resolve, world) => Ok(resolve.worlds[world]
            .imports
            .keys()
            .map(|key| resolve.name_world_key(key))
            .collect()),
        DecodedWasm::WitPackage(..) => Err("it is a package of interfaces".to_owned()),
    }
}

fn is_allowed(import: &str) -> bool {
    let name = import.split('@').next().unwrap_or(import);
    ALLOWED_IMPORTS.contains(&name)
}
