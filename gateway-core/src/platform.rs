//! The only door out of the core: what a runtime must offer. Each adapter implements it, converts requests and
//! decides nothing.

use std::future::Future;
use std::time::Duration;

use bytes::Bytes;
use futures::Stream;
use thiserror::Error;

use crate::cells::{CellAddress, CellCall, CellCommand, CellError, CellReply};
use crate::hop::MAC_BYTES;
use crate::ids::SecretName;
use crate::time::Timestamp;

/// What the pipeline needs from the runtime that it runs on. A value is a cheap handle, cloned freely; nothing here
/// is `Send`, since each request stays on the thread, isolate or instance that accepted it.
#[expect(async_fn_in_trait, reason = "static dispatch, and no `Send` bound by design")]
pub trait Platform: Clone + 'static {
    /// The body of an upstream's response, as it arrives. Dropping it cancels the upstream request.
    type Body: Stream<Item = Result<Bytes, SendError>> + Unpin + 'static;

    /// The time now, for durations: it begins at the wall clock's time, goes on by the steadiest clock that there is, and
    /// never goes back. On some runtimes it stands still while code runs and moves only across I/O.
    fn now(&self) -> Timestamp;

    /// The wall clock, for dates. It may be set forward and back.
    fn wall(&self) -> Timestamp;

    /// Sixty-four bits that nobody can predict.
    fn random(&self) -> u64;

    /// Completes after `duration`. It borrows nothing, so that it can be kept beside the platform.
    fn sleep(&self, duration: Duration) -> impl Future<Output = ()> + 'static;

    /// Lets what else is ready to run have its turn, what has just come from outside included, before it completes: a
    /// request that computes for long awaits it now and then.
    fn give_way(&self) -> impl Future<Output = ()> + 'static {
        // A sleep of nothing may be over before anybody else was looked at.
        self.sleep(Duration::from_millis(1))
    }

    /// Reads many keys of the store at once: one value or `None` for each key, in order. Values may be as old as the
    /// store's eventual consistency makes them.
    ///
    /// # Errors
    /// When the store cannot be reached or answers garbage.
    async fn store_read(&self, keys: &[&str]) -> Result<Vec<Option<Bytes>>, StoreError>;

    /// Writes one key of the store. With a `ttl` the value disappears after about that long, at least 60 s, and a crash
    /// may lose it before; without one it stays, crash or not, once this has returned.
    ///
    /// # Errors
    /// When the store cannot be reached or refuses the value.
    async fn store_write(&self, key: &str, value: Bytes, ttl: Option<Duration>) -> Result<(), StoreError>;

    /// Runs one command in a cell, atomically with respect to every other command to that cell, wherever it comes
    /// from.
    ///
    /// # Errors
    /// When the cell cannot be reached; the command may or may not have run.
    async fn cell_call(&self, cell: &CellAddress, command: CellCommand) -> Result<CellReply, CellError>;

    /// Runs one command in a cell, as `cell_call` does, and gives the reply that belongs to it.
    ///
    /// # Errors
    /// When the cell cannot be reached, or replies to something else.
    async fn call<C: CellCall>(&self, cell: &CellAddress, call: C) -> Result<C::Reply, CellError> {
        C::read(self.cell_call(cell, call.into_command()).await?)
    }

    /// Sends a request and waits for the head of the response. The adapter adds the secret's value as
    /// `authorization: Bearer …`, follows no redirect, and passes bytes through undecoded. Dropping the future
    /// cancels the request. Limits on the first byte and between bytes are the core's, kept with `sleep`, so that
    /// they hold alike everywhere; only the time to connect is the adapter's, where its runtime lets it.
    ///
    /// # Errors
    /// When no response head arrived, with how far the request got.
    async fn send(&self, request: UpstreamRequest) -> Result<http::Response<Self::Body>, SendError>;

    /// The HMAC-SHA256 of a message under a secret, by [`mac`](crate::hop::mac); `None` where there is no such secret.
    async fn mac(&self, secret: &SecretName, message: &[u8]) -> Option<[u8; MAC_BYTES]>;

    /// An answer has begun to come: from now on the pieces of its body may be held back as long as its request lets them.
    /// Where reading is cheap there is nothing to do.
    fn on_begun(&self, _body: &mut Self::Body) {}

    /// Lets `work` run to its end even when the response is complete or the client has left.
    fn after_response(&self, work: impl Future<Output = ()> + 'static);
}

/// A request to an engine.
#[derive(Debug)]
pub struct UpstreamRequest {
    /// Method, absolute `http` or `https` URL, headers without hop-by-hop ones, and the whole body.
    pub request: http::Request<Bytes>,
    /// The service binding to send it by, to another Worker, instead of the URL's host; platforms that have none refuse.
    pub binding: Option<String>,
    /// The secret to present as a bearer token, if the cluster wants one.
    pub secret: Option<SecretName>,
    /// The longest time that connecting may take.
    pub connect_timeout: Duration,
    /// About how long what has come of the response's body may be held back so that more comes with it, at the pace of
    /// what came before, from [`on_begun`](Platform::on_begun) on: reading has its price wherever a runtime hands over each
    /// piece. Zero where somebody waits for them.
    pub hold_back: Duration,
}

/// Why an upstream gave no response head, or no more of its body.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum SendError {
    /// No connection: refused, no route, no such name, TLS failed, or not within the connect timeout.
    #[error("cannot connect: {0}")]
    Connect(String),
    /// The connection broke, before the head or within the body.
    #[error("connection broken: {0}")]
    Broken(String),
    /// A kept connection was gone before a byte of the answer came, most likely closed as the request went out. Where a
    /// runtime does not tell kept connections from new ones, any that was lost before the head.
    #[error("connection lost: {0}")]
    Lost(String),
    /// Nobody was asked: the platform lacks what a connection takes, such as file descriptors.
    #[error("no means for a connection here: {0}")]
    Local(String),
    /// The platform has no value for the secret that the cluster names.
    #[error("secret `{0}` is not set on this platform")]
    NoSecret(SecretName),
}

/// Why the store did not do what it was asked.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("store: {0}")]
pub struct StoreError(pub String);
