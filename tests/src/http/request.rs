//! Requests, proper and improper.

use std::io::Write;

use super::{Exchange, Response, connect, find_header};

/// A request to be sent.
#[derive(Clone, Debug)]
pub struct Request {
    method: String,
    target: String,
    headers: Vec<(String, String)>,
    body: Option<Vec<u8>>,
}

impl Request {
    /// A request without a body.
    pub fn new(method: &str, target: &str) -> Self {
        Self {
            method: method.to_owned(),
            target: target.to_owned(),
            headers: Vec::new(),
            body: None,
        }
    }

    /// `GET target`.
    pub fn get(target: &str) -> Self {
        Self::new("GET", target)
    }

    /// `POST target` with a JSON body, sent exactly as given.
    pub fn post(target: &str, body: impl Into<Vec<u8>>) -> Self {
        Self::new("POST", target)
            .header("content-type", "application/json")
            .body(body)
    }

    /// Adds a header.
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Replaces a header.
    pub fn replace(mut self, name: &str, value: &str) -> Self {
        self.headers.retain(|(present, _)| !present.eq_ignore_ascii_case(name));
        self.header(name, value)
    }

    /// Adds `authorization: Bearer key`.
    pub fn key(self, key: &str) -> Self {
        self.replace("authorization", &format!("Bearer {key}"))
    }

    /// Replaces the target.
    pub fn target(mut self, target: &str) -> Self {
        self.target = target.to_owned();
        self
    }

    /// Sets the body; `content-length` follows from it unless a header says how long it is.
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = Some(body.into());
        self
    }

    /// The body; empty where there is none.
    pub fn body_bytes(&self) -> &[u8] {
        self.body.as_deref().unwrap_or_default()
    }

    /// The bytes that go over the wire to a server at `address`.
    pub fn to_bytes(&self, address: &str) -> Vec<u8> {
        let given = |name: &str| find_header(&self.headers, name).is_some();
        let mut head = format!("{} {} HTTP/1.1\r\nhost: {address}\r\n", self.method, self.target);
        for (name, value) in &self.headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        if !given("connection") {
            head.push_str("connection: close\r\n");
        }
        let body = self.body_bytes();
        if self.body.is_some() && !given("content-length") && !given("transfer-encoding") {
            head.push_str(&format!("content-length: {}\r\n", body.len()));
        }
        [head.as_bytes(), b"\r\n", body].concat()
    }

    /// Sends it and reads the whole answer.
    pub fn send(&self, address: &str) -> Response {
        self.open(address).finish()
    }

    /// Sends it and reads the head of the answer, which may come before everything is sent.
    pub fn open(&self, address: &str) -> Exchange {
        let mut connection = connect(address);
        let _ = connection.write_all(&self.to_bytes(address));
        Exchange::read(connection)
    }
}
