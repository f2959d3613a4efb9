-- Deletes events from before p_before whose job is final or gone.
create or replace function unstuck_private.prune_job_events(
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
  delete from unstuck.job_events e
  where e.ctid = any (array(
    select o.ctid
    from unstuck.job_events o
    where o.at < p_before
      -- A subquery per row gives one plan, whatever the tables' statistics say.
      and coalesce(
        (select unstuck_private.is_final(j.status) from unstuck.jobs j where j.id = o.job_id),
        true
      )
    order by o.at
    limit p_limit
    offset p_skip
    for update skip locked
  ));
  get diagnostics v_pruned = row_count;
  return v_pruned;
end $$;

revoke all on function unstuck_private.prune_job_events
from public, anon, authenticated, service_role;
