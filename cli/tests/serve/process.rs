//! The binary's processes: started in a folder of their own, ended with the test.

use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::client::fetch;

pub const TIDEGATE: &str = env!("CARGO_BIN_EXE_tidegate");

/// One engine, and a configuration with it as the only replica.
pub struct Bench {
    folder: PathBuf,
    engine: Process,
    pub key: String,
    pub admin_key: String,
}

/// A gateway in front of the bench's engine.
pub struct Gateway {
    process: Process,
    log: PathBuf,
    pub key: String,
    pub admin_key: String,
}

struct Process {
    child: Child,
    url: String,
    admin_url: Option<String>,
}

impl Bench {
    /// A bench in a fresh folder.
    pub fn new(name: &str) -> Self {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("serve-{name}"));
        drop(fs::remove_dir_all(&folder));
        fs::create_dir_all(&folder).expect("a folder");
        let engine = ["engine", "--listen", "127.0.0.1:0", "--model", "m", "--profile", "fast"];
        let engine = Process::start(&engine, &[], &folder.join("engine.log"));
        let ((key, digest), (admin_key, admin_digest)) = (new_key(), new_key());
        let config = CONFIG.replace("{engine}", &engine.url).replace("{digest}", &digest);
        fs::write(folder.join("gateway.toml"), config.replace("{admin}", &admin_digest)).expect("written");
        Self {
            folder,
            engine,
            key,
            admin_key,
        }
    }

    pub fn folder(&self) -> &Path {
        &self.folder
    }

    pub fn config(&self) -> PathBuf {
        self.folder.join("gateway.toml")
    }

    pub fn engine_metrics(&self) -> String {
        fetch(&self.engine.address(), "GET /metrics", None, "")
    }

    /// Starts a gateway that must not start: its exit code and stderr.
    pub fn fail(&self, options: &[&str]) -> (Option<i32>, String) {
        let mut command = Command::new(TIDEGATE);
        command.args(["serve", "--config"]).arg(self.config());
        if !options.contains(&"--listen") {
            command.args(["--listen", "127.0.0.1:0"]);
        }
        let output = command.args(options).output().expect("run");
        (
            output.status.code(),
            String::from_utf8_lossy(&output.stderr).into_owned(),
        )
    }
}

impl Gateway {
    /// Starts a gateway on a free port, with two threads unless the options say how many.
    pub fn start(bench: &Bench, options: &[&str]) -> Self {
        Self::start_as("gateway", bench, options, &[])
    }

    /// The same, with a name for its log, and more in its environment.
    pub fn start_as(name: &str, bench: &Bench, options: &[&str], environment: &[(&str, &str)]) -> Self {
        let (config, log) = (bench.config(), bench.folder.join(format!("{name}.log")));
        let serve = ["serve", "--listen", "127.0.0.1:0", "--location", "here", "--config"];
        let threads: &[&str] = if options.contains(&"--threads") {
            &[]
        } else {
            &["--threads", "2"]
        };
        let arguments = [&serve[..], &[config.to_str().expect("text")], threads, options].concat();
        Self {
            process: Process::start(&arguments, environment, &log),
            log,
            key: bench.key.clone(),
            admin_key: bench.admin_key.clone(),
        }
    }

    pub fn address(&self) -> String {
        self.process.address()
    }

    /// Where operators have an address of their own.
    pub fn admin_address(&self) -> String {
        to_address(self.process.admin_url.as_ref().expect("an address for operators"))
    }

    pub fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    pub fn signal(&self, name: &str) {
        let pid = self.process.child.id().to_string();
        let sent = Command::new("kill").args(["-s", name, &pid]).status().expect("run");
        assert!(sent.success());
    }

    /// Waits for its end; `None` when a signal killed it.
    pub fn exit_code(&mut self) -> Option<i32> {
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            if let Some(status) = self.process.child.try_wait().expect("waited") {
                return status.code();
            }
            sleep(STEP);
        }
        panic!("it still runs; its log:\n{}", self.log());
    }
}

impl Process {
    fn start(arguments: &[&str], environment: &[(&str, &str)], log: &Path) -> Self {
        let stderr = File::create(log).expect("a log");
        let mut command = Command::new(TIDEGATE);
        let mut child = command
            .args(arguments)
            .envs(environment.iter().copied())
            .stdout(Stdio::piped())
            .stderr(stderr)
            .spawn()
            .expect("started");
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("piped"))
            .read_line(&mut line)
            .expect("readable");
        let urls = line.trim().strip_prefix("ready url=");
        let urls =
            urls.unwrap_or_else(|| panic!("not ready; its log:\n{}", fs::read_to_string(log).unwrap_or_default()));
        let (url, admin_url) = match urls.split_once(" admin_url=") {
            Some((url, admin_url)) => (url, Some(admin_url.to_owned())),
            None => (urls, None),
        };
        let url = url.to_owned();
        Self { child, url, admin_url }
    }

    fn address(&self) -> String {
        to_address(&self.url)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn to_address(url: &str) -> String {
    url.trim_start_matches("http://").to_owned()
}

/// A key and its digest.
fn new_key() -> (String, String) {
    let made = Command::new(TIDEGATE)
        .args(["keys", "new", "--tenant", "acme", "--json"])
        .output()
        .expect("run");
    let made: Value = serde_json::from_slice(&made.stdout).expect("JSON");
    let text = |name: &str| made[name].as_str().expect("text").to_owned();
    (text("key"), text("digest"))
}

/// Waits until `holds`.
pub fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < deadline, "in vain: {what}");
        sleep(STEP);
    }
}

const PATIENCE: Duration = Duration::from_secs(20);
const STEP: Duration = Duration::from_millis(10);

const CONFIG: &str = r#"
[[regions]]
name = "here"
latitude = 50.11
longitude = 8.68
jurisdiction = "eu"

[[clusters]]
name = "engines"
region = "here"
engine = "vllm"
replicas = ["{engine}"]
kv_cache_tokens = 1_000_000
prefill_tokens_per_s = 10_000
max_running = 16

[[models]]
name = "m"
context_length = 100_000
serving = [{ cluster = "engines", served_name = "m" }]

[[tenants]]
name = "acme"
keys = ["{digest}"]

[admin]
keys = ["{admin}"]
"#;
