//! The project's tasks, and the local stack as a library: tests and the demo start from [`stack::Stack`].
//!
//! * tools: [`paths`], [`tools`] (what `setup` provides), [`command`] (running a step so that a failure says what to do)
//! * build: [`wrangler`] (the only reader of wrangler.toml), [`build`], [`size`], [`scaffold`]
//! * local stack: [`process`], [`postgres`], [`keys`], [`workers`], [`stack`]
//! * tasks on a running stack: [`demo`], [`bench`], [`schema`]
//!
//! Nothing here ships: no function and no part of `shared` depends on this crate.

pub mod bench;
pub mod build;
pub mod command;
pub mod demo;
pub mod keys;
pub mod paths;
pub mod postgres;
pub mod process;
pub mod scaffold;
pub mod schema;
pub mod size;
pub mod stack;
pub mod tools;
pub mod workers;
pub mod wrangler;
