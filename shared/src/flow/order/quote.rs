//! Quotes an order. It checks the input as the order does, except that files may be missing. It
//! changes nothing, but it grants the user's pending credits.

use crate::core::body;
use crate::core::error::{ApiError, ErrorCode};
use crate::core::id::UserId;
use crate::core::measure::{Measured, PriceUnit};
use crate::core::transport::Streams;
use crate::db::job::QuotedOrder;
use crate::flow::invocation::Invocation;
use crate::flow::order::measure;
use crate::flow::{Cx, finalise};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// The body of a quote without its tool.
#[derive(Deserialize)]
pub struct QuoteBody {
    input: Map<String, Value>,
}

impl QuoteBody {
    /// The body of the order. Answers 400 and names the field at fault.
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
    /// The price depends on this unit of files that are not measured yet, and is the highest
    /// possible one.
    unmeasured: Option<PriceUnit>,
    /// The lowest possible price.
    lowest: i64,
}

/// The files of an order that is not placed yet.
#[derive(Default)]
pub struct QuotedFiles<'a> {
    /// `(field, URL)`; the URL is empty if the file is not uploaded.
    pub urls: &'a [(String, &'a str)],
    /// The sizes of files that are not uploaded, as the page reports them.
    pub by_page: Measured,
}

impl<'a> From<&'a [(String, &'a str)]> for QuotedFiles<'a> {
    fn from(urls: &'a [(String, &'a str)]) -> Self {
        Self { urls, by_page: Measured::default() }
    }
}

/// Prices a checked input with `steps` steps. If the price needs it, the caller's own files are
/// measured. Before any file is uploaded, the quote trusts the page, because the order measures the
/// file anyway. A file that cannot be measured costs the highest price.
pub async fn quote(
    call: &impl Invocation,
    tool: &'static str,
    input: &impl Serialize,
    steps: usize,
    files: QuotedFiles<'_>,
) -> Result<QuoteReply, ApiError> {
    let cx = call.cx();
    let user = call.caller().user_id();
    let input =
        serde_json::to_value(input).map_err(|error| ApiError::internal(error.to_string()))?;
    let mut quoted = cx.db().order_quote_v1(tool, &input, steps, user, None).await?;
    let healed = user.filter(|_| quoted.waits);
    if let Some(user) = healed {
        finalise::heal(&cx, user).await?;
    }
    let measured = match quoted.unmeasured {
        Some(unit) => measured(&cx, unit, files, user).await?,
        None => None,
    };
    if healed.is_some() || measured.is_some() {
        quoted = cx.db().order_quote_v1(tool, &input, steps, user, measured).await?;
    }
    let QuotedOrder { credits, balance, enough, eta_seconds, unmeasured, lowest, .. } = quoted;
    Ok(QuoteReply { tool, credits, balance, enough, eta_seconds, unmeasured, lowest })
}

/// The known sizes of the files. Without a user no uploaded file is read.
async fn measured<T: Streams>(
    cx: &Cx<'_, T>,
    unit: PriceUnit,
    files: QuotedFiles<'_>,
    user: Option<UserId>,
) -> Result<Option<Measured>, ApiError> {
    if files.urls.iter().all(|(_, url)| url.is_empty()) {
        return Ok(Some(files.by_page).filter(|measured| measured.has(unit)));
    }
    let Some(user) = user else { return Ok(None) };
    match measure::files(cx, unit, files.urls, user).await {
        Ok(measured) => Ok(Some(measured)),
        // The file is not uploaded yet.
        Err(error) if error.code == ErrorCode::BadRequest => Ok(None),
        Err(error) => Err(error),
    }
}
