create table unstuck.admin_log (
  id bigint generated always as identity primary key,
  at timestamptz not null default clock_timestamp(),
  -- Null: a change by SQL.
  actor uuid,
  act text not null,
  subject text,
  "from" jsonb,
  "to" jsonb,
  reason text
);

create index admin_log_by_time on unstuck.admin_log (at desc);

create index admin_log_by_subject on unstuck.admin_log (subject, id desc);

create index admin_log_by_act on unstuck.admin_log (act, id desc);

comment on table unstuck.admin_log is $c$
What admins did, and each change of a price, a tool or a provider, by whomever. Written in the
transaction of the act, append-only for everybody, kept for ever.
$c$;

alter table unstuck.admin_log enable row level security;
revoke all on unstuck.admin_log from public, anon, authenticated, service_role;
revoke all on sequence unstuck.admin_log_id_seq from public, anon, authenticated, service_role;
grant select on unstuck.admin_log to service_role;
grant select on unstuck.admin_log to authenticated;
