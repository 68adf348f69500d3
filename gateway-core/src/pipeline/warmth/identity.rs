//! What a request is known by, and what came of that: the replica at which it should be warm, the one that it came to, and
//! how warm it was there.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use super::lookup::Lookup;
use super::record::write;
use crate::cells::CellAddress;
use crate::cluster::{
    ChoiceReason, Evidence, ExpectedPlace, Forgotten, HotSet, Missed, PromptOutline, Releases, WarmAt, expected_place,
};
use crate::config::{Cluster, Model};
use crate::ids::{ClusterName, ModelName, PrefixKey, ReplicaName, TenantName, Tokens};
use crate::observe::{Event, Prefixing};
use crate::pipeline::context::{Exchange, Waiting};
use crate::pipeline::hops::ToldVisit;
use crate::platform::Platform;
use crate::prefix::index::{Place, ReplicaId, Row, RowKey, Served, updated};
use crate::prefix::{Boundaries, Presumptions};
use crate::rollout::Conversation;
use crate::time::Timestamp;

/// By what a request may be known where others like it were served.
#[derive(Debug)]
pub(in crate::pipeline) struct Identity {
    tenant: TenantName,
    /// The model that it asks for.
    model: ModelName,
    /// The session, where the client names one.
    session: Option<PrefixKey>,
    boundaries: Boundaries,
    /// Its row in the index; `None` where it has none.
    lookup: Option<Lookup>,
    /// Where its prompt is warm, as the edge has found out.
    told: Vec<WarmAt>,
    visit: RefCell<Option<Visit>>,
}

/// What is known of a request before it goes to a cluster.
#[derive(Debug)]
pub(in crate::pipeline) struct Prospect {
    /// By which a replica is chosen where nothing else is known.
    pub affinity: Option<PrefixKey>,
    /// What the cluster is told of the prompt.
    pub outline: PromptOutline,
    /// Whether it goes to that cluster if nothing else is known.
    is_home: bool,
    /// Where the prompt should be warm, as far as that is known here; `None` without an affinity.
    pub place: Option<ExpectedPlace>,
}

/// Where a request is about to go.
#[derive(Clone, Copy, Debug)]
pub(in crate::pipeline) struct Destination<'a> {
    pub cluster: &'a Cluster,
    /// What the cluster's cell has told of its hot prefixes.
    pub hot: &'a HotSet,
    /// Whether the request goes there if nothing else is known.
    pub is_home: bool,
    /// The prompt, as it is counted there.
    pub tokens: Tokens,
}

/// A request at a replica.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::pipeline) struct Visit {
    cluster: ClusterName,
    replica: ReplicaName,
    /// The replica as everybody may know it.
    pub id: ReplicaId,
    prompt: Tokens,
    /// How much of the prompt should be warm there.
    pub expected: Tokens,
    /// How much was, once the engine has told.
    pub cached: Option<Tokens>,
    is_first_choice: bool,
    /// Whether it was known where the conversation was before.
    is_known: bool,
    /// When it was sent there, where the cluster's cell knew it to be warm there.
    sent_warm: Option<Timestamp>,
}

impl Visit {
    /// Whether the engine had much less of the prompt than was expected, which was so many tokens at least.
    fn is_missed(&self, least: Tokens) -> bool {
        let is_less = |cached: Tokens| self.expected >= least && cached.0 < self.expected.0 / 2;
        self.cached.is_some_and(is_less)
    }

    /// What the edge is told of it.
    pub fn to_told(&self) -> ToldVisit {
        ToldVisit {
            replica: self.replica.clone(),
            expected: self.expected,
            is_first_choice: self.is_first_choice,
            is_known: self.is_known,
        }
    }
}

impl Identity {
    /// Of a tenant's request for that model. Its row is looked up, and read if it should be.
    pub fn new<P: Platform>(
        exchange: &Exchange<P>,
        (tenant, model): (&TenantName, &Model),
        session: Option<PrefixKey>,
        boundaries: Boundaries,
        row_key: impl FnOnce(PrefixKey) -> RowKey,
    ) -> Self {
        let settings = &exchange.config.prefixes;
        let is_hot = |key| {
            model
                .serving
                .iter()
                .any(|serving| exchange.is_hot(&serving.cluster, key))
        };
        let affinity = session.or_else(|| boundaries.affinity(is_hot));
        let replicas: usize = model.serving.iter().map(|serving| serving.cluster.replicas.len()).sum();
        let has_row = settings.index && replicas > 1 && boundaries.rough_tokens() >= settings.least;
        let pays = session.is_some() || boundaries.may_have_been_here();
        let lookup = affinity
            .filter(|_| has_row)
            .map(|affinity| Lookup::begin(exchange, row_key(affinity), pays));
        Self {
            tenant: tenant.clone(),
            model: model.name.clone(),
            session,
            boundaries,
            lookup,
            told: Vec::new(),
            visit: RefCell::default(),
        }
    }

