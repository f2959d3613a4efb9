//! Which RunningHub app runs a tool and which of its nodes takes which input: `RUNNINGHUB_APPS`.
//!
//! The setting is JSON: `{"<tool>": {"<variant>": <app>}}`, where `<app>` is the app's id as text
//! (its nodes are then the tool's documented ones), or
//! `{"webappId": "…", "nodes": {"<input>": ["<nodeId>", "<fieldName>"] or null}}`, where `null`
//! says that the app has no node for that input.

use serde_json::{Value, json};

/// An input of a tool, and the node that takes it where the setting names no other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Field {
    pub name: &'static str,
    /// RunningHub takes every value as text.
    pub value: String,
    /// `(nodeId, fieldName)`; `None` sends the input only where the setting names a node.
    pub node: Option<(&'static str, &'static str)>,
}

/// The complete provider request of one step but for webhook URL and key, as its row stores it.
/// `None`: the setting names no app for this tool and variant.
pub fn stored_request(apps: &Value, tool: &str, variant: &str, fields: &[Field]) -> Option<Value> {
    let app = apps.get(tool)?.get(variant)?;
    let id = app.get("webappId").unwrap_or(app);
    let id = super::id_text(id)?;
    let nodes: Vec<_> = fields
        .iter()
        .filter_map(|field| {
            let (node, name) = node_of(app, field)?;
            Some(json!({"nodeId": node, "fieldName": name, "fieldValue": field.value}))
        })
        .collect();
    Some(json!({
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
    use serde_json::json;

    fn fields() -> Vec<Field> {
        vec![
            Field { name: "image", value: "https://x/a.png".into(), node: Some(("1", "image")) },
            Field { name: "prompt", value: "sharp".into(), node: Some(("4", "text")) },
            Field { name: "category", value: "people".into(), node: None },
        ]
    }

    #[test]
    fn a_bare_id_uses_the_documented_nodes() {
        let apps = json!({"t": {"standard": "1990123456789012345"}});
        let request = stored_request(&apps, "t", "standard", &fields()).unwrap();
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
    fn named_nodes_replace_add_and_remove() {
        let apps = json!({"t": {"pro": {"webappId": 1_990_123_456_789_012_345_u64,
            "nodes": {"image": ["27", "image"], "prompt": null, "category": ["9", "select"]}}}});
        let request = stored_request(&apps, "t", "pro", &fields()).unwrap();
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
    fn an_app_that_is_not_named_is_none() {
        let none = [json!(null), json!({}), json!([]), json!({"t": {}}), json!({"t": {"standard": ""}})];
        for apps in none.into_iter().chain([json!({"t": {"standard": "../x"}})]) {
            assert_eq!(stored_request(&apps, "t", "standard", &[]), None, "{apps}");
        }
    }
}
