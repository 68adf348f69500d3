//! Starts the gateway under test on the runtime under test, with its state in the process or in Redis. Nothing else in
//! the suite knows them apart.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::process::Server;
use crate::redis::{PASSWORD, Redis};
use crate::runtime::{self, Runtime};
use crate::worker::Worker;

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

impl Place {
    /// What requests say on Workers about where they came in, as JSON.
    fn cf(self) -> String {
        let Self {
            code,
            latitude,
            longitude,
        } = self;
        let colo = code.to_uppercase();
        format!(r#"{{"colo":"{colo}","latitude":"{latitude}","longitude":"{longitude}"}}"#)
    }
}

/// What a gateway does of requests' ways.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// All of them.
    All,
    /// What is to be done where clients come to it.
    Edge,
    /// What is to be done beside the clusters of a region.
    Region,
}

impl Role {
    /// Its name, where it is not the one that every gateway has.
    fn name(self) -> Option<&'static str> {
        match self {
            Self::All => None,
            Self::Edge => Some("edge"),
            Self::Region => Some("region"),
        }
    }
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
    /// What it does.
    pub role: Role,
    /// The secrets of engines and hops, by name.
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
        role,
        secrets,
        redis,
    } = setup;
    let file = folder.join(format!("{name}.toml"));
    fs::write(&file, config).expect("the configuration can be written");
    let run = |command: Command| Server::start(name, &command, folder);
    match (Runtime::current(), redis) {
        (Runtime::Native, None) => run(native(&file, setup, &["--data".into(), folder.join("data")])),
        (Runtime::Native, Some(redis)) => {
            let mut command = native(&file, setup, &["--redis".into(), redis.url().into()]);
            command.env("TIDEGATE_REDIS_PASSWORD", PASSWORD);
            run(command)
        }
        // The Worker carries a bundled configuration of its own; ours comes from the store, as an operator's newer one does.
        (Runtime::Cloudflare, None) => Worker {
            code: &runtime::worker_folder(),
            bindings: &bindings(role),
            cf: place.cf(),
            config: Some(&file),
            variables: variables(role),
            secrets,
            bound: &[],
        }
        .start(name, folder),
        (Runtime::Cloudflare, Some(_)) => panic!("Workers keep nothing in Redis"),
        (Runtime::Spin, None) => {
            let mut command = spin(place, role, secrets);
            command.args(["--kv", &format!("config=@{}", file.display())]);
            run(command)
        }
        (Runtime::Spin, Some(redis)) => {
            redis.put_config(config);
            let mut command = spin(place, role, secrets);
            command.args(["--variable", &format!("redis_url={}", redis.url_with_password())]);
            // The engines and the Redis, which the manifest grants by one variable.
            command.args(["--variable", "engines=*://127.0.0.1:*"]);
            run(command)
        }
    }
}

/// Starts an edge Worker and, for each name in `bound`, the Worker of a region that its service binding of that name leads
/// to, all of them in one workerd with the same configuration and secrets. Only where it [`binds_services`].
pub fn start_bound(setup: Setup, bound: &[&str]) -> Server {
    let file = setup.folder.join(format!("{}.toml", setup.name));
    fs::write(&file, setup.config).expect("the configuration can be written");
    let region = bindings(Role::Region);
    let bound: Vec<_> = bound.iter().map(|name| (*name, region.as_path())).collect();
    let worker = Worker {
        code: &runtime::worker_folder(),
        bindings: &bindings(Role::Edge),
        cf: setup.place.cf(),
        config: Some(&file),
        variables: variables(Role::Edge),
        secrets: setup.secrets,
        bound: &bound,
    };
    worker.start(setup.name, setup.folder)
}

/// Whether the gateway under test can be bound to others: Workers can, and the suite does so under Miniflare.
pub fn binds_services() -> bool {
    Runtime::current() == Runtime::Cloudflare && runtime::wrangler().is_none()
}

/// How the native gateway is run where a test wants it otherwise than [`start`] has it.
#[derive(Clone, Debug, Default)]
pub struct NativeOptions {
    /// More arguments of `tidegate serve`.
    pub arguments: Vec<String>,
    /// The most files that it may have open.
    pub open_files: Option<u32>,
}

/// Starts the native gateway with its state in the folder, whatever runtime is under test.
pub fn start_native(setup: Setup, options: &NativeOptions) -> Server {
    let file = setup.folder.join(format!("{}.toml", setup.name));
    fs::write(&file, setup.config).expect("the configuration can be written");
    let state = ["--data".into(), setup.folder.join("data")];
    let mut command = native(&file, setup, &state);
    command.args(&options.arguments);
    let command = match options.open_files {
        Some(most) => limited(&command, most),
        None => command,
    };
    Server::start(setup.name, &command, setup.folder)
}

