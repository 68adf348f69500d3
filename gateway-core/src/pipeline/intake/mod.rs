//! What a request is, takes and may spend, until it can be dispatched. Each stage consumes what the one before it made.

mod allot;
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

pub(super) use count::{Counted, Counts, count};
pub(super) use decode::{Decoded, Wishes, check_headers, decode, decode_order, note_asked};
pub(super) use enter::{enter, enter_of_model};
pub(super) use estimates::correction_in_cell;
pub(super) use identify::{Identified, identify, identify_order};
pub(super) use measure::{Encoded, encode};
pub(super) use order::{Order, Sender};
pub(super) use plan::{Planned, Target, plan, plan_order};
pub(super) use receive::{Received, pass_over, receive, receive_of};
pub(super) use reserve::{needs_of_all, order_of_edge, order_to_try, reserve};
