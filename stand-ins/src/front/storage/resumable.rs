//! Uploads in chunks by TUS 1.0: `/upload/resumable`, and `/upload/resumable/sign` for the holder
//! of a signed upload's token. The bytes of a chunk that broke off are kept; the client asks for
//! the offset and continues there.
//!
//! Source: supabase/storage, src/http/routes/tus/index.ts and lifecycle.ts; for the protocol
//! tus/tus-node-server, packages/server/src/handlers and packages/utils/src/constants.ts. Refusals
//! of the protocol are plain text with their own status, others are those of storage. An upload
//! whose length is named later is refused here.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError};

use axum::Router;
use axum::body::BodyDataStream;
use axum::extract::{Path, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{head, post};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use futures_util::StreamExt;
use tokio::fs::{self, File, OpenOptions};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::Mutex;

use super::disk::{self, Description, ObjectPath};
use super::refusal::StorageRefusal;
use super::write;
use crate::clock;
use crate::front::SharedFront;
use crate::front::caller::{ProjectCaller, text};

const VERSION: &str = "1.0.0";
const CHUNK_TYPE: &str = "application/offset+octet-stream";
/// The size of every chunk but the last (Supabase's documentation, "Resumable Uploads": "it must be
/// set to 6MB (for now) do not change it").
const CHUNK_BYTES: u64 = 6 * 1024 * 1024;
const SIGNED: &str = "/upload/resumable/sign";

pub(super) fn routes() -> Router<SharedFront> {
    let one = || head(look).patch(append).delete(give_up);
    Router::new()
        .route("/upload/resumable", post(create))
        .route("/upload/resumable/{id}", one())
        .route("/upload/resumable/sign", post(create))
        .route("/upload/resumable/sign/{id}", one())
}

/// The uploads that have begun. A restart forgets them.
pub(super) struct ResumableUploads {
    begun: std::sync::Mutex<HashMap<String, Arc<BegunUpload>>>,
    lifetime_ms: u64,
}

struct BegunUpload {
    object: ObjectPath,
    length: u64,
    /// The metadata as the client sent it.
    metadata: String,
    description: Description,
    created_ms: u64,
    incoming: PathBuf,
    /// How many bytes have arrived. A second request for the same upload waits for the first.
    offset: Mutex<u64>,
}

impl ResumableUploads {
    pub(super) fn new(lifetime_s: u64) -> Self {
        Self { begun: std::sync::Mutex::default(), lifetime_ms: lifetime_s * 1000 }
    }

    fn begun(&self) -> std::sync::MutexGuard<'_, HashMap<String, Arc<BegunUpload>>> {
        self.begun.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn find(&self, id: &str) -> Result<Arc<BegunUpload>, ResumableRefusal> {
        let found = self.begun().get(id).map(Arc::clone);
        found.ok_or(ResumableRefusal::text(404, "The file for this url was not found\n"))
    }

    /// Finds an upload. One that has expired is refused as such.
    fn find_fresh(&self, id: &str) -> Result<Arc<BegunUpload>, ResumableRefusal> {
        let upload = self.find(id)?;
        if clock::now_ms() > upload.created_ms + self.lifetime_ms {
            return Err(ResumableRefusal::text(410, "The file for this url no longer exists\n"));
        }
        Ok(upload)
    }
}

/// A refusal of the protocol or of storage. A refusal of storage has storage's form before the
/// protocol begins, and is plain text after that.
#[derive(Debug)]
enum ResumableRefusal {
    Text(u16, String),
    Storage(StorageRefusal),
}

impl ResumableRefusal {
    fn text(status: u16, body: &str) -> Self {
        Self::Text(status, body.to_owned())
    }

    fn io(error: &std::io::Error) -> Self {
        eprintln!("resumable upload: {error}");
        Self::text(500, "Something went wrong receiving the file\n")
    }
}

/// The form of storage's refusal within the protocol.
impl From<StorageRefusal> for ResumableRefusal {
    fn from(refusal: StorageRefusal) -> Self {
        let (status, message) = refusal.into_parts();
        Self::Text(status, message)
    }
}

impl IntoResponse for ResumableRefusal {
    fn into_response(self) -> Response {
        match self {
            Self::Storage(refusal) => refusal.into_response(),
            Self::Text(status, body) => {
                let status = StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_REQUEST);
                answer(status, &[], body)
            }
        }
    }
}

