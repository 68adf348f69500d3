//! A stepped world: a platform whose time passes only when nothing else can happen, and whose engines do what a test
//! tells them. Everything runs on one thread and the same way each time.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt;
use futures::executor::{LocalPool, LocalSpawner};
use futures::stream::{self, LocalBoxStream};
use futures::task::LocalSpawnExt;
use http::{Request, Response};
use tidegate_core::cells::{CellAddress, CellCommand, CellError, CellId, CellReply, CellState};
use tidegate_core::cluster::{ClusterCommand, ClusterReply};
use tidegate_core::geo::Location;
use tidegate_core::platform::{Platform, SendError, StoreError, UpstreamRequest};
use tidegate_core::time::Timestamp;
use tidegate_core::tokens::Tables;
use tidegate_core::{Body, Gateway};

/// What an engine does with a request.
#[derive(Clone, Debug)]
pub enum Reaction {
    /// Answers with that status, content type and pieces of a body.
    Answer(u16, &'static str, Vec<Piece>),
    /// No connection.
    Refuse,
    /// Never answers.
    Hang,
}

/// What comes of a body.
#[derive(Clone, Debug)]
pub enum Piece {
    /// These bytes.
    Bytes(String),
    /// Nothing for that long.
    Wait(Duration),
    /// The connection breaks.
    Break,
}

type Engines = Rc<dyn Fn(&Request<Bytes>) -> Reaction>;

/// A gateway, its platform, and the thread that they run on.
pub struct World {
    pub gateway: Arc<Gateway>,
    pub platform: Stepped,
    pool: LocalPool,
}

/// The platform.
#[derive(Clone)]
pub struct Stepped {
    state: Rc<RefCell<State>>,
    engines: Engines,
    spawner: LocalSpawner,
}

#[derive(Default)]
struct State {
    now: Duration,
    timers: Vec<(Duration, Waker)>,
    random: u64,
    store: BTreeMap<String, Bytes>,
    cells: BTreeMap<String, CellState>,
    sent: Vec<Request<Bytes>>,
    cancelled: usize,
    /// Whether budgets' cells answer.
    is_cut_off: bool,
    /// How many commands budgets' cells have been sent, and clusters'.
    commands: usize,
    cluster_commands: usize,
}

impl World {
    /// A gateway with that configuration in front of those engines.
    pub fn new(config: &str, engines: impl Fn(&Request<Bytes>) -> Reaction + 'static) -> Self {
        let pool = LocalPool::new();
        let state = Rc::new(RefCell::new(State {
            now: Duration::from_secs(1_000_000),
            ..State::default()
        }));
        let platform = Stepped {
            state,
            engines: Rc::new(engines),
            spawner: pool.spawner(),
        };
        let gateway = Gateway::new(config, Tables::default()).unwrap_or_else(|errors| panic!("{errors}"));
        Self {
            gateway,
            platform,
            pool,
        }
    }

    /// Lets `future` come to its end; time passes as it must.
    pub fn run<T: 'static>(&mut self, future: impl Future<Output = T> + 'static) -> T {
        let done = Rc::new(RefCell::new(None));
        let result = Rc::clone(&done);
        self.spawn(async move {
            let value = future.await;
            *result.borrow_mut() = Some(value);
        });
        loop {
            self.pool.run_until_stalled();
            if let Some(value) = done.borrow_mut().take() {
                return value;
            }
            assert!(self.step(), "nothing can ever happen again");
        }
    }

    /// Lets that much time pass.
    pub fn pass(&mut self, duration: Duration) {
        let sleep = self.platform.sleep(duration);
        self.run(sleep);
    }

    /// The response to a request with the API key `key`.
    pub fn post(&mut self, path: &str, body: &str) -> Response<Body> {
        self.post_as("key", path, body)
    }

    /// The response to a request with that API key.
    pub fn post_as(&mut self, key: &str, path: &str, body: &str) -> Response<Body> {
        let request = Request::post(path).header("authorization", format!("Bearer {key}"));
        let response = self.serving(request, body);
        self.run(response)
    }

