-- Deletes the turns of users who have no live job: such a user comes back to the queue like a new
-- one.
create or replace function unstuck_private.prune_queue_turns(
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
  delete from unstuck_private.queue_turns q
  where q.ctid = any (array(
    select o.ctid
    from unstuck_private.queue_turns o
    where o.served_at < p_before
      and not exists (
        select from unstuck.jobs j
        where j.user_id = o.user_id
          and unstuck_private.is_live(j.status)
      )
    order by o.served_at
    limit p_limit
    offset p_skip
    for update skip locked
  ));
  get diagnostics v_pruned = row_count;
  return v_pruned;
end $$;

revoke all on function unstuck_private.prune_queue_turns
from public, anon, authenticated, service_role;
