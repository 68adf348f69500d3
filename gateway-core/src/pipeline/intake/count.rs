//! How many tokens a request takes, for each model that it may come to: models differ in their tokenizers, so a prompt
//! is measured once for each table, and only when a tier that uses it is reached.

use std::cell::{OnceCell, RefCell};

use super::measure::{TURN_BYTES, measure};
use super::{Decoded, Identified};
use crate::api::{Generation, PromptLength, RequestError};
use crate::config::Model;
use crate::ids::{TableName, TenantName, Tokens};
use crate::observe::{Counting, Event};
use crate::pipeline::context::Exchange;
use crate::pipeline::warmth::Identity;
use crate::platform::Platform;
use crate::tokens::{self, Count, Measured, Uncorrected, Unmeasured};

/// A request that fits the model which it asks for.
#[derive(Debug)]
pub(in crate::pipeline) struct Counted {
    pub decoded: Decoded,
    pub identity: Identity,
    pub counts: Counts,
}

/// What a request takes, as far as it has been counted.
#[derive(Debug)]
pub(in crate::pipeline) struct Counts {
    /// Of the model that it asks for.
    pub asked_for: Count,
    /// `None` where the edge has counted.
    measures: Option<Measures>,
}

/// What has been found out about the prompt so far.
#[derive(Debug)]
struct Measures {
    tenant: TenantName,
    measured: RefCell<Vec<(TableName, Result<Measured, Unmeasured>)>>,
    uncorrected: OnceCell<Uncorrected>,
}

/// Counts the request for the model that it asks for. The model asked for decides: one that is too long for it is
/// refused also where a lower tier could hold it. Clients shorten a conversation when they are told that it is too
/// long, and a lesser model in place of that answer would go unnoticed.
///
/// # Errors
/// When the prompt and one token of an answer are more than the model's context holds, or the model's template refuses
/// it.
pub(in crate::pipeline) async fn count<P: Platform>(
    exchange: &Exchange<P>,
    identified: Identified,
) -> Result<Counted, RequestError> {
    let Identified { decoded, identity } = identified;
    let measures = Measures::new(decoded.caller.tenant.name.clone());
    let asked_for = measures.count_for(exchange, &decoded.request, &decoded.model).await?;
    exchange.tell(&Event::Counting(Counting::Counted {
        model: &decoded.model.name,
        prompt: asked_for.prompt,
        basis: asked_for.basis,
    }));
    let counts = Counts {
        asked_for,
        measures: Some(measures),
    };
    Ok(Counted {
        decoded,
        identity,
        counts,
    })
}

impl Counts {
    /// What the edge has counted of an order, which is for one model.
    pub fn of_order(count: Count) -> Self {
        Self {
            asked_for: count,
            measures: None,
        }
    }

    /// What the request takes of that model.
    ///
    /// # Errors
    /// When the model cannot take it.
    pub async fn of<P: Platform>(
        &self,
        exchange: &Exchange<P>,
        request: &Generation,
        model: &Model,
    ) -> Result<Count, RequestError> {
        match &self.measures {
            Some(measures) => measures.count_for(exchange, request, model).await,
            None => Ok(self.asked_for),
        }
    }

    /// What the prompt is likely to take, of no tokenizer in particular; `None` where the edge has counted.
    pub fn uncorrected(&self, request: &Generation) -> Option<&Uncorrected> {
        Some(self.measures.as_ref()?.uncorrected(request))
    }
}

impl Measures {
    /// Nothing yet, of a prompt of that tenant.
    fn new(tenant: TenantName) -> Self {
        Self {
            tenant,
            measured: RefCell::default(),
            uncorrected: OnceCell::new(),
        }
    }

    async fn count_for<P: Platform>(
        &self,
        exchange: &Exchange<P>,
        request: &Generation,
        model: &Model,
    ) -> Result<Count, RequestError> {
        let count = match self.measured(exchange, request, model).await {
            Some(Ok(measured)) => measured.count(&model.part_tokens, model.context_length, request),
            Some(Err(Unmeasured::Refused(message))) => return Err(RequestError::Template { message }),
            Some(Err(_)) | None => {
                let estimator = exchange.estimator(model, &self.tenant);
                let estimate = estimator.estimate(self.uncorrected(request));
                tokens::count_of_estimate(estimate, model.context_length, request)
            }
        };
        check_context(request, model, &count)?;
        Ok(count)
    }

    fn uncorrected(&self, request: &Generation) -> &Uncorrected {
        self.uncorrected.get_or_init(|| Uncorrected::of(request))
    }

    /// The prompt by the model's table, where it has one.
    async fn measured<P: Platform>(
        &self,
        exchange: &Exchange<P>,
        request: &Generation,
        model: &Model,
    ) -> Option<Result<Measured, Unmeasured>> {
        let Some(table) = &model.tokens else {
            let lengths = request.prompt_lengths()?;
            return Some(Ok(Measured::of_lengths(lengths.into_iter().map(Tokens))));
        };
        let measured_before = self
            .measured
            .borrow()
            .iter()
            .find(|(name, _)| name == table)
            .map(|(_, it)| it.clone());
        if measured_before.is_some() {
            return measured_before;
        }
        let measured = measure_for(exchange, request, model).await;
        if let Err(reason) = &measured {
            exchange.tell(&Event::Counting(Counting::Uncounted {
                model: &model.name,
                reason: reason.label(),
            }));
        }
        self.measured.borrow_mut().push((table.clone(), measured.clone()));
        Some(measured)
    }
}

/// Once the prompt is twice as long as the model's context, it does not matter any more how long it is.
async fn measure_for<P: Platform>(
    exchange: &Exchange<P>,
    request: &Generation,
    model: &Model,
) -> Result<Measured, Unmeasured> {
    if request.body().len() > TURN_BYTES {
        // To read the request was a turn by itself, and to render its prompt is one.
        exchange.platform.give_way().await;
    }
    let source = request.prompt_source().map_err(|_| Unmeasured::Unreadable)?;
    let tokenizer = exchange.tokenizer(model).ok_or(Unmeasured::NoTable)?;
    let most = Tokens(model.context_length.0.saturating_mul(2));
    measure(exchange, tokenizer, &source, most).await
}

/// As vLLM does it, the prompt must fit, and one token must be left for an answer. More output than is left may be asked
/// for: no more comes. An estimate refuses only what is surely too long.
fn check_context(request: &Generation, model: &Model, count: &Count) -> Result<(), RequestError> {
    let fits = if request.endpoint.generates() {
        count.room > Tokens(0)
    } else {
        count.at_least <= model.context_length
    };
    if fits {
        return Ok(());
    }
    Err(RequestError::ContextLength {
        context: model.context_length,
        prompt: if count.basis.is_exact() {
            PromptLength::Exactly(count.at_least)
        } else {
            PromptLength::AtLeast(count.at_least)
        },
        param: request.endpoint.prompt_param(),
    })
}
