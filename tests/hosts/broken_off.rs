//! `cargo xtask adopt` with a connection that breaks off after each statement of a step, and within
//! statements: the step is done whole or not at all, and when it is repeated it has the same end as
//! one that was not interrupted.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use serde_json::{Map, Value};
use unstuck_tests::hosts::{App, FrozenHost, Host, Rights};
use unstuck_tests::shop::CARDS;
use unstuck_tests::wire_cut::WireCut;
use uuid::{Uuid, uuid};
use xtask::adopt::{Adoption, AdoptionStep};
use xtask::fingerprint::Fingerprint;
use xtask::{postgres, schema};

const OWNER: Uuid = uuid!("00000000-0000-4000-8000-000000000001");

async fn perform(app: App, step: AdoptionStep, url: &str) -> Result<Vec<String>, String> {
    let client = postgres::connect(url).await.map_err(|error| format!("{error:#}"))?;
    let app = app.folder().to_owned();
    let adoption = Adoption { app, tools: Vec::new(), dry_run: false };
    adoption.perform(&client, step).await.map_err(|error| format!("{error:#}"))
}

/// Performs the step as its command does and returns its output.
async fn says(app: App, step: AdoptionStep, host: &Host) -> Vec<String> {
    let said = perform(app, step, &host.url("postgres")).await;
    said.unwrap_or_else(|error| panic!("{app:?} {step:?}: {error}"))
}

/// Performs the step over a connection that breaks off after so many statements. Returns its
/// output, and the statements that were sent.
async fn cut(
    app: App,
    step: AdoptionStep,
    host: &Host,
    most: usize,
) -> (Result<Vec<String>, String>, Vec<String>) {
    let wire = WireCut::after(most, host.port()).await;
    let direct = format!(":{}/", host.port());
    let url = host.url("postgres").replace(&direct, &format!(":{}/", wire.port()));
    let said = perform(app, step, &url).await;
    (said, wire.statements().await)
}

/// Performs the steps before this one, and makes rows on which this one works.
async fn prepare(app: App, step: AdoptionStep, host: &Host) {
    match step {
        AdoptionStep::Install => host.suffer_incident(app).await,
        AdoptionStep::Attach => {
            says(app, AdoptionStep::Install, host).await;
        }
        AdoptionStep::Heal => {
            says(app, AdoptionStep::Attach, host).await;
        }
        AdoptionStep::Detach => {
            says(app, AdoptionStep::Heal, host).await;
            host.open_all_tools().await;
            host.set_tool(CARDS, "credit_cost = 5").await;
            let kept = host.order(OWNER, app.tool(), 1).await;
            let attempt = match app {
                App::Tools => host.run(app.provider(), "task").await,
                _ => host.claim_one(app.provider()).await,
            };
            host.complete(attempt).await;
            host.assert_completed(kept, 0).await;
            let back = host.order(OWNER, app.tool(), 1).await;
            host.cancel(OWNER, back).await.unwrap();
        }
        _ => {
            says(app, AdoptionStep::Detach, host).await;
        }
    }
}

/// The whole database: the app's catalog and ours, and the rows of every table. A value that the
/// clock or a random generator has written since `known` was read is replaced by `new`.
#[derive(Debug, PartialEq)]
struct Whole {
    catalog: Fingerprint,
    ours: String,
    rows: BTreeMap<String, Vec<String>>,
}

const TABLES: &str = "
    select string_agg(
        format('select %L as name, to_jsonb(t)::text as row from %s t', c.oid::regclass,
            c.oid::regclass),
        ' union all ')
    from pg_class c
    where c.relkind in ('r', 'p') and not c.relispartition
      and c.relnamespace::regnamespace::text !~ '^(pg_|information_schema)'";

/// Every row in order: the table's name, and its values as JSON.
async fn rows(host: &Host) -> Vec<(String, String)> {
    let client = postgres::connect(&host.platform_url()).await.unwrap();
    let query: String = client.query_one(TABLES, &[]).await.unwrap().get(0);
    let mut rows: Vec<(String, String)> = client
        .query(&query, &[])
        .await
        .unwrap()
        .iter()
        .map(|row| (row.get(0), row.get(1)))
        .collect();
    rows.sort();
    rows
}

fn fields(row: &str) -> Map<String, Value> {
    serde_json::from_str(row).expect("a row is JSON")
}

