//! The orders that a cluster's region hop has taken of late: none is taken twice. Where a region has several processes, they
//! share the cell. It is split, so that each command reads and writes little.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::signature::WINDOW;
use crate::ids::ClusterName;
use crate::time::Timestamp;

/// One part of the orders of a cluster.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct OrdersId {
    /// Whose.
    pub cluster: ClusterName,
    /// Below [`SHARDS`].
    pub shard: u64,
}

impl OrdersId {
    /// Where an order of that nonce belongs.
    pub fn of(cluster: &ClusterName, nonce: u64) -> Self {
        Self {
            cluster: cluster.clone(),
            shard: nonce % SHARDS,
        }
    }

    /// The part that [`Display`](fmt::Display) has written.
    pub fn parse(key: &str) -> Option<Self> {
        let (cluster, shard) = key.rsplit_once('/')?;
        let shard = shard.parse().ok().filter(|shard| *shard < SHARDS)?;
        (!cluster.is_empty()).then(|| Self {
            cluster: cluster.into(),
            shard,
        })
    }
}

impl fmt::Display for OrdersId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.cluster, self.shard)
    }
}

/// Takes an order, whose signature is right.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Admit {
    /// The order's own.
    pub nonce: u64,
}

/// Whether an order is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Admitted {
    /// It has not come before.
    New,
    /// It has.
    Replayed,
}

/// The orders taken of late.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrdersCell {
    /// When each came, by its nonce.
    seen: BTreeMap<u64, Timestamp>,
    /// When those were last looked for that need not be known any more.
    swept: Timestamp,
}

impl OrdersCell {
    /// Takes an order, unless it has come before.
    pub fn admit(&mut self, now: Timestamp, Admit { nonce }: Admit) -> Admitted {
        if now.since(self.swept) >= SWEEP_EVERY || self.seen.len() >= MOST {
            self.seen.retain(|_, at| now.since(*at) <= KEPT);
            self.swept = now;
        }
        if self.seen.len() >= MOST {
            self.forget_oldest();
        }
        match self.seen.insert(nonce, now) {
            None => Admitted::New,
            Some(_) => Admitted::Replayed,
        }
    }

    /// Whoever could send so many has a key: one that came long before may come again then.
    fn forget_oldest(&mut self) {
        let mut times: Vec<_> = self.seen.values().copied().collect();
        let (_, median, _) = times.select_nth_unstable(MOST / 2);
        let median = *median;
        self.seen.retain(|_, at| *at > median);
    }
}

/// Into how many cells the orders of a cluster are split.
pub const SHARDS: u64 = 8;
/// A signature holds this long: its clock may be as far ahead as it may be behind.
const KEPT: Duration = Duration::from_secs(2 * WINDOW.as_secs());
const SWEEP_EVERY: Duration = Duration::from_secs(5);
/// Orders that a cell remembers at most, at nine bytes and more each.
const MOST: usize = 16_384;

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_millis(1_000_000 + 1_000 * seconds)
    }

    #[test]
    fn an_order_is_taken_once_as_long_as_its_signature_holds() {
        let mut cell = OrdersCell::default();
        assert_eq!(cell.admit(at(0), Admit { nonce: 7 }), Admitted::New);
        assert_eq!(cell.admit(at(0), Admit { nonce: 8 }), Admitted::New);
        assert_eq!(cell.admit(at(59), Admit { nonce: 7 }), Admitted::Replayed);
        assert_eq!(cell.admit(at(65), Admit { nonce: 9 }), Admitted::New);
        let kept: Vec<_> = cell.seen.keys().copied().collect();
        assert_eq!(kept, [7, 9], "8 is long past, 7 has come again");
    }

    #[test]
    fn a_flood_of_orders_takes_no_more_than_its_bound_and_the_latest_are_known() {
        let mut cell = OrdersCell::default();
        let most = MOST as u64;
        for nonce in 0..3 * most {
            let now = at(0) + Duration::from_micros(nonce);
            assert_eq!(cell.admit(now, Admit { nonce }), Admitted::New);
            assert!(cell.seen.len() <= MOST);
        }
        assert_eq!(cell.admit(at(1), Admit { nonce: 3 * most - 1 }), Admitted::Replayed);
    }

    #[test]
    fn the_parts_of_a_cluster_read_as_they_are_written() {
        let id = OrdersId::of(&"fra/large".into(), 13);
        assert_eq!(OrdersId::parse(&id.to_string()), Some(id));
        for wrong in ["", "fra", "fra/8", "/1", "fra/x"] {
            assert_eq!(OrdersId::parse(wrong), None, "{wrong}");
        }
    }
}
