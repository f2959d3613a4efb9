//! Existing apps: an installation and its removal change nothing of theirs, the apps go on working,
//! and we work beside them.

mod acts;
mod adopt;
mod answers;
mod beside;
mod bring_up;
mod broken_off;
mod fingerprint;
mod incident;
mod install;
mod pg_cron;
mod projections;
mod returned_once;
mod rights;
mod storage;
mod tls;
mod uninstall;
mod wallet_faults;
mod wallets;
mod works;
