//! The subscriptions, and the one reader of the publication, which sends the changes to them. It
//! reads from a temporary slot, as Realtime does, and only while there is a subscription: a slot
//! without a reader keeps every change.
//!
//! Source: supabase/realtime, lib/extensions/postgres_cdc_rls/replication_poller.ex,
//! replications.ex and message_dispatcher.ex.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::Context;
use serde_json::{Value, json};
use tokio::sync::Mutex;
use tokio::sync::mpsc::UnboundedSender;
use tokio_postgres::{Client, NoTls};

use super::socket::SocketEvent;
use super::stream::{RowChange, StreamReader};
use super::table::RoleTable;
use super::wanted::ChangeWish;
use crate::clock;

const PUBLICATION: &str = "supabase_realtime";
const POLL: Duration = Duration::from_millis(100);

/// One wish of one channel.
pub(super) struct Subscription {
    pub(super) wish_id: u32,
    pub(super) wanted: ChangeWish,
    pub(super) role: String,
    pub(super) claims: Value,
    pub(super) topic: String,
    pub(super) join_ref: Value,
    pub(super) events: UnboundedSender<SocketEvent>,
}

/// Why a subscription failed.
#[derive(Debug)]
pub(super) enum SubscribeError {
    /// The wish cannot be granted.
    Refused(String),
    /// The database does not answer.
    Failed(String),
}

pub(super) struct Hub {
    url: Option<String>,
    next_key: AtomicU64,
    state: Mutex<HubState>,
}

#[derive(Default)]
struct HubState {
    is_read: bool,
    subscriptions: HashMap<u64, Arc<Subscription>>,
}

impl Hub {
    /// `url` connects as a role that may replicate and become each role of a project.
    pub(super) fn new(url: Option<String>) -> Self {
        Self { url, next_key: AtomicU64::default(), state: Mutex::default() }
    }

    /// Replaces the former subscriptions by these, or fails and adds none. What is committed from
    /// now on is sent.
    pub(super) async fn subscribe(
        self: &Arc<Self>,
        wanted: Vec<Subscription>,
        former: &[u64],
    ) -> Result<Vec<u64>, SubscribeError> {
        let failed = |error: anyhow::Error| SubscribeError::Failed(format!("{error:#}"));
        let mut state = self.state.lock().await;
        let client = self.connect().await.map_err(failed)?;
        for subscription in &wanted {
            granted(&client, subscription).await?;
        }
        if !state.is_read {
            let feed = Feed::open(client).await.map_err(failed)?;
            state.is_read = true;
            tokio::spawn(Arc::clone(self).read(feed));
        }
        for key in former {
            state.subscriptions.remove(key);
        }
        let keys = wanted.into_iter().map(|subscription| {
            let key = self.next_key.fetch_add(1, Ordering::Relaxed);
            state.subscriptions.insert(key, Arc::new(subscription));
            key
        });
        Ok(keys.collect())
    }

    pub(super) async fn unsubscribe(&self, keys: &[u64]) {
        let mut state = self.state.lock().await;
        for key in keys {
            state.subscriptions.remove(key);
        }
    }

    async fn connect(&self) -> anyhow::Result<Client> {
        let url = self.url.as_deref().context("Realtime has no database")?;
        let (client, connection) = tokio_postgres::connect(url, NoTls).await?;
        tokio::spawn(connection);
        Ok(client)
    }

    /// Sends what is committed, until there is no subscription or the database is gone.
    async fn read(self: Arc<Self>, mut feed: Feed) {
        loop {
            tokio::time::sleep(POLL).await;
            let changes = feed.changes().await;
            let subscriptions: Vec<Arc<Subscription>> = {
                let mut state = self.state.lock().await;
                if state.subscriptions.is_empty() {
                    state.is_read = false;
                    return;
                }
                state.subscriptions.values().map(Arc::clone).collect()
            };
            let told = match changes {
                Ok(changes) => feed.tell(&changes, &subscriptions).await,
                Err(error) => Err(error),
            };
            if let Err(error) = told {
                eprintln!("realtime: {error:#}");
                return self.lose().await;
            }
        }
    }

    /// Ends all subscriptions, so that every channel subscribes anew.
    async fn lose(&self) {
        let mut state = self.state.lock().await;
        state.is_read = false;
        for (_, lost) in state.subscriptions.drain() {
            let (topic, join_ref) = (lost.topic.clone(), lost.join_ref.clone());
            let _ = lost.events.send(SocketEvent::Lost { topic, join_ref });
        }
    }
}