    /// Of an order of the edge, which has looked up the request's row.
    pub fn of_order(
        (tenant, model): (&TenantName, &Model),
        session: Option<PrefixKey>,
        boundaries: Boundaries,
        told: Vec<WarmAt>,
    ) -> Self {
        Self {
            tenant: tenant.clone(),
            model: model.name.clone(),
            session,
            boundaries,
            lookup: None,
            told,
            visit: RefCell::default(),
        }
    }

    /// By what the request is told from those of other conversations, and whether that has come before; `None` where it is
    /// of none.
    pub fn conversation(&self) -> Option<Conversation> {
        let PrefixKey(key) = self.session.or_else(|| self.boundaries.conversation())?;
        let has_begun = self.boundaries.has_answer();
        Some(Conversation { key, has_begun })
    }

    /// The session, where the client names one.
    pub fn session(&self) -> Option<PrefixKey> {
        self.session
    }

    /// How much of its prompt, which is so many tokens, should be warm in each of those clusters. `home` is the one where it
    /// goes if nothing else is known, and where a conversation is presumed therefore that nobody knows of elsewhere. Waits
    /// for its row, for a moment.
    pub async fn warm_in<P: Platform>(
        &self,
        exchange: &Exchange<P>,
        clusters: &[&Cluster],
        home: Option<usize>,
        tokens: Tokens,
    ) -> Vec<Tokens> {
        let row = self.row(exchange).await;
        let outline = self.boundaries.outline(tokens);
        let known = |cluster: &&Cluster| {
            let warm = row.iter().flat_map(|row| self.warm(exchange, cluster, row, tokens));
            warm.map(|at| at.tokens).max().unwrap_or_default()
        };
        let mut warm: Vec<_> = clusters.iter().map(known).collect();
        if warm.iter().all(|tokens| *tokens == Tokens(0))
            && let Some(at_home) = home.and_then(|home| warm.get_mut(home))
        {
            *at_home = self.presumed(exchange, tokens);
        }
        for (cluster, warm) in clusters.iter().zip(&mut warm) {
            let hot = exchange.hot_set(cluster);
            let shared = hot.longest(&outline).filter(|(hot, _)| !hot.warm.is_empty());
            *warm = shared.map_or(*warm, |(_, tokens)| tokens.max(*warm));
        }
        warm
    }

    /// What is known of the request before it goes to that cluster, where its prompt is so many tokens. Waits for its row,
    /// for a moment.
    pub async fn prospect<P: Platform>(&self, exchange: &Exchange<P>, to: Destination<'_>) -> Prospect {
        let Destination {
            cluster,
            hot,
            is_home,
            tokens,
        } = to;
        let of_prefix = || self.boundaries.affinity(|key| hot.get(key).is_some());
        let affinity = self.session.or_else(of_prefix);
        let row = self.row(exchange).await;
        let outline = PromptOutline {
            tokens,
            boundaries: self.boundaries.outline(tokens),
            presumed: if is_home {
                self.presumed(exchange, tokens)
            } else {
                Tokens(0)
            },
            warm: match row {
                Some(row) => self.warm(exchange, cluster, &row, tokens),
                None => self.told.clone(),
            },
        };
        let place = |PrefixKey(affinity)| expected_place(affinity, &outline, hot, &cluster.policy.replicas);
        Prospect {
            affinity,
            is_home,
            place: affinity.and_then(place),
            outline,
        }
    }

    async fn row<P: Platform>(&self, exchange: &Exchange<P>) -> Option<Arc<Row>> {
        match &self.lookup {
            Some(lookup) => lookup.row(exchange).await,
            None => None,
        }
    }

    /// What of the prompt should be where its affinity leads, as far as that has held of late.
    fn presumed<P: Platform>(&self, exchange: &Exchange<P>, tokens: Tokens) -> Tokens {
        let presumed = self.boundaries.presumed(tokens);
        let expected = |known: &mut Presumptions| known.expected(&self.tenant, &self.model, presumed);
        exchange.gateway.presumptions.with(expected)
    }

    /// Where in that cluster the row says that the prompt is warm.
    fn warm<P: Platform>(&self, exchange: &Exchange<P>, cluster: &Cluster, row: &Row, tokens: Tokens) -> Vec<WarmAt> {
        let boundaries = self.boundaries.with_total(tokens);
        let (wall, ttl) = (exchange.platform.wall(), exchange.config.prefixes.ttl);
        let at = |replica: &ReplicaName| {
            let id = ReplicaId::of(&cluster.name, replica);
            let tokens = row.warm_at(id, &boundaries, wall, ttl)?;
            (tokens > Tokens(0)).then(|| WarmAt {
                replica: replica.clone(),
                tokens,
                ago: row.age(id, wall).unwrap_or_default(),
            })
        };
        cluster.policy.replicas.iter().filter_map(at).collect()
    }

