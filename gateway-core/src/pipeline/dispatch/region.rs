//! One attempt by way of a region hop: a signed order, what the region tells of it, and the beginning of the answer. The region
//! chooses among the replicas, and holds the permit.

use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_ENCODING, CONTENT_TYPE};
use http::response::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode, Uri};

use super::ClusterClient;
use super::attempt::{Asked, Failed};
use super::opened::{Opened, UpstreamAnswer, on_answer, open, owed, take};
use super::upstream::{LOST_AT_ONCE, hold_back, words};
use crate::api::headers::{X_EXPLAIN, X_HOP, X_ORDER, X_REQUEST_ID, X_SIGNATURE, X_TOLD};
use crate::api::{AskedAs, ContentCoding, EngineError, gzip};
use crate::config::{HopAddress, url_at};
use crate::hop::{HopHealth, Signature, Signed};
use crate::ladder::{AttemptError, HopError, WaitsFor};
use crate::observe::{Event, Weighing};
use crate::pipeline::hops::{HopFailure, OrderFacts, Told};
use crate::pipeline::intake::{Order, Target};
use crate::pipeline::warmth::Destination;
use crate::platform::{Platform, SendError, UpstreamRequest};
use crate::route::LoadSnapshot;

/// Has the region hop of the target's cluster ask its replicas, at most so many; where none has room, the order waits there for
/// a turn if it is to.
///
/// # Errors
/// Why there is no answer.
pub(in crate::pipeline) async fn attempt_by_region<P: Platform>(
    order: &Rc<Order<P>>,
    target: &Target<'_>,
    hop: &HopAddress,
    (most_attempts, waits): (u32, WaitsFor),
) -> Result<UpstreamAnswer<P>, Failed> {
    let limit = time_left(order).map_err(nobody_asked)?;
    let way = Way { order, target, hop };
    way.rest().map_err(|error| nobody_asked(error.into()))?;
    order.reservation.on_dispatched(owed(order, target));
    let exchange = &order.exchange;
    let until = exchange.platform.now() + exchange.config.timeouts.whole_answer;
    let opened = exchange.within(limit, way.go(most_attempts, waits)).await;
    let opened = opened.unwrap_or_else(|| Err(way.failed(HopError::Silent)))?;
    let answer = take(order, opened, target.model.name.as_str(), until).await;
    let answer = answer.map_err(|error| failed_after(1, error))?;
    match &answer {
        // The region tells what it expected.
        UpstreamAnswer::Whole(_) | UpstreamAnswer::Stream(_) => on_answer(order, target, None),
        // It is told at its end.
        UpstreamAnswer::Passing(..) => {}
    }
    Ok(answer)
}

fn nobody_asked(error: AttemptError) -> Failed {
    failed_after(0, error)
}

fn failed_after(attempts: u32, error: AttemptError) -> Failed {
    let asked = Asked::Region { attempts };
    Failed { asked, error }
}

/// How long the region may take until an answer begins: it keeps the limits of each attempt itself, and tells when it gives up.
fn time_left<P: Platform>(order: &Order<P>) -> Result<Duration, AttemptError> {
    let left = order.deadline.since(order.exchange.platform.now());
    match order.request.asked_as {
        _ if left.is_zero() => Err(AttemptError::Deadline),
        AskedAs::Stream => Ok(left + SLACK),
        AskedAs::Whole(_) => Ok(order.exchange.config.timeouts.whole_answer + SLACK),
    }
}

/// The way of an order to a region hop.
struct Way<'a, P: Platform> {
    order: &'a Rc<Order<P>>,
    target: &'a Target<'a>,
    hop: &'a HopAddress,
}

