//! Estimates for models without a table: what the models' cells have learned, and what engines report. Cells are asked
//! and told behind requests' backs, and seldom.

use std::time::Duration;

use crate::cells::{CellAddress, CellId};
use crate::config::Model;
use crate::ids::{TenantName, Tokens};
use crate::pipeline::context::Exchange;
use crate::platform::Platform;
use crate::tokens::{Correction, Estimator, Reports, Uncorrected};

impl<P: Platform> Exchange<P> {
    /// What is known of a tenant's texts for a model, as of the last time that the model's cell was asked. The first
    /// request of each tenant has it asked.
    pub fn estimator(&self, model: &Model, tenant: &TenantName) -> Estimator {
        let now = self.platform.now();
        let (estimator, is_due) = self.gateway.estimates.with(&model.name, |known| {
            let (estimator, is_asked) = known.see(tenant);
            let may_ask = known.asked.is_none_or(|asked| now.since(asked) >= ASK_EVERY);
            (estimator, !is_asked && may_ask)
        });
        if is_due {
            self.exchange_estimates(model);
        }
        estimator
    }

    /// An engine reported that a prompt for which this was the uncorrected estimate was `reported` tokens.
    pub fn on_prompt_reported(&self, model: &Model, tenant: &TenantName, uncorrected: &Uncorrected, reported: Tokens) {
        let now = self.platform.now();
        let is_due = self.gateway.estimates.with(&model.name, |known| {
            let (estimator, _) = known.see(tenant);
            let observed = estimator.observe(uncorrected, reported);
            observed.iter().for_each(|observed| known.on_observed(tenant, observed));
            observed.is_some() && known.asked.is_none_or(|asked| now.since(asked) >= TELL_EVERY)
        });
        if is_due {
            self.exchange_estimates(model);
        }
    }

    /// Tells the cell what is pending, and learns what it holds. What gets lost on the way others will tell.
    fn exchange_estimates(&self, model: &Model) {
        let Some(address) = address(model) else { return };
        let now = self.platform.now();
        let reports = self.gateway.estimates.with(&model.name, |known| {
            known.asked = Some(now);
            known.take_pending()
        });
        let (gateway, platform) = (self.gateway.clone(), self.platform.clone());
        let name = model.name.clone();
        self.platform.after_response(async move {
            if let Ok(lesson) = platform.call(&address, reports).await {
                gateway.estimates.with(&name, |known| known.on_lesson(lesson));
            }
        });
    }
}

/// What a model's cell holds over all tenants; `None` when it does not answer.
pub(in crate::pipeline) async fn correction_in_cell<P: Platform>(platform: &P, model: &Model) -> Option<Correction> {
    let lesson = platform.call(&address(model)?, Reports::default()).await.ok()?;
    Some(lesson.total)
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
/// Time between two questions for tenants that are new to this process.
const ASK_EVERY: Duration = Duration::from_secs(1);
