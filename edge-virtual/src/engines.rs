//! What engines are to the world: one function for all of them, which is given each request as a process sends it.

use std::rc::Rc;

use bytes::Bytes;
use futures::future::LocalBoxFuture;
use futures::stream::LocalBoxStream;
use http::Response;
use tidegate_core::platform::{SendError, UpstreamRequest};

use crate::platform::VirtualPlatform;

/// The body of an engine's answer, as it comes.
pub type BodyStream = LocalBoxStream<'static, Result<Bytes, SendError>>;

/// An engine's answer, to come. It is dropped with the request.
pub type EngineAnswer = LocalBoxFuture<'static, Result<Response<BodyStream>, SendError>>;

/// All engines. The platform is that of the process which asks; whatever takes time sleeps on its
/// [`clock`](VirtualPlatform::clock).
pub type Engines = Rc<dyn Fn(&VirtualPlatform, UpstreamRequest) -> EngineAnswer>;
