//! A small HTTP/1.1 client that shows what is on the wire: every byte of a body with the moment it arrived, whether
//! the body was complete, and requests that a proper client would refuse to send.

mod exchange;
pub mod http2;
pub mod raw;
mod request;

use std::net::TcpStream;
use std::time::Duration;

pub use exchange::{Exchange, Piece, Response};
pub use request::Request;

/// Opens a connection for bytes of the test's own choosing.
pub fn connect(address: &str) -> TcpStream {
    let connection = TcpStream::connect(address).expect("the server accepts connections");
    connection.set_nodelay(true).expect("TCP_NODELAY can be set");
    connection
        .set_read_timeout(Some(PATIENCE))
        .expect("a timeout can be set");
    connection
}

fn find_header<'a>(headers: &'a [(String, String)], name: &str) -> Option<&'a str> {
    headers
        .iter()
        .find(|(present, _)| present.eq_ignore_ascii_case(name))
        .map(|(_, value)| value.as_str())
}

/// Longest silence that a test waits through; every limit of the gateways under test is far below it.
const PATIENCE: Duration = Duration::from_secs(20);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scripted::{Script, Scripted};

    fn answer(wire: &str) -> Response {
        let server = Scripted::start();
        server.on("marker", Script::raw(wire));
        let address = server.url().replace("http://", "");
        Request::post("/", "marker").send(&address)
    }

    #[test]
    fn bodies_are_read_in_each_framing() {
        for (head, body) in [("content-length: 5", "hello"), ("connection: close", "hello")] {
            let response = answer(&format!("HTTP/1.1 201 Created\r\n{head}\r\n\r\n{body}"));
            assert_eq!(
                (response.status, response.text(), response.complete),
                (201, "hello", true),
                "{head}"
            );
        }
        let chunks = "3\r\nhel\r\n2;extension\r\nlo\r\n0\r\n\r\n";
        let response = answer(&format!(
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n{chunks}"
        ));
        assert_eq!(
            (response.text(), response.complete, response.pieces.len()),
            ("hello", true, 2)
        );
    }

    #[test]
    fn a_body_that_is_cut_off_is_not_complete() {
        for wire in [
            "content-length: 9\r\n\r\nhello",
            "transfer-encoding: chunked\r\n\r\n5\r\nhello\r\n",
        ] {
            let response = answer(&format!("HTTP/1.1 200 OK\r\n{wire}"));
            assert_eq!((response.text(), response.complete), ("hello", false), "{wire}");
        }
    }

    #[test]
    fn pieces_carry_the_moment_they_arrived() {
        let server = Scripted::start();
        let script = Script::raw("HTTP/1.1 200 OK\r\nconnection: close\r\n\r\none")
            .wait(100)
            .then("two");
        server.on("marker", script);
        let response = Request::post("/", "marker").send(&server.url().replace("http://", ""));
        let [first, second] = response.pieces[..] else {
            panic!("{response:?}")
        };
        assert_eq!((first.end, second.end), (3, 6));
        assert!(second.at - first.at >= Duration::from_millis(90));
    }
}
