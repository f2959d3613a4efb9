//! `cargo xtask dump-schema`: supabase/schema.sql, the golden dump that a test compares with the
//! migrations.
//!
//! Read from the catalogs in an order that depends on names alone (npm's embedded Postgres has no
//! pg_dump). It is for
//! reading and comparing, not for restoring.

use anyhow::{Context, Result};
use tokio_postgres::Client;

use crate::command::say;
use crate::paths;
use crate::postgres::{self, Options, Postgres};

/// Our schemas, and `public` for the old names in it: what is dumped is a database of ours alone.
const OURS: &str = "n.nspname in ('unstuck', 'unstuck_private', 'public')";

/// (heading, query of one text column).
fn sections() -> Vec<(&'static str, String)> {
    vec![
        ("schemas", schemas()),
        ("types", types()),
        ("domains", domains()),
        ("tables", tables()),
        ("constraints", constraints()),
        ("indexes", indexes()),
        ("views", views()),
        ("functions", functions()),
        ("triggers", triggers()),
        ("comments", comments()),
        ("row level security", row_level_security()),
        ("published tables", published()),
        ("grants", grants()),
    ]
}

/// The whole database as text.
pub async fn dump(client: &Client) -> Result<String> {
    // Names are written in full, and nobody's search path decides otherwise.
    client.batch_execute("set search_path to ''").await?;
    let mut text = String::from(
        "-- Made by `cargo xtask dump-schema` from supabase/migrations; a test compares it. Never edited.\n",
    );
    for (heading, query) in sections() {
        text.push_str(&format!("\n-- {heading}\n"));
        for row in client.query(&query, &[]).await.with_context(|| format!("dump of {heading}"))? {
            text.push_str(row.get::<_, &str>(0).trim_end());
            text.push('\n');
        }
    }
    client.batch_execute("reset search_path").await?;
    Ok(text)
}

/// Applies the platform's part and the migrations to a new Postgres and dumps that.
pub async fn dump_of_migrations() -> Result<String> {
    let server = Postgres::start(Options::for_tests()?).await?;
    let client = postgres::connect(&server.url("postgres")).await?;
    postgres::install(&client, false).await?;
    dump(&client).await
}

pub async fn dump_to_file() -> Result<()> {
    let text = dump_of_migrations().await?;
    std::fs::write(paths::root().join("supabase/schema.sql"), &text)?;
    say(format_args!("supabase/schema.sql: {} lines", text.lines().count()));
    Ok(())
}

fn schemas() -> String {
    format!(
        "select format('create schema %I;', n.nspname) from pg_catalog.pg_namespace n where {OURS} order by n.nspname collate \"C\""
    )
}

fn types() -> String {
    format!(
        "select format('create type %s as enum (%s);', t.oid::regtype,
                       string_agg(quote_literal(e.enumlabel), ', ' order by e.enumsortorder))
         from pg_catalog.pg_type t
         join pg_catalog.pg_enum e on e.enumtypid = t.oid
         join pg_catalog.pg_namespace n on n.oid = t.typnamespace
         where {OURS} group by t.oid order by t.oid::regtype::text collate \"C\""
    )
}

fn domains() -> String {
    format!(
        "select format('create domain %s as %s;', t.oid::regtype, format_type(t.typbasetype, t.typtypmod))
         from pg_catalog.pg_type t
         join pg_catalog.pg_namespace n on n.oid = t.typnamespace
         where {OURS} and t.typtype = 'd' order by t.oid::regtype::text collate \"C\""
    )
}

