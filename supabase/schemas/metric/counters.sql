-- What has ended since the installation, added up by the sweeps: one row for each line of
-- `metrics`. The bucket of a histogram also counts whatever the smaller buckets count.
create table unstuck_private.counters (
  name text not null,
  labels jsonb not null,
  value numeric not null,
  primary key (name, labels)
);

alter table unstuck_private.counters enable row level security;
revoke all on unstuck_private.counters from public, anon, authenticated, service_role;
