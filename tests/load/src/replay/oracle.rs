//! A router that no router can be: it replays what every engine's prefix cache holds, block by block, with the cache's
//! size and its order of forgetting, and knows at once what is queued where.
//!
//! It chooses the replica with the least (queued uncached tokens + this prompt's uncached tokens); of equals the one with
//! the fewest requests. It is not the optimum: it looks neither ahead nor at decoding. What it reaches says what there is
//! to be had with the caches as they are.

use std::collections::{BTreeMap, HashMap};

/// A part of a prompt, named by all that is before it too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Block {
    /// The prefix that ends with it.
    pub prefix: u64,
    /// Its own tokens.
    pub tokens: u32,
}

/// What the oracle knows.
#[derive(Debug)]
pub struct Oracle {
    replicas: Vec<Replica>,
}

#[derive(Debug)]
struct Replica {
    room: u64,
    held: u64,
    clock: u64,
    blocks: HashMap<u64, Held>,
    /// Blocks by their last use, the oldest first.
    order: BTreeMap<u64, u64>,
    /// Uncached tokens that were sent and are not prefilled.
    queued: u64,
    running: u32,
}

#[derive(Clone, Copy, Debug)]
struct Held {
    used: u64,
    tokens: u32,
}

/// A request on its way.
#[derive(Clone, Copy, Debug)]
pub struct Sent {
    /// The replica that was chosen.
    pub replica: usize,
    uncached: u64,
}

impl Oracle {
    /// So many replicas with room for `tokens` each, all empty.
    pub fn new(replicas: usize, tokens: u64) -> Self {
        let empty = || Replica {
            room: tokens,
            held: 0,
            clock: 0,
            blocks: HashMap::new(),
            order: BTreeMap::new(),
            queued: 0,
            running: 0,
        };
        Self {
            replicas: std::iter::repeat_with(empty).take(replicas).collect(),
        }
    }

    /// Chooses, and counts the request as sent.
    pub fn choose(&mut self, prompt: &[Block]) -> Sent {
        let all: u64 = prompt.iter().map(|block| u64::from(block.tokens)).sum();
        let costs = self.replicas.iter().map(|replica| {
            let uncached = all - replica.cached(prompt);
            (replica.queued + uncached, replica.running, uncached)
        });
        let best = costs
            .enumerate()
            .min_by_key(|(_, (cost, running, _))| (*cost, *running));
        let (replica, uncached) = best.map_or((0, all), |(replica, (_, _, uncached))| (replica, uncached));
        let chosen = &mut self.replicas[replica];
        chosen.queued += uncached;
        chosen.running += 1;
        chosen.keep(prompt);
        Sent { replica, uncached }
    }

    /// The first event is there: nothing of the prompt is queued any more.
    pub fn on_prefilled(&mut self, sent: Sent) {
        self.replicas[sent.replica].queued -= sent.uncached;
    }

    /// The answer is over.
    pub fn on_end(&mut self, sent: Sent) {
        self.replicas[sent.replica].running -= 1;
    }
}

impl Replica {
    /// Tokens of the prompt that are held.
    fn cached(&self, prompt: &[Block]) -> u64 {
        let held = prompt
            .iter()
            .take_while(|block| self.blocks.contains_key(&block.prefix));
        held.map(|block| u64::from(block.tokens)).sum()
    }

    /// The prompt was used now: its end is forgotten before its beginning, and what was used longest ago first of all.
    fn keep(&mut self, prompt: &[Block]) {
        for block in prompt.iter().rev() {
            self.clock += 1;
            let held = Held {
                used: self.clock,
                tokens: block.tokens,
            };
            match self.blocks.insert(block.prefix, held) {
                Some(before) => drop(self.order.remove(&before.used)),
                None => self.held += u64::from(block.tokens),
            }
            self.order.insert(self.clock, block.prefix);
        }
        while self.held > self.room
            && let Some((_, oldest)) = self.order.pop_first()
        {
            let tokens = self.blocks.remove(&oldest).map_or(0, |held| held.tokens);
            self.held -= u64::from(tokens);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prompt(prefixes: &[u64]) -> Vec<Block> {
        prefixes
            .iter()
            .map(|prefix| Block {
                prefix: *prefix,
                tokens: 10,
            })
            .collect()
    }

    #[test]
    fn a_warm_replica_is_chosen_until_its_queue_costs_more() {
        let mut oracle = Oracle::new(2, 1_000);
        let first = oracle.choose(&prompt(&[1, 2, 3]));
        assert_eq!((first.replica, first.uncached), (0, 30));
        // Warm and 30 queued there, or cold and nothing queued: 30 + 10 against 40, and fewer run on the other.
        assert_eq!(oracle.choose(&prompt(&[1, 2, 3, 4])).replica, 1);
        oracle.on_prefilled(first);
        let warm = oracle.choose(&prompt(&[1, 2, 3, 5]));
        assert_eq!((warm.replica, warm.uncached), (0, 10));
    }

    #[test]
    fn what_was_used_longest_ago_is_forgotten_from_its_end() {
        let mut oracle = Oracle::new(1, 50);
        oracle.choose(&prompt(&[1, 2, 3]));
        oracle.choose(&prompt(&[7, 8, 9]));
        let replica = &oracle.replicas[0];
        assert_eq!(replica.cached(&prompt(&[1, 2, 3])), 20);
        assert_eq!(replica.cached(&prompt(&[7, 8, 9])), 30);
        assert_eq!(replica.held, 50);
    }

    #[test]
    fn requests_under_way_decide_between_equals() {
        let mut oracle = Oracle::new(2, 1_000);
        let sent = oracle.choose(&prompt(&[1]));
        oracle.on_prefilled(sent);
        assert_eq!(oracle.choose(&prompt(&[5])).replica, 1);
        oracle.on_end(sent);
        assert_eq!(oracle.choose(&prompt(&[6])).replica, 0);
    }
}
