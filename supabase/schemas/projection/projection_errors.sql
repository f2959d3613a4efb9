create table unstuck.projection_errors (
  id bigint generated always as identity primary key,
  tool text not null,
  host_table regclass not null,
  job_id uuid not null,
  step int,
  at timestamptz not null default clock_timestamp(),
  error text not null,
  tries int not null default 1,
  mended_at timestamptz
);

create unique index projection_errors_owed
on unstuck.projection_errors (job_id, host_table)
where mended_at is null;

create index projection_errors_mended on unstuck.projection_errors (mended_at)
where mended_at is not null;

comment on table unstuck.projection_errors is $c$
Rows of the app that could not be written, and why. Every pass of a healer tries them until each is
written: mended_at.
$c$;

alter table unstuck.projection_errors enable row level security;
revoke all on unstuck.projection_errors from public, anon, authenticated, service_role;
revoke all on sequence unstuck.projection_errors_id_seq
from public, anon, authenticated, service_role;
grant select on unstuck.projection_errors to service_role;
