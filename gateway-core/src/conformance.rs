//! What every [`Platform`] must do, as checks that run inside the runtime. An adapter that is built with the feature
//! `conformance` serves them at `POST /conformance`, with a body of `{"upstream": "http://…"}` that names a
//! simulated engine.

use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt;
use futures::future::join_all;
use http::{Method, Request};
use serde::{Deserialize, Serialize};

use crate::cache::{AskerId, CacheKey, EndFlight, EntryBytes, FlightEnding, FlightStanding, JoinFlight};
use crate::cells::{CellAddress, CellCall, CellId};
use crate::cluster::{
    Acquire, Acquired, BreakerPolicy, Capacity, ClusterPolicy, HealthPolicy, HotDigest, Outcome, PermitId,
    PolicyUnknown, PrefillPolicy, PromptOutline, ReadReplicas, Release, Releases, ReplicaStatus,
};
use crate::geo::Coordinates;
use crate::ids::Tokens;
use crate::platform::{Platform, SendError, UpstreamRequest};

/// What a run is told.
#[derive(Clone, Debug, Deserialize)]
pub struct Options {
    /// Base URL of a simulated engine.
    pub upstream: String,
}

/// What a run found.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// Every check, in the order run.
    pub checks: Vec<Check>,
}

/// One check.
#[derive(Clone, Debug, Serialize)]
pub struct Check {
    /// What it checks.
    pub name: &'static str,
    /// What was found instead; `None` when it passed.
    pub error: Option<String>,
}

/// Runs all checks.
pub async fn run<P: Platform>(platform: P, options: &Options) -> Report {
    let platform = &platform;
    let upstream = options.upstream.trim_end_matches('/');
    let mut checks = Vec::new();
    let mut note = |name, result: Result<(), String>| {
        checks.push(Check {
            name,
            error: result.err(),
        })
    };
    note("sleep takes its time, and the clock tells so", clock(platform).await);
    note("random bits differ", random(platform));
    note(
        "the store gives many keys in order, absent ones and bytes that are no text",
        store(platform).await,
    );
    note(
        "a value with a time to live is there at first",
        store_ttl(platform).await,
    );
    note(
        "commands to one cell run one at a time, and cells are apart",
        cells(platform).await,
    );
    note(
        "a cell that passes holds an answer, byte by byte",
        passing_cell(platform).await,
    );
    note(
        "work after the response runs to its end",
        after_response(platform).await,
    );
    note(
        "a response comes with its status, headers and body",
        send_whole(platform, upstream).await,
    );
    note(
        "a stream arrives as it is sent",
        send_stream(platform, upstream, Duration::ZERO).await,
    );
    note(
        "a stream whose pieces may be held back begins as soon as it can, and arrives whole",
        send_stream(platform, upstream, HOLD_BACK).await,
    );
    note(
        "dropping a response cancels it upstream",
        send_cancel(platform, upstream, Duration::ZERO).await,
    );
    note(
        "dropping one whose pieces may be held back does as well",
        send_cancel(platform, upstream, HOLD_BACK).await,
    );
    note("no connection is an error of its own", send_refused(platform).await);
    note(
        "a secret that is not set is an error of its own",
        send_no_secret(platform, upstream).await,
    );
    Report { checks }
}

async fn clock<P: Platform>(platform: &P) -> Result<(), String> {
    let before = platform.now();
    platform.sleep(Duration::from_millis(120)).await;
    let slept = platform.now().since(before);
    ensure(
        slept >= Duration::from_millis(100) && slept < Duration::from_secs(5),
        || format!("slept {slept:?}"),
    )?;
    let (now, wall) = (platform.now(), platform.wall());
    let apart = now.since(wall).max(wall.since(now));
    ensure(apart < Duration::from_secs(5), || {
        format!("the wall clock is {apart:?} from the time that began with it")
    })
}

