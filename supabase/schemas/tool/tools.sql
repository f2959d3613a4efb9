create table unstuck.tools (
  tool text primary key,
  table_name text not null check (table_name in ('upscaler_jobs', 'video_upscaler_jobs', 'pose_changer_jobs',
    'veste_ai_jobs', 'generation_jobs', 'replicate_tasks', 'generation_history')),
  provider text not null references unstuck.providers,
  credit_cost bigint not null check (credit_cost >= 0),
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

alter table unstuck.tools enable row level security;
revoke all on unstuck.tools from public, anon, authenticated, service_role;
grant select on unstuck.tools to service_role;
grant select on unstuck.tools to authenticated;
