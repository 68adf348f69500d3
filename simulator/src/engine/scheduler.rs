//! Which sequences a step computes, who waits, and who must give way: vLLM's rules (`v1/core/sched/scheduler.py`).
//!
//! A step first serves what is running (one token each, or the next chunk of a prompt), then admits waiting sequences
//! in order of arrival while batch, token budget and `kv_cache` have room for one. When a running sequence finds no
//! block, the one admitted last gives its blocks back and goes to the front of the waiting line; while that happens
//! nobody is admitted. Time passes only in [`Engine::advance`].

use std::collections::VecDeque;

use tidegate_core::time::Timestamp;

use super::blocks::BlockPool;
use super::prefix::BLOCK_TOKENS;
use super::profile::Capacity;
use super::sequence::{Sequence, SequenceId, SequenceRequest};
use super::stats::{Lifetime, Stats};
use super::timing::StepLoad;

/// One replica's state.
#[derive(Debug)]
pub struct Engine {
    capacity: Capacity,
    pool: BlockPool,
    /// In order of admission.
    running: Vec<Sequence>,
    waiting: VecDeque<Sequence>,
    step_ends: Option<Timestamp>,
    /// The step under way computes nothing: it only waits for a sequence that is held back.
    is_pause: bool,
    stats: Stats,
    next_id: u64,
}

/// What happened in a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// An output token is out.
    Token {
        sequence: SequenceId,
        /// Output tokens of this sequence so far, this one included.
        emitted: u32,
        /// Prompt tokens that were found in the cache.
        cached_tokens: u32,
    },
    /// The sequence is done; its blocks are free. Comes after its last token.
    Finished { sequence: SequenceId, cached_tokens: u32 },
}

/// The engine will never be able to serve this.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// There is nothing to compute.
    #[error("the prompt is empty")]
    EmptyPrompt,
    /// Prompt and output are longer than the context.
    #[error("{tokens} tokens of prompt and output do not fit into a context of {context_tokens}")]
    TooLong { tokens: u64, context_tokens: u32 },
}

impl Engine {
    /// An idle engine with an empty cache. The context never exceeds the `kv_cache`: one request always fits.
    #[must_use]
    pub fn new(mut capacity: Capacity) -> Self {
        let blocks = capacity.kv_cache_tokens / BLOCK_TOKENS;
        capacity.context_tokens = capacity.context_tokens.min(blocks * BLOCK_TOKENS);
        Self {
            pool: BlockPool::new(blocks),
            capacity,
            running: Vec::new(),
            waiting: VecDeque::new(),
            step_ends: None,
            is_pause: false,
            stats: Stats::default(),
            next_id: 0,
        }
    }

    /// The figures it was made with; its context may be shorter than asked for.
    #[must_use]
    pub const fn capacity(&self) -> &Capacity {
        &self.capacity
    }

    /// Takes a sequence; it joins the next step that has room for it. Call [`Self::advance`] with the same `now` before
    /// (so that no step begins in the past) and after.
    ///
    /// # Errors
    /// When no state of the engine could serve it.
    pub fn submit(&mut self, now: Timestamp, request: SequenceRequest) -> Result<SequenceId, Refused> {
        let tokens = u64::from(request.prompt_tokens) + u64::from(request.output_tokens);
        if request.prompt_tokens == 0 {
            return Err(Refused::EmptyPrompt);
        }
        if tokens > u64::from(self.capacity.context_tokens) {
            return Err(Refused::TooLong {
                tokens,
                context_tokens: self.capacity.context_tokens,
            });
        }
        let id = SequenceId(self.next_id);
        self.next_id += 1;
        self.end_pause();
        self.waiting.push_back(Sequence::new(id, request, now));
        Ok(id)
    }

    /// Takes a sequence out and frees its blocks; false if it is not (or no longer) here. Call [`Self::advance`] after.
    pub fn abort(&mut self, id: SequenceId) -> bool {
        self.end_pause();
        let running = self.running.iter().position(|sequence| sequence.id == id);
        if let Some(index) = running {
            let sequence = self.running.remove(index);
            self.pool.release(&sequence.held);
            self.stats.aborted += 1;
            return true;
        }
        let waiting = self.waiting.iter().position(|sequence| sequence.id == id);
        waiting.is_some_and(|index| {
            self.stats.aborted += 1;
            self.waiting.remove(index).is_some()
        })
    }

