//! Supabase's Management API, as far as we need it: the schemas that a project exposes (`GET` and
//! `PATCH /v1/projects/<ref>/postgrest`, with the comma-separated list `db_schema`), and the
//! project's keys.
//!
//! The API accepts 60 calls a minute; after more it refuses calls for a minute. Source: its
//! introduction, "Rate limits".

use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use reqwest::header::RETRY_AFTER;
use reqwest::{Method, Response, StatusCode};
use serde_json::{Value, json};

use crate::command::say;
use crate::deploy::deployment::Deployment;
use crate::deploy::fetch::ProjectKey;
use crate::deploy::values;

/// The number of tries for one call.
const TRIES: u32 = 3;
/// The API refuses calls for so long after too many.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// The API's address, or that in the variable `SUPABASE_API_URL`.
pub(in crate::deploy) fn address() -> String {
    std::env::var("SUPABASE_API_URL").unwrap_or_else(|_| "https://api.supabase.com".to_owned())
}

/// One project in the Management API.
pub(in crate::deploy) struct Management {
    url: String,
    token: String,
}

impl Management {
    pub(in crate::deploy) fn new(address: &str, project: &str, token: String) -> Self {
        Self { url: format!("{}/v1/projects/{project}", address.trim_end_matches('/')), token }
    }

    /// `None` without a token, or if the project is not one of Supabase's.
    pub(super) fn of(deployment: &Deployment, address: &str) -> Option<Self> {
        let token = deployment.access.supabase_token.clone()?;
        let project = of_url(deployment).or_else(|| of_database(deployment))?;
        Some(Self::new(address, &project, token))
    }

    pub(super) async fn exposed(&self) -> Result<String> {
        let answer = self.ask(Method::GET, "postgrest", None).await?;
        self.list(&answer)
    }

    /// Replaces the list of exposed schemas.
    pub(super) async fn expose(&self, schemas: &str) -> Result<()> {
        let body = json!({ "db_schema": schemas });
        let answer = self.ask(Method::PATCH, "postgrest", Some(&body)).await?;
        let answered = self.list(&answer)?;
        if answered != schemas {
            bail!("the Management API exposes {answered:?} and not {schemas:?}");
        }
        Ok(())
    }

    /// The list of schemas in an answer.
    fn list(&self, answer: &Value) -> Result<String> {
        let list = answer["db_schema"].as_str().map(str::to_owned);
        list.with_context(|| format!("{}/postgrest: the answer has no db_schema", self.url))
    }

    /// The project's keys of both kinds, unmasked.
    pub(in crate::deploy) async fn keys(&self) -> Result<Vec<ProjectKey>> {
        let answer = self.ask(Method::GET, "api-keys?reveal=true", None).await?;
        let read = serde_json::from_value(answer);
        read.with_context(|| format!("{}/api-keys: an answer of another form", self.url))
    }

    /// The HS256 secret, if the project still accepts tokens signed with it.
    pub(in crate::deploy) async fn legacy_secret(&self) -> Result<Option<String>> {
        let answer = self.ask(Method::GET, "config/auth/signing-keys", None).await?;
        let keys = answer["keys"].as_array().cloned().unwrap_or_default();
        let is_taken = |key: &Value| {
            key["algorithm"] == "HS256"
                && ["in_use", "previously_used"].iter().any(|status| key["status"] == **status)
        };
        // A project that never moved to signing keys has an empty list.
        if !keys.is_empty() && !keys.iter().any(is_taken) {
            return Ok(None);
        }
        let answer = self.ask(Method::GET, "postgrest", None).await?;
        Ok(answer["jwt_secret"].as_str().filter(|secret| !secret.is_empty()).map(str::to_owned))
    }

