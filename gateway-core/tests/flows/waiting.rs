//! Requests that wait for room at a cluster.

use std::cell::RefCell;
use std::future::Future;
use std::rc::Rc;
use std::time::Duration;

use futures::StreamExt;
use futures::future::{join_all, select};
use http::{Request, Response};
use tidegate_core::Body;
use tidegate_core::config::KeyDigest;
use tidegate_core::platform::Platform;

use crate::world::{Piece, Reaction, World};
use crate::{CHAT, done, event, header, sse};

/// One cluster of one replica that has room for one request, and tenants of which one has keys of all priorities.
fn config(queue: &str) -> String {
    let keys = ["one", "two", "low", "high"].map(KeyDigest::of);
    let [one, two, low, high] = keys;
    format!(
        r#"
[[regions]]
name = "fra"
latitude = 50.1
longitude = 8.7
jurisdiction = "eu"

[[clusters]]
name = "only"
region = "fra"
engine = "vllm"
replicas = ["http://only"]
kv_cache_tokens = 1000000
prefill_tokens_per_s = 10000
max_running = 1

[[models]]
name = "big"
context_length = 200000
serving = [{{ cluster = "only" }}]

[[tenants]]
name = "one"
keys = ["{one}", {{ digest = "{low}", priority = "low" }}, {{ digest = "{high}", priority = "high" }}]

[[tenants]]
name = "two"
keys = ["{two}"]

[admin]
keys = ["{}"]

[breaker]
failures = 1

[queue]
{queue}
"#,
        KeyDigest::of("admin-key"),
    )
}

/// An engine that takes so long for each answer.
fn taking(millis: u64) -> impl Fn(&Request<bytes::Bytes>) -> Reaction {
    move |_| sse(vec![Piece::Wait(Duration::from_millis(millis)), event("a"), done()])
}

