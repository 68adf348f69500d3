//! `tidegate calibrate`: what one replica can do, measured by a few dozen requests.

mod fit;
mod replica;
mod told;

use std::io::{self, Write};
use std::time::Instant;

use futures::future::try_join_all;

use self::fit::{Line, line, median};
use self::replica::{Replica, Timing};
use self::told::Told;
use crate::failure::Failure;
use crate::server;

/// Which replica to measure.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Its base URL, as in `replicas` of gateway.toml. Nothing else should run there meanwhile.
    #[arg(value_name = "URL")]
    url: String,
    /// The model to ask for [default: the first that it lists].
    #[arg(long, value_name = "NAME")]
    model: Option<String>,
    /// Environment variable with the bearer token that it wants.
    #[arg(long, value_name = "NAME")]
    api_key_env: Option<String>,
    /// Longest prompt to send, in tokens [default: half of its context, at most 8192].
    #[arg(long, value_name = "TOKENS")]
    longest: Option<u64>,
}

/// Measures the replica, and prints lines for gateway.toml.
///
/// # Errors
/// When it cannot be reached, refuses, or breaks off.
pub fn run(args: &Args) -> Result<(), Failure> {
    let token = args.api_key_env.as_deref().map(server::token).transpose()?;
    let measured = server::block_on(async {
        let replica = Replica::new(&args.url, token.as_deref())?;
        measure(&replica, args).await
    })?;
    io::stdout().write_all(report(&args.url, &measured).as_bytes())?;
    Ok(())
}

/// What was found out.
#[derive(Debug)]
struct Measured {
    model: String,
    told: Told,
    prefill: Line,
    longest: u64,
    /// Seconds of a decode step, by how many requests run.
    steps: Vec<(usize, f64)>,
    requests: usize,
    seconds: f64,
}

async fn measure(replica: &Replica, args: &Args) -> Result<Measured, Failure> {
    let begun = Instant::now();
    let (listed, context) = replica.model().await?;
    let mut probe = Probe {
        replica,
        model: args.model.clone().unwrap_or(listed),
        words_per_token: 1.0,
        requests: 0,
    };
    let mut told = Told::default();
    for (path, read) in told::PLACES {
        if let Some(page) = replica.page(path).await {
            told = told.or(read(&page));
        }
    }
    let longest = args
        .longest
        .unwrap_or_else(|| (context.unwrap_or(4_096) / 2).min(8_192))
        .max(64);
    let prefill = probe.prefill(longest).await?;
    let most = told.max_running.unwrap_or(u64::MAX);
    let mut steps = Vec::new();
    for beside in BATCHES.into_iter().filter(|batch| *batch as u64 <= most) {
        steps.push((beside, probe.step(beside).await?));
    }
    Ok(Measured {
        told,
        prefill,
        longest,
        steps,
        requests: probe.requests,
        seconds: begun.elapsed().as_secs_f64(),
        model: probe.model,
    })
}

/// What sends the requests.
struct Probe<'r> {
    replica: &'r Replica,
    model: String,
    words_per_token: f64,
    requests: usize,
}

