//! The permits that this process, isolate or instance keeps, by cluster, and what passes between them and the clusters'
//! cells behind requests' backs.

use std::rc::Rc;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::cells::{CellAddress, CellCall, CellError};
use crate::cluster::{
    ClusterLoad, Evidence, Extend, Extended, Forgotten, LOOK_EVERY, Outcome, PermitCache, PolicyRef, PolicyUnknown,
    Prefilled, Release, Releases, UnderPolicy, Weighed,
};
use crate::config::Cluster;
use crate::ids::ReplicaName;
use crate::observe::{Event, Weighing};
use crate::pipeline::context::{Exchange, Paused, Waiting};
use crate::pipeline::maintain::Poll;
use crate::platform::Platform;
use crate::route::LoadSnapshot;
use crate::time::Timestamp;

/// One cluster as a request sees it: its cache here, and the way to its cell.
#[derive(Debug)]
pub(in crate::pipeline) struct ClusterClient<P: Platform> {
    pub exchange: Rc<Exchange<P>>,
    pub cluster: Arc<Cluster>,
    cache: Arc<Mutex<PermitCache>>,
}

impl<P: Platform> Clone for ClusterClient<P> {
    fn clone(&self) -> Self {
        Self {
            exchange: Rc::clone(&self.exchange),
            cluster: Arc::clone(&self.cluster),
            cache: Arc::clone(&self.cache),
        }
    }
}

impl<P: Platform> ClusterClient<P> {
    pub fn new(exchange: &Rc<Exchange<P>>, cluster: &Arc<Cluster>) -> Self {
        Self {
            exchange: Rc::clone(exchange),
            cluster: Arc::clone(cluster),
            cache: exchange.gateway.permits.of(&cluster.name),
        }
    }

