//! The command line of the project's tasks; `cargo xtask <task>`. Holds no logic of its own.

use std::process::{Command, ExitCode};

use anyhow::{Context, Result};
use clap::{Parser, Subcommand};
use xtask::command::{cargo, run, run_quiet, say};
use xtask::scaffold::NewTool;
use xtask::stack::{self, Stack, StackOptions, announce};
use xtask::{bench, build, generate, migration, scaffold, schema, size, tools};

#[derive(Parser)]
#[command(name = "cargo xtask", about = "The project's tasks")]
struct Cli {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Provide every tool that building, testing and the local stack need
    Setup,
    /// Run the whole stack locally until Ctrl-C
    Dev,
    /// Run the stories of the first tool and print their receipts
    Demo,
    /// Set up, build, and run every test; further arguments go to `cargo test`
    Test {
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<String>,
    },
    /// Formatting, lints, then everything that `test` does
    Ci,
    /// Build functions to wasm: all, or those named
    Build {
        functions: Vec<String>,
        /// A profile of Cargo.toml
        #[arg(long, default_value = "release")]
        profile: String,
    },
    /// The functions' sizes against their budget
    Size,
    /// Measure: sweep, enqueue, year
    Bench { name: String },
    /// Write supabase/schema.sql from the migrations
    DumpSchema,
    /// Make the next migration from supabase/schemas, or the newest again while it is not released
    Migration {
        /// Small letters, digits and _
        #[arg(required_unless_present = "freeze")]
        name: Option<String>,
        /// Statements written by hand, for what cannot be made from a source alone, such as a
        /// changed table
        #[arg(long)]
        alter: Option<std::path::PathBuf>,
        /// Mark all that are there as released: none of them changes any more
        #[arg(long, exclusive = true)]
        freeze: bool,
    },
    /// Apply to a database what it lacks of supabase/migrations
    Migrate {
        /// postgres://…, as the database's owner
        url: String,
    },
    /// Write wrangler.toml and the tables of the docs from the functions' declarations
    Generate,
    /// Start a new function, or a tool with its row, words and tests
    NewFunction {
        name: String,
        /// It is sold: also its row and price, its words and its part of the studio
        #[arg(long, requires = "price")]
        tool: bool,
        /// Credits that an order costs
        #[arg(long, requires = "tool")]
        price: Option<u32>,
        /// A provider of a tool that is there: runninghub, replicate, gemini, llm
        #[arg(long, default_value = "runninghub")]
        provider: String,
    },
}

fn main() -> ExitCode {
    let result =
        tokio::runtime::Runtime::new().context("cannot start the runtime").and_then(|runtime| {
            let result = runtime.block_on(perform(Cli::parse().task));
            runtime.shutdown_background();
            result
        });
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(format_args!("FAILED: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

async fn perform(task: Task) -> Result<()> {
    match task {
        Task::Setup => {
            tools::setup()?;
            tools::browser()
        }
        Task::Dev => dev().await,
        Task::Demo => {
            tools::setup()?;
            let mut demo = cargo(&["run", "-p", "unstuck-tests", "--bin", "demo"]);
            run("the demo", &mut demo, "a story that failed says above what it expected")
        }
        Task::Test { args } => test(&args),
        Task::Ci => {
            run("formatting", &mut cargo(&["fmt", "--all", "--check"]), "run `cargo fmt --all`")?;
            generate::check()?;
            let lints =
                ["clippy", "--workspace", "--all-targets", "--quiet", "--", "-D", "warnings"];
            run("lints", &mut cargo(&lints), "fix the warnings above")?;
            test(&[])
        }
        Task::Build { functions, profile } => {
            let dirs = if functions.is_empty() {
                build::all()?
            } else {
                functions.iter().map(|name| build::find(name)).collect::<Result<_>>()?
            };
            build::with_profile(&dirs, &profile)
        }
        Task::Size => size::report(),
        Task::Bench { name } => bench::run(&name).await,
        Task::DumpSchema => schema::dump_to_file().await,
        Task::Migration { name, alter, freeze } => match name {
            Some(name) if !freeze => migration::task(&name, alter.as_deref()),
            _ => migration::task_freeze(),
        },
        Task::Migrate { url } => migration::apply::task(&url).await,
        Task::Generate => generate::write(),
        Task::NewFunction { name, tool, price, provider } => {
            let tool = price.filter(|_| tool).map(|price| NewTool { provider, price });
            scaffold::new_function(&name, tool.as_ref())
        }
    }
}

/// Runs until Ctrl-C or SIGTERM, or until a part of the stack ends.
async fn dev() -> Result<()> {
    tools::setup()?;
    let mut stack = Stack::start(StackOptions::from_env()?).await?;
    stack.sweep().await.context("the first sweep")?;
    // Where clients look, whatever the ports.
    stack::write_info(&xtask::paths::local(), stack.info())?;
    announce(stack.info());
    say("Ctrl-C ends it");
    let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    loop {
        tokio::select! {
            _ = tokio::signal::ctrl_c() => break,
            _ = terminate.recv() => break,
            () = tokio::time::sleep(std::time::Duration::from_secs(1)) => stack.check()?,
        }
    }
    say("stopping");
    stack.stop();
    Ok(())
}

fn test(args: &[String]) -> Result<()> {
    tools::setup()?;
    format_of_scripts()?;
    tools::browser()?;
    let test_only = test_functions()?;
    build::functions(&build::all_with(&test_only)?)?;
    build::stand_ins()?;
    // Libraries and integration tests; there are no doc tests, and the programs have none of their
    // own.
    let mut command: Command =
        cargo(&["test", "--workspace", "--no-fail-fast", "--lib", "--test", "*"]);
    // Just built; nothing that a test starts needs to look again.
    command.args(args).env("UNSTUCK_SKIP_BUILD", "1");
    run(
        "tests",
        &mut command,
        "the failed tests are named above; one alone: `cargo test -p <package> <name>`",
    )
}

/// Compares every page, style sheet and script with what prettier would write.
fn format_of_scripts() -> Result<()> {
    const FOLDERS: [&str; 5] = ["web", "functions", "tests", "xtask", "stand-ins"];
    let mut prettier = Command::new(xtask::paths::node_bin("prettier"));
    prettier.current_dir(xtask::paths::root()).arg("--check").args(FOLDERS);
    let advice = format!("run `npx prettier --write {}`", FOLDERS.join(" "));
    run_quiet("format of pages and scripts", &mut prettier, &advice).map(drop)
}

/// Functions that exist for tests alone.
fn test_functions() -> Result<Vec<std::path::PathBuf>> {
    let dir = xtask::paths::root().join("tests/functions");
    let Ok(entries) = std::fs::read_dir(&dir) else {
        return Ok(Vec::new());
    };
    entries.map(|entry| Ok(entry?.path())).collect()
}
