//! The list of merges, which a table does without: whether their order is that of ids, and which tokens they make.

use std::collections::BTreeMap;

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
}

impl Merges {
    /// Reads the list.
    ///
    /// # Errors
    /// When a merge makes no token, or not in the order of ids.
    pub fn read(model: &Model, tokens: &Tokens) -> Result<Self, CompileError> {
        let mut list = BTreeMap::new();
        let mut greatest = 0;
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
            list.entry((first, second)).or_insert((rank, made));
        }
        let bytes = std::array::from_fn(|byte| {
            let byte = u8::try_from(byte).unwrap_or_default();
            tokens.get(&[byte][..]).copied().unwrap_or_default()
        });
        Ok(Self { bytes, list })
    }

    /// Whether merging `bytes` by the list makes the one token `id` of them.
    pub fn make(&self, bytes: &[u8], id: u32) -> bool {
        let mut parts: Vec<u32> = bytes.iter().map(|byte| self.bytes[usize::from(*byte)]).collect();
        while parts.len() > 1 {
            let merges = parts.windows(2).enumerate();
            let possible = merges.filter_map(|(at, pair)| Some((self.list.get(&(pair[0], pair[1]))?, at)));
            let Some(((_, made), at)) = possible.min() else {
                return false;
            };
            parts[at] = *made;
            parts.remove(at + 1);
        }
        parts == [id]
    }
}
