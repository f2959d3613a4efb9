-- Deletes the passes that began before `p_before`, except the newest finished one, which health
-- shows.
create or replace function unstuck_private.prune_sweeps(
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
  v_newest bigint;
  v_pruned int;
begin
  select s.id
  into v_newest
  from unstuck.sweeps s
  where s.finished_at is not null
  order by s.finished_at desc
  limit 1;
  delete from unstuck.sweeps s
  where s.ctid = any (array(
    select o.ctid
    from unstuck.sweeps o
    where o.started_at < p_before and o.id is distinct from v_newest
    order by o.started_at
    limit p_limit
    offset p_skip
    for update skip locked
  ));
  get diagnostics v_pruned = row_count;
  return v_pruned;
end $$;

revoke all on function unstuck_private.prune_sweeps from public, anon, authenticated, service_role;
