//! A time as records tell it.

use std::time::Duration;

use serde::{Serialize, Serializer};

/// A time, told in milliseconds to a tenth.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Millis(pub Duration);

impl Serialize for Millis {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let tenths = (self.0.as_micros() + 50) / 100;
        if tenths.is_multiple_of(10) {
            serializer.serialize_u64(u64::try_from(tenths / 10).unwrap_or(u64::MAX))
        } else {
            serializer.serialize_f64(tenths as f64 / 10.0)
        }
    }
}

impl From<Duration> for Millis {
    fn from(duration: Duration) -> Self {
        Self(duration)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_told_to_a_tenth_of_a_millisecond() {
        let told = |micros| serde_json::to_string(&Millis(Duration::from_micros(micros))).expect("a number");
        assert_eq!([told(0), told(12_340), told(3_000_049)], ["0", "12.3", "3000"]);
    }
}