    /// Looks at the cache, or changes it.
    pub fn with<T>(&self, work: impl FnOnce(&mut PermitCache) -> T) -> T {
        work(&mut self.cache.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// How long a permit holds without renewal.
    pub fn ttl(&self) -> Duration {
        self.exchange.config.permits.ttl
    }

    /// Asks the cell. A request does not wait for one that has been silent lately, but for one in a second that tries it.
    ///
    /// # Errors
    /// When it cannot be reached, or replies to something else.
    async fn ask<C: CellCall>(&self, call: C, waiting: Waiting) -> Result<C::Reply, CellError> {
        let Exchange {
            gateway,
            platform,
            cell_time,
            ..
        } = &*self.exchange;
        let cell = CellAddress::of_cluster(&self.cluster);
        let begun = platform.now();
        let may_wait =
            || !cell_time.left().is_zero() && gateway.silent_cells.with(|silent| silent.may_ask(begun, &cell.id));
        if waiting == Waiting::Request && !may_wait() {
            return Err(CellError::Unreachable("cells have not replied lately".to_owned()));
        }
        let limit = self.exchange.config.timeouts.cells + waiting.held();
        let replied = self.exchange.call_cell(&cell, call, waiting, limit).await;
        let now = platform.now();
        gateway.silent_cells.with(|silent| match &replied {
            Ok(_) => silent.on_reply(&cell.id),
            Err(_) if now.since(begun) >= cell_time.kept_for_clusters() => silent.on_silence(now, &cell.id),
            // What fails at once keeps nobody waiting.
            Err(_) => {}
        });
        replied
    }

    /// How a command is to name the policy now.
    pub fn policy(&self) -> PolicyRef {
        let Cluster {
            policy, policy_digest, ..
        } = &*self.cluster;
        self.with(|cache| cache.name_policy(*policy_digest, policy))
    }

    /// Asks the cell under the policy that the command names. A cell that does not know it is told all of it.
    ///
    /// # Errors
    /// When it cannot be reached, or replies to something else.
    pub async fn ask_under_policy<C, R>(&self, mut call: C, waiting: Waiting) -> Result<R, CellError>
    where
        C: CellCall<Reply = Result<R, PolicyUnknown>> + UnderPolicy + Clone,
    {
        match self.ask(call.clone(), waiting).await {
            Ok(Ok(reply)) => return Ok(reply),
            Ok(Err(PolicyUnknown)) => {}
            Err(error) => {
                // A cell that was put back to a version before knows no digests.
                self.with(|cache| cache.on_policy(None));
                return Err(error);
            }
        }
        call.set_policy(PolicyRef::Whole(Arc::clone(&self.cluster.policy)));
        let reply = self.ask(call, waiting).await?;
        reply.map_err(|PolicyUnknown| CellError::Malformed("it does not know what it was told".to_owned()))
    }

    /// The cell has told the cluster's load, now, and whether it knows the policy by its digest; tells when that is. Where it
    /// says so, its engines are asked for theirs.
    pub fn on_load(&self, load: ClusterLoad, knows_policy: bool) -> Timestamp {
        let at = self.exchange.platform.now();
        let snapshot = LoadSnapshot { load, at };
        self.exchange.gateway.on_load(&self.cluster.name, snapshot);
        let known = knows_policy.then_some(self.cluster.policy_digest);
        self.with(|cache| cache.on_policy(known));
        if load.signals.is_due {
            let Exchange {
                gateway,
                platform,
                config,
                ..
            } = &*self.exchange;
            let poll = Poll {
                gateway: Arc::clone(gateway),
                platform: platform.clone(),
                config: Arc::clone(config),
                cluster: Arc::clone(&self.cluster),
            };
            poll.behind();
        }
        at
    }

    /// The cell has told what it weighed, where it was asked for that.
    pub fn on_weighed(&self, weighed: Option<&Weighed>) {
        if let Some(weighed) = weighed {
            let cluster = &self.cluster.name;
            self.exchange
                .tell(&Event::Weighing(Weighing::Replicas { cluster, weighed }));
        }
    }

    /// Tells the cell, in the background.
    pub fn tell(&self, call: impl CellCall<Reply = ()> + 'static) {
        let client = self.clone();
        self.exchange.platform.after_response(async move {
            // A message that is lost costs a slot until the permit expires; asking again could only make it later.
            let _ = client.ask(call, Waiting::Background).await;
        });
    }

    /// A permit was given back.
    pub fn on_released(&self, outcome: Outcome) {
        self.exchange.tell(&Event::Released {
            cluster: &self.cluster.name,
            outcome,
        });
    }

    /// Tells the cell what has ended, in the background.
    pub fn release(&self, releases: Vec<Release>) {
        self.report(releases, Vec::new());
    }

    /// Tells the cell what has ended, and which prompts keep replicas no longer, in the background.
    pub fn report(&self, releases: Vec<Release>, prefilled: Vec<Prefilled>) {
        if !(releases.is_empty() && prefilled.is_empty()) {
            let breaker = self.exchange.config.breaker;
            self.tell(Releases {
                releases,
                breaker,
                prefilled,
                forgotten: Vec::new(),
                served: self.with(PermitCache::take_served),
            });
        }
    }

    /// Tells the cell that nobody could connect to a replica, or that it loads, in the background.
    pub fn on_absent(&self, replica: &ReplicaName, is_loading: bool) {
        let evidence = if is_loading {
            Evidence::Loading
        } else {
            Evidence::Unreachable
        };
        let forgotten = Forgotten {
            replica: replica.clone(),
            evidence,
        };
        self.tell(Releases::of_forgotten(forgotten, self.exchange.config.breaker));
    }

    /// Asks the cell whether it goes on lending at that replica, in the background.
    pub fn extend(&self, replica: &ReplicaName) {
        let client = self.clone();
        let replica = replica.clone();
        let extend = Extend {
            held: self.with(|cache| cache.held_at(&replica)),
            replica: replica.clone(),
            policy: self.policy(),
            ttl: self.ttl(),
            served: self.with(PermitCache::take_served),
        };
        self.exchange.platform.after_response(async move {
            // Without a reply what is lent ends soon, and requests ask the cell themselves.
            if let Ok(extended) = client.ask_under_policy(extend, Waiting::Background).await {
                let Extended {
                    lends,
                    load,
                    knows_policy,
                } = extended;
                let at = client.on_load(load, knows_policy);
                let ended = client.with(|cache| cache.on_extended(at, &replica, lends, client.ttl()));
                client.release(ended);
            }
        });
    }

    /// Has idle slots given back after a while, in the background, unless somebody does so already.
    pub fn watch(&self) {
        let begun = self.exchange.platform.now();
        if !self.with(|cache| cache.watch(begun)) {
            return;
        }
        let client = self.clone();
        self.exchange
            .platform
            .after_response(async move { while client.give_back_idle(begun + LONGEST_WATCH).await {} });
    }

    /// Gives back what is idle here now: others wait for it.
    pub fn give_back_idle_now(&self) {
        let now = self.exchange.platform.now();
        self.release(self.with(|cache| cache.give_back_all(now)));
    }

    /// Waits a while, and gives back what is idle then; whether there is more to look after before `end`.
    async fn give_back_idle(&self, end: Timestamp) -> bool {
        let stops = self.exchange.pause(LOOK_EVERY).await == Paused::Stopped;
        let now = self.exchange.platform.now();
        let (ended, goes_on) = self.with(|cache| {
            cache.on_watched();
            if stops {
                (cache.give_back_all(now), false)
            } else {
                (cache.give_back_idle(now), now < end && cache.watch(now))
            }
        });
        self.release(ended);
        goes_on
    }
}

/// How long one request's background looks after idle slots: on Workers it has 30 s. The next request to end goes on.
const LONGEST_WATCH: Duration = Duration::from_secs(20);
