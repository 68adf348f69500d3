//! Clients that are too many, too slow, or framed in two ways; and operators, who are let in elsewhere.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use crate::client::{fetch, get, put};
use crate::process::{Bench, Gateway, eventually};

#[test]
fn what_servers_read_differently_is_answered_with_400() {
    let bench = Bench::new("framing");
    let gateway = Gateway::start(&bench, &[]);
    for head in [
        "GET /healthz HTTP/1.1\r\n\r\n",
        "GET /healthz HTTP/1.1\r\nhost: a\r\nhost: a\r\n\r\n",
        "GET /healthz HTTP/1.1\nhost: a\n\n",
        "GET /healthz HTTP/1.1\r\nhost: a\r\nx: y\n\r\n",
        "POST /v1/models HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        "POST /v1/models HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\ncontent-length: 5\r\n\r\n0\r\n\r\n",
    ] {
        let mut socket = connect(&gateway);
        let whole = b"GET /healthz HTTP/1.1\r\nhost: a\r\n\r\n";
        socket.write_all(&[whole, head.as_bytes()].concat()).expect("written");
        let answers = rest(&mut socket);
        assert!(answers.starts_with("HTTP/1.1 200"), "{head:?}: {answers}");
        assert!(answers.contains("HTTP/1.1 400"), "{head:?}: {answers}");
    }
}

#[test]
fn half_heads_beyond_the_bound_keep_nobody_out() {
    let bench = Bench::new("flood");
    let gateway = Gateway::start(&bench, &["--max-connections", "8"]);
    let mut kept = connect(&gateway);
    assert_eq!(ask(&mut kept), Some(200));
    let mut flood: Vec<TcpStream> = (0..100).map(|_| half_a_head(&gateway)).collect();
    for _ in 0..10 {
        assert!(get(&gateway, "/healthz").starts_with("HTTP/1.1 200"));
        assert_eq!(ask(&mut kept), Some(200), "who is idle goes after those who are slow");
    }
    eventually("no more than eight are left", || {
        flood.retain_mut(is_open);
        flood.len() <= 8
    });
    assert!(gateway.log().matches("no room for another connection").count() <= 3);
}

#[test]
fn a_head_that_trickles_in_is_given_up_after_ten_seconds() {
    let bench = Bench::new("trickle");
    let gateway = Gateway::start(&bench, &[]);
    let mut slow = half_a_head(&gateway);
    let mut idle = connect(&gateway);
    assert_eq!(ask(&mut idle), Some(200));
    let begun = Instant::now();
    while is_open(&mut slow) {
        assert!(begun.elapsed() < Duration::from_secs(15), "still open");
        // Fails once it is closed, which is what is waited for.
        drop(slow.write_all(b"a"));
        std::thread::sleep(Duration::from_millis(200));
    }
    assert!(begun.elapsed() > Duration::from_secs(8), "{:?}", begun.elapsed());
    assert_eq!(ask(&mut idle), Some(200));
}

#[test]
fn one_address_has_no_more_connections_than_it_may_have() {
    let bench = Bench::new("address");
    let gateway = Gateway::start(&bench, &["--max-connections-per-address", "3"]);
    let mut held: Vec<TcpStream> = (0..3).map(|_| connect(&gateway)).collect();
    assert!(held.iter_mut().all(|socket| ask(socket) == Some(200)));
    assert_eq!(ask(&mut connect(&gateway)), None);
    held.pop();
    eventually("there is room again", || ask(&mut connect(&gateway)) == Some(200));
}