    /// Sends a call. After too many calls it waits and retries, up to `TRIES` times.
    async fn ask(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Value> {
        let url = format!("{}/{path}", self.url);
        let client = reqwest::Client::builder().timeout(Duration::from_secs(30)).build()?;
        for attempt in 1.. {
            let mut request = client.request(method.clone(), &url).bearer_auth(&self.token);
            if let Some(body) = body {
                request = request.json(body);
            }
            let answer = request.send().await.map_err(|error| anyhow!("{url}: {error}"))?;
            if answer.status() != StatusCode::TOO_MANY_REQUESTS || attempt == TRIES {
                return read(&url, answer).await;
            }
            let wait = wait(&answer);
            say(format_args!("Supabase takes 60 calls a minute; waiting for {} s", wait.as_secs()));
            tokio::time::sleep(wait).await;
        }
        Ok(Value::Null)
    }
}

fn wait(answer: &Response) -> Duration {
    let asked =
        answer.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
    asked.map_or(LONGEST_WAIT, Duration::from_secs).min(LONGEST_WAIT)
}

async fn read(url: &str, answer: Response) -> Result<Value> {
    let status = answer.status();
    if matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) {
        bail!("{url}: SUPABASE_ACCESS_TOKEN is refused ({status})");
    }
    let text = answer.text().await.unwrap_or_default();
    let json: Value = serde_json::from_str(&text).unwrap_or_default();
    if !status.is_success() {
        let why = json["message"].as_str().unwrap_or("no reason given");
        bail!("{url}: {status}: {why}");
    }
    Ok(json)
}

/// Fails if both addresses are Supabase's and name different projects.
pub(super) fn refuse_two_projects(deployment: &Deployment) -> Result<()> {
    match (of_url(deployment), of_database(deployment)) {
        (Some(one), Some(other)) if one != other => bail!(
            "SUPABASE_URL is of the project {one} and DATABASE_URL of {other}; nothing was changed"
        ),
        _ => Ok(()),
    }
}

fn of_url(deployment: &Deployment) -> Option<String> {
    values::project_of(deployment.vars.get("SUPABASE_URL")?)
}

fn of_database(deployment: &Deployment) -> Option<String> {
    values::project_of_database(&deployment.access.database_url)
}

#[cfg(test)]
mod tests {
    use super::{Deployment, of_database, of_url, refuse_two_projects};

    fn deployment(url: &str, database: &str) -> Deployment {
        let mut deployment = Deployment::default();
        deployment.vars.insert("SUPABASE_URL".to_owned(), url.to_owned());
        deployment.access.database_url = database.to_owned();
        deployment
    }

    #[test]
    fn the_addresses_of_a_project_name_it() {
        for (url, database, project) in [
            (
                "https://abc.supabase.co",
                "postgres://postgres:p@db.abc.supabase.co:5432/postgres",
                (Some("abc"), Some("abc")),
            ),
            (
                "https://api.shop.example",
                "postgres://postgres.abc:p@aws-0-eu-west-1.pooler.supabase.com:5432/postgres",
                (None, Some("abc")),
            ),
            (
                "http://127.0.0.1:54321",
                "postgres://postgres:p@127.0.0.1:54322/postgres",
                (None, None),
            ),
            ("https://a/b.supabase.co", "not a url", (None, None)),
            ("https://x.y.supabase.co", "", (None, None)),
            ("https://.supabase.co", "", (None, None)),
        ] {
            let deployment = deployment(url, database);
            let found = (of_url(&deployment), of_database(&deployment));
            assert_eq!((found.0.as_deref(), found.1.as_deref()), project, "{url}");
            assert!(refuse_two_projects(&deployment).is_ok());
        }
    }

    #[test]
    fn the_addresses_of_two_projects_are_refused() {
        let mixed = deployment(
            "https://abc.supabase.co",
            "postgres://postgres:secret@db.xyz.supabase.co:5432/postgres",
        );
        let error = refuse_two_projects(&mixed).unwrap_err().to_string();
        assert!(error.contains("abc") && error.contains("xyz") && !error.contains("secret"));
    }
}
