//! The rollouts of models with versions, as requests see them: the weights that hold, and what a request meets at the
//! version that it has. Cells are asked and told behind requests' backs, and seldom.

mod trial;
mod weights;

pub(super) use trial::{Allotment, Trials};
