//! A Postgres whose clock is the simulation's, and a database of it that is called as PostgREST
//! calls one.
//!
//! `clock.c` is preloaded into the server and reads the time from a file. Everything runs on one
//! connection, one call after the other, so that a seed gives the same times.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::fs::File;
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::path::PathBuf;
use std::process::Command;
use std::rc::Rc;

use anyhow::{Context, Result};
use serde_json::Value;
use tokio::runtime::Runtime;
use tokio_postgres::types::{Json, ToSql};
use tokio_postgres::{Client, Statement};
use xtask::postgres::{self, Postgres};

use crate::database::{close, embedded};
use crate::session::SqlError;

/// When every simulation begins: 2030-01-01, in milliseconds since 1970.
pub const BEGIN_MS: u64 = 1_893_456_000_000;
const TEMPLATE: &str = "simulation";
const USED_MAX: usize = 2;
/// What a database needs that lives for seconds, and that one connection uses.
const SETTINGS: [&str; 7] = [
    "autovacuum = off",
    "full_page_writes = off",
    "plan_cache_mode = force_generic_plan",
    "synchronous_commit = off",
    "track_activities = off",
    "track_counts = off",
    "update_process_title = off",
];
/// Settings that cost more at each call of a function than its work: how its queries are planned,
/// since the tables of a plan are small, and what is the same for the whole connection.
const KEEP_SETTINGS: &str = "do $$
declare
  v_function record;
begin
  for v_function in
    select p.oid::regprocedure as name, split_part(s.setting, '=', 1) as setting
    from pg_proc p
    cross join unnest(p.proconfig) s (setting)
    where p.pronamespace in ('unstuck'::regnamespace, 'unstuck_private'::regnamespace)
      and split_part(s.setting, '=', 1) in (
        'jit', 'plan_cache_mode', 'search_path', 'statement_timeout'
      )
  loop
    execute format('alter function %s reset %I', v_function.name, v_function.setting);
  end loop;
end $$";

/// Postgres parses and plans a function of `language sql` anew at each call that it cannot inline.
/// So a query that reads becomes the body of a PL/pgSQL function, whose plan is kept.
const KEEP_QUERIES: &str = r"do $$
declare
  v_function record;
  v_body text;
begin
  for v_function in
    select p.oid, p.prosrc, p.proretset, pg_get_functiondef(p.oid) as definition
    from pg_proc p
    join pg_language l on l.oid = p.prolang
    where p.pronamespace in ('unstuck'::regnamespace, 'unstuck_private'::regnamespace)
      and l.lanname = 'sql'
      and p.prosqlbody is null
      and p.provolatile in ('i', 's')
      and (p.proconfig is not null or not p.proretset and p.prosrc ~ '\m(from|where)\M')
      and (p.proretset or p.prorettype::regtype::oid not in (
        select t.oid from pg_type t where t.typtype in ('c', 'p')
      ))
  loop
    v_body := regexp_replace(v_function.prosrc, ';?\s*$', '');
    v_body := case
      when v_function.proretset then 'return query ' || v_body || ';'
      else 'return (' || v_body || ');'
    end;
    execute replace(
      replace(v_function.definition, 'LANGUAGE sql', 'LANGUAGE plpgsql'),
      v_function.prosrc,
      E'\n#variable_conflict use_column\nbegin\n' || v_body || E'\nend '
    );
  end loop;
end $$";

/// A server with a template of our database, at the simulation's time.
pub struct SimulationServer {
    runtime: Runtime,
    base: String,
    clock: File,
    count: Cell<u32>,
    /// The databases of plans before, for the next plan: without an app's wallet, and with one.
    used: RefCell<Vec<OpenDatabase>>,
    home: PathBuf,
    _postgres: Postgres,
}

