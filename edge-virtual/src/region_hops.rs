//! Gateways that other gateways reach by host, as they reach engines: region hops.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;

use bytes::Bytes;
use futures::stream::{self, StreamExt};
use futures::{FutureExt, future};
use http::Request;
use tidegate_core::Body;
use tidegate_core::platform::SendError;

use crate::edge::Edge;
use crate::engines::{BodyStream, EngineAnswer, Engines};

/// Region hops by their hosts, in front of engines.
#[derive(Default)]
pub struct RegionHops {
    hops: RefCell<BTreeMap<String, Edge>>,
    orders: RefCell<Vec<Request<Bytes>>>,
    is_down: Cell<bool>,
}

impl RegionHops {
    /// The gateway is at that host from now on.
    pub fn add(&self, host: &str, gateway: Edge) {
        self.hops.borrow_mut().insert(host.to_owned(), gateway);
    }

    /// From now on nothing connects to any of them, or all do again.
    pub fn set_down(&self, is_down: bool) {
        self.is_down.set(is_down);
    }

    /// The gateway at that host.
    pub fn at(&self, host: &str) -> Option<Edge> {
        self.hops.borrow().get(host).cloned()
    }

    /// The orders that have been sent to them.
    pub fn orders(&self) -> Vec<Request<Bytes>> {
        self.orders.borrow().clone()
    }

    /// Them, and engines at all other hosts, as the world wants them.
    pub fn with_engines(self: &Rc<Self>, engines: Engines) -> Engines {
        let this = Rc::clone(self);
        Rc::new(move |caller, upstream| {
            let host = upstream.request.uri().host().unwrap_or_default();
            let hop = this.hops.borrow().get(host).cloned();
            match hop {
                Some(hop) => this.order(&hop, upstream.request),
                None => engines(caller, upstream),
            }
        })
    }

    fn order(&self, hop: &Edge, request: Request<Bytes>) -> EngineAnswer {
        self.orders.borrow_mut().push(request.clone());
        if self.is_down.get() {
            let refused = SendError::Connect("refused".to_owned());
            return future::ready(Err(refused)).boxed_local();
        }
        let request = request.map(|body| stream::iter([Ok::<_, String>(body)]));
        let response = hop.serve_pieces(request);
        async move { Ok(response.await.map(pieces)) }.boxed_local()
    }
}

/// A response's body, as one hop gets it of the other.
fn pieces(body: Body) -> BodyStream {
    match body {
        Body::Full(bytes) => stream::iter([Ok(bytes)]).boxed_local(),
        Body::Stream(pieces) => {
            let broken = |_| SendError::Broken("broken off".to_owned());
            pieces.map(move |piece| piece.map_err(broken)).boxed_local()
        }
    }
}
