-- One row for each subject that is or was watched: whether it is bad, a sentence about it, and what
-- the receiver of alerts was last told about it.
create table unstuck_private.alert_states (
  subject text primary key,
  code text not null,
  is_bad boolean not null,
  words text not null,
  -- When it last changed between good and bad.
  since timestamptz not null,
  -- Null: the receiver knows of nothing bad.
  told_bad_at timestamptz,
  -- When the receiver was last told anything.
  told_at timestamptz
);

alter table unstuck_private.alert_states enable row level security;
revoke all on unstuck_private.alert_states from public, anon, authenticated, service_role;
