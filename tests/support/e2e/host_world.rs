//! The stack on the database of an app that `cargo xtask adopt` has adopted: what the app's pages
//! see by PostgREST and by Realtime, and what its tables and wallets hold.

use std::ops::Deref;

use reqwest::RequestBuilder;
use serde_json::{Map, Value, json};
use uuid::{Uuid, uuid};
use xtask::adopt::{Adoption, AdoptionStep};
use xtask::keys::user_claims;
use xtask::postgres;

use super::publication::{PublishedChange, Subscriber};
use super::{TestUser, World};
use crate::assert_has;
use crate::hosts::{App, Host, Rights};

const ADMIN: Uuid = uuid!("00000000-0000-4000-8000-000000000002");

/// The app's database, built from the fixtures and then adopted.
pub(super) async fn moved_in(app: App) -> Host {
    let host = Host::fresh(app, Rights::Closed).await;
    let adoption = Adoption { app: app.folder().to_owned(), tools: Vec::new(), dry_run: false };
    let (send, heard) = std::sync::mpsc::channel();
    let hear = move |warning: String| send.send(warning).expect("somebody hears");
    let client = postgres::connect_with(&host.url("postgres"), hear).await.expect("a connection");
    for step in [AdoptionStep::Look, AdoptionStep::Install, AdoptionStep::Attach] {
        let done = adoption.perform(&client, step).await;
        done.unwrap_or_else(|error| panic!("{step:?}: {error:#}"));
    }
    // The installation warns of what the owner of `storage.objects` has to do.
    let platform = host.platform().await;
    for warning in heard.try_iter() {
        let left = warning.split_once("As who owns storage.objects: ");
        platform.exec(left.unwrap_or_else(|| panic!("{warning}")).1).await;
    }
    host
}

pub struct HostWorld<'a> {
    world: &'a World,
    subscriber: Subscriber,
    /// The changes that the publication sent and that no test has asked for yet.
    told: Vec<PublishedChange>,
}

impl Deref for HostWorld<'_> {
    type Target = World;

    fn deref(&self) -> &World {
        self.world
    }
}

impl<'a> HostWorld<'a> {
    pub(super) async fn new(world: &'a World, host: &Host) -> Self {
        let subscriber = Subscriber::new(world.db(), host.name()).await;
        Self { world, subscriber, told: Vec::new() }
    }

    /// A user of the app, signed in.
    pub fn person(&self, id: Uuid) -> TestUser {
        TestUser { id, token: self.token(&user_claims(id)) }
    }

    /// The admin of the fixtures.
    pub fn host_admin(&self) -> TestUser {
        self.person(ADMIN)
    }

    /// A user who has just signed up in the app.
    pub async fn newcomer(&self) -> TestUser {
        let user = self.person(Uuid::new_v4());
        let sign_up = format!(
            "insert into auth.users (id, email) values ('{0}', '{0}@app.example')",
            user.id
        );
        self.db().exec(&sign_up).await;
        user
    }

    /// The app's row with this id; asserts first that no projection and no refund is owed to the
    /// app.
    pub async fn row(&self, table: &str, id: Uuid) -> Value {
        self.assert_nothing_owed().await;
        self.db().row(&format!("select * from public.{table} where id = '{id}'")).await
    }

    /// The first column of all rows of a query, joined to one line.
    pub async fn line(&self, sql: &str) -> String {
        self.db().texts(sql).await.join(", ")
    }

    /// What that user's page reads by a query such as `upscaler_jobs?select=status`. Times are
    /// written as Postgres writes them.
    pub async fn read_by(&self, user: &TestUser, query: &str) -> Value {
        let answer = self.answer(user, self.http().get(self.rest(query))).await;
        let mut rows = answer.expect("a page may read");
        let columns = rows.as_array_mut().expect("rows").iter_mut();
        for value in columns.filter_map(Value::as_object_mut).flat_map(Map::values_mut) {
            if let Some(time) = value.as_str().and_then(without_last_zeros) {
                *value = time.into();
            }
        }
        rows
    }

    /// Calls a function of the database as that user's page; an error has the refusal's text.
    pub async fn call_by(
        &self,
        user: &TestUser,
        function: &str,
        arguments: Value,
    ) -> Result<Value, String> {
        let url = self.rest(&format!("rpc/{function}"));
        self.answer(user, self.http().post(url).json(&arguments)).await
    }

    /// Inserts a row as that user's page.
    pub async fn insert_by(&self, user: &TestUser, table: &str, row: &Value) {
        let inserted = self.answer(user, self.http().post(self.rest(table)).json(row)).await;
        inserted.expect("a page may insert its row");
    }

    /// Changes rows as that user's page; an error has the refusal's text.
    pub async fn change_by(
        &self,
        user: &TestUser,
        query: &str,
        columns: &Value,
    ) -> Result<Value, String> {
        self.answer(user, self.http().patch(self.rest(query)).json(columns)).await
    }

    fn rest(&self, query: &str) -> String {
        format!("{}/rest/v1/{query}", self.stack().info().url)
    }

