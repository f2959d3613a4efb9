-- Changes that are not audited yet: each row names a job, a user, an entry, or several of them. The
-- statement that changes a row writes it here, and the audit deletes it. So an audit costs as much
-- as was changed, a change that is committed late is not missed, and the times that a row was given
-- by hand do not matter.
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
