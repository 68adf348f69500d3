//! Bytes of a test's own choosing, and whatever a server says to them.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

/// What a server at `address` answers to `wire`, until it closes the connection or says nothing for `silence`; nothing
/// where none listens.
pub fn answers(address: &str, wire: &[u8], silence: Duration) -> String {
    let Ok(mut connection) = TcpStream::connect(address) else {
        return String::new();
    };
    connection
        .set_read_timeout(Some(silence))
        .expect("a timeout can be set");
    // It may close before all is sent, and what it answered stands all the same.
    let _ = connection.write_all(wire);
    let mut answers = Vec::new();
    let mut bytes = [0; 16 << 10];
    while let Ok(read @ 1..) = connection.read(&mut bytes) {
        answers.extend_from_slice(&bytes[..read]);
    }
    String::from_utf8_lossy(&answers).into_owned()
}

/// The statuses of those answers, in order.
pub fn statuses(answers: &str) -> Vec<u16> {
    let heads = answers.split("HTTP/1.").skip(1);
    heads.filter_map(|head| head.get(2..5)?.parse().ok()).collect()
}
