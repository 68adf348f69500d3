//! One gateway in a world of virtual time, in front of engines that do what a test tells them.

use std::cell::RefCell;
use std::future::Future;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::future::{Either, LocalBoxFuture, select};
use futures::stream::{self, LocalBoxStream};
use futures::{FutureExt, StreamExt};
use http::{Request, Response};
use tidegate_core::cells::{CellCall, CellId, TimedCell};
use tidegate_core::cluster::{ReadReplicas, ReplicaStatus};
use tidegate_core::hop::Role;
use tidegate_core::time::Timestamp;
use tidegate_core::tokens::Tables;
use tidegate_core::{Body, BrokenOff, Gateway};
use tidegate_virtual::{CellKind, Edge, Engines, Link, RegionHops, Script, Skew, VirtualPlatform};
pub use tidegate_virtual::{Piece, Reaction};

/// A gateway, its platform, and the world that they are in.
pub struct World {
    pub gateway: Arc<Gateway>,
    pub platform: VirtualPlatform,
    world: tidegate_virtual::World,
    edge: Edge,
    engines: Rc<Script>,
    sent: Rc<RefCell<Vec<Request<Bytes>>>>,
}

impl World {
    /// A gateway with that configuration in front of those engines.
    pub fn new(config: &str, engines: impl Fn(&Request<Bytes>) -> Reaction + 'static) -> Self {
        Self::before_engines(config, engines, |engines| engines)
    }

    /// The same, where `upstream` is what stands in front of the engines.
    fn before_engines(
        config: &str,
        engines: impl Fn(&Request<Bytes>) -> Reaction + 'static,
        upstream: impl FnOnce(Engines) -> Engines,
    ) -> Self {
        let sent = Rc::<RefCell<Vec<_>>>::default();
        let log = Rc::clone(&sent);
        let engines = Script::new(move |request| {
            log.borrow_mut().push(request.clone());
            engines(request)
        });
        let mut world = tidegate_virtual::World::new(0, upstream(engines.engines()));
        let platform = world.start(Duration::ZERO);
        let gateway = Gateway::new(config, Tables::default()).unwrap_or_else(|errors| panic!("{errors}"));
        Self {
            edge: Edge::new(Arc::clone(&gateway), platform.clone()),
            gateway,
            platform,
            world,
            engines,
            sent,
        }
    }

    /// A gateway at the edge, with that configuration, whose region hop at the host `hop` stands in front of those engines.
    pub fn of_two_hops(
        config: &str,
        engines: impl Fn(&Request<Bytes>) -> Reaction + 'static,
    ) -> (Self, Rc<RegionHops>) {
        let hops = Rc::<RegionHops>::default();
        let mut world = Self::before_engines(config, engines, |engines| hops.with_engines(engines));
        world.gateway.set_role(Role::Edge);
        let region = world.another(config);
        region.gateway.set_role(Role::Region);
        hops.add("hop", region);
        (world, hops)
    }

    /// Another gateway in the same world, with that configuration: it shares cells and store with this one, and nothing else.
    pub fn another(&mut self, config: &str) -> Edge {
        let platform = self.world.start(Duration::ZERO);
        let gateway = Gateway::new(config, Tables::default()).unwrap_or_else(|errors| panic!("{errors}"));
        Edge::new(gateway, platform)
    }

