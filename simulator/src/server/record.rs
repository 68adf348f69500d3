//! Remembers the last requests as they arrived, and how each ended, so that tests can assert what reached the engine.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use http::request::Parts;
use memchr::memmem;
use serde_json::{Value, json};

/// All requests so far: counted, and the last of them kept.
#[derive(Debug, Default)]
pub(super) struct Records {
    recent: Mutex<RecentRequests>,
    started: AtomicU64,
    settled: [AtomicU64; 3],
}

#[derive(Debug, Default)]
struct RecentRequests {
    records: VecDeque<Arc<Record>>,
    bytes: usize,
}

#[derive(Debug)]
struct Record {
    id: u64,
    parts: Parts,
    body: Bytes,
    outcome: AtomicU8,
}

/// How a request ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    /// The reply was handed to the connection whole.
    Finished = 0,
    /// The engine answered with an error, or broke off.
    Failed = 1,
    /// The client left first.
    Aborted = 2,
}

/// A request under way; dropped without a word, it was aborted by its client.
#[derive(Debug)]
pub(super) struct Exchange {
    records: Arc<Records>,
    record: Arc<Record>,
    settled: bool,
}

/// Most requests kept.
const MOST_RECORDS: usize = 512;
/// Most bytes of bodies kept.
const MOST_BYTES: usize = 32 << 20;
/// Outcome of a request that is still running.
const RUNNING: u8 = u8::MAX;

impl Records {
    /// A request has arrived.
    pub fn begin(self: &Arc<Self>, parts: Parts, body: Bytes) -> Exchange {
        let id = self.started.fetch_add(1, Ordering::Relaxed) + 1;
        let record = Arc::new(Record {
            id,
            parts,
            body,
            outcome: AtomicU8::new(RUNNING),
        });
        let mut recent = self.lock();
        recent.bytes += record.body.len();
        recent.records.push_back(Arc::clone(&record));
        while recent.records.len() > MOST_RECORDS || recent.bytes > MOST_BYTES {
            let Some(oldest) = recent.records.pop_front() else {
                break;
            };
            recent.bytes -= oldest.body.len();
        }
        drop(recent);
        Exchange {
            records: Arc::clone(self),
            record,
            settled: false,
        }
    }

    /// The counters and the last `limit` requests whose body contains `needle`, oldest first.
    pub fn report(&self, needle: &str, limit: usize) -> Value {
        let finder = memmem::Finder::new(needle);
        let recent = self.lock();
        let mut requests: Vec<Value> = recent
            .records
            .iter()
            .rev()
            .filter(|record| finder.find(&record.body).is_some())
            .take(limit)
            .map(|record| record.report())
            .collect();
        requests.reverse();
        json!({ "counters": self.counters(), "requests": requests })
    }

    /// Forgets the requests kept; the counters go on.
    pub fn clear(&self) {
        *self.lock() = RecentRequests::default();
    }

    fn counters(&self) -> Value {
        let [finished, failed, aborted] = [Outcome::Finished, Outcome::Failed, Outcome::Aborted]
            .map(|outcome| self.settled[outcome as usize].load(Ordering::Relaxed));
        let started = self.started.load(Ordering::Relaxed);
        json!({
            "started": started, "finished": finished, "failed": failed, "aborted": aborted,
            "running": started.saturating_sub(finished + failed + aborted),
        })
    }

    fn lock(&self) -> MutexGuard<'_, RecentRequests> {
        self.recent.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Record {
    fn report(&self) -> Value {
        let headers: Vec<[String; 2]> = self
            .parts
            .headers
            .iter()
            .map(|(name, value)| [name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned()])
            .collect();
        let outcome = match self.outcome.load(Ordering::Relaxed) {
            0 => "finished",
            1 => "failed",
            2 => "aborted",
            _ => "running",
        };
        json!({
            "id": self.id,
            "method": self.parts.method.as_str(),
            "path": self.parts.uri.path_and_query().map_or("/", |path| path.as_str()),
            "headers": headers,
            "body": String::from_utf8_lossy(&self.body),
            "outcome": outcome,
        })
    }
}

impl Exchange {
    /// The request's headers.
    pub fn parts(&self) -> &Parts {
        &self.record.parts
    }

    /// The request's body.
    pub fn body(&self) -> &Bytes {
        &self.record.body
    }

    /// Counts requests, from 1.
    pub fn id(&self) -> u64 {
        self.record.id
    }

    /// The request is over.
    pub fn settle(mut self, outcome: Outcome) {
        self.close(outcome);
    }

    fn close(&mut self, outcome: Outcome) {
        self.settled = true;
        self.record.outcome.store(outcome as u8, Ordering::Relaxed);
        self.records.settled[outcome as usize].fetch_add(1, Ordering::Relaxed);
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        if !self.settled {
            self.close(Outcome::Aborted);
        }
    }
}
