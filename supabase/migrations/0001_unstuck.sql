-- 0001_unstuck.sql
-- Made by `cargo xtask migration unstuck`
-- from supabase/schemas, in the order in which things can be created. Do not edit it: change the
-- sources. It is applied once, whole or not at all.

begin;

do $applied$
begin
  if to_regclass('unstuck_private.migrations') is not null then
    if exists (select from unstuck_private.migrations where number = 1) then
      raise exception 'unstuck migration 0001 is applied already';
    end if;
  end if;
end
$applied$;

-- A function may name an object that is created below it.
set local check_function_bodies = off;

--: source schema/unstuck.sql 147f2036aadb
-- The tables, views and RPCs of Unstuck: the schema that PostgREST exposes.
create schema unstuck;

revoke all on schema unstuck from public, anon, authenticated, service_role;
grant usage on schema unstuck to authenticated, service_role;

--: source schema/unstuck_private.sql b5247c29946b
-- What only the functions and views of `unstuck` use. PostgREST never exposes it.
create schema unstuck_private;

revoke all on schema unstuck_private from public, anon, authenticated, service_role;
-- The views run as their caller and use some functions in here.
grant usage on schema unstuck_private to authenticated, service_role;

--: source role/app_role.sql 82967efd8a04
-- The roles that `user_roles` may hold. Only `admin` has a meaning for Unstuck.
create type unstuck.app_role as enum ('admin', 'moderator', 'user');

revoke all on type unstuck.app_role from public, anon, authenticated, service_role;
grant usage on type unstuck.app_role to public;

--: source admin/admin_log.sql c25b672a4af1
create table unstuck.admin_log (
  id bigint generated always as identity primary key,
  at timestamptz not null default clock_timestamp(),
  actor uuid not null,
  act text not null,
  subject text,
  "from" jsonb,
  "to" jsonb,
  reason text
);

create index admin_log_by_time on unstuck.admin_log (at desc);

create index admin_log_by_subject on unstuck.admin_log (subject);

comment on table unstuck.admin_log is $c$
What admins did outside of the history of single jobs. Append-only, kept for ever.
$c$;

alter table unstuck.admin_log enable row level security;
revoke all on unstuck.admin_log from public, anon, authenticated, service_role;
revoke all on sequence unstuck.admin_log_id_seq from public, anon, authenticated, service_role;
grant select on unstuck.admin_log to service_role;
grant select on unstuck.admin_log to authenticated;

--: source audit/audit_lock.sql ea64bd26fc56
-- One row: the healer that locks it audits, so that no change is audited by two at once.
create table unstuck_private.audit_lock (
  only_one boolean primary key default true check (only_one),
  audited_at timestamptz
);

alter table unstuck_private.audit_lock enable row level security;
revoke all on unstuck_private.audit_lock from public, anon, authenticated, service_role;

--: source audit/removals.sql 86f3c44ba392
-- When all jobs, or the whole ledger, of a user were deleted while the other was kept: what is
-- missing on the other side since then is no violation. The row is deleted with the rest.
create table unstuck_private.removals (
  user_id uuid primary key,
  jobs_removed_at timestamptz not null default '-infinity',
  ledger_removed_at timestamptz not null default '-infinity'
);

alter table unstuck_private.removals enable row level security;
revoke all on unstuck_private.removals from public, anon, authenticated, service_role;

--: source audit/unaudited.sql 7688876a0813
-- What changed and was not audited yet. The statement that changes a row writes it, the audit
-- deletes it. So an audit costs what changed, a change that commits late is never missed, and a row
-- that was written by hand counts whatever times it has.
create table unstuck_private.unaudited (
  id bigint generated always as identity primary key,
  job_id uuid,
  user_id uuid,
  entry_id bigint
)
-- Its rows live for a minute.
with (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000);

alter table unstuck_private.unaudited enable row level security;
revoke all on unstuck_private.unaudited from public, anon, authenticated, service_role;
revoke all on sequence unstuck_private.unaudited_id_seq
from public, anon, authenticated, service_role;

--: source audit/violations_found.sql 21a012452a6a
create table unstuck.violations_found (
  invariant text not null,
  subject text not null,
  detail text not null,
  job_id uuid,
  user_id uuid,
  entry_id bigint,
  found_at timestamptz not null default clock_timestamp(),
  checked_at timestamptz not null default clock_timestamp(),
  primary key (invariant, subject),
  constraint violations_found_one_key check ((job_id is null) <> (user_id is null))
);

create index violations_found_by_job on unstuck.violations_found (job_id)
where job_id is not null;

create index violations_found_by_user on unstuck.violations_found (user_id)
where user_id is not null;

create index violations_found_by_check on unstuck.violations_found (checked_at);

comment on table unstuck.violations_found is $c$
Violations of invariants, stored once and kept until they are mended. Exactly one of `job_id` and
`user_id` says whose change has the violation checked again; `entry_id` is set where it is about one
ledger entry of that user.
$c$;

alter table unstuck.violations_found enable row level security;
revoke all on unstuck.violations_found from public, anon, authenticated, service_role;
grant select on unstuck.violations_found to service_role;

--: source cancel/cancelled_requests.sql c9b12a744f9b
create table unstuck.cancelled_requests (
  user_id uuid not null,
  job_id uuid not null,
  at timestamptz not null default clock_timestamp(),
  primary key (user_id, job_id)
);

create index cancelled_requests_by_time on unstuck.cancelled_requests (at);

comment on table unstuck.cancelled_requests is $c$
Orders that users cancelled, also before they arrived: an order named here is refused while its row
is kept, a day. At most 1,000 rows per user.
$c$;

alter table unstuck.cancelled_requests enable row level security;
revoke all on unstuck.cancelled_requests from public, anon, authenticated, service_role;
grant select on unstuck.cancelled_requests to service_role;

--: source credit/credit_accounts.sql d817a5a0d82a
create table unstuck.credit_accounts (
  user_id uuid primary key,
  balance bigint not null default 0 check (balance >= 0)
);

comment on table unstuck.credit_accounts is $c$
The built-in wallet: one balance per user. There is no foreign key to auth.users, so that the jobs
of a deleted user can still be finalised.
$c$;

alter table unstuck.credit_accounts enable row level security;
revoke all on unstuck.credit_accounts from public, anon, authenticated, service_role;
grant select on unstuck.credit_accounts to service_role;
grant select on unstuck.credit_accounts to authenticated;

--: source credit/credit_entries.sql 6084ebacb655
create table unstuck.credit_entries (
  id bigint generated always as identity primary key,
  user_id uuid not null,
  job_id uuid,
  step int,
  kind text not null
    check (kind in ('grant', 'debit', 'refund', 'adjustment')),
  amount bigint not null,
  balance_after bigint not null,
  reason text,
  idempotency_key text unique,
  created_at timestamptz not null default clock_timestamp(),
  constraint credit_entries_sign
    check (
      case kind
        when 'debit' then amount < 0
        when 'adjustment' then amount <> 0
        else amount > 0
      end
    )
);

create unique index credit_entries_once_per_job
on unstuck.credit_entries (job_id, step, kind) nulls not distinct
where kind in ('debit', 'refund') and job_id is not null;

create unique index credit_entries_one_debit
on unstuck.credit_entries (job_id)
where kind = 'debit' and job_id is not null;

create index credit_entries_by_user
on unstuck.credit_entries (user_id, id);

-- The audit looks for adjustments near a refund of the same user.
create index credit_entries_returned on unstuck.credit_entries (user_id, kind, created_at)
where kind in ('adjustment', 'refund');

comment on table unstuck.credit_entries is $c$
The ledger: every change of a balance, append-only. Unique indexes keep a job from being debited
twice, and a step from being refunded twice.
$c$;

alter table unstuck.credit_entries enable row level security;
revoke all on unstuck.credit_entries from public, anon, authenticated, service_role;
revoke all on sequence unstuck.credit_entries_id_seq from public, anon, authenticated, service_role;
grant select on unstuck.credit_entries to service_role;
grant select on unstuck.credit_entries to authenticated;

--: source erase/erasures.sql 610e40d02255
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

--: source history/migrations.sql 0a7004d7c895
-- Which of our migrations this database has. The host's own history of migrations is never touched.
create table unstuck_private.migrations (
  number int primary key,
  name text not null,
  hash text not null,
  at timestamptz not null default clock_timestamp()
);

alter table unstuck_private.migrations enable row level security;
revoke all on unstuck_private.migrations from public, anon, authenticated, service_role;

--: source job/job_events.sql 88d9dad77cae
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

--: source retention/retention.sql 66da745d5b80
create table unstuck.retention (
  kind text primary key,
  keep interval check (keep > '0')
);

comment on table unstuck.retention is $c$
How long each kind of row is kept; null: for ever. An operator's own values stay when a later
version is installed. A kind without a row here is never pruned.
$c$;

alter table unstuck.retention enable row level security;
revoke all on unstuck.retention from public, anon, authenticated, service_role;
grant select on unstuck.retention to service_role;

--: source retention/retention_progress.sql 309b705cda8f
-- What pruning did of each kind: how many rows in all, when, how far a walk came, the last error.
create table unstuck_private.retention_progress (
  kind text primary key,
  pruned bigint not null default 0,
  pruned_at timestamptz,
  position bigint,
  error text,
  error_at timestamptz
);

alter table unstuck_private.retention_progress enable row level security;
revoke all on unstuck_private.retention_progress
from public, anon, authenticated, service_role;

--: source role/user_roles.sql 41813b590340
create table unstuck.user_roles (
  user_id uuid not null,
  role unstuck.app_role not null,
  primary key (user_id, role)
);

comment on table unstuck.user_roles is $c$
Who holds which role, for a project whose app has no roles of its own.
$c$;

alter table unstuck.user_roles enable row level security;
revoke all on unstuck.user_roles from public, anon, authenticated, service_role;
grant select on unstuck.user_roles to authenticated, service_role;

--: source sweep/sweeps.sql 01b516e15c27
create table unstuck.sweeps (
  id bigint generated always as identity primary key,
  source text not null,
  started_at timestamptz not null default clock_timestamp(),
  finished_at timestamptz,
  cleaned int not null default 0,
  refunded_credits bigint not null default 0,
  requeued int not null default 0,
  delivered int not null default 0,
  stuck int,
  violations int
);

create index sweeps_by_time on unstuck.sweeps (started_at);

create index sweeps_finished on unstuck.sweeps (finished_at desc)
where finished_at is not null;

comment on table unstuck.sweeps is $c$
One row per pass of a healer. Null counts in a finished row: the count failed.
$c$;

alter table unstuck.sweeps enable row level security;
revoke all on unstuck.sweeps from public, anon, authenticated, service_role;
revoke all on sequence unstuck.sweeps_id_seq from public, anon, authenticated, service_role;
grant select on unstuck.sweeps to service_role;

--: source sweep/unhealed.sql 2082abf39399
-- Jobs that could not even be quarantined, because a trigger or a constraint refuses every change
-- of the row. Healers leave such a job alone until `retry_at`, later after each try, so that any
-- number of them costs the other jobs nothing.
create table unstuck_private.unhealed (
  job_id uuid primary key,
  tries int not null default 1,
  retry_at timestamptz not null,
  reason text not null
);

alter table unstuck_private.unhealed enable row level security;
revoke all on unstuck_private.unhealed from public, anon, authenticated, service_role;

--: source tool/providers.sql 641f807d5c32
create table unstuck.providers (
  provider text primary key,
  -- The number of slots: steps that the provider may work on at the same time.
  max_concurrent int not null
    check (max_concurrent >= 0),
  enabled boolean not null default true,
  -- A synchronous provider answers with the result; a worker holds a lease while the call runs.
  synchronous boolean not null default false,
  -- False: a webhook is only a hint, and the healers query running steps as well.
  signed_webhooks boolean not null default false,
  -- True: a cleanup of its own retries its steps by calling their function, and the sweep does not.
  retried_by_function boolean not null default false,
  -- When `max_concurrent` was last lowered: steps claimed before may exceed the new limit.
  limit_changed_at timestamptz not null default '-infinity'
);

comment on table unstuck.providers is $c$
The providers, and how many steps each may work on at once. What differs between providers is a
column here: no function names a provider.
$c$;

alter table unstuck.providers enable row level security;
revoke all on unstuck.providers from public, anon, authenticated, service_role;
grant select on unstuck.providers to authenticated, service_role;

--: source queue/queue_turns.sql 6ffdeff76b75
-- When each user was last served by a provider. The claim writes it, under the provider's lock.
create table unstuck_private.queue_turns (
  provider text not null references unstuck.providers,
  user_id uuid not null,
  served_at timestamptz not null,
  primary key (provider, user_id)
);

create index queue_turns_by_time on unstuck_private.queue_turns (served_at);

alter table unstuck_private.queue_turns enable row level security;
revoke all on unstuck_private.queue_turns from public, anon, authenticated, service_role;

--: source tool/tools.sql 5c3649b50cd1
create table unstuck.tools (
  tool text primary key,
  -- The view under whose name clients know its jobs. The views are fixed: a new tool joins one.
  table_name text not null
    check (table_name in (
      'upscaler_jobs', 'video_upscaler_jobs', 'pose_changer_jobs', 'veste_ai_jobs',
      'generation_jobs', 'replicate_tasks', 'generation_history'
    )),
  provider text not null references unstuck.providers,
  credit_cost bigint not null
    check (credit_cost >= 0),
  priced_per text not null default 'job'
    check (priced_per in ('job', 'step')),
  step_order text not null default 'sequential'
    check (step_order in ('sequential', 'parallel')),
  -- `all`: a failed job is refunded whole; `per_step`: delivered steps stay charged.
  refund_rule text not null default 'all'
    check (refund_rule in ('all', 'per_step')),
  -- A user has at most one live job among the tools of a group; null: any number.
  exclusive_group text,
  -- How long a claimed step may take until the provider has accepted it.
  start_timeout interval not null default '25 seconds'
    check (start_timeout > '0'),
  -- How long the provider may work on a step.
  run_timeout interval not null default '10 minutes'
    check (run_timeout > '0'),
  -- How long a job may wait in the queue.
  queue_ttl interval not null default '10 minutes'
    check (queue_ttl > '0'),
  -- How often a step may be submitted.
  attempt_max int not null default 3
    check (attempt_max >= 1),
  -- Whether users may cancel what is already at the provider.
  user_cancel_running boolean not null default false,
  -- A disabled tool refuses orders; its jobs stay readable.
  enabled boolean not null default true
);

comment on table unstuck.tools is $c$
What is sold: one row per tool. `tool` is the name of the function that creates its jobs.
$c$;

alter table unstuck.tools enable row level security;
revoke all on unstuck.tools from public, anon, authenticated, service_role;
grant select on unstuck.tools to authenticated, service_role;

--: source job/jobs.sql 8c75eec69bf9
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

--: source step/job_steps.sql 593af7b980f8
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
  primary key (job_id, step),
  unique (provider, provider_task_id),
  -- Each counter can grow: a row at its limit would fail every claim together with it.
  constraint job_steps_counts_in_reach
    check (run < 1000000000000000 and attempts < 1000000000 and rescues < 1000000000),
  constraint job_steps_completed_at_iff_final
    check ((completed_at is not null) = (status in ('completed', 'failed', 'cancelled')))
);

create index job_steps_queued
on unstuck.job_steps (provider)
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

--: source webhook/webhook_inbox.sql 14e0c6b87a39
create table unstuck.webhook_inbox (
  id bigint generated always as identity primary key,
  provider text not null,
  job_id uuid not null,
  step int not null,
  run bigint not null,
  task_id text,
  dedup_key text not null,
  body jsonb not null,
  received_at timestamptz not null default clock_timestamp(),
  applied_at timestamptz,
  unique (provider, dedup_key)
);

create index webhook_inbox_by_job on unstuck.webhook_inbox (job_id, step, run);

create index webhook_inbox_by_time on unstuck.webhook_inbox (received_at);

comment on table unstuck.webhook_inbox is $c$
Every authentic webhook of a provider, once. One that comes before its step knows the provider's
task is kept and applied later. It is pruned a week after, once its job is final.
$c$;

alter table unstuck.webhook_inbox enable row level security;
revoke all on unstuck.webhook_inbox from public, anon, authenticated, service_role;
revoke all on sequence unstuck.webhook_inbox_id_seq from public, anon, authenticated, service_role;
grant select on unstuck.webhook_inbox to service_role;

--: source admin/admin_cancel_record.sql f92c43d3ea11
-- Writes the event `admin_cancelled` with the sums before and after an admin's cancel; p_job is the
-- row before, p_refused why the refund failed. A job whose ledger agrees with its row now is
-- quarantined no longer. A job that cannot agree, or that is still owed a refund, keeps the mark:
-- so the audit knows that an admin has seen it.
create or replace function unstuck_private.admin_cancel_record(
  p_job unstuck.jobs,
  p_refused text
)
returns void
language plpgsql
set search_path = ''
as
$$
declare
  v_job unstuck.jobs;
  v_debit numeric;
  v_refunded numeric;
begin
  select *
  into v_job
  from unstuck.jobs
  where id = p_job.id;
  select
    coalesce(-sum(e.amount) filter (where e.kind = 'debit'), 0),
    coalesce(sum(e.amount) filter (where e.kind = 'refund'), 0)
  into v_debit, v_refunded
  from unstuck.credit_entries e
  where e.job_id = p_job.id
    and e.kind in ('debit', 'refund');
  insert into unstuck.job_events (job_id, event, from_status, to_status, actor, detail)
  values (
    p_job.id, 'admin_cancelled', p_job.status, v_job.status,
    nullif(current_setting('unstuck.actor', true), ''),
    jsonb_strip_nulls(jsonb_build_object(
      'row_charged', p_job.credits_charged,
      'row_refunded', p_job.credits_refunded,
      'ledger_debit', v_debit,
      'ledger_refunds', v_refunded,
      'quarantined_at', p_job.quarantined_at,
      'not_returned', p_refused)));
  update unstuck.jobs
  set quarantined_at = case
    when p_refused is not null or unstuck_private.has_ledger_mismatch(v_job) then
      coalesce(p_job.quarantined_at, clock_timestamp())
  end
  where id = p_job.id;
end $$;

revoke all on function unstuck_private.admin_cancel_record
from public, anon, authenticated, service_role;

--: source admin/job_cancel_admin_v1.sql b4618246c244
create or replace function unstuck.job_cancel_admin_v1(
  p_actor uuid,
  p_table text,
  p_job_id uuid,
  p_reason text
)
returns table (status text, refunded_credits bigint, provider text)
language plpgsql
security definer
set search_path = ''
set statement_timeout = '10s'
as
$$
#variable_conflict use_column
declare
  v_reason text := nullif(trim(trailing '.' from trim(p_reason)), '');
  v_message text := 'cancelled by an admin' || coalesce(': ' || v_reason, '') || '.';
  v_job unstuck.jobs;
  v_refused text;
begin
  if not unstuck.has_role(p_actor, 'admin') then
    perform unstuck_private.refuse(403, 'forbidden');
  end if;
  perform unstuck_private.act_as('admin:' || p_actor);
  v_job := unstuck_private.job_lock(p_job_id);
  perform unstuck_private.refuse_other_table(v_job, p_table);
  perform unstuck_private.refuse_final(v_job);
  begin
    return query
    select c.status, c.refunded, t.provider
    from unstuck_private.jobs_finalise(
      array[p_job_id], array['cancelled'], array['CANCELLED'], array[v_message]) c
    join unstuck.tools t using (tool);
  exception when others then
    -- The account takes no refund. The job is cancelled all the same, and the event says why.
    v_refused := sqlerrm;
    return query
    select c.status, c.refunded, t.provider
    from unstuck_private.jobs_finalise(
      array[p_job_id], array['cancelled'], array['CANCELLED'],
      array[v_message || ' What is owed could not be returned.'], false) c
    join unstuck.tools t using (tool);
  end;
  perform unstuck_private.admin_cancel_record(v_job, v_refused);
end $$;

comment on function unstuck.job_cancel_admin_v1 is $c$
Caller: admin-cancel-job. The role of p_actor is read in the same transaction.

Effect: cancels a live job of any tool, also a quarantined one, and refunds what the ledger shows as
taken and not yet refunded, whatever the row says. If the account takes no refund, the job is
cancelled without one. The message says what was refunded; the event admin_cancelled has the sums
before and after, and why a refund failed.

Refuses: forbidden, bad_request, not_found, already_final (with status and refundedCredits).

Replay: already_final; nothing is refunded twice.
$c$;

revoke all on function unstuck.job_cancel_admin_v1 from public, anon, authenticated, service_role;
grant execute on function unstuck.job_cancel_admin_v1 to service_role;

--: source admin/job_repeat.sql 1573185886d6
-- Writes a new job with the input and the steps of a final one, for the same user. It costs nothing
-- unless p_charge. The old job and the user's account are locked.
create or replace function unstuck_private.job_repeat(
  p_job unstuck.jobs,
  p_tool unstuck.tools,
  p_charge boolean,
  p_new_job_id uuid
)
returns void
language plpgsql
set search_path = ''
as
$$
declare
  v_steps jsonb;
  v_has_lost_input boolean;
  v_price bigint := 0;
begin
  select jsonb_agg(s.input order by s.step), coalesce(bool_or(s.input = '{}'), false)
  into v_steps, v_has_lost_input
  from unstuck.job_steps s
  where s.job_id = p_job.id;
  if v_steps is null then
    perform unstuck_private.refuse(400, 'bad_request');
  end if;
  -- Retention empties old inputs: then there is nothing to repeat.
  if v_has_lost_input then
    perform unstuck_private.refuse(
      409, 'already_final',
      jsonb_build_object(
        'status', p_job.status,
        'refundedCredits', p_job.credits_refunded,
        'reason', 'its input is kept no longer'));
  end if;
  if exists (
    select
    from unstuck.jobs j
    where j.exclusive_key = p_tool.exclusive_group || ':' || p_job.user_id
      and j.status in ('queued', 'starting', 'running')
  ) then
    perform unstuck_private.refuse(409, 'active_job_exists');
  end if;
  if p_charge then
    v_price := unstuck_private.order_price(p_tool, jsonb_array_length(v_steps));
  end if;
  perform unstuck_private.refuse_over_balance(
    unstuck_private.account_lock(p_job.user_id), v_price);
  if exists (select from unstuck.jobs j where j.id = p_new_job_id) then
    perform unstuck_private.refuse(409, 'idempotency_conflict');
  end if;
  perform unstuck_private.job_write(
    p_job.user_id, p_new_job_id, p_tool, p_job.session_id, p_job.input,
    coalesce(p_job.request_hash, 'retry'), v_steps, v_price, p_job.id);
end $$;

revoke all on function unstuck_private.job_repeat from public, anon, authenticated, service_role;

--: source admin/job_requeue_v1.sql a8ae21da2507
create or replace function unstuck.job_requeue_v1(
  p_actor uuid,
  p_table text,
  p_job_id uuid,
  p_charge boolean,
  p_new_job_id uuid
)
returns table (job_id uuid, retried boolean, retry_of uuid, provider text)
language plpgsql
security definer
set search_path = ''
set statement_timeout = '10s'
as
$$
#variable_conflict use_column
declare
  v_job unstuck.jobs;
  v_tool unstuck.tools;
  v_live uuid;
  v_now timestamptz;
begin
  if not unstuck.has_role(p_actor, 'admin') then
    perform unstuck_private.refuse(403, 'forbidden');
  end if;
  perform unstuck_private.act_as('admin:' || p_actor);
  v_job := unstuck_private.job_lock(p_job_id);
  perform unstuck_private.refuse_other_table(v_job, p_table);
  select *
  into v_tool
  from unstuck.tools
  where tool = v_job.tool;
  v_now := clock_timestamp();
  if unstuck_private.is_live(v_job.status) then
    -- The steps of a quarantined job have ended: an admin cancels it first, then retries it.
    if v_job.status = 'pending'
      or v_job.quarantined_at is not null
      or not exists (
        select
        from unstuck.job_steps s
        where s.job_id = v_job.id
          and not unstuck_private.is_final(s.status)
          and (s.deadline_at <= v_now or s.lease_until <= v_now)
      )
    then
      perform unstuck_private.refuse(
        409, 'in_progress', jsonb_build_object('status', v_job.status));
    end if;
    perform unstuck_private.job_restart(v_job, v_tool, v_now);
    return query
    select v_job.id, true, null::uuid, v_tool.provider;
    return;
  end if;
  select j.id
  into v_live
  from unstuck.jobs j
  where j.retry_of = v_job.id
    and unstuck_private.is_live(j.status);
  if not found then
    perform unstuck_private.job_repeat(v_job, v_tool, p_charge, p_new_job_id);
  end if;
  return query
  select coalesce(v_live, p_new_job_id), false, v_job.id, v_tool.provider;
end $$;

comment on function unstuck.job_requeue_v1 is $c$
Caller: admin-retry-job. The role of p_actor is read in the same transaction.

Effect: a live job past its lease or deadline goes back to the queue with fresh counters: retried =
true. A final one becomes a new job, p_new_job_id, of the same user with the same input, free of
charge unless p_charge: retry_of names the old one.

Refuses: forbidden, bad_request, not_found, in_progress (also a quarantined job: cancel it first),
already_final (its input is kept no longer), active_job_exists, insufficient_credits,
idempotency_conflict (the new id is taken).

Replay: while the new job is live: that job.
$c$;

revoke all on function unstuck.job_requeue_v1 from public, anon, authenticated, service_role;
grant execute on function unstuck.job_requeue_v1 to service_role;

--: source admin/job_restart.sql f4009b2fa6f6
-- Puts the unfinished steps of a live job back into the queue, with fresh counters and deadlines,
-- and owes the provider a cancel of each old task. Finished steps are kept. The job is locked.
create or replace function unstuck_private.job_restart(
  p_job unstuck.jobs,
  p_tool unstuck.tools,
  p_now timestamptz
)
returns void
language sql
set search_path = ''
as
$$
  update unstuck.jobs j
  set expires_at = p_now + unstuck_private.job_lifetime(j.tool, j.total_steps),
    deadline_at = p_now + p_tool.queue_ttl,
    retries = 0
  where j.id = p_job.id;

  update unstuck.job_steps s
  set status = 'queued',
    attempts = 0,
    rescues = 0,
    not_before = null,
    sent_at = null,
    started_at = null,
    claimed_at = null,
    lease_until = null,
    provider_cancel_due = unstuck_private.cancel_debt_with(s),
    provider_task_id = null,
    provider_done_at = null,
    run = s.run + 1,
    deadline_at = p_now + p_tool.queue_ttl
  where s.job_id = p_job.id
    and s.status in ('starting', 'running', 'queued');

  update unstuck.job_steps s
  set deadline_at = j.expires_at
  from unstuck.jobs j
  where j.id = s.job_id
    and s.job_id = p_job.id
    and s.status = 'blocked';

  select unstuck_private.job_sync_from_steps(array[p_job.id]);

  insert into unstuck.job_events (job_id, event, from_status, to_status, actor)
  select j.id, 'job_requeued', p_job.status, j.status,
    nullif(current_setting('unstuck.actor', true), '')
  from unstuck.jobs j
  where j.id = p_job.id
$$;

revoke all on function unstuck_private.job_restart from public, anon, authenticated, service_role;

--: source audit/audit.sql 192374fc2f15
-- Audits what changed since the last audit, page by page, within a time budget; the rest is left to
-- the next pass. Each change is audited once, by the healer that comes first; another healer does
-- not wait. Each time a hundred stored violations are checked once more, so that none outlives its
-- cause.
create or replace function unstuck_private.audit(p_budget interval) returns void
language plpgsql
set search_path = ''
as
$$
declare
  v_until timestamptz := clock_timestamp() + p_budget;
  v_ids bigint[];
  v_last bigint := 0;
  v_jobs uuid[];
  v_users uuid[];
  v_entries bigint[];
begin
  perform 1
  from unstuck_private.audit_lock
  for update skip locked;
  if not found then
    return;
  end if;
  select array_agg(f.job_id) filter (where f.job_id is not null),
    array_agg(f.user_id) filter (where f.user_id is not null)
  into v_jobs, v_users
  from (
    select distinct c.job_id, c.user_id
    from (
      select *
      from unstuck.violations_found s
      order by s.checked_at
      limit 100
    ) c
  ) f;
  if v_jobs is not null or v_users is not null then
    perform unstuck_private.audit_page(v_jobs, v_users, '{}');
  end if;
  loop
    select array_agg(u.id),
      max(u.id),
      array_agg(distinct u.job_id) filter (where u.job_id is not null),
      array_agg(distinct u.user_id) filter (where u.user_id is not null),
      array_agg(u.entry_id) filter (where u.entry_id is not null)
    into v_ids, v_last, v_jobs, v_users, v_entries
    from (
      select *
      from unstuck_private.unaudited n
      where n.id > v_last
      order by n.id
      limit 500
    ) u;
    exit when v_ids is null;
    perform unstuck_private.audit_page(v_jobs, v_users, v_entries);
    delete from unstuck_private.unaudited u
    where u.id = any (v_ids);
    exit when clock_timestamp() > v_until;
  end loop;
  update unstuck_private.audit_lock
  set audited_at = clock_timestamp();
end $$;

revoke all on function unstuck_private.audit from public, anon, authenticated, service_role;

--: source audit/audit_everything.sql 41cfe2a7c5ce
-- For an operator, after a restore or work with triggers off: audits every job, user and entry,
-- however long that takes, and returns how many violations are stored then.
create or replace function unstuck_private.audit_everything() returns bigint
language plpgsql
set search_path = ''
as
$$
begin
  perform unstuck_private.unaudited_list_all();
  perform unstuck_private.audit(interval '1 day');
  return (select count(*) from unstuck.violations_found);
end $$;

revoke all on function unstuck_private.audit_everything
from public, anon, authenticated, service_role;

--: source audit/audit_page.sql 7811a42f00e0
-- Audits these jobs, users and entries: stores the violations found and deletes those that are
-- mended.
create or replace function unstuck_private.audit_page(
  p_jobs uuid[],
  p_users uuid[],
  p_entries bigint[]
)
returns void
language plpgsql
set search_path = ''
as
$$
begin
  with found as materialized (
    select *
    from unstuck_private.violations_of_each(p_jobs, p_users, p_entries)
  ), stored as (
    select f.invariant, f.subject
    from unnest(p_jobs) as n (id)
    join unstuck.violations_found f on f.job_id = n.id
    union
    select f.invariant, f.subject
    from unnest(p_users) as n (id)
    join unstuck.violations_found f on f.user_id = n.id
  ), mended as (
    delete from unstuck.violations_found f
    using stored s
    where f.invariant = s.invariant
      and f.subject = s.subject
      and not exists (
        select from found o
        where o.invariant = f.invariant and o.subject = f.subject
      )
  )
  insert into unstuck.violations_found
    (invariant, subject, detail, job_id, user_id, entry_id)
  select o.invariant, o.subject, o.detail, o.job_id, o.user_id, o.entry_id
  from found o
  on conflict (invariant, subject) do update set
    detail = excluded.detail,
    checked_at = excluded.checked_at;
end $$;

revoke all on function unstuck_private.audit_page from public, anon, authenticated, service_role;

--: source audit/audited_entries.sql 4e7ff80cf3b1
-- The ledger entries to audit for these jobs, users and entries: the entries themselves, those that
-- are stored as a violation of one of the users, and the debits and refunds of jobs that are gone.
-- A time that was written by hand is moved so close that an hour can be added to it.
create or replace function unstuck_private.audited_entries(
  p_jobs uuid[],
  p_users uuid[],
  p_entries bigint[]
)
returns table (id bigint, user_id uuid, kind text, amount bigint, job_id uuid, at timestamptz)
language sql
stable
as
$$
  select e.id, e.user_id, e.kind, e.amount, e.job_id,
    least(greatest(e.created_at, '1000-01-01'), '9000-01-01')
  from (
    select unnest(p_entries)
    union
    select f.entry_id
    from unnest(p_users) as n (id)
    join unstuck.violations_found f on f.user_id = n.id
    union
    select c.id
    from unnest(p_jobs) as n (id)
    join unstuck.credit_entries c on c.job_id = n.id and c.kind in ('debit', 'refund')
    where not exists (select from unstuck.jobs j where j.id = n.id)
  ) as n (id)
  join unstuck.credit_entries e on e.id = n.id
$$;

revoke all on function unstuck_private.audited_entries
from public, anon, authenticated, service_role;

--: source audit/audited_jobs.sql a7e17dfba666
-- What the invariants compare of these jobs: the row, the sums of its steps and of its ledger. A
-- function of its own, so that each sum is computed once.
create or replace function unstuck_private.audited_jobs(p_jobs uuid[])
returns table (
  id uuid,
  user_id uuid,
  status text,
  credits_charged bigint,
  credits_refunded bigint,
  quarantined_at timestamptz,
  is_per_step boolean,
  is_final boolean,
  is_settled boolean,
  has_no_ledger boolean,
  steps bigint,
  live_steps bigint,
  delivered_share numeric,
  undelivered_share numeric,
  debit numeric,
  refunded numeric
)
language sql
stable
as
$$
  select j.id, j.user_id, j.status, j.credits_charged, j.credits_refunded, j.quarantined_at,
    j.refund_rule = 'per_step',
    unstuck_private.is_final(j.status),
    -- is_settled: an admin ended the job although its money does not agree, and the event
    -- `admin_cancelled` says so. No one can mend the ledger any more, so it is no violation.
    unstuck_private.is_final(j.status) and j.quarantined_at is not null,
    -- has_no_ledger: the ledger was deleted with its user, and the job was kept.
    exists (
      select from unstuck_private.removals r
      where r.user_id = j.user_id
        and r.ledger_removed_at >= j.created_at
    ),
    s.*, e.*
  from unnest(p_jobs) as n (id)
  join unstuck.jobs j on j.id = n.id
  cross join lateral (
    select count(*),
      count(*) filter (where not unstuck_private.is_final(st.status)),
      coalesce(sum(st.share) filter (where st.status = 'completed'), 0),
      coalesce(sum(st.share) filter (where st.status <> 'completed'), 0)
    from unstuck.job_steps st
    where st.job_id = j.id
  ) s
  cross join lateral (
    select coalesce(-sum(c.amount) filter (where c.kind = 'debit'), 0),
      coalesce(sum(c.amount) filter (where c.kind = 'refund'), 0)
    from unstuck.credit_entries c
    where c.job_id = j.id
      and c.kind in ('debit', 'refund')
  ) e
$$;

revoke all on function unstuck_private.audited_jobs from public, anon, authenticated, service_role;

--: source audit/cancelled_requests_unaudited.sql 1f53d6a0b32a
-- Lists for the audit the jobs of cancelled orders: the live ones when the order is cancelled, and
-- those with a stored violation when the row is deleted.
create or replace function unstuck_private.cancelled_requests_unaudited() returns trigger
language plpgsql
set search_path = ''
as
$$
begin
  if tg_op = 'DELETE' then
    insert into unstuck_private.unaudited (job_id)
    select o.job_id
    from old_rows o
    join unstuck.violations_found f on f.job_id = o.job_id;
  else
    insert into unstuck_private.unaudited (job_id)
    select n.job_id
    from new_rows n
    join unstuck.jobs j on j.id = n.job_id
    where unstuck_private.is_live(j.status);
  end if;
  return null;
end $$;

create or replace trigger cancelled_requests_unaudited_insert
after insert on unstuck.cancelled_requests
referencing new table as new_rows
for each statement execute function unstuck_private.cancelled_requests_unaudited();

create or replace trigger cancelled_requests_unaudited_delete
after delete on unstuck.cancelled_requests
referencing old table as old_rows
for each statement execute function unstuck_private.cancelled_requests_unaudited();

revoke all on function unstuck_private.cancelled_requests_unaudited
from public, anon, authenticated, service_role;

--: source audit/credit_accounts_unaudited.sql a6453ec80b88
-- Lists for the audit the users whose balance changed.
create or replace function unstuck_private.credit_accounts_unaudited() returns trigger
language plpgsql
set search_path = ''
as
$$
begin
  if tg_op = 'DELETE' then
    insert into unstuck_private.unaudited (user_id)
    select o.user_id
    from old_rows o;
  else
    insert into unstuck_private.unaudited (user_id)
    select n.user_id
    from new_rows n;
  end if;
  return null;
end $$;

create or replace trigger credit_accounts_unaudited_insert after insert on unstuck.credit_accounts
referencing new table as new_rows
for each statement execute function unstuck_private.credit_accounts_unaudited();

create or replace trigger credit_accounts_unaudited_update after update on unstuck.credit_accounts
referencing new table as new_rows
for each statement execute function unstuck_private.credit_accounts_unaudited();

create or replace trigger credit_accounts_unaudited_delete after delete on unstuck.credit_accounts
referencing old table as old_rows
for each statement execute function unstuck_private.credit_accounts_unaudited();

revoke all on function unstuck_private.credit_accounts_unaudited
from public, anon, authenticated, service_role;

--: source audit/credit_entries_unaudited.sql 3864f5c83d0c
-- Lists for the audit new entries, and the users and jobs of deleted ones.
create or replace function unstuck_private.credit_entries_unaudited() returns trigger
language plpgsql
set search_path = ''
as
$$
begin
  if tg_op = 'INSERT' then
    insert into unstuck_private.unaudited (job_id, user_id, entry_id)
    select n.job_id, n.user_id, n.id
    from new_rows n;
  else
    insert into unstuck_private.unaudited (job_id, user_id)
    select distinct o.job_id, o.user_id
    from old_rows o;
    perform unstuck_private.removals_record(
      array(select distinct o.user_id from old_rows o)
    );
  end if;
  return null;
end $$;

create or replace trigger credit_entries_unaudited_insert after insert on unstuck.credit_entries
referencing new table as new_rows
for each statement execute function unstuck_private.credit_entries_unaudited();

create or replace trigger credit_entries_unaudited_delete after delete on unstuck.credit_entries
referencing old table as old_rows
for each statement execute function unstuck_private.credit_entries_unaudited();

revoke all on function unstuck_private.credit_entries_unaudited
from public, anon, authenticated, service_role;

--: source audit/job_steps_unaudited.sql 7a9aa9ce4e27
-- Lists for the audit the jobs of steps that changed in a column that an invariant reads.
create or replace function unstuck_private.job_steps_unaudited() returns trigger
language plpgsql
set search_path = ''
set enable_nestloop = off
as
$$
begin
  if tg_op = 'UPDATE' then
    insert into unstuck_private.unaudited (job_id)
    select distinct job_id
    from old_rows o
    full join new_rows n using (job_id, step)
    where row(n.status, n.share) is distinct from row(o.status, o.share);
  elsif tg_op = 'DELETE' then
    insert into unstuck_private.unaudited (job_id)
    select distinct o.job_id
    from old_rows o;
  else
    insert into unstuck_private.unaudited (job_id)
    select distinct n.job_id
    from new_rows n;
  end if;
  return null;
end $$;

create or replace trigger job_steps_unaudited_insert after insert on unstuck.job_steps
referencing new table as new_rows
for each statement execute function unstuck_private.job_steps_unaudited();

create or replace trigger job_steps_unaudited_update after update on unstuck.job_steps
referencing old table as old_rows new table as new_rows
for each statement execute function unstuck_private.job_steps_unaudited();

create or replace trigger job_steps_unaudited_delete after delete on unstuck.job_steps
referencing old table as old_rows
for each statement execute function unstuck_private.job_steps_unaudited();

revoke all on function unstuck_private.job_steps_unaudited
from public, anon, authenticated, service_role;

