//! Every SQL function: done, refused, repeated; the clocks; who may do what.

mod chains;
mod enqueue;
mod steps;
