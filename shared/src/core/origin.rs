//! Splits URLs into origin and rest, and translates an app's URLs of the project's files.

use std::borrow::Cow;

use crate::core::config::Config;

/// Splits an absolute URL into its origin and the rest. Without an origin, everything is the rest.
pub fn split_origin(url: &str) -> (&str, &str) {
    let Some((_, after)) = url.split_once("://") else { return ("", url) };
    let rest = after.find(['/', '?', '#']).and_then(|at| after.get(at..)).unwrap_or_default();
    url.split_at_checked(url.len() - rest.len()).unwrap_or((url, ""))
}

/// Returns the project's own URL of a file whose URL begins with `origin`, the address at which the
/// app has reached us. The gateway passes such URLs on to the project's storage.
pub fn at_project<'a>(text: &'a str, origin: &str, config: &Config) -> Cow<'a, str> {
    let (named, rest) = split_origin(text);
    let is_here = !named.is_empty() && named == origin && rest.starts_with("/storage/v1/object/");
    match &config.supabase_url {
        Some(project) if is_here => Cow::Owned(format!("{project}{rest}")),
        _ => Cow::Borrowed(text),
    }
}

#[cfg(test)]
mod tests {
    use super::{at_project, split_origin};
    use crate::core::config::Config;

    #[test]
    fn a_url_is_split_after_its_host() {
        assert_eq!(split_origin("https://a.b:1/c?d=/e"), ("https://a.b:1", "/c?d=/e"));
        assert_eq!(split_origin("https://a.b"), ("https://a.b", ""));
        assert_eq!(split_origin("https://a.b?c"), ("https://a.b", "?c"));
        assert_eq!(split_origin("/c?to=x"), ("", "/c?to=x"));
    }

    #[test]
    fn a_file_named_by_the_apps_one_address_is_the_projects() {
        let project = "https://p.supabase.test";
        let config = Config { supabase_url: Some(project.to_owned()), ..Config::default() };
        let at = |text: &str, origin| at_project(text, origin, &config).into_owned();
        let path = "/storage/v1/object/public/uploads/me/a.png";
        let here = format!("https://app.example{path}");
        assert_eq!(at(&here, "https://app.example"), format!("{project}{path}"));
        for origin in ["https://other.example", "https://app.example:8443", ""] {
            assert_eq!(at(&here, origin), here, "{origin}");
        }
        let page = "https://app.example/storage/v1/upload";
        assert_eq!(at(page, "https://app.example"), page);
        assert_eq!(at(path, ""), path, "no host is named");
    }
}
