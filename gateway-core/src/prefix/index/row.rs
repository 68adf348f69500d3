//! A row of the index: where prompts that go by one key have been computed, and how far. Bytes <-> row; of bytes that are
//! no row of this version nothing is known.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::ReplicaId;
use crate::cluster::Boundary;
use crate::ids::{PrefixKey, Tokens};
use crate::time::Timestamp;

/// A row.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Row {
    /// At most [`Row::MOST_PLACES`], the latest first.
    pub(super) places: Vec<Place>,
}

/// A replica that has computed such a prompt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// Which.
    pub replica: ReplicaId,
    /// When: whole seconds since the Unix epoch, by the wall clock of who wrote it.
    pub(super) at: u64,
    /// Short names of the prompt's boundaries, the shortest first.
    pub(super) boundaries: Vec<ShortKey>,
}

/// The lower half of a prefix's key. Of two prompts one takes another's boundary for its own once in four million times.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct ShortKey(u32);

impl From<PrefixKey> for ShortKey {
    fn from(key: PrefixKey) -> Self {
        Self(key.0 as u32)
    }
}

impl Place {
    /// The replica has computed a prompt of that outline, now.
    pub fn new(replica: ReplicaId, outline: &[Boundary], wall: Timestamp) -> Self {
        let last = outline.len().saturating_sub(Row::MOST_BOUNDARIES);
        Self {
            replica,
            at: wall.as_secs(),
            boundaries: outline[last..].iter().map(|boundary| boundary.key.into()).collect(),
        }
    }

    /// How much of another prompt, with those boundaries, it has in common with this one: the deepest that both have.
    pub(super) fn shared(&self, boundaries: &[Boundary]) -> Tokens {
        let mut deepest_first = boundaries.iter().rev();
        let found = deepest_first.find(|boundary| self.boundaries.contains(&boundary.key.into()));
        found.map_or(Tokens(0), |boundary| boundary.tokens)
    }

    /// How long ago it was. What lies ahead is now, by another clock.
    pub(super) fn age(&self, wall: Timestamp) -> Duration {
        Duration::from_secs(wall.as_secs().saturating_sub(self.at))
    }
}

impl Row {
    /// The row that a value of the store is. Values are as old as they may be, and of any version.
    pub fn parse(value: &[u8]) -> Option<Self> {
        let body = value.strip_prefix(&[VERSION])?;
        let row: Self = postcard::from_bytes(body.get(..MOST_BYTES.min(body.len()))?).ok()?;
        let is_sound = row.places.len() <= Self::MOST_PLACES
            && row
                .places
                .iter()
                .all(|place| place.boundaries.len() <= Self::MOST_BOUNDARIES);
        is_sound.then_some(row)
    }

    /// The value for the store; `None` of a row that cannot be written.
    pub fn encode(&self) -> Option<Vec<u8>> {
        let body = postcard::to_allocvec(self).ok()?;
        Some([&[VERSION], &body[..]].concat())
    }

    /// The row of what was computed at that one place.
    pub fn of_place(place: Place) -> Self {
        let places = vec![place];
        Self { places }
    }

    /// The replica that computed such a prompt last, where it is not older than `ttl`.
    pub fn latest(&self, wall: Timestamp, ttl: Duration) -> Option<ReplicaId> {
        self.live(wall, ttl).next().map(|place| place.replica)
    }

    /// The places that are not older than `ttl`, the latest first.
    pub(super) fn live(&self, wall: Timestamp, ttl: Duration) -> impl Iterator<Item = &Place> {
        self.places.iter().filter(move |place| place.age(wall) < ttl)
    }

    /// How much of a prompt with those boundaries should be warm at that replica, and whether the row names it.
    pub fn warm_at(
        &self,
        replica: ReplicaId,
        boundaries: &[Boundary],
        wall: Timestamp,
        ttl: Duration,
    ) -> Option<Tokens> {
        let place = self.live(wall, ttl).find(|place| place.replica == replica)?;
        Some(place.shared(boundaries))
    }

    /// How long ago that replica computed such a prompt, where the row names it.
    pub fn age(&self, replica: ReplicaId, wall: Timestamp) -> Option<Duration> {
        let place = self.places.iter().find(|place| place.replica == replica)?;
        Some(place.age(wall))
    }

