create table unstuck.job_steps (
  job_id uuid not null references unstuck.jobs on delete cascade,
  step int not null check (step >= 1),
  status text not null default 'queued' check (status in ('blocked', 'queued', 'starting', 'running', 'completed', 'failed', 'cancelled')),
  provider text not null references unstuck.providers,
  provider_task_id text,
  run bigint not null default 0,
  attempts int not null default 0,
  rescues int not null default 0,
  share bigint not null default 0 check (share >= 0),
  not_before timestamptz,
  claimed_at timestamptz,
  sent_at timestamptz,
  started_at timestamptz,
  lease_until timestamptz,
  deadline_at timestamptz not null,
  checked_at timestamptz,
  provider_done_at timestamptz,
  provider_cancel_due jsonb not null default '[]',
  input jsonb not null default '{}',
  output jsonb,
  output_url text,
  error_code text,
  error_message text,
  completed_at timestamptz,
  primary key (job_id, step),
  unique (provider, provider_task_id),
  constraint job_steps_completed_at_iff_final check ((completed_at is not null) = (status in ('completed', 'failed', 'cancelled')))
);

create index job_steps_queued on unstuck.job_steps (provider) where status = 'queued';

create index job_steps_slots on unstuck.job_steps (provider) where status in ('starting', 'running') and provider_done_at is null;

create index job_steps_working on unstuck.job_steps (lease_until) where status in ('starting', 'running');

create index job_steps_cancel_due on unstuck.job_steps (provider) where provider_cancel_due <> '[]';

create index job_steps_durations on unstuck.job_steps (provider, completed_at desc) where status = 'completed';

alter table unstuck.job_steps enable row level security;
revoke all on unstuck.job_steps from public, anon, authenticated, service_role;
grant select on unstuck.job_steps to service_role;
-- Owners read neither the provider's request nor what a step made: delivered pictures come
-- through the views.
grant select (
  job_id, step, status, provider, provider_task_id, run, attempts, rescues, share, not_before,
  sent_at, started_at, lease_until, deadline_at, checked_at, provider_done_at, error_code,
  error_message, completed_at
) on unstuck.job_steps to authenticated;