    /// The response to a request with the API key `key` and a further header, not yet awaited.
    pub fn posting(
        &self,
        path: &str,
        headers: &[(&'static str, &str)],
        body: &str,
    ) -> impl Future<Output = Response<Body>> + 'static {
        let request = Request::post(path).header("authorization", "Bearer key");
        self.serving(
            headers
                .iter()
                .fold(request, |request, (name, value)| request.header(*name, *value)),
            body,
        )
    }

    /// The response to any request, not yet awaited.
    pub fn serving(
        &self,
        request: http::request::Builder,
        body: &str,
    ) -> impl Future<Output = Response<Body>> + 'static {
        let pieces: Vec<Result<Bytes, String>> = vec![Ok(Bytes::copy_from_slice(body.as_bytes()))];
        let request = request.body(stream::iter(pieces)).unwrap();
        let (gateway, platform) = (Arc::clone(&self.gateway), self.platform.clone());
        async move { gateway.serve(platform, Location::default(), request).await }
    }

    /// All that is left of a body.
    pub fn rest(&mut self, body: Body) -> String {
        let pieces = match body {
            Body::Full(bytes) => vec![bytes],
            Body::Stream(stream) => self.run(stream.collect()),
        };
        String::from_utf8(pieces.concat()).unwrap()
    }

    /// The next piece of a streamed body.
    pub fn next(&mut self, body: &mut LocalBoxStream<'static, Bytes>) -> Option<String> {
        let taken = std::mem::replace(body, stream::empty().boxed_local());
        let (piece, back) = self.run(async move {
            let mut stream = taken;
            (stream.next().await, stream)
        });
        *body = back;
        piece.map(|piece| String::from_utf8(piece.to_vec()).unwrap())
    }

    /// What `/metrics` says.
    pub fn metrics(&mut self) -> String {
        let serving = self.serving(Request::get("/metrics").header("authorization", "Bearer admin-key"), "");
        let response = self.run(serving);
        self.rest(response.into_body())
    }

    /// Requests in flight at all replicas of a cluster, once everything that is due has been done.
    pub fn in_flight(&mut self, cluster: &str) -> u32 {
        self.pool.run_until_stalled();
        let mut state = self.platform.state.borrow_mut();
        let now = timestamp(state.now);
        let Some(cell) = state.cells.get_mut(&format!("cluster/{cluster}")) else {
            return 0;
        };
        let CellReply::Cluster(ClusterReply::Status(status)) =
            cell.apply(now, CellCommand::Cluster(ClusterCommand::Status))
        else {
            panic!("no status")
        };
        status.iter().map(|replica| replica.running).sum()
    }

    /// URLs asked so far, and the bodies that they were sent.
    pub fn sent(&self) -> Vec<(String, String)> {
        let state = self.platform.state.borrow();
        let text = |request: &Request<Bytes>| String::from_utf8_lossy(request.body()).into_owned();
        state
            .sent
            .iter()
            .map(|request| (request.uri().to_string(), text(request)))
            .collect()
    }

    /// How many requests upstream were dropped before their end.
    pub fn cancelled(&self) -> usize {
        self.platform.state.borrow().cancelled
    }

    /// Cuts the budgets' cells off, or connects them again.
    pub fn cut_off(&self, is_cut_off: bool) {
        self.platform.state.borrow_mut().is_cut_off = is_cut_off;
    }

    /// Commands that budgets' cells were sent.
    pub fn commands(&self) -> usize {
        self.platform.state.borrow().commands
    }

    /// Commands that clusters' cells were sent.
    pub fn cluster_commands(&self) -> usize {
        self.platform.state.borrow().cluster_commands
    }

    /// Puts a value into the store.
    pub fn put(&self, key: &str, value: &str) {
        self.platform
            .state
            .borrow_mut()
            .store
            .insert(key.to_owned(), Bytes::copy_from_slice(value.as_bytes()));
    }

    fn spawn(&self, work: impl Future<Output = ()> + 'static) {
        self.platform.spawner.spawn_local(work).unwrap();
    }

    /// Moves the clock to the next timer.
    fn step(&mut self) -> bool {
        let mut state = self.platform.state.borrow_mut();
        let Some(next) = state.timers.iter().map(|(at, _)| *at).min() else {
            return false;
        };
        state.now = state.now.max(next);
        let due: Vec<_> = state.timers.extract_if(.., |(at, _)| *at <= next).collect();
        drop(state);
        due.into_iter().for_each(|(_, waker)| waker.wake());
        true
    }
}

