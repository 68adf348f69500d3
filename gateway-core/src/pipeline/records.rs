//! Which records of requests are kept, and where they are found. Each process, isolate or instance keeps its latest. Those of
//! requests that asked to be explained, and some of those that failed, are written to the store too, behind the response: there
//! every gateway finds them, whichever has answered.

use std::rc::Rc;

use bytes::Bytes;

use crate::auth::Caller;
use crate::explain::{DecisionRecord, KeptRecord, Most};
use crate::ids::RequestId;
use crate::pipeline::context::Exchange;
use crate::pipeline::recorder::Purpose;
use crate::platform::Platform;

/// Begins the record of a request that was let in, unless nobody would ever read it.
pub(super) fn begin<P: Platform>(exchange: &Exchange<P>, route: &'static str, caller: &Caller, purpose: Purpose) {
    let most = most(exchange);
    let is_kept = most.records > 0 && purpose != Purpose::DryRun;
    if !is_kept && purpose == Purpose::Keep {
        return;
    }
    let whose = (caller.tenant.name.clone(), caller.priority.as_str());
    let record = DecisionRecord::new(&exchange.id, exchange.platform.wall(), route, whose);
    let record = KeptRecord::new(record);
    let push = || exchange.gateway.records.with(|records| records.push(&record, most));
    let number = is_kept.then(push);
    exchange.recorder.begin(record, purpose, number);
}

/// How much the configuration lets be kept.
fn most<P: Platform>(exchange: &Exchange<P>) -> Most {
    let settings = exchange.config.explain;
    Most {
        records: settings.kept_requests,
        bytes: settings.kept_bytes,
    }
}

/// Somebody works on a request's answer, or delivers it. Once nobody does, also because the client has left, its request is
/// over.
#[derive(Debug)]
pub(super) struct Delivery<P: Platform>(Rc<Exchange<P>>);

impl<P: Platform> Delivery<P> {
    pub fn new(exchange: &Rc<Exchange<P>>) -> Self {
        exchange.recorder.on_delivering();
        Self(Rc::clone(exchange))
    }
}

impl<P: Platform> Drop for Delivery<P> {
    fn drop(&mut self) {
        self.0.recorder.on_delivered();
        on_over(&self.0);
    }
}

/// Once nothing more is to come of a request, its record is complete.
fn on_over<P: Platform>(exchange: &Exchange<P>) {
    let recorder = &exchange.recorder;
    if !recorder.is_delivered() || recorder.is_dry_run() {
        return;
    }
    let after = exchange.platform.now().since(exchange.arrived);
    let told = recorder.with(|record| {
        record.on_ended(after);
        (record.status.is_some(), record.has_failed())
    });
    let Some((has_response, has_failed)) = told else { return };
    let (now, gateway) = (exchange.platform.now(), &exchange.gateway);
    if let Some(number) = recorder.number() {
        let most = most(exchange);
        gateway.records.with(|records| records.on_ended(number, most));
    }
    let may_store = || gateway.records.with(|records| records.may_store(now));
    if has_response && (recorder.is_told() || (has_failed && may_store())) {
        store(exchange);
    }
}

/// Writes the record where every gateway finds it, behind the response's back. One that the store does not take is missing, as
/// all others are.
fn store<P: Platform>(exchange: &Exchange<P>) {
    let text = exchange.recorder.with(|record| record.to_json(MOST_STORED_BYTES));
    let Some(text) = text.flatten() else { return };
    let (platform, key) = (exchange.platform.clone(), key(exchange.id.as_str()));
    let ttl = exchange.config.explain.stored;
    exchange.platform.after_response(async move {
        let _ = platform.store_write(&key, Bytes::from(text), Some(ttl)).await;
    });
}

/// The record of a request as JSON, from here or from the store.
pub(super) async fn find<P: Platform>(exchange: &Exchange<P>, id: &RequestId) -> Option<Bytes> {
    let kept = exchange.gateway.records.with(|records| records.find(id.as_str()));
    if let Some(record) = kept {
        return record.get().to_json(MOST_STORED_BYTES).map(Bytes::from);
    }
    let key = key(id.as_str());
    let keys = [key.as_str()];
    let read = exchange.platform.store_read(&keys);
    let values = exchange.within(exchange.config.timeouts.cells, read).await?.ok()?;
    values.into_iter().next().flatten()
}

fn key(id: &str) -> String {
    format!("explain/{id}")
}

/// A record takes no more in the store, nor where an operator reads it: all of the longest one.
const MOST_STORED_BYTES: usize = 128 << 10;
