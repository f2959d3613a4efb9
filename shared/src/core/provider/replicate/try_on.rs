//! Virtual try-on: the model version for each category of garment (`REPLICATE_VERSIONS`), and the
//! requests of a try-on's steps.
//!
//! The setting is JSON: `{"<category>": "<version>"}`, where the key `default` stands for every
//! other category. A version is `owner/name:<id>`, the bare id, or an official model's
//! `owner/name`. Without the setting, IDM-VTON is used for all categories.

use serde_json::{Value, json};

/// IDM-VTON. Every configured version must take inputs with the same names.
pub const DEFAULT_VERSION: &str =
    "cuuupid/idm-vton:0513734a452173b8173e907e3a59d19a36266e55b48528559432bd21c7d7e985";

/// The categories that IDM-VTON knows.
pub const CATEGORIES: [&str; 3] = ["upper_body", "lower_body", "dresses"];

/// One garment of an order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Garment<'a> {
    pub image_url: &'a str,
    pub category: &'a str,
    pub description: &'a str,
}

/// The version for a category. `None`: the setting has an invalid version.
pub fn version_of<'a>(versions: Option<&'a Value>, category: &str) -> Option<&'a str> {
    let named =
        versions.and_then(|versions| versions.get(category).or_else(|| versions.get("default")));
    match named {
        None => Some(DEFAULT_VERSION),
        Some(version) => version.as_str().map(str::trim).filter(|version| !version.is_empty()),
    }
}

/// The complete request of each step, except for its webhook: the first step puts a garment on the
/// person, each later step on the result of the previous one.
pub fn stored_requests(
    versions: Option<&Value>,
    person_url: &str,
    garments: &[Garment<'_>],
) -> Option<Vec<Value>> {
    let request = |(number, garment): (usize, &Garment<'_>)| {
        let version = version_of(versions, garment.category)?;
        let mut input = json!({
            "garm_img": garment.image_url,
            "category": garment.category,
            "garment_des": garment.description,
        });
        if number == 0 {
            input.as_object_mut()?.insert("human_img".to_owned(), person_url.into());
            return Some(json!({"version": version, "input": input}));
        }
        Some(json!({"version": version, "input": input, "previous_output_as": "human_img"}))
    };
    garments.iter().enumerate().map(request).collect()
}

#[cfg(test)]
mod tests {
    use super::{CATEGORIES, DEFAULT_VERSION, Garment, stored_requests, version_of};
    use serde_json::{Value, json};

    #[test]
    fn the_setting_names_versions_by_category() {
        for category in CATEGORIES {
            assert_eq!(version_of(None, category), Some(DEFAULT_VERSION));
        }
        let versions = json!({"upper_body": "a/b:1", "default": "c/d"});
        assert_eq!(version_of(Some(&versions), "upper_body"), Some("a/b:1"));
        assert_eq!(version_of(Some(&versions), "dresses"), Some("c/d"));
        assert_eq!(version_of(Some(&json!({"dresses": "e"})), "lower_body"), Some(DEFAULT_VERSION));
        for odd in [json!({"dresses": 7}), json!({"dresses": " "}), json!({"default": null})] {
            assert_eq!(version_of(Some(&odd), "dresses"), None, "{odd}");
        }
    }

    #[test]
    fn only_the_first_step_has_the_person() {
        let garment =
            |category| Garment { image_url: "https://x/g.png", category, description: "d" };
        let steps =
            stored_requests(None, "https://x/p.png", &[garment("upper_body"), garment("dresses")])
                .unwrap();
        assert_eq!(steps.len(), 2);
        assert_eq!(steps[0]["input"]["human_img"], "https://x/p.png");
        assert_eq!(steps[0]["previous_output_as"], Value::Null);
        assert_eq!(steps[1]["input"]["human_img"], Value::Null);
        assert_eq!(steps[1]["previous_output_as"], "human_img");
        assert_eq!(steps[1]["input"]["category"], "dresses");
    }
}
