//! Every SQL function: done, refused, repeated; the clocks; who may do what.

mod cancel;
mod chains;
mod clocks;
mod enqueue;
mod steps;
