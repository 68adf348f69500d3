//! How far debt goes when every request sets no bound on its output, or one far beyond what is expected, and takes all that
//! its engine lets it have.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use futures::FutureExt;
use http::Request;
use serde_json::{Value, json};
use tidegate_core::budget::{BudgetCommand, BudgetLimits, BudgetReply, Rate};
use tidegate_core::cells::{CellCommand, CellId, CellReply};
use tidegate_virtual::{CellKind, Edge, Link, Random, World};

use crate::config::{AUTHORIZATION, CONTEXT, SharedConfig, budget, location};
use crate::engine::answer;

/// What the configuration says without saying it.
const MULTIPLE: u64 = 16;
const RATE: Rate = Rate {
    per_minute: 60_000,
    burst: 20_000,
};
const LOCATIONS: usize = 3;
const LONGEST: Duration = Duration::from_secs(20);

/// A request that nothing ends but a bound: which is one of the client's own, maybe, on each of some answers.
fn greedy(random: &mut Random) -> Value {
    let prompt = vec![7; usize::try_from(random.within(1..200)).unwrap()];
    let bound = match random.within(0..4) {
        0 => json!(null),
        1 => json!(random.within(1_000..CONTEXT)),
        _ => json!(u64::MAX),
    };
    let least = random.within(0..2) * random.within(0..1_000);
    json!({"model": "model", "prompt": prompt, "max_tokens": bound, "min_tokens": least, "n": random.within(1..4)})
}

/// The most debt that there was at any time.
fn most_debt(seed: u64) -> u64 {
    let random = Rc::new(RefCell::new(Random::new(seed)));
    let engines = {
        let random = Rc::clone(&random);
        Rc::new(
            move |caller: tidegate_virtual::Caller, upstream: tidegate_core::platform::UpstreamRequest| {
                let body: Value = serde_json::from_slice(upstream.request.body()).unwrap();
                let prompt = body["prompt"].as_array().unwrap().len() as u64;
                let each = body["max_tokens"].as_u64().unwrap_or(CONTEXT - prompt);
                assert!(
                    body["min_tokens"].as_u64().unwrap() <= each && each <= CONTEXT - prompt,
                    "engines refuse it"
                );
                let takes = prompt + each * body["n"].as_u64().unwrap();
                let runs = random.borrow_mut().time_within(&(Duration::ZERO..LONGEST));
                async move {
                    caller.clock.sleep(runs).await;
                    Ok(answer(prompt, takes))
                }
                .boxed_local()
            },
        )
    };
    let mut world = World::new(seed, engines);
    world.shuffle();
    let delay = Duration::from_millis(1)..Duration::from_millis(100);
    world.set_link(CellKind::Budget, Link { delay, ..Link::IDEAL });
    let config = SharedConfig::new(RATE);
    let edges: Vec<_> = (0..LOCATIONS)
        .map(|at| Edge {
            gateway: config.gateway(),
            platform: world.start(Duration::ZERO),
            location: location(at),
        })
        .collect();
    let mut most = 0;
    for _ in 0..400 {
        let (edge, body) = {
            let mut random = random.borrow_mut();
            let at = usize::try_from(random.within(0..LOCATIONS as u64)).unwrap();
            (&edges[at], greedy(&mut random))
        };
        let request = Request::post("/v1/completions").header("authorization", AUTHORIZATION);
        let response = edge.serve(request, &body.to_string());
        edge.spawn(async move {
            let status = response.await.status().as_u16();
            assert!([200, 429].contains(&status), "{status}");
        });
        let pause = random
            .borrow_mut()
            .time_within(&(Duration::ZERO..Duration::from_secs(1)));
        world.pass(pause);
        most = most.max(debt(&world));
    }
    world.pass(LONGEST);
    most.max(debt(&world))
}

/// The debt that the cell knows of.
fn debt(world: &World) -> u64 {
    let limits = BudgetLimits {
        tokens: Some(RATE),
        ..BudgetLimits::default()
    };
    let command = CellCommand::Budget(BudgetCommand::Status { limits });
    let applied = world.with_cell(&CellId::Budget(budget()), |cell| cell.apply(world.now(), command));
    let CellReply::Budget(BudgetReply::Status(status)) = applied.reply else {
        panic!("{:?}", applied.reply)
    };
    status.left.tokens.min(0).unsigned_abs()
}

#[test]
fn debt_stays_below_the_multiple_of_what_can_be_held_at_once() {
    let bound = (MULTIPLE - 1) * (RATE.burst + RATE.inflow(LONGEST));
    let worst = (0..40).map(most_debt).max().unwrap();
    assert!((RATE.burst..=bound).contains(&worst), "{worst} of {bound}");
}
