//! What engines are to the world: one function for all of them, which is given each request as a process sends it.

use std::rc::Rc;

use bytes::Bytes;
use futures::future::LocalBoxFuture;
use futures::stream::LocalBoxStream;
use http::Response;
use tidegate_core::platform::{SendError, UpstreamRequest};

use crate::clock::Clock;
use crate::process::ProcessId;

/// The body of an engine's answer, as it comes.
pub type BodyStream = LocalBoxStream<'static, Result<Bytes, SendError>>;

/// An engine's answer, to come. It is dropped with the request.
pub type EngineAnswer = LocalBoxFuture<'static, Result<Response<BodyStream>, SendError>>;

/// Who asks an engine.
#[derive(Clone, Debug)]
pub struct Caller {
    /// The process that sends the request.
    pub process: ProcessId,
    /// The world's clock, on which whatever takes time sleeps.
    pub clock: Rc<Clock>,
}

/// All engines.
pub type Engines = Rc<dyn Fn(Caller, UpstreamRequest) -> EngineAnswer>;
