//! The vocabulary inside a table: every token's bytes and id, found by hash, read where they lie.
//!
//! Tokens stand in groups by length, so that a group's records have one size and need no offsets. In a group a token
//! stands in the slot that a hash-and-displace function gives it (Pibiri and Trani, "PTHash", 2021): its hash chooses
//! a bucket, the bucket's pilot, a byte, chooses the slot. To look a piece up takes one pilot, one record, and one
//! comparison. A slot that no token fell into repeats a token of another slot, which no lookup can find there.

use std::ops::Range;

use serde::{Deserialize, Serialize};

use super::hash::{bucket, hash, hash_word, slot, word, words};

/// How many slots and buckets the tokens of one length take.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq, Serialize)]
pub(crate) struct GroupSize {
    pub slots: u32,
    pub buckets: u32,
}

/// Where the tokens of one length stand.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Group {
    size: GroupSize,
    first_slot: usize,
    first_pilot: usize,
    first_record: usize,
}

/// How long the parts of a vocabulary are, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Extent {
    slots: usize,
    pilots: usize,
    records: usize,
}

impl Extent {
    /// Lays out groups, of which the one at index n holds tokens of n bytes. [`None`] when they are too large for any
    /// file.
    pub fn of(sizes: &[GroupSize]) -> Option<(Self, Vec<Group>)> {
        let mut extent = Self::default();
        let mut groups = Vec::with_capacity(sizes.len());
        for (length, size) in sizes.iter().enumerate() {
            groups.push(Group {
                size: *size,
                first_slot: extent.slots,
                first_pilot: extent.pilots,
                first_record: extent.records,
            });
            let slots = usize::try_from(size.slots).ok()?;
            extent.slots = extent.slots.checked_add(slots)?;
            extent.pilots = extent.pilots.checked_add(usize::try_from(size.buckets).ok()?)?;
            extent.records = extent.records.checked_add(slots.checked_mul(length)?)?;
        }
        Some((extent, groups))
    }

    /// Bytes of all parts together.
    pub fn bytes(self) -> Option<usize> {
        let ids = self.slots.checked_mul(LOW_BYTES + HIGH_BYTES)?;
        ids.checked_add(self.pilots)?.checked_add(self.records)
    }
}

/// A vocabulary, borrowed from its table.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Vocabulary<'a> {
    groups: &'a [Group],
    pilots: &'a [u8],
    records: &'a [u8],
    ids_low: &'a [u8],
    ids_high: &'a [u8],
}

/// Where a token stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Slot(usize);

/// What merges make of some bytes, in 24 bits: an id with its marks, [`UNMERGED`] when they make no token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Merged(u32);

impl Merged {
    /// No token.
    pub const NONE: Self = Self(Self::MASK);
    const MASK: u32 = 0x00ff_ffff;

    /// What [`Self::bits`] were of.
    pub fn from_bits(bits: u32) -> Self {
        Self(bits & Self::MASK)
    }

    /// As a number below 2^24.
    pub fn bits(self) -> u32 {
        self.0
    }

    /// The token's id, which is the merge's rank as well.
    pub fn rank(self) -> Option<u32> {
        (self.0 & u32::from(UNMERGED) << 16 == 0).then_some(self.0 & MAX_ID)
    }

    /// Whether it is a character that comes together before anything else happens to its bytes. `inside`: neither the
    /// byte before it nor the one behind it is ASCII.
    pub fn is_whole(self, inside: bool) -> bool {
        let mark = if inside { INSIDE } else { WHOLE };
        self.0 & u32::from(UNMERGED | mark) << 16 == u32::from(mark) << 16
    }
}

impl<'a> Vocabulary<'a> {
    /// Reads the parts, which stand one behind the other in `bytes`: pilots, records, ids' low halves, ids' high
    /// bytes. [`None`] when they are not as long as `extent` says.
    pub(super) fn split(bytes: &'a [u8], extent: Extent, groups: &'a [Group]) -> Option<Self> {
        let (pilots, rest) = bytes.split_at_checked(extent.pilots)?;
        let (records, rest) = rest.split_at_checked(extent.records)?;
        let (ids_low, rest) = rest.split_at_checked(extent.slots.checked_mul(LOW_BYTES)?)?;
        let (ids_high, _) = rest.split_at_checked(extent.slots)?;
        Some(Self {
            groups,
            pilots,
            records,
            ids_low,
            ids_high,
        })
    }

