//! Keeps objects on disk: the bytes under the object's own path, the description in `.meta`. An
//! object becomes visible only when it is complete. There are no callers here.

use std::fmt;
use std::io::SeekFrom;
use std::ops::Range;
use std::path::PathBuf;

use anyhow::Context;
use axum::body::Body;
use bytes::Bytes;
use futures_util::{Stream, StreamExt, stream};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};
use tokio::fs::{self, File};
use tokio::io::{AsyncReadExt, AsyncSeekExt, AsyncWriteExt, Take};
use tokio::sync::RwLock;

use crate::clock;

const CHUNK_BYTES: usize = 64 * 1024;

/// A bucket and a path in it that are safe to use as file names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ObjectPath {
    pub(super) bucket: String,
    pub(super) path: String,
}

impl ObjectPath {
    /// Parses `<bucket>/<path>`; `None` if storage would refuse such a name.
    pub(super) fn of(text: &str) -> Option<Self> {
        let (bucket, path) = text.split_once('/')?;
        let is_name = |segment: &str| {
            !segment.is_empty() && !segment.starts_with('.') && segment.chars().all(is_allowed)
        };
        let is_good = path.len() <= 1024 && is_name(bucket) && path.split('/').all(is_name);
        is_good.then(|| Self { bucket: bucket.to_owned(), path: path.to_owned() })
    }

    /// The object's path, percent-encoded for a URL.
    pub(super) fn url_path(&self) -> String {
        let plain =
            |byte: u8| byte.is_ascii_alphanumeric() || b"/-_.~!*'()$@=:,;&+".contains(&byte);
        let escaped = |byte: u8| {
            if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }
        };
        self.to_string().bytes().map(escaped).collect()
    }
}

impl fmt::Display for ObjectPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.bucket, self.path)
    }
}

fn is_allowed(c: char) -> bool {
    c.is_ascii_alphanumeric() || "_!-.*'() &$@=;:+,?".contains(c)
}

/// What an upload says of its object.
#[derive(Clone, Debug, Default)]
pub(super) struct Description {
    pub(super) content_type: Option<String>,
    pub(super) cache_control: Option<String>,
    pub(super) user_metadata: Option<Value>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Meta {
    pub(super) id: String,
    pub(super) version: String,
    pub(super) size: u64,
    pub(super) content_type: String,
    pub(super) cache_control: String,
    pub(super) etag: String,
    pub(super) user_metadata: Value,
    pub(super) created_ms: u64,
    pub(super) updated_ms: u64,
}

pub(super) struct Stored {
    pub(super) meta: Meta,
    pub(super) body: Body,
}

#[derive(Debug)]
pub(super) enum WriteError {
    Exists,
    TooLarge,
    Io(std::io::Error),
}

impl From<std::io::Error> for WriteError {
    fn from(error: std::io::Error) -> Self {
        Self::Io(error)
    }
}

pub(super) struct Disk {
    root: PathBuf,
    /// Held while the bytes and the meta of an object change together.
    commit: RwLock<()>,
}

impl Disk {
    pub(super) fn new(root: PathBuf) -> anyhow::Result<Self> {
        std::fs::create_dir_all(root.join(".incoming"))
            .with_context(|| format!("cannot make {}", root.display()))?;
        Ok(Self { root, commit: RwLock::default() })
    }

    pub(super) async fn meta(&self, object: &ObjectPath) -> Option<Meta> {
        let _reading = self.commit.read().await;
        self.read_meta(object).await
    }

    /// Opens a part of the object's bytes as a stream. A later replacement of the object does not
    /// change the stream.
    pub(super) async fn open(&self, object: &ObjectPath, part: &Range<u64>) -> Option<Stored> {
        let _reading = self.commit.read().await;
        let meta = self.read_meta(object).await?;
        let mut file = File::open(self.data_path(object)).await.ok()?;
        file.seek(SeekFrom::Start(part.start)).await.ok()?;
        let file = file.take(part.end.saturating_sub(part.start));
        Some(Stored { meta, body: Body::from_stream(chunks(file)) })
    }

    /// Streams an object to disk and returns its id.
    pub(super) async fn write(
        &self,
        object: &ObjectPath,
        bytes_max: u64,
        upsert: bool,
        description: Description,
        content: impl Stream<Item = std::io::Result<Bytes>>,
    ) -> Result<String, WriteError> {
        if !upsert && self.meta(object).await.is_some() {
            return Err(WriteError::Exists);
        }
        let incoming = self.new_incoming();
        let written = match receive(&incoming, bytes_max, content).await {
            Ok((size, etag)) => {
                self.commit(object, upsert, description, &incoming, size, etag).await
            }
            Err(error) => Err(error),
        };
        if written.is_err() {
            let _ = fs::remove_file(&incoming).await;
        }
        written
    }

    /// The path of a file for incoming bytes, which does not exist yet.
    pub(super) fn new_incoming(&self) -> PathBuf {
        self.root.join(".incoming").join(clock::random_hex())
    }

