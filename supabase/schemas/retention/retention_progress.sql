-- What pruning has done of each kind: how many rows in all and when last, how far a walk has come,
-- and the last error.
create table unstuck_private.retention_progress (
  kind text primary key,
  pruned bigint not null default 0,
  pruned_at timestamptz,
  position bigint,
  error text,
  error_at timestamptz
);

alter table unstuck_private.retention_progress enable row level security;
revoke all on unstuck_private.retention_progress
from public, anon, authenticated, service_role;
