-- 0001_unstuck.sql
-- Made by `cargo xtask migration unstuck`
-- from supabase/schemas, in the order in which things can be created. Never edited: whoever wants
-- something else in it changes the sources. It is applied once, all of it or nothing.

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

-- A function may name what stands below it.
set local check_function_bodies = off;

--: source schema/unstuck.sql b9ec6e8afce3
-- Tables, views and RPCs of the product; the schema that PostgREST exposes.
create schema unstuck;

revoke all on schema unstuck from public, anon, authenticated, service_role;
grant usage on schema unstuck to authenticated, service_role;

--: source schema/unstuck_private.sql eb74d946adf2
-- What only functions and views of `unstuck` use. PostgREST never exposes it.
create schema unstuck_private;

revoke all on schema unstuck_private from public, anon, authenticated, service_role;
-- The views run as their caller and use some functions in here.
grant usage on schema unstuck_private to authenticated, service_role;

--: source role/app_role.sql 6de0ff5ad30c
-- The roles that `user_roles` knows. Only `admin` means anything to this product.
create type unstuck.app_role as enum ('admin', 'moderator', 'user');

revoke all on type unstuck.app_role from public, anon, authenticated, service_role;
grant usage on type unstuck.app_role to public;

--: source admin/admin_log.sql a3af433c41de
-- What admins did that is no job's own history: append-only, kept for ever.
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

alter table unstuck.admin_log enable row level security;
revoke all on unstuck.admin_log from public, anon, authenticated, service_role;
revoke all on sequence unstuck.admin_log_id_seq from public, anon, authenticated, service_role;
grant select on unstuck.admin_log to service_role;
grant select on unstuck.admin_log to authenticated;

--: source audit/audit_lock.sql 559613417242
-- One row: whoever holds its lock audits, so that two healers never audit the same change.
create table unstuck_private.audit_lock (
  only_one boolean primary key default true check (only_one),
  audited_at timestamptz
);

alter table unstuck_private.audit_lock enable row level security;
revoke all on unstuck_private.audit_lock from public, anon, authenticated, service_role;

--: source audit/removals.sql c189603be968
-- When all jobs, or the whole ledger, of a user were removed while the other was kept: what was
-- removed together is missing from the other side and is no offence. The row goes with the rest.
create table unstuck_private.removals (
  user_id uuid primary key,
  jobs_removed_at timestamptz not null default '-infinity',
  ledger_removed_at timestamptz not null default '-infinity'
);

alter table unstuck_private.removals enable row level security;
revoke all on unstuck_private.removals from public, anon, authenticated, service_role;

--: source audit/unaudited.sql c6910278e9c0
-- What has changed and was not audited yet: written by the statement that changed it, taken off by
-- the audit that looked at it. So an audit costs what has changed, a change that commits late is
-- never missed, and a row written by hand counts whatever times it carries.
create table unstuck_private.unaudited (
  id bigint generated always as identity primary key,
  job_id uuid,
  user_id uuid,
  entry_id bigint
)
-- Its rows come and go within a minute.
with (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000);

alter table unstuck_private.unaudited enable row level security;
revoke all on unstuck_private.unaudited from public, anon, authenticated, service_role;
revoke all on sequence unstuck_private.unaudited_id_seq
from public, anon, authenticated, service_role;

--: source audit/violations_found.sql 55674ccdf84b
-- Offences against the invariants, found once and kept until they are mended. Exactly one of
-- `job_id` and `user_id` says whose change has this offence looked at again; `entry_id` is set
-- where the offence is one entry of that user.
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

alter table unstuck.violations_found enable row level security;
revoke all on unstuck.violations_found from public, anon, authenticated, service_role;
grant select on unstuck.violations_found to service_role;

--: source cancel/cancelled_requests.sql 59786908c64f
-- What users cancelled, also before it arrived: a request named here is refused while its row is
-- kept, a day. At most 1,000 rows a user.
create table unstuck.cancelled_requests (
  user_id uuid not null,
  job_id uuid not null,
  at timestamptz not null default clock_timestamp(),
  primary key (user_id, job_id)
);

create index cancelled_requests_by_time on unstuck.cancelled_requests (at);

alter table unstuck.cancelled_requests enable row level security;
revoke all on unstuck.cancelled_requests from public, anon, authenticated, service_role;
grant select on unstuck.cancelled_requests to service_role;

--: source credit/credit_accounts.sql 46c857b344a7
-- No foreign key to auth.users: a deleted user's jobs still close.
create table unstuck.credit_accounts (
  user_id uuid primary key,
  balance bigint not null default 0 check (balance >= 0)
);

alter table unstuck.credit_accounts enable row level security;
revoke all on unstuck.credit_accounts from public, anon, authenticated, service_role;
grant select on unstuck.credit_accounts to service_role;
grant select on unstuck.credit_accounts to authenticated;

--: source credit/credit_entries.sql 58af5cafc5f8
-- Every change of a balance, append-only. Debits and refunds of a job are unique: nothing is taken
-- or given back twice.
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

-- The audit asks which adjustment lies near which refund.
create index credit_entries_returned on unstuck.credit_entries (user_id, kind, created_at)
where kind in ('adjustment', 'refund');

alter table unstuck.credit_entries enable row level security;
revoke all on unstuck.credit_entries from public, anon, authenticated, service_role;
revoke all on sequence unstuck.credit_entries_id_seq from public, anon, authenticated, service_role;
grant select on unstuck.credit_entries to service_role;
grant select on unstuck.credit_entries to authenticated;

--: source erase/erasures.sql 733104a4ebd8
-- Users who were erased. Their files lie under `<user id>/` in both buckets; the Storage API
-- deletes them later. `files_left`: null until somebody looked, 0 once all are gone.
create table unstuck.erasures (
  user_id uuid primary key,
  at timestamptz not null default clock_timestamp(),
  files_left bigint check (files_left >= 0)
);

create index erasures_open on unstuck.erasures (at)
where files_left is distinct from 0;

alter table unstuck.erasures enable row level security;
revoke all on unstuck.erasures from public, anon, authenticated, service_role;
grant select on unstuck.erasures to service_role;

--: source history/migrations.sql 05845503f51e
-- Which of our migrations this database has. The host's own history is never touched.
create table unstuck_private.migrations (
  number int primary key,
  name text not null,
  hash text not null,
  at timestamptz not null default clock_timestamp()
);

alter table unstuck_private.migrations enable row level security;
revoke all on unstuck_private.migrations from public, anon, authenticated, service_role;

--: source job/job_events.sql 71a12bfae37e
-- The history of every transition of jobs and steps. Append-only; written by triggers.
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
  -- Who acted: user, worker, sweep, or an admin's id.
  actor text,
  detail jsonb
);

create index job_events_by_job
on unstuck.job_events (job_id, id);

create index job_events_by_time on unstuck.job_events (at);

alter table unstuck.job_events enable row level security;
revoke all on unstuck.job_events from public, anon, authenticated, service_role;
revoke all on sequence unstuck.job_events_id_seq from public, anon, authenticated, service_role;
grant select on unstuck.job_events to authenticated, service_role;

--: source retention/retention.sql 21a28562aa78
-- How long each kind of row is kept; null: for ever. An operator's own values stay, whatever a
-- later version would write. A kind that is not named here is never pruned.
create table unstuck.retention (
  kind text primary key,
  keep interval check (keep > '0')
);

alter table unstuck.retention enable row level security;
revoke all on unstuck.retention from public, anon, authenticated, service_role;
grant select on unstuck.retention to service_role;

--: source retention/retention_progress.sql 059fbe37a6a8
-- What pruning has done of each kind: rows in all, when, how far a walk has come, the last error.
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

--: source role/user_roles.sql 046a2d897c4c
-- Who holds which role, for projects whose app keeps no roles of its own.
create table unstuck.user_roles (
  user_id uuid not null,
  role unstuck.app_role not null,
  primary key (user_id, role)
);

alter table unstuck.user_roles enable row level security;
revoke all on unstuck.user_roles from public, anon, authenticated, service_role;
grant select on unstuck.user_roles to authenticated, service_role;

--: source sweep/sweeps.sql fae389a0cbe1
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

alter table unstuck.sweeps enable row level security;
revoke all on unstuck.sweeps from public, anon, authenticated, service_role;
revoke all on sequence unstuck.sweeps_id_seq from public, anon, authenticated, service_role;
grant select on unstuck.sweeps to service_role;

--: source sweep/unhealed.sql 26ea38c2d350
-- Jobs that could not even be quarantined: a trigger or a constraint refuses every change of the
-- row. Healers leave such a job alone for a while, longer after each try, so that any number of
-- them costs the others nothing.
create table unstuck_private.unhealed (
  job_id uuid primary key,
  tries int not null default 1,
  retry_at timestamptz not null,
  reason text not null
);

alter table unstuck_private.unhealed enable row level security;
revoke all on unstuck_private.unhealed from public, anon, authenticated, service_role;

--: source tool/providers.sql c4e92c2cea05
-- Who does the work, and how many steps at once.
create table unstuck.providers (
  provider text primary key,
  -- How many slots there are: steps that may be at the provider at the same time.
  max_concurrent int not null
    check (max_concurrent >= 0),
  enabled boolean not null default true,
  -- A synchronous provider answers with the result; its worker holds a lease while the call runs.
  synchronous boolean not null default false,
  -- Where webhooks are not signed they are only hints: running steps are also asked about.
  signed_webhooks boolean not null default false,
  -- Its tools' own cleanup calls their function again: the healers leave its attempts to it.
  retried_by_function boolean not null default false,
  -- When `max_concurrent` was last lowered: steps claimed before may exceed the new limit.
  limit_changed_at timestamptz not null default '-infinity'
);

alter table unstuck.providers enable row level security;
revoke all on unstuck.providers from public, anon, authenticated, service_role;
grant select on unstuck.providers to authenticated, service_role;

--: source queue/queue_turns.sql ea63a074938b
-- When each user was last admitted at a provider; written by the claim, under the provider's lock.
create table unstuck_private.queue_turns (
  provider text not null references unstuck.providers,
  user_id uuid not null,
  served_at timestamptz not null,
  primary key (provider, user_id)
);

create index queue_turns_by_time on unstuck_private.queue_turns (served_at);

alter table unstuck_private.queue_turns enable row level security;
revoke all on unstuck_private.queue_turns from public, anon, authenticated, service_role;

--: source tool/tools.sql a2e5e5d0b1c6
-- What is sold: one row per tool. `tool` is the name of the function that creates its jobs.
create table unstuck.tools (
  tool text primary key,
  -- The old table name, today a view, under which older clients know its jobs.
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
  -- `all`: a failure returns the whole price; `per_step`: delivered steps stay charged.
  refund_rule text not null default 'all'
    check (refund_rule in ('all', 'per_step')),
  -- A user has one live job among the tools of a group.
  exclusive_group text,
  -- How long a claimed step may take until the provider has accepted it.
  start_timeout interval not null default '25 seconds'
    check (start_timeout > '0'),
  -- How long a step may be at the provider.
  run_timeout interval not null default '10 minutes'
    check (run_timeout > '0'),
  -- How long a job may wait in the queue.
  queue_ttl interval not null default '10 minutes'
    check (queue_ttl > '0'),
  attempt_max int not null default 3
    check (attempt_max >= 1),
  -- Whether users may cancel what is already at the provider.
  user_cancel_running boolean not null default false,
  -- Nobody can order a disabled tool; its old rows stay readable.
  enabled boolean not null default true
);

alter table unstuck.tools enable row level security;
revoke all on unstuck.tools from public, anon, authenticated, service_role;
grant select on unstuck.tools to authenticated, service_role;

--: source job/jobs.sql 5e16a91f858f
-- What users paid for: one row per order. Its work is in `job_steps`.
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
  -- Copied from the tool at enqueue, like everything that decides about money.
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
  -- The job that an admin repeated by this one.
  retry_of uuid references unstuck.jobs,
  -- What was ordered, as a hash: the same id with another hash is refused. Null until `/run`.
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
  -- When a sweep found that the row's money does not agree with the ledger. A quarantined job is
  -- kept for an operator and blocks nobody.
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

-- A user has one live job in an exclusive group. Orphans (`pending`) block nobody.
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

-- The sweep pages through live jobs in these two orders. The predicates spell `is_live` out: a
-- table's indexes are made before the functions.
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

-- What retention looks for: inputs to empty, and rows that were never ordered.
create index jobs_with_input
on unstuck.jobs (completed_at)
where completed_at is not null and input <> '{}';

create index jobs_never_ordered
on unstuck.jobs (completed_at)
where status = 'cancelled'
  and request_hash is null
  and started_at is null
  and credits_charged = 0;

alter table unstuck.jobs enable row level security;
revoke all on unstuck.jobs from public, anon, authenticated, service_role;
grant select on unstuck.jobs to authenticated, service_role;

--: source step/job_steps.sql 68adaf88ff58
-- The work of a job: one row per piece of work at one provider.
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
  -- The fencing token: grows at every claim, and a write that carries another changes nothing.
  run bigint not null default 0,
  -- How often the step was submitted. A refusal for capacity does not count.
  attempts int not null default 0,
  -- How often a claimed step went back to the queue because it was never submitted.
  rescues int not null default 0,
  -- This step's credits of the job's price, fixed at enqueue.
  share bigint not null default 0
    check (share >= 0),
  -- When a retry may be claimed.
  not_before timestamptz,
  claimed_at timestamptz,
  -- Written before the request leaves: from then on the provider may have it.
  sent_at timestamptz,
  started_at timestamptz,
  -- Until when a worker holds the step: to submit it, to wait for a synchronous answer, or to copy
  -- the result.
  lease_until timestamptz,
  -- When the present state has lasted too long.
  deadline_at timestamptz not null,
  -- When the provider was last asked about the step, or told to cancel.
  checked_at timestamptz,
  -- When the provider finished, whatever then becomes of the result: the slot is free.
  provider_done_at timestamptz,
  -- The cancels that the provider still has to be told: a list of {task_id, run}.
  provider_cancel_due jsonb not null default '[]',
  -- The complete request but for webhook address and key, built at enqueue.
  input jsonb not null default '{}',
  output jsonb,
  output_url text,
  error_code text,
  error_message text,
  completed_at timestamptz,
  primary key (job_id, step),
  unique (provider, provider_task_id),
  -- What is counted up can be counted up: one row too far would stop every claim beside it.
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

-- Which slots were freed lately.
create index job_steps_freed
on unstuck.job_steps ((coalesce(provider_done_at, completed_at)));

create index job_steps_durations
on unstuck.job_steps (provider, completed_at desc)
where status = 'completed';

create index job_steps_with_input
on unstuck.job_steps (completed_at)
where completed_at is not null and input <> '{}';

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

--: source webhook/webhook_inbox.sql 6762491e0867
-- Every authentic call of a provider, once. What comes before its step knows the provider's id is
-- kept and applied later; a week after, or once its job is over, the call is pruned.
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

