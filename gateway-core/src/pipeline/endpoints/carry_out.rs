//! An order of the edge, from its head to the beginning of its answer. What a client may, what its request takes and what it
//! reserves was found out at the edge; what is left to do is to find a replica.

use std::fmt::Display;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::Stream;
use http::request::Parts;
use http::{HeaderValue, Response, StatusCode};

use crate::api::headers::{X_HOP, X_ORDER, X_SIGNATURE};
use crate::api::{ApiError, Endpoint};
use crate::auth::Caller;
use crate::cells::{CellAddress, CellId};
use crate::cluster::PassedOver;
use crate::config::{Cluster, Config, Model};
use crate::hop::{Admit, Admitted, BodyDigest, OrdersId, Signature, SignatureError, Signed};
use crate::ladder::AttemptError;
use crate::observe::Event;
use crate::pipeline::body::Body;
use crate::pipeline::context::{Exchange, Waiting};
use crate::pipeline::delivery::begin;
use crate::pipeline::failure::Failure;
use crate::pipeline::hops::{HopFailure, OrderFacts, OrderRefused};
use crate::pipeline::intake::{
    Counted, Counts, Identified, Received, decode_order, identify_order, note_asked, order_of_edge, plan_order,
    receive_of,
};
use crate::pipeline::recorder::Purpose;
use crate::pipeline::records;
use crate::pipeline::response;
use crate::platform::Platform;

/// Carries an order out.
pub(in crate::pipeline) async fn carry_out<P, B, E>(
    exchange: &Rc<Exchange<P>>,
    endpoint: Endpoint,
    head: &Parts,
    body: B,
) -> Result<Response<Body>, Failure>
where
    P: Platform,
    B: Stream<Item = Result<Bytes, E>> + Unpin,
    E: Display,
{
    match take(exchange, endpoint, head, body).await {
        Err(Failure::Exhausted { error, recovery }) => {
            Ok(failed(&HopFailure::new(&error, recovery, exchange.attempts.get())))
        }
        Err(Failure::Bodies(_)) => {
            // As where no replica has room: the next moment it may be otherwise.
            Ok(failed(&HopFailure::new(&no_memory(), Some(LACK_PASSES), 0)))
        }
        Err(failure) => {
            if let Failure::Order(refused) = &failure {
                let reason = refused.label();
                exchange.tell(&Event::OrderRefused { reason });
            }
            let mut response = response::error(endpoint.dialect(), &ApiError::from(failure));
            response
                .headers_mut()
                .insert(X_HOP, HeaderValue::from_static("refused"));
            Ok(response)
        }
        taken @ Ok(_) => taken,
    }
}

async fn take<P, B, E>(
    exchange: &Rc<Exchange<P>>,
    endpoint: Endpoint,
    head: &Parts,
    body: B,
) -> Result<Response<Body>, Failure>
where
    P: Platform,
    B: Stream<Item = Result<Bytes, E>> + Unpin,
    E: Display,
{
    let (signature, facts) = verify(exchange, endpoint, head).await?;
    let Known { caller, model, cluster } = Known::of(&exchange.config, &facts)?;
    let purpose = if facts.explains { Purpose::Tell } else { Purpose::Keep };
    records::begin(exchange, "order", &caller, purpose);
    let mut digest = None;
    let on_body = |body: &[u8]| digest = Some(BodyDigest::of(body));
    let Received { body, share } = receive_of(exchange, &caller.tenant.name, &head.headers, body, on_body).await?;
    let is_signed = digest.is_some_and(|digest| signature.is_for(digest));
    if !is_signed {
        return Err(OrderRefused::from(SignatureError::Forged).into());
    }
    admit(exchange, &cluster, signature.nonce).await?;
    let decoded = decode_order(exchange, endpoint, caller, &model, body)?;
    note_asked(exchange, &decoded);
    let Identified { decoded, identity } = identify_order(exchange, decoded, facts.session, facts.warm.clone()).await;
    let counts = Counts::of_order(facts.count);
    let counted = Counted {
        decoded,
        identity,
        counts,
    };
    let planned = plan_order(counted, &facts.cluster).ok_or_else(|| OrderRefused::Unknown {
        what: "model that the tenant may have served at",
        name: facts.cluster.to_string(),
    })?;
    let order = order_of_edge(exchange, planned, &facts);
    drop(share);
    begin(order).await
}

