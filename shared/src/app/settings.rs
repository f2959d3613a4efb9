//! An admin reads and changes what is sold, its prices and its limits.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Number, Value, json};

use crate::core::error::ApiError;
use crate::db::admin::{ShownRule, ShownSettings};
use crate::flow::invocation::Invocation;
use crate::flow::order::input::admin_text;

const LOG_ROWS: u32 = 100;
const CREDITS_MAX: u64 = 1_000_000_000_000;
const COST_MAX: f64 = 1e9;
const BALANCE_MAX: f64 = 999_999_999.0;
const SECONDS_MAX: u32 = 7 * 24 * 60 * 60;

/// The changes of a tool. An absent field does not change.
#[derive(Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ToolChange {
    tool: String,
    enabled: Option<bool>,
    credit_cost: Option<u64>,
    priced_per: Option<String>,
    run_timeout_seconds: Option<u32>,
    queue_ttl_seconds: Option<u32>,
    attempt_max: Option<u32>,
    user_cancel_running: Option<bool>,
    close_circuit: Option<bool>,
    /// The cost of an attempt to us, in credits.
    provider_cost: Option<f64>,
    #[serde(skip_serializing)]
    reason: Option<String>,
}

/// The changes of a provider. An absent field does not change.
#[derive(Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ProviderChange {
    provider: String,
    enabled: Option<bool>,
    max_concurrent: Option<u32>,
    close_circuit: Option<bool>,
    /// The balance of our account below which an alert is sent, by unit. An empty map: none.
    balance_least: Option<BTreeMap<String, Number>>,
    #[serde(skip_serializing)]
    reason: Option<String>,
}

/// The changes of a price rule. An absent field does not change.
#[derive(Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PriceChange {
    tool: String,
    position: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    matches: Option<Value>,
    credits: Option<u64>,
    priced_per: Option<String>,
    quantity: Option<f64>,
    credits_min: Option<u64>,
    note: Option<String>,
    remove: Option<bool>,
    #[serde(skip_serializing)]
    reason: Option<String>,
}

/// The filter of the log.
#[derive(Deserialize)]
pub struct LogQuery {
    /// Only rows before this id, a number, or a text if it comes from a query.
    before: Option<Value>,
    subject: Option<String>,
    act: Option<String>,
}

/// Shows all tools.
pub async fn tools(call: &impl Invocation) -> Result<Value, ApiError> {
    let rows = call.cx().db().tools_change_v1(call.user()?, None, None).await?;
    Ok(json!({"tools": settings(rows)}))
}

/// Changes one tool.
pub async fn change_tool(call: &impl Invocation, body: ToolChange) -> Result<Value, ApiError> {
    within("creditCost", body.credit_cost, 0, CREDITS_MAX)?;
    within("runTimeoutSeconds", body.run_timeout_seconds, 10, SECONDS_MAX)?;
    within("queueTtlSeconds", body.queue_ttl_seconds, 10, SECONDS_MAX)?;
    within("attemptMax", body.attempt_max, 1, 100)?;
    within("providerCost", body.provider_cost, 0.0, COST_MAX)?;
    let is_price = body.credit_cost.is_some() || body.priced_per.is_some();
    let reason = reason(body.reason.as_deref(), is_price)?;
    let change = json!(body);
    let rows = call.cx().db().tools_change_v1(call.user()?, Some(&change), reason).await?;
    Ok(json!({"tools": settings(rows)}))
}

/// Shows all providers.
pub async fn providers(call: &impl Invocation) -> Result<Value, ApiError> {
    let rows = call.cx().db().providers_change_v1(call.user()?, None, None).await?;
    Ok(json!({"providers": settings(rows)}))
}

/// Changes one provider.
pub async fn change_provider(
    call: &impl Invocation,
    body: ProviderChange,
) -> Result<Value, ApiError> {
    within("maxConcurrent", body.max_concurrent, 0, 10_000)?;
    for least in body.balance_least.iter().flat_map(BTreeMap::values) {
        within("balanceLeast", least.as_f64(), 0.0, BALANCE_MAX)?;
    }
    let reason = reason(body.reason.as_deref(), false)?;
    let change = json!(body);
    let rows = call.cx().db().providers_change_v1(call.user()?, Some(&change), reason).await?;
    Ok(json!({"providers": settings(rows)}))
}

/// Shows all price rules.
pub async fn prices(call: &impl Invocation) -> Result<Value, ApiError> {
    let rows = call.cx().db().prices_change_v1(call.user()?, None, None).await?;
    Ok(json!({"prices": rules(rows)}))
}

/// Changes, adds or removes one price rule of a tool.
pub async fn change_price(call: &impl Invocation, body: PriceChange) -> Result<Value, ApiError> {
    within("position", Some(body.position), 0, 1_000_000)?;
    within("credits", body.credits, 0, CREDITS_MAX)?;
    within("creditsMin", body.credits_min, 1, CREDITS_MAX)?;
    let reason = reason(body.reason.as_deref(), true)?;
    let change = json!(body);
    let rows = call.cx().db().prices_change_v1(call.user()?, Some(&change), reason).await?;
    Ok(json!({"prices": rules(rows)}))
}

/// Shows what admins did, newest first.
pub async fn log(call: &impl Invocation, body: LogQuery) -> Result<Value, ApiError> {
    let LogQuery { before, subject, act } = body;
    let before = match before {
        None | Some(Value::Null) => None,
        Some(Value::String(text)) => Some(text.parse().ok()),
        Some(other) => Some(other.as_i64()),
    };
    let before = match before {
        None => None,
        Some(Some(id)) => Some(id),
        Some(None) => return Err(ApiError::bad_field("before", "must be the id of a row")),
    };
    let (subject, act) = (subject.as_deref(), act.as_deref());
    let db = call.cx().db();
    let rows = db.admin_log_read_v1(call.user()?, before, subject, act, LOG_ROWS).await?;
    Ok(json!({"log": rows}))
}

fn settings(rows: Vec<ShownSettings>) -> Vec<Value> {
    rows.into_iter().map(|row| row.settings).collect()
}

fn rules(rows: Vec<ShownRule>) -> Vec<Value> {
    rows.into_iter().map(|row| row.rule).collect()
}

fn within<N: PartialOrd + std::fmt::Display>(
    field: &str,
    value: Option<N>,
    least: N,
    most: N,
) -> Result<(), ApiError> {
    match value {
        Some(value) if value < least || value > most => {
            Err(ApiError::bad_field(field, &format!("must be a number from {least} to {most}")))
        }
        _ => Ok(()),
    }
}

fn reason(text: Option<&str>, is_needed: bool) -> Result<Option<&str>, ApiError> {
    let text = text.map(str::trim).filter(|text| !text.is_empty());
    admin_text("reason", text)?;
    match text {
        None if is_needed => Err(ApiError::bad_field("reason", "must say why the price changes")),
        text => Ok(text),
    }
}
