//! Uploads to RunningHub: a file gets a name that a node's value can be. The limit of 30 MB is the
//! provider's.

use axum::body::Body;
use axum::extract::{DefaultBodyLimit, FromRequest, Multipart};
use axum::http::{Request, header};
use bytes::Bytes;
use serde_json::json;

use super::super::provider::{Arrival, ProviderAnswer};
use super::request::{self, RunningHubRefusal};
use super::{RunningHubShared, legacy, v2};

const UPLOAD_BYTES_MAX: usize = 30 * 1024 * 1024;

struct UploadForm {
    key: String,
    extension: String,
    file: Bytes,
}

pub(super) async fn v2(hub: &RunningHubShared, arrival: &Arrival) -> ProviderAnswer {
    if request::bearer_is_known(arrival, &hub.keys).is_none() {
        return v2::refused(&RunningHubRefusal::new(1002, "Invalid API key"));
    }
    match store(hub, arrival).await {
        Err(refusal) => v2::refused(&refusal),
        Ok((_, name, size)) => legacy::good(&json!({
            "type": "image",
            "download_url": hub.files.url(&name),
            "fileName": format!("api/{name}"),
            "size": size.to_string(),
        })),
    }
}

pub(super) async fn legacy(hub: &RunningHubShared, arrival: &Arrival) -> ProviderAnswer {
    match store(hub, arrival).await {
        Err(refusal) => legacy::refused(&refusal),
        Ok((key, _, _)) if !hub.keys.contains(&key) => {
            legacy::refused(&RunningHubRefusal::named(802))
        }
        Ok((_, name, _)) => {
            legacy::good(&json!({"fileName": format!("api/{name}"), "fileType": "image"}))
        }
    }
}

async fn store(
    hub: &RunningHubShared,
    arrival: &Arrival,
) -> Result<(String, String, usize), RunningHubRefusal> {
    let form = read(arrival).await.ok_or_else(|| RunningHubRefusal::named(301))?;
    let size = form.file.len();
    if size > UPLOAD_BYTES_MAX {
        return Err(RunningHubRefusal::named(809));
    }
    let saved = hub.files.save(&form.extension, form.file.to_vec()).await;
    let name = saved.map_err(|error| RunningHubRefusal::new(808, error.to_string()))?;
    Ok((form.key, name, size))
}

async fn read(arrival: &Arrival) -> Option<UploadForm> {
    let mut request = Request::builder()
        .header(header::CONTENT_TYPE, arrival.header("content-type")?)
        .body(Body::from(arrival.bytes.clone()))
        .ok()?;
    DefaultBodyLimit::disable().apply(&mut request);
    let mut fields = Multipart::from_request(request, &()).await.ok()?;
    let (mut key, mut file) = (String::new(), None);
    while let Some(field) = fields.next_field().await.ok()? {
        match field.name() {
            Some("apiKey") => key = field.text().await.ok()?,
            Some("file") => {
                let extension = match field.file_name().and_then(|name| name.rsplit_once('.')) {
                    Some((_, "jpg" | "jpeg" | "JPG")) => "jpg",
                    Some((_, "mp4")) => "mp4",
                    _ => "png",
                };
                file = Some((extension.to_owned(), field.bytes().await.ok()?));
            }
            _ => {}
        }
    }
    file.map(|(extension, file)| UploadForm { key, extension, file })
}
