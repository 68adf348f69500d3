//! What an answer took: as its engine reports, or else as it was counted here. Reports are compared with the counts
//! that were made before: a count that claims to be exact and is not is an operator's alarm, and an estimate learns.

use std::rc::Rc;
use std::sync::Arc;

use crate::api::Usage;
use crate::config::Model;
use crate::ids::{ClusterName, Tokens};
use crate::observe::{Counting, Event};
use crate::pipeline::context::Exchange;
use crate::pipeline::dispatch::Target;
use crate::pipeline::leases::Reservation;
use crate::platform::Platform;
use crate::tokens::{Basis, Count, OutputCounter, Tokenizer};

/// The account of one answer.
#[derive(Debug)]
pub(in crate::pipeline) struct UsageMeter<P: Platform> {
    exchange: Rc<Exchange<P>>,
    charge: Rc<Reservation<P>>,
    cluster: ClusterName,
    model: Arc<Model>,
    count: Count,
    /// What an estimate started from.
    uncorrected_estimate: Option<f64>,
}

impl<P: Platform> UsageMeter<P> {
    pub fn open(exchange: &Rc<Exchange<P>>, target: &Target<'_>, charge: &Rc<Reservation<P>>) -> Self {
        let is_estimate = match target.count.basis {
            Basis::Estimated { .. } => true,
            Basis::Exact | Basis::Parts => false,
        };
        Self {
            exchange: Rc::clone(exchange),
            charge: Rc::clone(charge),
            cluster: target.serving.cluster.name.clone(),
            model: Arc::clone(target.model),
            count: *target.count,
            uncorrected_estimate: is_estimate.then(|| target.counted.uncorrected_estimate()),
        }
    }

    /// A chunk of the answer has passed.
    pub fn on_chunk(&self, written: &OutputCounter) {
        self.charge.on_chunk(self.count.prompt, || self.completion(written));
    }

    /// Closes the account of an answer that has ended, however it did.
    pub fn close(&self, reported: Option<Usage>, written: &OutputCounter) {
        let usage = match reported {
            Some(usage) => {
                self.on_reported(usage);
                usage
            }
            None => {
                let completion = self.completion(written);
                self.exchange.gateway.tell(&Event::Counting(Counting::Unreported {
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
        self.charge.settle(usage, self.count.answers);
    }

    /// What has been written, as it is counted here.
    fn completion(&self, written: &OutputCounter) -> Tokens {
        let factor = match self.uncorrected_estimate {
            Some(_) => self.exchange.correction(&self.model).factor(),
            None => 1.0,
        };
        written.count(factor)
    }

    fn on_reported(&self, usage: Usage) {
        let gateway = &self.exchange.gateway;
        let model = &self.model.name;
        gateway.tell(&Event::Used { model, usage });
        let reported = Tokens(usage.prompt_tokens);
        if let Some(uncorrected_estimate) = self.uncorrected_estimate {
            self.exchange
                .on_prompt_reported(&self.model, uncorrected_estimate, reported);
        }
        if self.count.basis.is_exact() && reported != self.count.prompt {
            gateway.tell(&Event::Counting(Counting::Miscounted {
                id: &self.exchange.id,
                cluster: &self.cluster,
                model,
                counted: self.count.prompt,
                reported,
            }));
        }
    }
}

/// Nothing of an answer of that model yet.
pub(in crate::pipeline) fn output<P: Platform>(exchange: &Exchange<P>, model: &Model) -> OutputCounter {
    OutputCounter::new(tokenizer(exchange, model).map(|tokenizer| tokenizer.table().clone()))
}

/// The tokenizer of that model, where there is one here.
pub(in crate::pipeline) fn tokenizer<'a, P: Platform>(
    exchange: &'a Exchange<P>,
    model: &Model,
) -> Option<&'a Tokenizer> {
    exchange.gateway.tables.get(model.tokens.as_ref()?.as_str())?.ok()
}
