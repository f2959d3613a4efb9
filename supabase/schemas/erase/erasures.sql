create table unstuck.erasures (
  user_id uuid primary key,
  at timestamptz not null default clock_timestamp(),
  files_left bigint check (files_left >= 0)
);

create index erasures_open on unstuck.erasures (at)
where files_left is distinct from 0;

comment on table unstuck.erasures is $c$
Users who were erased. Their files lie under `<user id>/` in both buckets; the Storage API deletes
them later. files_left: null until they were counted, 0 once all are gone.
$c$;

alter table unstuck.erasures enable row level security;
revoke all on unstuck.erasures from public, anon, authenticated, service_role;
grant select on unstuck.erasures to service_role;
