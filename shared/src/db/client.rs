//! One database call: an RPC, its time limit, its answer checked.
//!
//! The `postgrest` crate builds the request and nothing more: its own `execute` has no time limit,
//! calls a 500 a success and panics on odd header bytes, so the headers and the sending are ours.
//! This module never retries what may have been done.

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::config::Config;
use crate::error::{ApiError, ErrorCode};
use crate::transport::{HttpRequest, HttpResponse, Transport, TransportError};

const TIMEOUT_MS: u32 = 10_000;

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
                error.fields = fields;
                error
            }
            DbError::Unknown(detail) | DbError::Unavailable(detail) => ApiError::upstream(detail),
            DbError::Bug(detail) => ApiError::internal(detail),
            DbError::Config(error) => error,
        }
    }
}

impl<T: Transport> Db<'_, T> {
    /// All rows of a set-returning function.
    pub async fn rpc<A: Serialize, R: DeserializeOwned>(&self, function: &str, args: &A) -> Result<Vec<R>, DbError> {
        let _ = (function, serde_json::to_string(args), TIMEOUT_MS);
        Err(DbError::Bug("not built".to_owned()))
    }

    /// The one row of a function that always returns one.
    pub async fn rpc_one<A: Serialize, R: DeserializeOwned>(&self, function: &str, args: &A) -> Result<R, DbError> {
        let mut rows = self.rpc(function, args).await?;
        match (rows.pop(), rows.is_empty()) {
            (Some(row), true) => Ok(row),
            _ => Err(DbError::Bug(format!("{function}: not exactly one row"))),
        }
    }
}
#[expect(dead_code, reason = "first cut")]
type Later = (HttpRequest, HttpResponse, TransportError);

/// Does any text in here hold a NUL? Postgres refuses it inside JSON.
pub(crate) fn has_nul(fields: &Map<String, Value>) -> bool {
    fields.iter().any(|(name, value)| name.contains('\0') || value_has_nul(value))
}

fn value_has_nul(value: &Value) -> bool {
    match value {
        Value::String(text) => text.contains('\0'),
        Value::Array(items) => items.iter().any(value_has_nul),
        Value::Object(fields) => has_nul(fields),
        _ => false,
    }
}