    /// When the step under way ends; `None` when idle, or when all that is left is stuck.
    #[must_use]
    pub const fn next_step_end(&self) -> Option<Timestamp> {
        self.step_ends
    }

    /// Lets time pass up to `now`: ends every step that is over, begins the next one where it ended, and appends what
    /// happened to `events`.
    pub fn advance(&mut self, now: Timestamp, events: &mut Vec<Event>) {
        loop {
            let begins = match self.step_ends {
                Some(ends) if ends > now => return,
                Some(ends) => {
                    self.end_step(ends, events);
                    ends
                }
                None => now,
            };
            self.step_ends = self.begin_step(begins);
            if self.step_ends.is_none() {
                return;
            }
        }
    }

    /// Sequences in the batch.
    #[must_use]
    pub fn running(&self) -> usize {
        self.running.len()
    }

    /// Sequences outside the batch.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// Share of the `kv_cache` that sequences hold, 0 to 1.
    #[must_use]
    pub fn kv_cache_usage(&self) -> f64 {
        f64::from(self.pool.held()) / f64::from(self.pool.total().max(1))
    }

    /// What it counted so far.
    #[must_use]
    pub const fn stats(&self) -> &Stats {
        &self.stats
    }

    /// Panics unless blocks, batch and waiting line agree with each other.
    pub fn check_invariants(&self) {
        let held = self.running.iter().map(|sequence| sequence.held.len()).sum();
        self.pool.check_invariants(held);
        assert!(
            self.running.len() <= self.capacity.max_running as usize,
            "size of the batch"
        );
        for sequence in &self.running {
            let reached = sequence.computed + sequence.scheduled;
            assert!(
                reached <= sequence.known_tokens(),
                "{sequence:?} computes only what it knows"
            );
            assert!(
                sequence.held.len() * BLOCK_TOKENS as usize >= reached as usize,
                "{sequence:?} has its blocks"
            );
        }
        for sequence in &self.waiting {
            assert!(
                sequence.held.is_empty() && sequence.computed == 0,
                "{sequence:?} waits and holds nothing"
            );
        }
        let idle = self.running.is_empty() && self.waiting.is_empty();
        let stuck = self.running.iter().any(|sequence| sequence.due().is_none());
        assert!(
            self.step_ends.is_some() || idle || stuck,
            "somebody is there and nothing happens"
        );
    }

    fn begin_step(&mut self, now: Timestamp) -> Option<Timestamp> {
        for sequence in &mut self.running {
            sequence.scheduled = 0;
        }
        let mut budget = self.capacity.max_step_tokens;
        let preemptions = self.stats.preemptions;
        self.schedule_running(now, &mut budget);
        if self.stats.preemptions == preemptions {
            self.admit_waiting(now, &mut budget);
        }
        let tokens = self.capacity.max_step_tokens - budget;
        self.is_pause = tokens == 0;
        if self.is_pause {
            return self.running.iter().filter_map(Sequence::due).min();
        }
        self.stats.on_step(tokens);
        Some(now + self.capacity.time_model.step(self.load()))
    }

    /// Who is new, or has new room, need not wait until a sequence that is held back goes on.
    const fn end_pause(&mut self) {
        if self.is_pause {
            self.step_ends = None;
        }
    }

    fn schedule_running(&mut self, now: Timestamp, budget: &mut u32) {
        let mut index = 0;
        while index < self.running.len() && *budget > 0 {
            let sequence = &mut self.running[index];
            if sequence.due().is_none_or(|due| due > now) {
                index += 1;
                continue;
            }
            let tokens = sequence.uncomputed().min(*budget);
            let missing = sequence.missing_blocks(tokens);
            if self.pool.try_grow(&mut sequence.held, missing) {
                sequence.scheduled = tokens;
                *budget -= tokens;
                index += 1;
            } else {
                self.preempt_last();
            }
        }
    }

    /// The sequence admitted last starts over: its blocks are freed, its output so far becomes part of its prompt.
    fn preempt_last(&mut self) {
        if let Some(mut sequence) = self.running.pop() {
            self.pool.release(&sequence.held);
            sequence.held.clear();
            sequence.computed = 0;
            sequence.scheduled = 0;
            self.stats.preemptions += 1;
            self.waiting.push_front(sequence);
        }
    }

