//! Cells and store in a real Redis: many users of one cell, lost replies, outages, foreign records. Whole processes
//! that share a Redis are the concern of the tests of the binary.

mod cells;
mod faults;
mod flights;
mod proxy;
mod store;
mod world;
