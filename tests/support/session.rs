//! One database connection that speaks JSON: plain SQL, RPC with named arguments as PostgREST calls
//! it, with another caller's role and claims if needed. Every answer is rows of JSON; every refusal
//! keeps its SQLSTATE, message and details.

use serde_json::Value;
use tokio_postgres::Client;
use uuid::Uuid;

/// An error of Postgres.
#[derive(Debug, Clone, PartialEq)]
pub struct SqlError {
    pub state: String,
    pub message: String,
    /// The extra fields of a refusal (JSON), or the detail as text.
    pub detail: Value,
}

impl SqlError {
    /// SQLSTATE and message.
    pub fn reason(&self) -> (&str, &str) {
        (&self.state, &self.message)
    }
}

impl std::fmt::Display for SqlError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {} {}", self.state, self.message, self.detail)
    }
}

impl From<tokio_postgres::Error> for SqlError {
    fn from(error: tokio_postgres::Error) -> Self {
        let Some(db) = error.as_db_error() else {
            return Self {
                state: "connection".into(),
                message: error.to_string(),
                detail: Value::Null,
            };
        };
        let detail = db
            .detail()
            .map_or(Value::Null, |text| serde_json::from_str(text).unwrap_or_else(|_| text.into()));
        Self { state: db.code().code().into(), message: db.message().into(), detail }
    }
}

pub struct Session {
    client: Client,
}

impl Session {
    pub async fn connect(url: &str) -> Self {
        let client =
            xtask::postgres::connect(url).await.expect("the test server accepts a connection");
        Self { client }
    }

    pub async fn try_exec(&self, sql: &str) -> Result<(), SqlError> {
        self.client.batch_execute(sql).await.map_err(SqlError::from)
    }

    pub async fn exec(&self, sql: &str) {
        if let Err(error) = self.try_exec(sql).await {
            panic!("{error}\n{sql}");
        }
    }

    /// The rows of a query as JSON objects.
    pub async fn try_rows(&self, sql: &str) -> Result<Vec<Value>, SqlError> {
        let rows = self.client.query(&format!("select to_jsonb(r) from ({sql}) r"), &[]).await?;
        Ok(rows.iter().map(|row| row.get(0)).collect())
    }

    pub async fn rows(&self, sql: &str) -> Vec<Value> {
        self.try_rows(sql).await.unwrap_or_else(|error| panic!("{error}\n{sql}"))
    }

    /// The only row that a writing statement returns.
    pub async fn returned(&self, sql: &str) -> Value {
        let sql = format!("with changed as ({sql}) select to_jsonb(changed) from changed");
        let rows = self.client.query(&sql, &[]).await.map_err(SqlError::from);
        let rows = rows.unwrap_or_else(|error| panic!("{error}\n{sql}"));
        assert_eq!(rows.len(), 1, "one row expected of {sql}");
        rows[0].get(0)
    }

    /// How many rows a writing statement changed.
    pub async fn changed(&self, sql: &str) -> Result<u64, SqlError> {
        self.client.execute(sql, &[]).await.map_err(SqlError::from)
    }

    /// The only row.
    pub async fn row(&self, sql: &str) -> Value {
        let mut rows = self.rows(sql).await;
        assert_eq!(rows.len(), 1, "one row expected of {sql}: {rows:?}");
        rows.remove(0)
    }

    /// The only column of the only row.
    pub async fn value(&self, sql: &str) -> Value {
        let row = self.row(sql).await;
        row.as_object().and_then(|row| row.values().next()).cloned().unwrap_or(Value::Null)
    }

    pub async fn int(&self, sql: &str) -> i64 {
        self.value(sql).await.as_i64().unwrap_or_else(|| panic!("no integer from {sql}"))
    }

    /// How many rows there are of `jobs where status = 'queued'`, for example.
    pub async fn count(&self, rows: &str) -> i64 {
        self.int(&format!("select count(*) from {rows}")).await
    }

    /// The only column of every row, which is text.
    pub async fn texts(&self, sql: &str) -> Vec<String> {
        let text = |row: &Value| {
            let only = row.as_object().and_then(|row| row.values().next()?.as_str());
            only.unwrap_or_else(|| panic!("no text in {row}")).to_owned()
        };
        self.rows(sql).await.iter().map(text).collect()
    }

    /// Calls `unstuck.<function>` with named arguments, as the API does.
    pub async fn try_call(&self, function: &str, args: Value) -> Result<Vec<Value>, SqlError> {
        self.try_rows(&call_sql(function, &args)).await
    }

    pub async fn call(&self, function: &str, args: Value) -> Vec<Value> {
        self.try_call(function, args).await.unwrap_or_else(|error| panic!("{function}: {error}"))
    }

    /// The only row of a call.
    pub async fn ask(&self, function: &str, args: Value) -> Value {
        let mut rows = self.call(function, args).await;
        assert_eq!(rows.len(), 1, "one row expected of {function}: {rows:?}");
        rows.remove(0)
    }

    /// The refusal of a call that must be refused.
    pub async fn refusal(&self, function: &str, args: Value) -> SqlError {
        match self.try_call(function, args).await {
            Ok(rows) => panic!("{function} was not refused: {rows:?}"),
            Err(error) => error,
        }
    }

    /// Gives this session the role and the claims that PostgREST sets for such a caller.
    pub async fn become_caller(&self, role: &str, user: Option<Uuid>) {
        let claims = serde_json::json!({ "role": role, "sub": user });
        self.exec(&format!(
            "select set_config('request.jwt.claims', '{claims}', false); set role {role}"
        ))
        .await;
    }

    /// Gives this session the role of the database's owner back.
    pub async fn become_owner(&self) {
        self.exec("reset role; select set_config('request.jwt.claims', '', false)").await;
    }

    pub async fn pid(&self) -> i64 {
        self.int("select pg_backend_pid() as pid").await
    }
}

/// The SQL of an RPC. Arguments are untyped literals, which Postgres resolves because each name has
/// one function only.
pub fn call_sql(function: &str, args: &Value) -> String {
    let args = args.as_object().expect("arguments are an object");
    let args: Vec<String> =
        args.iter().map(|(name, value)| format!("{name} => {}", literal(name, value))).collect();
    format!("select * from unstuck.{function}({})", args.join(", "))
}

fn literal(name: &str, value: &Value) -> String {
    match value {
        Value::Null => "null".into(),
        Value::Bool(value) => value.to_string(),
        Value::Number(value) => value.to_string(),
        Value::String(value) => quoted(value),
        // Of the array arguments only this one is no JSON.
        Value::Array(values) if name == "p_job_ids" => {
            let ids: Vec<&str> = values.iter().filter_map(Value::as_str).collect();
            quoted(&format!("{{{}}}", ids.join(",")))
        }
        Value::Array(_) | Value::Object(_) => quoted(&value.to_string()),
    }
}

fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}
