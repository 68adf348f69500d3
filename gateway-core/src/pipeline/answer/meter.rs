//! What an answer took: as its engine reports, or else as it was counted here. Reports are compared with the counts
//! that were made before: a count that claims to be exact and is not is an operator's alarm, and an estimate learns.

use std::rc::Rc;
use std::sync::Arc;

use crate::api::{OutputDelta, Usage};
use crate::config::Model;
use crate::ids::{ClusterName, Tokens};
use crate::observe::{Counting, Event};
use crate::pipeline::intake::{Order, Target};
use crate::platform::Platform;
use crate::time::Timestamp;
use crate::tokens::{Basis, Count, OutputCounter, Uncorrected};

/// The meter of one answer.
#[derive(Debug)]
pub(in crate::pipeline) struct UsageMeter<P: Platform> {
    order: Rc<Order<P>>,
    cluster: ClusterName,
    model: Arc<Model>,
    count: Count,
    /// What an estimate started from.
    uncorrected: Option<Uncorrected>,
    /// What has been written, as far as it passed here.
    written: OutputCounter,
    /// What corrects an estimate of it.
    factor: f64,
    reported: Option<Usage>,
    /// Whether more has been written since the engine reported.
    is_outgrown: bool,
    /// When the model began to say something, where it does so piece by piece.
    begun: Option<Timestamp>,
}

impl<P: Platform> UsageMeter<P> {
    /// The meter of an answer from that target, of which nothing has passed yet.
    pub fn new(order: &Rc<Order<P>>, target: &Target<'_>) -> Self {
        let is_estimate = match target.count.basis {
            Basis::Estimated { .. } => true,
            Basis::Exact | Basis::Parts => false,
        };
        let table = order
            .exchange
            .tokenizer(target.model)
            .map(|tokenizer| tokenizer.table().clone());
        let factor = match table {
            Some(_) => 1.0,
            None => order
                .exchange
                .estimator(target.model, &order.caller.tenant.name)
                .factor(),
        };
        Self {
            order: Rc::clone(order),
            cluster: target.serving.cluster.name.clone(),
            model: Arc::clone(target.model),
            count: *target.count,
            uncorrected: is_estimate
                .then(|| order.counts.uncorrected(&order.request).copied())
                .flatten(),
            written: OutputCounter::new(table),
            factor,
            reported: None,
            is_outgrown: false,
            begun: None,
        }
    }

