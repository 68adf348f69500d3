//! Requests under way that share one answer across locations: gateways that have nothing in common but cells and a store
//! which shows late what is written.

use std::future::Future;
use std::time::Duration;

use futures::future::{LocalBoxFuture, join};
use futures::{FutureExt, StreamExt};
use http::{Request, Response};
use serde_json::json;
use tidegate_core::Body;
use tidegate_core::platform::Platform;
use tidegate_virtual::{CellKind, Edge, Link};

use crate::cache::{USE, answer, caching, chunk, purge, request, status};
use crate::world::{Piece, Reaction, World};
use crate::{CHAT, done, header, sse, streaming};

/// Two gateways, of which the second is at another location.
struct Pair {
    world: World,
    other: Edge,
}

/// What a client has: what the cache had to do with it, and all of the answer.
type Had = (String, String);

impl Pair {
    /// What is written to the store is seen elsewhere up to an hour later.
    fn new(settings: &str, reaction: impl Fn() -> Reaction + 'static) -> Self {
        let config = caching(&format!("share_across_locations = true\n{settings}"));
        let mut world = World::new(&config, move |_| reaction());
        world.delay_sight_of_store(Duration::from_secs(3_600));
        let other = world.another(&config);
        let mut pair = Self { world, other };
        // Both have read the configuration.
        for body in [r#"{"model":"big","messages":[]}"#, "{}"] {
            drop(pair.world.post(CHAT, body));
            let asked = pair
                .other
                .serve(Request::post(CHAT).header("authorization", "Bearer key"), body);
            drop(pair.world.run(asked));
        }
        pair
    }

    /// A request to the first, and one to the second.
    fn asking(&self, stream: bool) -> [LocalBoxFuture<'static, Response<Body>>; 2] {
        self.asking_more(stream, "")
    }

    /// The same of requests that say more.
    fn asking_more(&self, stream: bool, more: &str) -> [LocalBoxFuture<'static, Response<Body>>; 2] {
        let body = request(stream, more);
        let wished = Request::post(CHAT).header("authorization", "Bearer key");
        let elsewhere = self.other.serve(wished.header(USE[0].0, USE[0].1), &body);
        [
            self.world.posting(CHAT, &USE, &body).boxed_local(),
            elsewhere.boxed_local(),
        ]
    }

    /// What a client has that reads all of it.
    fn had(&mut self, asking: LocalBoxFuture<'static, Response<Body>>) -> Had {
        self.world.run(read(asking))
    }

    fn joins(&mut self, outcome: &str) -> bool {
        let line = format!("tidegate_cache_joins_total{{outcome=\"{outcome}\"}} ");
        self.world.metrics().contains(&line)
    }
}

async fn read(asking: impl Future<Output = Response<Body>>) -> Had {
    let response = asking.await;
    let status = status(&response).to_owned();
    let pieces = match response.into_body() {
        Body::Full(body) => vec![Ok(body)],
        Body::Stream(stream) => stream.collect().await,
    };
    let pieces: Result<Vec<_>, _> = pieces.into_iter().collect();
    let pieces = pieces.expect("it does not break off");
    (status, String::from_utf8(pieces.concat()).expect("text"))
}

#[test]
fn two_locations_ask_once() {
    for stream in [false, true] {
        let mut pair = Pair::new("", || sse(answer()));
        let [here, there] = pair.asking(stream);
        let platform = pair.world.platform.clone();
        let later = async move {
            platform.sleep(Duration::from_millis(10)).await;
            read(there).await
        };
        let (first, second) = pair.world.run(join(read(here), later));
        assert_eq!((first.0.as_str(), second.0.as_str()), ("miss", "shared"));
        assert!(second.1.contains('é') && second.1.contains("tool_calls"), "{second:?}");
        assert_eq!((pair.world.sent().len(), pair.world.in_flight("near")), (1, 0));
        assert!(pair.joins("leads"));
    }
}

#[test]
fn within_a_location_one_request_alone_asks_the_cell() {
    let mut pair = Pair::new("", || sse(answer()));
    let [here, there] = pair.asking(false);
    let [also_here, also_there] = pair.asking(true);
    let all = join(join(read(here), read(also_here)), join(read(there), read(also_there)));
    let ((a, b), (c, d)) = pair.world.run(all);
    let mut statuses = [a.0, b.0, c.0, d.0];
    statuses.sort();
    assert_eq!(statuses, ["miss", "shared", "shared", "shared"]);
    assert_eq!(pair.world.sent().len(), 1);
    // The leader joins and ends; the follower looks at 20, 60, 140, 300, 620 and 1,120 ms.
    assert_eq!(pair.world.commands_of(CellKind::Flight), 2 + 7);
}

