//! Parses the text of a request body and deserialises it into a handler's input.
//!
//! Both functions read every field once, so that a hostile body costs no more than its length.

use std::cell::Cell;
use std::fmt;

use serde::de::value::MapDeserializer;
use serde::de::{
    DeserializeOwned, DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor,
};
use serde_json::error::Category;
use serde_json::{Map, Value};

use crate::core::error::ApiError;

/// The largest number of fields of one object, at any depth. Unknown fields are ignored, but
/// reading each of them costs time.
pub const FIELDS_MAX: usize = 100;

/// Up to 2^53, a number with a fraction part is exact.
const WHOLE_MAX: f64 = 9_007_199_254_740_992.0;

/// Parses a JSON object; blank text counts as an empty one. Answers 400 if the text is anything
/// else, an object has more than [`FIELDS_MAX`] fields, or a text holds a NUL character.
pub fn parse(text: &str) -> Result<Value, ApiError> {
    if text.trim().is_empty() {
        return Ok(Value::Object(Map::new()));
    }
    let refused = Cell::new(None);
    let mut json = serde_json::Deserializer::from_str(text);
    let value = Bounded { refused: &refused }
        .deserialize(&mut json)
        .and_then(|value| json.end().map(|()| value));
    match value {
        Ok(value @ Value::Object(_)) => Ok(value),
        Ok(_) => Err(ApiError::bad_request("The body must be a JSON object")),
        Err(error) if error.classify() == Category::Data => {
            Err(ApiError::bad_request(refused.get().unwrap_or("The body is not JSON")))
        }
        Err(_) => Err(ApiError::bad_request("The body is not JSON")),
    }
}

/// Builds a JSON value and stops at the first thing that no body may hold.
#[derive(Clone, Copy)]
struct Bounded<'r> {
    /// The reason for stopping, as a message for the caller.
    refused: &'r Cell<Option<&'static str>>,
}

impl Bounded<'_> {
    fn refuse<E: Error>(self, why: &'static str) -> E {
        self.refused.set(Some(why));
        E::custom(why)
    }

    fn text<E: Error>(self, text: String) -> Result<String, E> {
        if text.contains('\0') {
            Err(self.refuse("The body contains a NUL character"))
        } else {
            Ok(text)
        }
    }
}

impl<'de> DeserializeSeed<'de> for Bounded<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Bounded<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E: Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    /// A whole number may be written with a fraction of zeros, as JSON Schema allows.
    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        if value.fract() != 0.0 || value.abs() > WHOLE_MAX {
            return Ok(value.into());
        }
        #[expect(clippy::cast_possible_truncation, reason = "a whole number of less than 2^53")]
        let whole = value as i64;
        Ok(whole.into())
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Value, E> {
        self.text(text.to_owned()).map(Value::String)
    }

    fn visit_string<E: Error>(self, text: String) -> Result<Value, E> {
        self.text(text).map(Value::String)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element_seed(self)? {
            list.push(item);
        }
        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let (mut fields, mut seen) = (Map::new(), 0);
        while let Some(name) = entries.next_key::<String>()? {
            // A repeated name counts twice, because it was read twice.
            seen += 1;
            if seen > FIELDS_MAX {
                return Err(self.refuse("The body has an object of more than 100 fields"));
            }
            let name = self.text(name)?;
            fields.insert(name, entries.next_value_seed(self)?);
        }
        Ok(Value::Object(fields))
    }
}

/// The body of an operation that takes no input; unknown fields are ignored.
#[derive(Debug)]
pub struct NoInput;

impl<'de> serde::Deserialize<'de> for NoInput {
    fn deserialize<D: Deserializer<'de>>(_: D) -> Result<Self, D::Error> {
        Ok(Self)
    }
}

/// Adds the query's fields that the body lacks or holds as null, each as text.
pub fn add_query(body: &mut Value, query: impl IntoIterator<Item = (String, String)>) {
    let Some(fields) = body.as_object_mut() else { return };
    for (name, value) in query {
        let given = fields.get(&name).is_some_and(|value| !value.is_null());
        if !given {
            fields.insert(name, Value::String(value));
        }
    }
}

/// Deserialises the body as `T`. Answers 400 naming the field at fault, if it is one.
// If it were inlined, each function would contain it once for each operation.
#[inline(never)]
pub fn typed<T: DeserializeOwned>(body: &Value) -> Result<T, ApiError> {
    let none = Map::new();
    let fields = body.as_object().unwrap_or(&none);
    // The field that is being read, which is at fault if reading stops. `None` after the last
    // field.
    let reading = Cell::new(None);
    let ends = std::iter::from_fn(|| {
        reading.set(None);
        None
    });
    let entries = fields.iter().map(|(name, value)| {
        reading.set(Some(name.as_str()));
        (name.as_str(), value)
    });
    T::deserialize(MapDeserializer::new(entries.chain(ends)))
        .map_err(|error: serde_json::Error| refused(&error, reading.get()))
}