/// The ids and times in these rows.
fn marks(rows: &[(String, String)]) -> BTreeSet<String> {
    let marks = |(table, row): &(String, String)| {
        let row = fields(row);
        row.iter().filter_map(|(key, value)| mark(table, key, value)).collect::<Vec<_>>()
    };
    rows.iter().flat_map(marks).collect()
}

/// The value of this field, if the clock, a random generator or a sequence may have written it.
fn mark(table: &str, key: &str, value: &Value) -> Option<String> {
    if let Some(text) = value.as_str() {
        let moment = text.len() > 18 && text.as_bytes()[10] == b'T' && text.starts_with("20");
        return (moment || Uuid::parse_str(text).is_ok()).then(|| text.to_owned());
    }
    let drawn = value.is_number() && matches!(key, "id" | "xid" | "entry_id");
    drawn.then(|| format!("{table} {key} {value}"))
}

impl Whole {
    async fn of(host: &Host, known: &BTreeSet<String>) -> Self {
        let mut tables: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for (table, row) in rows(host).await {
            let mut line = String::new();
            for (key, value) in fields(&row) {
                match mark(&table, &key, &value) {
                    Some(mark) if !known.contains(&mark) => write!(line, "{key}: new, "),
                    _ => write!(line, "{key}: {value}, "),
                }
                .expect("a string takes all");
            }
            tables.entry(table).or_default().push(line);
        }
        tables.values_mut().for_each(|lines| lines.sort());
        let client = postgres::connect(&host.platform_url()).await.unwrap();
        let ours = schema::dump(&client).await.unwrap();
        Self { catalog: Fingerprint::take(&client).await.unwrap(), ours, rows: tables }
    }

    fn assert_is(&self, other: &Self, at: &str) {
        assert_eq!(self.catalog.changes(&other.catalog), [], "{at}");
        assert_eq!(self.rows.keys().collect::<Vec<_>>(), other.rows.keys().collect::<Vec<_>>());
        for (table, lines) in &self.rows {
            assert_eq!(lines, &other.rows[table], "{at}: {table}");
        }
        assert!(self.ours == other.ours, "{at}: our own catalog");
    }
}

fn commits(statements: &[String]) -> usize {
    let is_commit = |statement: &&String| statement.trim_end().ends_with("commit");
    statements.iter().filter(is_commit).count()
}

/// Ends the owner's connection at the n-th write, also within a function or a `do` block. A write
/// changes a row of the app or of ours, or an object.
const STOPPER: &str = "
    create schema stopper;
    create sequence stopper.left minvalue -1000000;
    create function stopper.count() returns void language plpgsql security definer as $$
    begin
      if session_user = 'postgres' and nextval('stopper.left') = 0 then
        perform pg_terminate_backend(pg_backend_pid());
        perform pg_sleep(10);
      end if;
    end $$;
    create function stopper.on_rows() returns trigger language plpgsql security definer as
    'begin perform stopper.count(); return null; end';
    create function stopper.on_objects() returns event_trigger language plpgsql security definer as
    'begin perform stopper.count(); end';
    do $$
    declare v_table regclass;
    begin
      for v_table in
        select c.oid from pg_class c
        where c.relkind in ('r', 'p') and c.relnamespace::regnamespace::text
          in ('public', 'unstuck', 'unstuck_private')
      loop
        execute format('create trigger stopper before insert or update or delete on %s '
          || 'for each statement execute function stopper.on_rows()', v_table);
      end loop;
    end $$;
    create event trigger stopper on ddl_command_start execute function stopper.on_objects()";

/// A step that is performed without interruption, and then repeated.
struct Uninterrupted {
    app: App,
    step: AdoptionStep,
    before: FrozenHost,
    known: BTreeSet<String>,
    statements: Vec<String>,
    /// The step's output, and its output when it is repeated.
    said: [Vec<String>; 2],
    end: Whole,
}

impl Uninterrupted {
    async fn of(app: App, step: AdoptionStep, before: FrozenHost) -> Self {
        let host = before.copy().await;
        let known = marks(&rows(&host).await);
        let (said, statements) = cut(app, step, &host, usize::MAX).await;
        let said = said.unwrap_or_else(|error| panic!("{app:?} {step:?}: {error}"));
        let end = Whole::of(&host, &known).await;
        let repeated = says(app, step, &host).await;
        end.assert_is(&Whole::of(&host, &known).await, "done twice");
        Self { app, step, before, known, statements, said: [said, repeated], end }
    }

