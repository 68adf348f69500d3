//! A real engine with the tiny model, on a free port of loopback. It ends with its handle.

use std::fs::File;
use std::io::Write as _;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tidegate_tests::http::Request;
use tidegate_tests::process::{ReadyLine, Server, free_port};
use tidegate_tests::wait::wait_until;

/// Which engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// vLLM on the CPU.
    Vllm,
    /// llama.cpp's server.
    LlamaCpp,
}

/// Where what they need is.
#[derive(Clone, Debug, clap::Args)]
pub struct Programs {
    /// vLLM's program, in an environment of its own.
    #[arg(long)]
    vllm: PathBuf,
    /// llama.cpp's server.
    #[arg(long)]
    llama_server: PathBuf,
    /// The tiny model's folder.
    #[arg(long)]
    model: PathBuf,
    /// The same model as llama.cpp reads it.
    #[arg(long)]
    gguf: PathBuf,
}

/// A running engine.
#[derive(Debug)]
pub struct Engine {
    /// Which one it is.
    pub kind: Kind,
    name: String,
    command: Command,
    folder: PathBuf,
    port: u16,
    running: Option<Running>,
}

#[derive(Debug)]
struct Running {
    _server: Server,
    pid: u32,
}

impl Kind {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Vllm, Self::LlamaCpp];

    /// As the configuration of a gateway names it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Vllm => "vllm",
            Self::LlamaCpp => "llama.cpp",
        }
    }

    fn command(self, programs: &Programs, port: u16) -> Command {
        let mut command = match self {
            Self::Vllm => vllm(programs),
            Self::LlamaCpp => llama_cpp(programs),
        };
        command.args(["--host", "127.0.0.1", "--port", &port.to_string()]);
        command
    }

    /// What its log says once it answers.
    fn ready_line(self) -> &'static str {
        match self {
            Self::Vllm => "Application startup complete",
            Self::LlamaCpp => "listening on http",
        }
    }
}

impl Engine {
    /// Starts one with further arguments; `name` is what its log in `folder` is called.
    pub fn start(kind: Kind, programs: &Programs, name: &str, folder: &Path, more: &[&str]) -> Self {
        let port = free_port();
        let mut command = kind.command(programs, port);
        command.args(more);
        let mut engine = Self {
            kind,
            name: name.to_owned(),
            command,
            folder: folder.to_owned(),
            port,
            running: None,
        };
        engine.restart();
        engine
    }

    /// Ends it where it still runs, and starts it again at the same address.
    pub fn restart(&mut self) {
        self.running = None;
        // A shell that tells its process id, and becomes the engine.
        let mut command = Command::new("sh");
        command.args(["-c", r#"echo "pid $$"; exec "$@" 2>&1"#, &self.name]);
        command.arg(self.command.get_program()).args(self.command.get_args());
        command.envs(self.command.get_envs().filter_map(|(name, value)| Some((name, value?))));
        let pid = Arc::new(Mutex::new(0));
        let (told, url, ready) = (Arc::clone(&pid), self.url(), self.kind.ready_line());
        let log = File::create(self.folder.join(format!("{}.out", self.name))).expect("the log can be written");
        let line = ReadyLine::saying(STARTS_WITHIN, move |line| {
            let _ = writeln!(&log, "{line}");
            if let Some(pid) = line.strip_prefix("pid ").and_then(|pid| pid.parse().ok()) {
                *told.lock().unwrap_or_else(PoisonError::into_inner) = pid;
            }
            line.contains(ready).then(|| url.clone())
        });
        let server = Server::start_saying(&self.name, &command, &self.folder, line);
        let pid = *pid.lock().unwrap_or_else(PoisonError::into_inner);
        self.running = Some(Running { _server: server, pid });
        // vLLM says so a moment before it listens, llama.cpp a moment before it has its model.
        wait_until(&format!("{} answers", self.name), ANSWERS_WITHIN, || self.answers());
    }

    fn answers(&self) -> bool {
        TcpStream::connect(self.address()).is_ok() && Request::get("/health").send(&self.address()).status == 200
    }

    /// Its base URL.
    pub fn url(&self) -> String {
        format!("http://{}", self.address())
    }

    /// Its address, such as `127.0.0.1:8000`.
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Sends its first process a signal by name, such as `TERM`.
    pub fn signal(&self, signal: &str) {
        send(signal, &[self.pid()]);
    }

    /// Sends the processes that compute, and not the one that answers, a signal; llama.cpp has but one process.
    pub fn signal_core(&self, signal: &str) {
        let core = descendants(self.pid());
        if core.is_empty() {
            self.signal(signal);
        } else {
            send(signal, &core);
        }
    }

    fn pid(&self) -> u32 {
        self.running.as_ref().map_or(0, |running| running.pid)
    }
}

fn vllm(programs: &Programs) -> Command {
    let mut command = Command::new(&programs.vllm);
    command.arg("serve").arg(&programs.model);
    command.args(["--served-model-name", SERVED_NAME]);
    command.args(["--max-model-len", CONTEXT, "--max-num-seqs", "8", "--enforce-eager"]);
    command.args(["--enable-auto-tool-choice", "--tool-call-parser", "hermes"]);
    command.args(["--enable-prompt-tokens-details", "--enable-server-load-tracking"]);
    // Random weights would write white space between the parts of JSON for ever.
    let structured = r#"{"disable_any_whitespace": true, "backend": "xgrammar"}"#;
    command.args(["--structured-outputs-config", structured]);
    command.envs([
        ("VLLM_CPU_KVCACHE_SPACE", "1"),
        ("VLLM_CPU_OMP_THREADS_BIND", "nobind"),
        ("OMP_NUM_THREADS", "1"),
        ("VLLM_NO_USAGE_STATS", "1"),
        ("HF_HUB_OFFLINE", "1"),
        ("TRANSFORMERS_OFFLINE", "1"),
        ("CUDA_VISIBLE_DEVICES", ""),
    ]);
    command
}

fn llama_cpp(programs: &Programs) -> Command {
    let mut command = Command::new(&programs.llama_server);
    command.arg("--model").arg(&programs.gguf);
    command.args(["--alias", SERVED_NAME, "--metrics", "--slots", "--jinja"]);
    // The context is shared out among the slots.
    command.args(["--parallel", "4", "--ctx-size", "16384", "--threads", "1"]);
    command
}

/// All processes below one.
fn descendants(pid: u32) -> Vec<u32> {
    let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    let children: Vec<u32> = children.split_whitespace().filter_map(|pid| pid.parse().ok()).collect();
    let below = children.iter().flat_map(|pid| descendants(*pid));
    below.chain(children.iter().copied()).collect()
}

fn send(signal: &str, pids: &[u32]) {
    let mut kill = Command::new("kill");
    kill.arg(format!("-{signal}")).args(pids.iter().map(u32::to_string));
    let _ = kill.status();
}

/// What the engines call the model.
pub const SERVED_NAME: &str = "tiny";
/// What its context holds, in tokens.
const CONTEXT: &str = "4096";
/// vLLM imports torch, which takes a minute on two cores, and several on busy ones.
const STARTS_WITHIN: Duration = Duration::from_mins(10);
/// After it has said that it is ready.
const ANSWERS_WITHIN: Duration = Duration::from_secs(30);
