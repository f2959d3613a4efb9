-- Its only row is locked by the healer that audits, so that no change is audited by two at once.
create table unstuck_private.audit_lock (
  only_one boolean primary key default true check (only_one),
  audited_at timestamptz
);

alter table unstuck_private.audit_lock enable row level security;
revoke all on unstuck_private.audit_lock from public, anon, authenticated, service_role;
