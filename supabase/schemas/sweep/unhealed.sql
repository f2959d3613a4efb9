-- Jobs that could not be quarantined as a whole, because a trigger or a constraint refuses some
-- change of their rows. The healers leave such a job alone until `retry_at`, which is later after
-- each try, so that any number of them costs the other jobs nothing.
create table unstuck_private.unhealed (
  job_id uuid primary key,
  tries int not null default 1,
  retry_at timestamptz not null,
  reason text not null
);

alter table unstuck_private.unhealed enable row level security;
revoke all on unstuck_private.unhealed from public, anon, authenticated, service_role;