impl Platform for Stepped {
    type Body = BodyStream;

    fn now(&self) -> Timestamp {
        timestamp(self.state.borrow().now)
    }

    fn random(&self) -> u64 {
        let mut state = self.state.borrow_mut();
        state.random += 1;
        state.random
    }

    fn sleep(&self, duration: Duration) -> impl Future<Output = ()> + 'static {
        let until = self.state.borrow().now + duration;
        Sleep {
            state: Rc::clone(&self.state),
            until,
        }
    }

    async fn store_read(&self, keys: &[&str]) -> Result<Vec<Option<Bytes>>, StoreError> {
        Ok(keys
            .iter()
            .map(|key| self.state.borrow().store.get(*key).cloned())
            .collect())
    }

    async fn store_write(&self, key: &str, value: Bytes, _ttl: Option<Duration>) -> Result<(), StoreError> {
        self.state.borrow_mut().store.insert(key.to_owned(), value);
        Ok(())
    }

    async fn cell_call(&self, cell: &CellAddress, command: CellCommand) -> Result<CellReply, CellError> {
        let mut state = self.state.borrow_mut();
        let now = timestamp(state.now);
        let id = cell.id.clone();
        state.commands += usize::from(matches!(id, CellId::Budget(_)));
        state.cluster_commands += usize::from(matches!(id, CellId::Cluster(_)));
        if state.is_cut_off && matches!(id, CellId::Budget(_)) {
            return Err(CellError::Unreachable("cut off".to_owned()));
        }
        Ok(state
            .cells
            .entry(id.key())
            .or_insert_with(|| CellState::new(&id))
            .apply(now, command))
    }

    async fn send(&self, upstream: UpstreamRequest) -> Result<Response<BodyStream>, SendError> {
        let reaction = (self.engines)(&upstream.request);
        self.state.borrow_mut().sent.push(upstream.request);
        let mut guard = Cancel {
            state: Rc::clone(&self.state),
            armed: true,
        };
        match reaction {
            Reaction::Refuse => {
                guard.armed = false;
                Err(SendError::Connect("refused".to_owned()))
            }
            Reaction::Hang => std::future::pending().await,
            Reaction::Answer(status, content_type, pieces) => {
                let platform = self.clone();
                let pieces = stream::unfold((pieces.into_iter(), platform, guard), next_piece).boxed_local();
                Ok(Response::builder()
                    .status(status)
                    .header("content-type", content_type)
                    .body(pieces)
                    .unwrap())
            }
        }
    }

    fn after_response(&self, work: impl Future<Output = ()> + 'static) {
        self.spawner.spawn_local(work).unwrap();
    }
}

type BodyStream = LocalBoxStream<'static, Result<Bytes, SendError>>;
type Pieces = (std::vec::IntoIter<Piece>, Stepped, Cancel);

async fn next_piece((mut pieces, platform, mut guard): Pieces) -> Option<(Result<Bytes, SendError>, Pieces)> {
    loop {
        match pieces.next() {
            Some(Piece::Wait(duration)) => platform.sleep(duration).await,
            Some(Piece::Bytes(bytes)) => return Some((Ok(bytes.into()), (pieces, platform, guard))),
            Some(Piece::Break) => {
                guard.armed = false;
                return Some((Err(SendError::Broken("broken".to_owned())), (pieces, platform, guard)));
            }
            None => {
                guard.armed = false;
                return None;
            }
        }
    }
}

/// Notes that a request was dropped before its end.
struct Cancel {
    state: Rc<RefCell<State>>,
    armed: bool,
}

impl Drop for Cancel {
    fn drop(&mut self) {
        if self.armed {
            self.state.borrow_mut().cancelled += 1;
        }
    }
}

struct Sleep {
    state: Rc<RefCell<State>>,
    until: Duration,
}

impl Future for Sleep {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let mut state = self.state.borrow_mut();
        if state.now >= self.until {
            return Poll::Ready(());
        }
        state.timers.push((self.until, context.waker().clone()));
        Poll::Pending
    }
}

fn timestamp(now: Duration) -> Timestamp {
    Timestamp::from_micros(u64::try_from(now.as_micros()).unwrap())
}