    /// An event of the answer is here, in which the model says that.
    pub fn on_event(&mut self, deltas: &[OutputDelta<'_>]) {
        if self.begun.is_none() && !deltas.is_empty() {
            self.begun = Some(self.order.exchange.platform.now());
        }
        self.on_deltas(deltas);
    }

    /// The model says something.
    pub fn on_deltas(&mut self, deltas: &[OutputDelta<'_>]) {
        self.written.on_deltas(deltas);
        self.is_outgrown |= !deltas.is_empty();
    }

    /// The engine reports what the answer has taken so far, if it does. What it does not say stays as it said before.
    pub fn on_usage(&mut self, reported: Option<Usage>) {
        let Some(mut usage) = reported else { return };
        if let Some(before) = self.reported.filter(|_| usage.prompt_tokens == 0) {
            usage.prompt_tokens = before.prompt_tokens;
            usage.cached_tokens = before.cached_tokens;
        }
        self.reported = Some(usage);
        self.is_outgrown = false;
    }

    /// All of the answer is here: what it says is counted only where the engine does not tell.
    pub fn on_whole(&mut self, deltas: &[OutputDelta<'_>], reported: Option<Usage>) {
        if self.may_be_of_one() || reported.is_none_or(|usage| usage.completion_tokens == 0) {
            self.on_deltas(deltas);
        }
        self.on_usage(reported);
    }

    /// A whole answer has passed to its end.
    pub fn on_whole_passed(&self) {
        let exchange = &self.order.exchange;
        exchange.tell(&Event::WholeAnswer {
            cluster: &self.cluster,
            model: &self.model.name,
            after: exchange.platform.now().since(exchange.arrived),
        });
    }

    /// A piece of the answer has passed.
    pub fn on_piece(&self) {
        let reservation = &self.order.reservation;
        reservation.on_chunk(self.count.prompt, || self.completion());
    }

    /// What the answer has taken so far, by what was counted here where the engine has not told of all of it.
    pub fn used(&self) -> Usage {
        let counted = Usage {
            prompt_tokens: self.count.prompt.0,
            cached_tokens: None,
            completion_tokens: self.completion().0,
        };
        self.reported
            .map_or(counted, |reported| self.completed(reported, false))
    }

    /// Settles by what the answer took, which has ended, and is whole or was cut off. What the engine reports of a whole one
    /// stands; of any other, and where more was written since, no less is charged than what was counted here.
    pub fn close(&self, is_whole: bool) {
        let usage = match self.reported {
            Some(reported) => {
                let usage = self.completed(reported, is_whole);
                self.on_reported(reported, usage);
                usage
            }
            None => {
                let usage = self.used();
                self.order.exchange.tell(&Event::Counting(Counting::Unreported {
                    model: &self.model.name,
                    prompt: self.count.prompt,
                    completion: Tokens(usage.completion_tokens),
                }));
                usage
            }
        };
        self.on_written(usage.completion_tokens);
        let (prompt, cached) = (Tokens(usage.prompt_tokens), usage.cached_tokens.map(Tokens));
        self.order.identity.on_computed(&self.order.exchange, prompt, cached);
        self.order
            .reservation
            .settle(&self.order.model.name, usage, self.count.answers);
    }

    /// The answer has ended that has written so many tokens: how fast that went tells how fast its cluster is.
    fn on_written(&self, tokens: u64) {
        let Some(begun) = self.begun else { return };
        let exchange = &self.order.exchange;
        let took = exchange.platform.now().since(begun);
        exchange.on_served(&self.cluster, |served| served.ended.on_answer(tokens, took));
    }

    /// A report, with what it does not say as it was counted here.
    fn completed(&self, reported: Usage, is_whole: bool) -> Usage {
        let Usage {
            prompt_tokens,
            cached_tokens,
            completion_tokens,
        } = reported;
        let is_all = is_whole && !self.is_outgrown && completion_tokens > 0 && !self.may_be_of_one();
        Usage {
            prompt_tokens: if prompt_tokens == 0 || self.is_of_one(prompt_tokens) {
                self.count.prompt.0
            } else {
                prompt_tokens
            },
            cached_tokens,
            completion_tokens: if is_all {
                completion_tokens
            } else {
                completion_tokens.max(self.completion().0)
            },
        }
    }

    /// Whether engines may report what one of several answers took: llama.cpp does, also of a whole answer, and TGI of
    /// completions of several prompts.
    fn may_be_of_one(&self) -> bool {
        self.count.answers > 1
    }

    /// Whether a report of so many tokens is of one of several prompts.
    fn is_of_one(&self, prompt_tokens: u64) -> bool {
        // An estimate of all of them is hardly ever further off.
        let least = if self.uncorrected.is_some() {
            self.count.prompt.0 * 3 / 4
        } else {
            self.count.prompt.0
        };
        self.may_be_of_one() && prompt_tokens < least
    }

    /// What has been written, as it is counted here.
    fn completion(&self) -> Tokens {
        self.written.count(self.factor)
    }

    /// The engine has reported that much, which is taken for `usage`.
    fn on_reported(&self, reported: Usage, usage: Usage) {
        let exchange = &self.order.exchange;
        let model = &self.model.name;
        exchange.tell(&Event::Used { model, usage });
        let reported = Tokens(reported.prompt_tokens);
        if reported == Tokens(0) || self.is_of_one(reported.0) {
            return;
        }
        if let Some(uncorrected) = &self.uncorrected {
            exchange.on_prompt_reported(&self.model, &self.order.caller.tenant.name, uncorrected, reported);
        }
        if self.count.basis.is_exact() && reported != self.count.prompt {
            exchange.tell(&Event::Counting(Counting::Miscounted {
                cluster: &self.cluster,
                model,
                counted: self.count.prompt,
                reported,
            }));
        }
    }
}
