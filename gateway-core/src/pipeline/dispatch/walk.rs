//! The loop over attempts: down the ladder until something answers. The walk stays where it is while an answer is
//! passed on, with what the order holds meanwhile, so that it can go on from there.

use std::cell::RefCell;
use std::pin::pin;
use std::rc::Rc;
use std::time::Duration;

use futures::future::{Either, select};

use super::attempt::{Asked, Failed, attempt_at_replica};
use super::judge::{blame, known, outcome, told_again};
use super::opened::UpstreamAnswer;
use super::region::attempt_by_region;
use super::served_by::ServedVersion;
use super::{PermitSlot, ServedBy};
use crate::cluster::{Outcome, PassedOver};
use crate::config::CannedReason;
use crate::ids::ReplicaName;
use crate::ladder::{AttemptError, Blame, Descent, Remedy, Step, Verdict, WaitsFor, canned_reason, more_telling};
use crate::observe::Event;
use crate::pipeline::context::Paused;
use crate::pipeline::failure::Failure;
use crate::pipeline::intake::{Order, Target};
use crate::pipeline::response_cache::Hit;
use crate::platform::Platform;
use crate::route::LoadSnapshot;

/// The way of one order down its ladder, as far as it has gone.
#[derive(Debug)]
pub(in crate::pipeline) struct Walk<P: Platform> {
    pub order: Rc<Order<P>>,
    /// What the order holds of replicas.
    pub permit: PermitSlot<P>,
    progress: RefCell<Progress>,
}

#[derive(Debug)]
struct Progress {
    descent: Descent,
    /// Replicas that have failed in the tier that the walk stands at.
    tried: Vec<ReplicaName>,
    /// Why nothing has answered so far.
    failure: Option<AttemptError>,
    /// The same, as a canned answer tells it.
    reason: Option<CannedReason>,
    /// Whose doing that is.
    blame: Blame,
    /// The tier in which an answer was of no use last.
    useless_in: Option<usize>,
}

/// An answer that has begun, and who gives it.
pub(in crate::pipeline) struct Answered<P: Platform> {
    pub served_by: ServedBy,
    pub answer: UpstreamAnswer<P>,
}

impl<P: Platform> Walk<P> {
    /// The walk of an order that has been nowhere yet.
    pub fn new(order: Order<P>) -> Self {
        let descent = descent(&order);
        Self {
            order: Rc::new(order),
            permit: PermitSlot::default(),
            progress: RefCell::new(Progress {
                descent,
                tried: Vec::new(),
                failure: None,
                blame: Blame::default(),
                reason: None,
                useless_in: None,
            }),
        }
    }

    /// Goes down the ladder, from where it stands, until something answers.
    ///
    /// # Errors
    /// When nothing on it answers.
    pub async fn descend(&self) -> Result<Answered<P>, Failure> {
        if let Some(error) = known(&self.order) {
            return Err(error.into());
        }
        if let Some(shared) = self.follow().await {
            return Ok(shared);
        }
        loop {
            let step = self.progress.borrow().descent.step();
            if !matches!(step, Step::Attempt { .. }) {
                self.close_blame();
                self.release_followers();
                if let Some(stale) = self.give_stale() {
                    return Ok(stale);
                }
            }
            match step {
                Step::Attempt { tier, cluster, waits } => match self.order.target(tier, cluster).await {
                    Some(target) if !self.order.may_be_answered_by(&target) => self.after(unfit(), step).await,
                    Some(target) => match self.attempt(&target, (tier, cluster), waits).await {
                        Ok(answered) => return Ok(answered),
                        Err(failed) => self.after(failed, step).await,
                    },
                    None => self.after(unfit(), step).await,
                },
                Step::Canned => return self.give_canned().ok_or_else(|| self.exhausted()),
                Step::GiveUp => return Err(self.exhausted()),
            }
        }
    }

    async fn attempt(
        &self,
        target: &Target<'_>,
        place: (usize, usize),
        waits: WaitsFor,
    ) -> Result<Answered<P>, Failed> {
        let cluster = &target.serving.cluster;
        let exchange = &self.order.exchange;
        let attempted = match exchange.hop(cluster) {
            Some(hop) => {
                let most = self.progress.borrow().descent.attempts_left();
                attempt_by_region(&self.order, target, hop, (most, waits)).await
            }
            None if waits == WaitsFor::Nothing => self.ask(target, waits).await,
            None => match self.wait_and_look(target, place, waits).await {
                Waited::Here(attempted) => attempted,
                Waited::Elsewhere(answered) => return Ok(answered),
            },
        };
        match attempted {
            Ok(answer) => Ok(self.on_answered(answer, target)),
            Err(Failed { asked, error }) => Err(self.on_failed(target, asked, error)),
        }
    }