/// The signature and the facts of an order whose head can be trusted; whether its body can is to be seen.
async fn verify<P: Platform>(
    exchange: &Exchange<P>,
    endpoint: Endpoint,
    head: &Parts,
) -> Result<(Signature, OrderFacts), OrderRefused> {
    let text = |value: &HeaderValue| value.to_str().map(str::to_owned).ok();
    let header = head.headers.get(X_SIGNATURE).and_then(text);
    let signature = Signature::parse(&header.ok_or(SignatureError::Missing)?)?;
    let facts = head.headers.get(X_ORDER).and_then(text).unwrap_or_default();
    let key = &signature.key;
    if !exchange.config.hops.keys.contains(key) {
        return Err(SignatureError::UnknownKey.into());
    }
    signature.check_age(exchange.platform.wall())?;
    let message = signature.message(Signed {
        method: head.method.as_str(),
        path: endpoint.order_path(),
        facts: &facts,
    });
    let no_key = || OrderRefused::NoKey { key: key.to_string() };
    let expected = exchange
        .platform
        .mac(key, message.as_bytes())
        .await
        .ok_or_else(no_key)?;
    signature.check_mac(&expected)?;
    let facts = OrderFacts::parse(&facts).ok_or(OrderRefused::Facts)?;
    Ok((signature, facts))
}

/// What an order names, as the configuration here has it.
struct Known {
    caller: Caller,
    model: Arc<Model>,
    cluster: Arc<Cluster>,
}

impl Known {
    fn of(config: &Config, facts: &OrderFacts) -> Result<Self, OrderRefused> {
        let unknown = |what, name: &str| OrderRefused::Unknown {
            what,
            name: name.to_owned(),
        };
        let tenant = config.tenants.iter().find(|tenant| tenant.name == facts.tenant);
        let tenant = tenant.ok_or_else(|| unknown("tenant", facts.tenant.as_str()))?;
        let model = config.models.get(&facts.model);
        let cluster = config.clusters.get(&facts.cluster);
        Ok(Self {
            caller: Caller {
                tenant: Arc::clone(tenant),
                priority: facts.priority,
            },
            model: Arc::clone(model.ok_or_else(|| unknown("model", facts.model.as_str()))?),
            cluster: Arc::clone(cluster.ok_or_else(|| unknown("cluster", facts.cluster.as_str()))?),
        })
    }
}

/// Takes the order, unless it has come before.
async fn admit<P: Platform>(exchange: &Exchange<P>, cluster: &Cluster, nonce: u64) -> Result<(), OrderRefused> {
    let cell = CellAddress {
        id: CellId::Orders(OrdersId::of(&cluster.name, nonce)),
        near: cluster.region.coordinates,
    };
    let limit = exchange.config.timeouts.cells;
    let admitted = exchange.call_cell(&cell, Admit { nonce }, Waiting::Request, limit);
    match admitted.await {
        Ok(Admitted::New) => Ok(()),
        Ok(Admitted::Replayed) => Err(SignatureError::Replayed.into()),
        Err(_) => Err(OrderRefused::Cell),
    }
}

/// There is no memory for the order's body.
fn no_memory() -> AttemptError {
    AttemptError::NoRoom {
        recovery: Some(LACK_PASSES),
        passed_over: PassedOver {
            full: 1,
            ..PassedOver::default()
        },
        expected_wait: None,
        dropped: None,
    }
}

/// What the edge is told where no replica has answered.
fn failed(failure: &HopFailure) -> Response<Body> {
    let mut response = response::json(failure.to_body());
    *response.status_mut() = StatusCode::BAD_GATEWAY;
    let headers = response.headers_mut();
    headers.insert(X_HOP, HeaderValue::from_static("failed"));
    response
}

/// Bodies that are being read now have soon been read.
const LACK_PASSES: Duration = Duration::from_secs(1);
