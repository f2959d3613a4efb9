-- Steps whose lease ran out and that go back to the queue: handed over but never sent (a rescue), or a synchronous
-- attempt whose worker died. Websites are left for their own cleanup, which calls the function with the service key.
create or replace function unstuck_private.steps_rescue(p_now timestamptz, p_user_id uuid, p_limit int) returns int
language plpgsql
set search_path = ''
as
$$
declare v_jobs uuid[]; v_count int;
begin
  with due as (
    select s.job_id, s.step
    from unstuck.job_steps s
    join unstuck.jobs j on j.id = s.job_id
    join unstuck.tools t using (tool)
    join unstuck.providers p on p.provider = s.provider
    where s.status in ('starting', 'running') and s.lease_until <= p_now and j.expires_at > p_now and j.quarantined_at is null
      and (p_user_id is null or j.user_id = p_user_id)
      and ((s.status = 'starting' and s.sent_at is null and s.rescues < 3)
        or (s.status = 'running' and p.synchronous and s.provider <> 'llm' and s.provider_done_at is null and s.attempts < t.attempt_max))
    order by s.job_id, s.step limit p_limit
    for update of j, s skip locked
  ), back as (
    update unstuck.job_steps s set status = 'queued', lease_until = null, claimed_at = null, started_at = null, sent_at = null,
      rescues = s.rescues + (s.status = 'starting')::int, deadline_at = least(p_now + t.queue_ttl, j.expires_at)
    from due d, unstuck.jobs j, unstuck.tools t
    where s.job_id = d.job_id and s.step = d.step and j.id = s.job_id and t.tool = j.tool
    returning s.job_id
  )
  select array_agg(distinct b.job_id), count(*) into v_jobs, v_count from back b;
  perform unstuck_private.job_sync_from_steps(v_jobs);
  return v_count;
end $$;

revoke all on function unstuck_private.steps_rescue from public, anon, authenticated, service_role;
