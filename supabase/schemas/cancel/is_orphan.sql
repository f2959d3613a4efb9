-- True for a pending or queued job that has waited since before `p_before`, that nobody ordered or
-- paid for, and that no worker has claimed.
create or replace function unstuck_private.is_orphan(p_job unstuck.jobs, p_before timestamptz)
returns boolean
language plpgsql
stable
set search_path = ''
-- Planning would cost more than the work.
set plan_cache_mode = force_generic_plan
as
$$
begin
  return p_job.status in ('pending', 'queued')
    and p_job.quarantined_at is null
    and p_job.request_hash is null
    and p_job.started_at is null
    and coalesce(p_job.queued_at, p_job.created_at) <= p_before
    and not exists (
      select
      from unstuck.credit_entries e
      where e.job_id = p_job.id
        and e.kind = 'debit'
    )
    and not exists (
      select
      from unstuck.job_steps s
      where s.job_id = p_job.id
        and (s.provider_task_id is not null or s.claimed_at is not null)
    );
end $$;

revoke all on function unstuck_private.is_orphan from public, anon, authenticated, service_role;
