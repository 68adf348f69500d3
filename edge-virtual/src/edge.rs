//! A gateway at an edge location of the world.

use std::future::Future;
use std::sync::Arc;

use bytes::Bytes;
use futures::{Stream, stream};
use http::header::CONTENT_LENGTH;
use http::{HeaderValue, Request, Response, request};
use tidegate_core::geo::Location;
use tidegate_core::platform::Platform;
use tidegate_core::{Body, Gateway};

use crate::platform::VirtualPlatform;

/// A gateway, the process that it runs in, and where that is.
#[derive(Clone)]
pub struct Edge {
    /// What the process keeps between requests.
    pub gateway: Arc<Gateway>,
    /// The process.
    pub platform: VirtualPlatform,
    /// Where its requests come in.
    pub location: Location,
}

impl Edge {
    /// A gateway in a process that is nowhere on Earth.
    pub fn new(gateway: Arc<Gateway>, platform: VirtualPlatform) -> Self {
        Self {
            gateway,
            platform,
            location: Location::default(),
        }
    }

    /// The response to a request, not yet awaited.
    ///
    /// # Panics
    /// When the request is none.
    pub fn serve(&self, request: request::Builder, body: &str) -> impl Future<Output = Response<Body>> + use<> {
        let pieces: Vec<Result<Bytes, String>> = vec![Ok(Bytes::copy_from_slice(body.as_bytes()))];
        let mut request = request.body(stream::iter(pieces)).expect("a request");
        if !body.is_empty() {
            let headers = request.headers_mut();
            headers.entry(CONTENT_LENGTH).or_insert(HeaderValue::from(body.len()));
        }
        self.serve_pieces(request)
    }

    /// The same to a request whose body comes in pieces, and maybe never to its end.
    pub fn serve_pieces<B>(&self, request: Request<B>) -> impl Future<Output = Response<Body>> + use<B>
    where
        B: Stream<Item = Result<Bytes, String>> + Unpin,
    {
        let Self {
            gateway,
            platform,
            location,
        } = self.clone();
        async move { gateway.serve(platform, location, request).await }
    }

    /// Does something in the process, such as to await a response. It ends where it stands when the process dies: a
    /// client of the dead hears nothing more.
    pub fn spawn(&self, work: impl Future<Output = ()> + 'static) {
        self.platform.after_response(work);
    }
}