/// The error for a body of the wrong shape. It is not generic, so a function contains it once.
#[inline(never)]
fn refused(error: &serde_json::Error, reading: Option<&str>) -> ApiError {
    let problem = error.to_string();
    let missing = problem.strip_prefix("missing field `").and_then(|rest| rest.split('`').next());
    match (reading, missing) {
        (None, Some(name)) => ApiError::bad_field(name, "is missing"),
        (Some(name), Some(inner)) => {
            ApiError::bad_field(name, &format!("is not valid: `{inner}` is missing in it"))
        }
        (Some(name), None) => {
            ApiError::bad_field(name, &format!("is not valid: {}", in_words(&problem)))
        }
        (None, None) => ApiError::bad_request(in_words(&problem)),
    }
}

/// The expected type, in the words of JSON and not of our types.
fn in_words(problem: &str) -> String {
    if problem.starts_with("duplicate field ") {
        return "it is given twice".to_owned();
    }
    let (found, wanted) = problem.rsplit_once(", expected ").unwrap_or(("", problem));
    let wanted = match wanted {
        "u8" => "a whole number from 0 to 255",
        "u16" | "u32" | "u64" | "usize" => "a whole number that is not negative",
        "i32" | "i64" => "a whole number",
        "f32" | "f64" => "a number",
        "a string" | "a borrowed string" => "a text",
        // serde says this if one of several words is expected.
        "string or map" | "map with a single key" | "unit" => "a text",
        "a boolean" => "true or false",
        "a sequence" => "a list",
        "a map" => "an object",
        other if other.starts_with("struct ") => "an object",
        other => other,
    };
    let wanted: String = wanted.replace('`', "\"").chars().take(160).collect();
    if found.is_empty() { wanted } else { format!("expected {wanted}") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::error::ErrorCode;
    use serde::Deserialize;
    use serde_json::json;

    #[derive(Debug, Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct ImageInput {
        #[expect(dead_code, reason = "only its type matters here")]
        image_url: String,
        #[expect(dead_code, reason = "only its type matters here")]
        resolution: Option<u32>,
    }

    fn field(body: Value) -> String {
        typed::<ImageInput>(&body).unwrap_err().fields["field"].as_str().unwrap().to_owned()
    }

    #[test]
    fn an_error_names_the_field_at_fault() {
        assert_eq!(field(json!({})), "imageUrl");
        assert_eq!(field(json!({"imageUrl": 7})), "imageUrl");
        assert_eq!(field(json!({"imageUrl": "x", "resolution": "big"})), "resolution");
        assert_eq!(field(json!({"imageUrl": "x", "other": 1, "resolution": -1})), "resolution");
        assert!(typed::<ImageInput>(&json!({"imageUrl": "x", "unknown": [1]})).is_ok());
    }

    #[test]
    fn an_error_inside_a_field_names_that_field() {
        #[derive(Debug, Deserialize)]
        struct AlbumInput {
            #[expect(dead_code, reason = "only its type matters here")]
            images: Vec<ImageInput>,
        }
        let refused = typed::<AlbumInput>(&json!({"a": 1, "images": [{"resolution": 1}], "z": 2}))
            .unwrap_err();
        assert_eq!(refused.fields["field"], "images");
        assert!(refused.message.contains("imageUrl"), "{refused}");
    }

    #[test]
    fn an_error_says_in_the_callers_words_what_is_wanted() {
        #[derive(Debug, Deserialize)]
        #[serde(rename_all = "lowercase")]
        enum Version {
            Standard,
            Pro,
        }
        #[derive(Debug, Deserialize)]
        #[expect(dead_code, reason = "only the types matter here")]
        struct EveryKind {
            text: Option<String>,
            whole: Option<u32>,
            number: Option<f64>,
            truth: Option<bool>,
            list: Option<Vec<u8>>,
            object: Option<ImageInput>,
            version: Option<Version>,
            id: Option<crate::core::id::JobId>,
        }
        for (body, wanted) in [
            (json!({"text": 7}), "`text` is not valid: expected a text"),
            (json!({"whole": "big"}), "expected a whole number that is not negative"),
            (json!({"whole": -1}), "expected a whole number that is not negative"),
            (json!({"whole": 1.5}), "expected a whole number that is not negative"),
            (json!({"number": []}), "expected a number"),
            (json!({"truth": "yes"}), "expected true or false"),
            (json!({"list": {}}), "expected a list"),
            (json!({"list": [256]}), "expected a whole number from 0 to 255"),
            (json!({"object": 7}), "expected an object"),
            (json!({"object": {}}), "`object` is not valid: `imageUrl` is missing in it"),
            (json!({"version": "ultra"}), "expected \"standard\" or \"pro\""),
            (json!({"version": {}}), "`version` is not valid: expected a text"),
            (json!({"version": {"pro": 1}}), "`version` is not valid: expected a text"),
            (json!({"id": "x"}), "`id` is not valid: not a UUID"),
        ] {
            let refused = typed::<EveryKind>(&body).unwrap_err();
            assert!(refused.message.contains(wanted), "{body}: {}", refused.message);
        }
    }

    /// Returns `{"f0":1,"f1":1,…` with `count` fields, followed by `end`.
    fn fields(count: usize, end: &str) -> String {
        let fields: Vec<String> = (0..count).map(|number| format!("\"f{number}\":1")).collect();
        format!("{{{}{end}", fields.join(","))
    }

    #[test]
    fn an_object_has_at_most_a_hundred_fields_at_any_depth() {
        assert!(parse(&fields(100, "}")).is_ok());
        let nested = format!("{{\"a\":[{{\"b\":{}}}]}}", fields(101, "}"));
        let twice = format!("{{{}\"a\":1}}", "\"a\":1,".repeat(100));
        for body in [fields(101, "}"), fields(26_000, "}"), nested, twice] {
            let refused = parse(&body).unwrap_err();
            assert_eq!(refused.code, ErrorCode::BadRequest);
            assert!(refused.message.contains("100 fields"), "{refused}");
        }
        // The parser stops at the field over the limit.
        assert!(
            parse(&fields(101, " and this is no JSON")).unwrap_err().message.contains("100 fields")
        );
        assert!(
            parse(&fields(100, " and this is no JSON")).unwrap_err().message.contains("not JSON")
        );
        let both = format!("{{\"a\":[{}{}]}}", fields(99, "},"), fields(99, "}"));
        assert!(parse(&both).is_ok(), "the limit holds for each object");
    }

    #[test]
    fn a_whole_number_may_be_written_with_a_fraction_of_zeros() {
        let read = |number: &str| parse(&format!("{{\"n\":{number}}}")).unwrap()["n"].clone();
        for (written, whole) in [("2048.0", 2_048), ("-3.00", -3), ("1e3", 1_000), ("-0.0", 0)] {
            assert_eq!(read(written), json!(whole), "{written}");
        }
        assert_eq!(read("2048.5"), json!(2_048.5));
        let image = json!({"imageUrl": "x", "resolution": read("2048.0")});
        assert!(typed::<ImageInput>(&image).is_ok());
    }

    #[test]
    fn parse_agrees_with_serde_json() {
        let text = r#"{"a":[1,-2,0.5,1e300,18446744073709551615,true,null],"b":{"c":{}},
            "d":"ä\u0061\ud83d\ude00"}"#;
        assert_eq!(parse(text).unwrap(), serde_json::from_str::<Value>(text).unwrap());
        for bad in ["{\"a\":1}x", "{\"a\":1}{}", "{\"a\":1e999}", "{\"a\":\"\\ud800\"}"] {
            assert!(parse(bad).unwrap_err().message.contains("not JSON"), "{bad}");
        }
    }

    #[test]
    fn every_field_is_read_once() {
        thread_local! { static READS: Cell<usize> = const { Cell::new(0) } }
        #[derive(Debug)]
        struct CountedField;
        impl<'de> Deserialize<'de> for CountedField {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                READS.set(READS.get() + 1);
                u32::deserialize(deserializer).map(|_| Self)
            }
        }
        type All = std::collections::BTreeMap<String, CountedField>;
        let mut body = parse(&fields(FIELDS_MAX, "}")).unwrap();
        assert_eq!(
            (typed::<All>(&body).unwrap().len(), READS.replace(0)),
            (FIELDS_MAX, FIELDS_MAX)
        );
        body["f99"] = json!("not a number");
        assert_eq!(typed::<All>(&body).unwrap_err().fields["field"], "f99");
        assert_eq!(READS.get(), FIELDS_MAX);
    }

    #[test]
    fn only_objects_without_nul_are_bodies() {
        assert_eq!(parse("").unwrap(), json!({}));
        assert_eq!(parse(" \n").unwrap(), json!({}));
        assert_eq!(parse("{\"a\":1}").unwrap(), json!({"a": 1}));
        for bad in
            ["[]", "7", "null", "{", "\"x\"", "{\"a\":\"\\u0000\"}", "{\"a\":[{\"b\\u0000\":1}]}"]
        {
            assert_eq!(parse(bad).unwrap_err().code, ErrorCode::BadRequest, "{bad}");
        }
        assert!(parse("{\"a\":\"\\\\u0000\"}").is_ok(), "a backslash and digits are no NUL");
    }
}
