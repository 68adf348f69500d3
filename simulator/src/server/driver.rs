//! Runs the engine's model in real time: hands sequences in, wakes who waits for their tokens, takes them out when
//! nobody waits any more.
//!
//! What is over by the time of a call happens within that call, so an engine without delays answers without ever
//! changing tasks. One task sleeps until the next step's end.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tidegate_core::time::Timestamp;
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::engine::profile::Capacity;
use crate::engine::scheduler::{Engine, Event, Refused};
use crate::engine::sequence::{SequenceId, SequenceRequest};
use crate::engine::timing::TimeModel;
use crate::language::answer::Finish;

/// The engine, shared by all requests.
#[derive(Debug)]
pub(super) struct Driver {
    state: Mutex<State>,
    /// The sleeping task's next step has changed.
    changed: Notify,
    started: Instant,
    time_scale: f64,
}

#[derive(Debug)]
struct State {
    engine: Engine,
    /// Who waits for which sequence.
    watchers: HashMap<SequenceId, Watcher>,
    events: Vec<Event>,
    finished: FinishedCounts,
    /// What the task sleeps for.
    slept_until: Option<Timestamp>,
    /// The engine has crashed and is back at this time.
    dead_until: Option<Instant>,
}

#[derive(Debug)]
struct Watcher {
    progress: Arc<Progress>,
    /// Which of the ticket's sequences it is.
    index: usize,
    /// How the sequence will end.
    finish: Finish,
}

/// Finished sequences by their reason, as `vllm:request_success_total` has them.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct FinishedCounts {
    pub stop: u64,
    pub length: u64,
}

/// A sequence to run, and how it will end.
#[derive(Debug)]
pub(super) struct Work {
    pub request: SequenceRequest,
    pub finish: Finish,
}

/// How far the sequences of one request are.
#[derive(Debug)]
struct Progress {
    moved: Notify,
    sequences: Vec<SequenceProgress>,
    failed: AtomicBool,
}

#[derive(Debug, Default)]
struct SequenceProgress {
    emitted: AtomicU32,
    cached_tokens: AtomicU32,
    finished: AtomicBool,
}

/// The sequences of one request; dropped early, they are aborted.
#[derive(Debug)]
pub(super) struct Ticket {
    driver: Arc<Driver>,
    progress: Arc<Progress>,
    ids: Vec<SequenceId>,
}

/// Why an engine takes no sequence, or loses one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum EngineError {
    #[error(transparent)]
    Refused(#[from] Refused),
    /// vLLM's `EngineDeadError`.
    #[error("EngineCore encountered an issue. See stack trace (above) for the root cause.")]
    Dead,
}

/// When the engine is made, on its own clock.
const ENGINE_START: Timestamp = Timestamp::from_micros(0);

impl Driver {
    pub fn new(capacity: Capacity, time_scale: f64) -> Arc<Self> {
        let instant = time_scale == 0.0;
        let time_model = if instant {
            TimeModel::INSTANT
        } else {
            capacity.time_model
        };
        let state = State {
            engine: Engine::new(Capacity { time_model, ..capacity }),
            watchers: HashMap::new(),
            events: Vec::new(),
            finished: FinishedCounts::default(),
            slept_until: None,
            dead_until: None,
        };
        Arc::new(Self {
            state: Mutex::new(state),
            changed: Notify::new(),
            started: Instant::now(),
            time_scale: if instant { 1.0 } else { time_scale },
        })
    }

    /// Ends steps as they are due; never returns.
    pub async fn run(&self) {
        loop {
            let next = {
                let mut state = self.lock();
                self.advance(&mut state);
                state.slept_until = state.engine.next_step_end();
                state.slept_until
            };
            match next {
                None => self.changed.notified().await,
                Some(ends) => {
                    let due = self.started + ends.since(ENGINE_START).mul_f64(self.time_scale);
                    let _ = tokio::time::timeout_at(due, self.changed.notified()).await;
                }
            }
        }
    }

    /// Hands in the sequences of one request, all or none.
    pub fn submit(self: &Arc<Self>, works: Vec<Work>) -> Result<Ticket, EngineError> {
        let mut state = self.lock();
        if state.is_dead() {
            return Err(EngineError::Dead);
        }
        self.advance(&mut state);
        let sequences = works.iter().map(|_| SequenceProgress::default()).collect();
        let progress = Arc::new(Progress {
            moved: Notify::new(),
            sequences,
            failed: AtomicBool::new(false),
        });
        let mut ids = Vec::with_capacity(works.len());
        for (index, work) in works.into_iter().enumerate() {
            match state.engine.submit(self.now(), work.request) {
                Ok(id) => {
                    let watcher = Watcher {
                        progress: Arc::clone(&progress),
                        index,
                        finish: work.finish,
                    };
                    state.watchers.insert(id, watcher);
                    ids.push(id);
                }
                Err(refused) => {
                    ids.iter().for_each(|id| state.abort(*id));
                    return Err(refused.into());
                }
            }
        }
        self.advance_and_wake(&mut state);
        drop(state);
        Ok(Ticket {
            driver: Arc::clone(self),
            progress,
            ids,
        })
    }

