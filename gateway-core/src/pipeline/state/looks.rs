//! When the store is looked at for the configuration, and what becomes of requests meanwhile: from the moments of looks
//! and how they ended. It never looks itself.

use std::time::Duration;

use crate::config::Refresh;
use crate::time::Timestamp;

/// The looks at the store so far.
#[derive(Debug)]
pub(super) enum Looks {
    /// None has succeeded: the store may hold a configuration that nobody here knows.
    Unread {
        /// When the one that is under way began.
        began: Option<Timestamp>,
        /// When the last one failed.
        failed: Option<Timestamp>,
    },
    /// One has succeeded.
    Read {
        /// When the last one began, however it ended.
        looked: Timestamp,
    },
}

/// What a request has to do about the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::pipeline) enum Look {
    /// Nothing.
    NotNeeded,
    /// Look, behind its own back.
    Behind,
    /// Look before it is served.
    First,
    /// Ask again soon: another request looks, before it is served.
    Await,
    /// Be refused: the store could not be read, and is looked at again after so long.
    Refused(Duration),
}

impl Default for Looks {
    fn default() -> Self {
        Self::Unread {
            began: None,
            failed: None,
        }
    }
}

impl Looks {
    /// Whether a request need not do anything.
    pub fn are_fresh(&self, now: Timestamp, refresh: &Refresh) -> bool {
        match self {
            Self::Unread { .. } => false,
            Self::Read { looked } => now.since(*looked) < refresh.config,
        }
    }

    /// What a request that arrives now has to do. One that is told to look counts as looking from here on, so that it
    /// looks alone.
    pub fn next(&mut self, now: Timestamp, refresh: &Refresh) -> Look {
        if self.are_fresh(now, refresh) {
            return Look::NotNeeded;
        }
        match self {
            Self::Read { looked } => {
                *looked = now;
                Look::Behind
            }
            Self::Unread { began, failed } => {
                let look = first(now, began, *failed);
                if failed.is_some() && refresh.bundled_until_read {
                    look.without_waiting()
                } else {
                    look
                }
            }
        }
    }

    /// A look has ended: whether the store was read.
    pub fn on_looked(&mut self, now: Timestamp, was_read: bool) {
        *self = match self {
            Self::Unread { .. } if !was_read => Self::Unread {
                began: None,
                failed: Some(now),
            },
            Self::Unread { .. } | Self::Read { .. } => Self::Read { looked: now },
        };
    }
}

impl Look {
    /// The same for a request that is served whatever the store holds.
    fn without_waiting(self) -> Self {
        match self {
            Self::First | Self::Behind => Self::Behind,
            Self::NotNeeded | Self::Await | Self::Refused(_) => Self::NotNeeded,
        }
    }
}

/// What a request has to do where no look has succeeded.
fn first(now: Timestamp, began: &mut Option<Timestamp>, failed: Option<Timestamp>) -> Look {
    // Who looks may be gone: its client has left, or its isolate was ended. If not, it says in a moment how it went.
    if began.is_some_and(|began| now.since(began) < LOOKER_IS_GONE) {
        return Look::Await;
    }
    let pause = failed.map_or(Duration::ZERO, |failed| LOOK_AGAIN.saturating_sub(now.since(failed)));
    if !pause.is_zero() {
        return Look::Refused(pause);
    }
    *began = Some(now);
    Look::First
}

/// The longest that a look may take.
pub(in crate::pipeline) const LONGEST_LOOK: Duration = Duration::from_secs(2);
/// When whoever began a look has said how it went, or is gone.
pub(in crate::pipeline) const LOOKER_IS_GONE: Duration = Duration::from_millis(2_500);
/// Time between a first look that failed and the next.
pub(in crate::pipeline) const LOOK_AGAIN: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;

    const REFUSING: Refresh = Refresh {
        config: Duration::from_secs(20),
        bundled_until_read: false,
    };
    const BUNDLED: Refresh = Refresh {
        bundled_until_read: true,
        ..REFUSING
    };

    fn at(millis: u64) -> Timestamp {
        Timestamp::from_millis(1_000_000 + millis)
    }

    #[test]
    fn one_request_looks_first_and_the_others_wait_for_it() {
        let mut looks = Looks::default();
        assert_eq!(looks.next(at(0), &REFUSING), Look::First);
        assert_eq!(looks.next(at(0), &REFUSING), Look::Await);
        assert_eq!(looks.next(at(2_499), &REFUSING), Look::Await);
        assert_eq!(looks.next(at(2_500), &REFUSING), Look::First, "the one before is gone");
        looks.on_looked(at(2_510), true);
        assert_eq!(looks.next(at(2_510), &REFUSING), Look::NotNeeded);
    }

    #[test]
    fn who_waited_for_a_look_in_vain_does_not_look_again() {
        let mut looks = Looks::default();
        looks.next(at(0), &REFUSING);
        assert_eq!(looks.next(at(2_010), &REFUSING), Look::Await);
        looks.on_looked(at(2_020), false);
        assert_eq!(
            looks.next(at(2_030), &REFUSING),
            Look::Refused(Duration::from_millis(990))
        );
    }

    #[test]
    fn a_store_that_was_never_read_is_looked_at_once_a_second_and_nobody_is_served() {
        let mut looks = Looks::default();
        looks.next(at(0), &REFUSING);
        looks.on_looked(at(10), false);
        assert_eq!(
            looks.next(at(310), &REFUSING),
            Look::Refused(Duration::from_millis(700))
        );
        assert_eq!(looks.next(at(1_010), &REFUSING), Look::First);
        assert_eq!(looks.next(at(1_010), &REFUSING), Look::Await);
        looks.on_looked(at(1_020), true);
        assert_eq!(looks.next(at(1_020), &REFUSING), Look::NotNeeded);
    }

    #[test]
    fn with_the_bundled_configuration_the_first_look_alone_is_waited_for() {
        let mut looks = Looks::default();
        assert_eq!(looks.next(at(0), &BUNDLED), Look::First);
        assert_eq!(looks.next(at(0), &BUNDLED), Look::Await);
        looks.on_looked(at(10), false);
        assert_eq!(looks.next(at(310), &BUNDLED), Look::NotNeeded);
        assert_eq!(looks.next(at(1_010), &BUNDLED), Look::Behind);
        assert_eq!(looks.next(at(1_010), &BUNDLED), Look::NotNeeded);
    }

    #[test]
    fn a_store_that_was_read_once_is_looked_at_behind_requests_backs_however_it_does() {
        let mut looks = Looks::default();
        looks.next(at(0), &REFUSING);
        looks.on_looked(at(0), true);
        assert_eq!(looks.next(at(19_999), &REFUSING), Look::NotNeeded);
        assert_eq!(looks.next(at(20_000), &REFUSING), Look::Behind);
        assert_eq!(looks.next(at(20_000), &REFUSING), Look::NotNeeded);
        looks.on_looked(at(20_500), false);
        assert_eq!(looks.next(at(40_499), &REFUSING), Look::NotNeeded);
        assert_eq!(looks.next(at(40_500), &REFUSING), Look::Behind);
    }
}
