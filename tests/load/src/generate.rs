//! Sends requests over a fixed number of connections, each with one request at a time: as fast as they are answered,
//! or at a fixed rate.

use std::io::{Error, ErrorKind, Result};
use std::net::SocketAddr;
use std::time::Duration;

use memchr::memmem;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep_until, timeout};

use crate::message::Reader;
use crate::report::{Report, Timing};

/// What to send, and for how long.
#[derive(Debug)]
pub struct Load {
    /// Where to.
    pub to: SocketAddr,
    /// The bearer token.
    pub key: String,
    /// Whether to ask for streams.
    pub stream: bool,
    /// Which model.
    pub model: String,
    /// A path to get, in place of chat completions.
    pub get: Option<String>,
    /// Connections.
    pub connections: u32,
    /// Requests per second over all connections; none for as many as are answered.
    pub rate: Option<u32>,
    /// How long.
    pub time: Duration,
}

/// Sends the load, and says how it was answered.
///
/// # Errors
/// When a connection breaks, or an answer is no success or not whole: a measurement with errors in it is none.
pub async fn run(load: &Load) -> Result<Report> {
    let request: &'static [u8] = Box::leak(request(load).into_boxed_slice());
    let begin = Instant::now();
    let end = begin + load.time;
    let interval = load.rate.map(|rate| Duration::from_secs(1) * load.connections / rate);
    let mut tasks = Vec::new();
    for number in 0..load.connections {
        let pace = interval.map(|interval| SpendRate {
            next: begin + interval * number / load.connections,
            interval,
        });
        let mut connection = Connection::open(load.to, load.stream).await?;
        tasks.push(tokio::spawn(
            async move { connection.send_until(end, request, pace).await },
        ));
    }
    let mut timings = Vec::new();
    for task in tasks {
        timings.extend(task.await.map_err(Error::other)??);
    }
    Ok(Report::new(timings, begin.elapsed()))
}

/// When the next request is due.
#[derive(Clone, Copy, Debug)]
struct SpendRate {
    next: Instant,
    interval: Duration,
}

struct Connection {
    socket: TcpStream,
    reader: Reader,
    stream: bool,
}

impl Connection {
    async fn open(to: SocketAddr, stream: bool) -> Result<Self> {
        let socket = TcpStream::connect(to).await?;
        socket.set_nodelay(true)?;
        Ok(Self {
            socket,
            reader: Reader::default(),
            stream,
        })
    }

    /// Sends the request again and again until `end`.
    async fn send_until(&mut self, end: Instant, request: &[u8], mut pace: Option<SpendRate>) -> Result<Vec<Timing>> {
        let mut timings = Vec::new();
        loop {
            if let Some(pace) = &mut pace {
                sleep_until(pace.next.min(end)).await;
                pace.next += pace.interval;
            }
            if Instant::now() >= end {
                return Ok(timings);
            }
            let timing = timeout(PATIENCE, self.send(request)).await;
            timings.push(timing.map_err(|_| Error::from(ErrorKind::TimedOut))??);
        }
    }

    async fn send(&mut self, request: &[u8]) -> Result<Timing> {
        let begin = Instant::now();
        self.socket.write_all(request).await?;
        let Some(answer) = self.reader.next(&mut self.socket).await? else {
            return Err(ErrorKind::UnexpectedEof.into());
        };
        let timing = Timing {
            first_byte: answer.first_byte - begin,
            whole: begin.elapsed(),
        };
        let end = &answer.body[answer.body.len().saturating_sub(END_BYTES)..];
        let whole = if self.stream {
            memmem::find(end, b"[DONE]").is_some()
        } else {
            !end.is_empty()
        };
        if answer.head.starts_with(b"HTTP/1.1 200 ") && whole {
            return Ok(timing);
        }
        let said = [answer.head, answer.body].concat();
        Err(Error::new(
            ErrorKind::InvalidData,
            String::from_utf8_lossy(&said).into_owned(),
        ))
    }
}

/// The `GET` of a path, or a chat completion of about 600 bytes, as an SDK sends it.
fn request(load: &Load) -> Vec<u8> {
    if let Some(path) = &load.get {
        return format!(
            "GET {path} HTTP/1.1\r\nhost: {}\r\nuser-agent: tidegate-load\r\n\r\n",
            load.to
        )
        .into_bytes();
    }
    let stream = if load.stream { "\"stream\":true," } else { "" };
    let body = format!(
        "{{\"model\":\"{}\",{stream}\"temperature\":0.7,\"max_tokens\":256,\"messages\":[{{\"role\":\"system\",\
         \"content\":\"{SYSTEM}\"}},{{\"role\":\"user\",\"content\":\"Why is the sea salty?\"}}]}}",
        load.model
    );
    format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: {}\r\nauthorization: Bearer {}\r\ncontent-type: \
         application/json\r\naccept: application/json\r\nuser-agent: tidegate-load\r\ncontent-length: {}\r\n\r\n{body}",
        load.to,
        load.key,
        body.len()
    )
    .into_bytes()
}

const SYSTEM: &str = "You are the harbour master of a small port. You know tides, currents, weather, the ships that \
    call here and their cargo, and you answer visitors in two or three plain sentences. When you do not know an \
    answer you say so, and name somebody on the quay who might. You never guess at safety matters.";
/// The most time for one answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// How far from its end a stream's `[DONE]` may stand, with the framing after it.
const END_BYTES: usize = 64;
