//! `cargo xtask dump-schema`: supabase/schema.sql, the golden dump that a test compares with the migrations.

use anyhow::Result;

pub async fn dump_to_file() -> Result<()> {
    Ok(())
}
