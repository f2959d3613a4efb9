-- Returns which of these jobs must end now, because they ran out of time or wait for a page that
-- left, and how each ends. Only this function knows these rules (`has_due_jobs` asks only whether
-- one may apply); docs/data-model.md tells them in words under "Clocks". Intervals are subtracted
-- from now and never added to a stored time, which may have been written by hand and be too far off
-- for that.
create or replace function unstuck_private.jobs_due(p_now timestamptz, p_ids uuid[])
returns table (job_id uuid, user_id uuid, status text, code text, message text)
language sql
stable
set search_path = ''
as
$$
  with judged as (
    select c.*, s.*, i.sql_wait,
      coalesce(c.started_at, c.created_at) <= p_now - s.lifetime
        -- An admin's requeue restarts the count.
        and not exists (
          select from unstuck.job_events e
          where e.job_id = c.id and e.event = 'job_requeued'
            and e.at > p_now - s.lifetime
        ) as too_old,
      -- A paid row is no orphan, even a pending one: it waits like a queued one.
      c.status = 'pending'
        and c.request_hash is null
        and not exists (
          select from unstuck.credit_entries e
          where e.job_id = c.id and e.kind = 'debit'
        ) as orphan,
      coalesce(c.queued_at, c.created_at) <= p_now - t.queue_ttl as waited_out,
      unstuck_private.is_left(c, p_now) as is_left
    from unnest(p_ids) as n (id)
    join unstuck.jobs c on c.id = n.id
    join unstuck.tools t using (tool)
    join unstuck.providers tp on tp.provider = t.provider
    cross join unstuck_private.intervals() i
    cross join lateral unstuck_private.job_steps_summary(c, t, tp, p_now) s
    where unstuck_private.is_live(c.status)
      and c.quarantined_at is null
      and not exists (
        select from unstuck_private.unhealed u
        where u.job_id = c.id and u.retry_at > p_now
      )
  )
  select j.id, j.user_id,
    case
      when j.is_left or j.orphan then 'cancelled'
      when j.refund_rule = 'per_step' and j.done > 0 then 'completed'
      else 'failed'
    end,
    case
      when j.is_left then 'CANCELLED'
      when j.orphan then 'ORPHANED'
      when j.undelivered then 'DELIVERY_FAILED'
      when j.status in ('pending', 'queued') and j.steps > 0 then 'QUEUE_TIMEOUT'
      else 'TIMEOUT'
    end,
    case
      when j.is_left then 'the page was closed.'
      when j.orphan then 'never started; nothing was charged.'
      when j.undelivered then 'the result could not be stored.'
      else unstuck_private.timeout_message(
        j.status in ('pending', 'queued'),
        coalesce(j.started_at, j.queued_at, j.created_at),
        p_now)
    end
  from judged j
  where case
    when j.too_old or j.is_left then true
    when j.deadline_at > p_now then false
    when j.status = 'pending' then j.orphan or j.waited_out
    when j.steps = 0 or j.live = 0 then true
    when j.expires_at <= p_now then
      not coalesce(j.at_provider, false)
      or coalesce(j.working_deadline, j.expires_at) <= p_now - j.sql_wait
    when j.working = 0 then true
    when j.at_provider then least(j.working_deadline, j.deadline_at) <= p_now - j.sql_wait
    when j.leased or j.rescuable then false
    when j.retryable then j.working_deadline <= p_now - j.sql_wait
    else j.working_deadline <= p_now
  end
$$;

revoke all on function unstuck_private.jobs_due from public, anon, authenticated, service_role;