    /// Whether it tells anything that is not too old.
    pub fn is_live(&self, wall: Timestamp, ttl: Duration) -> bool {
        self.live(wall, ttl).next().is_some()
    }

    /// So many replicas are told at most.
    pub const MOST_PLACES: usize = 4;
    /// So many boundaries of each.
    pub const MOST_BOUNDARIES: usize = 16;
}

/// What a row of this version begins with.
const VERSION: u8 = 1;
/// More than the largest row has, which are 4 places of 91 bytes.
const MOST_BYTES: usize = 512;

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;

    use super::*;

    pub const TTL: Duration = Duration::from_secs(3_600);

    pub fn at(secs: u64) -> Timestamp {
        Timestamp::from_millis((1_800_000_000 + secs) * 1_000)
    }

    pub fn id(number: u64) -> ReplicaId {
        ReplicaId::of(&"c".into(), &number.to_string().as_str().into())
    }

    /// Boundaries of those keys, each 1,000 tokens behind the one before.
    pub fn boundaries(keys: &[u64]) -> Vec<Boundary> {
        let boundary = |(index, key): (usize, &u64)| Boundary {
            key: PrefixKey(*key),
            tokens: Tokens(1_000 * (index as u64 + 1)),
        };
        keys.iter().enumerate().map(boundary).collect()
    }

    #[test]
    fn a_row_tells_how_deep_a_prompt_shares_what_was_computed() {
        let row = Row {
            places: vec![
                Place::new(id(1), &boundaries(&[1, 2, 3]), at(0)),
                Place::new(id(2), &boundaries(&[1, 7]), at(0)),
            ],
        };
        let read = Row::parse(&row.encode().unwrap()).unwrap();
        assert_eq!(read, row);
        let of = |replica, keys: &[u64], secs| read.warm_at(id(replica), &boundaries(keys), at(secs), TTL);
        assert_eq!(of(1, &[1, 2, 3, 4], 0), Some(Tokens(3_000)));
        assert_eq!(of(1, &[1, 7, 8], 0), Some(Tokens(1_000)));
        assert_eq!(of(2, &[1, 7, 8], 0), Some(Tokens(2_000)));
        assert_eq!(of(2, &[9], 0), Some(Tokens(0)));
        assert_eq!(of(3, &[1], 0), None);
        assert_eq!(of(1, &[1], 3_599), Some(Tokens(1_000)));
        assert_eq!(of(1, &[1], 3_600), None, "it is too old");
        // Never more than the prompt is, whatever was computed.
        assert_eq!(of(1, &[3], 0), Some(Tokens(1_000)));
    }

    #[test]
    fn the_largest_row_fits() {
        let most: Vec<u64> = (0..40).map(|key| u64::MAX - key).collect();
        let place = Place {
            at: u64::MAX,
            ..Place::new(id(1), &boundaries(&most), at(0))
        };
        let row = Row {
            places: vec![place; Row::MOST_PLACES],
        };
        let value = row.encode().unwrap();
        assert!(value.len() <= MOST_BYTES, "{}", value.len());
        assert_eq!(Row::parse(&value), Some(row));
    }

    #[test]
    fn rows_of_other_versions_and_too_many_places_tell_nothing() {
        let row = |places| Row {
            places: vec![Place::new(id(1), &boundaries(&[1]), at(0)); places],
        };
        let mut value = row(1).encode().unwrap();
        value[0] += 1;
        assert_eq!(Row::parse(&value), None);
        assert_eq!(Row::parse(&row(5).encode().unwrap()), None);
        assert_eq!(Row::parse(b""), None);
    }

    proptest! {
        #[test]
        fn garbage_tells_nothing_or_a_row(mut value in prop::collection::vec(any::<u8>(), 0..600), is_version in any::<bool>()) {
            if is_version && !value.is_empty() {
                value[0] = VERSION;
            }
            if let Some(row) = Row::parse(&value) {
                prop_assert!(row.places.len() <= Row::MOST_PLACES);
                let prompt = boundaries(&[1, 2, 3]);
                for place in &row.places {
                    prop_assert!(place.shared(&prompt) <= Tokens(3_000));
                }
            }
        }
    }
}
