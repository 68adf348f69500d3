//! Requests of one key that are under way here: the first asks an engine, the others wait for its answer, and one of them
//! asks where that does not come. It is data alone: who waits looks again and again, for on some runtimes no request may
//! wake another.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::{CacheKey, Entry};
use crate::time::Timestamp;

/// The requests under way, by their keys.
#[derive(Debug, Default)]
pub struct Flights {
    flights: BTreeMap<CacheKey, Flight>,
    last_ticket: u64,
}

#[derive(Debug)]
struct Flight {
    leader: Ticket,
    since: Timestamp,
    has_followers: bool,
    state: State,
}

#[derive(Debug)]
enum State {
    /// Its leader asks an engine.
    Under,
    /// Its leader has gone: whoever looks next asks.
    Left,
    /// The answer is here.
    Landed(Arc<Entry>),
    /// Its answer is none for others.
    Unfit,
}

/// What tells the leaders of a flight apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ticket(u64);

/// What a request has to do that begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Joined {
    /// Ask, and tell how it ends.
    Leads(Ticket),
    /// Look, until there is something to see.
    Follows,
    /// Ask for itself: too much is under way.
    Alone,
}

/// What a request that follows sees.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Seen {
    /// Nothing yet.
    Nothing,
    /// The answer.
    Landed(Arc<Entry>),
    /// That it has to ask now, and to tell how it ends.
    Leads(Ticket),
    /// That it has to ask for itself.
    Alone,
}

/// How a leader's asking ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ending {
    /// With an answer.
    Landed(Arc<Entry>),
    /// Without: its client has left.
    Left,
    /// With an answer that is for itself alone: too large, cut off, flagged, another model's, or none.
    Unfit,
}

impl Flights {
    /// A request of that key begins.
    pub fn join(&mut self, now: Timestamp, key: CacheKey) -> Joined {
        self.flights.retain(|_, flight| match flight.state {
            State::Under => now.since(flight.since) < LONGEST,
            State::Left | State::Landed(_) | State::Unfit => now.since(flight.since) < SEEN_FOR,
        });
        if let Some(flight) = self.flights.get_mut(&key) {
            match flight.state {
                State::Under => {
                    flight.has_followers = true;
                    return Joined::Follows;
                }
                State::Unfit => return Joined::Alone,
                State::Left | State::Landed(_) => {}
            }
        } else if self.flights.len() >= MOST {
            return Joined::Alone;
        }
        Joined::Leads(self.lead(now, key))
    }

    /// A request that follows looks.
    pub fn look(&mut self, now: Timestamp, key: CacheKey) -> Seen {
        match self.flights.get(&key) {
            None => Seen::Alone,
            Some(flight) => match &flight.state {
                State::Under if now.since(flight.since) < LONGEST => Seen::Nothing,
                State::Landed(entry) => Seen::Landed(Arc::clone(entry)),
                State::Unfit => Seen::Alone,
                State::Under | State::Left => {
                    let ticket = self.lead(now, key);
                    if let Some(flight) = self.flights.get_mut(&key) {
                        flight.has_followers = true;
                    }
                    Seen::Leads(ticket)
                }
            },
        }
    }

    /// The leader of that ticket is done. What another has taken over is that one's.
    pub fn end(&mut self, now: Timestamp, (key, ticket): (CacheKey, Ticket), ending: Ending) {
        let Some(flight) = self.flights.get_mut(&key).filter(|flight| flight.leader == ticket) else {
            return;
        };
        if !flight.has_followers {
            self.flights.remove(&key);
            return;
        }
        flight.since = now;
        flight.state = match ending {
            Ending::Landed(entry) => State::Landed(entry),
            Ending::Left => State::Left,
            Ending::Unfit => State::Unfit,
        };
    }

    fn lead(&mut self, now: Timestamp, key: CacheKey) -> Ticket {
        self.last_ticket += 1;
        let leader = Ticket(self.last_ticket);
        let flight = Flight {
            leader,
            since: now,
            has_followers: false,
            state: State::Under,
        };
        self.flights.insert(key, flight);
        leader
    }
}

/// Flights under way here at once.
const MOST: usize = 4_096;
/// How long followers find what has become of a flight: many times as long as they take to look.
const SEEN_FOR: Duration = Duration::from_secs(2);
/// Whoever leads for longer is gone without having been able to say so, as when an isolate is ended, or answers so slowly
/// that nobody should wait for it.
const LONGEST: Duration = Duration::from_secs(600);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::Usage;

    fn key(number: u64) -> CacheKey {
        CacheKey::parse(&format!("{number:064x}")).unwrap()
    }

    fn at(millis: u64) -> Timestamp {
        Timestamp::from_millis(1_000_000 + millis)
    }

    fn leads(joined: Joined) -> Ticket {
        if let Joined::Leads(ticket) = joined {
            return ticket;
        }
        panic!("{joined:?}")
    }

    #[test]
    fn the_first_asks_and_the_others_get_its_answer() {
        let mut flights = Flights::default();
        let entry = Arc::new(Entry {
            began: at(0),
            stored: at(0),
            usage: Usage::default(),
            body: "{}".into(),
        });
        let ticket = leads(flights.join(at(0), key(1)));
        assert_eq!(flights.join(at(1), key(1)), Joined::Follows);
        leads(flights.join(at(1), key(2)));
        assert_eq!(flights.look(at(2), key(1)), Seen::Nothing);
        flights.end(at(3), (key(1), ticket), Ending::Landed(Arc::clone(&entry)));
        assert_eq!(flights.look(at(4), key(1)), Seen::Landed(Arc::clone(&entry)));
        assert_eq!(flights.look(at(5), key(1)), Seen::Landed(entry), "all of them see it");
        leads(flights.join(at(6), key(1)));
    }

    #[test]
    fn one_follower_takes_over_and_what_the_one_before_says_then_does_not_count() {
        let mut flights = Flights::default();
        let first = leads(flights.join(at(0), key(1)));
        flights.join(at(0), key(1));
        flights.join(at(0), key(1));
        flights.end(at(1), (key(1), first), Ending::Left);
        let Seen::Leads(second) = flights.look(at(2), key(1)) else {
            panic!("nobody takes over")
        };
        assert_eq!(flights.look(at(2), key(1)), Seen::Nothing, "the other one waits for it");
        flights.end(at(3), (key(1), first), Ending::Unfit);
        assert_eq!(flights.look(at(3), key(1)), Seen::Nothing);
        flights.end(at(4), (key(1), second), Ending::Unfit);
        assert_eq!(flights.look(at(4), key(1)), Seen::Alone);
        assert_eq!(flights.join(at(5), key(1)), Joined::Alone);
    }

    #[test]
    fn nothing_is_kept_that_nobody_waits_for() {
        let mut flights = Flights::default();
        let alone = leads(flights.join(at(0), key(1)));
        flights.end(at(1), (key(1), alone), Ending::Left);
        assert!(flights.flights.is_empty());
        let gone = leads(flights.join(at(0), key(1)));
        flights.join(at(0), key(1));
        assert!(
            matches!(flights.look(at(600_000), key(1)), Seen::Leads(ticket) if ticket != gone),
            "it never said a word"
        );
        for number in 0..2 * MOST as u64 {
            flights.join(at(0), key(number));
        }
        assert!(flights.flights.len() <= MOST);
    }
}
