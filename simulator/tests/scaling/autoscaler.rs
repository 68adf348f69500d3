//! Who decides how many replicas there are. All of them look every 15 seconds, and pass over what changes by a tenth or less,
//! as Kubernetes' HorizontalPodAutoscaler does by default; and all of them have the same bounds. Source: Kubernetes'
//! documentation, "Horizontal Pod Autoscaling", its algorithm and its default behaviour.

use std::collections::VecDeque;
use std::rc::Rc;
use std::time::Duration;

use futures::StreamExt;
use http::Request;
use serde_json::Value;
use tidegate_core::Body;
use tidegate_core::time::Timestamp;
use tidegate_virtual::{Clock, Edge};

use crate::fleet::{Fleet, MOST};

#[derive(Clone, Copy, Debug)]
pub enum Autoscaler {
    /// The gateway's advice, by KEDA's metrics-api scaler. Stabilisation is the advice's own.
    Advice,
    /// A HorizontalPodAutoscaler on how full batches are.
    Utilisation { target: f64 },
    /// A ScaledObject on how many requests wait: so many for each replica.
    QueueLength { target: f64 },
}

impl Autoscaler {
    pub fn name(self) -> String {
        match self {
            Self::Advice => "Tidegate's advice".to_owned(),
            Self::Utilisation { target } => format!("HPA, batches {:.0}% full", target * 100.0),
            Self::QueueLength { target } => format!("{target:.0} that wait for each replica"),
        }
    }

    /// Decides again and again.
    pub async fn run(self, clock: Rc<Clock>, edge: Edge, fleet: Rc<Fleet>) {
        let mut before = VecDeque::new();
        loop {
            clock.sleep(SYNC).await;
            let current = fleet.wanted();
            let wanted = match self {
                Self::Advice => {
                    let desired = ask(&edge).await["desired_replicas"].as_f64().expect("a number");
                    beyond_tolerance(desired / current.max(1) as f64, current, desired)
                }
                Self::Utilisation { target } => {
                    let wanted = by_utilisation(&fleet, target);
                    stabilised(clock.now(), wanted, &mut before).min(current.max(4) + current)
                }
                Self::QueueLength { target } => {
                    let waiting = ask(&edge).await["queue_requests"].as_f64().expect("a number");
                    let wanted = beyond_tolerance(waiting / target / current as f64, current, waiting / target);
                    stabilised(clock.now(), wanted, &mut before).min(current.max(4) + current)
                }
            };
            fleet.scale_to(wanted.clamp(1, MOST));
        }
    }
}

/// What the gateway says of the cluster.
async fn ask(edge: &Edge) -> Value {
    let request = Request::get("/admin/v1/scale/big").header("authorization", "Bearer admin");
    let response = edge.serve(request, "").await;
    assert_eq!(response.status(), 200);
    let body = match response.into_body() {
        Body::Full(bytes) => bytes,
        Body::Stream(pieces) => pieces.map(Result::unwrap).collect::<Vec<_>>().await.concat().into(),
    };
    serde_json::from_slice(&body).expect("JSON")
}

/// Pods that are not ready count as idle where there would be more of them.
fn by_utilisation(fleet: &Fleet, target: f64) -> usize {
    let (used, current) = (fleet.utilisation(), fleet.wanted());
    let ready = used.len().max(1) as f64;
    let sum: f64 = used.iter().sum();
    let ratio = sum / ready / target;
    if ratio <= 1.0 || fleet.starting() == 0 {
        return beyond_tolerance(ratio, current, ratio * ready);
    }
    let all = ready + fleet.starting() as f64;
    let with_starting = sum / all / target;
    if with_starting <= 1.0 {
        return current;
    }
    beyond_tolerance(with_starting, current, with_starting * all)
}

fn beyond_tolerance(ratio: f64, current: usize, wanted: f64) -> usize {
    if (ratio - 1.0).abs() <= TOLERANCE {
        current
    } else {
        (wanted - 1e-9).ceil() as usize
    }
}

/// The most that was wanted within five minutes.
fn stabilised(now: Timestamp, wanted: usize, before: &mut VecDeque<(Timestamp, usize)>) -> usize {
    before.push_back((now, wanted));
    before.retain(|(at, _)| now.since(*at) <= DOWN_AFTER);
    before.iter().map(|(_, wanted)| *wanted).max().unwrap_or(wanted)
}

const SYNC: Duration = Duration::from_secs(15);
const TOLERANCE: f64 = 0.1;
const DOWN_AFTER: Duration = Duration::from_secs(300);
