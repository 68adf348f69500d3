//! What a request is, takes and may spend, until it can be dispatched. Each stage consumes what the one before it made.

mod count;
mod decode;
mod enter;
mod estimates;
mod identify;
mod measure;
mod order;
mod plan;
mod receive;
mod reserve;

pub(super) use count::{Counted, count};
pub(super) use decode::{Decoded, Wishes, check_headers, decode};
pub(super) use enter::{enter, enter_of_model};
pub(super) use estimates::correction_in_cell;
pub(super) use identify::{Identified, identify};
pub(super) use measure::{Encoded, encode};
pub(super) use order::Order;
pub(super) use plan::{Planned, Target, plan};
pub(super) use receive::{Received, pass_over, receive, receive_of};
pub(super) use reserve::reserve;
