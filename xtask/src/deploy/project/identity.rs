//! The owner of the database: the row of `unstuck_private.deployment`.

use anyhow::{Result, bail};
use tokio_postgres::Client;

use super::storage::{FilePlace, USUAL};
use super::{HostedProject, ProjectAct, literal};

/// An app's own bucket holds files of the app, which look abandoned to us.
const SPARE: &str = "update unstuck.retention set keep = null where kind = 'abandoned_uploads';";

/// The deployment to which a database belongs, by its row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Owner {
    id: String,
    supabase_url: String,
    uploads_bucket: String,
    results_bucket: String,
}

impl Owner {
    /// Reads the owner; `None` if the database names none.
    pub(super) async fn of(client: &Client) -> Result<Option<Self>> {
        let exists = "select to_regclass('unstuck_private.deployment') is not null";
        if !client.query_one(exists, &[]).await?.get::<_, bool>(0) {
            return Ok(None);
        }
        let query = "select id, supabase_url, uploads_bucket, results_bucket
            from unstuck_private.deployment";
        Ok(client.query_opt(query, &[]).await?.map(|row| Self {
            id: row.get(0),
            supabase_url: row.get(1),
            uploads_bucket: row.get(2),
            results_bucket: row.get(3),
        }))
    }

    /// All columns except the id, for an update.
    fn assignments(&self) -> String {
        format!(
            "supabase_url = {}, uploads_bucket = {}, results_bucket = {}",
            literal(&self.supabase_url),
            literal(&self.uploads_bucket),
            literal(&self.results_bucket)
        )
    }
}

impl HostedProject<'_> {
    fn new_owner(&self) -> Owner {
        Owner {
            id: self.setting("DEPLOYMENT_ID").to_owned(),
            supabase_url: self.setting("SUPABASE_URL").trim_end_matches('/').to_owned(),
            uploads_bucket: self.uploads_bucket().to_owned(),
            results_bucket: self.results_bucket().to_owned(),
        }
    }

    pub(super) fn uploads_bucket(&self) -> &str {
        self.named_bucket("UPLOADS_BUCKET", USUAL[0])
    }

    pub(super) fn results_bucket(&self) -> &str {
        self.named_bucket("RESULTS_BUCKET", USUAL[1])
    }

    fn named_bucket<'b>(&'b self, setting: &str, default: &'b str) -> &'b str {
        Some(self.setting(setting)).filter(|name| !name.is_empty()).unwrap_or(default)
    }

    /// Runs before every change, because a copied database looks like another deployment's own.
    pub(super) fn refuse_other_owner(&self, owner: Option<&Owner>) -> Result<()> {
        let (Some(owner), new) = (owner, self.new_owner()) else { return Ok(()) };
        if self.how.take_over || owner.id == new.id && owner.supabase_url == new.supabase_url {
            return Ok(());
        }
        let (name, file) = (&self.deployment.name, &new.id);
        bail!(
            "the database at DATABASE_URL says that it belongs to the deployment `{}` of {}, and \
             these settings are of `{file}` of {}; nothing was changed. Is it that deployment's \
             own database? Then DATABASE_URL or SUPABASE_URL is wrong. Is it a copy (a branch, a \
             restore), or has it moved? Then say that it is yours from now on: \
             cargo xtask deploy {name} --take-over",
            owner.id,
            owner.supabase_url,
            new.supabase_url,
        );
    }

    /// Writes the row. From then on the Workers of the previous owner are refused. Where an
    /// existing bucket becomes that of uploads, its abandoned files are kept from then on. `files`
    /// is what existed before the migrations.
    pub(super) async fn own(
        &self,
        owner: Option<Owner>,
        files: Option<&FilePlace>,
    ) -> Result<Vec<ProjectAct>> {
        let new = self.new_owner();
        if new.id.is_empty() {
            let what = "DEPLOYMENT_ID is empty: no deployment is refused";
            return Ok(vec![ProjectAct::already(what)]);
        }
        let known = owner.as_ref().map_or(USUAL[0], |owner| &owner.uploads_bucket);
        let is_taken_over = new.uploads_bucket != known
            && files.is_some_and(|files| files.has(&new.uploads_bucket));
        let spare = if is_taken_over { SPARE } else { "" };
        let Some(owner) = owner else {
            let what = format!("the database belongs to the deployment `{}`", new.id);
            let statements = format!("{}\n{spare}", insert(&new));
            let undo = "delete from unstuck_private.deployment;";
            return Ok(vec![self.change(what, &statements, undo).await?]);
        };
        if owner == new {
            let what = format!("the database belongs to `{}`", new.id);
            return Ok(vec![ProjectAct::already(what)]);
        }
        let mut what = format!("the database belongs to `{}` with these settings", new.id);
        if owner.id != new.id || owner.supabase_url != new.supabase_url {
            what = format!(
                "the database belongs to `{}` of {}, and no more to `{}` of {}; {} live jobs came \
                 with it, which are done at the providers by this deployment from now on",
                new.id,
                new.supabase_url,
                owner.id,
                owner.supabase_url,
                self.live_jobs().await?,
            );
        }
        let statements = format!("{}\n{spare}", update(&owner.id, &new));
        let mut acts = vec![self.change(what, &statements, &update(&new.id, &owner)).await?];
        let buckets = [
            (owner.uploads_bucket, new.uploads_bucket),
            (owner.results_bucket, new.results_bucket),
        ];
        acts.extend(buckets.into_iter().filter(|(old, new)| old != new).map(|(old, _)| {
            ProjectAct::left(
                format!(
                    "files in the bucket `{old}` are deleted no more: not by age, and not with \
                     their user"
                ),
                format!("In the dashboard, Storage: empty the bucket `{old}` when no job needs it"),
            )
        }));
        Ok(acts)
    }

    async fn live_jobs(&self) -> Result<i64> {
        let query = "select count(*) from unstuck.jobs where unstuck_private.is_live(status)";
        Ok(self.client.query_one(query, &[]).await?.get(0))
    }
}

fn insert(new: &Owner) -> String {
    format!(
        "insert into unstuck_private.deployment (id, supabase_url, uploads_bucket, results_bucket)
        values ({}, {}, {}, {});",
        literal(&new.id),
        literal(&new.supabase_url),
        literal(&new.uploads_bucket),
        literal(&new.results_bucket)
    )
}

/// Changes the row only if the owner is still `id`: another one may have taken the database in
/// between.
fn update(id: &str, new: &Owner) -> String {
    format!(
        "update unstuck_private.deployment set id = {}, {} where id = {};",
        literal(&new.id),
        new.assignments(),
        literal(id)
    )
}