    /// The request goes to that replica of the cluster for that reason, and should find so much of its prompt there, where
    /// those are told.
    pub fn on_dispatched(
        &self,
        (sent, cluster): (Timestamp, &Cluster),
        prospect: &Prospect,
        replica: usize,
        (choice, expected): (Option<ChoiceReason>, Option<Tokens>),
    ) {
        let name = &cluster.replicas[replica].name;
        let is_first_choice = prospect.is_home && prospect.place.is_none_or(|place| place.first_choice == replica);
        let sent_warm = (choice == Some(ChoiceReason::Warm)).then_some(sent);
        *self.visit.borrow_mut() = Some(Visit {
            cluster: cluster.name.clone(),
            replica: name.clone(),
            id: ReplicaId::of(&cluster.name, name),
            prompt: prospect.outline.tokens,
            expected: expected.unwrap_or_default(),
            cached: None,
            is_first_choice,
            is_known: sent_warm.is_some() || !prospect.outline.warm.is_empty(),
            sent_warm,
        });
    }

    /// The cluster's region hop has sent the request, whose prompt is so many tokens, to one of its replicas.
    pub fn on_told(&self, cluster: &Cluster, prompt: Tokens, told: &ToldVisit) {
        *self.visit.borrow_mut() = Some(Visit {
            cluster: cluster.name.clone(),
            replica: told.replica.clone(),
            id: ReplicaId::of(&cluster.name, &told.replica),
            prompt,
            expected: told.expected,
            cached: None,
            is_first_choice: told.is_first_choice,
            is_known: told.is_known,
            // The region tells its cell itself.
            sent_warm: None,
        });
    }

    /// Where the request went last.
    pub fn visit(&self) -> Option<Visit> {
        self.visit.borrow().clone()
    }

    /// The replica has computed the prompt, of which it had so much, where it tells. The index is told where it said
    /// otherwise.
    pub fn on_computed<P: Platform>(&self, exchange: &Rc<Exchange<P>>, prompt: Tokens, cached: Option<Tokens>) {
        let Some(visit) = &mut *self.visit.borrow_mut() else {
            return;
        };
        // No engine has more in memory than there is, whatever it says.
        let cached = cached.map(|cached| cached.min(prompt));
        visit.cached = cached;
        if let Some(cached) = cached {
            // Nothing but its key spoke for the replica.
            if visit.is_first_choice && !visit.is_known {
                let presumed = self.boundaries.presumed(visit.prompt);
                let learn = |known: &mut Presumptions| known.on_found((&self.tenant, &self.model), presumed, cached);
                exchange.gateway.presumptions.with(learn);
            }
            exchange.tell(&Event::Prefix(Prefixing::Found {
                cluster: &visit.cluster,
                replica: &visit.replica,
                prompt,
                expected: visit.expected,
                cached,
            }));
        }
        if let Some(sent) = visit
            .sent_warm
            .filter(|_| visit.is_missed(exchange.config.prefixes.least))
        {
            let missed = Missed {
                boundaries: self.boundaries.outline(visit.prompt),
                cached: visit.cached.unwrap_or_default(),
                ago: exchange.platform.now().since(sent),
            };
            tell_missed(exchange, visit, missed);
        }
        if let Some(lookup) = &self.lookup {
            self.record(exchange, lookup, visit);
        }
    }

    fn record<P: Platform>(&self, exchange: &Exchange<P>, lookup: &Lookup, visit: &Visit) {
        let (now, wall) = (exchange.platform.now(), exchange.platform.wall());
        let settings = &exchange.config.prefixes;
        let index = &exchange.gateway.prefix_index;
        let known = index.with(|memory| memory.get(now, &lookup.key)).flatten();
        let boundaries = self.boundaries.with_total(visit.prompt);
        let served = Served {
            place: Place::new(visit.id, &self.boundaries.outline(visit.prompt), wall),
            boundaries: &boundaries,
            is_first_choice: visit.is_first_choice,
            is_return: visit.is_known || self.session.is_some(),
            is_missed: visit.is_missed(settings.least),
        };
        if let Some(row) = updated(known.as_deref(), served, wall, settings.ttl) {
            write(exchange, lookup.key.clone(), row);
        }
    }
}

/// Tells the cluster's cell that the replica had little of what it knew to be there, in the background.
fn tell_missed<P: Platform>(exchange: &Rc<Exchange<P>>, visit: &Visit, missed: Missed) {
    let Some(cluster) = exchange.config.clusters.get(&visit.cluster) else {
        return;
    };
    let cell = CellAddress::of_cluster(cluster);
    let forgotten = Forgotten {
        replica: visit.replica.clone(),
        evidence: Evidence::Missed(missed),
    };
    let call = Releases::of_forgotten(forgotten, exchange.config.breaker);
    let exchange = Rc::clone(exchange);
    exchange.platform.clone().after_response(async move {
        let limit = exchange.config.timeouts.cells;
        // Where it is lost, the next one that finds less than expected tells the same.
        let _ = exchange.call_cell(&cell, call, Waiting::Background, limit).await;
    });
}
