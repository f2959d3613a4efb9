//! What the integration tests share.
//!
//! * [`assert`]: an assertion about some fields of a JSON object
//! * [`bare_project`]: a Supabase project without our objects
//! * [`bench_memory`]: the largest orders, five at once: `cargo xtask bench memory`
//! * [`bench_world`]: many random orders and what becomes of them: `cargo xtask bench world`
//! * [`database`]: one Postgres per run, our SQL in a template, a database of its own for each test
//! * [`demo`]: the stories that `cargo xtask demo` shows
//! * [`e2e`]: the whole local stack, and a client of it
//! * [`host_state`]: what an app's database holds besides our objects
//! * [`hosts`]: databases of existing apps, with and without our objects
//! * [`packages`]: the npm packages as an app installs them
//! * [`pg_cron`]: a PostgreSQL with pg_cron, where one is installed
//! * [`served_project`]: a bare database served as a Supabase project
//! * [`session`]: one connection that speaks SQL and RPC in JSON, and can become another caller
//! * [`shop`]: orders, workers' calls, the passage of time, and what must hold afterwards
//! * [`simulation`]: many job lives under a clock of their own: `cargo xtask simulate`
//! * [`sources`]: the checkout's files, for the tests of the repository's rules
//! * [`wire_cut`]: a proxy before Postgres that drops a connection after a number of statements
//!
//! Nothing here asserts anything about one feature: the tests do.

pub mod assert;
pub mod bare_project;
pub mod bench_memory;
pub mod bench_world;
pub mod database;
pub mod demo;
pub mod e2e;
pub mod host_state;
pub mod hosts;
pub mod packages;
pub mod pg_cron;
pub mod served_project;
pub mod session;
pub mod shop;
pub mod simulation;
pub mod sources;
pub mod wire_cut;

pub use database::Database;
pub use session::{Session, SqlError};
