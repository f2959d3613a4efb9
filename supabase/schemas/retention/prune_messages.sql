-- Deletes the messages that were sent before `p_before`, and the ends of jobs from before it that
-- no receiver took. Alerts that are still owed stay.
create or replace function unstuck_private.prune_messages(
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
  delete from unstuck.messages_owed m
  where m.ctid = any (array(
    select o.ctid
    from unstuck.messages_owed o
    where o.sent_at < p_before
      or (o.kind = 'job_end' and o.sent_at is null and o.created_at < p_before)
    order by o.created_at
    limit p_limit
    offset p_skip
    for update skip locked
  ));
  get diagnostics v_pruned = row_count;
  return v_pruned;
end $$;

revoke all on function unstuck_private.prune_messages
from public, anon, authenticated, service_role;