fn random<P: Platform>(platform: &P) -> Result<(), String> {
    let drawn: std::collections::BTreeSet<_> = (0..64).map(|_| platform.random()).collect();
    ensure(drawn.len() == 64, || format!("{} different of 64", drawn.len()))
}

async fn store<P: Platform>(platform: &P) -> Result<(), String> {
    let keys = ["a", "b", "c"].map(|name| format!("conformance/{:x}/{name}", platform.random()));
    let [a, b, c] = keys.each_ref().map(String::as_str);
    let bytes = Bytes::from_static(b"\x00\xff\xfe not text");
    platform
        .store_write(a, Bytes::from_static(b"first"), None)
        .await
        .map_err(|error| error.to_string())?;
    platform
        .store_write(c, bytes.clone(), None)
        .await
        .map_err(|error| error.to_string())?;
    let found = platform
        .store_read(&[c, b, a])
        .await
        .map_err(|error| error.to_string())?;
    let expected = [Some(bytes), None, Some(Bytes::from_static(b"first"))];
    ensure(found == expected, || format!("{found:?}"))?;
    ensure(platform.store_read(&[]).await == Ok(vec![]), || {
        "no keys gave an error or values".to_owned()
    })
}

async fn store_ttl<P: Platform>(platform: &P) -> Result<(), String> {
    let key = format!("conformance/{:x}", platform.random());
    let value = Bytes::from_static(b"for a while");
    let ttl = Some(Duration::from_secs(60));
    platform
        .store_write(&key, value.clone(), ttl)
        .await
        .map_err(|error| error.to_string())?;
    let found = platform.store_read(&[&key]).await.map_err(|error| error.to_string())?;
    ensure(found == [Some(value)], || format!("{found:?}"))
}

async fn cells<P: Platform>(platform: &P) -> Result<(), String> {
    let cell = cell(platform);
    let asked = join_all((0..24).map(|_| acquire(platform, &cell))).await;
    let granted: Vec<_> = asked
        .into_iter()
        .collect::<Result<Vec<_>, _>>()?
        .into_iter()
        .flatten()
        .collect();
    ensure(granted.len() == 5, || {
        format!("{} of 5 places given to 24 at once", granted.len())
    })?;
    ensure(status(platform, &self::cell(platform)).await?.is_empty(), || {
        "another cell knows of it".to_owned()
    })?;
    for permit in granted {
        release(platform, &cell, permit).await?;
    }
    let left = status(platform, &cell).await?;
    ensure(left.is_empty(), || format!("left behind: {left:?}"))
}

async fn passing_cell<P: Platform>(platform: &P) -> Result<(), String> {
    let key: String = (0..4).map(|_| format!("{:016x}", platform.random())).collect();
    let cell = CellAddress {
        id: CellId::Flight(CacheKey::parse(&key).ok_or("no key")?),
        ..cell(platform)
    };
    let [one, other] = [0; 2].map(|_| AskerId(platform.random()));
    let join = |asker| JoinFlight {
        asker,
        ttl: Duration::from_secs(60),
    };
    let leads = call(platform, &cell, join(one)).await?;
    let follows = call(platform, &cell, join(other)).await?;
    let is_led = leads == FlightStanding::Leads && matches!(follows, FlightStanding::Follows { .. });
    ensure(is_led, || format!("{leads:?}, {follows:?}"))?;
    let bytes = EntryBytes((0..=u8::MAX).cycle().take(EntryBytes::MOST).collect());
    let ending = FlightEnding::Landed(bytes.clone());
    call(platform, &cell, EndFlight { asker: one, ending }).await?;
    let found = call(platform, &cell, join(other)).await?;
    ensure(found == FlightStanding::Landed(bytes), || format!("landed: {found:?}"))
}

