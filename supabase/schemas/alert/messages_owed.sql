create table unstuck.messages_owed (
  id uuid primary key default gen_random_uuid(),
  -- `alert`: something turned bad, is still bad, or is good again. `job_end`: a job ended.
  kind text not null,
  -- The receiver's name. Its address is a setting of the Workers, which this database never sees.
  "to" text not null,
  body jsonb not null,
  -- When it is sent, or sent once more.
  due_at timestamptz not null default clock_timestamp(),
  tries int not null default 0,
  sent_at timestamptz,
  created_at timestamptz not null default clock_timestamp(),
  -- When nobody had taken it for so long that it is sent no more. Alerts are never given up.
  given_up_at timestamptz,
  -- Whose job it tells of.
  user_id uuid
);

create index messages_owed_by_due on unstuck.messages_owed (due_at)
where sent_at is null and given_up_at is null;

create index messages_owed_by_sent on unstuck.messages_owed (sent_at)
where sent_at is not null;

create index messages_owed_by_age on unstuck.messages_owed (created_at)
where kind = 'job_end' and sent_at is null;

create index messages_owed_by_user on unstuck.messages_owed (user_id)
where user_id is not null;

comment on table unstuck.messages_owed is $c$
What must be told to somebody outside. A row is owed until its receiver took it, the end of a job
for a day at most, and is sent at least once, normally once: the receiver knows a repeated one by
its id.
$c$;

alter table unstuck.messages_owed enable row level security;
revoke all on unstuck.messages_owed from public, anon, authenticated, service_role;
grant select on unstuck.messages_owed to service_role;
