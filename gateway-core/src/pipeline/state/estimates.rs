//! What this process knows of the estimates for models without a table: what the models' cells told, and reports that
//! have not gone there yet.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use crate::ids::{ModelName, TenantName};
use crate::time::Timestamp;
use crate::tokens::{Correction, Estimator, Lesson, Observed, RecentTenants, Reports};

/// What is known by model. Their number is that of the configuration's models.
#[derive(Debug, Default)]
pub(in crate::pipeline) struct Estimates(Mutex<BTreeMap<ModelName, ModelEstimate>>);

/// What is known of one model's.
#[derive(Debug, Default)]
pub(in crate::pipeline) struct ModelEstimate {
    /// What the cell told last of all tenants.
    model_factor: Option<f64>,
    tenants: RecentTenants<TenantEstimate>,
    /// When the cell was last asked.
    pub asked: Option<Timestamp>,
}

/// What is known of one tenant's texts.
#[derive(Debug, Default)]
struct TenantEstimate {
    own: Correction,
    /// Reports that the cell has not been told.
    pending: Observed,
    /// Whether the cell was asked for the tenant.
    is_asked: bool,
}

impl Estimates {
    /// Looks at what is known of a model's estimate, or changes it.
    pub fn with<T>(&self, model: &ModelName, work: impl FnOnce(&mut ModelEstimate) -> T) -> T {
        let mut models = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match models.get_mut(model) {
            Some(known) => work(known),
            None => work(models.entry(model.clone()).or_default()),
        }
    }
}

impl ModelEstimate {
    /// What is known of the tenant, and whether the cell has been asked for it.
    pub fn see(&mut self, tenant: &TenantName) -> (Estimator, bool) {
        let TenantEstimate { own, is_asked, .. } = *self.tenants.see(tenant);
        let model_factor = self.model_factor.unwrap_or(Estimator::default().model_factor);
        (Estimator { model_factor, own }, is_asked)
    }

    /// A prompt of the tenant was reported, and told this.
    pub fn on_observed(&mut self, tenant: &TenantName, observed: &Observed) {
        self.tenants.see(tenant).pending.add(observed);
    }

    /// What the cell has not been told, and the tenants that it has not been asked for.
    pub fn take_pending(&mut self) -> Reports {
        let take = |(tenant, known): (&TenantName, &mut TenantEstimate)| {
            let was_asked = std::mem::replace(&mut known.is_asked, true);
            let pending = std::mem::take(&mut known.pending);
            (!was_asked || !pending.is_empty()).then(|| (tenant.clone(), pending))
        };
        let pending: Vec<_> = self.tenants.iter_mut().filter_map(take).collect();
        pending.into()
    }

    /// The cell has told what holds now.
    pub fn on_lesson(&mut self, lesson: Lesson) {
        self.model_factor = Some(lesson.model_factor());
        for (tenant, known) in self.tenants.iter_mut() {
            if let Some((_, own)) = lesson.tenants.iter().find(|(name, _)| name == tenant) {
                known.own = *own;
            }
        }
    }
}