    /// Lets `future` come to its end; time passes as it must.
    pub fn run<T: 'static>(&mut self, future: impl Future<Output = T> + 'static) -> T {
        self.world.run(future)
    }

    /// Lets that much time pass.
    pub fn pass(&mut self, duration: Duration) {
        self.world.pass(duration);
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
    ) -> impl Future<Output = Response<Body>> + use<> {
        let request = Request::post(path).header("authorization", "Bearer key");
        self.serving(
            headers
                .iter()
                .fold(request, |request, (name, value)| request.header(*name, *value)),
            body,
        )
    }

    /// The response to any request, not yet awaited.
    pub fn serving(&self, request: http::request::Builder, body: &str) -> impl Future<Output = Response<Body>> + use<> {
        self.edge.serve(request, body)
    }

    /// The response to a request with that API key whose body comes in pieces, not yet awaited.
    pub fn post_pieces(
        &self,
        key: &str,
        path: &str,
        body: LocalBoxStream<'static, Result<Bytes, String>>,
    ) -> impl Future<Output = Response<Body>> + use<> {
        let request = Request::post(path).header("authorization", format!("Bearer {key}"));
        self.edge.serve_pieces(request.body(body).unwrap())
    }

    /// Lets a response be waited for until it takes something that has yet to come.
    pub fn begin(&mut self, response: &mut LocalBoxFuture<'static, Response<Body>>) {
        let taken = std::mem::replace(response, futures::future::pending().boxed_local());
        let clock = self.world.clock();
        let still_taken = self.run(async move {
            let moment = pin!(clock.sleep(Duration::from_millis(1)));
            match select(taken, moment).await {
                Either::Left(_) => None,
                Either::Right((_, taken)) => Some(taken),
            }
        });
        *response = still_taken.expect("it is not answered yet");
    }

    /// All that is left of a body, which does not break off.
    pub fn rest(&mut self, body: Body) -> String {
        let (text, broken_off) = self.rest_of(body);
        assert_eq!(broken_off, None, "{text}");
        text
    }

    /// What is left of a body, and whether it breaks off.
    pub fn rest_of(&mut self, body: Body) -> (String, Option<BrokenOff>) {
        let pieces: Vec<_> = match body {
            Body::Full(bytes) => vec![Ok(bytes)],
            Body::Stream(stream) => self.run(stream.collect()),
        };
        let broken_off = pieces.iter().find_map(|piece| piece.as_ref().err().copied());
        let pieces: Vec<_> = pieces.into_iter().flatten().collect();
        (String::from_utf8(pieces.concat()).unwrap(), broken_off)
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
        self.replicas(cluster).iter().map(|replica| replica.running).sum()
    }

    /// The wall clock where the cells are.
    pub fn cells_clock(&self) -> &Skew {
        self.world.cells_clock()
    }

    /// What a cluster's cell knows of its replicas, once everything that is due has been done.
    pub fn replicas(&mut self, cluster: &str) -> Vec<ReplicaStatus> {
        self.world.settle();
        let now = self.world.now();
        let applied = self.world.with_cell(&CellId::Cluster(cluster.into()), |cell| {
            cell.apply(now, ReadReplicas.into_command())
        });
        ReadReplicas::read(applied.reply).expect("a status")
    }

    /// The cluster's cell begins anew, knowing nothing.
    pub fn restart_cell(&mut self, cluster: &str) {
        let id = CellId::Cluster(cluster.into());
        self.world.with_cell(&id, |cell| *cell = TimedCell::new(&id));
    }

    /// URLs asked so far, and the bodies that they were sent.
    pub fn sent(&self) -> Vec<(String, String)> {
        let text = |request: &Request<Bytes>| String::from_utf8_lossy(request.body()).into_owned();
        let sent = self.sent.borrow();
        sent.iter()
            .map(|request| (request.uri().to_string(), text(request)))
            .collect()
    }

    /// The names of all headers that were sent where engines are.
    pub fn headers_sent(&self) -> Vec<String> {
        let sent = self.sent.borrow();
        let names = sent.iter().flat_map(|request| request.headers().keys());
        names.map(|name| name.as_str().to_owned()).collect()
    }

    /// The signatures of what was sent where engines are.
    pub fn signatures(&self) -> Vec<http::HeaderValue> {
        let sent = self.sent.borrow();
        let signatures = sent
            .iter()
            .filter_map(|request| request.headers().get("x-tidegate-signature"));
        signatures.cloned().collect()
    }

    /// How many requests upstream were dropped before their end.
    pub fn cancelled(&self) -> usize {
        self.engines.cancelled()
    }

    /// Cuts the budgets' cells off, or connects them again.
    pub fn cut_off(&self, is_cut_off: bool) {
        let link = if is_cut_off { Link::CUT } else { Link::IDEAL };
        self.world.set_link(CellKind::Budget, link);
    }

    /// Cuts the clusters' cells off.
    pub fn cut_clusters_off(&self) {
        self.set_link(CellKind::Cluster, Link::CUT);
    }

    /// What happens to messages to cells of a kind from now on.
    pub fn set_link(&self, kind: CellKind, link: Link) {
        self.world.set_link(kind, link);
    }

    /// Requests come in where the platform names that place.
    pub fn come_in_at(&mut self, code: &str) {
        code.clone_into(&mut self.edge.location.code);
    }

    /// Commands that budgets' cells were sent.
    pub fn commands(&self) -> u64 {
        self.world.commands_sent(CellKind::Budget)
    }

    /// Commands that clusters' cells were sent.
    pub fn cluster_commands(&self) -> u64 {
        self.world.commands_sent(CellKind::Cluster)
    }

    /// Commands that cells of that kind were sent.
    pub fn commands_of(&self, kind: CellKind) -> u64 {
        self.world.commands_sent(kind)
    }

    /// Puts a value into the store.
    pub fn put(&self, key: &str, value: &str) {
        self.world.store().put(key, value);
    }

    /// From now on the store cannot be reached, or can again.
    pub fn fail_store(&self, is_failing: bool) {
        self.world.store().fail(is_failing);
    }

    /// From now on the store takes that long for each read.
    pub fn delay_store(&self, delay: Duration) {
        self.world.store().set_delay(delay);
    }

    /// What is written to the store is seen elsewhere that much later, at most.
    pub fn delay_sight_of_store(&self, bound: Duration) {
        self.world.store().set_staleness(bound);
    }

    /// How often the store was read.
    pub fn store_reads(&self) -> u64 {
        self.world.store().reads()
    }

    /// The moment.
    pub fn now(&self) -> Timestamp {
        self.world.now()
    }
}
