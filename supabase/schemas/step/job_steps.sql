create table unstuck.job_steps (
  job_id uuid not null references unstuck.jobs on delete cascade,
  step int not null
    check (step >= 1),
  status text not null default 'queued'
    check (status in (
      'blocked', 'queued', 'starting', 'running', 'completed', 'failed', 'cancelled'
    )),
  provider text not null references unstuck.providers,
  provider_task_id text,
  -- The fencing token. It grows at every claim; a worker with an older run changes nothing.
  run bigint not null default 0,
  -- How often the step was submitted. A submission that was refused for capacity does not count.
  attempts int not null default 0,
  -- How often a claimed step was requeued because no worker submitted it.
  rescues int not null default 0,
  -- The step's part of the job's price, fixed at enqueue.
  share bigint not null default 0
    check (share >= 0),
  -- The step may not be claimed before this time.
  not_before timestamptz,
  claimed_at timestamptz,
  -- Written before the request leaves: from then on the provider may have the task.
  sent_at timestamptz,
  started_at timestamptz,
  -- Until when a worker has the step: to submit it, to wait for a synchronous provider, or to copy
  -- the result.
  lease_until timestamptz,
  -- When the present state has lasted too long.
  deadline_at timestamptz not null,
  -- When the provider was last queried about the step, or sent a cancel.
  checked_at timestamptz,
  -- When the provider was done, with a result or without: the slot is free from then on.
  provider_done_at timestamptz,
  -- The cancel debt: tasks that must still be cancelled at the provider, a list of {task_id, run}.
  provider_cancel_due jsonb not null default '[]',
  -- The complete request except for webhook address and key, built at enqueue.
  input jsonb not null default '{}',
  output jsonb,
  output_url text,
  error_code text,
  error_message text,
  completed_at timestamptz,
  -- The place of a waiting step in its provider's line, written by triggers. Whose step it is: null
  -- unless it is queued.
  line_user_id uuid,
  -- The job's tool.
  line_tool text,
  -- The order among the user's own waiting steps.
  line_since timestamptz,
  -- The order among the users: one waiting step of each user has a turn, the others have none yet.
  turn_at timestamptz,
  primary key (job_id, step),
  unique (provider, provider_task_id),
  -- Each counter can grow: a row at its limit would fail every claim together with it.
  constraint job_steps_counts_in_reach
    check (run < 1000000000000000 and attempts < 1000000000 and rescues < 1000000000),
  constraint job_steps_completed_at_iff_final
    check ((completed_at is not null) = (status in ('completed', 'failed', 'cancelled')))
);

-- The line of a provider, in the order in which its steps are claimed.
create index job_steps_line
on unstuck.job_steps (provider, turn_at, job_id, step)
where status = 'queued' and turn_at is not null;

-- The same line of each tool: a position is counted here, without a look at the table.
create index job_steps_line_of_tool
on unstuck.job_steps (provider, line_tool, turn_at, job_id, step) include (run, deadline_at)
where status = 'queued' and turn_at is not null;

-- The waiting steps of one user, in their order.
create index job_steps_line_of_user
on unstuck.job_steps (provider, line_user_id, turn_at, line_since, job_id, step)
where status = 'queued';

-- The predicate is `holds_slot`.
create index job_steps_slots
on unstuck.job_steps (provider)
where status in ('starting', 'running') and provider_done_at is null;

create index job_steps_working
on unstuck.job_steps (lease_until)
where status in ('starting', 'running');

create index job_steps_cancel_due
on unstuck.job_steps (provider)
where provider_cancel_due <> '[]';

-- The audit looks for slots that were freed lately.
create index job_steps_freed
on unstuck.job_steps ((coalesce(provider_done_at, completed_at)));

create index job_steps_durations
on unstuck.job_steps (provider, completed_at desc)
where status = 'completed';

create index job_steps_with_input
on unstuck.job_steps (completed_at)
where completed_at is not null and input <> '{}';

comment on table unstuck.job_steps is $c$
The work of a job: one row per piece of work at one provider.
$c$;

alter table unstuck.job_steps enable row level security;
revoke all on unstuck.job_steps from public, anon, authenticated, service_role;
grant select on unstuck.job_steps to service_role;
-- Owners read neither the provider's request nor a step's output: the views show what was
-- delivered.
grant select (
  job_id, step, status, provider, provider_task_id, run, attempts, rescues, share, not_before,
  sent_at, started_at, lease_until, deadline_at, checked_at, provider_done_at, error_code,
  error_message, completed_at
) on unstuck.job_steps to authenticated;
