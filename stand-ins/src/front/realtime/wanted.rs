//! The changes of a table that a channel wants to see, as `config.postgres_changes` names them.
//!
//! Source: supabase/realtime, lib/extensions/postgres_cdc_rls/subscriptions.ex,
//! `parse_subscription_params`.

use serde_json::{Value, json};

/// One parsed wish.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct ChangeWish {
    /// `INSERT`, `UPDATE`, `DELETE` or `*`.
    pub(super) action: &'static str,
    pub(super) schema: String,
    pub(super) table: String,
    /// The filters; all of them must hold.
    pub(super) filters: Vec<Filter>,
    /// The columns to show besides the key; `None` shows all.
    pub(super) columns: Option<Vec<String>>,
}

/// `<column>=[not.]<operator>.<value>`
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Filter {
    pub(super) column: String,
    pub(super) operator: &'static FilterOperator,
    pub(super) value: String,
    pub(super) negate: bool,
}

/// An operator's name in a filter and in SQL.
#[derive(Debug, PartialEq)]
pub(super) struct FilterOperator {
    pub(super) name: &'static str,
    pub(super) sql: &'static str,
}

const fn operator(name: &'static str, sql: &'static str) -> FilterOperator {
    FilterOperator { name, sql }
}

static OPERATORS: [FilterOperator; 13] = [
    operator("eq", "="),
    operator("neq", "<>"),
    operator("lt", "<"),
    operator("lte", "<="),
    operator("gt", ">"),
    operator("gte", ">="),
    operator("in", "= any"),
    operator("like", "like"),
    operator("ilike", "ilike"),
    operator("match", "~"),
    operator("imatch", "~*"),
    operator("is", "is"),
    operator("isdistinct", "is distinct from"),
];

/// The number that names the wish in every message about it. Equal wishes have the same number.
pub(super) fn wish_id(params: &Value) -> u32 {
    let hash = params
        .to_string()
        .bytes()
        .fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
    hash & 0x07ff_ffff
}

impl ChangeWish {
    pub(super) fn parse(params: &Value) -> Result<Self, String> {
        let columns = columns(params)?;
        let text = |name: &str| params.get(name).and_then(Value::as_str);
        let has = |name: &str| params.get(name).is_some();
        let (schema, table, filter) = match (text("schema"), text("table"), text("filter")) {
            (Some(schema), Some(table), Some(filter)) => (schema, table, filter),
            (Some(schema), Some(table), None) if !has("filter") => (schema, table, ""),
            (Some(schema), None, None) if !has("table") && !has("filter") => (schema, "*", ""),
            (None, Some(table), None) if !has("schema") && !has("filter") => ("public", table, ""),
            _ => {
                return Err(format!(
                    "No subscription params provided. Please provide at least a `schema` or \
                     `table` to subscribe to: {params}"
                ));
            }
        };
        if columns.is_some() && (schema == "*" || table == "*") {
            return Err(
                "Column selection is not supported for wildcard subscriptions. Provide an \
                        explicit schema and table name."
                    .to_owned(),
            );
        }
        let event = text("event").unwrap_or("*").to_uppercase();
        let known = ["INSERT", "UPDATE", "DELETE"];
        Ok(Self {
            action: known.into_iter().find(|known| *known == event).unwrap_or("*"),
            schema: schema.to_owned(),
            table: table.to_owned(),
            filters: filters(filter.trim())
                .map_err(|reason| format!("Error parsing `filter` params: {reason}"))?,
            columns,
        })
    }

    /// The wish as the message of a refused subscription shows it.
    pub(super) fn shown(&self) -> String {
        let filters: Vec<Value> = self.filters.iter().map(Filter::shown).collect();
        format!(
            "event: {}, schema: {}, table: {}, filters: {}, select: {}",
            self.action,
            self.schema,
            self.table,
            json!(filters),
            self.columns.as_ref().map_or("nil".to_owned(), |columns| json!(columns).to_string())
        )
    }
}

