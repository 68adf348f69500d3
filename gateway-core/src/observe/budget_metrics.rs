//! What is counted about budgets: what requests took and were refused here, and how budgets stand everywhere.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use super::budgeting::Budgeting;
use super::by_labels::ByLabels;
use crate::budget::{BudgetError, BudgetStatus};
use crate::ids::{BudgetId, BudgetName, TenantName};

/// The part of the metrics that is about budgets.
#[derive(Debug, Default)]
pub(super) struct BudgetMetrics {
    requests: ByLabels<RequestLabels>,
    reserved: ByLabels<BudgetLabels>,
    used: ByLabels<BudgetLabels>,
    unreachable: ByLabels<BudgetLabels>,
    left: Family<BudgetLabels, Gauge>,
    held: Family<BudgetLabels, Gauge>,
    debt: Family<BudgetLabels, Gauge>,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, EncodeLabelSet)]
struct BudgetLabels {
    tenant: TenantName,
    budget: BudgetName,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, EncodeLabelSet)]
struct RequestLabels {
    tenant: TenantName,
    budget: BudgetName,
    outcome: &'static str,
}

impl BudgetMetrics {
    pub fn register(&self, r: &mut Registry) {
        r.register(
            "budget_requests",
            "Requests by what a budget said to them",
            self.requests.family(),
        );
        r.register(
            "budget_tokens_reserved",
            "Tokens that requests which have ended had reserved",
            self.reserved.family(),
        );
        r.register(
            "budget_tokens_used",
            "Tokens that requests which have ended were charged for",
            self.used.family(),
        );
        r.register(
            "budget_unreachable",
            "Calls to a budget's cell that were not answered",
            self.unreachable.family(),
        );
        r.register(
            "budget_tokens_left",
            "Tokens of a budget that nobody holds",
            self.left.clone(),
        );
        r.register(
            "budget_tokens_held",
            "Tokens of a budget that edge locations hold",
            self.held.clone(),
        );
        r.register(
            "budget_tokens_debt",
            "Tokens that were used beyond a budget and are being repaid",
            self.debt.clone(),
        );
    }

    pub fn on(&self, event: &Budgeting<'_>) {
        match event {
            Budgeting::Reserved { budget } => self.on_request(budget, "granted"),
            Budgeting::Refused { budget, error } => match error {
                BudgetError::Denied { denied, .. } => self.on_request(budget, denied.short.label()),
                BudgetError::Unreachable { .. } => self.on_request(budget, "unreachable"),
            },
            Budgeting::Settled { budget, reserved, used } => {
                let labels = BudgetLabels::of(budget);
                self.reserved.add(&labels, reserved.0);
                self.used.add(&labels, used.0);
            }
            Budgeting::Unreachable { budget, .. } => {
                self.unreachable.add(&BudgetLabels::of(budget), 1);
            }
        }
    }

    fn on_request(&self, budget: &BudgetId, outcome: &'static str) {
        let BudgetLabels { tenant, budget } = BudgetLabels::of(budget);
        let labels = RequestLabels {
            tenant,
            budget,
            outcome,
        };
        self.requests.add(&labels, 1);
    }

    /// Fills the gauges with what the cells tell, and with nothing else.
    pub fn fill(&self, budgets: &[(BudgetId, BudgetStatus)]) {
        for gauge in [&self.left, &self.held, &self.debt] {
            gauge.clear();
        }
        for (budget, status) in budgets {
            let labels = BudgetLabels::of(budget);
            let held = i64::try_from(status.held.tokens).unwrap_or(i64::MAX);
            self.left.get_or_create(&labels).set(status.left.tokens.max(0));
            self.held.get_or_create(&labels).set(held);
            self.debt
                .get_or_create(&labels)
                .set(status.left.tokens.min(0).saturating_neg());
        }
    }
}

impl BudgetLabels {
    fn of(budget: &BudgetId) -> Self {
        Self {
            tenant: budget.tenant.clone(),
            budget: budget.name.clone(),
        }
    }
}
