//! Limits of the roles that our calls run as, which the project's owner may have lowered.

use anyhow::Result;

use super::{HostedProject, ProjectAct};

/// What the longest of our calls may take; its own limit of one statement is in the function.
const LONGEST: &str = "60s";

impl HostedProject<'_> {
    /// One act for each role that cuts our calls short. A limit for one statement is lifted by each
    /// function's own; one for a transaction is not.
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
              and replace(c.setting, 'transaction_timeout=', '')::interval < $1::text::interval
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
