//! The order in which turns come. It is made when it is asked for, and never kept.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use super::level::Level;
use super::{Entry, WaitingQueue};
use crate::cluster::permit::PermitId;

impl WaitingQueue {
    /// How many turns come before a request's own, at most: those of higher priority, those of its tenant that came earlier,
    /// and, between these, as many of each other tenant of its priority as wait.
    pub fn ahead_of(&self, permit: PermitId) -> u32 {
        let Some(own) = self.entries.get(&permit) else { return 0 };
        let (mut higher, mut tenants_own) = (0_u32, 0_u32);
        let mut of_others = BTreeMap::<u64, u32>::new();
        for entry in self.entries.values() {
            match entry.priority.cmp(&own.priority) {
                Ordering::Less => higher += 1,
                Ordering::Greater => {}
                Ordering::Equal if entry.tenant != own.tenant => {
                    *of_others.entry(entry.tenant).or_default() += 1;
                }
                Ordering::Equal => tenants_own += u32::from(entry.joined < own.joined),
            }
        }
        let between: u32 = of_others.values().map(|waiting| (*waiting).min(tenants_own + 1)).sum();
        higher + tenants_own + between
    }

    /// The order in which turns come, as far as it is asked for. With each, the headroom that binds it.
    pub fn order(&self) -> Vec<(PermitId, u8)> {
        let mut order = Vec::new();
        for (priority, level) in self.levels.iter().rev() {
            if level.passed.requests >= SHARE_OF_LOWER
                && let Some(first) = self.of_level(*priority, level, 1).first()
            {
                // It goes in the place of one of those that came before it for so long, with the room that was theirs.
                let own = self.entries[first].headroom_percent;
                order.push((
                    *first,
                    level.passed.headroom_percent.map_or(own, |theirs| theirs.min(own)),
                ));
            }
        }
        for (priority, level) in &self.levels {
            let left = MOST_LOOKED_AT.saturating_sub(order.len());
            for permit in self.of_level(*priority, level, left) {
                if order.iter().all(|(known, _)| *known != permit) {
                    order.push((permit, self.entries[&permit].headroom_percent));
                }
            }
        }
        order
    }

    /// The first few of one priority.
    fn of_level(&self, priority: u8, level: &Level, most: usize) -> Vec<PermitId> {
        let mut by_tenant = BTreeMap::<u64, Vec<(PermitId, &Entry)>>::new();
        for (permit, entry) in self.entries.iter().filter(|(_, entry)| entry.priority == priority) {
            by_tenant.entry(entry.tenant).or_default().push((*permit, entry));
        }
        let mut waiting: BTreeMap<u64, _> = by_tenant
            .into_iter()
            .map(|(tenant, entries)| (tenant, self.by_session(entries).into_iter().peekable()))
            .collect();
        let mut level = level.clone();
        let mut order = Vec::new();
        while order.len() < most {
            let costs = waiting.iter_mut().filter_map(|(tenant, entries)| {
                let (_, next) = entries.peek()?;
                Some((*tenant, next.cost()))
            });
            let Some(tenant) = level.next(costs) else { break };
            let Some((permit, entry)) = waiting.get_mut(&tenant).and_then(Iterator::next) else {
                break;
            };
            level.on_gone(tenant, entry.cost());
            order.push(permit);
        }
        order
    }

    /// A tenant's requests in the order of their turns: one of each session, the one first whose turn was longest ago.
    fn by_session<'a>(&self, mut entries: Vec<(PermitId, &'a Entry)>) -> Vec<(PermitId, &'a Entry)> {
        entries.sort_by_key(|(_, entry)| (entry.deadline, entry.joined));
        let mut rounds = BTreeMap::<u64, u32>::new();
        let mut keyed = Vec::with_capacity(entries.len());
        for (permit, entry) in entries {
            let round = rounds.entry(entry.session).or_default();
            let last_turn = self.sessions.get(&entry.session).copied().unwrap_or(entry.joined);
            keyed.push(((*round, last_turn, entry.joined), (permit, entry)));
            *round += 1;
        }
        keyed.sort_by_key(|(key, _)| *key);
        keyed.into_iter().map(|(_, entry)| entry).collect()
    }
}

/// After so many turns of higher priorities, one of a lower one comes.
const SHARE_OF_LOWER: u32 = 8;
/// So many are looked at where there is room for some: no more become free at once in any time that matters.
const MOST_LOOKED_AT: usize = 64;
