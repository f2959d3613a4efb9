//! One socket and its channels: it joins each with its token, keeps its subscriptions, and closes a
//! channel whose token is no longer valid.
//!
//! Source: supabase/realtime, lib/realtime_web/channels/realtime_channel.ex and
//! channels/auth/channels_authorization.ex; for joins and their references `Phoenix.Socket`.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::ws::{Message, WebSocket};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value, json};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::time::{Instant, timeout_at};

use super::frame::{Frame, FrameVersion};
use super::hub::{SubscribeError, Subscription};
use super::wanted::{ChangeWish, wish_id};
use crate::clock;
use crate::front::SharedFront;

/// A socket that is silent for longer is closed: realtime-js sends a heartbeat every 25 s.
const SILENCE: Duration = Duration::from_secs(60);
/// Realtime subscribes 1 to 3 s after the join; what is committed before that is not sent.
const SUBSCRIBE_AFTER: Duration = Duration::from_secs(1);
const RETRY_AFTER: Duration = Duration::from_secs(5);
/// After how many seconds a token is checked at the latest.
const CONFIRM_AFTER_S: u64 = 300;

/// What happens to a socket besides the frames of its client.
pub(super) enum SocketEvent {
    Change { topic: String, payload: Value },
    Lost { topic: String, join_ref: Value },
    Subscribe { topic: String, join_ref: Value },
    ConfirmToken { topic: String, join_ref: Value },
}

/// Whether the socket stays open.
#[derive(PartialEq, Eq)]
enum SocketState {
    Open,
    Closed,
}

struct Channel {
    join_ref: Value,
    token: String,
    claims: Value,
    /// The wishes as the client sent them.
    wishes: Vec<Value>,
    subscriptions: Vec<u64>,
}

struct Socket<'a> {
    front: &'a SharedFront,
    /// The token of channels that bring none of their own.
    token: String,
    channels: HashMap<String, Channel>,
    events: UnboundedSender<SocketEvent>,
    out: Vec<Frame>,
}

/// Serves the socket until either side closes it.
pub(super) async fn serve(
    mut wire: WebSocket,
    front: &SharedFront,
    version: FrameVersion,
    token: String,
) {
    let (events, mut happened) = unbounded_channel();
    let channels = HashMap::new();
    let mut socket = Socket { front, token, channels, events, out: Vec::new() };
    exchange(&mut wire, &mut socket, version, &mut happened).await;
    for (_, channel) in socket.channels {
        front.realtime.hub.unsubscribe(&channel.subscriptions).await;
    }
}

async fn exchange(
    wire: &mut WebSocket,
    socket: &mut Socket<'_>,
    version: FrameVersion,
    happened: &mut UnboundedReceiver<SocketEvent>,
) {
    let mut heard = Instant::now();
    let mut state = SocketState::Open;
    while state == SocketState::Open {
        tokio::select! {
            message = timeout_at(heard + SILENCE, wire.recv()) => {
                let Ok(Some(Ok(message))) = message else { return };
                heard = Instant::now();
                state = match message {
                    Message::Text(text) => match Frame::parse(&text, version) {
                        Some(frame) => socket.receive(frame).await,
                        None => return,
                    },
                    Message::Close(_) => return,
                    Message::Binary(_) | Message::Ping(_) | Message::Pong(_) => SocketState::Open,
                };
            }
            Some(event) = happened.recv() => socket.happen(event).await,
        }
        for frame in socket.out.drain(..) {
            if wire.send(Message::text(frame.text(version))).await.is_err() {
                return;
            }
        }
    }
}

