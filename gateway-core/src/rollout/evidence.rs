//! What requests have met at a version: how many there were, in which ways the version failed them, and how long their
//! first tokens took, by how much of their prompts there was to compute.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::ids::Tokens;

/// What is known of a version since the weights last changed, or what is told of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Evidence {
    /// Requests that came to an answer or to a fault; those that their clients left, or had made wrong, are none.
    pub requests: u64,
    /// How many of them the version has failed, each counted once.
    faults: Vec<(FaultKind, u64)>,
    /// When the first tokens of streams came, in order of classes and buckets.
    first_tokens: Vec<Bucket>,
}

/// In which way a version fails a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FaultKind {
    /// It answers with an error, or too late, or not at all.
    Error,
    /// All of its replicas are out.
    Out,
    /// Its answer is not one.
    Malformed,
    /// Its answer breaks off.
    Broken,
    /// It says that the request is wrong, or not for it. Clients' mistakes are as many at each version, by the hash of their
    /// conversations; what one alone does not take is its own doing.
    Refused,
    /// A detector takes its answer for one of no use.
    Semantic,
}

impl FaultKind {
    /// One word for metrics and operators.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Out => "out",
            Self::Malformed => "malformed",
            Self::Broken => "broken",
            Self::Refused => "refused",
            Self::Semantic => "semantic",
        }
    }
}

/// How much of a prompt there is to compute, in classes: requests are compared within one, so that a version that gets
/// longer prompts than others does not look slow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PromptClass(u8);

impl PromptClass {
    /// Of a prompt with so many tokens that are in no cache, as far as that is foreseen.
    pub fn of(uncached: Tokens) -> Self {
        let class = BOUNDS.iter().take_while(|bound| uncached.0 >= **bound).count();
        Self(u8::try_from(class).unwrap_or(u8::MAX))
    }

    /// The least tokens of the class, and the first that are more, where it has a bound.
    pub fn bounds(self) -> (u64, Option<u64>) {
        let index = usize::from(self.0);
        let least = index.checked_sub(1).and_then(|below| BOUNDS.get(below));
        (least.copied().unwrap_or_default(), BOUNDS.get(index).copied())
    }

    /// All of them.
    pub fn all() -> impl Iterator<Item = Self> {
        (0..=BOUNDS.len()).map(|class| Self(u8::try_from(class).unwrap_or(u8::MAX)))
    }

    /// How many there are.
    pub const COUNT: usize = BOUNDS.len() + 1;
}

/// Of 10,000 tokens in a second a replica computes these in 50 ms, 400 ms and 3 s: below the first it is the step of the
/// batch that counts.
const BOUNDS: [u64; 3] = [512, 4_096, 32_768];

/// The time to a first token, as the bucket that it falls into.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TimeToFirst(u8);

impl TimeToFirst {
    /// Each bucket is a twelfth longer than the one before, which is eight in an octave, from a millisecond on.
    pub const PER_OCTAVE: f64 = 8.0;

    /// The bucket of a time.
    pub fn of(time: Duration) -> Self {
        let octaves = (time.as_secs_f64() * 1e3).max(1.0).log2();
        // 255 buckets reach to a month.
        Self((octaves * Self::PER_OCTAVE).ceil().min(f64::from(u8::MAX)) as u8)
    }

    /// The longest time that falls into it.
    pub fn bound(self) -> Duration {
        Duration::from_secs_f64((f64::from(self.0) / Self::PER_OCTAVE).exp2() / 1e3)
    }

    /// The bucket before, where there is one.
    pub fn before(self) -> Option<Self> {
        self.0.checked_sub(1).map(Self)
    }

