//! The operations, inputs and replies that several functions of one product share.

pub mod bulk;
pub mod prometheus;
pub mod runninghub;
pub mod settings;
pub mod website;

#[cfg(test)]
mod tests {
    use super::bulk::BulkOrder;
    use super::settings::{PriceChange, ProviderChange, ToolChange};
    use super::website::WebsiteBody;
    use crate::flow::order::of_any_tool::JobOrder;
    use crate::testing::wrong_types::try_each;
    use serde_json::json;

    const ID: &str = "00000000-0000-4000-8000-0000000000a1";

    #[test]
    fn a_wrong_type_is_refused_in_the_callers_words() {
        let website = json!({"prompt": "x", "siteName": "x", "language": "x", "teamId": "x",
            "jobId": ID, "sessionId": "s", "maxCredits": 7});
        try_each::<WebsiteBody>(&website);
        let order = json!({"input": {}, "jobId": ID, "sessionId": "s", "maxCredits": 7});
        try_each::<JobOrder>(&order);
        let filter = json!({"tool": "t", "status": "failed", "provider": "p", "userId": ID,
            "errorCode": "X", "createdBefore": "2026-01-01T00:00:00Z",
            "createdAfter": "2026-01-01T00:00:00Z", "ids": [ID]});
        let many = json!({"filter": filter, "limit": 1, "reason": "x"});
        try_each::<BulkOrder>(&many);
        let tool = json!({"tool": "t", "enabled": true, "creditCost": 1, "pricedPer": "job",
            "runTimeoutSeconds": 10, "queueTtlSeconds": 10, "attemptMax": 1,
            "userCancelRunning": true, "closeCircuit": true, "providerCost": 1.5, "reason": "x"});
        try_each::<ToolChange>(&tool);
        let provider = json!({"provider": "p", "enabled": true, "maxConcurrent": 1,
            "closeCircuit": true, "reason": "x"});
        try_each::<ProviderChange>(&provider);
        let price = json!({"tool": "t", "position": 1, "matches": {}, "credits": 1,
            "pricedPer": "job", "quantity": 1.5, "creditsMin": 1, "note": "x", "remove": true,
            "reason": "x"});
        try_each::<PriceChange>(&price);
    }
}