    /// The names of the objects in the folder of this object, sorted.
    pub(super) async fn names_beside(&self, object: &ObjectPath) -> Vec<String> {
        let _reading = self.commit.read().await;
        let mut names = Vec::new();
        let folder = self.data_path(object).parent().map(PathBuf::from).unwrap_or_default();
        let Ok(mut entries) = fs::read_dir(folder).await else { return names };
        while let Ok(Some(entry)) = entries.next_entry().await {
            if entry.file_type().await.is_ok_and(|kind| kind.is_file()) {
                names.push(entry.file_name().to_string_lossy().into_owned());
            }
        }
        names.sort_unstable();
        names
    }

    /// The names of all objects of a bucket, in the order of their bytes.
    pub(super) async fn names_in(&self, bucket: &str) -> Vec<String> {
        let _reading = self.commit.read().await;
        let (root, mut names) = (self.root.join(bucket), Vec::new());
        let mut folders = vec![root.clone()];
        while let Some(folder) = folders.pop() {
            let Ok(mut entries) = fs::read_dir(folder).await else { continue };
            while let Ok(Some(entry)) = entries.next_entry().await {
                if entry.file_type().await.is_ok_and(|kind| kind.is_dir()) {
                    folders.push(entry.path());
                } else if let Ok(name) = entry.path().strip_prefix(&root) {
                    names.push(name.to_string_lossy().into_owned());
                }
            }
        }
        names.sort_unstable();
        names
    }

    pub(super) async fn remove(&self, object: &ObjectPath) -> bool {
        let _writing = self.commit.write().await;
        let removed = fs::remove_file(self.meta_path(object)).await.is_ok();
        let _ = fs::remove_file(self.data_path(object)).await;
        removed
    }

    async fn commit(
        &self,
        object: &ObjectPath,
        upsert: bool,
        description: Description,
        incoming: &PathBuf,
        size: u64,
        etag: String,
    ) -> Result<String, WriteError> {
        let _writing = self.commit.write().await;
        let before = self.read_meta(object).await;
        if before.is_some() && !upsert {
            return Err(WriteError::Exists);
        }
        let now = clock::now_ms();
        let (id, created_ms) =
            before.map_or_else(|| (clock::new_uuid(), now), |meta| (meta.id, meta.created_ms));
        let meta = Meta {
            id,
            version: clock::new_uuid(),
            size,
            content_type: description
                .content_type
                .unwrap_or_else(|| "application/octet-stream".to_owned()),
            cache_control: description.cache_control.unwrap_or_else(|| "no-cache".to_owned()),
            etag,
            user_metadata: description.user_metadata.unwrap_or_else(|| serde_json::json!({})),
            created_ms,
            updated_ms: now,
        };
        let (data_path, meta_path) = (self.data_path(object), self.meta_path(object));
        for path in [&data_path, &meta_path] {
            fs::create_dir_all(path.parent().unwrap_or(path)).await?;
        }
        fs::rename(incoming, data_path).await?;
        fs::write(meta_path, serde_json::to_vec(&meta).map_err(std::io::Error::other)?).await?;
        Ok(meta.id)
    }

    async fn read_meta(&self, object: &ObjectPath) -> Option<Meta> {
        serde_json::from_slice(&fs::read(self.meta_path(object)).await.ok()?).ok()
    }

    fn data_path(&self, object: &ObjectPath) -> PathBuf {
        self.root.join(&object.bucket).join(&object.path)
    }

    fn meta_path(&self, object: &ObjectPath) -> PathBuf {
        self.root.join(".meta").join(&object.bucket).join(format!("{}.json", object.path))
    }
}

async fn receive(
    path: &PathBuf,
    bytes_max: u64,
    content: impl Stream<Item = std::io::Result<Bytes>>,
) -> Result<(u64, String), WriteError> {
    let mut file = File::create(path).await?;
    let (mut size, mut hash) = (0_u64, Sha256::new());
    let mut content = std::pin::pin!(content);
    while let Some(chunk) = content.next().await {
        let chunk = chunk?;
        size += chunk.len() as u64;
        if size > bytes_max {
            return Err(WriteError::TooLarge);
        }
        hash.update(&chunk);
        file.write_all(&chunk).await?;
    }
    file.flush().await?;
    Ok((size, format!("\"{}\"", base16ct::lower::encode_string(&hash.finalize()[..16]))))
}

pub(super) fn chunks(file: Take<File>) -> impl Stream<Item = std::io::Result<Bytes>> + Send {
    stream::unfold(Some(file), async |file| {
        let mut file = file?;
        let mut buffer = vec![0; CHUNK_BYTES];
        match file.read(&mut buffer).await {
            Ok(0) => None,
            Ok(read) => {
                buffer.truncate(read);
                Some((Ok(Bytes::from(buffer)), Some(file)))
            }
            Err(error) => Some((Err(error), None)),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::ObjectPath;

    #[test]
    fn names_that_would_leave_the_folder_are_refused() {
        for bad in [
            "uploads",
            "uploads/",
            "/a",
            "uploads//a",
            "uploads/../a",
            "uploads/a/..",
            "uploads/.meta/a",
            "uploads/a\\b",
            "uploads/a\0",
            ".meta/a",
            "uploads/ä",
        ] {
            assert_eq!(ObjectPath::of(bad), None, "{bad}");
        }
        let object = ObjectPath::of("uploads/u-1/my file.png").unwrap();
        assert_eq!(object.url_path(), "uploads/u-1/my%20file.png");
    }
}
