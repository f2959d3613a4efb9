-- Deletes webhooks from before p_before whose job is final or gone, applied or not: they can change
-- nothing any more.
create or replace function unstuck_private.prune_webhook_inbox(
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
  delete from unstuck.webhook_inbox w
  where w.ctid = any (array(
    select o.ctid
    from unstuck.webhook_inbox o
    where o.received_at < p_before
      and coalesce(
        (select unstuck_private.is_final(j.status) from unstuck.jobs j where j.id = o.job_id),
        true
      )
    order by o.received_at
    limit p_limit
    offset p_skip
    for update skip locked
  ));
  get diagnostics v_pruned = row_count;
  return v_pruned;
end $$;

revoke all on function unstuck_private.prune_webhook_inbox
from public, anon, authenticated, service_role;
