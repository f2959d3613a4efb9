-- Deletes the errors of writes to the app's tables that were mended before `p_before`.
create or replace function unstuck_private.prune_projection_errors(
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
  delete from unstuck.projection_errors e
  where e.ctid = any (array(
    select o.ctid
    from unstuck.projection_errors o
    where o.mended_at < p_before
    order by o.mended_at
    limit p_limit
    offset p_skip
    for update skip locked
  ));
  get diagnostics v_pruned = row_count;
  return v_pruned;
end $$;

revoke all on function unstuck_private.prune_projection_errors
from public, anon, authenticated, service_role;
