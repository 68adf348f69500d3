//! A small host for Spin components, for tests and development on machines where no `spin` is on the PATH. It is no
//! replacement for Spin: it serves one component at `/...`, in one process, without TLS.
//!
//! What it takes from Spin 4.1, because Tidegate's behaviour depends on it: wasi:http 0.3 with streamed bodies and
//! back-pressure both ways; many requests share an instance, which dies when idle, and a trap takes its neighbours
//! along; a client that leaves shows as a failed write of the body, and before the head was sent not at all;
//! variables with templates, allowed outbound hosts, key-value stores, SQLite databases and Redis as spin.toml grants
//! them;
//! outbound connections are pooled; accepted and outbound connections have no TCP_NODELAY; a request
//! whose absolute address and `host` header name different authorities gets no answer.
//!
//! What it leaves out: TLS, CIDR ranges and service chaining among the allowed hosts, self requests, redirects to
//! other components, libSQL, and the denial of `ATTACH`.

mod app;
mod bindings;
mod engine;
mod key_value;
mod manifest;
mod outbound;
mod outbound_hosts;
mod redis;
mod server;
mod sqlite;
mod state;
mod template;
mod variables;
mod worker;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::Parser;
use wasmtime::error::Context as _;

use crate::app::App;
use crate::manifest::Manifest;
use crate::worker::Reuse;

#[derive(Parser)]
#[command(about = "Serves one Spin component, for tests and development.")]
struct Arguments {
    /// The manifest.
    #[arg(long, default_value = "spin.toml")]
    manifest: PathBuf,
    /// The component, instead of the one that the manifest names.
    #[arg(long)]
    component: Option<PathBuf>,
    /// Where to listen; port 0 takes a free one.
    #[arg(long, default_value = "127.0.0.1:3000")]
    listen: String,
    /// A variable's value, `name=value`; also from the environment as SPIN_VARIABLE_NAME.
    #[arg(long = "variable", visible_alias = "env", value_name = "NAME=VALUE", value_parser = pair)]
    variables: Vec<(String, String)>,
    /// A key of the default key-value store, `key=value` or `key=@file`.
    #[arg(long = "kv", value_name = "KEY=VALUE", value_parser = pair)]
    key_values: Vec<(String, String)>,
    /// Where databases are kept; without it, in a folder that is removed at the end.
    #[arg(long)]
    state: Option<PathBuf>,
    /// Tells `perf` the names of the component's functions, if it still has them, in /tmp/perf-PID.map.
    #[arg(long)]
    perf_map: bool,
    /// Requests that one instance serves in its life.
    #[arg(long, default_value_t = 128)]
    max_instance_reuse_count: usize,
    /// Requests that one instance works on at a time, until their response heads.
    #[arg(long, default_value_t = 16)]
    max_instance_concurrent_reuse_count: usize,
    /// How long an idle instance is kept, in milliseconds.
    #[arg(long, default_value_t = 1000)]
    idle_instance_timeout_ms: u64,
}

fn main() -> ExitCode {
    match run(Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("tidegate-spin-host: {error:#}");
            ExitCode::FAILURE
        }
    }
}

#[tokio::main]
async fn run(arguments: Arguments) -> wasmtime::Result<()> {
    let manifest = Manifest::read(&arguments.manifest)?;
    let component = arguments.component.clone().unwrap_or_else(|| manifest.component_path());
    let state = StateFolder::new(arguments.state.as_deref())?;
    let app = Arc::new(App::new(&manifest, &arguments.variables, &state.path)?);
    for (key, value) in &arguments.key_values {
        app.key_values.seed(key, &value_or_file(value)?)?;
    }
    let reuse = Reuse {
        most_requests: arguments.max_instance_reuse_count,
        most_at_once: arguments.max_instance_concurrent_reuse_count,
        idle_timeout: Duration::from_millis(arguments.idle_instance_timeout_ms),
    };
    let handler = engine::load(&component, app, reuse, arguments.perf_map)?;
    let listener = tokio::net::TcpListener::bind(&arguments.listen)
        .await
        .with_context(|| format!("cannot listen on {}", arguments.listen))?;
    println!("ready url=http://{}", listener.local_addr()?);
    tokio::select! {
        result = server::serve(listener, handler) => result,
        result = asked_to_stop() => result,
    }
}

/// Completes on SIGINT or SIGTERM.
async fn asked_to_stop() -> wasmtime::Result<()> {
    let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    tokio::select! {
        result = tokio::signal::ctrl_c() => result?,
        _ = terminate.recv() => {}
    }
    Ok(())
}

/// The folder of the databases, removed at the end unless somebody asked for it by name.
struct StateFolder {
    path: PathBuf,
    temporary: bool,
}

impl StateFolder {
    fn new(asked: Option<&Path>) -> wasmtime::Result<Self> {
        let path = asked.map_or_else(
            || std::env::temp_dir().join(format!("tidegate-spin-host-{}", std::process::id())),
            Path::to_path_buf,
        );
        std::fs::create_dir_all(&path).with_context(|| format!("cannot create {}", path.display()))?;
        Ok(Self {
            path,
            temporary: asked.is_none(),
        })
    }
}

impl Drop for StateFolder {
    fn drop(&mut self) {
        if self.temporary
            && let Err(error) = std::fs::remove_dir_all(&self.path)
        {
            eprintln!("{} is left behind: {error}", self.path.display());
        }
    }
}

fn pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err(format!("`{text}` is not of the form name=value")),
    }
}

fn value_or_file(value: &str) -> wasmtime::Result<Vec<u8>> {
    match value.strip_prefix('@') {
        Some(path) => std::fs::read(path).with_context(|| format!("cannot read {path}")),
        None => Ok(value.as_bytes().to_vec()),
    }
}
