//! The kinds of website.

use serde::Serialize;

/// The technology of a website; each kind has its own tool.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum WebsiteKind {
    Html,
    React,
    Php,
}

impl WebsiteKind {
    pub const ALL: [Self; 3] = [Self::Html, Self::React, Self::Php];

    /// Returns the kind that a tool makes, or `None` if it makes no websites.
    pub fn of_tool(tool: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.tool() == tool)
    }

    /// Returns the name of the tool, which is also the name of its function.
    pub fn tool(self) -> &'static str {
        match self {
            Self::Html => "generate-website",
            Self::React => "generate-react-website",
            Self::Php => "generate-php-website",
        }
    }
}