--: source audit/jobs_unaudited.sql 542baba27725
-- Lists for the audit the jobs that changed in a column that an invariant reads. The planner cannot
-- know how many rows a transition table holds; a nested loop over two of them would cost the square
-- of their size.
create or replace function unstuck_private.jobs_unaudited() returns trigger
language plpgsql
set search_path = ''
set enable_nestloop = off
as
$$
begin
  if tg_op = 'UPDATE' then
    insert into unstuck_private.unaudited (job_id)
    select id
    from old_rows o
    full join new_rows n using (id)
    where row(
        n.status, n.user_id, n.credits_charged, n.credits_refunded, n.refund_rule,
        n.quarantined_at
      )
      is distinct from row(
        o.status, o.user_id, o.credits_charged, o.credits_refunded, o.refund_rule,
        o.quarantined_at
      );
  elsif tg_op = 'INSERT' then
    insert into unstuck_private.unaudited (job_id, user_id)
    select n.id, n.user_id
    from new_rows n;
  else
    insert into unstuck_private.unaudited (job_id, user_id)
    select o.id, o.user_id
    from old_rows o;
    perform unstuck_private.removals_record(
      array(select distinct o.user_id from old_rows o)
    );
  end if;
  return null;
end $$;

create or replace trigger jobs_unaudited_insert after insert on unstuck.jobs
referencing new table as new_rows
for each statement execute function unstuck_private.jobs_unaudited();

create or replace trigger jobs_unaudited_update after update on unstuck.jobs
referencing old table as old_rows new table as new_rows
for each statement execute function unstuck_private.jobs_unaudited();

create or replace trigger jobs_unaudited_delete after delete on unstuck.jobs
referencing old table as old_rows
for each statement execute function unstuck_private.jobs_unaudited();

revoke all on function unstuck_private.jobs_unaudited
from public, anon, authenticated, service_role;

--: source audit/removals_record.sql cbbb8e577378
-- Records, after some jobs or the ledger of these users were deleted, what is gone altogether while
-- the other is still there, and forgets a user of whom nothing is left.
create or replace function unstuck_private.removals_record(p_users uuid[]) returns void
language sql
set search_path = ''
as
$$
  with remains as (
    select u.id as user_id,
      exists (select from unstuck.jobs j where j.user_id = u.id) as has_jobs,
      exists (select from unstuck.credit_entries e where e.user_id = u.id) as has_ledger
    from unnest(p_users) as u (id)
  ), forgotten as (
    delete from unstuck_private.removals r
    using remains l
    where r.user_id = l.user_id and not l.has_jobs and not l.has_ledger
  )
  insert into unstuck_private.removals as r (user_id, jobs_removed_at, ledger_removed_at)
  select l.user_id,
    case when not l.has_jobs then clock_timestamp() else '-infinity' end,
    case when not l.has_ledger then clock_timestamp() else '-infinity' end
  from remains l
  where l.has_jobs and not l.has_ledger
    or not l.has_jobs and exists (
      select from unstuck.credit_entries e
      where e.user_id = l.user_id and e.job_id is not null
    )
  on conflict (user_id) do update set
    jobs_removed_at = greatest(r.jobs_removed_at, excluded.jobs_removed_at),
    ledger_removed_at = greatest(r.ledger_removed_at, excluded.ledger_removed_at)
$$;

revoke all on function unstuck_private.removals_record
from public, anon, authenticated, service_role;

--: source audit/truncate_unaudited.sql 5ad18cd96cab
-- Lists everything for the audit after a table was truncated, because a truncate does not say which
-- rows are gone.
create or replace function unstuck_private.truncate_unaudited() returns trigger
language plpgsql
set search_path = ''
as
$$
begin
  perform unstuck_private.unaudited_list_all();
  return null;
end $$;

create or replace trigger jobs_truncated after truncate on unstuck.jobs
for each statement execute function unstuck_private.truncate_unaudited();

create or replace trigger job_steps_truncated after truncate on unstuck.job_steps
for each statement execute function unstuck_private.truncate_unaudited();

create or replace trigger credit_entries_truncated after truncate on unstuck.credit_entries
for each statement execute function unstuck_private.truncate_unaudited();

create or replace trigger credit_accounts_truncated after truncate on unstuck.credit_accounts
for each statement execute function unstuck_private.truncate_unaudited();

revoke all on function unstuck_private.truncate_unaudited
from public, anon, authenticated, service_role;

--: source audit/unaudited_list_all.sql 3dd154d55b5f
-- Lists for the audit everything there is, and every stored violation.
create or replace function unstuck_private.unaudited_list_all() returns void
language sql
set search_path = ''
as
$$
  insert into unstuck_private.unaudited (job_id)
  select j.id
  from unstuck.jobs j;

  insert into unstuck_private.unaudited (user_id)
  select a.user_id
  from unstuck.credit_accounts a
  union
  select e.user_id
  from unstuck.credit_entries e;

  -- The other entries are audited with their jobs.
  insert into unstuck_private.unaudited (user_id, entry_id)
  select e.user_id, e.id
  from unstuck.credit_entries e
  where e.kind in ('adjustment', 'refund')
    or e.kind = 'debit' and e.job_id is not null and not exists (
      select from unstuck.jobs j
      where j.id = e.job_id
    );

  insert into unstuck_private.unaudited (job_id, user_id)
  select f.job_id, f.user_id
  from unstuck.violations_found f
$$;

revoke all on function unstuck_private.unaudited_list_all
from public, anon, authenticated, service_role;

--: source audit/violations.sql abf2a9e2ee6b
-- Every violation there is now: the stored ones, except those whose subject changed since; the
-- violations among what changed since the last audit; and those of `violations_now`. Of a very long
-- list of changes only the newest 2,000 are audited, so that a read never takes long.
create or replace function unstuck_private.violations()
returns table (invariant text, subject text, detail text)
language plpgsql
stable
set search_path = ''
as
$$
#variable_conflict use_column
declare
  v_jobs uuid[];
  v_users uuid[];
  v_entries bigint[];
begin
  select array_agg(distinct u.job_id) filter (where u.job_id is not null),
    array_agg(distinct u.user_id) filter (where u.user_id is not null),
    array_agg(u.entry_id) filter (where u.entry_id is not null)
  into v_jobs, v_users, v_entries
  from (
    select *
    from unstuck_private.unaudited n
    order by n.id desc
    limit 2000
  ) u;
  return query
  select f.invariant, f.subject, f.detail
  from unstuck.violations_found f
  where not exists (select from unnest(v_jobs) as n (id) where n.id = f.job_id)
    and not exists (select from unnest(v_users) as n (id) where n.id = f.user_id)
  order by f.found_at;
  return query
  select o.invariant, o.subject, o.detail
  from unstuck_private.violations_of_each(v_jobs, v_users, v_entries) o;
  return query
  select o.invariant, o.subject, o.detail
  from unstuck_private.violations_now() o;
end $$;

revoke all on function unstuck_private.violations from public, anon, authenticated, service_role;

--: source audit/violations_now.sql 839612f4e5d0
-- The violations of the two invariants that hold or not by the clock; they are never stored.
create or replace function unstuck_private.violations_now()
returns table (invariant text, subject text, detail text)
language sql
stable
set search_path = ''
set jit = off
as
$$
  with provider as materialized (
    select p.provider, p.enabled, p.max_concurrent, p.limit_changed_at, l.live
    from unstuck.providers p
    cross join lateral (
      select count(*) as live
      from unstuck.job_steps s
      where s.provider = p.provider and unstuck_private.holds_slot(s)
    ) l
  ), since as (
    select clock_timestamp() as now, clock_timestamp() - interval '4 minutes' as at
  ), freed as materialized (
    select s.provider, count(*) as slots
    from unstuck.job_steps s
    where coalesce(s.provider_done_at, s.completed_at) > (select since.at from since)
      and coalesce(s.claimed_at, s.sent_at, s.started_at) is not null
    group by s.provider
  ), idle as materialized (
    select p.provider
    from provider p
    left join freed f on f.provider = p.provider
    where p.enabled and p.max_concurrent > p.live + coalesce(f.slots, 0)
  )
  select 'slots_within_limit', p.provider, format('%s live, limit %s', c.live, p.max_concurrent)
  from provider p
  cross join lateral (
    select count(*) as live
    from unstuck.job_steps s
    join unstuck.jobs j on j.id = s.job_id
    where s.provider = p.provider
      and unstuck_private.holds_slot(s)
      -- Rows that others wrote hold a slot without a claim.
      and coalesce(s.claimed_at, s.sent_at, s.started_at, j.created_at) > p.limit_changed_at
  ) c
  where p.live > p.max_concurrent and c.live > p.max_concurrent
  union all
  select 'work_waits_for_a_reason', s.job_id::text,
    format('step %s waits while %s has a free slot', s.step, s.provider)
  from idle i
  cross join since n
  join unstuck.job_steps s on s.provider = i.provider and s.status = 'queued'
  join unstuck.jobs j on j.id = s.job_id
  -- Four minutes count from the moment when nothing was in the way: the step was queued and the
  -- slot was free.
  where greatest(coalesce(j.queued_at, j.created_at), s.not_before) < n.at
    and unstuck_private.is_live(j.status)
    and j.quarantined_at is null
    -- The queue TTL is paused while another step of the job works.
    and (
      s.deadline_at > n.now
      or exists (
        select from unstuck.job_steps w
        where w.job_id = s.job_id and w.status in ('starting', 'running')
      )
    )
    and not exists (
      select from unstuck.job_events e
      where e.job_id = s.job_id
        and e.step = s.step
        and e.to_status = 'queued'
        and e.at >= n.at
    )
$$;

revoke all on function unstuck_private.violations_now
from public, anon, authenticated, service_role;

--: source audit/violations_of.sql 4edad6c410f7
-- One row per violation of an invariant among these jobs, users and entries, and among what belongs
-- to them. docs/data-model.md says what each invariant means.
create or replace function unstuck_private.violations_of(
  p_jobs uuid[],
  p_users uuid[],
  p_entries bigint[]
)
returns table (
  invariant text,
  subject text,
  detail text,
  job_id uuid,
  user_id uuid,
  entry_id bigint
)
language sql
stable
set search_path = ''
set jit = off
as
$$
  select j.invariant, j.job_id::text, j.detail, j.job_id, null::uuid, null::bigint
  from unstuck_private.violations_of_jobs(p_jobs) j
  union all
  select e.invariant, e.entry_id::text, e.detail, null, e.user_id, e.entry_id
  from unstuck_private.violations_of_entries(p_jobs, p_users, p_entries) e
  union all
  select b.invariant, b.user_id::text, b.detail, null, b.user_id, null
  from unstuck_private.violations_of_balances(p_users) b
$$;

revoke all on function unstuck_private.violations_of
from public, anon, authenticated, service_role;

--: source audit/violations_of_balances.sql db77392af8dc
-- The users among these whose balance is not the sum of their entries.
create or replace function unstuck_private.violations_of_balances(p_users uuid[])
returns table (invariant text, user_id uuid, detail text)
language sql
stable
as
$$
  select 'balance_equals_entries', n.id,
    case when a.user_id is null
      then format('no account, entries %s', t.total)
      else format('balance %s, entries %s', a.balance, t.total)
    end
  from unnest(p_users) as n (id)
  left join unstuck.credit_accounts a on a.user_id = n.id
  cross join lateral (
    select count(*) as entries, coalesce(sum(e.amount), 0) as total
    from unstuck.credit_entries e
    where e.user_id = n.id
  ) t
  where case when a.user_id is null then t.entries > 0 else a.balance <> t.total end
$$;

revoke all on function unstuck_private.violations_of_balances
from public, anon, authenticated, service_role;

--: source audit/violations_of_each.sql 54d37e04c474
-- `violations_of`, safe against any single row: where the statement fails, each job and user is
-- audited alone, and the one that cannot be audited is a violation itself.
create or replace function unstuck_private.violations_of_each(
  p_jobs uuid[],
  p_users uuid[],
  p_entries bigint[]
)
returns table (
  invariant text,
  subject text,
  detail text,
  job_id uuid,
  user_id uuid,
  entry_id bigint
)
language plpgsql
stable
set search_path = ''
as
$$
#variable_conflict use_column
declare
  v_id uuid;
begin
  begin
    return query
    select *
    from unstuck_private.violations_of(p_jobs, p_users, p_entries);
    return;
  exception when others then
    null;
  end;
  foreach v_id in array coalesce(p_jobs, '{}') loop
    begin
      return query
      select *
      from unstuck_private.violations_of(array[v_id], '{}', '{}');
    exception when others then
      return query
      select 'row_can_be_audited', v_id::text, sqlerrm, v_id, null::uuid, null::bigint;
    end;
  end loop;
  foreach v_id in array coalesce(p_users, '{}') loop
    begin
      return query
      select *
      from unstuck_private.violations_of(
        '{}',
        array[v_id],
        array(
          select e.id
          from unstuck.credit_entries e
          where e.user_id = v_id and e.id = any (p_entries)
        )
      );
    exception when others then
      return query
      select 'row_can_be_audited', v_id::text, sqlerrm, null::uuid, v_id, null::bigint;
    end;
  end loop;
end $$;

revoke all on function unstuck_private.violations_of_each
from public, anon, authenticated, service_role;

--: source audit/violations_of_entries.sql 6d0751684e4f
-- The violations among the ledger entries that `audited_entries` names: an entry of a job that does
-- not exist, and an adjustment within an hour of a refund of the same user.
create or replace function unstuck_private.violations_of_entries(
  p_jobs uuid[],
  p_users uuid[],
  p_entries bigint[]
)
returns table (invariant text, entry_id bigint, user_id uuid, detail text)
language sql
stable
as
$$
  with entry as materialized (
    select *
    from unstuck_private.audited_entries(p_jobs, p_users, p_entries)
  ), adjustment as (
    select e.id, e.user_id, e.amount, e.at
    from entry e
    where e.kind = 'adjustment' and e.amount > 0
    union
    select a.id, a.user_id, a.amount, least(greatest(a.created_at, '1000-01-01'), '9000-01-01')
    from entry e
    join unstuck.credit_entries a on a.user_id = e.user_id and a.kind = 'adjustment'
    where e.kind = 'refund'
      and a.amount > 0
      and a.created_at between e.at - interval '1 hour' and e.at + interval '1 hour'
  )
  select 'entry_without_job', e.id, e.user_id,
    format('%s of %s for job %s', e.kind, e.amount, e.job_id)
  from entry e
  where (e.kind = 'refund' or e.kind = 'debit' and e.job_id is not null)
    and not exists (select from unstuck.jobs j where j.id = e.job_id)
    and not exists (
      select from unstuck_private.removals r
      where r.user_id = e.user_id and r.jobs_removed_at >= e.at
    )
  union all
  -- Of any amount: older code refunds the whole price where only a share was due. An adjustment
  -- that takes it back settles it by name, because older code also takes for reasons of its own.
  select 'adjustment_beside_refund', a.id, a.user_id,
    format('adjustment of %s near the refund of job %s', a.amount, r.job_id)
  from adjustment a
  cross join lateral (
    select c.job_id
    from unstuck.credit_entries c
    where c.user_id = a.user_id
      and c.kind = 'refund'
      and c.created_at between a.at - interval '1 hour' and a.at + interval '1 hour'
    order by c.id desc
    limit 1
  ) r
  where not exists (
    select from unstuck.credit_entries x
    where x.user_id = a.user_id
      and x.kind = 'adjustment'
      and x.amount = -a.amount
      and x.reason = 'settles ' || a.id
  )
$$;

revoke all on function unstuck_private.violations_of_entries
from public, anon, authenticated, service_role;

--: source audit/violations_of_jobs.sql 63c7bc2ac35f
-- The violations among these jobs, one row each.
create or replace function unstuck_private.violations_of_jobs(p_jobs uuid[])
returns table (invariant text, job_id uuid, detail text)
language sql
stable
as
$$
  with job as materialized (
    select *
    from unstuck_private.audited_jobs(p_jobs)
  )
  select 'steps_final_iff_job_final', j.id,
    format('job is %s with %s of %s steps live', j.status, j.live_steps, j.steps)
  from job j
  where j.steps > 0
    and (
      j.is_final and j.live_steps > 0
      or not j.is_final and j.live_steps = 0 and j.quarantined_at is null
    )
  union all
  select 'cancelled_request_never_runs', j.id,
    format('job is %s, its user cancelled it at %s', j.status, c.at)
  from job j
  join unstuck.cancelled_requests c on c.user_id = j.user_id and c.job_id = j.id
  where j.status in ('queued', 'starting', 'running')
  union all
  select 'refunds_within_debit', j.id, format('refunded %s of %s', j.refunded, j.debit)
  from job j
  where j.refunded > j.debit and not j.is_settled
  union all
  select 'job_money_equals_ledger', j.id,
    format('row: %s charged, %s refunded; ledger: %s, %s',
      j.credits_charged, j.credits_refunded, j.debit, j.refunded)
  from job j
  where (j.credits_charged <> j.debit or j.credits_refunded <> j.refunded)
    and not j.has_no_ledger
    and not j.is_settled
  union all
  select 'final_refund_exact', j.id,
    format('%s with %s refunded of %s', j.status, j.refunded, j.debit)
  from job j
  -- Of a settled job, only credits that could not be refunded are a violation.
  where (j.quarantined_at is null or j.is_settled and j.refunded < j.debit)
    and not j.has_no_ledger
    and case
      -- Shares in rows of others may not add up: finalising such a job computes them anew.
      when j.is_per_step and j.delivered_share + j.undelivered_share <> j.debit then false
      when j.status = 'completed' then
        j.refunded <> case when j.is_per_step then j.undelivered_share else 0 end
      when j.is_final then
        j.refunded <> j.debit
          - case when j.is_per_step and j.debit > 0 then j.delivered_share else 0 end
      else false
    end
  union all
  select 'quarantined', j.id, format('live %s, quarantined at %s', j.status, j.quarantined_at)
  from job j
  where j.quarantined_at is not null and not j.is_final
$$;

revoke all on function unstuck_private.violations_of_jobs
from public, anon, authenticated, service_role;

--: source audit/visible_violations.sql 1ad00e771917
-- The rows of `invariant_violations`, for those who may see them.
create or replace function unstuck_private.visible_violations()
returns table (invariant text, subject text, detail text)
language plpgsql
stable
security definer
set search_path = ''
as
$$
begin
  if unstuck_private.may_see(null) then
    return query
    select o.invariant, o.subject, o.detail
    from unstuck_private.violations() o;
  end if;
end $$;

revoke all on function unstuck_private.visible_violations
from public, anon, authenticated, service_role;
grant execute on function unstuck_private.visible_violations to authenticated, service_role;

--: source cancel/cancelled_requests_add.sql be4eaa1ab88f
-- Records what a user cancelled, as far as there is room, and returns whether there was room for
-- all. It first deletes what is kept no longer. The caller has locked the user's account.
create or replace function unstuck_private.cancelled_requests_add(p_user_id uuid, p_job_ids uuid[])
returns boolean
language plpgsql
set search_path = ''
as
$$
declare
  v_new uuid[];
  v_room int;
begin
  delete from unstuck.cancelled_requests c
  using unstuck.retention r
  where r.kind = 'cancelled_requests'
    and c.user_id = p_user_id
    and c.at < clock_timestamp() - r.keep;
  v_new := array(
    select distinct x.id
    from unnest(p_job_ids) as x (id)
    where x.id is not null
      and not exists (
        select from unstuck.cancelled_requests c
        where c.user_id = p_user_id and c.job_id = x.id
      )
  );
  if v_new = '{}' then
    return true;
  end if;
  select 1000 - count(*)
  into v_room
  from unstuck.cancelled_requests c
  where c.user_id = p_user_id;
  insert into unstuck.cancelled_requests (user_id, job_id)
  select p_user_id, x.id
  from unnest(v_new) as x (id)
  limit greatest(v_room, 0);
  return cardinality(v_new) <= v_room;
end $$;

revoke all on function unstuck_private.cancelled_requests_add
from public, anon, authenticated, service_role;

--: source cancel/cancelled_requests_full_for.sql 57780324b562
-- Seconds until the oldest row of `cancelled_requests` of this user is kept no longer.
create or replace function unstuck_private.cancelled_requests_full_for(p_user_id uuid)
returns int
language sql
stable
set search_path = ''
as
$$
  select greatest(ceil(extract(epoch from min(c.at) + r.keep - clock_timestamp())), 1)::int
  from unstuck.cancelled_requests c
  join unstuck.retention r on r.kind = 'cancelled_requests'
  where c.user_id = p_user_id
  group by r.keep
$$;

revoke all on function unstuck_private.cancelled_requests_full_for
from public, anon, authenticated, service_role;

--: source cancel/is_orphan.sql 39af24eff949
-- True for a row that waits since before p_before, that nobody paid for or ordered, and that no
-- worker has claimed.
create or replace function unstuck_private.is_orphan(p_job unstuck.jobs, p_before timestamptz)
returns boolean
language sql
stable
set search_path = ''
as
$$
  select p_job.status in ('pending', 'queued')
    and p_job.quarantined_at is null
    and p_job.request_hash is null
    and p_job.started_at is null
    and coalesce(p_job.queued_at, p_job.created_at) <= p_before
    and not exists (
      select
      from unstuck.credit_entries e
      where e.job_id = p_job.id
        and e.kind = 'debit'
    )
    and not exists (
      select
      from unstuck.job_steps s
      where s.job_id = p_job.id
        and (s.provider_task_id is not null or s.claimed_at is not null)
    )
$$;

revoke all on function unstuck_private.is_orphan from public, anon, authenticated, service_role;

--: source cancel/job_cancel_v1.sql e97ce81e6631
create or replace function unstuck.job_cancel_v1(p_user_id uuid, p_table text, p_job_id uuid)
returns table (status text, refunded_credits bigint, provider text)
language plpgsql
security definer
set search_path = ''
set statement_timeout = '10s'
as
$$
#variable_conflict use_column
declare
  v_job unstuck.jobs;
  v_tool unstuck.tools;
begin
  perform unstuck_private.act_as('user');
  v_job := unstuck_private.job_lock(p_job_id);
  if v_job.user_id is distinct from p_user_id then
    v_job := null;
  end if;
  perform unstuck_private.refuse_other_table(v_job, p_table);
  select *
  into v_tool
  from unstuck.tools
  where tool = v_job.tool;
  if v_job.error_code = 'ORPHANED' then
    -- A sweep cancelled it, and its `/run` could adopt it: from now on its user cancelled it.
    perform unstuck_private.cancelled_requests_add(p_user_id, array[p_job_id]);
    update unstuck.jobs
    set error_code = 'CANCELLED',
      error_message = 'CANCELLED: cancelled by the user.'
    where id = p_job_id;
    return query
    select 'cancelled', 0::bigint, v_tool.provider;
    return;
  end if;
  perform unstuck_private.refuse_final(v_job);
  if v_job.quarantined_at is not null
    or v_job.status in ('starting', 'running') and not v_tool.user_cancel_running
  then
    perform unstuck_private.refuse(
      409, 'in_progress', jsonb_build_object('status', v_job.status));
  end if;
  perform unstuck_private.cancelled_requests_add(p_user_id, array[p_job_id]);
  begin
    return query
    select c.status, c.refunded, v_tool.provider
    from unstuck_private.jobs_finalise(
      array[p_job_id], array['cancelled'], array['CANCELLED'],
      array['cancelled by the user.']) c;
  exception when data_exception or integrity_constraint_violation then
    -- Its refund does not fit into a bigint: the next sweep quarantines it, and an admin cancels
    -- it.
    perform unstuck_private.refuse(
      409, 'in_progress', jsonb_build_object('status', v_job.status));
  end;
end $$;

comment on function unstuck.job_cancel_v1 is $c$
Caller: the cancel operation of runninghub-queue-manager, for the verified user.

Effect: cancels the user's own waiting job (a running one where the tool allows it) and refunds it.
An orphan that a sweep cancelled counts as cancelled by its user from then on, and no `/run` takes
it back.

Refuses: bad_request, not_found, in_progress (also a quarantined job, and one whose refund does not
fit into a bigint, which the next sweep quarantines), already_final.

Replay: already_final, with what was refunded.
$c$;

revoke all on function unstuck.job_cancel_v1 from public, anon, authenticated, service_role;
grant execute on function unstuck.job_cancel_v1 to service_role;

--: source cancel/orphans_cancel.sql ec5f52e477df
-- Cancels this user's orphans that others inserted (live, unpaid, without task or start), so that
-- they hide no real job. What another transaction has locked is left alone, and no orphan stops
-- another.
create or replace function unstuck_private.orphans_cancel(p_user_id uuid) returns void
language plpgsql
set search_path = ''
as
$$
declare
  v_before timestamptz;
  v_ids uuid[];
  v_count int;
begin
  select clock_timestamp() - i.orphan
  into v_before
  from unstuck_private.intervals() i;
  v_ids := array(
    select j.id
    from unstuck.jobs j
    where j.user_id = p_user_id
      and unstuck_private.is_orphan(j, v_before)
    limit 1000
  );
  if v_ids = '{}' then
    return;
  end if;
  v_ids := unstuck_private.jobs_try_lock(v_ids);
  v_ids := array(
    select j.id
    from unstuck.jobs j
    where j.id = any (v_ids)
      and unstuck_private.is_orphan(j, v_before)
  );
  v_count := cardinality(v_ids);
  perform unstuck_private.jobs_finalise_each(
    v_ids,
    array_fill('cancelled'::text, array[v_count]),
    array_fill('ORPHANED'::text, array[v_count]),
    array_fill('never started; nothing was charged.'::text, array[v_count]),
    clock_timestamp() + interval '3 seconds');
end $$;

revoke all on function unstuck_private.orphans_cancel
from public, anon, authenticated, service_role;

--: source cancel/session_cancel_v1.sql 08b3c16a973e
create or replace function unstuck.session_cancel_v1(
  p_user_id uuid,
  p_session_id text,
  p_job_ids uuid[]
)
returns table (table_name text, job_id uuid, refunded_credits bigint)
language plpgsql
security definer
set search_path = ''
set statement_timeout = '10s'
as
$$
#variable_conflict use_column
declare
  v_ids uuid[];
  v_coming uuid[];
  v_count int;
begin
  if p_user_id is null
    or coalesce(p_session_id, '') = ''
    or cardinality(p_job_ids) > 100
  then
    perform unstuck_private.refuse(400, 'bad_request');
  end if;
  perform unstuck_private.act_as('user');
  perform unstuck_private.account_lock(p_user_id);
  select array_agg(l.id)
  into v_ids
  from (
    select j.id
    from unstuck.jobs j
    where j.user_id = p_user_id
      and j.status in ('pending', 'queued')
      and j.quarantined_at is null
      and (j.session_id = p_session_id or j.id = any (p_job_ids))
    order by j.id
    for update
  ) l;
  -- A named job that has not arrived yet is refused when it does. One that runs, or that belongs to
  -- another user, is left alone.
  v_coming := array(
    select x.id
    from unnest(p_job_ids) as x (id)
    where not exists (
      select from unstuck.jobs j
      where j.id = x.id and not (j.status = 'cancelled' and j.error_code = 'ORPHANED')
    )
  );
  if not unstuck_private.cancelled_requests_add(p_user_id, v_coming) then
    perform unstuck_private.refuse(
      429,
      'rate_limited',
      jsonb_build_object('retry_after', unstuck_private.cancelled_requests_full_for(p_user_id))
    );
  end if;
  if v_ids is null then
    return;
  end if;
  -- Their own rows keep these cancelled, so a full list keeps no job alive.
  perform unstuck_private.cancelled_requests_add(p_user_id, v_ids);
  v_count := cardinality(v_ids);
  return query
  select t.table_name, c.job_id, c.refunded
  from unstuck_private.jobs_finalise_each(
    v_ids,
    array_fill('cancelled'::text, array[v_count]),
    array_fill('CANCELLED'::text, array[v_count]),
    array_fill('the page was closed.'::text, array[v_count]),
    clock_timestamp() + interval '5 seconds'
  ) c
  join unstuck.tools t using (tool);
end $$;

comment on function unstuck.session_cancel_v1 is $c$
Caller: cancel-session, for the verified user.

Effect: cancels the user's own waiting jobs of that session and those that p_job_ids names, and
refunds them. A named job that has not arrived yet is refused when it does. A job that cannot be
finalised is quarantined and stops none of the others. One row per cancelled job.

Refuses: bad_request (also more than 100 ids), rate_limited (1,000 orders that were cancelled before
they arrived are kept per user, a day each).

Replay: no rows.
$c$;

revoke all on function unstuck.session_cancel_v1 from public, anon, authenticated, service_role;
grant execute on function unstuck.session_cancel_v1 to service_role;

--: source clock/intervals.sql c3c32bbbbcbe
-- The fixed intervals. Tests replace this one function in place of waiting.
create or replace function unstuck_private.intervals()
returns table (
  -- How long an unpaid row that an older client inserted waits for its `/run`.
  orphan interval,
  -- How long an edge healer waits past a deadline for a provider that does not answer.
  grace interval,
  -- How long SQL waits past a deadline for an edge healer, which can query the provider.
  sql_wait interval,
  -- How long a worker keeps a step without renewing its lease.
  lease interval,
  -- How often a running step of a provider without signed webhooks is queried.
  check_every interval
)
language sql
stable
as
$$
  select
    interval '2 minutes',
    interval '2 minutes',
    interval '3 minutes',
    interval '90 seconds',
    interval '30 seconds'
$$;

revoke all on function unstuck_private.intervals from public, anon, authenticated, service_role;

--: source clock/minutes_between.sql 281989df5509
-- Whole minutes between two times, at least one, for messages to users.
create or replace function unstuck_private.minutes_between(p_from timestamptz, p_to timestamptz)
returns int
language sql
immutable
as
$$
  select greatest(
    round(least(extract(epoch from p_to) - extract(epoch from p_from), 1e11) / 60),
    1)::int
$$;

revoke all on function unstuck_private.minutes_between
from public, anon, authenticated, service_role;

--: source clock/minutes_text.sql 2b547afa8c9e
-- A number of minutes as text: `1 minute`, `2 minutes`.
create or replace function unstuck_private.minutes_text(p_minutes int) returns text
language sql
immutable
as
$$
  select p_minutes || case p_minutes when 1 then ' minute' else ' minutes' end
$$;

revoke all on function unstuck_private.minutes_text from public, anon, authenticated, service_role;

--: source clock/seconds_between.sql 08b1c25dfdb3
-- Whole seconds from one time to another, cut to what an int holds: a time that was written by hand
-- may be infinite, and one such row must not make a whole list unreadable.
create or replace function unstuck_private.seconds_between(p_from timestamptz, p_to timestamptz)
returns int
language sql
immutable
strict
as
$$
  select greatest(
    least(extract(epoch from p_to) - extract(epoch from p_from), 2147483647),
    -2147483647)::int
$$;

revoke all on function unstuck_private.seconds_between
from public, anon, authenticated, service_role;
grant execute on function unstuck_private.seconds_between to authenticated, service_role;

--: source credit/account_drop_empty.sql b25384ffa5c2
-- Deletes the account that `account_lock` created for a job whose user was erased meanwhile. The
-- caller has locked it.
create or replace function unstuck_private.account_drop_empty(p_user_id uuid)
returns void
language sql
set search_path = ''
as
$$
  delete from unstuck.credit_accounts a
  where a.user_id = p_user_id
    and a.balance = 0
    and not exists (select from unstuck.credit_entries e where e.user_id = p_user_id)
    and not exists (select from unstuck.jobs j where j.user_id = p_user_id)
$$;

revoke all on function unstuck_private.account_drop_empty
from public, anon, authenticated, service_role;

--: source credit/account_lock.sql f5aaefc3f164
-- Locks the user's account, creates it where there is none, and returns its balance. It retries
-- where another transaction erased the account while this one waited, so that the caller always
-- holds a row.
create or replace function unstuck_private.account_lock(p_user_id uuid)
returns bigint
language plpgsql
set search_path = ''
as
$$
declare
  v_balance bigint;
begin
  loop
    insert into unstuck.credit_accounts (user_id)
    values (p_user_id)
    on conflict do nothing;
    select a.balance
    into v_balance
    from unstuck.credit_accounts a
    where a.user_id = p_user_id
    for update;
    if found then
      return v_balance;
    end if;
  end loop;
end $$;

revoke all on function unstuck_private.account_lock from public, anon, authenticated, service_role;

--: source credit/account_try_lock.sql 3478f32da2ff
-- Locks the user's account before a heal on behalf of that user. False when another transaction
-- holds the account for longer than a second: the request is then answered without healing. True
-- for a user without an account, who has nothing to lock.
create or replace function unstuck_private.account_try_lock(p_user_id uuid) returns boolean
language plpgsql
set search_path = ''
set lock_timeout = '1s'
as
$$
begin
  perform 1
  from unstuck.credit_accounts
  where user_id = p_user_id
  for update;
  return true;
exception when lock_not_available then
  return false;
end $$;

revoke all on function unstuck_private.account_try_lock
from public, anon, authenticated, service_role;

--: source credit/append_only.sql 4502c3437835
-- Refuses to change a ledger entry. A wrong entry is corrected by another entry.
create or replace function unstuck_private.append_only()
returns trigger
language plpgsql
set search_path = ''
as
$$
begin
  raise exception '% is append-only', tg_table_name
  using errcode = 'restrict_violation';
end $$;

create or replace trigger credit_entries_append_only
before update on unstuck.credit_entries
for each row execute function unstuck_private.append_only();

revoke all on function unstuck_private.append_only from public, anon, authenticated, service_role;

--: source credit/clamp_to_bigint.sql 41a455227a3e
-- A sum of credits, cut to what a bigint holds: amounts that were written by hand may add up to
-- more, and a report must not fail for that.
create or replace function unstuck_private.clamp_to_bigint(p_sum numeric) returns bigint
language sql
immutable
as
$$
  select least(greatest(p_sum, -9223372036854775807), 9223372036854775807)::bigint
$$;

revoke all on function unstuck_private.clamp_to_bigint
from public, anon, authenticated, service_role;

--: source credit/consume_upscaler_credits.sql 9c3aa2f7f927
create or replace function unstuck.consume_upscaler_credits(
  _user_id uuid,
  _amount bigint,
  _description text
)
returns table (success boolean, new_balance bigint, error_message text)
language sql
security definer
set search_path = ''
as
$$
  select a.success, a.new_balance, a.error_message
  from unstuck_private.credit_adjust(_user_id, -greatest(_amount, 0), _description) a
$$;

comment on function unstuck.consume_upscaler_credits is $c$
Caller: older back-end code, as the service.

Effect: takes the amount from the user's balance by an adjustment that belongs to no job.

Refuses: by success = false and error_message: an amount that is not positive, a balance that is too
low.

Replay: takes the amount once more; the function has no idempotency key.
$c$;

revoke all on function unstuck.consume_upscaler_credits
from public, anon, authenticated, service_role;
grant execute on function unstuck.consume_upscaler_credits to service_role;

--: source credit/credit_adjust.sql c7e61fad6f44
-- Writes one signed adjustment, never below a balance of zero, for the two functions that older
-- back-end code calls. It refuses by success = false and a message, as that code expects.
create or replace function unstuck_private.credit_adjust(
  p_user_id uuid,
  p_amount bigint,
  p_reason text
)
returns table (success boolean, new_balance bigint, error_message text)
language plpgsql
set search_path = ''
as
$$
declare
  v_balance bigint;
begin
  if p_user_id is null or p_amount is null or p_amount = 0 then
    return query select false, null::bigint, 'Amount must be positive';
    return;
  end if;
  if p_amount > unstuck_private.grant_max() then
    return query select false, null::bigint, 'Amount is too large';
    return;
  end if;
  v_balance := unstuck_private.account_lock(p_user_id);
  if v_balance + p_amount < 0 then
    return query select false, v_balance, 'Insufficient credits';
    return;
  end if;
  insert into unstuck.credit_entries (user_id, kind, amount, reason)
  values (p_user_id, 'adjustment', p_amount, p_reason);
  return query select true, v_balance + p_amount, null::text;
end $$;

revoke all on function unstuck_private.credit_adjust from public, anon, authenticated, service_role;

--: source credit/credit_entries_after_delete.sql c8a863e70afe
-- Refuses to delete a part of a user's ledger, because the balance would no longer equal the sum of
-- the entries. After the whole ledger is deleted the balance is 0.
create or replace function unstuck_private.credit_entries_after_delete()
returns trigger
language plpgsql
set search_path = ''
as
$$
begin
  if exists (
    select from (select distinct o.user_id from old_rows o) u
    join unstuck.credit_entries e using (user_id)
  ) then
    raise exception 'credit_entries is append-only' using errcode = 'restrict_violation';
  end if;
  update unstuck.credit_accounts a
  set balance = 0
  from (select distinct o.user_id from old_rows o) u
  where a.user_id = u.user_id;
  return null;
end $$;

create or replace trigger credit_entries_whole
after delete on unstuck.credit_entries
referencing old table as old_rows
for each statement execute function unstuck_private.credit_entries_after_delete();

revoke all on function unstuck_private.credit_entries_after_delete
from public, anon, authenticated, service_role;

--: source credit/credit_entries_before_insert.sql 04b6175380a3
-- Moves the balance by a new entry that has no `balance_after`. The set-based functions write the
-- balance and `balance_after` themselves.
create or replace function unstuck_private.credit_entries_before_insert()
returns trigger
language plpgsql
set search_path = ''
as
$$
begin
  if new.balance_after is null then
    perform unstuck_private.account_lock(new.user_id);
    update unstuck.credit_accounts
    set balance = balance + new.amount
    where user_id = new.user_id
    returning balance into new.balance_after;
  end if;
  return new;
end $$;

create or replace trigger credit_entries_before_insert
before insert on unstuck.credit_entries
for each row execute function unstuck_private.credit_entries_before_insert();

revoke all on function unstuck_private.credit_entries_before_insert
from public, anon, authenticated, service_role;

--: source credit/credit_grant_v1.sql 1932e246d34b
create or replace function unstuck.credit_grant_v1(
  p_user_id uuid,
  p_amount bigint,
  p_reason text,
  p_idempotency_key text
)
returns table (balance bigint, replayed boolean)
language plpgsql
security definer
set search_path = ''
as
$$
#variable_conflict use_column
declare
  v_entry unstuck.credit_entries;
begin
  if p_user_id is null
    or p_amount is null
    or p_amount not between 1 and unstuck_private.grant_max()
    or coalesce(p_idempotency_key, '') = ''
  then
    perform unstuck_private.refuse(400, 'bad_request');
  end if;
  perform unstuck_private.account_lock(p_user_id);
  select *
  into v_entry
  from unstuck.credit_entries
  where idempotency_key = p_idempotency_key;
  if found then
    if v_entry.user_id <> p_user_id
      or v_entry.amount <> p_amount
      or v_entry.kind <> 'grant'
    then
      perform unstuck_private.refuse(409, 'idempotency_conflict');
    end if;
    return query
    select a.balance, true
    from unstuck.credit_accounts a
    where a.user_id = p_user_id;
    return;
  end if;
  begin
    insert into unstuck.credit_entries (user_id, kind, amount, reason, idempotency_key)
    values (p_user_id, 'grant', p_amount, p_reason, p_idempotency_key);
  exception when unique_violation then
    -- Another transaction used the key for another user at the same moment.
    perform unstuck_private.refuse(409, 'idempotency_conflict');
  end;
  return query
  select a.balance, false
  from unstuck.credit_accounts a
  where a.user_id = p_user_id;
end $$;

comment on function unstuck.credit_grant_v1 is $c$
Caller: the purchase code of the app, as the service.

Effect: gives the user credits by a grant, and creates the account where there is none. balance:
after the grant.

Refuses: bad_request (no user, no key, an amount that is not within 1 and 10^12),
idempotency_conflict (the key belongs to another grant).

Replay: the same key with the same user and amount changes nothing: replayed = true.
$c$;

