//! A subscriber of `supabase_realtime`: it reads the publication's stream from a logical slot, as
//! Realtime does, and keeps the last state of each row that the stream sent.
//!
//! The messages are those of the plugin `pgoutput`, version 1 (PostgreSQL's documentation, "Logical
//! Replication Message Formats").

use std::collections::{BTreeMap, HashMap};

use serde_json::{Map, Value, json};

use crate::session::Session;

const NAME: &str = "supabase_realtime";

/// A change that the publication sends: a row of a table after the change, with each value as
/// Postgres prints it.
#[derive(Clone, Debug, PartialEq)]
pub struct PublishedChange {
    /// `INSERT`, `UPDATE` or `DELETE`.
    pub kind: &'static str,
    /// The table with its schema, such as `public.upscaler_jobs`.
    pub table: String,
    pub row: Value,
}

pub struct Subscriber {
    slot: String,
    /// The last state of every row, by table and id.
    rows: BTreeMap<(String, String), Value>,
}

impl Subscriber {
    /// Creates the slot, which keeps every change from now on.
    pub async fn new(db: &Session, slot: &str) -> Self {
        db.exec(&format!("select pg_create_logical_replication_slot('{slot}', 'pgoutput')")).await;
        Self { slot: slot.to_owned(), rows: BTreeMap::new() }
    }

    /// The changes that were committed since the last call, in the order of the commits.
    pub async fn read(&mut self, db: &Session) -> Vec<PublishedChange> {
        let stream = format!(
            "select data from pg_logical_slot_get_binary_changes('{}', null, null,
                'proto_version', '1', 'publication_names', '{NAME}')",
            self.slot
        );
        let (mut relations, mut changes) = (HashMap::new(), Vec::new());
        for message in db.texts(&stream).await {
            let bytes = bytes_of(&message);
            changes.extend(StreamMessage(&bytes).change(&mut relations));
        }
        for change in &mut changes {
            self.keep(change);
        }
        changes
    }

    /// Takes over the known value of each column that the stream left out: an unchanged value that
    /// lies outside the row (TOAST) is not sent.
    fn keep(&mut self, change: &mut PublishedChange) {
        let id = change.row["id"].as_str().expect("published tables have an id").to_owned();
        let key = (change.table.clone(), id);
        if change.kind == "DELETE" {
            self.rows.remove(&key);
            return;
        }
        let known = self.rows.entry(key).or_insert_with(|| json!({}));
        for (name, value) in change.row.as_object().expect("a row") {
            known[name] = value.clone();
        }
        change.row = known.clone();
    }

    /// The first row whose last sent state differs from the row in its table, if any.
    pub async fn stale_row(&self, db: &Session) -> Option<String> {
        let mut by_table: BTreeMap<&str, Vec<&Value>> = BTreeMap::new();
        for ((table, _), row) in &self.rows {
            by_table.entry(table).or_default().push(row);
        }
        for (table, told) in by_table {
            let found = db.rows(&printed_rows(table, &told)).await;
            if let Some(row) = told.into_iter().find(|row| !found.contains(row)) {
                let id = &row["id"];
                let found = found.iter().find(|found| found["id"] == *id);
                return Some(format!("{table}: told {row}, found {found:?}"));
            }
        }
        None
    }
}

/// The query that reads these rows from their table, with each value as Postgres prints it.
fn printed_rows(table: &str, rows: &[&Value]) -> String {
    let columns: Vec<String> = rows[0]
        .as_object()
        .expect("a row")
        .keys()
        .map(|name| {
            let printed = format!("format('%s', t.\"{name}\")");
            format!("case when t.\"{name}\" is not null then {printed} end as \"{name}\"")
        })
        .collect();
    let ids: Vec<String> = rows.iter().map(|row| row["id"].to_string().replace('"', "'")).collect();
    format!("select {} from {table} t where t.id in ({})", columns.join(", "), ids.join(", "))
}

/// The bytes of a `bytea` that Postgres wrote into JSON: `\x0f…`.
fn bytes_of(hex: &str) -> Vec<u8> {
    let digits = hex.strip_prefix("\\x").expect("bytes").as_bytes();
    let byte = |pair: &[u8]| {
        let text = std::str::from_utf8(pair).expect("ASCII");
        u8::from_str_radix(text, 16).expect("two hexadecimal digits")
    };
    digits.chunks(2).map(byte).collect()
}

/// A table, which the stream describes before it sends the table's first row.
struct PublishedTable {
    name: String,
    columns: Vec<String>,
}

/// What is still to be read of one message.
struct StreamMessage<'a>(&'a [u8]);

impl StreamMessage<'_> {
    /// The change that the message describes, unless it describes a transaction, a table or a type.
    fn change(mut self, tables: &mut HashMap<u32, PublishedTable>) -> Option<PublishedChange> {
        let kind = match self.byte() {
            b'R' => {
                let (id, table) = self.table();
                tables.insert(id, table);
                return None;
            }
            b'I' => "INSERT",
            b'U' => "UPDATE",
            b'D' => "DELETE",
            b'B' | b'C' | b'Y' => return None,
            other => panic!("a message {:?} was not expected", char::from(other)),
        };
        let table = &tables[&self.number()];
        let mut row = self.row(table);
        // An update may send the old row before the new one.
        if kind == "UPDATE" && !self.0.is_empty() {
            row = self.row(table);
        }
        Some(PublishedChange { kind, table: table.name.clone(), row })
    }

    fn table(&mut self) -> (u32, PublishedTable) {
        let id = self.number();
        let name = format!("{}.{}", self.text(), self.text());
        self.byte();
        let columns = (0..self.short())
            .map(|_| {
                self.byte();
                let column = self.text();
                self.take(8);
                column
            })
            .collect();
        (id, PublishedTable { name, columns })
    }

    /// Reads a row, which begins with a letter for the old or the new one.
    fn row(&mut self, table: &PublishedTable) -> Value {
        self.byte();
        assert_eq!(usize::from(self.short()), table.columns.len(), "columns of {}", table.name);
        let mut row = Map::new();
        for column in &table.columns {
            match self.byte() {
                b'n' => {
                    row.insert(column.clone(), Value::Null);
                }
                b't' => {
                    let length = usize::try_from(self.number()).expect("a length");
                    let text = std::str::from_utf8(self.take(length)).expect("UTF-8");
                    row.insert(column.clone(), text.into());
                }
                b'u' => {}
                other => panic!("a value {:?} was not expected", char::from(other)),
            }
        }
        Value::Object(row)
    }

    fn take(&mut self, count: usize) -> &[u8] {
        let (taken, rest) = self.0.split_at(count);
        self.0 = rest;
        taken
    }

    fn byte(&mut self) -> u8 {
        self.take(1)[0]
    }

    fn short(&mut self) -> u16 {
        u16::from_be_bytes(self.take(2).try_into().expect("two bytes"))
    }

    fn number(&mut self) -> u32 {
        u32::from_be_bytes(self.take(4).try_into().expect("four bytes"))
    }

    /// Reads text that ends with a zero byte.
    fn text(&mut self) -> String {
        let end = self.0.iter().position(|byte| *byte == 0).expect("an end");
        let text = String::from_utf8(self.take(end).to_vec()).expect("UTF-8");
        self.byte();
        text
    }
}
