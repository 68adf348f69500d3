//! Asks over connections that are kept: as many as there are requests under way.

use std::cell::RefCell;
use std::collections::HashMap;
use std::io::{Error, ErrorKind, Result};
use std::net::SocketAddr;

use memchr::memmem;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::time::Instant;

use super::schedule::Request;
use crate::message::Reader;

/// Idle connections by where they lead.
#[derive(Debug)]
pub struct Client {
    keys: Vec<String>,
    idle: RefCell<HashMap<SocketAddr, Vec<TcpStream>>>,
}

/// An answer that was a success, and whole.
#[derive(Clone, Copy, Debug)]
pub struct Answer {
    /// When its first event was there.
    pub first_event: Instant,
}

impl Client {
    /// One that sends each tenant's bearer token, the last for those that have none.
    pub fn new(keys: Vec<String>) -> Self {
        Self {
            keys,
            idle: RefCell::default(),
        }
    }

    /// Sends the request.
    ///
    /// # Errors
    /// When the connection breaks, or the answer is no success or not whole.
    pub async fn ask(&self, to: SocketAddr, request: &Request, on_first: impl FnOnce()) -> Result<Answer> {
        let mut connection = self.connection(to).await?;
        let body = request.body();
        let key = self.keys.get(request.tenant).or(self.keys.last());
        let head = format!(
            "POST {} HTTP/1.1\r\nhost: {to}\r\nauthorization: Bearer {}\r\ncontent-type: application/json\r\n\
             user-agent: tidegate-load\r\ncontent-length: {}\r\n\r\n",
            request.path(),
            key.map_or("none", String::as_str),
            body.len()
        );
        connection.write_all((head + &body).as_bytes()).await?;
        drop(body);
        let mut reader = Reader::default();
        let first_event = reader.until(&mut connection, EVENT).await?;
        on_first();
        let Some(answer) = reader.next(&mut connection).await? else {
            return Err(ErrorKind::UnexpectedEof.into());
        };
        let end = &answer.body[answer.body.len().saturating_sub(END_BYTES)..];
        let is_whole = memmem::find(end, b"[DONE]").is_some();
        match first_event.filter(|_| is_whole) {
            Some(first_event) => {
                self.idle.borrow_mut().entry(to).or_default().push(connection);
                Ok(Answer { first_event })
            }
            None => Err(failure(answer.head, answer.body)),
        }
    }

    async fn connection(&self, to: SocketAddr) -> Result<TcpStream> {
        let kept = self.idle.borrow_mut().get_mut(&to).and_then(Vec::pop);
        match kept {
            Some(connection) => Ok(connection),
            None => {
                let connection = TcpStream::connect(to).await?;
                connection.set_nodelay(true)?;
                Ok(connection)
            }
        }
    }
}

/// What was said, as far as it fits into a line.
fn failure(head: &[u8], body: &[u8]) -> Error {
    let status = head.split(|byte| *byte == b'\r').next().unwrap_or_default();
    let said = [status, b" ", &body[..body.len().min(SAID_BYTES)]].concat();
    Error::new(
        ErrorKind::InvalidData,
        String::from_utf8_lossy(&said).replace(['\r', '\n'], " "),
    )
}

/// What an event with data begins with.
const EVENT: &[u8] = b"data:";
/// How far from its end a stream's `[DONE]` may stand, with the framing after it.
const END_BYTES: usize = 64;
const SAID_BYTES: usize = 300;
