//! The `row!` declaration: which columns the types of a file are read from; and `words!`.
//!
//! `row! { ClaimedStep { attempt as .., tool, job as "job_id", waits as ? } }` reads the columns of
//! another row into `attempt`, the column `tool` into the field of that name, `job` from the column
//! `job_id`, and `waits` from a column that may be missing: then it has its default. A missing
//! column of JSON (`Value`) reads as null. Code that `serde` derives could read a list and buffers
//! what is flattened; it was a tenth of each wasm file.

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

/// A type that is read from the columns of a row.
pub(super) trait Row: Sized {
    /// Takes its own columns out of the map.
    fn take_from(columns: &mut Map<String, Value>) -> serde_json::Result<Self>;
}

macro_rules! row {
    ($($name:ident { $($field:ident $(as $column:tt)?),* $(,)? })*) => {
        $(
            impl $crate::db::row::Row for $name {
                fn take_from(
                    columns: &mut serde_json::Map<String, serde_json::Value>,
                ) -> serde_json::Result<Self> {
                    Ok(Self { $($field: row!(@take columns $field $($column)?)?),* })
                }
            }

            impl<'de> serde::Deserialize<'de> for $name {
                fn deserialize<D: serde::Deserializer<'de>>(row: D) -> Result<Self, D::Error> {
                    let mut columns = serde_json::Map::deserialize(row)?;
                    $crate::db::row::Row::take_from(&mut columns).map_err(serde::de::Error::custom)
                }
            }
        )*
    };
    (@take $columns:ident $field:ident) => { $crate::db::row::take($columns, stringify!($field)) };
    (@take $columns:ident $field:ident ..) => { $crate::db::row::Row::take_from($columns) };
    (@take $columns:ident $field:ident ?) => {
        $crate::db::row::take::<Option<_>>($columns, stringify!($field))
            .map(Option::unwrap_or_default)
    };
    (@take $columns:ident $field:ident $column:literal) => {
        $crate::db::row::take($columns, $column)
    };
}

/// Declares the words with which the database names the variants of these types.
macro_rules! words {
    ($($name:ident { $($variant:ident $word:literal),* $(,)? })*) => {
        $(
            impl<'de> serde::Deserialize<'de> for $name {
                fn deserialize<D: serde::Deserializer<'de>>(word: D) -> Result<Self, D::Error> {
                    match String::deserialize(word)?.as_str() {
                        $($word => Ok(Self::$variant),)*
                        _ => Err(serde::de::Error::custom("an unknown word")),
                    }
                }
            }
        )*
    };
}

/// Takes one column; a missing column reads as null. An error names the column.
#[inline(never)]
pub(super) fn take<T: DeserializeOwned>(
    columns: &mut Map<String, Value>,
    name: &str,
) -> serde_json::Result<T> {
    serde_json::from_value(columns.remove(name).unwrap_or_default())
        .map_err(|error| serde::de::Error::custom(format_args!("{name}: {error}")))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    #[derive(Debug, PartialEq)]
    struct InnerRow {
        number: i64,
    }

    #[derive(Debug, PartialEq)]
    struct OuterRow {
        inner: InnerRow,
        name: String,
        note: Option<String>,
        flag: bool,
    }

    row! {
        InnerRow { number }
        OuterRow { inner as .., name as "p_name", note, flag as ? }
    }

    #[test]
    fn a_row_is_read_from_its_columns() {
        let row = json!({"number": 7, "p_name": "x", "more": [1]});
        let read: OuterRow = serde_json::from_value(row).unwrap();
        let inner = InnerRow { number: 7 };
        assert_eq!(read, OuterRow { inner, name: "x".to_owned(), note: None, flag: false });
    }

    #[test]
    fn an_error_names_the_column() {
        for row in [json!({"p_name": "x"}), json!({"number": "7", "p_name": "x"})] {
            let error = serde_json::from_value::<OuterRow>(row).unwrap_err();
            assert!(error.to_string().contains("number"), "{error}");
        }
        assert!(serde_json::from_value::<OuterRow>(json!([])).is_err());
    }
}
