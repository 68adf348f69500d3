//! Measures the gateway's token counter in wasmtime, with the settings of Spin that take part in it, and writes a line of
//! JSON per figure, as the native program does. The module is the one that V8 runs. Of the other libraries there is
//! nothing to measure here: they take randomness from JavaScript.
//!
//! ```text
//! tidegate-tokens-wasmtime MODULE TABLES TEXTS ROUNDS
//! ```

mod instance;

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use cpu_time::ThreadTime;
use serde_json::json;
use wasmtime::{Config, Engine, Module, Result};

use instance::Instance;

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [module, tables, texts, rounds] = &arguments[..] else {
        wasmtime::bail!("usage: tidegate-tokens-wasmtime MODULE TABLES TEXTS ROUNDS");
    };
    let rounds: usize = rounds.parse()?;
    let mut config = Config::new();
    config.epoch_interruption(true);
    let engine = Engine::new(&config)?;
    let module = Module::from_file(&engine, module)?;
    let texts = read_texts(Path::new(texts))?;
    for tokenizer in TOKENIZERS {
        let table = std::fs::read(Path::new(tables).join(format!("{tokenizer}.tokens")))?;
        let mut figures = Figures::default();
        measure(&module, &table, &texts, rounds, &mut figures)?;
        figures.print(tokenizer);
    }
    Ok(())
}

fn measure(
    module: &Module,
    table: &[u8],
    texts: &BTreeMap<String, String>,
    rounds: usize,
    figures: &mut Figures,
) -> Result<()> {
    for _ in 0..OPENINGS {
        let mut instance = Instance::new(module)?;
        let file = instance.write(table)?;
        let begun = ThreadTime::now();
        instance.open(file)?;
        figures.add("open_ms", begun.elapsed().as_secs_f64() * 1e3);
    }
    let mut instance = Instance::new(module)?;
    let before = instance.memory_bytes()?;
    let file = instance.write(table)?;
    instance.open(file)?;
    figures.add("heap_open_kb", (instance.memory_bytes()? - before) / 1e3);
    for round in 0..rounds {
        for (name, text) in texts {
            let part = part(text, round, rounds);
            instance.take(part)?;
            let before = instance.memory_bytes()?;
            let took = timed(&mut instance, 1)?;
            figures.add(&format!("mb_s {name}"), part.len() as f64 / 1e6 / took.as_secs_f64());
            figures.add("heap_count_kb", (instance.memory_bytes()? - before) / 1e3);
        }
        let prompt = texts.get("markdown").map(String::as_str).unwrap_or_default();
        instance.take(&prompt[..prompt.floor_char_boundary(PROMPT_BYTES)])?;
        let took = timed(&mut instance, PROMPT_CALLS)?;
        figures.add("prompt_us", took.as_secs_f64() * 1e6 / f64::from(PROMPT_CALLS));
    }
    Ok(())
}

/// The time that counting the kept text so often takes.
fn timed(instance: &mut Instance, times: u32) -> Result<Duration> {
    let begun = ThreadTime::now();
    std::hint::black_box(instance.count(times)?);
    Ok(begun.elapsed())
}

/// What a round has of a text.
fn part(text: &str, round: usize, rounds: usize) -> &str {
    let border = |n| text.floor_char_boundary(text.len() * n / rounds);
    &text[border(round)..border(round + 1)]
}

fn read_texts(folder: &Path) -> Result<BTreeMap<String, String>> {
    let mut texts = BTreeMap::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        texts.insert(name, std::fs::read_to_string(&path)?);
    }
    Ok(texts)
}

/// What was measured with one tokenizer, round by round.
#[derive(Default)]
struct Figures(BTreeMap<String, Vec<f64>>);

impl Figures {
    fn add(&mut self, what: &str, value: f64) {
        self.0.entry(what.to_owned()).or_default().push(value);
    }

    /// Memory counts at its largest, all else in the middle.
    fn print(self, tokenizer: &str) {
        for (what, mut values) in self.0 {
            values.sort_by(f64::total_cmp);
            let largest = what == "heap_count_kb";
            let at = if largest { values.len() - 1 } else { values.len() / 2 };
            let figure = json!({ "library": "tidegate", "tokenizer": tokenizer, "what": what, "value": values[at] });
            println!("{figure}");
        }
    }
}

/// Their tables are called so.
const TOKENIZERS: [&str; 3] = ["qwen3", "deepseek-v3", "gpt-oss"];
const OPENINGS: usize = 3;
const PROMPT_BYTES: usize = 2048;
const PROMPT_CALLS: u32 = 200;
