//! May it spend: a request reserves what it is expected to take in each of its tenant's budgets that cover its model, or
//! is refused.

use std::rc::Rc;

use crate::budget::BudgetError;
use crate::observe::{Budgeting, Event};
use crate::pipeline::context::Exchange;
use crate::pipeline::intake::Planned;
use crate::pipeline::leases::{LeaseClient, Reservation};
use crate::platform::Platform;

/// A request that may spend.
#[derive(Debug)]
pub(in crate::pipeline) struct Reserved<P: Platform> {
    pub planned: Planned,
    pub charge: Rc<Reservation<P>>,
}

/// Reserves in one budget after the other. What is held in those before one that refuses goes back.
///
/// # Errors
/// When a budget has no room for the request, or cannot be reached.
pub(in crate::pipeline) async fn reserve<P: Platform>(
    exchange: &Rc<Exchange<P>>,
    planned: Planned,
) -> Result<Reserved<P>, BudgetError> {
    let decoded = &planned.counted.decoded;
    let model = &decoded.model.name;
    let limits = &exchange.config.limits;
    let headroom_percent = limits.kept_percent(decoded.caller.priority);
    let count = &planned.counted.count;
    let mut charge = Reservation::new(exchange, model);
    for budget in &decoded.caller.tenant.budgets {
        if !budget.covers(model) {
            continue;
        }
        let ledger = LeaseClient::new(exchange, budget);
        let learned = ledger.with(|book| book.expected_output(model));
        let output = count.expected_output(&decoded.request, learned.unwrap_or(limits.expected_output.0));
        let tokens = (count.prompt + output).0;
        let reserved = ledger.reserve(exchange, tokens, headroom_percent).await;
        exchange.gateway.tell(&Event::Budget(match &reserved {
            Ok(()) => Budgeting::Reserved { budget: &budget.id },
            Err(error) => Budgeting::Refused {
                id: &exchange.id,
                budget: &budget.id,
                error,
            },
        }));
        match reserved {
            Ok(()) => charge.on_reserved(ledger, tokens),
            Err(error) => {
                let now = exchange.platform.now();
                exchange.rates.set(ledger.with(|book| book.rates(now)));
                return Err(error);
            }
        }
    }
    exchange.rates.set(charge.rates());
    let charge = Rc::new(charge);
    Ok(Reserved { planned, charge })
}
