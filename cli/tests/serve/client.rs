//! Just enough of an HTTP client: one request a connection.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use crate::process::Gateway;

/// The whole response to a request without a body.
pub fn get(gateway: &Gateway, path: &str) -> String {
    let key = if path == "/metrics" {
        &gateway.admin_key
    } else {
        &gateway.key
    };
    fetch(&gateway.address(), &format!("GET {path}"), Some(key), "")
}

/// The whole response to a request that puts `body`.
pub fn put(gateway: &Gateway, path: &str, body: &str) -> String {
    fetch(
        &gateway.address(),
        &format!("PUT {path}"),
        Some(&gateway.admin_key),
        body,
    )
}

/// The whole response.
pub fn fetch(address: &str, request: &str, key: Option<&str>, body: &str) -> String {
    let mut response = String::new();
    send(address, request, key, body)
        .read_to_string(&mut response)
        .expect("a response");
    response
}

/// A streamed answer.
pub struct Stream {
    lines: BufReader<TcpStream>,
}

impl Stream {
    /// Asks for an answer of so many tokens.
    pub fn open(gateway: &Gateway, tokens: u32) -> Self {
        let body = format!(
            r#"{{"model":"m","stream":true,"max_tokens":{tokens},"ignore_eos":true,"messages":[{{"role":"user","content":"hi"}}]}}"#
        );
        let socket = send(
            &gateway.address(),
            "POST /v1/chat/completions",
            Some(&gateway.key),
            &body,
        );
        Self {
            lines: BufReader::new(socket),
        }
    }

    /// The data of the next event.
    pub fn next_event(&mut self) -> String {
        self.event().expect("an event")
    }

    /// The data of all events that are left.
    pub fn rest(mut self) -> Vec<String> {
        std::iter::from_fn(|| self.event()).collect()
    }

    fn event(&mut self) -> Option<String> {
        let mut line = String::new();
        while self.lines.read_line(&mut line).expect("a line") > 0 {
            if let Some(data) = line.strip_prefix("data: ") {
                return Some(data.trim_end().to_owned());
            }
            line.clear();
        }
        None
    }
}

fn send(address: &str, request: &str, key: Option<&str>, body: &str) -> TcpStream {
    let mut socket = TcpStream::connect(address).expect("connected");
    socket.set_read_timeout(Some(PATIENCE)).expect("set");
    let authorization = key
        .map(|key| format!("authorization: Bearer {key}\r\n"))
        .unwrap_or_default();
    let head = format!(
        "{request} HTTP/1.1\r\nhost: {address}\r\n{authorization}content-type: application/json\r\ncontent-length: \
         {}\r\nconnection: close\r\n\r\n",
        body.len()
    );
    socket.write_all(head.as_bytes()).expect("written");
    socket.write_all(body.as_bytes()).expect("written");
    socket
}

const PATIENCE: Duration = Duration::from_secs(20);
