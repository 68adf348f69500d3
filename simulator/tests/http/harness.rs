//! An engine on a free port, and a client that shows exactly what came over the wire.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tidegate_simulator::{EngineOptions, Profile, bind};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

/// The model that every test asks for.
pub const MODEL: &str = "sim";

/// A running engine; stops when dropped.
pub struct Engine {
    pub address: SocketAddr,
    task: JoinHandle<()>,
}

/// An answer, read to its end or to where it broke off.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
    /// Frames as they came.
    pub frames: Vec<Bytes>,
    /// Whether the body came to its end.
    pub complete: bool,
}

impl Engine {
    pub async fn start(profile: Profile) -> Self {
        Self::with(profile, |_| {}).await
    }

    pub async fn with(profile: Profile, change: impl FnOnce(&mut EngineOptions)) -> Self {
        let mut options = EngineOptions::new(([127, 0, 0, 1], 0).into(), MODEL, profile, 7);
        change(&mut options);
        let server = bind(options).await.unwrap();
        Self {
            address: server.address(),
            task: tokio::spawn(server.run(std::future::pending())),
        }
    }

    pub async fn connect(&self) -> SendRequest<Full<Bytes>> {
        let stream = TcpStream::connect(self.address).await.unwrap();
        let (sender, connection) = handshake(TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        sender
    }

    /// Sends a request on a connection of its own; an error if there is no answer at all.
    pub async fn try_send(&self, request: Request<Full<Bytes>>) -> Result<Answer, hyper::Error> {
        let response = self.connect().await.send_request(request).await?;
        let (parts, mut body) = response.into_parts();
        let mut frames = Vec::new();
        let complete = loop {
            match body.frame().await {
                None => break true,
                Some(Err(_)) => break false,
                Some(Ok(frame)) => frames.extend(frame.into_data().ok()),
            }
        };
        Ok(Answer {
            status: parts.status,
            headers: parts.headers,
            body: frames.concat(),
            frames,
            complete,
        })
    }

    pub async fn post(&self, path: &str, body: &Value) -> Answer {
        self.try_send(request(Method::POST, path, body.to_string()))
            .await
            .unwrap()
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.try_send(request(Method::GET, path, "")).await.unwrap()
    }

    pub async fn delete(&self, path: &str) -> Answer {
        self.try_send(request(Method::DELETE, path, "")).await.unwrap()
    }

    pub async fn chat(&self, body: &Value) -> Answer {
        self.post("/v1/chat/completions", body).await
    }

    /// Switches on faults.
    pub async fn fault(&self, faults: Value) {
        let answer = self.post("/sim/faults", &faults).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
    }

    /// The value of a metric without further labels.
    pub async fn metric(&self, name: &str) -> f64 {
        let page = self.get("/metrics").await.text();
        let start = format!("{name}{{engine=\"0\",model_name=\"{MODEL}\"}} ");
        let line = page.lines().find_map(|line| line.strip_prefix(&start));
        line.unwrap_or_else(|| panic!("no {name} in {page}")).parse().unwrap()
    }

    pub async fn counter(&self, name: &str) -> u64 {
        self.get("/sim/requests?limit=0").await.json()["counters"][name]
            .as_u64()
            .unwrap()
    }

    /// Waits until `condition` holds; fails after five seconds.
    pub async fn until(&self, what: &str, mut condition: impl AsyncFnMut(&Self) -> bool) {
        for _ in 0..500 {
            if condition(self).await {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("never came: {what}");
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Answer {
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }

    /// The data of all events of a plainly framed stream, `[DONE]` as a string.
    pub fn events(&self) -> Vec<Value> {
        let text = self.text();
        let data = text.split("\n\n").filter_map(|event| event.strip_prefix("data: "));
        data.map(|data| serde_json::from_str(data).unwrap_or_else(|_| Value::String(data.to_owned())))
            .collect()
    }

    /// The text of the first choice of a stream or of a whole answer.
    pub fn content(&self) -> String {
        if self.headers["content-type"] == "application/json" {
            let choice = &self.json()["choices"][0];
            let text = choice["message"]["content"].as_str().or(choice["text"].as_str());
            return text.unwrap_or_default().to_owned();
        }
        let events = self.events();
        let pieces = events
            .iter()
            .filter(|event| event["choices"][0]["index"] == 0)
            .filter_map(|event| {
                let choice = &event["choices"][0];
                choice["delta"]["content"].as_str().or(choice["text"].as_str())
            });
        pieces.collect()
    }

    /// The finish reason of the first choice.
    pub fn finish_reason(&self) -> String {
        let events = if self.headers["content-type"] == "application/json" {
            vec![self.json()]
        } else {
            self.events()
        };
        let reason = events
            .iter()
            .rev()
            .find_map(|event| event["choices"][0]["finish_reason"].as_str());
        reason.unwrap_or_default().to_owned()
    }
}

pub fn request(method: Method, path: &str, body: impl Into<Bytes>) -> Request<Full<Bytes>> {
    Request::builder()
        .method(method)
        .uri(path)
        .header("host", "engine")
        .header("content-type", "application/json")
        .body(Full::new(body.into()))
        .unwrap()
}

/// A chat with one user message and further fields.
pub fn chat(text: &str, more: Value) -> Value {
    let mut body = json!({ "model": MODEL, "messages": [{ "role": "user", "content": text }] });
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    body
}
