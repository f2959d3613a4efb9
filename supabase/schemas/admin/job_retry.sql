-- Retries a job that `job_lock` has locked, for an admin, and returns the id of the retry.
--
-- A live job with a step past its lease or deadline is requeued (`job_restart`) under its own id;
-- any other live job is refused with in_progress, and so is a pending or quarantined one. A final
-- job is repeated as the new job `p_new_job_id` (`job_repeat`). If that job was made before, or if
-- another retry of the old job is live, `is_new` is false, that retry is returned and nothing is
-- written.
create or replace function unstuck_private.job_retry(
  p_job unstuck.jobs,
  p_charge boolean,
  p_new_job_id uuid,
  out job_id uuid,
  out is_new boolean
)
language plpgsql
set search_path = ''
as
$$
declare
  v_tool unstuck.tools;
  v_now timestamptz := clock_timestamp();
begin
  select *
  into v_tool
  from unstuck.tools t
  where t.tool = p_job.tool;
  is_new := true;
  if unstuck_private.is_live(p_job.status) then
    -- The steps of a quarantined job have ended: an admin cancels it first, then retries it.
    if p_job.status = 'pending'
      or p_job.quarantined_at is not null
      or not exists (
        select
        from unstuck.job_steps s
        where s.job_id = p_job.id
          and not unstuck_private.is_final(s.status)
          and (
            s.lease_until <= v_now
            -- The deadline of a queued step is paused while another step is at work.
            or s.deadline_at <= v_now
              and not (s.status = 'queued' and unstuck_private.is_in_time(s, v_now))
          )
      )
    then
      perform unstuck_private.refuse(
        409, 'in_progress',
      jsonb_build_object('status', unstuck_private.public_status(p_job.status)));
    end if;
    perform unstuck_private.job_restart(p_job, v_tool, v_now);
    job_id := p_job.id;
    return;
  end if;
  select j.id
  into job_id
  from unstuck.jobs j
  where j.retry_of = p_job.id
    and (j.id = p_new_job_id or unstuck_private.is_live(j.status))
  order by j.id = p_new_job_id desc
  limit 1;
  is_new := not found;
  if is_new then
    perform unstuck_private.job_repeat(p_job, v_tool, p_charge, p_new_job_id);
    job_id := p_new_job_id;
  end if;
end $$;

revoke all on function unstuck_private.job_retry from public, anon, authenticated, service_role;
