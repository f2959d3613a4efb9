//! The replies of handlers.

use serde::Serialize;
use serde_json::Value;

use crate::core::error::ApiError;

/// A successful reply.
#[derive(Debug, Clone, PartialEq)]
pub struct Reply {
    pub status: u16,
    pub body: ReplyBody,
}

/// The body of a reply.
#[derive(Debug, Clone, PartialEq)]
pub enum ReplyBody {
    Json(Value),
    Text {
        content_type: &'static str,
        text: String,
    },
    /// A file that the browser saves under `name`, which must hold no quotes.
    Download {
        name: String,
        content_type: &'static str,
        bytes: Vec<u8>,
    },
}

impl Reply {
    /// Serialises `body` as JSON. Fails with `internal` if that is not possible.
    pub fn with_status(status: u16, body: impl Serialize) -> Result<Reply, ApiError> {
        let body =
            serde_json::to_value(body).map_err(|error| ApiError::internal(error.to_string()))?;
        Ok(Reply { status, body: ReplyBody::Json(body) })
    }

    /// Returns a 200 that the browser saves as a file.
    pub fn download(name: String, content_type: &'static str, bytes: Vec<u8>) -> Reply {
        Reply { status: 200, body: ReplyBody::Download { name, content_type, bytes } }
    }
}

/// A value that a handler may return: a [`Reply`], or the JSON body of a 200.
pub trait IntoReply {
    fn into_reply(self) -> Result<Reply, ApiError>;
}

impl IntoReply for Reply {
    fn into_reply(self) -> Result<Reply, ApiError> {
        Ok(self)
    }
}

impl<T: Serialize> IntoReply for T {
    fn into_reply(self) -> Result<Reply, ApiError> {
        Reply::with_status(200, self)
    }
}

/// Serialises as `true`. The older part of the contract has `success: true` in every successful
/// answer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Success;

impl Serialize for Success {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bool(true)
    }
}
