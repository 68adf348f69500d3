//! Which orders a region hop takes: those that are signed with a key that it shares, for just this, just now, and once.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use hmac::{Hmac, Mac};
use sha2::{Digest, Sha256};
use tidegate_tests::gateway::Role;
use tidegate_tests::http::{Request, Response};
use tidegate_tests::relay::Carried;
use tidegate_tests::world::key;

use super::{CONFIG, HOPS, KEY, KEY_SECRET, NEXT_KEY, NEXT_SECRET, SECRETS, SINGLE, as_operator, ask, served_by};
use crate::support::{chat, post, post_chat};

#[test]
fn an_order_is_taken_once() {
    let order = order("taken once");
    let request = order.to_request();
    assert_refused(&at_region(&request), "come before");
    let signature = Signature::new(KEY);
    assert_eq!(at_region(&signature.sign(&order, KEY_SECRET)).status, 200);
    assert_refused(&at_region(&signature.sign(&order, KEY_SECRET)), "come before");
    assert_eq!(asked("taken once"), 2);
}

#[test]
fn an_order_that_nobody_signed_is_refused() {
    let order = order("signed by nobody");
    let unsigned = Request::post(order.path(), order.body.clone()).header(ORDER, facts(&order));
    assert_refused(&at_region(&unsigned), "not signed");
    let bare = Request::post(order.path(), order.body.clone());
    assert_refused(&at_region(&bare), "not signed");
    let garbled = order.to_request().replace(SIGNATURE, "k=;t=now");
    assert_refused(&at_region(&garbled), "not one");
    assert_eq!(asked("signed by nobody"), 1);
}

#[test]
fn an_order_that_others_signed_is_refused() {
    let order = order("signed by others");
    let signature = Signature::new(KEY);
    assert_refused(
        &at_region(&signature.sign(&order, "a secret of others")),
        "another secret",
    );
    let unknown = Signature {
        key: "OTHER_KEY".to_owned(),
        ..signature
    };
    assert_refused(&at_region(&unknown.sign(&order, KEY_SECRET)), "hops.keys");
    // The configuration in force does not name it, though the secret is there.
    let not_yet = Signature {
        key: NEXT_KEY.to_owned(),
        ..unknown
    };
    assert_refused(&at_region(&not_yet.sign(&order, NEXT_SECRET)), "hops.keys");
    assert_eq!(asked("signed by others"), 1);
}

#[test]
fn an_order_of_another_time_is_refused() {
    let order = order("of another time");
    let signature = Signature::new(KEY);
    for at in [signature.at - HALF_A_MINUTE, signature.at + HALF_A_MINUTE] {
        let signature = Signature {
            at,
            ..signature.clone()
        };
        assert_refused(&at_region(&signature.sign(&order, KEY_SECRET)), "30 s");
    }
    assert_eq!(asked("of another time"), 1);
}

#[test]
fn an_order_for_something_else_is_refused() {
    let order = order("for something else");
    let sign = || Signature::new(KEY).sign(&order, KEY_SECRET);
    let other_body = sign().body(String::from_utf8_lossy(&order.body).replace("something", "anything"));
    let other_facts = sign().replace(ORDER, &format!("{} ", facts(&order)).replacen('{', "{ ", 1));
    let other_path = sign().target("/hop/v1/completions");
    for changed in [other_body, other_facts, other_path] {
        assert_refused(&at_region(&changed), "something else");
    }
    assert_eq!(asked("for something else"), 1);
}

