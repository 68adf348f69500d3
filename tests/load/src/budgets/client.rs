//! One client.

use std::io::{Error, ErrorKind, Result};
use std::net::SocketAddr;
use std::time::Duration;

use memchr::memmem;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::BudgetLoad;
use crate::message::Reader;

/// Sends the same request again and again.
#[derive(Debug)]
pub struct Client {
    to: Vec<SocketAddr>,
    /// The gateway in use.
    at: usize,
    connection: Option<Connection>,
    request: Vec<u8>,
    tokens: u64,
    begin: Instant,
    end: Instant,
}

/// One request, and what came of it. Times are from the load's beginning.
#[derive(Clone, Copy, Debug)]
pub struct Try {
    /// Before its first byte was sent.
    pub sent: Duration,
    /// When the whole answer was there.
    pub answered: Duration,
    /// What it takes, and reserves.
    pub tokens: u64,
    /// Whether it came exactly when a refusal had told it to.
    pub is_as_told: bool,
    /// How it ended.
    pub outcome: Outcome,
}

/// How a request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// With an answer.
    Admitted,
    /// It is to come again after that long.
    Refused(Duration),
    /// The gateway was gone before the answer.
    Lost,
}

#[derive(Debug)]
struct Connection {
    socket: TcpStream,
    reader: Reader,
}

impl Client {
    /// The client of that number. Its requests are of one of [`PROMPTS`] lengths.
    pub fn new(load: &BudgetLoad, number: u32, begin: Instant) -> Self {
        let at = number as usize % load.to.len();
        // Each gateway gets requests of all lengths.
        let prompt = PROMPTS[number as usize / load.to.len() % PROMPTS.len()];
        Self {
            to: load.to.clone(),
            at,
            connection: None,
            request: request(&load.key, number, prompt),
            tokens: prompt as u64 + OUTPUT,
            begin,
            end: begin + load.time,
        }
    }

    /// Goes on until the load's time is over.
    pub async fn run(mut self) -> Result<Vec<Try>> {
        let mut tries: Vec<Try> = Vec::new();
        loop {
            let told = tries.last().map(|last| last.outcome);
            if let Some(Outcome::Refused(wait)) = told {
                sleep_until((Instant::now() + wait).min(self.end)).await;
            }
            if Instant::now() >= self.end {
                return Ok(tries);
            }
            if self.connection.is_none() && !self.connect().await {
                continue;
            }
            let sent = self.begin.elapsed();
            let outcome = timeout(PATIENCE, self.ask()).await;
            let outcome = outcome.map_err(|_| Error::from(ErrorKind::TimedOut))??;
            tries.push(Try {
                sent,
                answered: self.begin.elapsed(),
                tokens: self.tokens,
                is_as_told: matches!(told, Some(Outcome::Refused(_))),
                outcome,
            });
        }
    }

    /// Whether there is a connection now. Where there is none, the next gateway is up next.
    async fn connect(&mut self) -> bool {
        let socket = TcpStream::connect(self.to[self.at]).await;
        if let Ok(socket) = socket
            && socket.set_nodelay(true).is_ok()
        {
            let reader = Reader::default();
            self.connection = Some(Connection { socket, reader });
            return true;
        }
        self.at = (self.at + 1) % self.to.len();
        sleep(RECONNECT).await;
        false
    }

    async fn ask(&mut self) -> Result<Outcome> {
        let Some(connection) = &mut self.connection else {
            return Err(ErrorKind::NotConnected.into());
        };
        match connection.exchange(&self.request).await {
            Ok(outcome) => Ok(outcome),
            Err(error) if error.kind() == ErrorKind::InvalidData => Err(error),
            Err(_broken) => {
                self.connection = None;
                Ok(Outcome::Lost)
            }
        }
    }
}

impl Connection {
    async fn exchange(&mut self, request: &[u8]) -> Result<Outcome> {
        self.socket.write_all(request).await?;
        let Some(answer) = self.reader.next(&mut self.socket).await? else {
            return Err(ErrorKind::UnexpectedEof.into());
        };
        let status = |code: &[u8]| {
            answer
                .head
                .strip_prefix(b"HTTP/1.1 ")
                .is_some_and(|rest| rest.starts_with(code))
        };
        if status(b"200 ") {
            return Ok(Outcome::Admitted);
        }
        match retry_after(answer.head).filter(|_| status(b"429 ")) {
            Some(wait) => Ok(Outcome::Refused(wait)),
            None => {
                let said = String::from_utf8_lossy(&[answer.head, answer.body].concat()).into_owned();
                Err(Error::new(ErrorKind::InvalidData, said))
            }
        }
    }
}

/// What the header `retry-after-ms` says.
fn retry_after(head: &[u8]) -> Option<Duration> {
    const NAME: &[u8] = b"\r\nretry-after-ms: ";
    let value = &head[memmem::find(head, NAME)? + NAME.len()..];
    let digits = value.split(|byte| !byte.is_ascii_digit()).next()?;
    let millis = std::str::from_utf8(digits).ok()?.parse().ok()?;
    Some(Duration::from_millis(millis))
}

/// A completion of so many tokens, told apart from other clients' by its first.
fn request(key: &str, number: u32, prompt: usize) -> Vec<u8> {
    let tokens: String = std::iter::once(number.to_string())
        .chain(std::iter::repeat_n("7".to_owned(), prompt - 1))
        .collect::<Vec<_>>()
        .join(",");
    let body = format!("{{\"model\":\"bench\",\"prompt\":[{tokens}],\"max_tokens\":{OUTPUT}}}");
    format!(
        "POST /v1/completions HTTP/1.1\r\nhost: bench\r\nauthorization: Bearer {key}\r\ncontent-type: \
         application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

/// Tokens of prompts: long ones must not starve beside short ones.
const PROMPTS: [usize; 4] = [40, 90, 190, 390];
/// Tokens of every answer, and the most that is asked for.
const OUTPUT: u64 = 10;
/// The most time for one answer.
const PATIENCE: Duration = Duration::from_secs(20);
const RECONNECT: Duration = Duration::from_millis(20);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_tells_how_long_to_wait() {
        let wait = retry_after(b"HTTP/1.1 429 Too Many Requests\r\nretry-after-ms: 1250\r\nretry-after: 2\r\n\r\n");
        assert_eq!(wait, Some(Duration::from_millis(1_250)));
        assert_eq!(
            retry_after(b"HTTP/1.1 429 Too Many Requests\r\nretry-after: 2\r\n\r\n"),
            None
        );
    }

    #[test]
    fn a_prompt_has_as_many_tokens_as_it_counts_for() {
        let request = String::from_utf8(request("key", 63, 40)).expect("text");
        let (_, body) = request.split_once("\r\n\r\n").expect("a body");
        let body: serde_json::Value = serde_json::from_str(body).expect("JSON");
        assert_eq!(body["prompt"].as_array().map(Vec::len), Some(40));
        assert_eq!(body["max_tokens"], OUTPUT);
    }
}
