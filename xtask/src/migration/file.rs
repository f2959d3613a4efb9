//! Composes the text of a numbered migration, and reads a composed one.

use anyhow::{Context, Result, bail};

use super::sha256;
use super::source::Source;

/// The beginning of the lines by which a composed file is read. No line of a source begins like
/// this.
pub const MARKER: &str = "--: ";
const SOURCE: &str = "--: source ";
const REMOVED: &str = "--: removed ";
const BY_HAND: &str = "by hand";
const WRITTEN: &str = "\n-- written by hand\n";
const HISTORY: &str = "--: history\n";

/// Changes the schedule in a transaction of its own. pg_cron 1.4 overlooks it among thousands of
/// other changes: Postgres then merges all invalidations into one, which pg_cron does not recognise
/// as a change. pg_cron looks once a second.
const SCHEDULED: &str =
    "-- pg_cron overlooks a schedule among so many changes: change it once more, alone.
do $scheduled$
declare
  v_job bigint;
begin
  select j.jobid
  into v_job
  from cron.job j
  where j.command = 'select unstuck.cleanup_all_stale_ai_jobs()';
  if found then
    perform pg_sleep(2.5);
    perform cron.alter_job(v_job, schedule => '* * * * *');
  end if;
exception when undefined_table or undefined_function or insufficient_privilege then
  null;
end $scheduled$;
";

/// A migration that waits for a lock blocks all sessions behind it.
const PATIENCE: &str =
    "-- While this waits for a table, everybody else waits behind it: fail and retry instead.
set local lock_timeout = '5s';
";

/// A file name such as `0001_unstuck.sql`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Name {
    pub number: u32,
    pub name: String,
}

impl Name {
    pub fn new(number: u32, name: &str) -> Result<Self> {
        let letters =
            |letter: char| letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == '_';
        if !name.starts_with(|letter: char| letter.is_ascii_lowercase())
            || !name.chars().all(letters)
        {
            bail!(
                "`{name}` is no name for a migration: small letters, digits and _, \
                 such as add_retry_delay"
            );
        }
        Ok(Self { number, name: name.into() })
    }

    pub fn parse(file: &str) -> Result<Self> {
        let parts = file.strip_suffix(".sql").and_then(|stem| stem.split_once('_'));
        let (number, name) = parts
            .filter(|(number, _)| {
                number.len() == 4 && number.bytes().all(|digit| digit.is_ascii_digit())
            })
            .with_context(|| {
                format!("supabase/migrations/{file}: a migration is named like 0001_unstuck.sql")
            })?;
        Self::new(number.parse()?, name).with_context(|| format!("supabase/migrations/{file}"))
    }

    pub fn file(&self) -> String {
        format!("{:04}_{}.sql", self.number, self.name)
    }
}

/// The part of a migration for one source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    /// The text of the source, which is executed.
    Whole(Source),
    /// Only the hash: the change was made by statements written by hand, or the file was only
    /// moved.
    Noted {
        path: String,
        hash: String,
    },
    Removed {
        path: String,
    },
}

/// Everything between `begin` and the row of the history.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Body {
    /// Statements written by hand, which run first.
    pub by_hand: String,
    /// Statements that drop objects before they are recreated.
    pub drops: Vec<String>,
    pub parts: Vec<Part>,
}

pub fn compose(name: &Name, body: &Body) -> String {
    let mut text = head(name);
    if !body.by_hand.trim().is_empty() {
        text.push_str(&format!("{WRITTEN}{}\n", body.by_hand.trim_end()));
    }
    if !body.drops.is_empty() {
        text.push_str(&format!("\n--: recreated below, or removed\n{}\n", body.drops.join("\n")));
    }
    for part in &body.parts {
        text.push('\n');
        match part {
            Part::Whole(source) => {
                text.push_str(&format!(
                    "{SOURCE}{} {}\n{}",
                    source.path,
                    source.hash(),
                    source.text
                ));
            }
            Part::Noted { path, hash } => {
                text.push_str(&format!("{SOURCE}{path} {hash} {BY_HAND}\n"))
            }
            Part::Removed { path } => text.push_str(&format!("{REMOVED}{path}\n")),
        }
    }
    let hash = sha256(&text);
    text.push_str(&tail(name, &hash));
    text
}

