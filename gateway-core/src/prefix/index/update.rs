//! Whether a row is written after a request, and what it says then: from what the row said before, and who served.

use std::time::Duration;

use super::row::{Place, Row};
use crate::cluster::Boundary;
use crate::ids::Tokens;
use crate::time::Timestamp;

/// How a request was served.
#[derive(Debug)]
pub struct Served<'a> {
    /// Where, and what was computed there.
    pub place: Place,
    /// All boundaries of its prompt.
    pub boundaries: &'a [Boundary],
    /// Whether that is where its key alone leads.
    pub is_first_choice: bool,
    /// Whether the conversation has come back, or its client names it, so that more of it is to be expected.
    pub is_return: bool,
    /// Whether its engine had much less of it than was expected.
    pub is_missed: bool,
}

/// The row to write, where `known` does not say what it should. Only exceptions have one: a prompt that was served where
/// its key leads needs none, unless there is one that leads elsewhere; and most prompts never come back, while the cluster's
/// cell remembers the latest of them.
pub fn updated(known: Option<&Row>, served: Served<'_>, wall: Timestamp, ttl: Duration) -> Option<Row> {
    let live: Vec<&Place> = known.into_iter().flat_map(|row| row.live(wall, ttl)).collect();
    let latest = live.first().filter(|latest| latest.replica == served.place.replica);
    let is_said = match latest {
        // It may expire, since its replica is found without it.
        Some(_) if served.is_first_choice => true,
        Some(latest) => {
            let prompt = served.boundaries.last().map_or(Tokens(0), |last| last.tokens);
            let is_deep = latest.shared(served.boundaries).0 >= prompt.0 / DEEP_SHARE;
            !served.is_missed && is_deep && latest.age(wall) < ttl / 4 * 3
        }
        None => live.is_empty() && (served.is_first_choice || !served.is_return),
    };
    if is_said {
        return None;
    }
    let replica = served.place.replica;
    let others = live.into_iter().filter(|place| place.replica != replica).cloned();
    let places = std::iter::once(served.place).chain(others).take(Row::MOST_PLACES);
    Some(Row {
        places: places.collect(),
    })
}

/// A row is deep enough where it tells of a half of the prompt: one that grows is written anew each time that it has
/// doubled.
const DEEP_SHARE: u64 = 2;

#[cfg(test)]
mod tests {
    use super::super::row::tests::{TTL, at, boundaries, id};
    use super::*;

    fn row(places: &[(u64, &[u64], u64)]) -> Row {
        let place = |(replica, keys, secs): &(u64, &[u64], u64)| Place::new(id(*replica), &boundaries(keys), at(*secs));
        Row {
            places: places.iter().map(place).collect(),
        }
    }

    /// What is written after a prompt with those boundaries was served by a replica at that second.
    fn after(
        known: Option<&Row>,
        replica: u64,
        keys: &[u64],
        secs: u64,
        (is_first_choice, is_return, is_missed): (bool, bool, bool),
    ) -> Option<Row> {
        let boundaries = boundaries(keys);
        let served = Served {
            place: Place::new(id(replica), &boundaries, at(secs)),
            boundaries: &boundaries,
            is_first_choice,
            is_return,
            is_missed,
        };
        updated(known, served, at(secs), TTL)
    }

    const FIRST: (bool, bool, bool) = (true, true, false);
    const ELSEWHERE: (bool, bool, bool) = (false, true, false);
    const ONCE: (bool, bool, bool) = (false, false, false);
    const MISSED: (bool, bool, bool) = (false, true, true);

    #[test]
    fn only_exceptions_are_written_and_once() {
        assert_eq!(after(None, 1, &[1], 0, FIRST), None);
        let exception = row(&[(2, &[1], 0)]);
        assert_eq!(after(None, 2, &[1], 0, ONCE), None, "most never come back");
        assert_eq!(after(None, 2, &[1], 0, ELSEWHERE), Some(exception.clone()));
        let moved = row(&[(1, &[1], 9), (2, &[1], 0)]);
        assert_eq!(
            after(Some(&exception), 1, &[1], 9, ONCE),
            Some(moved),
            "it leads elsewhere"
        );
        assert_eq!(after(Some(&exception), 2, &[1], 9, ELSEWHERE), None);
        assert_eq!(after(Some(&exception), 2, &[1, 2], 9, ELSEWHERE), None);
        assert_eq!(
            after(Some(&exception), 2, &[1, 2, 3, 4], 9, ELSEWHERE),
            Some(row(&[(2, &[1, 2, 3, 4], 9)])),
            "most of the prompt is not in it"
        );
    }

    #[test]
    fn a_row_that_leads_elsewhere_is_put_right() {
        let exception = row(&[(2, &[1], 0)]);
        let right = row(&[(1, &[1], 9), (2, &[1], 0)]);
        assert_eq!(after(Some(&exception), 1, &[1], 9, FIRST), Some(right.clone()));
        assert_eq!(after(Some(&right), 1, &[1, 2, 3], 10, FIRST), None);
        assert_eq!(
            after(Some(&exception), 1, &[1], 3_600, FIRST),
            None,
            "it is too old to lead anywhere"
        );
    }

    #[test]
    fn what_is_about_to_expire_or_proved_wrong_is_written_anew() {
        let exception = row(&[(2, &[1], 0)]);
        let renewed = |secs| Some(row(&[(2, &[1], secs)]));
        assert_eq!(after(Some(&exception), 2, &[1], 2_699, ELSEWHERE), None);
        assert_eq!(after(Some(&exception), 2, &[1], 2_700, ELSEWHERE), renewed(2_700));
        assert_eq!(after(Some(&exception), 2, &[1], 9, MISSED), renewed(9));
    }

    #[test]
    fn the_latest_places_stay() {
        let full = row(&[(4, &[1], 4), (3, &[1], 3), (2, &[1], 2), (1, &[1], 1)]);
        let expected = row(&[(5, &[1], 9), (4, &[1], 4), (3, &[1], 3), (2, &[1], 2)]);
        assert_eq!(after(Some(&full), 5, &[1], 9, ELSEWHERE), Some(expected));
        let expected = row(&[(2, &[1], 9), (4, &[1], 4), (3, &[1], 3), (1, &[1], 1)]);
        assert_eq!(after(Some(&full), 2, &[1], 9, ELSEWHERE), Some(expected));
    }
}
