-- Admits an admin, by the role that the database has now, and names the actor and the reason of
-- this transaction for whoever writes `admin_log`.
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
