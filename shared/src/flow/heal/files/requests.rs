//! The requests of a pass to storage and the database about one bucket.
//!
//! Source: supabase/storage, src/http/routes/object/listObjectsV2.ts and deleteObjects.ts.

use super::allowance::Allowance;
use super::walk::{Removal, halves};
use crate::core::error::ApiError;
use crate::core::storage::{self, DeleteRefusal, ListedPage};
use crate::core::transport::{HttpRequest, HttpResponse, Transport};
use crate::db::files::{ChosenFiles, DueFiles};
use crate::flow::Cx;
use serde_json::{Value, json};

/// The number of files on a page of a listing.
const PAGE: u32 = 500;
const TIMEOUT_MS: u32 = 10_000;

/// One bucket, with the allowance for requests about it.
pub(super) struct BucketAccess<'a, 'c, T: Transport> {
    pub(super) cx: &'a Cx<'c, T>,
    pub(super) bucket: &'a str,
    pub(super) allowance: &'a mut Allowance,
}

/// The reason why there is no listing.
pub(super) struct ListingFault {
    pub(super) error: ApiError,
    /// Whether storage may no longer know the cursor.
    pub(super) is_of_cursor: bool,
}

impl<T: Transport> BucketAccess<'_, '_, T> {
    /// A page of the files whose names begin with `prefix`. `None`: the allowance is used up.
    pub(super) async fn list(
        &mut self,
        prefix: &str,
        cursor: Option<&str>,
    ) -> Result<Option<ListedPage>, ListingFault> {
        if !self.take() {
            return Ok(None);
        }
        let mut listing = json!({"prefix": prefix, "limit": PAGE, "with_delimiter": false});
        if let (Some(listing), Some(cursor)) = (listing.as_object_mut(), cursor) {
            listing.insert("cursor".to_owned(), cursor.into());
        }
        let path = format!("list-v2/{}", self.bucket);
        let answer = self.send("POST", &path, &listing).await;
        let answer = answer.map_err(|error| ListingFault { error, is_of_cursor: false })?;
        if !answer.is_success() {
            let is_of_cursor =
                cursor.is_some() && storage::status(answer.status, &answer.body) == 400;
            let error = refused("POST", &path, &answer);
            return Err(ListingFault { error, is_of_cursor });
        }
        Ok(Some(ListedPage::of(&answer.json())))
    }

    /// Chooses the files of a page to delete. `None`: the allowance is used up.
    pub(super) async fn choose(
        &mut self,
        due: &DueFiles,
        meant: &str,
        files: &Value,
    ) -> Result<Option<ChosenFiles>, ApiError> {
        if !self.take() {
            return Ok(None);
        }
        let chosen = self.cx.db().files_choose_v1(due.kind, meant, due.user_id, files).await?;
        Ok(Some(chosen))
    }

    /// Deletes these files. Storage deletes all files of a call or none, so a refused batch is
    /// halved until only the files at fault are left.
    pub(super) async fn delete(&mut self, names: &[String]) -> Removal {
        let mut removal = Removal::default();
        let mut batches = if names.is_empty() { Vec::new() } else { vec![names] };
        while let Some(batch) = batches.pop() {
            if removal.is_outage || !self.take() {
                removal.untried += batch.len();
                continue;
            }
            removal.is_tried = true;
            match self.send("DELETE", self.bucket, &json!({"prefixes": batch})).await {
                Ok(answer) if answer.is_success() => {
                    let named = answer.json().as_array().map_or(0, Vec::len);
                    removal.deleted += u32::try_from(named).unwrap_or(u32::MAX);
                    continue;
                }
                Ok(answer) => {
                    removal.error = Some(refused("DELETE", self.bucket, &answer));
                    let refusal = storage::delete_refusal(answer.status, &answer.body);
                    removal.is_outage = refusal == DeleteRefusal::Outage;
                }
                Err(error) => {
                    removal.error = Some(error);
                    removal.is_outage = true;
                }
            }
            if removal.is_outage {
                removal.untried += batch.len();
            } else if let Some((first, second)) = halves(batch) {
                batches.extend([second, first]);
            }
        }
        removal
    }

    fn take(&mut self) -> bool {
        self.allowance.take(self.cx.transport.now_ms())
    }

    /// Sends a request to storage with our own key.
    async fn send(
        &self,
        method: &'static str,
        path: &str,
        body: &Value,
    ) -> Result<HttpResponse, ApiError> {
        let mut headers = self.cx.config.service_headers()?;
        headers.push(("content-type".to_owned(), "application/json".to_owned()));
        let request = HttpRequest {
            method,
            url: format!("{}/storage/v1/object/{path}", self.cx.config.supabase_url()?),
            headers,
            body: Some(body.to_string()),
            timeout_ms: self.allowance.timeout_ms(self.cx.transport.now_ms(), TIMEOUT_MS),
        };
        let answer = self.cx.transport.send(request).await;
        answer.map_err(|error| ApiError::upstream(format!("storage: {error}")))
    }
}

fn refused(method: &str, path: &str, answer: &HttpResponse) -> ApiError {
    let status = storage::status(answer.status, &answer.body);
    ApiError::upstream(format!("storage answered {status} to {method} {path}"))
}
