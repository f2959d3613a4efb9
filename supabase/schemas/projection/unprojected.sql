-- The jobs that a transaction has changed and has not yet written to the app's tables. The last act
-- of the transaction deletes its own rows, so none is ever committed.
create table unstuck_private.unprojected (
  xid xid8 not null default pg_current_xact_id(),
  job_id uuid not null
);

create index unprojected_by_transaction on unstuck_private.unprojected (xid);

alter table unstuck_private.unprojected enable row level security;
revoke all on unstuck_private.unprojected from public, anon, authenticated, service_role;
