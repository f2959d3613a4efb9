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
  enabled boolean not null default true,
  -- The circuit of the tool's own app or model, with the columns of `providers`.
  account_faults int not null default 0,
  circuit_open_until timestamptz,
  circuit_opened_at timestamptz,
  circuit_reason text,
  circuit_closed_at timestamptz not null default '-infinity',
  -- What an attempt costs us at the provider, in credits. Null: nobody has said.
  provider_cost numeric
    check (provider_cost >= 0)
);

comment on table unstuck.tools is $c$
What is sold: one row per tool. `tool` is the name of the function that creates its jobs.
$c$;

alter table unstuck.tools enable row level security;
revoke all on unstuck.tools from public, anon, authenticated, service_role;
grant select on unstuck.tools to service_role;
-- Everything but what we pay.
grant select (
  tool, table_name, provider, credit_cost, priced_per, step_order, refund_rule, exclusive_group,
  start_timeout, run_timeout, queue_ttl, attempt_max, user_cancel_running, enabled,
  account_faults, circuit_open_until, circuit_opened_at, circuit_reason, circuit_closed_at
) on unstuck.tools to authenticated;
-- Everything but the circuit.
grant select (
  tool, table_name, provider, credit_cost, priced_per, step_order, refund_rule, exclusive_group,
  start_timeout, run_timeout, queue_ttl, attempt_max, user_cancel_running, enabled
) on unstuck.tools to anon;
