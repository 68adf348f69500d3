//! A Redis for one test, those who use it, and what they ask.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use tidegate_core::cells::{CellCall, CellError, CellId};
use tidegate_core::cluster::{
    Acquire, Acquired, BreakerPolicy, Capacity, ClusterPolicy, HealthPolicy, HotDigest, Outcome, PermitId,
    PolicyUnknown, PrefillPolicy, PromptOutline, ReadReplicas, Release, Releases,
};
use tidegate_core::ids::Tokens;
use tidegate_native::{Redis, RedisAddress};
use tidegate_tests::redis::Redis as RedisServer;
use tidegate_tests::runtime::redis_server;

/// A fresh server; its log is kept by the test's name.
pub fn server(test: &str) -> RedisServer {
    let folder = folder(test);
    let program =
        redis_server().expect("TIDEGATE_REDIS_SERVER names the program `redis-server`: run `cargo xtask test`");
    RedisServer::start(&program, &folder)
}

fn folder(test: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("redis-{test}"));
    drop(std::fs::remove_dir_all(&folder));
    std::fs::create_dir_all(&folder).expect("a folder");
    folder
}

/// One that uses the server, as a process does.
pub fn user(server: &RedisServer) -> Redis {
    user_at(&server.url_with_password())
}

pub fn user_at(url: &str) -> Redis {
    Redis::open(&RedisAddress::parse(url, None).expect("a URL")).expect("connected")
}

pub fn cell(name: &str) -> CellId {
    CellId::Cluster(name.into())
}

/// The list that holds the cell's log.
pub fn log_key(name: &str) -> Vec<u8> {
    format!("tidegate:1:cell:cluster/{name}").into_bytes()
}

/// How many entries the log ever had, as Redis tells.
pub fn entries(server: &RedisServer, name: &str) -> u64 {
    let key = log_key(name);
    let base = server.command(&[b"LINDEX", &key, b"0"]);
    let base: u64 = base
        .rsplit(' ')
        .next()
        .and_then(|base| base.parse().ok())
        .expect("a log");
    base + length(server, name) - 3
}

/// The elements of the list.
pub fn length(server: &RedisServer, name: &str) -> u64 {
    let length = server.command(&[b"LLEN", &log_key(name)]);
    length.trim_start_matches(':').parse().expect("a number")
}

/// A replica that failed once is left alone for a second.
pub const BREAKER: BreakerPolicy = BreakerPolicy {
    failures: 1,
    open: Duration::from_secs(1),
};

/// Asks for a place among `most`; whether it was given.
pub async fn acquire(user: &Redis, name: &str, permit: u64, most: u32) -> Result<bool, CellError> {
    let acquire = Acquire {
        headroom_percent: 0,
        permit: PermitId(permit),
        kv_tokens: Tokens(1),
        spare: 0,
        policy: ClusterPolicy {
            replicas: vec!["http://replica".into()],
            capacity: Capacity {
                requests: most,
                kv_tokens: Tokens(1_000_000),
            },
            prefill: PrefillPolicy::default(),
            health: HealthPolicy {
                open: BREAKER.open,
                ..HealthPolicy::default()
            },
        }
        .into(),
        tried: Vec::new(),
        affinity: None,
        prompt: PromptOutline::default(),
        known_hot: HotDigest::default(),
        ttl: Duration::from_secs(60),
        queueing: None,
        explains: false,
        is_new: false,
    };
    match ask(user, name, acquire).await? {
        Ok(Acquired::Granted(_)) => Ok(true),
        Ok(Acquired::Refused(_) | Acquired::Queued(_)) => Ok(false),
        Err(PolicyUnknown) => panic!("a policy that was told is not known"),
    }
}

/// Gives a place back.
pub async fn release(user: &Redis, name: &str, permit: u64) {
    let release = Releases {
        releases: vec![Release::of_all(PermitId(permit), None, Outcome::Served)],
        breaker: BREAKER,
        prefilled: Vec::new(),
        forgotten: Vec::new(),
        served: Default::default(),
    };
    ask(user, name, release).await.expect("told");
}

/// How many places are taken.
pub async fn running(user: &Redis, name: &str) -> Result<u32, CellError> {
    let replicas = ask(user, name, ReadReplicas).await?;
    Ok(replicas.iter().map(|replica| replica.running).sum())
}

async fn ask<C: CellCall>(user: &Redis, name: &str, call: C) -> Result<C::Reply, CellError> {
    C::read(user.call_cell(&cell(name), call.into_command()).await?)
}

/// Waits until the cell answers again.
pub async fn recovered(user: &Redis, name: &str) -> u32 {
    let until = Instant::now() + Duration::from_secs(10);
    loop {
        match running(user, name).await {
            Ok(running) => return running,
            Err(error) => assert!(Instant::now() < until, "it does not recover: {error}"),
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Runs a test's flow.
pub fn run<T>(flow: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build();
    runtime.expect("a runtime").block_on(flow)
}
