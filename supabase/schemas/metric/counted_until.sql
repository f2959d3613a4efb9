-- One row: `at` is the time up to which the jobs that ended are counted.
create table unstuck_private.counted_until (
  only_row boolean primary key default true
    check (only_row),
  at timestamptz not null default clock_timestamp()
);

insert into unstuck_private.counted_until
default values
on conflict do nothing;

alter table unstuck_private.counted_until enable row level security;
revoke all on unstuck_private.counted_until from public, anon, authenticated, service_role;
