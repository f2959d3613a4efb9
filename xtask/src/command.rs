//! Runs a program as one step of a task. An error names the step, the command and what to do.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, bail};

/// Prints what the task is doing, so that minutes of compiling are not silent.
pub fn say(message: impl std::fmt::Display) {
    eprintln!("xtask: {message}");
}

/// Runs `command` and shows its output; `advice` says what to do when it fails.
pub fn run(step: &str, command: &mut Command, advice: &str) -> Result<()> {
    let start = Instant::now();
    say(step);
    let shown = shown(command);
    let status =
        command.status().with_context(|| format!("{step}: cannot start `{shown}`; {advice}"))?;
    if !status.success() {
        bail!("{step}: `{shown}` ended with {status}; {advice}");
    }
    if start.elapsed().as_secs() >= 5 {
        say(format_args!("{step}: done in {:.0} s", start.elapsed().as_secs_f32()));
    }
    Ok(())
}

/// Runs a quick `command`, returns its output and shows it only when the command fails.
pub fn run_quiet(step: &str, command: &mut Command, advice: &str) -> Result<String> {
    let shown = shown(command);
    let output = command
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("{step}: cannot start `{shown}`; {advice}"))?;
    if !output.status.success() {
        let text = [output.stdout, output.stderr].concat();
        bail!(
            "{step}: `{shown}` ended with {}; {advice}\n{}",
            output.status,
            String::from_utf8_lossy(&text)
        );
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// A `cargo` command that runs in the checkout.
pub fn cargo(args: &[&str]) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(crate::paths::root()).args(args);
    // Our own `cargo` has set variables that describe this package. Build scripts that read them
    // would rerun, and half of the dependencies would be compiled anew.
    for (name, _) in std::env::vars_os() {
        if ["CARGO_PKG_", "CARGO_MANIFEST_"]
            .iter()
            .any(|prefix| name.to_string_lossy().starts_with(prefix))
        {
            command.env_remove(name);
        }
    }
    command
}

fn shown(command: &Command) -> String {
    let program = Path::new(command.get_program()).file_name().unwrap_or(command.get_program());
    let mut text = program.to_string_lossy().into_owned();
    for arg in command.get_args() {
        text.push(' ');
        text.push_str(&arg.to_string_lossy());
    }
    text
}
