//! Judges the buckets and the policy for uploads.

use super::Finding;
use super::findings::{good, lack};
use super::observed::{DatabaseState, Expected, SeenBucket, StorageState};

/// The migration makes the buckets for files of at most these sizes: an upload, and a result.
const UPLOAD_BYTES: i64 = 50 * 1024 * 1024;
const RESULT_BYTES: i64 = 512 * 1024 * 1024;
/// A website is stored as one object of this type.
const WEBSITE: &str = "application/json";
const POLICY: &str = "storage policy";

pub(super) fn storage(state: &DatabaseState, expected: &Expected) -> Vec<Finding> {
    let Some(seen) = &state.storage else {
        let words = "the database has no storage, or its owner may not look at it";
        return vec![lack("storage", words, "use a Supabase project, or grant it: docs/doctor.md")];
    };
    let known = |name: &str| expected.known.get(name).filter(|value| !value.is_empty()).cloned();
    let row = state.identity.as_ref();
    let uploads = row.and_then(|row| row.uploads_bucket.clone());
    let uploads = uploads.or_else(|| known("UPLOADS_BUCKET")).unwrap_or("uploads".to_owned());
    let results = row.and_then(|row| row.results_bucket.clone());
    let results = results.or_else(|| known("RESULTS_BUCKET")).unwrap_or("results".to_owned());
    let mut found = Vec::new();
    found.extend(bucket(seen, &uploads, UPLOAD_BYTES, None));
    found.extend(bucket(seen, &results, RESULT_BYTES, Some(WEBSITE)));
    found.extend(policy(seen, &uploads));
    if found.is_empty() {
        found.push(good("storage", "both buckets and the policy of uploads are as they should be"));
    }
    found
}

fn bucket(seen: &StorageState, id: &str, bytes: i64, holds: Option<&str>) -> Option<Finding> {
    let subject = format!("bucket {id}");
    let set = |what: &str| format!("update storage.buckets set {what} where id = '{id}';");
    let Some(SeenBucket { public, bytes_max, types, .. }) =
        seen.buckets.iter().find(|bucket| bucket.id == id)
    else {
        let make = format!("insert into storage.buckets (id, name, public) values ('{id}', '{id}'");
        return Some(lack(subject, "it is missing", format!("{make}, true);")));
    };
    if *public != Some(true) {
        let words = "it is private: no result and no upload can be read by its URL";
        return Some(lack(subject, words, set("public = true")));
    }
    if bytes_max.is_some_and(|most| most < bytes) {
        let words = format!("it takes no file over {} bytes", bytes_max.unwrap_or_default());
        return Some(lack(subject, words, set(&format!("file_size_limit = {bytes}"))));
    }
    let wanted = holds.filter(|wanted| {
        types.as_ref().is_some_and(|types| !types.iter().any(|kind| kind == wanted))
    })?;
    let add = format!("allowed_mime_types = allowed_mime_types || '{wanted}'::text");
    Some(lack(subject, format!("it takes no {wanted}: websites are not stored"), set(&add)))
}

fn policy(seen: &StorageState, uploads: &str) -> Option<Finding> {
    let make = format!(
        "create policy \"unstuck uploads insert\" on storage.objects for insert to authenticated \
         with check (bucket_id = '{uploads}' and \
         (storage.foldername(name))[1] = auth.uid()::text);"
    );
    if seen.row_security == Some(false) {
        let words = "row level security of storage.objects is off: anybody may write anything";
        let cure = "alter table storage.objects enable row level security;";
        return Some(lack(POLICY, words, cure));
    }
    match &seen.upload_policy {
        None => Some(lack(POLICY, "users may not upload: every upload is refused", make)),
        Some(check) if !check.contains(&format!("'{uploads}'")) || !check.contains("uid()") => {
            let cure = format!("drop policy \"unstuck uploads insert\" on storage.objects; {make}");
            Some(lack(POLICY, format!("it lets users upload where {check}"), cure))
        }
        Some(_) => None,
    }
}
