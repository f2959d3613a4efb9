-- Requeues the steps of these jobs, which are locked, whose lease ended and that `can_requeue`
-- allows, and returns how many. A job on which this fails is found by halves and quarantined,
-- unless the failure was no fault of its row, such as a lock.
create or replace function unstuck_private.steps_requeue(p_now timestamptz, p_ids uuid[])
returns int
language plpgsql
set search_path = ''
as
$$
declare
  v_half int := cardinality(p_ids) / 2;
  v_jobs uuid[];
begin
  if p_ids = '{}' then
    return 0;
  end if;
  begin
    with back as (
      update unstuck.job_steps s
      set status = 'queued',
        lease_until = null,
        claimed_at = null,
        started_at = null,
        sent_at = null,
        rescues = s.rescues + (s.status = 'starting')::int,
        deadline_at = least(p_now + t.queue_ttl, j.expires_at)
      from unstuck.jobs j
      join unstuck.tools t using (tool)
      cross join unstuck.providers p
      where s.job_id = any (p_ids)
        and s.status in ('starting', 'running')
        and s.lease_until <= p_now
        and j.id = s.job_id
        and p.provider = s.provider
        and unstuck_private.can_requeue(s, t, p)
        and unstuck_private.is_live(j.status)
        and j.quarantined_at is null
        and not exists (
          select
          from unstuck_private.unhealed u
          where u.job_id = j.id
            and u.retry_at > p_now
        )
      returning s.job_id
    )
    select array_agg(b.job_id)
    into v_jobs
    from back b;
    perform unstuck_private.job_sync_from_steps(v_jobs);
    return coalesce(cardinality(v_jobs), 0);
  exception
    when lock_not_available or transaction_rollback or insufficient_resources or system_error then
      if v_half = 0 then
        return 0;
      end if;
    when others then
      if v_half = 0 then
        perform unstuck_private.jobs_quarantine(p_ids, sqlerrm);
        return 0;
      end if;
  end;
  return unstuck_private.steps_requeue(p_now, p_ids[:v_half])
    + unstuck_private.steps_requeue(p_now, p_ids[v_half + 1:]);
end $$;

revoke all on function unstuck_private.steps_requeue from public, anon, authenticated, service_role;
