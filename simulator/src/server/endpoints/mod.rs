//! What each path answers but the two that generate: each takes the engine's state and a request, and gives a reply or
//! an error. None knows another but for the shape of an answer, and none knows who routed the request here.

pub(super) mod embeddings;
pub(super) mod info;
pub(super) mod metrics;
pub(super) mod sim;
pub(super) mod tokenize;