/// Grants a wish only for a published table and for columns that the role may read.
async fn granted(client: &Client, subscription: &Subscription) -> Result<(), SubscribeError> {
    const SQL: &str = "select schemaname::text, tablename::text from pg_publication_tables
        where pubname = $1::text
            and ($2::text = '*' or schemaname = $2) and ($3::text = '*' or tablename = $3)";
    let Subscription { wanted, role, .. } = subscription;
    let failed = |error: tokio_postgres::Error| SubscribeError::Failed(error.to_string());
    let tables = client.query(SQL, &[&PUBLICATION, &wanted.schema, &wanted.table]).await;
    let tables = tables.map_err(failed)?;
    let refused = |why: &str| {
        format!("Unable to subscribe to changes with given parameters. {why}: [{}]", wanted.shown())
    };
    if tables.is_empty() {
        let why = "Please check Realtime is enabled for the given connect parameters";
        return Err(SubscribeError::Refused(refused(why)));
    }
    for row in tables {
        let table = RoleTable::load(client, row.get(0), row.get(1), role).await.map_err(failed)?;
        if let Some(exception) = table.refuse(client, wanted).await {
            let why = "An exception happened so please check your connect parameters";
            let text = format!("{}. Exception: {exception}", refused(why));
            return Err(SubscribeError::Refused(text));
        }
    }
    Ok(())
}

/// A slot and the session to which it belongs.
struct Feed {
    client: Client,
    slot: String,
}

impl Feed {
    async fn open(client: Client) -> anyhow::Result<Self> {
        let slot = format!("{PUBLICATION}_replication_slot_{}", clock::random_hex());
        let sql = "select pg_create_logical_replication_slot($1::text::name, 'pgoutput', true)";
        client.query_one(sql, &[&slot]).await?;
        Ok(Self { client, slot })
    }

    /// The changes that were committed since the last call.
    async fn changes(&self) -> anyhow::Result<Vec<RowChange>> {
        const SQL: &str = "select data from pg_logical_slot_get_binary_changes(
            $1::text::name, null, null, 'proto_version', '1', 'publication_names', $2::text)";
        let messages = self.client.query(SQL, &[&self.slot, &PUBLICATION]).await?;
        let mut reader = StreamReader::default();
        let read = messages.iter().map(|row| reader.change(row.get(0)));
        read.filter_map(Result::transpose).collect()
    }

    async fn tell(
        &mut self,
        changes: &[RowChange],
        subscriptions: &[Arc<Subscription>],
    ) -> anyhow::Result<()> {
        for change in changes {
            // One message for a channel names all its wishes that the change fulfils.
            let mut groups: Vec<(&Subscription, Vec<u32>)> = Vec::new();
            for subscription in subscriptions.iter().filter(|each| each.concerns(change)) {
                let table = self.table(change, subscription).await?;
                if !table.is_for(&mut self.client, change, subscription).await? {
                    continue;
                }
                match groups.iter_mut().find(|(first, _)| first.shares_message(subscription)) {
                    Some((_, ids)) => ids.push(subscription.wish_id),
                    None => groups.push((subscription, vec![subscription.wish_id])),
                }
            }
            for (subscription, ids) in groups {
                let Subscription { wanted, topic, events, .. } = subscription;
                let table = self.table(change, subscription).await?;
                let data = table.told(&self.client, change, wanted.columns.as_deref()).await?;
                let payload = json!({"ids": ids, "data": data});
                // A socket that has just closed misses the change.
                let _ = events.send(SocketEvent::Change { topic: topic.clone(), payload });
            }
        }
        Ok(())
    }

    async fn table(
        &self,
        change: &RowChange,
        subscription: &Subscription,
    ) -> Result<RoleTable, tokio_postgres::Error> {
        RoleTable::load(&self.client, &change.schema, &change.table, &subscription.role).await
    }
}

impl Subscription {
    fn concerns(&self, change: &RowChange) -> bool {
        let names = |wanted: &str, name: &str| wanted == "*" || wanted == name;
        names(self.wanted.action, change.action)
            && names(&self.wanted.schema, &change.schema)
            && names(&self.wanted.table, &change.table)
    }

    fn shares_message(&self, other: &Self) -> bool {
        self.events.same_channel(&other.events)
            && self.topic == other.topic
            && self.wanted.columns == other.wanted.columns
    }
}
