//! Realtime: what a subscriber is told by the policies of the database, filters, tokens that are
//! not good or no longer, what cannot be subscribed, both forms of messages, limits.

use std::time::Duration;

use crate::database::ProjectDatabase;
use crate::running::{OTHER, Running, USER, start};
use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use stand_ins::tokens::hs256_token;
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

const SECRET: &[u8] = b"a-secret-of-the-local-project-of-40-chars";
/// A table whose rows are their owner's; one column is for nobody.
const NOTES: &str = "
    create table public.notes (
        id int primary key, owner uuid, body text, times int[], at timestamptz, secret text
    );
    alter table public.notes enable row level security;
    create policy own on public.notes for select to authenticated using (owner = auth.uid());
    revoke all on public.notes from anon, authenticated;
    grant select (id, owner, body, times, at) on public.notes to authenticated;
    create table public.unpublished (id int primary key);
    alter publication supabase_realtime add table public.notes;";

fn token(secret: &[u8], claims: &Value) -> String {
    hs256_token(secret, &json!({"alg": "HS256", "typ": "JWT"}), claims)
}

/// The project's public key, which is a token too.
fn anon_key() -> String {
    token(SECRET, &json!({"role": "anon", "exp": u32::MAX}))
}

struct Peer(WebSocketStream<MaybeTlsStream<TcpStream>>);

impl Peer {
    async fn try_connect(running: &Running, query: &str) -> Result<Self, u16> {
        let url = format!("{}/realtime/v1/websocket?{query}", running.origin);
        match connect_async(url.replace("http://", "ws://")).await {
            Ok((socket, _)) => Ok(Self(socket)),
            Err(Error::Http(answer)) => Err(answer.status().as_u16()),
            Err(error) => panic!("{error}"),
        }
    }

    async fn connect(running: &Running) -> Self {
        let query = format!("apikey={}&vsn=2.0.0", anon_key());
        Self::try_connect(running, &query).await.unwrap()
    }

    async fn send(&mut self, frame: Value) {
        self.0.send(Message::text(frame.to_string())).await.unwrap();
    }

    /// The next message; `None` where the server has closed the socket.
    async fn next(&mut self) -> Option<Value> {
        let next = tokio::time::timeout(Duration::from_secs(10), self.0.next());
        match next.await.expect("a message within ten seconds") {
            Some(Ok(Message::Text(text))) => Some(serde_json::from_str(&text).unwrap()),
            _ => None,
        }
    }

    async fn expect(&mut self) -> Value {
        self.next().await.expect("an open socket")
    }

    /// Joins and gives the answer; without a token with the key's own.
    async fn join(&mut self, topic: &str, token: &str, wishes: Value) -> Value {
        let config = json!({"postgres_changes": wishes, "private": false});
        let mut payload = json!({"config": config});
        if !token.is_empty() {
            payload["access_token"] = token.into();
        }
        self.send(json!(["1", "1", topic, "phx_join", payload])).await;
        let answer = self.expect().await;
        let head = json!([answer[0], answer[1], answer[2], answer[3]]);
        assert_eq!(head, json!(["1", "1", topic, "phx_reply"]));
        answer[4].clone()
    }

    /// Joins and waits until changes are told; gives the ids of the wishes.
    async fn subscribe(&mut self, token: &str, wishes: Value) -> Vec<Value> {
        let answer = self.join("realtime:room", token, wishes).await;
        assert_eq!(answer["status"], "ok", "{answer}");
        let system = self.expect().await;
        assert_eq!(
            system,
            json!(["1", null, "realtime:room", "system", {
                "extension": "postgres_changes",
                "status": "ok",
                "message": "Subscribed to PostgreSQL",
                "channel": "room",
            }])
        );
        let named = answer["response"]["postgres_changes"].as_array().unwrap();
        named.iter().map(|wish| wish["id"].clone()).collect()
    }

    /// The next change and the wishes that it meets.
    async fn change(&mut self) -> (Value, Value) {
        let message = self.expect().await;
        assert_eq!(
            (&message[0], &message[1], &message[3]),
            (&Value::Null, &Value::Null, &json!("postgres_changes")),
            "{message}"
        );
        (message[4]["ids"].clone(), message[4]["data"].clone())
    }
}

