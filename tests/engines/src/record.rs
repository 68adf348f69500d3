//! Keeps what real engines send, byte for byte: one file per answer, head and framing included, in a folder that names
//! the engine's version.

use std::fs;
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use tidegate_tests::http::{Request, connect};

use crate::cases::{self, Case};
use crate::engine::{Engine, Kind, Programs};

/// Where the recordings go.
#[derive(Clone, Debug, clap::Args)]
pub struct Options {
    #[command(flatten)]
    programs: Programs,
    /// The folder for vLLM's.
    #[arg(long)]
    vllm_out: PathBuf,
    /// The folder for llama.cpp's.
    #[arg(long)]
    llama_out: PathBuf,
    /// The folder for logs.
    #[arg(long)]
    logs: PathBuf,
    /// Only of the engine of that name.
    #[arg(long)]
    only: Option<String>,
}

/// Records all cases anew.
pub fn run(options: &Options) {
    let wanted = |kind: &Kind| options.only.as_ref().is_none_or(|only| only == kind.name());
    for kind in Kind::ALL.into_iter().filter(wanted) {
        let out = match kind {
            Kind::Vllm => &options.vllm_out,
            Kind::LlamaCpp => &options.llama_out,
        };
        let _ = fs::remove_dir_all(out);
        fs::create_dir_all(out).expect("the folder can be made");
        let start = |more: &[&str]| Engine::start(kind, &options.programs, "recorded", &options.logs, more);
        let engine = start(&[]);
        keep(&engine, out, "metrics-idle", &Request::get("/metrics"));
        for Case { name, request } in cases::all() {
            keep(&engine, out, name, &request);
        }
        match kind {
            Kind::Vllm => {
                keep_with_load(&engine, out);
                keep_stopped(&engine, out);
                drop(engine);
                let reasoning = start(&["--reasoning-parser", "qwen3"]);
                for Case { name, request } in cases::reasoning() {
                    keep(&reasoning, out, name, &request);
                }
                drop(reasoning);
                keep_quiet(&start(&["--sse-keep-alive-interval", "1"]), out);
            }
            Kind::LlamaCpp => {
                keep_with_load(&engine, out);
                keep(&engine, out, "slots", &Request::get("/slots"));
                keep_stopped(&engine, out);
            }
        }
    }
}

/// The metric page while a stream runs.
fn keep_with_load(engine: &Engine, out: &Path) {
    let Case { request, .. } = cases::long_stream();
    let running = request.open(&engine.address());
    // Gauges are written once in a while.
    thread::sleep(Duration::from_secs(3));
    keep(engine, out, "metrics-running", &Request::get("/metrics"));
    drop(running);
}

/// A stream whose engine is told to end.
fn keep_stopped(engine: &Engine, out: &Path) {
    let Case { name, request } = cases::long_stream();
    let address = engine.address();
    thread::scope(|scope| {
        let recording = scope.spawn(move || exchange(&address, &request));
        thread::sleep(Duration::from_millis(1_500));
        engine.signal("TERM");
        let bytes = recording.join().expect("the recording ends");
        write(out, name, &shortened(&bytes));
    });
}

/// A stream of an engine whose core stands still for some seconds.
fn keep_quiet(engine: &Engine, out: &Path) {
    let Case { request, .. } = cases::long_stream();
    let address = engine.address();
    thread::scope(|scope| {
        let recording = scope.spawn(move || exchange(&address, &request));
        thread::sleep(Duration::from_millis(1_500));
        engine.signal_core("STOP");
        thread::sleep(Duration::from_millis(3_500));
        engine.signal_core("CONT");
        let bytes = recording.join().expect("the recording ends");
        write(out, "chat-stream-keepalive", &shortened(&bytes));
    });
}

fn keep(engine: &Engine, out: &Path, name: &str, request: &Request) {
    write(out, name, &exchange(&engine.address(), request));
}

fn write(out: &Path, name: &str, bytes: &[u8]) {
    eprintln!("{name}: {} bytes", bytes.len());
    fs::write(out.join(name).with_extension("http"), bytes).expect("the recording can be written");
}

/// All that comes over a connection of its own.
fn exchange(address: &str, request: &Request) -> Vec<u8> {
    let mut connection = connect(address);
    connection
        .set_read_timeout(Some(PATIENCE))
        .expect("a timeout can be set");
    connection
        .write_all(&request.to_bytes("engine"))
        .expect("the request is sent");
    let mut bytes = Vec::new();
    let mut piece = [0; 16 << 10];
    while let Ok(read @ 1..) = connection.read(&mut piece) {
        bytes.extend_from_slice(&piece[..read]);
    }
    bytes
}

/// A chunked answer without most of its middle, since thousands of tokens say no more than a dozen: comments stay, with
/// their neighbours.
fn shortened(answer: &[u8]) -> Vec<u8> {
    let head = answer
        .windows(4)
        .position(|window| window == b"\r\n\r\n")
        .map_or(0, |at| at + 4);
    let chunks = chunks(&answer[head..]);
    let is_comment = |at: usize| {
        chunks
            .get(at)
            .is_some_and(|chunk| chunk.windows(3).any(|window| window == b"\n: "))
    };
    let is_kept =
        |at: usize| at < KEPT_CHUNKS || at + KEPT_CHUNKS >= chunks.len() || (at - 1..=at + 1).any(&is_comment);
    let kept = chunks.iter().enumerate().filter(|(at, _)| is_kept(*at));
    kept.fold(answer[..head].to_vec(), |kept, (_, chunk)| [&kept, *chunk].concat())
}

/// The chunks of a chunked body, each with its size; what is cut off at the end is the last one.
fn chunks(mut body: &[u8]) -> Vec<&[u8]> {
    let mut chunks = Vec::new();
    while !body.is_empty() {
        let line = body
            .windows(2)
            .position(|window| window == b"\r\n")
            .unwrap_or(body.len());
        let size = std::str::from_utf8(&body[..line])
            .ok()
            .and_then(|size| usize::from_str_radix(size, 16).ok());
        let end = size.map_or(body.len(), |size| line + 2 + size + 2).min(body.len());
        chunks.push(&body[..end]);
        body = &body[end..];
    }
    chunks
}

/// Longer than any of the cases takes, the first tool call's grammar included.
const PATIENCE: Duration = Duration::from_mins(3);
/// At both ends of a shortened answer.
const KEPT_CHUNKS: usize = 6;
