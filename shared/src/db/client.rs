//! One database call: the RPC, its time limit, and the check of its answer.
//!
//! The `postgrest` crate only builds the request. Its own `execute` has no time limit, takes a 500
//! for a success and panics on unusual header bytes, so headers and sending are ours. This module
//! retries a call only if nothing can have been done.

use std::pin::Pin;

use postgrest::Postgrest;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use super::rpc::Args;
use crate::core::config::Config;
use crate::core::error::{ApiError, ErrorCode};
use crate::core::transport::{HttpRequest, HttpResponse, Transport, TransportError};

const TIMEOUT_MS: u32 = 10_000;
/// The schema of our RPCs; the project's PostgREST must expose it.
const SCHEMA: &str = "unstuck";
/// The RPC that records that our deployment was refused. It works for every deployment.
const ALARM: &str = "deployment_alarm_v1";
/// The shortest wait before the one retry.
const RETRY_MS: u32 = 150;

/// The `Retry-After` of a rate limit if the SQL function names no time.
const RATE_LIMITED_S: u32 = 60;

/// Calls SQL functions as the service role.
pub struct Db<'a, T: Transport> {
    pub transport: &'a T,
    pub config: &'a Config,
    /// The request's id, which an order stores, so that the job can be found by a line of the log.
    pub request_id: &'a str,
    /// The caller, for those SQL functions that distinguish callers.
    pub caller: Option<&'static str>,
}

/// Why an RPC gave no rows.
#[derive(Debug, Clone, PartialEq)]
pub enum DbError {
    /// The SQL function refused with a code of the API; nothing was done.
    Refused { code: ErrorCode, fields: Map<String, Value> },
    /// No answer: the transaction may have committed.
    Unknown(String),
    /// Nothing was done: the request was not sent, or the answer proves it.
    Unavailable(String),
    /// An answer that can only come from a bug of ours.
    Bug(String),
    /// A setting that the call needs is missing.
    Config(ApiError),
}

impl DbError {
    pub fn is(&self, wanted: ErrorCode) -> bool {
        matches!(self, DbError::Refused { code, .. } if *code == wanted)
    }
}

impl From<DbError> for ApiError {
    fn from(error: DbError) -> ApiError {
        match error {
            DbError::Refused { code, mut fields } => {
                let retry_after = fields.remove("retry_after").and_then(|seconds| seconds.as_u64());
                let mut error = ApiError::of(code);
                error.retry_after_s = retry_after.and_then(|seconds| u32::try_from(seconds).ok());
                if code == ErrorCode::RateLimited {
                    error.retry_after_s.get_or_insert(RATE_LIMITED_S);
                }
                error.fields = fields;
                error
            }
            DbError::Unknown(detail) | DbError::Unavailable(detail) => ApiError::upstream(detail),
            DbError::Bug(detail) => ApiError::internal(detail),
            DbError::Config(error) => error,
        }
    }
}

/// The type is boxed and has few parameters: if it were inlined into each caller, calls would be
/// most of the wasm.
type Pending<'c, A> = Pin<Box<dyn Future<Output = Result<A, DbError>> + 'c>>;