fn answer(status: StatusCode, headers: &[(&'static str, String)], body: String) -> Response {
    let mut response = (status, body).into_response();
    let version = ("tus-resumable", VERSION.to_owned());
    for (name, value) in headers.iter().chain([&version]) {
        if let Ok(value) = HeaderValue::from_str(value) {
            response.headers_mut().insert(HeaderName::from_static(name), value);
        }
    }
    response
}

/// Reads what a refusal has left of the body. Otherwise the connection would be closed, and a
/// client that still sends would never see the answer.
async fn answered(
    mut body: BodyDataStream,
    outcome: Result<Response, ResumableRefusal>,
) -> Response {
    while let Some(Ok(_)) = body.next().await {}
    outcome.into_response()
}

async fn create(State(front): State<SharedFront>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let mut body = body.into_data_stream();
    let outcome = created(&front, &parts, &mut body).await;
    answered(body, outcome).await
}

async fn created(
    front: &SharedFront,
    parts: &Parts,
    body: &mut BodyDataStream,
) -> Result<Response, ResumableRefusal> {
    let (headers, is_signed) = (&parts.headers, parts.uri.path().starts_with(SIGNED));
    checked(front, &parts.method, headers, is_signed)?;
    if headers.contains_key("upload-defer-length") {
        let message = "creation-defer-length extension is not (yet) supported.\n";
        return Err(ResumableRefusal::text(501, message));
    }
    let missing = "Upload-Length or Upload-Defer-Length header required\n";
    let length = number(headers, "upload-length").ok_or(ResumableRefusal::text(400, missing))?;
    let metadata = text(headers, "upload-metadata").unwrap_or_default().to_owned();
    let invalid = "Upload-Metadata is invalid. It MUST consist of one or more comma-separated \
                   key-value pairs";
    let fields = metadata_fields(&metadata).ok_or(ResumableRefusal::text(400, invalid))?;
    let field = |name: &str| fields.get(name).map(String::as_str);
    let (bucket, name) = (field("bucketName"), field("objectName"));
    let name = format!("{}/{}", bucket.unwrap_or_default(), name.unwrap_or_default());
    let (object, bucket) = front.storage.object(&name).await?;
    if length > bucket.bytes_max.unwrap_or(u64::MAX).min(front.storage.bytes_max) {
        return Err(ResumableRefusal::text(413, "Maximum size exceeded\n"));
    }
    let upsert = admitted(front, headers, &object, is_signed).await?;
    let description = description(&fields);
    write::check_type(&description, &bucket)?;
    if !upsert && front.storage.disk.meta(&object).await.is_some() {
        return Err(StorageRefusal::duplicate().into());
    }
    let incoming = front.storage.disk.new_incoming();
    File::create(&incoming).await.map_err(|error| ResumableRefusal::io(&error))?;
    let id = URL_SAFE_NO_PAD.encode(format!("{object}/{}", clock::new_uuid()));
    let upload = Arc::new(BegunUpload {
        object,
        length,
        metadata,
        description,
        created_ms: clock::now_ms(),
        incoming,
        offset: Mutex::default(),
    });
    front.storage.resumable.begun().insert(id.clone(), Arc::clone(&upload));
    let mut told = vec![("location", location(headers, is_signed, &id))];
    if text(headers, header::CONTENT_TYPE.as_str()) == Some(CHUNK_TYPE) || length == 0 {
        let offset = received(front, &upload, 0, body, upsert).await?;
        told.push(("upload-offset", offset.to_string()));
    }
    told.push(("upload-expires", expires(front, &upload)));
    Ok(answer(StatusCode::CREATED, &told, String::new()))
}

async fn look(
    State(front): State<SharedFront>,
    Path(id): Path<String>,
    request: Request,
) -> Result<Response, ResumableRefusal> {
    let (headers, is_signed) = (request.headers(), request.uri().path().starts_with(SIGNED));
    checked(&front, request.method(), headers, is_signed)?;
    let upload = front.storage.resumable.find_fresh(&id)?;
    if is_signed {
        admitted(&front, headers, &upload.object, is_signed).await?;
    }
    let told = [
        ("cache-control", "no-store".to_owned()),
        ("upload-offset", upload.offset.lock().await.to_string()),
        ("upload-length", upload.length.to_string()),
        ("upload-metadata", upload.metadata.clone()),
    ];
    Ok(answer(StatusCode::OK, &told, String::new()))
}

async fn append(
    State(front): State<SharedFront>,
    Path(id): Path<String>,
    request: Request,
) -> Response {
    let (parts, body) = request.into_parts();
    let mut body = body.into_data_stream();
    let outcome = appended(&front, &id, &parts, &mut body).await;
    answered(body, outcome).await
}

async fn appended(
    front: &SharedFront,
    id: &str,
    parts: &Parts,
    body: &mut BodyDataStream,
) -> Result<Response, ResumableRefusal> {
    let (headers, is_signed) = (&parts.headers, parts.uri.path().starts_with(SIGNED));
    checked(front, &parts.method, headers, is_signed)?;
    let from = number(headers, "upload-offset");
    let from = from.ok_or(ResumableRefusal::text(403, "Upload-Offset header required\n"))?;
    if !headers.contains_key(header::CONTENT_TYPE) {
        return Err(ResumableRefusal::text(403, "Content-Type header required\n"));
    }
    let upload = front.storage.resumable.find_fresh(id)?;
    let upsert = admitted(front, headers, &upload.object, is_signed).await?;
    if let Some(length) = number(headers, header::CONTENT_LENGTH.as_str()) {
        if from + length > upload.length {
            return Err(ResumableRefusal::text(413, "upload's size exceeded\n"));
        }
        if length != CHUNK_BYTES && from + length < upload.length {
            return Err(ResumableRefusal::text(400, "A chunk must have 6 MB, all but the last\n"));
        }
    }
    let offset = received(front, &upload, from, body, upsert).await?;
    let mut told = vec![("upload-offset", offset.to_string())];
    told.push(if offset == upload.length {
        ("tus-complete", "1".to_owned())
    } else {
        ("upload-expires", expires(front, &upload))
    });
    Ok(answer(StatusCode::NO_CONTENT, &told, String::new()))
}

async fn give_up(
    State(front): State<SharedFront>,
    Path(id): Path<String>,
    request: Request,
) -> Result<Response, ResumableRefusal> {
    let (headers, is_signed) = (request.headers(), request.uri().path().starts_with(SIGNED));
    checked(&front, request.method(), headers, is_signed)?;
    let upload = front.storage.resumable.find(&id)?;
    admitted(&front, headers, &upload.object, is_signed).await?;
    let offset = upload.offset.lock().await;
    if *offset == upload.length {
        let message = "Cannot terminate an already completed upload";
        return Err(ResumableRefusal::text(400, message));
    }
    front.storage.resumable.begun().remove(&id);
    // An earlier request may have deleted the file already.
    let _ = fs::remove_file(&upload.incoming).await;
    Ok(answer(StatusCode::NO_CONTENT, &[], String::new()))
}

/// Checks what every request must have: the protocol's headers in their form and, unless the upload
/// is a signed one, a token that storage accepts.
fn checked(
    front: &SharedFront,
    method: &Method,
    headers: &HeaderMap,
    is_signed: bool,
) -> Result<(), ResumableRefusal> {
    if !is_signed {
        let caller = ProjectCaller::of(headers, &front.keys, &front.signer);
        write::bound(caller).map_err(ResumableRefusal::Storage)?;
    }
    match text(headers, "tus-resumable") {
        None => return Err(ResumableRefusal::text(412, "Tus-Resumable Required\n")),
        Some(VERSION) => {}
        Some(_) => return Err(ResumableRefusal::text(400, "Invalid tus-resumable\n")),
    }
    for name in ["upload-offset", "upload-length"] {
        let is_number = number(headers, name).is_some();
        if headers.contains_key(name) && !is_number {
            return Err(ResumableRefusal::text(400, &format!("Invalid {name}\n")));
        }
    }
    let kind = text(headers, header::CONTENT_TYPE.as_str());
    if method == Method::PATCH && kind.is_some_and(|kind| kind != CHUNK_TYPE) {
        return Err(ResumableRefusal::text(400, "Invalid content-type\n"));
    }
    Ok(())
}

/// Whether the upload may replace its object: by the caller's own right, or by the token of a
/// signed upload. A caller with neither is refused.
async fn admitted(
    front: &SharedFront,
    headers: &HeaderMap,
    object: &ObjectPath,
    is_signed: bool,
) -> Result<bool, ResumableRefusal> {
    if !is_signed {
        let upsert = write::wants_upsert(headers);
        write::may_write(front, headers, object, upsert).await?;
        return Ok(upsert);
    }
    let token = text(headers, "x-signature")
        .ok_or_else(|| ResumableRefusal::text(400, "Missing x-signature header"))?;
    Ok(write::signed_upsert(&front.storage, token, object)?)
}

/// Appends a chunk, and stores the object after the last one. Returns the new offset.
async fn received(
    front: &SharedFront,
    upload: &BegunUpload,
    from: u64,
    body: &mut BodyDataStream,
    upsert: bool,
) -> Result<u64, ResumableRefusal> {
    let mut offset = upload.offset.lock().await;
    if *offset != from {
        return Err(ResumableRefusal::text(409, "Upload-Offset conflict\n"));
    }
    let was_complete = *offset == upload.length && upload.length > 0;
    write_chunk(upload, &mut offset, body).await?;
    if *offset == upload.length && !was_complete {
        let storage = &front.storage;
        let bucket = storage.database.bucket(&upload.object.bucket).await?;
        let file =
            File::open(&upload.incoming).await.map_err(|error| ResumableRefusal::io(&error))?;
        let (description, content) = (upload.description.clone(), disk::chunks(file.take(*offset)));
        write::put(storage, &upload.object, &bucket, upsert, description, content).await?;
        // A file that is left over does no harm.
        let _ = fs::remove_file(&upload.incoming).await;
    }
    Ok(*offset)
}

async fn write_chunk(
    upload: &BegunUpload,
    offset: &mut u64,
    body: &mut BodyDataStream,
) -> Result<(), ResumableRefusal> {
    if *offset == upload.length {
        return Ok(());
    }
    let failed = |error: std::io::Error| ResumableRefusal::io(&error);
    let mut file = OpenOptions::new().append(true).open(&upload.incoming).await.map_err(failed)?;
    while let Some(Ok(chunk)) = body.next().await {
        if *offset + chunk.len() as u64 > upload.length {
            return Err(ResumableRefusal::text(413, "upload's size exceeded\n"));
        }
        file.write_all(&chunk).await.map_err(failed)?;
        *offset += chunk.len() as u64;
    }
    file.flush().await.map_err(failed)
}

/// The URL where the upload continues, with the host by which the caller reached us.
fn location(headers: &HeaderMap, is_signed: bool, id: &str) -> String {
    let host = text(headers, "x-forwarded-host").or_else(|| text(headers, header::HOST.as_str()));
    let sign = if is_signed { "/sign" } else { "" };
    format!("http://{}/storage/v1/upload/resumable{sign}/{id}", host.unwrap_or_default())
}

fn expires(front: &SharedFront, upload: &BegunUpload) -> String {
    clock::http_date(upload.created_ms + front.storage.resumable.lifetime_ms)
}

fn number(headers: &HeaderMap, name: &str) -> Option<u64> {
    text(headers, name)?.parse().ok()
}

/// Parses `name base64,name base64`, with each name only once.
fn metadata_fields(header: &str) -> Option<HashMap<String, String>> {
    let mut fields = HashMap::new();
    for pair in header.split(',').filter(|_| !header.is_empty()) {
        let (name, value) = pair.split_once(' ').unwrap_or((pair, ""));
        let value = String::from_utf8(STANDARD.decode(value).ok()?).ok()?;
        if name.is_empty() || fields.insert(name.to_owned(), value).is_some() {
            return None;
        }
    }
    Some(fields)
}

fn description(fields: &HashMap<String, String>) -> Description {
    let field = |name: &str| fields.get(name).filter(|value| !value.is_empty());
    let seconds = field("cacheControl").filter(|value| value.parse::<i64>().is_ok());
    Description {
        content_type: field("contentType").cloned(),
        cache_control: seconds.map(|seconds| format!("max-age={seconds}")),
        user_metadata: field("metadata").and_then(|text| serde_json::from_str(text).ok()),
    }
}

#[cfg(test)]
mod tests {
    use super::metadata_fields;

    #[test]
    fn metadata_is_read_as_the_protocol_writes_it() {
        let fields = metadata_fields("bucketName dXBsb2Fkcw==,empty,objectName YS5wbmc=").unwrap();
        assert_eq!(fields["bucketName"], "uploads");
        assert_eq!((fields["empty"].as_str(), fields["objectName"].as_str()), ("", "a.png"));
        for broken in ["a YQ==,a YQ==", "a ***", ",", " YQ=="] {
            assert_eq!(metadata_fields(broken), None, "{broken}");
        }
        assert!(metadata_fields("").unwrap().is_empty());
    }
}
