-- Empties the inputs of final jobs and their steps; the rows stay. Half of p_limit are jobs, half
-- are steps.
create or replace function unstuck_private.prune_inputs(
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
  v_jobs int;
  v_steps int;
begin
  update unstuck.jobs j
  set input = '{}'
  where j.ctid = any (array(
    select o.ctid
    from unstuck.jobs o
    where o.completed_at < p_before and o.input <> '{}'
    order by o.completed_at
    limit (p_limit + 1) / 2
    offset p_skip
    for update skip locked
  ));
  get diagnostics v_jobs = row_count;
  update unstuck.job_steps s
  set input = '{}'
  where s.ctid = any (array(
    select o.ctid
    from unstuck.job_steps o
    where o.completed_at < p_before
      and o.input <> '{}'
      and (select j.completed_at < p_before from unstuck.jobs j where j.id = o.job_id)
    order by o.completed_at
    limit (p_limit + 1) / 2
    offset p_skip
    for update skip locked
  ));
  get diagnostics v_steps = row_count;
  return v_jobs + v_steps;
end $$;

revoke all on function unstuck_private.prune_inputs from public, anon, authenticated, service_role;