    async fn answer(&self, user: &TestUser, request: RequestBuilder) -> Result<Value, String> {
        let key = &self.stack().info().anon_key;
        let request = request.header("apikey", key).bearer_auth(&user.token);
        let answer = request.send().await.expect("PostgREST answers");
        let status = answer.status();
        let text = answer.text().await.unwrap_or_default();
        if !status.is_success() {
            return Err(text);
        }
        Ok(serde_json::from_str(&text).unwrap_or_default())
    }

    /// The changes that the publication sent about this id in a table of the app since the last
    /// call, each as `INSERT <value> <value>` with the values of these columns. First it waits
    /// until the last sent state of every row equals the row in its table.
    pub async fn told(&mut self, table: &str, id: Uuid, columns: &[&str]) -> Vec<String> {
        self.catch_up().await;
        let (table, id) = (format!("public.{table}"), json!(id));
        let values = |change: &PublishedChange| {
            let values = columns.iter().map(|name| change.row[*name].as_str().unwrap_or("null"));
            values.collect::<Vec<_>>().join(" ")
        };
        let (mut lines, mut last, mut of_others) = (Vec::new(), None::<PublishedChange>, 0);
        for change in std::mem::take(&mut self.told) {
            let is_named =
                change.row.as_object().expect("a row").values().any(|value| *value == id);
            if change.table != table || !is_named {
                // A trigger of the app may write the row once more for each row that names it.
                of_others += usize::from(is_named);
                self.told.push(change);
                continue;
            }
            // Other columns may have changed instead of these, but at least one must have.
            match &last {
                Some(last) if values(last) == values(&change) => assert!(
                    of_others > 0 || facts(last) != facts(&change),
                    "{table} is written twice: {}",
                    change.row
                ),
                _ => lines.push(format!("{} {}", change.kind, values(&change))),
            }
            of_others = of_others.saturating_sub(1);
            last = Some(change);
        }
        lines
    }

    async fn catch_up(&mut self) {
        let (world, subscriber, told) = (self.world, &mut self.subscriber, &mut self.told);
        let mut stale = None;
        for _ in 0..100 {
            told.extend(subscriber.read(world.db()).await);
            stale = subscriber.stale_row(world.db()).await;
            if stale.is_none() {
                return;
            }
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
        panic!("a subscriber is not told of a change: {}", stale.unwrap_or_default());
    }

    /// Cancels a live job as an admin of the app. Returns the answer.
    pub async fn host_admin_cancels(&self, table: &str, job: Uuid) -> Value {
        let body = json!({ "table": table, "jobId": job });
        self.call("admin-cancel-job").by(&self.host_admin()).json(&body).ok().await
    }

    /// Retries a final job as an admin of the app. Returns the new job's id.
    pub async fn host_admin_retries(&self, table: &str, job: Uuid, charge: bool) -> Uuid {
        let body = json!({ "table": table, "jobId": job, "charge": charge });
        let call = self.call("admin-retry-job").by(&self.host_admin()).json(&body);
        let answer = call.ok().await;
        assert_has!(answer, { "success": true, "retryOf": job });
        crate::shop::id(&answer["jobId"])
    }

    /// Cancels a waiting job of any tool as its user. Returns the answer.
    pub async fn user_cancels(&self, user: &TestUser, table: &str, job: Uuid) -> Value {
        let body = json!({ "table": table, "jobId": job });
        self.call("runninghub-queue-manager/cancel").by(user).json(&body).ok().await
    }

    /// Asserts that nothing is owed to the app: no projection failed, and no refund and no request
    /// waits.
    pub async fn assert_nothing_owed(&self) {
        let errors = "select error from unstuck.projection_errors where mended_at is null";
        assert_eq!(self.db().texts(errors).await, [""; 0]);
        for owed in ["refunds_owed", "host_requests"] {
            assert_eq!(self.count(owed).await, 0, "{owed}");
        }
    }

    /// Makes a trigger of the app on this table raise an error, until `mend_trigger`.
    pub async fn break_trigger(&self, table: &str) {
        self.db()
            .exec(&format!(
                "create or replace function public.raises() returns trigger language plpgsql as
                'begin raise exception ''not in this app''; end';
                create trigger raises before insert or update on public.{table}
                for each row execute function public.raises()"
            ))
            .await;
    }

    pub async fn mend_trigger(&self, table: &str) {
        self.db().exec(&format!("drop trigger raises on public.{table}")).await;
    }
}

/// The row without `updated_at`.
fn facts(change: &PublishedChange) -> Value {
    let mut row = change.row.clone();
    row.as_object_mut().expect("a row").remove("updated_at");
    row
}

/// A time as Postgres writes it into JSON, without the last zeros of its second: the local
/// PostgREST writes six digits.
fn without_last_zeros(text: &str) -> Option<String> {
    let (second, digits) = text.strip_suffix("+00:00")?.rsplit_once('.')?;
    let time = format!("{second}.{digits}");
    Some(format!("{}+00:00", time.trim_end_matches('0').trim_end_matches('.')))
}
