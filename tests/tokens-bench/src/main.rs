//! Measures the libraries natively, and writes a line of JSON per figure:
//! `{"library", "tokenizer", "what", "value"}`, with what is `open_ms`, `heap_open_kb`, `heap_count_kb`, `prompt_us`,
//! `mb_s NAME` for the text NAME, or `mb_s again NAME` for the same text once more.
//!
//! ```text
//! tidegate-tokens-bench TABLES TEXTS ROUNDS
//! ```
//!
//! Each round has a part of every text that none before it had, the same for all libraries: they remember what they saw,
//! and a gateway sees new text all the time. What is counted once more shows what remembering is worth.
//!
//! Rounds alternate between the libraries, so that what else the machine does hits all. Times are those of the thread on
//! its core, figures are medians.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::time::Duration;

use cpu_time::ThreadTime;
use peak_alloc::PeakAlloc;
use serde_json::json;
use tidegate_tokens_bench::{Contender, Library};

#[global_allocator]
static HEAP: PeakAlloc = PeakAlloc;

fn main() -> Result<(), String> {
    std::panic::set_hook(Box::new(|_| {}));
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [tables, texts, rounds] = &arguments[..] else {
        return Err("usage: tidegate-tokens-bench TABLES TEXTS ROUNDS".to_owned());
    };
    let rounds: usize = rounds.parse().map_err(|error| format!("{rounds}: {error}"))?;
    let texts = read_texts(Path::new(texts))?;
    for tokenizer in TOKENIZERS {
        measure(Path::new(tables), tokenizer, &texts, rounds)?;
    }
    Ok(())
}

fn measure(tables: &Path, tokenizer: &str, texts: &BTreeMap<String, String>, rounds: usize) -> Result<(), String> {
    let mut figures = Figures::default();
    let mut contenders = Vec::new();
    for library in Library::ALL
        .iter()
        .copied()
        .filter(|library| takes_part(*library, tokenizer))
    {
        contenders.push((library, open(tables, library, tokenizer, &mut figures)?));
    }
    let prompt = prompt(texts)?;
    for round in 0..rounds {
        for (name, text) in texts {
            let part = part(text, round, rounds);
            for (library, contender) in &mut contenders {
                count(*library, contender, name, part, &mut figures);
                count(*library, contender, &format!("again {name}"), part, &mut figures);
            }
        }
        for (library, contender) in &mut contenders {
            let took = repeated(|| contender.count(prompt))?;
            figures.add(*library, "prompt_us".to_owned(), took.as_secs_f64() * 1e6);
        }
    }
    figures.print(tokenizer);
    Ok(())
}

/// Opens a library several times, and keeps the last.
fn open(tables: &Path, library: Library, tokenizer: &str, figures: &mut Figures) -> Result<Contender, String> {
    // The file itself counts: a library may keep it.
    let before = HEAP.current_usage();
    let file = source(tables, library, tokenizer)?;
    for _ in 0..OPENINGS {
        let file = file.clone();
        let begun = ThreadTime::now();
        let opened = Contender::open(library, file)?;
        figures.add(library, "open_ms".to_owned(), begun.elapsed().as_secs_f64() * 1e3);
        drop(opened);
    }
    let contender = Contender::open(library, file)?;
    figures.add(
        library,
        "heap_open_kb".to_owned(),
        kilobytes(before, HEAP.current_usage()),
    );
    Ok(contender)
}

/// What a round has of a text.
fn part(text: &str, round: usize, rounds: usize) -> &str {
    let border = |n| text.floor_char_boundary(text.len() * n / rounds);
    &text[border(round)..border(round + 1)]
}

/// Counts a text once. On some long texts the regular expressions of other libraries run out of stack, and they panic: a
/// figure that is missing says so.
fn count(library: Library, contender: &mut Contender, name: &str, text: &str, figures: &mut Figures) {
    let before = HEAP.current_usage();
    HEAP.reset_peak_usage();
    let begun = ThreadTime::now();
    let counted = catch_unwind(AssertUnwindSafe(|| contender.count(text)));
    let took = begun.elapsed();
    if matches!(counted, Ok(Ok(_))) {
        figures.add(
            library,
            format!("mb_s {name}"),
            text.len() as f64 / 1e6 / took.as_secs_f64(),
        );
        figures.add(
            library,
            "heap_count_kb".to_owned(),
            kilobytes(before, HEAP.peak_usage()),
        );
    }
}

/// What was measured with one tokenizer, round by round.
#[derive(Default)]
struct Figures(BTreeMap<(&'static str, String), Vec<f64>>);

impl Figures {
    fn add(&mut self, library: Library, what: String, value: f64) {
        self.0.entry((library.name(), what)).or_default().push(value);
    }

    /// Memory counts at its largest, all else in the middle.
    fn print(self, tokenizer: &str) {
        for ((library, what), mut values) in self.0 {
            values.sort_by(f64::total_cmp);
            let at = if what == "heap_count_kb" {
                values.len() - 1
            } else {
                values.len() / 2
            };
            println!(
                "{}",
                json!({ "library": library, "tokenizer": tokenizer, "what": what, "value": values[at] })
            );
        }
    }
}

/// The time of one call, from many.
fn repeated(mut call: impl FnMut() -> Result<u64, String>) -> Result<Duration, String> {
    let begun = ThreadTime::now();
    for _ in 0..PROMPT_CALLS {
        std::hint::black_box(call()?);
    }
    Ok(begun.elapsed() / PROMPT_CALLS)
}

fn takes_part(library: Library, tokenizer: &str) -> bool {
    match library {
        Library::Tidegate | Library::Tokenizers | Library::Kitoken => true,
        Library::Tiktoken => tokenizer == "gpt-oss",
    }
}

fn source(tables: &Path, library: Library, tokenizer: &str) -> Result<Vec<u8>, String> {
    let path = match library {
        Library::Tidegate => tables.join(format!("{tokenizer}.tokens")),
        Library::Tokenizers | Library::Kitoken => tables.join("sources").join(tokenizer).join("tokenizer.json"),
        Library::Tiktoken => return Ok(Vec::new()),
    };
    std::fs::read(&path).map_err(|error| format!("{}: {error}", path.display()))
}

fn read_texts(folder: &Path) -> Result<BTreeMap<String, String>, String> {
    let failure = |error: std::io::Error| format!("{}: {error}", folder.display());
    let mut texts = BTreeMap::new();
    for entry in std::fs::read_dir(folder).map_err(failure)? {
        let path = entry.map_err(failure)?.path();
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        texts.insert(name, std::fs::read_to_string(&path).map_err(failure)?);
    }
    Ok(texts)
}

fn prompt(texts: &BTreeMap<String, String>) -> Result<&str, String> {
    let text = texts.get("markdown").ok_or("there is no text named markdown")?;
    Ok(&text[..text.floor_char_boundary(PROMPT_BYTES)])
}

fn kilobytes(before: usize, after: usize) -> f64 {
    after.saturating_sub(before) as f64 / 1e3
}

/// Their tables and sources are called so.
const TOKENIZERS: [&str; 3] = ["qwen3", "deepseek-v3", "gpt-oss"];
/// Reading a `tokenizer.json` takes a second with some libraries.
const OPENINGS: usize = 3;
const PROMPT_BYTES: usize = 2048;
const PROMPT_CALLS: u32 = 200;
