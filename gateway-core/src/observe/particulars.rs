//! The rest of an event's line in a log.

use std::fmt;
use std::time::Duration;

use http::StatusCode;

use super::event::Event;
use crate::api::{EngineError, Usage};
use crate::cluster::{ChoiceReason, Expectation};
use crate::ids::{ClusterName, ModelName, ReplicaName, Tokens};
use crate::ladder::AttemptError;
use crate::route::Estimate;

impl Event<'_> {
    /// The rest of the line.
    pub(super) fn write_particulars(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Responded {
                route, status, after, ..
            } => write_response(f, route, *status, *after),
            Self::AttemptFailed {
                cluster,
                replica,
                error,
            } => write_failure(f, cluster, *replica, error),
            Self::FirstToken {
                cluster,
                model,
                after,
                expected,
            } => write_answer(f, (cluster, model), *after, *expected),
            Self::WholeAnswer { cluster, model, after } => write_answer(f, (cluster, model), *after, None),
            Self::Counting(counting) => counting.write_particulars(f),
            Self::Budget(budgeting) => budgeting.write_particulars(f),
            Self::Prefix(prefixing) => prefixing.write_particulars(f),
            Self::Cache(caching) => caching.write_particulars(f),
            Self::Rollout(rolling_out) => rolling_out.write_particulars(f),
            Self::Detection(detecting) => detecting.write_particulars(f),
            Self::BodyRefused { bound } => write!(f, " bound={bound}"),
            Self::OrderRefused { reason } => write!(f, " reason={reason}"),
            Self::Used { model, usage } => write_usage(f, model, usage),
            Self::StreamFailed {
                cluster,
                replica,
                error,
            } => write_failure(f, cluster, Some(replica), error),
            Self::Ranked {
                model,
                tier,
                prompt,
                estimates,
                excluded: _,
            } => write_ranking(f, (model, *tier), *prompt, estimates),
            Self::Weighing(weighing) => weighing.write_particulars(f),
            Self::SignalIgnored(ignored) => ignored.write_particulars(f),
            Self::Queued { .. } | Self::Waited { .. } => self.write_waiting(f),
            Self::Permitted {
                cluster,
                replica,
                is_kept,
                choice,
                expected,
            } => write_permit(f, (cluster, replica), *is_kept, (*choice, *expected)),
            Self::Released { cluster, outcome } => write!(f, " cluster={cluster} outcome={outcome:?}"),
            Self::Canned(canning) => canning.write_particulars(f),
            Self::AdminChange(change) => change.write_particulars(f),
            Self::ConfigApplied { version } => write!(f, " version={version}"),
            Self::ConfigRefused { errors } => write!(f, ":\n{errors}"),
            Self::StoreFailing { access, detail } => write!(f, " access={}: {detail}", access.label()),
            Self::StoreWorks { access } => write!(f, " access={}", access.label()),
        }
    }

    fn write_waiting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Self::Queued { cluster, expected } = self {
            write_wait(f, cluster, ("expected_ms", *expected))
        } else if let Self::Waited {
            cluster,
            ended_as,
            after,
        } = self
        {
            write_wait(f, cluster, ("ms", *after))?;
            write!(f, " ended={ended_as}")
        } else {
            Ok(())
        }
    }
}

fn write_response(f: &mut fmt::Formatter<'_>, route: &str, status: StatusCode, after: Duration) -> fmt::Result {
    write!(f, " route={route} status={} ms={}", status.as_u16(), after.as_millis())
}

fn write_answer(
    f: &mut fmt::Formatter<'_>,
    (cluster, model): (&ClusterName, &ModelName),
    after: Duration,
    expected: Option<Duration>,
) -> fmt::Result {
    write!(f, " cluster={cluster} model={model} ms={}", after.as_millis())?;
    match expected {
        Some(expected) => write!(f, " expected_ms={}", expected.as_millis()),
        None => Ok(()),
    }
}

fn write_usage(f: &mut fmt::Formatter<'_>, model: &ModelName, usage: &Usage) -> fmt::Result {
    let (prompt, completion) = (usage.prompt_tokens, usage.completion_tokens);
    write!(f, " model={model} prompt={prompt} completion={completion}")
}

fn write_permit(
    f: &mut fmt::Formatter<'_>,
    (cluster, replica): (&ClusterName, &ReplicaName),
    is_kept: bool,
    (choice, expected): (Option<ChoiceReason>, Option<Expectation>),
) -> fmt::Result {
    write!(f, " cluster={cluster} replica={replica} kept={is_kept}")?;
    if let Some(choice) = choice {
        write!(f, " choice={}", choice.as_str())?;
    }
    match expected {
        Some(Expectation { warm, first_token_in }) => {
            write!(f, " expected_warm={warm} expected_ms={}", first_token_in.as_millis())
        }
        None => Ok(()),
    }
}

fn write_failure(
    f: &mut fmt::Formatter<'_>,
    cluster: &ClusterName,
    replica: Option<&ReplicaName>,
    error: &AttemptError,
) -> fmt::Result {
    write_place(f, cluster, replica)?;
    write_error(f, error)
}

fn write_wait(f: &mut fmt::Formatter<'_>, cluster: &ClusterName, (what, time): (&str, Duration)) -> fmt::Result {
    write!(f, " cluster={cluster} {what}={}", time.as_millis())
}

fn write_place(f: &mut fmt::Formatter<'_>, cluster: &ClusterName, replica: Option<&ReplicaName>) -> fmt::Result {
    write!(f, " cluster={cluster}")?;
    match replica {
        Some(replica) => write!(f, " replica={replica}"),
        None => Ok(()),
    }
}

fn write_ranking(
    f: &mut fmt::Formatter<'_>,
    (model, tier): (&ModelName, usize),
    prompt: Tokens,
    estimates: &[Estimate<'_>],
) -> fmt::Result {
    write!(f, " model={model} tier={tier} prompt={prompt}")?;
    write_estimates(f, estimates)
}

/// Each cluster with its round trip, wait and prefill, and what of the prompt should be warm there.
fn write_estimates(f: &mut fmt::Formatter<'_>, estimates: &[Estimate<'_>]) -> fmt::Result {
    f.write_str(" ms=")?;
    for (index, estimate) in estimates.iter().enumerate() {
        let separator = if index == 0 { "" } else { "," };
        let [round_trip, wait, prefill] =
            [estimate.round_trip, estimate.wait, estimate.prefill].map(|part| part.as_millis());
        write!(f, "{separator}{}:{round_trip}+{wait}+{prefill}", estimate.cluster)?;
        if !estimate.price.is_zero() {
            write!(f, "+{}", estimate.price.as_millis())?;
        }
        if estimate.warm > Tokens(0) {
            write!(f, ":warm={}", estimate.warm)?;
        }
        f.write_str(if estimate.full { ":full" } else { "" })?;
    }
    Ok(())
}

fn write_error(f: &mut fmt::Formatter<'_>, error: &AttemptError) -> fmt::Result {
    write!(f, " error={}: {error}", error.label())?;
    if let AttemptError::NoRoom { passed_over, .. } = error {
        write!(f, " ({passed_over})")?;
    }
    if let AttemptError::Rejected { body, .. } = error {
        write!(f, " ({})", EngineError::read(body))?;
    }
    match std::error::Error::source(error) {
        Some(source) => write!(f, " ({source})"),
        None => Ok(()),
    }
}