/// Of functions, views and tables; those of the platform's own schema `public` are not ours.
fn comments() -> String {
    format!(
        "select format(E'comment on %s is\\n%s;', object, quote_literal(description))
         from (
           select 'function ' || p.oid::regprocedure as object, d.description
           from pg_catalog.pg_proc p
           join pg_catalog.pg_namespace n on n.oid = p.pronamespace
           join pg_catalog.pg_description d
             on d.classoid = 'pg_catalog.pg_proc'::regclass and d.objoid = p.oid
           where {OURS}
           union all
           select case c.relkind when 'v' then 'view ' when 'm' then 'view ' else 'table ' end
                    || c.oid::regclass || coalesce('.' || quote_ident(a.attname), ''),
                  d.description
           from pg_catalog.pg_class c
           join pg_catalog.pg_namespace n on n.oid = c.relnamespace
           join pg_catalog.pg_description d
             on d.classoid = 'pg_catalog.pg_class'::regclass and d.objoid = c.oid
           left join pg_catalog.pg_attribute a
             on a.attrelid = c.oid and a.attnum = d.objsubid and d.objsubid > 0
           where {OURS} and c.relkind in ('r', 'p', 'v', 'm')
         ) as lines
         order by object collate \"C\""
    )
}

fn tables() -> String {
    format!(
        "select format(E'create table %s (\\n%s\\n)%s;', c.oid::regclass, string_agg(
                    format('  %I %s%s%s%s', a.attname, format_type(a.atttypid, a.atttypmod),
                      case when a.attnotnull then ' not null' else '' end,
                      case a.attidentity when 'a' then ' generated always as identity'
                                         when 'd' then ' generated by default as identity' else '' end,
                      case when d.oid is null then '' when a.attgenerated = 's'
                           then format(' generated always as (%s) stored', pg_get_expr(d.adbin, d.adrelid))
                           else ' default ' || pg_get_expr(d.adbin, d.adrelid) end),
                    E',\\n' order by a.attnum), coalesce(' with (' || array_to_string(c.reloptions, ', ') || ')', ''))
         from pg_catalog.pg_class c
         join pg_catalog.pg_namespace n on n.oid = c.relnamespace
         join pg_catalog.pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
         left join pg_catalog.pg_attrdef d on d.adrelid = c.oid and d.adnum = a.attnum
         where {OURS} and c.relkind in ('r', 'p')
         group by c.oid order by c.oid::regclass::text collate \"C\""
    )
}

fn constraints() -> String {
    format!(
        "select format('alter table %s add constraint %I %s;', k.conrelid::regclass, k.conname, pg_get_constraintdef(k.oid))
         from pg_catalog.pg_constraint k
         join pg_catalog.pg_namespace n on n.oid = k.connamespace
         where {OURS} and k.conrelid <> 0 and k.contype <> 'n'
         order by k.conrelid::regclass::text collate \"C\", k.conname collate \"C\""
    )
}

fn indexes() -> String {
    format!(
        "select pg_get_indexdef(i.indexrelid) || ';'
         from pg_catalog.pg_index i
         join pg_catalog.pg_class c on c.oid = i.indexrelid
         join pg_catalog.pg_namespace n on n.oid = c.relnamespace
         where {OURS} and not exists (select from pg_catalog.pg_constraint k where k.conindid = i.indexrelid)
         order by c.oid::regclass::text collate \"C\""
    )
}

fn views() -> String {
    format!(
        "select format(E'create view %s%s as\\n%s', c.oid::regclass,
                       coalesce(' with (' || array_to_string(c.reloptions, ', ') || ')', ''), pg_get_viewdef(c.oid, true))
         from pg_catalog.pg_class c
         join pg_catalog.pg_namespace n on n.oid = c.relnamespace
         where {OURS} and c.relkind in ('v', 'm') order by c.oid::regclass::text collate \"C\""
    )
}

fn functions() -> String {
    format!(
        "select pg_get_functiondef(p.oid) || ';'
         from pg_catalog.pg_proc p
         join pg_catalog.pg_namespace n on n.oid = p.pronamespace
         where {OURS} and p.prokind in ('f', 'p') order by p.oid::regprocedure::text collate \"C\""
    )
}

