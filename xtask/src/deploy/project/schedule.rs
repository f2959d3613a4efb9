//! The SQL healer's schedule in pg_cron. The migration that makes it finds no pg_cron where the
//! extension is turned on later.

use anyhow::Result;

use super::{HostedProject, ProjectAct};

const WHAT: &str = "the SQL healer each minute, in pg_cron";
const SCHEDULE: &str = include_str!("../../../../supabase/schemas/platform/cron.sql");
const UNDO: &str = "select cron.unschedule('unstuck-cleanup');";
const BY_HAND: &str = "select cron.schedule('unstuck-cleanup', '* * * * *', \
                       'select unstuck.cleanup_all_stale_ai_jobs()');";

impl HostedProject<'_> {
    /// No act where pg_cron is not installed. A schedule that somebody has paused stays paused.
    pub(super) async fn schedule(&self) -> Result<Option<ProjectAct>> {
        let right = "
            select case
              when has_schema_privilege('cron', 'usage')
              then has_table_privilege('cron.job', 'select')
              else false
            end
            from pg_catalog.pg_extension
            where extname = 'pg_cron'";
        let Some(row) = self.client.query_opt(right, &[]).await? else { return Ok(None) };
        if !self.is_installed().await? {
            return Ok(None);
        }
        if !row.get::<_, bool>(0) {
            let what = format!("not looked for: {WHAT} (no right to read cron.job)");
            return Ok(Some(ProjectAct::left(what, BY_HAND)));
        }
        let ours = "select exists (select from cron.job where jobname = 'unstuck-cleanup')";
        if self.client.query_one(ours, &[]).await?.get::<_, bool>(0) {
            return Ok(Some(ProjectAct::already(WHAT)));
        }
        let act = self.change(WHAT.to_owned(), SCHEDULE, UNDO).await?;
        // The source tells a refusal as a notice, because a migration goes on without the schedule.
        if act.done
            && !self.how.plan_only
            && !self.client.query_one(ours, &[]).await?.get::<_, bool>(0)
        {
            let what = format!("not made: {WHAT} (pg_cron refused it)");
            return Ok(Some(ProjectAct::left(what, BY_HAND)));
        }
        Ok(Some(act))
    }
}