    /// Where the token stands that is exactly this piece of `text`.
    #[inline]
    pub fn find(&self, text: &[u8], piece: Range<usize>) -> Option<Slot> {
        let length = piece.end - piece.start;
        let group = self.groups.get(length)?;
        // Nearly all pieces are one word.
        if length <= 8 && length > 0 {
            let piece = word(text, piece.start, length);
            let index = self.index(group, hash_word(piece))?;
            let record = group.first_record + index * length;
            return (word(self.records, record, length) == piece).then_some(Slot(group.first_slot + index));
        }
        self.find_long(text, piece, group)
    }

    /// Reads where [`Self::find`] will look, and nothing of it matters: it is in the nearest memory then.
    #[inline]
    pub fn touch(&self, text: &[u8], piece: Range<usize>) -> u8 {
        let length = piece.end - piece.start;
        let Some(group) = self.groups.get(length) else { return 0 };
        let index = self.index(group, hash(text, piece)).unwrap_or_default();
        self.records
            .get(group.first_record + index * length)
            .copied()
            .unwrap_or_default()
    }

    fn find_long(&self, text: &[u8], piece: Range<usize>, group: &Group) -> Option<Slot> {
        let index = self.index(group, hash(text, piece.clone()))?;
        let record = group.first_record + index * piece.len();
        let mut words = words(0..piece.len());
        let is_same =
            words.all(|(at, length)| word(self.records, record + at, length) == word(text, piece.start + at, length));
        is_same.then_some(Slot(group.first_slot + index))
    }

    /// Where in its group a token with this hash stands, if it is one. [`None`] in an empty group.
    #[inline]
    fn index(&self, group: &Group, hash: u64) -> Option<usize> {
        let pilot = group.first_pilot + bucket(hash, group.size.buckets) as usize;
        let pilot = *self.pilots.get(pilot).filter(|_| group.size.slots > 0)?;
        Some(slot(hash, pilot, group.size.slots) as usize)
    }

    /// The token's id.
    #[inline]
    pub fn id(&self, slot: Slot) -> u32 {
        self.low(slot) | u32::from(self.high(slot) & !MARKS) << 16
    }

    /// All tokens with their ids, in no order that means anything; some stand there twice.
    pub fn tokens(self) -> impl Iterator<Item = (&'a [u8], u32)> {
        self.groups.iter().enumerate().flat_map(move |(length, group)| {
            (0..group.size.slots as usize).filter_map(move |index| {
                let token = self.records.get(group.first_record + index * length..)?.get(..length)?;
                Some((token, self.id(Slot(group.first_slot + index))))
            })
        })
    }

    /// The token that merges make of exactly this piece of `text`.
    #[inline]
    pub fn merged(&self, text: &[u8], piece: Range<usize>) -> Merged {
        match self.find(text, piece) {
            Some(slot) => Merged(self.low(slot) | u32::from(self.high(slot)) << 16),
            None => Merged::NONE,
        }
    }

    #[inline]
    fn low(&self, slot: Slot) -> u32 {
        let bytes = self.ids_low.get(slot.0 * LOW_BYTES..).and_then(<[u8]>::first_chunk);
        u32::from(bytes.map_or(0, |bytes| u16::from_le_bytes(*bytes)))
    }

    #[inline]
    fn high(&self, slot: Slot) -> u8 {
        self.ids_high.get(slot.0).copied().unwrap_or_default()
    }
}

/// Bytes of an id in the part of the low halves. Split in two, ids compress to three quarters.
pub(crate) const LOW_BYTES: usize = 2;
/// Bytes of an id in the part of the high bytes.
pub(crate) const HIGH_BYTES: usize = 1;
/// In an id's high byte: the token is found as a whole piece only, merges never make it.
pub(crate) const UNMERGED: u8 = 0x80;
/// In an id's high byte: the token is one character, and wherever it stands, merges make it of its bytes before they
/// join any of them to others.
pub(crate) const WHOLE: u8 = 0x40;
/// In an id's high byte: the same, but only where the bytes beside it are not ASCII.
pub(crate) const INSIDE: u8 = 0x20;
/// What in an id's high byte is not of the id.
const MARKS: u8 = UNMERGED | WHOLE | INSIDE;
/// The largest id that a table can hold.
pub(crate) const MAX_ID: u32 = 0x001f_ffff;
