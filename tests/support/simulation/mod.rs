//! Many job lives in one process, under a clock of their own, with everything going wrong that a
//! seed chooses: `cargo xtask simulate`.
//!
//! * [`plan`]: what is chosen beforehand
//! * [`run`]: one plan, from its first order to its end
//! * [`world`], [`providers`], [`seller`], [`wallet`], [`transport`], [`functions`]: who acts, and
//!   what their calls reach
//! * [`scheduler`], [`server`], [`chance`]: one thread, one Postgres, one source of chance
//! * [`auditor`]: what must hold
//! * [`mutations`]: faults in the SQL that it must find
//! * [`shrink`]: the smallest part of a plan that still fails

pub mod auditor;
pub mod chance;
pub mod command;
pub mod functions;
pub mod mutations;
pub mod plan;
pub mod providers;
pub mod run;
pub mod scheduler;
pub mod seller;
pub mod server;
pub mod shrink;
pub mod transport;
pub mod wallet;
pub mod world;
