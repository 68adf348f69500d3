//! An upstream that answers what a test writes, byte for byte and moment for moment, and keeps what it received.
//! The simulated engines misbehave as engines do; this one misbehaves in any way at all.

use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

/// The upstream. It listens until the process ends.
#[derive(Clone, Debug)]
pub struct Scripted {
    address: SocketAddr,
    scripts: Arc<Mutex<HashMap<String, Script>>>,
}

/// What it answers to requests whose text contains a marker.
#[derive(Clone, Debug, Default)]
pub struct Script {
    steps: Vec<Step>,
    seen: Vec<Seen>,
}

/// A request as it arrived.
#[derive(Clone, Debug)]
pub struct Seen {
    /// Request line and headers, as text.
    pub head: String,
    /// The body's bytes.
    pub body: Vec<u8>,
    /// When each step of the script was done, for those that are.
    pub steps_done: Vec<Instant>,
    /// When the gateway closed the connection while the script was still running.
    pub left_at: Option<Instant>,
}

impl Seen {
    /// The body as text, without the salt that the gateway adds last for engines that know salts.
    pub fn body_without_salt(&self) -> String {
        let body = String::from_utf8_lossy(&self.body);
        match body.split_once(r#","cache_salt":""#) {
            Some((before, salt)) => [before, &salt[SALT_LENGTH + 1..]].concat(),
            None => body.into_owned(),
        }
    }
}

#[derive(Clone, Debug)]
enum Step {
    Send(Vec<u8>),
    Wait(Duration),
    Close,
    SwallowNext,
}

impl Script {
    /// Starts with a complete JSON answer.
    pub fn json(body: &str) -> Self {
        Self::answer("application/json", body)
    }

    /// Starts with a complete answer of status 200.
    pub fn answer(content_type: &str, body: &str) -> Self {
        Self::raw(format!(
            "HTTP/1.1 200 OK\r\ncontent-type: {content_type}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
            body.len()
        ))
    }

    /// Starts with the head of a stream, whose body ends when the connection does.
    pub fn stream() -> Self {
        Self::raw("HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n")
    }

    /// Starts with bytes of the test's own.
    pub fn raw(bytes: impl AsRef<[u8]>) -> Self {
        Self::default().then(bytes)
    }

    /// Sends more bytes.
    pub fn then(mut self, bytes: impl AsRef<[u8]>) -> Self {
        self.steps.push(Step::Send(bytes.as_ref().to_vec()));
        self
    }

    /// Waits before going on.
    pub fn wait(mut self, millis: u64) -> Self {
        self.steps.push(Step::Wait(Duration::from_millis(millis)));
        self
    }

    /// Waits for another request over the same connection, reads it, and closes without an answer.
    pub fn swallow_next(mut self) -> Self {
        self.steps.push(Step::SwallowNext);
        self
    }

    /// Closes the connection on this side, and waits until the gateway has done so on its own.
    pub fn close(mut self) -> Self {
        self.steps.push(Step::Close);
        self
    }
}

