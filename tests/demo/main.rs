//! `cargo xtask demo`: runs the stories and prints their receipts; exits 0 only if all of them
//! hold.

use std::process::ExitCode;

fn main() -> ExitCode {
    let state_dir = xtask::paths::local().join("demo");
    match std::panic::catch_unwind(|| unstuck_tests::demo::run(state_dir)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}
