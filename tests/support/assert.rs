//! An assertion about some fields of a JSON object.

use serde_json::Value;

/// What differs between an object and the fields it must have, one line a field.
pub fn differences(found: &Value, wanted: &Value) -> Vec<String> {
    let fields = wanted.as_object().expect("fields are an object");
    let different = |(name, wanted): (&String, &Value)| {
        let found = &found[name];
        (found != wanted).then(|| format!("  {name}: {found}, not {wanted}"))
    };
    fields.iter().filter_map(different).collect()
}

/// Asserts that a JSON object has these fields with these values; a field that is missing is null.
/// Failing, it prints each field that differs and the whole object.
#[macro_export]
macro_rules! assert_has {
    ($found:expr, { $($fields:tt)+ } $(, $($context:tt)+)?) => {{
        let found: &::serde_json::Value = &$found;
        let differences =
            $crate::assert::differences(found, &::serde_json::json!({ $($fields)+ }));
        assert!(
            differences.is_empty(),
            "{}\n{}\nin {found:#}",
            [::std::string::String::new() $(, format!($($context)+))?].concat(),
            differences.join("\n")
        );
    }};
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn only_fields_with_another_value_are_different() {
        let found = json!({ "a": 1, "b": [2], "c": null });
        assert!(differences(&found, &json!({ "a": 1, "c": null, "missing": null })).is_empty());
        let lines = differences(&found, &json!({ "a": 1, "b": [3], "d": 4 }));
        assert_eq!(lines, ["  b: [2], not [3]", "  d: null, not 4"]);
    }
}
