//! Who distributes the requests.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::engines::{Engines, KV_CACHE_TOKENS, MAX_RUNNING, PREFILL_TOKENS_PER_S};
use crate::bench::nginx;
use crate::dev::{Child, Gateway, HOP_SECRET, Hop, Key, Place, free_address, new_key, start_redis, with_hop};
use crate::error::TaskError;
use crate::setup::{self, Router};
use crate::{http, workspace};

/// A way to distribute requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, clap::ValueEnum)]
pub enum Contender {
    /// Round robin by nginx, with which all are compared.
    Nginx,
    /// SMG's approximate prefix tree.
    SmgCacheAware,
    /// SMG's hash of the first tokens.
    SmgPrefixHash,
    /// vllm-router's approximate prefix tree.
    VllmRouter,
    /// One gateway process.
    #[value(name = "tidegate-1")]
    Tidegate1,
    /// Two that share a Redis and nothing else, and take turns.
    #[value(name = "tidegate-2")]
    Tidegate2,
    /// Five of them.
    #[value(name = "tidegate-5")]
    Tidegate5,
    /// Two at the edge, and one beside the replicas, to which they send orders.
    #[value(name = "tidegate-hops")]
    TidegateHops,
    /// The load generator, which knows what every cache holds.
    Oracle,
    /// The load generator itself sends round robin: what is not a router's is measured by it.
    Direct,
}

/// What contenders are started with.
#[derive(Debug)]
pub struct Setting {
    /// The gateway that is measured.
    pub gateway: PathBuf,
    /// The program of Redis.
    pub redis: PathBuf,
    /// For logs and configurations.
    pub folder: PathBuf,
    /// How many times as fast as real engines these are.
    pub speed: f64,
}

/// A contender at work.
#[derive(Debug)]
pub struct Started {
    /// Where it takes requests, by base URLs that take turns.
    pub urls: Vec<String>,
    /// The bearer tokens that it wants, one for each tenant.
    pub keys: Vec<String>,
    /// What runs, the last started last.
    processes: Vec<Child>,
}

impl Contender {
    /// Those of a whole run.
    pub const COMPARED: [Self; 9] = [
        Self::Nginx,
        Self::SmgCacheAware,
        Self::SmgPrefixHash,
        Self::VllmRouter,
        Self::Tidegate1,
        Self::Tidegate2,
        Self::Tidegate5,
        Self::TidegateHops,
        Self::Oracle,
    ];

    /// As tables call it.
    pub fn title(self) -> &'static str {
        match self {
            Self::Nginx => "nginx, round robin",
            Self::SmgCacheAware => "smg, cache_aware",
            Self::SmgPrefixHash => "smg, prefix_hash",
            Self::VllmRouter => "vllm-router, cache_aware",
            Self::Tidegate1 => "Tidegate",
            Self::Tidegate2 => "Tidegate, 2 gateways",
            Self::Tidegate5 => "Tidegate, 5 gateways",
            Self::TidegateHops => "Tidegate, two hops",
            Self::Oracle => "oracle",
            Self::Direct => "direct, round robin",
        }
    }

    /// Whether it needs nothing of others: then it has to be there.
    pub fn is_ours(self) -> bool {
        match self {
            Self::Tidegate1 | Self::Tidegate2 | Self::Tidegate5 | Self::TidegateHops | Self::Oracle | Self::Direct => {
                true
            }
            Self::Nginx | Self::SmgCacheAware | Self::SmgPrefixHash | Self::VllmRouter => false,
        }
    }

    /// How many gateways it has that clients come to.
    pub fn gateways(self) -> usize {
        match self {
            Self::Tidegate1 => 1,
            Self::Tidegate2 | Self::TidegateHops => 2,
            Self::Tidegate5 => 5,
            Self::Nginx
            | Self::SmgCacheAware
            | Self::SmgPrefixHash
            | Self::VllmRouter
            | Self::Oracle
            | Self::Direct => 0,
        }
    }

    /// Starts it before the engines.
    ///
    /// # Errors
    /// When it cannot be had, or does not get ready.
    pub fn start(self, setting: &Setting, engines: &Engines) -> Result<Started, TaskError> {
        let folder = &setting.folder;
        match self {
            Self::Oracle | Self::Direct => Ok(Started::of(engines.urls.clone(), Vec::new())),
            Self::Nginx => {
                let nginx = nginx::before(&engines.urls, folder)?;
                Ok(Started::of(vec![nginx.url.clone()], vec![nginx]))
            }
            Self::SmgCacheAware => router(Router::Smg, "cache_aware", engines, folder),
            Self::SmgPrefixHash => router(Router::Smg, "prefix_hash", engines, folder),
            Self::VllmRouter => router(Router::Vllm, "cache_aware", engines, folder),
            Self::Tidegate1 | Self::Tidegate2 | Self::Tidegate5 => tidegate(self.gateways(), setting, engines, None),
            Self::TidegateHops => tidegate(self.gateways(), setting, engines, Some(&free_address()?)),
        }
    }
}

