create table unstuck.host_requests (
  job_id uuid not null,
  host_table regclass not null,
  -- The row's own user asked, who is no admin.
  by_user boolean not null,
  at timestamptz not null default clock_timestamp(),
  error text,
  -- Whose the app's row is, where its table says so.
  host_user uuid,
  id bigint generated always as identity primary key
);

create index host_requests_of_job on unstuck.host_requests (job_id);

comment on table unstuck.host_requests is $c$
Ends of jobs in the app's own tables, one row for each, so that no transaction of the app waits for
another to record its own. It is carried out at once where nobody holds the job, else by the next
pass of a healer.
$c$;

alter table unstuck.host_requests enable row level security;
revoke all on unstuck.host_requests from public, anon, authenticated, service_role;
revoke all on sequence unstuck.host_requests_id_seq from public, anon, authenticated, service_role;
grant select on unstuck.host_requests to service_role;
