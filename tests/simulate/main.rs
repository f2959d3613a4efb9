//! `cargo xtask simulate`: see tests/support/simulation.

use std::process::ExitCode;

use unstuck_tests::simulation::command;

fn main() -> ExitCode {
    match command::main(std::env::args().skip(1)) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::FAILURE
        }
    }
}
