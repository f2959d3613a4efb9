//! Gives a transaction the role of a caller of the project and the claims of the caller's token.

use serde_json::Value;
use tokio_postgres::Transaction;

pub(super) async fn become_role(
    transaction: &Transaction<'_>,
    role: &str,
    claims: &Value,
) -> Result<(), tokio_postgres::Error> {
    const SQL: &str =
        "select set_config('role', $1, true), set_config('request.jwt.claims', $2, true)";
    transaction.query_one(SQL, &[&role, &claims.to_string()]).await.map(drop)
}
