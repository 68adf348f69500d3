//! The `kv_cache`: a fixed number of blocks, shared by reference count, found again by prefix hash, and reused least
//! recently used first.
//!
//! As vLLM's block pool (`v1/core/block_pool.py`): a block that nobody holds stays findable until it is taken for
//! something else; freed blocks queue up in reverse order, so that a prefix is forgotten from its end.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, DefaultHasher};

use super::prefix::BlockHash;

/// One block, by its index in the pool.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct BlockId(u32);

/// All blocks of a replica.
#[derive(Debug)]
pub struct BlockPool {
    blocks: Vec<Block>,
    /// Never iterated; hashed with fixed keys, so that equal runs take equal time.
    cached: HashMap<BlockHash, BlockId, BuildHasherDefault<DefaultHasher>>,
    /// Ends of the queue of blocks that nobody holds: the head is taken first.
    head: Option<BlockId>,
    tail: Option<BlockId>,
    free: u32,
}

#[derive(Debug, Clone, Default)]
struct Block {
    hash: Option<BlockHash>,
    references: u32,
    previous: Option<BlockId>,
    next: Option<BlockId>,
}

impl BlockPool {
    /// A pool of `count` empty blocks.
    #[must_use]
    pub fn new(count: u32) -> Self {
        let mut pool = Self {
            blocks: vec![Block::default(); count as usize],
            cached: HashMap::default(),
            head: None,
            tail: None,
            free: 0,
        };
        for index in 0..count {
            pool.push_free(BlockId(index));
        }
        pool
    }

    /// How many blocks there are.
    #[must_use]
    pub fn total(&self) -> u32 {
        self.blocks.len() as u32
    }

    /// Blocks held by sequences.
    #[must_use]
    pub fn held(&self) -> u32 {
        self.total() - self.free
    }

    /// How many of these prefixes, from the first on without a gap, are cached.
    #[must_use]
    pub fn cached_prefix(&self, hashes: &[BlockHash]) -> usize {
        hashes.iter().take_while(|hash| self.cached.contains_key(hash)).count()
    }

    /// Holds the cached blocks `hits` and `fresh` more; nothing happens when there is no room.
    pub fn try_hold(&mut self, hits: &[BlockHash], fresh: u32) -> Option<Vec<BlockId>> {
        let found: Vec<BlockId> = hits.iter().map_while(|hash| self.cached.get(hash).copied()).collect();
        let idle_hits = found.iter().filter(|block| self.block(**block).references == 0).count() as u32;
        if self.free - idle_hits < fresh {
            return None;
        }
        for block in &found {
            if self.block(*block).references == 0 {
                self.unlink(*block);
            }
            self.block_mut(*block).references += 1;
        }
        let mut held = found;
        self.try_grow(&mut held, fresh).then_some(held)
    }

    /// Adds `fresh` blocks to what a sequence holds; false, and nothing happens, when there is no room.
    pub fn try_grow(&mut self, held: &mut Vec<BlockId>, fresh: u32) -> bool {
        if self.free < fresh {
            return false;
        }
        for _ in 0..fresh {
            let Some(block) = self.head else { return false };
            self.unlink(block);
            if let Some(hash) = self.block_mut(block).hash.take() {
                self.cached.remove(&hash);
            }
            self.block_mut(block).references = 1;
            held.push(block);
        }
        true
    }

    /// The block's tokens are computed: from now on its prefix is found. A prefix that is cached already stays where it is.
    pub fn on_computed(&mut self, block: BlockId, hash: BlockHash) {
        if self.block(block).hash.is_none() && !self.cached.contains_key(&hash) {
            self.cached.insert(hash, block);
            self.block_mut(block).hash = Some(hash);
        }
    }

    /// Gives back what a sequence held; `held` is in order of the sequence.
    pub fn release(&mut self, held: &[BlockId]) {
        for block in held.iter().rev() {
            let references = &mut self.block_mut(*block).references;
            *references -= 1;
            if *references == 0 {
                self.push_free(*block);
            }
        }
    }

