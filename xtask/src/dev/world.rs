//! What `cargo xtask dev` puts the gateway in front of: two simulated clusters in two regions, and a key to use them.

use std::path::Path;
use std::process::Command;

use super::child::Child;
use super::gateway::HOP_KEY;
use crate::command::Run;
use crate::error::TaskError;
use crate::setup::tokenizers;
use crate::workspace;

/// A key and what stands for it in the configuration.
#[derive(Clone, Debug)]
pub struct Key {
    /// What a client sends.
    pub key: String,
    /// Its digest.
    pub digest: String,
}

/// Makes a key, as an operator does.
///
/// # Errors
/// When `tidegate keys new` fails.
pub fn new_key(tidegate: &Path) -> Result<Key, TaskError> {
    let printed = Run::new(tidegate)
        .args(["keys", "new", "--tenant", "dev", "--json"])
        .quiet()?;
    let fields: serde_json::Value = serde_json::from_str(&printed).unwrap_or_default();
    let field = |name: &str| fields[name].as_str().map(str::to_owned);
    match (field("key"), field("digest")) {
        (Some(key), Some(digest)) => Ok(Key { key, digest }),
        (None, _) | (_, None) => Err(TaskError::unmet(
            "`tidegate keys new --json`",
            printed,
            "a key is wanted",
        )),
    }
}

/// Starts the replicas of both clusters.
///
/// # Errors
/// When one does not get ready.
pub fn start_engines(tidegate: &Path, folder: &Path) -> Result<Vec<Child>, TaskError> {
    let replicas = REPLICAS.iter().zip(1..);
    replicas
        .map(|(name, seed)| start_engine(tidegate, folder, name, seed))
        .collect()
}

fn start_engine(tidegate: &Path, folder: &Path, name: &str, seed: u32) -> Result<Child, TaskError> {
    let mut command = Command::new(tidegate);
    command.args([
        "engine",
        "--listen",
        "127.0.0.1:0",
        "--model",
        MODEL,
        "--profile",
        PROFILE,
    ]);
    command.args(["--seed", &seed.to_string()]);
    let source = tokenizers()?.join(TOKENIZER);
    command.arg("--tokenizer").arg(source.join("tokenizer.json"));
    command
        .arg("--tokenizer-config")
        .arg(source.join("tokenizer_config.json"));
    Child::start(name, &command, folder)
}

/// The configuration that names the running replicas, in the order of [`start_engines`], and one tenant's key.
///
/// # Errors
/// When the template cannot be read.
pub fn config(replicas: &[Child], digest: &str) -> Result<String, TaskError> {
    let template = workspace::read(&workspace::root().join(TEMPLATE))?;
    let named = REPLICAS.iter().zip(replicas);
    let text = named.fold(template, |text, (name, replica)| {
        text.replace(&format!("{{{name}}}"), &replica.url)
    });
    Ok(text.replace("{digest}", digest))
}

/// `config` with a region hop beside the clusters in Frankfurt, at that address.
pub fn with_hop(config: &str, address: &str) -> String {
    let region = "jurisdiction = \"eu\"\n";
    let hop = format!("{region}hop = \"http://{address}\"\n");
    format!("{}\n[hops]\nkeys = [\"{HOP_KEY}\"]\n", config.replacen(region, &hop, 1))
}

/// What clients ask for.
pub const MODEL: &str = "qwen3-8b";
/// Its tokenizer, which the template names too: the gateway's counts and the engines' own are equal.
const TOKENIZER: &str = "qwen3";
/// The simulated hardware: an H100 with that model.
const PROFILE: &str = "h100-8b";
/// As the template names them.
const REPLICAS: [&str; 3] = ["fra-1", "fra-2", "iad-1"];
const TEMPLATE: &str = "xtask/src/dev/gateway.toml";
