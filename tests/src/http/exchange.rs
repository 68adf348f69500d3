//! Answers, read as they arrive.

use std::io::Read;
use std::net::TcpStream;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::{PATIENCE, find_header};

/// An answer whose head has arrived. Dropping it closes the connection: the client leaves.
#[derive(Debug)]
pub struct Exchange {
    connection: TcpStream,
    /// What was read and not yet consumed.
    buffer: Vec<u8>,
    framing: Framing,
    body: Vec<u8>,
    pieces: Vec<Piece>,
    started: Instant,
    /// The status code.
    pub status: u16,
    headers: Vec<(String, String)>,
}

/// A part of a body as it came.
#[derive(Clone, Copy, Debug)]
pub struct Piece {
    /// When it arrived.
    pub at: Instant,
    /// Length of the body once it had arrived.
    pub end: usize,
}

/// A complete answer.
#[derive(Debug)]
pub struct Response {
    /// The status code.
    pub status: u16,
    headers: Vec<(String, String)>,
    /// The body without its framing.
    pub body: Vec<u8>,
    /// The body's parts in order.
    pub pieces: Vec<Piece>,
    /// Whether the body ended as its framing demands.
    pub complete: bool,
    /// From just after the request was sent to the end of the body.
    pub took: Duration,
}

#[derive(Debug)]
enum Framing {
    Length(usize),
    Chunked,
    UntilClose,
}

impl Exchange {
    /// Reads the head of an answer from a connection that a request was sent on.
    pub fn read(connection: TcpStream) -> Self {
        let mut exchange = Self {
            connection,
            buffer: Vec::new(),
            framing: Framing::UntilClose,
            body: Vec::new(),
            pieces: Vec::new(),
            started: Instant::now(),
            status: 0,
            headers: Vec::new(),
        };
        loop {
            let end = exchange.find(b"\r\n\r\n");
            let head: Vec<u8> = exchange.buffer.drain(..end + 4).collect();
            exchange.on_head(&String::from_utf8(head).expect("the head is text"));
            if exchange.status != 100 {
                return exchange;
            }
        }
    }

    fn on_head(&mut self, head: &str) {
        let mut lines = head.trim_end().split("\r\n");
        let status_line = lines.next().unwrap_or_default();
        assert!(status_line.starts_with("HTTP/1.1 "), "not HTTP/1.1: {status_line:?}");
        self.status = status_line[9..12].parse().expect("the status is a number");
        self.headers = lines
            .map(|line| line.split_once(':').unwrap_or_else(|| panic!("not a header: {line:?}")))
            .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
            .collect();
        let chunked = find_header(&self.headers, "transfer-encoding").is_some_and(|coding| coding == "chunked");
        let length = find_header(&self.headers, "content-length").map(|length| length.parse().expect("a length"));
        self.framing = match (chunked, length) {
            (true, _) => Framing::Chunked,
            (false, Some(length)) => Framing::Length(length),
            (false, None) => Framing::UntilClose,
        };
    }

    /// A header's value.
    pub fn header(&self, name: &str) -> Option<&str> {
        find_header(&self.headers, name)
    }

    /// Reads until the body so far contains `text`; panics when it ends without.
    pub fn read_until(&mut self, text: &str) {
        while !String::from_utf8_lossy(&self.body).contains(text) {
            assert!(
                self.read_piece().is_some(),
                "the body ended without {text:?}: {:?}",
                self.text()
            );
        }
    }

    /// The body so far.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// Reads the rest of the body.
    pub fn finish(mut self) -> Response {
        let complete = loop {
            match self.read_piece() {
                None => break true,
                Some(Ok(())) => {}
                Some(Err(())) => break false,
            }
        };
        let Self {
            started,
            status,
            headers,
            body,
            pieces,
            ..
        } = self;
        Response {
            status,
            headers,
            body,
            pieces,
            complete,
            took: started.elapsed(),
        }
    }

    /// Adds one piece to the body: `None` at its proper end, an error where the connection ends before that.
    fn read_piece(&mut self) -> Option<Result<(), ()>> {
        match self.framing {
            Framing::Length(length) if self.body.len() >= length => None,
            Framing::Length(_) => Some(self.take_available()),
            Framing::UntilClose => self.take_available().ok().map(Ok),
            Framing::Chunked => self.read_chunk(),
        }
    }

    fn take_available(&mut self) -> Result<(), ()> {
        if self.buffer.is_empty() && !self.fill() {
            return Err(());
        }
        let available = std::mem::take(&mut self.buffer);
        self.on_piece(&available);
        Ok(())
    }

    fn read_chunk(&mut self) -> Option<Result<(), ()>> {
        let Some(line_end) = self.try_find(b"\r\n") else {
            return Some(Err(()));
        };
        let line = String::from_utf8_lossy(&self.buffer[..line_end]).into_owned();
        let size = line.split(';').next().unwrap_or_default().trim();
        let size = usize::from_str_radix(size, 16).unwrap_or_else(|_| panic!("not a chunk size: {line:?}"));
        let start = line_end + 2;
        while self.buffer.len() < start + size + 2 {
            if !self.fill() {
                return Some(Err(()));
            }
        }
        let chunk = self.buffer[start..start + size].to_vec();
        self.buffer.drain(..start + size + 2);
        if size == 0 {
            return None;
        }
        self.on_piece(&chunk);
        Some(Ok(()))
    }

    fn on_piece(&mut self, piece: &[u8]) {
        self.body.extend_from_slice(piece);
        self.pieces.push(Piece {
            at: Instant::now(),
            end: self.body.len(),
        });
    }

    fn find(&mut self, what: &[u8]) -> usize {
        self.try_find(what).unwrap_or_else(|| {
            panic!(
                "the connection ended within a head: {:?}",
                String::from_utf8_lossy(&self.buffer)
            )
        })
    }

    fn try_find(&mut self, what: &[u8]) -> Option<usize> {
        loop {
            if let Some(at) = self.buffer.windows(what.len()).position(|window| window == what) {
                return Some(at);
            }
            if !self.fill() {
                return None;
            }
        }
    }

    /// Reads more bytes; `false` when the connection has ended.
    fn fill(&mut self) -> bool {
        let mut bytes = [0; 16 << 10];
        match self.connection.read(&mut bytes) {
            Ok(0) => false,
            Ok(read) => {
                self.buffer.extend_from_slice(&bytes[..read]);
                true
            }
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => false,
            Err(error) => panic!("no answer within {PATIENCE:?} ({error}); so far: {:?}", self.text()),
        }
    }
}

impl Response {
    /// A header's value.
    pub fn header(&self, name: &str) -> Option<&str> {
        find_header(&self.headers, name)
    }

    /// All headers, names in lower case.
    pub fn headers(&self) -> &[(String, String)] {
        &self.headers
    }

    /// The body as text.
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("the body is UTF-8")
    }

    /// The body as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("not JSON ({error}): {:?}", self.text()))
    }
}
