//! Copies a result from the provider into the app's own storage, as a stream.
//!
//! The object's path names owner, job, step and run and ends in random bits: an older run can
//! never overwrite a newer one's result. Whether the result counts is decided by the database.

use super::Cx;
use crate::address;
use crate::db::step::Attempt;
use crate::error::ApiError;
use crate::id::UserId;
use crate::provider::Output;
use crate::transport::{Copy, CopyError, HttpRequest, Transport};
use url::Url;

const BYTES_MAX: u64 = 512 * 1024 * 1024;
/// For all of it: 200 MB at 600 KB/s. Two tries end within the 15 minutes that a consumer or a cron has.
const COPY_MS: u32 = 360_000;
const STALL_MS: u32 = 20_000;
const TRIES: u32 = 2;
const PAUSE_MS: u32 = 1_000;

/// Extensions a result may get.
const EXTENSIONS: &[&str] = &["png", "jpg", "jpeg", "webp", "mp4"];

/// Copies the first output that is a file we deliver. Returns its public URL.
pub async fn save<T: Transport>(
    cx: &Cx<'_, T>,
    user: UserId,
    attempt: Attempt,
    outputs: &[Output],
    content_types: &'static [&'static str],
) -> Result<String, CopyError> {
    let rejected = |text: &str| CopyError::Rejected(text.to_owned());
    let (output, extension) = outputs
        .iter()
        .find_map(|output| Some((output, extension(output)?)))
        .ok_or_else(|| rejected("the result is not a file of a known type"))?;
    let from = address::output(&output.url, cx.config)
        .map_err(|problem| rejected(&format!("the result's address {problem}")))?;
    let mut tries = 0;
    loop {
        tries += 1;
        // A new path each time: what an earlier try may have written is never overwritten.
        let to = Target::of(cx, user, attempt, extension)
            .map_err(|error| CopyError::Transient(error.to_string()))?;
        match cx.transport.copy(to.copy(&from, content_types)).await {
            Ok(()) => return Ok(to.public_url),
            Err(CopyError::Transient(_)) if tries < TRIES => cx.transport.sleep(PAUSE_MS).await,
            Err(error) => return Err(error),
        }
    }
}

/// Where one result goes.
pub(super) struct Target {
    pub(super) upload_url: String,
    pub(super) public_url: String,
    pub(super) headers: Vec<(String, String)>,
}

impl Target {
    pub(super) fn of<T: Transport>(
        cx: &Cx<'_, T>,
        user: UserId,
        attempt: Attempt,
        extension: &str,
    ) -> Result<Self, ApiError> {
        let storage = format!("{}/storage/v1/object", cx.config.supabase_url()?);
        let Attempt { job, step, run } = attempt;
        let name = format!("{user}/{job}/{step}-{run}-{:032x}.{extension}", cx.transport.random());
        let bucket = &cx.config.results_bucket;
        let mut headers = cx.config.service_headers()?;
        headers.push(("cache-control".to_owned(), "max-age=31536000, immutable".to_owned()));
        Ok(Self {
            upload_url: format!("{storage}/{bucket}/{name}"),
            public_url: format!("{storage}/public/{bucket}/{name}"),
            headers,
        })
    }

    fn copy(&self, from: &Url, content_types: &'static [&'static str]) -> Copy {
        Copy {
            from: from.to_string(),
            to: HttpRequest {
                method: "POST",
                url: self.upload_url.clone(),
                headers: self.headers.clone(),
                body: None,
                timeout_ms: COPY_MS,
            },
            bytes_max: BYTES_MAX,
            content_types,
            stall_ms: STALL_MS,
        }
    }
}

/// The provider's word for the type, else the extension in the URL.
fn extension(output: &Output) -> Option<&'static str> {
    let kind = output.kind.to_ascii_lowercase();
    let kind = kind.rsplit_once('/').map_or(kind.as_str(), |(_, subtype)| subtype).to_owned();
    let path = output.url.split(['?', '#']).next().unwrap_or_default().to_ascii_lowercase();
    let ending = path.rsplit_once('.').map_or("", |(_, ending)| ending).to_owned();
    [kind, ending].iter().find_map(|found| EXTENSIONS.iter().find(|known| *known == found).copied())
}

#[cfg(test)]
mod tests {
    use super::extension;
    use crate::provider::Output;

    #[test]
    fn the_extension_comes_from_the_kind_or_the_url() {
        let of = |kind: &str, url: &str| extension(&Output { kind: kind.into(), url: url.into() });
        assert_eq!(of("png", "https://o/x"), Some("png"));
        assert_eq!(of("image/WEBP", "https://o/x"), Some("webp"));
        assert_eq!(of("", "https://o/a.b/x.JPG?sig=a.png"), Some("jpg"));
        assert_eq!(of("txt", "https://o/x.png"), Some("png"));
        assert_eq!(of("html", "https://o/x.html"), None);
        assert_eq!(of("", "https://o/x"), None);
    }
}