impl<T: Transport> Db<'_, T> {
    /// All rows of a set-returning function. They may belong to several users, so a row that cannot
    /// be read is logged and left out, and the others are kept. What the database reserved with
    /// that row becomes free when its lease or its deadline is over.
    pub(super) async fn rows<R: DeserializeOwned>(
        &self,
        function: &str,
        args: Args,
    ) -> Result<Vec<R>, DbError> {
        let mut rows = Vec::new();
        for row in rows_of(function, &self.call(function, args).await?)? {
            let job = row.get("job_id").cloned();
            match read(function, row) {
                Ok(row) => rows.push(row),
                Err(error) => self.log_unreadable(job, error),
            }
        }
        Ok(rows)
    }

    /// The one row of a function that always returns one.
    pub(super) async fn row<R: DeserializeOwned>(
        &self,
        function: &str,
        args: Args,
    ) -> Result<R, DbError> {
        read(function, self.only_row(function, args).await?)
    }

    fn only_row<'c>(&'c self, function: &'c str, args: Args) -> Pending<'c, Value> {
        Box::pin(async move {
            let mut rows = rows_of(function, &self.call(function, args).await?)?;
            match (rows.pop(), rows.is_empty()) {
                (Some(row), true) => Ok(row),
                _ => Err(bug(function, "not exactly one row")),
            }
        })
    }

    /// The first row, if there is one.
    pub(super) async fn maybe_row<R: DeserializeOwned>(
        &self,
        function: &str,
        args: Args,
    ) -> Result<Option<R>, DbError> {
        let rows = rows_of(function, &self.call(function, args).await?)?;
        rows.into_iter().next().map(|row| read(function, row)).transpose()
    }

    /// The value of a function that returns no set.
    pub(super) async fn value<R: DeserializeOwned>(
        &self,
        function: &str,
        args: Args,
    ) -> Result<R, DbError> {
        read(function, json_of(function, &self.call(function, args).await?)?)
    }

    fn log_unreadable(&self, job: Option<Value>, error: DbError) {
        let detail = ApiError::from(error).internal;
        self.transport.log(&json!({"event": "unreadable_row", "level": "error", "job_id": job,
            "detail": detail}));
    }

    /// Calls a function whose result is not used.
    pub(super) async fn void(&self, function: &str, args: Args) -> Result<(), DbError> {
        self.call(function, args).await.map(|_| ())
    }

    fn call<'c>(&'c self, function: &'c str, args: Args) -> Pending<'c, String> {
        Box::pin(async move {
            let outcome = self.call_with_retry(function, args).await;
            let refused = |error: &DbError| error.is(ErrorCode::WrongDeployment);
            if outcome.as_ref().is_err_and(refused) && function != ALARM {
                self.alarm_wrong_deployment(function).await;
            }
            outcome
        })
    }

    /// Tells the operator that the database refused us. If that fails, the answer is the same.
    async fn alarm_wrong_deployment(&self, function: &str) {
        self.log_alarm(&format!(
            "{function}: the database does not belong to the deployment {:?} (DEPLOYMENT_ID)",
            self.config.deployment_id.as_deref().unwrap_or_default(),
        ));
        let _ = self.deployment_alarm_v1().await;
    }

    fn log_alarm(&self, cause: &str) {
        self.transport.log(&json!({"event": "provider_alarm", "level": "error",
            "provider": "supabase", "cause": cause}));
    }

    /// Sends the call, and retries it once if the first answer proves that nothing was done. If the
    /// database's gateway refuses the key or the address, the operator gets an alarm.
    async fn call_with_retry(&self, function: &str, args: Args) -> Result<String, DbError> {
        let args = args.into_json().map_err(|error| bug(function, error))?;
        let request = self.request(function, args)?;
        let mut outcome = self.send(function, request.clone()).await;
        if let Err(FailedCall { nothing_done: true, .. }) = outcome {
            let jitter =
                u32::try_from(self.transport.random() % u128::from(RETRY_MS)).unwrap_or(RETRY_MS);
            self.transport.sleep(RETRY_MS + jitter).await;
            outcome = self.send(function, request).await;
        }
        outcome.map_err(|failed| {
            if let DbError::Config(error) = &failed.error {
                self.log_alarm(&error.message);
            }
            failed.error
        })
    }

    async fn send(&self, function: &str, request: HttpRequest) -> Result<String, FailedCall> {
        match self.transport.send(request).await {
            Ok(response) => classify(function, response),
            Err(TransportError::NotSent(detail)) => Err(FailedCall {
                error: DbError::Unavailable(format!("{function}: {detail}")),
                nothing_done: true,
            }),
            Err(TransportError::Unknown(detail)) => {
                Err(DbError::Unknown(format!("{function}: {detail}")).into())
            }
        }
    }

    /// Builds the request with the `postgrest` crate and our headers.
    fn request(&self, function: &str, args: String) -> Result<HttpRequest, DbError> {
        let url = self.config.supabase_url().map_err(DbError::Config)?;
        let built = Postgrest::new(format!("{url}/rest/v1"))
            .schema(SCHEMA)
            .rpc(function, without_nul(args))
            .build()
            .build();
        let built = built.map_err(|_| DbError::Config(ApiError::misconfigured("SUPABASE_URL")))?;
        let mut headers = self.config.service_headers().map_err(DbError::Config)?;
        for (name, value) in built.headers().iter() {
            headers.push((name.as_str().to_owned(), value.as_str().to_owned()));
        }
        headers.push(("x-unstuck-request".to_owned(), self.request_id.to_owned()));
        if let Some(caller) = self.caller {
            headers.push(("x-unstuck-caller".to_owned(), caller.to_owned()));
        }
        if let Some(id) = &self.config.deployment_id {
            headers.push(("x-unstuck-deployment".to_owned(), id.clone()));
        }
        let body =
            built.body().and_then(|body| body.as_bytes()).map(<[u8]>::to_vec).unwrap_or_default();
        let body = String::from_utf8(body).map_err(|error| bug(function, error))?;
        Ok(HttpRequest {
            method: "POST",
            url: built.url().to_owned(),
            headers,
            body: Some(body),
            timeout_ms: TIMEOUT_MS,
        })
    }
}

fn bug(function: &str, detail: impl std::fmt::Display) -> DbError {
    DbError::Bug(format!("{function}: {detail}"))
}

fn json_of(function: &str, body: &str) -> Result<Value, DbError> {
    serde_json::from_str(body).map_err(|error| bug(function, error))
}

/// The rows in an answer. A function that returns nothing answers with an empty body.
fn rows_of(function: &str, body: &str) -> Result<Vec<Value>, DbError> {
    if body.is_empty() {
        return Ok(Vec::new());
    }
    match json_of(function, body)? {
        Value::Array(rows) => Ok(rows),
        _ => Err(bug(function, "no rows")),
    }
}

fn read<R: DeserializeOwned>(function: &str, json: Value) -> Result<R, DbError> {
    serde_json::from_value(json).map_err(|error| bug(function, error))
}

