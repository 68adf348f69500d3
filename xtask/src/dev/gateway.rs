//! The gateway on each runtime, as it is run on a developer's machine.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::child::Child;
use crate::build::{self, Purpose};
use crate::error::TaskError;
use crate::runtime::Runtime;
use crate::setup::{node_modules, wasm_toolchain};
use crate::{spin, terminal, workspace};

/// A built gateway.
#[derive(Debug)]
pub enum Gateway {
    /// The binary, and the folder with its token tables.
    Native { tidegate: PathBuf, tables: PathBuf },
    /// The folder with the Worker.
    Cloudflare { worker: PathBuf },
    /// The component and what runs it.
    Spin { component: PathBuf, host: PathBuf },
}

/// Where and with what it runs.
#[derive(Clone, Copy, Debug)]
pub struct Place<'a> {
    /// Its configuration.
    pub config: &'a Path,
    /// Its port; 0 for a free one.
    pub port: u16,
    /// The folder for its log and data.
    pub folder: &'a Path,
    /// The URL of the Redis that keeps its state; none for its own.
    pub redis: Option<&'a str>,
}

/// One of two hops on a request's way.
#[derive(Clone, Copy, Debug)]
pub enum Hop {
    /// Where clients come in.
    Edge,
    /// Beside the clusters.
    Region,
}

impl Gateway {
    /// Builds what the runtime runs; `tidegate` is the native binary, `tables` the folder with the token tables.
    ///
    /// # Errors
    /// When it does not build, or something is missing that it takes.
    pub fn build(runtime: Runtime, tidegate: &Path, tables: &Path) -> Result<Self, TaskError> {
        match runtime {
            Runtime::Native => Ok(Self::Native {
                tidegate: tidegate.to_owned(),
                tables: tables.to_owned(),
            }),
            Runtime::Cloudflare => terminal::step("build the Worker", || {
                node_modules(&harness_folder())?;
                Ok(Self::Cloudflare {
                    worker: build::cloudflare(&wasm_toolchain()?, Purpose::Deployment, tables)?,
                })
            }),
            Runtime::Spin => terminal::step("build the Spin component and its host", || {
                let component = build::spin(&wasm_toolchain()?, Purpose::Deployment, tables)?;
                Ok(Self::Spin {
                    component,
                    host: spin::host()?,
                })
            }),
        }
    }

    /// Starts it; it listens on loopback only.
    ///
    /// # Errors
    /// When it does not get ready.
    pub fn start(&self, place: &Place) -> Result<Child, TaskError> {
        Child::start("gateway", &self.command(place), place.folder)
    }

    /// What starts it as one of two hops, which share that secret.
    pub fn hop_command(&self, place: &Place, hop: Hop, secret: &str) -> Command {
        let mut command = self.command(place);
        match (self, hop) {
            (Self::Native { .. }, hop) => command.args(["--role", hop.role()]),
            (Self::Cloudflare { .. }, Hop::Edge) => command.args(["--var", "ROLE=edge"]),
            (Self::Cloudflare { .. }, Hop::Region) => {
                let bindings = workspace::root().join("wrangler.region.toml");
                command.arg("--wrangler").arg(bindings)
            }
            (Self::Spin { .. }, hop) => command.args(["--variable", &format!("role={}", hop.role())]),
        };
        match self {
            Self::Native { .. } => command.env(HOP_KEY, secret),
            Self::Cloudflare { .. } => command.args(["--secret", &format!("{HOP_KEY}={secret}")]),
            Self::Spin { .. } => command.args(["--variable", &format!("{}={secret}", HOP_KEY.to_lowercase())]),
        };
        command
    }

    /// What starts it.
    pub fn command(&self, place: &Place) -> Command {
        let config = place.config.display();
        let listen = format!("127.0.0.1:{}", place.port);
        match self {
            Self::Native { tidegate, tables } => {
                let mut command = Command::new(tidegate);
                command.args(["serve", "--listen", &listen, "--location", HERE, "--drain-timeout", "2"]);
                command.arg("--config").arg(place.config).arg("--tokens").arg(tables);
                command.args(place.redis.iter().flat_map(|url| ["--redis", url]));
                command
            }
            // On the other two, a configuration is bundled. Ours comes from the store, as an operator's newer one does.
            Self::Cloudflare { worker } => {
                let mut command = Command::new("node");
                command
                    .arg(harness_folder().join("harness.mjs"))
                    .arg("--script")
                    .arg(worker);
                command.args(["--port", &place.port.to_string(), "--cron-every", "60"]);
                command.args(["--kv", &format!("config=@{config}"), "--cf", CLOUDFLARE_HERE]);
                command
            }
            Self::Spin { component, host } => {
                let mut command = Command::new(host);
                command.arg("--component").arg(component).args(["--listen", &listen]);
                command.arg("--manifest").arg(workspace::root().join("spin.toml"));
                command.args([
                    "--kv",
                    &format!("config=@{config}"),
                    "--variable",
                    &format!("location={HERE}"),
                ]);
                if let Some(url) = place.redis {
                    // One variable grants the engines and the Redis, all of them on loopback.
                    command.args(["--variable", &format!("redis_url={url}")]);
                    command.args(["--variable", "engines=*://127.0.0.1:*"]);
                }
                command
            }
        }
    }
}

impl Hop {
    fn role(self) -> &'static str {
        match self {
            Self::Edge => "edge",
            Self::Region => "region",
        }
    }
}

fn harness_folder() -> PathBuf {
    workspace::root().join("tests/miniflare")
}

/// The name of the secret that two hops share, as the manifest for Spin has it.
pub const HOP_KEY: &str = "TIDEGATE_HOP_KEY";
/// The edge location that the gateway believes to be at: next to the cluster in Frankfurt.
const HERE: &str = "FRA";
const CLOUDFLARE_HERE: &str = r#"{"colo":"FRA","country":"DE","city":"Frankfurt","latitude":"50.1","longitude":"8.7"}"#;
