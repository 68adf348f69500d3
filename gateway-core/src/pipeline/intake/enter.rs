//! May it come in: before the body of a request is read, it has one request and a slot of each of its tenant's budgets that
//! cover it whatever it asks for, and tokens are left there. So a tenant without anything left has nothing read for it,
//! what is refused later has cost a request of the rate, and a body on its way holds a slot.

use std::rc::Rc;

use http::HeaderMap;

use super::receive::announced;
use crate::auth::Caller;
use crate::budget::BudgetError;
use crate::config::Tenant;
use crate::ids::ModelName;
use crate::pipeline::context::Exchange;
use crate::pipeline::leases::Reservation;
use crate::platform::Platform;

/// Reserves what a request of that caller must have before its body is read.
///
/// # Errors
/// When a budget has nothing left, or cannot be reached.
pub(in crate::pipeline) async fn enter<P: Platform>(
    exchange: &Rc<Exchange<P>>,
    caller: &Caller,
    headers: &HeaderMap,
) -> Result<Reservation<P>, BudgetError> {
    let config = &exchange.config;
    let mut reservation = Reservation::new(exchange, config.headroom.percent(caller.priority));
    let likely_prompt = likely_prompt(headers);
    for budget in caller.tenant.budgets_of_any_model() {
        reservation.enter(budget, likely_prompt).await?;
    }
    Ok(reservation)
}

/// Reserves the same in the budgets that cover the model, once it is known, and were not entered before.
///
/// # Errors
/// When a budget has nothing left, or cannot be reached.
pub(in crate::pipeline) async fn enter_of_model<P: Platform>(
    reservation: &mut Reservation<P>,
    tenant: &Tenant,
    model: &ModelName,
    headers: &HeaderMap,
) -> Result<(), BudgetError> {
    for budget in &tenant.budgets {
        if budget.covers(model) && !reservation.is_in(budget) {
            reservation.enter(budget, likely_prompt(headers)).await?;
        }
    }
    Ok(())
}

/// Tokens that a prompt in a body of the announced length is likely to take, rather more than fewer: what is not needed
/// soon goes back.
fn likely_prompt(headers: &HeaderMap) -> u64 {
    let bytes = announced(headers).unwrap_or_default();
    (bytes / BYTES_PER_TOKEN).min(MOST_LIKELY_TOKENS)
}

/// Of English a token takes about four bytes, of most other text less, and of a prompt in tokens two at least.
const BYTES_PER_TOKEN: u64 = 2;
/// A longer body is more likely an image than a text that fits a context; and what is lent here for nothing is missing
/// elsewhere for a while.
const MOST_LIKELY_TOKENS: u64 = 16_384;
