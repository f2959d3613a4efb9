//! `cargo xtask adopt <url> <app> <step>` moves into the database of an existing app, and out
//! again. docs/adopting.md says when to take which step.
//!
//! Each step is one transaction (an installation is one for each migration). It is done completely
//! or not at all, and a repetition changes nothing more. With `--dry-run` the step is done,
//! reported and rolled back. No statement waits longer than five seconds for a lock of the app,
//! because all other sessions wait behind it. The decisions of one app are SQL in
//! `supabase/hosts/<app>`.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use clap::ValueEnum;
use tokio_postgres::Client;

use crate::command::say;
use crate::migration::{Project, apply};
use crate::{paths, postgres};

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum AdoptionStep {
    /// Read only: what is there, which names are taken, what hangs, sums of money
    Look,
    /// Apply our migrations
    Install,
    /// Put the app's wallet in the place of ours and write to its tables
    Attach,
    /// Close what hangs in the app's own tables, once, with its credits
    Heal,
    /// Read only: what is attached, what is owed
    Status,
    /// Write to its tables no more; without --tool, also give its wallet back
    Detach,
    /// Remove all of ours
    Uninstall,
}

/// The parameters of a step.
#[derive(Clone, Debug)]
pub struct Adoption {
    /// The folder of the app's adapter: `tools-app`, `cards-app`, `sites-app`.
    pub app: String,
    /// The tools to attach or detach; if empty, all that the adapter knows.
    pub tools: Vec<String>,
    pub dry_run: bool,
}

pub async fn task(url: &str, step: AdoptionStep, adoption: &Adoption) -> Result<()> {
    let warn = |warning| say(format_args!("warning: {warning}"));
    let client = postgres::connect_with(url, warn).await.context("URL")?;
    for line in adoption.perform(&client, step).await? {
        say(line);
    }
    Ok(())
}

impl Adoption {
    /// Takes one step and returns the lines to print.
    pub async fn perform(&self, client: &Client, step: AdoptionStep) -> Result<Vec<String>> {
        if !paths::root().join("supabase/hosts").join(&self.app).is_dir() {
            bail!("there is no adapter supabase/hosts/{}", self.app);
        }
        // The limit is set for the session, because the first migrations and the adapters' files
        // set none.
        client.batch_execute("set lock_timeout = '5s'").await?;
        let done = match step {
            AdoptionStep::Look => self.look(client).await,
            AdoptionStep::Install => self.install(client).await,
            AdoptionStep::Status => status(client).await,
            AdoptionStep::Attach => self.changed(client, &self.attach()?).await,
            AdoptionStep::Heal => self.heal(client).await,
            AdoptionStep::Detach => self.changed(client, &self.detach()?).await,
            AdoptionStep::Uninstall => self.uninstall(client).await,
        };
        done.map_err(|error| {
            let hint = error.chain().find_map(|cause| postgres::hint(cause.downcast_ref()?));
            match hint {
                Some(hint) => error.context(hint),
                None => error,
            }
        })
    }

    /// The text of an adapter's file, without its `begin` and `commit`.
    fn file(&self, name: &str) -> Result<String> {
        let path = self.path(name);
        let text = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
        Ok(without_transaction(&text))
    }

    fn path(&self, name: &str) -> PathBuf {
        paths::root().join("supabase/hosts").join(&self.app).join(name)
    }

    async fn look(&self, client: &Client) -> Result<Vec<String>> {
        let mut said = pending(client).await?;
        for name in taken_names(client).await? {
            said.push(format!("public.{name} is the app's own: it stays, and is no front of ours"));
        }
        said.extend(self.sums(client, "now").await?);
        Ok(said)
    }

    async fn install(&self, client: &Client) -> Result<Vec<String>> {
        let mut said = pending(client).await?;
        if self.dry_run {
            let sql = pending_sql(client).await?;
            self.begin(client, &sql).await?;
            said.extend(status(client).await?);
            self.end(client, &mut said).await?;
            return Ok(said);
        }
        let applied = apply::migrate(client, &Project::here(), |_| ()).await?;
        Ok(vec![format!("{applied} migrations applied")])
    }

    /// The text of both files of the adapter. It attaches only the tables of the named tools.
    fn attach(&self) -> Result<String> {
        let named = literal(&self.tools.join(" "));
        Ok(format!("select set_config('unstuck.tools', {named}, true);\n")
            + &self.file("wallet.sql")?
            + &self.file("projection.sql")?
            + &self.refuse_unless_in("unstuck.projections"))
    }

    /// SQL that fails if a named tool is not in this table. A misspelt name would otherwise change
    /// nothing without an error.
    fn refuse_unless_in(&self, table: &str) -> String {
        format!(
            "do $adopt$
            declare
              v_unknown text := (
                select string_agg(n.tool, ', ')
                from unnest({named}) as n (tool)
                where n.tool not in (select t.tool from {table} t)
              );
            begin
              if v_unknown is not null then
                raise exception '{table} has no tool %', v_unknown;
              end if;
            end $adopt$;\n",
            named = array(&self.tools)
        )
    }

