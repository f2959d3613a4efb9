//! Makes the two buckets and the policy for uploads. Existing ones keep their settings; those that
//! do not fit are reported.

use anyhow::{Context, Result};
use tokio_postgres::Row;

use super::{HostedProject, ProjectAct, literal};
use crate::migration::Project;
use crate::postgres;

const MIB: i64 = 1024 * 1024;
/// The size in bytes of the largest files that the buckets must take, as in platform/storage.sql.
const UPLOADS_LIMIT: i64 = 50 * MIB;
const RESULTS_LIMIT: i64 = 512 * MIB;
const POLICY: &str = "unstuck uploads insert";
/// Every tool takes or makes at least one of these types.
const TYPES: [&str; 3] = ["image/png", "image/jpeg", "video/mp4"];

/// What the migrations call the buckets of uploads and of results while no deployment is known.
pub(super) const USUAL: [&str; 2] = ["uploads", "results"];

/// The buckets and the policy in the database.
#[derive(Default)]
pub(super) struct FilePlace {
    buckets: Vec<FileBucket>,
    /// The condition of the policy, if it exists.
    policy: Option<String>,
}

impl FilePlace {
    pub(super) fn has(&self, bucket: &str) -> bool {
        self.buckets.iter().any(|known| known.id == bucket)
    }

    /// Whether the policy exists and is of this bucket.
    fn allows(&self, bucket: &str) -> bool {
        self.policy.as_ref().is_some_and(|condition| condition.contains(&literal(bucket)))
    }
}

struct FileBucket {
    id: String,
    is_public: bool,
    /// In bytes; `None` means the project's own limit.
    limit: Option<i64>,
    /// `None` means all types.
    types: Option<Vec<String>>,
}

impl HostedProject<'_> {
    /// Makes what is missing. `before` is what existed before the migrations.
    pub(super) async fn files(&self, before: Option<FilePlace>) -> Result<Vec<ProjectAct>> {
        let (Some(before), Some(now)) = (before, self.file_place().await?) else {
            let what = "there is no schema storage: no bucket was made";
            return Ok(vec![ProjectAct::left(what, "Turn Storage on, then deploy once more.")]);
        };
        let (uploads, results) = (self.uploads_bucket(), self.results_bucket());
        let is_whole = now.allows(uploads) && now.has(uploads) && now.has(results);
        if !is_whole && self.how.plan_only {
            return Ok(self.told(&before, &self.whole(), &[]));
        }
        let (after, warnings) = if is_whole {
            (now, Vec::new())
        } else {
            let warnings = self.make_files().await?;
            (self.file_place().await?.unwrap_or_default(), warnings)
        };
        let mut acts = self.told(&before, &after, &warnings);
        let strays = USUAL.into_iter().filter(|usual| ![uploads, results].contains(usual));
        acts.extend(strays.filter(|stray| !before.has(stray) && after.has(stray)).map(|stray| {
            ProjectAct::left(
                format!("a migration made the bucket `{stray}`, and nothing is stored there"),
                format!("In the dashboard, Storage: delete the bucket `{stray}`"),
            )
        }));
        Ok(acts)
    }

    /// Runs the source that makes what is missing. Returns its warnings.
    async fn make_files(&self) -> Result<Vec<String>> {
        let sources = Project::here().sources()?;
        let path = "platform/storage.sql";
        let source = sources.iter().find(|source| source.path == path).context(path)?;
        if let Ok(mut warnings) = self.warnings.lock() {
            warnings.clear();
        }
        let sent = self.client.batch_execute(&source.text).await;
        sent.map_err(|error| postgres::failed(path, &source.text, &error))?;
        Ok(self.warnings.lock().map(|warnings| warnings.clone()).unwrap_or_default())
    }

    /// `None` if the project has no Storage.
    pub(super) async fn file_place(&self) -> Result<Option<FilePlace>> {
        let exists = "select to_regclass('storage.buckets') is not null
            and to_regclass('storage.objects') is not null";
        if !self.client.query_one(exists, &[]).await?.get::<_, bool>(0) {
            return Ok(None);
        }
        let buckets = "select id, coalesce(public, false), file_size_limit, allowed_mime_types
            from storage.buckets where id = any($1) order by id";
        let names = [self.uploads_bucket(), self.results_bucket(), USUAL[0], USUAL[1]];
        let rows = self.client.query(buckets, &[&&names[..]]).await.context("storage.buckets")?;
        let policy = "select pg_get_expr(polwithcheck, polrelid) from pg_catalog.pg_policy
            where polname = $1 and polrelid = 'storage.objects'::regclass";
        let policy = self.client.query_opt(policy, &[&POLICY]).await?;
        let policy = policy.and_then(|row| row.get::<_, Option<String>>(0));
        Ok(Some(FilePlace { buckets: rows.iter().map(bucket).collect(), policy }))
    }

    /// The state that a plan would reach.
    fn whole(&self) -> FilePlace {
        let bucket =
            |id: &str| FileBucket { id: id.to_owned(), is_public: true, limit: None, types: None };
        let buckets = vec![bucket(self.uploads_bucket()), bucket(self.results_bucket())];
        FilePlace { buckets, policy: Some(literal(self.uploads_bucket())) }
    }

    fn told(&self, before: &FilePlace, after: &FilePlace, warnings: &[String]) -> Vec<ProjectAct> {
        let mut acts = Vec::new();
        let limits =
            [(self.uploads_bucket(), UPLOADS_LIMIT), (self.results_bucket(), RESULTS_LIMIT)];
        for (id, limit) in limits {
            let find = |place: &'_ FilePlace| place.buckets.iter().position(|known| known.id == id);
            match (find(before), find(after)) {
                (Some(at), _) => {
                    let Some(bucket) = before.buckets.get(at) else { continue };
                    acts.push(ProjectAct::already(format!("the bucket `{id}` is there")));
                    acts.extend(lacks(bucket, limit));
                }
                (None, Some(_)) => acts.push(ProjectAct::done(
                    format!("the public bucket `{id}`"),
                    format!("In the dashboard, Storage: empty and delete the bucket `{id}`"),
                )),
                (None, None) => acts.push(left(&format!("the bucket `{id}`"), "buckets", warnings)),
            }
        }
        let uploads = self.uploads_bucket();
        acts.push(if before.allows(uploads) {
            ProjectAct::already(format!("the policy \"{POLICY}\" is there"))
        } else if after.allows(uploads) {
            let undo = match &before.policy {
                Some(condition) => format!(
                    "alter policy \"{POLICY}\" on storage.objects with check ({condition});"
                ),
                None => format!("drop policy \"{POLICY}\" on storage.objects;"),
            };
            ProjectAct::done(format!("the policy \"{POLICY}\""), undo)
        } else {
            left(&format!("the policy \"{POLICY}\""), "policy", warnings)
        });
        acts
    }
}