alter table unstuck.webhook_inbox enable row level security;
revoke all on unstuck.webhook_inbox from public, anon, authenticated, service_role;
revoke all on sequence unstuck.webhook_inbox_id_seq from public, anon, authenticated, service_role;
grant select on unstuck.webhook_inbox to service_role;

--: source admin/admin_cancel_record.sql 25abd0b0f587
-- What an admin's cancel met and did, as an event. p_job is the row before. A row whose money now
-- agrees with the ledger is quarantined no longer; one that cannot agree, or is still owed
-- something, keeps the mark, so that the audit knows that an admin has seen it.
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

--: source admin/job_cancel_admin_v1.sql c6963114013e
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
    -- The account takes no refund. The job is closed all the same, and the event says why.
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
Caller: admin-cancel-job. The role is read now, in the same transaction.

Cancels a live job of any tool, also a quarantined one, and returns what it was charged and did
not get back yet. The ledger decides, whatever the row says of its money: where more came back
than was taken, or nothing was taken at all, nothing is returned. Where the account takes no
refund the job is closed without one. The message tells what was returned; the event
`admin_cancelled` has the sums before and after, and the reason for an owed refund.

Refuses: forbidden, bad_request, not_found, already_final (with status and refundedCredits: a
second call returns nothing more).
$c$;

revoke all on function unstuck.job_cancel_admin_v1 from public, anon, authenticated, service_role;
grant execute on function unstuck.job_cancel_admin_v1 to service_role;

--: source admin/job_requeue_v1.sql bf9bfbc326fa
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
  v_now timestamptz;
  v_balance bigint;
  v_price bigint := 0;
  v_live uuid;
  v_steps jsonb;
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
    -- A quarantined job's steps have ended for good: an admin cancels it, then it can be retried.
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
    -- Finished steps are kept; what is stuck starts over with fresh counters. Its old task, if
    -- any, is cancelled.
    update unstuck.jobs j
    set expires_at = v_now + unstuck_private.job_lifetime(j.tool, j.total_steps),
      deadline_at = v_now + v_tool.queue_ttl,
      retries = 0
    where j.id = v_job.id;
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
      deadline_at = v_now + v_tool.queue_ttl
    where s.job_id = v_job.id
      and s.status in ('starting', 'running', 'queued');
    update unstuck.job_steps s
    set deadline_at = j.expires_at
    from unstuck.jobs j
    where j.id = s.job_id
      and s.job_id = v_job.id
      and s.status = 'blocked';
    perform unstuck_private.job_sync_from_steps(array[v_job.id]);
    insert into unstuck.job_events (job_id, event, from_status, to_status, actor)
    select j.id, 'job_requeued', v_job.status, j.status, 'admin:' || p_actor
    from unstuck.jobs j
    where j.id = v_job.id;
    return query
    select v_job.id, true, null::uuid, v_tool.provider;
    return;
  end if;
  -- A second click while the first click's job lives answers with that job.
  select j.id
  into v_live
  from unstuck.jobs j
  where j.retry_of = v_job.id
    and unstuck_private.is_live(j.status);
  if found then
    return query
    select v_live, false, v_job.id, v_tool.provider;
    return;
  end if;
  select jsonb_agg(s.input order by s.step)
  into v_steps
  from unstuck.job_steps s
  where s.job_id = v_job.id;
  if v_steps is null then
    perform unstuck_private.refuse(400, 'bad_request');
  end if;
  -- Old requests are emptied (retention): nothing is left to run again.
  if exists (
    select
    from unstuck.job_steps s
    where s.job_id = v_job.id
      and s.input = '{}'
  ) then
    perform unstuck_private.refuse(
      409, 'already_final',
      jsonb_build_object(
        'status', v_job.status,
        'refundedCredits', v_job.credits_refunded,
        'reason', 'its input is kept no longer'));
  end if;
  if exists (
    select
    from unstuck.jobs j
    where j.exclusive_key = v_tool.exclusive_group || ':' || v_job.user_id
      and j.status in ('queued', 'starting', 'running')
  ) then
    perform unstuck_private.refuse(409, 'active_job_exists');
  end if;
  v_balance := unstuck_private.account_lock(v_job.user_id);
  if p_charge then
    v_price := v_tool.credit_cost
      * case v_tool.priced_per when 'step' then jsonb_array_length(v_steps) else 1 end;
  end if;
  if v_balance < v_price then
    perform unstuck_private.refuse(
      402, 'insufficient_credits',
      jsonb_build_object('balance', v_balance, 'required', v_price));
  end if;
  if exists (select from unstuck.jobs j where j.id = p_new_job_id) then
    perform unstuck_private.refuse(409, 'idempotency_conflict');
  end if;
  perform unstuck_private.job_write(
    v_job.user_id, p_new_job_id, v_tool, v_job.session_id, v_job.input,
    coalesce(v_job.request_hash, 'retry'), v_steps, v_price, v_job.id);
  return query
  select p_new_job_id, false, v_job.id, v_tool.provider;
end $$;

comment on function unstuck.job_requeue_v1 is $c$
Caller: admin-retry-job.

A live job past its lease or deadline is requeued with fresh counters (retried); a final one
becomes a new job for the same user and input, free unless p_charge (retry_of).

Refuses: forbidden, bad_request, not_found, in_progress (also one that is quarantined: cancel it
first), active_job_exists, insufficient_credits, idempotency_conflict (the new id is taken).

Replay while the new job lives: that job.
$c$;

revoke all on function unstuck.job_requeue_v1 from public, anon, authenticated, service_role;
grant execute on function unstuck.job_requeue_v1 to service_role;

--: source audit/audit.sql 681fe8fb9528
-- Audits what has changed since the last audit, page by page within a time budget; what is left is
-- the next one's. Each change is looked at once, by whichever healer comes first; a healer that
-- meets another at it waits for nothing. A few stored offences are looked at again each time, so
-- that none outlives its cause.
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

--: source audit/audit_everything.sql b13aa40ecc8d
-- For an operator, after a restore or work with triggers off: audits every job, user and entry
-- there is, however long that takes, and says how many offences are stored then.
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

--: source audit/audit_page.sql d868701defde
-- Looks at these jobs, users and entries: stores the offences found, takes away the mended ones.
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

--: source audit/cancelled_requests_unaudited.sql bf58f6343836
-- A request that its user cancelled matters to the audit while its job lives, and a forgotten one
-- where it was an offence.
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

--: source audit/credit_accounts_unaudited.sql 2ab160a1db36
-- Lists users whose balance changed for the audit.
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

--: source audit/credit_entries_unaudited.sql 09504b50dbed
-- Lists new entries, and what a removed ledger belonged to, for the audit.
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

--: source audit/job_steps_unaudited.sql 5651a3cb69b0
-- Lists jobs for the audit whose steps changed in what an invariant speaks of.
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

--: source audit/jobs_unaudited.sql 7528782179e1
-- Lists jobs for the audit of which something changed that an invariant speaks of. The planner
-- cannot know how many rows a transition table will hold; nested loops over two would cost the
-- square.
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

--: source audit/removals_record.sql 4e5383246ee3
-- Of these users some jobs or the ledger have just been removed: notes what is gone altogether
-- while the other is still there, and forgets a user of whom nothing is left.
create or replace function unstuck_private.removals_record(p_users uuid[]) returns void
language sql
set search_path = ''
as
$$
  with left_over as (
    select u.id as user_id,
      exists (select from unstuck.jobs j where j.user_id = u.id) as has_jobs,
      exists (select from unstuck.credit_entries e where e.user_id = u.id) as has_ledger
    from unnest(p_users) as u (id)
  ), forgotten as (
    delete from unstuck_private.removals r
    using left_over l
    where r.user_id = l.user_id and not l.has_jobs and not l.has_ledger
  )
  insert into unstuck_private.removals as r (user_id, jobs_removed_at, ledger_removed_at)
  select l.user_id,
    case when not l.has_jobs then clock_timestamp() else '-infinity' end,
    case when not l.has_ledger then clock_timestamp() else '-infinity' end
  from left_over l
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

--: source audit/truncate_unaudited.sql c3e7ab80c337
-- A table that was emptied says nothing of its rows: everything is audited anew.
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

--: source audit/unaudited_list_all.sql e362c9c1f232
-- Lists everything there is, and every stored offence, for the audit.
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

  -- The other entries are looked at with their jobs.
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

--: source audit/violations.sql 54723aaa834b
-- Every offence there is now: the stored ones, but for those whose subject has changed since; what
-- has changed since the last audit, looked at now; and the two that hold by the clock. Behind a
-- mountain of changes the newest are shown, so that reading never takes long.
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

--: source audit/violations_now.sql 788d4b0dc9bf
-- The two invariants about this moment: they hold or not by the clock, so they are never stored.
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
      -- Rows written by others were not claimed; they hold a slot all the same.
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
  -- Counted from when nothing was in the way any more: the step put back or its turn come, the slot
  -- free.
  where greatest(coalesce(j.queued_at, j.created_at), s.not_before) < n.at
    and unstuck_private.is_live(j.status)
    and j.quarantined_at is null
    -- As the queue has it: a waiting step's time does not run while a sibling works.
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

--: source audit/violations_of.sql 5fb7eb86d3c4
-- One row per offence against DATA's invariants among these jobs, users and entries, and among what
-- hangs on them. Of a user, the offences stored for single entries are looked at again.
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
  with job as (
    select j.id, j.user_id, j.status, j.credits_charged, j.credits_refunded, j.quarantined_at,
      j.refund_rule = 'per_step' as is_per_step,
      unstuck_private.is_final(j.status) as is_final,
      -- Odd money that an admin has closed and that the event `admin_cancelled` tells of: nobody
      -- can mend the ledger any more, so it is no offence for ever.
      unstuck_private.is_final(j.status) and j.quarantined_at is not null as is_settled,
      exists (
        select from unstuck_private.removals r
        where r.user_id = j.user_id and r.ledger_removed_at >= j.created_at
      ) as has_no_ledger,
      s.steps, s.live_steps, s.delivered_share, s.undelivered_share, e.debit, e.refunded
    from unnest(p_jobs) as n (id)
    join unstuck.jobs j on j.id = n.id
    cross join lateral (
      select count(*) as steps,
        count(*) filter (where not unstuck_private.is_final(st.status)) as live_steps,
        coalesce(sum(st.share) filter (where st.status = 'completed'), 0) as delivered_share,
        coalesce(sum(st.share) filter (where st.status <> 'completed'), 0) as undelivered_share
      from unstuck.job_steps st
      where st.job_id = j.id
    ) s
    cross join lateral (
      select coalesce(-sum(c.amount) filter (where c.kind = 'debit'), 0) as debit,
        coalesce(sum(c.amount) filter (where c.kind = 'refund'), 0) as refunded
      from unstuck.credit_entries c
      where c.job_id = j.id and c.kind in ('debit', 'refund')
    ) e
  ), changed as (
    select e.id, e.user_id, e.kind, e.amount, e.job_id,
      -- Times by hand may be so far off that an hour more is no time any more.
      least(greatest(e.created_at, '1000-01-01'), '9000-01-01') as at
    from unstuck.credit_entries e
    where e.id = any (p_entries)
    union
    select e.id, e.user_id, e.kind, e.amount, e.job_id,
      least(greatest(e.created_at, '1000-01-01'), '9000-01-01')
    from unnest(p_users) as n (id)
    join unstuck.violations_found f on f.user_id = n.id
    join unstuck.credit_entries e on e.id = f.entry_id
    union
    select e.id, e.user_id, e.kind, e.amount, e.job_id,
      least(greatest(e.created_at, '1000-01-01'), '9000-01-01')
    from unnest(p_jobs) as n (id)
    join unstuck.credit_entries e on e.job_id = n.id and e.kind in ('debit', 'refund')
    where not exists (select from unstuck.jobs j where j.id = n.id)
  ), adjustment as (
    select c.id, c.user_id, c.amount, c.at
    from changed c
    where c.kind = 'adjustment' and c.amount > 0
    union
    select a.id, a.user_id, a.amount, least(greatest(a.created_at, '1000-01-01'), '9000-01-01')
    from changed c
    join unstuck.credit_entries a on a.user_id = c.user_id and a.kind = 'adjustment'
    where c.kind = 'refund'
      and a.amount > 0
      and a.created_at between c.at - interval '1 hour' and c.at + interval '1 hour'
  )
  select 'steps_final_iff_job_final', j.id::text,
    format('job is %s with %s of %s steps live', j.status, j.live_steps, j.steps),
    j.id, null::uuid, null::bigint
  from job j
  where j.steps > 0
    and (
      j.is_final and j.live_steps > 0
      or not j.is_final and j.live_steps = 0 and j.quarantined_at is null
    )
  union all
  select 'cancelled_request_never_runs', j.id::text,
    format('job is %s, its user cancelled it at %s', j.status, c.at),
    j.id, null, null
  from job j
  join unstuck.cancelled_requests c on c.user_id = j.user_id and c.job_id = j.id
  where j.status in ('queued', 'starting', 'running')
  union all
  select 'refunds_within_debit', j.id::text, format('refunded %s of %s', j.refunded, j.debit),
    j.id, null, null
  from job j
  where j.refunded > j.debit and not j.is_settled
  union all
  select 'job_money_equals_ledger', j.id::text,
    format(
      'row: %s charged, %s refunded; ledger: %s, %s',
      j.credits_charged, j.credits_refunded, j.debit, j.refunded
    ),
    j.id, null, null
  from job j
  where (j.credits_charged <> j.debit or j.credits_refunded <> j.refunded)
    and not j.has_no_ledger
    and not j.is_settled
  union all
  select 'final_refund_exact', j.id::text,
    format('%s with %s refunded of %s', j.status, j.refunded, j.debit),
    j.id, null, null
  from job j
  -- Of what an admin has settled, only credits that could not be returned are an offence.
  where (j.quarantined_at is null or j.is_settled and j.refunded < j.debit)
    and not j.has_no_ledger
    and case
      -- Rows written by others may have shares that do not add up; closing them splits anew.
      when j.is_per_step and j.delivered_share + j.undelivered_share <> j.debit then false
      when j.status = 'completed' then
        j.refunded <> case when j.is_per_step then j.undelivered_share else 0 end
      when j.is_final then
        j.refunded <> j.debit
          - case when j.is_per_step and j.debit > 0 then j.delivered_share else 0 end
      else false
    end
  union all
  select 'quarantined', j.id::text,
    format('live %s, quarantined at %s', j.status, j.quarantined_at),
    j.id, null, null
  from job j
  where j.quarantined_at is not null and not j.is_final
  union all
  select 'entry_without_job', e.id::text,
    format('%s of %s for job %s', e.kind, e.amount, e.job_id),
    null, e.user_id, e.id
  from changed e
  where (e.kind = 'refund' or e.kind = 'debit' and e.job_id is not null)
    and not exists (select from unstuck.jobs j where j.id = e.job_id)
    and not exists (
      select from unstuck_private.removals r
      where r.user_id = e.user_id and r.jobs_removed_at >= e.at
    )
  union all
  select 'balance_equals_entries', n.id::text,
    case when a.user_id is null
      then format('no account, entries %s', t.total)
      else format('balance %s, entries %s', a.balance, t.total)
    end,
    null, n.id, null
  from unnest(p_users) as n (id)
  left join unstuck.credit_accounts a on a.user_id = n.id
  cross join lateral (
    select count(*) as entries, coalesce(sum(e.amount), 0) as total
    from unstuck.credit_entries e
    where e.user_id = n.id
  ) t
  where case when a.user_id is null then t.entries > 0 else a.balance <> t.total end
  union all
  -- Whatever its amount: older code returns the whole price where only a share came back. Taking it
  -- back settles it, by name: older code also takes for reasons of its own.
  select 'adjustment_beside_refund', a.id::text,
    format('adjustment of %s near the refund of job %s', a.amount, r.job_id),
    null, a.user_id, a.id
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