async fn after_response<P: Platform>(platform: &P) -> Result<(), String> {
    let cell = cell(platform);
    let (worker, address) = (platform.clone(), cell.clone());
    platform.after_response(async move {
        worker.sleep(Duration::from_millis(50)).await;
        let _ = acquire(&worker, &address).await;
    });
    for _ in 0..50 {
        platform.sleep(Duration::from_millis(20)).await;
        if !status(platform, &cell).await?.is_empty() {
            return Ok(());
        }
    }
    Err("not done after a second".to_owned())
}

async fn send_whole<P: Platform>(platform: &P, upstream: &str) -> Result<(), String> {
    let (status, body) = get(platform, &format!("{upstream}/v1/models")).await?;
    ensure(status == 200 && body.starts_with(b"{"), || {
        format!("{status}: {}", String::from_utf8_lossy(&body))
    })?;
    let (status, _) = get(platform, &format!("{upstream}/nowhere")).await?;
    ensure(status == 404, || format!("status {status} for what is not there"))
}

async fn send_stream<P: Platform>(platform: &P, upstream: &str, hold_back: Duration) -> Result<(), String> {
    let started = platform.now();
    let mut body = platform
        .send(stream_request(upstream, hold_back)?)
        .await
        .map_err(|error| error.to_string())?
        .into_body();
    let mut first = None;
    let mut text = Vec::new();
    while let Some(piece) = body.next().await {
        if first.is_none() {
            first = Some(platform.now());
            platform.on_begun(&mut body);
        }
        text.extend_from_slice(&piece.map_err(|error| error.to_string())?);
    }
    let (first, all) = (first.unwrap_or(started).since(started), platform.now().since(started));
    ensure(text.ends_with(b"data: [DONE]\n\n"), || "the stream is cut".to_owned())?;
    ensure(first * 2 < all, || {
        format!("the first piece came after {first:?}, the last after {all:?}")
    })
}

async fn send_cancel<P: Platform>(platform: &P, upstream: &str, hold_back: Duration) -> Result<(), String> {
    let mut body = platform
        .send(stream_request(upstream, hold_back)?)
        .await
        .map_err(|error| error.to_string())?
        .into_body();
    let _ = body.next().await;
    platform.on_begun(&mut body);
    drop(body);
    for _ in 0..50 {
        platform.sleep(Duration::from_millis(20)).await;
        let (_, metrics) = get(platform, &format!("{upstream}/metrics")).await?;
        let metrics = String::from_utf8_lossy(&metrics).into_owned();
        let running = metrics
            .lines()
            .find(|line| line.starts_with("vllm:num_requests_running"));
        if running.is_some_and(|line| line.ends_with(" 0") || line.ends_with(" 0.0")) {
            return Ok(());
        }
    }
    Err("still running upstream after a second".to_owned())
}

async fn send_refused<P: Platform>(platform: &P) -> Result<(), String> {
    // Port 1 (tcpmux) is served nowhere.
    match platform.send(request(Method::GET, "http://127.0.0.1:1/", "")?).await {
        Err(SendError::Connect(_)) => Ok(()),
        // Some runtimes do not tell how far a request got.
        Err(SendError::Broken(_) | SendError::Lost(_)) => Ok(()),
        Err(SendError::NoSecret(name)) => Err(format!("secret {name}")),
        Err(SendError::Local(lack)) => Err(lack),
        Ok(response) => Err(format!("status {}", response.status())),
    }
}

async fn send_no_secret<P: Platform>(platform: &P, upstream: &str) -> Result<(), String> {
    let mut request = request(Method::GET, &format!("{upstream}/v1/models"), "")?;
    request.secret = Some("TIDEGATE_CONFORMANCE_NOT_SET".into());
    match platform.send(request).await.map(|response| response.status()) {
        Err(SendError::NoSecret(_)) => Ok(()),
        other => Err(format!("{other:?}")),
    }
}

