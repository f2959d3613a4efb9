//! `admin-settings`: an admin reads and changes what is sold, its prices and its limits, and reads
//! who changed them. A GET answers all rows. A POST changes the fields that it names, and answers
//! all rows as they are afterwards. Each change is one transaction, which checks the role and
//! writes the log.

use serde_json::Value;
use shared::app::settings::{self, LogQuery, PriceChange, ProviderChange, ToolChange};
use shared::core::body::NoInput;
use shared::core::error::ApiError;
use shared::edge::Call;

shared::function! {
    name: "admin-settings",
    ops: {
        GET "tools" for Admin => tools,
        POST "tools" for Admin => change_tool,
        GET "providers" for Admin => providers,
        POST "providers" for Admin => change_provider,
        GET "prices" for Admin => prices,
        POST "prices" for Admin => change_price,
        GET | POST "log" for Admin => log,
    },
}

async fn tools(call: &Call, _: NoInput) -> Result<Value, ApiError> {
    settings::tools(call).await
}

async fn change_tool(call: &Call, body: ToolChange) -> Result<Value, ApiError> {
    settings::change_tool(call, body).await
}

async fn providers(call: &Call, _: NoInput) -> Result<Value, ApiError> {
    settings::providers(call).await
}

async fn change_provider(call: &Call, body: ProviderChange) -> Result<Value, ApiError> {
    settings::change_provider(call, body).await
}

async fn prices(call: &Call, _: NoInput) -> Result<Value, ApiError> {
    settings::prices(call).await
}

async fn change_price(call: &Call, body: PriceChange) -> Result<Value, ApiError> {
    settings::change_price(call, body).await
}

async fn log(call: &Call, body: LogQuery) -> Result<Value, ApiError> {
    settings::log(call, body).await
}
