-- The tables of DATA: what a tool is, what a user paid for (job), one piece of work at a provider (step), the ledger.
-- Nothing here decides; rules live in the functions of the later migrations. Constraints hold what Postgres can hold.

create schema if not exists private;
revoke all on schema private from public;

-- A new function must not become a public RPC by accident, whatever the project's defaults are.
alter default privileges revoke execute on functions from public;
alter default privileges in schema public revoke all on functions from anon, authenticated, service_role;
alter default privileges in schema public revoke all on tables from anon, authenticated, service_role;
alter default privileges in schema public revoke all on sequences from anon, authenticated, service_role;

do $$
begin
  if to_regtype('public.app_role') is null then
    create type public.app_role as enum ('admin', 'moderator', 'user');
  end if;
end $$;

create table if not exists public.user_roles (
  user_id uuid not null,
  role public.app_role not null,
  primary key (user_id, role)
);

create table if not exists public.providers (
  provider text primary key,
  max_concurrent int not null check (max_concurrent >= 0),
  enabled boolean not null default true,
  -- A synchronous provider answers with the result; its worker holds a lease while the call runs.
  synchronous boolean not null default false,
  -- Unsigned webhooks are hints: running steps are also asked for every 30 s.
  signed_webhooks boolean not null default false,
  limit_changed_at timestamptz not null default '-infinity'
);

create table if not exists public.tools (
  tool text primary key,
  table_name text not null check (table_name in ('upscaler_jobs', 'video_upscaler_jobs', 'pose_changer_jobs',
    'veste_ai_jobs', 'generation_jobs', 'replicate_tasks', 'generation_history')),
  provider text not null references public.providers,
  credit_cost int not null check (credit_cost >= 0),
  priced_per text not null default 'job' check (priced_per in ('job', 'step')),
  step_order text not null default 'sequential' check (step_order in ('sequential', 'parallel')),
  refund_rule text not null default 'all' check (refund_rule in ('all', 'per_step')),
  exclusive_group text,
  start_timeout interval not null default '25 seconds' check (start_timeout > '0'),
  run_timeout interval not null default '10 minutes' check (run_timeout > '0'),
  queue_ttl interval not null default '10 minutes' check (queue_ttl > '0'),
  attempt_max int not null default 3 check (attempt_max >= 1),
  user_cancel_running boolean not null default false,
  enabled boolean not null default true
);

create table if not exists public.jobs (
  id uuid primary key default gen_random_uuid(),
  tool text not null references public.tools,
  user_id uuid not null,
  session_id text,
  status text not null default 'pending' check (status in ('pending', 'queued', 'starting', 'running', 'completed', 'failed', 'cancelled')),
  credits_charged int not null default 0 check (credits_charged >= 0),
  credits_refunded int not null default 0,
  refund_rule text not null check (refund_rule in ('all', 'per_step')),
  exclusive_key text,
  input jsonb not null default '{}',
  output jsonb,
  output_url text,
  error_code text check (error_code in ('TIMEOUT', 'QUEUE_TIMEOUT', 'PROVIDER_REJECTED', 'PROVIDER_FAILED', 'CONTENT_REFUSED',
    'DELIVERY_FAILED', 'CANCELLED', 'INSUFFICIENT_CREDITS', 'CREDIT_ERROR', 'ORPHANED')),
  error_message text,
  total_steps int not null default 1 check (total_steps >= 1),
  current_step int not null default 0,
  retries int not null default 0,
  waited_in_queue boolean not null default false,
  retry_of uuid references public.jobs,
  request_hash text,
  created_at timestamptz not null default clock_timestamp(),
  queued_at timestamptz,
  started_at timestamptz,
  updated_at timestamptz not null default clock_timestamp(),
  deadline_at timestamptz not null,
  expires_at timestamptz not null,
  completed_at timestamptz,
  -- A sweep met a row whose money does not agree with the ledger: kept for an operator, blocks nobody.
  set_aside_at timestamptz,
  constraint jobs_refund_within_charge check (credits_refunded between 0 and credits_charged),
  constraint jobs_completed_at_iff_final check ((completed_at is not null) = (status in ('completed', 'failed', 'cancelled'))),
  constraint jobs_error_message_names_code check (error_code is null or error_message like error_code || ':%')
);
create unique index if not exists jobs_one_live_per_exclusive_key on public.jobs (exclusive_key)
  where exclusive_key is not null and status in ('queued', 'starting', 'running');
create unique index if not exists jobs_one_live_retry on public.jobs (retry_of)
  where retry_of is not null and status in ('pending', 'queued', 'starting', 'running');
create index if not exists jobs_by_user on public.jobs (user_id, created_at desc);
create index if not exists jobs_by_created on public.jobs (created_at desc);
create index if not exists jobs_live_by_deadline on public.jobs (deadline_at, id)
  where status in ('pending', 'queued', 'starting', 'running');
create index if not exists jobs_live_by_age on public.jobs ((coalesce(started_at, created_at)), id)
  where status in ('pending', 'queued', 'starting', 'running');
create index if not exists jobs_live_by_user on public.jobs (user_id)
  where status in ('pending', 'queued', 'starting', 'running');
create index if not exists jobs_by_update on public.jobs (updated_at);