    async fn ask(&self, target: &Target<'_>, waits: WaitsFor) -> Result<UpstreamAnswer<P>, Failed> {
        let tried = self.progress.borrow().tried.clone();
        attempt_at_replica(&self.order, &self.permit, target, (&tried, waits)).await
    }

    fn on_answered(&self, answer: UpstreamAnswer<P>, target: &Target<'_>) -> Answered<P> {
        self.close_blame();
        let gateway = &self.order.exchange.gateway;
        gateway.blamed.on_served(&target.serving.cluster.name);
        answered(&self.order, answer, target)
    }

    /// Waits at a cluster, and looks every second whether another one of the tier has room by now. Its place in the queue is
    /// kept meanwhile.
    async fn wait_and_look(&self, target: &Target<'_>, (tier, cluster): (usize, usize), waits: WaitsFor) -> Waited<P> {
        let mut waiting = pin!(self.ask(target, waits));
        loop {
            let pause = pin!(self.order.exchange.pause(BETWEEN_LOOKS));
            match select(waiting.as_mut(), pause).await {
                Either::Left((attempted, _)) => return Waited::Here(attempted),
                Either::Right((Paused::Stopped, _)) => return Waited::Here(waiting.await),
                Either::Right((Paused::Elapsed, _)) => {}
            }
            // Once its turn has come it is a replica's.
            if self.permit.is_held() {
                return Waited::Here(waiting.await);
            }
            for other in (0..self.order.plan.clusters()[tier]).filter(|other| *other != cluster) {
                if let Some(answered) = self.look(tier, other).await {
                    return Waited::Elsewhere(answered);
                }
            }
        }
    }

    /// Asks another cluster than the one at which the order waits, if it may have room.
    async fn look(&self, tier: usize, cluster: usize) -> Option<Answered<P>> {
        let target = self.order.target(tier, cluster).await?;
        let (exchange, cluster) = (&self.order.exchange, &target.serving.cluster);
        let now = exchange.platform.now();
        let is_full = |known: LoadSnapshot| {
            // What was heard of it a while ago says nothing; whoever looks next second has what is heard now.
            now.since(known.at) < BETWEEN_LOOKS && !known.load.has_room()
        };
        if exchange.hop(cluster).is_some() || exchange.gateway.load(&cluster.name).is_some_and(is_full) {
            return None;
        }
        match self.ask(&target, WaitsFor::Nothing).await {
            Ok(answer) => Some(self.on_answered(answer, &target)),
            Err(Failed { asked, error }) => {
                if asked != Asked::Replica(None) {
                    drop(self.on_failed(&target, asked, error));
                }
                None
            }
        }
    }

    /// An attempt has come to nothing. Gives it with the error as it is now known to be.
    fn on_failed(&self, target: &Target<'_>, asked: Asked, error: AttemptError) -> Failed {
        let cluster = &target.serving.cluster;
        let error = told_again(&mut self.progress.borrow_mut().useless_in, target.tier, error);
        self.order.exchange.detected.clear();
        let (replica, (asked, error)) = match asked {
            Asked::Replica(index) => {
                let replica = index.map(|index| &cluster.replicas[index].name);
                self.progress.borrow_mut().tried.extend(replica.cloned());
                (replica, self.judge(target, asked, error))
            }
            // The region has judged.
            Asked::Region { .. } => (None, unless_of_version(target, asked, error)),
            Asked::Version { .. } => (None, (asked, error)),
        };
        if let AttemptError::TooLarge { .. } = error {
            self.order.reservation.settle_as_reserved();
        } else {
            self.order.reservation.on_attempt_failed();
        }
        self.order.exchange.tell(&Event::AttemptFailed {
            cluster: &cluster.name,
            replica,
            error: &error,
        });
        self.order.on_failed(target, &error);
        Failed { asked, error }
    }

    /// No answer comes of this for those that wait for the same one: each asks for itself, and none waits for the next
    /// failure.
    fn release_followers(&self) {
        if let Some(caching) = &self.order.caching {
            caching.discard();
        }
    }

