-- Returns a job of any tool as a JSON object with the same keys and the same words for its status,
-- as its owner and the app's back end see it. While the job waits because its provider refuses more
-- steps, its error is PROVIDER_BUSY.
create or replace function unstuck_private.job_shown(p_job unstuck.jobs) returns jsonb
language plpgsql
stable
set search_path = ''
-- Planning would cost more than the work.
set plan_cache_mode = force_generic_plan
as
$$
declare
  v_tool unstuck.tools;
  v_place record;
  v_is_busy boolean := false;
  v_waits boolean := p_job.status in ('pending', 'queued');
begin
  select t.*
  into v_tool
  from unstuck.tools t
  where t.tool = p_job.tool;
  select p."position", p.eta_seconds
  into v_place
  from unstuck_private.job_position(p_job.id) p
  where v_waits;
  if v_waits then
    v_is_busy := unstuck_private.waits_for_capacity(p_job);
  end if;
  return jsonb_build_object(
    'id', p_job.id,
    'tool', p_job.tool,
    'status', unstuck_private.public_status(p_job.status),
    'position', v_place."position",
    'etaSeconds', case when v_waits then coalesce(v_place.eta_seconds, 0) end,
    'creditsCharged', p_job.credits_charged,
    'creditsRefunded', p_job.credits_refunded,
    'outputs', unstuck_private.job_outputs(p_job, v_tool),
    'error', case
      when v_is_busy then unstuck_private.public_error(
        'PROVIDER_BUSY', 'the provider is full; the job keeps its turn.')
      else unstuck_private.public_error(p_job.error_code, p_job.error_message)
    end,
    'createdAt', p_job.created_at,
    'startedAt', p_job.started_at,
    'completedAt', p_job.completed_at
  );
end $$;

revoke all on function unstuck_private.job_shown from public, anon, authenticated, service_role;
