//! What the cell of a key is told and replies. Times are told as durations: clocks differ.

use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A command to the cell of a key.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FlightCommand {
    /// A request begins, follows on, or goes on leading.
    Join(JoinFlight),
    /// A request that may have led is done.
    End(EndFlight),
    /// The answer that has landed is not to be given any more.
    Forget(ForgetFlight),
}

/// What the cell of a key replies.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FlightReply {
    /// What the request has to do that joins.
    Joined(FlightStanding),
    /// It is done.
    Done,
}

/// What tells the requests of a flight apart, drawn at random.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AskerId(pub u64);

/// Asks what to do. Who leads asks again before its time is over, and so leads on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JoinFlight {
    /// Who.
    pub asker: AskerId,
    /// For how long it leads, where it does, unless it is heard of again.
    pub ttl: Duration,
}

/// Tells how a leader's asking has ended. Of anybody else it says only that it has gone.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EndFlight {
    /// Who.
    pub asker: AskerId,
    /// How.
    pub ending: FlightEnding,
}

/// Has the answer forgotten that has landed: it was purged, or is past its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ForgetFlight;

/// What a request has to do that joins.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FlightStanding {
    /// Ask an engine, and tell how it ends.
    Leads,
    /// Join again, before long.
    Follows {
        /// When it is to be asked again at the latest: the leader's time is over then.
        again_in: Duration,
    },
    /// Give that answer.
    Landed(EntryBytes),
    /// Look into the store: the answer is too large for here.
    Stored,
    /// Ask an engine for itself: the answer is none for others.
    Alone,
}

/// How a leader's asking ends.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FlightEnding {
    /// With an answer.
    Landed(EntryBytes),
    /// With one that is too large for here, and that is written to the store.
    TooLarge,
    /// With an answer that is for itself alone.
    Unfit,
    /// Without: its client has left, or nothing has answered.
    Left,
}

/// An answer as [`Entry::encode`](crate::cache::Entry::encode) writes it: hexadecimal in text, and as it is elsewhere.
#[derive(Clone, PartialEq, Eq)]
pub struct EntryBytes(pub Bytes);

impl EntryBytes {
    /// The most bytes that a cell keeps of an answer.
    pub const MOST: usize = 64 << 10;
}

/// Its length: what it holds is an answer.
impl fmt::Debug for EntryBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes", self.0.len())
    }
}

impl Serialize for EntryBytes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if !serializer.is_human_readable() {
            return serializer.serialize_bytes(&self.0);
        }
        let digit = |half: u8| char::from(DIGITS[usize::from(half)]);
        let digits = self.0.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]);
        serializer.serialize_str(&digits.collect::<String>())
    }
}

impl<'de> Deserialize<'de> for EntryBytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if !deserializer.is_human_readable() {
            return Vec::deserialize(deserializer).map(|bytes| Self(bytes.into()));
        }
        let digits = String::deserialize(deserializer)?;
        let half = |digit: u8| char::from(digit).to_digit(16);
        let bytes = digits.as_bytes().chunks(2).map(|pair| match pair {
            [high, low] => u8::try_from(half(*high)? << 4 | half(*low)?).ok(),
            _ => None,
        });
        let bytes: Option<Vec<u8>> = bytes.collect();
        let bytes = bytes.ok_or_else(|| D::Error::custom("no hexadecimal digits"))?;
        Ok(Self(bytes.into()))
    }
}

const DIGITS: &[u8; 16] = b"0123456789abcdef";
