//! Adds the schema `unstuck` to the list of schemas that PostgREST exposes.
//!
//! PostgREST takes the list from the settings of its role `authenticator`: first those for this
//! database, then those for all databases. Without these it takes the list from its configuration,
//! which the project's owner changes in the dashboard. Source: PostgREST,
//! src/library/PostgREST/Config/Database.hs.

use std::time::Duration;

use anyhow::Result;
use shared::core::config::Config;

use super::management::Management;
use super::{HostedProject, ProjectAct, literal};

const SCHEMA: &str = "unstuck";
const RELOAD: &str = "notify pgrst, 'reload config';\nnotify pgrst, 'reload schema';";
/// The text before PostgREST's list of exposed schemas: in the hint, before version 13 in the
/// message.
const LISTS: [&str; 2] =
    ["Only the following schemas are exposed:", "The schema must be one of the following:"];

/// The list of schemas in the settings of PostgREST's role.
struct RoleList {
    schemas: String,
    /// `authenticator`, or `authenticator in database …`.
    role: String,
}

impl HostedProject<'_> {
    pub(super) async fn expose(&self) -> Result<ProjectAct> {
        if let Some(list) = self.role_list().await? {
            let undo = alter(&list.role, Some(&list.schemas));
            return self.expose_beside(&list.schemas, &list.role, &undo).await;
        }
        if let Some(management) = Management::of(self.deployment, &self.how.management_url) {
            return self.expose_in_dashboard(&management).await;
        }
        let role = "authenticator";
        match self.exposed_by_api().await {
            Some(schemas) => self.expose_beside(&schemas, role, &alter(role, None)).await,
            None => Ok(ProjectAct::left(
                format!(
                    "the schema {SCHEMA} may not be exposed: {} does not tell what is",
                    self.setting("SUPABASE_URL")
                ),
                format!(
                    "In the dashboard, Settings, Data API, Exposed schemas: add `{SCHEMA}`. \
                     Elsewhere, with the schemas that are exposed now: {}",
                    alter(role, Some(&format!("public, graphql_public, {SCHEMA}")))
                ),
            )),
        }
    }

    /// Adds our schema to a role's list.
    async fn expose_beside(&self, schemas: &str, role: &str, undo: &str) -> Result<ProjectAct> {
        if names(schemas).any(|name| name == SCHEMA) {
            return Ok(exposed(schemas));
        }
        let all = with_ours(schemas);
        let what = format!("the schema {SCHEMA} is exposed, beside: {schemas}");
        self.change(what, &alter(role, Some(&all)), undo).await
    }

    async fn expose_in_dashboard(&self, management: &Management) -> Result<ProjectAct> {
        let schemas = management.exposed().await?;
        if names(&schemas).any(|name| name == SCHEMA) {
            return Ok(exposed(&schemas));
        }
        if !self.how.plan_only {
            management.expose(&with_ours(&schemas)).await?;
        }
        let undo = format!("In the dashboard, Settings, Data API, Exposed schemas: {schemas}");
        Ok(ProjectAct::done(format!("the schema {SCHEMA} is exposed, beside: {schemas}"), undo))
    }

    async fn role_list(&self) -> Result<Option<RoleList>> {
        let query = "
            select substr(c.setting, length('pgrst.db_schemas=') + 1),
              case when s.setdatabase = 0 then 'authenticator'
                else format('authenticator in database %I', current_database()) end
            from pg_catalog.pg_db_role_setting s
            join pg_catalog.pg_roles r on r.oid = s.setrole and r.rolname = 'authenticator'
            cross join unnest(s.setconfig) as c (setting)
            where c.setting like 'pgrst.db\\_schemas=%'
              and s.setdatabase in (
                0,
                (select d.oid from pg_catalog.pg_database d where d.datname = current_database())
              )
            order by s.setdatabase = 0
            limit 1";
        let row = self.client.query_opt(query, &[]).await?;
        Ok(row.map(|row| RoleList { schemas: row.get(0), role: row.get(1) }))
    }

    /// The list that the project's API has at present. PostgREST names it to a caller who asks for
    /// a schema that is not in it.
    async fn exposed_by_api(&self) -> Option<String> {
        let settings = |name: &str| {
            let deployment = self.deployment;
            deployment.vars.get(name).or_else(|| deployment.secrets.get(name)).cloned()
        };
        let config = Config::parse(settings, &[]).ok()?;
        let url = format!("{}/rest/v1/jobs?limit=0", config.supabase_url().ok()?);
        let client = reqwest::Client::builder().timeout(Duration::from_secs(10)).build().ok()?;
        let mut request = client.get(url).header("accept-profile", "unstuck_asks");
        for (name, value) in config.service_headers().ok()? {
            request = request.header(name, value);
        }
        listed(&request.send().await.ok()?.json().await.ok()?)
    }
}

/// The list in PostgREST's refusal of a schema.
fn listed(refusal: &serde_json::Value) -> Option<String> {
    if refusal["code"] != "PGRST106" {
        return None;
    }
    let texts = ["hint", "message"].into_iter().filter_map(|field| refusal[field].as_str());
    texts
        .flat_map(|text| LISTS.iter().filter_map(move |words| text.strip_prefix(words)))
        .next()
        .map(|list| list.trim().to_owned())
}

fn exposed(schemas: &str) -> ProjectAct {
    ProjectAct::already(format!("the schema {SCHEMA} is exposed: {schemas}"))
}

fn names(schemas: &str) -> impl Iterator<Item = &str> {
    schemas.split(',').map(str::trim)
}

fn with_ours(schemas: &str) -> String {
    match schemas.trim() {
        "" => SCHEMA.to_owned(),
        schemas => format!("{schemas}, {SCHEMA}"),
    }
}

/// The statements that set or reset the list of a role.
fn alter(role: &str, schemas: Option<&str>) -> String {
    let change = schemas.map_or_else(
        || "reset pgrst.db_schemas".to_owned(),
        |schemas| format!("set pgrst.db_schemas = {}", literal(schemas)),
    );
    format!("alter role {role} {change};\n{RELOAD}")
}

#[cfg(test)]
mod tests {
    use super::listed;

    #[test]
    fn every_version_of_postgrest_tells_its_list() {
        let list = Some("public, graphql_public".to_owned());
        for refusal in [
            serde_json::json!({"code": "PGRST106", "details": null,
                "hint": "Only the following schemas are exposed: public, graphql_public",
                "message": "Invalid schema: unstuck_asks"}),
            serde_json::json!({"code": "PGRST106", "details": null, "hint": null,
                "message": "The schema must be one of the following: public, graphql_public"}),
        ] {
            assert_eq!(listed(&refusal), list);
        }
        for other in [
            serde_json::json!({"message": "Invalid API key"}),
            serde_json::json!({"code": "PGRST106", "message": "something new"}),
            serde_json::json!([]),
        ] {
            assert_eq!(listed(&other), None, "{other}");
        }
    }
}
