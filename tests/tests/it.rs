//! The tests that need no running functions: the repository's rules, the SQL core, races, hammer, model.

#[path = "it/by_hand/mod.rs"]
mod by_hand;
#[path = "it/contract.rs"]
mod contract;
#[path = "it/deploy.rs"]
mod deploy;
#[path = "it/hammer.rs"]
mod hammer;
#[path = "it/model.rs"]
mod model;
#[path = "it/pg_cron.rs"]
mod pg_cron;
#[path = "it/race.rs"]
mod race;
#[path = "it/sql/mod.rs"]
mod sql;
#[path = "it/sql_text.rs"]
mod sql_text;
#[path = "it/tidy.rs"]
mod tidy;
#[path = "it/upgrade.rs"]
mod upgrade;
#[path = "it/words.rs"]
mod words;
