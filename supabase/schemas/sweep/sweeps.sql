create table unstuck.sweeps (
  id bigint generated always as identity primary key,
  source text not null,
  started_at timestamptz not null default clock_timestamp(),
  finished_at timestamptz,
  cleaned int not null default 0,
  refunded_credits bigint not null default 0,
  requeued int not null default 0,
  delivered int not null default 0,
  stuck int,
  violations int
);

create index sweeps_by_time on unstuck.sweeps (started_at);

create index sweeps_finished on unstuck.sweeps (finished_at desc)
where finished_at is not null;

comment on table unstuck.sweeps is $c$
One row per pass of a healer. Null counts in a finished row: the count failed.
$c$;

alter table unstuck.sweeps enable row level security;
revoke all on unstuck.sweeps from public, anon, authenticated, service_role;
revoke all on sequence unstuck.sweeps_id_seq from public, anon, authenticated, service_role;
grant select on unstuck.sweeps to service_role;
