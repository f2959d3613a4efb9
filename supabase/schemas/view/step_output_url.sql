-- A picture is shown to its owner once it was delivered: its step completed, and the job did not fail as a whole.
create or replace function unstuck_private.step_output_url(p_job_id uuid, p_step int) returns text
language sql
stable
security definer
set search_path = ''
as
$$
  select s.output_url from unstuck.job_steps s join unstuck.jobs j on j.id = s.job_id
  where s.job_id = p_job_id and s.step = p_step and s.status = 'completed'
    and (j.refund_rule = 'per_step' or j.status = 'completed') and unstuck_private.may_see(j.user_id)
$$;

revoke all on function unstuck_private.step_output_url from public, anon, authenticated, service_role;
grant execute on function unstuck_private.step_output_url to authenticated, service_role;
