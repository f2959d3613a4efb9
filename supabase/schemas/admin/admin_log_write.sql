-- Writes a row of `admin_log` with the actor and the reason that `act_as_admin` stored for this
-- transaction. The actor is null where no admin acts, as at a change by SQL.
create or replace function unstuck_private.admin_log_write(
  p_act text,
  p_subject text,
  p_from jsonb,
  p_to jsonb
)
returns void
language sql
set search_path = ''
as
$$
  insert into unstuck.admin_log (actor, act, subject, "from", "to", reason)
  values (
    substring(current_setting('unstuck.actor', true) from '^admin:([0-9a-f-]{36})$')::uuid,
    p_act,
    p_subject,
    p_from,
    p_to,
    nullif(current_setting('unstuck.reason', true), '')
  )
$$;

revoke all on function unstuck_private.admin_log_write
from public, anon, authenticated, service_role;
