//! More connections than there is room for, of each kind that costs its owner nothing.

use std::io::Write;
use std::net::TcpStream;

use serde_json::json;
use tidegate_tests::gateway::{self, NativeOptions};
use tidegate_tests::world::World;

use super::{CONFIG, assert_neighbour_is_served, assert_nothing_is_left_behind, is_native, post};
use crate::support::{chat, with};

#[test]
fn no_crowd_of_connections_keeps_others_out() {
    if !is_native("connections are the runtime's") {
        return;
    }
    let options = NativeOptions {
        arguments: ["--threads", "2"].map(str::to_owned).to_vec(),
        open_files: Some(OPEN_FILES),
    };
    let world = World::start_by("connections", CONFIG, |setup| gateway::start_native(setup, &options));
    let whole = post("neighbour", &chat("calm", "half a body")).to_bytes("gateway");
    let stream = with(
        chat("calm", "unread"),
        json!({"stream": true, "max_tokens": 200, "ignore_eos": true}),
    );
    let unread = post("neighbour", &stream)
        .replace("connection", "keep-alive")
        .to_bytes("gateway");
    for (kind, sent) in [
        ("idle", b"".as_slice()),
        ("half a head", &whole[..60]),
        ("half a body", &whole[..whole.len() - 10]),
        ("unread", &unread),
    ] {
        let crowd: Vec<TcpStream> = (0..CROWD).filter_map(|_| connected(&world, sent)).collect();
        println!("{kind}: {} connections", crowd.len());
        assert!(crowd.len() > CROWD / 2, "{kind}: it is no crowd");
        for _ in 0..5 {
            assert_neighbour_is_served(&world);
        }
    }
    let log = world.gateway.log_text();
    assert!(!log.contains("Too many open files"), "{log}");
    assert_nothing_is_left_behind(&world);
}

/// `None` where the gateway has no room, as it may say.
fn connected(world: &World, sent: &[u8]) -> Option<TcpStream> {
    let mut connection = TcpStream::connect(world.gateway.address()).ok()?;
    // It may be closed in favour of another before that is written.
    let _ = connection.write_all(sent);
    Some(connection)
}

/// What the gateway may have open: room for 76 connections on each of its two threads.
const OPEN_FILES: u32 = 400;
/// Connections of each kind, three times as many as there is room for.
const CROWD: usize = 450;