fn triggers() -> String {
    format!(
        "select pg_get_triggerdef(t.oid, true) || ';'
         from pg_catalog.pg_trigger t
         join pg_catalog.pg_class c on c.oid = t.tgrelid
         join pg_catalog.pg_namespace n on n.oid = c.relnamespace
         where {OURS} and not t.tgisinternal order by c.oid::regclass::text collate \"C\", t.tgname collate \"C\""
    )
}

fn row_level_security() -> String {
    format!(
        "select line from (
           select c.oid::regclass::text as relation, '' as name,
                  format('alter table %s %s row level security;', c.oid::regclass,
                         case when c.relrowsecurity then 'enable' else 'disable' end) as line
           from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
           where {OURS} and c.relkind in ('r', 'p')
           union all
           select p.polrelid::regclass::text, p.polname,
                  format('create policy %I on %s as %s for %s to %s%s%s;', p.polname, p.polrelid::regclass,
                         case when p.polpermissive then 'permissive' else 'restrictive' end,
                         case p.polcmd when 'r' then 'select' when 'a' then 'insert' when 'w' then 'update'
                                       when 'd' then 'delete' else 'all' end,
                         (select string_agg(coalesce(r.rolname, 'public'), ', ' order by r.rolname)
                          from unnest(p.polroles) as role left join pg_catalog.pg_roles r on r.oid = role),
                         coalesce(' using (' || pg_get_expr(p.polqual, p.polrelid) || ')', ''),
                         coalesce(' with check (' || pg_get_expr(p.polwithcheck, p.polrelid) || ')', ''))
           from pg_catalog.pg_policy p
           join pg_catalog.pg_class c on c.oid = p.polrelid
           join pg_catalog.pg_namespace n on n.oid = c.relnamespace
           where {OURS}) as lines
         order by relation collate \"C\", name collate \"C\""
    )
}

fn published() -> String {
    "select format('alter publication %I add table %I.%I;', pubname, schemaname, tablename)
     from pg_catalog.pg_publication_tables
     order by pubname collate \"C\", schemaname collate \"C\", tablename collate \"C\""
        .into()
}

/// One line per object and grantee; the owner's own are left out.
fn grants() -> String {
    let line = |kind: &str, name: &str, acl: &str, owner: &str, class: &str, from: &str| {
        format!(
            "select '{kind} ' || {name} as object, coalesce(r.rolname, 'public') as grantee,
                    string_agg(lower(g.privilege_type), ', ' order by g.privilege_type) as privileges
             from {from}, aclexplode(coalesce({acl}, acldefault('{class}', {owner}))) as g
             left join pg_catalog.pg_roles r on r.oid = g.grantee
             where {OURS} and g.grantee <> {owner} group by 1, 2"
        )
    };
    let relations = "pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace and c.relkind in ('r', 'p', 'v', 'm')";
    let columns = format!(
        "{relations} join pg_catalog.pg_attribute a on a.attrelid = c.oid and a.attacl is not null"
    );
    let sequences = "pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace and c.relkind = 'S'";
    let functions = "pg_catalog.pg_proc p join pg_catalog.pg_namespace n on n.oid = p.pronamespace";
    let parts = [
        line(
            "schema",
            "quote_ident(n.nspname)",
            "n.nspacl",
            "n.nspowner",
            "n",
            "pg_catalog.pg_namespace n",
        ),
        line("table", "c.oid::regclass::text", "c.relacl", "c.relowner", "r", relations),
        line(
            "column",
            "c.oid::regclass || '.' || quote_ident(a.attname)",
            "a.attacl",
            "c.relowner",
            "c",
            &columns,
        ),
        line("sequence", "c.oid::regclass::text", "c.relacl", "c.relowner", "S", sequences),
        line("function", "p.oid::regprocedure::text", "p.proacl", "p.proowner", "f", functions),
    ];
    format!(
        "select format('grant %s on %s to %s;', privileges, object, grantee) from ({}) as lines
         order by object collate \"C\", grantee collate \"C\"",
        parts.join(" union all ")
    )
}
