//! What an answer took: as its engine reports, or else as it was counted here. Reports are compared with the counts
//! that were made before: a count that claims to be exact and is not is an operator's alarm, and an estimate learns.

use std::rc::Rc;
use std::sync::Arc;

use super::attempt::Target;
use super::exchange::Exchange;
use crate::api::Usage;
use crate::config::Model;
use crate::ids::{ClusterName, Tokens};
use crate::observe::{Counting, Event};
use crate::platform::Platform;
use crate::tokens::{Basis, Count, Output, Tokenizer};

/// The account of one answer.
#[derive(Debug)]
pub(super) struct Account<P> {
    exchange: Rc<Exchange<P>>,
    cluster: ClusterName,
    model: Arc<Model>,
    count: Count,
    /// What an estimate started from.
    likely: Option<f64>,
}

impl<P: Platform> Account<P> {
    pub fn open(exchange: &Rc<Exchange<P>>, target: &Target<'_>) -> Self {
        let is_estimate = match target.count.basis {
            Basis::Estimated { .. } => true,
            Basis::Exact | Basis::Parts => false,
        };
        Self {
            exchange: Rc::clone(exchange),
            cluster: target.serving.cluster.name.clone(),
            model: Arc::clone(target.model),
            count: *target.count,
            likely: is_estimate.then(|| target.planned.counted.likely()),
        }
    }

    /// Closes the account of an answer that has ended, however it did.
    pub fn close(&self, reported: Option<Usage>, written: &Output) {
        match reported {
            Some(usage) => self.on_reported(usage),
            None => {
                let factor = match self.likely {
                    Some(_) => self
                        .exchange
                        .gateway
                        .estimates
                        .correction(&self.exchange, &self.model)
                        .factor(),
                    None => 1.0,
                };
                self.exchange.gateway.tell(&Event::Counting(Counting::Unreported {
                    model: &self.model.name,
                    prompt: self.count.prompt,
                    completion: written.count(factor),
                }));
            }
        }
    }

    fn on_reported(&self, usage: Usage) {
        let gateway = &self.exchange.gateway;
        let model = &self.model.name;
        gateway.tell(&Event::Used { model, usage });
        let reported = Tokens(usage.prompt_tokens);
        if let Some(likely) = self.likely {
            gateway
                .estimates
                .on_reported(&self.exchange, &self.model, likely, reported);
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
pub(super) fn output<P: Platform>(exchange: &Exchange<P>, model: &Model) -> Output {
    Output::new(tokenizer(exchange, model).map(|tokenizer| tokenizer.table().clone()))
}

/// The tokenizer of that model, where there is one here.
pub(super) fn tokenizer<'a, P: Platform>(exchange: &'a Exchange<P>, model: &Model) -> Option<&'a Tokenizer> {
    exchange.gateway.tables.get(model.tokens.as_ref()?.as_str())?.ok()
}
