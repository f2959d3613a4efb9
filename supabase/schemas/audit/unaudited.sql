-- What has changed and was not audited yet: written by the statement that changed it, taken off by
-- the audit that looked at it. So an audit costs what has changed, a change that commits late is
-- never missed, and a row written by hand counts whatever times it carries.
create table unstuck_private.unaudited (
  id bigint generated always as identity primary key,
  job_id uuid,
  user_id uuid,
  entry_id bigint
)
-- Its rows come and go within a minute.
with (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000);

alter table unstuck_private.unaudited enable row level security;
revoke all on unstuck_private.unaudited from public, anon, authenticated, service_role;
revoke all on sequence unstuck_private.unaudited_id_seq
from public, anon, authenticated, service_role;