#[test]
fn operators_are_answered_at_their_own_address_alone() {
    let bench = Bench::new("operators");
    let gateway = Gateway::start(&bench, &["--admin-listen", "127.0.0.1:0"]);
    let operators = gateway.admin_address();
    let ask = |address: &str, path: &str| {
        let response = fetch(address, &format!("GET {path}"), Some(&gateway.admin_key), "");
        response[9..12].to_owned()
    };
    for (path, of_clients, of_operators) in [
        ("/metrics", "404", "200"),
        ("/admin/config", "404", "200"),
        ("/admin/budgets", "404", "200"),
        ("/v1/models", "401", "404"),
        ("/readyz", "200", "200"),
    ] {
        let asked = (ask(&gateway.address(), path), ask(&operators, path));
        assert_eq!(asked, (of_clients.to_owned(), of_operators.to_owned()), "{path}");
    }
    // Not even by a header of a request to be explained.
    for admin_key in [gateway.admin_key.as_str(), "tg-admin-wrong"] {
        let head = format!(
            "POST /v1/chat/completions HTTP/1.1\r\nhost: gateway\r\nconnection: close\r\nauthorization: Bearer {}\r\n\
             x-tidegate-explain: 1\r\nx-tidegate-admin-key: {admin_key}\r\ncontent-length: 2\r\n\r\n{{}}",
            gateway.key
        );
        let mut socket = connect(&gateway);
        socket.write_all(head.as_bytes()).expect("sent");
        let mut refused = String::new();
        socket.read_to_string(&mut refused).expect("answered");
        assert!(
            refused.starts_with("HTTP/1.1 400") && refused.contains("reserved_header"),
            "{refused}"
        );
    }
}

#[test]
fn without_admin_keys_names_are_told_to_operators_alone_and_only_where_it_was_meant() {
    let bench = Bench::new("no-admin");
    let gateway = Gateway::start(&bench, &[]);
    let config = std::fs::read_to_string(bench.config()).expect("read");
    let (before, _) = config.split_once("[admin]").expect("it has admin keys");
    let refused = put(&gateway, "/admin/config", before);
    assert!(
        refused.starts_with("HTTP/1.1 422") && refused.contains("without-admin=1"),
        "{refused}"
    );
    let taken = put(&gateway, "/admin/config?without-admin=1", before);
    assert!(taken.starts_with("HTTP/1.1 200"), "{taken}");
    let open = fetch(&gateway.address(), "GET /metrics", None, "");
    assert!(
        open.contains("tidegate_requests_total{") && open.ends_with("# EOF\n"),
        "{open}"
    );
    assert!(!open.contains("acme") && !open.contains("127.0.0.1"), "{open}");
    std::fs::write(bench.config(), before).expect("written");
    let apart = Gateway::start_as("apart", &bench, &["--admin-listen", "127.0.0.1:0"], &[]);
    let named = fetch(&apart.admin_address(), "GET /metrics", None, "");
    assert!(
        named.contains("tidegate_cluster_available{") && named.contains("127.0.0.1"),
        "{named}"
    );
}

fn connect(gateway: &Gateway) -> TcpStream {
    let socket = TcpStream::connect(gateway.address()).expect("connected");
    socket.set_read_timeout(Some(PATIENCE)).expect("set");
    socket
}

fn half_a_head(gateway: &Gateway) -> TcpStream {
    let mut socket = connect(gateway);
    // It may be closed before it is written.
    drop(socket.write_all(b"GET /healthz HTTP/1.1\r\nhost: a\r\nx: "));
    socket
}

/// The status of an answer over a connection that is kept; `None` where the connection is closed.
fn ask(socket: &mut TcpStream) -> Option<u16> {
    socket.write_all(b"GET /healthz HTTP/1.1\r\nhost: a\r\n\r\n").ok()?;
    let mut answer = Vec::new();
    while !answer.ends_with(b"{\"status\":\"ok\"}") {
        let mut byte = [0];
        socket.read_exact(&mut byte).ok()?;
        answer.push(byte[0]);
    }
    String::from_utf8_lossy(answer.get(9..12)?).parse().ok()
}

/// All that comes until the connection is closed, in whichever way.
fn rest(socket: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    let mut piece = [0; 4096];
    while let Ok(read @ 1..) = socket.read(&mut piece) {
        bytes.extend_from_slice(&piece[..read]);
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn is_open(socket: &mut TcpStream) -> bool {
    socket.set_nonblocking(true).expect("set");
    let read = socket.read(&mut [0]);
    socket.set_nonblocking(false).expect("set");
    matches!(read, Err(error) if error.kind() == ErrorKind::WouldBlock)
}

const PATIENCE: Duration = Duration::from_secs(20);
