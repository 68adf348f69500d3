//! What the failure of an attempt says about its replica, and about the request: a request at which engines fail is found
//! out, and remembered, so that it takes no breaker along.

use std::hash::Hasher;

use crate::cluster::Outcome;
use crate::ids::ClusterName;
use crate::ladder::{AttemptError, Fault, Remedy, RequestDigest};
use crate::parts::hash_parts;
use crate::pipeline::intake::Order;
use crate::platform::Platform;

/// What an attempt's failure says about the replica, where it is not the request's.
pub(in crate::pipeline) fn outcome(error: &AttemptError) -> Outcome {
    match (error, error.fault(), error.remedy()) {
        // Nobody has seen the whole of it.
        (AttemptError::TooLarge { .. }, ..) => Outcome::Unknown,
        // One such answer is no news of a replica: its cell is told of all of them together, and judges.
        (AttemptError::Semantic { .. }, ..) => Outcome::Served,
        (_, Fault::Client, _) => Outcome::Served,
        (_, Fault::Upstream, Remedy::AnotherReplica) => Outcome::Failed,
        (_, Fault::Upstream | Fault::Gateway, _) => Outcome::Unknown,
    }
}

/// An attempt in that tier has failed. Where an answer was of no use, the error says whether one of the same tier was before,
/// which is `useless_in`.
pub(super) fn told_again(useless_in: &mut Option<usize>, tier: usize, error: AttemptError) -> AttemptError {
    if let AttemptError::Semantic { detector, .. } = error {
        let again = useless_in.replace(tier) == Some(tier);
        AttemptError::Semantic { detector, again }
    } else {
        error
    }
}

/// Why the order need not be tried: engines have failed at the same request.
pub(super) fn known<P: Platform>(order: &Order<P>) -> Option<AttemptError> {
    let blamed = &order.exchange.gateway.blamed;
    let now = order.exchange.platform.now();
    if blamed.with(|requests| requests.is_empty(now)) {
        return None;
    }
    let digest = digest(order);
    blamed.with(|requests| requests.get(now, digest).cloned())
}

/// A second replica, one of `cluster`, has failed at the order as one before it: puts that on the request, unless the
/// cluster fails at everything.
pub(super) fn blame<P: Platform>(order: &Order<P>, cluster: &ClusterName, error: AttemptError) -> AttemptError {
    let Some((status, words)) = error.failed_with() else {
        return error;
    };
    let blamed = AttemptError::Blamed {
        status,
        words: words.to_owned(),
    };
    let (now, digest) = (order.exchange.platform.now(), digest(order));
    let memory = &order.exchange.gateway.blamed;
    if memory.with(|requests| requests.blame(now, digest, cluster, blamed.clone())) {
        blamed
    } else {
        error
    }
}

/// The same for the same body at the same endpoint, of one tenant: nobody learns what others have sent.
fn digest<P: Platform>(order: &Order<P>) -> RequestDigest {
    let Order {
        exchange,
        caller,
        request,
        ..
    } = order;
    let mut hasher = exchange.gateway.blamed.hasher(&exchange.platform);
    let parts = [
        caller.tenant.name.as_str().as_bytes(),
        request.endpoint.path().as_bytes(),
        request.body().as_ref(),
    ];
    hash_parts(&mut hasher, parts);
    RequestDigest(hasher.finish())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::platform::SendError;

    #[test]
    fn what_the_gateway_lacks_says_nothing_of_a_replica() {
        let of = |error| outcome(&AttemptError::Send(error));
        assert_eq!(of(SendError::Local("no descriptors".to_owned())), Outcome::Unknown);
        assert_eq!(of(SendError::Connect("refused".to_owned())), Outcome::Failed);
    }
}
