//! A record as JSON within a bound: where it is too long, replicas are left out, then clusters, then steps, each of them as a
//! whole, and it is told how many.

use super::record::DecisionRecord;
use super::step::{Step, What};

impl DecisionRecord {
    /// As JSON on one line, in no more than so many bytes; what a bound below a few hundred bytes does not hold is `None`. It is
    /// ASCII where all names in it are, as those in a configuration.
    pub fn to_json(&self, limit: usize) -> Option<String> {
        let written = |record: &Self| serde_json::to_string(record).ok().filter(|text| text.len() <= limit);
        if let Some(text) = written(self) {
            return Some(text);
        }
        let mut cut = self.clone();
        for part in [Part::Told, Part::Replicas, Part::Clusters, Part::Steps] {
            let fits = |most: &usize| written(&part.cut(&cut, *most)).is_some();
            let all = part.most(&cut);
            // What fits with so many fits with fewer.
            let most = (0..all).rev().find(fits);
            cut = part.cut(&cut, most.unwrap_or_default());
            if most.is_some() {
                break;
            }
        }
        written(&cut)
    }
}

/// Of what there may be too much.
#[derive(Clone, Copy)]
enum Part {
    /// What region hops have told.
    Told,
    /// Replicas in one step.
    Replicas,
    /// Clusters in one step.
    Clusters,
    /// Steps.
    Steps,
}

impl Part {
    /// The most that there are in one place.
    fn most(self, record: &DecisionRecord) -> usize {
        let in_step = |step: &Step| match (self, &step.what) {
            (Self::Told, What::Region { record: Some(_), .. }) => 1,
            (Self::Replicas, What::Weighed(weighed)) => weighed.replicas.len(),
            (Self::Clusters, What::Ranked(ranked)) => ranked.clusters.len(),
            (Self::Told | Self::Replicas | Self::Clusters | Self::Steps, _) => 0,
        };
        match self {
            Self::Told | Self::Replicas | Self::Clusters => record.steps.iter().map(in_step).max().unwrap_or_default(),
            Self::Steps => record.steps.len(),
        }
    }

    /// The record with no more than so many in one place.
    fn cut(self, record: &DecisionRecord, most: usize) -> DecisionRecord {
        let mut cut = record.clone();
        if let Self::Steps = self {
            let left_out = cut.steps.len().saturating_sub(most);
            cut.steps.drain(..left_out);
            cut.steps_left_out += left_out;
            return cut;
        }
        for step in &mut cut.steps {
            match (self, &mut step.what) {
                (Self::Told, What::Region { record, .. }) if most == 0 => *record = None,
                (Self::Replicas, What::Weighed(weighed)) => {
                    weighed.left_out += weighed.replicas.len().saturating_sub(most);
                    weighed.replicas.truncate(most);
                }
                (Self::Clusters, What::Ranked(ranked)) => {
                    ranked.left_out += ranked.clusters.len().saturating_sub(most);
                    ranked.clusters.truncate(most);
                }
                (Self::Told | Self::Replicas | Self::Clusters | Self::Steps, _) => {}
            }
        }
        cut
    }
}