revoke all on function unstuck.credit_grant_v1 from public, anon, authenticated, service_role;
grant execute on function unstuck.credit_grant_v1 to service_role;

--: source credit/grant_max.sql 1ab929182fe3
-- The most credits that one grant may give. A balance holds nine million such grants.
create or replace function unstuck_private.grant_max()
returns bigint
language sql
immutable
as
$$ select 1000000000000 $$;

revoke all on function unstuck_private.grant_max from public, anon, authenticated, service_role;

--: source credit/has_ledger_entries.sql 5d012e0f9aef
-- True when credits were taken or refunded for this job.
create or replace function unstuck_private.has_ledger_entries(p_job_id uuid) returns boolean
language sql
stable
set search_path = ''
as
$$
  select exists (
    select
    from unstuck.credit_entries e
    where e.job_id = p_job_id
      and e.kind in ('debit', 'refund')
  )
$$;

revoke all on function unstuck_private.has_ledger_entries
from public, anon, authenticated, service_role;

--: source credit/has_ledger_mismatch.sql 9fb33c3b1294
-- True when the job's row and the ledger disagree about what was refunded, or when more was
-- refunded than taken. Healers quarantine such a job: none moves credits on a guess.
create or replace function unstuck_private.has_ledger_mismatch(p_job unstuck.jobs) returns boolean
language sql
stable
set search_path = ''
as
$$
  select p_job.credits_refunded <> l.refunded or l.refunded > l.debit
  from (
    select
      coalesce(-sum(e.amount) filter (where e.kind = 'debit'), 0) as debit,
      coalesce(sum(e.amount) filter (where e.kind = 'refund'), 0) as refunded
    from unstuck.credit_entries e
    where e.job_id = p_job.id
      and e.kind in ('debit', 'refund')
  ) l
$$;

revoke all on function unstuck_private.has_ledger_mismatch
from public, anon, authenticated, service_role;

--: source credit/jobs_ledger.sql 7897b2d12ac4
-- What the ledger shows of these jobs: the debit, the refunds, whether a refund of the whole job
-- was written already, and a number for one more refund that no step has (0, then -1 and so on).
create or replace function unstuck_private.jobs_ledger(p_ids uuid[])
returns table (
  job_id uuid,
  debit bigint,
  refunded bigint,
  has_job_refund boolean,
  free_number int
)
language sql
stable
as
$$
  select n.id, l.*
  from unnest(p_ids) as n (id)
  cross join lateral (
    select
      unstuck_private.clamp_to_bigint(
        coalesce(-sum(e.amount) filter (where e.kind = 'debit'), 0)),
      unstuck_private.clamp_to_bigint(
        coalesce(sum(e.amount) filter (where e.kind = 'refund'), 0)),
      coalesce(bool_or(e.kind = 'refund' and e.step is null), false),
      least(coalesce(min(e.step) filter (where e.kind = 'refund'), 1), 1) - 1
    from unstuck.credit_entries e
    where e.job_id = n.id
      and e.kind in ('debit', 'refund')
  ) l
$$;

revoke all on function unstuck_private.jobs_ledger from public, anon, authenticated, service_role;

--: source credit/jobs_refund.sql 69aa82f193e6
-- Refunds these jobs what `refunds_due` says of the state that each is about to have, and returns
-- the debit, the refunds before and the refund now of each. Without p_refund it refunds nothing.
-- The caller has locked the accounts (by id) and the jobs, and has ended the steps.
create or replace function unstuck_private.jobs_refund(
  p_ids uuid[],
  p_statuses text[],
  p_reasons text[],
  p_refund boolean default true
)
returns table (job_id uuid, debit bigint, refunded bigint, given bigint)
language plpgsql
set search_path = ''
as
$$
#variable_conflict use_column
begin
  insert into unstuck.credit_accounts (user_id)
  select distinct j.user_id
  from unstuck.jobs j
  where j.id = any (p_ids)
    and not exists (select from unstuck.credit_accounts a where a.user_id = j.user_id)
    and unstuck_private.has_ledger_entries(j.id)
  order by 1
  on conflict do nothing;

  return query
  with due as materialized (
    select *
    from unstuck_private.refunds_due(p_ids, p_statuses)
  ), entry as (
    insert into unstuck.credit_entries (
      user_id, job_id, step, kind, amount, balance_after, reason)
    select d.user_id, d.job_id, d.step, 'refund', d.amount,
      a.balance + sum(d.amount) over (
        partition by d.user_id
        order by d.job_id, d.step
        rows unbounded preceding
      ),
      coalesce(n.reason, 'refund')
    from due d
    join unnest(p_ids, p_reasons) as n (id, reason) on n.id = d.job_id
    join unstuck.credit_accounts a using (user_id)
    where p_refund
      and d.amount is not null
    returning user_id, amount
  ), account as (
    update unstuck.credit_accounts a
    set balance = a.balance + t.total
    from (
      select user_id, sum(amount)::bigint as total
      from entry
      group by 1
    ) t
    where a.user_id = t.user_id
  )
  select d.job_id, d.debit, d.refunded,
    coalesce(sum(d.amount) filter (where p_refund), 0)::bigint
  from due d
  group by d.job_id, d.debit, d.refunded;
end $$;

revoke all on function unstuck_private.jobs_refund from public, anon, authenticated, service_role;

--: source credit/refund_lines.sql a7f17d443985
-- What a refund of these jobs may be written for: one line for each step of a job with the rule
-- `per_step`, one for any other job. Shares that do not add up to the debit (rows written by
-- others) are computed anew.
create or replace function unstuck_private.refund_lines(p_ids uuid[])
returns table (
  job_id uuid,
  user_id uuid,
  is_per_step boolean,
  debit bigint,
  refunded bigint,
  has_job_refund boolean,
  free_number int,
  step int,
  nth bigint,
  share bigint,
  without_result boolean,
  has_refund boolean
)
language sql
stable
as
$$
  select j.id, j.user_id, s.job_id is not null, l.debit, l.refunded, l.has_job_refund,
    l.free_number, s.step,
    row_number() over own_steps,
    case
      when sum(s.share) over own = l.debit then s.share
      else unstuck_private.share_of(
        l.debit, (count(*) over own)::int, (row_number() over own_steps)::int)
    end,
    s.status in ('failed', 'cancelled'),
    exists (
      select
      from unstuck.credit_entries e
      where e.job_id = j.id
        and e.step = s.step
        and e.kind = 'refund'
    )
  from unstuck_private.jobs_ledger(p_ids) l
  join unstuck.jobs j on j.id = l.job_id
  left join unstuck.job_steps s
    on j.refund_rule = 'per_step'
    and s.job_id = j.id
  window own as (partition by j.id), own_steps as (partition by j.id order by s.step)
$$;

revoke all on function unstuck_private.refund_lines from public, anon, authenticated, service_role;

--: source credit/refund_upscaler_credits.sql cd44913d089f
create or replace function unstuck.refund_upscaler_credits(
  _user_id uuid,
  _amount bigint,
  _description text
)
returns table (success boolean, new_balance bigint, error_message text)
language sql
security definer
set search_path = ''
as
$$
  select a.success, a.new_balance, a.error_message
  from unstuck_private.credit_adjust(_user_id, greatest(_amount, 0), _description) a
$$;

comment on function unstuck.refund_upscaler_credits is $c$
Caller: older back-end code, as the service.

Effect: gives the amount to the user by an adjustment that belongs to no job. An adjustment within
an hour of a job's own refund shows in invariant_violations.

Refuses: by success = false and error_message: an amount that is not positive or over 10^12.

Replay: gives the amount once more; the function has no idempotency key.
$c$;

revoke all on function unstuck.refund_upscaler_credits
from public, anon, authenticated, service_role;
grant execute on function unstuck.refund_upscaler_credits to service_role;

--: source credit/refunds_due.sql cc7e525ce05f
-- What these jobs get back in the state that each is about to have, and under which number the
-- entry stands: a step's own, none for the whole job. Each job has at least one row, without an
-- amount where nothing is due.
--
-- The ledger alone decides. Due is the whole debit (rule `all`, failed or cancelled) or the shares
-- of the steps that ended without a result (rule `per_step`), less every refund before, whoever
-- wrote it. So the refunds of a job never add up to more than its debit.
--
-- Where the entry of a step or of the job exists already (a part was refunded by hand, and no entry
-- ever changes) the rest is one more refund under a free number. It stays a refund, so that the
-- row, the ledger and the audit agree: an adjustment belongs to no job.
create or replace function unstuck_private.refunds_due(p_ids uuid[], p_statuses text[])
returns table (
  job_id uuid,
  user_id uuid,
  debit bigint,
  refunded bigint,
  step int,
  amount bigint
)
language sql
stable
as
$$
  with line as materialized (
    select l.*,
      greatest(
        case
          when l.is_per_step then
            coalesce(sum(l.share) filter (where l.without_result) over own, 0)
          when n.status in ('failed', 'cancelled') then l.debit
          else 0
        end - l.refunded, 0) as rest,
      l.without_result and not l.has_refund as is_open,
      coalesce(sum(l.share) filter (where l.without_result and not l.has_refund) over own, 0)
        as open_shares,
      coalesce(sum(l.share) filter (where l.without_result and not l.has_refund) over (
        partition by l.job_id
        order by l.step
      ), 0) as open_so_far
    from unstuck_private.refund_lines(p_ids) l
    join unnest(p_ids, p_statuses) as n (id, status) on n.id = l.job_id
    window own as (partition by l.job_id)
  )
  select l.job_id, l.user_id, l.debit, l.refunded, l.step,
    least(l.share, l.rest - l.open_so_far + l.share)
  from line l
  where l.is_open
    and l.rest > l.open_so_far - l.share
    and l.share > 0
  union all
  select l.job_id, l.user_id, l.debit, l.refunded,
    case when l.is_per_step or l.has_job_refund then l.free_number end,
    case when l.rest > l.open_shares then l.rest - l.open_shares end
  from line l
  where l.nth = 1
$$;

revoke all on function unstuck_private.refunds_due from public, anon, authenticated, service_role;

--: source credit/share_of.sql b82070f7439e
-- The share of one step in the price. A rest that does not divide goes to the first steps, one
-- credit each, so that the shares add up to exactly the price.
create or replace function unstuck_private.share_of(p_price bigint, p_steps int, p_step int)
returns bigint
language sql
immutable
as
$$
  select p_price / p_steps + (p_step <= p_price % p_steps)::int
$$;

revoke all on function unstuck_private.share_of from public, anon, authenticated, service_role;

--: source erase/erased_user.sql 57a8c28bcf0d
-- The owner of the rows that stay of an erased user's jobs: a user id that belongs to no one.
create or replace function unstuck_private.erased_user()
returns uuid
language sql
immutable
as
$$ select '00000000-0000-0000-0000-000000000000'::uuid $$;

revoke all on function unstuck_private.erased_user from public, anon, authenticated, service_role;

--: source erase/user_erase_v1.sql 92e06f8dcaf3
create or replace function unstuck.user_erase_v1(p_actor uuid, p_user_id uuid, p_reason text)
returns table (jobs bigint, files bigint, entries bigint)
language plpgsql
security definer
set search_path = ''
set lock_timeout = '5s'
set statement_timeout = '60s'
as
$$
#variable_conflict use_column
declare
  v_ids uuid[];
  v_kept uuid[];
  v_files bigint;
  v_entries bigint;
  v_balance bigint;
begin
  if not unstuck.has_role(p_actor, 'admin') then
    perform unstuck_private.refuse(403, 'forbidden');
  end if;
  if p_user_id is null or p_user_id = unstuck_private.erased_user() then
    perform unstuck_private.refuse(400, 'bad_request');
  end if;
  perform unstuck_private.act_as('admin:' || p_actor);
  v_balance := unstuck_private.account_lock(p_user_id);
  v_ids := array(
    select l.id
    from (
      select j.id
      from unstuck.jobs j
      where j.user_id = p_user_id
      order by j.id
      for update
    ) l
  );
  -- A provider still works for these, or is owed a cancel: their bare rows stay until it is sent.
  v_kept := array(
    select distinct s.job_id
    from unstuck.jobs j
    join unstuck.job_steps s on s.job_id = j.id
    where j.user_id = p_user_id
      and (
        s.provider_cancel_due <> '[]'
        or unstuck_private.holds_slot(s)
      )
  );
  select count(*)
  into v_files
  from unstuck.jobs j
  join unstuck.job_steps s on s.job_id = j.id
  where j.user_id = p_user_id and s.output_url is not null;
  perform unstuck_private.user_jobs_finalise(p_user_id);
  perform unstuck_private.user_jobs_strip(p_user_id, v_kept);
  v_entries := unstuck_private.user_rows_delete(p_user_id, v_ids);
  insert into unstuck.erasures (user_id)
  values (p_user_id)
  on conflict (user_id) do update
  set
    at = clock_timestamp(),
    files_left = null;
  insert into unstuck.admin_log (actor, act, subject, "from", reason)
  values (
    p_actor,
    'user_erase',
    p_user_id::text,
    jsonb_build_object(
      'jobs', cardinality(v_ids),
      'entries', v_entries,
      'balance', v_balance
    ),
    p_reason
  );
  return query select cardinality(v_ids)::bigint, v_files, v_entries;
end $$;

comment on function unstuck.user_erase_v1 is $c$
Caller: admin-users, for its erase operation. The role of p_actor is read in the same transaction.

Effect: cancels the user's live jobs, then deletes the user's jobs, steps, events, webhooks, ledger,
account, cancelled orders, turns and roles, all or nothing, and records it in admin_log. A job that
a provider may still work on stays for a day as a bare row that names no user, so that its cancel is
sent. The files are listed in erasures and deleted later through the Storage API. jobs, entries:
deleted rows; files: results that the jobs named.

Refuses: forbidden, bad_request.

Replay: zeros. The user may come back and is a new user then.
$c$;

revoke all on function unstuck.user_erase_v1 from public, anon, authenticated, service_role;
grant execute on function unstuck.user_erase_v1 to service_role;

--: source erase/user_jobs_finalise.sql 9e83d12064df
-- Cancels the live jobs of a user who is erased: all at once, or one by one where one of them
-- cannot be finalised. The caller strips what stays live even so. Account and jobs are locked.
create or replace function unstuck_private.user_jobs_finalise(p_user_id uuid)
returns void
language plpgsql
set search_path = ''
as
$$
declare
  v_live uuid[];
  v_id uuid;
begin
  v_live := array(
    select j.id
    from unstuck.jobs j
    where j.user_id = p_user_id and unstuck_private.is_live(j.status)
    order by j.id
  );
  if v_live = '{}' then
    return;
  end if;
  begin
    perform unstuck_private.jobs_finalise(
      v_live,
      array_fill('cancelled'::text, array[cardinality(v_live)]),
      array_fill('CANCELLED'::text, array[cardinality(v_live)]),
      array_fill('the user was erased.'::text, array[cardinality(v_live)])
    );
    return;
  exception when others then
    -- One row fails the statement: each job is cancelled alone below.
    null;
  end;
  foreach v_id in array v_live loop
    begin
      perform unstuck_private.jobs_finalise(
        array[v_id],
        array['cancelled'],
        array['CANCELLED'],
        array['the user was erased.']
      );
    exception when others then
      -- The caller deletes the row and its ledger all the same.
      null;
    end;
  end loop;
end $$;

revoke all on function unstuck_private.user_jobs_finalise
from public, anon, authenticated, service_role;

--: source erase/user_jobs_strip.sql d01406f3d2ef
-- Empties the jobs in p_kept of everything that tells of their user, and leaves what the provider's
-- cancel needs. They belong to no user afterwards and are worth nothing, and no job of another user
-- names a job of this one.
create or replace function unstuck_private.user_jobs_strip(p_user_id uuid, p_kept uuid[])
returns void
language plpgsql
set search_path = ''
as
$$
begin
  update unstuck.jobs r
  set retry_of = null
  from unstuck.jobs j
  where j.user_id = p_user_id
    and r.retry_of = j.id
    and (r.user_id <> p_user_id or r.id = any (p_kept) or j.id = any (p_kept));
  update unstuck.job_steps s
  set
    status = case
      when unstuck_private.is_final(s.status) then s.status
      else 'cancelled'
    end,
    provider_cancel_due = case
      when unstuck_private.is_final(s.status) then s.provider_cancel_due
      else unstuck_private.cancel_debt_with(s)
    end,
    completed_at = coalesce(s.completed_at, clock_timestamp()),
    lease_until = null,
    share = 0,
    input = '{}',
    output = null,
    output_url = null,
    error_message = null
  where s.job_id = any (p_kept);
  update unstuck.jobs j
  set
    user_id = unstuck_private.erased_user(),
    session_id = null,
    status = case
      when unstuck_private.is_final(j.status) then j.status
      else 'cancelled'
    end,
    credits_charged = 0,
    credits_refunded = 0,
    exclusive_key = null,
    input = '{}',
    output = null,
    output_url = null,
    error_code = null,
    error_message = null,
    request_hash = 'erased',
    completed_at = coalesce(j.completed_at, clock_timestamp()),
    quarantined_at = null
  where j.id = any (p_kept);
end $$;

revoke all on function unstuck_private.user_jobs_strip
from public, anon, authenticated, service_role;

--: source erase/user_rows_delete.sql c1c8cd12192d
-- Deletes every row of a user and of these jobs, which were the user's, and returns how many ledger
-- entries there were. The account and the jobs are locked.
create or replace function unstuck_private.user_rows_delete(p_user_id uuid, p_job_ids uuid[])
returns bigint
language plpgsql
set search_path = ''
as
$$
declare
  v_entries bigint;
begin
  delete from unstuck.job_events e
  where e.job_id = any (p_job_ids);
  delete from unstuck.webhook_inbox w
  where w.job_id = any (p_job_ids);
  delete from unstuck.job_steps s
  using unstuck.jobs j
  where j.id = s.job_id and j.user_id = p_user_id;
  delete from unstuck.jobs j
  where j.user_id = p_user_id;
  delete from unstuck.cancelled_requests c
  where c.user_id = p_user_id;
  delete from unstuck_private.queue_turns q
  where q.user_id = p_user_id;
  delete from unstuck.user_roles r
  where r.user_id = p_user_id;
  delete from unstuck.credit_entries e
  where e.user_id = p_user_id;
  get diagnostics v_entries = row_count;
  delete from unstuck.credit_accounts a
  where a.user_id = p_user_id;
  return v_entries;
end $$;

revoke all on function unstuck_private.user_rows_delete
from public, anon, authenticated, service_role;

--: source front/is_name_free.sql 9544469aee27
-- True when `public` has nothing by this name yet, of whatever kind or signature.
create or replace function unstuck_private.is_name_free(p_name text) returns boolean
language sql
stable
set search_path = ''
as
$$
  select not exists (
    select from pg_catalog.pg_class c
    where c.relnamespace = 'public'::regnamespace and c.relname = p_name
  ) and not exists (
    select from pg_catalog.pg_proc p
    where p.pronamespace = 'public'::regnamespace and p.proname = p_name
  ) and not exists (
    select from pg_catalog.pg_type t
    where t.typnamespace = 'public'::regnamespace and t.typname = p_name
  )
$$;

revoke all on function unstuck_private.is_name_free from public, anon, authenticated, service_role;

--: source job/act_as.sql 96b535b9dca6
-- Names the actor of this transaction. The triggers that write `job_events` store it with each
-- transition.
create or replace function unstuck_private.act_as(p_actor text) returns void
language sql
set search_path = ''
as
$$
  select set_config('unstuck.actor', p_actor, true)
$$;

revoke all on function unstuck_private.act_as from public, anon, authenticated, service_role;

--: source job/is_final.sql 787dde2c4563
-- True for the states that a job or step never leaves. The planner inlines it, like `is_live`.
create or replace function unstuck_private.is_final(p_status text) returns boolean
language sql
immutable
as
$$
  select p_status in ('completed', 'failed', 'cancelled')
$$;

revoke all on function unstuck_private.is_final from public, anon, authenticated, service_role;
grant execute on function unstuck_private.is_final to authenticated, service_role;

--: source job/is_live.sql cd772f4ac585
-- True for the states of a job that are not final. It names no table and fixes no search_path, so
-- the planner inlines it and sees the predicate of the partial indexes on `jobs`. Those spell the
-- list out, because tables are created before functions.
create or replace function unstuck_private.is_live(p_status text) returns boolean
language sql
immutable
as
$$
  select p_status in ('pending', 'queued', 'starting', 'running')
$$;

revoke all on function unstuck_private.is_live from public, anon, authenticated, service_role;
grant execute on function unstuck_private.is_live to authenticated, service_role;

--: source job/job_get_v1.sql 3c60e5f5dd54
create or replace function unstuck.job_get_v1(
  p_job_id uuid,
  p_user_id uuid default null,
  p_tool text default null,
  p_table text default null
)
returns table (
  job_id uuid,
  tool text,
  table_name text,
  status text,
  "position" int,
  eta_seconds int,
  task_id text,
  output_url text,
  error_code text,
  error_message text,
  credits_charged bigint,
  credits_refunded bigint,
  balance bigint,
  total_steps int,
  current_step int,
  tasks jsonb
)
language plpgsql
security definer
set search_path = ''
set statement_timeout = '10s'
as
$$
declare
  v_job unstuck.jobs;
begin
  select j.*
  into v_job
  from unstuck.jobs j
  where j.id = p_job_id;
  if p_table is not null then
    perform unstuck_private.refuse_other_table(v_job, p_table);
  end if;
  if v_job.id is null
    or (p_user_id is not null and v_job.user_id <> p_user_id)
    or (p_tool is not null and v_job.tool <> p_tool)
  then
    perform unstuck_private.refuse(404, 'not_found');
  end if;
  -- Heal first, so that a job that ran out of time is not shown as live.
  if unstuck_private.is_live(v_job.status) and v_job.deadline_at <= clock_timestamp() then
    perform unstuck.user_heal_v1(v_job.user_id);
  end if;
  return query
  select
    j.id,
    j.tool,
    t.table_name,
    j.status,
    e."position",
    e.eta_seconds,
    e.task_id,
    j.output_url,
    j.error_code,
    j.error_message,
    j.credits_charged,
    j.credits_refunded,
    e.balance,
    j.total_steps,
    j.current_step,
    case
      when t.step_order = 'parallel' then (
        select jsonb_agg(
          jsonb_build_object(
            'card', j.input -> 'selectedCards' -> (s.step - 1),
            'status', s.status,
            'retrying',
            s.status = 'queued' and coalesce(s.not_before > clock_timestamp(), false),
            'output_url',
            case
              when s.status = 'completed'
                and (j.refund_rule = 'per_step' or j.status = 'completed')
              then s.output_url
            end,
            'error_message', s.error_message
          )
          order by s.step
        )
        from unstuck.job_steps s
        where s.job_id = j.id
      )
    end
  from unstuck.jobs j
  join unstuck.tools t using (tool)
  cross join unstuck_private.job_state(j.id, false, true) e
  where j.id = p_job_id;
end $$;

comment on function unstuck.job_get_v1 is $c$
Caller: the status endpoints, for the verified user (p_user_id null: for the service), one tool
(p_tool null: any) and one table (p_table null: any).

Effect: heals the user's jobs when this one is past its deadline, then answers with the job's
present state. tasks: the parallel steps, each with its output once the owner may see it.

Refuses: bad_request (no tool has the table); not_found, also for a job of another user, tool or
table.

Replay: reads again.
$c$;

revoke all on function unstuck.job_get_v1 from public, anon, authenticated, service_role;
grant execute on function unstuck.job_get_v1 to service_role;

--: source job/job_lock.sql 4644d81cf7cc
-- Locks the account of a job's user, then the job, for a function that may move credits, and
-- returns the job. Null where there is no such job; an account that it created for a user who was
-- erased meanwhile is deleted again.
--
-- A worker waits for the call of another worker. What is held for five seconds is held by an
-- operator: the call then fails, and its caller tries again.
create or replace function unstuck_private.job_lock(p_job_id uuid)
returns unstuck.jobs
language plpgsql
set search_path = ''
set lock_timeout = '5s'
as
$$
declare
  v_user uuid;
  v_job unstuck.jobs;
begin
  select j.user_id
  into v_user
  from unstuck.jobs j
  where j.id = p_job_id;
  if not found then
    return null;
  end if;
  perform unstuck_private.account_lock(v_user);
  select *
  into v_job
  from unstuck.jobs j
  where j.id = p_job_id
  for update;
  if v_job.user_id is distinct from v_user then
    perform unstuck_private.account_drop_empty(v_user);
  end if;
  return v_job;
end $$;

revoke all on function unstuck_private.job_lock from public, anon, authenticated, service_role;

--: source job/job_state.sql f570110ec27e
-- The present state of a job, as the reply to the request that named it. Its position costs a pass
-- over the provider's whole queue, so a new job, which is about to be claimed, is answered without
-- one.
create or replace function unstuck_private.job_state(
  p_job_id uuid,
  p_replayed boolean,
  p_with_position boolean
)
returns table (
  job_id uuid,
  status text,
  replayed boolean,
  credits_charged bigint,
  balance bigint,
  "position" int,
  eta_seconds int,
  task_id text,
  output_url text,
  error_code text,
  error_message text,
  credits_refunded bigint
)
language plpgsql
stable
set search_path = ''
as
$$
declare
  v_provider text;
  v_position int;
  v_eta int;
begin
  if p_with_position then
    select t.provider
    into v_provider
    from unstuck.jobs j
    join unstuck.tools t using (tool)
    where j.id = p_job_id
      and j.status = 'queued';
    if found then
      select p."position", p.eta_seconds
      into v_position, v_eta
      from unstuck_private.provider_positions(v_provider) p
      where p.job_id = p_job_id;
    end if;
  end if;
  return query
  select
    j.id,
    j.status,
    p_replayed,
    j.credits_charged,
    coalesce(a.balance, 0),
    v_position,
    v_eta,
    (
      select s.provider_task_id
      from unstuck.job_steps s
      where s.job_id = j.id
        and s.provider_task_id is not null
      order by s.step desc
      limit 1
    ),
    j.output_url,
    j.error_code,
    j.error_message,
    j.credits_refunded
  from unstuck.jobs j
  left join unstuck.credit_accounts a using (user_id)
  where j.id = p_job_id;
end $$;

revoke all on function unstuck_private.job_state from public, anon, authenticated, service_role;

--: source job/job_sync_from_steps.sql d883935a18a7
-- Derives the status, the current step, the deadline and the start of these live jobs from their
-- steps. Final states are written by `jobs_finalise`.
create or replace function unstuck_private.job_sync_from_steps(p_job_ids uuid[]) returns void
language plpgsql
set search_path = ''
as
$$
begin
  update unstuck.jobs j
  set status = s.status,
    current_step = s.current_step,
    deadline_at = least(coalesce(s.deadline_at, j.deadline_at), j.expires_at),
    started_at = case when s.worked then coalesce(j.started_at, s.started_at) end
  from (
    select st.job_id,
      case
        when bool_or(st.status in ('running', 'completed', 'failed')) then 'running'
        when bool_or(st.status = 'starting') then 'starting'
        else 'queued'
      end as status,
      count(*) filter (where st.status in ('completed', 'failed'))
        + (
          max(t.step_order) = 'sequential'
          and bool_or(st.status in ('starting', 'running'))
        )::int as current_step,
      coalesce(
        min(st.deadline_at) filter (where st.status in ('starting', 'running')),
        max(st.deadline_at) filter (where st.status = 'queued')
      ) as deadline_at,
      bool_or(st.started_at is not null or st.sent_at is not null) as worked,
      min(coalesce(st.started_at, st.sent_at)) as started_at
    from unstuck.job_steps st
    join unstuck.jobs jj on jj.id = st.job_id
    join unstuck.tools t using (tool)
    where st.job_id = any (p_job_ids)
    group by st.job_id
  ) s
  where j.id = s.job_id
    and unstuck_private.is_live(j.status);
end $$;

revoke all on function unstuck_private.job_sync_from_steps
from public, anon, authenticated, service_role;

--: source job/jobs_before_insert.sql 65d7f151d62c
-- Fills in what a writer leaves out of a new job: a live job always has a deadline, a final one a
-- time of completion.
create or replace function unstuck_private.jobs_before_insert() returns trigger
language plpgsql
set search_path = ''
as
$$
declare
  v_tool unstuck.tools;
  v_from timestamptz;
begin
  select t.*
  into v_tool
  from unstuck.tools t
  where t.tool = new.tool;
  if not found then
    -- The foreign key refuses the row.
    return new;
  end if;
  new.refund_rule := coalesce(new.refund_rule, v_tool.refund_rule);
  v_from := coalesce(new.started_at, new.created_at);
  new.expires_at := coalesce(
    new.expires_at,
    v_from + unstuck_private.job_lifetime(new.tool, new.total_steps)
  );
  new.deadline_at := coalesce(
    new.deadline_at,
    case new.status
      when 'pending' then v_from + (select i.orphan from unstuck_private.intervals() i)
      when 'queued' then v_from + v_tool.queue_ttl
      else v_from + v_tool.run_timeout
    end
  );
  if unstuck_private.is_final(new.status) then
    new.completed_at := coalesce(new.completed_at, new.updated_at);
  end if;
  return new;
end $$;

create or replace trigger jobs_before_insert
before insert on unstuck.jobs
for each row
execute function unstuck_private.jobs_before_insert();

revoke all on function unstuck_private.jobs_before_insert
from public, anon, authenticated, service_role;

--: source job/jobs_before_update.sql 5704eeaa7d05
-- Refuses to leave a final state, except when `/run` adopts an orphan that a sweep cancelled.
create or replace function unstuck_private.jobs_before_update() returns trigger
language plpgsql
set search_path = ''
as
$$
begin
  if unstuck_private.is_final(old.status)
    and new.status is distinct from old.status
    and not (
      old.status = 'cancelled'
      and old.error_code = 'ORPHANED'
      and new.status = 'queued'
    )
  then
    raise exception 'job % is final (%), it cannot become %', old.id, old.status, new.status
    using errcode = 'check_violation';
  end if;
  -- Retention empties the input of a final job; `updated_at` stays.
  if unstuck_private.is_final(old.status)
    and new.status = old.status
    and new.user_id = old.user_id
    and new.input = '{}'
    and old.input <> '{}'
  then
    return new;
  end if;
  -- A pending row that was inserted with a key starts while another live job has the key: it gives
  -- the key up, because a paid job must not fail for it.
  if old.status = 'pending'
    and new.status in ('queued', 'starting', 'running')
    and new.exclusive_key = old.exclusive_key
    and exists (
      select
      from unstuck.jobs j
      where j.exclusive_key = new.exclusive_key
        and j.status in ('queued', 'starting', 'running')
    )
  then
    new.exclusive_key := null;
  end if;
  new.updated_at := clock_timestamp();
  return new;
end $$;

create or replace trigger jobs_before_update
before update on unstuck.jobs
for each row
execute function unstuck_private.jobs_before_update();

revoke all on function unstuck_private.jobs_before_update
from public, anon, authenticated, service_role;

--: source job/jobs_finalise.sql c52bd200d6e2
-- Ends live jobs with everything that belongs to them: steps, refunds, balances, the rows
-- themselves. Returns what became of each. The caller has locked the accounts (by id) and then the
-- jobs.
--
-- The columns of credits are written anew from the ledger. Where more was refunded than taken, the
-- row shows as much as was taken, and the message says what the ledger shows. Without p_refund
-- nothing is refunded, whatever is due.
create or replace function unstuck_private.jobs_finalise(
  p_ids uuid[],
  p_statuses text[],
  p_codes text[],
  p_messages text[],
  p_refund boolean default true
)
returns table (job_id uuid, tool text, status text, refunded bigint)
language plpgsql
set search_path = ''
as
$$
#variable_conflict use_column
declare
  v_now timestamptz := clock_timestamp();
  v_ids uuid[];
  v_statuses text[];
  v_codes text[];
  v_messages text[];
begin
  select array_agg(c.id), array_agg(c.status), array_agg(c.code), array_agg(c.message)
  into v_ids, v_statuses, v_codes, v_messages
  from unnest(p_ids, p_statuses, p_codes, p_messages) as c (id, status, code, message)
  join unstuck.jobs j using (id)
  where unstuck_private.is_live(j.status);

  update unstuck.job_steps s
  set status = case c.status when 'cancelled' then 'cancelled' else 'failed' end,
    error_code = coalesce(c.code, 'CANCELLED'),
    error_message = coalesce(c.code, 'CANCELLED') || ': ' || c.message,
    completed_at = v_now,
    lease_until = null,
    checked_at = null,
    provider_cancel_due = unstuck_private.cancel_debt_with(s)
  from unnest(v_ids, v_statuses, v_codes, v_messages) as c (id, status, code, message)
  where s.job_id = c.id
    and not unstuck_private.is_final(s.status);

  return query
  update unstuck.jobs j
  set status = c.status,
    credits_charged = r.debit,
    credits_refunded = least(r.refunded::numeric + r.given, r.debit),
    error_code = case when c.status <> 'completed' then c.code end,
    error_message = case when c.status <> 'completed' then
      c.code || ': ' || c.message
      || case when r.given > 0 then format(' %s credits were returned.', r.given) else '' end
      || case
        when r.refunded::numeric + r.given > r.debit then
          format(' The ledger shows %s credits returned of %s.',
            r.refunded::numeric + r.given, r.debit)
        else ''
      end
    end,
    current_step = case when c.status = 'completed' then j.total_steps else j.current_step end,
    completed_at = v_now,
    deadline_at = least(j.deadline_at, v_now)
  from unnest(v_ids, v_statuses, v_codes, v_messages) as c (id, status, code, message)
  join unstuck_private.jobs_refund(v_ids, v_statuses, v_codes, p_refund) r on r.job_id = c.id
  where j.id = c.id
  returning j.id, j.tool, j.status, r.given;
end $$;

revoke all on function unstuck_private.jobs_finalise from public, anon, authenticated, service_role;

--: source job/jobs_finalise_each.sql 4b876c53b4c7
-- Finalises jobs, locked as for `jobs_finalise`, so that none stops another. A job whose ledger
-- disagrees with its row is quarantined. If the statement for all others fails, it is tried for
-- each half, and so on, until the job that cannot be finalised is found and quarantined. What is
-- not done by p_until, or exceeds p_limit, is left to the next pass.
create or replace function unstuck_private.jobs_finalise_each(
  p_ids uuid[],
  p_statuses text[],
  p_codes text[],
  p_messages text[],
  p_until timestamptz,
  p_limit int default 2147483647
)
returns table (job_id uuid, tool text, status text, refunded bigint)
language plpgsql
set search_path = ''
as
$$
#variable_conflict use_column
declare
  v_odd uuid[];
  v_count int;
  v_half int;
begin
  if coalesce(cardinality(p_ids), 0) = 0 or clock_timestamp() > p_until then
    return;
  end if;
  v_odd := array(
    select j.id
    from unstuck.jobs j
    where j.id = any (p_ids)
      and unstuck_private.has_ledger_mismatch(j)
  );
  if v_odd <> '{}' then
    perform unstuck_private.jobs_quarantine(
      v_odd, 'credits_refunded does not agree with the ledger');
    select array_agg(c.id), array_agg(c.status), array_agg(c.code), array_agg(c.message)
    into p_ids, p_statuses, p_codes, p_messages
    from unnest(p_ids, p_statuses, p_codes, p_messages) as c (id, status, code, message)
    where c.id <> all (v_odd);
  end if;
  p_ids := p_ids[:p_limit];
  v_count := coalesce(cardinality(p_ids), 0);
  v_half := v_count / 2;
  begin
    -- `jobs_finalise` returns its rows at its end, so a failure leaves none behind.
    return query
    select c.job_id, c.tool, c.status, c.refunded
    from unstuck_private.jobs_finalise(p_ids, p_statuses, p_codes, p_messages) c;
    return;
  exception
    when lock_not_available or transaction_rollback or insufficient_resources or system_error then
      -- The failure is no fault of the row, which is left as it is.
      if v_count = 1 then
        return;
      end if;
    when others then
      if v_count = 1 then
        perform unstuck_private.jobs_quarantine(p_ids, sqlerrm);
        return;
      end if;
  end;
  return query
  select c.job_id, c.tool, c.status, c.refunded
  from unstuck_private.jobs_finalise_each(
    p_ids[:v_half], p_statuses[:v_half], p_codes[:v_half], p_messages[:v_half], p_until) c;
  return query
  select c.job_id, c.tool, c.status, c.refunded
  from unstuck_private.jobs_finalise_each(
    p_ids[v_half + 1:], p_statuses[v_half + 1:], p_codes[v_half + 1:], p_messages[v_half + 1:],
    p_until) c;
end $$;

revoke all on function unstuck_private.jobs_finalise_each
from public, anon, authenticated, service_role;

--: source job/jobs_log.sql 108995a85fb2
-- Writes the history of jobs: one event per transition, for all rows of a statement at once. The
-- planner cannot know how many rows a transition table holds, and a nested loop over two of them
-- would cost the square of their size.
create or replace function unstuck_private.jobs_log() returns trigger
language plpgsql
set search_path = ''
set enable_nestloop = off
as
$$
begin
  if tg_op = 'INSERT' then
    insert into unstuck.job_events (job_id, event, to_status, actor)
    select
      n.id,
      'job_created',
      n.status,
      nullif(current_setting('unstuck.actor', true), '')
    from new_rows n;
  else
    insert into unstuck.job_events (job_id, event, from_status, to_status, actor, detail)
    select
      n.id,
      'job_' || n.status,
      o.status,
      n.status,
      nullif(current_setting('unstuck.actor', true), ''),
      case when n.error_code is not null then jsonb_build_object('error_code', n.error_code) end
    from new_rows n
    join old_rows o using (id)
    where n.status <> o.status;
  end if;
  return null;
end $$;

create or replace trigger jobs_log_insert
after insert on unstuck.jobs
referencing new table as new_rows
for each statement
execute function unstuck_private.jobs_log();

create or replace trigger jobs_log_update
after update on unstuck.jobs
referencing old table as old_rows new table as new_rows
for each statement
execute function unstuck_private.jobs_log();

revoke all on function unstuck_private.jobs_log from public, anon, authenticated, service_role;

--: source job/jobs_try_lock.sql 2105d44ab8d2
-- Locks the jobs among these that no other transaction holds, for a healer: the account, the job
-- and each of its steps, in this order. It waits for none: the next pass heals what is busy now.
-- Returns the jobs that are locked in full.
--
-- A user without an account has nothing to lock and gets nothing back. If rows that were written by
-- hand left out the account of a ledger, it is created here; an insert of the same key that is not
-- committed yet would be waited for, hence the lock_timeout.
create or replace function unstuck_private.jobs_try_lock(p_ids uuid[]) returns uuid[]
language plpgsql
set search_path = ''
set lock_timeout = '20ms'
as
$$
declare
  v_users uuid[];
  v_jobs uuid[];
  v_user uuid;
begin
  for v_user in
    select distinct j.user_id
    from unstuck.jobs j
    where j.id = any (p_ids)
      and not exists (select from unstuck.credit_accounts a where a.user_id = j.user_id)
      and unstuck_private.has_ledger_entries(j.id)
    order by 1
  loop
    begin
      insert into unstuck.credit_accounts (user_id)
      values (v_user)
      on conflict do nothing;
    exception when lock_not_available then
      null;
    end;
  end loop;

  v_users := array(
    select distinct j.user_id
    from unstuck.jobs j
    where j.id = any (p_ids)
  );
  v_users := array(
    select a.user_id
    from unstuck.credit_accounts a
    where a.user_id = any (v_users)
    order by a.user_id
    for update skip locked
  );
  v_jobs := array(
    select j.id
    from unstuck.jobs j
    where j.id = any (p_ids)
      and (
        j.user_id = any (v_users)
        or not exists (select from unstuck.credit_accounts a where a.user_id = j.user_id)
          and not unstuck_private.has_ledger_entries(j.id)
      )
    order by j.id
    for update skip locked
  );
  return array(
    with held as (
      select s.job_id, s.step
      from unstuck.job_steps s
      where s.job_id = any (v_jobs)
      order by s.job_id, s.step
      for update skip locked
    )
    select n.id
    from unnest(v_jobs) as n (id)
    where n.id not in (
      select s.job_id
      from unstuck.job_steps s
      left join held h using (job_id, step)
      where s.job_id = any (v_jobs)
        and h.job_id is null
    )
  );
