//! One database call: an RPC, its time limit, its answer checked.
//!
//! The `postgrest` crate builds the request and nothing more: its own `execute` has no time limit,
//! calls a 500 a success and panics on odd header bytes, so the headers and the sending are ours.
//! This module never retries what may have been done.

use std::pin::Pin;

use postgrest::Postgrest;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::core::config::Config;
use crate::core::error::{ApiError, ErrorCode};
use crate::core::transport::{HttpRequest, HttpResponse, Transport, TransportError};

const TIMEOUT_MS: u32 = 10_000;
/// Where our RPCs lie; the project's PostgREST must expose it.
const SCHEMA: &str = "unstuck";
/// The least wait before the one repetition.
const RETRY_MS: u32 = 150;

/// How long whoever meets a cap waits, where the SQL function does not say.
const RATE_LIMITED_S: u32 = 60;

/// Calls SQL functions as the service role.
pub struct Db<'a, T: Transport> {
    pub transport: &'a T,
    pub config: &'a Config,
}

/// Why an RPC gave no rows.
#[derive(Debug, Clone, PartialEq)]
pub enum DbError {
    /// The SQL function refused by the contract; nothing was done.
    Refused { code: ErrorCode, fields: Map<String, Value> },
    /// No answer: the transaction may have committed.
    Unknown(String),
    /// The database did nothing and said so.
    Unavailable(String),
    /// An answer that only a mistake of ours explains.
    Bug(String),
    /// A variable the call needs is missing.
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

type Answer<'c> = dyn Future<Output = Result<String, DbError>> + 'c;

impl<T: Transport> Db<'_, T> {
    /// All rows of a set-returning function.
    pub async fn rpc<A: Serialize, R: DeserializeOwned>(
        &self,
        function: &str,
        args: &A,
    ) -> Result<Vec<R>, DbError> {
        let body = self.call(function, serde_json::to_string(args)).await?;
        // A function that returns nothing answers with nothing.
        if body.is_empty() {
            return Ok(Vec::new());
        }
        serde_json::from_str(&body).map_err(|error| DbError::Bug(format!("{function}: {error}")))
    }

    /// The one row of a function that always returns one.
    pub async fn rpc_one<A: Serialize, R: DeserializeOwned>(
        &self,
        function: &str,
        args: &A,
    ) -> Result<R, DbError> {
        let mut rows = self.rpc(function, args).await?;
        match (rows.pop(), rows.is_empty()) {
            (Some(row), true) => Ok(row),
            _ => Err(DbError::Bug(format!("{function}: not exactly one row"))),
        }
    }

    /// The value of a function that returns no set.
    pub async fn scalar<A: Serialize, R: DeserializeOwned>(
        &self,
        function: &str,
        args: &A,
    ) -> Result<R, DbError> {
        let body = self.call(function, serde_json::to_string(args)).await?;
        serde_json::from_str(&body).map_err(|error| DbError::Bug(format!("{function}: {error}")))
    }

    /// Boxed, and the same for all functions: inlined into each caller it would be most of the wasm.
    fn call<'c>(
        &'c self,
        function: &'c str,
        args: serde_json::Result<String>,
    ) -> Pin<Box<Answer<'c>>> {
        Box::pin(self.call_twice(function, args))
    }

    /// Sends the call, and once more where the first answer proves that nothing was done.
    async fn call_twice(
        &self,
        function: &str,
        args: serde_json::Result<String>,
    ) -> Result<String, DbError> {
        let args = args.map_err(|error| DbError::Bug(format!("{function}: {error}")))?;
        let request = self.request(function, args)?;
        match self.attempt(function, request.clone()).await {
            Err(Failure { error: _, nothing_done: true }) => {
                let jitter = u32::try_from(self.transport.random() % u128::from(RETRY_MS))
                    .unwrap_or(RETRY_MS);
                self.transport.sleep(RETRY_MS + jitter).await;
                self.attempt(function, request).await.map_err(|failure| failure.error)
            }
            outcome => outcome.map_err(|failure| failure.error),
        }
    }

    async fn attempt(&self, function: &str, request: HttpRequest) -> Result<String, Failure> {
        match self.transport.send(request).await {
            Ok(response) => judge(function, response),
            Err(TransportError::NotSent(detail)) => Err(Failure {
                error: DbError::Unavailable(format!("{function}: {detail}")),
                nothing_done: true,
            }),
            Err(TransportError::Unknown(detail)) => {
                Err(DbError::Unknown(format!("{function}: {detail}")).into())
            }
        }
    }

    /// The `postgrest` crate's request with our headers.
    fn request(&self, function: &str, args: String) -> Result<HttpRequest, DbError> {
        let url = self.config.supabase_url().map_err(DbError::Config)?;
        let bug = |detail: String| DbError::Bug(format!("{function}: {detail}"));
        let built = Postgrest::new(format!("{url}/rest/v1"))
            .schema(SCHEMA)
            .rpc(function, without_nul(args))
            .build()
            .build();
        let built = built.map_err(|_| DbError::Config(ApiError::misconfigured("SUPABASE_URL")))?;
        let mut headers = self.config.service_headers().map_err(DbError::Config)?;
        for (name, value) in built.headers() {
            let value = value.to_str().map_err(|error| bug(error.to_string()))?;
            headers.push((name.as_str().to_owned(), value.to_owned()));
        }
        let body =
            built.body().and_then(|body| body.as_bytes()).map(<[u8]>::to_vec).unwrap_or_default();
        let body = String::from_utf8(body).map_err(|error| bug(error.to_string()))?;
        Ok(HttpRequest {
            method: "POST",
            url: built.url().to_string(),
            headers,
            body: Some(body),
            timeout_ms: TIMEOUT_MS,
        })
    }
}

