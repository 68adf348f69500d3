//! A simulated engine in a process of its own, and the faults that tests give it.

use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use crate::http::{Exchange, Request, Response};
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
    /// Resets the connection once it has the request.
    Refuse,
    /// Takes the request and never answers.
    Hang,
    /// Falls silent after so many events of a stream.
    Stall(u32),
    /// Closes the connection after so many events of a stream.
    Cut(u32),
    /// Resets the connection after so many events of a stream.
    Reset(u32),
    /// Ends a stream in good order, but without `[DONE]`, after so many events.
    EndEarly(u32),
    /// Reports an error after so many events of a stream.
    StreamError(u32),
    /// Sends an event that is not JSON after so many good ones.
    Malformed(u32),
    /// Ends answers for this reason.
    FinishReason(&'static str),
    /// Calls a tool that the request does not declare.
    UndeclaredTool,
    /// Runs out of memory.
    OutOfMemory,
    /// Takes so many milliseconds for each token.
    Slow(u32),
    /// Sends pieces of so many bytes, a millisecond apart, and spells events in unusual ways.
    UnusualFraming(u32),
}

/// A request as the engine received it.
#[derive(Clone, Debug)]
pub struct Received(Value);

impl Engine {
    /// Starts an engine that answers at once.
    pub fn start(name: &str, folder: &Path) -> Self {
        Self(Server::start(name, &Self::command(), folder))
    }

    /// The same with a model's own tokenizer, by its name among [`runtime::tokenizers`].
    pub fn start_tokenizing(tokenizer: &str, folder: &Path) -> Self {
        let source = runtime::tokenizers().join(tokenizer);
        let mut command = Self::command();
        command.arg("--tokenizer").arg(source.join("tokenizer.json"));
        command
            .arg("--tokenizer-config")
            .arg(source.join("tokenizer_config.json"));
        Self(Server::start(tokenizer, &command, folder))
    }

    fn command() -> Command {
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
        command
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

    fn set(&self, marker: &str, fault: Fault, count: Value) {
        let mut body = fault.to_json();
        body["match"] = json!(marker);
        if !count.is_null() {
            body["count"] = count;
        }
        let response = self.send(&Request::post("/sim/faults", body.to_string()));
        assert_eq!(response.status, 200, "{}", response.text());
    }

    /// The requests to generate whose text contains `marker`, in order.
    pub fn requests(&self, marker: &str) -> Vec<Received> {
        let query = format!("/sim/requests?match={}", marker.replace(' ', "+"));
        let response = self.send(&Request::get(&query)).json();
        let requests = response["requests"].as_array().expect("a list");
        requests.iter().cloned().map(Received).collect()
    }

    /// The engine's own answer to a request.
    pub fn send(&self, request: &Request) -> Response {
        request.send(self.0.address())
    }

    /// The same, of which only the head is awaited.
    pub fn open(&self, request: &Request) -> Exchange {
        request.open(self.0.address())
    }
}

impl Fault {
    fn to_json(self) -> Value {
        match self {
            Self::Status(status) => json!({"kind": "status", "status": status}),
            Self::Refuse => json!({"kind": "refuse"}),
            Self::Hang => json!({"kind": "hang"}),
            Self::Stall(after) => json!({"kind": "stall", "after": after}),
            Self::Cut(after) => json!({"kind": "cut", "after": after}),
            Self::Reset(after) => json!({"kind": "cut", "after": after, "reset": true}),
            Self::EndEarly(after) => json!({"kind": "end_early", "after": after}),
            Self::StreamError(after) => json!({"kind": "stream_error", "after": after}),
            Self::Malformed(after) => json!({"kind": "malformed", "after": after}),
            Self::FinishReason(reason) => json!({"kind": "finish_reason", "reason": reason}),
            Self::UndeclaredTool => json!({"kind": "undeclared_tool"}),
            Self::OutOfMemory => json!({"kind": "out_of_memory"}),
            Self::Slow(factor) => json!({"kind": "slow", "factor": factor}),
            Self::UnusualFraming(split) => json!({
                "kind": "framing", "split": split, "pause_ms": 1, "crlf": true,
                "comments": true, "event_lines": true, "data_lines": true,
            }),
        }
    }
}

impl Received {
    /// A header's value.
    pub fn header(&self, name: &str) -> Option<&str> {
        let headers = self.0["headers"].as_array()?;
        headers.iter().find(|header| header[0] == name)?[1].as_str()
    }

    /// How it ended for the engine: `running`, `finished`, `failed`, or `aborted` by its client.
    pub fn outcome(&self) -> &str {
        self.0["outcome"].as_str().unwrap_or_default()
    }
}

/// The name that engines of the suite serve their model under.
const MODEL: &str = "sim";