async fn start_with_database(extra: Value) -> (Running, ProjectDatabase) {
    let database = ProjectDatabase::fresh().await;
    database.exec(NOTES).await;
    let mut config = json!({
        "database_url": database.authenticator_url(),
        "replication_url": database.owner_url(),
        "anon_key": anon_key(),
    });
    config.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
    (start(config).await, database)
}

fn notes(event: &str) -> Value {
    json!([{"event": event, "schema": "public", "table": "notes"}])
}

fn insert(id: u32, owner: &str, body: &str) -> String {
    format!(
        "insert into public.notes values
            ({id}, '{owner}', '{body}', '{{1,2}}', '2026-11-21T10:20:30.5Z', 'hidden')"
    )
}

#[tokio::test]
async fn a_subscriber_is_told_what_the_policies_show_it() {
    let (running, database) = start_with_database(json!({})).await;
    let (mut own, mut other) = (Peer::connect(&running).await, Peer::connect(&running).await);
    let token = running.sign_in("user1@example.com").await;
    let ids = own.subscribe(&token, notes("*")).await;
    other.subscribe(&running.sign_in("user2@example.com").await, notes("*")).await;
    database.exec(&insert(1, USER, "a")).await;
    let (told, data) = own.change().await;
    assert_eq!(told, json!(ids));
    assert_eq!(
        (&data["schema"], &data["table"], &data["type"], &data["errors"]),
        (&json!("public"), &json!("notes"), &json!("INSERT"), &Value::Null)
    );
    assert_eq!(
        data["record"],
        json!({"id": 1, "owner": USER, "body": "a", "times": [1, 2],
            "at": "2026-11-21T10:20:30.5+00:00"}),
        "what the role may not read is not told"
    );
    assert_eq!(data["columns"][0], json!({"name": "id", "type": "int4"}));
    assert_eq!(data["columns"].as_array().unwrap().len(), 5);
    let committed = data["commit_timestamp"].as_str().unwrap();
    assert!(committed.starts_with("20") && committed.ends_with('Z'), "{committed}");
    database.exec("update public.notes set body = 'b'").await;
    let (_, data) = own.change().await;
    assert_eq!((&data["type"], &data["record"]["body"]), (&json!("UPDATE"), &json!("b")));
    assert_eq!(data["old_record"], json!({"id": 1}));
    database.exec("delete from public.notes").await;
    for peer in [&mut own, &mut other] {
        // Of a row that is gone no policy tells: everybody hears its key, and nothing else.
        let (_, data) = peer.change().await;
        assert_eq!((&data["type"], &data["old_record"]), (&json!("DELETE"), &json!({"id": 1})));
        assert!(data.get("record").is_none());
    }
}

#[tokio::test]
async fn events_and_filters_choose_and_one_message_names_all_wishes() {
    let (running, database) = start_with_database(json!({})).await;
    let mut peer = Peer::connect(&running).await;
    let wish = |event: &str, filter: &str| {
        let mut wish = notes(event)[0].clone();
        wish["filter"] = filter.into();
        wish
    };
    let wishes = json!([
        wish("INSERT", "body=eq.a"),
        wish("*", "id=in.(2,3)"),
        wish("UPDATE", "body=not.eq.a"),
    ]);
    let token = running.sign_in("user1@example.com").await;
    let ids = peer.subscribe(&token, wishes).await;
    for (id, body) in [(1, "b"), (2, "a"), (3, "b")] {
        database.exec(&insert(id, USER, body)).await;
    }
    database.exec("update public.notes set body = 'c' where id = 1").await;
    let mut told = Vec::new();
    for _ in 0..3 {
        let (mut ids, data) = peer.change().await;
        ids.as_array_mut().unwrap().sort_by_key(Value::as_u64);
        told.push((data["record"]["id"].clone(), ids));
    }
    let mut both = vec![ids[0].clone(), ids[1].clone()];
    both.sort_by_key(Value::as_u64);
    assert_eq!(
        told,
        [(json!(2), json!(both)), (json!(3), json!([ids[1]])), (json!(1), json!([ids[2]]))]
    );
}