/// The error of a failed call, and whether the answer proves that nothing was done.
struct FailedCall {
    error: DbError,
    nothing_done: bool,
}

impl From<DbError> for FailedCall {
    fn from(error: DbError) -> FailedCall {
        FailedCall { error, nothing_done: false }
    }
}

#[derive(Deserialize, Default)]
struct PostgrestError {
    code: Option<String>,
    message: Option<String>,
    details: Option<Value>,
}

/// Classifies by the code first, then by the status, because a 404 may be a missing function or a
/// missing row.
fn classify(function: &str, response: HttpResponse) -> Result<String, FailedCall> {
    if response.is_success() {
        return Ok(response.body);
    }
    let refusal: PostgrestError = serde_json::from_str(&response.body).unwrap_or_default();
    let code = refusal.code.unwrap_or_default();
    let message: String = refusal.message.unwrap_or_default().chars().take(200).collect();
    let detail = format!("{function}: {} {code} {message}", response.status);
    match code.as_str() {
        _ if code.starts_with("PT") => Err(refused(&message, refusal.details, detail).into()),
        // These come before any statement: no connection, no schema cache, no free connection, or a
        // function that the schema cache does not know yet.
        "PGRST000" | "PGRST002" | "PGRST003" | "PGRST202" => {
            Err(FailedCall { error: DbError::Unavailable(detail), nothing_done: true })
        }
        // The connection broke while a statement ran, which may be committed. Source: PostgREST,
        // src/library/PostgREST/Error.hs, ClientError.
        "PGRST001" => Err(DbError::Unknown(detail).into()),
        "PGRST301" | "PGRST302" | "PGRST303" => {
            let error = ApiError::misconfigured("SUPABASE_SERVICE_ROLE_KEY").with_internal(detail);
            Err(DbError::Config(error).into())
        }
        "PGRST106" => Err(DbError::Config(not_exposed(detail)).into()),
        // Serialization failure, deadlock, lock and statement time-outs, a read-only database (a
        // full disk, a failover), a function that a migration replaced during the call: all are
        // rolled back.
        "40001" | "40P01" | "55P03" | "57014" | "25006" | "42883" => {
            Err(DbError::Unavailable(detail).into())
        }
        _ if code.starts_with("53") => Err(DbError::Unavailable(detail).into()),
        // 540: the project is paused.
        "" if matches!(response.status, 429 | 540) => Err(DbError::Unavailable(detail).into()),
        // Supabase's gateway sends a JSON message without a code; a firewall's page is not JSON.
        "" if !message.is_empty() && matches!(response.status, 401 | 403 | 404) => {
            let setting = match response.status {
                404 => "SUPABASE_URL",
                _ => "SUPABASE_SERVICE_ROLE_KEY",
            };
            let error = ApiError::misconfigured(setting).with_internal(detail);
            Err(DbError::Config(error).into())
        }
        // A proxy before the database answered, or the connection broke at an unknown point.
        "" => Err(DbError::Unknown(detail).into()),
        _ if code.starts_with("08") || code.starts_with("57P") => {
            Err(DbError::Unknown(detail).into())
        }
        _ => Err(DbError::Bug(detail).into()),
    }
}

/// PostgREST serves a schema only if its configuration lists the schema.
fn not_exposed(detail: String) -> ApiError {
    let message = "The database's API does not expose the schema `unstuck`. \
        In Supabase's dashboard add it under Settings, API, Exposed schemas; elsewhere run: \
        alter role authenticator set pgrst.db_schemas = \
        'public, unstuck'; notify pgrst, 'reload config'; (keep what that list names today).";
    ApiError::new(ErrorCode::Misconfigured, message).with_internal(detail)
}

/// A refusal with a code of the API: the message is the code, the details are the extra fields as
/// JSON.
fn refused(message: &str, details: Option<Value>, detail: String) -> DbError {
    let Some(code) = ErrorCode::parse(message) else { return DbError::Bug(detail) };
    let fields = match details {
        Some(Value::String(text)) => serde_json::from_str(&text).unwrap_or_default(),
        Some(Value::Object(fields)) => fields,
        _ => Map::new(),
    };
    DbError::Refused { code, fields }
}

/// Removes NUL characters: Postgres refuses them in JSON text, and a provider may send some.
fn without_nul(json: String) -> String {
    if !json.contains("\\u0000") {
        return json;
    }
    match serde_json::from_str::<Value>(&json) {
        Ok(value) => stripped(value).to_string(),
        Err(_) => json,
    }
}

fn stripped(value: Value) -> Value {
    match value {
        Value::String(text) => Value::String(text.replace('\0', "")),
        Value::Array(items) => items.into_iter().map(stripped).collect(),
        Value::Object(fields) => {
            // The entries are inserted one by one, because a collected map would add another sort
            // function to the wasm.
            let mut kept = Map::new();
            for (name, value) in fields {
                kept.insert(name.replace('\0', ""), stripped(value));
            }
            Value::Object(kept)
        }
        other => other,
    }
}

#[cfg(test)]
#[path = "client_tests.rs"]
mod tests;
