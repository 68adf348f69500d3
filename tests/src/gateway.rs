//! Starts the gateway under test on the runtime under test, with its state in the process or in Redis. Nothing else in
//! the suite knows them apart.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::process::Server;
use crate::redis::{PASSWORD, Redis};
use crate::runtime::{self, Runtime};

/// Where the gateway believes to be.
#[derive(Clone, Copy, Debug)]
pub struct Place {
    /// The code of the edge location; a region of the configuration has the same name.
    pub code: &'static str,
    /// Degrees north.
    pub latitude: f64,
    /// Degrees east.
    pub longitude: f64,
}

/// Frankfurt.
pub const FRANKFURT: Place = Place {
    code: "fra",
    latitude: 50.1,
    longitude: 8.7,
};
/// Washington, D.C.
pub const WASHINGTON: Place = Place {
    code: "iad",
    latitude: 38.9,
    longitude: -77.0,
};

/// What a gateway is started with.
#[derive(Clone, Copy, Debug)]
pub struct Setup<'a> {
    /// What its files are called.
    pub name: &'a str,
    /// The folder for its log and data.
    pub folder: &'a Path,
    /// The configuration that it has in force.
    pub config: &'a str,
    /// Where it believes to be.
    pub place: Place,
    /// The engines' secrets, by name.
    pub secrets: &'a [(&'a str, &'a str)],
    /// Where it keeps its state, if that is a Redis.
    pub redis: Option<&'a Redis>,
}

/// Starts a gateway.
pub fn start(setup: Setup) -> Server {
    let Setup {
        name,
        folder,
        config,
        place,
        secrets,
        redis,
    } = setup;
    let file = folder.join(format!("{name}.toml"));
    fs::write(&file, config).expect("the configuration can be written");
    let command = match (Runtime::current(), redis) {
        (Runtime::Native, None) => native(&file, place, secrets, &["--data".into(), folder.join("data")]),
        (Runtime::Native, Some(redis)) => {
            let mut command = native(&file, place, secrets, &["--redis".into(), redis.url().into()]);
            command.env("TIDEGATE_REDIS_PASSWORD", PASSWORD);
            command
        }
        (Runtime::Cloudflare, None) => cloudflare(&file, place, secrets),
        (Runtime::Cloudflare, Some(_)) => panic!("Workers keep nothing in Redis"),
        (Runtime::Spin, None) => {
            let mut command = spin(place, secrets);
            command.args(["--kv", &from_file(&file)]);
            command
        }
        (Runtime::Spin, Some(redis)) => {
            redis.put_config(config);
            let mut command = spin(place, secrets);
            command.args(["--variable", &format!("redis_url={}", redis.url_with_password())]);
            // The engines and the Redis, which the manifest grants by one variable.
            command.args(["--variable", "engines=*://127.0.0.1:*"]);
            command
        }
    };
    Server::start(name, &command, folder)
}

/// `state` are the arguments that say where it keeps its state.
fn native(config: &Path, place: Place, secrets: &[(&str, &str)], state: &[PathBuf]) -> Command {
    let mut command = Command::new(runtime::tidegate_binary());
    command.args(["serve", "--listen", "127.0.0.1:0", "--location", place.code]);
    command
        .arg("--config")
        .arg(config)
        .arg("--tokens")
        .arg(runtime::token_tables())
        .args(state);
    command.envs(secrets.iter().copied());
    command
}

/// The Worker carries a bundled configuration of its own; ours comes from the store, as an operator's newer one does.
fn cloudflare(config: &Path, place: Place, secrets: &[(&str, &str)]) -> Command {
    let mut command = Command::new("node");
    command.arg(repository().join("tests/miniflare/harness.mjs"));
    command.arg("--script").arg(runtime::worker_folder());
    command.args(["--port", "0", "--kv", &from_file(config)]);
    let Place {
        code,
        latitude,
        longitude,
    } = place;
    let colo = code.to_uppercase();
    command.args([
        "--cf",
        &format!(r#"{{"colo":"{colo}","latitude":"{latitude}","longitude":"{longitude}"}}"#),
    ]);
    for (name, value) in secrets {
        command.args(["--secret", &format!("{name}={value}")]);
    }
    command
}

/// The component carries a bundled configuration of its own; ours comes from the store.
fn spin(place: Place, secrets: &[(&str, &str)]) -> Command {
    let mut command = Command::new(runtime::spin_host());
    command.arg("--component").arg(runtime::spin_component());
    command.arg("--manifest").arg(repository().join("spin.toml"));
    command.args(["--listen", "127.0.0.1:0"]);
    command.args(["--variable", &format!("location={}", place.code)]);
    for (name, value) in secrets {
        command.args(["--variable", &format!("{}={value}", name.to_lowercase())]);
    }
    command
}

fn from_file(config: &Path) -> String {
    format!("config=@{}", config.display())
}

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}
