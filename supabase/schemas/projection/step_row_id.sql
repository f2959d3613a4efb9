-- Returns the id of the app's row for a step, the same for every write.
create or replace function unstuck_private.step_row_id(p_step unstuck.job_steps) returns uuid
language sql
immutable
as
$$
  select md5(p_step.job_id || '/' || p_step.step)::uuid
$$;

revoke all on function unstuck_private.step_row_id from public, anon, authenticated, service_role;
