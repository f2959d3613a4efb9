//! Writes one structured log line per request. It never holds tokens, bodies or personal addresses.

use serde_json::{Map, Value};

use crate::core::error::ApiError;

/// The fields of a log line.
pub(crate) struct LogLine<'a> {
    pub function: &'a str,
    pub op: &'a str,
    pub event: &'a str,
    pub request_id: &'a str,
    pub status: u16,
    pub caller: &'a str,
    pub job_id: Option<&'a str>,
    pub duration_ms: u64,
    pub error: Option<&'a ApiError>,
}

impl LogLine<'_> {
    pub(crate) fn to_value(&self) -> Value {
        let mut line = Map::new();
        let mut put = |name: &str, value: Value| line.insert(name.to_owned(), value);
        put("function", Value::from(self.function));
        put("op", Value::from(self.op));
        put("event", Value::from(self.event));
        put("request_id", Value::from(self.request_id));
        put("code", Value::from(self.error.map_or("ok", |error| error.code.as_str())));
        put("status", Value::from(self.status));
        put("caller", Value::from(self.caller));
        put("job_id", self.job_id.map_or(Value::Null, Value::from));
        put("duration_ms", Value::from(self.duration_ms));
        if let Some(detail) = self.error.and_then(|error| error.internal.as_deref()) {
            put("detail", Value::from(detail));
        }
        Value::Object(line)
    }

    pub(crate) fn write(&self) {
        worker::console_log!("{}", self.to_value());
    }
}

/// Logs that the gateway could not pass a call on. `detail` is cut to 300 characters.
pub fn log_failure(function: &str, target: &str, request_id: &str, detail: &str) {
    let detail: String = detail.chars().take(300).collect();
    let line = serde_json::json!({
        "function": function, "target": target, "event": "pass_failed", "request_id": request_id,
        "code": "internal", "status": 500, "detail": detail,
    });
    worker::console_log!("{line}");
}
