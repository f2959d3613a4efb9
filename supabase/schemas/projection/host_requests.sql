create table unstuck.host_requests (
  job_id uuid primary key,
  host_table regclass not null,
  -- The job's own user asked, who is no admin.
  by_user boolean not null,
  at timestamptz not null default clock_timestamp(),
  error text
);

comment on table unstuck.host_requests is $c$
Jobs that the app ended in its own table while somebody else held ours: the next pass of a healer
cancels each.
$c$;

alter table unstuck.host_requests enable row level security;
revoke all on unstuck.host_requests from public, anon, authenticated, service_role;
grant select on unstuck.host_requests to service_role;