revoke all on function unstuck_private.violations_of from public, anon, authenticated, service_role;

--: source audit/violations_of_each.sql 965553b86fad
-- `violations_of`, whatever one row does to it: where the whole fails, each is looked at alone, and
-- the one that cannot be audited is an offence itself.
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

--: source audit/visible_violations.sql ba0c942b645c
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

--: source cancel/cancelled_requests_add.sql a8a15157ab06
-- Notes what a user cancelled, as far as there is room, and says whether there was room for all.
-- The caller holds the user's account. What is kept no longer makes room first.
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

--: source cancel/cancelled_requests_full_for.sql 78254a7b5b65
-- Seconds until the first of what a user cancelled ahead is kept no longer.
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

--: source cancel/is_orphan.sql 1b48c47eb21e
-- A row that waits since before p_before, and that nobody paid for, asked for or works on.
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

--: source cancel/job_cancel_v1.sql f5051541c9ef
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
    -- A sweep's cancel, which its `/run` would take back: now it is its user's.
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
    -- Its money fits nowhere: the next sweep quarantines it, and an admin closes it.
    perform unstuck_private.refuse(
      409, 'in_progress', jsonb_build_object('status', v_job.status));
  end;
end $$;

comment on function unstuck.job_cancel_v1 is $c$
Caller: cancel of the queue endpoint, for the verified user.

Cancels an own waiting job (a running one where the tool allows it) and returns its credits; an
orphan that a sweep cancelled is its user's cancel from then on.

Refuses: bad_request, not_found, in_progress (also one that is kept for an operator, or will be
because its money fits nowhere), already_final.
$c$;

revoke all on function unstuck.job_cancel_v1 from public, anon, authenticated, service_role;
grant execute on function unstuck.job_cancel_v1 to service_role;

--: source cancel/orphans_cancel.sql cd4ecfd31ae3
-- Cancels this user's orphans written by somebody else's hand (live, unpaid, no task, no start),
-- so that they hide no real job. What somebody else holds is left alone, and none stops another.
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

--: source cancel/session_cancel_v1.sql cf175e46fcbb
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
  -- A named job that has not arrived yet is refused when it does; one that runs or belongs to
  -- another is left alone.
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
  -- These end for good by their own rows, so that a full list keeps nobody's job alive.
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

Cancels the caller's own waiting jobs of that session and those named; a named one that is still
to come never runs. A job that cannot be closed is quarantined, and stops none of the others.

Refuses: bad_request (also more than 100 ids), rate_limited (a user's list of what is still to
come holds 1,000 ids for a day).

Replay: no rows.
$c$;

revoke all on function unstuck.session_cancel_v1 from public, anon, authenticated, service_role;
grant execute on function unstuck.session_cancel_v1 to service_role;

