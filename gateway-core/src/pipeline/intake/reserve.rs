//! May it spend: a request reserves what it is expected to take in each of its tenant's budgets that cover its model, in
//! place of what it entered with, or is refused. What it has reserved makes it an order.

use std::rc::Rc;
use std::sync::Arc;

use super::{Counted, Decoded, Order, Planned, Sender};
use crate::budget::BudgetError;
use crate::config::Budget;
use crate::ids::Tokens;
use crate::pipeline::context::Exchange;
use crate::pipeline::hops::OrderFacts;
use crate::pipeline::leases::{LeaseClient, Reservation};
use crate::pipeline::rollouts::Trials;
use crate::platform::Platform;
use crate::tokens::{Count, OutputPolicy};

/// Reserves in one budget after the other. What is held in those before one that refuses goes back.
///
/// # Errors
/// When a budget has no room for the request, or cannot be reached.
pub(in crate::pipeline) async fn reserve<P: Platform>(
    exchange: &Rc<Exchange<P>>,
    planned: Planned,
    mut reservation: Reservation<P>,
) -> Result<Order<P>, BudgetError> {
    let Counted { decoded, counts, .. } = &planned.counted;
    let most_output = reserve_in_all(exchange, decoded, &counts.asked_for, &mut reservation).await?;
    exchange.rates.set(reservation.rates());
    Ok(order_of_client(exchange, planned, reservation, most_output))
}

/// The order of a request that is only tried: it has reserved nothing.
pub(in crate::pipeline) fn order_to_try<P: Platform>(exchange: &Rc<Exchange<P>>, planned: Planned) -> Order<P> {
    order_of_client(exchange, planned, Reservation::new(exchange, 0), None)
}

fn order_of_client<P: Platform>(
    exchange: &Rc<Exchange<P>>,
    planned: Planned,
    reservation: Reservation<P>,
    most_output: Option<Tokens>,
) -> Order<P> {
    let Planned { counted, plan } = planned;
    let Counted {
        decoded,
        identity,
        counts,
    } = counted;
    let Decoded { caller, model, request } = decoded;
    Order {
        exchange: Rc::clone(exchange),
        sender: Sender::Client,
        attempts: exchange.config.retries.attempts,
        may_wait: true,
        may_be_held: true,
        caller,
        model,
        request,
        identity,
        counts,
        plan,
        trials: Trials::default(),
        deadline: exchange.arrived + exchange.config.timeouts.deadline,
        reservation,
        caching: None,
        batch: None,
        most_output,
    }
}

/// An order of the edge, which has reserved for it.
pub(in crate::pipeline) fn order_of_edge<P: Platform>(
    exchange: &Rc<Exchange<P>>,
    planned: Planned,
    facts: &OrderFacts,
) -> Order<P> {
    let Planned { counted, plan } = planned;
    let Counted {
        decoded,
        identity,
        counts,
    } = counted;
    let Decoded { caller, model, request } = decoded;
    Order {
        exchange: Rc::clone(exchange),
        sender: Sender::Edge {
            known_hot: facts.known_hot,
            is_home: facts.is_home,
        },
        attempts: facts.attempts,
        may_wait: facts.waits,
        may_be_held: facts.is_held,
        caller,
        model,
        request,
        identity,
        counts,
        plan,
        trials: Trials::default(),
        deadline: exchange.arrived + facts.left(),
        reservation: Reservation::new(exchange, 0),
        caching: None,
        batch: None,
        most_output: facts.most_output,
    }
}

/// The reservations, and the most that each answer may take.
async fn reserve_in_all<P: Platform>(
    exchange: &Rc<Exchange<P>>,
    decoded: &Decoded,
    count: &Count,
    reservation: &mut Reservation<P>,
) -> Result<Option<Tokens>, BudgetError> {
    let Decoded { caller, model, .. } = decoded;
    let mut most_output = None;
    for budget in &caller.tenant.budgets {
        if !budget.covers(&model.name) {
            continue;
        }
        let client = LeaseClient::new(exchange, budget);
        let (needs, most) = needs(exchange, decoded, count, &client);
        most_output = [most_output, most].into_iter().flatten().min();
        reservation.reserve(client, needs).await?;
    }
    reservation.on_reserved();
    Ok(most_output)
}

/// What a request reserves of a budget, in tokens; and the most that each answer may take, where the budget bounds it.
fn needs<P: Platform>(
    exchange: &Exchange<P>,
    decoded: &Decoded,
    count: &Count,
    client: &LeaseClient,
) -> (u64, Option<Tokens>) {
    let Decoded { caller, model, request } = decoded;
    let config = &exchange.config;
    let headroom_percent = config.headroom.percent(caller.priority);
    let (learned, most) = client.with(|cache| {
        let learned = cache.expected_output(&model.name);
        (learned, cache.most_for_one(&client.budget.limits, headroom_percent))
    });
    let policy = OutputPolicy {
        expected: learned.unwrap_or(config.estimates.output.0),
        multiple: config.estimates.output_multiple,
        most: most.unwrap_or(u64::MAX),
    };
    let output = count.output_terms(request, policy);
    ((count.prompt + output.held).0, most.map(|_| output.most))
}

/// What a request that is only tried would reserve, in tokens, of each budget that covers it.
pub(in crate::pipeline) fn needs_of_all<P: Platform>(
    exchange: &Exchange<P>,
    counted: &Counted,
) -> Vec<(Arc<Budget>, u64)> {
    let Counted { decoded, counts, .. } = counted;
    let budgets = decoded.caller.tenant.budgets.iter();
    let covering = budgets.filter(|budget| budget.covers(&decoded.model.name));
    let with_needs = |budget: &Arc<Budget>| {
        let client = LeaseClient::new(exchange, budget);
        let (needs, _) = needs(exchange, decoded, &counts.asked_for, &client);
        (Arc::clone(budget), needs)
    };
    covering.map(with_needs).collect()
}
