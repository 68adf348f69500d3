//! What this process knows of the estimates for models without a table: the corrections that the models' cells hold,
//! and reports that have not gone there yet. Cells are asked and told behind requests' backs, and seldom.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::exchange::Exchange;
use crate::cells::{CellAddress, CellCommand, CellId, CellReply};
use crate::config::Model;
use crate::ids::{ModelName, Tokens};
use crate::platform::Platform;
use crate::time::Timestamp;
use crate::tokens::{Correction, Observed};

/// Corrections by model. Their number is that of the configuration's models.
#[derive(Debug, Default)]
pub(super) struct Estimates(Mutex<BTreeMap<ModelName, Known>>);

#[derive(Debug, Default)]
struct Known {
    correction: Correction,
    /// Reports that the cell has not been told.
    pending: Observed,
    /// When the cell was last asked.
    asked: Option<Timestamp>,
}

impl Estimates {
    /// The correction for a model, as of the last time that its cell was asked. The first request has the cell asked.
    pub fn correction<P: Platform>(&self, exchange: &Exchange<P>, model: &Model) -> Correction {
        let known = self.with(&model.name, |known| (known.correction, known.asked.is_none()));
        if known.1 {
            self.exchange_with_cell(exchange, model);
        }
        known.0
    }

    /// An engine reported that a prompt which was likely to be `likely` tokens was `reported` ones.
    pub fn on_reported<P: Platform>(&self, exchange: &Exchange<P>, model: &Model, likely: f64, reported: Tokens) {
        let now = exchange.platform.now();
        let is_due = self.with(&model.name, |known| {
            let observed = known.correction.observe(likely, reported);
            observed.iter().for_each(|observed| known.pending.add(observed));
            !known.pending.is_empty() && known.asked.is_none_or(|asked| now.since(asked) >= TELL_EVERY)
        });
        if is_due {
            self.exchange_with_cell(exchange, model);
        }
    }

    /// Tells the cell what is pending, and learns what it holds. What gets lost on the way others will tell.
    fn exchange_with_cell<P: Platform>(&self, exchange: &Exchange<P>, model: &Model) {
        let Some(address) = address(model) else { return };
        let now = exchange.platform.now();
        let observed = self.with(&model.name, |known| {
            known.asked = Some(now);
            std::mem::take(&mut known.pending)
        });
        let (gateway, platform) = (exchange.gateway.clone(), exchange.platform.clone());
        let name = model.name.clone();
        exchange.platform.after_response(async move {
            let reply = platform.cell_call(&address, CellCommand::Estimate(observed)).await;
            if let Ok(CellReply::Estimate(correction)) = reply {
                gateway.estimates.with(&name, |known| known.correction = correction);
            }
        });
    }

    fn with<T>(&self, model: &ModelName, work: impl FnOnce(&mut Known) -> T) -> T {
        let mut models = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match models.get_mut(model) {
            Some(known) => work(known),
            None => work(models.entry(model.clone()).or_default()),
        }
    }
}

/// What a model's cell holds; `None` when it does not answer.
pub(super) async fn correction_in_cell<P: Platform>(platform: &P, model: &Model) -> Option<Correction> {
    let command = CellCommand::Estimate(Observed::default());
    match platform.cell_call(&address(model)?, command).await {
        Ok(CellReply::Estimate(correction)) => Some(correction),
        Ok(CellReply::Cluster(_) | CellReply::Budget(_) | CellReply::AnotherKind) | Err(_) => None,
    }
}

/// A model's cell is best kept near the first of its clusters.
fn address(model: &Model) -> Option<CellAddress> {
    Some(CellAddress {
        id: CellId::Estimate(model.name.clone()),
        near: model.serving.first()?.cluster.region.coordinates,
    })
}

/// Time between two reports to a cell. A correction changes slowly, and a cell must not be asked for every request.
const TELL_EVERY: Duration = Duration::from_secs(10);