create table if not exists public.job_steps (
  job_id uuid not null references public.jobs on delete cascade,
  step int not null check (step >= 1),
  status text not null default 'queued' check (status in ('blocked', 'queued', 'starting', 'running', 'completed', 'failed', 'cancelled')),
  provider text not null references public.providers,
  provider_task_id text,
  run bigint not null default 0,
  attempts int not null default 0,
  rescues int not null default 0,
  share int not null default 0 check (share >= 0),
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
create index if not exists job_steps_queued on public.job_steps (provider) where status = 'queued';
create index if not exists job_steps_slots on public.job_steps (provider) where status in ('starting', 'running') and provider_done_at is null;
create index if not exists job_steps_working on public.job_steps (lease_until) where status in ('starting', 'running');
create index if not exists job_steps_cancel_due on public.job_steps (provider) where provider_cancel_due <> '[]';
create index if not exists job_steps_durations on public.job_steps (provider, completed_at desc) where status = 'completed';

create table if not exists public.job_events (
  id bigint generated always as identity primary key,
  job_id uuid not null,
  step int,
  run bigint,
  at timestamptz not null default clock_timestamp(),
  event text not null,
  from_status text,
  to_status text,
  actor text,
  detail jsonb
);
create index if not exists job_events_by_job on public.job_events (job_id, id);

-- No foreign key to auth.users: a deleted user's jobs still close.
create table if not exists public.credit_accounts (
  user_id uuid primary key,
  balance int not null default 0 check (balance >= 0)
);

create table if not exists public.credit_entries (
  id bigint generated always as identity primary key,
  user_id uuid not null,
  job_id uuid,
  step int,
  kind text not null check (kind in ('grant', 'debit', 'refund', 'adjustment')),
  amount int not null,
  balance_after int not null,
  reason text,
  idempotency_key text unique,
  created_at timestamptz not null default clock_timestamp(),
  constraint credit_entries_sign check (case kind when 'debit' then amount < 0 when 'adjustment' then amount <> 0 else amount > 0 end)
);
create unique index if not exists credit_entries_once_per_job on public.credit_entries (job_id, step, kind) nulls not distinct
  where kind in ('debit', 'refund') and job_id is not null;
create unique index if not exists credit_entries_one_debit on public.credit_entries (job_id) where kind = 'debit' and job_id is not null;
create index if not exists credit_entries_by_user on public.credit_entries (user_id, id);

create table if not exists public.cancelled_requests (
  user_id uuid not null,
  job_id uuid not null,
  at timestamptz not null default clock_timestamp(),
  primary key (user_id, job_id)
);

create table if not exists public.webhook_inbox (
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
create index if not exists webhook_inbox_open on public.webhook_inbox (job_id, step) where applied_at is null;

create table if not exists public.sweeps (
  id bigint generated always as identity primary key,
  source text not null,
  started_at timestamptz not null default clock_timestamp(),
  finished_at timestamptz,
  cleaned int not null default 0,
  refunded_credits int not null default 0,
  requeued int not null default 0,
  delivered int not null default 0,
  stuck int,
  violations int
);
create index if not exists sweeps_finished on public.sweeps (finished_at desc) where finished_at is not null;

insert into public.providers (provider, max_concurrent, synchronous, signed_webhooks) values
  ('runninghub', 3, false, false), ('replicate', 10, false, true), ('gemini', 5, true, false), ('llm', 10, true, false)
on conflict do nothing;

-- One row per tool; `tool` is the name of the function that creates its jobs. A tool whose function is not there yet is
-- disabled: its table name, limits and old rows are known, nobody can order it.
insert into public.tools (tool, table_name, provider, credit_cost, priced_per, step_order, refund_rule, exclusive_group, run_timeout, queue_ttl, enabled) values
  ('runninghub-upscaler', 'upscaler_jobs', 'runninghub', 60, 'job', 'sequential', 'all', 'runninghub', '10 minutes', '10 minutes', true),
  ('runninghub-video-upscaler', 'video_upscaler_jobs', 'runninghub', 120, 'job', 'sequential', 'all', 'runninghub', '15 minutes', '60 minutes', true),
  ('runninghub-pose-changer', 'pose_changer_jobs', 'runninghub', 60, 'job', 'sequential', 'all', 'runninghub', '10 minutes', '10 minutes', true),
  ('runninghub-veste-ai', 'veste_ai_jobs', 'runninghub', 60, 'job', 'sequential', 'all', 'runninghub', '10 minutes', '10 minutes', true),
  ('create-generation-job-banana', 'generation_jobs', 'gemini', 10, 'step', 'parallel', 'per_step', null, '10 minutes', '10 minutes', true),
  ('replicate-async-start', 'replicate_tasks', 'replicate', 40, 'step', 'sequential', 'all', null, '10 minutes', '10 minutes', true),
  ('generate-website', 'generation_history', 'llm', 50, 'job', 'sequential', 'all', null, '10 minutes', '10 minutes', true),
  ('generate-react-website', 'generation_history', 'llm', 80, 'job', 'sequential', 'all', null, '10 minutes', '10 minutes', true),
  ('generate-php-website', 'generation_history', 'llm', 80, 'job', 'sequential', 'all', null, '10 minutes', '10 minutes', true)
on conflict do nothing;

do $$
declare v_table text;
begin
  foreach v_table in array array['user_roles', 'providers', 'tools', 'jobs', 'job_steps', 'job_events', 'credit_accounts',
    'credit_entries', 'cancelled_requests', 'webhook_inbox', 'sweeps'] loop
    execute format('alter table public.%I enable row level security', v_table);
    execute format('revoke all on public.%I from public, anon, authenticated, service_role', v_table);
  end loop;
end $$;