async fn get<P: Platform>(platform: &P, url: &str) -> Result<(u16, Vec<u8>), String> {
    let response = platform
        .send(request(Method::GET, url, "")?)
        .await
        .map_err(|error| error.to_string())?;
    let status = response.status().as_u16();
    let mut body = response.into_body();
    let mut whole = Vec::new();
    while let Some(piece) = body.next().await {
        whole.extend_from_slice(&piece.map_err(|error| error.to_string())?);
    }
    Ok((status, whole))
}

fn stream_request(upstream: &str, hold_back: Duration) -> Result<UpstreamRequest, String> {
    let body = r#"{"model":"conformance","stream":true,"max_tokens":60,"ignore_eos":true,"messages":[{"role":"user","content":"count"}]}"#;
    let request = request(Method::POST, &format!("{upstream}/v1/chat/completions"), body)?;
    Ok(UpstreamRequest { hold_back, ..request })
}

fn request(method: Method, url: &str, body: &'static str) -> Result<UpstreamRequest, String> {
    let builder = Request::builder()
        .method(method)
        .uri(url)
        .header("content-type", "application/json");
    let request = builder
        .body(Bytes::from_static(body.as_bytes()))
        .map_err(|error| error.to_string())?;
    Ok(UpstreamRequest {
        request,
        binding: None,
        secret: None,
        connect_timeout: Duration::from_secs(2),
        hold_back: Duration::ZERO,
    })
}

/// A cell that nobody else uses.
fn cell<P: Platform>(platform: &P) -> CellAddress {
    let name = format!("conformance-{:x}", platform.random());
    CellAddress {
        id: CellId::Cluster(name.as_str().into()),
        near: Coordinates {
            latitude: 50.1,
            longitude: 8.7,
        },
    }
}

async fn call<P: Platform, C: CellCall>(platform: &P, cell: &CellAddress, call: C) -> Result<C::Reply, String> {
    platform.call(cell, call).await.map_err(|error| error.to_string())
}

async fn acquire<P: Platform>(platform: &P, cell: &CellAddress) -> Result<Option<PermitId>, String> {
    let permit = PermitId(platform.random());
    let acquire = Acquire {
        headroom_percent: 0,
        permit,
        kv_tokens: Tokens(1),
        spare: 0,
        policy: ClusterPolicy {
            replicas: vec!["http://replica".into()],
            capacity: Capacity {
                requests: 5,
                kv_tokens: Tokens(100),
            },
            prefill: PrefillPolicy::default(),
            health: HealthPolicy::default(),
        }
        .into(),
        tried: vec![],
        affinity: None,
        prompt: PromptOutline::default(),
        known_hot: HotDigest::default(),
        ttl: Duration::from_secs(60),
        queueing: None,
        explains: false,
        is_new: false,
    };
    match call(platform, cell, acquire).await? {
        Ok(Acquired::Granted(_)) => Ok(Some(permit)),
        Ok(Acquired::Refused(_) | Acquired::Queued(_)) => Ok(None),
        Err(PolicyUnknown) => Err("a policy that was told is not known".to_owned()),
    }
}

async fn release<P: Platform>(platform: &P, cell: &CellAddress, permit: PermitId) -> Result<(), String> {
    let breaker = BreakerPolicy {
        failures: 1,
        open: Duration::from_secs(1),
    };
    let releases = vec![Release::of_all(permit, None, Outcome::Served)];
    call(
        platform,
        cell,
        Releases {
            releases,
            prefilled: Vec::new(),
            forgotten: Vec::new(),
            served: Default::default(),
            breaker,
        },
    )
    .await
}

async fn status<P: Platform>(platform: &P, cell: &CellAddress) -> Result<Vec<ReplicaStatus>, String> {
    call(platform, cell, ReadReplicas).await
}

fn ensure(holds: bool, otherwise: impl FnOnce() -> String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(otherwise()) }
}

/// As long as the core lets pieces be held back where nobody says otherwise.
const HOLD_BACK: Duration = Duration::from_millis(234);