impl SimulationServer {
    pub fn start() -> Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let name = format!("unstuck-clock-{}", xtask::keys::random_hex(6)?);
        let home = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&home)?;
        std::fs::set_permissions(&home, PermissionsExt::from_mode(0o755))?;
        let (library, path) = (home.join("clock.so"), home.join("now"));
        compile(&library)?;
        let clock = File::create(&path)?;
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o644))?;
        write_clock(&clock, BEGIN_MS)?;
        let env = vec![
            ("LD_PRELOAD".to_owned(), library.display().to_string()),
            ("UNSTUCK_CLOCK".to_owned(), path.display().to_string()),
        ];
        let (port, postgres) = runtime.block_on(embedded(env))?;
        let base = format!("postgres://postgres:postgres@127.0.0.1:{port}");
        runtime.block_on(make_template(&base))?;
        let (count, used) = (Cell::new(0), RefCell::default());
        Ok(Self { runtime, base, clock, count, used, home, _postgres: postgres })
    }

    /// A database without jobs, with `changes` applied to it.
    pub fn database(self: &Rc<Self>, changes: &[String]) -> Result<SimulationDatabase> {
        self.set_clock(BEGIN_MS);
        let used = {
            let mut used = self.used.borrow_mut();
            let at = used.iter().position(|used| used.changes == changes);
            at.map(|at| used.remove(at))
        };
        let open = self.runtime.block_on(async {
            match used {
                Some(used) => {
                    used.owner.batch_execute("select auditor.begin_anew()").await?;
                    anyhow::Ok(used)
                }
                None => self.open(changes).await,
            }
        })?;
        Ok(SimulationDatabase { server: Rc::clone(self), open: Some(open) })
    }

    async fn open(&self, changes: &[String]) -> Result<OpenDatabase> {
        self.count.set(self.count.get() + 1);
        let name = format!("simulation_{}", self.count.get());
        let admin = postgres::connect(&format!("{}/postgres", self.base)).await?;
        admin.batch_execute(&format!("create database {name} template {TEMPLATE}")).await?;
        let url = format!("{}/{name}", self.base);
        let owner = postgres::connect(&url).await?;
        for change in changes {
            owner.batch_execute(change).await.with_context(|| change.clone())?;
        }
        let api = postgres::connect(&url).await?;
        api.batch_execute(
            "set role service_role;
            set search_path = '';
            select set_config('request.jwt.claims', '{\"role\": \"service_role\"}', false)",
        )
        .await?;
        let set_headers = api.prepare("select set_config('request.headers', $1, false)").await?;
        Ok(OpenDatabase {
            changes: changes.to_vec(),
            owner,
            api,
            set_headers,
            reads: RefCell::default(),
            is_healer: Cell::new(false),
            statements: RefCell::default(),
        })
    }

    /// Sets the time of the database, in milliseconds since 1970.
    pub fn set_clock(&self, ms: u64) {
        write_clock(&self.clock, ms).expect("the clock's file is ours");
    }
}

impl Drop for SimulationServer {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.home);
    }
}

fn write_clock(clock: &File, ms: u64) -> Result<()> {
    Ok(clock.write_all_at(&(ms * 1_000).to_ne_bytes(), 0)?)
}

fn compile(library: &std::path::Path) -> Result<()> {
    let source = xtask::paths::root().join("tests/support/simulation/clock.c");
    let status = Command::new("cc")
        .args(["-O2", "-shared", "-fPIC", "-o"])
        .args([library, &source])
        .status()
        .context("the simulation needs a C compiler (`cc`) for Postgres' clock")?;
    anyhow::ensure!(status.success(), "cc cannot compile {}", source.display());
    Ok(())
}

async fn make_template(base: &str) -> Result<()> {
    let admin_url = format!("{base}/postgres");
    let admin = postgres::connect(&admin_url).await?;
    for setting in SETTINGS {
        admin.batch_execute(&format!("alter system set {setting}")).await?;
    }
    admin.batch_execute("select pg_reload_conf()").await?;
    admin.batch_execute(&format!("create database {TEMPLATE}")).await?;
    let client = postgres::connect(&format!("{base}/{TEMPLATE}")).await?;
    postgres::install(&client, false).await?;
    client.batch_execute(include_str!("changes.sql")).await?;
    client.batch_execute(KEEP_QUERIES).await?;
    client.batch_execute(KEEP_SETTINGS).await?;
    drop(client);
    close(&admin_url, TEMPLATE).await
}

/// How a function is called.
#[derive(Clone)]
struct PreparedCall {
    statement: Statement,
    /// It answers with one value in place of rows.
    is_scalar: bool,
}

/// What becomes of the transaction of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    Commit,
    /// The connection broke before the commit.
    RollBack,
}

/// A database with its connections, which know the functions that they have called.
struct OpenDatabase {
    changes: Vec<String>,
    owner: Client,
    api: Client,
    set_headers: Statement,
    /// The queries of the owner.
    reads: RefCell<BTreeMap<String, Statement>>,
    is_healer: Cell<bool>,
    statements: RefCell<BTreeMap<String, PreparedCall>>,
}

