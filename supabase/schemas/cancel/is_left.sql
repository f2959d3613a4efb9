-- True for a pending or queued job whose page counts as left: it waits for nobody, and a healer
-- cancels it.
--
-- A job that was ordered after its page had counted as left shows that the page is open. It waits
-- for 150 seconds (`session_silence`) if the page has ever said that it stays, and otherwise for
-- good. Never left are a job that an admin retried, and one that was at work before: its page said
-- that it may be closed. A submit that was refused for capacity does not count as work.
create or replace function unstuck_private.is_left(p_job unstuck.jobs, p_now timestamptz)
returns boolean
language plpgsql
stable
set search_path = ''
-- Planning would cost more than the work.
set plan_cache_mode = force_generic_plan
as
$$
begin
  if p_job.status not in ('pending', 'queued')
    or p_job.session_id is null
    or p_job.retry_of is not null
  then
    return false;
  end if;
  return not exists (
      select from unstuck.job_events e
      where e.job_id = p_job.id and e.event = 'job_requeued'
    )
    and not exists (
      select from unstuck.job_steps w
      where w.job_id = p_job.id and (w.attempts > 0 or w.rescues > 0)
    )
    and exists (
      select from unstuck.sessions s
      where s.user_id = p_job.user_id
        and s.id = p_job.session_id
        and s.left_at <= p_now
        and (
          coalesce(p_job.queued_at, p_job.created_at) <= s.left_at
          or s.seen_at is not null
            and coalesce(p_job.queued_at, p_job.created_at)
              <= p_now - unstuck_private.session_silence()
        )
    );
end $$;

revoke all on function unstuck_private.is_left from public, anon, authenticated, service_role;
