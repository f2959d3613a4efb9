-- True where the caller is of another deployment than the database, or a Worker of another one was
-- refused in the ten minutes before p_now.
create or replace function unstuck_private.is_deployment_wrong(p_now timestamptz) returns boolean
language sql
stable
set search_path = ''
as
$$
  select unstuck_private.other_deployment() is not null
    or exists (
      select from unstuck_private.deployment_alarms a
      where a.last_at > p_now - interval '10 minutes'
    )
$$;

revoke all on function unstuck_private.is_deployment_wrong
from public, anon, authenticated, service_role;
