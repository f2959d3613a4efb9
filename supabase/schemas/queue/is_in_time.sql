-- True while a queued step may still start: its deadline has not passed, or is paused because
-- another step of its job is at work (`is_at_work`). It fixes no search_path, so that the planner
-- inlines it.
create or replace function unstuck_private.is_in_time(
  p_step unstuck.job_steps,
  p_now timestamptz
)
returns boolean
language sql
stable
as
$$
  select p_step.deadline_at > p_now or unstuck_private.is_at_work(p_step.job_id)
$$;

revoke all on function unstuck_private.is_in_time from public, anon, authenticated, service_role;