#[tokio::test]
async fn nobody_joins_without_a_good_token() {
    let (running, _database) = start_with_database(json!({})).await;
    let connect = async |query: &str| Peer::try_connect(&running, query).await.err();
    assert_eq!(connect("vsn=2.0.0").await, Some(401));
    assert_eq!(connect("apikey=other&vsn=2.0.0").await, Some(401));
    assert_eq!(connect(&format!("apikey={}&vsn=3.0.0", anon_key())).await, Some(403));
    let mut peer = Peer::connect(&running).await;
    let good = json!({"role": "authenticated", "sub": USER, "exp": u32::MAX});
    for (token, reason) in [
        ("nonsense".to_owned(), "MalformedJWT: The token provided is not a valid JWT"),
        (token(b"another", &good), "JwtSignatureError: Failed to validate JWT signature"),
        (
            token(SECRET, &json!({"exp": u32::MAX})),
            "InvalidJWTToken: Fields `role` and `exp` are required in JWT",
        ),
        (
            token(SECRET, &json!({"role": "authenticated", "exp": 1})),
            "InvalidJWTToken: Token has expired ",
        ),
    ] {
        let answer = peer.join("realtime:room", &token, notes("*")).await;
        let found = answer["response"]["reason"].as_str().unwrap_or_default();
        assert!(answer["status"] == "error" && found.starts_with(reason), "{answer}");
    }
    let answer = peer.join("realtime:", "", notes("*")).await;
    assert_eq!(answer["response"]["reason"], "TopicNameRequired: You must provide a topic name");
    let answer = peer.join("room", "", notes("*")).await;
    assert_eq!(answer["response"]["reason"], "unmatched topic");
}

#[tokio::test]
async fn a_channel_ends_with_its_token() {
    let (running, database) = start_with_database(json!({"token_lifetime_s": 4})).await;
    let mut peer = Peer::connect(&running).await;
    let first = running.sign_in("user1@example.com").await;
    peer.subscribe(&first, notes("*")).await;
    // A token of another user: from its subscription on, changes are that user's.
    let second = running.sign_in("user2@example.com").await;
    let payload = json!({"access_token": second});
    peer.send(json!(["1", "2", "realtime:room", "access_token", payload])).await;
    assert_eq!(peer.expect().await[4]["message"], "Subscribed to PostgreSQL");
    database.exec(&insert(1, USER, "a")).await;
    database.exec(&insert(2, OTHER, "b")).await;
    assert_eq!(peer.change().await.1["record"]["id"], 2);
    let ended = peer.expect().await;
    assert_eq!((&ended[3], &ended[4]["status"]), (&json!("system"), &json!("error")));
    let message = ended[4]["message"].as_str().unwrap();
    assert!(message.starts_with("Token has expired"), "{message}");
    assert_eq!(peer.expect().await, json!(["1", "1", "realtime:room", "phx_close", {}]));
    database.exec(&insert(3, OTHER, "c")).await;
    peer.send(json!([null, "3", "phoenix", "heartbeat", {}])).await;
    assert_eq!(peer.expect().await[3], "phx_reply", "nothing is told of the third row");
}

#[tokio::test]
async fn a_bad_token_later_ends_the_channel_at_once() {
    let (running, _database) = start_with_database(json!({})).await;
    let mut peer = Peer::connect(&running).await;
    peer.join("realtime:room", &running.sign_in("user1@example.com").await, json!([])).await;
    let give =
        |token: Value| json!(["1", "2", "realtime:room", "access_token", {"access_token": token}]);
    for ignored in [json!("sb_publishable_1"), Value::Null] {
        peer.send(give(ignored)).await;
    }
    peer.send(give(json!("nonsense"))).await;
    assert_eq!(peer.expect().await[4]["message"], "The token provided is not a valid JWT");
    assert_eq!(peer.expect().await[3], "phx_close");
}

