-- Refuses `p_actor` with 403, forbidden, unless the user is an admin now. Otherwise stores the
-- actor and the reason (trimmed, at most 1,000 characters) for this transaction, where
-- `admin_log_write` reads them. The admin functions call it before they act.
create or replace function unstuck_private.act_as_admin(p_actor uuid, p_reason text) returns void
language plpgsql
set search_path = ''
as
$$
begin
  if p_actor is null or not unstuck.has_role(p_actor, 'admin') then
    perform unstuck_private.refuse(403, 'forbidden');
  end if;
  perform unstuck_private.act_as('admin:' || p_actor);
  perform set_config('unstuck.reason', left(coalesce(trim(p_reason), ''), 1000), true);
end $$;

revoke all on function unstuck_private.act_as_admin from public, anon, authenticated, service_role;
