//! The project's users in its database: `auth.users`, which only auth writes.

use tokio_postgres::NoTls;

use super::session::SessionUser;

pub(super) struct People {
    /// The database as a role that may write the table; `None` if there is no database.
    url: Option<String>,
}

impl People {
    pub(super) fn new(url: Option<String>) -> Self {
        Self { url }
    }

    /// Writes the row of a user who is new or has just been confirmed.
    pub(super) async fn write(&self, user: &SessionUser) -> Result<(), tokio_postgres::Error> {
        const SQL: &str = "insert into auth.users (id, email, email_confirmed_at, created_at)
            values ($1::text::uuid, nullif($2, ''), to_timestamp($3), to_timestamp($4))
            on conflict (id) do update set email_confirmed_at = excluded.email_confirmed_at";
        let Some(url) = &self.url else { return Ok(()) };
        let (client, connection) = tokio_postgres::connect(url, NoTls).await?;
        tokio::spawn(connection);
        let seconds = |ms: u64| ms as f64 / 1000.0;
        let (confirmed, created) = (user.confirmed_ms.map(seconds), seconds(user.created_ms));
        client.execute(SQL, &[&user.id, &user.email, &confirmed, &created]).await.map(drop)
    }
}
