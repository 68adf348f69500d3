//! What an answer took: as its engine reports, or else as it was counted here. Reports are compared with the counts
//! that were made before: a count that claims to be exact and is not is an operator's alarm, and an estimate learns.

use std::rc::Rc;
use std::sync::Arc;

use crate::api::{OutputDelta, Usage};
use crate::config::Model;
use crate::ids::{ClusterName, Tokens};
use crate::observe::{Counting, Event};
use crate::pipeline::context::Exchange;
use crate::pipeline::intake::{Order, Target};
use crate::platform::Platform;
use crate::tokens::{Basis, Count, OutputCounter, Tokenizer, Uncorrected};

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
    reported: Option<Usage>,
}

impl<P: Platform> UsageMeter<P> {
    /// The meter of an answer from that target, of which nothing has passed yet.
    pub fn new(order: &Rc<Order<P>>, target: &Target<'_>) -> Self {
        let is_estimate = match target.count.basis {
            Basis::Estimated { .. } => true,
            Basis::Exact | Basis::Parts => false,
        };
        let table = tokenizer(&order.exchange, target.model).map(|tokenizer| tokenizer.table().clone());
        Self {
            order: Rc::clone(order),
            cluster: target.serving.cluster.name.clone(),
            model: Arc::clone(target.model),
            count: *target.count,
            uncorrected: is_estimate.then(|| *order.counts.uncorrected(&order.request)),
            written: OutputCounter::new(table),
            reported: None,
        }
    }

    /// The model says something.
    pub fn on_deltas(&mut self, deltas: &[OutputDelta<'_>]) {
        self.written.on_deltas(deltas);
    }

    /// The engine reports what the answer has taken so far, if it does.
    pub fn on_usage(&mut self, reported: Option<Usage>) {
        self.reported = reported.or(self.reported);
    }

    /// A piece of the answer has passed.
    pub fn on_piece(&self) {
        let reservation = &self.order.reservation;
        reservation.on_chunk(self.count.prompt, || self.completion());
    }

    /// Settles by what the answer took, which has ended, however it did.
    pub fn close(&self) {
        let usage = match self.reported {
            Some(usage) => {
                self.on_reported(usage);
                usage
            }
            None => {
                let completion = self.completion();
                self.order.exchange.tell(&Event::Counting(Counting::Unreported {
                    model: &self.model.name,
                    prompt: self.count.prompt,
                    completion,
                }));
                Usage {
                    prompt_tokens: self.count.prompt.0,
                    cached_tokens: 0,
                    completion_tokens: completion.0,
                }
            }
        };
        self.order.reservation.settle(usage, self.count.answers);
    }

    /// What has been written, as it is counted here.
    fn completion(&self) -> Tokens {
        let factor = match self.uncorrected {
            Some(_) => self.order.exchange.correction(&self.model).factor(),
            None => 1.0,
        };
        self.written.count(factor)
    }

    fn on_reported(&self, usage: Usage) {
        let exchange = &self.order.exchange;
        let model = &self.model.name;
        exchange.tell(&Event::Used { model, usage });
        let reported = Tokens(usage.prompt_tokens);
        if let Some(uncorrected) = &self.uncorrected {
            exchange.on_prompt_reported(&self.model, uncorrected, reported);
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

/// The tokenizer of that model, where there is one here.
pub(in crate::pipeline) fn tokenizer<'a, P: Platform>(
    exchange: &'a Exchange<P>,
    model: &Model,
) -> Option<&'a Tokenizer> {
    exchange.gateway.tables.get(model.tokens.as_ref()?.as_str())?.ok()
}
