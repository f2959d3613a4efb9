-- What changed and was not audited yet. The statement that changes a row writes it, the audit
-- deletes it. So an audit costs what changed, a change that commits late is never missed, and a row
-- that was written by hand counts whatever times it has.
create table unstuck_private.unaudited (
  id bigint generated always as identity primary key,
  job_id uuid,
  user_id uuid,
  entry_id bigint
)
-- Its rows live for a minute.
with (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000);

alter table unstuck_private.unaudited enable row level security;
revoke all on unstuck_private.unaudited from public, anon, authenticated, service_role;
revoke all on sequence unstuck_private.unaudited_id_seq
from public, anon, authenticated, service_role;
