//! The URL of a file as a body names it. No I/O.

use serde::{Deserialize, Serialize};

/// The URL of a file in the body of an order, not checked yet. It is empty where the body names no
/// file, which an order refuses and a quote does not mind.
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