    /// Breaks the step off after so many statements, and repeats it.
    async fn broken_off_and_repeated(&self, most: usize) {
        let host = self.before.copy().await;
        let (broken, sent) = cut(self.app, self.step, &host, most).await;
        let at = format!("{:?} {:?} after {most}: {:?}", self.app, self.step, sent.last());
        assert!(broken.is_err(), "{at}: {broken:?}");
        assert_eq!(sent.len(), most, "{at}");
        let said = says(self.app, self.step, &host).await;
        let done = commits(&sent);
        let expected = match self.step {
            AdoptionStep::Install => {
                vec![format!("{} migrations applied", commits(&self.statements) - done)]
            }
            _ => self.said[done.min(1)].clone(),
        };
        assert_eq!(said, expected, "{at}");
        Whole::of(&host, &self.known).await.assert_is(&self.end, &at);
    }

    /// In one database, breaks the step off after each statement before its first commit. Then it
    /// breaks the step off within statements: at every `stride`-th write, beginning with the
    /// `first`, until the step has no such write.
    async fn broken_off_everywhere(&self, first: usize, stride: usize) {
        let host = self.before.copy().await;
        let before = rows(&host).await;
        let at = format!("{:?} {:?}", self.app, self.step);
        let first_commit = (0..).find(|most| commits(&self.statements[..*most]) > 0);
        for most in 0..first_commit.expect("the step commits") {
            let (broken, sent) = cut(self.app, self.step, &host, most).await;
            assert!(broken.is_err(), "{at} after {most}: {:?}: {broken:?}", sent.last());
        }
        assert!(rows(&host).await == before, "{at}: something is left");
        let platform = host.platform().await;
        platform.exec(STOPPER).await;
        for nth in (first..).step_by(stride) {
            platform.exec(&format!("select setval('stopper.left', -{nth})")).await;
            match perform(self.app, self.step, &host.url("postgres")).await {
                Err(ended) => assert!(ended.contains("terminating connection"), "{at}: {ended}"),
                Ok(said) => {
                    assert!(nth > first, "{at} writes");
                    assert_eq!(said, self.said[0], "{at}");
                    break;
                }
            }
        }
        platform.exec("drop schema stopper cascade").await;
        Whole::of(&host, &self.known).await.assert_is(&self.end, &at);
    }
}

/// Breaks each step off in an app. In one database this happens after every statement, so that
/// leftovers would add up, and at a third of the writes (for healing, at a ninth). In a database of
/// its own each time, the step is broken off and repeated after every sixth statement, others in
/// each app, and after the commit. An installation has more than a thousand statements: it is
/// broken off after a few of them, and after commits of its migrations.
async fn each_step_is_broken_off(app: App, third: usize) {
    let mut before = Host::fresh(app, Rights::Closed).await;
    for step in [
        AdoptionStep::Install,
        AdoptionStep::Attach,
        AdoptionStep::Heal,
        AdoptionStep::Detach,
        AdoptionStep::Uninstall,
    ] {
        prepare(app, step, &before).await;
        let whole = Uninterrupted::of(app, step, before.frozen().await).await;
        let count = whole.statements.len();
        let done = |most: usize| commits(&whole.statements[..most]);
        let points: Vec<usize> = match step {
            AdoptionStep::Install => {
                let commits = (1..=count).filter(|most| done(*most) > done(most - 1)).skip(third);
                commits.step_by(3).chain([(third + 1) * count / 5 + third, count / 2]).collect()
            }
            _ => (0..=count).filter(|most| most % 6 == 2 * third || done(*most) > 0).collect(),
        };
        for most in &points {
            whole.broken_off_and_repeated(*most).await;
        }
        match step {
            AdoptionStep::Install => {}
            AdoptionStep::Heal => whole.broken_off_everywhere(1 + third, 9).await,
            _ => whole.broken_off_everywhere(1 + third, 3).await,
        }
        before = whole.before.copy().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_step_in_the_app_of_tools_may_break_off_anywhere() {
    each_step_is_broken_off(App::Tools, 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_step_in_the_app_of_cards_may_break_off_anywhere() {
    each_step_is_broken_off(App::Cards, 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_step_in_the_app_of_sites_may_break_off_anywhere() {
    each_step_is_broken_off(App::Sites, 2).await;
}
