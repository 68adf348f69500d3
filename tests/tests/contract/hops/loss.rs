//! A region hop that is gone, silent, or no gateway at all: its clusters count as closed, and all else goes on.

use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tidegate_tests::gateway::FRANKFURT;
use tidegate_tests::http::Response;
use tidegate_tests::relay::Relay;
use tidegate_tests::scripted::{Script, Scripted};
use tidegate_tests::sse::Stream;
use tidegate_tests::world::World;

use super::{CONFIG, SECRETS, ask, ask_as, served_by};
use crate::support::{assert_error_object, chat, chat_stream, chunk, eventually, post_chat, with};

/// A world like the others, whose region hop is lost again and again.
static LOSS: LazyLock<World> = LazyLock::new(|| World::start_or_exit("hops-loss", CONFIG, FRANKFURT, &SECRETS));

#[test]
fn a_region_that_is_gone_is_replaced_and_comes_back() {
    let (world, way) = whole();
    way.break_off();
    for body in [
        chat("tide-global", "while it is gone"),
        chat_stream("tide-global", "while it is gone"),
    ] {
        assert_eq!(served_by(&ask(world, &body)), "us");
    }
    let tiered = ask(world, &chat("tide-tiered", "while it is gone"));
    assert_eq!(
        (served_by(&tiered), tiered.header("x-tidegate-tier")),
        ("us", Some("1"))
    );
    let nowhere = ask(world, &chat("tide-eu", "while it is gone"));
    assert!(is_unavailable(&nowhere), "{}", nowhere.text());
    assert_error_object(&nowhere.json()["error"]);
    way.mend();
    eventually("it is back", || {
        served_by(&ask(world, &chat("tide-global", "it is back"))) == "eu"
    });
}

#[test]
fn a_tenant_that_is_kept_to_a_jurisdiction_is_not_served_elsewhere() {
    let (world, way) = whole();
    way.break_off();
    for body in [
        chat("tide-global", "kept to the eu"),
        chat_stream("tide-global", "kept to the eu"),
    ] {
        let response = ask_as(world, "eu-only", &body);
        assert!(is_unavailable(&response), "{}", response.text());
    }
    assert!(
        world.engine("us-1").requests("kept to the eu").is_empty(),
        "data left the jurisdiction"
    );
    way.mend();
    eventually("it is served at home", || {
        ask_as(world, "eu-only", &chat("tide-global", "kept to the eu")).status == 200
    });
}

#[test]
fn whatever_else_answers_is_no_region() {
    let (world, way) = whole();
    let region = world.region("fra").address();
    for (name, script) in impostors() {
        let marker = format!("impostor {name}");
        let impostor = Scripted::start();
        impostor.on(&marker, script);
        way.lead_to(&impostor.url().replace("http://", ""));
        for body in [chat("tide-global", &marker), chat_stream("tide-global", &marker)] {
            assert_eq!(served_by(&ask(world, &body)), "us", "{name}");
        }
        assert!(!impostor.seen(&marker).is_empty(), "{name} was not asked");
        way.lead_to(region);
        eventually("it is back", || {
            served_by(&ask(world, &chat("tide-global", "it is back"))) == "eu"
        });
    }
}

/// A region keeps the limits of each attempt by itself, so that the edge waits as long as the request may take: but not with
/// one request after the other.
#[test]
fn a_region_that_says_nothing_is_given_up_and_left_alone() {
    let (world, way) = whole();
    let silent = Scripted::start();
    silent.on("says nothing", Script::default().wait(12_000));
    way.lead_to(&silent.url().replace("http://", ""));
    let ask_and_time = || {
        let asked = Instant::now();
        let response = ask(world, &chat("tide-global", "says nothing"));
        assert!([200, 504].contains(&response.status), "{}", response.text());
        (response.status, asked.elapsed())
    };
    let is_left_alone = || {
        thread::scope(|scope| {
            let asking: Vec<_> = (0..BREAKER_FAILURES).map(|_| scope.spawn(ask_and_time)).collect();
            for asked in asking {
                let (_, took) = asked.join().expect("an answer");
                assert!(took < Duration::from_millis(10_000), "{took:?}");
            }
        });
        let (status, took) = ask_and_time();
        status == 200 && took < Duration::from_millis(1_000)
    };
    // On Spin an instance that begins meanwhile has to find out by itself.
    assert!((0..3).any(|_| is_left_alone()), "it is asked again and again");
    way.lead_to(world.region("fra").address());
    eventually("it is back", || {
        served_by(&ask(world, &chat("tide-global", "it is back"))) == "eu"
    });
}

