//! Background processes that cannot outlive their owner.
//!
//! Each process runs in a process group of its own with a watcher, which reads from a pipe whose
//! other end we hold. However we end (drop, panic, Ctrl-C, SIGKILL), the pipe closes and the
//! watcher stops the whole group. Nothing is restarted.

use std::ffi::OsString;
use std::fs::File;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

/// Starts the watcher, then replaces itself by the program, so that we see the program's exit
/// status.
const WATCHED: &str = r#"
exec 3<&0
(
  cat <&3 >/dev/null
  kill -"$STACK_STOP" $$ 2>/dev/null
  tries=0
  while kill -0 $$ 2>/dev/null && [ $tries -lt 50 ]; do sleep 0.1; tries=$((tries + 1)); done
  [ -z "$STACK_REMOVE" ] || { kill -KILL $$ 2>/dev/null; rm -rf "$STACK_REMOVE"; }
  kill -KILL -- -$$ 2>/dev/null
) >/dev/null 2>&1 &
exec 3<&-
exec "$@" </dev/null
"#;

/// The program to run, and how to stop it.
#[derive(Default)]
pub struct ProcessSpec {
    pub name: &'static str,
    pub program: PathBuf,
    pub args: Vec<OsString>,
    pub env: Vec<(String, String)>,
    pub log: PathBuf,
    /// The signal that asks the process to end, if not `TERM`; `INT` is the fast shutdown of
    /// Postgres.
    pub stop: Option<&'static str>,
    /// A folder that is deleted when the process ends.
    pub remove: Option<PathBuf>,
    /// The (user, group) to run as, in place of ours.
    pub owner: Option<(u32, u32)>,
}

/// A running process. Dropping it stops the process and everything that it started.
pub struct Process {
    name: &'static str,
    log: PathBuf,
    child: Child,
}

impl Process {
    pub fn spawn(spec: ProcessSpec) -> Result<Self> {
        let log = File::create(&spec.log)
            .with_context(|| format!("{}: cannot write {}", spec.name, spec.log.display()))?;
        let mut command = Command::new("/bin/sh");
        command
            .args(["-c", WATCHED, "sh"])
            .arg(&spec.program)
            .args(&spec.args)
            .envs(spec.env)
            .env("STACK_STOP", spec.stop.unwrap_or("TERM"))
            .env("STACK_REMOVE", spec.remove.unwrap_or_default())
            .stdin(Stdio::piped())
            .stdout(log.try_clone()?)
            .stderr(log)
            .process_group(0);
        if let Some((user, group)) = spec.owner {
            command.uid(user).gid(group).current_dir("/");
        }
        let child = command
            .spawn()
            .with_context(|| format!("{}: cannot start {}", spec.name, spec.program.display()))?;
        Ok(Self { name: spec.name, log: spec.log, child })
    }

    /// Waits until `ready` returns true. Fails if the process ends or `limit` has passed.
    pub async fn wait_ready<F>(
        &mut self,
        limit: Duration,
        mut ready: impl FnMut() -> F,
    ) -> Result<()>
    where
        F: Future<Output = bool>,
    {
        let start = Instant::now();
        loop {
            if ready().await {
                return Ok(());
            }
            self.check()?;
            if start.elapsed() > limit {
                bail!("{} is not ready after {limit:?}; {}", self.name, self.log_tail());
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Fails if the process has ended by itself. The error has the end of its log.
    pub fn check(&mut self) -> Result<()> {
        match self.child.try_wait()? {
            None => Ok(()),
            Some(status) => bail!("{} ended ({status}); {}", self.name, self.log_tail()),
        }
    }

    /// Stops the process and everything that it started.
    pub fn stop(&mut self) {
        drop(self.child.stdin.take());
        // The watcher kills the process after 5 s, so this wait ends.
        let _ = self.child.wait();
    }

    fn log_tail(&self) -> String {
        let text = std::fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        let tail = lines[lines.len().saturating_sub(25)..].join("\n");
        format!("its log, {}:\n{tail}", self.log.display())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.stop();
    }
}
