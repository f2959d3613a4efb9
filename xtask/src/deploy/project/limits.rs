//! Checks the limits of the roles under which our calls run. The project's owner may have lowered
//! them.

use anyhow::Result;

use super::{HostedProject, ProjectAct};

/// The time that the longest of our calls may take. The function sets that limit for its statement
/// itself.
const LONGEST: &str = "60s";

impl HostedProject<'_> {
    /// One act for each role whose limit would end our calls. A limit per statement is lifted by
    /// each function's own; a limit per transaction is not.
    pub(super) async fn limits(&self) -> Result<Vec<ProjectAct>> {
        let query = "
            select r.rolname::text, c.setting
            from pg_catalog.pg_db_role_setting s
            join pg_catalog.pg_roles r on r.oid = s.setrole
            cross join unnest(s.setconfig) as c (setting)
            where r.rolname in ('authenticator', 'service_role')
              and c.setting ~ '^transaction_timeout=[1-9]'
              and s.setdatabase in (
                0,
                (select d.oid from pg_catalog.pg_database d where d.datname = current_database())
              )
              -- A number without a unit is of milliseconds.
              and regexp_replace(
                replace(c.setting, 'transaction_timeout=', ''), '^([0-9]+)$', '\\1ms'
              )::interval < $1::text::interval
            order by 1";
        let rows = self.client.query(query, &[&LONGEST]).await?;
        let act = |row: &tokio_postgres::Row| {
            let (role, setting): (String, String) = (row.get(0), row.get(1));
            ProjectAct::left(
                format!("the role {role} has {setting}: a sweep may take {LONGEST}"),
                format!("alter role {role} set transaction_timeout = '{LONGEST}';"),
            )
        };
        Ok(rows.iter().map(act).collect())
    }
}