end $$;

revoke all on function unstuck_private.jobs_try_lock from public, anon, authenticated, service_role;

--: source job/number_or_null.sql 5e0f0a76a600
-- A number out of a request, or null: one row with another text must not make a whole view
-- unreadable.
create or replace function unstuck_private.number_or_null(p_text text) returns numeric
language sql
immutable
as
$$
  select substring(p_text from '^-?[0-9]{1,9}(?:[.][0-9]+)?$')::numeric
$$;

revoke all on function unstuck_private.number_or_null
from public, anon, authenticated, service_role;
grant execute on function unstuck_private.number_or_null to authenticated, service_role;

--: source job/refuse.sql 3c3c04410683
-- Refuses a call: PostgREST turns SQLSTATE PTxyz into the HTTP status xyz. The message is the API's
-- error code, the detail its extra fields as JSON.
create or replace function unstuck_private.refuse(
  p_status int,
  p_code text,
  p_fields jsonb default '{}'
)
returns void
language plpgsql
set search_path = ''
as
$$
begin
  raise exception using
    errcode = 'PT' || p_status,
    message = p_code,
    detail = p_fields::text;
end $$;

revoke all on function unstuck_private.refuse from public, anon, authenticated, service_role;

--: source job/refuse_final.sql bd5c3b29198b
-- Refuses a final job and says how it ended.
create or replace function unstuck_private.refuse_final(p_job unstuck.jobs) returns void
language plpgsql
set search_path = ''
as
$$
begin
  if unstuck_private.is_final(p_job.status) then
    perform unstuck_private.refuse(
      409,
      'already_final',
      jsonb_build_object('status', p_job.status, 'refundedCredits', p_job.credits_refunded)
    );
  end if;
end $$;

revoke all on function unstuck_private.refuse_final from public, anon, authenticated, service_role;

--: source job/refuse_other_table.sql 514d46406091
-- Refuses a table name that no tool has, then a job that is not in that table.
create or replace function unstuck_private.refuse_other_table(p_job unstuck.jobs, p_table text)
returns void
language plpgsql
set search_path = ''
as
$$
begin
  if p_table is null or p_table not in (select t.table_name from unstuck.tools t) then
    perform unstuck_private.refuse(400, 'bad_request', '{"field": "table"}');
  end if;
  if p_job.id is null or not exists (
    select from unstuck.tools t
    where t.tool = p_job.tool
      and t.table_name = p_table
  ) then
    perform unstuck_private.refuse(404, 'not_found');
  end if;
end $$;

revoke all on function unstuck_private.refuse_other_table
from public, anon, authenticated, service_role;

--: source legacy/legacy_input.sql 9f5f488d6615
-- The request that an older client's row describes: the columns that its page fills in, under the
-- field names of the API. Every other column is ignored.
create or replace function unstuck_private.legacy_input(p_row jsonb) returns jsonb
language sql
immutable
as
$$
  select coalesce(jsonb_object_agg(k.field, p_row -> k.column_name), '{}')
  from (
    values
      ('image_url', 'imageUrl'),
      ('resolution', 'resolution'),
      ('detail_denoise', 'detailDenoise'),
      ('prompt', 'prompt'),
      ('version', 'version'),
      ('category', 'category'),
      ('framing_mode', 'framingMode'),
      ('video_url', 'videoUrl'),
      ('width', 'width'),
      ('height', 'height'),
      ('duration_seconds', 'durationSeconds'),
      ('person_image_url', 'personImageUrl'),
      ('reference_image_url', 'referenceImageUrl'),
      ('clothing_image_url', 'clothingImageUrl'),
      ('input_file_name', 'input_file_name')
  ) as k (column_name, field)
  where p_row ->> k.column_name is not null
$$;

revoke all on function unstuck_private.legacy_input from public, anon, authenticated, service_role;

--: source legacy/legacy_job_insert.sql ca2ec08bd301
-- An older client's own insert: the row is stored as pending and unpaid, and does nothing until its
-- `/run` adopts it. Columns that a client must not set are ignored.
create or replace function unstuck_private.legacy_job_insert() returns trigger
language plpgsql
security definer
set search_path = ''
as
$$
declare
  v_user uuid := auth.uid();
  v_input jsonb := unstuck_private.legacy_input(to_jsonb(new));
  v_tool text;
begin
  select t.tool
  into v_tool
  from unstuck.tools t
  where t.table_name = tg_table_name;
  if v_user is null or not found or coalesce(new.user_id, v_user) <> v_user then
    raise exception 'permission denied for %', tg_table_name using errcode = '42501';
  end if;
  perform unstuck_private.account_lock(v_user);
  -- At most 20 pending rows at a time, and 200 in an hour that no `/run` adopted.
  if (
    select count(*) filter (where j.status = 'pending') >= 20 or count(*) >= 200
    from unstuck.jobs j
    where j.user_id = v_user
      and j.request_hash is null
      and j.created_at > clock_timestamp() - interval '1 hour'
  ) then
    perform unstuck_private.refuse(429, 'rate_limited');
  end if;
  if octet_length(v_input::text) > 20000 then
    perform unstuck_private.refuse(413, 'payload_too_large');
  end if;
  perform unstuck_private.act_as('client');
  begin
    insert into unstuck.jobs (id, tool, user_id, session_id, status, input)
    values (
      coalesce(new.id, gen_random_uuid()),
      v_tool,
      v_user,
      left(new.session_id, 200),
      'pending',
      v_input
    )
    returning id into new.id;
  exception when unique_violation then
    perform unstuck_private.refuse(409, 'idempotency_conflict');
  end;
  -- The client reads the row as it is stored, not as it sent it.
  new := jsonb_populate_record(new, unstuck_private.legacy_row(tg_table_name, new.id));
  return new;
end $$;

revoke all on function unstuck_private.legacy_job_insert
from public, anon, authenticated, service_role;

--: source legacy/legacy_job_update.sql dfc7e02e948d
-- An older client may only end its own waiting job: `failed` and `cancelled` both cancel it, with
-- its refund; any other change is ignored.
create or replace function unstuck_private.legacy_job_update() returns trigger
language plpgsql
security definer
set search_path = ''
as
$$
declare
  v_user uuid := auth.uid();
begin
  if v_user is null
    or old.user_id <> v_user
    or new.id <> old.id
    or new.user_id <> old.user_id
  then
    raise exception 'permission denied for %', tg_table_name using errcode = '42501';
  end if;
  if new.status in ('failed', 'cancelled')
    and (new.status is distinct from old.status or old.error_code = 'ORPHANED')
  then
    perform 1
    from unstuck.job_cancel_v1(v_user, tg_table_name, old.id);
    new := jsonb_populate_record(new, unstuck_private.legacy_row(tg_table_name, old.id));
    return new;
  end if;
  return null;
end $$;

revoke all on function unstuck_private.legacy_job_update
from public, anon, authenticated, service_role;

--: source legacy/legacy_row.sql 0726a78350e2
-- The job as its old-name view shows it now.
create or replace function unstuck_private.legacy_row(p_table text, p_id uuid) returns jsonb
language plpgsql
stable
set search_path = ''
as
$$
declare
  v_row jsonb;
begin
  execute format('select to_jsonb(v) from unstuck.%I v where v.id = $1', p_table)
  into v_row
  using p_id;
  return v_row;
end $$;

revoke all on function unstuck_private.legacy_row from public, anon, authenticated, service_role;

--: source legacy/legacy_write_refuse.sql bc77df1789db
-- Refuses a write to a view that older clients only read.
create or replace function unstuck_private.legacy_write_refuse() returns trigger
language plpgsql
set search_path = ''
as
$$
begin
  raise exception 'permission denied for %', tg_table_name using errcode = '42501';
end $$;

revoke all on function unstuck_private.legacy_write_refuse
from public, anon, authenticated, service_role;

--: source order/job_enqueue_v1.sql 36aaf91c52a0
create or replace function unstuck.job_enqueue_v1(
  p_user_id uuid,
  p_job_id uuid,
  p_tool text,
  p_session_id text,
  p_input jsonb,
  p_request_hash text,
  p_steps jsonb
)
returns table (
  job_id uuid,
  status text,
  replayed boolean,
  credits_charged bigint,
  balance bigint,
  "position" int,
  eta_seconds int,
  task_id text,
  output_url text,
  error_code text,
  error_message text,
  credits_refunded bigint
)
language plpgsql
security definer
set search_path = ''
set statement_timeout = '10s'
as
$$
declare
  v_tool unstuck.tools;
  v_job unstuck.jobs;
  v_balance bigint;
  v_price bigint;
  v_seconds_over int;
  v_constraint text;
begin
  perform unstuck_private.act_as('user');
  select t.*
  into v_tool
  from unstuck.tools t
  where t.tool = p_tool;
  if not found
    or p_user_id is null
    or p_job_id is null
    or coalesce(p_request_hash, '') = ''
    or jsonb_typeof(p_steps) is distinct from 'array'
    or jsonb_array_length(p_steps) not between 1 and 20
  then
    perform unstuck_private.refuse(400, 'bad_request');
  end if;
  v_balance := unstuck_private.account_lock(p_user_id);
  -- Replay comes first: the same id is the same order, whatever has become of its job.
  select j.*
  into v_job
  from unstuck.jobs j
  where j.id = p_job_id
  for update;
  if found then
    perform unstuck_private.refuse_other_order(v_job, p_user_id, p_tool, p_request_hash);
    if v_job.request_hash is not null then
      return query
      select *
      from unstuck_private.job_state(p_job_id, true, true);
      return;
    end if;
    perform unstuck_private.refuse_adoption(v_job);
  end if;
  perform unstuck_private.refuse_cancelled_request(p_user_id, p_job_id);
  if not v_tool.enabled then
    perform unstuck_private.refuse(503, 'tool_disabled');
  end if;
  perform unstuck_private.refuse_second_live_job(p_user_id, p_job_id, v_tool);
  v_price := unstuck_private.order_price(v_tool, jsonb_array_length(p_steps));
  perform unstuck_private.refuse_over_balance(v_balance, v_price);
  begin
    -- Some servers of the PostgREST protocol pass a null as ''.
    perform unstuck_private.job_write(p_user_id, p_job_id, v_tool, nullif(p_session_id, ''),
      p_input, p_request_hash, p_steps, v_price, null);
  exception when unique_violation then
    -- Another user took this id, or another writer inserted a live row, at the same moment.
    get stacked diagnostics v_constraint = constraint_name;
    perform unstuck_private.refuse(409, case v_constraint
      when 'jobs_one_live_per_exclusive_key' then 'active_job_exists'
      else 'idempotency_conflict'
    end);
  end;
  v_seconds_over := unstuck_private.seconds_over_queue_ttl(p_job_id, v_tool);
  if v_seconds_over > 0 then
    perform unstuck_private.refuse(
      503, 'queue_full', jsonb_build_object('retry_after', v_seconds_over));
  end if;
  return query
  select *
  from unstuck_private.job_state(p_job_id, false, false);
end $$;

comment on function unstuck.job_enqueue_v1 is $c$
Caller: the function that creates the tool's jobs, for the verified user.

Effect: takes the price and writes the job with its steps, in one transaction. It adopts an unpaid
row of the same id that an older client inserted.

Refuses: bad_request, idempotency_conflict (the id belongs to another order), already_final (also:
the user cancelled the order before it arrived), tool_disabled, active_job_exists,
insufficient_credits, queue_full. A refusal leaves nothing behind.

Replay: the same id, user, tool and hash get the job's present state and no charge: replayed = true.
$c$;

revoke all on function unstuck.job_enqueue_v1 from public, anon, authenticated, service_role;
grant execute on function unstuck.job_enqueue_v1 to service_role;

--: source order/job_write.sql 2882094875ac
-- Writes a queued job with its debit and its steps, or overwrites the row that the order adopts.
-- The caller has locked the account.
create or replace function unstuck_private.job_write(
  p_user_id uuid,
  p_job_id uuid,
  p_tool unstuck.tools,
  p_session_id text,
  p_input jsonb,
  p_request_hash text,
  p_steps jsonb,
  p_price bigint,
  p_retry_of uuid
)
returns void
language plpgsql
set search_path = ''
as
$$
declare
  v_now timestamptz := clock_timestamp();
  v_steps int := jsonb_array_length(p_steps);
  v_expires timestamptz := v_now + unstuck_private.job_lifetime(p_tool.tool, v_steps);
  v_deadline timestamptz := least(v_now + p_tool.queue_ttl, v_expires);
  v_key text := p_tool.exclusive_group || ':' || p_user_id;
begin
  -- Adopt the row that an older client inserted: every column of times and credits is overwritten.
  update unstuck.jobs set
    status = 'queued',
    session_id = coalesce(p_session_id, session_id),
    credits_charged = p_price,
    credits_refunded = 0,
    refund_rule = p_tool.refund_rule,
    exclusive_key = v_key,
    input = p_input,
    total_steps = v_steps,
    current_step = 0,
    retries = 0,
    request_hash = p_request_hash,
    queued_at = v_now,
    created_at = v_now,
    started_at = null,
    deadline_at = v_deadline,
    expires_at = v_expires,
    completed_at = null,
    waited_in_queue = false,
    output = null,
    output_url = null,
    error_code = null,
    error_message = null
  where id = p_job_id
    and user_id = p_user_id
    and request_hash is null;
  if not found then
    insert into unstuck.jobs (
      id, tool, user_id, session_id, status, credits_charged, refund_rule, exclusive_key, input,
      total_steps, request_hash, retry_of, queued_at, created_at, deadline_at, expires_at
    )
    values (
      p_job_id, p_tool.tool, p_user_id, p_session_id, 'queued', p_price, p_tool.refund_rule,
      v_key, p_input, v_steps, p_request_hash, p_retry_of, v_now, v_now, v_deadline, v_expires
    );
  end if;
  if p_price > 0 then
    insert into unstuck.credit_entries (user_id, job_id, kind, amount, reason)
    values (p_user_id, p_job_id, 'debit', -p_price, p_tool.tool);
  end if;
  insert into unstuck.job_steps (job_id, step, status, provider, share, deadline_at, input)
  select
    p_job_id,
    s.step,
    case when s.step > 1 and p_tool.step_order = 'sequential' then 'blocked' else 'queued' end,
    p_tool.provider,
    unstuck_private.share_of(p_price, v_steps, s.step::int),
    case
      when s.step > 1 and p_tool.step_order = 'sequential' then v_expires
      else v_deadline
    end,
    s.input
  from jsonb_array_elements(p_steps) with ordinality as s (input, step);
end $$;

revoke all on function unstuck_private.job_write from public, anon, authenticated, service_role;

--: source order/order_price.sql afb8667f26f2
-- What an order of this tool with this many steps costs, in credits.
create or replace function unstuck_private.order_price(p_tool unstuck.tools, p_steps int)
returns bigint
language sql
immutable
as
$$
  select p_tool.credit_cost * case p_tool.priced_per when 'step' then p_steps else 1 end
$$;

revoke all on function unstuck_private.order_price from public, anon, authenticated, service_role;

--: source order/refuse_adoption.sql 3f33a8f9e478
-- Refuses to adopt a row without a `request_hash` that is no orphan. An order adopts the row that
-- an older client inserted itself, such a row that a sweep cancelled since, and a queued row
-- without a step.
create or replace function unstuck_private.refuse_adoption(p_job unstuck.jobs) returns void
language plpgsql
set search_path = ''
as
$$
begin
  if p_job.status = 'pending'
    or (p_job.status = 'cancelled' and p_job.error_code = 'ORPHANED')
    or (
      p_job.status = 'queued'
      and not exists (select from unstuck.job_steps s where s.job_id = p_job.id)
    )
  then
    return;
  end if;
  perform unstuck_private.refuse(
    409,
    'already_final',
    jsonb_build_object('status', p_job.status, 'refundedCredits', p_job.credits_refunded)
  );
end $$;

revoke all on function unstuck_private.refuse_adoption
from public, anon, authenticated, service_role;

--: source order/refuse_cancelled_request.sql efae93496863
-- Refuses an order that its user cancelled before it arrived.
create or replace function unstuck_private.refuse_cancelled_request(p_user_id uuid, p_job_id uuid)
returns void
language plpgsql
set search_path = ''
as
$$
begin
  if exists (
    select from unstuck.cancelled_requests c
    where c.user_id = p_user_id
      and c.job_id = p_job_id
  ) then
    perform unstuck_private.refuse(
      409,
      'already_final',
      jsonb_build_object('status', 'cancelled', 'refundedCredits', 0)
    );
  end if;
end $$;

revoke all on function unstuck_private.refuse_cancelled_request
from public, anon, authenticated, service_role;

--: source order/refuse_other_order.sql aa65573f824d
-- Refuses an order whose id belongs to another order: of another user, of another tool, or with
-- another request.
create or replace function unstuck_private.refuse_other_order(
  p_job unstuck.jobs,
  p_user_id uuid,
  p_tool text,
  p_request_hash text
)
returns void
language plpgsql
set search_path = ''
as
$$
begin
  if p_job.user_id <> p_user_id
    or p_job.tool <> p_tool
    or p_job.request_hash <> p_request_hash
  then
    perform unstuck_private.refuse(409, 'idempotency_conflict');
  end if;
end $$;

revoke all on function unstuck_private.refuse_other_order
from public, anon, authenticated, service_role;

--: source order/refuse_over_balance.sql 6286e8cbe8e7
-- Refuses a price that the balance does not cover.
create or replace function unstuck_private.refuse_over_balance(p_balance bigint, p_price bigint)
returns void
language plpgsql
set search_path = ''
as
$$
begin
  if p_balance < p_price then
    perform unstuck_private.refuse(
      402,
      'insufficient_credits',
      jsonb_build_object('balance', p_balance, 'required', p_price)
    );
  end if;
end $$;

revoke all on function unstuck_private.refuse_over_balance
from public, anon, authenticated, service_role;

--: source order/refuse_second_live_job.sql cfe81429fc21
-- Refuses an order while its user has another live job in the tool's exclusive group. The caller
-- has locked the user's account, which makes this check exact for one user; the unique index
-- `jobs_one_live_per_exclusive_key` stops every other writer.
create or replace function unstuck_private.refuse_second_live_job(
  p_user_id uuid,
  p_job_id uuid,
  p_tool unstuck.tools
)
returns void
language plpgsql
set search_path = ''
as
$$
declare
  v_other unstuck.jobs;
begin
  if p_tool.exclusive_group is null then
    return;
  end if;
  select j.*
  into v_other
  from unstuck.jobs j
  join unstuck.tools t using (tool)
  where j.user_id = p_user_id
    and t.exclusive_group = p_tool.exclusive_group
    and j.id <> p_job_id
    and j.quarantined_at is null
    and (
      j.status in ('starting', 'running')
      -- A queued row without the key was inserted by others. It may be an orphan, and an orphan
      -- blocks nobody.
      or (j.status = 'queued' and j.exclusive_key is not null)
    );
  if found then
    perform unstuck_private.refuse(
      409,
      'active_job_exists',
      jsonb_build_object(
        'activeJobId', v_other.id,
        'activeTool', v_other.tool,
        'activeStatus', v_other.status
      )
    );
  end if;
end $$;

revoke all on function unstuck_private.refuse_second_live_job
from public, anon, authenticated, service_role;

--: source order/seconds_over_queue_ttl.sql 2c67b5b5acb3
-- How many seconds longer than its tool's `queue_ttl` a new job would wait; 0 while a slot is free
-- or no duration was measured yet. The job's own position counts, so that a user with many waiting
-- jobs causes no refusal of other users.
create or replace function unstuck_private.seconds_over_queue_ttl(
  p_job_id uuid,
  p_tool unstuck.tools
)
returns int
language plpgsql
stable
set search_path = ''
as
$$
declare
  v_slots int;
begin
  select p.max_concurrent
  into v_slots
  from unstuck.providers p
  where p.provider = p_tool.provider;
  if (
    select count(*)
    from (
      select
      from unstuck.job_steps s
      where s.provider = p_tool.provider
        and s.provider_done_at is null
        and s.status in ('queued', 'starting', 'running')
        and s.job_id <> p_job_id
      limit v_slots
    ) s
  ) < v_slots
    or not exists (
      select from unstuck_private.tool_seconds(p_tool.provider) t
      where t.measured
    )
  then
    return 0;
  end if;
  return (
    select p.eta_seconds - extract(epoch from p_tool.queue_ttl)::int
    from unstuck_private.provider_positions(p_tool.provider) p
    where p.job_id = p_job_id
  );
end $$;

revoke all on function unstuck_private.seconds_over_queue_ttl
from public, anon, authenticated, service_role;

--: source queue/caller_positions.sql 96ac23421cca
-- The positions of the caller's own waiting jobs, {job id: position}; for an admin and the service,
-- of all. A position costs a pass over the provider's whole queue, so a view calls this once a
-- query, not once a row.
create or replace function unstuck_private.caller_positions() returns jsonb
language plpgsql
stable
security definer
set search_path = ''
as
$$
declare
  v_ids uuid[];
begin
  if unstuck_private.may_see(null) then
    v_ids := array(
      select j.id
      from unstuck.jobs j
      where j.status = 'queued'
    );
  else
    v_ids := array(
      select j.id
      from unstuck.jobs j
      where j.status = 'queued' and j.user_id = auth.uid()
    );
  end if;
  return (
    with waiting as materialized (
      select j.id, t.provider
      from unnest(v_ids) as n (id)
      join unstuck.jobs j on j.id = n.id
      join unstuck.tools t on t.tool = j.tool
    )
    select coalesce(jsonb_object_agg(w.id, q."position"), '{}')
    from (
      select distinct provider
      from waiting
    ) p
    cross join lateral unstuck_private.provider_positions(p.provider) q
    join waiting w on w.id = q.job_id and w.provider = p.provider
  );
end $$;

revoke all on function unstuck_private.caller_positions
from public, anon, authenticated, service_role;
grant execute on function unstuck_private.caller_positions to authenticated, service_role;

--: source queue/provider_positions.sql e2f52006e859
-- The positions 1..n of the jobs that wait at a provider, and in how many seconds each will start:
-- in its turn, in the slot that is free first, if every step takes as long as its tool took lately.
create or replace function unstuck_private.provider_positions(p_provider text)
returns table (job_id uuid, "position" int, eta_seconds int)
language plpgsql
stable
set search_path = ''
as
$$
declare
  v_free numeric[] := unstuck_private.seconds_until_slots_free(p_provider);
  v_slot int;
  v_step record;
  v_position int := 0;
begin
  for v_step in
    select
      q.job_id,
      coalesce(t.seconds, 60) as seconds,
      greatest(unstuck_private.seconds_between(clock_timestamp(), s.not_before), 1) as not_in,
      j.status = 'queued'
        and row_number() over (partition by q.job_id order by q."position") = 1 as is_first
    from unstuck_private.queue_order(p_provider, clock_timestamp()) q
    join unstuck.jobs j on j.id = q.job_id
    join unstuck.job_steps s
      on s.job_id = q.job_id
      and s.step = q.step
    left join unstuck_private.tool_seconds(p_provider) t on t.tool = q.tool
    order by q."position"
  loop
    v_slot := 1;
    for i in 2 .. cardinality(v_free) loop
      if v_free[i] < v_free[v_slot] then
        v_slot := i;
      end if;
    end loop;
    v_free[v_slot] := greatest(v_free[v_slot], v_step.not_in);
    if v_step.is_first then
      v_position := v_position + 1;
      return query
      select v_step.job_id, v_position, least(ceil(v_free[v_slot]), 2147483647)::int;
    end if;
    v_free[v_slot] := v_free[v_slot] + v_step.seconds;
  end loop;
end $$;

revoke all on function unstuck_private.provider_positions
from public, anon, authenticated, service_role;

--: source queue/queue_check_v1.sql cd0fb90c9eb1
create or replace function unstuck.queue_check_v1(p_provider text)
returns table (
  max_concurrent int,
  running int,
  slots_available int,
  total_queued int,
  queued_by_tool jsonb,
  oldest_queued_seconds int,
  last_sweep_at timestamptz,
  enabled boolean
)
language sql
stable
security definer
set search_path = ''
as
$$
  with live as (
    select count(*)::int as running
    from unstuck.job_steps s
    where s.provider = p_provider
      and unstuck_private.holds_slot(s)
  ),
  waiting as (
    select
      j.tool,
      count(*)::int as jobs,
      min(coalesce(j.queued_at, j.created_at)) as since
    from unstuck.jobs j
    join unstuck.tools t using (tool)
    where t.provider = p_provider
      and j.status = 'queued'
      and j.quarantined_at is null
    group by j.tool
  )
  select
    p.max_concurrent,
    l.running,
    greatest(p.max_concurrent - l.running, 0),
    coalesce(w.total, 0),
    coalesce(w.by_tool, '{}'),
    unstuck_private.seconds_between(w.since, clock_timestamp()),
    (select max(s.finished_at) from unstuck.sweeps s),
    p.enabled
  from unstuck.providers p
  cross join live l
  cross join (
    select
      sum(jobs)::int as total,
      jsonb_object_agg(tool, jobs) as by_tool,
      min(since) as since
    from waiting
  ) w
  where p.provider = p_provider
$$;

comment on function unstuck.queue_check_v1 is $c$
Caller: the check and status endpoints.

Effect: none; one row for a known provider: its limit, how many slots are taken, how many jobs wait.

Refuses: nothing; no row where there is no such provider.

Replay: reads again.
$c$;

revoke all on function unstuck.queue_check_v1 from public, anon, authenticated, service_role;
grant execute on function unstuck.queue_check_v1 to service_role;

--: source queue/queue_order.sql f086f6d5a713
-- The waiting steps of one provider in the order in which they will be claimed. Each user has one
-- turn at a time, since the user began to wait or was last served: a thousand jobs of one user let
-- every other user through after each of them. The order does not depend on what finishes when, so
-- that a position that was shown stays true.
create or replace function unstuck_private.queue_order(p_provider text, p_now timestamptz)
returns table (job_id uuid, step int, user_id uuid, tool text, ready boolean, "position" bigint)
language plpgsql
stable
set search_path = ''
as
$$
begin
  return query
  with waiting as (
    select
      s.job_id,
      s.step,
      j.user_id,
      j.tool,
      coalesce(s.not_before, p_now) <= p_now as ready,
      coalesce(j.queued_at, j.created_at) as since
    from unstuck.job_steps s
    join unstuck.jobs j on j.id = s.job_id
    where s.provider = p_provider
      and s.status = 'queued'
      and unstuck_private.is_live(j.status)
      and j.quarantined_at is null
      and (
        s.deadline_at > p_now
        -- The queue TTL is paused while another step of the job works.
        or exists (
          select from unstuck.job_steps w
          where w.job_id = s.job_id
            and w.status in ('starting', 'running')
        )
      )
  ),
  ranked as (
    select
      w.*,
      row_number() over own as turn,
      greatest(first_value(w.since) over own, u.served_at) as waits_since
    from waiting w
    left join unstuck_private.queue_turns u
      on u.provider = p_provider
      and u.user_id = w.user_id
    window own as (
      partition by w.user_id
      order by not w.ready, w.since, w.job_id, w.step
    )
  )
  select
    l.job_id,
    l.step,
    l.user_id,
    l.tool,
    l.ready,
    row_number() over (order by not l.ready, l.turn, l.waits_since, l.user_id)
  from ranked l;
end $$;

revoke all on function unstuck_private.queue_order from public, anon, authenticated, service_role;

--: source queue/seconds_until_slots_free.sql 97e62803d16c
-- In how many seconds each slot of a provider will be free, the latest first. A step that takes
-- longer than its tool usually does is expected to need as much more as it is late.
create or replace function unstuck_private.seconds_until_slots_free(p_provider text)
returns numeric[]
language plpgsql
stable
set search_path = ''
as
$$
begin
  return (
    with busy as (
      select
        abs(
          coalesce(t.seconds, 60)
          - unstuck_private.seconds_between(
            coalesce(s.claimed_at, s.sent_at, s.started_at, j.created_at),
            clock_timestamp()
          )
        ) as seconds
      from unstuck.job_steps s
      join unstuck.jobs j on j.id = s.job_id
      left join unstuck_private.tool_seconds(p_provider) t on t.tool = j.tool
      where s.provider = p_provider
        and unstuck_private.holds_slot(s)
    ),
    slot as (
      select generate_series(1, greatest(p.max_concurrent, 1)) as slot
      from unstuck.providers p
      where p.provider = p_provider
    ),
    held as (
      -- After the limit was lowered there are more steps than slots: those that end first free
      -- none.
      select b.seconds
      from busy b
      union all
      select 0
      from slot
      order by 1 desc
      limit (select count(*) from slot)
    )
    select array_agg(h.seconds)
    from held h
  );
end $$;

revoke all on function unstuck_private.seconds_until_slots_free
from public, anon, authenticated, service_role;

--: source queue/step_claim_v1.sql 1206e4a8e001
create or replace function unstuck.step_claim_v1(p_provider text, p_limit int)
returns table (
  job_id uuid,
  step int,
  run bigint,
  tool text,
  user_id uuid,
  attempts int,
  input jsonb,
  previous_output_url text,
  run_ms int
)
language plpgsql
security definer
set search_path = ''
set statement_timeout = '10s'
as
$$
declare
  v_provider unstuck.providers;
  v_free int;
  v_now timestamptz;
begin
  perform unstuck_private.act_as('worker');
  -- Slots are counted from rows under this lock. An ordinary `for update` would block the foreign
  -- keys' checks and deadlock with enqueue.
  select p.*
  into v_provider
  from unstuck.providers p
  where p.provider = p_provider
  for no key update;
  if not found or not v_provider.enabled then
    return;
  end if;
  v_now := clock_timestamp();
  select v_provider.max_concurrent - count(*)
  into v_free
  from unstuck.job_steps s
  where s.provider = p_provider
    and unstuck_private.holds_slot(s);
  v_free := least(v_free, greatest(p_limit, 0));
  if v_free <= 0 then
    return;
  end if;
  return query
  select *
  from unstuck_private.steps_claim(v_provider, v_now, v_free);
end $$;

comment on function unstuck.step_claim_v1 is $c$
Caller: a worker, before it submits steps of a provider.

Effect: claims up to p_limit waiting steps in queue order while slots are free. Each gets a new run
and a lease. The reply has each step's request, the output of the step before, and how long the step
may run.

Refuses: nothing; no row where no step may start.

Replay: claims the next steps.
$c$;

revoke all on function unstuck.step_claim_v1 from public, anon, authenticated, service_role;
grant execute on function unstuck.step_claim_v1 to service_role;

--: source queue/steps_claim.sql 19a86c552dfc
-- Claims up to p_limit waiting steps of a provider whose slots the caller has counted under the
-- provider's lock. Each gets a new run, a lease and a deadline; its user goes to the end of the
-- queue; its job shows that it starts. A step of a synchronous provider runs at once, and counts as
-- an attempt from here on.
create or replace function unstuck_private.steps_claim(
  p_provider unstuck.providers,
  p_now timestamptz,
  p_limit int
)
returns table (
  job_id uuid,
  step int,
  run bigint,
  tool text,
  user_id uuid,
  attempts int,
  input jsonb,
  previous_output_url text,
  run_ms int
)
language plpgsql
set search_path = ''
as
$$
#variable_conflict use_column
begin
  return query
  with claimed as (
    update unstuck.job_steps s
    set status = case when p_provider.synchronous then 'running' else 'starting' end,
      run = s.run + 1,
      claimed_at = p_now,
      sent_at = null,
      provider_task_id = null,
      checked_at = null,
      not_before = null,
      attempts = s.attempts + p_provider.synchronous::int,
      started_at = case when p_provider.synchronous then p_now end,
      lease_until = p_now + case when p_provider.synchronous then i.lease else t.start_timeout end,
      deadline_at = least(
        p_now + case when p_provider.synchronous then t.run_timeout else t.start_timeout end,
        j.expires_at)
    from unstuck_private.steps_pick(p_provider.provider, p_now, p_limit) p
    cross join unstuck_private.intervals() i,
      unstuck.jobs j,
      unstuck.tools t
    where s.job_id = p.job_id
      and s.step = p.step
      and j.id = s.job_id
      and t.tool = j.tool
    returning s.job_id, s.step, s.run, j.tool, j.user_id, s.attempts, s.input, s.deadline_at,
      p."position", greatest(least(p_now + t.run_timeout, j.expires_at), p_now) - p_now as run_for
  ), turn as (
    -- Users who are served together go to the end of the queue in the order of their steps.
    insert into unstuck_private.queue_turns as u (provider, user_id, served_at)
    select p_provider.provider, c.user_id, p_now + max(c."position") * interval '1 microsecond'
    from claimed c
    group by c.user_id
    on conflict on constraint queue_turns_pkey do update
    set served_at = excluded.served_at
  ), job as (
    update unstuck.jobs j
    set status = case
        when p_provider.synchronous or j.status = 'running' then 'running'
        else 'starting'
      end,
      started_at = case
        when p_provider.synchronous then coalesce(j.started_at, p_now)
        else j.started_at
      end,
      waited_in_queue = j.waited_in_queue
        or coalesce(j.queued_at, j.created_at) < p_now - interval '2 seconds',
      current_step = case when t.step_order = 'sequential' then c.step else j.current_step end,
      deadline_at = c.deadline_at
    from (
      select c.job_id, max(c.step) as step, min(c.deadline_at) as deadline_at
      from claimed c
      group by c.job_id
    ) c, unstuck.tools t
    where j.id = c.job_id
      and t.tool = j.tool
  )
  select c.job_id, c.step, c.run, c.tool, c.user_id, c.attempts, c.input,
    (
      select b.output_url
      from unstuck.job_steps b
      where b.job_id = c.job_id
        and b.step = c.step - 1
    ),
    ceil(extract(epoch from c.run_for) * 1000)::int
  from claimed c
  order by c."position";
end $$;

revoke all on function unstuck_private.steps_claim from public, anon, authenticated, service_role;

--: source queue/steps_pick.sql ceeb5b592bba
-- Locks up to p_limit waiting steps of a provider with their jobs, in the order in which they are
-- claimed, and returns their keys. It skips what another transaction has locked.
create or replace function unstuck_private.steps_pick(
  p_provider text,
  p_now timestamptz,
  p_limit int
)
returns table (job_id uuid, step int, "position" bigint)
language plpgsql
-- The planner expects a few rows, not a thousand.
rows 5
set search_path = ''
as
$$
begin
  return query
  select s.job_id, s.step, q."position"
  from (
    -- Up to 100 more than there are slots: some of them may be locked.
    select *
    from unstuck_private.queue_order(p_provider, p_now) o
    where o.ready
    order by o."position"
    limit p_limit + 100
  ) q
  join unstuck.jobs j on j.id = q.job_id
  join unstuck.job_steps s
    on s.job_id = q.job_id
    and s.step = q.step
  where s.status = 'queued'
    and unstuck_private.is_live(j.status)
  order by q."position"
  limit p_limit
  for update of j, s skip locked;
end $$;

revoke all on function unstuck_private.steps_pick from public, anon, authenticated, service_role;

--: source queue/steps_waiting_v1.sql 08b6afeb33b1
create or replace function unstuck.steps_waiting_v1(p_provider text)
returns table (waiting int, may_start int)
language sql
stable
security definer
set search_path = ''
set statement_timeout = '5s'
as
$$
  select
    q.waiting::int,
    case
      when p.enabled then greatest(least(q.ready, p.max_concurrent - l.live), 0)
      else 0
    end::int
  from unstuck.providers p
  cross join lateral (
    select count(*) as live
    from unstuck.job_steps s
    where s.provider = p.provider
      and unstuck_private.holds_slot(s)
  ) l
  cross join lateral (
    select
      count(*) as waiting,
      count(*) filter (where o.ready) as ready
    from unstuck_private.queue_order(p.provider, clock_timestamp()) o
  ) q
  where p.provider = p_provider
$$;

comment on function unstuck.steps_waiting_v1 is $c$
Caller: a worker of a synchronous provider at its end, and every call that may have freed a slot.

Effect: none; waiting: how many steps wait, retries included; may_start: how many of them a claim
would take now.

Refuses: nothing; no row where there is no such provider.

Replay: reads again.
$c$;

revoke all on function unstuck.steps_waiting_v1 from public, anon, authenticated, service_role;
grant execute on function unstuck.steps_waiting_v1 to service_role;

--: source queue/tool_seconds.sql e95db1687bb0
-- How long a step of each tool held its slot lately: the mean of the tool's last 20 among the
-- provider's last 200. A tool without any takes the mean of the others. Without any measurement it
-- is 60 seconds, with measured = false.
create or replace function unstuck_private.tool_seconds(p_provider text)
returns table (tool text, seconds numeric, measured boolean)
language plpgsql
stable
set search_path = ''
as
$$
begin
  return query
  with lately as (
    select
      j.tool,
      greatest(
        unstuck_private.seconds_between(
          least(s.claimed_at, s.started_at),
          coalesce(s.provider_done_at, s.completed_at)
        ),
        0
      ) as seconds,
      row_number() over (partition by j.tool order by s.completed_at desc) as nth
    from (
      select *
      from unstuck.job_steps c
      where c.provider = p_provider
        and c.status = 'completed'
        and c.started_at is not null
      order by c.completed_at desc
      limit 200
    ) s
    join unstuck.jobs j on j.id = s.job_id
  ),
  mean as (
    select l.tool, avg(l.seconds) as seconds
    from lately l
    where l.nth <= 20
    group by rollup (l.tool)
  )
  select
    t.tool,
    coalesce(m.seconds, a.seconds, 60),
    a.seconds is not null
  from unstuck.tools t
  left join mean m on m.tool = t.tool
  left join mean a on a.tool is null
  where t.provider = p_provider;
end $$;

revoke all on function unstuck_private.tool_seconds from public, anon, authenticated, service_role;

--: source queue/user_active_v1.sql 4dcb37880997
create or replace function unstuck.user_active_v1(p_user_id uuid)
returns table (
  has_active_job boolean,
  active_tool text,
  active_table text,
  active_job_id uuid,
  active_status text,
  "position" int
)
language plpgsql
security definer
set search_path = ''
set statement_timeout = '10s'
as
$$
#variable_conflict use_column
begin
  -- Both lock the account first and wait for no job.
  perform unstuck.user_heal_v1(p_user_id);
  perform unstuck_private.orphans_cancel(p_user_id);
  return query
  select true, j.tool, t.table_name, j.id, j.status,
    case when j.status = 'queued' then (
      select p."position"
      from unstuck_private.provider_positions(t.provider) p
      where p.job_id = j.id
    ) end
  from unstuck.jobs j
  join unstuck.tools t using (tool)
  where j.user_id = p_user_id
    and t.exclusive_group is not null
    and j.status in ('queued', 'starting', 'running')
    and j.quarantined_at is null
  -- A queued row that may be an orphan comes last, so that it hides no paid job.
  order by
    j.status = 'queued',
    j.request_hash is null and j.credits_charged = 0,
    j.created_at
  limit 1;
  if not found then
    return query
    select false, null::text, null::text, null::uuid, null::text, null::int;
  end if;
