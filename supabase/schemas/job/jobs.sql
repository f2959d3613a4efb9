create table unstuck.jobs (
  id uuid primary key default gen_random_uuid(),
  tool text not null references unstuck.tools,
  user_id uuid not null,
  session_id text,
  status text not null default 'pending'
    check (status in (
      'pending', 'queued', 'starting', 'running', 'completed', 'failed', 'cancelled'
    )),
  credits_charged bigint not null default 0
    check (credits_charged >= 0),
  credits_refunded bigint not null default 0,
  -- Copied from the tool at enqueue, like everything that decides about credits.
  refund_rule text not null
    check (refund_rule in ('all', 'per_step')),
  -- The exclusive group and the user; null where the tool has no group.
  exclusive_key text,
  input jsonb not null default '{}',
  output jsonb,
  output_url text,
  error_code text
    check (error_code in (
      'TIMEOUT', 'QUEUE_TIMEOUT', 'PROVIDER_REJECTED', 'PROVIDER_FAILED', 'CONTENT_REFUSED',
      'DELIVERY_FAILED', 'CANCELLED', 'INSUFFICIENT_CREDITS', 'CREDIT_ERROR', 'ORPHANED'
    )),
  error_message text,
  total_steps int not null default 1
    check (total_steps >= 1),
  current_step int not null default 0,
  retries int not null default 0,
  waited_in_queue boolean not null default false,
  -- The final job that this one retries, by an admin's order.
  retry_of uuid references unstuck.jobs,
  -- A hash of the request: an order with the same id and another hash is refused. Null until
  -- `/run`.
  request_hash text,
  created_at timestamptz not null default clock_timestamp(),
  queued_at timestamptz,
  started_at timestamptz,
  updated_at timestamptz not null default clock_timestamp(),
  -- When the present state has lasted too long.
  deadline_at timestamptz not null,
  -- When the whole job has lasted too long, whatever its state.
  expires_at timestamptz not null,
  completed_at timestamptz,
  -- When a healer closed the job to healers, because it could not be healed. An operator looks at
  -- it; meanwhile it blocks no other job.
  quarantined_at timestamptz,
  -- The id of the request that ordered, as our log lines have it.
  request_id text,
  constraint jobs_refund_within_charge
    check (credits_refunded between 0 and credits_charged),
  constraint jobs_retries_in_reach
    check (retries < 1000000000),
  constraint jobs_completed_at_iff_final
    check ((completed_at is not null) = (status in ('completed', 'failed', 'cancelled'))),
  constraint jobs_error_message_names_code
    check (error_code is null or error_message like error_code || ':%')
);

-- A user has one live job in an exclusive group. A pending row does not count.
create unique index jobs_one_live_per_exclusive_key
on unstuck.jobs (exclusive_key)
where exclusive_key is not null and status in ('queued', 'starting', 'running');

-- A job has one live retry.
create unique index jobs_one_live_retry
on unstuck.jobs (retry_of)
where retry_of is not null and status in ('pending', 'queued', 'starting', 'running');

create index jobs_by_user
on unstuck.jobs (user_id, created_at desc);

create index jobs_by_created
on unstuck.jobs (created_at desc);

create index jobs_by_update
on unstuck.jobs (updated_at);

-- The sweep pages through live jobs in these two orders. The predicates spell `is_live` out,
-- because tables are created before functions.
create index jobs_live_by_deadline
on unstuck.jobs (deadline_at, id)
where status in ('pending', 'queued', 'starting', 'running');

create index jobs_live_by_age
on unstuck.jobs ((coalesce(started_at, created_at)), id)
where status in ('pending', 'queued', 'starting', 'running');

create index jobs_live_by_user
on unstuck.jobs (user_id)
where status in ('pending', 'queued', 'starting', 'running');

create index jobs_by_request
on unstuck.jobs (request_id)
where request_id is not null;

create index jobs_by_retried
on unstuck.jobs (retry_of)
where retry_of is not null;

-- Retention looks for inputs to empty and for rows that were never ordered.
create index jobs_with_input
on unstuck.jobs (completed_at)
where completed_at is not null and input <> '{}';

create index jobs_never_ordered
on unstuck.jobs (completed_at)
where status = 'cancelled'
  and request_hash is null
  and started_at is null
  and credits_charged = 0;

comment on table unstuck.jobs is $c$
What users paid for: one row per order. Its work is in `job_steps`.
$c$;

alter table unstuck.jobs enable row level security;
revoke all on unstuck.jobs from public, anon, authenticated, service_role;
grant select on unstuck.jobs to authenticated, service_role;
