//! Floods of HTTP/2 frames, each lawful by itself or nearly so: others are served meanwhile, and memory stays what it was.

use std::thread;
use std::time::Instant;

use tidegate_tests::gateway;
use tidegate_tests::http::http2::{
    CONTINUATION, DATA, END_HEADERS, END_STREAM, Frame, HEADERS, Http2, PING, REMEMBERED, RST_STREAM, SETTINGS, field,
    fields,
};
use tidegate_tests::world::{World, key};

use super::{CONFIG, SERVED_WITHIN, assert_is_sound, is_idle, is_native, sum};
use crate::support::{chat, eventually};

#[test]
fn no_flood_of_frames_keeps_others_out_or_fills_memory() {
    if !is_native("what is before it speaks HTTP/2 there") {
        return;
    }
    let world = World::start_by("http2", CONFIG, |setup| gateway::start_native(setup, &Http2::options()));
    assert_is_served(&world);
    let memory = || world.gateway.resident_bytes().unwrap_or(0);
    let before = memory();
    for (name, flood) in FLOODS {
        let begun = Instant::now();
        let address = world.gateway.address();
        let attackers = [(); ATTACKERS].map(|()| {
            let address = address.to_owned();
            thread::spawn(move || {
                for _ in 0..ROUNDS {
                    let mut client = Http2::connect(&address);
                    flood(&mut client);
                    // Kept or not, it is through with what was sent.
                    let _is_kept = client.is_kept();
                }
            })
        });
        let mut most = 0;
        let mut is_over = false;
        while !is_over {
            is_over = attackers.iter().all(thread::JoinHandle::is_finished);
            assert_is_served(&world);
            most = most.max(memory());
        }
        for attacker in attackers {
            attacker
                .join()
                .unwrap_or_else(|_| panic!("{name}: the attack itself failed"));
        }
        let more = most.saturating_sub(before) >> 20;
        println!("{name}: {:?}, {more} MiB more", begun.elapsed());
        assert!(more < MOST_MEMORY_MIB, "{name}: {more} MiB more than before");
    }
    eventually("the engine is told to stop", || is_idle(world.engine("calm")));
    let metrics = || Http2::connect(world.gateway.address()).ask("/metrics", &key("admin"), None);
    eventually("permits are back", || {
        metrics().is_some_and(|metrics| sum(&metrics, "tidegate_cluster_in_flight{") == 0)
    });
    assert_is_sound(&metrics().expect("figures"), &world.gateway.log_text());
}

/// A client that comes anew is answered in time.
fn assert_is_served(world: &World) {
    let begun = Instant::now();
    let body = chat("calm", "a neighbour").to_string();
    let client = Http2::connect(world.gateway.address());
    let answer = client.ask("/v1/chat/completions", &key("neighbour"), Some(&body));
    assert!(answer.is_some_and(|answer| answer.contains("choices")), "not served");
    assert!(begun.elapsed() < SERVED_WITHIN, "{:?}", begun.elapsed());
}

/// Requests with all that belongs to them, each taken back at once.
fn rapid_reset(client: &mut Http2) {
    let (head, body) = (asking(), chat("calm", "taken back").to_string());
    for stream in streams(1_000) {
        let request = [
            Frame::new(HEADERS, END_HEADERS, stream, &head).to_bytes(),
            Frame::new(DATA, END_STREAM, stream, body.as_bytes()).to_bytes(),
            Frame::new(RST_STREAM, 0, stream, &CANCEL).to_bytes(),
        ];
        if !client.send(&request.concat()) {
            return;
        }
    }
}

/// The same by a client that waits until engines are at work.
fn patient_reset(client: &mut Http2) {
    let (head, body) = (asking(), chat("calm", "taken back later").to_string());
    let streams: Vec<u32> = streams(500).collect();
    for crowd in streams.chunks(50) {
        let ask = |stream: &u32| {
            let head = Frame::new(HEADERS, END_HEADERS, *stream, &head).to_bytes();
            [head, Frame::new(DATA, END_STREAM, *stream, body.as_bytes()).to_bytes()].concat()
        };
        let leave = |stream: &u32| Frame::new(RST_STREAM, 0, *stream, &CANCEL).to_bytes();
        let asked: Vec<u8> = crowd.iter().flat_map(ask).collect();
        let left: Vec<u8> = crowd.iter().flat_map(leave).collect();
        if !(client.send(&asked) && client.is_kept() && client.send(&left)) {
            return;
        }
    }
}

