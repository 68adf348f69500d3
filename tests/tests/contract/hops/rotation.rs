//! The secret that hops share is changed by three configurations in turn, and no request notices.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use tidegate_tests::gateway::FRANKFURT;
use tidegate_tests::http::Request;
use tidegate_tests::process::Server;
use tidegate_tests::relay::Carried;
use tidegate_tests::world::World;

use super::orders::{SIGNATURE, Signature};
use super::{CONFIG, KEY, KEY_SECRET, NEXT_KEY, NEXT_SECRET, SECRETS, as_operator, ask, served_by};
use crate::support::{chat, eventually};

#[test]
fn keys_change_without_a_failed_request() {
    let world = &World::start("hops-rotation", CONFIG, FRANKFURT, &SECRETS);
    let is_over = &AtomicBool::new(false);
    thread::scope(|scope| {
        let clients = [0, 1].map(|client| scope.spawn(move || asks_until(is_over, world, client)));
        let end = EndOfLoad(is_over);
        eventually("both are served", || orders(world).len() >= 4);
        // Several in a row, since a gateway may be several isolates or instances.
        let all_taken = |key, secret| (0..5).all(|_| is_taken(world, key, secret));
        let none_taken = |key, secret| (0..5).all(|_| !is_taken(world, key, secret));
        put(world, &[KEY, NEXT_KEY]);
        eventually("the region takes the next key", || all_taken(NEXT_KEY, NEXT_SECRET));
        put(world, &[NEXT_KEY, KEY]);
        eventually("the edge signs with the next key", || {
            let orders = orders(world);
            let latest = orders.iter().rev().take(12);
            latest.filter(|order| is_signed_with(order, NEXT_KEY)).count() == 12
        });
        put(world, &[NEXT_KEY]);
        eventually("the old key is taken no more", || none_taken(KEY, KEY_SECRET));
        drop(end);
        for client in clients {
            let served = client.join().expect("no request failed");
            assert!(served > 10, "{served} requests");
        }
    });
}

/// Asks until that is so, and tells how often.
fn asks_until(is_over: &AtomicBool, world: &World, client: u32) -> u32 {
    let mut served = 0;
    while !is_over.load(Ordering::Relaxed) {
        let response = ask(world, &chat("tide-eu", &format!("client {client} asks, {served}")));
        assert_eq!(served_by(&response), "eu");
        served += 1;
    }
    served
}

/// What the region says to an order of now, signed with that key.
fn is_taken(world: &World, key: &str, secret: &str) -> bool {
    let order = &orders(world)[0];
    let request = Signature::new(key).sign(order, secret);
    request.send(world.region("fra").address()).status == 200
}

/// The orders so far.
fn orders(world: &World) -> Vec<Carried> {
    world.way("fra").carried("POST /hop/v1/chat/completions")
}

fn is_signed_with(order: &Carried, key: &str) -> bool {
    let begin = format!("k={key};");
    order
        .header(SIGNATURE)
        .is_some_and(|signature| signature.starts_with(&begin))
}

/// Puts a configuration with these keys into force, at the region and then at the edge.
fn put(world: &World, keys: &[&str]) {
    let config = world.config(CONFIG);
    let written = format!("keys = [\"{KEY}\"]");
    assert!(config.contains(&written), "{config}");
    let config = config.replace(&written, &format!("keys = {keys:?}"));
    let gateways: [&Server; 2] = [world.region("fra"), &world.gateway];
    for gateway in gateways {
        let request = as_operator(Request::new("PUT", "/admin/config").body(config.clone()));
        let response = request.send(gateway.address());
        assert!((200..300).contains(&response.status), "{}", response.text());
    }
}

/// Ends the clients also where a test fails.
struct EndOfLoad<'a>(&'a AtomicBool);

impl Drop for EndOfLoad<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