    /// The answer that passes breaks off.
    pub fn on_broken_off(&self, error: &AttemptError) {
        self.release_followers();
        self.permit.on_stream_failed(error);
        let step = self.progress.borrow().descent.step();
        if let Some(tier) = step.tier() {
            self.order.on_broken_off(tier, error);
        }
    }

    /// An attempt has failed at a replica of that cluster: what that says about the replica, and the one before it, is
    /// told to their breakers. Gives who was asked, and the error, as they are now known to be.
    fn judge(&self, target: &Target<'_>, asked: Asked, error: AttemptError) -> (Asked, AttemptError) {
        if error.is_absence() {
            let is_loading = error.is_loading();
            self.permit.on_absent(is_loading);
        }
        let verdict = self.progress.borrow_mut().blame.on_failure(&error);
        match verdict {
            Verdict::AsItSays => self.permit.release(outcome(&error)),
            Verdict::Open => self.permit.suspend(),
            Verdict::Replicas => {
                self.permit.settle_suspended(Outcome::Failed);
                self.permit.release(outcome(&error));
            }
            Verdict::Request => {
                self.permit.settle_suspended(Outcome::Unknown);
                self.permit.release(Outcome::Unknown);
                return match target.other_versions_from {
                    // It may be the version's as well: another one will tell.
                    Some(others_from) => (Asked::Version { others_from }, error),
                    None => (asked, blame(&self.order, &target.serving.cluster.name, error)),
                };
            }
        }
        (asked, error)
    }

    /// Another replica has answered, or there is none left to ask: one that had failed did so by itself.
    fn close_blame(&self) {
        self.progress.borrow_mut().blame.close();
        self.permit.settle_suspended(Outcome::Failed);
    }

    /// How often what the order holds has to be renewed.
    pub fn renewal_period(&self) -> Duration {
        let config = &self.order.exchange.config;
        config.permits.ttl.min(config.leases.ttl) / 3
    }

    /// Renews what the order holds, in the background.
    pub fn renew(&self) {
        self.order.reservation.keep_up();
        self.permit.renew(self.renewal_period());
        if let Some(caching) = &self.order.caching {
            caching.renew();
        }
    }

    async fn after(&self, failed: Failed, step: Step) {
        let is_absence = failed.error.is_absence();
        let next = self.next(failed, step);
        if next.is_held() && is_absence {
            let exchange = &self.order.exchange;
            let waited = exchange.waited.get() + BETWEEN_LOOKS;
            exchange.waited.set(waited);
            if waited > exchange.config.queue.hold {
                self.progress.borrow_mut().descent.end_hold();
                return;
            }
            // What is not there comes in seconds at the soonest.
            exchange.pause(BETWEEN_LOOKS).await;
        }
    }

    fn next(&self, Failed { asked, error }: Failed, step: Step) -> Step {
        let progress = &mut *self.progress.borrow_mut();
        let next = match asked {
            Asked::Replica(_) => progress.descent.after(&error),
            Asked::Region { attempts } => progress.descent.after_region(&error, attempts),
            Asked::Version { others_from } => progress.descent.after_version(&error, others_from),
        };
        let is_elsewhere = next.tier() != step.tier() || next.is_held() != step.is_held();
        if is_elsewhere {
            self.order.exchange.waited.set(Duration::ZERO);
        }
        // Who is held waits for those that have failed.
        if is_elsewhere || next.is_held() {
            progress.tried.clear();
        }
        progress.reason = canned_reason(progress.reason, &error);
        progress.failure = Some(more_telling(progress.failure.take(), error));
        next
    }

    /// The answer to the same request that is under way here, if it comes.
    async fn follow(&self) -> Option<Answered<P>> {
        let caching = self.order.caching.as_ref()?;
        let hit = caching.follow(&self.order.request).await?;
        Some(self.give(hit))
    }

    /// An answer past its time, where no engine has given one and the request is not at fault.
    fn give_stale(&self) -> Option<Answered<P>> {
        let failure = self.progress.borrow().failure.as_ref().map(AttemptError::remedy);
        let caching = self.order.caching.as_ref().filter(|_| failure != Some(Remedy::Never))?;
        let hit = caching.stale(&self.order.request)?;
        Some(self.give(hit))
    }

    fn give(&self, hit: Hit) -> Answered<P> {
        let Order {
            exchange,
            model,
            reservation,
            ..
        } = &*self.order;
        reservation.settle_cached(hit.usage, exchange.config.response_cache.hit_cost);
        Answered {
            served_by: ServedBy::Cache {
                status: hit.status,
                model: model.name.clone(),
                age: hit.age,
            },
            answer: UpstreamAnswer::Whole(hit.body),
        }
    }

