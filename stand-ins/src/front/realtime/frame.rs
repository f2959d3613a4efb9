//! The messages of a socket in both forms of Phoenix's channels: an object (version 1.0.0) and a
//! list (2.0.0).
//!
//! Source: supabase/realtime, lib/realtime_web/socket/v2_serializer.ex, and Phoenix's
//! `Phoenix.Socket.V1.JSONSerializer`.

use serde_json::{Value, json};

/// The version that the client named when it connected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FrameVersion {
    Objects,
    Lists,
}

impl FrameVersion {
    /// A client that names no version has the first one.
    pub(super) fn of(vsn: Option<&str>) -> Option<Self> {
        match vsn {
            None | Some("1.0.0") => Some(Self::Objects),
            Some("2.0.0") => Some(Self::Lists),
            Some(_) => None,
        }
    }
}

/// One message of either direction.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Frame {
    /// The join of the topic to which the message belongs; null if it belongs to none.
    pub(super) join_ref: Value,
    /// The message that this one answers, or the name by which its answer will refer to it.
    pub(super) message_ref: Value,
    pub(super) topic: String,
    pub(super) event: String,
    pub(super) payload: Value,
}

impl Frame {
    pub(super) fn parse(text: &str, version: FrameVersion) -> Option<Self> {
        let mut value: Value = serde_json::from_str(text).ok()?;
        let [join_ref, message_ref, topic, event, payload] = match version {
            FrameVersion::Lists => {
                let list = value.as_array_mut()?;
                <[Value; 5]>::try_from(std::mem::take(list)).ok()?
            }
            FrameVersion::Objects => {
                let object = value.as_object_mut()?;
                ["join_ref", "ref", "topic", "event", "payload"]
                    .map(|name| object.remove(name).unwrap_or_default())
            }
        };
        let text = |value: Value| value.as_str().map(str::to_owned);
        Some(Self { join_ref, message_ref, topic: text(topic)?, event: text(event)?, payload })
    }

    pub(super) fn push(join_ref: &Value, topic: &str, event: &str, payload: Value) -> Self {
        Self {
            join_ref: join_ref.clone(),
            message_ref: Value::Null,
            topic: topic.to_owned(),
            event: event.to_owned(),
            payload,
        }
    }

    /// The answer to this message.
    pub(super) fn reply(&self, status: &str, response: Value) -> Self {
        Self {
            event: "phx_reply".to_owned(),
            payload: json!({"status": status, "response": response}),
            ..self.clone()
        }
    }

    /// The message that tells a client that the server has closed a channel.
    pub(super) fn close(join_ref: &Value, topic: &str) -> Self {
        let message_ref = join_ref.clone();
        Self { message_ref, ..Self::push(join_ref, topic, "phx_close", json!({})) }
    }

    pub(super) fn text(&self, version: FrameVersion) -> String {
        let Self { join_ref, message_ref, topic, event, payload } = self;
        match version {
            FrameVersion::Lists => json!([join_ref, message_ref, topic, event, payload]),
            FrameVersion::Objects => {
                json!({"topic": topic, "event": event, "payload": payload, "ref": message_ref})
            }
        }
        .to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_say_the_same() {
        let list = Frame::parse(r#"["1","2","t","e",{"a":1}]"#, FrameVersion::Lists).unwrap();
        let object = r#"{"join_ref":"1","ref":"2","topic":"t","event":"e","payload":{"a":1}}"#;
        assert_eq!(Frame::parse(object, FrameVersion::Objects), Some(list.clone()));
        let reply = list.reply("ok", json!({}));
        assert_eq!(
            reply.text(FrameVersion::Lists),
            r#"["1","2","t","phx_reply",{"response":{},"status":"ok"}]"#
        );
        assert_eq!(
            serde_json::from_str::<Value>(&reply.text(FrameVersion::Objects)).unwrap(),
            json!({"topic": "t", "event": "phx_reply", "ref": "2",
                "payload": {"status": "ok", "response": {}}})
        );
        for broken in ["", "[]", r#"["1","2",3,"e",{}]"#, "{}"] {
            assert_eq!(Frame::parse(broken, FrameVersion::Lists), None, "{broken}");
        }
    }
}
