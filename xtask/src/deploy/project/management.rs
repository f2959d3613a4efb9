//! Supabase's Management API, as far as it says which schemas a project exposes:
//! `GET` and `PATCH /v1/projects/<ref>/postgrest`, whose `db_schema` is one comma-separated list.

use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::address::DatabaseAddress;
use crate::deploy::deployment::Deployment;

pub(super) const ADDRESS: &str = "https://api.supabase.com";
const HOSTED: &str = ".supabase.co";

/// One project at the Management API.
pub(super) struct Management {
    url: String,
    token: String,
}

impl Management {
    /// `None` without a token, or where the project is not Supabase's.
    pub(super) fn of(deployment: &Deployment, address: &str) -> Option<Self> {
        let token = deployment.access.supabase_token.clone()?;
        let project = of_url(deployment).or_else(|| of_database(deployment))?;
        let address = address.trim_end_matches('/');
        Some(Self { url: format!("{address}/v1/projects/{project}/postgrest"), token })
    }

    pub(super) async fn exposed(&self) -> Result<String> {
        self.ask(Method::GET, None).await
    }

    /// Replaces the list.
    pub(super) async fn expose(&self, schemas: &str) -> Result<()> {
        let answered = self.ask(Method::PATCH, Some(json!({ "db_schema": schemas }))).await?;
        if answered != schemas {
            bail!("the Management API exposes {answered:?} and not {schemas:?}");
        }
        Ok(())
    }

    /// The list in the answer.
    async fn ask(&self, method: Method, body: Option<Value>) -> Result<String> {
        let client = reqwest::Client::builder().timeout(Duration::from_secs(30)).build()?;
        let mut request = client.request(method, &self.url).bearer_auth(&self.token);
        if let Some(body) = body {
            request = request.json(&body);
        }
        let response = request.send().await.map_err(|error| anyhow!("{}: {error}", self.url))?;
        let status = response.status();
        if matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) {
            bail!("{}: SUPABASE_ACCESS_TOKEN is refused ({status})", self.url);
        }
        let text = response.text().await.unwrap_or_default();
        let json: Value = serde_json::from_str(&text).unwrap_or_default();
        if !status.is_success() {
            let why = json["message"].as_str().unwrap_or("no reason given");
            bail!("{}: {status}: {why}", self.url);
        }
        let list = json["db_schema"].as_str().map(str::to_owned);
        list.with_context(|| format!("{}: the answer has no db_schema", self.url))
    }
}

/// Fails where both addresses are Supabase's, and of two projects.
pub(super) fn refuse_two_projects(deployment: &Deployment) -> Result<()> {
    match (of_url(deployment), of_database(deployment)) {
        (Some(one), Some(other)) if one != other => bail!(
            "SUPABASE_URL is of the project {one} and DATABASE_URL of {other}; nothing was changed"
        ),
        _ => Ok(()),
    }
}

/// The project of `https://<project>.supabase.co`.
fn of_url(deployment: &Deployment) -> Option<String> {
    let url = reqwest::Url::parse(deployment.vars.get("SUPABASE_URL")?).ok()?;
    is_project(url.host_str()?.strip_suffix(HOSTED)?)
}

/// The project that the connection string names.
fn of_database(deployment: &Deployment) -> Option<String> {
    DatabaseAddress::parse(&deployment.access.database_url).ok()?.project()
}

fn is_project(name: &str) -> Option<String> {
    let plain = !name.is_empty() && name.chars().all(|letter| letter.is_ascii_alphanumeric());
    plain.then(|| name.to_owned())
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
