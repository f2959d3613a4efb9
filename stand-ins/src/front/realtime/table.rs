//! Decides what a subscriber may see of a changed row. The database answers each question, in the
//! subscriber's own role if policies decide.
//!
//! Source: supabase/realtime, the functions `realtime.apply_rls`, `realtime.check_equality_op` and
//! `realtime.subscription_check_filters` in lib/realtime/tenants/repo/migrations.

use serde_json::{Map, Value, json};
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, Error};

use super::hub::Subscription;
use super::stream::{Printed, RowChange};
use super::wanted::{ChangeWish, Filter};
use crate::clock;
use crate::front::role::become_role;

/// The values of a larger change are sent only if they are short.
const CHANGE_BYTES_MAX: usize = 1024 * 1024;
/// The longest short value.
const SHORT_BYTES: usize = 64;

struct Column {
    name: String,
    /// The type's name in a cast.
    sql_type: String,
    /// The type's name in a message.
    type_name: String,
    is_key: bool,
    is_readable: bool,
}

/// A table as one role sees it.
pub(super) struct RoleTable {
    schema: String,
    name: String,
    has_policies: bool,
    columns: Vec<Column>,
}

impl RoleTable {
    pub(super) async fn load(
        client: &Client,
        schema: &str,
        name: &str,
        role: &str,
    ) -> Result<Self, Error> {
        const SQL: &str = "
            select a.attname::text, format_type(a.atttypid, a.atttypmod), t.typname::text,
                coalesce(a.attnum = any(i.indkey::int2[]), false),
                has_column_privilege($3::text::name, c.oid, a.attnum, 'select'),
                c.relrowsecurity
            from pg_class c
            join pg_namespace n on n.oid = c.relnamespace
            join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
            join pg_type t on t.oid = a.atttypid
            left join pg_index i on i.indrelid = c.oid and i.indisprimary
            where n.nspname = $1::text and c.relname = $2::text
            order by a.attnum";
        let rows = client.query(SQL, &[&schema, &name, &role]).await?;
        let columns = rows.iter().map(|row| Column {
            name: row.get(0),
            sql_type: row.get(1),
            type_name: row.get(2),
            is_key: row.get(3),
            is_readable: row.get(4),
        });
        Ok(Self {
            schema: schema.to_owned(),
            name: name.to_owned(),
            has_policies: rows.first().is_some_and(|row| row.get(5)),
            columns: columns.collect(),
        })
    }

    fn column(&self, name: &str) -> Option<&Column> {
        self.columns.iter().find(|column| column.name == name)
    }

    /// Why the wish cannot be granted to the role: it names a column that the role may not read, or
    /// a value that its column cannot have.
    pub(super) async fn refuse(&self, client: &Client, wanted: &ChangeWish) -> Option<String> {
        let is_readable = |name: &str| self.column(name).is_some_and(|column| column.is_readable);
        for filter in &wanted.filters {
            if !is_readable(&filter.column) {
                return Some(raised(&format!("invalid column for filter {}", filter.column)));
            }
            if let Err(error) = self.holds(client, filter, None).await {
                let message = error.as_db_error().map_or_else(
                    || error.to_string(),
                    |error| format!("ERROR {} {}", error.code().code(), error.message()),
                );
                return Some(message);
            }
        }
        let mut columns = wanted.columns.iter().flatten();
        let unreadable = columns.find(|name| !is_readable(name))?;
        Some(raised(&format!("invalid column for select {unreadable}")))
    }

    /// Whether the filter lets this value pass.
    async fn holds(
        &self,
        client: &Client,
        filter: &Filter,
        value: Option<&str>,
    ) -> Result<bool, Error> {
        let Some(column) = self.column(&filter.column) else { return Ok(false) };
        let sql_type = &column.sql_type;
        let not = if filter.negate { "not" } else { "" };
        let operator = filter.operator.sql;
        let wanted = Some(filter.value.as_str());
        let (sql, wanted) = match filter.operator.name {
            "is" => {
                let word = ["null", "true", "false"].into_iter().find(|word| *word == filter.value);
                let word = word.unwrap_or("unknown");
                (format!("select $1::text::{sql_type} is {not} {word}"), None)
            }
            "in" => (
                format!("select {not} $1::text::{sql_type} = any ($2::text::{sql_type}[])"),
                wanted,
            ),
            _ => (
                format!("select {not} $1::text::{sql_type} {operator} $2::text::{sql_type}"),
                wanted,
            ),
        };
        let row = match wanted {
            Some(wanted) => client.query_one(&sql, &[&value, &wanted]).await?,
            None => client.query_one(&sql, &[&value]).await?,
        };
        Ok(row.get::<_, Option<bool>>(0).unwrap_or_default())
    }

