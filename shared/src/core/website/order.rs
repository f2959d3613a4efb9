//! A user's order of a website, and the prompt made from it for the language model.
//!
//! Each attempt builds the prompt anew, because API, model and wording belong to the attempt: a
//! retry after a change of the configuration uses the new model.

use super::kind::WebsiteKind;
use crate::core::error::ApiError;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::fmt::Write;

const PROMPT_CHARS_MAX: usize = 10_000;
const NAME_CHARS_MAX: usize = 200;
const LANGUAGE_CHARS_MAX: usize = 50;
const TEAM_CHARS_MAX: usize = 36;

/// The input of an order. The job and its step keep it; two orders with equal inputs are the same
/// order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct WebsiteOrder {
    pub prompt: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub site_name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub language: Option<String>,
    /// The team that pays, if the app's wallet belongs to teams.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub team_id: Option<String>,
}

impl WebsiteOrder {
    /// Checks the lengths, counted in characters. Answers 400 and names the field at fault.
    pub fn check(self) -> Result<Self, ApiError> {
        let within = |field: &str, text: &str, least: usize, most: usize| {
            let long = text.chars().count();
            if text.trim().is_empty() && least > 0 || long > most {
                return Err(ApiError::bad_field(
                    field,
                    &format!("must have {least} to {most} characters"),
                ));
            }
            Ok(())
        };
        within("prompt", &self.prompt, 1, PROMPT_CHARS_MAX)?;
        within("siteName", self.site_name.as_deref().unwrap_or_default(), 0, NAME_CHARS_MAX)?;
        within("language", self.language.as_deref().unwrap_or_default(), 0, LANGUAGE_CHARS_MAX)?;
        within("teamId", self.team_id.as_deref().unwrap_or_default(), 0, TEAM_CHARS_MAX)?;
        Ok(self)
    }

    /// Returns the user's part of the prompt.
    pub fn user_text(&self) -> String {
        let mut text = String::new();
        // Writing into a `String` cannot fail.
        if let Some(name) = &self.site_name {
            let _ = writeln!(text, "Name of the website: {name}");
        }
        if let Some(language) = &self.language {
            let _ = writeln!(text, "Language of all text on it: {language}");
        }
        let _ = write!(text, "The website:\n{}", self.prompt);
        text
    }
}

/// Returns the system part of the prompt: the rules for a website of this kind.
pub fn system_text(kind: WebsiteKind) -> String {
    let stack = match kind {
        WebsiteKind::Html => {
            "Write a static website in plain HTML, CSS and JavaScript without a build step. \
             `index.html` is its start page; all other files are named by relative links."
        }
        WebsiteKind::React => {
            "Write a React project for Vite in TypeScript: `package.json` with its scripts and \
             dependencies, `index.html`, the entry `src/main.tsx`, and the components it needs."
        }
        WebsiteKind::Php => {
            "Write a website in plain PHP 8 without a framework or a database. `index.php` is its \
             start page; every output of a variable is escaped."
        }
    };
    format!(
        "You build complete, working websites. {stack}\n\
         Every file is text and complete, with no placeholder for code left out. Paths are \
         relative, with forward slashes, without `..`; at most 60 files. Use no images but inline \
         SVG.\n\
         Answer with one JSON object {{\"files\": [{{\"path\": …, \"content\": …}}]}} and nothing \
         else. Only if you cannot answer in JSON, begin each file with a line \
         `<!-- FILE: path -->` followed by its content."
    )
}

/// The name of [`form`] in a request to the model's API. The language model sees it.
pub const FORM_NAME: &str = "website_files";

/// Returns the JSON schema of an answer. It holds no counts and no patterns, because not every
/// model enforces them; `files::of_answer` does.
pub fn form() -> Value {
    let text = json!({"type": "string"});
    json!({
        "type": "object",
        "additionalProperties": false,
        "required": ["files"],
        "properties": {"files": {
            "type": "array",
            "items": {
                "type": "object",
                "additionalProperties": false,
                "required": ["path", "content"],
                "properties": {"path": text, "content": text},
            },
        }},
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::error::ErrorCode;

    fn order(prompt: &str) -> WebsiteOrder {
        WebsiteOrder { prompt: prompt.to_owned(), site_name: None, language: None, team_id: None }
    }

    #[test]
    fn lengths_are_counted_in_characters() {
        assert!(order(&"😀".repeat(10_000)).check().is_ok());
        for bad in [String::new(), " \n".to_owned(), "x".repeat(10_001), "😀".repeat(10_001)] {
            let refused = order(&bad).check().unwrap_err();
            assert_eq!(
                (refused.code, &refused.fields["field"]),
                (ErrorCode::BadRequest, &json!("prompt"))
            );
        }
        let named = WebsiteOrder { site_name: Some("x".repeat(201)), ..order("a") };
        assert_eq!(named.check().unwrap_err().fields["field"], "siteName");
        let spoken = WebsiteOrder { language: Some("x".repeat(51)), ..order("a") };
        assert_eq!(spoken.check().unwrap_err().fields["field"], "language");
        let paid = WebsiteOrder { team_id: Some("x".repeat(37)), ..order("a") };
        assert_eq!(paid.check().unwrap_err().fields["field"], "teamId");
    }

    #[test]
    fn the_prompt_holds_the_order_and_the_rules_of_its_kind() {
        let order = WebsiteOrder {
            site_name: Some("Café".into()),
            language: Some("German".into()),
            ..order("with a menu")
        };
        let text = order.user_text();
        for part in ["Café", "German", "with a menu"] {
            assert!(text.contains(part), "{text}");
        }
        for (kind, file) in [
            (WebsiteKind::Html, "index.html"),
            (WebsiteKind::React, "package.json"),
            (WebsiteKind::Php, "index.php"),
        ] {
            assert!(system_text(kind).contains(file));
            assert_eq!(WebsiteKind::of_tool(kind.tool()), Some(kind));
        }
        assert_eq!(WebsiteKind::of_tool("runninghub-upscaler"), None);
    }

    #[test]
    fn the_schema_requires_every_property_and_allows_no_others() {
        let form = form();
        assert_eq!(form["additionalProperties"], false);
        let item = &form["properties"]["files"]["items"];
        assert_eq!(
            (&item["additionalProperties"], &item["required"]),
            (&json!(false), &json!(["path", "content"]))
        );
    }
}
