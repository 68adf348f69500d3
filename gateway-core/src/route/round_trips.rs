//! Round trips to clusters, learned from how soon the heads of their answers come. An engine's head takes one round trip on
//! a kept connection and whatever the engine takes besides, so that the shortest of many is near the network's share.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::geo::Location;
use crate::ids::ClusterName;

/// What this process, isolate or instance has learned.
#[derive(Debug, Default)]
pub struct RoundTrips {
    clusters: BTreeMap<ClusterName, BTreeMap<String, Shortest>>,
    /// Heads in all.
    heads: u64,
}

/// The shortest heads of two windows: this one, and the one before it, so that a way that got longer is noticed.
#[derive(Clone, Copy, Debug, Default)]
struct Shortest {
    before: Option<Duration>,
    now: Option<Duration>,
    heads: u32,
    /// The number of the latest head, among those of all clusters and places.
    latest: u64,
}

impl RoundTrips {
    /// The head of an answer from that cluster has come to that location so long after its request went out.
    pub fn on_head(&mut self, cluster: &ClusterName, here: &Location, took: Duration) {
        self.heads += 1;
        let by_place = self.clusters.entry(cluster.clone()).or_default();
        let place = place(here);
        if by_place.len() >= MOST_PLACES && !by_place.contains_key(&place) {
            forget_oldest(by_place);
        }
        let shortest = by_place.entry(place).or_default();
        shortest.latest = self.heads;
        shortest.now = Some(shortest.now.map_or(took, |now| now.min(took)));
        shortest.heads += 1;
        if shortest.heads == WINDOW {
            *shortest = Shortest {
                before: shortest.now,
                latest: self.heads,
                ..Shortest::default()
            };
        }
    }

    /// The round trip to expect: what was learned, where enough was heard, else what the coordinates say. What was learned
    /// counts within a quarter of the latter and 100 ms more than it, since engines may keep a head back until
    /// they have read the prompt.
    pub fn expected(&self, cluster: &ClusterName, here: &Location, by_coordinates: Duration) -> Duration {
        let learned = self
            .clusters
            .get(cluster)
            .and_then(|by_place| by_place.get(&place(here)));
        let Some(learned) = learned.and_then(Shortest::learned) else {
            return by_coordinates;
        };
        learned.clamp(by_coordinates / 4, by_coordinates + ENGINE_TAKES)
    }
}

impl Shortest {
    fn learned(&self) -> Option<Duration> {
        let now = self.now.filter(|_| self.before.is_some() || self.heads >= ENOUGH);
        match (self.before, now) {
            (Some(before), Some(now)) => Some(before.min(now)),
            (before, now) => before.or(now),
        }
    }
}

/// The place makes room of which nothing has been heard for longest.
fn forget_oldest(by_place: &mut BTreeMap<String, Shortest>) {
    let oldest = by_place.iter().min_by_key(|(_, shortest)| shortest.latest);
    if let Some(oldest) = oldest.map(|(place, _)| place.clone()) {
        by_place.remove(&oldest);
    }
}

/// What tells places apart: the location's code, else its coordinates in whole degrees.
fn place(here: &Location) -> String {
    match here.coordinates {
        Some(there) if here.code.is_empty() => format!("{:.0},{:.0}", there.latitude, there.longitude),
        Some(_) | None => here.code.clone(),
    }
}

/// Heads in a window: what is learned is at most two windows old.
const WINDOW: u32 = 64;
/// Heads before anything is believed: one of them is likely to have met an idle engine on a kept connection.
const ENOUGH: u32 = 8;
/// Most that a network takes beyond what coordinates say: the worst of the pairs that docs/decisions/0002-round-trips.md is
/// fitted to takes 90 ms more. Beyond it an engine is slow, which is no matter of its place.
const ENGINE_TAKES: Duration = Duration::from_millis(100);
/// Places that are told apart for one cluster, in a process that serves several, the latest ones; a Worker's isolate is in
/// one.
const MOST_PLACES: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;

    const BY_COORDINATES: Duration = ms(80);

    const fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    fn at(code: &str) -> Location {
        Location {
            code: code.to_owned(),
            coordinates: None,
        }
    }

    fn after(heads: impl IntoIterator<Item = u64>) -> Duration {
        let mut round_trips = RoundTrips::default();
        for head in heads {
            round_trips.on_head(&"c".into(), &at("FRA"), ms(head));
        }
        assert_eq!(
            round_trips.expected(&"c".into(), &at("IAD"), BY_COORDINATES),
            BY_COORDINATES,
            "of another place nothing is known"
        );
        round_trips.expected(&"c".into(), &at("FRA"), BY_COORDINATES)
    }

    #[test]
    fn the_shortest_of_enough_heads_is_believed() {
        assert_eq!(after([50; 7]), BY_COORDINATES);
        assert_eq!(after([900, 130, 400, 131, 900, 150, 130, 700]), ms(130));
    }

    #[test]
    fn what_engines_take_is_not_taken_for_the_network() {
        assert_eq!(after([5_000; 20]), ms(180));
        assert_eq!(
            after([0; 20]),
            ms(20),
            "a clock that stands still, or a cache in between"
        );
    }

    #[test]
    fn a_way_that_got_longer_is_noticed_within_two_windows() {
        assert_eq!(after([vec![60; 64], vec![120; 63]].concat()), ms(60));
        assert_eq!(after([vec![60; 64], vec![120; 128]].concat()), ms(120));
    }

    #[test]
    fn places_are_bounded_and_those_without_a_code_are_told_apart() {
        let mut round_trips = RoundTrips::default();
        for longitude in 0..400 {
            let here = Location {
                code: String::new(),
                coordinates: Some(crate::geo::Coordinates {
                    latitude: 1.0,
                    longitude: f64::from(longitude) / 2.0,
                }),
            };
            for _ in 0..ENOUGH {
                round_trips.on_head(&"c".into(), &here, ms(30));
            }
            assert_eq!(round_trips.expected(&"c".into(), &here, BY_COORDINATES), ms(30));
        }
        for place in 0..400 {
            round_trips.on_head(&"c".into(), &at(&place.to_string()), ms(30));
        }
        assert!(round_trips.clusters[&ClusterName::from("c")].len() <= MOST_PLACES);
    }

    #[test]
    fn a_place_that_is_heard_of_stays_among_many_that_are_not() {
        let mut round_trips = RoundTrips::default();
        for place in 0..2_000 {
            round_trips.on_head(&"c".into(), &at("FRA"), ms(30));
            round_trips.on_head(&"c".into(), &at(&place.to_string()), ms(5));
        }
        let expected = |place: &str| round_trips.expected(&"c".into(), &at(place), BY_COORDINATES);
        assert_eq!(expected("FRA"), ms(30));
        for _ in 0..ENOUGH {
            round_trips.on_head(&"c".into(), &at("new"), ms(50));
        }
        assert_eq!(
            round_trips.expected(&"c".into(), &at("new"), BY_COORDINATES),
            ms(50),
            "also a late one is learned"
        );
    }
}
