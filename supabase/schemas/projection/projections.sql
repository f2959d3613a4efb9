create table unstuck.projections (
  tool text not null references unstuck.tools,
  host_table regclass not null,
  -- One row of the app's for each job, or for each step.
  level text not null check (level in ('job', 'step')),
  -- The app's columns and how each is made: an SQL expression over the job `j`, the step `s` and
  -- the app's word for its status, `w.status`. As {"once": …} it is written with a new row only.
  columns jsonb not null check (jsonb_typeof(columns) = 'object'),
  -- Our words for a status, and the app's. What is in a state without a word is not written.
  statuses jsonb not null check (jsonb_typeof(statuses) = 'object'),
  -- What the app's triggers ask for, beside the claims of its service.
  settings jsonb not null default '{}' check (jsonb_typeof(settings) = 'object'),
  enabled boolean not null default true,
  -- True of the app's row `t` of a job that the app has begun or charged itself: an SQL condition.
  begun text check (begun is null or level = 'job'),
  primary key (tool, host_table)
);

comment on table unstuck.projections is $c$
The app's own tables into which the jobs of a tool are written as they change, under the same id.
$c$;

alter table unstuck.projections enable row level security;
revoke all on unstuck.projections from public, anon, authenticated, service_role;
grant select on unstuck.projections to service_role;