impl Probe<'_> {
    /// How long prompts take that are in nobody's memory.
    async fn prefill(&mut self, longest: u64) -> Result<Line, Failure> {
        // The first answer takes whatever a cold engine needs, and tells how many tokens a word has.
        let count = 64;
        let timing = self.generate(count, 1).await?;
        if timing.prompt_tokens > 0 {
            self.words_per_token = count as f64 / timing.prompt_tokens as f64;
        }
        let mut points = Vec::new();
        for round in 0..ROUNDS {
            for part in 1..=LENGTHS {
                // Not the same length twice, so that engines cannot know them.
                let tokens = longest * part / LENGTHS - round;
                let count = (tokens as f64 * self.words_per_token) as usize;
                let timing = self.generate(count.max(1), 1).await?;
                let read = timing
                    .prompt_tokens
                    .saturating_sub(timing.cached_tokens.unwrap_or_default());
                points.push((read as f64, timing.first.as_secs_f64()));
            }
        }
        let found = line(&points).filter(|line| line.slope > 0.0);
        found.ok_or_else(|| {
            Failure::failed("longer prompts take no longer there: raise --longest, or ask when nothing else runs")
        })
    }

    /// How long a decode step takes while so many requests run.
    async fn step(&mut self, batch: usize) -> Result<f64, Failure> {
        let prompts: Vec<_> = (0..batch).map(|_| words(STEP_WORDS)).collect::<Result<_, _>>()?;
        self.requests += batch;
        let running = prompts
            .iter()
            .map(|prompt| self.replica.generate(&self.model, prompt, STEP_TOKENS));
        let timings = try_join_all(running).await?;
        let steps = timings.iter().filter(|timing| timing.output_tokens > 1);
        let steps = steps.map(|timing| (timing.last - timing.first).as_secs_f64() / (timing.output_tokens - 1) as f64);
        median(steps.collect()).ok_or_else(|| Failure::failed("answers end after one token there"))
    }

    async fn generate(&mut self, count: usize, tokens: u32) -> Result<Timing, Failure> {
        let prompt = words(count)?;
        self.requests += 1;
        self.replica.generate(&self.model, &prompt, tokens).await
    }
}

/// Words that nobody has asked for before.
fn words(count: usize) -> Result<String, Failure> {
    let mut random = vec![0; count * 4];
    getrandom::fill(&mut random).map_err(|error| Failure::failed(format!("no random bits: {error}")))?;
    let words = random.chunks_exact(4).map(|bytes| {
        let number = bytes.iter().fold(0, |number, byte| number << 8 | u32::from(*byte));
        (number % 100_000).to_string()
    });
    Ok(words.collect::<Vec<_>>().join(" "))
}

fn report(url: &str, measured: &Measured) -> String {
    let Measured {
        model,
        told,
        prefill,
        longest,
        steps,
        requests,
        seconds,
    } = measured;
    let speed = 1.0 / prefill.slope;
    let doubt = if prefill.spread > DOUBTFUL {
        ": measure again when nothing else runs there"
    } else {
        ""
    };
    let (per_cent, before) = (prefill.spread * 100.0, prefill.base.max(0.0) * 1_000.0);
    let kv_cache = match told.kv_cache_tokens {
        Some(tokens) => format!("kv_cache_tokens = {tokens}  # As the engine tells.\n"),
        None => "#kv_cache_tokens = ?  # The engine does not tell; its log at the start may.\n".to_owned(),
    };
    let kv_block = told.kv_block_tokens;
    let kv_block = kv_block.map_or_else(String::new, |tokens| {
        format!("kv_block_tokens = {tokens}  # Likewise.\n")
    });
    let max_running = match told.max_running {
        Some(requests) => format!("max_running = {requests}  # As the engine tells.\n"),
        None => "#max_running = ?  # The engine does not tell: as it was started, such as vLLM's --max-num-seqs.\n"
            .to_owned(),
    };
    let steps: Vec<_> = steps
        .iter()
        .map(|(batch, step)| format!("{:.1} ms with {batch}", step * 1_000.0))
        .collect();
    format!(
        "# {url}, {model}: {requests} requests in {seconds:.0} s.\n{kv_cache}{kv_block}prefill_tokens_per_s = {speed:.0}  # Prompts \
         of up to {longest} tokens; half of the measurements within {per_cent:.0}%{doubt}; {before:.0} ms before the \
         first token.\n{max_running}# A decode step takes {} running.\n",
        steps.join(", ")
    )
}

/// Lengths of prompts, from an `LENGTHS`th of the longest on.
const LENGTHS: u64 = 5;
/// Measurements that differ by more than this share are not to be relied upon.
const DOUBTFUL: f64 = 0.25;
/// How often each length is measured.
const ROUNDS: u64 = 3;
/// Requests at once, for decode steps.
const BATCHES: [usize; 3] = [1, 4, 16];
const STEP_WORDS: usize = 16;
const STEP_TOKENS: u32 = 32;