/// An act that is left to a person, with the statement in the matching warning.
fn left(what: &str, about: &str, warnings: &[String]) -> ProjectAct {
    let warning = warnings.iter().find(|warning| warning.contains(about));
    let told = warning.map_or("cargo xtask doctor tells why", String::as_str);
    ProjectAct::left(format!("not made: {what}"), told)
}

fn bucket(row: &Row) -> FileBucket {
    FileBucket { id: row.get(0), is_public: row.get(1), limit: row.get(2), types: row.get(3) }
}

/// Reports the limits and types of an existing bucket that do not fit.
fn lacks(bucket: &FileBucket, limit: i64) -> Vec<ProjectAct> {
    let id = &bucket.id;
    let set =
        |value: String| format!("update storage.buckets set {value} where id = {};", literal(id));
    let mut acts = Vec::new();
    if !bucket.is_public {
        let what = format!("the bucket `{id}` is not public: its files cannot be shown");
        acts.push(ProjectAct::left(what, set("public = true".to_owned())));
    }
    if let Some(own) = bucket.limit.filter(|own| *own < limit) {
        let what = format!(
            "the bucket `{id}` takes files up to {own} bytes: larger ones, of at most {} MB, are \
             refused",
            limit / MIB
        );
        acts.push(ProjectAct::left(what, set(format!("file_size_limit = {limit}"))));
    }
    let types = bucket.types.as_deref().unwrap_or(&[]);
    let missing: Vec<&str> = TYPES
        .into_iter()
        .filter(|wanted| !types.is_empty() && !types.iter().any(|own| takes(own, wanted)))
        .collect();
    if !missing.is_empty() {
        let what = format!("the bucket `{id}` does not take {}", missing.join(", "));
        let list = missing.iter().map(|name| literal(name)).collect::<Vec<_>>().join(", ");
        let all = format!("allowed_mime_types = allowed_mime_types || array[{list}]");
        acts.push(ProjectAct::left(what, set(all)));
    }
    acts
}

/// Whether an allowed type (`image/png`, `image/*`) includes the wanted one.
fn takes(allowed: &str, wanted: &str) -> bool {
    allowed == wanted || allowed.strip_suffix('*').is_some_and(|kind| wanted.starts_with(kind))
}