#[test]
fn an_edge_of_the_next_release_is_understood_and_one_with_another_configuration_is_told() {
    let order = order("told otherwise");
    let with = |old: &str, new: &str| {
        let facts = facts(&order);
        assert!(facts.contains(old), "{facts}");
        let changed = facts.replacen(old, new, 1);
        at_region(&Signature::new(KEY).sign_with(&order, &changed, KEY_SECRET))
    };
    assert_eq!(with("{", r#"{"of_the_next_release":[{"x":1}],"#).status, 200);
    for (old, new, status, words) in [
        (
            r#""cluster":"eu""#,
            r#""cluster":"elsewhere""#,
            409,
            "no cluster `elsewhere`",
        ),
        (
            r#""model":"tide-eu""#,
            r#""model":"tide-new""#,
            409,
            "no model `tide-new`",
        ),
        (
            r#""tenant":"everyone""#,
            r#""tenant":"nobody""#,
            409,
            "no tenant `nobody`",
        ),
        (r#""cluster":"eu""#, r#""place":"eu""#, 400, "not understood"),
    ] {
        let response = with(old, new);
        assert_eq!(response.status, status, "{}", response.text());
        assert!(response.text().contains(words), "{}", response.text());
    }
    assert_eq!(asked("told otherwise"), 2);
}

#[test]
fn a_region_hop_takes_nothing_from_clients() {
    for request in [
        post_chat(chat("tide-eu", "sent to the region").to_string()),
        post(
            "/v1/completions",
            r#"{"model":"tide-eu","prompt":"sent to the region"}"#,
        ),
        post("/v1/embeddings", r#"{"model":"tide-eu","input":"sent to the region"}"#),
        post("/tokenize", r#"{"model":"tide-eu","prompt":"sent to the region"}"#),
        Request::get("/v1/models").key(&key("everyone")),
        Request::get("/v1/usage").key(&key("everyone")),
    ] {
        let response = at_region(&request);
        assert_eq!(response.status, 404, "{}", response.text());
        assert!(response.text().contains("role"), "{}", response.text());
    }
    assert_eq!(asked("sent to the region"), 0);
    for probe in ["/healthz", "/readyz"] {
        assert_eq!(at_region(&Request::get(probe)).status, 200, "{probe}");
    }
    for target in ["/metrics", "/admin/config"] {
        assert_eq!(at_region(&as_operator(Request::get(target))).status, 200, "{target}");
        assert_eq!(at_region(&Request::get(target)).status, 401, "{target}");
    }
}

#[test]
fn other_gateways_take_no_orders() {
    let order = order("sent elsewhere");
    let request = || Signature::new(KEY).sign(&order, KEY_SECRET);
    for gateway in [&HOPS.gateway, &*SINGLE] {
        let response = request().send(gateway.address());
        assert_eq!(response.status, 404, "{}", response.text());
    }
    assert_eq!(asked("sent elsewhere"), 1);
}

#[test]
fn an_edge_with_another_secret_is_no_edge_to_the_region_and_its_clients_are_served_elsewhere() {
    let secrets = [SECRETS[0], (KEY, "a secret of others")];
    let edge = HOPS.start_another("hops-stranger", CONFIG, Role::Edge, &secrets);
    let response = post_chat(chat("tide-global", "from a stranger").to_string()).send(edge.address());
    assert_eq!(served_by(&response), "us");
    let response = post_chat(chat("tide-eu", "from a stranger").to_string()).send(edge.address());
    assert!([502, 503].contains(&response.status), "{}", response.text());
    assert_eq!(asked("from a stranger"), 0);
}

/// The order that comes of a chat with that text.
fn order(text: &str) -> Carried {
    served_by(&ask(&HOPS, &chat("tide-eu", text)));
    let orders = HOPS.way("fra").carried(text);
    let [order] = &orders[..] else {
        panic!("{} orders", orders.len())
    };
    assert_eq!(order.path(), "/hop/v1/chat/completions");
    order.clone()
}

fn at_region(request: &Request) -> Response {
    request.send(HOPS.region("fra").address())
}

/// How often an engine was asked that.
fn asked(text: &str) -> usize {
    ["eu-1", "eu-2"]
        .map(|engine| HOPS.engine(engine).requests(text).len())
        .iter()
        .sum()
}

#[track_caller]
fn assert_refused(response: &Response, why: &str) {
    assert_eq!(response.status, 401, "{}", response.text());
    let message = response.json()["error"]["message"].clone();
    assert!(
        message.as_str().is_some_and(|message| message.contains(why)),
        "{message}"
    );
}

fn facts(order: &Carried) -> &str {
    order.header(ORDER).expect("the order's facts")
}

/// What a signature is of, besides the order.
#[derive(Clone, Debug)]
pub(super) struct Signature {
    key: String,
    /// Microseconds since 1970.
    at: u64,
    nonce: u64,
}

impl Signature {
    /// One of now, which no order has.
    pub(super) fn new(key: &str) -> Self {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
        let at = u64::try_from(now.as_micros()).expect("before the year 500,000");
        Self {
            key: key.to_owned(),
            at,
            nonce: at,
        }
    }

    /// The order, signed anew.
    pub(super) fn sign(&self, order: &Carried, secret: &str) -> Request {
        self.sign_with(order, facts(order), secret)
    }

    /// The same with other facts.
    fn sign_with(&self, order: &Carried, facts: &str, secret: &str) -> Request {
        let Self { key, at, nonce } = self;
        let digest = hex(&Sha256::digest(&order.body));
        let path = order.path();
        let message = format!("tidegate order v1\nPOST\n{path}\n{key}\n{at}\n{nonce:016x}\n{digest}\n{facts}");
        let mut hmac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("keys of any length are taken");
        hmac.update(message.as_bytes());
        let code = hex(&hmac.finalize().into_bytes());
        let header = format!("k={key};t={at};n={nonce:016x};d={digest};m={code}");
        let request = order.to_request().replace(ORDER, facts);
        request.replace(SIGNATURE, &header)
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

const ORDER: &str = "x-tidegate-order";
pub(super) const SIGNATURE: &str = "x-tidegate-signature";
/// And a second.
const HALF_A_MINUTE: u64 = 31_000_000;
