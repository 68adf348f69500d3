//! Runs the Worker with the bindings of a wrangler.toml: under Miniflare, by the harness in tests/miniflare, or as an
//! operator who tries it does, by `wrangler dev`. What it is to have in its store is there before it starts.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::process::{READY_WITHIN, ReadyLine, Server};
use crate::runtime;

/// A Worker, and what it is run with.
#[derive(Debug)]
pub struct Worker<'a> {
    /// The folder with its script, and what that imports.
    pub code: &'a Path,
    /// Its wrangler.toml.
    pub bindings: &'a Path,
    /// What its requests say about where they came in, as JSON: their `cf` object.
    pub cf: String,
    /// The file with the configuration in its store; none for an empty store.
    pub config: Option<&'a Path>,
    /// Variables besides those of its wrangler.toml, by name.
    pub variables: &'a [(&'a str, &'a str)],
    /// The secrets of engines and hops, by name.
    pub secrets: &'a [(&'a str, &'a str)],
    /// Service bindings and the wrangler.toml of the Worker of the same code that each leads to; under Miniflare only.
    pub bound: &'a [(&'a str, &'a Path)],
}

impl Worker<'_> {
    /// Starts it. `name` is what its files in `folder` are called.
    pub fn start(&self, name: &str, folder: &Path) -> Server {
        match runtime::wrangler() {
            None => Server::start(name, &self.under_miniflare(), folder),
            Some(wrangler) => {
                let project = self.project(&folder.join(format!("{name}-project")));
                self.fill_store(&wrangler, &project);
                let line = ReadyLine::saying(READY_WITHIN, |line| {
                    Some(line.split_once("Ready on ")?.1.trim().to_owned())
                });
                Server::start_saying(name, &dev(&wrangler, &project), folder, line)
            }
        }
    }

    fn under_miniflare(&self) -> Command {
        let mut command = Command::new("node");
        command.arg(repository().join("tests/miniflare/harness.mjs"));
        command.arg("--script").arg(self.code);
        command.arg("--wrangler").arg(self.bindings);
        command.args(["--port", "0", "--cf", &self.cf]);
        if let Some(config) = self.config {
            command.args(["--kv", &format!("config=@{}", config.display())]);
        }
        for (name, value) in self.variables {
            command.args(["--var", &format!("{name}={value}")]);
        }
        for (name, value) in self.secrets {
            command.args(["--secret", &format!("{name}={value}")]);
        }
        for (name, bindings) in self.bound {
            command.args(["--bound", &format!("{name}={}", bindings.display())]);
        }
        command
    }

    /// Writes the files that wrangler reads into `folder`, and returns it: a wrangler.toml without the command that builds
    /// the Worker, which is there; the secrets; and the `cf` object, which wrangler would fetch from a host of Cloudflare.
    fn project(&self, folder: &Path) -> PathBuf {
        let text = fs::read_to_string(self.bindings).expect("wrangler.toml can be read");
        let (above, build) = text.split_once("[build]\n").expect("wrangler.toml says how to build");
        let below = &build[build.find("\n[").expect("more follows")..];
        let main = "main = \"target/cloudflare/index.js\"";
        assert!(above.contains(main), "wrangler.toml has `{main}`");
        let built = above.replace(main, &format!("main = {:?}", self.code.join("index.js")));
        let secrets: String = self
            .secrets
            .iter()
            .chain(self.variables)
            .map(|(name, value)| format!("{name}={value}\n"))
            .collect();
        fs::create_dir_all(folder).expect("the world's folder is writable");
        for (name, text) in [
            ("wrangler.toml", &(built + below)),
            (".dev.vars", &secrets),
            (PLACE, &self.cf),
        ] {
            fs::write(folder.join(name), text).expect("the world's folder is writable");
        }
        folder.to_owned()
    }

    /// Puts the configuration into the store as README tells operators to, but for the one on this machine.
    fn fill_store(&self, wrangler: &Path, project: &Path) {
        let Some(config) = self.config else { return };
        let mut put = locally(wrangler, &["kv", "key", "put", "config", "--binding", "STORE"], project);
        let output = put.arg("--path").arg(config).output().expect("wrangler runs");
        assert!(output.status.success(), "{put:?} failed: {output:?}");
    }
}

/// `wrangler dev` on a free port.
fn dev(wrangler: &Path, project: &Path) -> Command {
    let mut command = locally(wrangler, &["dev"], project);
    command.args(["--ip", "127.0.0.1", "--port", "0", "--inspector-port", "0"]);
    command.arg("--show-interactive-dev-session=false");
    command
}

/// A command of wrangler's that stays on this machine, with its state in the project's folder.
fn locally(wrangler: &Path, words: &[&str], project: &Path) -> Command {
    let mut command = Command::new(wrangler);
    command.args(words).arg("--local");
    command.arg("--config").arg(project.join("wrangler.toml"));
    command.arg("--persist-to").arg(project.join("state"));
    command.env("CLOUDFLARE_CF_FETCH_PATH", project.join(PLACE));
    command
}

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The file with the `cf` object.
const PLACE: &str = "cf.json";
