//! Engines that answer, fail or break off as chance decides, whole or in a stream, and the audit hears what they run. What
//! they say of themselves is true or not, as chance decides. What a request takes of the kv_cache can be read off it: its
//! prompt is tokens, and its answer is as long as it may be.

use std::cell::RefCell;
use std::ops::Range;
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use futures::{FutureExt, StreamExt, stream};
use http::Response;
use serde_json::{Value, json};
use tidegate_core::cluster::Capacity;
use tidegate_core::ids::{ReplicaName, Tokens};
use tidegate_core::platform::{SendError, UpstreamRequest};
use tidegate_virtual::{BodyStream, Clock, EngineAnswer, Engines, Random};

use crate::audit::Audit;

/// A request of that conversation, which takes so much kv_cache, at least two tokens.
pub fn request(conversation: u64, kv_tokens: u64, streams: bool) -> String {
    json!({"model": "model", "prompt": [conversation], "max_tokens": kv_tokens - 1, "stream": streams}).to_string()
}

/// How engines behave.
#[derive(Clone, Debug)]
pub struct Behaviour {
    /// How long answers run.
    pub runs: Range<Duration>,
    /// The share of requests that come to no good end.
    pub failures: f64,
}

/// Engines that behave so.
pub fn engines(audit: &Rc<RefCell<Audit>>, behaviour: Behaviour, seed: u64) -> Engines {
    let (audit, random) = (Rc::clone(audit), RefCell::new(Random::of(seed, 1)));
    let of_pages = RefCell::new(Random::of(seed, 2));
    Rc::new(move |caller, upstream| {
        // What it says of itself, and whether it is ready.
        if upstream.request.method() == http::Method::GET {
            let mut random = of_pages.borrow_mut();
            return page(&mut random, behaviour.failures > 0.0);
        }
        let mut random = random.borrow_mut();
        let fails = random.happens(behaviour.failures);
        let work = Work {
            running: Running::begin(&audit, &upstream),
            clock: caller.clock,
            runs: random.time_within(&behaviour.runs),
            end: if fails { End::any_bad(&mut random) } else { End::Good },
        };
        let body: Value = serde_json::from_slice(upstream.request.body()).unwrap();
        work.answer(body["stream"] == true)
    })
}

/// What an engine says of itself: that nothing runs there, or, where it lies, whatever comes to its mind.
fn page(random: &mut Random, lies: bool) -> EngineAnswer {
    let mut figure = |most: u64| {
        if lies && random.happens(0.5) {
            random.within(0..most)
        } else {
            0
        }
    };
    let (running, waiting, kv_percent) = (figure(300), figure(2_000_000), figure(150));
    let page = format!(
        "vllm:num_requests_running {running}\nvllm:num_requests_waiting {waiting}\n\
         vllm:kv_cache_usage_perc {}\n",
        kv_percent as f64 / 100.0
    );
    let page = stream::iter([Ok(Bytes::from(page))]).boxed_local();
    async move { Ok(response("text/plain", page)) }.boxed_local()
}

/// How a request ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Good,
    /// Nobody answers.
    Refused,
    /// The engine says that it cannot.
    Failed,
    /// The answer breaks off.
    Broken,
}

impl End {
    fn any_bad(random: &mut Random) -> Self {
        match random.within(0..3) {
            0 => Self::Refused,
            1 => Self::Failed,
            _ => Self::Broken,
        }
    }
}

/// A request at work.
struct Work {
    running: Running,
    clock: Rc<Clock>,
    runs: Duration,
    end: End,
}

impl Work {
    fn answer(self, streams: bool) -> EngineAnswer {
        async move {
            match (self.end, streams) {
                (End::Refused, _) => Err(SendError::Connect("refused".to_owned())),
                (End::Failed, _) => {
                    let body = stream::iter([Ok(Bytes::from_static(b"{}"))]).boxed_local();
                    Ok(Response::builder().status(500).body(body).unwrap())
                }
                (End::Good | End::Broken, true) => Ok(response("text/event-stream", self.events())),
                (End::Good | End::Broken, false) => {
                    self.clock.sleep(self.runs).await;
                    let body = json!({"model": "model", "choices": []}).to_string();
                    let last = self.last(body);
                    Ok(response("application/json", stream::iter([last]).boxed_local()))
                }
            }
        }
        .boxed_local()
    }

    /// A first event at once, and the rest when it is done.
    fn events(self) -> BodyStream {
        let event = json!({"model": "model", "choices": [{"text": "a", "finish_reason": null}]});
        let first = Bytes::from(format!("data: {event}\n\n"));
        let rest = async move {
            self.clock.sleep(self.runs).await;
            self.last("data: [DONE]\n\n".to_owned())
        };
        stream::iter([Ok(first)]).chain(stream::once(rest)).boxed_local()
    }

    /// The last piece of an answer: the replica works on it no more.
    fn last(self, piece: String) -> Result<Bytes, SendError> {
        drop(self.running);
        match self.end {
            End::Broken => Err(SendError::Broken("broken".to_owned())),
            End::Good | End::Refused | End::Failed => Ok(piece.into()),
        }
    }
}

fn response(content_type: &str, body: BodyStream) -> Response<BodyStream> {
    Response::builder()
        .header("content-type", content_type)
        .body(body)
        .unwrap()
}

/// What a replica has of a request until that is dropped.
struct Running {
    audit: Rc<RefCell<Audit>>,
    replica: ReplicaName,
    takes: Capacity,
}

impl Running {
    fn begin(audit: &Rc<RefCell<Audit>>, upstream: &UpstreamRequest) -> Self {
        let body: Value = serde_json::from_slice(upstream.request.body()).unwrap();
        let kv_tokens = body["max_tokens"].as_u64().unwrap() + 1;
        let replica: ReplicaName = format!("http://{}", upstream.request.uri().host().unwrap())
            .as_str()
            .into();
        let takes = Capacity::of_one(Tokens(kv_tokens));
        audit.borrow_mut().on_begun(&replica, takes);
        Self {
            audit: Rc::clone(audit),
            replica,
            takes,
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.audit.borrow_mut().on_ended(&self.replica, self.takes);
    }
}
