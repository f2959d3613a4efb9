//! Every SQL function: done, refused, repeated; the clocks; who may do what; every pair of calls at
//! once; random lists of calls beside a model.

mod active;
mod audit;
mod by_hand;
mod cancel;
mod cards;
mod circuit;
mod claimers;
mod clocks;
mod credits;
mod data_model;
mod enqueue;
mod erase;
mod files;
mod generations;
mod grants;
mod hammer;
mod incident;
mod learned_limit;
mod legacy;
mod line;
mod locked;
mod model;
mod multi_step;
mod operations;
mod pg_cron;
mod purchases;
mod queue;
mod race;
mod reads;
mod retention;
mod schema;
mod sources;
mod steps;
mod storage;
mod upgrade;
