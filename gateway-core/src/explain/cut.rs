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