impl<P: Platform> Way<'_, P> {
    /// Whether an order may go there now, which it is then about to.
    fn rest(&self) -> Result<(), HopError> {
        let exchange = &self.order.exchange;
        let (now, region) = (exchange.platform.now(), &self.target.serving.cluster.region.name);
        exchange.gateway.hops.with(|hops| match hops.rest(now, region) {
            Some(recovery) => Err(HopError::Open { recovery }),
            None => {
                hops.on_order(now, region, exchange.config.breaker.open);
                Ok(())
            }
        })
    }

    /// Sends the order, and waits until an answer begins.
    async fn go(&self, most_attempts: u32, waits: WaitsFor) -> Result<Opened<P>, Failed> {
        let facts = self.facts(most_attempts, waits).await;
        let platform = &self.order.exchange.platform;
        let begun = platform.now();
        let sent = platform.send(self.request(&facts).await?).await;
        let response = match sent {
            // As to an engine. It is signed anew: the first may have come all the same.
            Err(SendError::Lost(_)) if platform.now().since(begun) < LOST_AT_ONCE => {
                platform.send(self.request(&facts).await?).await
            }
            sent => sent,
        };
        let (head, body) = response.map_err(|error| self.failed(error.into()))?.into_parts();
        self.note(&head.headers);
        let waited = platform.now().since(begun);
        match said(&head.headers) {
            Said::Told(told) if head.status == StatusCode::OK => {
                self.served();
                self.on_told(&told, waited);
                let opened = open(self.order, self.target, (&head, body), None).await;
                opened.map_err(|error| failed_after(1, error))
            }
            Said::Failed => Err(self.given_up(body).await),
            Said::Refused => Err(self.refused(&head, body).await),
            Said::Told(_) | Said::Nothing => Err(self.failed(stranger(&head))),
        }
    }

    /// Has the request's record say where it was sent, and what the region tells of its own decisions.
    fn note(&self, headers: &HeaderMap) {
        let exchange = &self.order.exchange;
        let told = headers.get(X_EXPLAIN).filter(|_| exchange.recorder.explains());
        exchange.tell(&Event::Weighing(Weighing::ByRegion {
            cluster: &self.target.serving.cluster.name,
            hop: self.hop,
            told: told.and_then(|told| told.to_str().ok()),
        }));
    }

    /// What the region need not find out again.
    async fn facts(&self, most_attempts: u32, waits: WaitsFor) -> OrderFacts {
        let Order {
            exchange,
            caller,
            identity,
            deadline,
            most_output,
            ..
        } = &**self.order;
        let cluster = &self.target.serving.cluster;
        let hot = exchange.hot_set(cluster);
        let destination = Destination {
            cluster,
            hot: &hot,
            is_home: self.target.is_home,
            tokens: self.target.count.prompt,
        };
        let prospect = identity.prospect(exchange, destination).await;
        let left = deadline.since(exchange.platform.now());
        OrderFacts {
            cluster: cluster.name.clone(),
            model: self.target.model.name.clone(),
            tenant: caller.tenant.name.clone(),
            priority: caller.priority,
            count: *self.target.count,
            most_output: *most_output,
            session: identity.session(),
            warm: prospect.outline.warm,
            is_home: self.target.is_home,
            attempts: most_attempts,
            waits: waits != WaitsFor::Nothing,
            is_held: waits == WaitsFor::Replicas,
            left_ms: u64::try_from(left.as_millis()).unwrap_or(u64::MAX),
            known_hot: hot.digest,
            explains: exchange.recorder.explains(),
        }
    }

    /// The order as the region hop is to see it, signed.
    async fn request(&self, facts: &OrderFacts) -> Result<UpstreamRequest, Failed> {
        let Order { exchange, request, .. } = &**self.order;
        let (url, binding) = match self.hop {
            HopAddress::Url(url) => (url_at(url, request.endpoint.order_path()), None),
            HopAddress::Binding(name) => {
                let url = [BOUND_HOST, request.endpoint.order_path()].concat();
                (Uri::try_from(url).map_err(http::Error::from), Some(name.clone()))
            }
        };
        let url = url.map_err(|error| self.failed(SendError::Connect(error.to_string()).into()))?;
        let body = request.body_for_region(self.target.model.name.as_str());
        let (body, coding) = compressed(body);
        let facts = facts.to_header().unwrap_or_default();
        let signature = self.sign(&facts, &body).await.map_err(|error| self.failed(error))?;
        let accept = request.dialect().content_type(request.asked_as == AskedAs::Stream);
        let mut order = Request::new(body);
        *order.method_mut() = Method::POST;
        *order.uri_mut() = url;
        let headers = order.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(ACCEPT, HeaderValue::from_static(accept));
        headers.insert(X_REQUEST_ID, exchange.id.to_header());
        if let Some(coding) = coding {
            headers.insert(CONTENT_ENCODING, HeaderValue::from_static(coding.as_str()));
        }
        for (name, text) in [(X_ORDER, facts), (X_SIGNATURE, signature)] {
            insert(headers, name, &text);
        }
        Ok(UpstreamRequest {
            request: order,
            binding,
            secret: None,
            connect_timeout: exchange.config.timeouts.connect,
            hold_back: hold_back(self.order),
        })
    }

    /// The signature of an order, as its header has it.
    async fn sign(&self, facts: &str, body: &[u8]) -> Result<String, HopError> {
        let Order { exchange, request, .. } = &**self.order;
        // The configuration has one where it has a hop.
        let key = exchange.config.hops.keys.first().ok_or(HopError::Garbage)?;
        let platform = &exchange.platform;
        let mut signature = Signature::unfinished(key.clone(), platform.wall(), platform.random(), body);
        let message = signature.message(Signed {
            method: Method::POST.as_str(),
            path: request.endpoint.order_path(),
            facts,
        });
        let mac = platform.mac(key, message.as_bytes()).await;
        signature.mac = mac.ok_or_else(|| HopError::NoKey(key.clone()))?;
        Ok(signature.to_header())
    }

    /// The region has told of how it carries the order out, so long after it was sent.
    fn on_told(&self, told: &Told, waited: Duration) {
        let Order {
            exchange,
            identity,
            request,
            ..
        } = &**self.order;
        let cluster = &self.target.serving.cluster;
        if let Some(load) = told.load {
            let at = exchange.platform.now();
            exchange.gateway.on_load(&cluster.name, LoadSnapshot { load, at });
        }
        if let Some(hot) = &told.hot {
            ClusterClient::new(exchange, cluster).with(|cache| cache.on_hot(hot.clone()));
        }
        if let Some(visit) = &told.visit {
            identity.on_told(cluster, self.target.count.prompt, visit);
        }
        // The head of a whole answer comes when all of it is there.
        if request.asked_as == AskedAs::Stream {
            exchange.on_head(cluster, told.way(waited));
        }
    }

    /// The region has given up, and tells why.
    async fn given_up(&self, body: P::Body) -> Failed {
        let told = self.words(body).await;
        let told = told.and_then(|body| HopFailure::parse(&body));
        let Some((attempts, error)) = told.and_then(|told| Some((told.attempts, told.into_error()?))) else {
            return self.failed(HopError::Garbage);
        };
        self.served();
        failed_after(attempts, error)
    }

    /// The hop has not taken the order, and says why. Where it trusts nobody here it counts as out; what it lacks of one order
    /// says nothing of others.
    async fn refused(&self, head: &Parts, body: P::Body) -> Failed {
        let words = self.words(body).await.unwrap_or_default();
        let error = HopError::Refused {
            status: head.status.as_u16(),
            words: EngineError::read(&words).words().to_owned(),
        };
        if matches!(head.status, StatusCode::UNAUTHORIZED | StatusCode::SERVICE_UNAVAILABLE) {
            self.failed(error)
        } else {
            self.served();
            nobody_asked(error.into())
        }
    }

    async fn words(&self, body: P::Body) -> Option<Bytes> {
        let exchange = &self.order.exchange;
        words(exchange, body, exchange.config.sizes.response_body_bytes).await
    }

    fn served(&self) {
        let hops = &self.order.exchange.gateway.hops;
        hops.with(|hops| hops.on_served(&self.target.serving.cluster.region.name));
    }

    /// The hop did nothing with the order.
    fn failed(&self, error: HopError) -> Failed {
        let exchange = &self.order.exchange;
        let (now, region) = (exchange.platform.now(), &self.target.serving.cluster.region.name);
        let breaker = exchange.config.breaker;
        let on_failed = |hops: &mut HopHealth| hops.on_failed(now, region, breaker.failures, breaker.open);
        exchange.gateway.hops.with(on_failed);
        failed_after(1, error.into())
    }
}

