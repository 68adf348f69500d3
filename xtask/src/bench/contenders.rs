//! The servers that are compared: Tidegate, and beside it what only passes through.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::Bench;
use crate::dev::{Child, Gateway, Key, Place};
use crate::error::TaskError;
use crate::workspace;

/// A pass-through without anything of Tidegate in it.
#[derive(Debug)]
pub enum Bare {
    /// A Worker.
    Worker { folder: PathBuf },
    /// A Spin component, and what runs it.
    Component { component: PathBuf, host: PathBuf },
}

/// What a bare server does with a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Relays {
    /// It passes.
    Pieces,
    /// It is read to its end before it is answered, as whole answers are here.
    Whole,
}

/// A gateway's threads, natively.
#[derive(Clone, Copy, Debug)]
pub enum Threads {
    /// One, for nginx has one worker.
    One,
    /// As many as it takes by itself.
    Default,
}

/// A configuration in `folder` that takes `key` and has `upstream` as the only replica, with room for any load.
///
/// # Errors
/// When it cannot be written.
pub fn config(folder: &Path, key: &Key, upstream: &str) -> Result<PathBuf, TaskError> {
    let template = workspace::read(&workspace::root().join("xtask/src/bench/gateway.toml"))?;
    let text = template
        .replace("{upstream}", upstream)
        .replace("{digest}", &key.digest);
    let file = folder.join("gateway.toml");
    workspace::write(&file, text)?;
    Ok(file)
}

/// Tidegate on a runtime, as the bench wants it: without the delays that hosts for development add.
///
/// # Errors
/// When it does not get ready.
pub fn gateway(bench: &Bench, gateway: &Gateway, threads: Threads) -> Result<Child, TaskError> {
    let place = Place {
        config: &bench.config,
        port: 0,
        folder: &bench.folder,
        redis: None,
    };
    let mut command = gateway.command(&place);
    let (name, more): (_, &[&str]) = match (gateway, threads) {
        (Gateway::Native { .. }, Threads::One) => ("tidegate-native", &["--threads", "1"]),
        (Gateway::Native { .. }, Threads::Default) => ("tidegate-native-threads", &[]),
        (Gateway::Cloudflare { .. }, Threads::One | Threads::Default) => ("tidegate-cloudflare", &["--direct"]),
        (Gateway::Spin { .. }, Threads::One | Threads::Default) => ("tidegate-spin", &[]),
    };
    Child::start(name, &bench.meter.server(command.args(more)), &bench.folder)
}

/// A pass-through in front of the bench's upstream.
///
/// # Errors
/// When it does not get ready.
pub fn bare(bench: &Bench, name: &str, bare: &Bare, relays: Relays) -> Result<Child, TaskError> {
    let upstream = &bench.upstream.url;
    let gathers = relays == Relays::Whole;
    let command = match bare {
        Bare::Worker { folder } => {
            let bindings = bench.folder.join("bare-wrangler.toml");
            workspace::write(&bindings, BARE_BINDINGS)?;
            let mut command = Command::new("node");
            command
                .arg(workspace::root().join("tests/miniflare/harness.mjs"))
                .arg("--direct");
            command.arg("--script").arg(folder).arg("--wrangler").arg(bindings);
            command.args(["--var", &format!("UPSTREAM={upstream}")]);
            command.args(["--kv", &format!("answer={}", bench.answer()?)]);
            if gathers {
                command.args(["--var", "GATHER=1"]);
            }
            command
        }
        Bare::Component { component, host } => {
            let mut command = Command::new(host);
            command.arg("--component").arg(component);
            command.args(["--listen", "127.0.0.1:0"]);
            command
                .arg("--manifest")
                .arg(workspace::root().join("tests/bare/spin/spin.toml"));
            command.args(["--variable", &format!("upstream={upstream}")]);
            if gathers {
                command.args(["--variable", "gather=1"]);
            }
            command
        }
    };
    Child::start(name, &bench.meter.server(&command), &bench.folder)
}

/// What bare Workers have: a store, of which one reads.
const BARE_BINDINGS: &str =
    "compatibility_date = \"2026-04-01\"\n\n[[kv_namespaces]]\nbinding = \"STORE\"\nid = \"store\"\n";
