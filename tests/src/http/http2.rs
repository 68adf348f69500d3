//! A client of HTTP/2 over TLS that writes frame by frame (RFC 9113), so that tests can write those that no proper client
//! would. It speaks to the gateways that [`Http2::options`] makes, whose certificate is good for nothing else.

use std::io::{self, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore};

use super::connect;
use crate::gateway::NativeOptions;

/// A connection on which nothing is sent but what a test sends.
#[derive(Debug)]
pub struct Http2 {
    socket: TcpStream,
    tls: ClientConnection,
    received: Vec<u8>,
    reads: bool,
}

/// A frame to be sent.
#[derive(Clone, Copy, Debug)]
pub struct Frame<'a> {
    /// One of the constants here.
    pub kind: u8,
    /// Its flags, such as [`END_STREAM`].
    pub flags: u8,
    /// The stream that it is about; 0 for the connection.
    pub stream: u32,
    /// What follows its head; up to 16,384 bytes are allowed.
    pub payload: &'a [u8],
}

impl Http2 {
    /// How a gateway is run that speaks HTTP/2.
    pub fn options() -> NativeOptions {
        let identity = concat!(env!("CARGO_MANIFEST_DIR"), "/src/http/identity");
        let certificate = format!("{identity}/certificate.pem");
        let arguments = ["--tls-cert", &certificate, "--tls-key", &format!("{identity}/key.pem")];
        NativeOptions {
            arguments: arguments.map(str::to_owned).to_vec(),
            open_files: None,
        }
    }

