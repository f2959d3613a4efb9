//! Every SQL function: done, refused, repeated; the clocks; who may do what.

mod active;
mod audit;
mod cancel;
mod cards;
mod chains;
mod clocks;
mod credits;
mod enqueue;
mod erase;
mod generations;
mod grants;
mod incident;
mod legacy;
mod operations;
mod queue;
mod reads;
mod retention;
pub(crate) mod schema;
mod sources;
mod steps;
