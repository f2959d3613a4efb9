-- Locks up to p_limit waiting steps of a provider with their jobs, in the order in which they are
-- claimed, and returns their keys. It skips what another transaction has locked. Of a tool whose
-- circuit is open, the first one is let through when its time has come.
create or replace function unstuck_private.steps_pick(
  p_provider text,
  p_now timestamptz,
  p_limit int
)
returns table (job_id uuid, step int, "position" bigint)
language plpgsql
-- The planner expects a few rows, not a thousand.
rows 5
set search_path = ''
as
$$
declare
  v_trials text[] := array(
    select t.tool
    from unstuck.tools t
    where t.circuit_open_until is not null
  );
begin
  return query
  with ready as materialized (
    select *
    from unstuck_private.queue_order(p_provider, p_now) o
    where o.ready
  )
  select s.job_id, s.step, q."position"
  from (
    -- Up to 100 more than there are slots: some of them may be locked.
    select *
    from ready r
    where r.tool <> all (v_trials)
      or r."position" in (
        select min(f."position")
        from ready f
        where f.tool = any (v_trials)
        group by f.tool
      )
    order by r."position"
    limit p_limit + 100
  ) q
  join unstuck.jobs j on j.id = q.job_id
  join unstuck.job_steps s
    on s.job_id = q.job_id
    and s.step = q.step
  where s.status = 'queued'
    and unstuck_private.is_live(j.status)
  order by q."position"
  limit p_limit
  for update of j, s skip locked;
end $$;

revoke all on function unstuck_private.steps_pick from public, anon, authenticated, service_role;
