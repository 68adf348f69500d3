//! A gateway at the edge and one beside the cluster `near`; the cluster `far` has none.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use futures::{FutureExt, stream};
use http::Request;
use tidegate_core::hop::Role;
use tidegate_virtual::RegionHops;

use crate::world::{Piece, Reaction, World};
use crate::{CHAT, chat, config, done, event, header, host, sse, streaming, usage};

/// The configuration, with a hop in the region of `near`.
pub fn config_of_two_hops() -> String {
    let hop = "jurisdiction = \"eu\"\nhop = \"http://hop\"";
    let config = config().replacen("jurisdiction = \"eu\"", hop, 1);
    config + "\n[hops]\nkeys = [\"HOP_KEY\"]\n"
}

fn two_hops(engines: impl Fn(&Request<bytes::Bytes>) -> Reaction + 'static) -> (World, Rc<RegionHops>) {
    World::of_two_hops(&config_of_two_hops(), engines)
}

fn served(request: &Request<bytes::Bytes>) -> Reaction {
    match host(request) {
        "hop" => panic!("hops are no engines"),
        _ => sse(vec![event("a"), event("b"), usage(), done()]),
    }
}

#[test]
fn an_answer_is_the_same_as_by_one_gateway() {
    for stream in [true, false] {
        let (mut world, hops) = two_hops(served);
        let mut one = crate::world(served);
        let (through_two, through_one) = (
            world.post(CHAT, &chat("gpt", stream)),
            one.post(CHAT, &chat("gpt", stream)),
        );
        for name in [
            "cluster",
            "model",
            "tier",
            "replica",
            "prompt-tokens",
            "cached-tokens",
            "cache",
        ] {
            let name = format!("x-tidegate-{name}");
            assert_eq!(header(&through_two, &name), header(&through_one, &name), "{name}");
        }
        let without_id = |text: String| {
            let end = text.find(r#","object""#).unwrap_or(0);
            (text.matches("req_").count(), text[end..].replace("req_", "").len())
        };
        let (two, one_hop) = (world.rest(through_two.into_body()), one.rest(through_one.into_body()));
        assert_eq!(without_id(two), without_id(one_hop));
        assert_eq!((hops.orders().len(), world.sent().len()), (1, 1));
        assert_eq!(world.sent()[0].1, one.sent()[0].1, "the engine is sent the same");
        assert_eq!(world.in_flight("near"), 0);
    }
}

#[test]
fn pieces_pass_as_they_come_and_the_edge_keeps_its_client_while_nothing_does() {
    let (mut world, _) = two_hops(|_| {
        let wait = |seconds| Piece::Wait(Duration::from_secs(seconds));
        sse(vec![wait(11), event("a"), wait(20), event("b"), done()])
    });
    let begun = world.now();
    let response = world.post(CHAT, &chat("big", true));
    assert_eq!(response.status(), 200);
    let mut body = streaming(response);
    let mut at = Vec::new();
    while let Some(piece) = world.next(&mut body) {
        let what = ["waiting", "\"a\"", "keepalive", "\"b\"", "DONE"];
        let what = what.into_iter().find(|what| piece.contains(what)).unwrap_or("?");
        at.push((what, world.now().since(begun).as_secs()));
    }
    let heard = |what| at.iter().find(|(said, _)| *said == what).map(|(_, at)| *at);
    assert_eq!(heard("waiting"), Some(10));
    assert_eq!((heard("\"a\""), heard("\"b\"")), (Some(11), Some(31)), "{at:?}");
    assert!(heard("keepalive").is_some(), "{at:?}");
}

#[test]
fn an_engines_words_about_the_request_reach_the_client() {
    let (mut world, hops) = two_hops(|_| {
        let words = r#"{"error":{"message":"no such grammar","type":"x","param":null,"code":400}}"#;
        Reaction::Answer(400, "application/json", vec![Piece::Text(words.to_owned())])
    });
    let response = world.post(CHAT, &chat("big", true));
    assert_eq!(response.status(), 400);
    assert!(world.rest(response.into_body()).contains("no such grammar"));
    assert_eq!(
        (hops.orders().len(), world.sent().len()),
        (1, 1),
        "nobody else is asked"
    );
}

#[test]
fn a_cluster_whose_replicas_fail_is_left_for_the_next_one() {
    let (mut world, hops) = two_hops(|request| match host(request) {
        "far-a" => served(request),
        _ => Reaction::Refuse,
    });
    let response = world.post(CHAT, &chat("big", true));
    assert_eq!(header(&response, "x-tidegate-cluster"), "far");
    let asked: Vec<_> = world.sent().into_iter().map(|(url, _)| url).collect();
    assert_eq!(asked.len(), 3, "both replicas, by one order: {asked:?}");
    assert_eq!(hops.orders().len(), 1);
}

#[test]
fn attempts_are_bounded_over_both_hops() {
    let config = config_of_two_hops() + "\n[retries]\nattempts = 2\n";
    let (mut world, _) = World::of_two_hops(&config, |_| Reaction::Refuse);
    let response = world.post(CHAT, &chat("big", false));
    assert_eq!(header(&response, "x-tidegate-tier"), "canned");
    assert_eq!(world.sent().len(), 2);
}

#[test]
fn a_hop_that_cannot_be_reached_is_an_open_cluster_and_tried_again_after_a_rest() {
    let (mut world, hops) = two_hops(served);
    hops.set_down(true);
    for _ in 0..5 {
        let response = world.post(CHAT, &chat("big", true));
        assert_eq!(header(&response, "x-tidegate-cluster"), "far");
        world.rest(response.into_body());
    }
    assert_eq!(hops.orders().len(), 3, "then it is left alone");
    hops.set_down(false);
    world.pass(Duration::from_secs(6));
    for _ in 0..2 {
        let response = world.post(CHAT, &chat("big", true));
        assert_eq!(header(&response, "x-tidegate-cluster"), "near");
        world.rest(response.into_body());
    }
    assert_eq!(hops.orders().len(), 5);
}

#[test]
fn a_tenant_of_its_region_gets_nothing_rather_than_an_answer_from_elsewhere() {
    let (mut world, hops) = two_hops(served);
    hops.set_down(true);
    let request = r#"{"model":"big","messages":[{"role":"user","content":"he"}]}"#;
    let response = world.post_as("eu-key", CHAT, request);
    assert_eq!(header(&response, "x-tidegate-tier"), "canned");
    assert!(world.sent().is_empty());
}

#[test]
fn what_a_hop_does_not_know_of_one_tenant_keeps_it_from_no_other() {
    let (mut world, hops) = two_hops(served);
    let region = world.another(&config_of_two_hops().replace("name = \"europeans\"", "name = \"others\""));
    region.gateway.set_role(Role::Region);
    hops.add("hop", region);
    for _ in 0..5 {
        let response = world.post_as("eu-key", CHAT, &chat("big", false));
        assert_eq!(header(&response, "x-tidegate-tier"), "canned");
    }
    let response = world.post(CHAT, &chat("big", true));
    assert_eq!(header(&response, "x-tidegate-cluster"), "near");
    assert_eq!(hops.orders().len(), 6);
}

#[test]
fn what_is_no_region_hop_counts_as_one_that_is_out() {
    for (status, content_type, text) in [
        (200, "text/event-stream", "data: {}\n\ndata: [DONE]\n\n"),
        (200, "text/html", "<html>"),
        (502, "application/json", "{}"),
        (401, "application/json", r#"{"error":{"message":"signed by nobody"}}"#),
    ] {
        // Nobody is at the host but what answers as engines do.
        let config = config_of_two_hops().replace("http://hop", "http://stranger");
        let (mut world, _) = World::of_two_hops(&config, move |request| match host(request) {
            "stranger" => Reaction::Answer(status, content_type, vec![Piece::Text(text.to_owned())]),
            _ => served(request),
        });
        let response = world.post(CHAT, &chat("big", true));
        assert_eq!(header(&response, "x-tidegate-cluster"), "far", "{status} {text}");
    }
}

#[test]
fn a_client_that_leaves_frees_the_replica() {
    let (mut world, _) = two_hops(|_| sse(vec![event("a"), Piece::Wait(Duration::from_secs(20)), done()]));
    let response = world.post(CHAT, &chat("big", true));
    assert_eq!(world.in_flight("near"), 1);
    drop(response);
    assert_eq!(world.in_flight("near"), 0);

    let mut waiting = world.posting(CHAT, &[], &chat("big", false)).boxed_local();
    world.begin(&mut waiting);
    assert_eq!(world.in_flight("near"), 1);
    drop(waiting);
    assert_eq!(world.in_flight("near"), 0);
}

#[test]
fn a_stream_that_breaks_ends_with_one_error_and_the_replica_has_failed() {
    let (mut world, _) = two_hops(|_| sse(vec![event("a"), Piece::Break]));
    let response = world.post(CHAT, &chat("big", true));
    let text = world.rest(response.into_body());
    assert_eq!(text.matches("\"error\"").count(), 1, "{text}");
    assert_eq!(world.in_flight("near"), 0);
}

type Change = fn(&mut Request<bytes::Bytes>);

/// What the hop says to the order once more, after that long, with what `change` does to it.
fn again(world: &mut World, hops: &RegionHops, change: impl FnOnce(&mut Request<bytes::Bytes>)) -> (u16, String) {
    let mut order = hops.orders().pop().expect("an order");
    change(&mut order);
    let hop = hops.at("hop").expect("a hop");
    let request = order.map(|body| stream::iter([Ok::<_, String>(body)]));
    let response = world.run(hop.serve_pieces(request));
    let status = response.status().as_u16();
    (status, world.rest(response.into_body()))
}

#[test]
fn an_order_holds_once_for_what_was_signed_and_for_half_a_minute() {
    let (mut world, hops) = two_hops(served);
    let send = |world: &mut World| {
        let response = world.post(CHAT, &chat("big", true));
        world.rest(response.into_body());
    };
    send(&mut world);
    let replayed = again(&mut world, &hops, |_| {});
    assert_eq!(replayed.0, 401);
    assert!(replayed.1.contains("has come before"), "{}", replayed.1);

    hops.set_down(true);
    send(&mut world);
    let refused: [(&str, Change); 4] = [
        ("something else", |order| *order.body_mut() = "{}".into()),
        ("something else", |order| {
            let facts = order.headers()["x-tidegate-order"]
                .to_str()
                .unwrap()
                .replace("Normal", "High");
            order.headers_mut().insert("x-tidegate-order", facts.parse().unwrap());
        }),
        ("not signed", |order| {
            drop(order.headers_mut().remove("x-tidegate-signature"))
        }),
        ("not in hops.keys", |order| {
            let signature = order.headers()["x-tidegate-signature"]
                .to_str()
                .unwrap()
                .replace("HOP_KEY", "OTHER");
            order
                .headers_mut()
                .insert("x-tidegate-signature", signature.parse().unwrap());
        }),
    ];
    for (words, change) in refused {
        let (status, text) = again(&mut world, &hops, change);
        assert_eq!(status, 401);
        assert!(text.contains(words), "{text}");
    }
    world.pass(Duration::from_secs(31));
    let (status, text) = again(&mut world, &hops, |_| {});
    assert!(status == 401 && text.contains("more than 30 s ago"), "{text}");
    assert!(
        world.sent().len() <= 2,
        "nothing of that came to an engine: {:?}",
        world.sent()
    );
}

#[test]
fn a_connection_that_was_lost_has_the_order_signed_anew() {
    let lost = Rc::new(Cell::new(false));
    let seen = Rc::clone(&lost);
    let config = config_of_two_hops().replace("http://hop", "http://losing");
    let (mut world, hops) = World::of_two_hops(&config, move |request| {
        if host(request) == "losing" && !seen.replace(true) {
            return Reaction::Lose;
        }
        served(request)
    });
    let response = world.post(CHAT, &chat("big", true));
    assert_eq!(response.status(), 200);
    assert!(lost.get());
    assert_eq!(hops.orders().len(), 0);
    let signatures: Vec<_> = world.signatures();
    assert_eq!(signatures.len(), 2);
    assert_ne!(signatures[0], signatures[1]);
}