impl Started {
    fn of(urls: Vec<String>, processes: Vec<Child>) -> Self {
        Self {
            urls,
            keys: vec!["none".to_owned()],
            processes,
        }
    }

    /// What went wrong when a part of it has ended.
    pub fn ended(&mut self) -> Option<TaskError> {
        self.processes.iter_mut().find_map(Child::ended)
    }
}

/// A router of Python's registry, as it is by default, with a policy.
fn router(router: Router, policy: &str, engines: &Engines, folder: &Path) -> Result<Started, TaskError> {
    let program = setup::router(router)?;
    let [address, metrics] = [free_address()?, free_address()?];
    let port = |address: &str| address.rsplit(':').next().unwrap_or_default().to_owned();
    let mut command = Command::new(program);
    command.args(router.arguments());
    command.args(["--host", "127.0.0.1", "--port", &port(&address)]);
    command.args(["--prometheus-port", &port(&metrics), "--policy", policy]);
    command.arg("--worker-urls").args(&engines.urls);
    let url = format!("http://{address}");
    // What both say when they have found all replicas.
    let all = format!("\"healthy_workers\":{}", engines.urls.len());
    let is_ready = || http::get(&url, "/readiness").is_ok_and(|answer| answer.body.contains(&all));
    let process = Child::start_at(router.name(), &command, folder, &url, is_ready)?;
    Ok(Started::of(vec![url], vec![process]))
}

/// Gateways that share a Redis. With the address of a region hop, that is there too, and has the cells to itself.
fn tidegate(count: usize, setting: &Setting, engines: &Engines, hop: Option<&str>) -> Result<Started, TaskError> {
    let folder = &setting.folder;
    let keys = [new_key(&setting.gateway)?, new_key(&setting.gateway)?];
    let config = folder.join("gateway.toml");
    let text = configuration(engines, &keys, setting.speed)?;
    workspace::write(&config, hop.map_or(text.clone(), |address| with_hop(&text, address)))?;
    let redis = start_redis(&setting.redis, folder)?;
    let gateway = Gateway::Native {
        tidegate: setting.gateway.clone(),
        tables: workspace::made(folder.join("no-tables"))?,
    };
    let place = Place {
        config: &config,
        port: 0,
        folder,
        redis: Some(&redis.url),
    };
    let region = hop.map(|address| {
        let port = address.rsplit(':').next().and_then(|port| port.parse().ok());
        let beside = Place {
            port: port.unwrap_or_default(),
            redis: None,
            ..place
        };
        let command = gateway.hop_command(&beside, Hop::Region, HOP_SECRET);
        Child::start("region", &command, folder)
    });
    let region = region.transpose()?;
    let command = match hop {
        Some(_) => gateway.hop_command(&place, Hop::Edge, HOP_SECRET),
        None => gateway.command(&place),
    };
    let start = |number| Child::start(&format!("gateway-{number}"), &command, folder);
    let gateways = (0..count).map(start).collect::<Result<Vec<_>, _>>()?;
    let urls = gateways.iter().map(|gateway| gateway.url.clone()).collect();
    let mut processes = vec![redis];
    processes.extend(region);
    processes.extend(gateways);
    Ok(Started {
        keys: keys.map(|key| key.key).to_vec(),
        ..Started::of(urls, processes)
    })
}

/// The gateways' configuration: what an operator of such replicas would write, in this machine's time.
fn configuration(engines: &Engines, [first, second]: &[Key; 2], speed: f64) -> Result<String, TaskError> {
    let template = workspace::read(&workspace::root().join("xtask/src/bench/routing/gateway.toml"))?;
    let replicas: Vec<String> = engines.urls.iter().map(|url| format!("\"{url}\"")).collect();
    Ok(template
        .replace("{replicas}", &replicas.join(", "))
        .replace("{kv cache}", &KV_CACHE_TOKENS.to_string())
        .replace("{prefill}", &format!("{:.0}", PREFILL_TOKENS_PER_S * speed))
        .replace("{running}", &MAX_RUNNING.to_string())
        .replace("{warm penalty}", &format!("{:.0}", WARM_PENALTY_MS / speed))
        .replace("{first}", &first.digest)
        .replace("{second}", &second.digest))
}

/// How much later than another a warm replica may answer, in engine time: what gateway.toml says where it says nothing.
const WARM_PENALTY_MS: f64 = 2_000.0;
