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

create index webhook_inbox_open on unstuck.webhook_inbox (job_id, step) where applied_at is null;

alter table unstuck.webhook_inbox enable row level security;
revoke all on unstuck.webhook_inbox from public, anon, authenticated, service_role;
grant select on unstuck.webhook_inbox to service_role;