#[test]
fn an_answer_stays_until_the_store_shows_it_unless_it_is_purged() {
    for (after, query, expected) in [
        (88, None, "shared"),
        (91, None, "miss"),
        (10, Some("tenant=acme"), "miss"),
        (10, Some("model=big"), "miss"),
    ] {
        let mut pair = Pair::new("", || sse(answer()));
        let [here, there] = pair.asking(false);
        assert_eq!(pair.had(here).0, "miss");
        pair.world.pass(Duration::from_secs(2));
        if let Some(query) = query {
            assert_eq!(purge(&mut pair.world, query).0, 200);
            pair.world.delay_sight_of_store(Duration::ZERO);
        }
        pair.world.pass(Duration::from_secs(after - 2));
        assert_eq!(pair.had(there).0, expected, "{after} {query:?}");
    }
}

#[test]
fn a_purge_counts_for_an_answer_that_was_under_way() {
    let mut pair = Pair::new("", || {
        let mut slow = vec![Piece::Wait(Duration::from_secs(4))];
        slow.extend(answer());
        sse(slow)
    });
    let [here, there] = pair.asking(false);
    let mut here = here;
    pair.world.begin(&mut here);
    pair.world.pass(Duration::from_millis(500));
    assert_eq!(purge(&mut pair.world, "tenant=acme").0, 200);
    pair.world.delay_sight_of_store(Duration::ZERO);
    assert_eq!(pair.had(here).0, "miss");
    assert_eq!(pair.had(there).0, "miss");
    assert_eq!(pair.world.sent().len(), 2);
}

#[test]
fn an_answer_that_is_purged_by_its_key_is_forgotten_at_once() {
    let mut pair = Pair::new("", || sse(answer()));
    let explained = [
        USE[0],
        ("x-tidegate-explain", "1"),
        ("x-tidegate-admin-key", "admin-key"),
    ];
    let asked = pair.world.posting(CHAT, &explained, &request(false, ""));
    let response = pair.world.run(asked);
    let record: serde_json::Value = serde_json::from_str(header(&response, "x-tidegate-explain")).expect("a record");
    let steps = record["steps"].as_array().expect("steps");
    let key = steps.iter().find_map(|step| step["key"].as_str()).expect("a key");
    assert_eq!(purge(&mut pair.world, &format!("key={key}")).0, 200);
    let [_, there] = pair.asking(false);
    assert_eq!(pair.had(there).0, "miss");
}

#[test]
fn another_location_takes_over_when_the_leaders_client_leaves() {
    let mut pair = Pair::new("", || sse(answer()));
    let [here, mut there] = pair.asking(true);
    let mut leader = streaming(pair.world.run(here));
    drop(pair.world.next(&mut leader));
    pair.world.begin(&mut there);
    drop(leader);
    let left = pair.world.now();
    let (status, text) = pair.had(there);
    assert!(status == "miss" && text.contains("aé"), "{status} {text}");
    let took = pair.world.now().since(left);
    assert!(took < Duration::from_millis(1_600), "{took:?}");
    assert_eq!((pair.world.sent().len(), pair.world.in_flight("near")), (2, 0));
}

#[test]
fn another_location_takes_over_when_the_leader_is_not_heard_of() {
    let mut pair = Pair::new("share_wait_ms = 600000", || sse(answer()));
    let [mut here, there] = pair.asking(false);
    // It stands still from here on.
    pair.world.begin(&mut here);
    let begun = pair.world.now();
    assert_eq!(pair.had(there).0, "miss");
    let took = pair.world.now().since(begun).as_millis();
    assert!(
        (30_900..31_600).contains(&took),
        "as long as a permit, and the answer: {took}"
    );
    assert_eq!(pair.world.sent().len(), 2);
}

#[test]
fn a_leader_whose_answer_takes_long_leads_on() {
    let slow = || {
        let mut pieces = vec![chunk(&json!({"content": "a"}), &json!(null))];
        for _ in 0..10 {
            pieces.push(Piece::Wait(Duration::from_secs(10)));
            pieces.push(chunk(&json!({"content": "b"}), &json!(null)));
        }
        pieces.extend(answer());
        sse(pieces)
    };
    for stream in [false, true] {
        let mut pair = Pair::new("share_wait_ms = 600000", slow);
        let [here, _] = pair.asking(stream);
        let [_, there] = pair.asking(false);
        let (first, second) = pair.world.run(join(read(here), read(there)));
        let mut statuses = [first.0, second.0];
        statuses.sort();
        assert_eq!(
            (statuses, pair.world.sent().len()),
            (["miss".into(), "shared".into()], 1)
        );
    }
}