    /// Panics unless the queue, the counts and the index agree; `held` is what all sequences hold, summed.
    pub fn check_invariants(&self, held: usize) {
        let references: usize = self.blocks.iter().map(|block| block.references as usize).sum();
        assert_eq!(references, held, "references and what sequences hold");
        let mut queued = 0;
        let mut cursor = self.head;
        while let Some(block) = cursor {
            assert_eq!(self.block(block).references, 0, "{block:?} is free and held");
            queued += 1;
            cursor = self.block(block).next;
        }
        assert_eq!(queued, self.free, "length of the queue");
        let idle = self.blocks.iter().filter(|block| block.references == 0).count();
        assert_eq!(idle, queued as usize, "blocks that nobody holds are all queued");
        let hashed = self
            .blocks
            .iter()
            .enumerate()
            .filter_map(|(index, block)| Some((index, block.hash?)));
        let mut named = 0;
        for (index, hash) in hashed {
            assert_eq!(
                self.cached.get(&hash),
                Some(&BlockId(index as u32)),
                "{hash:?} leads to its block"
            );
            named += 1;
        }
        assert_eq!(named, self.cached.len(), "every cached prefix has a block");
    }

    fn block(&self, id: BlockId) -> &Block {
        &self.blocks[id.0 as usize]
    }

    fn block_mut(&mut self, id: BlockId) -> &mut Block {
        &mut self.blocks[id.0 as usize]
    }

    fn push_free(&mut self, id: BlockId) {
        let previous = self.tail.replace(id);
        match previous {
            Some(tail) => self.block_mut(tail).next = Some(id),
            None => self.head = Some(id),
        }
        let block = self.block_mut(id);
        block.previous = previous;
        block.next = None;
        self.free += 1;
    }

    fn unlink(&mut self, id: BlockId) {
        let (previous, next) = (self.block(id).previous, self.block(id).next);
        match previous {
            Some(before) => self.block_mut(before).next = next,
            None => self.head = next,
        }
        match next {
            Some(after) => self.block_mut(after).previous = previous,
            None => self.tail = previous,
        }
        self.free -= 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hashes(range: std::ops::Range<u64>) -> Vec<BlockHash> {
        range.map(BlockHash).collect()
    }

    /// Holds and computes blocks for these prefixes, then lets them go.
    fn serve(pool: &mut BlockPool, prefixes: &[BlockHash]) {
        let hits = pool.cached_prefix(prefixes);
        let held = pool
            .try_hold(&prefixes[..hits], (prefixes.len() - hits) as u32)
            .unwrap();
        for (block, hash) in held.iter().zip(prefixes) {
            pool.on_computed(*block, *hash);
        }
        pool.check_invariants(held.len());
        pool.release(&held);
        pool.check_invariants(0);
    }

    #[test]
    fn a_prefix_is_found_until_its_blocks_are_needed_and_is_forgotten_from_its_end() {
        let mut pool = BlockPool::new(4);
        serve(&mut pool, &hashes(0..3));
        assert_eq!(pool.cached_prefix(&hashes(0..3)), 3);
        serve(&mut pool, &hashes(10..12));
        assert_eq!(pool.cached_prefix(&hashes(0..3)), 2);
        assert_eq!(pool.cached_prefix(&hashes(10..12)), 2);
    }

    #[test]
    fn what_was_used_last_is_forgotten_last() {
        let mut pool = BlockPool::new(4);
        serve(&mut pool, &hashes(0..2));
        serve(&mut pool, &hashes(10..12));
        serve(&mut pool, &hashes(0..2));
        serve(&mut pool, &hashes(20..22));
        assert_eq!(pool.cached_prefix(&hashes(0..2)), 2);
        assert_eq!(pool.cached_prefix(&hashes(10..12)), 0);
    }

    #[test]
    fn held_blocks_are_shared_and_never_taken() {
        let mut pool = BlockPool::new(4);
        serve(&mut pool, &hashes(0..2));
        let first = pool.try_hold(&hashes(0..2), 0).unwrap();
        let second = pool.try_hold(&hashes(0..2), 1).unwrap();
        assert_eq!(pool.held(), 3);
        assert_eq!(pool.try_hold(&[], 2), None);
        pool.check_invariants(first.len() + second.len());
        pool.release(&second);
        pool.release(&first);
        pool.check_invariants(0);
        assert_eq!(pool.held(), 0);
    }

    #[test]
    fn idle_hits_do_not_count_as_room_for_fresh_blocks() {
        let mut pool = BlockPool::new(3);
        serve(&mut pool, &hashes(0..2));
        assert_eq!(pool.try_hold(&hashes(0..2), 2), None);
        pool.check_invariants(0);
        assert!(pool.try_hold(&hashes(0..2), 1).is_some());
    }
}