fn body(words: usize) -> String {
    let text = "word ".repeat(words);
    format!(r#"{{"model":"big","stream":true,"max_tokens":8,"messages":[{{"role":"user","content":"{text}"}}]}}"#)
}

/// A request, read to the end of its answer: its status, and when it was over.
fn asking(world: &World, key: &str, body: &str) -> impl Future<Output = (u16, Duration)> + use<> {
    let request = Request::post(CHAT).header("authorization", format!("Bearer {key}"));
    let serving = world.serving(request, body);
    let platform = world.platform.clone();
    async move {
        let begun = platform.now();
        let response = serving.await;
        let status = response.status().as_u16();
        let whole = read(response).await;
        let status = if whole.contains("\"error\"") && status == 200 {
            599
        } else {
            status
        };
        (status, platform.now().since(begun))
    }
}

async fn read(response: Response<Body>) -> String {
    match response.into_body() {
        Body::Full(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
        Body::Stream(mut stream) => {
            let mut whole = String::new();
            while let Some(piece) = stream.next().await {
                whole.push_str(&String::from_utf8_lossy(&piece.expect("it does not break off")));
            }
            whole
        }
    }
}

fn figure(world: &mut World, line: &str) -> f64 {
    let metrics = world.metrics();
    let found = metrics.lines().find_map(|found| found.strip_prefix(line));
    found.map_or(0.0, |value| value.trim().parse().unwrap())
}

fn waiting(world: &mut World) -> f64 {
    figure(world, "tidegate_queue_requests{cluster=\"only\"}")
}

#[test]
fn a_burst_beyond_what_there_is_room_for_is_served_in_turn() {
    let mut world = World::new(&config("wait_ms = 60_000"), taking(1_000));
    let order = Rc::<RefCell<Vec<_>>>::default();
    // One tenant comes with nine requests at once, the other with three after them.
    let all: Vec<_> = (0..12)
        .map(|number| {
            let key = if number < 9 { "one" } else { "two" };
            let asking = asking(&world, key, &body(10 + number));
            let (platform, order) = (world.platform.clone(), Rc::clone(&order));
            async move {
                platform.sleep(Duration::from_millis(number as u64)).await;
                let (status, after) = asking.await;
                order.borrow_mut().push(key);
                (status, after)
            }
        })
        .collect();
    let begun = world.now();
    let answers = world.run(join_all(all));
    assert!(answers.iter().all(|(status, _)| *status == 200), "{answers:?}");
    let took = world.now().since(begun);
    assert!(took < Duration::from_millis(12_000 + 12 * 250), "{took:?}");
    assert_eq!(
        order.borrow()[1..7].iter().filter(|key| **key == "two").count(),
        3,
        "{order:?}"
    );
    assert_eq!((waiting(&mut world), world.in_flight("only")), (0.0, 0));
    let served = figure(
        &mut world,
        "tidegate_queue_wait_seconds_count{cluster=\"only\",ended=\"served\"}",
    );
    assert_eq!(served, 11.0);
}

#[test]
fn high_priority_goes_first_and_low_last() {
    let mut world = World::new(&config("wait_ms = 60_000"), taking(1_000));
    let after = |world: &mut World| {
        let keys = ["one", "low", "one", "high"];
        let all = keys.iter().enumerate();
        let all: Vec<_> = all
            .map(|(number, key)| asking(world, key, &body(10 + number)))
            .collect();
        world.run(join_all(all))
    };
    let answers = after(&mut world);
    let seconds: Vec<_> = answers
        .iter()
        .map(|(status, after)| (*status, after.as_secs()))
        .collect();
    assert_eq!(seconds, [(200, 1), (200, 4), (200, 3), (200, 2)]);
}

#[test]
fn who_waits_too_long_is_told_when_to_come_again() {
    let mut world = World::new(&config("wait_ms = 2_000"), taking(30_000));
    let held = world.post_as("one", CHAT, &body(1));
    let begun = world.now();
    let before = world.cluster_commands();
    let refused = world.post_as("two", CHAT, &body(2));
    assert_eq!(refused.status(), 503);
    let took = world.now().since(begun);
    assert!((2_000..2_020).contains(&took.as_millis()), "{took:?}");
    assert_eq!(header(&refused, "x-tidegate-dropped"), "deadline");
    assert!(header(&refused, "retry-after-ms").parse::<u64>().unwrap() > 0);
    let asked = world.cluster_commands() - before;
    assert!(asked <= 25, "{asked} commands in 2 s are no busy loop");
    drop(held);
}

#[test]
fn a_client_that_leaves_waits_no_longer() {
    let mut world = World::new(&config("wait_ms = 60_000"), taking(5_000));
    let held = world.post_as("one", CHAT, &body(1));
    let asking = asking(&world, "two", &body(2));
    let given_up = world.platform.sleep(Duration::from_secs(3));
    world.run(async move { drop(select(Box::pin(asking), Box::pin(given_up)).await) });
    assert_eq!(waiting(&mut world), 0.0);
    let left = figure(
        &mut world,
        "tidegate_queue_wait_seconds_count{cluster=\"only\",ended=\"left\"}",
    );
    assert_eq!(left, 1.0);
    drop(held);
    assert_eq!(world.in_flight("only"), 0);
}

#[test]
fn a_full_queue_sends_away_at_once() {
    let mut world = World::new(&config("wait_ms = 60_000\nrequests = 2"), taking(1_000));
    let all: Vec<_> = (0..12)
        .map(|number| asking(&world, "high", &body(1 + number)))
        .collect();
    let answers = world.run(join_all(all));
    let served = answers.iter().filter(|(status, _)| *status == 200).count();
    assert_eq!(served, 3, "{answers:?}");
    let refused = answers.iter().filter(|(status, _)| *status != 200);
    assert!(
        refused.clone().all(|(status, after)| *status == 503 && after.is_zero()),
        "{answers:?}"
    );
    let full = figure(
        &mut world,
        "tidegate_attempts_failed_total{cluster=\"only\",error=\"no_room\"}",
    );
    assert_eq!(full, 9.0);
}

#[test]
fn replicas_that_were_out_are_waited_for() {
    let mut world = World::new(&config("wait_ms = 20_000"), {
        let failed = std::cell::Cell::new(0);
        move |request| {
            failed.set(failed.get() + 1);
            match failed.get() {
                1 => Reaction::Refuse,
                _ => taking(100)(request),
            }
        }
    });
    assert_eq!(world.post_as("one", CHAT, &body(1)).status(), 502);
    let all: Vec<_> = (0..5).map(|number| asking(&world, "one", &body(2 + number))).collect();
    let answers = world.run(join_all(all));
    for (status, after) in &answers {
        assert!(*status == 200 && (1..3).contains(&after.as_secs()), "{answers:?}");
    }
}

/// The same with two replicas, of which one is gone.
#[test]
fn who_has_met_a_replica_that_is_gone_waits_for_the_other() {
    let config = config("wait_ms = 60_000").replace("\"http://only\"", "\"http://gone\", \"http://only\"");
    let mut world = World::new(&config, |request| match request.uri().host() {
        Some("gone") => Reaction::Refuse,
        _ => taking(1_000)(request),
    });
    let all: Vec<_> = (0..12)
        .map(|number| {
            let asking = asking(&world, "one", &body(2 + number));
            let platform = world.platform.clone();
            async move {
                platform.sleep(Duration::from_millis(number as u64 * 700)).await;
                asking.await.0
            }
        })
        .collect();
    let answers = world.run(join_all(all));
    assert_eq!(answers, [200; 12], "none is lost that the other can serve in time");
    assert_eq!((waiting(&mut world), world.in_flight("only")), (0.0, 0));
}

#[test]
fn who_waits_at_one_cluster_goes_to_another_that_has_room_sooner() {
    let second = r#"
[[clusters]]
name = "other"
region = "fra"
engine = "vllm"
replicas = ["http://other"]
kv_cache_tokens = 1000000
prefill_tokens_per_s = 10000
max_running = 1

[[models]]"#;
    let config = config("wait_ms = 60_000").replacen("[[models]]", second, 1);
    let config = config.replace(
        "{ cluster = \"only\" }",
        "{ cluster = \"only\" }, { cluster = \"other\" }",
    );
    for busy in ["only", "other"] {
        let mut world = World::new(&config, move |request| {
            let is_first = String::from_utf8_lossy(request.body()).matches("word").count() < 10;
            let takes = if request.uri().host() == Some(busy) {
                40_000
            } else {
                3_000
            };
            taking(if is_first { takes } else { 100 })(request)
        });
        let all: Vec<_> = [1, 2, 20].map(|words| asking(&world, "one", &body(words))).into();
        let answers = world.run(join_all(all));
        assert!(answers.iter().all(|(status, _)| *status == 200), "{answers:?}");
        let seconds = answers[2].1.as_secs();
        assert!((3..5).contains(&seconds), "{busy} is busy for 40 s: {answers:?}");
        assert_eq!(
            (waiting(&mut world), world.in_flight("only"), world.in_flight("other")),
            (0.0, 0, 0)
        );
    }
}

/// What an engine answers from that moment on, of virtual time; before it nobody is there, or it says that it loads.
fn coming_after(config: &str, seconds: u64, before: Reaction) -> World {
    let is_there = Rc::<std::cell::Cell<bool>>::default();
    let there = Rc::clone(&is_there);
    let world = World::new(config, move |request| {
        if is_there.get() {
            taking(100)(request)
        } else {
            before.clone()
        }
    });
    let comes = world.platform.sleep(Duration::from_secs(seconds));
    world.platform.after_response(async move {
        comes.await;
        there.set(true);
    });
    world
}

/// Requests that come while a cluster's one engine is away for 90 s, some with a stream and some without: their statuses.
fn held(world: &mut World) -> Vec<u16> {
    let all: Vec<_> = (0..30)
        .map(|number| {
            let body = if number % 3 == 0 {
                body(2 + number).replace("\"stream\":true,", "")
            } else {
                body(2 + number)
            };
            let asking = asking(world, "one", &body);
            let platform = world.platform.clone();
            async move {
                platform.sleep(Duration::from_millis(number as u64 * 2_900)).await;
                asking.await.0
            }
        })
        .collect();
    world.run(join_all(all))
}

#[test]
fn while_all_engines_are_gone_for_90_s_requests_are_held_and_none_is_lost() {
    let config = config("wait_ms = 5_000\nhold_ms = 200_000")
        + "\n[timeouts]\ndeadline_ms = 200_000\n[streams]\nearly_commit_ms = 1_000\nheartbeat_ms = 2_000\n";
    let loading = r#"{"error":{"message":"Loading model","type":"unavailable_error","code":503}}"#;
    let loading = Reaction::Answer(503, "application/json", vec![Piece::Text(loading.to_owned())]);
    for before in [Reaction::Refuse, loading] {
        let mut world = coming_after(&config, 90, before);
        let demand = Rc::<RefCell<String>>::default();
        let (told, later) = (Rc::clone(&demand), world.platform.sleep(Duration::from_secs(60)));
        let scraping = Request::get("/metrics").header("authorization", "Bearer admin-key");
        let scraping = world.serving(scraping, "");
        world.platform.after_response(async move {
            later.await;
            let metrics = read(scraping.await).await;
            *told.borrow_mut() = metrics;
        });
        assert_eq!(held(&mut world), [200; 30]);
        let metrics = demand.borrow();
        let line = metrics
            .lines()
            .find(|line| line.starts_with("tidegate_queue_requests{"));
        let waiting: f64 = line.and_then(|line| line.rsplit(' ').next()?.parse().ok()).unwrap();
        assert!(waiting > 10.0, "they are demand: {waiting}");
        let sent = world.sent();
        let asked = sent.iter().filter(|(url, _)| url.ends_with(CHAT)).count();
        assert!(
            asked < 30 + 90,
            "{asked} requests to an engine that is not there are too many"
        );
        assert_eq!((self::waiting(&mut world), world.in_flight("only")), (0.0, 0));
    }
}

#[test]
fn who_is_held_to_the_deadline_is_told_so_and_nobody_is_where_that_is_off() {
    let deadline = "\n[timeouts]\ndeadline_ms = 30_000\nfirst_byte_ms = 20_000\n";
    for (queue, shortest) in [
        ("wait_ms = 5_000\nhold_ms = 600_000", 25),
        ("wait_ms = 5_000\nhold_ms = 10_000", 8),
        ("wait_ms = 5_000", 0),
    ] {
        let mut world = coming_after(&(config(queue) + deadline), 300, Reaction::Refuse);
        let asking = asking(&world, "one", &body(2).replace("\"stream\":true,", ""));
        let (status, after) = world.run(asking);
        assert!((502..=504).contains(&status), "{status}");
        // Who would have less time than until the next look is told so then; who is held may have waited before.
        assert!((shortest..=shortest + 5).contains(&after.as_secs()), "{after:?}");
    }
}

#[test]
fn a_stream_that_waits_is_kept_alive() {
    let config = config("wait_ms = 60_000") + "\n[streams]\nearly_commit_ms = 1_000\nheartbeat_ms = 2_000\n";
    let mut world = World::new(&config, taking(9_000));
    let held = asking(&world, "one", &body(1));
    let waits = Request::post(CHAT).header("authorization", "Bearer two");
    let waits = world.serving(waits, &body(2));
    let whole = world.run(async move { futures::future::join(held, async { read(waits.await).await }).await.1 });
    assert!(whole.matches(": keepalive").count() >= 3, "{whole}");
    assert!(whole.contains("[DONE]") && !whole.contains("error"), "{whole}");
}

/// 150% of what there is room for, half of it from each tenant, of which one has prompts a hundred times as long.
#[test]
fn tenants_share_alike_under_overload_whatever_their_prompts() {
    let words = |request: &Request<bytes::Bytes>| request.body().len() / 5;
    let served = Rc::<RefCell<[u64; 2]>>::default();
    let count = Rc::clone(&served);
    let mut world = World::new(&config("wait_ms = 10_000"), move |request| {
        let words = words(request) as u64;
        count.borrow_mut()[usize::from(words > 1_000)] += words;
        taking(words / 10)(request)
    });
    let mut all = Vec::new();
    for (key, size, every_ms) in [("one", 300, 40), ("two", 30_000, 4_000)] {
        let text = body(size);
        for number in 0..(240_000 / every_ms) {
            // Nothing of it is in memory yet.
            let text = text.replacen("word", &format!("{key}-{number}"), 1);
            let asking = asking(&world, key, &text);
            let platform = world.platform.clone();
            all.push(async move {
                platform.sleep(Duration::from_millis(number * every_ms)).await;
                asking.await
            });
        }
    }
    world.run(join_all(all));
    let [small, large] = *served.borrow();
    let share = small as f64 / (small + large) as f64;
    println!("shares of prompt tokens served: {share:.3} of {} tokens", small + large);
    assert!((0.45..=0.55).contains(&share), "{share}");
    // Cells here hold no calls: after each answer of 30 ms the place is free until whoever has its turn asks again.
    assert!(
        small + large > 1_700_000,
        "most of what there is room for is used: {small} + {large}"
    );
}