/// What the headers of a region hop's response say.
enum Said {
    /// How the order is carried out.
    Told(Box<Told>),
    /// That it could not be.
    Failed,
    /// That the order is not taken.
    Refused,
    /// Nothing that a region hop says.
    Nothing,
}

fn said(headers: &HeaderMap) -> Said {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    match (text(X_TOLD).and_then(Told::parse), text(X_HOP)) {
        (Some(told), _) => Said::Told(Box::new(told)),
        (None, Some("failed")) => Said::Failed,
        (None, Some("refused")) => Said::Refused,
        (None, Some(_) | None) => Said::Nothing,
    }
}

/// What answers so is no region hop. Its words, which may quote the request, are not read.
fn stranger(head: &Parts) -> HopError {
    match head.status {
        StatusCode::OK => HopError::Garbage,
        status => HopError::Refused {
            status: status.as_u16(),
            words: String::new(),
        },
    }
}

/// The body as it is sent: over an ocean a long one comes some round trips sooner for being compressed.
fn compressed(body: Bytes) -> (Bytes, Option<ContentCoding>) {
    if body.len() < COMPRESSED_FROM {
        return (body, None);
    }
    match gzip(&body) {
        Ok(smaller) => (smaller, Some(ContentCoding::Gzip)),
        Err(_) => (body, None),
    }
}

fn insert(headers: &mut HeaderMap, name: HeaderName, text: &str) {
    if let Ok(value) = HeaderValue::from_str(text) {
        headers.insert(name, value);
    }
}

/// The host that a Worker is asked by over a service binding; it looks at the path alone.
const BOUND_HOST: &str = "http://region.hop";
/// How much longer than the region the edge waits: what the region tells at the last moment needs its way.
const SLACK: Duration = Duration::from_secs(2);
/// In bytes: two windows of a new connection (RFC 6928 has ten segments in the first).
const COMPRESSED_FROM: usize = 32 << 10;