/// The statements written by hand in the text of a migration.
pub fn by_hand(text: &str) -> Option<String> {
    let (_, after) = text.split_once(WRITTEN)?;
    Some(after.split("\n\n--: ").next()?.to_owned())
}

fn tail(name: &Name, hash: &str) -> String {
    format!(
        "\n{HISTORY}insert into unstuck_private.migrations (number, name, hash)
values (
  {},
  '{}',
  '{hash}'
);

notify pgrst, 'reload schema';

commit;

{SCHEDULED}",
        name.number, name.name
    )
}

fn head(name: &Name) -> String {
    let file = name.file();
    format!(
        "-- {file}
-- Made by `cargo xtask migration {}`
-- from supabase/schemas, in the order in which things can be created. Do not edit it: change the
-- sources. It is applied once, whole or not at all.

begin;

do $applied$
begin
{}
end
$applied$;

-- A function may name an object that is created below it.
set local check_function_bodies = off;
{}",
        name.name,
        guard(name.number),
        if name.number == 1 { "" } else { PATIENCE }
    )
}

/// Refuses to apply a migration twice or out of order.
fn guard(number: u32) -> String {
    let applied = format!("unstuck migration {number:04} is applied already");
    if number == 1 {
        return format!(
            "  if to_regclass('unstuck_private.migrations') is not null then
    if exists (select from unstuck_private.migrations where number = 1) then
      raise exception '{applied}';
    end if;
  end if;"
        );
    }
    format!(
        "  if exists (select from unstuck_private.migrations where number = {number}) then
    raise exception '{applied}';
  end if;
  if not exists (select from unstuck_private.migrations where number = {0}) then
    raise exception 'unstuck migration {0:04} must be applied before {number:04}';
  end if;",
        number - 1
    )
}

/// The hash of the text above the history's row, which stands in that row.
pub fn hash(text: &str) -> Option<String> {
    text.split_once(&format!("\n{HISTORY}")).map(|(above, _)| sha256(above))
}

/// A composed migration that was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Made {
    pub name: Name,
    pub parts: Vec<Part>,
}

impl Made {
    /// Fails if the text of a part does not have the part's hash.
    pub fn read(name: Name, text: &str) -> Result<Self> {
        let file = name.file();
        let body = text.split_once(&format!("\n{HISTORY}")).map(|(body, _)| body);
        let body = body
            .with_context(|| format!("supabase/migrations/{file} has no `{}`", HISTORY.trim()))?;
        if !hash(text).is_some_and(|hash| text.ends_with(&tail(&name, &hash))) {
            bail!("supabase/migrations/{file} was edited by hand: its hash is of another text");
        }
        let mut parts: Vec<Part> = Vec::new();
        let mut open: Option<(String, String, String)> = None;
        for line in body.lines() {
            let source = line.strip_prefix(SOURCE).map(|rest| rest.split(' ').collect::<Vec<_>>());
            let removed = line.strip_prefix(REMOVED);
            if source.is_some() || removed.is_some() {
                parts.extend(open.take().map(|part| whole(&file, part)).transpose()?);
            }
            match (source.as_deref(), removed, &mut open) {
                (Some([path, hash]), _, _) => {
                    open = Some(((*path).into(), (*hash).into(), String::new()))
                }
                (Some([path, hash, ..]), _, _) => {
                    parts.push(Part::Noted { path: (*path).into(), hash: (*hash).into() });
                }
                (Some(_), _, _) => bail!("supabase/migrations/{file}: cannot read `{line}`"),
                (None, Some(path), _) => parts.push(Part::Removed { path: path.into() }),
                (None, None, Some((_, _, text))) => {
                    text.push_str(line);
                    text.push('\n');
                }
                (None, None, None) => {}
            }
        }
        parts.extend(open.take().map(|part| whole(&file, part)).transpose()?);
        Ok(Self { name, parts })
    }
}

fn whole(file: &str, (path, hash, text): (String, String, String)) -> Result<Part> {
    let source =
        Source::new(&path, &text).with_context(|| format!("supabase/migrations/{file}"))?;
    if source.hash() != hash {
        bail!(
            "supabase/migrations/{file} was edited by hand: \
             its part {path} is not what the command wrote"
        );
    }
    Ok(Part::Whole(source))
}
