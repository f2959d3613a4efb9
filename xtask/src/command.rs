//! Runs one step of a task in the foreground. A failure names the step, the command and what to do
//! about it.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, bail};

/// Prints a line that says what is being done, so that minutes of compiling are not silence.
pub fn say(message: impl std::fmt::Display) {
    eprintln!("xtask: {message}");
}

/// Runs `command` with its output shown; `advice` is what a reader should try when it fails.
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

/// Like [`run`], but silent unless it fails: for steps that are usually instant.
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

/// A `cargo` command in the checkout.
pub fn cargo(args: &[&str]) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(crate::paths::root()).args(args);
    // What the `cargo` that runs us says of this package is nobody else's; build scripts that look
    // at it would run again, and with them half of the dependencies be compiled anew.
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
