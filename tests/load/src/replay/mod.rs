//! Sends a schedule of requests at its times, whatever became of the ones before, and measures the time to the first
//! event of each answer.
//!
//! Who answers is either a router, or several that take turns; or the engines themselves, of which [`oracle`] chooses one.

mod client;
mod figures;
mod oracle;
mod schedule;
mod text;

use std::cell::{Cell, RefCell};
use std::io::{Error, Result};
use std::net::SocketAddr;
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

use tokio::task::LocalSet;
use tokio::time::{Instant, sleep_until, timeout};

use client::{Answer, Client};
pub use figures::Figures;
use oracle::Oracle;
use schedule::Request;

/// What to send, and where.
#[derive(Debug)]
pub struct Replay {
    /// Routers, which take turns, or the engines of the oracle.
    pub to: Vec<SocketAddr>,
    /// The bearer token of each tenant, or one for all.
    pub keys: Vec<String>,
    /// How many times as fast as in the schedule time passes.
    pub speed: f64,
    /// How soon an answer has to begin to count as in time, on the schedule's clock.
    pub in_time: Duration,
    /// The longest wait for an answer, on this machine's clock.
    pub patience: Duration,
    /// The prompt tokens that each engine's cache holds; none without the oracle.
    pub oracle_tokens: Option<u64>,
}

/// Sends the schedule in `file`, and says how it was answered.
///
/// # Errors
/// When the file cannot be read. Answers that fail are counted.
pub async fn run(replay: Replay, file: &Path) -> Result<Figures> {
    let requests = schedule::read(file)?;
    let chooser = Chooser::new(&replay);
    let shared = Rc::new(Shared {
        client: Client::new(replay.keys),
        chooser: RefCell::new(chooser),
        figures: RefCell::new(Figures::new(replay.speed, replay.in_time)),
        patience: replay.patience,
    });
    let begin = Instant::now();
    let local = LocalSet::new();
    local
        .run_until(async {
            let mut tasks = Vec::with_capacity(requests.len());
            for request in requests {
                let due = begin + Duration::from_millis(request.at_ms).div_f64(replay.speed);
                sleep_until(due).await;
                tasks.push(tokio::task::spawn_local(send(Rc::clone(&shared), request, due)));
            }
            for task in tasks {
                task.await.map_err(Error::other)?;
            }
            Ok::<_, Error>(())
        })
        .await?;
    let mut figures = shared.figures.borrow().clone();
    figures.took = begin.elapsed();
    Ok(figures)
}

/// What the requests of one run share; all run on one thread.
struct Shared {
    client: Client,
    chooser: RefCell<Chooser>,
    figures: RefCell<Figures>,
    patience: Duration,
}

/// Sends one request, and counts how that went.
async fn send(shared: Rc<Shared>, request: Request, due: Instant) {
    let chosen = shared.chooser.borrow_mut().choose(&request);
    shared.figures.borrow_mut().late.push(due.elapsed());
    let is_prefilled = Cell::new(false);
    let on_first = || {
        is_prefilled.set(true);
        shared.chooser.borrow_mut().on_prefilled(chosen);
    };
    let answered = timeout(shared.patience, shared.client.ask(chosen.to, &request, on_first)).await;
    let mut chooser = shared.chooser.borrow_mut();
    if !is_prefilled.get() {
        chooser.on_prefilled(chosen);
    }
    chooser.on_end(chosen);
    drop(chooser);
    let mut figures = shared.figures.borrow_mut();
    figures.on_sent(request.tenant);
    match answered {
        Ok(Ok(Answer { first_event })) => figures.on_answered(&request, first_event - due),
        Ok(Err(error)) => figures.fail(&error.to_string()),
        Err(_) => {
            // It took at least so long.
            figures.first_event.push(shared.patience);
            figures.fail("no answer in time");
        }
    }
}

/// Who gets the next request.
struct Chooser {
    to: Vec<SocketAddr>,
    next: usize,
    oracle: Option<Oracle>,
}

/// Where a request went.
#[derive(Clone, Copy, Debug)]
struct Chosen {
    to: SocketAddr,
    /// What the oracle sent there.
    sent: Option<oracle::Sent>,
}

impl Chooser {
    fn new(replay: &Replay) -> Self {
        Self {
            to: replay.to.clone(),
            next: 0,
            oracle: replay.oracle_tokens.map(|tokens| Oracle::new(replay.to.len(), tokens)),
        }
    }

    fn choose(&mut self, request: &Request) -> Chosen {
        if let Some(oracle) = &mut self.oracle {
            let sent = oracle.choose(&request.prompt.blocks());
            return Chosen {
                to: self.to[sent.replica],
                sent: Some(sent),
            };
        }
        let to = self.to[self.next % self.to.len()];
        self.next += 1;
        Chosen { to, sent: None }
    }

    fn on_prefilled(&mut self, chosen: Chosen) {
        if let (Some(oracle), Some(sent)) = (&mut self.oracle, chosen.sent) {
            oracle.on_prefilled(sent);
        }
    }

    fn on_end(&mut self, chosen: Chosen) {
        if let (Some(oracle), Some(sent)) = (&mut self.oracle, chosen.sent) {
            oracle.on_end(sent);
        }
    }
}
