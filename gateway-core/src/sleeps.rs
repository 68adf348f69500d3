//! Sleeps that share one timer of the runtime, for adapters where each timer has its price: a request sleeps many times
//! over, as a bound of what it does, and hardly ever to the end.

use std::collections::BTreeMap;
use std::task::{Poll, Waker};

/// Those who sleep, by the moment, of the clock `T`, at which they are to be woken.
#[derive(Debug)]
pub struct Sleeps<T> {
    waiting: BTreeMap<Place<T>, Waker>,
    begun: u64,
}

/// Where somebody sleeps: when the sleep ends, and its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place<T> {
    due: T,
    number: u64,
}

impl<T> Default for Sleeps<T> {
    fn default() -> Self {
        Self {
            waiting: BTreeMap::new(),
            begun: 0,
        }
    }
}

impl<T: Copy + Ord> Sleeps<T> {
    /// Begins a sleep to `due`.
    pub fn begin(&mut self, due: T, waker: Waker) -> Place<T> {
        self.begun += 1;
        let place = Place {
            due,
            number: self.begun,
        };
        self.waiting.insert(place, waker);
        place
    }

    /// Whether the sleep is over; if not, `waker` is who is to be woken.
    pub fn poll(&mut self, place: Place<T>, waker: &Waker) -> Poll<()> {
        match self.waiting.get_mut(&place) {
            Some(waiting) => {
                waiting.clone_from(waker);
                Poll::Pending
            }
            None => Poll::Ready(()),
        }
    }

    /// Ends a sleep that nobody waits for any more.
    pub fn forget(&mut self, place: Place<T>) {
        self.waiting.remove(&place);
    }

    /// When the first of them is to be woken.
    pub fn earliest(&self) -> Option<T> {
        self.waiting.first_key_value().map(|(place, _)| place.due)
    }

    /// Wakes those who slept to `now` or to a moment before.
    pub fn wake_until(&mut self, now: T) {
        while let Some(first) = self.waiting.first_entry() {
            if first.key().due > now {
                break;
            }
            first.remove().wake();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn those_who_are_due_are_woken_and_others_sleep_on() {
        let mut sleeps = Sleeps::default();
        assert_eq!(sleeps.earliest(), None);
        let places = [5, 3, 7, 5].map(|due| sleeps.begin(due, Waker::noop().clone()));
        assert_eq!(sleeps.earliest(), Some(3));
        sleeps.wake_until(5);
        let over = places.map(|place| sleeps.poll(place, Waker::noop()).is_ready());
        assert_eq!(over, [true, true, false, true]);
        assert_eq!(sleeps.earliest(), Some(7));
        sleeps.forget(places[2]);
        assert_eq!(sleeps.earliest(), None);
    }
}