    /// Loses every sequence and the cache, and takes nothing for a while.
    pub fn crash(&self, restart: Duration) {
        let mut state = self.lock();
        for watcher in state.watchers.values() {
            watcher.progress.failed.store(true, Ordering::Release);
            watcher.progress.moved.notify_one();
        }
        state.watchers.clear();
        state.engine = Engine::new(state.engine.capacity().clone());
        state.dead_until = Some(Instant::now() + restart);
    }

    pub fn is_dead(&self) -> bool {
        self.lock().is_dead()
    }

    /// Looks at the engine as it is now.
    pub fn inspect<T>(&self, look: impl FnOnce(&Engine, FinishedCounts) -> T) -> T {
        let mut state = self.lock();
        self.advance(&mut state);
        look(&state.engine, state.finished)
    }

    /// After a change: what sleeps until the next step's end may have to sleep for a shorter time.
    fn advance_and_wake(&self, state: &mut State) {
        let before = state.slept_until;
        self.advance(state);
        let next = state.engine.next_step_end();
        if next.is_some() && next != before {
            self.changed.notify_one();
        }
    }

    fn advance(&self, state: &mut State) {
        let now = self.now();
        let mut events = std::mem::take(&mut state.events);
        state.engine.advance(now, &mut events);
        for event in events.drain(..) {
            state.deliver(event);
        }
        state.events = events;
    }

    fn now(&self) -> Timestamp {
        ENGINE_START + self.started.elapsed().div_f64(self.time_scale)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // A panic elsewhere leaves the engine as it was: it changes only in calls that do not unwind half way.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn deliver(&mut self, event: Event) {
        match event {
            Event::Token {
                sequence,
                emitted,
                cached_tokens,
            } => {
                if let Some(watcher) = self.watchers.get(&sequence) {
                    let progress = &watcher.progress.sequences[watcher.index];
                    progress.cached_tokens.store(cached_tokens, Ordering::Relaxed);
                    progress.emitted.store(emitted, Ordering::Release);
                    watcher.progress.moved.notify_one();
                }
            }
            Event::Finished {
                sequence,
                cached_tokens,
            } => {
                if let Some(watcher) = self.watchers.remove(&sequence) {
                    self.finished.count(watcher.finish);
                    let progress = &watcher.progress.sequences[watcher.index];
                    progress.cached_tokens.store(cached_tokens, Ordering::Relaxed);
                    progress.finished.store(true, Ordering::Release);
                    watcher.progress.moved.notify_one();
                }
            }
        }
    }

    fn abort(&mut self, id: SequenceId) {
        if self.watchers.remove(&id).is_some() {
            self.engine.abort(id);
        }
    }

    fn is_dead(&self) -> bool {
        self.dead_until.is_some_and(|until| Instant::now() < until)
    }
}

impl FinishedCounts {
    const fn count(&mut self, finish: Finish) {
        match finish {
            Finish::Stop | Finish::ToolCalls => self.stop += 1,
            Finish::Length => self.length += 1,
        }
    }
}

impl Ticket {
    /// Output tokens of one sequence so far.
    pub fn emitted(&self, index: usize) -> usize {
        self.progress.sequences[index].emitted.load(Ordering::Acquire) as usize
    }

    /// Prompt tokens that were found in the cache, as known so far.
    pub fn cached_tokens(&self, index: usize) -> u32 {
        self.progress.sequences[index].cached_tokens.load(Ordering::Relaxed)
    }

    /// Returns when something has moved since the last call.
    pub async fn moved(&self) -> Result<(), EngineError> {
        self.progress.moved.notified().await;
        self.check()
    }

    /// Whether the engine has lost the sequences.
    pub fn check(&self) -> Result<(), EngineError> {
        if self.progress.failed.load(Ordering::Acquire) {
            Err(EngineError::Dead)
        } else {
            Ok(())
        }
    }

    /// Returns when all sequences are finished.
    pub async fn finished(&self) -> Result<(), EngineError> {
        while !self.is_finished() {
            self.moved().await?;
        }
        Ok(())
    }

    fn is_finished(&self) -> bool {
        self.progress
            .sequences
            .iter()
            .all(|sequence| sequence.finished.load(Ordering::Acquire))
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        if self.is_finished() || self.check().is_err() {
            return;
        }
        let mut state = self.driver.lock();
        self.ids.iter().for_each(|id| state.abort(*id));
        self.driver.advance_and_wake(&mut state);
    }
}
