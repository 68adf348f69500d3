//! Arranges tokens so that each is found by its hash at once (`table/vocabulary.rs` says how).

use std::collections::BTreeMap;

use super::error::CompileError;
use super::vocabulary::Entry;
use crate::tokens::table::{GroupSize, bucket, hash, slot};

/// A vocabulary as a table holds it.
#[derive(Debug)]
pub(super) struct Packed {
    /// By length of token, from 0.
    pub groups: Vec<GroupSize>,
    /// Pilots, records, ids' low halves, ids' high bytes.
    pub bytes: Vec<u8>,
}

/// Arranges `entries`.
///
/// # Errors
/// When no arrangement is found, which is as likely as a hash that repeats itself.
pub(super) fn pack(entries: &[Entry]) -> Result<Packed, CompileError> {
    let mut by_length: BTreeMap<usize, Vec<&Entry>> = BTreeMap::new();
    for entry in entries {
        by_length.entry(entry.bytes.len()).or_default().push(entry);
    }
    let longest = by_length.keys().next_back().copied().unwrap_or_default();
    let mut groups = vec![GroupSize::default(); longest + 1];
    let (mut pilots, mut records, mut low, mut high) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for (length, tokens) in by_length {
        let arranged = arrange(&tokens).ok_or(CompileError::Unarranged {
            tokens: tokens.len(),
            length,
        })?;
        groups[length] = arranged.size;
        pilots.extend(arranged.pilots);
        for token in arranged.slots {
            records.extend_from_slice(&token.bytes);
            let [first, second, third, _] = token.id.to_le_bytes();
            low.extend([first, second]);
            high.push(third);
        }
    }
    Ok(Packed {
        groups,
        bytes: [pilots, records, low, high].concat(),
    })
}

struct Arranged<'a> {
    size: GroupSize,
    pilots: Vec<u8>,
    slots: Vec<&'a Entry>,
}

/// Arranges tokens of one length, in more slots each time that it does not succeed.
fn arrange<'a>(tokens: &[&'a Entry]) -> Option<Arranged<'a>> {
    let count = u32::try_from(tokens.len()).ok()?;
    let buckets = count.div_ceil(TOKENS_PER_BUCKET);
    let tight = count + count / SPARE;
    (0..TRIES).find_map(|attempt| {
        let slots = tight.checked_add(attempt * count.div_ceil(SPARE))?;
        arrange_in(tokens, GroupSize { slots, buckets })
    })
}

fn arrange_in<'a>(tokens: &[&'a Entry], size: GroupSize) -> Option<Arranged<'a>> {
    let mut buckets = vec![Vec::new(); size.buckets as usize];
    for token in tokens {
        let hash = hash(&token.bytes, 0..token.bytes.len());
        buckets[bucket(hash, size.buckets) as usize].push((hash, *token));
    }
    let mut order: Vec<usize> = (0..buckets.len()).collect();
    order.sort_by_key(|index| std::cmp::Reverse(buckets[*index].len()));
    let mut pilots = vec![0; buckets.len()];
    let mut slots: Vec<Option<&Entry>> = vec![None; size.slots as usize];
    for index in order {
        let (pilot, taken) = (0..=u8::MAX).find_map(|pilot| {
            let taken: Vec<_> = buckets[index]
                .iter()
                .map(|(hash, _)| slot(*hash, pilot, size.slots) as usize)
                .collect();
            let is_free = |(at, slot): (usize, &usize)| slots[*slot].is_none() && !taken[..at].contains(slot);
            taken.iter().enumerate().all(is_free).then_some((pilot, taken))
        })?;
        pilots[index] = pilot;
        for (slot, (_, token)) in taken.into_iter().zip(&buckets[index]) {
            slots[slot] = Some(token);
        }
    }
    // A slot that stays free repeats a token that has another slot, and is never found by it.
    let filler = *tokens.first()?;
    let slots = slots.into_iter().map(|token| token.unwrap_or(filler)).collect();
    Some(Arranged { size, pilots, slots })
}

/// Fewer make pilots easier to find, and more of them.
const TOKENS_PER_BUCKET: u32 = 3;
/// One slot more for so many tokens.
const SPARE: u32 = 20;
/// How often more slots are tried.
const TRIES: u32 = 40;
