//! `tidegate engine` as a process.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};

/// Ends with the test.
struct Engine(Child);

impl Drop for Engine {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

fn exchange(address: &str, request: &str) -> String {
    let mut connection = TcpStream::connect(address).expect("it listens");
    connection.write_all(request.as_bytes()).expect("it reads");
    let mut answer = String::new();
    connection.read_to_string(&mut answer).expect("it answers");
    answer
}

#[test]
fn one_process_carries_an_engine_at_each_address_and_they_share_nothing() {
    let listen = ["--listen", "127.0.0.1:0", "--listen", "127.0.0.1:0"];
    let mut command = Command::new(env!("CARGO_BIN_EXE_tidegate"));
    command
        .args(["engine", "--model", "m", "--profile", "instant"])
        .args(listen);
    let mut engine = Engine(command.stdout(Stdio::piped()).spawn().expect("it starts"));
    let lines = BufReader::new(engine.0.stdout.take().expect("a pipe")).lines();
    let urls: Vec<String> = lines.take(2).map(|line| line.expect("a line")).collect();
    let [one, other] = [0, 1].map(|number: usize| urls[number].trim_start_matches("ready url=http://"));
    assert_ne!(one, other);
    let body = r#"{"model":"m","prompt":"tides","max_tokens":1}"#;
    let length = body.len();
    let head =
        format!("host: {one}\r\nconnection: close\r\ncontent-type: application/json\r\ncontent-length: {length}");
    let answer = exchange(one, &format!("POST /v1/completions HTTP/1.1\r\n{head}\r\n\r\n{body}"));
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    let counted = |address: &str| {
        let page = exchange(
            address,
            &format!("GET /sim/requests?limit=0 HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n"),
        );
        page.contains("\"finished\":1")
    };
    assert_eq!([one, other].map(counted), [true, false]);
}
