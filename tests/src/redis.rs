//! A Redis of the tests' own: on a free port of loopback, with nothing on disk, ended with its handle.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::Command;

use crate::process::{READY_WITHIN, ReadyLine, Server, free_port};
use crate::runtime;

/// A running Redis or Valkey.
#[derive(Debug)]
pub struct Redis {
    server: Option<Server>,
    command: Command,
    folder: std::path::PathBuf,
    port: u16,
}

/// A password that nothing may print.
pub const PASSWORD: &str = "hunter2-of-redis";

impl Redis {
    /// Starts `program` with a password; its log goes to `folder`.
    pub fn start(program: &Path, folder: &Path) -> Self {
        let port = free_port();
        let mut command = Command::new(program);
        command.args(["--bind", "127.0.0.1", "--port", &port.to_string()]);
        command.args(["--save", "", "--appendonly", "no", "--requirepass", PASSWORD]);
        command.arg("--dir").arg(folder);
        let mut redis = Self {
            server: None,
            command,
            folder: folder.to_owned(),
            port,
        };
        redis.restart();
        redis
    }

    /// Starts one in `folder` where the gateway under test is to keep its state in Redis.
    pub fn if_wanted(folder: &Path) -> Option<Self> {
        runtime::redis_server().map(|program| Self::start(&program, folder))
    }

    /// Puts a configuration into the store, as an operator does.
    pub fn put_config(&self, config: &str) {
        let put = self.command(&[b"SET", b"tidegate:1:store:config", config.as_bytes()]);
        assert_eq!(put, "+OK");
    }

    /// Where it is, as `host:port`.
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Its URL, without the password.
    pub fn url(&self) -> String {
        format!("redis://{}", self.address())
    }

    /// Its URL with the password.
    pub fn url_with_password(&self) -> String {
        format!("redis://:{PASSWORD}@{}", self.address())
    }

    /// Ends it, with all that it holds.
    pub fn stop(&mut self) {
        self.server = None;
    }

    /// Starts it again, empty, at the same address.
    pub fn restart(&mut self) {
        self.stop();
        let url = self.url();
        let line = ReadyLine::saying(READY_WITHIN, move |line| {
            line.contains("eady to accept connections").then(|| url.clone())
        });
        self.server = Some(Server::start_saying("redis", &self.command, &self.folder, line));
    }

    /// Sends one command and returns the reply as it comes over the wire: `+OK`, `:3`, `$5 value` or `*2 …`, with a
    /// space for each end of a line.
    pub fn command(&self, arguments: &[&[u8]]) -> String {
        let mut socket = TcpStream::connect(self.address()).expect("Redis accepts connections");
        socket
            .write_all(&encoded(&[b"AUTH", PASSWORD.as_bytes()]))
            .expect("sent");
        socket.write_all(&encoded(arguments)).expect("sent");
        let mut reader = BufReader::new(socket);
        assert_eq!(reply(&mut reader), "+OK");
        reply(&mut reader)
    }
}

fn encoded(arguments: &[&[u8]]) -> Vec<u8> {
    let mut bytes = format!("*{}\r\n", arguments.len()).into_bytes();
    for argument in arguments {
        bytes.extend_from_slice(format!("${}\r\n", argument.len()).as_bytes());
        bytes.extend_from_slice(argument);
        bytes.extend_from_slice(b"\r\n");
    }
    bytes
}

fn reply(reader: &mut impl BufRead) -> String {
    let mut line = String::new();
    reader.read_line(&mut line).expect("a reply");
    let line = line.trim_end().to_owned();
    let count = || line[1..].parse().unwrap_or(0);
    match line.as_bytes().first() {
        Some(b'$') if line != "$-1" => {
            let mut value = vec![0; count() + 2];
            reader.read_exact(&mut value).expect("a value");
            format!("{line} {}", String::from_utf8_lossy(&value[..count()]))
        }
        Some(b'*') => (0..count()).fold(line.clone(), |all, _| format!("{all} {}", reply(reader))),
        _ => line,
    }
}