#[test]
fn a_stream_that_breaks_between_the_hops_ends_with_an_error_and_frees_the_replica() {
    let (world, way) = whole();
    let scripted = world.scripted("scripted");
    // The region hears of it when it writes: the engine goes on for long enough that it does so more than once.
    let more = |script: Script, _| script.wait(1_500).then(chunk("two"));
    scripted.on(
        "broken between",
        (0..20).fold(Script::stream().then(chunk("one")), more),
    );
    let body = chat_stream("tide-scripted", "broken between").to_string();
    // An instance of Spin may still leave the region alone for what a test before has done to it.
    let mut opened = None;
    eventually("the region takes it", || {
        let exchange = post_chat(body.clone()).open(world.gateway.address());
        let is_taken = exchange.status == 200;
        opened = Some(exchange);
        is_taken
    });
    let mut exchange = opened.expect("a stream");
    exchange.read_until("one");
    way.break_off();
    let response = exchange.finish();
    let stream = Stream::parse(response.text());
    assert!(stream.error().is_some(), "{}", response.text());
    assert_eq!(stream.text(), "one");
    eventually("the engine is left", || {
        scripted.seen("broken between")[0].left_at.is_some()
    });
    way.mend();
}

#[test]
fn requests_that_run_elsewhere_are_not_disturbed() {
    let (world, way) = whole();
    way.break_off();
    let body = |number: usize| {
        with(
            chat("tide-us", &format!("elsewhere {number}")),
            json!({"max_tokens": 4}),
        )
    };
    let statuses: Vec<u16> = (0..8).map(|number| ask(world, &body(number)).status).collect();
    assert_eq!(statuses, [200; 8]);
    way.mend();
}

/// Whether that says that nothing can answer now, and that it may be tried again.
fn is_unavailable(response: &Response) -> bool {
    let may_retry = response.header("x-should-retry").is_none_or(|should| should == "true");
    [502, 503].contains(&response.status) && may_retry
}

/// The world with its region hop in place, for one test at a time.
fn whole() -> (&'static World, Whole) {
    static ALONE: Mutex<()> = Mutex::new(());
    let alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let way = Whole {
        way: LOSS.way("fra"),
        _alone: alone,
    };
    eventually("the region serves", || {
        served_by(&ask(&LOSS, &chat("tide-global", "is it there?"))) == "eu"
    });
    (&LOSS, way)
}

/// The way to the region hop, which is put in order when a test is done with it, however it ends.
struct Whole {
    way: &'static Relay,
    _alone: MutexGuard<'static, ()>,
}

impl std::ops::Deref for Whole {
    type Target = Relay;

    fn deref(&self) -> &Relay {
        self.way
    }
}

impl Drop for Whole {
    fn drop(&mut self) {
        self.way.lead_to(LOSS.region("fra").address());
        self.way.mend();
    }
}

/// What a region hop would never answer.
fn impostors() -> Vec<(&'static str, Script)> {
    let answer = |head: &str, body: &str| {
        Script::raw(format!(
            "HTTP/1.1 {head}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
            body.len()
        ))
    };
    let json = "content-type: application/json";
    let completion: Value = json!({"id": "x", "model": "m", "choices": [{"index": 0, "finish_reason": "stop",
        "message": {"role": "assistant", "content": "from an impostor"}}]});
    vec![
        ("closes", Script::default()),
        ("not-http", Script::raw("SSH-2.0-OpenSSH_9.2\r\n")),
        (
            "page",
            answer("200 OK\r\ncontent-type: text/html", "<html>It works!</html>"),
        ),
        ("engine", answer(&format!("200 OK\r\n{json}"), &completion.to_string())),
        (
            "engine-error",
            answer(
                &format!("500 Internal Server Error\r\n{json}"),
                r#"{"error":{"message":"no"}}"#,
            ),
        ),
        ("not-found", answer("404 Not Found", "")),
        (
            "refusal",
            answer(
                &format!("400 Bad Request\r\n{json}"),
                r#"{"error":{"message":"no","code":400}}"#,
            ),
        ),
        ("redirect", answer("302 Found\r\nlocation: http://127.0.0.1:1/", "")),
        (
            "told-garbage",
            answer(
                &format!("200 OK\r\n{json}\r\nx-tidegate-told: [7"),
                &completion.to_string(),
            ),
        ),
        (
            "failed-garbage",
            answer("503 Service Unavailable\r\nx-tidegate-hop: failed", "<html>"),
        ),
        (
            "failed-empty",
            answer(
                &format!("503 Service Unavailable\r\n{json}\r\nx-tidegate-hop: failed"),
                "{}",
            ),
        ),
    ]
}

/// `breaker.failures` of the world.
const BREAKER_FAILURES: u32 = 3;
