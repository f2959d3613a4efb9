create table unstuck.job_events (
  id bigint generated always as identity primary key,
  job_id uuid not null,
  -- Null for an event of the whole job.
  step int,
  run bigint,
  at timestamptz not null default clock_timestamp(),
  event text not null,
  from_status text,
  to_status text,
  -- user, client, service, worker, sweep, or `admin:` and the admin's id.
  actor text,
  detail jsonb
);

create index job_events_by_job
on unstuck.job_events (job_id, id);

create index job_events_by_time on unstuck.job_events (at);

comment on table unstuck.job_events is $c$
The history: every transition of a job or step. Append-only; triggers write it.
$c$;

alter table unstuck.job_events enable row level security;
revoke all on unstuck.job_events from public, anon, authenticated, service_role;
revoke all on sequence unstuck.job_events_id_seq from public, anon, authenticated, service_role;
grant select on unstuck.job_events to authenticated, service_role;
