-- The jobs that a transaction changed and has not written to the app's tables yet. No committed row
-- stays here: the last act of the transaction takes its own.
create table unstuck_private.unprojected (
  xid xid8 not null default pg_current_xact_id(),
  job_id uuid not null
);

create index unprojected_by_transaction on unstuck_private.unprojected (xid);

alter table unstuck_private.unprojected enable row level security;
revoke all on unstuck_private.unprojected from public, anon, authenticated, service_role;