end $$;

comment on function unstuck.user_active_v1 is $c$
Caller: check-user-active, for the verified user.

Effect: heals the user's jobs that ran out of time and cancels the user's orphans; then one row says
whether the user has a live job in an exclusive group, and which.

Refuses: nothing.

Replay: reads again.
$c$;

revoke all on function unstuck.user_active_v1 from public, anon, authenticated, service_role;
grant execute on function unstuck.user_active_v1 to service_role;

--: source queue/visible_load.sql 16a7a8b9e28c
-- The rows of `provider_load`, for those who may see them.
create or replace function unstuck_private.visible_load()
returns table (
  provider text,
  enabled boolean,
  max_concurrent int,
  running int,
  waiting int,
  oldest_waiting_seconds int
)
language sql
stable
security definer
set search_path = ''
as
$$
  select p.provider, p.enabled, p.max_concurrent, r.steps, w.steps,
    unstuck_private.seconds_between(w.since, clock_timestamp())
  from unstuck.providers p
  cross join lateral (
    select count(*)::int as steps
    from unstuck.job_steps s
    where s.provider = p.provider and unstuck_private.holds_slot(s)
  ) r
  cross join lateral (
    select count(*)::int as steps,
      min(coalesce(j.queued_at, j.created_at)) as since
    from unstuck.job_steps s
    join unstuck.jobs j on j.id = s.job_id
    where s.provider = p.provider and s.status = 'queued'
  ) w
  where (select unstuck_private.may_see(null))
$$;

revoke all on function unstuck_private.visible_load from public, anon, authenticated, service_role;
grant execute on function unstuck_private.visible_load to authenticated, service_role;

--: source queue/visible_positions.sql dd308d7ba378
-- The rows of `queue_positions`, for those who may see them.
create or replace function unstuck_private.visible_positions()
returns table (job_id uuid, provider text, "position" int, eta_seconds int)
language sql
stable
security definer
set search_path = ''
as
$$
  select q.job_id, p.provider, q."position", q.eta_seconds
  from unstuck.providers p
  cross join lateral unstuck_private.provider_positions(p.provider) q
  where (select unstuck_private.may_see(null))
$$;

revoke all on function unstuck_private.visible_positions
from public, anon, authenticated, service_role;
grant execute on function unstuck_private.visible_positions to authenticated, service_role;

--: source retention/prune_cancelled_requests.sql cbee4b8beb7f
-- Deletes cancelled orders from before p_before.
create or replace function unstuck_private.prune_cancelled_requests(
  p_before timestamptz,
  p_limit int,
  p_skip int
)
returns int
language plpgsql
set search_path = ''
set plan_cache_mode = 'force_custom_plan'
as
$$
declare
  v_pruned int;
begin
  delete from unstuck.cancelled_requests c
  where c.ctid = any (array(
    select o.ctid
    from unstuck.cancelled_requests o
    where o.at < p_before
    order by o.at
    limit p_limit
    offset p_skip
    for update skip locked
  ));
  get diagnostics v_pruned = row_count;
  return v_pruned;
end $$;

revoke all on function unstuck_private.prune_cancelled_requests
from public, anon, authenticated, service_role;

--: source retention/prune_cron_runs.sql 70100764a21c
-- Deletes our schedule's rows from pg_cron's own table, which keeps them for ever and which the
-- host's schedules share. The table has no index but its key, so this walks it by the key, each row
-- once, from where the last walk stopped. Returns how many rows the walk passed.
create or replace function unstuck_private.prune_cron_runs(p_before timestamptz, p_limit int)
returns int
language plpgsql
set search_path = ''
set plan_cache_mode = 'force_custom_plan'
as
$$
declare
  v_from bigint;
  v_to bigint;
  v_passed int;
begin
  if to_regclass('cron.job_run_details') is null then
    return 0;
  end if;
  select p.position
  into v_from
  from unstuck_private.retention_progress p
  where p.kind = 'cron_runs';
  -- The numbers restarted: the extension was created anew.
  if v_from is null or v_from > (select max(d.runid) from cron.job_run_details d) then
    v_from := 0;
  end if;
  select max(w.runid), count(*)
  into v_to, v_passed
  from (
    select d.runid, coalesce(d.end_time, d.start_time) as at
    from cron.job_run_details d
    where d.runid > v_from
    order by d.runid
    limit p_limit
  ) w
  where w.at < p_before;
  if v_to is null then
    return 0;
  end if;
  delete from cron.job_run_details d
  where d.runid > v_from
    and d.runid <= v_to
    and d.jobid in (select c.jobid from cron.job c where c.jobname = 'unstuck-cleanup');
  insert into unstuck_private.retention_progress as p (kind, position)
  values ('cron_runs', v_to)
  on conflict (kind) do update
  set position = excluded.position;
  return v_passed;
end $$;

revoke all on function unstuck_private.prune_cron_runs
from public, anon, authenticated, service_role;

--: source retention/prune_erased_jobs.sql 333ff9b98fb1
-- Deletes what was kept of an erased user's jobs for a provider's cancel: an hour after the erasure
-- where no cancel is owed (a worker may have been about to learn its task), and at `p_before` in
-- any case, because by then the task has ended by itself.
create or replace function unstuck_private.prune_erased_jobs(
  p_now timestamptz,
  p_before timestamptz,
  p_limit int,
  p_skip int
)
returns int
language plpgsql
set search_path = ''
set plan_cache_mode = 'force_custom_plan'
as
$$
declare
  v_ids uuid[];
begin
  v_ids := array(
    select o.id
    from unstuck.jobs o
    where o.user_id = unstuck_private.erased_user()
      and unstuck_private.is_final(o.status)
      and (
        o.updated_at < p_before
        or o.updated_at < p_now - interval '1 hour'
        and not exists (
          select from unstuck.job_steps s
          where s.job_id = o.id and s.provider_cancel_due <> '[]'
        )
      )
      and not exists (select from unstuck.jobs r where r.retry_of = o.id)
    order by o.updated_at
    limit p_limit
    offset p_skip
    for update of o skip locked
  );
  delete from unstuck.job_events e
  where e.job_id = any (v_ids);
  delete from unstuck.webhook_inbox w
  where w.job_id = any (v_ids);
  delete from unstuck.jobs j
  where j.id = any (v_ids);
  return cardinality(v_ids);
end $$;

revoke all on function unstuck_private.prune_erased_jobs
from public, anon, authenticated, service_role;

--: source retention/prune_inputs.sql 68f8ff225584
-- Empties the inputs of final jobs and their steps; the rows stay. Half of p_limit are jobs, half
-- are steps.
create or replace function unstuck_private.prune_inputs(
  p_before timestamptz,
  p_limit int,
  p_skip int
)
returns int
language plpgsql
set search_path = ''
set plan_cache_mode = 'force_custom_plan'
as
$$
declare
  v_jobs int;
  v_steps int;
begin
  update unstuck.jobs j
  set input = '{}'
  where j.ctid = any (array(
    select o.ctid
    from unstuck.jobs o
    where o.completed_at < p_before and o.input <> '{}'
    order by o.completed_at
    limit (p_limit + 1) / 2
    offset p_skip
    for update skip locked
  ));
  get diagnostics v_jobs = row_count;
  update unstuck.job_steps s
  set input = '{}'
  where s.ctid = any (array(
    select o.ctid
    from unstuck.job_steps o
    where o.completed_at < p_before
      and o.input <> '{}'
      and (select j.completed_at < p_before from unstuck.jobs j where j.id = o.job_id)
    order by o.completed_at
    limit (p_limit + 1) / 2
    offset p_skip
    for update skip locked
  ));
  get diagnostics v_steps = row_count;
  return v_jobs + v_steps;
end $$;

revoke all on function unstuck_private.prune_inputs from public, anon, authenticated, service_role;

--: source retention/prune_job_events.sql 825e7d18b546
-- Deletes events from before p_before whose job is final or gone.
create or replace function unstuck_private.prune_job_events(
  p_before timestamptz,
  p_limit int,
  p_skip int
)
returns int
language plpgsql
set search_path = ''
set plan_cache_mode = 'force_custom_plan'
as
$$
declare
  v_pruned int;
begin
  delete from unstuck.job_events e
  where e.ctid = any (array(
    select o.ctid
    from unstuck.job_events o
    where o.at < p_before
      -- A subquery per row gives one plan, whatever the tables' statistics say.
      and coalesce(
        (select unstuck_private.is_final(j.status) from unstuck.jobs j where j.id = o.job_id),
        true
      )
    order by o.at
    limit p_limit
    offset p_skip
    for update skip locked
  ));
  get diagnostics v_pruned = row_count;
  return v_pruned;
end $$;

revoke all on function unstuck_private.prune_job_events
from public, anon, authenticated, service_role;

--: source retention/prune_kind.sql 82a07e8bb93f
-- Prunes up to p_limit rows of one kind, after the first p_skip of them, and returns how many.
create or replace function unstuck_private.prune_kind(
  p_kind text,
  p_now timestamptz,
  p_keep interval,
  p_limit int,
  p_skip int
)
returns int
language plpgsql
set search_path = ''
as
$$
declare
  v_before timestamptz := p_now - p_keep;
begin
  return case p_kind
    when 'job_events' then unstuck_private.prune_job_events(v_before, p_limit, p_skip)
    when 'webhook_inbox' then unstuck_private.prune_webhook_inbox(v_before, p_limit, p_skip)
    when 'sweeps' then unstuck_private.prune_sweeps(v_before, p_limit, p_skip)
    when 'cancelled_requests' then
      unstuck_private.prune_cancelled_requests(v_before, p_limit, p_skip)
    when 'inputs' then unstuck_private.prune_inputs(v_before, p_limit, p_skip)
    when 'orphans' then unstuck_private.prune_orphans(v_before, p_limit, p_skip)
    when 'queue_turns' then unstuck_private.prune_queue_turns(v_before, p_limit, p_skip)
    when 'erased_jobs' then
      unstuck_private.prune_erased_jobs(p_now, v_before, p_limit, p_skip)
    when 'cron_runs' then unstuck_private.prune_cron_runs(v_before, p_limit)
    -- Files, which SQL must not delete, and kinds of a later version.
    else 0
  end;
end $$;

revoke all on function unstuck_private.prune_kind from public, anon, authenticated, service_role;