impl Filter {
    fn shown(&self) -> Value {
        json!([self.column, self.operator.name, self.value, self.negate])
    }

    fn parse(segment: &str) -> Result<Self, String> {
        let Some((column, rest)) = segment.split_once('=') else {
            return Err(json!([segment]).to_string());
        };
        let (negate, rest) = match rest.strip_prefix("not.") {
            Some(rest) => (true, rest),
            None => (false, rest),
        };
        let Some((name, value)) = rest.split_once('.') else {
            return Err(json!([rest]).to_string());
        };
        let operator = OPERATORS.iter().find(|operator| operator.name == name);
        let operator = operator.ok_or_else(|| json!([name, value]).to_string())?;
        let value = if name == "in" {
            let list = value.strip_prefix('(').and_then(|value| value.strip_suffix(')'));
            let list = list.ok_or("`in` filter value must be wrapped by parentheses")?;
            format!("{{{list}}}")
        } else {
            value.to_owned()
        };
        Ok(Self { column: column.to_owned(), operator, value, negate })
    }
}

fn columns(params: &Value) -> Result<Option<Vec<String>>, String> {
    match params.get("select") {
        Some(Value::Array(list)) => {
            let names: Vec<String> =
                list.iter().filter_map(Value::as_str).map(str::to_owned).collect();
            Ok((!names.is_empty()).then_some(names))
        }
        Some(Value::String(_)) => Err("Error parsing `select` params: expected a list of column \
                                       name strings, e.g. select: [\"col1\", \"col2\"]"
            .to_owned()),
        _ => Ok(None),
    }
}

/// The filters, which are separated by commas outside of parentheses.
fn filters(text: &str) -> Result<Vec<Filter>, String> {
    if text.is_empty() {
        return Ok(Vec::new());
    }
    let mut depth = 0_usize;
    let segments = text.split(|c| {
        match c {
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            _ => {}
        }
        c == ',' && depth == 0
    });
    let parse = |segment: &str| match segment.trim() {
        "" => Err("filter must not contain empty segments (check for extra commas)".to_owned()),
        segment => Filter::parse(segment),
    };
    segments.map(parse).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(filter: &str) -> Result<Vec<Value>, String> {
        let params = json!({"schema": "public", "table": "t", "filter": filter});
        ChangeWish::parse(&params)
            .map(|wanted| wanted.filters.iter().map(Filter::shown).collect::<Vec<_>>())
    }

    #[test]
    fn filters_are_read_as_realtime_reads_them() {
        assert_eq!(shown("id=eq.a.b"), Ok(vec![json!(["id", "eq", "a.b", false])]));
        assert_eq!(
            shown("id=in.(1,2), b=not.like.x%"),
            Ok(vec![json!(["id", "in", "{1,2}", false]), json!(["b", "like", "x%", true])])
        );
        assert_eq!(shown("  "), Ok(vec![]));
        let refused = |text: &str| shown(text).unwrap_err();
        assert_eq!(refused("undefined"), r#"Error parsing `filter` params: ["undefined"]"#);
        assert_eq!(refused("a=foo.hey"), r#"Error parsing `filter` params: ["foo","hey"]"#);
        assert!(refused("a=in.1").contains("wrapped by parentheses"));
        assert!(refused("a=eq.1,,b=eq.2").contains("empty segments"));
    }

    #[test]
    fn what_is_not_said_is_everything() {
        let parse = |params: Value| {
            ChangeWish::parse(&params).map(|wanted| (wanted.action, wanted.schema, wanted.table))
        };
        let named = |action, schema: &str, table: &str| Ok((action, schema.into(), table.into()));
        assert_eq!(parse(json!({"schema": "a"})), named("*", "a", "*"));
        assert_eq!(parse(json!({"table": "t", "event": "insert"})), named("INSERT", "public", "t"));
        assert!(parse(json!({"event": "*"})).unwrap_err().starts_with("No subscription params"));
        let columns = json!({"schema": "a", "select": ["b"]});
        assert!(parse(columns).unwrap_err().starts_with("Column selection"));
    }
}