/// A failed attempt, and whether the answer proves that nothing was done.
struct Failure {
    error: DbError,
    nothing_done: bool,
}

impl From<DbError> for Failure {
    fn from(error: DbError) -> Failure {
        Failure { error, nothing_done: false }
    }
}

#[derive(Deserialize, Default)]
struct Refusal {
    code: Option<String>,
    message: Option<String>,
    details: Option<Value>,
}

/// By code first, by status second: a 404 may be a missing function as well as a missing row.
fn judge(function: &str, response: HttpResponse) -> Result<String, Failure> {
    if (200..300).contains(&response.status) {
        return Ok(response.body);
    }
    let refusal: Refusal = serde_json::from_str(&response.body).unwrap_or_default();
    let code = refusal.code.unwrap_or_default();
    let message: String = refusal.message.unwrap_or_default().chars().take(200).collect();
    let detail = format!("{function}: {} {code} {message}", response.status);
    match code.as_str() {
        _ if code.starts_with("PT") => Err(refused(&message, refusal.details, detail).into()),
        "PGRST000" | "PGRST001" | "PGRST002" | "PGRST003" => {
            Err(Failure { error: DbError::Unavailable(detail), nothing_done: true })
        }
        "PGRST301" | "PGRST302" | "PGRST303" => {
            let error = ApiError::misconfigured("SUPABASE_SERVICE_ROLE_KEY").with_internal(detail);
            Err(DbError::Config(error).into())
        }
        "PGRST106" => Err(DbError::Config(not_exposed(detail)).into()),
        // Serialization failure, deadlock, lock and statement time-outs: rolled back.
        "40001" | "40P01" | "55P03" | "57014" => Err(DbError::Unavailable(detail).into()),
        _ if code.starts_with("53") => Err(DbError::Unavailable(detail).into()),
        "" if response.status == 429 => Err(DbError::Unavailable(detail).into()),
        // Something between us and the database answered, or the connection broke at any point.
        "" => Err(DbError::Unknown(detail).into()),
        _ if code.starts_with("08") || code.starts_with("57P") => {
            Err(DbError::Unknown(detail).into())
        }
        _ => Err(DbError::Bug(detail).into()),
    }
}

/// PostgREST serves a schema only once it is told to, and nothing works until then.
fn not_exposed(detail: String) -> ApiError {
    let message = "The database's API does not expose the schema `unstuck`. In Supabase's dashboard add it under \
        Settings, API, Exposed schemas; elsewhere run: alter role authenticator set pgrst.db_schemas = \
        'public, unstuck'; notify pgrst, 'reload config'; (keep what that list names today).";
    ApiError::new(ErrorCode::Misconfigured, message).with_internal(detail)
}

/// A refusal by the contract: the message is the code, the details are the extra fields as JSON.
fn refused(message: &str, details: Option<Value>, detail: String) -> DbError {
    let Some(code) = ErrorCode::parse(message) else { return DbError::Bug(detail) };
    let fields = match details {
        Some(Value::String(text)) => serde_json::from_str(&text).unwrap_or_default(),
        Some(Value::Object(fields)) => fields,
        _ => Map::new(),
    };
    DbError::Refused { code, fields }
}

/// Postgres refuses NUL inside JSON text; whatever a provider sends must not stop a job there.
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
        Value::Object(fields) => fields
            .into_iter()
            .map(|(name, value)| (name.replace('\0', ""), stripped(value)))
            .collect(),
        other => other,
    }
}

#[cfg(test)]
#[path = "client_tests.rs"]
mod tests;