    fn admit_waiting(&mut self, now: Timestamp, budget: &mut u32) {
        while *budget > 0 && self.running.len() < self.capacity.max_running as usize {
            let Some(sequence) = self.waiting.front() else { return };
            let reusable = sequence.reusable_hashes();
            let hits = self.pool.cached_prefix(reusable);
            let cached = hits as u32 * BLOCK_TOKENS;
            let tokens = (sequence.known_tokens() - cached).min(*budget);
            let fresh = (cached + tokens).div_ceil(BLOCK_TOKENS) - hits as u32;
            let Some(held) = self.pool.try_hold(&reusable[..hits], fresh) else {
                return;
            };
            let Some(mut sequence) = self.waiting.pop_front() else {
                return;
            };
            if sequence.admitted.is_none() {
                self.stats.on_prefix_lookup(sequence.known_tokens(), cached);
                sequence.admitted = Some(now);
                sequence.cached_tokens = Some(cached);
            }
            sequence.held = held;
            sequence.computed = cached;
            if sequence.due().is_some_and(|due| due <= now) {
                sequence.scheduled = tokens;
                *budget -= tokens;
            }
            self.running.push(sequence);
        }
    }

    fn load(&self) -> StepLoad {
        let mut load = StepLoad::default();
        for sequence in self.running.iter().filter(|sequence| sequence.scheduled > 0) {
            let is_decode = sequence.emitted > 0 && sequence.scheduled == 1;
            if is_decode {
                load.decoding += 1;
                load.decode_context_tokens += u64::from(sequence.known_tokens());
            } else {
                load.prefill_tokens += sequence.scheduled;
            }
        }
        load
    }

    fn end_step(&mut self, now: Timestamp, events: &mut Vec<Event>) {
        for sequence in self.running.iter_mut().filter(|sequence| sequence.scheduled > 0) {
            on_computed(&mut self.pool, sequence);
            if sequence.uncomputed() > 0 {
                continue;
            }
            if sequence.request.output_tokens > 0 {
                events.push(on_token(&mut self.stats, sequence, now));
            }
        }
        let (pool, stats) = (&mut self.pool, &mut self.stats);
        self.running.retain(|sequence| {
            let finished = sequence.is_finished();
            if finished {
                pool.release(&sequence.held);
                stats.on_finished(&lifetime(sequence, now));
                let cached_tokens = sequence.cached_tokens.unwrap_or_default();
                events.push(Event::Finished {
                    sequence: sequence.id,
                    cached_tokens,
                });
            }
            !finished
        });
    }
}

/// The step's tokens are in the `kv_cache`: blocks that became full are findable from now on.
fn on_computed(pool: &mut BlockPool, sequence: &mut Sequence) {
    let full_before = (sequence.computed / BLOCK_TOKENS) as usize;
    sequence.computed += sequence.scheduled;
    sequence.scheduled = 0;
    let full_now = (sequence.computed / BLOCK_TOKENS) as usize;
    let full = sequence
        .held
        .iter()
        .zip(&sequence.request.block_hashes)
        .take(full_now)
        .skip(full_before);
    for (block, hash) in full {
        pool.on_computed(*block, *hash);
    }
}

fn on_token(stats: &mut Stats, sequence: &mut Sequence, now: Timestamp) -> Event {
    sequence.emitted += 1;
    let cached_tokens = sequence.cached_tokens.unwrap_or_default();
    if sequence.first_token.is_none() {
        sequence.first_token = Some(now);
        stats.on_first_token(now.since(sequence.arrived));
    } else {
        stats.on_next_token(now.since(sequence.last_token));
    }
    sequence.last_token = now;
    Event::Token {
        sequence: sequence.id,
        emitted: sequence.emitted,
        cached_tokens,
    }
}