    fn detach(&self) -> Result<String> {
        if !self.tools.is_empty() {
            let named = detach_where(&format!("tool = any ({})", array(&self.tools)));
            return Ok(self.refuse_unless_in("unstuck.tools") + &named);
        }
        let mut sql =
            "select unstuck_private.wallet_detach();\n".to_owned() + &detach_where("true");
        let sources = Project::here().sources()?;
        for source in sources.iter().filter(|source| source.path.starts_with("wallet/wallet_")) {
            sql += &source.text;
        }
        Ok(sql)
    }

    /// Runs the statements in one transaction. Returns the sums before and after, then what is
    /// attached.
    async fn changed(&self, client: &Client, sql: &str) -> Result<Vec<String>> {
        let mut said = self.sums(client, "before").await?;
        self.begin(client, sql).await?;
        said.extend(self.sums(client, "after").await?);
        said.extend(status(client).await?);
        self.end(client, &mut said).await?;
        Ok(said)
    }

    /// Begins the step's transaction and runs the statements. If one fails, everything is rolled
    /// back.
    async fn begin(&self, client: &Client, sql: &str) -> Result<()> {
        client.batch_execute("begin").await?;
        if let Err(error) = client.batch_execute(sql).await {
            let _ = client.batch_execute("rollback").await;
            return Err(postgres::failed(&self.app, sql, &error));
        }
        Ok(())
    }

    async fn heal(&self, client: &Client) -> Result<Vec<String>> {
        let mut said = self.sums(client, "before").await?;
        self.begin(client, &self.file("heal.sql")?).await?;
        said.push("closed or left:".to_owned());
        let query = "select host_table, job_id::text, coalesce(user_id::text, 'nobody'), returned,
            note from unstuck_private.host_heal()";
        for row in client.query(query, &[]).await.context("heal")? {
            let (table, job, user): (&str, &str, &str) = (row.get(0), row.get(1), row.get(2));
            let (returned, note): (i64, &str) = (row.get(3), row.get(4));
            said.push(format!("{table} {job}: {returned} to {user}, {note}"));
        }
        said.extend(self.sums(client, "after").await?);
        self.end(client, &mut said).await?;
        Ok(said)
    }

    /// Removes everything of ours. Returns what it removes.
    async fn uninstall(&self, client: &Client) -> Result<Vec<String>> {
        let file = "supabase/uninstall.sql";
        let sql = fs::read_to_string(paths::root().join(file)).context(file)?;
        let mut said = ours(client).await?;
        if self.dry_run {
            // The file has its own `begin` and `commit`. With its first commit replaced by a
            // rollback, a dry run shows whether it would refuse.
            let tried = sql.replacen("\ncommit;\n", "\nrollback;\n", 1);
            let tried = tried.split_inclusive("\nrollback;\n").next().unwrap_or_default();
            let tried = client.batch_execute(tried).await;
            tried.map_err(|error| postgres::failed(file, &sql, &error))?;
            said.push("it can be removed; nothing was changed".to_owned());
            return Ok(said);
        }
        client.batch_execute(&sql).await.map_err(|error| postgres::failed(file, &sql, &error))?;
        said.push("removed".to_owned());
        Ok(said)
    }

    /// The sums that the adapter reads from the app's tables, each line marked with `moment`.
    async fn sums(&self, client: &Client, moment: &str) -> Result<Vec<String>> {
        let sql = format!(
            "select what, rows::text, coalesce(credits, 0)::text from ({}) l",
            self.file("look.sql")?
        );
        let rows = client.query(&sql, &[]).await.map_err(|error| {
            let file = format!("{}: is this the app's database?", self.path("look.sql").display());
            postgres::failed(&file, &sql, &error)
        })?;
        let line = |row: &tokio_postgres::Row| {
            let (what, rows, credits): (&str, &str, &str) = (row.get(0), row.get(1), row.get(2));
            format!("{what}: {rows} rows, {credits} credits")
        };
        Ok([format!("{moment}:")].into_iter().chain(rows.iter().map(line)).collect())
    }

    async fn end(&self, client: &Client, said: &mut Vec<String>) -> Result<()> {
        client.batch_execute(if self.dry_run { "rollback" } else { "commit" }).await?;
        if self.dry_run {
            said.push("rolled back: nothing was changed".to_owned());
        }
        Ok(())
    }
}

fn array(tools: &[String]) -> String {
    let quoted: Vec<String> = tools.iter().map(|tool| literal(tool)).collect();
    format!("array[{}]::text[]", quoted.join(", "))
}

fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// Detaches the tables of the tools that meet the condition.
fn detach_where(condition: &str) -> String {
    format!(
        "select unstuck_private.projection_detach(p.tool, p.host_table)
        from unstuck.projections p where {condition};\n"
    )
}

async fn installed(client: &Client) -> Result<bool> {
    let query = "select to_regclass('unstuck.projections') is not null";
    Ok(client.query_one(query, &[]).await?.get(0))
}

/// The names of the migrations that the database lacks.
async fn pending(client: &Client) -> Result<Vec<String>> {
    let project = Project::here();
    let migrations = project.migrations()?;
    let pending = apply::pending(&apply::history(client).await?, &migrations)?;
    if pending.is_empty() {
        return Ok(vec!["our migrations: all applied".to_owned()]);
    }
    Ok(pending.iter().map(|(name, _)| format!("to apply: {}", name.file())).collect())
}

/// The text of those migrations, without their transactions.
async fn pending_sql(client: &Client) -> Result<String> {
    let migrations = Project::here().migrations()?;
    let history = apply::history(client).await?;
    let pending = apply::pending(&history, &migrations)?;
    Ok(pending.iter().map(|(_, text)| without_transaction(text)).collect())
}

fn without_transaction(text: &str) -> String {
    let lines = text.lines().filter(|line| !["begin;", "commit;"].contains(line));
    lines.map(|line| format!("{line}\n")).collect()
}

/// Our old names that an object of the app has in `public`.
async fn taken_names(client: &Client) -> Result<Vec<String>> {
    let sources = Project::here().sources()?;
    let names: Vec<String> = sources
        .iter()
        .filter_map(|source| source.path.strip_prefix("front/")?.strip_suffix(".sql"))
        .filter(|name| *name != "is_name_free")
        .map(str::to_owned)
        .collect();
    let query = "
        select n.name from unnest($1::text[]) as n (name)
        where exists (
            select from pg_class c
            where c.relname = n.name and c.relnamespace = 'public'::regnamespace
              and coalesce(obj_description(c.oid, 'pg_class'), '') not like 'Unstuck front of %'
        ) or exists (
            select from pg_proc p
            where p.proname = n.name and p.pronamespace = 'public'::regnamespace
              and coalesce(obj_description(p.oid, 'pg_proc'), '') not like 'Unstuck front of %'
        ) order by 1";
    Ok(client.query(query, &[&names]).await?.iter().map(|row| row.get(0)).collect())
}

/// What an uninstallation removes, and what it leaves.
async fn ours(client: &Client) -> Result<Vec<String>> {
    let query = "
        select format('goes: the schema %s with %s tables and %s functions', n.nspname,
            (select count(*) from pg_class c where c.relnamespace = n.oid and c.relkind = 'r'),
            (select count(*) from pg_proc p where p.pronamespace = n.oid))
        from pg_namespace n
        where n.nspname in ('unstuck', 'unstuck_private')
        union all
        select format('goes: the %s %s', o.type, o.identity)
        from pg_description d
        cross join lateral pg_identify_object(d.classoid, d.objoid, 0) o
        where d.objsubid = 0 and d.description like 'Unstuck front of %' and o.schema = 'public'
        union all
        select format('goes: the policy %s of %s', polname, polrelid::regclass)
        from pg_policy
        where polname = 'unstuck uploads insert' and polrelid = to_regclass('storage.objects')
        union all
        select format('goes: %s.%s in the publication %s', schemaname, tablename, pubname)
        from pg_publication_tables
        where schemaname = 'unstuck' and tablename = 'jobs'
        union all
        select 'goes: the schedule unstuck-cleanup of pg_cron, where there is one'
        union all
        select 'stays: the buckets, with their files, and every table of the app'";
    Ok(client.query(query, &[]).await?.iter().map(|row| row.get(0)).collect())
}

/// What is attached, and what is owed to the app.
async fn status(client: &Client) -> Result<Vec<String>> {
    if !installed(client).await? {
        return Ok(vec!["not installed".to_owned()]);
    }
    let query = "
        select 'wallet: ' || coalesce((select adapter from unstuck_private.installed), 'built in')
        union all
        select format('%s: %s of %s are ours', p.host_table, p.tool,
            case when p.enabled then 'its rows' else 'no rows (disabled)' end)
        from (select * from unstuck.projections order by host_table, tool) p
        union all
        select format('refunds owed: %s, %s credits', count(*), coalesce(sum(amount), 0))
        from unstuck.refunds_owed
        union all
        select format('rows not written: %s', count(*))
        from unstuck.projection_errors where mended_at is null
        union all
        select format('requests of the app not carried out: %s', count(*))
        from unstuck.host_requests";
    Ok(client.query(query, &[]).await?.iter().map(|row| row.get(0)).collect())
}
