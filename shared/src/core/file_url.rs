//! The URL of a file in a body. No I/O.

use serde::{Deserialize, Serialize};

/// The unchecked URL of a file in the body of an order. It is empty if the body names no file: an
/// order then refuses it, and a quote accepts it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Option<String>")]
pub struct FileUrl(String);

impl From<Option<String>> for FileUrl {
    fn from(url: Option<String>) -> Self {
        Self(url.unwrap_or_default())
    }
}

impl std::ops::Deref for FileUrl {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}