    async fn all_hold(
        &self,
        client: &Client,
        filters: &[Filter],
        row: &Printed,
    ) -> Result<bool, Error> {
        for filter in filters {
            let Some(value) = row.get(&filter.column) else { return Ok(false) };
            if !self.holds(client, filter, value.as_deref()).await? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Whether the subscriber gets the change: its filters hold, and its policies show it the row
    /// as it is now. No policy decides about a deleted row.
    pub(super) async fn is_for(
        &self,
        client: &mut Client,
        change: &RowChange,
        subscription: &Subscription,
    ) -> Result<bool, Error> {
        let filters = &subscription.wanted.filters;
        let is_delete = change.action == "DELETE";
        let row = if is_delete { &change.before } else { &change.row };
        if !self.all_hold(client, filters, row).await? {
            return Ok(false);
        }
        if is_delete || !self.has_policies {
            return Ok(true);
        }
        let keys: Vec<&Column> = self.columns.iter().filter(|column| column.is_key).collect();
        let conditions: Vec<String> = keys
            .iter()
            .enumerate()
            .map(|(at, key)| format!("{} = ${}::text::{}", quoted(&key.name), at + 1, key.sql_type))
            .collect();
        let sql = format!(
            "select exists (select from {}.{} where {})",
            quoted(&self.schema),
            quoted(&self.name),
            conditions.join(" and ")
        );
        let values: Vec<Option<&str>> =
            keys.iter().map(|key| row.get(&key.name).and_then(Option::as_deref)).collect();
        let values: Vec<&(dyn ToSql + Sync)> = values.iter().map(|value| value as _).collect();
        let transaction = client.transaction().await?;
        become_role(&transaction, &subscription.role, &subscription.claims).await?;
        let seen = transaction.query_one(&sql, &values).await;
        transaction.rollback().await?;
        // A policy that fails shows nothing.
        Ok(seen.is_ok_and(|row| row.get(0)))
    }

    /// The change as a message shows it.
    pub(super) async fn told(
        &self,
        client: &Client,
        change: &RowChange,
        columns: Option<&[String]>,
    ) -> Result<Value, Error> {
        let mut told = json!({
            "schema": change.schema,
            "table": change.table,
            "type": change.action,
            "commit_timestamp": clock::iso(change.committed_ms),
            "errors": null,
        });
        let keys = || self.columns.iter().filter(|column| column.is_key);
        if change.action != "DELETE" && keys().count() == 0 {
            told["errors"] = json!(["Error 400: Bad Request, no primary key"]);
            return Ok(told);
        }
        if change.action != "DELETE" && !keys().all(|key| key.is_readable) {
            told["errors"] = json!(["Error 401: Unauthorized"]);
            return Ok(told);
        }
        let is_shown = |column: &&Column| {
            let is_wanted = columns.is_none_or(|columns| columns.contains(&column.name));
            column.is_readable && (is_wanted || column.is_key)
        };
        let shown: Vec<&Column> = self.columns.iter().filter(is_shown).collect();
        let types =
            shown.iter().map(|column| json!({"name": column.name, "type": column.type_name}));
        told["columns"] = types.collect();
        let is_large = bytes_of(&change.row) > CHANGE_BYTES_MAX;
        if is_large {
            told["errors"] = json!(["Error 413: Payload Too Large"]);
        }
        if change.action != "DELETE" {
            told["record"] = values(client, &shown, &change.row, is_large).await?;
        }
        if change.action != "INSERT" {
            let is_secret = change.action == "DELETE" && self.has_policies;
            let shown: Vec<&Column> =
                shown.into_iter().filter(|column| !is_secret || column.is_key).collect();
            told["old_record"] = values(client, &shown, &self.identity(change), is_large).await?;
        }
        Ok(told)
    }

    /// The columns that identified the row before: those in the stream, or else the unchanged key.
    fn identity(&self, change: &RowChange) -> Printed {
        if !change.before.is_empty() {
            let is_told = |(_, value): &(&String, &Option<String>)| value.is_some();
            let told = change.before.iter().filter(is_told);
            return told.map(|(name, value)| (name.clone(), value.clone())).collect();
        }
        let keys = self.columns.iter().filter(|column| column.is_key);
        keys.filter_map(|key| change.row.get_key_value(&key.name))
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect()
    }
}

/// The values as Postgres writes them into JSON.
async fn values(
    client: &Client,
    columns: &[&Column],
    row: &Printed,
    only_short: bool,
) -> Result<Value, Error> {
    let mut parameters: Vec<&Option<String>> = Vec::new();
    let mut names: Vec<&str> = Vec::new();
    let mut casts: Vec<String> = Vec::new();
    for column in columns {
        let Some(value) = row.get(&column.name) else { continue };
        if only_short && value.as_ref().is_some_and(|value| value.len() > SHORT_BYTES) {
            continue;
        }
        parameters.push(value);
        names.push(&column.name);
        casts.push(format!("to_jsonb(${}::text::{})::text", parameters.len(), column.sql_type));
    }
    let mut found = Map::new();
    if names.is_empty() {
        return Ok(Value::Object(found));
    }
    let sql = format!("select {}", casts.join(", "));
    let parameters: Vec<&(dyn ToSql + Sync)> =
        parameters.into_iter().map(|value| value as _).collect();
    let printed = client.query_one(&sql, &parameters).await?;
    for (at, name) in names.into_iter().enumerate() {
        let text: Option<&str> = printed.get(at);
        let value = text.and_then(|text| serde_json::from_str(text).ok());
        found.insert(name.to_owned(), value.unwrap_or_default());
    }
    Ok(Value::Object(found))
}

fn bytes_of(row: &Printed) -> usize {
    row.values().flatten().map(String::len).sum()
}

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// The text of an exception that a trigger raised.
fn raised(message: &str) -> String {
    format!("ERROR P0001 (raise_exception) {message}")
}