    /// Connects, and says what a client says first.
    pub fn connect(address: &str) -> Self {
        let name = ServerName::try_from("localhost").expect("a name");
        let tls = ClientConnection::new(config(), name).expect("a client");
        let socket = connect(address);
        socket.set_nonblocking(true).expect("a socket may be so");
        let mut client = Self {
            socket,
            tls,
            received: Vec::new(),
            reads: true,
        };
        let settings = Frame::new(SETTINGS, 0, 0, &[]).to_bytes();
        client.send(&[b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".as_slice(), &settings].concat());
        client
    }

    /// Reads nothing any more.
    pub fn stop_reading(&mut self) {
        self.reads = false;
    }

    /// Sends bytes, and reads what comes meanwhile; `false` where the server has ended the connection, or takes nothing
    /// for [`STALLED_AFTER`].
    pub fn send(&mut self, bytes: &[u8]) -> bool {
        let mut rest = bytes;
        let mut moved_at = Instant::now();
        while !rest.is_empty() || self.tls.wants_write() || self.tls.is_handshaking() {
            let taken = self.tls.writer().write(rest).unwrap_or(0);
            rest = &rest[taken..];
            match self.turn() {
                Ok(moved) if moved || taken > 0 => moved_at = Instant::now(),
                Ok(_) if moved_at.elapsed() < STALLED_AFTER => thread::sleep(PAUSE),
                Ok(_) | Err(_) => return false,
            }
        }
        true
    }

    /// Waits until the server has read all that was sent, and tells whether it has kept the connection.
    pub fn is_kept(&mut self) -> bool {
        const MARK: [u8; 8] = *b"all read";
        self.reads = true;
        self.send(&Frame::new(PING, 0, 0, &MARK).to_bytes())
            && self
                .await_frame(|kind, _, payload| (kind == PING && payload == MARK).then_some(()))
                .is_some()
    }

    /// Sends a `POST` with that key and body, or a `GET` where there is no body, as the connection's first request, and
    /// gives the answer's text; `None` where its status is not 200, or it does not come.
    pub fn ask(mut self, path: &str, key: &str, body: Option<&str>) -> Option<String> {
        let head = fields(if body.is_some() { "POST" } else { "GET" }, path, key);
        let ends = if body.is_some() { 0 } else { END_STREAM };
        let mut request = Frame::new(HEADERS, END_HEADERS | ends, 1, &head).to_bytes();
        if let Some(body) = body {
            request.extend(Frame::new(DATA, END_STREAM, 1, body.as_bytes()).to_bytes());
        }
        self.send(&request).then_some(())?;
        let mut text = Vec::new();
        let is_answered = self.await_frame(|kind, flags, payload| {
            let is_answer = matches!(kind, HEADERS | DATA);
            if kind == HEADERS && payload.first() != Some(&STATUS_200) {
                return Some(false);
            }
            if kind == DATA {
                text.extend_from_slice(&payload);
            }
            (is_answer && flags & END_STREAM > 0).then_some(true)
        });
        is_answered.filter(|is_answered| *is_answered)?;
        String::from_utf8(text).ok()
    }

    /// Reads until a frame is what is waited for, by its kind, its flags and its payload; `None` where none is in time.
    fn await_frame<T>(&mut self, mut found: impl FnMut(u8, u8, Vec<u8>) -> Option<T>) -> Option<T> {
        let begun = Instant::now();
        loop {
            while let Some((kind, flags, payload)) = self.take_frame() {
                if let Some(found) = found(kind, flags, payload) {
                    return Some(found);
                }
            }
            if !self.turn().ok()? {
                (begun.elapsed() < ANSWERED_WITHIN).then_some(())?;
                thread::sleep(PAUSE);
            }
        }
    }

    /// The next frame that is here as a whole: its kind, its flags, its payload.
    fn take_frame(&mut self) -> Option<(u8, u8, Vec<u8>)> {
        let [a, b, c, kind, flags, ..] = self.received[..] else {
            return None;
        };
        let end = FRAME_HEAD + u32::from_be_bytes([0, a, b, c]) as usize;
        let payload = self.received.get(FRAME_HEAD..end)?.to_vec();
        self.received.drain(..end);
        Some((kind, flags, payload))
    }

    /// Writes and reads what can be at once, and tells whether there was any.
    fn turn(&mut self) -> io::Result<bool> {
        let mut moved = false;
        while self.tls.wants_write() && has_moved(self.tls.write_tls(&mut self.socket))? {
            moved = true;
        }
        if (self.reads || self.tls.is_handshaking()) && has_moved(self.tls.read_tls(&mut self.socket))? {
            moved = true;
            self.tls.process_new_packets().map_err(io::Error::other)?;
            let mut bytes = [0; 16 << 10];
            while let Ok(read @ 1..) = self.tls.reader().read(&mut bytes) {
                self.received.extend_from_slice(&bytes[..read]);
            }
        }
        Ok(moved)
    }
}

/// Whether bytes went over; an error where the connection has ended.
fn has_moved(went: io::Result<usize>) -> io::Result<bool> {
    match went {
        Ok(0) => Err(ErrorKind::UnexpectedEof.into()),
        Ok(_) => Ok(true),
        Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(false),
        Err(error) => Err(error),
    }
}

impl<'a> Frame<'a> {
    /// A frame of that kind.
    pub fn new(kind: u8, flags: u8, stream: u32, payload: &'a [u8]) -> Self {
        Self {
            kind,
            flags,
            stream,
            payload,
        }
    }

    /// As it goes over the wire.
    pub fn to_bytes(self) -> Vec<u8> {
        let length = u32::try_from(self.payload.len())
            .expect("a short payload")
            .to_be_bytes();
        let mut bytes = [&length[1..], &[self.kind, self.flags], &self.stream.to_be_bytes()].concat();
        bytes.extend_from_slice(self.payload);
        bytes
    }
}

/// A request's head as a block of fields, none of which the server is to remember.
pub fn fields(method: &str, path: &str, key: &str) -> Vec<u8> {
    let authorization = format!("Bearer {key}");
    let fields = [
        (":method", method),
        (":scheme", "https"),
        (":authority", "localhost"),
        (":path", path),
        ("content-type", "application/json"),
        ("authorization", &authorization),
    ];
    fields.iter().flat_map(|(name, value)| field(0, name, value)).collect()
}

/// One field as a literal (RFC 7541, section 6.2); `form` is 0, or [`REMEMBERED`].
pub fn field(form: u8, name: &str, value: &str) -> Vec<u8> {
    [&[form], text(name).as_slice(), &text(value)].concat()
}

/// A text with its length before it, without Huffman's code (RFC 7541, sections 5.1 and 5.2).
fn text(text: &str) -> Vec<u8> {
    const PREFIX: usize = 127;
    let mut bytes = Vec::new();
    if text.len() < PREFIX {
        bytes.push(text.len() as u8);
    } else {
        bytes.push(PREFIX as u8);
        let mut left = text.len() - PREFIX;
        while left >= 128 {
            bytes.push((left % 128 + 128) as u8);
            left /= 128;
        }
        bytes.push(left as u8);
    }
    bytes.extend_from_slice(text.as_bytes());
    bytes
}

/// Trusts the certificate of [`Http2::options`] alone.
fn config() -> Arc<ClientConfig> {
    let certificate =
        CertificateDer::from_pem_slice(include_bytes!("identity/certificate.pem")).expect("a certificate");
    let mut roots = RootCertStore::empty();
    roots.add(certificate).expect("a certificate");
    let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("ring speaks them")
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec()];
    Arc::new(config)
}

/// Kind of a frame: a piece of a body.
pub const DATA: u8 = 0;
/// Kind of a frame: the beginning of a head.
pub const HEADERS: u8 = 1;
/// Kind of a frame: the end of a stream before its time.
pub const RST_STREAM: u8 = 3;
/// Kind of a frame: what the sender wishes.
pub const SETTINGS: u8 = 4;
/// Kind of a frame: is to be answered.
pub const PING: u8 = 6;
/// Kind of a frame: more of a head.
pub const CONTINUATION: u8 = 9;
/// Flag: nothing follows on the stream.
pub const END_STREAM: u8 = 1;
/// Flag: the head is complete.
pub const END_HEADERS: u8 = 4;
/// Form of a field that the server is to remember.
pub const REMEMBERED: u8 = 0x40;
/// How long a server may take nothing before it counts as one that takes no more.
pub const STALLED_AFTER: Duration = Duration::from_secs(1);

/// Length of a frame's head.
const FRAME_HEAD: usize = 9;
/// `:status: 200` in the static table (RFC 7541, appendix A).
const STATUS_200: u8 = 0x88;
/// The most time for an answer.
const ANSWERED_WITHIN: Duration = Duration::from_secs(10);
const PAUSE: Duration = Duration::from_millis(1);
