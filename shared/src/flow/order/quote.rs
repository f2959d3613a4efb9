//! What an order would cost. It checks the input as the order does, files apart: they may be
//! missing. It changes nothing.

use crate::core::body;
use crate::core::error::{ApiError, ErrorCode};
use crate::core::measure::PriceUnit;
use crate::db::job::QuotedOrder;
use crate::flow::invocation::Invocation;
use crate::flow::order::measure;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// The body of a quote, beside its tool.
#[derive(Deserialize)]
pub struct QuoteBody {
    input: Map<String, Value>,
}

impl QuoteBody {
    /// The body of the order. Answers 400 naming its field at fault.
    pub fn input<T: DeserializeOwned>(self) -> Result<T, ApiError> {
        body::typed(&Value::Object(self.input))
    }
}

/// The reply to a quote.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct QuoteReply {
    tool: &'static str,
    credits: i64,
    balance: Option<i64>,
    enough: Option<bool>,
    eta_seconds: i32,
    /// The price is by this unit of files that are not measured yet: it is the largest.
    unmeasured: Option<PriceUnit>,
}

/// Prices a checked input of so many steps. `files` are those that the input names (`(field,
/// URL)`): the caller's own are measured where the price needs it. What cannot be measured, because
/// it is not uploaded yet or nobody asks, costs the largest.
pub async fn quote(
    call: &impl Invocation,
    tool: &'static str,
    input: &impl Serialize,
    steps: usize,
    files: &[(String, &str)],
) -> Result<QuoteReply, ApiError> {
    let cx = call.cx();
    let user = call.caller().user_id();
    let input =
        serde_json::to_value(input).map_err(|error| ApiError::internal(error.to_string()))?;
    let mut quoted = cx.db().order_quote_v1(tool, &input, steps, user, None).await?;
    if let (Some(unit), Some(user)) = (quoted.unmeasured, user)
        && files.iter().any(|(_, url)| !url.is_empty())
    {
        match measure::files(&cx, unit, files, user).await {
            Ok(measured) => {
                let measured = Some(measured);
                quoted = cx.db().order_quote_v1(tool, &input, steps, Some(user), measured).await?;
            }
            // A file that is not uploaded yet.
            Err(error) if error.code == ErrorCode::BadRequest => {}
            Err(error) => return Err(error),
        }
    }
    let QuotedOrder { credits, balance, enough, eta_seconds, unmeasured } = quoted;
    Ok(QuoteReply { tool, credits, balance, enough, eta_seconds, unmeasured })
}