impl Scripted {
    /// Starts listening on a free port.
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("an address");
        let upstream = Self {
            address,
            scripts: Arc::default(),
        };
        let server = upstream.clone();
        thread::spawn(move || {
            for connection in listener.incoming().flatten() {
                let server = server.clone();
                thread::spawn(move || server.answer(connection));
            }
        });
        upstream
    }

    /// Its base URL.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Answers requests that contain `marker`, in their bodies or, where they have none, in their heads, with `script` from now on.
    pub fn on(&self, marker: &str, script: Script) {
        self.scripts
            .lock()
            .expect("no test died here")
            .insert(marker.to_owned(), script);
    }

    /// The requests that contained `marker`.
    pub fn seen(&self, marker: &str) -> Vec<Seen> {
        self.scripts
            .lock()
            .expect("no test died here")
            .get(marker)
            .map(|script| script.seen.clone())
            .unwrap_or_default()
    }

    /// Answers one request and closes.
    fn answer(&self, mut connection: TcpStream) {
        let Some((head, body)) = read_request(&mut connection) else {
            return;
        };
        let Some((request, steps)) = self.receive(head, body) else {
            let _ = connection.write_all(b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
            return;
        };
        for step in steps {
            let here = match step {
                Step::Send(bytes) => connection.write_all(&bytes).is_ok(),
                Step::Wait(duration) => !leaves_within(&mut connection, duration),
                Step::SwallowNext => {
                    let _ = connection.set_read_timeout(Some(PATIENCE));
                    read_request(&mut connection).is_some()
                }
                Step::Close => {
                    connection.shutdown(Shutdown::Write).is_ok() && !leaves_within(&mut connection, PATIENCE)
                }
            };
            if !here {
                return self.note(&request, |seen| seen.left_at = Some(Instant::now()));
            }
            self.note(&request, |seen| seen.steps_done.push(Instant::now()));
        }
    }

    /// Notes a request and finds what to do with it; of several markers in its body, or in its head where it has none, the
    /// longest counts.
    fn receive(&self, head: String, body: Vec<u8>) -> Option<(Noted, Vec<Step>)> {
        let text = if body.is_empty() {
            head.clone()
        } else {
            String::from_utf8_lossy(&body).into_owned()
        };
        let mut scripts = self.scripts.lock().expect("no test died here");
        let matching = scripts.iter_mut().filter(|(marker, _)| text.contains(*marker));
        let (marker, script) = matching.max_by_key(|(marker, _)| marker.len())?;
        let request = Noted {
            marker: marker.clone(),
            number: script.seen.len(),
        };
        script.seen.push(Seen {
            head,
            body,
            steps_done: Vec::new(),
            left_at: None,
        });
        Some((request, script.steps.clone()))
    }

    fn note(&self, request: &Noted, change: impl FnOnce(&mut Seen)) {
        let mut scripts = self.scripts.lock().expect("no test died here");
        let script = scripts.get_mut(&request.marker);
        // A test that sets the script anew forgets what was seen under the old one.
        if let Some(seen) = script.and_then(|script| script.seen.get_mut(request.number)) {
            change(seen);
        }
    }
}

/// Where a request is noted.
struct Noted {
    marker: String,
    number: usize,
}

/// Reads a request whose body has a `content-length`, or none.
pub(crate) fn read_request(connection: &mut TcpStream) -> Option<(String, Vec<u8>)> {
    let mut bytes = Vec::new();
    loop {
        if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
            let length = content_length(&head);
            if bytes.len() >= end + 4 + length {
                return Some((head, bytes[end + 4..end + 4 + length].to_vec()));
            }
        }
        let mut piece = [0; 16 << 10];
        match connection.read(&mut piece) {
            Ok(0) | Err(_) => return None,
            Ok(read) => bytes.extend_from_slice(&piece[..read]),
        }
    }
}

pub(crate) fn content_length(head: &str) -> usize {
    let lines = head.lines().filter_map(|line| line.split_once(':'));
    let mut lengths = lines.filter(|(name, _)| name.eq_ignore_ascii_case("content-length"));
    lengths
        .next()
        .and_then(|(_, value)| value.trim().parse().ok())
        .unwrap_or(0)
}

/// Whether the other side closes the connection within that time.
fn leaves_within(connection: &mut TcpStream, duration: Duration) -> bool {
    let until = Instant::now() + duration;
    let mut byte = [0];
    while let Some(left) = until
        .checked_duration_since(Instant::now())
        .filter(|left| !left.is_zero())
    {
        let _ = connection.set_read_timeout(Some(left));
        match connection.read(&mut byte) {
            Ok(0) => return true,
            Ok(_) => {}
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => return true,
            Err(_) => {}
        }
    }
    false
}

/// Longer than anybody keeps a connection that the other side has closed.
const PATIENCE: Duration = Duration::from_secs(8);

/// Digits of a salt.
const SALT_LENGTH: usize = 32;