/// Requests that the server itself has to take back, for what follows them.
fn made_to_reset(client: &mut Http2) {
    let head = asking();
    for stream in streams(1_000) {
        let too_much = Frame::new(HEADERS, END_HEADERS | END_STREAM, stream, &head).to_bytes();
        let no_window = Frame::new(WINDOW_UPDATE, 0, stream, &[0; 4]).to_bytes();
        if !client.send(&[too_much, no_window].concat()) {
            return;
        }
    }
}

/// One head without an end.
fn continuations(client: &mut Http2) {
    let pieces = (0..1_000).map(|_| Frame::new(CONTINUATION, 0, 1, &[0; 16_000]).to_bytes());
    let head = asking();
    if client.send(&Frame::new(HEADERS, 0, 1, &head).to_bytes()) {
        assert!(
            !pieces.into_iter().all(|piece| client.send(&piece)),
            "16 MB of one head are taken"
        );
    }
}

/// The same in pieces of nothing.
fn empty_continuations(client: &mut Http2) {
    let head = asking();
    client.send(&Frame::new(HEADERS, 0, 1, &head).to_bytes());
    flood(client, Frame::new(CONTINUATION, 0, 1, &[]));
}

fn settings(client: &mut Http2) {
    flood(client, Frame::new(SETTINGS, 0, 0, &[0, 4, 0, 0, 255, 255]));
}

fn pings(client: &mut Http2) {
    flood(client, Frame::new(PING, 0, 0, &[7; 8]));
}

/// Whose answers nobody reads.
fn unread_pings(client: &mut Http2) {
    client.stop_reading();
    pings(client);
}

/// A body in pieces of nothing.
fn empty_data(client: &mut Http2) {
    let head = asking();
    client.send(&Frame::new(HEADERS, END_HEADERS, 1, &head).to_bytes());
    flood(client, Frame::new(DATA, 0, 1, &[]));
}

/// A field that is remembered, and named by a byte sixteen thousand times in each head.
fn expanding_heads(client: &mut Http2) {
    let (head, remembered) = (asking(), field(REMEMBERED, "x", &"x".repeat(3_900)));
    let first = [head.as_slice(), &remembered].concat();
    client.send(&Frame::new(HEADERS, END_HEADERS | END_STREAM, 1, &first).to_bytes());
    for stream in streams(50).skip(1) {
        let head = [head.as_slice(), &[FIRST_REMEMBERED; 16_000]].concat();
        if !client.send(&Frame::new(HEADERS, END_HEADERS | END_STREAM, stream, &head).to_bytes()) {
            return;
        }
    }
}

/// Heads of many fields, each within what a frame may hold.
fn long_heads(client: &mut Http2) {
    let fields: Vec<u8> = (0..1_000)
        .flat_map(|number| field(0, &format!("x-{number}"), "x"))
        .collect();
    let head = [asking(), fields].concat();
    for stream in streams(200) {
        if !client.send(&Frame::new(HEADERS, END_HEADERS | END_STREAM, stream, &head).to_bytes()) {
            return;
        }
    }
}

/// The frame again and again, some at a time.
fn flood(client: &mut Http2, frame: Frame) {
    let frames = frame.to_bytes().repeat(200);
    let _all_taken = (0..100).all(|_| client.send(&frames));
}

fn asking() -> Vec<u8> {
    fields("POST", "/v1/chat/completions", &key("neighbour"))
}

/// The first so many streams that a client may open.
fn streams(number: u32) -> impl Iterator<Item = u32> {
    (0..number).map(|number| 2 * number + 1)
}

type Flood = fn(&mut Http2);

const FLOODS: [(&str, Flood); 11] = [
    ("rapid reset", rapid_reset),
    ("patient reset", patient_reset),
    ("made to reset", made_to_reset),
    ("continuations", continuations),
    ("empty continuations", empty_continuations),
    ("settings", settings),
    ("pings", pings),
    ("unread pings", unread_pings),
    ("empty data", empty_data),
    ("expanding heads", expanding_heads),
    ("long heads", long_heads),
];
const ATTACKERS: usize = 2;
/// How often each attacker comes again after it was shut out, or done.
const ROUNDS: u32 = 4;
const WINDOW_UPDATE: u8 = 8;
/// The code of a stream that its client does not want any more.
const CANCEL: [u8; 4] = [0, 0, 0, 8];
/// The newest field that was remembered: the first place behind the static table.
const FIRST_REMEMBERED: u8 = 0x80 | 62;
/// Four connections hold at most a few buffers each.
const MOST_MEMORY_MIB: u64 = 64;
