-- Returns the rows of the view `queue_positions` to those who may see the rows of all users
-- (`may_see`); nobody else gets a row.
create or replace function unstuck_private.visible_positions()
returns table (job_id uuid, provider text, "position" int, eta_seconds int)
language sql
stable
security definer
set search_path = ''
as
$$
  select q.job_id, p.provider, q."position", q.eta_seconds
  from unstuck.providers p
  cross join lateral unstuck_private.provider_positions(p.provider) q
  where (select unstuck_private.may_see(null))
$$;

revoke all on function unstuck_private.visible_positions
from public, anon, authenticated, service_role;
grant execute on function unstuck_private.visible_positions to authenticated, service_role;
