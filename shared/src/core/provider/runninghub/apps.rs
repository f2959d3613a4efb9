//! The parts that all RunningHub tools share: which app runs a tool, and which of its nodes takes
//! which input.
//!
//! The setting `RUNNINGHUB_APPS` is JSON: `{"<tool>": {"<variant>": <app>}}`, where `<app>` is the
//! app's id as text (its nodes are then the tool's documented ones), or
//! `{"webappId": "…", "nodes": {"<field>": ["<nodeId>", "<fieldName>"] or null}}`, where `null`
//! means that the app has no node for that field of the tool's request. Such an app may also name
//! the node that writes its result (`"result": "<nodeId>"`), and take the first of several files
//! (`"pick": "first"`) in place of the last.

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::core::error::ApiError;
use crate::core::measure::Measured;
use crate::core::media::{MediaKind, Pick, ResultChoice};

/// The variant of a tool that has only one.
pub const STANDARD: &str = "standard";

/// The request of one tool: its limits, and the fields for its app. Two requests are equal if their
/// JSON is; the job keeps that JSON.
pub trait ToolInput: DeserializeOwned + Serialize {
    const TOOL: &'static str;
    /// The kind of file that is sold.
    const RESULT: MediaKind = MediaKind::Image;

    /// Fills in defaults, and refuses a value beyond a limit with an error that names the field.
    fn checked(self) -> Result<Self, ApiError> {
        Ok(self)
    }

    /// The variant of the tool whose app runs this request.
    fn variant(&self) -> &'static str {
        STANDARD
    }

    /// The sizes of the files as the page reports them. They price a quote before the upload, never
    /// an order.
    fn measured_by_page(&self) -> Measured {
        Measured::default()
    }

    fn fields(&self) -> Vec<Field>;
}

/// `(nodeId, fieldName)`
pub type AppNode = (&'static str, &'static str);

/// A field of a request, and the node that takes it, unless the setting names another one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Field {
    pub name: &'static str,
    /// The value as text, because RunningHub takes every value as text.
    pub value: String,
    /// `None`: the value is sent only if the setting names a node.
    pub node: Option<AppNode>,
    /// Whether the value is the URL of a file that the provider downloads.
    pub is_file: bool,
}

impl Field {
    pub fn file(name: &'static str, url: &str, node: AppNode) -> Self {
        Self { name, value: url.to_owned(), node: Some(node), is_file: true }
    }

    pub fn value(name: &'static str, value: impl ToString, node: Option<AppNode>) -> Self {
        Self { name, value: value.to_string(), node, is_file: false }
    }
}

/// The complete provider request of one step, except for webhook URL and key, as its row stores it.
/// `None`: the setting names no app for this tool and variant.
pub fn stored_request(
    apps: &Value,
    tool: &str,
    variant: &str,
    fields: &[Field],
    kind: MediaKind,
) -> Option<Value> {
    let app = apps.get(tool)?.get(variant)?;
    let id = app.get("webappId").unwrap_or(app);
    let id = super::super::task_id(id)?;
    let nodes: Vec<_> = fields
        .iter()
        .filter_map(|field| {
            let (node, name) = node_of(app, field)?;
            Some(json!({"nodeId": node, "fieldName": name, "fieldValue": field.value}))
        })
        .collect();
    let result = ResultChoice {
        kind: Some(kind),
        node: app.get("result").and_then(super::super::task_id),
        pick: match app.get("pick").and_then(Value::as_str) {
            Some("first") => Pick::First,
            _ => Pick::Last,
        },
    };
    Some(json!({
        "result": result,
        "path": format!("/openapi/v2/run/ai-app/{id}"),
        "body": {"nodeInfoList": nodes, "instanceType": "default", "usePersonalQueue": "false"},
    }))
}

fn node_of<'a>(app: &'a Value, field: &Field) -> Option<(&'a str, &'a str)> {
    match app.get("nodes").and_then(|nodes| nodes.get(field.name)) {
        Some(named) => Some((named.get(0)?.as_str()?, named.get(1)?.as_str()?)),
        None => field.node,
    }
}

#[cfg(test)]
mod tests {
    use super::{Field, stored_request};
    use crate::core::media::MediaKind;
    use serde_json::json;

    fn fields() -> Vec<Field> {
        vec![
            Field::file("imageUrl", "https://x/a.png", ("1", "image")),
            Field::value("prompt", "sharp", Some(("4", "text"))),
            Field::value("category", "people", None),
        ]
    }

    #[test]
    fn a_bare_id_uses_the_documented_nodes() {
        let apps = json!({"t": {"standard": "1990123456789012345"}});
        let request = stored_request(&apps, "t", "standard", &fields(), MediaKind::Image).unwrap();
        assert_eq!(request["path"], "/openapi/v2/run/ai-app/1990123456789012345");
        assert_eq!(
            request["body"]["nodeInfoList"],
            json!([
                {"nodeId": "1", "fieldName": "image", "fieldValue": "https://x/a.png"},
                {"nodeId": "4", "fieldName": "text", "fieldValue": "sharp"},
            ])
        );
    }

    #[test]
    fn the_setting_replaces_adds_and_removes_nodes() {
        let apps = json!({"t": {"pro": {"webappId": 1_990_123_456_789_012_345_u64,
            "nodes": {"imageUrl": ["27", "image"], "prompt": null, "category": ["9", "select"]}}}});
        let request = stored_request(&apps, "t", "pro", &fields(), MediaKind::Video).unwrap();
        assert_eq!(request["path"], "/openapi/v2/run/ai-app/1990123456789012345");
        assert_eq!(
            request["body"]["nodeInfoList"],
            json!([
                {"nodeId": "27", "fieldName": "image", "fieldValue": "https://x/a.png"},
                {"nodeId": "9", "fieldName": "select", "fieldValue": "people"},
            ])
        );
    }

    #[test]
    fn the_request_says_which_file_is_the_result() {
        let apps = json!({"t": {"standard": "1", "pro": {"webappId": "2", "result": 31,
            "pick": "first"}}});
        let result = |variant: &str| {
            stored_request(&apps, "t", variant, &[], MediaKind::Video).unwrap()["result"].clone()
        };
        assert_eq!(result("standard"), json!({"kind": "video", "pick": "last"}));
        assert_eq!(result("pro"), json!({"kind": "video", "node": "31", "pick": "first"}));
    }

    #[test]
    fn a_tool_without_an_app_has_no_request() {
        let none =
            [json!(null), json!({}), json!([]), json!({"t": {}}), json!({"t": {"standard": ""}})];
        for apps in none.into_iter().chain([json!({"t": {"standard": "../x"}})]) {
            assert_eq!(
                stored_request(&apps, "t", "standard", &[], MediaKind::Image),
                None,
                "{apps}"
            );
        }
    }
}
