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

-- A healer looks for webhooks that nobody has applied.
create index webhook_inbox_open on unstuck.webhook_inbox (provider, received_at)
where applied_at is null;

comment on table unstuck.webhook_inbox is $c$
Every authentic webhook of a provider, once. One that comes before its step knows the provider's
task is kept and applied later. It is pruned a week after, once its job is final.
$c$;

alter table unstuck.webhook_inbox enable row level security;
revoke all on unstuck.webhook_inbox from public, anon, authenticated, service_role;
revoke all on sequence unstuck.webhook_inbox_id_seq from public, anon, authenticated, service_role;
grant select on unstuck.webhook_inbox to service_role;