/// What a record may take in a header: less than what servers take of all headers together, which is 8 KiB at the least.
pub const HEADER_BYTES: usize = 4 << 10;

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;
    use crate::cluster::{BreakerStanding, Capacity, Hindrance, WarmthBasis, Weighed, WeighedReplica};
    use crate::config::HopAddress;
    use crate::ids::{ClusterName, RequestId, Tokens};
    use crate::observe::{Event, Weighing};
    use crate::time::Timestamp;

    fn replica(number: u32) -> WeighedReplica {
        WeighedReplica {
            replica: format!("http://replica-{number}.example:8000").as_str().into(),
            hindrance: number.is_multiple_of(2).then_some(Hindrance::Full),
            first_token_in: Some(Duration::from_micros(number.into())),
            queued: Duration::ZERO,
            queued_tokens: Tokens(1),
            prefill: Duration::ZERO,
            uncached: Tokens(2),
            step: Duration::ZERO,
            tokens_per_s: 3,
            warm: Tokens(4),
            basis: WarmthBasis::Known,
            held: Capacity::default(),
            foreign: Capacity::default(),
            room: Capacity::default(),
            breaker: BreakerStanding::Closed,
            breaker_passes_in: None,
            signal: None,
        }
    }

    /// What happens to a request that goes a long way.
    fn happen(record: &mut DecisionRecord, (kind, size): (u8, u32)) {
        let cluster = ClusterName::from("cluster");
        match kind {
            0 => {
                let weighed = Weighed {
                    replicas: (0..size).map(replica).collect(),
                    left_out: 1,
                };
                let (cluster, weighed) = (&cluster, &weighed);
                record.on(
                    Duration::ZERO,
                    &Event::Weighing(Weighing::Replicas { cluster, weighed }),
                );
            }
            1 => {
                let hop = HopAddress::Binding("HOP".to_owned());
                let told = json!({"steps": "x".repeat(size as usize * 100)}).to_string();
                let by_region = Weighing::ByRegion {
                    cluster: &cluster,
                    hop: &hop,
                    told: Some(&told),
                };
                record.on(Duration::ZERO, &Event::Weighing(by_region));
            }
            _ => {
                let expected = Duration::from_millis(size.into());
                let cluster = &cluster;
                record.on(Duration::ZERO, &Event::Queued { cluster, expected });
            }
        }
    }

    proptest! {
        #[test]
        fn a_record_keeps_to_its_bound_and_counts_what_it_leaves_out(
            happened in prop::collection::vec((0_u8..3, 0_u32..64), 0..80),
            limit in 1_024_usize..40_000,
        ) {
            let id = RequestId::from_random(1, 2);
            let mut record = DecisionRecord::new(&id, Timestamp::default(), "chat", ("acme".into(), "normal"));
            let count = happened.len();
            happened.into_iter().for_each(|happened| happen(&mut record, happened));
            prop_assert!(record.steps.len() <= DecisionRecord::MOST_STEPS);
            prop_assert_eq!(record.steps.len() + record.steps_left_out, count);
            let all: Value = serde_json::to_value(&record).expect("JSON");
            let text = record.to_json(limit).expect("the least fits");
            prop_assert!(text.len() <= limit && text.is_ascii());
            let told: Value = serde_json::from_str(&text).expect("JSON");
            let replicas = |record: &Value| {
                let steps = record["steps"].as_array().expect("steps").iter();
                let weighed = steps.filter(|step| step["step"] == "weighed");
                let of_step = |step: &Value| {
                    let told = step["replicas"].as_array().expect("replicas").len() as u64;
                    (told, told + step["left_out"].as_u64().unwrap_or_default())
                };
                weighed.map(of_step).collect::<Vec<_>>()
            };
            let told_in_all: u64 = replicas(&all).iter().map(|(told, _)| told).sum();
            prop_assert!(told_in_all <= DecisionRecord::MOST_REPLICAS as u64);
            if told["steps"].as_array().map(Vec::len) == Some(record.steps.len()) {
                let counted = |record: &Value| replicas(record).iter().map(|(_, all)| *all).collect::<Vec<_>>();
                prop_assert_eq!(counted(&told), counted(&all));
            }
        }
    }

    #[test]
    fn what_fits_is_told_whole() {
        let id = RequestId::from_random(1, 2);
        let mut record = DecisionRecord::new(&id, Timestamp::default(), "chat", ("acme".into(), "normal"));
        happen(&mut record, (0, 3));
        let whole = serde_json::to_string(&record).expect("JSON");
        assert_eq!(record.to_json(whole.len()), Some(whole.clone()));
        let cut = record.to_json(whole.len() - 1).expect("it fits");
        assert!(cut.contains("\"left_out\":2") && cut.contains("replica-1."), "{cut}");
        assert_eq!(record.to_json(10), None);
    }
}