--: source retention/prune_old_rows.sql 547e0b5d1a0b
-- One pass over all kinds of rows that are not kept for ever: of each kind at most 5,000 rows and
-- 100 ms, in batches. It waits for no lock, and one pass works at a time. A row that cannot be
-- deleted (a host's foreign key, a trigger) is skipped and its error recorded; the other rows, the
-- other kinds and the healing before are not lost. A kind that failed within the last hour starts
-- with small batches, so that it does not spend its time on the same failure.
create or replace function unstuck_private.prune_old_rows(p_now timestamptz)
returns table (kind text, pruned int, error text)
language plpgsql
set search_path = ''
set lock_timeout = '50ms'
as
$$
#variable_conflict use_column
declare
  v_rule record;
  v_began_at timestamptz;
  v_batch int;
  v_skip int;
  v_pruned int;
  v_total int;
  v_error text;
begin
  if not pg_catalog.pg_try_advisory_xact_lock(
    pg_catalog.hashtextextended('unstuck_private.prune_old_rows', 0)
  ) then
    return;
  end if;
  for v_rule in
    select
      r.kind,
      r.keep,
      coalesce(p.error_at > clock_timestamp() - interval '1 hour', false) as failed_lately
    from unstuck.retention r
    left join unstuck_private.retention_progress p on p.kind = r.kind
    where r.keep is not null
    order by r.kind
  loop
    v_began_at := clock_timestamp();
    v_batch := case when v_rule.failed_lately then 1 else 500 end;
    v_skip := 0;
    v_total := 0;
    v_error := null;
    loop
      begin
        v_pruned := unstuck_private.prune_kind(v_rule.kind, p_now, v_rule.keep, v_batch, v_skip);
        v_total := v_total + v_pruned;
        exit when v_pruned = 0;
        v_batch := least(v_batch * 2, 500);
      exception when others then
        if v_error is null then
          v_began_at := clock_timestamp();
        end if;
        v_error := sqlerrm;
        v_skip := v_skip + (v_batch = 1)::int;
        v_batch := 1;
        exit when v_skip >= 20;
      end;
      exit when v_total > 5000 - v_batch or clock_timestamp() - v_began_at > interval '100 ms';
    end loop;
    if v_total > 0 or v_error is not null then
      insert into unstuck_private.retention_progress as p (kind, pruned, pruned_at, error, error_at)
      values (
        v_rule.kind,
        v_total,
        case when v_total > 0 then clock_timestamp() end,
        v_error,
        case when v_error is not null then clock_timestamp() end
      )
      on conflict (kind) do update
      set
        pruned = p.pruned + excluded.pruned,
        pruned_at = coalesce(excluded.pruned_at, p.pruned_at),
        error = coalesce(excluded.error, p.error),
        error_at = coalesce(excluded.error_at, p.error_at);
    end if;
    return query select v_rule.kind, v_total, v_error;
  end loop;
end $$;

revoke all on function unstuck_private.prune_old_rows
from public, anon, authenticated, service_role;

--: source retention/prune_orphans.sql 89b39c0dc312
-- Deletes rows that older clients inserted and never ordered: cancelled, never paid, never started,
-- without steps. A user may write only these without paying, 200 an hour of 20 KB each, so that a
-- day of them is 96 MB. A `/run` that comes later is a new order of that id.
create or replace function unstuck_private.prune_orphans(
  p_before timestamptz,
  p_limit int,
  p_skip int
)
returns int
language plpgsql
set search_path = ''
set plan_cache_mode = 'force_custom_plan'
as
$$
declare
  v_ids uuid[];
begin
  v_ids := array(
    select o.id
    from unstuck.jobs o
    where o.status = 'cancelled'
      and o.request_hash is null
      and o.started_at is null
      and o.credits_charged = 0
      and o.completed_at < p_before
      and o.retry_of is null
      and not exists (select from unstuck.job_steps s where s.job_id = o.id)
      and not exists (select from unstuck.credit_entries e where e.job_id = o.id)
      and not exists (select from unstuck.jobs r where r.retry_of = o.id)
    order by o.completed_at
    limit p_limit
    offset p_skip
    for update of o skip locked
  );
  delete from unstuck.job_events e
  where e.job_id = any (v_ids);
  delete from unstuck.jobs j
  where j.id = any (v_ids);
  return cardinality(v_ids);
end $$;

revoke all on function unstuck_private.prune_orphans from public, anon, authenticated, service_role;

--: source retention/prune_queue_turns.sql e05f0da7bb13
-- Deletes the turns of users who have no live job: such a user comes back to the queue like a new
-- one.
create or replace function unstuck_private.prune_queue_turns(
  p_before timestamptz,
  p_limit int,
  p_skip int
)
returns int
language plpgsql
set search_path = ''
set plan_cache_mode = 'force_custom_plan'
as
$$
declare
  v_pruned int;
begin
  delete from unstuck_private.queue_turns q
  where q.ctid = any (array(
    select o.ctid
    from unstuck_private.queue_turns o
    where o.served_at < p_before
      and not exists (
        select from unstuck.jobs j
        where j.user_id = o.user_id
          and unstuck_private.is_live(j.status)
      )
    order by o.served_at
    limit p_limit
    offset p_skip
    for update skip locked
  ));
  get diagnostics v_pruned = row_count;
  return v_pruned;
end $$;

revoke all on function unstuck_private.prune_queue_turns
from public, anon, authenticated, service_role;

--: source retention/prune_sweeps.sql 2b8c2bf88078
-- Deletes old passes, except the newest finished one, which health shows.
create or replace function unstuck_private.prune_sweeps(
  p_before timestamptz,
  p_limit int,
  p_skip int
)
returns int
language plpgsql
set search_path = ''
set plan_cache_mode = 'force_custom_plan'
as
$$
declare
  v_newest bigint;
  v_pruned int;
begin
  select s.id
  into v_newest
  from unstuck.sweeps s
  where s.finished_at is not null
  order by s.finished_at desc
  limit 1;
  delete from unstuck.sweeps s
  where s.ctid = any (array(
    select o.ctid
    from unstuck.sweeps o
    where o.started_at < p_before and o.id is distinct from v_newest
    order by o.started_at
    limit p_limit
    offset p_skip
    for update skip locked
  ));
  get diagnostics v_pruned = row_count;
  return v_pruned;
end $$;

revoke all on function unstuck_private.prune_sweeps from public, anon, authenticated, service_role;

--: source retention/prune_webhook_inbox.sql b4ecc3d60314
-- Deletes webhooks from before p_before whose job is final or gone, applied or not: they can change
-- nothing any more.
create or replace function unstuck_private.prune_webhook_inbox(
  p_before timestamptz,
  p_limit int,
  p_skip int
)
returns int
language plpgsql
set search_path = ''
set plan_cache_mode = 'force_custom_plan'
as
$$
declare
  v_pruned int;
begin
  delete from unstuck.webhook_inbox w
  where w.ctid = any (array(
    select o.ctid
    from unstuck.webhook_inbox o
    where o.received_at < p_before
      and coalesce(
        (select unstuck_private.is_final(j.status) from unstuck.jobs j where j.id = o.job_id),
        true
      )
    order by o.received_at
    limit p_limit
    offset p_skip
    for update skip locked
  ));
  get diagnostics v_pruned = row_count;
  return v_pruned;
end $$;

revoke all on function unstuck_private.prune_webhook_inbox
from public, anon, authenticated, service_role;

--: source role/has_role.sql 2ffd9e6856f3
create or replace function unstuck.has_role(_user_id uuid, _role unstuck.app_role) returns boolean
language sql
stable
security definer
set search_path = ''
as
$$
  select coalesce(
    unstuck_private.host_has_role(_user_id, _role::text),
    exists (
      select from unstuck.user_roles r
      where r.user_id = _user_id and r.role = _role
    )
  )
$$;

comment on function unstuck.has_role is $c$
Caller: policies, the admin functions, and apps that check a role.

Effect: none. True when the user holds the role now. The host's own has_role decides where the host
has one, else unstuck.user_roles.

Refuses: nothing.

Replay: reads again.
$c$;

revoke all on function unstuck.has_role from public, anon, authenticated, service_role;
grant execute on function unstuck.has_role to service_role;
-- The policies of Supabase apps call it as the signed-in user.
grant execute on function unstuck.has_role to authenticated;

--: source role/host_has_role.sql 3dd4649080f1
-- What the host's own `public.has_role(uuid, <role>)` answers; null where the host has no such
-- function, or where its role type has no such value. It is called with its own argument type and
-- under the search path that its code expects. Our front in `public` does not count as the host's.
create or replace function unstuck_private.host_has_role(p_user_id uuid, p_role text)
returns boolean
language plpgsql
stable
set search_path = public, extensions
as
$$
declare
  v_role_type text;
  v_holds boolean;
begin
  select pg_catalog.format_type(t.oid, null)
  into v_role_type
  from pg_catalog.pg_proc p
  join pg_catalog.pg_type t on t.oid = p.proargtypes[1]
  where p.pronamespace = 'public'::regnamespace
    and p.proname = 'has_role'
    and p.prokind = 'f'
    and p.pronargs = 2
    and p.proargtypes[0] = 'uuid'::regtype
    and p.prorettype = 'boolean'::regtype
    and coalesce(pg_catalog.obj_description(p.oid, 'pg_proc'), '') not like 'Unstuck front of %'
    and (
      t.typcategory = 'S'
      or exists (
        select from pg_catalog.pg_enum e
        where e.enumtypid = t.oid and e.enumlabel = p_role
      )
    )
  order by t.typcategory
  limit 1;
  if not found then
    return null;
  end if;
  execute format('select public.has_role($1, $2::%s)', v_role_type)
  into v_holds
  using p_user_id, p_role;
  return coalesce(v_holds, false);
end $$;

revoke all on function unstuck_private.host_has_role from public, anon, authenticated, service_role;

--: source role/is_admin.sql 424313c8185c
-- True when the caller of the request is signed in and an admin now.
create or replace function unstuck_private.is_admin() returns boolean
language sql
stable
security definer
set search_path = ''
as
$$
  select auth.uid() is not null and unstuck.has_role(auth.uid(), 'admin')
$$;

revoke all on function unstuck_private.is_admin from public, anon, authenticated, service_role;
grant execute on function unstuck_private.is_admin to authenticated, service_role;

--: source role/may_see.sql 64fad24284cd
-- True for the owner of a row, for an admin, for the service role and for the database's own roles.
-- PostgREST sets `role`; psql and pg_cron leave it as `none`.
create or replace function unstuck_private.may_see(p_user_id uuid) returns boolean
language sql
stable
security definer
set search_path = ''
as
$$
  select
    coalesce(current_setting('role', true), 'none') not in ('anon', 'authenticated')
    or p_user_id = auth.uid()
    or unstuck_private.is_admin()
$$;

revoke all on function unstuck_private.may_see from public, anon, authenticated, service_role;
grant execute on function unstuck_private.may_see to authenticated, service_role;

--: source step/cancel_debt_with.sql e95d83c45b40
-- The cancel debt of a step that ends now: what it owed before, and its task if the provider still
-- works on it. A value that is no list counts as empty.
create or replace function unstuck_private.cancel_debt_with(p_step unstuck.job_steps) returns jsonb
language sql
immutable
as
$$
  select
    case
      when jsonb_typeof(p_step.provider_cancel_due) = 'array' then p_step.provider_cancel_due
      else '[]'
    end
    || case
      when p_step.sent_at is not null
        and p_step.provider_done_at is null
        and p_step.provider_task_id is not null
      then jsonb_build_array(
        jsonb_build_object('task_id', p_step.provider_task_id, 'run', p_step.run))
      else '[]'
    end
$$;

revoke all on function unstuck_private.cancel_debt_with
from public, anon, authenticated, service_role;

--: source step/cancel_debt_without.sql a509437c6240
-- A cancel debt without this task. A value that is no list counts as empty.
create or replace function unstuck_private.cancel_debt_without(p_due jsonb, p_task_id text)
returns jsonb
language sql
immutable
as
$$
  select coalesce(jsonb_agg(d), '[]')
  from jsonb_array_elements(
    case when jsonb_typeof(p_due) = 'array' then p_due else '[]' end) d
  where d ->> 'task_id' is distinct from p_task_id
$$;

revoke all on function unstuck_private.cancel_debt_without
from public, anon, authenticated, service_role;

--: source step/cancel_debts.sql 653a6a7d5b49
-- The tasks in a cancel debt, one row each. A value that is no list, or an element without a task,
-- gives none.
create or replace function unstuck_private.cancel_debts(p_due jsonb)
returns table (task_id text, run bigint)
language sql
immutable
set search_path = ''
as
$$
  select d ->> 'task_id', coalesce(unstuck_private.number_or_null(d ->> 'run'), 0)::bigint
  from jsonb_array_elements(
    case when jsonb_typeof(p_due) = 'array' then p_due else '[]' end) d
  where d ->> 'task_id' is not null
$$;

revoke all on function unstuck_private.cancel_debts from public, anon, authenticated, service_role;

--: source step/holds_slot.sql 77e6d1b03706
-- True while a step takes one of its provider's slots: from the claim until the provider is done.
-- It fixes no search_path, so the planner inlines it and sees the predicate of the index
-- `job_steps_slots`, which spells the rule out, because tables are created before functions.
create or replace function unstuck_private.holds_slot(p_step unstuck.job_steps) returns boolean
language sql
immutable
as
$$
  select p_step.status in ('starting', 'running') and p_step.provider_done_at is null
$$;

revoke all on function unstuck_private.holds_slot from public, anon, authenticated, service_role;

--: source step/is_task_of_other_step.sql bf0ee22bcb2f
-- True when the provider's task belongs to another step, live or final, or another step owes its
-- cancel. A report that names the task for this step is a mistake and changes nothing.
create or replace function unstuck_private.is_task_of_other_step(
  p_step unstuck.job_steps,
  p_task_id text
)
returns boolean
language sql
stable
set search_path = ''
as
$$
  select
    exists (
      select from unstuck.job_steps o
      where o.provider = p_step.provider
        and o.provider_task_id = p_task_id
        and (o.job_id, o.step) <> (p_step.job_id, p_step.step)
    )
    or exists (
      select from unstuck.job_steps o
      where o.provider = p_step.provider
        and o.provider_cancel_due <> '[]'
        and o.provider_cancel_due @> jsonb_build_array(jsonb_build_object('task_id', p_task_id))
        and (o.job_id, o.step) <> (p_step.job_id, p_step.step)
    )
$$;

revoke all on function unstuck_private.is_task_of_other_step
from public, anon, authenticated, service_role;

--: source step/job_steps_before_insert.sql 71628312e3cd
-- Fills in what a writer leaves out of a new step: a live step always has a deadline, a final one a
-- time of completion.
create or replace function unstuck_private.job_steps_before_insert() returns trigger
language plpgsql
set search_path = ''
as
$$
declare
  v_job unstuck.jobs;
  v_tool unstuck.tools;
begin
  select j.*
  into v_job
  from unstuck.jobs j
  where j.id = new.job_id;
  if not found then
    -- The foreign key refuses the row.
    return new;
  end if;
  select t.*
  into v_tool
  from unstuck.tools t
  where t.tool = v_job.tool;
  new.provider := coalesce(new.provider, v_tool.provider);
  new.deadline_at := coalesce(
    new.deadline_at,
    case
      when new.status = 'blocked' then v_job.expires_at
      when new.status = 'queued' then v_job.deadline_at
      else
        coalesce(new.sent_at, new.started_at, v_job.started_at, v_job.created_at)
        + v_tool.run_timeout
    end
  );
  if unstuck_private.is_final(new.status) then
    new.completed_at := coalesce(new.completed_at, clock_timestamp());
  end if;
  return new;
end $$;

create or replace trigger job_steps_before_insert
before insert on unstuck.job_steps
for each row
execute function unstuck_private.job_steps_before_insert();

revoke all on function unstuck_private.job_steps_before_insert
from public, anon, authenticated, service_role;

--: source step/job_steps_before_update.sql 4f8622878755
-- Refuses to leave a final state. When a working step's deadline is moved back by hand, the job's
-- deadline moves with it, because the healers find a job by its own deadline.
create or replace function unstuck_private.job_steps_before_update() returns trigger
language plpgsql
set search_path = ''
as
$$
begin
  if unstuck_private.is_final(old.status) and new.status is distinct from old.status then
    raise exception 'step %/% is final (%), it cannot become %',
      old.job_id, old.step, old.status, new.status
    using errcode = 'check_violation';
  end if;
  if new.deadline_at < old.deadline_at
    and (new.status, new.run) = (old.status, old.run)
    and new.status in ('starting', 'running')
  then
    update unstuck.jobs set
      deadline_at = new.deadline_at
    where id = new.job_id
      and deadline_at > new.deadline_at
      and unstuck_private.is_live(status);
  end if;
  return new;
end $$;

create or replace trigger job_steps_before_update
before update on unstuck.job_steps
for each row
execute function unstuck_private.job_steps_before_update();

revoke all on function unstuck_private.job_steps_before_update
from public, anon, authenticated, service_role;

--: source step/job_steps_log.sql 76716296e001
-- Writes the history of steps: one event per step that changed its state or was claimed again, for
-- all rows of a statement at once and without nested loops, like `jobs_log`.
create or replace function unstuck_private.job_steps_log() returns trigger
language plpgsql
set search_path = ''
set enable_nestloop = off
as
$$
begin
  insert into unstuck.job_events (
    job_id, step, run, event, from_status, to_status, actor, detail
  )
  select
    n.job_id,
    n.step,
    n.run,
    case when n.status <> o.status then 'step_' || n.status else 'step_rerun' end,
    o.status,
    n.status,
    nullif(current_setting('unstuck.actor', true), ''),
    case when n.error_code is not null then jsonb_build_object('error_code', n.error_code) end
  from new_rows n
  join old_rows o using (job_id, step)
  where n.status <> o.status
    or n.run <> o.run;
  return null;
end $$;

create or replace trigger job_steps_log
after update on unstuck.job_steps
referencing old table as old_rows new table as new_rows
for each statement
execute function unstuck_private.job_steps_log();

revoke all on function unstuck_private.job_steps_log from public, anon, authenticated, service_role;

--: source step/step_cancelled_v1.sql c041d835d708
create or replace function unstuck.step_cancelled_v1(p_job_id uuid, p_step int, p_task_id text)
returns table (remaining int)
language sql
security definer
set search_path = ''
as
$$
  update unstuck.job_steps s set
    provider_cancel_due = unstuck_private.cancel_debt_without(s.provider_cancel_due, p_task_id)
  where s.job_id = p_job_id
    and s.step = p_step
  returning jsonb_array_length(s.provider_cancel_due)
$$;

comment on function unstuck.step_cancelled_v1 is $c$
Caller: the edge, after it cancelled a task at the provider.

Effect: takes the task out of the step's cancel debt. remaining: how many cancels the step still
owes.

Refuses: nothing; no row where there is no such step.

Replay: changes nothing.
$c$;

revoke all on function unstuck.step_cancelled_v1 from public, anon, authenticated, service_role;
grant execute on function unstuck.step_cancelled_v1 to service_role;

--: source step/step_checked_v1.sql 13610f03e983
create or replace function unstuck.step_checked_v1(
  p_job_id uuid,
  p_step int,
  p_run bigint,
  p_answer text
)
returns table (outcome text, refunded bigint)
language plpgsql
security definer
set search_path = ''
set statement_timeout = '10s'
as
$$
declare
  v_job unstuck.jobs;
  v_step unstuck.job_steps;
  v_grace interval;
  v_now timestamptz;
  v_minutes int;
begin
  perform unstuck_private.act_as('sweep');
  if p_answer not in ('running', 'no_answer') then
    perform unstuck_private.refuse(400, 'bad_request');
  end if;
  v_job := unstuck_private.job_lock(p_job_id);
  v_step := unstuck_private.step_lock(p_job_id, p_step, p_run);
  if v_step.job_id is null or v_step.provider_done_at is not null then
    return query
    select 'stale', 0::bigint;
    return;
  end if;
  v_now := clock_timestamp();
  select i.grace
  into v_grace
  from unstuck_private.intervals() i;
  update unstuck.job_steps s set
    checked_at = v_now
  where s.job_id = p_job_id
    and s.step = p_step;
  if v_step.deadline_at > v_now
    or (
      p_answer = 'no_answer'
      and v_step.provider_task_id is not null
      and v_step.deadline_at + v_grace > v_now
    )
  then
    return query
    select 'waiting', 0::bigint;
    return;
  end if;
  v_minutes := unstuck_private.minutes_between(
    coalesce(v_step.sent_at, v_step.started_at, v_job.created_at),
    v_now
  );
  return query
  select 'failed', f.refunded
  from unstuck_private.step_fail(
    v_job,
    p_step,
    'TIMEOUT',
    format('no result after %s.', unstuck_private.minutes_text(v_minutes))
  ) f;
end $$;

comment on function unstuck.step_checked_v1 is $c$
Caller: a healer, after it queried the provider about a step (p_answer: running | no_answer).

Effect: records when the provider was queried. Past the step's deadline it fails the step and
refunds: at once for running, after one grace for no_answer; the provider is then owed a cancel.
outcome: waiting | failed | stale (not the present run, or the provider is done).

Refuses: bad_request for another answer.

Replay: stale once the step has failed.
$c$;

revoke all on function unstuck.step_checked_v1 from public, anon, authenticated, service_role;
grant execute on function unstuck.step_checked_v1 to service_role;

--: source step/step_complete_v1.sql 37f70da7f6e2
create or replace function unstuck.step_complete_v1(
  p_job_id uuid,
  p_step int,
  p_run bigint,
  p_output jsonb,
  p_output_url text
)
returns table (outcome text, job_status text, refunded bigint)
language plpgsql
security definer
set search_path = ''
set statement_timeout = '10s'
as
$$
declare
  v_job unstuck.jobs;
  v_step unstuck.job_steps;
  v_now timestamptz;
begin
  perform unstuck_private.act_as('worker');
  v_job := unstuck_private.job_lock(p_job_id);
  v_step := unstuck_private.step_lock(p_job_id, p_step, p_run);
  if v_step.status is distinct from 'running' then
    return query
    select
      case
        when exists (
          select from unstuck.job_steps s
          where s.job_id = p_job_id
            and s.step = p_step
            and s.run >= p_run
            and unstuck_private.is_final(s.status)
        ) then 'late'
        else 'stale'
      end,
      v_job.status,
      0::bigint;
    return;
  end if;
  v_now := clock_timestamp();
  update unstuck.job_steps s set
    status = 'completed',
    completed_at = v_now,
    provider_done_at = coalesce(s.provider_done_at, v_now),
    lease_until = null,
    output = coalesce(p_output, s.output),
    output_url = p_output_url,
    error_code = null,
    error_message = null
  where s.job_id = p_job_id
    and s.step = p_step;
  if not exists (
    select from unstuck.job_steps s
    where s.job_id = p_job_id
      and not unstuck_private.is_final(s.status)
  ) then
    update unstuck.jobs j set
      output = p_output,
      output_url = p_output_url
    where j.id = p_job_id;
    return query
    select 'completed', c.status, c.refunded
    from unstuck_private.jobs_finalise(
      array[p_job_id],
      array['completed'],
      array[null::text],
      array[null::text]
    ) c;
    return;
  end if;
  -- Let a chain's next step queue. Restart the queue TTL of queued siblings: it is paused while
  -- another step of the job works.
  update unstuck.job_steps s set
    status = 'queued',
    deadline_at = least(v_now + t.queue_ttl, v_job.expires_at)
  from unstuck.tools t
  where s.job_id = p_job_id
    and (s.status = 'queued' or (s.step = p_step + 1 and s.status = 'blocked'))
    and t.tool = v_job.tool;
  perform unstuck_private.job_sync_from_steps(array[p_job_id]);
  return query
  select 'completed', 'running', 0::bigint;
end $$;

comment on function unstuck.step_complete_v1 is $c$
Caller: a worker, after it stored the step's result.

Effect: completes the step. The last step completes the job; any other lets the next step of a chain
queue. outcome: completed | late (the step is final) | stale (not the present run, or not running).

Refuses: nothing.

Replay: late.
$c$;

revoke all on function unstuck.step_complete_v1 from public, anon, authenticated, service_role;
grant execute on function unstuck.step_complete_v1 to service_role;

--: source step/step_done_v1.sql 3d15bbe2f665
create or replace function unstuck.step_done_v1(
  p_job_id uuid,
  p_step int,
  p_run bigint,
  p_task_id text,
  p_output jsonb
)
returns table (outcome text, run bigint)
language plpgsql
security definer
set search_path = ''
set statement_timeout = '10s'
as
$$
declare
  v_step unstuck.job_steps;
  v_expires timestamptz;
  v_older boolean;
  v_same boolean;
begin
  perform unstuck_private.act_as('worker');
  select j.expires_at
  into v_expires
  from unstuck.jobs j
  where j.id = p_job_id
  for update;
  select s.*
  into v_step
  from unstuck.job_steps s
  where s.job_id = p_job_id
    and s.step = p_step
  for update;
  if not found
    or p_run > v_step.run
    or v_step.status = 'blocked'
    or unstuck_private.is_task_of_other_step(v_step, p_task_id)
  then
    return query
    select 'stale', p_run;
    return;
  end if;
  if unstuck_private.is_final(v_step.status) then
    if v_step.status <> 'completed' then
      perform unstuck_private.step_record_late_success(v_step, p_run, p_task_id, p_output);
    end if;
    return query
    select 'late', p_run;
    return;
  end if;
  v_older := p_run < v_step.run;
  v_same := coalesce(v_step.provider_task_id, p_task_id)
    is not distinct from coalesce(p_task_id, v_step.provider_task_id);
  -- Stale: no worker has claimed the step yet; or its run has another task; or another worker
  -- copies the result; or the result of another task was taken.
  if v_step.run = 0
    or (not v_older and not v_same)
    or (
      v_step.provider_done_at is not null
      and (v_step.lease_until > clock_timestamp() or not v_same)
    )
  then
    return query
    select 'stale', v_step.run;
    return;
  end if;
  p_run := unstuck_private.step_take_success(v_step, v_older, p_task_id, p_output, v_expires);
  perform unstuck_private.job_sync_from_steps(array[p_job_id]);
  return query
  select 'copy', p_run;
end $$;

comment on function unstuck.step_done_v1 is $c$
Caller: a worker or a healer that learned from the provider that the task finished.

Effect: frees the slot and gives the caller the lease under which it copies the result. outcome:
copy (run: the run to go on with) | late (the step is final: the success is recorded, and nothing
else changes) | stale (not this run's task, or another worker copies the result). A task of another
step changes nothing.

Refuses: nothing.

Replay: stale while the lease lasts; afterwards copy, for the next worker.
$c$;

revoke all on function unstuck.step_done_v1 from public, anon, authenticated, service_role;
grant execute on function unstuck.step_done_v1 to service_role;

--: source step/step_fail.sql 901e77b086be
-- Fails a step, and refunds: the whole job (rule `all`) or the step's share (rule `per_step`); the
-- last step of a job ends the job. Account and job are locked. The job's columns of credits are
-- written from the ledger.
create or replace function unstuck_private.step_fail(
  p_job unstuck.jobs,
  p_step int,
  p_code text,
  p_message text
)
returns table (job_status text, refunded bigint)
language plpgsql
set search_path = ''
as
$$
#variable_conflict use_column
declare
  v_status text := 'failed';
  v_given bigint;
begin
  if p_job.refund_rule = 'per_step' then
    update unstuck.job_steps s
    set status = 'failed',
      error_code = p_code,
      error_message = p_code || ': ' || p_message,
      completed_at = clock_timestamp(),
      lease_until = null,
      provider_cancel_due = unstuck_private.cancel_debt_with(s)
    where s.job_id = p_job.id
      and s.step = p_step;
    select case
      when bool_or(not unstuck_private.is_final(s.status)) then 'running'
      when bool_or(s.status = 'completed') then 'completed'
      else 'failed'
    end
    into v_status
    from unstuck.job_steps s
    where s.job_id = p_job.id;
  end if;
  if v_status <> 'running' then
    return query
    select c.status, c.refunded
    from unstuck_private.jobs_finalise(
      array[p_job.id], array[v_status], array[p_code], array[p_message]) c;
    return;
  end if;
  with back as (
    select *
    from unstuck_private.jobs_refund(array[p_job.id], array['running'], array[p_code])
  )
  update unstuck.jobs j
  set credits_charged = b.debit,
    credits_refunded = least(b.refunded::numeric + b.given, b.debit)
  from back b
  where j.id = b.job_id
  returning b.given
  into v_given;
  -- Restart the queue TTL of queued siblings: it is paused while another step of the job works.
  update unstuck.job_steps s
  set deadline_at = least(clock_timestamp() + t.queue_ttl, p_job.expires_at)
  from unstuck.tools t
  where s.job_id = p_job.id
    and s.status = 'queued'
    and t.tool = p_job.tool;
  perform unstuck_private.job_sync_from_steps(array[p_job.id]);
  return query select 'running', v_given;
end $$;

revoke all on function unstuck_private.step_fail from public, anon, authenticated, service_role;

--: source step/step_fail_v1.sql 8f5351d10c7f
create or replace function unstuck.step_fail_v1(
  p_job_id uuid,
  p_step int,
  p_run bigint,
  p_error_code text,
  p_error_message text
)
returns table (outcome text, job_status text, refunded bigint)
language plpgsql
security definer
set search_path = ''
set statement_timeout = '10s'
as
$$
declare
  v_job unstuck.jobs;
  v_step unstuck.job_steps;
begin
  perform unstuck_private.act_as('worker');
  v_job := unstuck_private.job_lock(p_job_id);
  v_step := unstuck_private.step_lock(p_job_id, p_step, p_run);
  if v_step.job_id is null then
    return query
    select 'stale', v_job.status, 0::bigint;
    return;
  end if;
  -- The provider says that the task ended, so no cancel is owed for it.
  update unstuck.job_steps s set
    provider_done_at = coalesce(s.provider_done_at, clock_timestamp())
  where s.job_id = p_job_id
    and s.step = p_step;
  return query
  select 'failed', f.job_status, f.refunded
  from unstuck_private.step_fail(v_job, p_step, p_error_code, p_error_message) f;
end $$;

comment on function unstuck.step_fail_v1 is $c$
Caller: a worker or a healer that learned from the provider that the step failed.

Effect: fails the step and, by the job's refund rule, the job, and refunds in the same transaction.
outcome: failed | stale (not the present run, or final).

Refuses: nothing.

Replay: stale; nothing is refunded twice.
$c$;

revoke all on function unstuck.step_fail_v1 from public, anon, authenticated, service_role;
grant execute on function unstuck.step_fail_v1 to service_role;

--: source step/step_get_v1.sql c3df55a49915
create or replace function unstuck.step_get_v1(p_job_id uuid, p_step int)
returns table (
  job_id uuid,
  step int,
  run bigint,
  tool text,
  provider text,
  user_id uuid,
  job_status text,
  status text,
  task_id text,
  done boolean,
  sent boolean,
  output jsonb
)
language sql
stable
security definer
set search_path = ''
as
$$
  select
    s.job_id,
    s.step,
    s.run,
    j.tool,
    s.provider,
    j.user_id,
    j.status,
    s.status,
    s.provider_task_id,
    s.provider_done_at is not null,
    s.sent_at is not null,
    s.output
  from unstuck.job_steps s
  join unstuck.jobs j on j.id = s.job_id
  where s.job_id = p_job_id
    and s.step = p_step
$$;

comment on function unstuck.step_get_v1 is $c$
Caller: the webhook consumer and the reconciliation of lost submissions.

Effect: none; returns one step as it is now.

Refuses: nothing; no row where there is no such step.

Replay: reads again.
$c$;

revoke all on function unstuck.step_get_v1 from public, anon, authenticated, service_role;
grant execute on function unstuck.step_get_v1 to service_role;

--: source step/step_heartbeat_v1.sql d036c0640a85
create or replace function unstuck.step_heartbeat_v1(p_job_id uuid, p_step int, p_run bigint)
returns table (applied boolean, lease_ms int)
language plpgsql
security definer
set search_path = ''
set statement_timeout = '5s'
as
$$
declare
  v_lease timestamptz;
begin
  update unstuck.job_steps s set
    lease_until = least(clock_timestamp() + i.lease, s.deadline_at)
  from unstuck_private.intervals() i
  where s.job_id = p_job_id
    and s.step = p_step
    and s.run = p_run
    and s.status = 'running'
    and s.lease_until > clock_timestamp()
  returning s.lease_until into v_lease;
  return query
  select
    v_lease is not null,
    coalesce(extract(epoch from v_lease - clock_timestamp()) * 1000, 0)::int;
end $$;

comment on function unstuck.step_heartbeat_v1 is $c$
Caller: a worker, while a synchronous call or a copy runs.

Effect: renews the lease, never past the step's deadline. lease_ms: how long it lasts. applied =
false: the lease is lost, and the worker aborts its call.

Refuses: nothing.

Replay: renews the lease again.
$c$;

revoke all on function unstuck.step_heartbeat_v1 from public, anon, authenticated, service_role;
grant execute on function unstuck.step_heartbeat_v1 to service_role;

--: source step/step_lock.sql b223abdc4448
-- Locks the step of this run, its job first, and returns it. Null where the run is stale or the
-- step is not at work.
create or replace function unstuck_private.step_lock(p_job_id uuid, p_step int, p_run bigint)
returns unstuck.job_steps
language plpgsql
set search_path = ''
set lock_timeout = '5s'
as
$$
declare
  v_step unstuck.job_steps;
begin
  perform 1
  from unstuck.jobs
  where id = p_job_id
  for update;
  select *
  into v_step
  from unstuck.job_steps
  where job_id = p_job_id
    and step = p_step
    and run = p_run
    and status in ('starting', 'running')
  for update;
  if not found then
    return null;
  end if;
  return v_step;
end $$;

revoke all on function unstuck_private.step_lock from public, anon, authenticated, service_role;

--: source step/step_record_late_success.sql 412eb25e571e
-- Records, once a run, that the provider finished the task of a step that had failed or was
-- cancelled. Neither state nor money changes, and the cancel of that task is owed no longer. The
-- step is locked.
create or replace function unstuck_private.step_record_late_success(
  p_step unstuck.job_steps,
  p_run bigint,
  p_task_id text,
  p_output jsonb
)
returns void
language plpgsql
set search_path = ''
as
$$
begin
  insert into unstuck.job_events (
    job_id, step, run, event, from_status, to_status, actor, detail)
  select p_step.job_id, p_step.step, p_run, 'late_success', p_step.status, p_step.status,
    'worker', jsonb_build_object('task_id', p_task_id, 'output', p_output)
  where not exists (
    select from unstuck.job_events e
    where e.job_id = p_step.job_id
      and e.step = p_step.step
      and e.run = p_run
      and e.event = 'late_success'
  );
  update unstuck.job_steps s
  set provider_cancel_due = unstuck_private.cancel_debt_without(s.provider_cancel_due, p_task_id)
  where s.job_id = p_step.job_id
    and s.step = p_step.step
    and s.provider_cancel_due <> '[]';
end $$;

revoke all on function unstuck_private.step_record_late_success
from public, anon, authenticated, service_role;

--: source step/step_requeue_v1.sql 73d0ee6d1b5d
create or replace function unstuck.step_requeue_v1(
  p_job_id uuid,
  p_step int,
  p_run bigint,
  p_kind text,
  p_delay_ms int,
  p_error_code text,
  p_error_message text
)
returns table (outcome text, refunded bigint)
language plpgsql
security definer
set search_path = ''
set statement_timeout = '10s'
as
$$
declare
  v_job unstuck.jobs;
  v_step unstuck.job_steps;
  v_tool unstuck.tools;
  v_at timestamptz;
begin
  perform unstuck_private.act_as('worker');
  if p_kind not in ('capacity', 'transient') then
    perform unstuck_private.refuse(400, 'bad_request');
  end if;
  v_job := unstuck_private.job_lock(p_job_id);
  v_step := unstuck_private.step_lock(p_job_id, p_step, p_run);
  -- A step that the provider is done with is never requeued.
  if v_step.job_id is null or v_step.provider_done_at is not null then
    return query
    select 'stale', 0::bigint;
    return;
  end if;
  select t.*
  into v_tool
  from unstuck.tools t
  where t.tool = v_job.tool;
  v_at := clock_timestamp() + make_interval(secs => greatest(p_delay_ms, 0) / 1000.0);
  if v_at >= v_job.expires_at
    or (p_kind = 'transient' and v_step.attempts >= v_tool.attempt_max)
  then
    return query
    select 'failed', f.refunded
    from unstuck_private.step_fail(v_job, p_step, p_error_code, p_error_message) f;
    return;
  end if;
  update unstuck.job_steps s set
    status = 'queued',
    sent_at = null,
    started_at = null,
    claimed_at = null,
    lease_until = null,
    provider_task_id = null,
    not_before = v_at,
    -- A refusal for capacity is no attempt.
    attempts = greatest(s.attempts - (p_kind = 'capacity')::int, 0),
    error_code = p_error_code,
    error_message = p_error_code || ': ' || p_error_message,
    deadline_at = least(v_at + v_tool.queue_ttl, v_job.expires_at)
  where s.job_id = p_job_id
    and s.step = p_step;
  perform unstuck_private.job_sync_from_steps(array[p_job_id]);
  return query
  select 'queued', 0::bigint;
end $$;

comment on function unstuck.step_requeue_v1 is $c$
Caller: a worker whose submission the provider refused for capacity, or failed in a way that may
pass (p_kind: capacity | transient).

Effect: puts the step back into the queue until p_delay_ms have passed, and frees its slot. Past
attempt_max or expires_at it fails the step and refunds instead. outcome: queued | failed | stale
(not the present run, or the provider is done).

Refuses: bad_request for another kind.

Replay: stale.
$c$;

revoke all on function unstuck.step_requeue_v1 from public, anon, authenticated, service_role;
grant execute on function unstuck.step_requeue_v1 to service_role;

--: source step/step_sent_v1.sql d24ecbe44797
create or replace function unstuck.step_sent_v1(p_job_id uuid, p_step int, p_run bigint)
returns table (applied boolean)
language plpgsql
security definer
set search_path = ''
set statement_timeout = '10s'
as
$$
declare
  v_step unstuck.job_steps;
  v_now timestamptz;
begin
  perform unstuck_private.act_as('worker');
  v_step := unstuck_private.step_lock(p_job_id, p_step, p_run);
  if v_step.status is distinct from 'starting' or v_step.sent_at is not null then
    return query
    select false;
    return;
  end if;
  v_now := clock_timestamp();
  update unstuck.job_steps s set
    sent_at = v_now,
    attempts = s.attempts + 1,
    lease_until = v_now + t.start_timeout,
    deadline_at = least(v_now + t.run_timeout, j.expires_at)
  from unstuck.jobs j
  join unstuck.tools t using (tool)
  where s.job_id = p_job_id
    and s.step = p_step
    and j.id = s.job_id;
  perform unstuck_private.job_sync_from_steps(array[p_job_id]);
  return query
  select true;
end $$;

comment on function unstuck.step_sent_v1 is $c$
Caller: a worker, before its request leaves for the provider.

Effect: records that the step was sent, and counts the attempt. applied = false: not the present
run, or sent before; the worker must not submit.

Refuses: nothing.

Replay: applied = false.
$c$;

revoke all on function unstuck.step_sent_v1 from public, anon, authenticated, service_role;
grant execute on function unstuck.step_sent_v1 to service_role;

--: source step/step_started_v1.sql ac9930018e66
create or replace function unstuck.step_started_v1(
  p_job_id uuid,
  p_step int,
  p_run bigint,
  p_task_id text
)
returns table (outcome text, webhook_waiting boolean)
language plpgsql
security definer
set search_path = ''
set statement_timeout = '10s'
as
$$
declare
  v_step unstuck.job_steps;
  v_waiting boolean;
begin
  perform unstuck_private.act_as('worker');
  perform 1
  from unstuck.jobs j
  where j.id = p_job_id
  for update;
  select s.*
  into v_step
  from unstuck.job_steps s
  where s.job_id = p_job_id
    and s.step = p_step
  for update;
  if not found
    or coalesce(p_task_id, '') = ''
    or unstuck_private.is_task_of_other_step(v_step, p_task_id)
  then
    return query
    select 'stale', false;
    return;
  end if;
  v_waiting := exists (
    select from unstuck.webhook_inbox w
    where w.job_id = p_job_id
      and w.step = p_step
      and w.run = p_run
      and w.applied_at is null
  );
  if v_step.run = p_run
    and v_step.status in ('starting', 'running')
    and coalesce(v_step.provider_task_id, p_task_id) = p_task_id
  then
    begin
      update unstuck.job_steps s set
        status = 'running',
        provider_task_id = p_task_id,
        -- A webhook may have come first: then the worker that copies the result has the lease.
        lease_until = case when s.provider_done_at is not null then s.lease_until end,
        started_at = coalesce(s.started_at, clock_timestamp()),
        checked_at = coalesce(s.checked_at, clock_timestamp())
      where s.job_id = p_job_id
        and s.step = p_step;
    exception when unique_violation then
      -- Another step took the task at the same moment.
      return query
      select 'stale', false;
      return;
    end;
    perform unstuck_private.job_sync_from_steps(array[p_job_id]);
    return query
    select 'running', v_waiting;
    return;
  end if;
  if v_step.provider_task_id = p_task_id
    or v_step.provider_cancel_due @> jsonb_build_array(jsonb_build_object('task_id', p_task_id))
  then
    return query
    select 'stale', v_waiting;
    return;
  end if;
  -- The provider works for a final step or for an older run: the task must be cancelled.
  update unstuck.job_steps s set
    provider_cancel_due = s.provider_cancel_due
      || jsonb_build_object('task_id', p_task_id, 'run', p_run)
  where s.job_id = p_job_id
    and s.step = p_step;
  return query
  select 'cancel_due', v_waiting;
end $$;

comment on function unstuck.step_started_v1 is $c$
Caller: a worker that got the provider's task for its submission, or a healer that found it later. A
webhook alone is no reason to call it for a task that is still at work.

Effect: records the task. outcome: running | cancel_due (the step is final or was claimed again: the
caller cancels the task at the provider, else a sweep does) | stale (recorded before, or a task of
another step, which changes nothing). webhook_waiting: a webhook of this run is not applied yet.

Refuses: nothing.

Replay: running for the same task; stale where its cancel is owed already.
$c$;

revoke all on function unstuck.step_started_v1 from public, anon, authenticated, service_role;
grant execute on function unstuck.step_started_v1 to service_role;

--: source step/step_take_success.sql d7f88f83c80f
-- Takes the provider's success for a step that is not final: frees its slot, keeps the output and
-- gives the caller the lease under which it copies the result. Returns the run to go on with. The
-- step is locked.
--
-- A success of an older run, or of a run that was requeued, is paid work and is taken too. The
-- worker of the newer run becomes stale, and the provider is owed a cancel of its task.
create or replace function unstuck_private.step_take_success(
  p_step unstuck.job_steps,
  p_is_older boolean,
  p_task_id text,
  p_output jsonb,
  p_deadline timestamptz
)
returns bigint
language plpgsql
set search_path = ''
as
$$
declare
  v_run bigint;
begin
  update unstuck.job_steps s
  set status = 'running',
    run = s.run + p_is_older::int,
    provider_cancel_due = case
      when p_is_older
        and s.provider_task_id is distinct from p_task_id
        and s.provider_task_id is not null
      then
        s.provider_cancel_due
        || jsonb_build_object('task_id', s.provider_task_id, 'run', s.run)
      else unstuck_private.cancel_debt_without(s.provider_cancel_due, p_task_id)
    end,
    provider_task_id = coalesce(p_task_id, s.provider_task_id),
    output = p_output,
    not_before = null,
    sent_at = coalesce(s.sent_at, clock_timestamp()),
    started_at = coalesce(s.started_at, s.sent_at, clock_timestamp()),
    provider_done_at = coalesce(s.provider_done_at, clock_timestamp()),
    lease_until = clock_timestamp() + i.lease,
    deadline_at = p_deadline
  from unstuck_private.intervals() i
  where s.job_id = p_step.job_id
    and s.step = p_step.step
  returning s.run
  into v_run;
  return v_run;
end $$;

revoke all on function unstuck_private.step_take_success
from public, anon, authenticated, service_role;

--: source step/steps_due_at_provider.sql 49572f9f536e
-- Locks up to p_limit steps that were sent to an asynchronous provider and are due, and returns
-- their keys, what is due and whether the deadline has passed:
--   copy   the provider finished, and no worker copies the result,
--   inbox  sent without an answer: its webhooks may name the task,
--   query  the provider has the task, and was not queried for a while.
-- Past its deadline a step comes once more at once, then every five seconds. With p_all every step
-- whose task is known is due. The steps that were not queried for longest come first; what
-- another transaction has locked is skipped.
create or replace function unstuck_private.steps_due_at_provider(
  p_provider unstuck.providers,
  p_now timestamptz,
  p_all boolean,
  p_limit int
)
returns jsonb
language plpgsql
set search_path = ''
as
$$
begin
  return (
    select jsonb_agg(to_jsonb(m))
    from (
      select s.job_id, s.step,
        case
          when s.provider_done_at is not null then 'copy'
          when s.provider_task_id is null then 'inbox'
          else 'query'
        end as due,
        s.deadline_at <= p_now as overdue
      from unstuck.job_steps s
      cross join unstuck_private.intervals() i
      where s.provider = p_provider.provider
        and s.status in ('starting', 'running')
        and s.sent_at is not null
        and case
          when s.provider_done_at is not null then
            coalesce(s.lease_until, '-infinity') <= p_now
          when s.provider_task_id is null then
            coalesce(s.lease_until, p_now) <= p_now
            and coalesce(s.checked_at, '-infinity') <= p_now - interval '5 seconds'
          when s.deadline_at <= p_now then
            coalesce(s.checked_at, '-infinity') <= p_now - interval '5 seconds'
            or s.checked_at <= s.deadline_at
          else
            p_all
            or not p_provider.signed_webhooks
            and coalesce(s.checked_at, s.sent_at) <= p_now - i.check_every
        end
      order by
        s.deadline_at > p_now,
        coalesce(s.checked_at, '-infinity'),
        s.job_id,
        s.step
      limit p_limit
      for update of s skip locked
    ) m
  );
end $$;

revoke all on function unstuck_private.steps_due_at_provider
from public, anon, authenticated, service_role;

--: source step/steps_due_v1.sql 5e08f401fa75
create or replace function unstuck.steps_due_v1(
  p_provider text,
  p_limit int,
  p_all boolean default false
)
returns table (
  job_id uuid,
  step int,
  run bigint,
  tool text,
  user_id uuid,
  due text,
  task_id text,
  overdue boolean,
  output jsonb,
  sent_since timestamptz,
  sent_seconds int,
  open int
)
language plpgsql
security definer
set search_path = ''
set statement_timeout = '10s'
as
$$
#variable_conflict use_column
declare
  v_now timestamptz := clock_timestamp();
  v_provider unstuck.providers;
  v_open int;
  v_keys jsonb;
begin
  select *
  into v_provider
  from unstuck.providers
  where provider = p_provider;
  if not found or v_provider.synchronous then
    return;
  end if;
  select count(*)
  into v_open
  from unstuck.job_steps s
  where s.provider = p_provider
    and unstuck_private.holds_slot(s)
    and s.provider_task_id is not null;
  v_keys := unstuck_private.steps_due_at_provider(v_provider, v_now, p_all, p_limit);
  return query
  select r.job_id, r.step, r.run, j.tool, j.user_id, r.due, coalesce(r.task_id, w.task_id),
    r.overdue, r.output,
    -- The provider's clock may differ from ours.
    r.sent_at - interval '2 minutes',
    unstuck_private.seconds_between(r.sent_at, v_now),
    v_open
  from unstuck_private.steps_reserve(v_now, v_keys) r
  join unstuck.jobs j on j.id = r.job_id
  -- The newest webhook of this run, unless it names the task of another step.
  left join lateral (
    select i.task_id
    from unstuck.webhook_inbox i
    where i.job_id = r.job_id
      and i.step = r.step
      and i.run = r.run
      and not exists (
        select
        from unstuck.job_steps o
        where o.provider = p_provider
          and o.provider_task_id = i.task_id
          and (o.job_id, o.step) <> (r.job_id, r.step)
      )
    order by i.id desc
    limit 1
  ) w on true;

  v_keys := unstuck_private.steps_with_cancel_debt(p_provider, v_now, p_limit);
  return query
  select o.job_id, o.step, d.run, j.tool, j.user_id, o.due, d.task_id,
    false, null::jsonb, null::timestamptz, null::int, v_open
  from unstuck_private.steps_reserve(v_now, v_keys) o
  join unstuck.jobs j on j.id = o.job_id
  cross join lateral unstuck_private.cancel_debts(o.provider_cancel_due) d;
end $$;

comment on function unstuck.steps_due_v1 is $c$
Caller: a healer, for one asynchronous provider; with p_all the checker, for which every running
step is due.

Effect: reserves up to p_limit steps to query about, and up to p_limit cancels to send, for the
caller. due: query (unchecked for 30 s, or past the deadline) | inbox (sent without an answer) |
copy (the provider is done, the result is not stored) | cancel (owed). The steps that were not
queried for longest come first. open: how many tasks the provider works on in all.

Refuses: nothing; no row for a synchronous provider. What another transaction has locked, or a step
that cannot be reserved, is left to the next call.

Replay: a step that is reserved does not come again for some seconds.
$c$;

revoke all on function unstuck.steps_due_v1 from public, anon, authenticated, service_role;
grant execute on function unstuck.steps_due_v1 to service_role;

--: source step/steps_reserve.sql b000bfc0c483
-- Reserves locked steps for the caller, which is about to query the provider: p_keys names each
-- with what is due. Returns those that could be reserved. A step whose row cannot be written (a
-- trigger refuses it) is left out.
create or replace function unstuck_private.steps_reserve(p_now timestamptz, p_keys jsonb)
returns table (
  job_id uuid,
  step int,
  run bigint,
  due text,
  task_id text,
  overdue boolean,
  output jsonb,
  sent_at timestamptz,
  provider_cancel_due jsonb
)
language plpgsql
set search_path = ''
as
$$
#variable_conflict use_column
declare
  v_key jsonb;
begin
  begin
    update unstuck.job_steps s
    set checked_at = p_now,
      lease_until = case when k.due = 'copy' then p_now + i.lease else s.lease_until end
    from jsonb_to_recordset(p_keys) as k (job_id uuid, step int, due text)
    cross join unstuck_private.intervals() i
    where s.job_id = k.job_id
      and s.step = k.step;
  exception when others then
    if jsonb_array_length(p_keys) > 1 then
      for v_key in
        select k.value
        from jsonb_array_elements(p_keys) k
      loop
        return query
        select *
        from unstuck_private.steps_reserve(p_now, jsonb_build_array(v_key));
      end loop;
    end if;
    return;
  end;
  return query
  select s.job_id, s.step, s.run, k.due, s.provider_task_id, k.overdue, s.output, s.sent_at,
    s.provider_cancel_due
  from rows from (
    jsonb_to_recordset(p_keys) as (job_id uuid, step int, due text, overdue boolean)
  ) with ordinality as k (job_id, step, due, overdue, nth)
  join unstuck.job_steps s using (job_id, step)
  order by k.nth;
end $$;

revoke all on function unstuck_private.steps_reserve from public, anon, authenticated, service_role;

--: source step/steps_with_cancel_debt.sql dda0d2439303
-- Locks up to p_limit steps that owe a provider a cancel and returns their keys. A step comes at
-- most every 15 seconds, the one whose cancel was sent longest ago first; what another transaction
-- has locked is skipped.
create or replace function unstuck_private.steps_with_cancel_debt(
  p_provider text,
  p_now timestamptz,
  p_limit int
)
returns jsonb
language plpgsql
set search_path = ''
as
$$
begin
  return (
    select jsonb_agg(to_jsonb(m))
    from (
      select s.job_id, s.step, 'cancel' as due, false as overdue
      from unstuck.job_steps s
      where s.provider = p_provider
        and s.provider_cancel_due <> '[]'
        and coalesce(s.checked_at, '-infinity') <= p_now - interval '15 seconds'
      order by s.checked_at nulls first, s.job_id
      limit p_limit
      for update of s skip locked
    ) m
  );
end $$;

revoke all on function unstuck_private.steps_with_cancel_debt
from public, anon, authenticated, service_role;

--: source sweep/can_requeue.sql 01c588cc4977
-- True when the sweep requeues this step after its lease ended: a worker claimed it and never
-- submitted it (a rescue, at most 3), or it is an attempt at a synchronous provider whose worker
-- stopped. A step without a lease was written by others. Steps of a provider with
-- `retried_by_function` are left to their own cleanup.
create or replace function unstuck_private.can_requeue(
  p_step unstuck.job_steps,
  p_tool unstuck.tools,
  p_provider unstuck.providers
)
returns boolean
language sql
immutable
as
$$
  select p_step.lease_until is not null
    and (
      p_step.status = 'starting'
        and p_step.sent_at is null
        and p_step.rescues < 3
      or p_step.status = 'running'
        and p_provider.synchronous
        and not p_provider.retried_by_function
        and p_step.provider_done_at is null
        and p_step.attempts < p_tool.attempt_max
    )
$$;

revoke all on function unstuck_private.can_requeue from public, anon, authenticated, service_role;

--: source sweep/cleanup_all_stale_ai_jobs.sql 01f5e99599b5
create or replace function unstuck.cleanup_all_stale_ai_jobs()
returns table (table_name text, cancelled_count int, refunded_credits bigint)
language plpgsql
security definer
set search_path = ''
-- PostgREST applies it to the call; for pg_cron and psql the time budgets of the healing and of its
-- report bound this function.
set statement_timeout = '55s'
as
$$
#variable_conflict use_column
declare
  v_sweep bigint;
begin
  insert into unstuck.sweeps (source)
  values ('sql')
  returning id into v_sweep;
  return query
  select x.table_name, x.cancelled_count, x.refunded_credits
  from unstuck_private.sweep_pass(v_sweep, 20000, interval '20 seconds') p
  cross join jsonb_to_recordset(p.tables)
    as x (table_name text, cancelled_count int, refunded_credits bigint);
  -- One transaction with the healing, which no failure of the report undoes.
  perform unstuck_private.sweep_finish(v_sweep);
end $$;

comment on function unstuck.cleanup_all_stale_ai_jobs is $c$
Caller: pg_cron every minute, and an operator.

Effect: the healer that needs no edge. It finalises every live job that ran out of time, of all
tools, with its refund. A step that was sent to an asynchronous provider waits 3 minutes past its
deadline for an edge healer, which can query the provider. It waits for no lock, no job stops the
others, and a failed report undoes no healing. Always seven rows, one per table.

Refuses: nothing.

Replay: zeros.
$c$;

revoke all on function unstuck.cleanup_all_stale_ai_jobs
from public, anon, authenticated, service_role;
grant execute on function unstuck.cleanup_all_stale_ai_jobs to service_role;

--: source sweep/count_due.sql fe27bd0a545b
-- How many jobs a sweep would still finalise, in the first page of each order. A job that cannot be
-- judged counts too.
create or replace function unstuck_private.count_due(p_now timestamptz) returns int
language plpgsql
stable
set search_path = ''
as
$$
declare
  v_ids uuid[];
  v_id uuid;
  v_due int := 0;
begin
  v_ids := array(
    select distinct i.id
    from unnest(array['deadline', 'age']) as w (way)
    cross join lateral unstuck_private.sweep_candidates(
      p_now, w.way, null, '-infinity', '00000000-0000-0000-0000-000000000000', 1000
    ) c
    cross join lateral unnest(c.ids) as i (id)
  );
  begin
    return (
      select count(*)
      from unstuck_private.jobs_due(p_now, v_ids)
    );
  exception when others then
    null;
  end;
  foreach v_id in array v_ids loop
    begin
      v_due := v_due + (select count(*) from unstuck_private.jobs_due(p_now, array[v_id]));
    exception when others then
      v_due := v_due + 1;
    end;
  end loop;
  return v_due;
end $$;

revoke all on function unstuck_private.count_due from public, anon, authenticated, service_role;

--: source sweep/count_due_among.sql 96a78ee7c305
-- How many of these jobs have run out of time; 0 where one of them cannot be judged.
create or replace function unstuck_private.count_due_among(p_now timestamptz, p_ids uuid[])
returns int
language plpgsql
stable
set search_path = ''
as
$$
begin
  return (
    select count(*)
    from unstuck_private.jobs_due(p_now, p_ids)
  );
exception when others then
  return 0;
end $$;

revoke all on function unstuck_private.count_due_among
from public, anon, authenticated, service_role;

--: source sweep/count_stuck.sql a232a167137e
-- How many live jobs are past the deadline of every healer; it counts no further than 10,000.
create or replace function unstuck_private.count_stuck(p_now timestamptz) returns int
language sql
stable
set search_path = ''
as
$$
  select count(*)::int
  from (
    select
    from unstuck.jobs j
    cross join unstuck_private.intervals() i
    where unstuck_private.is_live(j.status)
      and j.quarantined_at is null
      and j.deadline_at <= p_now - i.sql_wait - i.grace
    limit 10000
  ) s
$$;

revoke all on function unstuck_private.count_stuck from public, anon, authenticated, service_role;

--: source sweep/health_v1.sql c2c07152458d
create or replace function unstuck.health_v1()
returns table (last_sweep_seconds int, stuck int, violations int)
language sql
stable
security definer
set search_path = ''
as
$$
  select unstuck_private.seconds_between(s.finished_at, clock_timestamp()), s.stuck, s.violations
  from (select 1) one
  left join lateral (
    select *
    from unstuck.sweeps w
    where w.finished_at is not null
    order by w.finished_at desc
    limit 1
  ) s on true
$$;

comment on function unstuck.health_v1 is $c$
Caller: the gateway, for /health.

Effect: none; what the last finished pass of a healer stored. It never scans. Nulls where there was
none, or where that pass could not count.

Refuses: nothing.

Replay: reads again.
$c$;

revoke all on function unstuck.health_v1 from public, anon, authenticated, service_role;
grant execute on function unstuck.health_v1 to service_role;

--: source sweep/job_quarantine_parts.sql 555f7a778214
-- Quarantines one job on which a trigger or a constraint refuses some change: it writes each part
-- that can be written, and `unhealed` keeps the healers away from the job for a while. It never
-- fails.
create or replace function unstuck_private.job_quarantine_parts(p_job_id uuid, p_reason text)
returns void
language plpgsql
set search_path = ''
as
$$
declare
  v_step int;
  v_now timestamptz := clock_timestamp();
begin
  begin
    update unstuck.jobs
    set quarantined_at = v_now,
      exclusive_key = null
    where id = p_job_id
      and quarantined_at is null;
  exception when others then
    null;
  end;
  for v_step in
    select s.step
    from unstuck.job_steps s
    where s.job_id = p_job_id
      and not unstuck_private.is_final(s.status)
  loop
    begin
      update unstuck.job_steps s
      set status = 'failed',
        error_code = 'CREDIT_ERROR',
        error_message = 'CREDIT_ERROR: kept for an operator.',
        completed_at = v_now,
        lease_until = null,
        provider_cancel_due = unstuck_private.cancel_debt_with(s)
      where s.job_id = p_job_id
        and s.step = v_step;
    exception when others then
      null;
    end;
  end loop;
  begin
    insert into unstuck_private.unhealed as u (job_id, retry_at, reason)
    values (p_job_id, v_now + interval '1 minute', p_reason)
    on conflict (job_id) do update
    set tries = u.tries + 1,
      retry_at = v_now + least(u.tries + 1, 60) * interval '1 minute',
      reason = excluded.reason;
    insert into unstuck.job_events (job_id, event, actor, detail)
    values (p_job_id, 'quarantine_failed', 'sweep', jsonb_build_object('reason', p_reason));
  exception when others then
    null;
  end;
end $$;

revoke all on function unstuck_private.job_quarantine_parts
from public, anon, authenticated, service_role;

--: source sweep/job_steps_summary.sql 3745023eb7a8
-- What the clocks' rules need to know of a job's steps, in one row. It is inlined into `jobs_due`:
-- no search_path.
create or replace function unstuck_private.job_steps_summary(
  p_job unstuck.jobs,
  p_tool unstuck.tools,
  p_provider unstuck.providers,
  p_now timestamptz
)
returns table (
  steps bigint,
  done bigint,
  live bigint,
  working bigint,
  at_provider boolean,
  leased boolean,
  rescuable boolean,
  retryable boolean,
  undelivered boolean,
  working_deadline timestamptz,
  lifetime interval
)
language sql
stable
as
$$
  select
    count(*),
    count(*) filter (where s.status = 'completed'),
    count(*) filter (where not unstuck_private.is_final(s.status)),
    count(*) filter (where s.status in ('starting', 'running')),
    -- at_provider: an asynchronous provider has the step. SQL waits 3 minutes past the deadline for
    -- an edge healer, which can query the provider.
    bool_or(unstuck_private.holds_slot(s) and s.sent_at is not null and not p.synchronous),
    -- leased: a worker waits for a synchronous provider.
    bool_or(
      s.status in ('starting', 'running') and p.synchronous and s.lease_until > p_now
    ),
    -- rescuable: `steps_rescue` puts the step back into the queue.
    bool_or(p_now < p_job.expires_at and unstuck_private.can_requeue(s, p_tool, p)),
    -- retryable: the cleanup that calls the tool's function retries the step. SQL cannot, and waits
    -- 3 minutes past the deadline for that cleanup.
    bool_or(
      p_now < p_job.expires_at
      and s.status = 'running'
      and p.retried_by_function
      and s.provider_done_at is null
      and s.lease_until is not null
      and s.attempts < p_tool.attempt_max
    ),
    -- undelivered: the provider finished, and the result is not in our storage.
    bool_or(s.provider_done_at is not null and not unstuck_private.is_final(s.status)),
    min(s.deadline_at) filter (where s.status in ('starting', 'running')),
    -- lifetime: the longest that the job may live. More than a century cannot be subtracted from
    -- every time.
    least(
      case when count(*) = 0 then p_tool.run_timeout
        else unstuck_private.tool_lifetime(p_tool, p_provider, p_job.total_steps)
      end,
      interval '100 years'
    )
  from unstuck.job_steps s
  join unstuck.providers p using (provider)
  where s.job_id = p_job.id
$$;

revoke all on function unstuck_private.job_steps_summary
from public, anon, authenticated, service_role;

--: source sweep/jobs_due.sql 2e0af95d037b
-- Which of these jobs have run out of time, and how each ends. No other function knows these rules;
-- docs/data-model.md tells them in words under "Clocks". Times are compared with what lies before
-- now: a time that was written by hand may be so far off that nothing can be added to it.
create or replace function unstuck_private.jobs_due(p_now timestamptz, p_ids uuid[])
returns table (job_id uuid, user_id uuid, status text, code text, message text)
language sql
stable
set search_path = ''
as
$$
  with judged as (
    select c.*, s.*, i.sql_wait,
      coalesce(c.started_at, c.created_at) <= p_now - s.lifetime
        -- An admin's requeue restarts the count.
        and not exists (
          select from unstuck.job_events e
          where e.job_id = c.id
            and e.event = 'job_requeued'
            and e.at > p_now - s.lifetime
        ) as too_old,
      -- A paid row is no orphan, even a pending one: it waits like a queued one.
      c.status = 'pending'
        and c.request_hash is null
        and not exists (
          select from unstuck.credit_entries e
          where e.job_id = c.id
            and e.kind = 'debit'
        ) as orphan,
      coalesce(c.queued_at, c.created_at) <= p_now - t.queue_ttl as waited_out
    from unnest(p_ids) as n (id)
    join unstuck.jobs c on c.id = n.id
    join unstuck.tools t using (tool)
    join unstuck.providers tp on tp.provider = t.provider
    cross join unstuck_private.intervals() i
    cross join lateral unstuck_private.job_steps_summary(c, t, tp, p_now) s
    where unstuck_private.is_live(c.status)
      and c.quarantined_at is null
      and not exists (
        select from unstuck_private.unhealed u
        where u.job_id = c.id
          and u.retry_at > p_now
      )
  )
  select j.id, j.user_id,
    case
      when j.orphan then 'cancelled'
      when j.refund_rule = 'per_step' and j.done > 0 then 'completed'
      else 'failed'
    end,
    case
      when j.orphan then 'ORPHANED'
      when j.undelivered then 'DELIVERY_FAILED'
      when j.status in ('pending', 'queued') and j.steps > 0 then 'QUEUE_TIMEOUT'
      else 'TIMEOUT'
    end,
    case
      when j.orphan then 'never started; nothing was charged.'
      when j.undelivered then 'the result could not be stored.'
      else unstuck_private.timeout_message(
        j.status in ('pending', 'queued'),
        coalesce(j.started_at, j.queued_at, j.created_at),
        p_now)
    end
  from judged j
  where case
    when j.too_old then true
    when j.deadline_at > p_now then false
    when j.status = 'pending' then j.orphan or j.waited_out
    when j.steps = 0 or j.live = 0 then true
    when j.expires_at <= p_now then
      not coalesce(j.at_provider, false)
      or coalesce(j.working_deadline, j.expires_at) <= p_now - j.sql_wait
    when j.working = 0 then true
    when j.at_provider then least(j.working_deadline, j.deadline_at) <= p_now - j.sql_wait
    when j.leased or j.rescuable then false
    when j.retryable then j.working_deadline <= p_now - j.sql_wait
    else j.working_deadline <= p_now
  end
$$;

revoke all on function unstuck_private.jobs_due from public, anon, authenticated, service_role;

--: source sweep/jobs_due_each.sql 8e7deac9fcfd
-- The answers of `jobs_due` for these jobs, which are locked, as arrays side by side. A job on
-- which `jobs_due` fails is found by halves and quarantined.
create or replace function unstuck_private.jobs_due_each(
  p_now timestamptz,
  p_ids uuid[],
  out ids uuid[],
  out statuses text[],
  out codes text[],
  out messages text[]
)
language plpgsql
set search_path = ''
as
$$
declare
  v_half int := coalesce(cardinality(p_ids), 0) / 2;
  v_first record;
  v_second record;
begin
  if coalesce(cardinality(p_ids), 0) = 0 then
    return;
  end if;
  begin
    select array_agg(d.job_id), array_agg(d.status), array_agg(d.code), array_agg(d.message)
    into ids, statuses, codes, messages
    from unstuck_private.jobs_due(p_now, p_ids) d;
    return;
  exception when others then
    if cardinality(p_ids) = 1 then
      perform unstuck_private.jobs_quarantine(p_ids, sqlerrm);
      return;
    end if;
  end;
  v_first := unstuck_private.jobs_due_each(p_now, p_ids[:v_half]);
  v_second := unstuck_private.jobs_due_each(p_now, p_ids[v_half + 1:]);
  ids := v_first.ids || v_second.ids;
  statuses := v_first.statuses || v_second.statuses;
  codes := v_first.codes || v_second.codes;
  messages := v_first.messages || v_second.messages;
end $$;

revoke all on function unstuck_private.jobs_due_each from public, anon, authenticated, service_role;

--: source sweep/jobs_quarantine.sql 225eed6f0d12
-- Closes jobs that cannot be healed to the healers, until an operator looks. A quarantined job
-- blocks neither its user nor other jobs: its steps end, hold no slot, and the provider is owed a
-- cancel. The caller has locked the jobs.
--
-- This never fails. If it cannot be written for all, it is written for each half, and in the end
-- for each part of the one job that refuses it (`job_quarantine_parts`).
create or replace function unstuck_private.jobs_quarantine(p_ids uuid[], p_reason text)
returns void
language plpgsql
set search_path = ''
as
$$
declare
  v_half int := cardinality(p_ids) / 2;
  v_now timestamptz := clock_timestamp();
begin
  begin
    insert into unstuck.job_events (job_id, event, from_status, to_status, actor, detail)
    select j.id, 'quarantined', j.status, j.status, 'sweep',
      jsonb_build_object('reason', p_reason)
    from unstuck.jobs j
    where j.id = any (p_ids)
      and j.quarantined_at is null;
    update unstuck.jobs
    set quarantined_at = v_now,
      exclusive_key = null
    where id = any (p_ids)
      and quarantined_at is null;
    update unstuck.job_steps s
    set status = 'failed',
      error_code = 'CREDIT_ERROR',
      error_message = 'CREDIT_ERROR: kept for an operator.',
      completed_at = v_now,
      lease_until = null,
      checked_at = null,
      provider_cancel_due = unstuck_private.cancel_debt_with(s)
    where s.job_id = any (p_ids)
      and not unstuck_private.is_final(s.status);
    return;
  exception when others then
    p_reason := case when v_half > 0 then p_reason else concat_ws('; ', p_reason, sqlerrm) end;
  end;
  if v_half > 0 then
    perform unstuck_private.jobs_quarantine(p_ids[:v_half], p_reason);
    perform unstuck_private.jobs_quarantine(p_ids[v_half + 1:], p_reason);
    return;
  end if;
  perform unstuck_private.job_quarantine_parts(p_ids[1], p_reason);
end $$;

revoke all on function unstuck_private.jobs_quarantine
from public, anon, authenticated, service_role;

--: source sweep/jobs_sweep_v1.sql 32157aba5b91
create or replace function unstuck.jobs_sweep_v1(p_sweep_id bigint, p_limit int)
returns table (
  cleaned int,
  refunded_credits bigint,
  requeued int,
  remaining int,
  tables jsonb
)
language sql
security definer
set search_path = ''
set statement_timeout = '55s'
as
$$
  select p.*
  from unstuck_private.sweep_pass(p_sweep_id, p_limit, interval '6 seconds') p
$$;

comment on function unstuck.jobs_sweep_v1 is $c$
Caller: cleanup-stale-jobs, in its pass.

Effect: finalises, or requeues, every job that ran out of time and needs no query to a provider, up
to p_limit jobs and for six seconds. It waits for no lock. A job that cannot be healed is
quarantined. remaining: due, but locked by others or beyond the limit (looking one page ahead).

Refuses: nothing.

Replay: nothing left to do.
$c$;

revoke all on function unstuck.jobs_sweep_v1 from public, anon, authenticated, service_role;
grant execute on function unstuck.jobs_sweep_v1 to service_role;

--: source sweep/step_fail_exhausted.sql 5e7af1167674
-- Fails one step that has no attempt left, of a job that is locked. A job whose ledger disagrees
-- with its row is quarantined instead. No row where the step is no longer at work.
create or replace function unstuck_private.step_fail_exhausted(
  p_now timestamptz,
  p_job_id uuid,
  p_step int
)
returns table (job_id uuid, tool text, status text, refunded bigint)
language plpgsql
set search_path = ''
as
$$
#variable_conflict use_column
declare
  v_job unstuck.jobs;
  v_attempts int;
begin
  select *
  into v_job
  from unstuck.jobs
  where id = p_job_id;
  select s.attempts
  into v_attempts
  from unstuck.job_steps s
  where s.job_id = p_job_id
    and s.step = p_step
    and s.status = 'running'
    and s.provider_done_at is null
    and s.lease_until <= p_now;
  if not found or v_job.quarantined_at is not null then
    return;
  end if;
  if unstuck_private.has_ledger_mismatch(v_job) then
    perform unstuck_private.jobs_quarantine(
      array[p_job_id], 'credits_refunded does not agree with the ledger');
    return;
  end if;
  return query
  select v_job.id, v_job.tool, f.job_status, f.refunded
  from unstuck_private.step_fail(
    v_job, p_step, 'TIMEOUT', format('no answer after %s attempts.', v_attempts)) f;
end $$;

revoke all on function unstuck_private.step_fail_exhausted
from public, anon, authenticated, service_role;

--: source sweep/steps_fail_exhausted.sql 68bc6827c5e0
-- Fails the steps at synchronous providers that have no attempt left; their siblings go on. What
-- another transaction has locked is left to the next pass; a job on which this fails is
-- quarantined.
create or replace function unstuck_private.steps_fail_exhausted(
  p_now timestamptz,
  p_user_id uuid,
  p_limit int,
  p_until timestamptz
)
returns table (job_id uuid, tool text, status text, refunded bigint)
language plpgsql
set search_path = ''
as
$$
#variable_conflict use_column
declare
  v_job uuid;
  v_step int;
begin
  for v_job, v_step in
    select s.job_id, s.step
    from unstuck.job_steps s
    join unstuck.jobs j on j.id = s.job_id
    join unstuck.tools t using (tool)
    join unstuck.providers p on p.provider = s.provider
    where s.status = 'running'
      and p.synchronous
      and not p.retried_by_function
      and s.lease_until <= p_now
      and s.provider_done_at is null
      and s.attempts >= t.attempt_max
      and j.quarantined_at is null
      and (p_user_id is null or j.user_id = p_user_id)
    order by s.lease_until, s.job_id, s.step
    limit p_limit
  loop
    exit when clock_timestamp() > p_until;
    continue when unstuck_private.jobs_try_lock(array[v_job]) = '{}';
    begin
      return query
      select e.job_id, e.tool, e.status, e.refunded
      from unstuck_private.step_fail_exhausted(p_now, v_job, v_step) e;
    exception
      when lock_not_available or transaction_rollback or insufficient_resources or system_error then
        null;
      when others then
        perform unstuck_private.jobs_quarantine(array[v_job], sqlerrm);
    end;
  end loop;
end $$;

revoke all on function unstuck_private.steps_fail_exhausted
from public, anon, authenticated, service_role;

--: source sweep/steps_requeue.sql ef680b09f524
-- Requeues the steps of these jobs, which are locked, where `can_requeue` allows it, and returns
-- how many. A job on which this fails is found by halves and quarantined.
create or replace function unstuck_private.steps_requeue(p_now timestamptz, p_ids uuid[])
returns int
language plpgsql
set search_path = ''
as
$$
declare
  v_half int := cardinality(p_ids) / 2;
  v_jobs uuid[];
begin
  if p_ids = '{}' then
    return 0;
  end if;
  begin
    with back as (
      update unstuck.job_steps s
      set status = 'queued',
        lease_until = null,
        claimed_at = null,
        started_at = null,
        sent_at = null,
        rescues = s.rescues + (s.status = 'starting')::int,
        deadline_at = least(p_now + t.queue_ttl, j.expires_at)
      from unstuck.jobs j
      join unstuck.tools t using (tool)
      cross join unstuck.providers p
      where s.job_id = any (p_ids)
        and s.status in ('starting', 'running')
        and s.lease_until <= p_now
        and j.id = s.job_id
        and p.provider = s.provider
        and unstuck_private.can_requeue(s, t, p)
        and unstuck_private.is_live(j.status)
        and j.quarantined_at is null
        and not exists (
          select
          from unstuck_private.unhealed u
          where u.job_id = j.id
            and u.retry_at > p_now
        )
      returning s.job_id
    )
    select array_agg(b.job_id)
    into v_jobs
    from back b;
    perform unstuck_private.job_sync_from_steps(v_jobs);
    return coalesce(cardinality(v_jobs), 0);
  exception
    when lock_not_available or transaction_rollback or insufficient_resources or system_error then
      if v_half = 0 then
        return 0;
      end if;
    when others then
      if v_half = 0 then
        perform unstuck_private.jobs_quarantine(p_ids, sqlerrm);
        return 0;
      end if;
  end;
  return unstuck_private.steps_requeue(p_now, p_ids[:v_half])
    + unstuck_private.steps_requeue(p_now, p_ids[v_half + 1:]);
end $$;

revoke all on function unstuck_private.steps_requeue from public, anon, authenticated, service_role;

--: source sweep/steps_rescue.sql 28844bdde41b
-- Requeues steps whose lease ended (`can_requeue`), of jobs that no other transaction has locked.
-- Returns how many.
create or replace function unstuck_private.steps_rescue(
  p_now timestamptz,
  p_user_id uuid,
  p_limit int
)
returns int
language plpgsql
set search_path = ''
as
$$
declare
  v_jobs uuid[];
begin
  v_jobs := array(
    select s.job_id
    from unstuck.job_steps s
    join unstuck.jobs j on j.id = s.job_id
    join unstuck.tools t using (tool)
    join unstuck.providers p on p.provider = s.provider
    where s.status in ('starting', 'running')
      and s.lease_until <= p_now
      and unstuck_private.can_requeue(s, t, p)
      and j.expires_at > p_now
      and j.quarantined_at is null
      and (p_user_id is null or j.user_id = p_user_id)
    order by s.lease_until, s.job_id
    limit p_limit
  );
  return unstuck_private.steps_requeue(p_now, unstuck_private.jobs_try_lock(v_jobs));
end $$;

revoke all on function unstuck_private.steps_rescue from public, anon, authenticated, service_role;

--: source sweep/sweep.sql 439c825e5124
-- Heals all that SQL can heal, up to p_limit jobs and a time budget: it finalises jobs that ran out
-- of time, page by page, then fails steps without an attempt left, then requeues steps. None of the
-- three stops another, and no row stops the others.
--
-- A row without a job counts requeued steps, or due jobs that are left over, looking one page
-- ahead. `p_now` is an argument so that tests need not wait. Each page is planned anew: a plan for
-- pages of any size would read whole tables.
create or replace function unstuck_private.sweep(
  p_now timestamptz,
  p_user_id uuid,
  p_limit int,
  p_budget interval
)
returns table (
  job_id uuid,
  tool text,
  status text,
  refunded bigint,
  requeued int,
  remaining int
)
language plpgsql
set search_path = ''
set plan_cache_mode = 'force_custom_plan'
as
$$
#variable_conflict use_column
declare
  v_until timestamptz := clock_timestamp() + p_budget;
  v_remaining int := p_limit;
  v_rows int;
  v_is_stopped boolean;
  v_by text;
  v_ids uuid[];
  v_at timestamptz;
  v_id uuid;
begin
  perform unstuck_private.act_as('sweep');
  -- A user's own heal locks the account first, like every other function that works on the user.
  if p_user_id is not null and not unstuck_private.account_try_lock(p_user_id) then
    return;
  end if;
  foreach v_by in array
    case when p_user_id is null then array['deadline', 'age'] else array['user'] end
  loop
    v_at := '-infinity';
    v_id := '00000000-0000-0000-0000-000000000000';
    loop
      v_is_stopped := v_remaining <= 0 or clock_timestamp() > v_until;
      select c.ids, c.last_at, c.last_id
      into v_ids, v_at, v_id
      from unstuck_private.sweep_candidates(p_now, v_by, p_user_id, v_at, v_id,
        case when v_is_stopped then 1000 else least(greatest(v_remaining, 100), 2000) end) c;
      exit when v_ids is null;
      if v_is_stopped then
        return query
        select null::uuid, null::text, null::text, 0::bigint, 0,
          unstuck_private.count_due_among(p_now, v_ids);
        exit;
      end if;
      begin
        return query
        select *
        from unstuck_private.sweep_page(p_now, v_by, v_ids, v_remaining, v_until);
        get diagnostics v_rows = row_count;
        v_remaining := v_remaining - (v_rows - 1);
      exception when others then
        raise warning 'a page of the sweep failed: %', sqlerrm;
      end;
    end loop;
  end loop;
  begin
    return query
    select e.job_id, e.tool, e.status, e.refunded, 0, 0
    from unstuck_private.steps_fail_exhausted(p_now, p_user_id, least(p_limit, 200), v_until) e;
  exception when others then
    raise warning 'steps_fail_exhausted failed: %', sqlerrm;
  end;
  begin
    return query
    select null::uuid, null::text, null::text, 0::bigint,
      unstuck_private.steps_rescue(p_now, p_user_id, p_limit), 0;
  exception when others then
    raise warning 'steps_rescue failed: %', sqlerrm;
  end;
end $$;

revoke all on function unstuck_private.sweep from public, anon, authenticated, service_role;

--: source sweep/sweep_begin_v1.sql a8b53e4be0a4
create or replace function unstuck.sweep_begin_v1(p_source text)
returns table (sweep_id bigint)
language sql
security definer
set search_path = ''
as
$$
  insert into unstuck.sweeps (source)
  values (p_source)
  returning id
$$;

comment on function unstuck.sweep_begin_v1 is $c$
Caller: an edge healer, before its pass.

Effect: writes the row of the pass, which later calls name by sweep_id.

Refuses: nothing.

Replay: another row: each call begins a pass.
$c$;

revoke all on function unstuck.sweep_begin_v1 from public, anon, authenticated, service_role;
grant execute on function unstuck.sweep_begin_v1 to service_role;

--: source sweep/sweep_candidates.sql 0f0145468c0a
-- Live jobs that may have run out of time, in the order of their key after (p_at, p_id): past their
-- deadline, or ('age') so old that the lifetime may be over whatever their deadline says. A page
-- costs what it holds, not what the backlog holds.
create or replace function unstuck_private.sweep_candidates(
  p_now timestamptz,
  p_by text,
  p_user_id uuid,
  p_at timestamptz,
  p_id uuid,
  p_limit int,
  out ids uuid[],
  out last_at timestamptz,
  out last_id uuid
)
language plpgsql
stable
set search_path = ''
as
$$
declare
  v_old timestamptz := p_now - (select min(t.run_timeout) from unstuck.tools t);
begin
  if p_by = 'deadline' then
    select array_agg(c.id), max(c.at)
    into ids, last_at
    from (
      select j.id, j.deadline_at as at
      from unstuck.jobs j
      where unstuck_private.is_live(j.status)
        and j.quarantined_at is null
        and j.deadline_at <= p_now
        and (j.deadline_at, j.id) > (p_at, p_id)
      order by j.deadline_at, j.id
      limit p_limit
    ) c;
  elsif p_by = 'age' then
    select array_agg(c.id), max(c.at)
    into ids, last_at
    from (
      select j.id, coalesce(j.started_at, j.created_at) as at
      from unstuck.jobs j
      where unstuck_private.is_live(j.status)
        and j.quarantined_at is null
        and j.deadline_at > p_now
        and coalesce(j.started_at, j.created_at) <= v_old
        and (coalesce(j.started_at, j.created_at), j.id) > (p_at, p_id)
      order by coalesce(j.started_at, j.created_at), j.id
      limit p_limit
    ) c;
  else
    select array_agg(c.id), max(c.at)
    into ids, last_at
    from (
      select j.id, j.deadline_at as at
      from unstuck.jobs j
      where unstuck_private.is_live(j.status)
        and j.quarantined_at is null
        and j.user_id = p_user_id
        and (j.deadline_at <= p_now or coalesce(j.started_at, j.created_at) <= v_old)
        and (j.deadline_at, j.id) > (p_at, p_id)
      order by j.deadline_at, j.id
      limit p_limit
    ) c;
  end if;
  last_id := ids[cardinality(ids)];
end $$;

revoke all on function unstuck_private.sweep_candidates
from public, anon, authenticated, service_role;

--: source sweep/sweep_end_v1.sql 568a050daff9
create or replace function unstuck.sweep_end_v1(
  p_sweep_id bigint,
  p_delivered int,
  p_cleaned int,
  p_refunded_credits bigint
)
returns table (stuck int, violations int, remaining int)
language plpgsql
security definer
set search_path = ''
-- PostgREST applies it to the call; elsewhere it bounds nothing.
set statement_timeout = '30s'
as
$$
#variable_conflict use_column
begin
  update unstuck.sweeps s
  set delivered = s.delivered + coalesce(p_delivered, 0),
    cleaned = s.cleaned + coalesce(p_cleaned, 0),
    refunded_credits = unstuck_private.clamp_to_bigint(
      s.refunded_credits::numeric + coalesce(p_refunded_credits, 0)
    )
  where s.id = p_sweep_id;
  if found then
    return query
    select *
    from unstuck_private.sweep_finish(p_sweep_id);
  end if;
end $$;

comment on function unstuck.sweep_end_v1 is $c$
Caller: an edge healer, after its pass.

Effect: adds what the pass did, audits what changed since the last audit, for about half a second at
most, and stores what health reads: stuck jobs and violations. A count that failed is stored as
null, which is not healthy; the pass is finished all the same. remaining: jobs that are due after
all the pass did.

Refuses: nothing; no row where there is no such pass.

Replay: adds the numbers again.
$c$;

revoke all on function unstuck.sweep_end_v1 from public, anon, authenticated, service_role;
grant execute on function unstuck.sweep_end_v1 to service_role;

--: source sweep/sweep_finish.sql cc491beca412
-- Finishes a pass with the counts that health reads. A count may fail, be cancelled or take long:
-- the pass is finished all the same, without that count, and nothing that it healed is undone.
-- Health is not good while a count is missing.
create or replace function unstuck_private.sweep_finish(p_sweep_id bigint)
returns table (stuck int, violations int, remaining int)
language plpgsql
set search_path = ''
as
$$
declare
  v_stuck int;
  v_violations int;
  v_remaining int := 0;
begin
  begin
    v_stuck := unstuck_private.count_stuck(clock_timestamp());
    v_remaining := unstuck_private.count_due(clock_timestamp());
  exception when query_canceled or others then
    raise warning 'sweep %: what is left could not be counted: %', p_sweep_id, sqlerrm;
  end;
  begin
    perform unstuck_private.audit(interval '500 milliseconds');
    v_violations := (select count(*) from unstuck.violations_found)
      + (select count(*) from unstuck_private.violations_now());
  exception when query_canceled or others then
    raise warning 'sweep %: the audit failed: %', p_sweep_id, sqlerrm;
  end;
  update unstuck.sweeps s
  set finished_at = clock_timestamp(), stuck = v_stuck, violations = v_violations
  where s.id = p_sweep_id;
  return query
  select v_stuck, v_violations, v_remaining;
end $$;

revoke all on function unstuck_private.sweep_finish from public, anon, authenticated, service_role;

--: source sweep/sweep_page.sql 3f3fe6c542a7
-- Heals one page: it locks the jobs that no other transaction has locked, judges them under the
-- locks and finalises those that are due. The last row counts what is due and left over: locked by
-- others, or beyond p_limit. Of the jobs found by age nearly all are well, so those are judged
-- before they are locked.
create or replace function unstuck_private.sweep_page(
  p_now timestamptz,
  p_by text,
  p_ids uuid[],
  p_limit int,
  p_until timestamptz
)
returns table (
  job_id uuid,
  tool text,
  status text,
  refunded bigint,
  requeued int,
  remaining int
)
language plpgsql
set search_path = ''
as
$$
#variable_conflict use_column
declare
  v_due record;
begin
  if p_by = 'age' then
    begin
      p_ids := array(select d.job_id from unstuck_private.jobs_due(p_now, p_ids) d);
    exception when others then
      -- One of them cannot be judged: `jobs_due_each` finds it under the locks.
      null;
    end;
  end if;
  v_due := unstuck_private.jobs_due_each(p_now, unstuck_private.jobs_try_lock(p_ids));
  return query
  select c.job_id, c.tool, c.status, c.refunded, 0, 0
  from unstuck_private.jobs_finalise_each(
    v_due.ids, v_due.statuses, v_due.codes, v_due.messages, p_until, p_limit) c;
  return query
  select null::uuid, null::text, null::text, 0::bigint, 0,
    unstuck_private.count_due_among(p_now, p_ids);
end $$;

revoke all on function unstuck_private.sweep_page from public, anon, authenticated, service_role;

--: source sweep/sweep_pass.sql 8eb96edf4327
-- One pass over all users: what it did, in all and by table, added to the row of the pass. Then it
-- prunes old rows.
create or replace function unstuck_private.sweep_pass(
  p_sweep_id bigint,
  p_limit int,
  p_budget interval
)
returns table (
  cleaned int,
  refunded_credits bigint,
  requeued int,
  remaining int,
  tables jsonb
)
language plpgsql
set search_path = ''
as
$$
#variable_conflict use_column
declare
  v_sums record;
begin
  with closed as (
    select s.*, t.table_name
    from unstuck_private.sweep(
      clock_timestamp(), null, least(greatest(p_limit, 1), 100000), p_budget) s
    left join unstuck.tools t using (tool)
  )
  select
    count(c.job_id)::int as cleaned,
    unstuck_private.clamp_to_bigint(coalesce(sum(c.refunded), 0)) as refunded,
    coalesce(sum(c.requeued), 0)::int as requeued,
    coalesce(sum(c.remaining), 0)::int as remaining,
    (
      select jsonb_agg(
        jsonb_build_object(
          'table_name', n.table_name,
          'cancelled_count', (
            select count(*)
            from closed x
            where x.table_name = n.table_name
          ),
          'refunded_credits', (
            select unstuck_private.clamp_to_bigint(coalesce(sum(x.refunded), 0))
            from closed x
            where x.table_name = n.table_name
          )
        )
        order by n.table_name
      )
      from (select distinct t.table_name from unstuck.tools t) n
    ) as tables
  into v_sums
  from closed c;
  update unstuck.sweeps s
  set cleaned = s.cleaned + v_sums.cleaned,
    refunded_credits = unstuck_private.clamp_to_bigint(
      s.refunded_credits::numeric + v_sums.refunded),
    requeued = s.requeued + v_sums.requeued
  where s.id = p_sweep_id;
  -- A failure here undoes nothing that the pass healed.
  begin
    perform 1
    from unstuck_private.prune_old_rows(clock_timestamp());
  exception when others or query_canceled then
    raise warning 'sweep %: pruning failed: %', p_sweep_id, sqlerrm;
  end;
  return query
  select v_sums.cleaned, v_sums.refunded, v_sums.requeued, v_sums.remaining, v_sums.tables;
end $$;

revoke all on function unstuck_private.sweep_pass from public, anon, authenticated, service_role;

--: source sweep/timeout_message.sql 39608eb9e9ab
-- The message of a job that a clock ended: `not started after 10 minutes.`
create or replace function unstuck_private.timeout_message(
  p_is_waiting boolean,
  p_since timestamptz,
  p_now timestamptz
)
returns text
language sql
stable
as
$$
  select format('%s after %s.',
    case when p_is_waiting then 'not started' else 'no result' end,
    unstuck_private.minutes_text(unstuck_private.minutes_between(p_since, p_now)))
$$;

revoke all on function unstuck_private.timeout_message
from public, anon, authenticated, service_role;

--: source sweep/user_heal_v1.sql 78b7041a52e7
create or replace function unstuck.user_heal_v1(p_user_id uuid)
returns table (healed int, refunded_credits bigint)
language sql
security definer
set search_path = ''
set statement_timeout = '10s'
as
$$
  select count(s.job_id)::int, unstuck_private.clamp_to_bigint(coalesce(sum(s.refunded), 0))
  from unstuck_private.sweep(clock_timestamp(), p_user_id, 200, interval '3 seconds') s
$$;

comment on function unstuck.user_heal_v1 is $c$
Caller: a request that was refused because of the user's own live jobs.

Effect: heals the jobs of this user that ran out of time. It waits at most a second for the user's
account; if another transaction holds it for longer, nothing is healed.

Refuses: nothing.

Replay: zeros.
$c$;

revoke all on function unstuck.user_heal_v1 from public, anon, authenticated, service_role;
grant execute on function unstuck.user_heal_v1 to service_role;

--: source tool/job_lifetime.sql 75934859f358
-- The longest that a job of this tool with this many steps may live.
create or replace function unstuck_private.job_lifetime(p_tool text, p_steps int) returns interval
language sql
stable
set search_path = ''
as
$$
  select unstuck_private.tool_lifetime(t, p, p_steps)
  from unstuck.tools t
  join unstuck.providers p using (provider)
  where t.tool = p_tool
$$;

revoke all on function unstuck_private.job_lifetime from public, anon, authenticated, service_role;

--: source tool/providers_before_update.sql 654caea00484
-- Records when a limit is lowered. Steps that were claimed before may exceed the new limit; that is
-- no violation.
create or replace function unstuck_private.providers_before_update() returns trigger
language plpgsql
set search_path = ''
as
$$
begin
  if new.max_concurrent < old.max_concurrent then
    new.limit_changed_at := clock_timestamp();
  end if;
  return new;
end $$;

create or replace trigger providers_before_update
before update on unstuck.providers
for each row
execute function unstuck_private.providers_before_update();

revoke all on function unstuck_private.providers_before_update
from public, anon, authenticated, service_role;

--: source tool/tool_lifetime.sql c5670bdd1455
-- The longest that a job of this tool may live: its time in the queue, and the run time of each
-- step that must run in sequence, times the attempts of a synchronous provider.
create or replace function unstuck_private.tool_lifetime(
  p_tool unstuck.tools,
  p_provider unstuck.providers,
  p_steps int
)
returns interval
language sql
immutable
as
$$
  select
    p_tool.queue_ttl
    + p_tool.run_timeout
      * (case p_tool.step_order when 'sequential' then greatest(p_steps, 1) else 1 end)
      * (case when p_provider.synchronous then p_tool.attempt_max else 1 end)
$$;

revoke all on function unstuck_private.tool_lifetime from public, anon, authenticated, service_role;

--: source view/status_word.sql 30ff6190ea15
-- The word that the front end of an old table name uses for a status.
create or replace function unstuck_private.status_word(p_table text, p_status text) returns text
language sql
immutable
as
$$
  select case
    when unstuck_private.is_final(p_status) then p_status
    when p_status in ('pending', 'queued', 'blocked') then
      case
        when p_table in (
          'generation_jobs', 'generation_tasks', 'replicate_tasks', 'generation_history'
        ) then 'pending'
        else 'queued'
      end
    when p_table in ('generation_jobs', 'generation_tasks', 'replicate_tasks') then 'processing'
    when p_table = 'generation_history' then 'generating'
    else 'running'
  end
$$;

revoke all on function unstuck_private.status_word from public, anon, authenticated, service_role;
grant execute on function unstuck_private.status_word to authenticated, service_role;

--: source view/visible_hours.sql 1d58ca4bd815
-- The rows of `jobs_by_hour`, for those who may see them.
create or replace function unstuck_private.visible_hours()
returns table (
  hour timestamptz,
  ordered int,
  completed int,
  failed int,
  cancelled int,
  credits_charged bigint,
  credits_refunded bigint
)
language sql
stable
security definer
set search_path = ''
as
$$
  with recent as (
    select date_trunc('hour', clock_timestamp()) - interval '23 hours' as since,
      date_trunc('hour', clock_timestamp()) + interval '1 hour' as until
  ), ordered as (
    select date_trunc('hour', j.created_at) as hour,
      count(*)::int as jobs,
      sum(j.credits_charged) as charged
    from unstuck.jobs j, recent r
    where j.created_at >= r.since and j.created_at < r.until
    group by 1
  ), ended as (
    select date_trunc('hour', j.completed_at) as hour,
      count(*) filter (where j.status = 'completed')::int as completed,
      count(*) filter (where j.status = 'failed')::int as failed,
      count(*) filter (where j.status = 'cancelled')::int as cancelled,
      sum(j.credits_refunded) as refunded
    from unstuck.jobs j, recent r
    -- A row is last updated when it ends or later, so the index by update finds what ended.
    where j.updated_at >= r.since and j.completed_at >= r.since and j.completed_at < r.until
    group by 1
  )
  select h.hour, coalesce(o.jobs, 0), coalesce(e.completed, 0), coalesce(e.failed, 0),
    coalesce(e.cancelled, 0),
    unstuck_private.clamp_to_bigint(coalesce(o.charged, 0)),
    unstuck_private.clamp_to_bigint(coalesce(e.refunded, 0))
  from recent r
  cross join lateral generate_series(
    r.since, r.since + interval '23 hours', interval '1 hour'
  ) h (hour)
  left join ordered o using (hour)
  left join ended e using (hour)
  where (select unstuck_private.may_see(null))
  order by h.hour
$$;

revoke all on function unstuck_private.visible_hours from public, anon, authenticated, service_role;
grant execute on function unstuck_private.visible_hours to authenticated, service_role;

--: source webhook/webhook_applied_v1.sql 801c1f16cc30
create or replace function unstuck.webhook_applied_v1(p_inbox_id bigint)
returns table (applied boolean)
language sql
security definer
set search_path = ''
as
$$
  update unstuck.webhook_inbox w set
    applied_at = coalesce(w.applied_at, clock_timestamp())
  where w.id = p_inbox_id
  returning true
$$;

comment on function unstuck.webhook_applied_v1 is $c$
Caller: the webhook consumer, after it handled a webhook.

Effect: marks the webhook as applied.

Refuses: nothing; no row where there is no such webhook.

Replay: keeps the first time.
$c$;

revoke all on function unstuck.webhook_applied_v1 from public, anon, authenticated, service_role;
grant execute on function unstuck.webhook_applied_v1 to service_role;

--: source webhook/webhook_record_v1.sql b6699f5406cc
create or replace function unstuck.webhook_record_v1(
  p_provider text,
  p_job_id uuid,
  p_step int,
  p_run bigint,
  p_task_id text,
  p_dedup_key text,
  p_body jsonb
)
returns table (recorded boolean, inbox_id bigint)
language plpgsql
security definer
set search_path = ''
set statement_timeout = '5s'
as
$$
declare
  v_id bigint;
begin
  insert into unstuck.webhook_inbox (provider, job_id, step, run, task_id, dedup_key, body)
  values (p_provider, p_job_id, p_step, p_run, nullif(p_task_id, ''), p_dedup_key, p_body)
  on conflict (provider, dedup_key) do nothing
  returning id into v_id;
  if found then
    return query
    select true, v_id;
    return;
  end if;
  return query
  select false, w.id
  from unstuck.webhook_inbox w
  where w.provider = p_provider
    and w.dedup_key = p_dedup_key;
end $$;

comment on function unstuck.webhook_record_v1 is $c$
Caller: provider-webhook, after it verified the token.

Effect: stores the webhook; it changes no job.

Refuses: nothing.

Replay: recorded = false, with the id of the webhook that is stored.
$c$;

revoke all on function unstuck.webhook_record_v1 from public, anon, authenticated, service_role;
grant execute on function unstuck.webhook_record_v1 to service_role;

--: source website/generation_get_v1.sql 1eddda62b084
create or replace function unstuck.generation_get_v1(p_user_id uuid, p_tool text, p_job_id uuid)
returns table (
  job_id uuid,
  status text,
  error_message text,
  retries int,
  credits_refunded bigint,
  output_url text
)
language sql
security definer
set search_path = ''
set statement_timeout = '10s'
as
$$
  select g.job_id, g.status, g.error_message, j.retries, g.credits_refunded,
    case when g.status = 'completed' then g.output_url end
  from unstuck.job_get_v1(p_job_id, p_user_id, p_tool) g
  join unstuck.jobs j on j.id = g.job_id
$$;

comment on function unstuck.generation_get_v1 is $c$
Caller: the GET of the website functions, for the verified user.

Effect: like job_get_v1, with retries and, once the website is completed, the address of its files.

Refuses: not_found.

Replay: reads again.
$c$;

revoke all on function unstuck.generation_get_v1 from public, anon, authenticated, service_role;
grant execute on function unstuck.generation_get_v1 to service_role;

--: source website/generation_put_back_v1.sql 9d81eb578999
create or replace function unstuck.generation_put_back_v1(p_job_id uuid, p_run bigint)
returns table (applied boolean)
language sql
security definer
set search_path = ''
as
$$
  update unstuck.job_steps s
  set checked_at = null
  where s.job_id = p_job_id
    and s.run = p_run
    and s.status = 'running'
  returning true
$$;

comment on function unstuck.generation_put_back_v1 is $c$
Caller: cleanup-stale-generations, when its call of the tool's function failed.

Effect: undoes the reservation, so that the next cleanup tries again at once. No row where another
attempt has begun.

Refuses: nothing.

Replay: changes nothing.
$c$;

revoke all on function unstuck.generation_put_back_v1
from public, anon, authenticated, service_role;
grant execute on function unstuck.generation_put_back_v1 to service_role;

--: source website/generation_retry_v1.sql c8642e07c4d4
create or replace function unstuck.generation_retry_v1(
  p_job_id uuid,
  p_tool text,
  p_user_id uuid default null
)
returns table (
  outcome text,
  user_id uuid,
  status text,
  retries int,
  refunded bigint,
  balance bigint
)
language plpgsql
security definer
set search_path = ''
set statement_timeout = '10s'
as
$$
#variable_conflict use_column
declare
  v_job unstuck.jobs;
  v_step unstuck.job_steps;
  v_max int;
  v_now timestamptz;
  v_status text;
  v_refunded bigint := 0;
begin
  perform unstuck_private.act_as(case when p_user_id is null then 'service' else 'user' end);
  v_job := unstuck_private.job_lock(p_job_id);
  if v_job.id is null
    or v_job.tool <> p_tool
    or v_job.user_id <> coalesce(p_user_id, v_job.user_id)
  then
    perform unstuck_private.refuse(404, 'not_found');
  end if;
  perform unstuck_private.refuse_final(v_job);
  select *
  into v_step
  from unstuck.job_steps s
  where s.job_id = p_job_id
    and s.step = 1
  for update;
  v_now := clock_timestamp();
  if not found
    or not unstuck_private.is_stale_attempt(v_step, v_now)
    or v_job.quarantined_at is not null
  then
    perform unstuck_private.refuse(
      409, 'in_progress', jsonb_build_object('status', v_job.status));
  end if;
  select t.attempt_max
  into v_max
  from unstuck.tools t
  where t.tool = p_tool;
  if v_step.attempts >= v_max or v_job.expires_at <= v_now then
    select f.job_status, f.refunded
    into v_status, v_refunded
    from unstuck_private.website_fail(v_job, v_step) f;
  else
    perform unstuck_private.website_requeue(v_job, v_step, v_now);
  end if;
  return query
  select case when v_status is null then 'retried' else 'closed' end,
    j.user_id, j.status, j.retries, v_refunded, coalesce(a.balance, 0)
  from unstuck.jobs j
  left join unstuck.credit_accounts a using (user_id)
  where j.id = p_job_id;
end $$;

comment on function unstuck.generation_retry_v1 is $c$
Caller: the website functions, for retryHistoryId. p_user_id null: the service calls, for the user
of the record.

Effect: puts a stale attempt back into the queue, free of charge, with retries + 1. outcome: retried
| closed (no attempt or no time left: the job failed and was refunded).

Refuses: not_found (also a job of another user or tool), already_final, in_progress (also a
quarantined job).

Replay: in_progress.
$c$;

revoke all on function unstuck.generation_retry_v1 from public, anon, authenticated, service_role;
grant execute on function unstuck.generation_retry_v1 to service_role;

--: source website/generations_stale_v1.sql cff807a5e594
create or replace function unstuck.generations_stale_v1(p_limit int)
returns table (
  job_id uuid,
  tool text,
  run bigint,
  retries int,
  action text,
  refunded bigint,
  remaining int
)
language plpgsql
security definer
set search_path = ''
set statement_timeout = '30s'
as
$$
#variable_conflict use_column
declare
  v_until timestamptz := clock_timestamp() + interval '6 seconds';
  v_row record;
begin
  perform unstuck_private.act_as('sweep');
  for v_row in
    select s.job_id, s.step,
      greatest(count(*) over () - p_limit, 0)::int as remaining
    from unstuck.job_steps s
    join unstuck.jobs j on j.id = s.job_id
    join unstuck.providers p on p.provider = s.provider
    where p.retried_by_function
      and s.status = 'running'
      and unstuck_private.is_stale_attempt(s, clock_timestamp())
      and not unstuck_private.is_reserved_attempt(s, clock_timestamp())
      and j.quarantined_at is null
    order by j.user_id, s.job_id
    limit greatest(p_limit, 0)
  loop
    exit when clock_timestamp() > v_until;
    continue when unstuck_private.jobs_try_lock(array[v_row.job_id]) = '{}';
    begin
      return query
      select v_row.job_id, s.tool, s.run, s.retries, s.action, s.refunded, v_row.remaining
      from unstuck_private.website_reserve_or_fail(v_row.job_id, v_row.step) s;
    exception
      when lock_not_available or transaction_rollback or insufficient_resources or system_error then
        null;
      when others then
        perform unstuck_private.jobs_quarantine(array[v_row.job_id], sqlerrm);
    end;
  end loop;
end $$;

comment on function unstuck.generations_stale_v1 is $c$
Caller: cleanup-stale-generations.

Effect: goes through websites whose attempt stopped, up to p_limit. action: retry (reserved for 45 s
for the caller, which calls the function of its tool) | failed (no attempt or no time left: failed
and refunded here). What another transaction has locked is left to the next call; a job on which
this fails is quarantined. remaining: stale websites beyond p_limit.

Refuses: nothing.

Replay: a reserved website does not come again for 45 s.
$c$;

revoke all on function unstuck.generations_stale_v1 from public, anon, authenticated, service_role;
grant execute on function unstuck.generations_stale_v1 to service_role;

--: source website/is_reserved_attempt.sql 306b683120f4
-- True when a cleanup reserved this stale attempt less than 45 seconds ago, to call the function of
-- its tool.
create or replace function unstuck_private.is_reserved_attempt(
  p_step unstuck.job_steps,
  p_now timestamptz
)
returns boolean
language sql
immutable
as
$$
  select coalesce(p_step.checked_at > p_now - interval '45 seconds', false)
$$;

revoke all on function unstuck_private.is_reserved_attempt
from public, anon, authenticated, service_role;

--: source website/is_stale_attempt.sql cc4814ea77bf
-- True for a website's attempt whose worker stopped: it runs, and no lease covers it. A row that
-- others wrote has no lease; its deadline counts.
create or replace function unstuck_private.is_stale_attempt(
  p_step unstuck.job_steps,
  p_now timestamptz
)
returns boolean
language sql
immutable
as
$$
  select p_step.status = 'running'
    and p_step.provider_done_at is null
    and coalesce(p_step.lease_until, p_step.deadline_at) <= p_now
$$;

revoke all on function unstuck_private.is_stale_attempt
from public, anon, authenticated, service_role;

--: source website/website_fail.sql 271b0b482e71
-- Fails a website that has no attempt or no time left, and refunds it. The caller has locked
-- account, job and step.
create or replace function unstuck_private.website_fail(
  p_job unstuck.jobs,
  p_step unstuck.job_steps
)
returns table (job_status text, refunded bigint)
language sql
set search_path = ''
as
$$
  select f.job_status, f.refunded
  from unstuck_private.step_fail(
    p_job, p_step.step, 'TIMEOUT', format('no result after %s attempts.', p_step.attempts)) f
$$;

revoke all on function unstuck_private.website_fail from public, anon, authenticated, service_role;

--: source website/website_requeue.sql 1f8fe93c33d8
-- Puts a website's stale attempt back into the queue, free of charge: another attempt of the same
-- paid job, with the request that the job keeps. Account, job and step are locked.
create or replace function unstuck_private.website_requeue(
  p_job unstuck.jobs,
  p_step unstuck.job_steps,
  p_now timestamptz
)
returns void
language plpgsql
set search_path = ''
as
$$
begin
  update unstuck.jobs
  set retries = retries + 1
  where id = p_job.id;
  update unstuck.job_steps s
  set status = 'queued',
    input = p_job.input || s.input,
    lease_until = null,
    claimed_at = null,
    sent_at = null,
    started_at = null,
    not_before = null,
    checked_at = null,
    deadline_at = least(p_now + t.queue_ttl, p_job.expires_at)
  from unstuck.tools t
  where s.job_id = p_job.id
    and s.step = p_step.step
    and t.tool = p_job.tool;
  perform unstuck_private.job_sync_from_steps(array[p_job.id]);
  insert into unstuck.job_events (job_id, step, run, event, from_status, to_status, actor, detail)
  values (
    p_job.id, p_step.step, p_step.run, 'website_retried', 'running', 'queued',
    nullif(current_setting('unstuck.actor', true), ''),
    jsonb_build_object('retry', p_job.retries + 1));
end $$;

revoke all on function unstuck_private.website_requeue
from public, anon, authenticated, service_role;

--: source website/website_reserve_or_fail.sql b37ae1e6e076
-- Fails a website whose attempt stopped, with its refund, if it has no attempt or no time left;
-- else reserves it for the caller. Account, job and step are locked. No row where another cleanup
-- or the owner came first, or where the ledger disagrees with the row: then the job is quarantined.
create or replace function unstuck_private.website_reserve_or_fail(p_job_id uuid, p_step int)
returns table (tool text, run bigint, retries int, action text, refunded bigint)
language plpgsql
set search_path = ''
as
$$
#variable_conflict use_column
declare
  v_job unstuck.jobs;
  v_step unstuck.job_steps;
  v_now timestamptz := clock_timestamp();
begin
  select *
  into v_job
  from unstuck.jobs
  where id = p_job_id;
  select *
  into v_step
  from unstuck.job_steps s
  where s.job_id = p_job_id
    and s.step = p_step;
  if v_job.quarantined_at is not null
    or not unstuck_private.is_stale_attempt(v_step, v_now)
    or unstuck_private.is_reserved_attempt(v_step, v_now)
  then
    return;
  end if;
  if unstuck_private.has_ledger_mismatch(v_job) then
    perform unstuck_private.jobs_quarantine(
      array[p_job_id], 'credits_refunded does not agree with the ledger');
    return;
  end if;
  if v_job.expires_at <= v_now
    or v_step.attempts >= (select t.attempt_max from unstuck.tools t where t.tool = v_job.tool)
  then
    return query
    select v_job.tool, v_step.run, v_job.retries, 'failed', f.refunded
    from unstuck_private.website_fail(v_job, v_step) f;
    return;
  end if;
  update unstuck.job_steps s
  set checked_at = v_now
  where s.job_id = p_job_id
    and s.step = p_step;
  return query
  select v_job.tool, v_step.run, v_job.retries, 'retry', 0::bigint;
end $$;

revoke all on function unstuck_private.website_reserve_or_fail
from public, anon, authenticated, service_role;

--: source audit/invariant_violations.sql 1aecff457a95
create view unstuck.invariant_violations
with (security_invoker = true) as
select v.invariant, v.subject, v.detail
from unstuck_private.visible_violations() v;

comment on view unstuck.invariant_violations is $c$
One row per violation of an invariant; empty is healthy. For the service and admins.
$c$;

revoke all on unstuck.invariant_violations from public, anon, authenticated, service_role;
grant select on unstuck.invariant_violations to authenticated, service_role;

--: source queue/provider_load.sql 1002778bba69
create view unstuck.provider_load
with (security_invoker = true) as
select
  l.provider,
  l.enabled,
  l.max_concurrent,
  l.running,
  l.waiting,
  l.oldest_waiting_seconds
from unstuck_private.visible_load() l;

comment on view unstuck.provider_load is $c$
Each provider's slots and queue, for the admin page.
$c$;

revoke all on unstuck.provider_load from public, anon, authenticated, service_role;
grant select on unstuck.provider_load to authenticated, service_role;

--: source queue/queue_positions.sql ad7801b9a062
create view unstuck.queue_positions
with (security_invoker = true) as
select s.job_id, s.provider, s."position", s.eta_seconds
from unstuck_private.visible_positions() s;

comment on view unstuck.queue_positions is $c$
The position of each waiting job and the seconds until it starts; for the service and admins.
$c$;

revoke all on unstuck.queue_positions from public, anon, authenticated, service_role;
grant select on unstuck.queue_positions to authenticated, service_role;

--: source view/delivered_outputs.sql 107b44c2003f
-- The output of each step for those who may see it: for its owner once it was delivered (the step
-- is completed, and the job did not fail as a whole), for an admin and for the service. The view
-- reads with its owner's rights, so its one protected column guards itself.
create view unstuck_private.delivered_outputs as
select
  s.job_id,
  s.step,
  case
    when s.status = 'completed'
      and (j.refund_rule = 'per_step' or j.status = 'completed')
      and (j.user_id = (select auth.uid()) or (select unstuck_private.may_see(null)))
    then s.output_url
  end as output_url
from unstuck.job_steps s
join unstuck.jobs j on j.id = s.job_id;

revoke all on unstuck_private.delivered_outputs
from public, anon, authenticated, service_role;
grant select on unstuck_private.delivered_outputs to authenticated, service_role;

--: source view/generation_history.sql c6d68a1ce76c
create view unstuck.generation_history
with (security_invoker = true) as
select
  j.id,
  j.user_id,
  j.session_id,
  j.tool,
  unstuck_private.status_word('generation_history', j.status) as status,
  case when j.status = 'queued' then
    ((select unstuck_private.caller_positions()) ->> j.id::text)::int
  end as "position",
  (
    select s.provider_task_id
    from unstuck.job_steps s
    where s.job_id = j.id and s.provider_task_id is not null
    order by s.step desc
    limit 1
  ) as task_id,
  coalesce(j.input #>> '{prompt}', j.input ->> 'input_file_name') as input_file_name,
  j.input #>> '{prompt}' as input_url,
  j.output_url,
  j.credits_charged as user_credit_cost,
  j.credits_refunded,
  j.error_code,
  j.error_message,
  j.created_at,
  j.queued_at,
  j.started_at,
  j.completed_at,
  j.updated_at,
  j.waited_in_queue,
  j.input ->> 'prompt' as prompt,
  j.input ->> 'siteName' as site_name,
  j.input ->> 'language' as language,
  'retry:' || j.retries as admin_note,
  j.retries
from unstuck.jobs j
where j.tool in (
  select t.tool
  from unstuck.tools t
  where t.table_name = 'generation_history'
);

-- Only the functions write these jobs.
create trigger legacy_job_write instead of insert or update or delete on unstuck.generation_history
for each row execute function unstuck_private.legacy_write_refuse();

comment on view unstuck.generation_history is $c$
Jobs under the name that older pages read: websites.
$c$;

revoke all on unstuck.generation_history from public, anon, authenticated, service_role;
grant select on unstuck.generation_history to authenticated, service_role;

--: source view/generation_jobs.sql 41c8322daa84
create view unstuck.generation_jobs
with (security_invoker = true) as
select
  j.id,
  j.user_id,
  j.session_id,
  j.tool,
  unstuck_private.status_word('generation_jobs', j.status) as status,
  case when j.status = 'queued' then
    ((select unstuck_private.caller_positions()) ->> j.id::text)::int
  end as "position",
  (
    select s.provider_task_id
    from unstuck.job_steps s
    where s.job_id = j.id and s.provider_task_id is not null
    order by s.step desc
    limit 1
  ) as task_id,
  coalesce(j.input #>> '{productImages,0,url}', j.input ->> 'input_file_name') as input_file_name,
  j.input #>> '{productImages,0,url}' as input_url,
  j.output_url,
  j.credits_charged as user_credit_cost,
  j.credits_refunded,
  j.error_code,
  j.error_message,
  j.created_at,
  j.queued_at,
  j.started_at,
  j.completed_at,
  j.updated_at,
  j.waited_in_queue,
  j.input ->> 'productName' as product_name,
  j.input ->> 'category' as category,
  j.input ->> 'description' as description,
  j.input -> 'productImages' as product_images,
  j.input -> 'selectedCards' as selected_cards,
  j.input ->> 'aspectRatio' as aspect_ratio,
  j.total_steps as total_cards
from unstuck.jobs j
where j.tool in (
  select t.tool
  from unstuck.tools t
  where t.table_name = 'generation_jobs'
);

-- Only the functions write these jobs.
create trigger legacy_job_write instead of insert or update or delete on unstuck.generation_jobs
for each row execute function unstuck_private.legacy_write_refuse();

comment on view unstuck.generation_jobs is $c$
Jobs under the name that older pages read: sets of cards.
$c$;

revoke all on unstuck.generation_jobs from public, anon, authenticated, service_role;
grant select on unstuck.generation_jobs to authenticated, service_role;

--: source view/generation_tasks.sql dc065287dfa2
create view unstuck.generation_tasks
with (security_invoker = true) as
select
  j.id as job_id,
  s.step,
  s.step - 1 as task_index,
  j.user_id,
  j.session_id,
  case
    when s.status = 'queued' and s.not_before > now() then 'retrying'
    else unstuck_private.status_word('generation_tasks', s.status)
  end as status,
  unstuck_private.number_or_null(j.input -> 'selectedCards' ->> (s.step - 1))::int as card_index,
  p.output_url as image_url,
  s.attempts,
  s.not_before,
  s.error_code,
  s.error_message as last_error,
  j.created_at,
  s.started_at,
  s.completed_at,
  md5(s.job_id || '/' || s.step)::uuid as id,
  case when s.status = 'queued' then
    ((select unstuck_private.caller_positions()) ->> s.job_id::text)::int
  end as "position",
  s.provider_task_id as task_id,
  coalesce(j.input #>> '{productImages,0,url}', j.input ->> 'input_file_name')
    as input_file_name,
  j.input #>> '{productImages,0,url}' as input_url,
  p.output_url,
  s.share as user_credit_cost,
  s.error_message,
  j.queued_at,
  j.updated_at,
  j.waited_in_queue
from unstuck.job_steps s
join unstuck.jobs j on j.id = s.job_id
left join unstuck_private.delivered_outputs p on p.job_id = s.job_id and p.step = s.step
where j.tool in (
  select t.tool
  from unstuck.tools t
  where t.table_name = 'generation_jobs'
);

-- Only the functions write these jobs.
create trigger legacy_job_write instead of insert or update or delete on unstuck.generation_tasks
for each row execute function unstuck_private.legacy_write_refuse();

comment on view unstuck.generation_tasks is $c$
Cards under the name that older pages read: one row per step of a set of cards.
$c$;

revoke all on unstuck.generation_tasks from public, anon, authenticated, service_role;
grant select on unstuck.generation_tasks to authenticated, service_role;

--: source view/job_health.sql 9344d50898ae
create view unstuck.job_health
with (security_invoker = true) as
select
  t.table_name,
  count(j.id) as live,
  count(j.id) filter (where j.status in ('pending', 'queued')) as waiting,
  count(j.id) filter (where j.status in ('starting', 'running')) as running,
  count(j.id) filter (
    where j.status in ('pending', 'queued')
      and coalesce(j.queued_at, j.created_at) < now() - interval '2 minutes'
      and not exists (
        select from unstuck.job_steps s
        where s.job_id = j.id and s.provider_task_id is not null
      )
      -- Read once for all rows, because a position costs a pass over the whole queue.
      and j.id not in (select p.job_id from unstuck_private.visible_positions() p)
  ) as old_queued_without_task_or_position,
  count(j.id) filter (
    where t.table_name = 'video_upscaler_jobs'
      and coalesce(j.input ->> 'videoUrl', j.input ->> 'input_file_name', '') !~ '^https?://'
  ) as video_input_not_a_url,
  count(j.id) filter (where j.updated_at < now() - interval '10 minutes')
    as unchanged_for_10_minutes,
  avg(unstuck_private.seconds_between(j.created_at, now()))::int as mean_age_seconds,
  max(unstuck_private.seconds_between(j.created_at, now())) as oldest_seconds,
  max(unstuck_private.seconds_between(j.updated_at, now())) as longest_unchanged_seconds
from unstuck.tools t
left join unstuck.jobs j
  on j.tool = t.tool
  and unstuck_private.is_live(j.status)
where (select unstuck_private.may_see(null))
group by t.table_name;

comment on view unstuck.job_health is $c$
One row per table: what is live there, how old it is, and three counts that should be 0.
$c$;

revoke all on unstuck.job_health from public, anon, authenticated, service_role;
grant select on unstuck.job_health to authenticated, service_role;

--: source view/job_receipts.sql c5c510b0e8ea
create view unstuck.job_receipts
with (security_invoker = true) as
select
  j.id as job_id,
  j.user_id,
  j.tool,
  j.status,
  j.credits_charged,
  j.credits_refunded,
  j.credits_charged - j.credits_refunded as credits_paid,
  j.total_steps,
  j.output_url,
  j.error_code,
  j.error_message,
  j.retries,
  j.retry_of,
  j.created_at,
  j.queued_at,
  j.started_at,
  j.completed_at,
  (
    select jsonb_agg(
      jsonb_build_object(
        'at', e.created_at,
        'kind', e.kind,
        'amount', e.amount,
        'balance_after', e.balance_after,
        'step', e.step,
        'reason', e.reason
      )
      order by e.id
    )
    from unstuck.credit_entries e
    where e.job_id = j.id and e.kind in ('debit', 'refund')
  ) as entries
from unstuck.jobs j;

comment on view unstuck.job_receipts is $c$
What a job cost and why: every entry of its ledger. Owners see their own jobs.
$c$;

revoke all on unstuck.job_receipts from public, anon, authenticated, service_role;
grant select on unstuck.job_receipts to authenticated, service_role;

--: source view/jobs_by_hour.sql 76fa37dfda7e
create view unstuck.jobs_by_hour
with (security_invoker = true) as
select
  h.hour,
  h.ordered,
  h.completed,
  h.failed,
  h.cancelled,
  h.credits_charged,
  h.credits_refunded
from unstuck_private.visible_hours() h;

comment on view unstuck.jobs_by_hour is $c$
The last 24 hours, one row each, for the admin page.
$c$;

revoke all on unstuck.jobs_by_hour from public, anon, authenticated, service_role;
grant select on unstuck.jobs_by_hour to authenticated, service_role;

--: source view/pose_changer_jobs.sql 2745e0b10091
create view unstuck.pose_changer_jobs
with (security_invoker = true) as
select
  j.id,
  j.user_id,
  j.session_id,
  j.tool,
  unstuck_private.status_word('pose_changer_jobs', j.status) as status,
  case when j.status = 'queued' then
    ((select unstuck_private.caller_positions()) ->> j.id::text)::int
  end as "position",
  (
    select s.provider_task_id
    from unstuck.job_steps s
    where s.job_id = j.id and s.provider_task_id is not null
    order by s.step desc
    limit 1
  ) as task_id,
  coalesce(j.input #>> '{personImageUrl}', j.input ->> 'input_file_name') as input_file_name,
  j.input #>> '{personImageUrl}' as input_url,
  j.output_url,
  j.credits_charged as user_credit_cost,
  j.credits_refunded,
  j.error_code,
  j.error_message,
  j.created_at,
  j.queued_at,
  j.started_at,
  j.completed_at,
  j.updated_at,
  j.waited_in_queue,
  j.input ->> 'personImageUrl' as person_image_url,
  j.input ->> 'referenceImageUrl' as reference_image_url
from unstuck.jobs j
where j.tool in (
  select t.tool
  from unstuck.tools t
  where t.table_name = 'pose_changer_jobs'
);

create trigger legacy_job_insert instead of insert on unstuck.pose_changer_jobs
for each row execute function unstuck_private.legacy_job_insert();
create trigger legacy_job_update instead of update on unstuck.pose_changer_jobs
for each row execute function unstuck_private.legacy_job_update();
create trigger legacy_job_delete instead of delete on unstuck.pose_changer_jobs
for each row execute function unstuck_private.legacy_write_refuse();

comment on view unstuck.pose_changer_jobs is $c$
Jobs under the name that older pages read: the pose changer.
$c$;

revoke all on unstuck.pose_changer_jobs from public, anon, authenticated, service_role;
grant select on unstuck.pose_changer_jobs to authenticated, service_role;
grant insert, update, delete on unstuck.pose_changer_jobs to authenticated;

--: source view/replicate_tasks.sql f135b595db3d
create view unstuck.replicate_tasks
with (security_invoker = true) as
select
  j.id,
  j.user_id,
  j.session_id,
  j.tool,
  unstuck_private.status_word('replicate_tasks', j.status) as status,
  case when j.status = 'queued' then
    ((select unstuck_private.caller_positions()) ->> j.id::text)::int
  end as "position",
  k.task_id,
  coalesce(j.input #>> '{person_image}', j.input ->> 'input_file_name') as input_file_name,
  j.input #>> '{person_image}' as input_url,
  j.output_url,
  j.credits_charged as user_credit_cost,
  j.credits_refunded,
  j.error_code,
  j.error_message,
  j.created_at,
  j.queued_at,
  j.started_at,
  j.completed_at,
  j.updated_at,
  j.waited_in_queue,
  j.input ->> 'person_image' as person_image,
  j.input -> 'garments' as garments,
  j.input ->> 'prompt_hints' as prompt_hints,
  k.task_id as prediction_id,
  j.output_url as result_url,
  j.current_step,
  j.total_steps,
  unstuck_private.seconds_between(j.updated_at, now()) as seconds_since_change
from unstuck.jobs j
left join lateral (
  select s.provider_task_id as task_id
  from unstuck.job_steps s
  where s.job_id = j.id and s.provider_task_id is not null
  order by s.step desc
  limit 1
) k on true
where j.tool in (
  select t.tool
  from unstuck.tools t
  where t.table_name = 'replicate_tasks'
);

-- Only the functions write these jobs.
create trigger legacy_job_write instead of insert or update or delete on unstuck.replicate_tasks
for each row execute function unstuck_private.legacy_write_refuse();

comment on view unstuck.replicate_tasks is $c$
Jobs under the name that older pages read: the try-on of several garments.
$c$;

revoke all on unstuck.replicate_tasks from public, anon, authenticated, service_role;
grant select on unstuck.replicate_tasks to authenticated, service_role;

--: source view/upscaler_jobs.sql dc4b182bc945
create view unstuck.upscaler_jobs
with (security_invoker = true) as
select
  j.id,
  j.user_id,
  j.session_id,
  j.tool,
  unstuck_private.status_word('upscaler_jobs', j.status) as status,
  case when j.status = 'queued' then
    ((select unstuck_private.caller_positions()) ->> j.id::text)::int
  end as "position",
  (
    select s.provider_task_id
    from unstuck.job_steps s
    where s.job_id = j.id and s.provider_task_id is not null
    order by s.step desc
    limit 1
  ) as task_id,
  coalesce(j.input #>> '{imageUrl}', j.input ->> 'input_file_name') as input_file_name,
  j.input #>> '{imageUrl}' as input_url,
  j.output_url,
  j.credits_charged as user_credit_cost,
  j.credits_refunded,
  j.error_code,
  j.error_message,
  j.created_at,
  j.queued_at,
  j.started_at,
  j.completed_at,
  j.updated_at,
  j.waited_in_queue,
  j.input ->> 'imageUrl' as image_url,
  unstuck_private.number_or_null(j.input ->> 'resolution')::int as resolution,
  unstuck_private.number_or_null(j.input ->> 'detailDenoise') as detail_denoise,
  j.input ->> 'prompt' as prompt,
  j.input ->> 'version' as version,
  j.input ->> 'category' as category,
  j.input ->> 'framingMode' as framing_mode
from unstuck.jobs j
where j.tool in (
  select t.tool
  from unstuck.tools t
  where t.table_name = 'upscaler_jobs'
);

create trigger legacy_job_insert instead of insert on unstuck.upscaler_jobs
for each row execute function unstuck_private.legacy_job_insert();
create trigger legacy_job_update instead of update on unstuck.upscaler_jobs
for each row execute function unstuck_private.legacy_job_update();
create trigger legacy_job_delete instead of delete on unstuck.upscaler_jobs
for each row execute function unstuck_private.legacy_write_refuse();

comment on view unstuck.upscaler_jobs is $c$
Jobs under the name that older pages read: the image upscaler.
$c$;

revoke all on unstuck.upscaler_jobs from public, anon, authenticated, service_role;
grant select on unstuck.upscaler_jobs to authenticated, service_role;
grant insert, update, delete on unstuck.upscaler_jobs to authenticated;

--: source view/veste_ai_jobs.sql c6f8b6d89f14
create view unstuck.veste_ai_jobs
with (security_invoker = true) as
select
  j.id,
  j.user_id,
  j.session_id,
  j.tool,
  unstuck_private.status_word('veste_ai_jobs', j.status) as status,
  case when j.status = 'queued' then
    ((select unstuck_private.caller_positions()) ->> j.id::text)::int
  end as "position",
  (
    select s.provider_task_id
    from unstuck.job_steps s
    where s.job_id = j.id and s.provider_task_id is not null
    order by s.step desc
    limit 1
  ) as task_id,
  coalesce(j.input #>> '{personImageUrl}', j.input ->> 'input_file_name') as input_file_name,
  j.input #>> '{personImageUrl}' as input_url,
  j.output_url,
  j.credits_charged as user_credit_cost,
  j.credits_refunded,
  j.error_code,
  j.error_message,
  j.created_at,
  j.queued_at,
  j.started_at,
  j.completed_at,
  j.updated_at,
  j.waited_in_queue,
  j.input ->> 'personImageUrl' as person_image_url,
  j.input ->> 'clothingImageUrl' as clothing_image_url
from unstuck.jobs j
where j.tool in (
  select t.tool
  from unstuck.tools t
  where t.table_name = 'veste_ai_jobs'
);

create trigger legacy_job_insert instead of insert on unstuck.veste_ai_jobs
for each row execute function unstuck_private.legacy_job_insert();
create trigger legacy_job_update instead of update on unstuck.veste_ai_jobs
for each row execute function unstuck_private.legacy_job_update();
create trigger legacy_job_delete instead of delete on unstuck.veste_ai_jobs
for each row execute function unstuck_private.legacy_write_refuse();

comment on view unstuck.veste_ai_jobs is $c$
Jobs under the name that older pages read: the try-on of one garment.
$c$;

revoke all on unstuck.veste_ai_jobs from public, anon, authenticated, service_role;
grant select on unstuck.veste_ai_jobs to authenticated, service_role;
grant insert, update, delete on unstuck.veste_ai_jobs to authenticated;

--: source view/video_upscaler_jobs.sql 1c8fcfb9f186
create view unstuck.video_upscaler_jobs
with (security_invoker = true) as
select
  j.id,
  j.user_id,
  j.session_id,
  j.tool,
  unstuck_private.status_word('video_upscaler_jobs', j.status) as status,
  case when j.status = 'queued' then
    ((select unstuck_private.caller_positions()) ->> j.id::text)::int
  end as "position",
  (
    select s.provider_task_id
    from unstuck.job_steps s
    where s.job_id = j.id and s.provider_task_id is not null
    order by s.step desc
    limit 1
  ) as task_id,
  coalesce(j.input #>> '{videoUrl}', j.input ->> 'input_file_name') as input_file_name,
  j.input #>> '{videoUrl}' as input_url,
  j.output_url,
  j.credits_charged as user_credit_cost,
  j.credits_refunded,
  j.error_code,
  j.error_message,
  j.created_at,
  j.queued_at,
  j.started_at,
  j.completed_at,
  j.updated_at,
  j.waited_in_queue,
  j.input ->> 'videoUrl' as video_url,
  unstuck_private.number_or_null(j.input ->> 'width')::int as width,
  unstuck_private.number_or_null(j.input ->> 'height')::int as height,
  unstuck_private.number_or_null(j.input ->> 'durationSeconds') as duration_seconds
from unstuck.jobs j
where j.tool in (
  select t.tool
  from unstuck.tools t
  where t.table_name = 'video_upscaler_jobs'
);

create trigger legacy_job_insert instead of insert on unstuck.video_upscaler_jobs
for each row execute function unstuck_private.legacy_job_insert();
create trigger legacy_job_update instead of update on unstuck.video_upscaler_jobs
for each row execute function unstuck_private.legacy_job_update();
create trigger legacy_job_delete instead of delete on unstuck.video_upscaler_jobs
for each row execute function unstuck_private.legacy_write_refuse();

comment on view unstuck.video_upscaler_jobs is $c$
Jobs under the name that older pages read: the video upscaler.
$c$;

revoke all on unstuck.video_upscaler_jobs from public, anon, authenticated, service_role;
grant select on unstuck.video_upscaler_jobs to authenticated, service_role;
grant insert, update, delete on unstuck.video_upscaler_jobs to authenticated;

--: source policy/read_own_rows.sql a12ba6c9bee3
-- What a signed-in user reads of the tables: own rows, an admin all. Nobody writes to a table.

create policy tools_read on unstuck.tools
for select to authenticated
using (true);

create policy providers_read on unstuck.providers
for select to authenticated
using (true);

create policy jobs_read on unstuck.jobs
for select to authenticated
using (user_id = (select auth.uid()) or (select unstuck_private.is_admin()));

-- A user who may read the job: the job's own policy holds inside.
create policy job_steps_read on unstuck.job_steps
for select to authenticated
using (exists (select from unstuck.jobs j where j.id = job_id));

create policy job_events_read on unstuck.job_events
for select to authenticated
using ((select unstuck_private.is_admin()));

create policy credit_accounts_read on unstuck.credit_accounts
for select to authenticated
using (user_id = (select auth.uid()) or (select unstuck_private.is_admin()));

create policy credit_entries_read on unstuck.credit_entries
for select to authenticated
using (user_id = (select auth.uid()) or (select unstuck_private.is_admin()));

create policy admin_log_read on unstuck.admin_log
for select to authenticated
using ((select unstuck_private.is_admin()));

create policy user_roles_read on unstuck.user_roles
for select to authenticated
using (user_id = (select auth.uid()) or (select unstuck_private.is_admin()));

--: source audit/audit_lock_row.sql 211e42530545
-- The one row of `audit_lock`.
insert into unstuck_private.audit_lock
default values
on conflict do nothing;

--: source retention/known_kinds.sql 426697e98c61
-- How long each kind is kept at first. A row that is there already keeps the operator's own value.
insert into unstuck.retention (kind, keep)
values
  -- Transitions, once their job is final.
  ('job_events', '90 days'),
  -- Webhooks, once their job is final.
  ('webhook_inbox', '7 days'),
  -- One row per pass of a healer; the newest finished one always stays.
  ('sweeps', '30 days'),
  -- Orders that users cancelled before they arrived.
  ('cancelled_requests', '1 day'),
  -- Inputs of final jobs: prompts, file names, provider requests.
  ('inputs', '90 days'),
  -- Unpaid rows that older clients inserted and never ordered.
  ('orphans', '1 day'),
  -- When each user was last served; it matters only while the user has a live job.
  ('queue_turns', '1 day'),
  -- What stays of an erased user's jobs until the provider was sent its cancel.
  ('erased_jobs', '1 day'),
  -- pg_cron's own rows about our schedule.
  ('cron_runs', '7 days'),
  -- Files, which the Storage API deletes; SQL must not.
  ('uploads', '7 days'),
  ('results', null)
on conflict do nothing;

--: source tool/known_providers.sql 8c429c423008
-- One row per provider. A row that is there already keeps the operator's own limits.
insert into unstuck.providers (
  provider, max_concurrent, synchronous, signed_webhooks, retried_by_function
)
values
  ('runninghub',  3, false, false, false),
  ('replicate',  10, false, true,  false),
  ('gemini',      5, true,  false, false),
  ('llm',        10, true,  false, true)
on conflict do nothing;

--: source tool/known_tools.sql c419092c194c
-- One row per tool; `tool` is the name of the function that creates its jobs. A row that is there
-- already keeps the operator's own prices and limits.
insert into unstuck.tools (
  tool,
  table_name, provider, credit_cost, priced_per, step_order, refund_rule,
  exclusive_group, run_timeout, queue_ttl, enabled
)
values
  (
    'runninghub-upscaler',
    'upscaler_jobs', 'runninghub', 60, 'job', 'sequential', 'all',
    'runninghub', '10 minutes', '10 minutes', true
  ),
  (
    'runninghub-video-upscaler',
    'video_upscaler_jobs', 'runninghub', 120, 'job', 'sequential', 'all',
    'runninghub', '15 minutes', '60 minutes', true
  ),
  (
    'runninghub-pose-changer',
    'pose_changer_jobs', 'runninghub', 60, 'job', 'sequential', 'all',
    'runninghub', '10 minutes', '10 minutes', true
  ),
  (
    'runninghub-veste-ai',
    'veste_ai_jobs', 'runninghub', 60, 'job', 'sequential', 'all',
    'runninghub', '10 minutes', '10 minutes', true
  ),
  (
    'create-generation-job-banana',
    'generation_jobs', 'gemini', 10, 'step', 'parallel', 'per_step',
    null, '10 minutes', '10 minutes', true
  ),
  (
    'replicate-async-start',
    'replicate_tasks', 'replicate', 40, 'step', 'sequential', 'all',
    null, '10 minutes', '10 minutes', true
  ),
  (
    'generate-website',
    'generation_history', 'llm', 50, 'job', 'sequential', 'all',
    null, '10 minutes', '10 minutes', true
  ),
  (
    'generate-react-website',
    'generation_history', 'llm', 80, 'job', 'sequential', 'all',
    null, '10 minutes', '10 minutes', true
  ),
  (
    'generate-php-website',
    'generation_history', 'llm', 80, 'job', 'sequential', 'all',
    null, '10 minutes', '10 minutes', true
  )
on conflict do nothing;

--: source front/app_role.sql c186f011d691
-- The old name in `public`, only where nothing else has it.
do $do$
begin
  if not unstuck_private.is_name_free('app_role') then
    return;
  end if;
  create domain public.app_role as unstuck.app_role;
  comment on domain public.app_role is 'Unstuck front of unstuck.app_role.';
  revoke all on type public.app_role from public, anon, authenticated, service_role;
  grant usage on type public.app_role to public;
end $do$;

--: source front/cleanup_all_stale_ai_jobs.sql bc2648ab2cbe
-- The old name in `public`, only where nothing else has it.
do $do$
begin
  if not unstuck_private.is_name_free('cleanup_all_stale_ai_jobs') then
    return;
  end if;
  create function public.cleanup_all_stale_ai_jobs()
  returns table (table_name text, cancelled_count int, refunded_credits bigint)
  language sql
  set search_path = ''
  as $fn$
    select *
    from unstuck.cleanup_all_stale_ai_jobs()
  $fn$;
  comment on function public.cleanup_all_stale_ai_jobs
  is 'Unstuck front of unstuck.cleanup_all_stale_ai_jobs.';
  revoke all on function public.cleanup_all_stale_ai_jobs
  from public, anon, authenticated, service_role;
  grant execute on function public.cleanup_all_stale_ai_jobs to service_role;
end $do$;

--: source front/consume_upscaler_credits.sql b6179bbd1577
-- The old name in `public`, only where nothing else has it.
do $do$
begin
  if not unstuck_private.is_name_free('consume_upscaler_credits') then
    return;
  end if;
  create function public.consume_upscaler_credits(_user_id uuid, _amount bigint, _description text)
  returns table (success boolean, new_balance bigint, error_message text)
  language sql
  set search_path = ''
  as $fn$
    select *
    from unstuck.consume_upscaler_credits(_user_id, _amount, _description)
  $fn$;
  comment on function public.consume_upscaler_credits
  is 'Unstuck front of unstuck.consume_upscaler_credits.';
  revoke all on function public.consume_upscaler_credits
  from public, anon, authenticated, service_role;
  grant execute on function public.consume_upscaler_credits to service_role;
end $do$;

--: source front/credit_grant_v1.sql 7bf8357f08f9
-- The old name in `public`, only where nothing else has it.
do $do$
begin
  if not unstuck_private.is_name_free('credit_grant_v1') then
    return;
  end if;
  create function public.credit_grant_v1(
    p_user_id uuid,
    p_amount bigint,
    p_reason text,
    p_idempotency_key text
  )
  returns table (balance bigint, replayed boolean)
  language sql
  set search_path = ''
  as $fn$
    select *
    from unstuck.credit_grant_v1(p_user_id, p_amount, p_reason, p_idempotency_key)
  $fn$;
  comment on function public.credit_grant_v1 is 'Unstuck front of unstuck.credit_grant_v1.';
  revoke all on function public.credit_grant_v1 from public, anon, authenticated, service_role;
  grant execute on function public.credit_grant_v1 to service_role;
end $do$;

--: source front/generation_history.sql 68ca5bf51e8b
-- The old name in `public`, only where nothing else has it.
do $do$
begin
  if not unstuck_private.is_name_free('generation_history') then
    return;
  end if;
  create view public.generation_history
  with (security_invoker = true) as
  select *
  from unstuck.generation_history;
  comment on view public.generation_history is 'Unstuck front of unstuck.generation_history.';
  revoke all on public.generation_history from public, anon, authenticated, service_role;
  grant select on public.generation_history to authenticated, service_role;
end $do$;

--: source front/generation_jobs.sql 0f9080d6bcad
-- The old name in `public`, only where nothing else has it.
do $do$
begin
  if not unstuck_private.is_name_free('generation_jobs') then
    return;
  end if;
  create view public.generation_jobs
  with (security_invoker = true) as
  select *
  from unstuck.generation_jobs;
  comment on view public.generation_jobs is 'Unstuck front of unstuck.generation_jobs.';
  revoke all on public.generation_jobs from public, anon, authenticated, service_role;
  grant select on public.generation_jobs to authenticated, service_role;
end $do$;

--: source front/generation_tasks.sql a101f9639082
-- The old name in `public`, only where nothing else has it.
do $do$
begin
  if not unstuck_private.is_name_free('generation_tasks') then
    return;
  end if;
  create view public.generation_tasks
  with (security_invoker = true) as
  select *
  from unstuck.generation_tasks;
  comment on view public.generation_tasks is 'Unstuck front of unstuck.generation_tasks.';
  revoke all on public.generation_tasks from public, anon, authenticated, service_role;
  grant select on public.generation_tasks to authenticated, service_role;
end $do$;

--: source front/has_role.sql 2965265fd0b6
-- The old name in `public`, only where nothing else has it.
do $do$
begin
  if not unstuck_private.is_name_free('has_role') then
    return;
  end if;
  create function public.has_role(_user_id uuid, _role unstuck.app_role)
  returns boolean
  language sql
  stable
  set search_path = ''
  as $fn$
    select unstuck.has_role(_user_id, _role)
  $fn$;
  comment on function public.has_role is 'Unstuck front of unstuck.has_role.';
  revoke all on function public.has_role from public, anon, authenticated, service_role;
  grant execute on function public.has_role to authenticated, service_role;
end $do$;

--: source front/pose_changer_jobs.sql 42c1c8feb8e8
-- The old name in `public`, only where nothing else has it.
do $do$
begin
  if not unstuck_private.is_name_free('pose_changer_jobs') then
    return;
  end if;
  create view public.pose_changer_jobs
  with (security_invoker = true) as
  select *
  from unstuck.pose_changer_jobs;
  comment on view public.pose_changer_jobs is 'Unstuck front of unstuck.pose_changer_jobs.';
  revoke all on public.pose_changer_jobs from public, anon, authenticated, service_role;
  grant select on public.pose_changer_jobs to authenticated, service_role;
  grant insert, update, delete on public.pose_changer_jobs to authenticated;
end $do$;

--: source front/refund_upscaler_credits.sql 4510d834b21e
-- The old name in `public`, only where nothing else has it.
do $do$
begin
  if not unstuck_private.is_name_free('refund_upscaler_credits') then
    return;
  end if;
  create function public.refund_upscaler_credits(_user_id uuid, _amount bigint, _description text)
  returns table (success boolean, new_balance bigint, error_message text)
  language sql
  set search_path = ''
  as $fn$
    select *
    from unstuck.refund_upscaler_credits(_user_id, _amount, _description)
  $fn$;
  comment on function public.refund_upscaler_credits
  is 'Unstuck front of unstuck.refund_upscaler_credits.';
  revoke all on function public.refund_upscaler_credits
  from public, anon, authenticated, service_role;
  grant execute on function public.refund_upscaler_credits to service_role;
end $do$;

--: source front/replicate_tasks.sql fd47a0991d84
-- The old name in `public`, only where nothing else has it.
do $do$
begin
  if not unstuck_private.is_name_free('replicate_tasks') then
    return;
  end if;
  create view public.replicate_tasks
  with (security_invoker = true) as
  select *
  from unstuck.replicate_tasks;
  comment on view public.replicate_tasks is 'Unstuck front of unstuck.replicate_tasks.';
  revoke all on public.replicate_tasks from public, anon, authenticated, service_role;
  grant select on public.replicate_tasks to authenticated, service_role;
end $do$;

--: source front/upscaler_jobs.sql 2a6060297369
-- The old name in `public`, only where nothing else has it.
do $do$
begin
  if not unstuck_private.is_name_free('upscaler_jobs') then
    return;
  end if;
  create view public.upscaler_jobs
  with (security_invoker = true) as
  select *
  from unstuck.upscaler_jobs;
  comment on view public.upscaler_jobs is 'Unstuck front of unstuck.upscaler_jobs.';
  revoke all on public.upscaler_jobs from public, anon, authenticated, service_role;
  grant select on public.upscaler_jobs to authenticated, service_role;
  grant insert, update, delete on public.upscaler_jobs to authenticated;
end $do$;

--: source front/user_roles.sql 160ee483435c
-- The old name in `public`, only where nothing else has it.
do $do$
begin
  if not unstuck_private.is_name_free('user_roles') then
    return;
  end if;
  create view public.user_roles
  with (security_invoker = true) as
  select *
  from unstuck.user_roles;
  comment on view public.user_roles is 'Unstuck front of unstuck.user_roles.';
  revoke all on public.user_roles from public, anon, authenticated, service_role;
  grant select on public.user_roles to authenticated, service_role;
end $do$;

--: source front/veste_ai_jobs.sql eaf80d9776d2
-- The old name in `public`, only where nothing else has it.
do $do$
begin
  if not unstuck_private.is_name_free('veste_ai_jobs') then
    return;
  end if;
  create view public.veste_ai_jobs
  with (security_invoker = true) as
  select *
  from unstuck.veste_ai_jobs;
  comment on view public.veste_ai_jobs is 'Unstuck front of unstuck.veste_ai_jobs.';
  revoke all on public.veste_ai_jobs from public, anon, authenticated, service_role;
  grant select on public.veste_ai_jobs to authenticated, service_role;
  grant insert, update, delete on public.veste_ai_jobs to authenticated;
end $do$;

--: source front/video_upscaler_jobs.sql 2bfb34038e9d
-- The old name in `public`, only where nothing else has it.
do $do$
begin
  if not unstuck_private.is_name_free('video_upscaler_jobs') then
    return;
  end if;
  create view public.video_upscaler_jobs
  with (security_invoker = true) as
  select *
  from unstuck.video_upscaler_jobs;
  comment on view public.video_upscaler_jobs is 'Unstuck front of unstuck.video_upscaler_jobs.';
  revoke all on public.video_upscaler_jobs from public, anon, authenticated, service_role;
  grant select on public.video_upscaler_jobs to authenticated, service_role;
  grant insert, update, delete on public.video_upscaler_jobs to authenticated;
end $do$;

--: source platform/cron.sql 2dcf45045473
-- The second schedule: where pg_cron is installed, it runs the SQL healer every minute. Elsewhere
-- the cron of the Workers is the only schedule; both at once are harmless. This never creates the
-- extension, which is the database owner's decision.
do $do$
begin
  if not exists (select from pg_catalog.pg_extension where extname = 'pg_cron') then
    raise notice 'pg_cron is not installed: only the Workers'' cron runs the healer';
    return;
  end if;
  perform cron.schedule(
    'unstuck-cleanup',
    '* * * * *',
    'select unstuck.cleanup_all_stale_ai_jobs()'
  );
exception when others then
  raise notice 'pg_cron could not be used (%): only the Workers'' cron runs the healer', sqlerrm;
end $do$;

--: source platform/realtime.sql 1c6d8dd7043e
-- Older pages subscribe through Realtime, which views do not feed, so `jobs` is published; row
-- level security still hides its rows. A publication for all tables has it already. Where the
-- publication belongs to another role, the installation goes on without it.
do $do$
begin
  if exists (
    select from pg_catalog.pg_publication p
    where p.pubname = 'supabase_realtime' and not p.puballtables
  ) then
    alter publication supabase_realtime add table unstuck.jobs;
  end if;
exception when insufficient_privilege then
  raise notice 'unstuck.jobs is not in the publication supabase_realtime: %', sqlerrm;
end $do$;

--: history
insert into unstuck_private.migrations (number, name, hash)
values (
  1,
  'unstuck',
  'b74f8580c912551c7b21d84276eb2299e1802eab436b9d5c39c3274d4e42c530'
);

notify pgrst, 'reload schema';

commit;

-- pg_cron overlooks a schedule among so many changes: change it once more, alone.
do $scheduled$
declare
  v_job bigint;
begin
  select j.jobid
  into v_job
  from cron.job j
  where j.command = 'select unstuck.cleanup_all_stale_ai_jobs()';
  if found then
    perform pg_sleep(2.5);
    perform cron.alter_job(v_job, schedule => '* * * * *');
  end if;
exception when undefined_table or undefined_function or insufficient_privilege then
  null;
end $scheduled$;
