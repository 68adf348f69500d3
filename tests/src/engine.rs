//! A simulated engine in a process of its own, and the faults that tests give it.

use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use crate::http::{Request, Response};
use crate::process::Server;
use crate::runtime;

/// A running engine.
#[derive(Debug)]
pub struct Engine(Server);

/// What an engine does wrong.
#[derive(Clone, Copy, Debug)]
pub enum Fault {
    /// Answers with this status.
    Status(u16),
    /// Takes the request and never answers.
    Hang,
    /// Falls silent within a stream.
    Stall,
    /// Falls silent after the first event of a stream.
    StallAfterFirst,
    /// Closes the connection within a stream.
    Cut,
    /// Reports an error within a stream.
    ErrorInStream,
    /// Reports an error as the first event of a stream.
    ErrorInStreamAtOnce,
    /// Sends events that are none.
    MalformedSse,
}

/// A request as the engine received it.
#[derive(Clone, Debug)]
pub struct Received(Value);

impl Engine {
    /// Starts an engine that answers at once.
    pub fn start(name: &str, folder: &Path) -> Self {
        let mut command = Command::new(runtime::tidegate_binary());
        command.args([
            "engine",
            "--listen",
            "127.0.0.1:0",
            "--model",
            MODEL,
            "--profile",
            "instant",
            "--seed",
            "7",
        ]);
        Self(Server::start(name, &command, folder))
    }

    /// Its base URL.
    pub fn url(&self) -> String {
        self.0.url.clone()
    }

    /// Does `fault` from now on with requests whose text contains `marker`.
    pub fn fault(&self, marker: &str, fault: Fault) {
        self.set(marker, fault, Value::Null);
    }

    /// Does `fault` with the next `times` requests whose text contains `marker`.
    pub fn fault_times(&self, marker: &str, fault: Fault, times: u32) {
        self.set(marker, fault, json!(times));
    }

    fn set(&self, marker: &str, fault: Fault, times: Value) {
        let mut body = fault.to_json();
        body["match"] = json!(marker);
        body["times"] = times;
        let response = self.send(&Request::post("/sim/faults", body.to_string()));
        assert_eq!(response.status, 200, "{}", response.text());
    }

    /// The requests to generate whose text contains `marker`, in order.
    pub fn requests(&self, marker: &str) -> Vec<Received> {
        let response = self.send(&Request::get("/sim/requests"));
        let requests = response.json()["requests"].as_array().expect("a list").clone();
        requests
            .into_iter()
            .filter(|request| request.to_string().contains(marker))
            .map(Received)
            .collect()
    }

    /// Sequences that it runs now.
    pub fn running(&self) -> u64 {
        let metrics = self.send(&Request::get("/metrics"));
        let lines = metrics
            .text()
            .lines()
            .filter(|line| line.starts_with("vllm:num_requests_running"));
        lines
            .filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok())
            .sum::<f64>() as u64
    }

    fn send(&self, request: &Request) -> Response {
        request.send(self.0.address())
    }
}

impl Fault {
    fn to_json(self) -> Value {
        match self {
            Self::Status(status) => json!({"kind": "status", "status": status}),
            Self::Hang => json!({"kind": "hang"}),
            Self::Stall => json!({"kind": "stall", "after": 3}),
            Self::StallAfterFirst => json!({"kind": "stall", "after": 1}),
            Self::Cut => json!({"kind": "cut", "after": 3}),
            Self::ErrorInStream => json!({"kind": "error_in_stream", "after": 3}),
            Self::ErrorInStreamAtOnce => json!({"kind": "error_in_stream", "after": 0}),
            Self::MalformedSse => json!({"kind": "malformed_sse", "after": 3}),
        }
    }
}

impl Received {
    /// A header's value.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.0["headers"][name].as_str()
    }
}

/// The name that engines of the suite serve their model under.
const MODEL: &str = "sim";
