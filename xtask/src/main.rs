//! The command line of the project's tasks, `cargo xtask <task>`.

use std::process::{Command, ExitCode};

use anyhow::{Context, Result};
use clap::{Parser, Subcommand};
use xtask::command::{cargo, run, run_quiet, say};
use xtask::deploy::{self, DeployWish};
use xtask::scaffold::NewTool;
use xtask::stack::{self, Stack, StackOptions, announce};
use xtask::{adopt, bench, build, doctor, generate, migration, scaffold, schema, size, tools};

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
    /// Run the stories and print their receipts
    Demo,
    /// Live many job lives with everything going wrong, under a clock of their own:
    /// `[--seed S] [--lives N] [--story] [--part i/n] [--record FOLDER] [--mutations]`
    Simulate {
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<String>,
    },
    /// Set up, build, and run every test; further arguments go to `cargo test`
    Test {
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<String>,
    },
    /// Check formatting and lints, then do everything that `test` does
    Ci,
    /// Build functions to wasm: all, or those named
    Build {
        functions: Vec<String>,
        /// A profile of Cargo.toml
        #[arg(long, default_value = "release")]
        profile: String,
    },
    /// Compare the functions' sizes with their budget
    Size,
    /// Measure: audit, cards, cold, edge, enqueue, life, load, memory, peers, queue,
    /// sweep, world or year
    Bench {
        name: String,
        /// Of `world`: how many orders, and the seed that they are drawn from
        numbers: Vec<u64>,
    },
    /// Write supabase/schema.sql from the migrations
    DumpSchema,
    /// Make the next migration from supabase/schemas, or remake the newest until it is released
    Migration {
        /// Small letters, digits and _
        #[arg(required_unless_present = "freeze")]
        name: Option<String>,
        /// A file of statements, for what cannot be made from a source alone, such as a changed
        /// table
        #[arg(long)]
        alter: Option<std::path::PathBuf>,
        /// Mark all migrations as released: none of them changes any more
        #[arg(long, exclusive = true)]
        freeze: bool,
    },
    /// Apply to a database the migrations that it lacks
    Migrate {
        /// postgres://…, as the database's owner
        url: String,
    },
    /// Move into the database of an app that is there already, step by step, and out again
    Adopt {
        /// postgres://…, as the database's owner
        url: String,
        /// The adapter: a folder of supabase/hosts
        app: String,
        step: adopt::AdoptionStep,
        /// Attach or detach this tool only; may be given several times
        #[arg(long = "tool")]
        tools: Vec<String>,
        /// Do it, tell it, and roll it back
        #[arg(long)]
        dry_run: bool,
    },
    /// Bring up what deploy/<name>.toml and deploy/<name>.secrets describe, or change what differs
    Deploy {
        name: String,
        /// Only say what differs
        #[arg(long, conflicts_with = "rollback")]
        plan: bool,
        /// Go back to the last deployment that was found good
        #[arg(long)]
        rollback: bool,
        /// Take over a copy of another deployment's database, which then belongs to this one
        #[arg(long, conflicts_with_all = ["plan", "rollback"])]
        take_over: bool,
    },
    /// Tell what a deployment lacks, each with the command that mends it
    Doctor {
        /// Its name, or its address with SUPABASE_SERVICE_ROLE_KEY in the environment
        deployment: String,
        /// Print it as JSON
        #[arg(long)]
        json: bool,
        /// Place one real order of this tool and give its price back
        #[arg(long)]
        order: Option<String>,
    },
    /// Write wrangler.toml, the tables of the docs and the client's files from their sources
    Generate,
    /// Start a new function, or a tool with its row, words and tests
    NewFunction {
        name: String,
        /// Also write its row and price, its words and its form in the studio
        #[arg(long, requires = "price")]
        tool: bool,
        /// Credits that an order costs
        #[arg(long, requires = "tool")]
        price: Option<u32>,
        /// The provider of an existing tool: runninghub, replicate, gemini, llm
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
            run("the demo", &mut demo, "a failed story says above what it expected")
        }
        Task::Simulate { args } => {
            tools::setup()?;
            let mut simulate = cargo(&["run", "-p", "unstuck-tests", "--bin", "simulate", "--"]);
            simulate.args(args);
            run("the simulation", &mut simulate, "its story above says what went wrong")
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
        Task::Bench { name, numbers } if name == "world" => bench_orders(&[], &numbers),
        Task::Bench { name, .. } if name == "memory" => bench_orders(&["memory"], &[]),
        Task::Bench { name, .. } => bench::run(&name).await,
        Task::DumpSchema => schema::dump_to_file().await,
        Task::Migration { name, alter, freeze } => match name {
            Some(name) if !freeze => migration::task(&name, alter.as_deref()),
            _ => migration::task_freeze(),
        },
        Task::Migrate { url } => migration::apply::task(&url).await,
        Task::Adopt { url, app, step, tools, dry_run } => {
            adopt::task(&url, step, &adopt::Adoption { app, tools, dry_run }).await
        }
        Task::Deploy { name, plan, rollback, take_over } => {
            let wish = match (plan, rollback, take_over) {
                (true, _, _) => DeployWish::Plan,
                (_, true, _) => DeployWish::RollBack,
                (_, _, true) => DeployWish::TakeOver,
                _ => DeployWish::BringUp,
            };
            deploy::task(&name, wish).await
        }
        Task::Doctor { deployment, json, order } => doctor::task(&deployment, json, order).await,
        Task::Generate => generate::write(),
        Task::NewFunction { name, tool, price, provider } => {
            let tool = price.filter(|_| tool).map(|price| NewTool { provider, price });
            scaffold::new_function(&name, tool.as_ref())
        }
    }
}