    /// How many buckets lie between this one and an earlier one; negative where it is the earlier one itself.
    pub fn buckets_beyond(self, other: Self) -> i32 {
        i32::from(self.0) - i32::from(other.0)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Bucket {
    class: PromptClass,
    time: TimeToFirst,
    count: u64,
}

impl Evidence {
    /// A request came to an end, maybe by a fault, and had its first token before.
    pub fn on_request(&mut self, fault: Option<FaultKind>, first_token: Option<(PromptClass, Duration)>) {
        self.requests += 1;
        if let Some(kind) = fault {
            self.add_faults(kind, 1);
        }
        if let Some((class, time)) = first_token {
            self.add_first_tokens(class, TimeToFirst::of(time), 1);
        }
    }

    /// Others have seen that, too.
    pub fn add(&mut self, other: &Self) {
        self.requests = self.requests.saturating_add(other.requests);
        other
            .faults
            .iter()
            .for_each(|(kind, count)| self.add_faults(*kind, *count));
        for Bucket { class, time, count } in &other.first_tokens {
            self.add_first_tokens(*class, *time, *count);
        }
    }

    fn add_faults(&mut self, kind: FaultKind, count: u64) {
        match self.faults.binary_search_by_key(&kind, |(known, _)| *known) {
            Ok(index) => self.faults[index].1 = self.faults[index].1.saturating_add(count),
            Err(index) => self.faults.insert(index, (kind, count)),
        }
    }

    fn add_first_tokens(&mut self, class: PromptClass, time: TimeToFirst, count: u64) {
        let place = |bucket: &Bucket| (bucket.class, bucket.time);
        match self.first_tokens.binary_search_by_key(&(class, time), place) {
            Ok(index) => self.first_tokens[index].count = self.first_tokens[index].count.saturating_add(count),
            Err(index) => self.first_tokens.insert(index, Bucket { class, time, count }),
        }
    }

    /// Whether it says nothing.
    pub fn is_empty(&self) -> bool {
        self.requests == 0
    }

    /// How many requests failed, in whichever way; never more than there were.
    pub fn failed(&self) -> u64 {
        let failed = self.faults.iter().map(|(_, count)| count).sum::<u64>();
        failed.min(self.requests)
    }

    /// How many failed in each way.
    pub fn faults(&self) -> impl Iterator<Item = (FaultKind, u64)> {
        self.faults.iter().copied()
    }

    /// How many first tokens of a class came, and how many by the end of each bucket, ascending.
    pub(super) fn first_tokens(&self, class: PromptClass) -> (u64, Vec<(TimeToFirst, u64)>) {
        let mut sum = 0_u64;
        let of_class = self.first_tokens.iter().filter(|bucket| bucket.class == class);
        let by = of_class.map(|Bucket { time, count, .. }| {
            sum = sum.saturating_add(*count);
            (*time, sum)
        });
        let by = by.collect();
        (sum, by)
    }

    /// The median of the times to the first token of a class, to a bucket; `None` where there was none.
    pub fn median(&self, class: PromptClass) -> Option<Duration> {
        let (all, by) = self.first_tokens(class);
        let (median, _) = by.into_iter().find(|(_, count)| count.saturating_mul(2) >= all)?;
        Some(median.bound())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_several_saw_is_what_one_would_have_seen() {
        let class = PromptClass::of(Tokens(600));
        let mut all = Evidence::default();
        let mut parts = [Evidence::default(), Evidence::default()];
        for request in 0..100_u64 {
            let fault = (request % 7 == 0).then_some(FaultKind::Error);
            let first = Some((class, Duration::from_millis(1 + request * request)));
            all.on_request(fault, first);
            parts[usize::from(request % 3 == 0)].on_request(fault, first);
        }
        let mut sum = Evidence::default();
        parts.iter().for_each(|part| sum.add(part));
        assert_eq!(sum, all);
        assert_eq!((all.requests, all.failed()), (100, 15));
        assert_eq!(all.median(PromptClass::of(Tokens(0))), None);
        let median = all.median(class).expect("some").as_secs_f64();
        assert!((2.4..2.4 * 1.1).contains(&median), "{median}");
    }

    #[test]
    fn times_fall_into_the_bucket_that_bounds_them() {
        for micros in [0, 1, 1_000, 1_001, 2_000, 77_777, 60_000_000, u64::MAX / 2] {
            let time = Duration::from_micros(micros);
            let bucket = TimeToFirst::of(time);
            let is_last = bucket == TimeToFirst(u8::MAX);
            assert!(is_last || time <= bucket.bound() + Duration::from_nanos(1), "{micros}");
        }
        let two = TimeToFirst::of(Duration::from_millis(2));
        assert_eq!(two.buckets_beyond(TimeToFirst::of(Duration::from_millis(1))), 8);
    }

    #[test]
    fn classes_hold_all_prompts() {
        let bounds: Vec<_> = PromptClass::all().map(PromptClass::bounds).collect();
        assert_eq!(
            bounds,
            [
                (0, Some(512)),
                (512, Some(4_096)),
                (4_096, Some(32_768)),
                (32_768, None)
            ]
        );
        assert_eq!(PromptClass::all().count(), PromptClass::COUNT);
        assert_eq!(PromptClass::of(Tokens(511)), PromptClass(0));
        assert_eq!(PromptClass::of(Tokens(512)), PromptClass(1));
        assert_eq!(PromptClass::of(Tokens(u64::MAX)), PromptClass(3));
    }
}
