//! Reading a request body with a limit, and turning it into typed input.
//!
//! It never parses what is over the limit.

use futures_util::StreamExt;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use worker::wasm_bindgen_futures::JsFuture;

use crate::error::{ApiError, ErrorCode};

/// The body as text. Where the length is declared, the platform enforces it and one read is
/// enough; where it is not, chunks are counted.
pub(crate) async fn read(request: &mut worker::Request, bytes_max: usize) -> Result<String, ApiError> {
    let too_large = || ApiError::of(ErrorCode::PayloadTooLarge);
    if request.inner().body().is_none() {
        return Ok(String::new());
    }
    let declared = request.headers().get("content-length").ok().flatten().and_then(|text| text.parse::<usize>().ok());
    match declared {
        Some(length) if length > bytes_max => Err(too_large()),
        Some(_) => {
            let promise = request.inner().text().map_err(|_| broken())?;
            let text = JsFuture::from(promise).await.map_err(|_| broken())?;
            text.as_string().ok_or_else(broken)
        }
        None => {
            let mut stream = request.stream().map_err(|_| broken())?;
            let (mut bytes, mut seen) = (Vec::new(), 0);
            while let Some(chunk) = stream.next().await {
                let chunk = chunk.map_err(|_| broken())?;
                seen += chunk.len();
                if seen <= bytes_max {
                    bytes.extend_from_slice(&chunk);
                } else if seen > DISCARD_MAX {
                    break;
                }
            }
            if seen > bytes_max {
                return Err(too_large());
            }
            String::from_utf8(bytes).map_err(|_| ApiError::bad_request("The body is not UTF-8"))
        }
    }
}

/// How much of an unwanted body is still taken in.
const DISCARD_MAX: usize = 4 * 1024 * 1024;

/// Takes in what nobody will read. Answering before the body has arrived makes the server close the
/// connection, and a client that is still sending then sees a reset instead of the answer.
pub(crate) async fn discard(request: &mut worker::Request) {
    if request.inner().body().is_none() || request.inner().body_used() {
        return;
    }
    let Ok(mut stream) = request.stream() else { return };
    let mut taken = 0;
    while let Some(Ok(chunk)) = stream.next().await {
        taken += chunk.len();
        if taken > DISCARD_MAX {
            return;
        }
    }
}

fn broken() -> ApiError {
    ApiError::bad_request("The body could not be read")
}

/// A JSON object; nothing at all counts as an empty one.
pub(crate) fn parse(text: &str) -> Result<Value, ApiError> {
    if text.trim().is_empty() {
        return Ok(Value::Object(Map::new()));
    }
    match serde_json::from_str(text) {
        Ok(Value::Object(fields)) if crate::db::client::has_nul(&fields) => {
            Err(ApiError::bad_request("The body contains a NUL character"))
        }
        Ok(Value::Object(fields)) => Ok(Value::Object(fields)),
        Ok(_) => Err(ApiError::bad_request("The body must be a JSON object")),
        Err(_) => Err(ApiError::bad_request("The body is not JSON")),
    }
}

/// The body as `T`, or a 400 naming the field at fault.
pub(crate) fn typed<T: DeserializeOwned>(body: &Value) -> Result<T, ApiError> {
    let error = match serde_json::from_value::<T>(body.clone()) {
        Ok(input) => return Ok(input),
        Err(error) => error.to_string(),
    };
    if let Some(name) = error.strip_prefix("missing field `").and_then(|rest| rest.split('`').next()) {
        return Err(ApiError::bad_field(name, "is missing"));
    }
    // serde does not say which field it stumbled over: it is the one without which the complaint changes.
    let culprit = body.as_object().and_then(|fields| {
        fields.keys().find(|name| {
            let mut without = fields.clone();
            without.remove(*name);
            serde_json::from_value::<T>(Value::Object(without)).err().is_none_or(|other| other.to_string() != error)
        })
    });
    let problem: String = error.chars().take(160).collect();
    Err(match culprit {
        Some(name) => ApiError::bad_field(name, &format!("is not valid: {problem}")),
        None => ApiError::bad_request(problem),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;
    use serde_json::json;

    #[derive(Debug, Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Input {
        #[expect(dead_code, reason = "only its type matters here")]
        image_url: String,
        #[expect(dead_code, reason = "only its type matters here")]
        resolution: Option<u32>,
    }

    fn field(body: Value) -> String {
        typed::<Input>(&body).unwrap_err().fields["field"].as_str().unwrap().to_owned()
    }

    #[test]
    fn the_field_at_fault_is_named() {
        assert_eq!(field(json!({})), "imageUrl");
        assert_eq!(field(json!({"imageUrl": 7})), "imageUrl");
        assert_eq!(field(json!({"imageUrl": "x", "resolution": "big"})), "resolution");
        assert_eq!(field(json!({"imageUrl": "x", "other": 1, "resolution": -1})), "resolution");
        assert!(typed::<Input>(&json!({"imageUrl": "x", "unknown": [1]})).is_ok());
    }

    #[test]
    fn only_objects_are_bodies() {
        assert_eq!(parse("").unwrap(), json!({}));
        assert_eq!(parse(" \n").unwrap(), json!({}));
        assert_eq!(parse("{\"a\":1}").unwrap(), json!({"a": 1}));
        for bad in ["[]", "7", "null", "{", "\"x\"", "{\"a\":\"\\u0000\"}", "{\"a\":[{\"b\\u0000\":1}]}"] {
            assert_eq!(parse(bad).unwrap_err().code, ErrorCode::BadRequest, "{bad}");
        }
        assert!(parse("{\"a\":\"\\\\u0000\"}").is_ok(), "a backslash and digits are no NUL");
    }
}