/// Runs the tests' program that places orders at random, or the largest ones.
fn bench_orders(which: &[&str], numbers: &[u64]) -> Result<()> {
    tools::setup()?;
    let mut bench = cargo(&["run", "-p", "unstuck-tests", "--bin", "bench-world", "--"]);
    bench.args(which).args(numbers.iter().map(u64::to_string));
    run("the orders", &mut bench, "what is said above names the order that ended wrong")
}

/// Runs the stack until Ctrl-C or SIGTERM, or until a part of it ends.
async fn dev() -> Result<()> {
    tools::setup()?;
    let mut stack = Stack::start(StackOptions::from_env()?).await?;
    stack.sweep().await.context("the first sweep")?;
    // Clients find the file at this path, whatever the ports are.
    stack::write_info(&xtask::paths::local(), stack.info())?;
    announce(stack.info());
    say("press Ctrl-C to stop it");
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

/// Most tests wait for a stack of their own most of the time, so more of them run than there are
/// cores.
const TESTS_PER_CORE: usize = 2;
const TEST_THREADS: &str = "RUST_TEST_THREADS";

fn test(args: &[String]) -> Result<()> {
    tools::setup()?;
    format_of_scripts()?;
    tools::browser()?;
    let test_only = test_functions()?;
    build::functions(&build::all_with(&test_only)?)?;
    build::stand_ins()?;
    // There are no doc tests, and the programs have no tests of their own.
    let mut command: Command =
        cargo(&["test", "--workspace", "--no-fail-fast", "--lib", "--test", "*"]);
    // The functions were built above.
    command.args(args).env("UNSTUCK_SKIP_BUILD", "1");
    if std::env::var_os(TEST_THREADS).is_none() {
        let cores = std::thread::available_parallelism()?.get();
        command.env(TEST_THREADS, (cores * TESTS_PER_CORE).to_string());
    }
    run(
        "tests",
        &mut command,
        "the failed tests are named above; run one by `cargo test -p <package> <name>`",
    )
}

/// Fails if prettier would change a page, a style sheet, a script or the contract.
fn format_of_scripts() -> Result<()> {
    const PATHS: [&str; 8] =
        ["web", "packages", "examples", "functions", "tests", "xtask", "stand-ins", "openapi.yaml"];
    let mut prettier = Command::new(xtask::paths::node_bin("prettier"));
    prettier.current_dir(xtask::paths::root()).arg("--check").args(PATHS);
    let advice = format!("run `npx prettier --write {}`", PATHS.join(" "));
    run_quiet("format of pages and scripts", &mut prettier, &advice).map(drop)
}

/// The folders of functions that only tests run.
fn test_functions() -> Result<Vec<std::path::PathBuf>> {
    let dir = xtask::paths::root().join("tests/functions");
    let Ok(entries) = std::fs::read_dir(&dir) else {
        return Ok(Vec::new());
    };
    entries.map(|entry| Ok(entry?.path())).collect()
}
