//! The list of merges, which a table does without: whether their order is that of ids, and which tokens they make.

use std::collections::{BTreeMap, BTreeSet};

use super::error::CompileError;
use super::vocabulary::Tokens;
use super::written::Model;

/// Merges as a tokenizer lists them.
#[derive(Debug)]
pub(super) struct Merges {
    /// Ids of single bytes.
    bytes: [u32; 256],
    /// Rank and result by the two ids that are merged.
    list: BTreeMap<(u32, u32), (usize, u32)>,
    /// Tokens that are merged to one of a lesser id than their own.
    early: BTreeSet<u32>,
}

impl Merges {
    /// Reads the list.
    ///
    /// # Errors
    /// When a merge makes no token, or not in the order of ids.
    pub fn read(model: &Model, tokens: &Tokens) -> Result<Self, CompileError> {
        let mut list = BTreeMap::new();
        let bytes = std::array::from_fn(|byte| {
            let byte = u8::try_from(byte).unwrap_or_default();
            tokens.get(&[byte][..]).copied().unwrap_or_default()
        });
        let (mut greatest, mut early) = (0, BTreeSet::new());
        for (rank, merge) in model.merges.iter().enumerate() {
            let (left, right) = merge.parts().unwrap_or_default();
            let id = |written: &str| model.vocab.get(written).copied();
            let made = [left, right].concat();
            let (Some(first), Some(second), Some(made)) = (id(left), id(right), id(&made)) else {
                return Err(CompileError::StrayMerge {
                    left: left.to_owned(),
                    right: right.to_owned(),
                });
            };
            if made < greatest {
                return Err(CompileError::MergeOrder {
                    id: made,
                    before: greatest,
                });
            }
            greatest = made;
            early.extend([first, second].into_iter().filter(|part| *part >= made));
            list.entry((first, second)).or_insert((rank, made));
        }
        Ok(Self { bytes, list, early })
    }

    /// Whether merging `bytes` by the list makes the one token `id` of them.
    pub fn make(&self, bytes: &[u8], id: u32) -> bool {
        self.steps(bytes).1 == [id]
    }

    /// The merges that the list does within `bytes`, in order, and the tokens that are left.
    pub fn steps(&self, bytes: &[u8]) -> (Vec<Step>, Vec<u32>) {
        let mut steps = Vec::new();
        let mut parts: Vec<u32> = bytes.iter().map(|byte| self.bytes[usize::from(*byte)]).collect();
        let mut starts: Vec<usize> = (0..bytes.len()).collect();
        while parts.len() > 1 {
            let merges = parts.windows(2).enumerate();
            let possible = merges.filter_map(|(at, pair)| Some((self.list.get(&(pair[0], pair[1]))?, at)));
            let Some(((_, made), at)) = possible.min() else {
                break;
            };
            steps.push(Step {
                made: *made,
                first_end: starts[1],
                last_start: starts[starts.len() - 1],
            });
            parts[at] = *made;
            parts.remove(at + 1);
            starts.remove(at + 1);
        }
        (steps, parts)
    }

    /// Whether the list ever merges this token to one of a lesser id.
    pub fn merges_early(&self, id: u32) -> bool {
        self.early.contains(&id)
    }
}

/// One merge among some bytes, and what stands at their borders until it is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Step {
    /// The token that it makes.
    pub made: u32,
    /// Where the first part ends.
    pub first_end: usize,
    /// Where the last part starts.
    pub last_start: usize,
}
