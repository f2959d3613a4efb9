-- Returns the name of the column of the app's table that holds the job's user; null where the
-- projection writes none.
create or replace function unstuck_private.projection_owner(p_projection unstuck.projections)
returns text
language sql
immutable
as
$$
  select min(c.key)
  from jsonb_each(p_projection.columns) c
  where coalesce(c.value ->> 'once', c.value #>> '{}') = 'j.user_id'
$$;

revoke all on function unstuck_private.projection_owner
from public, anon, authenticated, service_role;
