//! `tidegate engine`.

use std::env;
use std::future::pending;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::path::PathBuf;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use tidegate_simulator::{EngineOptions, Profile, TokenizerFiles, bind};
use tokio::runtime;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinSet;

use crate::failure::Failure;

/// Which engine to simulate.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Address to listen on; port 0 lets the system choose. Given several times, there is an engine at each.
    #[arg(long, value_name = "ADDR:PORT", default_value = "127.0.0.1:8000")]
    listen: Vec<SocketAddr>,
    /// Name under which the model is served; may be given several times.
    #[arg(long = "model", value_name = "NAME", required = true)]
    models: Vec<String>,
    /// LoRA adapter, served like a model beside the base model; may be given several times.
    #[arg(long = "adapter", value_name = "NAME")]
    adapters: Vec<String>,
    /// Which hardware and model it takes its times and its kv_cache from.
    #[arg(long, value_name = "PROFILE", value_parser = profiles())]
    profile: Profile,
    /// Engines with equal seeds give equal answers.
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,
    /// Environment variable with the bearer token that requests must carry, as with vLLM's --api-key.
    #[arg(long, value_name = "NAME")]
    api_key_env: Option<String>,
    /// Factor on every duration: 0.1 is ten times as fast as the profile, 0 takes no time.
    #[arg(long, value_name = "FACTOR", default_value_t = 1.0)]
    time_scale: f64,
    /// Tokens of kv_cache, instead of the profile's.
    #[arg(long, value_name = "TOKENS")]
    kv_cache_tokens: Option<u32>,
    /// Longest context in tokens, instead of the profile's.
    #[arg(long, value_name = "TOKENS")]
    context_tokens: Option<u32>,
    /// Most requests that run at once, instead of the profile's.
    #[arg(long, value_name = "N")]
    max_running: Option<u32>,
    /// Tokens in one event of a stream, behind the first, as with vLLM's --stream-interval.
    #[arg(long, value_name = "TOKENS", default_value_t = NonZeroU32::MIN)]
    stream_interval: NonZeroU32,
    /// A model's tokenizer.json: prompts then take as many tokens as the model's own would.
    #[arg(long, value_name = "FILE")]
    tokenizer: Option<PathBuf>,
    /// The tokenizer_config.json beside it, with the chat template.
    #[arg(long, value_name = "FILE", requires = "tokenizer")]
    tokenizer_config: Option<PathBuf>,
}

/// Simulates the engines until a signal ends them.
///
/// # Errors
/// When the options make no engine, or the address is taken.
pub fn run(args: Args) -> Result<(), Failure> {
    runtime::Builder::new_current_thread()
        .enable_all()
        .build()?
        .block_on(async {
            let mut servers = Vec::new();
            for options in options(args)? {
                servers.push(bind(options).await.map_err(Failure::failed)?);
            }
            let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
            let mut stdout = io::stdout();
            for server in &servers {
                writeln!(stdout, "ready url=http://{}", server.address())?;
            }
            stdout.flush()?;
            let mut engines: JoinSet<()> = servers.into_iter().map(|server| server.run(pending())).collect();
            tokio::select! {
                _signal = terminate.recv() => {}
                _signal = interrupt.recv() => {}
                // Nothing but a panic ends one.
                _ended = engines.join_next() => {}
            }
            Ok(())
        })
}

/// The same engine at each address.
fn options(args: Args) -> Result<Vec<EngineOptions>, Failure> {
    let api_key = match args.api_key_env {
        Some(name) => Some(env::var(&name).map_err(|_| {
            Failure::usage(format!(
                "--api-key-env: the environment variable {name} is not set to text"
            ))
        })?),
        None => None,
    };
    let [first, ..] = args.listen[..] else {
        return Ok(Vec::new());
    };
    let options = EngineOptions {
        listen: first,
        models: args.models,
        adapters: args.adapters,
        profile: args.profile,
        seed: args.seed,
        time_scale: args.time_scale,
        api_key,
        kv_cache_tokens: args.kv_cache_tokens,
        context_tokens: args.context_tokens,
        max_running: args.max_running,
        stream_interval: args.stream_interval,
        tokenizer: args.tokenizer.map(|tokenizer| TokenizerFiles {
            tokenizer,
            config: args.tokenizer_config,
        }),
    };
    let at = |listen: &SocketAddr| EngineOptions {
        listen: *listen,
        ..options.clone()
    };
    Ok(args.listen.iter().map(at).collect())
}

fn profiles() -> impl TypedValueParser<Value = Profile> {
    PossibleValuesParser::new(Profile::ALL.map(Profile::name)).try_map(|name| name.parse::<Profile>())
}