--: source clock/intervals.sql 04a5683bf7af
-- The fixed intervals. Tests replace this one function instead of sleeping.
create or replace function unstuck_private.intervals()
returns table (
  -- How long an unpaid row of an older client waits for its `/run`.
  orphan interval,
  -- How long a sweep waits past a deadline for a provider that does not answer.
  grace interval,
  -- How long SQL waits past a deadline for an edge healer, which can ask the provider.
  sql_wait interval,
  -- How long a worker holds a step without a heartbeat.
  lease interval,
  -- How often a running step of a provider without signed webhooks is asked about.
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

--: source clock/minutes_between.sql b3da17d0bf0a
-- Whole minutes for messages to users, at least one.
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

--: source clock/minutes_text.sql 14c27a5a76bb
-- A number of minutes in words: `1 minute`, `2 minutes`.
create or replace function unstuck_private.minutes_text(p_minutes int) returns text
language sql
immutable
as
$$
  select p_minutes || case p_minutes when 1 then ' minute' else ' minutes' end
$$;

revoke all on function unstuck_private.minutes_text from public, anon, authenticated, service_role;

--: source clock/seconds_between.sql b94f9e6c1493
-- Whole seconds from one time to another. A time written by hand may be any, also infinite; the
-- answer stays a number that an int holds, so that one odd row makes no list unreadable.
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

--: source credit/account_drop_empty.sql 2660591d2624
-- Takes back an account that was made for a job that is gone. The caller holds it.
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

--: source credit/account_lock.sql 26eab5065a01
-- Locks the user's account, made where there is none, and tells its balance. Asked again where
-- somebody erased the account while this waited for it: the caller always holds a row.
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

--: source credit/account_try_lock.sql af2eadb0644e
-- Locks the user's account for a heal on behalf of that user, and says whether it could. A call
-- of the same user is waited for; somebody who holds the account for longer is not: the user's
-- question is answered without healing. A user without an account holds nothing to lock.
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

--: source credit/append_only.sql b3780f44fb89
-- No entry is ever changed: what was wrong is set right by another one.
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

--: source credit/clamp_to_bigint.sql 59d0f6e514e3
-- A sum of credits as far as a bigint holds it: amounts written by hand may add up to more, and a
-- report must not fail for that.
create or replace function unstuck_private.clamp_to_bigint(p_sum numeric) returns bigint
language sql
immutable
as
$$
  select least(greatest(p_sum, -9223372036854775807), 9223372036854775807)::bigint
$$;

revoke all on function unstuck_private.clamp_to_bigint
from public, anon, authenticated, service_role;

--: source credit/consume_upscaler_credits.sql de9cbdaf89b3
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
Caller: older back-end code, service only. Writes a negative adjustment; refuses by success =
false when the balance is too low.
$c$;

revoke all on function unstuck.consume_upscaler_credits
from public, anon, authenticated, service_role;
grant execute on function unstuck.consume_upscaler_credits to service_role;

--: source credit/credit_adjust.sql d8eee5024444
-- What the two legacy functions have in common: one signed adjustment, never below zero.
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

--: source credit/credit_entries_after_delete.sql 68cbec7c4828
-- A ledger goes whole, with its user, or not at all: what is taken out of its middle would be
-- missing from the balance.
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

--: source credit/credit_entries_before_insert.sql a53d3457b4de
-- The account follows the ledger. An entry written without `balance_after` moves the balance here;
-- the set-based functions have computed both already.
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

--: source credit/credit_grant_v1.sql fafcc60f2523
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
    -- The same key for another user at the same moment.
    perform unstuck_private.refuse(409, 'idempotency_conflict');
  end;
  return query
  select a.balance, false
  from unstuck.credit_accounts a
  where a.user_id = p_user_id;
end $$;

comment on function unstuck.credit_grant_v1 is $c$
Caller: the purchase webhook of the app. Adds bought credits.
Refuses: bad_request (also more than 10^12 at once), idempotency_conflict (key used otherwise).
Replay: same key, same grant: nothing changes, replayed = true.
$c$;

revoke all on function unstuck.credit_grant_v1 from public, anon, authenticated, service_role;
grant execute on function unstuck.credit_grant_v1 to service_role;

--: source credit/grant_max.sql 351833e18929
-- The most that one grant may give. Nine million of them still fit into a balance.
create or replace function unstuck_private.grant_max()
returns bigint
language sql
immutable
as
$$ select 1000000000000 $$;

revoke all on function unstuck_private.grant_max from public, anon, authenticated, service_role;

--: source credit/refund_upscaler_credits.sql fd1305d10a75
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
Caller: older back-end code, service only. Writes an adjustment that belongs to no job; one
beside a job's own refund shows in invariant_violations. Refuses by success = false what is not
positive or more than one may be given at once.
$c$;

revoke all on function unstuck.refund_upscaler_credits
from public, anon, authenticated, service_role;
grant execute on function unstuck.refund_upscaler_credits to service_role;

--: source erase/erased_user.sql 46399bf85154
-- Whose the rows are that stay of an erased user's jobs: nobody's.
create or replace function unstuck_private.erased_user()
returns uuid
language sql
immutable
as
$$ select '00000000-0000-0000-0000-000000000000'::uuid $$;

revoke all on function unstuck_private.erased_user from public, anon, authenticated, service_role;

--: source erase/user_erase_v1.sql 41e758b73667
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
  -- A provider still works for these, or is owed a cancel: their bare rows stay until it is told.
  v_kept := array(
    select distinct s.job_id
    from unstuck.jobs j
    join unstuck.job_steps s on s.job_id = j.id
    where j.user_id = p_user_id
      and (
        s.provider_cancel_due <> '[]'
        or s.status in ('starting', 'running') and s.provider_done_at is null
      )
  );
  select count(*)
  into v_files
  from unstuck.jobs j
  join unstuck.job_steps s on s.job_id = j.id
  where j.user_id = p_user_id and s.output_url is not null;
  perform unstuck_private.user_jobs_finalise(p_user_id);
  perform unstuck_private.user_jobs_strip(p_user_id, v_kept);
  delete from unstuck.job_events e
  where e.job_id = any (v_ids);
  delete from unstuck.webhook_inbox w
  where w.job_id = any (v_ids);
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
Caller: admin-users/erase. The role is read now, in the same transaction. Cancels the user's live
jobs, then removes the user's jobs, steps, events, provider calls, ledger, account, cancelled
requests, turns and roles, all or nothing, and notes it in admin_log.
What a provider may still be at stays for a day as a bare row that names nobody, so that its
cancel is sent. Files are listed in erasures and deleted later through the Storage API.
jobs, entries: removed; files: results that the jobs named.
Refuses: forbidden, bad_request.
Replay: zeros; the user may come back and is then somebody new.
$c$;

revoke all on function unstuck.user_erase_v1 from public, anon, authenticated, service_role;
grant execute on function unstuck.user_erase_v1 to service_role;

--: source erase/user_jobs_finalise.sql fdaf32386cd4
-- Cancels a user's live jobs for an erasing: all at once, and where one of them cannot be closed
-- (money by hand), one by one. What even so stays open is stripped by the caller. Account and jobs
-- are locked.
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
    where j.user_id = p_user_id and j.status in ('pending', 'queued', 'starting', 'running')
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
    -- One bad row fails the statement: each is closed alone below.
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
      -- The caller takes the row and its ledger away all the same.
      null;
    end;
  end loop;
end $$;

revoke all on function unstuck_private.user_jobs_finalise
from public, anon, authenticated, service_role;

--: source erase/user_jobs_strip.sql 5adfa937dfeb
-- Takes everything out of these jobs that tells of their user and leaves what a provider's cancel
-- needs. The rows belong to nobody afterwards and are worth nothing. No other user's job names any
-- of the user's jobs afterwards.
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

--: source front/is_name_free.sql 68a16743e911
-- Whether `public` has nothing by this name yet, of whatever kind or signature.
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

--: source job/act_as.sql 4d3352dfe233
-- Names who acts in this transaction. The history's triggers write it beside each transition.
create or replace function unstuck_private.act_as(p_actor text) returns void
language sql
set search_path = ''
as
$$
  select set_config('unstuck.actor', p_actor, true)
$$;

revoke all on function unstuck_private.act_as from public, anon, authenticated, service_role;

--: source job/has_ledger_entries.sql 2a7e5e74cbe6
-- Something was taken or returned for this job.
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

--: source job/has_ledger_mismatch.sql b18998224209
-- The row and the ledger do not say the same of what came back, or more came back than was taken.
-- No healer moves money on a guess: such a row is quarantined.
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

--: source job/is_final.sql 60ac2e6bdee8
-- True for the states that a job or step never leaves. Inlined, like `is_live`.
create or replace function unstuck_private.is_final(p_status text) returns boolean
language sql
immutable
as
$$
  select p_status in ('completed', 'failed', 'cancelled')
$$;

revoke all on function unstuck_private.is_final from public, anon, authenticated, service_role;
grant execute on function unstuck_private.is_final to authenticated, service_role;

--: source job/is_live.sql a7b7356ce97a
-- True for a job's states that are not final. It names no table and fixes no search_path, so the
-- planner inlines it and sees the predicate of the partial indexes on `jobs`. Those spell the list
-- out, because a table's indexes are made before the functions.
create or replace function unstuck_private.is_live(p_status text) returns boolean
language sql
immutable
as
$$
  select p_status in ('pending', 'queued', 'starting', 'running')
$$;

revoke all on function unstuck_private.is_live from public, anon, authenticated, service_role;
grant execute on function unstuck_private.is_live to authenticated, service_role;

--: source job/job_get_v1.sql 39d739795260
create or replace function unstuck.job_get_v1(
  p_job_id uuid,
  p_user_id uuid default null,
  p_tool text default null
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
  if not found
    or (p_user_id is not null and v_job.user_id <> p_user_id)
    or (p_tool is not null and v_job.tool <> p_tool)
  then
    perform unstuck_private.refuse(404, 'not_found');
  end if;
  -- Heal the user first, so that nobody is shown a job that only looks alive.
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
Caller: the status endpoints, for the verified user (p_user_id null: the service) and one tool
(p_tool null: any).

Effect: closes or rescues that user's overdue jobs, then answers with the job's present state.
tasks: the parallel steps as of the same moment, each with its picture once it is its owner's.

Refuses: not_found, also for another user's job.

Replay: reads again.
$c$;

revoke all on function unstuck.job_get_v1 from public, anon, authenticated, service_role;
grant execute on function unstuck.job_get_v1 to service_role;

--: source job/job_lock.sql 445237e78a0c
-- One job, locked in order (account, job), for the functions that may move money. Null where there
-- is none; an account that was made for a job that went meanwhile, with its user, goes with it.
--
-- A worker waits for another one's call. What is held for longer is held by an operator: then the
-- call fails, to be tried again, before whoever made it gives up.
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

--: source job/job_state.sql 973d804568d9
-- The job's row as the answer of the request that named it. Its position costs a look at the whole
-- queue, so a new job, which is about to be claimed, is answered without one.
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

--: source job/job_sync_from_steps.sql ccbc1062d111
-- What the jobs' own steps say they are. Only for live jobs; the closing functions write final
-- states themselves.
create or replace function unstuck_private.job_sync_from_steps(p_job_ids uuid[]) returns void
language sql
set search_path = ''
as
$$
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
    and unstuck_private.is_live(j.status)
$$;

revoke all on function unstuck_private.job_sync_from_steps
from public, anon, authenticated, service_role;

--: source job/jobs_before_insert.sql 39eee25070ec
-- Fills what a writer leaves out, so that no live job is ever without a deadline.
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

--: source job/jobs_before_update.sql 1ff572bbf253
-- Refuses to leave a final state, but for one way back: `/run` may adopt an orphan that a sweep
-- cancelled.
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
  -- An input that retention emptied is no change of the job.
  if unstuck_private.is_final(old.status)
    and new.status = old.status
    and new.user_id = old.user_id
    and new.input = '{}'
    and old.input <> '{}'
  then
    return new;
  end if;
  -- A row by hand that was pending with a key begins to work: the key is another live job's, and a
  -- job that is paid for does not fail for that.
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

--: source job/jobs_finalise.sql bfc7df34f500
-- Closes live jobs with everything that belongs to them: steps, refunds, balances, the rows
-- themselves. The caller has locked the accounts (by id) and then the jobs.
--
-- What the row says of money does not matter: it is written anew from the ledger. Where more came
-- back than was taken, the row shows as much as was taken, and the message tells what the ledger
-- shows. Without p_give nothing is returned, whatever is owed.
create or replace function unstuck_private.jobs_finalise(
  p_ids uuid[],
  p_statuses text[],
  p_codes text[],
  p_messages text[],
  p_give boolean default true
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
  join unstuck_private.jobs_refund(v_ids, v_statuses, v_codes, p_give) r on r.job_id = c.id
  where j.id = c.id
  returning j.id, j.tool, j.status, r.given;
end $$;

revoke all on function unstuck_private.jobs_finalise from public, anon, authenticated, service_role;

--: source job/jobs_finalise_each.sql 4cb677352ab6
-- Closes jobs, locked as for `jobs_finalise`, so that none can stop another. One with odd money is
-- quarantined. Where the rest cannot be closed in one go, its halves are tried, and their halves:
-- the one that cannot be closed is found and quarantined, and all the others are closed. What is
-- not closed by p_until, or is more than p_limit, is left for the next pass.
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
    -- `jobs_finalise` gives its rows once it is done, so none is left over from a failure.
    return query
    select c.job_id, c.tool, c.status, c.refunded
    from unstuck_private.jobs_finalise(p_ids, p_statuses, p_codes, p_messages) c;
    return;
  exception
    when lock_not_available or transaction_rollback or insufficient_resources or system_error then
      -- No row's fault: it is left as it is.
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

--: source job/jobs_log.sql 00a17dbd3bff
-- Writes the history: one event per transition, for all rows of a statement at once. The planner
-- cannot know how many rows a transition table will hold, and a nested loop over two of them would
-- cost the square of a sweep's page.
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

--: source job/jobs_refund.sql 3cc5fbd837e5
-- Returns what these jobs are owed in the state that they are about to have, and says what the
-- ledger shows. The caller has locked the accounts (by id) and the jobs, and has closed the steps.
--
-- The ledger alone decides. Owed is the whole debit (rule `all`, failed or cancelled) or the
-- shares of the steps that ended without a result (rule `per_step`), less what came back before,
-- whoever wrote it. So the refunds of a job never add up to more than its debit.
--
-- Each entry stands under the step that it is for; a job's own has no step. What is left where
-- that entry exists already (a part was returned by hand, and an entry is never changed) is one
-- more refund, under step 0, then -1 and so on: a number that no step has and the unique index
-- knows. It stays a refund, so that the row, the ledger and the audit agree; an adjustment would
-- belong to no job.
create or replace function unstuck_private.jobs_refund(
  p_ids uuid[],
  p_statuses text[],
  p_reasons text[],
  p_give boolean default true
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
  with job as (
    select j.id, j.user_id, n.status, n.reason, l.debit, l.refunded, l.has_own, l.free_step,
      case
        when exists (select from unstuck.job_steps s where s.job_id = j.id) then j.refund_rule
        else 'all'
      end as rule
    from unnest(p_ids, p_statuses, p_reasons) as n (id, status, reason)
    join unstuck.jobs j on j.id = n.id
    cross join lateral (
      select
        unstuck_private.clamp_to_bigint(
          coalesce(-sum(e.amount) filter (where e.kind = 'debit'), 0)) as debit,
        unstuck_private.clamp_to_bigint(
          coalesce(sum(e.amount) filter (where e.kind = 'refund'), 0)) as refunded,
        coalesce(bool_or(e.kind = 'refund' and e.step is null), false) as has_own,
        least(coalesce(min(e.step) filter (where e.kind = 'refund'), 1), 1) - 1 as free_step
      from unstuck.credit_entries e
      where e.job_id = j.id
        and e.kind in ('debit', 'refund')
    ) l
  ), line as (
    -- Shares that do not add up to what was taken (rows written by others) are split anew.
    select b.*, s.step,
      row_number() over own_steps as nth,
      case
        when sum(s.share) over own = b.debit then s.share
        else unstuck_private.share_of(
          b.debit, (count(*) over own)::int, (row_number() over own_steps)::int)
      end as share,
      s.status in ('failed', 'cancelled') as without_result,
      exists (
        select
        from unstuck.credit_entries e
        where e.job_id = b.id
          and e.step = s.step
          and e.kind = 'refund'
      ) as has_entry
    from job b
    left join unstuck.job_steps s on b.rule = 'per_step' and s.job_id = b.id
    window own as (partition by b.id), own_steps as (partition by b.id order by s.step)
  ), summed as (
    select l.*,
      greatest(
        case
          when l.rule = 'per_step' then
            coalesce(sum(l.share) filter (where l.without_result) over own, 0)
          when l.status in ('failed', 'cancelled') then l.debit
          else 0
        end - l.refunded, 0) as rest,
      l.without_result and not l.has_entry as is_open,
      coalesce(sum(l.share) filter (where l.without_result and not l.has_entry) over own, 0)
        as open_shares,
      coalesce(sum(l.share) filter (where l.without_result and not l.has_entry) over (
        partition by l.id
        order by l.step
      ), 0) as open_so_far
    from line l
    window own as (partition by l.id)
  ), owed as (
    select s.id, s.user_id, s.reason, s.step,
      least(s.share, s.rest - s.open_so_far + s.share) as amount
    from summed s
    where s.is_open
      and s.rest > s.open_so_far - s.share
    union all
    select s.id, s.user_id, s.reason,
      case when s.rule = 'per_step' or s.has_own then s.free_step end,
      s.rest - s.open_shares
    from summed s
    where s.nth = 1
      and s.rest > s.open_shares
  ), running as (
    select o.*,
      sum(o.amount) over (
        partition by o.user_id
        order by o.id, o.step
        rows unbounded preceding
      ) as so_far
    from owed o
    where p_give
      and o.amount > 0
  ), entry as (
    insert into unstuck.credit_entries (
      user_id, job_id, step, kind, amount, balance_after, reason)
    select r.user_id, r.id, r.step, 'refund', r.amount, a.balance + r.so_far,
      coalesce(r.reason, 'refund')
    from running r
    join unstuck.credit_accounts a using (user_id)
    returning user_id, job_id, amount
  ), account as (
    update unstuck.credit_accounts a
    set balance = a.balance + t.total
    from (select user_id, sum(amount)::bigint as total from entry group by 1) t
    where a.user_id = t.user_id
  ), back as (
    select e.job_id, sum(e.amount)::bigint as amount
    from entry e
    group by 1
  )
  select b.id, b.debit, b.refunded, coalesce(k.amount, 0)
  from job b
  left join back k on k.job_id = b.id;
end $$;

revoke all on function unstuck_private.jobs_refund from public, anon, authenticated, service_role;

--: source job/jobs_try_lock.sql fa8b01965dba
-- Locks, for a healer, those of these jobs that nobody else holds: the account, the job and each
-- of its steps, in this order. It waits for nobody: who is busy is healed by the next pass.
-- Returns the jobs that are locked in full.
--
-- A user without an account holds nothing that could be locked, and has nothing to get back.
-- Where rows by hand left a ledger without its account, the account is made here. An insert of
-- the same key that is not committed yet would be waited for: hence the limit.
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

--: source job/number_or_null.sql 0f0b0595699f
-- A number of a request, or null: one odd row must not make a whole view unreadable.
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

--: source job/refuse.sql 81185cb0b9da
-- Refuses a call: PostgREST turns SQLSTATE PTxyz into the HTTP status xyz, the message is the API's
-- error code, the detail holds its extra fields as JSON.
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

--: source job/refuse_final.sql 86599f9e98ad
-- Refuses a job that is over, and says how it ended.
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

--: source job/refuse_other_table.sql d3409fa312db
-- Refuses a table name that the product does not have, then a job that is not in that table.
create or replace function unstuck_private.refuse_other_table(p_job unstuck.jobs, p_table text)
returns void
language plpgsql
set search_path = ''
as
$$
begin
  if p_table is null or p_table not in (select t.table_name from unstuck.tools t) then
    perform unstuck_private.refuse(400, 'bad_request');
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

--: source legacy/legacy_job_insert.sql 403be6f1443c
-- An older client's own insert: stored as pending, unpaid, harmless until its `/run` adopts it.
-- Forged columns are not read.
create or replace function unstuck_private.legacy_job_insert() returns trigger
language plpgsql
security definer
set search_path = ''
as
$$
declare
  v_user uuid := auth.uid();
  v_row jsonb := to_jsonb(new);
  v_tool text;
  v_input jsonb;
begin
  select t.tool
  into v_tool
  from unstuck.tools t
  where t.table_name = tg_table_name;
  if v_user is null or not found or coalesce(new.user_id, v_user) <> v_user then
    raise exception 'permission denied for %', tg_table_name using errcode = '42501';
  end if;
  perform unstuck_private.account_lock(v_user);
  -- Twenty at a time, and so many in an hour that came to nothing. What is adopted by its `/run`
  -- counts no more.
  if (
    select count(*) filter (where j.status = 'pending') >= 20 or count(*) >= 200
    from unstuck.jobs j
    where j.user_id = v_user
      and j.request_hash is null
      and j.created_at > clock_timestamp() - interval '1 hour'
  ) then
    perform unstuck_private.refuse(429, 'rate_limited');
  end if;
  select coalesce(jsonb_object_agg(k.field, v_row -> k.column_name), '{}')
  into v_input
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
  where v_row ->> k.column_name is not null;
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
  -- The row as it is, not as it was written, is what the client is answered with.
  case tg_table_name
    when 'upscaler_jobs' then
      select *
      into new
      from unstuck.upscaler_jobs v
      where v.id = new.id;
    when 'video_upscaler_jobs' then
      select *
      into new
      from unstuck.video_upscaler_jobs v
      where v.id = new.id;
    when 'pose_changer_jobs' then
      select *
      into new
      from unstuck.pose_changer_jobs v
      where v.id = new.id;
    when 'veste_ai_jobs' then
      select *
      into new
      from unstuck.veste_ai_jobs v
      where v.id = new.id;
  end case;
  return new;
end $$;

revoke all on function unstuck_private.legacy_job_insert
from public, anon, authenticated, service_role;

--: source legacy/legacy_job_update.sql dfb5cc3997b2
-- An older client may only end its own waiting job. Whatever word it writes, the job is cancelled
-- and returned if paid.
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
    case tg_table_name
      when 'upscaler_jobs' then
        select *
        into new
        from unstuck.upscaler_jobs v
        where v.id = old.id;
      when 'video_upscaler_jobs' then
        select *
        into new
        from unstuck.video_upscaler_jobs v
        where v.id = old.id;
      when 'pose_changer_jobs' then
        select *
        into new
        from unstuck.pose_changer_jobs v
        where v.id = old.id;
      when 'veste_ai_jobs' then
        select *
        into new
        from unstuck.veste_ai_jobs v
        where v.id = old.id;
    end case;
    return new;
  end if;
  return null;
end $$;

revoke all on function unstuck_private.legacy_job_update
from public, anon, authenticated, service_role;

--: source legacy/legacy_write_refuse.sql 328302bdfdf4
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

--: source order/job_enqueue_v1.sql 9273ce8413df
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
  v_other unstuck.jobs;
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

  -- Replay first: the same id is the same request, whatever has become of it.
  select j.*
  into v_job
  from unstuck.jobs j
  where j.id = p_job_id
  for update;
  if found then
    if v_job.user_id <> p_user_id
      or v_job.tool <> p_tool
      or (v_job.request_hash is not null and v_job.request_hash <> p_request_hash)
    then
      perform unstuck_private.refuse(409, 'idempotency_conflict');
    end if;
    if v_job.request_hash is not null then
      return query
      select *
      from unstuck_private.job_state(p_job_id, true, true);
      return;
    end if;
    -- Adopt an orphan, whatever its status says: the row that an older client inserted itself, or
    -- a row written by hand that has no step.
    if not (
      v_job.status = 'pending'
      or (v_job.status = 'cancelled' and v_job.error_code = 'ORPHANED')
      or (
        v_job.status = 'queued'
        and not exists (select from unstuck.job_steps s where s.job_id = p_job_id)
      )
    ) then
      perform unstuck_private.refuse(
        409,
        'already_final',
        jsonb_build_object('status', v_job.status, 'refundedCredits', v_job.credits_refunded)
      );
    end if;
  end if;
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
  if not v_tool.enabled then
    perform unstuck_private.refuse(503, 'tool_disabled');
  end if;

  -- Then exclusivity. The lock on the account makes this check exact for one user; the unique index
  -- stops every other writer. A row written by hand counts once it works: while it waits it may be
  -- an orphan, which blocks nobody.
  if v_tool.exclusive_group is not null then
    select j.*
    into v_other
    from unstuck.jobs j
    join unstuck.tools t using (tool)
    where j.user_id = p_user_id
      and t.exclusive_group = v_tool.exclusive_group
      and j.id <> p_job_id
      and j.quarantined_at is null
      and (
        j.status in ('starting', 'running')
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
  end if;

  -- Then money.
  v_price := v_tool.credit_cost
    * case v_tool.priced_per when 'step' then jsonb_array_length(p_steps) else 1 end;
  if v_balance < v_price then
    perform unstuck_private.refuse(
      402,
      'insufficient_credits',
      jsonb_build_object('balance', v_balance, 'required', v_price)
    );
  end if;
  begin
    perform unstuck_private.job_write(
      p_user_id,
      p_job_id,
      v_tool,
      -- Some servers of the PostgREST protocol pass a null as ''.
      nullif(p_session_id, ''),
      p_input,
      p_request_hash,
      p_steps,
      v_price,
      null
    );
  exception when unique_violation then
    -- Another user took this id, or somebody wrote a live row, at the same moment.
    get stacked diagnostics v_constraint = constraint_name;
    perform unstuck_private.refuse(
      409,
      case v_constraint
        when 'jobs_one_live_per_exclusive_key' then 'active_job_exists'
        else 'idempotency_conflict'
      end
    );
  end;
  v_seconds_over := unstuck_private.seconds_over_queue_ttl(p_job_id, v_tool);
  if v_seconds_over > 0 then
    perform unstuck_private.refuse(
      503,
      'queue_full',
      jsonb_build_object('retry_after', v_seconds_over)
    );
  end if;
  return query
  select *
  from unstuck_private.job_state(p_job_id, false, false);
end $$;

comment on function unstuck.job_enqueue_v1 is $c$
Caller: the function that creates the tool's jobs.

Effect: takes the price and writes the job with its steps, in one transaction; adopts a pending row
of the same id.

Refuses: bad_request, idempotency_conflict, already_final, tool_disabled, active_job_exists,
queue_full, insufficient_credits. A refusal leaves nothing behind.

Replay: the same id, user and hash get the job's present state, replayed = true, and no charge.
$c$;

revoke all on function unstuck.job_enqueue_v1 from public, anon, authenticated, service_role;
grant execute on function unstuck.job_enqueue_v1 to service_role;

--: source order/job_write.sql cfeb0c1d82e5
-- Writes the job with its debit and steps, or overwrites the row that is adopted. The caller has
-- locked the account.
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
  -- Adopt the row that an older client inserted itself: every time and money column is overwritten.
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

--: source order/seconds_over_queue_ttl.sql 1b13fd20b8f3
-- How many seconds longer than its tool's `queue_ttl` a new job would wait; 0 while a slot is free
-- or no duration was measured yet. It counts from the job's own position, so that a long line of
-- one user's jobs refuses nobody else.
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

--: source order/share_of.sql 99e48dff6661
-- One step's share of the price. What does not divide goes to the first steps, one credit each, so
-- that the shares add up to exactly the price.
create or replace function unstuck_private.share_of(p_price bigint, p_steps int, p_step int)
returns bigint
language sql
immutable
as
$$
  select p_price / p_steps + (p_step <= p_price % p_steps)::int
$$;

revoke all on function unstuck_private.share_of from public, anon, authenticated, service_role;

--: source queue/caller_positions.sql 52efef8fb338
-- The positions of the caller's own waiting jobs ({job id: position}); an admin and the service see
-- all. A position costs the provider's whole queue, so it is asked for once a query, never once a
-- row.
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

--: source queue/queue_check_v1.sql 58d1c5292251
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

Effect: none; one row per known provider: its limit, what runs, what waits.

Refuses: nothing; no row where there is no such provider.

Replay: reads again.
$c$;

revoke all on function unstuck.queue_check_v1 from public, anon, authenticated, service_role;
grant execute on function unstuck.queue_check_v1 to service_role;

--: source queue/queue_order.sql bb89571da0aa
-- The waiting steps of one provider in the order in which they will be claimed. Each user stands in
-- the line once, since that user began to wait or was last served, and goes to its end when served:
-- a thousand jobs of one user let everybody else through after each of them. The order does not
-- depend on what finishes when, so that a position that was shown stays true.
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
  lined as (
    select
      w.*,
      row_number() over own as turn,
      greatest(first_value(w.since) over own, u.served_at) as in_line_since
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
    row_number() over (order by not l.ready, l.turn, l.in_line_since, l.user_id)
  from lined l;
end $$;

revoke all on function unstuck_private.queue_order from public, anon, authenticated, service_role;

--: source queue/seconds_until_slots_free.sql d56f4b13436b
-- In how many seconds each slot of a provider will be free, the latest first. A step that takes
-- longer than its tool usually does is expected to need as long again as it is late.
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
      -- Above a limit that was lowered, the steps that end first free no slot.
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

--: source queue/step_claim_v1.sql 220f6132b7a9
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
  with picked as (
    select s.job_id, s.step, q."position"
    from (
      -- A few more than there are slots: somebody may hold a lock on one of them.
      select *
      from unstuck_private.queue_order(p_provider, v_now) o
      where o.ready
      order by o."position"
      limit v_free + 100
    ) q
    join unstuck.jobs j on j.id = q.job_id
    join unstuck.job_steps s
      on s.job_id = q.job_id
      and s.step = q.step
    where s.status = 'queued'
      and unstuck_private.is_live(j.status)
    order by q."position"
    limit v_free
    for update of j, s skip locked
  ),
  claimed as (
    update unstuck.job_steps s set
      status = case when v_provider.synchronous then 'running' else 'starting' end,
      run = s.run + 1,
      claimed_at = v_now,
      sent_at = null,
      provider_task_id = null,
      checked_at = null,
      not_before = null,
      attempts = s.attempts + v_provider.synchronous::int,
      started_at = case when v_provider.synchronous then v_now end,
      lease_until = case
        when v_provider.synchronous then v_now + i.lease
        else v_now + t.start_timeout
      end,
      deadline_at = least(
        case
          when v_provider.synchronous then v_now + t.run_timeout
          else v_now + t.start_timeout
        end,
        j.expires_at
      )
    from picked p, unstuck.jobs j, unstuck.tools t, unstuck_private.intervals() i
    where s.job_id = p.job_id
      and s.step = p.step
      and j.id = s.job_id
      and t.tool = j.tool
    returning
      s.job_id,
      s.step,
      s.run,
      j.tool,
      j.user_id,
      s.attempts,
      s.input,
      s.deadline_at,
      p."position",
      greatest(least(v_now + t.run_timeout, j.expires_at), v_now) - v_now as run_for
  ),
  turn as (
    -- Users served together go to the end of the line in the order in which they were served.
    insert into unstuck_private.queue_turns as u (provider, user_id, served_at)
    select p_provider, c.user_id, v_now + max(c."position") * interval '1 microsecond'
    from claimed c
    group by c.user_id
    on conflict on constraint queue_turns_pkey do update set
      served_at = excluded.served_at
  ),
  job as (
    update unstuck.jobs j set
      status = case
        when v_provider.synchronous or j.status = 'running' then 'running'
        else 'starting'
      end,
      started_at = case
        when v_provider.synchronous then coalesce(j.started_at, v_now)
        else j.started_at
      end,
      waited_in_queue = j.waited_in_queue
        or coalesce(j.queued_at, j.created_at) < v_now - interval '2 seconds',
      current_step = case
        when t.step_order = 'sequential' then c.step
        else j.current_step
      end,
      deadline_at = c.deadline_at
    from (
      select c.job_id, max(c.step) as step, min(c.deadline_at) as deadline_at
      from claimed c
      group by c.job_id
    ) c, unstuck.tools t
    where j.id = c.job_id
      and t.tool = j.tool
    returning j.id
  )
  select
    c.job_id,
    c.step,
    c.run,
    c.tool,
    c.user_id,
    c.attempts,
    c.input,
    (
      select pr.output_url
      from unstuck.job_steps pr
      where pr.job_id = c.job_id
        and pr.step = c.step - 1
    ),
    ceil(extract(epoch from c.run_for) * 1000)::int
  from claimed c
  join job on job.id = c.job_id;
end $$;

comment on function unstuck.step_claim_v1 is $c$
Caller: whatever dispatches a provider's work.

Effect: takes up to p_limit waiting steps in fair order while slots are free. Each gets a new run
and a lease; the answer names the picture that the step before made and for how long the step may
work.

Refuses: nothing; no rows where nothing may start.

Replay: takes the next ones.
$c$;

revoke all on function unstuck.step_claim_v1 from public, anon, authenticated, service_role;
grant execute on function unstuck.step_claim_v1 to service_role;

--: source queue/steps_waiting_v1.sql fad20e91ba6b
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
Caller: a worker of a synchronous provider at its end, and whoever may have freed a slot.

Effect: none; how many steps wait, retries included, and how many a claim would take now.

Refuses: nothing; no row where there is no such provider.

Replay: reads again.
$c$;

revoke all on function unstuck.steps_waiting_v1 from public, anon, authenticated, service_role;
grant execute on function unstuck.steps_waiting_v1 to service_role;

--: source queue/tool_seconds.sql d191f239e10b
-- How long a step of each tool held its slot lately: the mean of the tool's last 20 among the
-- provider's last 200. A tool without any takes the mean of the others. With nothing measured at
-- all it is a minute, so that there is always an answer.
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

--: source queue/user_active_v1.sql 226beb06dc0e
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
  -- Both have the account first and wait for no job.
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
  -- A row by hand that may be an orphan, too young to tell, hides no job that was paid.
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
Caller: check-user-active.

Heals the user's overdue rows and orphans, then looks at running jobs, then at queued ones, of
the tools of which a user may have one job at a time. A row that is quarantined does not count.
Always one row.
$c$;

revoke all on function unstuck.user_active_v1 from public, anon, authenticated, service_role;
grant execute on function unstuck.user_active_v1 to service_role;

--: source queue/visible_load.sql eb1411421203
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

--: source queue/visible_positions.sql a60a71d5117c
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

--: source retention/prune_cancelled_requests.sql 10cd796dca6f
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

--: source retention/prune_cron_runs.sql 0159deea4b8f
-- pg_cron keeps a row of every run for ever, in a table that is its own and that the host's jobs
-- share: only our job's rows go. The table has no index but its key, so it is walked by that, each
-- row once, from where the walk before stopped. Says how many rows the walk passed.
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
  -- Numbers that begin anew: the extension was made anew.
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

--: source retention/prune_erased_jobs.sql 4d3b9aff668e
-- What was kept of an erased user's jobs so that a provider can be told to stop. It goes an hour
-- after the erasing where no cancel is owed (a worker may have been about to learn its task), and
-- at `p_before` whatever is owed: by then the task has ended by itself.
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

--: source retention/prune_inputs.sql 73ffdb90ff87
-- What final jobs and their steps were asked for is emptied; the rows themselves stay. Half of the
-- rows are jobs, half are steps.
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

--: source retention/prune_job_events.sql 8180460c8c49
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
      -- Asked row by row: one plan, whatever the tables' statistics say.
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

--: source retention/prune_kind.sql e1e30494c59f
-- Prunes up to p_limit rows of one kind, after the first p_skip of them; says how many.
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

--: source retention/prune_old_rows.sql c71ece5fe1e9
-- One pass over everything that is not kept for ever: of each kind at most 5,000 rows and 100 ms,
-- in batches. It waits for nobody, and one pass works at a time. What cannot be deleted (a host's
-- foreign key, a trigger) is passed over, row by row, and its error noted; neither the other rows
-- nor the other kinds nor the healing before it are lost. Where something failed of late, a pass
-- begins with small batches, so that it does not spend its time on the same failure.
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
  v_began timestamptz;
  v_batch int;
  v_skip int;
  v_got int;
  v_all int;
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
    v_began := clock_timestamp();
    v_batch := case when v_rule.failed_lately then 1 else 500 end;
    v_skip := 0;
    v_all := 0;
    v_error := null;
    loop
      begin
        v_got := unstuck_private.prune_kind(v_rule.kind, p_now, v_rule.keep, v_batch, v_skip);
        v_all := v_all + v_got;
        exit when v_got = 0;
        v_batch := least(v_batch * 2, 500);
      exception when others then
        if v_error is null then
          v_began := clock_timestamp();
        end if;
        v_error := sqlerrm;
        v_skip := v_skip + (v_batch = 1)::int;
        v_batch := 1;
        exit when v_skip >= 20;
      end;
      exit when v_all > 5000 - v_batch or clock_timestamp() - v_began > interval '100 ms';
    end loop;
    if v_all > 0 or v_error is not null then
      insert into unstuck_private.retention_progress as p (kind, pruned, pruned_at, error, error_at)
      values (
        v_rule.kind,
        v_all,
        case when v_all > 0 then clock_timestamp() end,
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
    return query select v_rule.kind, v_all, v_error;
  end loop;
end $$;

revoke all on function unstuck_private.prune_old_rows
from public, anon, authenticated, service_role;

--: source retention/prune_orphans.sql a0fa0395b6f5
-- Rows that older clients inserted and nobody ordered: cancelled, never paid, never begun, no step.
-- Only these may a user write without paying, 200 an hour of 20 KB each, so they do not stay: a day
-- of them is 96 MB. Their `/run` may still come later: it is then a new request of that id.
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

--: source retention/prune_queue_turns.sql 02ae45b84155
-- Whoever has nothing open comes to the line as somebody new.
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
          and j.status in ('pending', 'queued', 'starting', 'running')
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

--: source retention/prune_sweeps.sql d83e0c26f9e7
-- All but the newest finished one, which is what `health` shows.
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

--: source retention/prune_webhook_inbox.sql ad7644f24907
-- Also what was never applied, once its job is over or gone: it can change nothing any more.
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

--: source role/has_role.sql 64d3b48ac378
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
Caller: policies, the admin functions. True when the user holds the role now: the host's own
has_role decides where the host has one, else unstuck.user_roles.
$c$;

revoke all on function unstuck.has_role from public, anon, authenticated, service_role;
grant execute on function unstuck.has_role to service_role;
-- Policies ask for the caller's role, as Supabase apps expect.
grant execute on function unstuck.has_role to authenticated;

--: source role/host_has_role.sql f3bd9d98add1
-- What the host's own `public.has_role(uuid, <role>)` says; null where the host has no such
-- function, or where its role type does not know the word. The host's function is called by its own
-- argument type, under the search path that its code expects. Our front in `public` does not count.
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

--: source role/may_see.sql 6139c5e2113c
-- True for the row's owner, an admin, the service role and the database's own roles.
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

--: source step/cancel_debt_with.sql 2c46ece410de
-- The cancels owed to the provider once this step is closed: its task, if the provider has one
-- and is still at it. What is no list, by hand, counts as none.
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

--: source step/cancel_debt_without.sql 34ef47aeed3b
-- The cancels owed but for this task's. What is no list, by hand, counts as none.
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

--: source step/cancel_debts.sql 7eb580e63ad0
-- The cancels that a step owes to its provider. What is no such list, or names no task, owes none.
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

--: source step/holds_slot.sql 12c65613653a
-- True while a step takes one of its provider's slots: from the claim until the provider is done.
-- It fixes no search_path, so the planner inlines it and sees the predicate of the index
-- `job_steps_slots`, which spells the rule out: a table's indexes are made before the functions.
create or replace function unstuck_private.holds_slot(p_step unstuck.job_steps) returns boolean
language sql
immutable
as
$$
  select p_step.status in ('starting', 'running') and p_step.provider_done_at is null
$$;

revoke all on function unstuck_private.holds_slot from public, anon, authenticated, service_role;

--: source step/is_task_of_other_step.sql 2ffb5c65e94b
-- True when another step has this task of the provider, live or over, or owes a cancel for it. Only
-- that step may do anything with it: whoever names it at this step's address is mistaken.
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

--: source step/job_steps_before_insert.sql d03b858b32f5
-- Fills what a writer leaves out, so that no live step is ever without a deadline.
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

--: source step/job_steps_before_update.sql 75a6435a7af1
-- Refuses to leave a final state, and keeps the job's deadline no later than that of a working step
-- whose deadline somebody moved back by hand: the healers find a job by its own deadline.
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

--: source step/job_steps_log.sql 462f16abaeb9
-- Writes the history: one event per step that changed its state or was claimed again, for all rows
-- of a statement at once and without nested loops, like `jobs_log`.
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

--: source step/step_cancelled_v1.sql abeaaba892cc
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
Caller: whoever told the provider to cancel a task.

Effect: strikes that cancel from what the step owes; remaining: how many it still owes.

Refuses: nothing; no row where there is no such step.

Replay: changes nothing.
$c$;

revoke all on function unstuck.step_cancelled_v1 from public, anon, authenticated, service_role;
grant execute on function unstuck.step_cancelled_v1 to service_role;

--: source step/step_checked_v1.sql 3cd42ac12413
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
Caller: sweep, after asking the provider (p_answer: running | no_answer).

Effect: before the step's deadline, notes when it was asked. Past the deadline, fails the step and
returns its credits: at once for running, after one grace for no_answer. A cancel at the provider is
then owed.
outcome: waiting | failed | stale (not the present run, or finished already).

Refuses: bad_request for another answer.

Replay: stale once the step has failed.
$c$;

revoke all on function unstuck.step_checked_v1 from public, anon, authenticated, service_role;
grant execute on function unstuck.step_checked_v1 to service_role;

--: source step/step_complete_v1.sql f0f9276b68c1
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
Caller: whoever has stored the step's result.

Effect: completes the step. The last one completes the job, any other lets the next step queue.
outcome: completed | late (final already) | stale (not the present run, or not running).

Refuses: nothing.

Replay: late.
$c$;

revoke all on function unstuck.step_complete_v1 from public, anon, authenticated, service_role;
grant execute on function unstuck.step_complete_v1 to service_role;

--: source step/step_done_v1.sql b5ce06feb79f
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
      insert into unstuck.job_events (
        job_id, step, run, event, from_status, to_status, actor, detail
      )
      select
        p_job_id,
        p_step,
        p_run,
        'late_success',
        v_step.status,
        v_step.status,
        'worker',
        jsonb_build_object('task_id', p_task_id, 'output', p_output)
      where not exists (
        select from unstuck.job_events e
        where e.job_id = p_job_id
          and e.step = p_step
          and e.run = p_run
          and e.event = 'late_success'
      );
      -- The task finished: there is nothing left to cancel at the provider.
      update unstuck.job_steps s set
        provider_cancel_due = unstuck_private.cancel_debt_without(s.provider_cancel_due, p_task_id)
      where s.job_id = p_job_id
        and s.step = p_step
        and s.provider_cancel_due <> '[]';
    end if;
    return query
    select 'late', p_run;
    return;
  end if;
  v_older := p_run < v_step.run;
  v_same := coalesce(v_step.provider_task_id, p_task_id)
    is not distinct from coalesce(p_task_id, v_step.provider_task_id);
  if
    -- Nobody has claimed the step yet.
    v_step.run = 0
    -- The present run has another task.
    or (not v_older and not v_same)
    -- Another worker copies the result, or another task's result was taken.
    or (
      v_step.provider_done_at is not null
      and (v_step.lease_until > clock_timestamp() or not v_same)
    )
  then
    return query
    select 'stale', v_step.run;
    return;
  end if;
  -- Take a success also of an older run, or of one that was put back, because it is paid work.
  -- Whoever works on the newer run becomes stale, and its task is owed a cancel.
  update unstuck.job_steps s set
    status = 'running',
    run = s.run + v_older::int,
    provider_cancel_due = case
      when v_older
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
    deadline_at = v_expires
  from unstuck_private.intervals() i
  where s.job_id = p_job_id
    and s.step = p_step
  returning s.run into p_run;
  perform unstuck_private.job_sync_from_steps(array[p_job_id]);
  return query
  select 'copy', p_run;
end $$;

comment on function unstuck.step_done_v1 is $c$
Caller: whoever learned, by asking, that the provider finished the task.

Effect: frees the slot and takes the lease under which the caller copies the result.
outcome: copy (run: the one to go on with) | late (the step is closed: the success is recorded,
nothing else changes) | stale (not this run's task, or another worker copies it).

Refuses: nothing. Of a task of another step nothing is taken and nothing recorded.

Replay: stale while the copy lease lasts; afterwards copy, for whoever goes on.
$c$;

revoke all on function unstuck.step_done_v1 from public, anon, authenticated, service_role;
grant execute on function unstuck.step_done_v1 to service_role;

--: source step/step_fail.sql 8936c4d7a1d8
-- A step that is given up: the whole job (rule `all`), or its own share (rule `per_step`). The
-- account and the job are locked. What the job's row says of money is written from the ledger.
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
  -- Waiting siblings' time did not run while this one worked.
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

--: source step/step_fail_v1.sql ac0e18f22f6f
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
  -- The provider itself says that this task is over, so that no cancel is owed for it.
  update unstuck.job_steps s set
    provider_done_at = coalesce(s.provider_done_at, clock_timestamp())
  where s.job_id = p_job_id
    and s.step = p_step;
  return query
  select 'failed', f.job_status, f.refunded
  from unstuck_private.step_fail(v_job, p_step, p_error_code, p_error_message) f;
end $$;

comment on function unstuck.step_fail_v1 is $c$
Caller: dispatch, or whoever learned, by asking, that the provider failed.

Effect: fails the step and, by the job's refund rule, the job; returns credits in the same
transaction.
outcome: failed | stale (not the present run, or final already).

Refuses: nothing.

Replay: stale; nothing is returned twice.
$c$;

revoke all on function unstuck.step_fail_v1 from public, anon, authenticated, service_role;
grant execute on function unstuck.step_fail_v1 to service_role;

--: source step/step_get_v1.sql 9d2a291e66e3
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
Caller: the webhook consumer, and reconcile.

Effect: none; a snapshot of one step.

Refuses: nothing; no row where there is no such step.

Replay: reads again.
$c$;

revoke all on function unstuck.step_get_v1 from public, anon, authenticated, service_role;
grant execute on function unstuck.step_get_v1 to service_role;

--: source step/step_heartbeat_v1.sql 0f90825657d7
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

Effect: renews the lease, never past the step's deadline. lease_ms: what is left of it.
applied = false: the lease is lost; the worker aborts its own call.

Refuses: nothing.

Replay: renews again.
$c$;

revoke all on function unstuck.step_heartbeat_v1 from public, anon, authenticated, service_role;
grant execute on function unstuck.step_heartbeat_v1 to service_role;

--: source step/step_lock.sql 73cc8f89ba7d
-- The step of a live run, its job locked first. Null where the run is stale or the step final.
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

--: source step/step_requeue_v1.sql 26331c5d5bb0
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
  -- What the provider finished does not go back to the queue, whoever says so late.
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
Caller: dispatch, when the provider refused for capacity or failed in passing (p_kind: capacity |
transient).

Effect: puts the step back into the queue with not_before, holding no slot. Past attempt_max or
expires_at it fails instead and its credits are returned.
outcome: queued | failed | stale (not the present run, or finished already).

Refuses: bad_request for another kind.

Replay: stale.
$c$;

revoke all on function unstuck.step_requeue_v1 from public, anon, authenticated, service_role;
grant execute on function unstuck.step_requeue_v1 to service_role;

--: source step/step_sent_v1.sql b3664bdcafd4
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
Caller: dispatch, before the request leaves.

Effect: counts the step as sent from here on.
applied = false: not the present run, or sent already; the caller must not submit.

Refuses: nothing.

Replay: applied = false.
$c$;

revoke all on function unstuck.step_sent_v1 from public, anon, authenticated, service_role;
grant execute on function unstuck.step_sent_v1 to service_role;

--: source step/step_started_v1.sql f349577204a0
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
  if not found or coalesce(p_task_id, '') = '' then
    return query
    select 'stale', false;
    return;
  end if;
  if unstuck_private.is_task_of_other_step(v_step, p_task_id) then
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
        -- A webhook may have come first: then whoever copies the result holds the lease.
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
  -- The provider works for a step that is closed, or for an older run: it is owed a cancel. The
  -- caller submitted this task, or read in the provider's own list that it is this run's.
  update unstuck.job_steps s set
    provider_cancel_due = s.provider_cancel_due
      || jsonb_build_object('task_id', p_task_id, 'run', p_run)
  where s.job_id = p_job_id
    and s.step = p_step;
  return query
  select 'cancel_due', v_waiting;
end $$;

comment on function unstuck.step_started_v1 is $c$
Caller: dispatch, or whoever learned the task id of a step whose answer was lost. On a webhook's
word alone nobody calls it for a task that is still at work.

Effect: records the provider's task.
outcome: running | cancel_due (the step is closed, or claimed again: the caller cancels the task at
the provider, else a sweep does) | stale (known already, or another step's task, which nothing said
at this step's address can touch).

Refuses: nothing.

Replay: running again for the same task; stale where its cancel is owed already.
$c$;

revoke all on function unstuck.step_started_v1 from public, anon, authenticated, service_role;
grant execute on function unstuck.step_started_v1 to service_role;

--: source step/steps_due_v1.sql 9eab4da0456b
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
  inbox jsonb,
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
    and s.status in ('starting', 'running')
    and s.provider_task_id is not null
    and s.provider_done_at is null;
  select jsonb_agg(to_jsonb(m))
  into v_keys
  from (
    select s.job_id, s.step,
      case
        when s.provider_done_at is not null then 'copy'
        when s.provider_task_id is null then 'inbox'
        else 'query'
      end as due,
      s.deadline_at <= v_now as overdue
    from unstuck.job_steps s
    cross join unstuck_private.intervals() i
    where s.provider = p_provider
      and s.status in ('starting', 'running')
      and s.sent_at is not null
      and case
        when s.provider_done_at is not null then
          coalesce(s.lease_until, '-infinity') <= v_now
        when s.provider_task_id is null then
          coalesce(s.lease_until, v_now) <= v_now
          and coalesce(s.checked_at, '-infinity') <= v_now - interval '5 seconds'
        when s.deadline_at <= v_now then
          coalesce(s.checked_at, '-infinity') <= v_now - interval '5 seconds'
          or s.checked_at <= s.deadline_at
        else
          p_all
          or not v_provider.signed_webhooks
          and coalesce(s.checked_at, s.sent_at) <= v_now - i.check_every
      end
    order by
      s.deadline_at > v_now,
      coalesce(s.checked_at, '-infinity'),
      s.job_id,
      s.step
    limit p_limit
    for update of s skip locked
  ) m;
  return query
  select r.job_id, r.step, r.run, j.tool, j.user_id, r.due, coalesce(r.task_id, w.task_id),
    r.overdue, r.output, w.body,
    -- The provider's clock may not be ours.
    r.sent_at - interval '2 minutes',
    unstuck_private.seconds_between(r.sent_at, v_now),
    v_open
  from unstuck_private.steps_reserve(v_now, v_keys) r
  join unstuck.jobs j on j.id = r.job_id
  -- What was said at this address about another step's task says nothing of this one.
  left join lateral (
    select i.task_id, i.body
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

  select jsonb_agg(to_jsonb(m))
  into v_keys
  from (
    select s.job_id, s.step, 'cancel' as due, false as overdue
    from unstuck.job_steps s
    where s.provider = p_provider
      and s.provider_cancel_due <> '[]'
      and coalesce(s.checked_at, '-infinity') <= v_now - interval '15 seconds'
    order by s.checked_at nulls first, s.job_id
    limit p_limit
    for update of s skip locked
  ) m;
  return query
  select o.job_id, o.step, d.run, j.tool, j.user_id, o.due, d.task_id,
    false, null::jsonb, null::jsonb, null::timestamptz, null::int, v_open
  from unstuck_private.steps_reserve(v_now, v_keys) o
  join unstuck.jobs j on j.id = o.job_id
  cross join lateral unstuck_private.cancel_debts(o.provider_cancel_due) d;
end $$;

comment on function unstuck.steps_due_v1 is $c$
Caller: sweep; with p_all the checker, for which every running step is due.

Steps to ask the provider about (query: unchecked for 30 s or past the deadline; inbox: sent, no
answer; copy: finished, not stored; cancel: owed), those first that were not asked about for
longest, and how many are open in all. What it returns is reserved for a moment. What somebody
else holds is left for the next call, and so is a step that cannot be reserved.
$c$;

revoke all on function unstuck.steps_due_v1 from public, anon, authenticated, service_role;
grant execute on function unstuck.steps_due_v1 to service_role;

--: source step/steps_reserve.sql 48dd5b52c302
-- Reserves steps, which are locked, for whoever asks about them: their keys with what is due and
-- whether it is overdue. Returns those that could be reserved. A step that cannot even be noted
-- (a trigger refuses it) is left out.
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

--: source sweep/can_requeue.sql be4f462cb1a9
-- Once its lease is over, this step goes back to the queue: it was handed over and never sent (a
-- rescue), or it is a synchronous attempt whose worker died. Without a lease nobody held it: it
-- was written by others. Some tools are retried by their own cleanup, which calls their function.
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

--: source sweep/cleanup_all_stale_ai_jobs.sql 886d38437084
create or replace function unstuck.cleanup_all_stale_ai_jobs()
returns table (table_name text, cancelled_count int, refunded_credits bigint)
language plpgsql
security definer
set search_path = ''
-- PostgREST sets it for the call; pg_cron and psql do not. There the time budgets of the healing
-- and of its report are what bounds this function.
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
Caller: pg_cron, an operator.

The healer that needs no edge: closes every live job of all tools past its limit and returns the
credits; what was sent to an asynchronous provider waits 3 minutes past its deadline for an edge
healer to ask. It waits for nobody, and no row stops the others. What it healed stays healed
whatever becomes of its report. Always seven rows.

Replay: zeros.
$c$;

revoke all on function unstuck.cleanup_all_stale_ai_jobs
from public, anon, authenticated, service_role;
grant execute on function unstuck.cleanup_all_stale_ai_jobs to service_role;

--: source sweep/count_due.sql bbe0004ea912
-- What the rules above would still close, looking one page ahead. A row that cannot be judged is
-- left over too.
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

--: source sweep/count_due_among.sql d607f6fa1ba8
-- How many of these jobs are over; 0 where that cannot be told of one of them.
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

--: source sweep/count_stuck.sql 7c67301e9973
-- How many live rows are past every healer's patience; past 10,000 it stops counting.
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
    where j.status in ('pending', 'queued', 'starting', 'running')
      and j.quarantined_at is null
      and j.deadline_at <= p_now - i.sql_wait - i.grace
    limit 10000
  ) s
$$;

revoke all on function unstuck_private.count_stuck from public, anon, authenticated, service_role;

--: source sweep/health_v1.sql 366242f67b34
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
Caller: health of the gateway.

What the last finished sweep stored; never scans. Nulls when there was none, or where that sweep
could not count.
$c$;

revoke all on function unstuck.health_v1 from public, anon, authenticated, service_role;
grant execute on function unstuck.health_v1 to service_role;

--: source sweep/jobs_due.sql 2a702469b177
-- Which of these jobs are over, and how they end. The only place that knows the clocks' rules
-- (DATA, "Clocks"). Times are compared with what lies before now: a time by hand may be so far
-- off that nothing can be added to it.
create or replace function unstuck_private.jobs_due(p_now timestamptz, p_ids uuid[])
returns table (job_id uuid, user_id uuid, status text, code text, message text)
language sql
stable
set search_path = ''
as
$$
  with judged as (
    select c.*, s.*, w.*, i.sql_wait,
      coalesce(c.started_at, c.created_at) <= p_now - l.lifetime
        -- An admin's requeue begins its time anew.
        and not exists (
          select
          from unstuck.job_events e
          where e.job_id = c.id
            and e.event = 'job_requeued'
            and e.at > p_now - l.lifetime
        ) as too_old
    from unnest(p_ids) as n (id)
    join unstuck.jobs c on c.id = n.id
    join unstuck.tools t using (tool)
    join unstuck.providers tp on tp.provider = t.provider
    cross join unstuck_private.intervals() i
    cross join lateral (
      select
        count(*) as steps,
        count(*) filter (where st.status = 'completed') as done,
        count(*) filter (where not unstuck_private.is_final(st.status)) as live,
        count(*) filter (where st.status in ('starting', 'running')) as working,
        -- Somebody else still has work at an asynchronous provider: SQL waits 3 minutes for an
        -- edge healer to ask.
        bool_or(
          st.status in ('starting', 'running')
          and st.sent_at is not null
          and st.provider_done_at is null
          and not p.synchronous
        ) as asked,
        bool_or(
          st.status in ('starting', 'running')
          and p.synchronous
          and st.lease_until > p_now
        ) as held,
        -- Goes back to the queue instead (`steps_rescue`).
        bool_or(p_now < c.expires_at and unstuck_private.can_requeue(st, t, p)) as rescuable,
        -- Left for the cleanup that calls the tool's function; SQL cannot, and waits 3 minutes
        -- past the deadline for it.
        bool_or(
          p_now < c.expires_at
          and st.status = 'running'
          and p.retried_by_function
          and st.provider_done_at is null
          and st.lease_until is not null
          and st.attempts < t.attempt_max
        ) as retryable,
        bool_or(
          st.provider_done_at is not null
          and not unstuck_private.is_final(st.status)
        ) as undelivered,
        min(st.deadline_at) filter (where st.status in ('starting', 'running')) as working_deadline
      from unstuck.job_steps st
      join unstuck.providers p using (provider)
      where st.job_id = c.id
    ) s
    -- A paid row is no orphan, whatever word it carries: it waits like a queued one.
    cross join lateral (
      select
        c.status = 'pending'
          and c.request_hash is null
          and not exists (
            select
            from unstuck.credit_entries e
            where e.job_id = c.id
              and e.kind = 'debit'
          ) as orphan,
        coalesce(c.queued_at, c.created_at) <= p_now - t.queue_ttl as waited_out
    ) w
    cross join lateral (
      select least(
        case when s.steps = 0 then t.run_timeout
          else unstuck_private.tool_lifetime(t, tp, c.total_steps)
        end,
        interval '100 years') as lifetime
    ) l
    where unstuck_private.is_live(c.status)
      and c.quarantined_at is null
      and not exists (
        select
        from unstuck_private.unhealed u
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
      else format('%s after %s.',
        case when j.status in ('pending', 'queued') then 'not started' else 'no result' end,
        unstuck_private.minutes_text(unstuck_private.minutes_between(
          coalesce(j.started_at, j.queued_at, j.created_at), p_now)))
    end
  from judged j
  where case
    when j.too_old then true
    when j.deadline_at > p_now then false
    when j.status = 'pending' then j.orphan or j.waited_out
    when j.steps = 0 or j.live = 0 then true
    when j.expires_at <= p_now then
      not coalesce(j.asked, false)
      or coalesce(j.working_deadline, j.expires_at) <= p_now - j.sql_wait
    when j.working = 0 then true
    when j.asked then least(j.working_deadline, j.deadline_at) <= p_now - j.sql_wait
    when j.held or j.rescuable then false
    when j.retryable then j.working_deadline <= p_now - j.sql_wait
    else j.working_deadline <= p_now
  end
$$;

revoke all on function unstuck_private.jobs_due from public, anon, authenticated, service_role;

--: source sweep/jobs_due_each.sql 8a21041ebcda
-- What `jobs_due` says of these jobs, which are locked, as arrays side by side. A row on which it
-- fails is found by halves and quarantined.
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
  v_one record;
  v_other record;
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
  v_one := unstuck_private.jobs_due_each(p_now, p_ids[:v_half]);
  v_other := unstuck_private.jobs_due_each(p_now, p_ids[v_half + 1:]);
  ids := v_one.ids || v_other.ids;
  statuses := v_one.statuses || v_other.statuses;
  codes := v_one.codes || v_other.codes;
  messages := v_one.messages || v_other.messages;
end $$;

revoke all on function unstuck_private.jobs_due_each from public, anon, authenticated, service_role;

--: source sweep/jobs_quarantine.sql 76ff98ab869f
-- A row that cannot be healed is kept for an operator. It blocks neither its user nor the others:
-- its steps end, so that they hold no slot and are not run, and the provider is told. The caller
-- has locked the jobs.
--
-- This never fails. Where it cannot be written for all, it is written for halves; where it cannot
-- be written for one job, each part of it that can be is, and `unhealed` remembers the job.
create or replace function unstuck_private.jobs_quarantine(p_ids uuid[], p_reason text)
returns void
language plpgsql
set search_path = ''
as
$$
declare
  v_half int := cardinality(p_ids) / 2;
  v_step int;
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
  begin
    update unstuck.jobs
    set quarantined_at = v_now,
      exclusive_key = null
    where id = any (p_ids)
      and quarantined_at is null;
  exception when others then
    null;
  end;
  for v_step in
    select s.step
    from unstuck.job_steps s
    where s.job_id = any (p_ids)
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
      where s.job_id = any (p_ids)
        and s.step = v_step;
    exception when others then
      null;
    end;
  end loop;
  begin
    insert into unstuck_private.unhealed as u (job_id, retry_at, reason)
    select n.id, v_now + interval '1 minute', p_reason
    from unnest(p_ids) as n (id)
    on conflict (job_id) do update
    set tries = u.tries + 1,
      retry_at = v_now + least(u.tries + 1, 60) * interval '1 minute',
      reason = excluded.reason;
    insert into unstuck.job_events (job_id, event, actor, detail)
    select n.id, 'quarantine_failed', 'sweep', jsonb_build_object('reason', p_reason)
    from unnest(p_ids) as n (id);
  exception when others then
    null;
  end;
end $$;

revoke all on function unstuck_private.jobs_quarantine
from public, anon, authenticated, service_role;

--: source sweep/jobs_sweep_v1.sql dde209bf5471
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
Caller: cleanup-stale-jobs.

Closes and refunds, or puts back, every row whose clock ran out and that needs no question to a
provider, up to p_limit and for some seconds, before the caller gives the call up. It waits for
nobody: what others hold is left for the next pass. A row that cannot be healed is quarantined.

remaining: due, but locked by others or beyond the limit (looked ahead for one page).

Replay: nothing left to do.
$c$;

revoke all on function unstuck.jobs_sweep_v1 from public, anon, authenticated, service_role;
grant execute on function unstuck.jobs_sweep_v1 to service_role;

--: source sweep/step_fail_exhausted.sql 96d25d8d0050
-- Fails one step without an attempt left, of a job that is locked. No row where somebody was
-- faster. A job with odd money is quarantined instead.
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

--: source sweep/steps_fail_exhausted.sql d9adca2fd1b2
-- A synchronous step with no attempt left fails alone where its siblings may still finish. What
-- somebody else holds is left for the next pass; a job on which this fails is quarantined.
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

--: source sweep/steps_requeue.sql 7516843c0fc5
-- Puts the steps of these jobs, which are locked, back into the queue where they may go back, and
-- says how many. A job on which this fails is found by halves and quarantined.
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

--: source sweep/steps_rescue.sql 64618f559b2e
-- Steps whose lease ran out and that go back to the queue (`can_requeue`), of jobs that nobody
-- else holds. Returns how many.
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

--: source sweep/sweep.sql 5551044ba2b1
-- Everything SQL can heal, up to p_limit jobs and a time budget: first what is over, page by page,
-- then steps without an attempt left, then steps that go back to the queue. None of the three
-- stops another, and no row stops the others.
--
-- Rows without a job count what went back to the queue and what is left over, looking one page
-- ahead. `p_now` is an argument so that tests need not sleep. Planned anew for each page: from the
-- sixth on, one plan for pages of any size would read whole tables.
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
  v_left int := p_limit;
  v_got int;
  v_is_over boolean;
  v_by text;
  v_ids uuid[];
  v_at timestamptz;
  v_id uuid;
begin
  perform unstuck_private.act_as('sweep');
  -- A user's own heal has the account before anything else, as whatever else works on that user.
  if p_user_id is not null and not unstuck_private.account_try_lock(p_user_id) then
    return;
  end if;
  foreach v_by in array
    case when p_user_id is null then array['deadline', 'age'] else array['user'] end
  loop
    v_at := '-infinity';
    v_id := '00000000-0000-0000-0000-000000000000';
    loop
      v_is_over := v_left <= 0 or clock_timestamp() > v_until;
      select c.ids, c.last_at, c.last_id
      into v_ids, v_at, v_id
      from unstuck_private.sweep_candidates(p_now, v_by, p_user_id, v_at, v_id,
        case when v_is_over then 1000 else least(greatest(v_left, 100), 2000) end) c;
      exit when v_ids is null;
      if v_is_over then
        return query
        select null::uuid, null::text, null::text, 0::bigint, 0,
          unstuck_private.count_due_among(p_now, v_ids);
        exit;
      end if;
      begin
        return query
        select *
        from unstuck_private.sweep_page(p_now, v_by, v_ids, v_left, v_until);
        get diagnostics v_got = row_count;
        v_left := v_left - (v_got - 1);
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

--: source sweep/sweep_begin_v1.sql bc3ea0ed61df
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
Caller: an edge healer, before its pass. Opens the pass's row.
$c$;

revoke all on function unstuck.sweep_begin_v1 from public, anon, authenticated, service_role;
grant execute on function unstuck.sweep_begin_v1 to service_role;

--: source sweep/sweep_candidates.sql 418b24d9108a
-- Live rows that may be over, in the order of their key after (p_at, p_id): past their deadline,
-- or ('age') as old as the hard limit of A5 whatever their deadline says. A page costs what it
-- holds, not what the backlog holds.
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
      where j.status in ('pending', 'queued', 'starting', 'running')
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
      where j.status in ('pending', 'queued', 'starting', 'running')
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
      where j.status in ('pending', 'queued', 'starting', 'running')
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

--: source sweep/sweep_end_v1.sql c7a5574d66a0
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
-- PostgREST sets it for the call; elsewhere a limit that is set here bounds nothing.
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

Audits what has changed since the last audit, for at most about half a second, and stores what
health reads: stuck rows and offences. A count that failed is stored as null, which is not healthy;
the pass is finished all the same.

remaining: due and left over after all that the pass did, also by asking providers.
$c$;

revoke all on function unstuck.sweep_end_v1 from public, anon, authenticated, service_role;
grant execute on function unstuck.sweep_end_v1 to service_role;

--: source sweep/sweep_finish.sql 90dd847b05f9
-- Finishes a pass with what health reads. Counting may fail, be cancelled or take long; the pass is
-- finished all the same, without the count that failed, and nothing that it healed is undone:
-- health is not good while a count is missing.
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

--: source sweep/sweep_page.sql b896612a4e71
-- One page: what nobody else holds is locked, judged under the locks (asking first would ask
-- twice) and closed. The last row counts what is due and left over: held by others, or beyond
-- p_limit. Of the rows found by age nearly all are well, and not worth a lock.
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
      -- One of them is odd: it is found under the locks.
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

--: source sweep/sweep_pass.sql 8ece681694c5
-- One pass over everybody, with what it did in all and by table, added to its row.
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
  v_did record;
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
  into v_did
  from closed c;
  update unstuck.sweeps s
  set cleaned = s.cleaned + v_did.cleaned,
    refunded_credits = unstuck_private.clamp_to_bigint(
      s.refunded_credits::numeric + v_did.refunded),
    requeued = s.requeued + v_did.requeued
  where s.id = p_sweep_id;
  -- Old rows go with the pass; what fails at that undoes nothing.
  begin
    perform 1
    from unstuck_private.prune_old_rows(clock_timestamp());
  exception when others or query_canceled then
    raise warning 'sweep %: pruning failed: %', p_sweep_id, sqlerrm;
  end;
  return query
  select v_did.cleaned, v_did.refunded, v_did.requeued, v_did.remaining, v_did.tables;
end $$;

revoke all on function unstuck_private.sweep_pass from public, anon, authenticated, service_role;

--: source sweep/user_heal_v1.sql 2ffb468caa5c
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
Caller: a request of that user that was refused by the user's own rows.

Heals what is over, at once. A second at most is waited for the user's account; who holds it for
longer is not waited for, and nothing is healed.

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

--: source tool/providers_before_update.sql 2df7c26ddbad
-- Notes when a limit is lowered. Steps that were claimed before are no offence against the new one.
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

--: source tool/tool_lifetime.sql 202fb9bce143
-- The longest that a job of this tool may live: its time in the queue, then each step that must run
-- in sequence, and each of these as often as a synchronous provider is tried.
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

--: source view/status_word.sql b9f33e25b1b1
-- Status words by front end (API, "Status words"). The table name decides.
create or replace function unstuck_private.status_word(p_table text, p_status text) returns text
language sql
immutable
as
$$
  select case
    when p_status in ('completed', 'failed', 'cancelled') then p_status
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

--: source view/visible_hours.sql 321fca6a7a1d
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

--: source webhook/webhook_applied_v1.sql 36b22eafc724
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
Caller: the webhook consumer.

Effect: marks a recorded call as dealt with.

Refuses: nothing; no row where there is no such call.

Replay: keeps the first time.
$c$;

revoke all on function unstuck.webhook_applied_v1 from public, anon, authenticated, service_role;
grant execute on function unstuck.webhook_applied_v1 to service_role;

--: source webhook/webhook_record_v1.sql 2ad82930c235
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
Caller: provider-webhook, after it has verified the token.

Effect: keeps the call; changes no job.

Refuses: nothing.

Replay: recorded = false, with the id of the call that was kept.
$c$;

revoke all on function unstuck.webhook_record_v1 from public, anon, authenticated, service_role;
grant execute on function unstuck.webhook_record_v1 to service_role;

--: source website/generation_get_v1.sql fab9897768c4
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
Caller: the website functions' GET, for the verified user.

What job_get_v1 says, with retries and, once it is completed, where its files lie.

Refuses: not_found.
$c$;

revoke all on function unstuck.generation_get_v1 from public, anon, authenticated, service_role;
grant execute on function unstuck.generation_get_v1 to service_role;

--: source website/generation_put_back_v1.sql 700c901a1849
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
Caller: cleanup-stale-generations, whose call failed.

The reservation is undone, so that the next cleanup tries again at once. No row where another
attempt has begun.
$c$;

revoke all on function unstuck.generation_put_back_v1
from public, anon, authenticated, service_role;
grant execute on function unstuck.generation_put_back_v1 to service_role;

--: source website/generation_retry_v1.sql 650765800605
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
  v_actor text := case when p_user_id is null then 'service' else 'user' end;
  v_job unstuck.jobs;
  v_step unstuck.job_steps;
  v_max int;
  v_now timestamptz;
  v_status text;
  v_refunded bigint := 0;
begin
  perform unstuck_private.act_as(v_actor);
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
    -- Another attempt of the same paid job; what it is about is what the record says.
    update unstuck.jobs
    set retries = retries + 1
    where id = p_job_id;
    update unstuck.job_steps s
    set status = 'queued',
      input = v_job.input || s.input,
      lease_until = null,
      claimed_at = null,
      sent_at = null,
      started_at = null,
      not_before = null,
      checked_at = null,
      deadline_at = least(v_now + t.queue_ttl, v_job.expires_at)
    from unstuck.tools t
    where s.job_id = p_job_id
      and s.step = 1
      and t.tool = p_tool;
    perform unstuck_private.job_sync_from_steps(array[p_job_id]);
    insert into unstuck.job_events (
      job_id, step, run, event, from_status, to_status, actor, detail)
    values (
      p_job_id, 1, v_step.run, 'website_retried', 'running', 'queued', v_actor,
      jsonb_build_object('retry', v_job.retries + 1));
  end if;
  return query
  select case when v_status is null then 'retried' else 'closed' end,
    j.user_id, j.status, j.retries, v_refunded, coalesce(a.balance, 0)
  from unstuck.jobs j
  left join unstuck.credit_accounts a using (user_id)
  where j.id = p_job_id;
end $$;

comment on function unstuck.generation_retry_v1 is $c$
Caller: the website functions, for retryHistoryId (p_user_id null: the service; the user is the
record's own).

A stale attempt goes back to the queue, free, retries + 1. outcome retried | closed (no attempt
left: failed and refunded).

Refuses: not_found (also another's or another tool's), already_final, in_progress (also one that
is quarantined).

Replay: in_progress.
$c$;

revoke all on function unstuck.generation_retry_v1 from public, anon, authenticated, service_role;
grant execute on function unstuck.generation_retry_v1 to service_role;

--: source website/generations_stale_v1.sql 1cc7509452c3
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

Websites whose attempt stopped. action retry: reserved for the caller for 45 s, who calls the
function of its tool | failed: no attempt or time left, closed and refunded here. What somebody
else holds is left for the next call; a row on which this fails is quarantined.

remaining: stale ones beyond p_limit.

Replay: what is reserved is not given out again.
$c$;

revoke all on function unstuck.generations_stale_v1 from public, anon, authenticated, service_role;
grant execute on function unstuck.generations_stale_v1 to service_role;

--: source website/is_reserved_attempt.sql 40962d00948e
-- A cleanup was given this stale attempt a moment ago, to call its function.
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

--: source website/is_stale_attempt.sql 06a0329e179a
-- A website's attempt whose worker stopped: it runs, and nobody holds it. Rows written by others
-- have no lease; their deadline says when.
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

--: source website/website_fail.sql f6969e62b11f
-- No attempt or no time left: the website is given up, in the caller's transaction, which has
-- locked account, job and step.
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

--: source website/website_reserve_or_fail.sql fec18aa9cbc9
-- What becomes of a website whose attempt stopped: failed and refunded where no attempt or no time
-- is left, else reserved for whoever asks. Its account, job and step are locked. No row where
-- another cleanup, or its owner, came first, and where its money is odd: then it is quarantined.
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

--: source audit/invariant_violations.sql ad748d10e501
-- A row per offence against DATA's invariants, for the service and admins; empty is healthy.
create view unstuck.invariant_violations
with (security_invoker = true) as
select v.invariant, v.subject, v.detail
from unstuck_private.visible_violations() v;

revoke all on unstuck.invariant_violations from public, anon, authenticated, service_role;
grant select on unstuck.invariant_violations to authenticated, service_role;

--: source queue/provider_load.sql e2dc46278901
-- Each provider's slots and queue at a glance, for the admin page.
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

revoke all on unstuck.provider_load from public, anon, authenticated, service_role;
grant select on unstuck.provider_load to authenticated, service_role;

--: source queue/queue_positions.sql ca53831281a3
-- Who waits where, and for how long yet; for the service and admins.
create view unstuck.queue_positions
with (security_invoker = true) as
select s.job_id, s.provider, s."position", s.eta_seconds
from unstuck_private.visible_positions() s;

revoke all on unstuck.queue_positions from public, anon, authenticated, service_role;
grant select on unstuck.queue_positions to authenticated, service_role;

--: source view/delivered_outputs.sql f1bed57b99f4
-- The picture of each step, for who may see it: its owner once it was delivered (the step
-- completed, and the job did not fail as a whole), an admin and the service. It reads with its
-- owner's rights, so the one protected column is guarded in itself, whatever is asked beside it.
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

--: source view/generation_history.sql 64f1de65b592
-- An older page's jobs: websites.
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

-- Written by nobody but the functions.
create trigger legacy_job_write instead of insert or update or delete on unstuck.generation_history
for each row execute function unstuck_private.legacy_write_refuse();

revoke all on unstuck.generation_history from public, anon, authenticated, service_role;
grant select on unstuck.generation_history to authenticated, service_role;

--: source view/generation_jobs.sql 326df8fa9f5f
-- An older page's jobs: sets of cards.
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

-- Written by nobody but the functions.
create trigger legacy_job_write instead of insert or update or delete on unstuck.generation_jobs
for each row execute function unstuck_private.legacy_write_refuse();

revoke all on unstuck.generation_jobs from public, anon, authenticated, service_role;
grant select on unstuck.generation_jobs to authenticated, service_role;

--: source view/generation_tasks.sql ddd88d7b9b3b
-- An older page's cards: one row a step of a set.
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

-- Written by nobody but the functions.
create trigger legacy_job_write instead of insert or update or delete on unstuck.generation_tasks
for each row execute function unstuck_private.legacy_write_refuse();

revoke all on unstuck.generation_tasks from public, anon, authenticated, service_role;
grant select on unstuck.generation_tasks to authenticated, service_role;

--: source view/job_health.sql 2826b5e37cf1
-- A row per table: what is live there, how old it is, and the three things that should be 0.
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
      -- Asked once for all rows: a place costs the whole queue.
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
  and j.status in ('pending', 'queued', 'starting', 'running')
where (select unstuck_private.may_see(null))
group by t.table_name;

revoke all on unstuck.job_health from public, anon, authenticated, service_role;
grant select on unstuck.job_health to authenticated, service_role;

--: source view/job_receipts.sql c662177fa28a
-- What a job cost and why: every entry of its own. Owners see theirs.
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

revoke all on unstuck.job_receipts from public, anon, authenticated, service_role;
grant select on unstuck.job_receipts to authenticated, service_role;

--: source view/jobs_by_hour.sql 157f140d268f
-- The last 24 hours, a row each, for the admin page.
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

revoke all on unstuck.jobs_by_hour from public, anon, authenticated, service_role;
grant select on unstuck.jobs_by_hour to authenticated, service_role;

--: source view/pose_changer_jobs.sql e5598787dfa0
-- An older page's jobs: the pose changer.
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

revoke all on unstuck.pose_changer_jobs from public, anon, authenticated, service_role;
grant select on unstuck.pose_changer_jobs to authenticated, service_role;
grant insert, update, delete on unstuck.pose_changer_jobs to authenticated;

--: source view/replicate_tasks.sql bc792b0040ea
-- An older page's jobs: the try-on of several garments.
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

-- Written by nobody but the functions.
create trigger legacy_job_write instead of insert or update or delete on unstuck.replicate_tasks
for each row execute function unstuck_private.legacy_write_refuse();

revoke all on unstuck.replicate_tasks from public, anon, authenticated, service_role;
grant select on unstuck.replicate_tasks to authenticated, service_role;

--: source view/upscaler_jobs.sql b0fa14637016
-- An older page's jobs: the picture upscaler.
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

revoke all on unstuck.upscaler_jobs from public, anon, authenticated, service_role;
grant select on unstuck.upscaler_jobs to authenticated, service_role;
grant insert, update, delete on unstuck.upscaler_jobs to authenticated;

--: source view/veste_ai_jobs.sql ea274f5af3ac
-- An older page's jobs: the try-on of one garment.
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

revoke all on unstuck.veste_ai_jobs from public, anon, authenticated, service_role;
grant select on unstuck.veste_ai_jobs to authenticated, service_role;
grant insert, update, delete on unstuck.veste_ai_jobs to authenticated;

--: source view/video_upscaler_jobs.sql 62e1bd3749bf
-- An older page's jobs: the video upscaler.
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

revoke all on unstuck.video_upscaler_jobs from public, anon, authenticated, service_role;
grant select on unstuck.video_upscaler_jobs to authenticated, service_role;
grant insert, update, delete on unstuck.video_upscaler_jobs to authenticated;

--: source policy/read_own_rows.sql 73b1a8bc37e9
-- What the signed-in user reads of the tables: own rows, an admin all. Nobody writes to a table.

create policy tools_read on unstuck.tools
for select to authenticated
using (true);

create policy providers_read on unstuck.providers
for select to authenticated
using (true);

create policy jobs_read on unstuck.jobs
for select to authenticated
using (user_id = (select auth.uid()) or (select unstuck_private.is_admin()));

-- Whoever may read the job: its own policy holds inside.
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

--: source audit/audit_lock_row.sql 1b62666e4d13
insert into unstuck_private.audit_lock
default values
on conflict do nothing;

--: source retention/known_kinds.sql f6af5e31a57b
insert into unstuck.retention (kind, keep)
values
  -- Transitions, once their job is over.
  ('job_events', '90 days'),
  -- What providers called to say, once it is dealt with or its job is over.
  ('webhook_inbox', '7 days'),
  -- A row per run of a healer; the newest finished one always stays.
  ('sweeps', '30 days'),
  -- What users cancelled before it arrived.
  ('cancelled_requests', '1 day'),
  -- What final jobs were asked for: prompts, file names, provider requests.
  ('inputs', '90 days'),
  -- Unpaid rows of older clients that were never ordered.
  ('orphans', '1 day'),
  -- When each user was last served; it counts only beside others who wait.
  ('queue_turns', '1 day'),
  -- What stays of an erased user's jobs while a provider may be told to stop.
  ('erased_jobs', '1 day'),
  -- pg_cron's own record of our job.
  ('cron_runs', '7 days'),
  -- Files; the Storage API deletes them, not SQL.
  ('uploads', '7 days'),
  ('results', null)
on conflict do nothing;

--: source tool/known_providers.sql 5b3b389fc24b
-- One row per provider. An operator's own limits stay when this is applied again.
insert into unstuck.providers (
  provider, max_concurrent, synchronous, signed_webhooks, retried_by_function
)
values
  ('runninghub',  3, false, false, false),
  ('replicate',  10, false, true,  false),
  ('gemini',      5, true,  false, false),
  ('llm',        10, true,  false, true)
on conflict do nothing;

--: source tool/known_tools.sql 73b9d1d5398c
-- One row per tool; `tool` is the name of the function that creates its jobs.
-- An operator's own prices and limits stay when this is applied again.
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

--: source front/app_role.sql a50d9680a46d
-- A front in `public`: the old name, only where nothing else has it.
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

--: source front/cleanup_all_stale_ai_jobs.sql c811c28c4247
-- A front in `public`: the old name, only where nothing else has it.
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

--: source front/consume_upscaler_credits.sql 4aa62d46b00b
-- A front in `public`: the old name, only where nothing else has it.
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

--: source front/credit_grant_v1.sql 0d1a6bc94b88
-- A front in `public`: the old name, only where nothing else has it.
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

--: source front/generation_history.sql 8b07cb00127b
-- A front in `public`: the old name, only where nothing else has it.
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

--: source front/generation_jobs.sql fb641d6a21c6
-- A front in `public`: the old name, only where nothing else has it.
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

--: source front/generation_tasks.sql 99e52d1b13da
-- A front in `public`: the old name, only where nothing else has it.
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

--: source front/has_role.sql b0ca2fcc554a
-- A front in `public`: the old name, only where nothing else has it.
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

--: source front/pose_changer_jobs.sql 1ae586fcfa52
-- A front in `public`: the old name, only where nothing else has it.
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

--: source front/refund_upscaler_credits.sql 8aa50ce3f8af
-- A front in `public`: the old name, only where nothing else has it.
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

--: source front/replicate_tasks.sql 03d77c39dfec
-- A front in `public`: the old name, only where nothing else has it.
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

--: source front/upscaler_jobs.sql 72baf9c0cca0
-- A front in `public`: the old name, only where nothing else has it.
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

--: source front/user_roles.sql 6ed3baf3929b
-- A front in `public`: the old name, only where nothing else has it.
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

--: source front/veste_ai_jobs.sql 70f67267f1bd
-- A front in `public`: the old name, only where nothing else has it.
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

--: source front/video_upscaler_jobs.sql 369094b0d5a2
-- A front in `public`: the old name, only where nothing else has it.
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

--: source platform/cron.sql 4697a3baa72c
-- The second schedule: where pg_cron is installed, the SQL healer runs every minute. Elsewhere the
-- cron of the Workers is the only schedule. Both at once are harmless. This never creates the
-- extension: a database is its owner's.
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

--: source platform/realtime.sql 8bfb27b6caaf
-- Old pages subscribe by Realtime, which views do not feed, so `jobs` is published; its rows stay
-- under row level security. A publication for all tables has it already. Where the publication is
-- somebody else's, installing goes on without it.
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
  'f969b42e7d8dd136e4fbe44353c78055960633206e3de752d27f4f7920a7170c'
);

notify pgrst, 'reload schema';

commit;

-- pg_cron overlooks a schedule among so many changes: it is told once more, by itself.
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