impl OpenDatabase {
    /// Prepares the call of a function with arguments of these names, once.
    async fn prepare(&self, function: &str, args: &Value) -> Result<PreparedCall, SqlError> {
        let names: Vec<&String> = args.as_object().map(|args| args.keys().collect()).unwrap();
        let key = format!("{function}({names:?})");
        if let Some(known) = self.statements.borrow().get(&key) {
            return Ok(known.clone());
        }
        let sql = "select not proretset and prorettype::regtype::oid not in (
              select oid from pg_type where typtype in ('c', 'p') and typname <> 'void'),
            coalesce((select jsonb_object_agg(n, format_type(t, null))
              from unnest(p.proargnames, coalesce(p.proallargtypes, p.proargtypes::oid[])) a (n, t)
            ), '{}')
          from pg_proc p where pronamespace = 'unstuck'::regnamespace and proname = $1";
        let row = self.owner.query_one(sql, &[&function]).await?;
        let (is_scalar, types): (bool, Value) = (row.get(0), row.get(1));
        let columns: Vec<String> =
            names.iter().map(|name| format!("{name} {}", types[*name].as_str().unwrap())).collect();
        let passed: Vec<String> = names.iter().map(|name| format!("{name} => a.{name}")).collect();
        let (from, passed) = match names.is_empty() {
            true => (String::new(), String::new()),
            false => {
                (format!("jsonb_to_record($1) as a({}),", columns.join(", ")), passed.join(", "))
            }
        };
        let alias = if is_scalar { "f(value)" } else { "f" };
        let sql = format!(
            "select coalesce(jsonb_agg(to_jsonb(r)), '[]'), $1::jsonb is null from (
             select f.* from {from} lateral unstuck.{function}({passed}) as {alias}) r"
        );
        let statement = self.api.prepare(&sql).await?;
        let prepared = PreparedCall { statement, is_scalar };
        self.statements.borrow_mut().insert(key, prepared.clone());
        Ok(prepared)
    }
}

/// The database of one plan. The next plan of its kind uses it, too.
pub struct SimulationDatabase {
    server: Rc<SimulationServer>,
    open: Option<OpenDatabase>,
}

impl SimulationDatabase {
    fn open(&self) -> &OpenDatabase {
        self.open.as_ref().expect("it is open until it is dropped")
    }

    /// Calls a function as the service role. The answer is what PostgREST answers.
    pub fn call(
        &self,
        function: &str,
        args: &Value,
        is_healer: bool,
        ending: Ending,
    ) -> Result<Value, SqlError> {
        let open = self.open();
        self.server.runtime.block_on(async {
            if open.is_healer.replace(is_healer) != is_healer {
                let headers = if is_healer { "{\"x-unstuck-caller\": \"healer\"}" } else { "" };
                open.api.query(&open.set_headers, &[&headers]).await?;
            }
            let prepared = open.prepare(function, args).await?;
            if ending == Ending::RollBack {
                open.api.batch_execute("begin").await?;
            }
            let rows = open.api.query(&prepared.statement, &[&Json(args)]).await;
            if ending == Ending::RollBack {
                open.api.batch_execute("rollback").await?;
            }
            let answer: Value = rows?[0].get(0);
            Ok(if prepared.is_scalar { answer[0]["value"].clone() } else { answer })
        })
    }

    /// Runs a statement as the owner.
    pub fn exec(&self, sql: &str) {
        let run = self.server.runtime.block_on(self.open().owner.batch_execute(sql));
        if let Err(error) = run {
            panic!("{}\n{sql}", SqlError::from(error));
        }
    }

    /// The rows of a query as JSON objects, as the owner.
    pub fn rows(&self, sql: &str, params: &[&(dyn ToSql + Sync)]) -> Vec<Value> {
        let open = self.open();
        let rows = self.server.runtime.block_on(async {
            let known = open.reads.borrow().get(sql).cloned();
            let statement = match known {
                Some(known) => known,
                None => {
                    let sql = format!("select to_jsonb(r) from ({sql}) r");
                    open.owner.prepare(&sql).await?
                }
            };
            open.reads.borrow_mut().insert(sql.to_owned(), statement.clone());
            open.owner.query(&statement, params).await
        });
        let rows = rows.unwrap_or_else(|error| panic!("{}\n{sql}", SqlError::from(error)));
        rows.iter().map(|row| row.get(0)).collect()
    }

    pub fn set_clock(&self, ms: u64) {
        self.server.set_clock(ms);
    }
}

impl Drop for SimulationDatabase {
    fn drop(&mut self) {
        let mut used = self.server.used.borrow_mut();
        used.extend(self.open.take());
        if used.len() > USED_MAX {
            used.remove(0);
        }
    }
}
