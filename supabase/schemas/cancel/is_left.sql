-- True for a job that waits for a page that counts as left. An order is a word of its page too: one
-- that came after the page counted as left waits as long as a silent page may, and for good where
-- the page never said that it stays. A job that was at work waits for no page when it is retried,
-- because its page said that it may be closed; nor does one that an admin retried. A refusal for
-- capacity is no attempt.
create or replace function unstuck_private.is_left(p_job unstuck.jobs, p_now timestamptz)
returns boolean
language sql
stable
set search_path = ''
as
$$
  select p_job.status in ('pending', 'queued')
    and p_job.retry_of is null
    and not exists (
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
    )
$$;

revoke all on function unstuck_private.is_left from public, anon, authenticated, service_role;
