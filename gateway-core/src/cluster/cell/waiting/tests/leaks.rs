//! Holders die, messages get lost and come twice. Whatever happens, nothing leaks, the bounds hold, and nobody is granted what
//! there is no room for. In debug builds every command checks the invariants of the cell.

use super::*;

/// Small numbers that follow from a seed.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }

    fn index(&mut self, bound: usize) -> usize {
        usize::try_from(self.below(bound as u64)).unwrap()
    }
}

/// A cluster, and those who want something of it.
struct Traffic {
    random: Random,
    cluster: Cluster,
    asked: Vec<Ask>,
    running: Vec<u64>,
}

impl Traffic {
    fn somebody_asks(&mut self, number: u64) {
        let random = &mut self.random;
        let (tenant, priority) = (random.below(4), u8::try_from(random.below(3)).unwrap());
        self.asked.push(Ask {
            tenant,
            session: tenant * 10 + random.below(3),
            priority,
            prompt: [50, 500, 1_500, 6_000][random.index(4)],
            patience_ms: random.below(20_000),
            headroom_percent: [0, 25, 50][usize::from(priority)],
            ..ask((number << 12) + random.below(1 << 12))
        });
    }

    /// In whatever order; some replies are lost.
    fn somebody_asks_again(&mut self) {
        let index = self.random.index(self.asked.len());
        self.asked[index].waited_ms += 1;
        let asking = self.asked[index];
        let was_lost = self.random.below(20) == 0;
        match self.cluster.say(asking) {
            Said::Queued => {}
            Said::Granted if was_lost => {}
            Said::Granted => {
                self.running.push(asking.permit);
                self.asked.swap_remove(index);
            }
            Said::Refused(_) => drop(self.asked.swap_remove(index)),
        }
    }

    /// Some say so twice.
    fn somebody_ends(&mut self) {
        let index = self.random.index(self.running.len());
        let permit = self.running.swap_remove(index);
        let has_failed = self.random.below(50) == 0;
        let outcome = if has_failed { Outcome::Failed } else { Outcome::Served };
        for _ in 0..=self.random.below(2) {
            self.cluster
                .tell(vec![Release::of_all(PermitId(permit), None, outcome)]);
        }
    }

    /// Or dies without a word.
    fn somebody_leaves(&mut self) {
        let index = self.random.index(self.asked.len());
        let left = self.asked.swap_remove(index);
        if self.random.below(3) > 0 {
            self.cluster.release(left.permit);
        }
    }

    /// Some of those who run renew their permits, and some die.
    fn somebody_renews(&mut self) {
        let held = self.running.iter().take(3).map(|permit| HeldPermit {
            permit: PermitId(*permit),
            replica: "http://a".into(),
            capacity: Capacity::of_one(Tokens(1)),
        });
        let held = held.collect();
        if self.random.below(10) == 0 {
            self.running.pop();
        }
        if self.random.below(4) == 0 {
            let renew = Renew { held, ttl: TTL };
            let now = at(self.cluster.now);
            self.cluster.cell.apply(now, ClusterCommand::Renew(renew));
        }
    }
}

#[test]
fn nothing_leaks_in_a_million_operations() {
    let mut cluster = Cluster::new(3, 4);
    cluster.kv_tokens = 4_000;
    cluster.bounds = QueueBounds {
        requests: 24,
        bytes: 20_000,
    };
    let mut traffic = Traffic {
        random: Random(0x9e37_79b9_7f4a_7c15),
        cluster,
        asked: Vec::new(),
        running: Vec::new(),
    };
    for number in 0..1_000_000_u64 {
        traffic.cluster.now += traffic.random.below(40);
        match traffic.random.below(10) {
            0..3 => traffic.somebody_asks(number),
            3..6 if !traffic.asked.is_empty() => traffic.somebody_asks_again(),
            6..8 if !traffic.running.is_empty() => traffic.somebody_ends(),
            8 if !traffic.asked.is_empty() => traffic.somebody_leaves(),
            _ => traffic.somebody_renews(),
        }
        let status = traffic.cluster.status();
        assert!(status.requests <= 24 && status.bytes <= 20_000, "{status:?}");
        assert_eq!(traffic.cluster.cell.check_invariants(), Ok(()), "{number}");
    }
    let cluster = &mut traffic.cluster;
    cluster.now += 31_000;
    assert_eq!(cluster.status().requests, 0);
    let ClusterReply::Status(replicas) = cluster.cell.apply(at(cluster.now), ClusterCommand::Status) else {
        panic!("another reply")
    };
    assert!(replicas.iter().all(|replica| replica.running == 0), "{replicas:?}");
    assert!(cluster.cell.queue.evicted().next().is_none());
}
