//! `admin-users`: an admin finds users and jobs by an e-mail address, the id of a user, a job, a
//! provider's task or a request, sees a user's balance, jobs, ledger, debts and purchases, grants
//! credits, or erases the user. Each act is one transaction, which checks the role.

use serde::Deserialize;
use shared::core::error::ApiError;
use shared::core::id::UserId;
use shared::db::admin::{ErasedUser, FoundUsers, GivenCredits, ShownUser};
use shared::edge::Call;
use shared::flow::invocation::Invocation;
use shared::flow::order::input::admin_text;

shared::function! {
    name: "admin-users",
    ops: {
        POST "find" for Admin => find,
        POST "show" for Admin => show,
        POST "grant" for Admin => grant,
        POST "erase" for Admin => erase,
    },
}

/// The database also refuses more than this.
const GRANT_MAX: i64 = 1_000_000_000_000;

#[derive(Deserialize)]
struct UserQuery {
    query: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct UserToShow {
    user_id: UserId,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Goodwill {
    user_id: UserId,
    amount: i64,
    reason: String,
    idempotency_key: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct UserToErase {
    user_id: UserId,
    reason: String,
}

async fn find(call: &Call, body: UserQuery) -> Result<FoundUsers, ApiError> {
    given("query", &body.query)?;
    Ok(call.cx().db().users_find_v1(call.user()?, &body.query).await?)
}

async fn show(call: &Call, body: UserToShow) -> Result<ShownUser, ApiError> {
    Ok(call.cx().db().user_show_v1(call.user()?, body.user_id).await?)
}

async fn grant(call: &Call, body: Goodwill) -> Result<GivenCredits, ApiError> {
    let Goodwill { user_id, amount, reason, idempotency_key } = body;
    given("reason", &reason)?;
    given("idempotencyKey", &idempotency_key)?;
    if !(1..=GRANT_MAX).contains(&amount) {
        return Err(ApiError::bad_field("amount", "must be a number from 1 to 10^12"));
    }
    let actor = call.user()?;
    let db = call.cx().db();
    Ok(db.credit_grant_admin_v1(actor, user_id, amount, &reason, &idempotency_key).await?)
}

async fn erase(call: &Call, body: UserToErase) -> Result<ErasedUser, ApiError> {
    given("reason", &body.reason)?;
    Ok(call.cx().db().user_erase_v1(call.user()?, body.user_id, &body.reason).await?)
}

fn given(field: &str, text: &str) -> Result<(), ApiError> {
    if text.trim().is_empty() {
        return Err(ApiError::bad_field(field, "must not be empty"));
    }
    admin_text(field, Some(text))
}
