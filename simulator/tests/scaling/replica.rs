//! A replica: an engine of a 70B model on four H100, started and ended from outside, that answers as vLLM does. A stream's
//! first token comes as an event of its own and all others as one, so that a day takes no longer to simulate than it must.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;

use bytes::Bytes;
use futures::channel::mpsc::{self, UnboundedReceiver, UnboundedSender};
use futures::future::{Either, pending, select};
use futures::{FutureExt, StreamExt, stream};
use http::{Request, Response};
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use tidegate_core::platform::SendError;
use tidegate_simulator::engine::profile::{Capacity, Profile};
use tidegate_simulator::engine::scheduler::{Engine, Event};
use tidegate_simulator::engine::sequence::{Pace, SequenceId, SequenceRequest};
use tidegate_virtual::{BodyStream, Clock, EngineAnswer};

/// Requests that one replica runs at once.
pub const MAX_RUNNING: u32 = 64;

/// What a replica has room for.
pub fn capacity() -> Capacity {
    Capacity {
        max_running: MAX_RUNNING,
        ..Profile::H100x4With70b.capacity()
    }
}

/// Whether it is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    Down,
    Starting,
    Up,
    /// It ends when nothing runs there any more.
    Draining,
}

pub struct Replica {
    pub stage: Cell<Stage>,
    engine: RefCell<Engine>,
    streams: RefCell<BTreeMap<SequenceId, (Value, UnboundedSender<Bytes>)>>,
    clock: Rc<Clock>,
    wake: UnboundedSender<()>,
}

impl Replica {
    /// One that is down, and what drives its engine.
    pub fn new(clock: Rc<Clock>) -> (Rc<Self>, impl Future<Output = ()> + 'static) {
        let (wake, woken) = mpsc::unbounded();
        let replica = Rc::new(Self {
            stage: Cell::new(Stage::Down),
            engine: RefCell::new(Engine::new(capacity())),
            streams: RefCell::default(),
            clock,
            wake,
        });
        (Rc::clone(&replica), replica.drive(woken))
    }

    /// Requests that are there.
    pub fn running(&self) -> usize {
        let engine = self.engine.borrow();
        engine.running() + engine.waiting()
    }

    /// Begins with nothing in memory.
    pub fn renew(&self) {
        *self.engine.borrow_mut() = Engine::new(capacity());
    }

    /// Answers a request.
    pub fn answer(self: &Rc<Self>, request: &Request<Bytes>) -> EngineAnswer {
        let is_there = matches!(self.stage.get(), Stage::Up | Stage::Draining);
        let answered = match request.uri().path() {
            _ if !is_there => Err(SendError::Connect("refused".to_owned())),
            "/v1/completions" => Ok(response("text/event-stream", self.complete(request.body()))),
            "/metrics" => Ok(response("text/plain", self.page())),
            _ => Ok(response("application/json", stream::empty().boxed_local())),
        };
        async move { answered }.boxed_local()
    }

    fn page(&self) -> BodyStream {
        let engine = self.engine.borrow();
        let page = format!(
            "vllm:num_requests_running {}\nvllm:num_requests_waiting {}\nvllm:kv_cache_usage_perc {}\n",
            engine.running(),
            engine.waiting(),
            engine.kv_cache_usage()
        );
        stream::iter([Ok(Bytes::from(page))]).boxed_local()
    }

    /// Writes as many tokens as the request's seed says: it stands for what a model would have to say.
    fn complete(self: &Rc<Self>, body: &[u8]) -> BodyStream {
        let wanted: Wanted = serde_json::from_slice(body).expect("a request");
        let prompt_tokens = wanted.prompt.get().split(',').count() as u32;
        let request = SequenceRequest {
            prompt_tokens,
            output_tokens: wanted.seed,
            block_hashes: Vec::new(),
            pace: Pace::default(),
        };
        let (sender, pieces) = mpsc::unbounded();
        self.advance();
        let id = self
            .engine
            .borrow_mut()
            .submit(self.clock.now(), request)
            .expect("it fits");
        let usage = json!({"prompt_tokens": prompt_tokens, "completion_tokens": wanted.seed});
        self.streams.borrow_mut().insert(id, (usage, sender));
        self.advance();
        let _ = self.wake.unbounded_send(());
        let left = Open {
            replica: Rc::clone(self),
            id,
        };
        let pieces = pieces.map(move |piece| {
            let _ = &left;
            Ok(piece)
        });
        pieces.boxed_local()
    }

    async fn drive(self: Rc<Self>, mut woken: UnboundedReceiver<()>) {
        loop {
            let next = self.engine.borrow().next_step_end();
            let step = async {
                match next {
                    Some(ends) => self.clock.sleep(ends.since(self.clock.now())).await,
                    None => pending().await,
                }
            };
            if let Either::Right((None, _)) = select(step.boxed_local(), woken.next()).await {
                return;
            }
            self.advance();
        }
    }

    fn advance(&self) {
        let mut events = Vec::new();
        self.engine.borrow_mut().advance(self.clock.now(), &mut events);
        for event in events {
            match event {
                Event::Token {
                    sequence, emitted: 1, ..
                } => self.say(sequence, |_| json!({"choices": [{"text": "a", "finish_reason": null}]})),
                Event::Token { .. } => {}
                Event::Finished { sequence, .. } => self.finish(sequence),
            }
        }
    }

    fn say(&self, sequence: SequenceId, says: impl Fn(&Value) -> Value) {
        if let Some((usage, sender)) = self.streams.borrow().get(&sequence) {
            let event = format!("data: {}\n\n", says(usage));
            let _ = sender.unbounded_send(event.into());
        }
    }

    fn finish(&self, sequence: SequenceId) {
        self.say(
            sequence,
            |_| json!({"choices": [{"text": "b", "finish_reason": "stop"}]}),
        );
        self.say(sequence, |usage| json!({"choices": [], "usage": usage}));
        if let Some((_, sender)) = self.streams.borrow_mut().remove(&sequence) {
            let _ = sender.unbounded_send(Bytes::from_static(b"data: [DONE]\n\n"));
        }
    }
}

/// What an engine looks at of a request.
#[derive(Deserialize)]
struct Wanted<'b> {
    /// Tokens.
    #[serde(borrow)]
    prompt: &'b RawValue,
    seed: u32,
}

/// A request whose answer is read, or whose client has left.
struct Open {
    replica: Rc<Replica>,
    id: SequenceId,
}

impl Drop for Open {
    fn drop(&mut self) {
        if self.replica.streams.borrow_mut().remove(&self.id).is_some() {
            self.replica.engine.borrow_mut().abort(self.id);
            self.replica.advance();
        }
    }
}

fn response(content_type: &str, body: BodyStream) -> Response<BodyStream> {
    Response::builder()
        .header("content-type", content_type)
        .body(body)
        .expect("a response")
}
