//! Asks the project's database about storage: for its buckets, and whether its policies let a
//! caller write or read. It caches no answer and leaves no row.

use serde_json::Value;
use tokio::sync::Mutex;
use tokio_postgres::error::SqlState;
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, NoTls, Transaction};

use super::StorageRefusal;
use super::disk::ObjectPath;
use crate::front::role::become_role;

/// A row of `storage.buckets`.
pub(super) struct Bucket {
    pub(super) is_public: bool,
    pub(super) bytes_max: Option<u64>,
    /// The allowed types; empty allows every type.
    pub(super) mime_types: Vec<String>,
}

/// One connection, which is opened at the first request and after a failure.
pub(super) struct StorageDatabase {
    url: String,
    client: Mutex<Option<Client>>,
}

impl StorageDatabase {
    /// `url` connects as `authenticator`, which may become each role of a project.
    pub(super) fn new(url: &str) -> Self {
        Self { url: url.to_owned(), client: Mutex::default() }
    }

    /// Reads a bucket with the rights of the service, as storage itself does.
    pub(super) async fn bucket(&self, name: &str) -> Result<Bucket, StorageRefusal> {
        const SQL: &str = "select coalesce(public, false), file_size_limit,
            coalesce(allowed_mime_types, '{}') from storage.buckets where id = $1";
        let row = {
            let mut client = self.client.lock().await;
            let transaction = self.begin(&mut client).await?;
            become_role(&transaction, "service_role", &Value::Null).await.map_err(failed)?;
            transaction.query_opt(SQL, &[&name]).await.map_err(failed)?
        };
        let row = row.ok_or_else(StorageRefusal::no_bucket)?;
        let bytes_max = row.get::<_, Option<i64>>(1).and_then(|limit| u64::try_from(limit).ok());
        Ok(Bucket { is_public: row.get(0), bytes_max, mime_types: row.get(2) })
    }

    /// Tries to insert the object's row as the caller, and rolls it back: row level security
    /// decides. Storage asks its database like this before it signs or accepts an upload
    /// (supabase/storage, src/storage/uploader.ts, `canUpload`).
    pub(super) async fn test_write(
        &self,
        role: &str,
        claims: &Value,
        object: &ObjectPath,
        upsert: bool,
    ) -> Result<(), StorageRefusal> {
        const INSERT: &str = "insert into storage.objects (bucket_id, name, owner_id, version)
            values ($1, $2, $3, '1')";
        const UPSERT: &str = "insert into storage.objects (bucket_id, name, owner_id, version)
            values ($1, $2, $3, '1') on conflict (bucket_id, name)
            do update set owner_id = excluded.owner_id, version = excluded.version";
        let mut client = self.client.lock().await;
        let transaction = self.begin(&mut client).await?;
        become_role(&transaction, role, claims).await.map_err(failed)?;
        let owner = claims.get("sub").and_then(Value::as_str);
        let sql = if upsert { UPSERT } else { INSERT };
        let written = transaction.execute(sql, &[&object.bucket, &object.path, &owner]).await;
        transaction.rollback().await.map_err(failed)?;
        written.map(drop).map_err(failed)
    }

    /// Whether a SELECT policy shows the object's row to the caller. The row is inserted for this
    /// question and rolled back. Storage reads each object's row as the caller (supabase/storage,
    /// src/storage/object.ts, `findObject`).
    pub(super) async fn may_read(
        &self,
        role: &str,
        claims: &Value,
        object: &ObjectPath,
    ) -> Result<bool, StorageRefusal> {
        const INSERT: &str = "insert into storage.objects (bucket_id, name, owner_id, version)
            values ($1, $2, split_part($2, '/', 1), '1')";
        const SELECT: &str = "select from storage.objects where bucket_id = $1 and name = $2";
        let mut client = self.client.lock().await;
        let transaction = self.begin(&mut client).await?;
        become_role(&transaction, "service_role", &Value::Null).await.map_err(failed)?;
        let key: [&(dyn ToSql + Sync); 2] = [&object.bucket, &object.path];
        transaction.execute(INSERT, &key).await.map_err(failed)?;
        become_role(&transaction, role, claims).await.map_err(failed)?;
        let seen = transaction.query_opt(SELECT, &key).await;
        transaction.rollback().await.map_err(failed)?;
        Ok(seen.is_ok_and(|row| row.is_some()))
    }

    /// Which of these objects of a bucket the caller may delete. Their rows are inserted for this
    /// question and rolled back. Storage deletes the rows as the caller, all in one transaction
    /// (supabase/storage, src/storage/object.ts, `deleteObjects`).
    pub(super) async fn test_delete(
        &self,
        role: &str,
        claims: &Value,
        bucket: &str,
        names: &[&str],
    ) -> Result<Vec<String>, StorageRefusal> {
        const INSERT: &str = "insert into storage.objects (bucket_id, name, owner_id, version)
            select $1, n.name, split_part(n.name, '/', 1), '1' from unnest($2::text[]) n (name)
            on conflict do nothing";
        const DELETE: &str = "delete from storage.objects where bucket_id = $1 and name = any ($2)
            returning name";
        const BEFORE: &str = "select set_config('storage.allow_delete_query', 'true', true)";
        let mut client = self.client.lock().await;
        let transaction = self.begin(&mut client).await?;
        become_role(&transaction, "service_role", &Value::Null).await.map_err(failed)?;
        transaction.execute(INSERT, &[&bucket, &names]).await.map_err(failed)?;
        transaction.query_one(BEFORE, &[]).await.map_err(failed)?;
        become_role(&transaction, role, claims).await.map_err(failed)?;
        let deleted = transaction.query(DELETE, &[&bucket, &names]).await.map_err(failed)?;
        // Finds what would fail only at a commit.
        transaction.batch_execute("set constraints all immediate").await.map_err(failed)?;
        transaction.rollback().await.map_err(failed)?;
        Ok(deleted.iter().map(|row| row.get(0)).collect())
    }

    async fn begin<'a>(
        &self,
        client: &'a mut Option<Client>,
    ) -> Result<Transaction<'a>, StorageRefusal> {
        if client.as_ref().is_none_or(Client::is_closed) {
            let (fresh, connection) =
                tokio_postgres::connect(&self.url, NoTls).await.map_err(failed)?;
            tokio::spawn(connection);
            *client = Some(fresh);
        }
        let client = client.as_mut().ok_or_else(StorageRefusal::no_database)?;
        client.transaction().await.map_err(failed)
    }
}

/// The refusal that storage makes of an error of its database.
///
/// Source: supabase/storage, src/storage/database/errors.ts.
fn failed(error: tokio_postgres::Error) -> StorageRefusal {
    let Some(error) = error.as_db_error() else { return StorageRefusal::no_database() };
    let of_policy = error.message().contains("row-level security");
    let is_referenced = error.detail().is_some_and(|text| text.contains("is still referenced"));
    match *error.code() {
        SqlState::INSUFFICIENT_PRIVILEGE if of_policy => StorageRefusal::not_allowed(),
        SqlState::INSUFFICIENT_PRIVILEGE => StorageRefusal::access_denied(error.message()),
        SqlState::FOREIGN_KEY_VIOLATION if is_referenced => StorageRefusal::referenced(),
        SqlState::LOCK_NOT_AVAILABLE => StorageRefusal::locked(),
        SqlState::QUERY_CANCELED => StorageRefusal::no_database(),
        _ => StorageRefusal::database(error.code().code()),
    }
}
