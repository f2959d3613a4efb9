//! The kinds of website.

use serde::Serialize;

/// What a website is made of; each kind has a tool of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum WebsiteKind {
    Html,
    React,
    Php,
}

impl WebsiteKind {
    pub const ALL: [Self; 3] = [Self::Html, Self::React, Self::Php];

    pub fn of_tool(tool: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.tool() == tool)
    }

    /// The tool, which is also the function's name.
    pub fn tool(self) -> &'static str {
        match self {
            Self::Html => "generate-website",
            Self::React => "generate-react-website",
            Self::Php => "generate-php-website",
        }
    }
}
