//! Reads the stream of a publication: the messages of the plugin `pgoutput`, version 1
//! (PostgreSQL's documentation, "Logical Replication Message Formats").

use std::collections::HashMap;

/// Milliseconds from 1970 to 2000: Postgres counts from 2000.
const EPOCH_MS: i64 = 946_684_800_000;

/// Values as Postgres prints them, by the names of their columns.
pub(super) type Printed = HashMap<String, Option<String>>;

/// One committed change of a row.
#[derive(Debug, PartialEq)]
pub(super) struct RowChange {
    /// `INSERT`, `UPDATE` or `DELETE`.
    pub(super) action: &'static str,
    pub(super) schema: String,
    pub(super) table: String,
    pub(super) committed_ms: u64,
    /// The row after the change, without long values that did not change; empty for a delete.
    pub(super) row: Printed,
    /// The published columns of the row before the change.
    pub(super) before: Printed,
}

struct Published {
    schema: String,
    name: String,
    columns: Vec<String>,
}

/// Reads messages one after the other.
#[derive(Default)]
pub(super) struct StreamReader {
    tables: HashMap<u32, Published>,
    committed_ms: u64,
}

impl StreamReader {
    /// The change that the message describes, unless it describes a transaction, a table or a type.
    ///
    /// # Errors
    /// If the message is not one of this protocol.
    pub(super) fn change(&mut self, message: &[u8]) -> anyhow::Result<Option<RowChange>> {
        let mut rest = StreamBytes(message);
        let action = match rest.byte()? {
            b'B' => {
                rest.take(8)?;
                let micros = i64::from_be_bytes(rest.array()?);
                self.committed_ms = u64::try_from(micros / 1000 + EPOCH_MS)?;
                return Ok(None);
            }
            b'R' => {
                let (id, table) = rest.table()?;
                self.tables.insert(id, table);
                return Ok(None);
            }
            b'I' => "INSERT",
            b'U' => "UPDATE",
            b'D' => "DELETE",
            _ => return Ok(None),
        };
        let id = u32::from_be_bytes(rest.array()?);
        let table = self.tables.get(&id).ok_or_else(|| anyhow::anyhow!("no table {id}"))?;
        let (mut row, mut before) = (Printed::new(), Printed::new());
        while !rest.0.is_empty() {
            let kind = rest.byte()?;
            let values = rest.values(table)?;
            if kind == b'N' { row = values } else { before = values }
        }
        Ok(Some(RowChange {
            action,
            schema: table.schema.clone(),
            table: table.name.clone(),
            committed_ms: self.committed_ms,
            row,
            before,
        }))
    }
}

/// What is still to be read of one message.
struct StreamBytes<'a>(&'a [u8]);

impl<'a> StreamBytes<'a> {
    fn take(&mut self, count: usize) -> anyhow::Result<&'a [u8]> {
        let split = self.0.split_at_checked(count);
        let (taken, rest) = split.ok_or_else(|| anyhow::anyhow!("a message is too short"))?;
        self.0 = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> anyhow::Result<[u8; N]> {
        Ok(self.take(N)?.try_into()?)
    }

    fn byte(&mut self) -> anyhow::Result<u8> {
        Ok(self.array::<1>()?[0])
    }

    /// Reads text that ends with a zero byte.
    fn text(&mut self) -> anyhow::Result<String> {
        let end = self.0.iter().position(|byte| *byte == 0);
        let text = self.take(end.ok_or_else(|| anyhow::anyhow!("a text does not end"))?)?;
        let text = String::from_utf8(text.to_vec())?;
        self.byte()?;
        Ok(text)
    }

    fn table(&mut self) -> anyhow::Result<(u32, Published)> {
        let id = u32::from_be_bytes(self.array()?);
        let (schema, name) = (self.text()?, self.text()?);
        self.byte()?;
        let count = u16::from_be_bytes(self.array()?);
        let mut columns = Vec::new();
        for _ in 0..count {
            self.byte()?;
            columns.push(self.text()?);
            self.take(8)?;
        }
        Ok((id, Published { schema, name, columns }))
    }

    fn values(&mut self, table: &Published) -> anyhow::Result<Printed> {
        let count = u16::from_be_bytes(self.array()?);
        let mut values = Printed::new();
        for column in table.columns.iter().take(usize::from(count)) {
            match self.byte()? {
                b'n' => {
                    values.insert(column.clone(), None);
                }
                b't' => {
                    let length = u32::from_be_bytes(self.array()?);
                    let text = self.take(usize::try_from(length)?)?;
                    values.insert(column.clone(), Some(String::from_utf8(text.to_vec())?));
                }
                // The value lies outside the row (TOAST) and did not change, so it is not sent.
                _ => {}
            }
        }
        Ok(values)
    }
}