#[test]
fn a_cell_that_is_silent_costs_the_wait_once_a_second() {
    let mut pair = Pair::new("wait_ms = 70", || sse(answer()));
    let hanging = Link {
        lost: 1.0,
        ..Link::IDEAL
    };
    pair.world.set_link(CellKind::Flight, hanging);
    // An answer takes a second; each but the first comes 100 ms after one has begun.
    let begin = |number: u64| {
        let asked = pair
            .world
            .posting(CHAT, &USE, &request(false, &format!(r#","stop":["{number}"]"#)));
        let platform = pair.world.platform.clone();
        async move {
            platform.sleep(Duration::from_millis(100 * number)).await;
            let begun = platform.now();
            let (status, _) = read(asked).await;
            (status, platform.now().since(begun).as_millis())
        }
    };
    let (first, second) = (begin(0), begin(1));
    let both = pair.world.run(join(first, second));
    assert_eq!(both, (("miss".into(), 1_070), ("miss".into(), 1_000)));
    assert!(pair.joins("silent"));
    pair.world.set_link(CellKind::Flight, Link::IDEAL);
    let [here, there] = pair.asking(false);
    let (one, other) = pair.world.run(join(read(here), read(there)));
    assert_eq!(
        (one.0.as_str(), other.0.as_str()),
        ("miss", "shared"),
        "it is tried again"
    );
}

#[test]
fn what_gets_lost_or_comes_twice_on_the_way_leaves_nobody_waiting() {
    let mut pair = Pair::new("wait_ms = 70\nshare_wait_ms = 5000", || sse(answer()));
    let lossy = Link {
        delay: Duration::from_millis(5)..Duration::from_millis(30),
        lost: 0.05,
        doubled: 0.2,
        doubled_after: Duration::ZERO..Duration::from_millis(500),
        ..Link::IDEAL
    };
    pair.world.set_link(CellKind::Flight, lossy);
    for round in 0..40 {
        let [here, there] = pair.asking_more(round % 2 == 0, &format!(r#","stop":["{round}"]"#));
        let begun = pair.world.now();
        let (one, other) = pair.world.run(join(read(here), read(there)));
        let took = pair.world.now().since(begun);
        assert!(took < Duration::from_millis(6_200), "round {round}: {took:?}");
        assert!(
            one.1.contains("tool_calls") && other.1.contains("tool_calls"),
            "{one:?} {other:?}"
        );
    }
    let asked = pair.world.sent().len();
    assert!((41..80).contains(&asked), "some are shared, and some are not: {asked}");
}

#[test]
fn an_answer_that_is_too_large_for_the_cell_is_in_the_store_or_asked_for() {
    // Text that does not get smaller.
    let mut state = 1_u64;
    let mut letter = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        char::from(b'0' + u8::try_from(state >> 58).expect("six bits"))
    };
    let text: String = (0..120_000)
        .map(|_| letter())
        .filter(|letter| *letter != '\\')
        .collect();
    for (shows_after, expected) in [(0, "shared"), (3_600, "miss")] {
        let text = text.clone();
        let large = move || {
            let mut pieces = vec![Piece::Wait(Duration::from_secs(1))];
            pieces.push(chunk(&json!({"content": text}), &json!(null)));
            pieces.extend([chunk(&json!({}), &json!("stop")), done()]);
            sse(pieces)
        };
        let mut pair = Pair::new("", large);
        pair.world.delay_sight_of_store(Duration::from_secs(shows_after));
        let [here, there] = pair.asking(false);
        let (first, second) = pair.world.run(join(read(here), read(there)));
        assert_eq!((first.0.as_str(), second.0.as_str()), ("miss", expected));
    }
}

#[test]
fn an_answer_that_is_none_for_others_has_each_ask_for_itself() {
    let cut = || {
        let mut pieces = vec![
            Piece::Wait(Duration::from_secs(1)),
            chunk(&json!({"content": "a"}), &json!(null)),
        ];
        pieces.extend([chunk(&json!({}), &json!("content_filter")), done()]);
        sse(pieces)
    };
    let mut pair = Pair::new("", cut);
    let [here, there] = pair.asking(false);
    let (first, second) = pair.world.run(join(read(here), read(there)));
    assert_eq!((first.0.as_str(), second.0.as_str()), ("miss", "miss"));
    assert_eq!(pair.world.sent().len(), 2);
}

#[test]
fn without_the_setting_no_cell_is_asked() {
    let mut world = World::new(&caching(""), |_| sse(answer()));
    let asked = world.posting(CHAT, &USE, &request(false, ""));
    assert_eq!(status(&world.run(asked)), "miss");
    assert_eq!(world.commands_of(CellKind::Flight), 0);
}
