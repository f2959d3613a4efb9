-- Deletes pages that counted as left before p_before.
create or replace function unstuck_private.prune_sessions(
  p_before timestamptz,
  p_limit int,
  p_skip int
)
returns int
language plpgsql
set search_path = ''
set plan_cache_mode = 'force_custom_plan'
as
$$
declare
  v_pruned int;
begin
  delete from unstuck.sessions s
  where s.ctid = any (array(
    select o.ctid
    from unstuck.sessions o
    where o.left_at < p_before
    order by o.left_at
    limit p_limit
    offset p_skip
    for update skip locked
  ));
  get diagnostics v_pruned = row_count;
  return v_pruned;
end $$;

revoke all on function unstuck_private.prune_sessions
from public, anon, authenticated, service_role;
