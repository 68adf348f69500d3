//! What an answer is held against while it passes, and what follows from what is found. The gateway that a client asks acts; a
//! region hop, which does not know what becomes of the answer, tells what it finds to its cluster's cell and does no more.

use std::cell::Cell;
use std::rc::Rc;

use crate::api::{Ended, Endpoint, OutputDelta};
use crate::cluster::{request_digest, tenant_digest};
use crate::config::Replica;
use crate::detect::{Action, DetectionPolicy, Detector, Finding, Watch};
use crate::ids::{ClusterName, ModelName, ReplicaName};
use crate::ladder::AttemptError;
use crate::observe::{Detecting, Event};
use crate::pipeline::intake::{Order, Sender, Target};
use crate::platform::Platform;

/// The detectors of one answer, and what they make of it.
#[derive(Debug)]
pub(super) struct Detection<P: Platform> {
    order: Rc<Order<P>>,
    cluster: ClusterName,
    /// Who answers; `None` where only the region knows.
    replica: Option<ReplicaName>,
    model: ModelName,
    policy: DetectionPolicy,
    watch: Watch,
    has_found: bool,
    is_told: Cell<bool>,
}

/// What is to become of an answer in which something was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::pipeline) enum Ruling {
    /// It ends here.
    Cut,
    /// It is none.
    Fails(Detector),
}

impl Ruling {
    /// Why an attempt has failed, where it has.
    pub fn error(self) -> Option<AttemptError> {
        match self {
            Self::Cut => None,
            Self::Fails(detector) => Some(AttemptError::Semantic { detector, again: false }),
        }
    }
}

impl<P: Platform> Detection<P> {
    /// Of an answer from that target and replica; `None` where nothing is looked for, as in embeddings.
    pub fn new(order: &Rc<Order<P>>, target: &Target<'_>, replica: Option<&Replica>) -> Option<Self> {
        let tenant = &order.caller.tenant;
        let policy = order.exchange.config.detection(target.model, tenant);
        if order.request.endpoint == Endpoint::Embeddings || !policy.looks_for_any() {
            return None;
        }
        let policy = match order.sender {
            Sender::Client => policy,
            Sender::Edge { .. } => policy.only_told(),
        };
        let limit = order.output_limit(target.count);
        let room = limit.most.map_or(limit.room, |most| most.min(limit.room));
        let watch = Watch::new(&policy, order.request.subject(room))?;
        Some(Self {
            order: Rc::clone(order),
            cluster: target.serving.cluster.name.clone(),
            replica: replica.map(|replica| replica.name.clone()),
            model: target.model.name.clone(),
            policy,
            watch,
            has_found: false,
            is_told: Cell::default(),
        })
    }

    /// The model says that, and answers end.
    pub fn on_event(&mut self, deltas: &[OutputDelta<'_>], ended: &[Ended]) -> Option<Ruling> {
        let watched = deltas.iter().filter(|delta| delta.channel.choice == WATCHED_CHOICE);
        watched.for_each(|delta| delta.tell(&mut self.watch));
        for Ended { choice, finish } in ended {
            if *choice == WATCHED_CHOICE {
                self.watch.on_finish(*finish);
            }
        }
        let found = self.watch.take_found();
        self.has_found |= !found.is_empty();
        let rulings = found.iter().filter_map(|finding| self.on_found(finding));
        // An answer that is none need not be cut.
        rulings.reduce(|one, other| match (one, other) {
            (Ruling::Cut, other) => other,
            (one @ Ruling::Fails(_), _) => one,
        })
    }

    /// Tells of a finding, and what is to follow.
    fn on_found(&self, finding: &Finding) -> Option<Ruling> {
        let exchange = &self.order.exchange;
        let action = self.policy.action(finding.detector);
        exchange.tell(&Event::Detection(Detecting::Found {
            cluster: &self.cluster,
            replica: self.replica.as_ref(),
            model: &self.model,
            finding,
            action,
        }));
        match self.order.sender {
            Sender::Client => exchange.detected.add(finding.detector),
            Sender::Edge { .. } => {}
        }
        match action {
            Action::Off | Action::Flag => None,
            Action::Cut => Some(Ruling::Cut),
            Action::FailOver => Some(Ruling::Fails(finding.detector)),
        }
    }

    /// How many answers were asked for.
    pub fn asked(&self) -> u64 {
        let request = &self.order.request;
        request.choices.saturating_mul(request.prompts())
    }

    /// Whether anything was found so far.
    pub fn has_found(&self) -> bool {
        self.has_found
    }

    /// The answer has ended, as a whole or not. What broke off before anything was found says nothing.
    pub fn on_end(&self, is_whole: bool) {
        if (is_whole || self.has_found) && !self.is_told.replace(true) {
            self.tell_cell();
        }
    }

    /// The cluster's cell hears of it with what it is told next.
    fn tell_cell(&self) {
        let Some(replica) = &self.replica else { return };
        let Order {
            caller,
            request,
            exchange,
            ..
        } = &*self.order;
        let tenant = caller.tenant.name.as_str();
        let faulty = self.has_found.then(|| request_digest(tenant, request.body().as_ref()));
        let tenant = tenant_digest(tenant);
        exchange.on_served(&self.cluster, |served| {
            served.watched.on_answer(replica, tenant, faulty);
        });
    }
}

/// An attempt that failed by what was found in it is told, too.
impl<P: Platform> Drop for Detection<P> {
    fn drop(&mut self) {
        self.on_end(false);
    }
}

/// Which of several answers is watched.
const WATCHED_CHOICE: u64 = 0;
