//! Estimates for models without a table: what the models' cells have learned, and what engines report. Cells are asked
//! and told behind requests' backs, and seldom.

use std::time::Duration;

use crate::cells::{CellAddress, CellId};
use crate::config::Model;
use crate::ids::Tokens;
use crate::pipeline::context::Exchange;
use crate::pipeline::state::ModelEstimate;
use crate::platform::Platform;
use crate::tokens::{Correction, Observed, Uncorrected};

impl<P: Platform> Exchange<P> {
    /// The correction for a model, as of the last time that its cell was asked. The first request has the cell asked.
    pub fn correction(&self, model: &Model) -> Correction {
        let look = |known: &mut ModelEstimate| (known.correction, known.asked.is_none());
        let (correction, is_first) = self.gateway.estimates.with(&model.name, look);
        if is_first {
            self.exchange_estimates(model);
        }
        correction
    }

    /// An engine reported that a prompt for which this was the uncorrected estimate was `reported` tokens.
    pub fn on_prompt_reported(&self, model: &Model, uncorrected: &Uncorrected, reported: Tokens) {
        let now = self.platform.now();
        let is_due = self.gateway.estimates.with(&model.name, |known| {
            let observed = known.correction.observe(uncorrected, reported);
            observed.iter().for_each(|observed| known.pending.add(observed));
            !known.pending.is_empty() && known.asked.is_none_or(|asked| now.since(asked) >= TELL_EVERY)
        });
        if is_due {
            self.exchange_estimates(model);
        }
    }

    /// Tells the cell what is pending, and learns what it holds. What gets lost on the way others will tell.
    fn exchange_estimates(&self, model: &Model) {
        let Some(address) = address(model) else { return };
        let now = self.platform.now();
        let observed = self.gateway.estimates.with(&model.name, |known| {
            known.asked = Some(now);
            std::mem::take(&mut known.pending)
        });
        let (gateway, platform) = (self.gateway.clone(), self.platform.clone());
        let name = model.name.clone();
        self.platform.after_response(async move {
            if let Ok(correction) = platform.call(&address, observed).await {
                gateway.estimates.with(&name, |known| known.correction = correction);
            }
        });
    }
}

/// What a model's cell holds; `None` when it does not answer.
pub(in crate::pipeline) async fn correction_in_cell<P: Platform>(platform: &P, model: &Model) -> Option<Correction> {
    platform.call(&address(model)?, Observed::default()).await.ok()
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