impl Socket<'_> {
    async fn receive(&mut self, frame: Frame) -> SocketState {
        let joined = self.channels.get(&frame.topic).map(|channel| channel.join_ref.clone());
        let is_stale = joined
            .as_ref()
            .is_some_and(|join_ref| !frame.join_ref.is_null() && frame.join_ref != *join_ref);
        match frame.event.as_str() {
            "heartbeat" if frame.topic == "phoenix" => self.reply(&frame, "ok", json!({})),
            "phx_join" => return self.join(frame).await,
            "phx_leave" => {
                self.reply(&frame, "ok", json!({}));
                if joined.is_some() && !is_stale {
                    self.close(&frame.topic).await;
                }
            }
            _ if joined.is_none() => {
                self.reply(&frame, "error", json!({"reason": "unmatched topic"}));
            }
            _ if is_stale => {}
            "access_token" => self.take_token(&frame).await,
            _ if self.is_too_fast() => {
                self.shut_down(&frame.topic, "Too many messages per second").await;
            }
            _ => {}
        }
        SocketState::Open
    }

    fn is_too_fast(&self) -> bool {
        let realtime = &self.front.realtime;
        !realtime.messages.admits(realtime.limits.messages_per_second)
    }

    fn reply(&mut self, frame: &Frame, status: &str, response: Value) {
        self.out.push(frame.reply(status, response));
    }

    async fn join(&mut self, frame: Frame) -> SocketState {
        let topic = frame.topic.clone();
        // A topic is joined only once in a socket: a new join ends the older one.
        self.close(&topic).await;
        let Some(name) = topic.strip_prefix("realtime:") else {
            self.reply(&frame, "error", json!({"reason": "unmatched topic"}));
            return SocketState::Open;
        };
        let realtime = &self.front.realtime;
        if !realtime.joins.admits(realtime.limits.joins_per_second) {
            let reason = "ClientJoinRateLimitReached: Too many joins per second";
            self.reply(&frame, "error", json!({"reason": reason}));
            return SocketState::Closed;
        }
        match self.admitted(name, &frame) {
            Err(reason) => self.reply(&frame, "error", json!({"reason": reason})),
            Ok(channel) => {
                let named = channel.wishes.iter().map(|params| {
                    let mut named = params.clone();
                    named["id"] = wish_id(params).into();
                    named
                });
                let response = json!({"postgres_changes": named.collect::<Vec<_>>()});
                self.reply(&frame, "ok", response);
                self.confirm_later(&topic, &channel);
                if !channel.wishes.is_empty() {
                    self.subscribe_later(&topic, &channel.join_ref, SUBSCRIBE_AFTER);
                }
                self.channels.insert(topic, channel);
            }
        }
        SocketState::Open
    }

    /// The channel of a join, or the reason of the refusal.
    fn admitted(&self, name: &str, frame: &Frame) -> Result<Channel, String> {
        if name.is_empty() {
            return Err("TopicNameRequired: You must provide a topic name".to_owned());
        }
        if self.channels.len() >= self.front.realtime.limits.channels_per_socket {
            return Err("ChannelRateLimitReached: Too many channels".to_owned());
        }
        let text = |name: &str| frame.payload.get(name).and_then(Value::as_str);
        let brought = text("user_token").or_else(|| text("access_token"));
        let token = match brought {
            Some(token) if !token.starts_with("sb_") => token.to_owned(),
            _ => self.token.clone(),
        };
        let claims = self.claims(&token).map_err(|refusal| refusal.as_reason())?;
        let config = frame.payload.get("config").cloned().unwrap_or_default();
        if config.get("private").and_then(Value::as_bool).unwrap_or_default() {
            return Err(format!(
                "Unauthorized: You do not have permissions to read from this Channel topic: {name}"
            ));
        }
        let wishes = config.get("postgres_changes").and_then(Value::as_array);
        let wishes = wishes.into_iter().flatten().filter(|params| params.is_object()).cloned();
        Ok(Channel {
            join_ref: frame.join_ref.clone(),
            token,
            claims,
            wishes: wishes.collect(),
            subscriptions: Vec::new(),
        })
    }

    fn claims(&self, token: &str) -> Result<Value, TokenRefusal> {
        let stated = stated_claims(token).ok_or(TokenRefusal::Malformed)?;
        let expires = stated.get("exp").and_then(Value::as_u64);
        let has_role = stated.get("role").is_some_and(Value::is_string);
        match expires {
            Some(at) if at <= clock::now_s() => Err(TokenRefusal::Expired(clock::now_s() - at)),
            _ => match self.front.signer.claims(token) {
                None => Err(TokenRefusal::Forged),
                Some(_) if expires.is_none() || !has_role => Err(TokenRefusal::ClaimsMissing),
                Some(claims) => Ok(Value::Object(claims)),
            },
        }
    }

    /// Accepts a fresh token of a signed-in user. A key or the present token changes nothing.
    async fn take_token(&mut self, frame: &Frame) {
        let Some(token) = frame.payload.get("access_token").and_then(Value::as_str) else { return };
        let known = self.channels.get(&frame.topic).map(|channel| channel.token.as_str());
        if token.starts_with("sb_") || known == Some(token) {
            return;
        }
        match self.claims(token) {
            Err(refusal) => self.shut_down(&frame.topic, &refusal.message()).await,
            Ok(claims) => {
                let Some(channel) = self.channels.get_mut(&frame.topic) else { return };
                token.clone_into(&mut channel.token);
                channel.claims = claims;
                let (join_ref, has_wishes) = (channel.join_ref.clone(), !channel.wishes.is_empty());
                if has_wishes {
                    self.subscribe_later(&frame.topic, &join_ref, SUBSCRIBE_AFTER);
                }
            }
        }
    }

    async fn happen(&mut self, event: SocketEvent) {
        match event {
            SocketEvent::Change { topic, payload } => {
                if self.channels.contains_key(&topic) {
                    let change = Frame::push(&Value::Null, &topic, "postgres_changes", payload);
                    self.out.push(change);
                }
            }
            SocketEvent::Lost { topic, join_ref } => {
                self.subscribe_later(&topic, &join_ref, SUBSCRIBE_AFTER);
            }
            SocketEvent::Subscribe { topic, join_ref } if self.is_joined(&topic, &join_ref) => {
                self.subscribe(&topic).await;
            }
            SocketEvent::ConfirmToken { topic, join_ref } if self.is_joined(&topic, &join_ref) => {
                self.confirm(&topic).await;
            }
            SocketEvent::Subscribe { .. } | SocketEvent::ConfirmToken { .. } => {}
        }
    }

    fn is_joined(&self, topic: &str, join_ref: &Value) -> bool {
        self.channels.get(topic).is_some_and(|channel| channel.join_ref == *join_ref)
    }

    async fn subscribe(&mut self, topic: &str) {
        let Some(channel) = self.channels.get_mut(topic) else { return };
        let name = topic.trim_start_matches("realtime:").to_owned();
        let role = channel.claims.get("role").and_then(Value::as_str).unwrap_or_default();
        let wanted: Result<Vec<Subscription>, String> = channel
            .wishes
            .iter()
            .map(|params| {
                Ok(Subscription {
                    wish_id: wish_id(params),
                    wanted: ChangeWish::parse(params)?,
                    role: role.to_owned(),
                    claims: channel.claims.clone(),
                    topic: topic.to_owned(),
                    join_ref: channel.join_ref.clone(),
                    events: self.events.clone(),
                })
            })
            .collect();
        let hub = Arc::clone(&self.front.realtime.hub);
        let subscribed = match wanted {
            Ok(wanted) => hub.subscribe(wanted, &channel.subscriptions).await,
            Err(reason) => Err(SubscribeError::Refused(reason)),
        };
        let (status, message, is_retried) = match subscribed {
            Ok(keys) => {
                channel.subscriptions = keys;
                ("ok", "Subscribed to PostgreSQL".to_owned(), false)
            }
            Err(SubscribeError::Refused(message)) => ("error", message, false),
            Err(SubscribeError::Failed(message)) => ("error", message, true),
        };
        let join_ref = channel.join_ref.clone();
        let payload = json!({
            "extension": "postgres_changes",
            "status": status,
            "message": message,
            "channel": name,
        });
        self.out.push(Frame::push(&join_ref, topic, "system", payload));
        if is_retried {
            self.subscribe_later(topic, &join_ref, RETRY_AFTER);
        }
    }

    async fn confirm(&mut self, topic: &str) {
        let Some(channel) = self.channels.get(topic) else { return };
        match self.claims(&channel.token) {
            Ok(_) => self.confirm_later(topic, channel),
            Err(refusal) => self.shut_down(topic, &refusal.message()).await,
        }
    }

    /// Checks the token when it expires, or earlier.
    fn confirm_later(&self, topic: &str, channel: &Channel) {
        let expires = channel.claims.get("exp").and_then(Value::as_u64).unwrap_or_default();
        let wait_s = expires.saturating_sub(clock::now_s()).min(CONFIRM_AFTER_S);
        let (topic, join_ref) = (topic.to_owned(), channel.join_ref.clone());
        let event = SocketEvent::ConfirmToken { topic, join_ref };
        self.later(event, Duration::from_secs(wait_s));
    }

    fn subscribe_later(&self, topic: &str, join_ref: &Value, wait: Duration) {
        let (topic, join_ref) = (topic.to_owned(), join_ref.clone());
        self.later(SocketEvent::Subscribe { topic, join_ref }, wait);
    }

    fn later(&self, event: SocketEvent, wait: Duration) {
        let events = self.events.clone();
        tokio::spawn(async move {
            tokio::time::sleep(wait).await;
            // The socket may have closed meanwhile.
            let _ = events.send(event);
        });
    }

    /// Closes a channel with a reason; the socket stays open.
    async fn shut_down(&mut self, topic: &str, message: &str) {
        let Some(channel) = self.channels.get(topic) else { return };
        let payload = json!({
            "extension": "system",
            "status": "error",
            "message": message,
            "channel": topic.trim_start_matches("realtime:"),
        });
        self.out.push(Frame::push(&channel.join_ref, topic, "system", payload));
        self.close(topic).await;
    }

    async fn close(&mut self, topic: &str) {
        let Some(channel) = self.channels.remove(topic) else { return };
        self.front.realtime.hub.unsubscribe(&channel.subscriptions).await;
        self.out.push(Frame::close(&channel.join_ref, topic));
    }
}

/// Why a token is not valid.
enum TokenRefusal {
    Malformed,
    Expired(u64),
    Forged,
    ClaimsMissing,
}

impl TokenRefusal {
    fn message(&self) -> String {
        match self {
            Self::Malformed => "The token provided is not a valid JWT".to_owned(),
            Self::Expired(seconds) => format!("Token has expired {seconds} seconds ago"),
            Self::Forged => "Failed to validate JWT signature".to_owned(),
            Self::ClaimsMissing => "Fields `role` and `exp` are required in JWT".to_owned(),
        }
    }

    /// The reason in the words of a refused join.
    fn as_reason(&self) -> String {
        let code = match self {
            Self::Malformed => "MalformedJWT",
            Self::Forged => "JwtSignatureError",
            Self::Expired(_) | Self::ClaimsMissing => "InvalidJWTToken",
        };
        format!("{code}: {}", self.message())
    }
}

/// The claims in a token, whoever signed it.
fn stated_claims(token: &str) -> Option<Map<String, Value>> {
    let bytes = URL_SAFE_NO_PAD.decode(token.split('.').nth(1)?).ok()?;
    serde_json::from_slice(&bytes).ok()
}
