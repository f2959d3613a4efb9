-- Deletes the cancelled orders from before `p_before`.
create or replace function unstuck_private.prune_cancelled_requests(
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
  delete from unstuck.cancelled_requests c
  where c.ctid = any (array(
    select o.ctid
    from unstuck.cancelled_requests o
    where o.at < p_before
    order by o.at
    limit p_limit
    offset p_skip
    for update skip locked
  ));
  get diagnostics v_pruned = row_count;
  return v_pruned;
end $$;

revoke all on function unstuck_private.prune_cancelled_requests
from public, anon, authenticated, service_role;