fn lifetime(sequence: &Sequence, now: Timestamp) -> Lifetime {
    let admitted = sequence.admitted.unwrap_or(sequence.arrived);
    let first_token = sequence.first_token.unwrap_or(now);
    Lifetime {
        queued: admitted.since(sequence.arrived),
        prefill: first_token.since(admitted),
        decode: now.since(first_token),
        prompt_tokens: sequence.request.prompt_tokens,
        output_tokens: sequence.emitted,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;
    use crate::engine::prefix::{BlockHash, PrefixScope, block_hashes};
    use crate::engine::sequence::Pace;
    use crate::engine::timing::TimeModel;

    const MODEL: TimeModel = TimeModel {
        decode_steps_us: &[(1, 10_000), (11, 20_000)],
        measured_context_tokens: 1_000,
        context_token_ns: 0,
        prefill_overhead_us: 0,
        prefill_token_ns: 100_000,
    };

    const START: Timestamp = Timestamp::from_micros(0);

    fn engine(kv_cache_tokens: u32) -> Engine {
        Engine::new(Capacity {
            time_model: MODEL,
            kv_cache_tokens,
            context_tokens: kv_cache_tokens,
            max_running: 8,
            max_step_tokens: 512,
        })
    }

    /// A prompt whose blocks start with `family`, so that prompts of one family share prefixes.
    fn request(family: u32, prompt_tokens: u32, output_tokens: u32) -> SequenceRequest {
        let tokens: Vec<u32> = (0..prompt_tokens + output_tokens)
            .map(|token| family * 1_000_000 + token)
            .collect();
        SequenceRequest {
            prompt_tokens,
            output_tokens,
            block_hashes: block_hashes(PrefixScope::default(), &tokens),
            pace: Pace::default(),
        }
    }

    /// Runs until idle; gives each event with the time of its step's end.
    fn run(engine: &mut Engine, now: Timestamp) -> Vec<(Timestamp, Event)> {
        let mut log = Vec::new();
        let mut events = Vec::new();
        engine.advance(now, &mut events);
        while let Some(ends) = engine.next_step_end() {
            engine.advance(ends, &mut events);
            log.extend(events.drain(..).map(|event| (ends, event)));
            engine.check_invariants();
        }
        log
    }

    fn token_times_ms(log: &[(Timestamp, Event)], id: SequenceId) -> Vec<u128> {
        log.iter()
            .filter(|(_, event)| matches!(event, Event::Token { sequence, .. } if *sequence == id))
            .map(|(at, _)| at.since(START).as_millis())
            .collect()
    }

    #[test]
    fn prefill_comes_first_then_one_token_per_step() {
        let mut engine = engine(1_024);
        let id = engine.submit(START, request(1, 100, 3)).unwrap();
        let log = run(&mut engine, START);
        assert_eq!(token_times_ms(&log, id), [10, 20, 30]);
        assert_eq!(
            log.last().unwrap().1,
            Event::Finished {
                sequence: id,
                cached_tokens: 0
            }
        );
        assert!(engine.kv_cache_usage().abs() < 1e-9);
    }

    #[test]
    fn a_step_takes_longer_when_more_decode_in_it() {
        let last_token_ms = |sequences: u32| {
            let mut engine = engine(4_096);
            let ids: Vec<_> = (0..sequences)
                .map(|n| engine.submit(START, request(n, 10, 20)).unwrap())
                .collect();
            *token_times_ms(&run(&mut engine, START), ids[0]).last().unwrap()
        };
        let (alone, together) = (last_token_ms(1), last_token_ms(6));
        assert_eq!(alone, 1 + 19 * 10);
        assert_eq!(together, 6 + 19 * 15);
    }

    #[test]
    fn only_uncached_prompt_tokens_are_prefilled() {
        let mut engine = engine(4_096);
        engine.submit(START, request(1, 320, 1)).unwrap();
        let cold = run(&mut engine, START);
        let began = cold.last().unwrap().0;
        let id = engine.submit(began, request(1, 330, 1)).unwrap();
        let warm = run(&mut engine, began);
        assert_eq!(
            warm[0].0.since(began),
            Duration::from_millis(1),
            "330 - 320 tokens at 0.1 ms"
        );
        assert_eq!(
            warm[0].1,
            Event::Token {
                sequence: id,
                emitted: 1,
                cached_tokens: 320
            }
        );
        assert_eq!(engine.stats().prefix_cache_hits, 320);
        assert_eq!(engine.stats().prefix_cache_queries, 650);
    }

    #[test]
    fn an_answer_is_part_of_the_prefix_that_the_next_turn_finds() {
        let mut engine = engine(4_096);
        engine.submit(START, request(1, 32, 65)).unwrap();
        let first = run(&mut engine, START);
        engine.submit(first.last().unwrap().0, request(1, 200, 1)).unwrap();
        run(&mut engine, first.last().unwrap().0);
        assert_eq!(engine.stats().prefix_cache_hits, 96, "32 + 64 computed output tokens");
    }

    #[test]
    fn the_last_prompt_token_is_always_computed() {
        let mut engine = engine(4_096);
        for _ in 0..2 {
            engine.submit(START, request(1, 64, 1)).unwrap();
            run(&mut engine, START);
        }
        assert_eq!(engine.stats().prefix_cache_hits, 48);
    }

    #[test]
    fn a_long_prompt_is_prefilled_in_chunks_beside_decoding() {
        let mut engine = engine(4_096);
        let mut events = Vec::new();
        let decoding = engine.submit(START, request(1, 10, 10)).unwrap();
        engine.advance(START, &mut events);
        let long = engine.submit(START, request(2, 1_200, 1)).unwrap();
        let log = run(&mut engine, START);
        let first_of_long = token_times_ms(&log, long)[0];
        let before: usize = token_times_ms(&log, decoding)
            .iter()
            .filter(|at| **at <= first_of_long)
            .count();
        assert_eq!(
            before, 4,
            "one token with its own prefill and one beside each of three chunks"
        );
    }

    #[test]
    fn who_does_not_fit_waits_in_order_of_arrival() {
        let mut engine = engine(160);
        let mut events = Vec::new();
        let ids = [1, 2, 3].map(|family| engine.submit(START, request(family, 80, 8)).unwrap());
        engine.advance(START, &mut events);
        assert_eq!((engine.running(), engine.waiting()), (2, 1));
        assert!((engine.kv_cache_usage() - 1.0).abs() < 1e-9);
        let log = run(&mut engine, START);
        let last = |id| *token_times_ms(&log, id).last().unwrap();
        assert!(last(ids[0]) < last(ids[2]));
        assert!(engine.stats().request_queue_time.sum() > 0.0);
    }

    #[test]
    fn when_the_kv_cache_runs_out_the_last_one_starts_over_and_still_finishes() {
        let mut engine = engine(160);
        let first = engine.submit(START, request(1, 60, 60)).unwrap();
        let second = engine.submit(START, request(2, 60, 60)).unwrap();
        let log = run(&mut engine, START);
        assert!(engine.stats().preemptions > 0);
        assert_eq!(token_times_ms(&log, first).len(), 60);
        assert_eq!(token_times_ms(&log, second).len(), 60);
        assert!(token_times_ms(&log, first).last() < token_times_ms(&log, second).last());
    }

    #[test]
    fn an_aborted_sequence_frees_its_blocks_at_once() {
        let mut engine = engine(1_024);
        let mut events = Vec::new();
        let id = engine.submit(START, request(1, 500, 100)).unwrap();
        engine.advance(START, &mut events);
        assert!(engine.kv_cache_usage() > 0.4);
        assert!(engine.abort(id));
        assert!(!engine.abort(id));
        assert!(engine.kv_cache_usage().abs() < 1e-9);
        engine.check_invariants();
        assert!(run(&mut engine, START).is_empty());
    }

    #[test]
    fn what_can_never_fit_is_refused() {
        let mut engine = engine(1_000);
        assert_eq!(engine.submit(START, request(1, 0, 5)), Err(Refused::EmptyPrompt));
        let too_long = Err(Refused::TooLong {
            tokens: 1_001,
            context_tokens: 992,
        });
        assert_eq!(engine.submit(START, request(1, 1_000, 1)), too_long);
    }

    #[test]
    fn an_embedding_finishes_without_a_token() {
        let mut engine = engine(1_024);
        let id = engine.submit(START, request(1, 40, 0)).unwrap();
        let log = run(&mut engine, START);
        assert_eq!(log.len(), 1);
        assert_eq!(
            log[0].1,
            Event::Finished {
                sequence: id,
                cached_tokens: 0
            }
        );
    }

    fn held_back(request: SequenceRequest, gap_ms: u64, stuck_after: Option<u32>) -> SequenceRequest {
        SequenceRequest {
            pace: Pace {
                token_gap: Duration::from_millis(gap_ms),
                stuck_after,
            },
            ..request
        }
    }

    #[test]
    fn who_is_held_back_keeps_its_place_and_holds_up_nobody() {
        let mut engine = engine(1_024);
        let mut events = Vec::new();
        let slow = engine.submit(START, held_back(request(1, 10, 3), 100, None)).unwrap();
        engine.advance(START, &mut events);
        assert_eq!(
            (engine.running(), engine.next_step_end()),
            (1, Some(Timestamp::from_millis(100)))
        );
        let later = Timestamp::from_millis(5);
        let quick = engine.submit(later, request(2, 10, 2)).unwrap();
        let log = run(&mut engine, later);
        assert_eq!(token_times_ms(&log, quick), [6, 16]);
        assert_eq!(
            token_times_ms(&log, slow),
            [101, 211, 321],
            "each a gap and a step after the one before"
        );
    }

    #[test]
    fn who_is_stuck_stays_until_it_is_taken_out() {
        let mut engine = engine(160);
        let stuck = engine
            .submit(START, held_back(request(1, 100, 40), 0, Some(2)))
            .unwrap();
        let log = run(&mut engine, START);
        assert_eq!(token_times_ms(&log, stuck).len(), 2);
        assert!(engine.running() == 1 && engine.kv_cache_usage() > 0.5);
        let blocked = engine.submit(log[1].0, request(2, 100, 1)).unwrap();
        assert!(run(&mut engine, log[1].0).is_empty());
        engine.abort(stuck);
        assert_eq!(token_times_ms(&run(&mut engine, log[1].0), blocked).len(), 1);
    }

    #[derive(Debug, Clone)]
    enum Action {
        Submit {
            family: u32,
            prompt: u32,
            output: u32,
            gap_ms: u64,
        },
        Abort {
            nth: usize,
        },
        Pass {
            ms: u64,
        },
    }

    fn action() -> impl Strategy<Value = Action> {
        prop_oneof![
            3 => (0..4_u32, 1..200_u32, 0..60_u32, prop_oneof![3 => Just(0), 1 => 1..50_u64])
                .prop_map(|(family, prompt, output, gap_ms)| Action::Submit { family, prompt, output, gap_ms }),
            1 => (0..20_usize).prop_map(|nth| Action::Abort { nth }),
            3 => (0..80_u64).prop_map(|ms| Action::Pass { ms }),
        ]
    }

    proptest! {
        #[test]
        fn blocks_and_tokens_are_conserved(actions in prop::collection::vec(action(), 1..80)) {
            let mut engine = engine(480);
            let mut now = START;
            let mut events = Vec::new();
            let mut submitted = Vec::new();
            let mut aborted = Vec::new();
            for action in actions {
                engine.advance(now, &mut events);
                match action {
                    Action::Submit { family, prompt, output, gap_ms } => {
                        let request = held_back(request(family, prompt, output), gap_ms, None);
                        submitted.push((engine.submit(now, request).unwrap(), output));
                        engine.advance(now, &mut events);
                    }
                    Action::Abort { nth } => {
                        let id = submitted.get(nth).map(|(id, _)| *id);
                        aborted.extend(id.filter(|id| engine.abort(*id)));
                    }
                    Action::Pass { ms } => now = now + Duration::from_millis(ms),
                }
                engine.advance(now, &mut events);
                engine.check_invariants();
            }
            events.extend(run(&mut engine, now).into_iter().map(|(_, event)| event));
            prop_assert_eq!((engine.running(), engine.waiting()), (0, 0));
            prop_assert!(engine.kv_cache_usage().abs() < 1e-9);
            for (id, output) in submitted {
                let counts: Vec<u32> = events.iter().filter_map(|event| match event {
                    Event::Token { sequence, emitted, .. } if *sequence == id => Some(*emitted),
                    Event::Token { .. } | Event::Finished { .. } => None,
                }).collect();
                let finished = events.iter()
                    .filter(|event| matches!(event, Event::Finished { sequence, .. } if *sequence == id)).count();
                prop_assert_eq!(finished, usize::from(!aborted.contains(&id)));
                prop_assert!(counts.iter().copied().eq(1..=counts.len() as u32), "tokens in order: {:?}", counts);
                prop_assert!(aborted.contains(&id) || counts.len() == output as usize);
            }
        }

        #[test]
        fn a_known_prefix_is_never_longer_than_the_prompt(prompt in 1..300_u32) {
            let mut engine = engine(4_096);
            for _ in 0..2 {
                engine.submit(START, request(1, prompt, 1)).unwrap();
                run(&mut engine, START);
            }
            prop_assert!(engine.stats().prefix_cache_hits < u64::from(prompt));
        }
    }

    #[test]
    fn hashes_that_are_unknown_are_simply_not_cached() {
        let mut engine = engine(1_024);
        let half_known = SequenceRequest {
            block_hashes: vec![BlockHash(1)],
            ..request(1, 100, 5)
        };
        for _ in 0..2 {
            engine.submit(START, half_known.clone()).unwrap();
            run(&mut engine, START);
        }
        assert_eq!(engine.stats().prefix_cache_hits, 16);
    }
}
