-- A synchronous step with no attempt left fails alone where its siblings may still finish.
create or replace function unstuck_private.steps_fail_exhausted(p_now timestamptz, p_user_id uuid, p_limit int)
returns table (job_id uuid, tool text, status text, refunded bigint)
language plpgsql
set search_path = ''
as
$$
#variable_conflict use_column
declare v_row record; v_job unstuck.jobs; v_step unstuck.job_steps;
begin
  for v_row in
    select s.job_id, s.step, s.run, j.user_id
    from unstuck.job_steps s
    join unstuck.jobs j on j.id = s.job_id
    join unstuck.tools t using (tool)
    join unstuck.providers p on p.provider = s.provider
    where s.status = 'running' and p.synchronous and s.provider <> 'llm' and s.lease_until <= p_now and s.provider_done_at is null
      and s.attempts >= t.attempt_max and j.quarantined_at is null and (p_user_id is null or j.user_id = p_user_id)
    order by j.user_id, s.job_id, s.step limit p_limit
  loop
    v_job := unstuck_private.job_lock(v_row.job_id);
    v_step := unstuck_private.step_lock(v_row.job_id, v_row.step, v_row.run);
    continue when v_step.job_id is null or v_step.lease_until > p_now;
    return query select v_job.id, v_job.tool, g.job_status, g.refunded
    from unstuck_private.step_fail(v_job, v_row.step, 'TIMEOUT', format('no answer after %s attempts.', v_step.attempts)) g;
  end loop;
end $$;

revoke all on function unstuck_private.steps_fail_exhausted from public, anon, authenticated, service_role;
