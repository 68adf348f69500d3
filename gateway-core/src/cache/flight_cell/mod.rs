//! The cell of one key, which locations share: one of them asks an engine, and the others wait for its answer. Who leads does
//! so for a time, which ends by itself where its process does. The answer stays until the store shows it everywhere. A cell
//! knows nothing that has to outlast it: where it begins anew, the next request leads.

mod message;

use std::time::Duration;

use serde::{Deserialize, Serialize};

pub use message::{
    AskerId, EndFlight, EntryBytes, FlightCommand, FlightEnding, FlightReply, FlightStanding, ForgetFlight, JoinFlight,
};

use crate::time::Timestamp;

/// The state of the cell of one key.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct FlightCell(State);

/// Each but the first ends at its moment.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum State {
    /// Who joins leads.
    #[default]
    Idle,
    /// Likewise, but for this one: what it said last may come before what it said first.
    Left { asker: AskerId, until: Timestamp },
    /// An engine is asked.
    Under { leader: AskerId, until: Timestamp },
    /// The answer is here.
    Landed { entry: EntryBytes, until: Timestamp },
    /// There is an answer, and none here: in the store, or for its own client alone.
    Elsewhere { is_stored: bool, until: Timestamp },
}

impl FlightCell {
    /// Runs one command.
    pub fn apply(&mut self, now: Timestamp, command: FlightCommand) -> FlightReply {
        self.pass_time(now);
        let reply = match command {
            FlightCommand::Join(join) => FlightReply::Joined(self.join(now, join)),
            FlightCommand::End(end) => {
                self.end(now, end);
                FlightReply::Done
            }
            FlightCommand::Forget(ForgetFlight) => {
                if let State::Landed { .. } | State::Elsewhere { .. } = self.0 {
                    self.0 = State::Idle;
                }
                FlightReply::Done
            }
        };
        debug_assert_eq!(self.check_invariants(now), Ok(()));
        reply
    }

    /// Whether it is as if it had never been: nobody leads, and nothing has landed.
    pub fn is_over(&self, now: Timestamp) -> bool {
        self.0.until().is_none_or(|(until, _)| until <= now)
    }

    /// What must hold after every command.
    ///
    /// # Errors
    /// What is broken.
    pub fn check_invariants(&self, now: Timestamp) -> Result<(), String> {
        if let Some((until, longest)) = self.0.until()
            && (until <= now || until > now + longest)
        {
            return Err(format!("{:?} at {now:?}", self.0));
        }
        match &self.0 {
            State::Landed { entry, .. } if entry.0.len() > EntryBytes::MOST => Err(format!("{entry:?}")),
            State::Idle | State::Left { .. } | State::Under { .. } | State::Landed { .. } | State::Elsewhere { .. } => {
                Ok(())
            }
        }
    }

    /// What is past its time is over, and nothing goes on for longer than it may, whatever a record says.
    fn pass_time(&mut self, now: Timestamp) {
        let is_within = |(until, longest): (Timestamp, Duration)| now < until && until <= now + longest;
        if !self.0.until().is_none_or(is_within) {
            self.0 = State::Idle;
        }
    }

    fn join(&mut self, now: Timestamp, JoinFlight { asker, ttl }: JoinFlight) -> FlightStanding {
        match &self.0 {
            State::Left { asker: gone, .. } if *gone == asker => FlightStanding::Alone,
            State::Under { leader, until } if *leader != asker => FlightStanding::Follows {
                again_in: until.since(now),
            },
            State::Landed { entry, .. } => FlightStanding::Landed(entry.clone()),
            State::Elsewhere { is_stored: true, .. } => FlightStanding::Stored,
            State::Elsewhere { is_stored: false, .. } => FlightStanding::Alone,
            State::Idle | State::Left { .. } | State::Under { .. } => {
                let until = now + ttl.clamp(SHORTEST_LEAD, LONGEST_LEAD);
                self.0 = State::Under { leader: asker, until };
                FlightStanding::Leads
            }
        }
    }

    /// What one says that does not lead is nothing to the others.
    fn end(&mut self, now: Timestamp, EndFlight { asker, ending }: EndFlight) {
        let leads = match &self.0 {
            State::Under { leader, .. } => *leader == asker,
            State::Idle => false,
            State::Left { .. } | State::Landed { .. } | State::Elsewhere { .. } => return,
        };
        let elsewhere = |is_stored| State::Elsewhere {
            is_stored,
            until: now + SEEN_FOR,
        };
        self.0 = match ending {
            FlightEnding::Landed(entry) if leads && entry.0.len() <= EntryBytes::MOST => State::Landed {
                entry,
                until: now + LANDED_FOR,
            },
            FlightEnding::Landed(_) | FlightEnding::TooLarge if leads => elsewhere(true),
            FlightEnding::Unfit if leads => elsewhere(false),
            FlightEnding::Left if leads || self.0 == State::Idle => State::Left {
                asker,
                until: now + SEEN_FOR,
            },
            FlightEnding::Landed(_) | FlightEnding::TooLarge | FlightEnding::Unfit | FlightEnding::Left => return,
        };
    }
}

impl State {
    /// When it is over, and how far that may lie ahead.
    fn until(&self) -> Option<(Timestamp, Duration)> {
        match self {
            Self::Idle => None,
            Self::Under { until, .. } => Some((*until, LONGEST_LEAD)),
            Self::Landed { until, .. } => Some((*until, LANDED_FOR)),
            Self::Left { until, .. } | Self::Elsewhere { until, .. } => Some((*until, SEEN_FOR)),
        }
    }
}

/// The bounds of how long somebody leads that is not heard of again.
const SHORTEST_LEAD: Duration = Duration::from_millis(10);
const LONGEST_LEAD: Duration = Duration::from_secs(600);
/// How long an answer stays: Workers KV takes a minute, and sometimes more, to show what was written.
const LANDED_FOR: Duration = Duration::from_secs(90);
/// How long followers find what has become of a flight otherwise: several times as long as they take to look.
const SEEN_FOR: Duration = Duration::from_secs(2);

#[cfg(test)]
mod tests;