    fn give_canned(&self) -> Option<Answered<P>> {
        let order = &self.order;
        let progress = self.progress.borrow();
        let reason = progress.reason.unwrap_or(order.plan.reason_without_attempts());
        let unanswered = order.unanswered(reason, progress.descent.recovery());
        let body = order.plan.canned.as_ref()?.give(&order.exchange, unanswered)?;
        order.reservation.settle_canned();
        Some(Answered {
            served_by: ServedBy::Canned(reason),
            answer: UpstreamAnswer::Whole(body),
        })
    }

    fn exhausted(&self) -> Failure {
        let progress = self.progress.borrow();
        let failure = progress.failure.clone();
        if failure.is_none() && self.order.plan.is_in_maintenance {
            return Failure::Maintenance;
        }
        // No attempt was made: there is no cluster to ask.
        let none = AttemptError::NoRoom {
            recovery: None,
            passed_over: PassedOver::default(),
            expected_wait: None,
            dropped: None,
        };
        Failure::Exhausted {
            error: failure.unwrap_or(none),
            recovery: progress.descent.recovery(),
        }
    }
}

/// A region has found that engines fail at the request. Where all of them are of one version, that may be the version's doing:
/// another one will tell.
fn unless_of_version(target: &Target<'_>, asked: Asked, error: AttemptError) -> (Asked, AttemptError) {
    match (target.other_versions_from, error) {
        (Some(others_from), AttemptError::Blamed { status, words }) => {
            let retry_after = None;
            let error = AttemptError::Status {
                status,
                retry_after,
                words,
            };
            (Asked::Version { others_from }, error)
        }
        (_, error) => (asked, error),
    }
}

/// The way of an order that has been nowhere yet.
pub(super) fn descent<P: Platform>(order: &Order<P>) -> Descent {
    let queue = &order.exchange.config.queue;
    let may_wait = order.may_wait && queue.requests > 0 && !queue.wait.is_zero();
    let may_be_held = order.may_be_held && queue.requests > 0 && !queue.hold.is_zero();
    let descent = Descent::new(order.plan.clusters(), order.plan.canned.is_some(), order.attempts);
    descent.with_waiting(may_wait, may_be_held)
}

/// How the wait at a cluster ended.
enum Waited<P: Platform> {
    /// With what became of the attempt there.
    Here(Result<UpstreamAnswer<P>, Failed>),
    /// Another cluster had room sooner.
    Elsewhere(Answered<P>),
}

/// How often a request that waits looks at other clusters; and so long one that is held leaves an engine alone that was not
/// there for it.
const BETWEEN_LOOKS: Duration = Duration::from_secs(1);

/// The tier's model cannot take the request.
fn unfit() -> Failed {
    Failed {
        asked: Asked::Replica(None),
        error: AttemptError::Unfit,
    }
}

fn answered<P: Platform>(order: &Order<P>, answer: UpstreamAnswer<P>, target: &Target<'_>) -> Answered<P> {
    let limit = order.output_limit(target.count);
    let is_stream = matches!(answer, UpstreamAnswer::Stream(_));
    let own_version = order.on_answered(target, is_stream);
    let budgeted = order.request.budgeted(target.serving.cluster.engine, &limit);
    if let Some(batch) = &order.batch {
        batch.tell_answered(order.cache_status());
    }
    if let Some(caching) = &order.caching {
        caching.tell_answered(order.cache_status());
        match &answer {
            // What another model says is no answer of the one that was asked for, and what is of no use is none.
            _ if target.tier > 0 || order.exchange.detected.is_any() => caching.discard(),
            UpstreamAnswer::Whole(body) => caching.on_whole(&order.request, body, budgeted.is_some()),
            // It is recorded as it passes.
            UpstreamAnswer::Stream(_) | UpstreamAnswer::Passing(..) => {}
        }
    }
    let served_by = ServedBy::Engine {
        cluster: target.serving.cluster.name.clone(),
        model: target.model.name.clone(),
        tier: target.tier,
        prompt: target.count.prompt,
        is_exact: target.count.basis.is_exact(),
        budgeted,
        version: own_version.and_then(|own| Some(ServedVersion::new(target.serving.version.clone()?, own))),
        visit: order.identity.visit(),
        cache: order.cache_status(),
    };
    Answered { served_by, answer }
}