/// Starts a gateway whose bundled configuration has `wrong` in place of `sound`, which is as long; with nothing in its
/// store. `None` natively, where no configuration is bundled.
pub fn start_misbundled(folder: &Path, sound: &str, wrong: &str) -> Option<Server> {
    assert_eq!(sound.len(), wrong.len(), "the code around it stays where it is");
    match Runtime::current() {
        Runtime::Native => None,
        Runtime::Cloudflare => {
            let copy = folder.join("worker");
            fs::create_dir_all(&copy).expect("a folder");
            for file in fs::read_dir(runtime::worker_folder()).expect("the Worker's folder") {
                let file = file.expect("a file of the Worker").path();
                let copied = copy.join(file.file_name().expect("a name"));
                if file.extension().is_some_and(|extension| extension == "wasm") {
                    patch(&file, &copied, sound, wrong);
                } else if file.is_file() {
                    fs::copy(&file, &copied).expect("the Worker can be copied");
                }
            }
            Some(start_worker(&copy, &bindings(Role::All), folder))
        }
        Runtime::Spin => {
            let copy = folder.join("tidegate.wasm");
            patch(&runtime::spin_component(), &copy, sound, wrong);
            let command = component(&copy, &manifest(), FRANKFURT);
            Some(Server::start("gateway", &command, folder))
        }
    }
}

/// Starts a gateway that may not use its store. `None` natively, where a gateway that cannot open its store does not
/// start.
pub fn start_without_store(folder: &Path) -> Option<Server> {
    match Runtime::current() {
        Runtime::Native => None,
        Runtime::Cloudflare => {
            let bindings = edited(folder, "wrangler.toml", "binding = \"STORE\"", "binding = \"ANOTHER\"");
            Some(start_worker(&runtime::worker_folder(), &bindings, folder))
        }
        Runtime::Spin => {
            let grants = edited(
                folder,
                "spin.toml",
                "key_value_stores = [\"default\"]",
                "key_value_stores = []",
            );
            let command = component(&runtime::spin_component(), &grants, FRANKFURT);
            Some(Server::start("gateway", &command, folder))
        }
    }
}

/// A Worker with nothing in its store and no secrets.
fn start_worker(code: &Path, bindings: &Path, folder: &Path) -> Server {
    Worker {
        code,
        bindings,
        cf: FRANKFURT.cf(),
        config: None,
        variables: &[],
        secrets: &[],
        bound: &[],
    }
    .start("gateway", folder)
}

/// A copy of one of the repository's files in which `new` stands in place of `old`.
fn edited(folder: &Path, name: &str, old: &str, new: &str) -> PathBuf {
    let text = fs::read_to_string(repository().join(name)).expect("the file can be read");
    assert!(text.contains(old), "{name} has `{old}`");
    let copy = folder.join(name);
    fs::write(&copy, text.replace(old, new)).expect("the copy can be written");
    copy
}

/// Copies a wasm file with `wrong` in place of `sound`, which stands in it as it is.
fn patch(from: &Path, to: &Path, sound: &str, wrong: &str) {
    let mut code = fs::read(from).expect("the code can be read");
    let places = code.windows(sound.len()).enumerate();
    let found: Vec<usize> = places
        .filter(|(_, text)| *text == sound.as_bytes())
        .map(|(start, _)| start)
        .collect();
    assert!(!found.is_empty(), "{} bundles `{sound}`", from.display());
    for start in found {
        code[start..start + wrong.len()].copy_from_slice(wrong.as_bytes());
    }
    fs::write(to, code).expect("the code can be written");
}

/// `state` are the arguments that say where it keeps its state.
fn native(config: &Path, setup: Setup, state: &[PathBuf]) -> Command {
    let Setup {
        place, role, secrets, ..
    } = setup;
    let mut command = Command::new(runtime::tidegate_binary());
    command.args(["serve", "--listen", "127.0.0.1:0", "--location", place.code]);
    if let Some(role) = role.name() {
        command.args(["--role", role]);
    }
    command
        .arg("--config")
        .arg(config)
        .arg("--tokens")
        .arg(runtime::token_tables())
        .args(state);
    command.envs(secrets.iter().copied());
    command
}

/// `command` under a limit that it cannot raise.
fn limited(command: &Command, open_files: u32) -> Command {
    let mut shell = Command::new("sh");
    shell
        .args(["-c", r#"ulimit -n "$0" && exec "$@""#, &open_files.to_string()])
        .arg(command.get_program())
        .args(command.get_args());
    let given = command.get_envs().filter_map(|(name, value)| Some((name, value?)));
    shell.envs(given);
    shell
}

/// The component carries a bundled configuration of its own; ours comes from the store.
fn spin(place: Place, role: Role, secrets: &[(&str, &str)]) -> Command {
    let mut command = component(&runtime::spin_component(), &manifest(), place);
    if let Some(role) = role.name() {
        command.args(["--variable", &format!("role={role}")]);
    }
    for (name, value) in secrets {
        command.args(["--variable", &format!("{}={value}", name.to_lowercase())]);
    }
    command
}

/// The component of that file, with what that manifest grants it.
fn component(file: &Path, manifest: &Path, place: Place) -> Command {
    let mut command = Command::new(runtime::spin_host());
    command.arg("--component").arg(file);
    command.arg("--manifest").arg(manifest);
    command.args(["--listen", "127.0.0.1:0"]);
    command.args(["--variable", &format!("location={}", place.code)]);
    command
}

fn manifest() -> PathBuf {
    repository().join("spin.toml")
}

/// The repository's files for the two kinds of Workers that are deployed. The second says that it is beside a region's
/// clusters.
fn bindings(role: Role) -> PathBuf {
    repository().join(match role {
        Role::All | Role::Edge => "wrangler.toml",
        Role::Region => "wrangler.region.toml",
    })
}

/// What a Worker is told of its role where its file does not tell it.
fn variables(role: Role) -> &'static [(&'static str, &'static str)] {
    match role {
        Role::All | Role::Region => &[],
        Role::Edge => &[("ROLE", "edge")],
    }
}

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}
