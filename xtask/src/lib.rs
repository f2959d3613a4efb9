//! The project's tasks, and the local stack as a library: tests and the demo start from
//! [`stack::Stack`].
//!
//! * tools: [`paths`], [`tools`] (what `setup` provides), [`command`] (runs a step)
//! * build: [`function`] (reads what functions declare), [`generate`] (writes what follows from
//!   it), [`build`], `imports` (shortens their names), [`size`], [`scaffold`]
//! * local stack: [`process`], [`postgres`], [`keys`], [`workers`], [`stack`]
//! * a database's address: [`address`], `tls` (how far its server is trusted)
//! * SQL: [`migration`] (makes numbered files from sources), [`schema`] (the golden dump),
//!   [`fingerprint`] (a database's other objects)
//! * apps that are already there: [`adopt`]
//! * deployments: [`deploy`], [`doctor`] (what one lacks)
//! * measurements: [`bench`]
//!
//! No function and no part of `shared` depends on this crate.

pub mod address;
pub mod adopt;
pub mod bench;
pub mod build;
pub mod command;
pub mod deploy;
pub mod doctor;
pub mod fingerprint;
pub mod function;
pub mod generate;
mod imports;
pub mod keys;
pub mod migration;
pub mod paths;
pub mod postgres;
pub mod process;
pub mod scaffold;
pub mod schema;
pub mod size;
pub mod stack;
mod tls;
pub mod tools;
pub mod workers;