#[tokio::test]
async fn what_cannot_be_subscribed_is_said() {
    let (running, _database) = start_with_database(json!({})).await;
    let token = running.sign_in("user1@example.com").await;
    let table = |name: &str, filter: &str| {
        let mut wishes = notes("*");
        (wishes[0]["table"], wishes[0]["filter"]) = (name.into(), filter.into());
        wishes
    };
    for (wishes, message) in [
        (table("unpublished", ""), "Please check Realtime is enabled for the given connect"),
        (table("notes", "secret=eq.x"), "invalid column for filter secret"),
        (table("notes", "id=eq.x"), "invalid input syntax for type integer"),
        (table("notes", "id=foo.x"), "Error parsing `filter` params: [\"foo\",\"x\"]"),
        (json!([{"event": "*"}]), "No subscription params provided"),
    ] {
        let mut peer = Peer::connect(&running).await;
        assert_eq!(peer.join("realtime:room", &token, wishes).await["status"], "ok");
        let system = peer.expect().await;
        let found = system[4]["message"].as_str().unwrap_or_default();
        assert!(system[4]["status"] == "error" && found.contains(message), "{system}");
    }
}

#[tokio::test]
async fn both_forms_of_messages_are_spoken() {
    let (running, _database) = start_with_database(json!({})).await;
    let mut peer = Peer::connect(&running).await;
    peer.send(json!([null, "1", "phoenix", "heartbeat", {}])).await;
    let beat = json!([null, "1", "phoenix", "phx_reply", {"status": "ok", "response": {}}]);
    assert_eq!(peer.expect().await, beat);
    peer.send(json!(["9", "2", "realtime:room", "broadcast", {}])).await;
    assert_eq!(peer.expect().await[4]["response"]["reason"], "unmatched topic");
    peer.join("realtime:room", "", json!([])).await;
    peer.send(json!(["1", "3", "realtime:room", "phx_leave", {}])).await;
    assert_eq!(peer.expect().await[4]["status"], "ok");
    assert_eq!(peer.expect().await, json!(["1", "1", "realtime:room", "phx_close", {}]));
    let query = format!("apikey={}", anon_key());
    let mut old = Peer::try_connect(&running, &query).await.unwrap();
    let join = json!({"topic": "realtime:a", "event": "phx_join", "ref": "7",
        "payload": {"config": {"postgres_changes": [{"schema": "public", "table": "notes"}]}}});
    old.send(join).await;
    let answer = old.expect().await;
    assert_eq!(
        (&answer["event"], &answer["ref"], &answer["payload"]["status"]),
        (&json!("phx_reply"), &json!("7"), &json!("ok"))
    );
    assert!(answer["payload"]["response"]["postgres_changes"][0]["id"].is_u64(), "{answer}");
    assert_eq!(old.expect().await["payload"]["message"], "Subscribed to PostgreSQL");
    old.send(json!("nonsense")).await;
    assert_eq!(old.next().await, None, "what is no message ends the socket");
}

#[tokio::test]
async fn a_project_admits_so_much_and_no_more() {
    let limits = json!({"realtime": {
        "sockets": 1, "channels_per_socket": 1, "joins_per_second": 1000,
        "messages_per_second": 2,
    }});
    let (running, _database) = start_with_database(limits).await;
    let mut peer = Peer::connect(&running).await;
    let query = format!("apikey={}&vsn=2.0.0", anon_key());
    assert_eq!(Peer::try_connect(&running, &query).await.err(), Some(429));
    assert_eq!(peer.join("realtime:a", "", json!([])).await["status"], "ok");
    let refused = peer.join("realtime:b", "", json!([])).await;
    assert_eq!(refused["response"]["reason"], "ChannelRateLimitReached: Too many channels");
    for _ in 0..7 {
        peer.send(json!(["1", "2", "realtime:a", "broadcast", {}])).await;
    }
    assert_eq!(peer.expect().await[4]["message"], "Too many messages per second");
    assert_eq!(peer.expect().await[3], "phx_close");
    let (running, _database) =
        start_with_database(json!({"realtime": {"joins_per_second": 0}})).await;
    let mut peer = Peer::connect(&running).await;
    let refused = peer.join("realtime:a", "", json!([])).await;
    let reason = "ClientJoinRateLimitReached: Too many joins per second";
    assert_eq!(refused["response"]["reason"], reason);
    assert_eq!(peer.next().await, None, "who joins too often is disconnected");
}
