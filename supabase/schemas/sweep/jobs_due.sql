-- Which of these jobs are over, and how they end. The only place that knows the clocks' rules
-- (DATA, "Clocks"). Times are compared with what lies before now: a time by hand may be so far
-- off that nothing can be added to it.
create or replace function unstuck_private.jobs_due(p_now timestamptz, p_ids uuid[])
returns table (job_id uuid, user_id uuid, status text, code text, message text)
language sql
stable
set search_path = ''
as
$$
  with judged as (
    select c.*, s.*, w.*, i.sql_wait,
      coalesce(c.started_at, c.created_at) <= p_now - l.lifetime
        -- An admin's requeue begins its time anew.
        and not exists (
          select
          from unstuck.job_events e
          where e.job_id = c.id
            and e.event = 'job_requeued'
            and e.at > p_now - l.lifetime
        ) as too_old
    from unnest(p_ids) as n (id)
    join unstuck.jobs c on c.id = n.id
    join unstuck.tools t using (tool)
    join unstuck.providers tp on tp.provider = t.provider
    cross join unstuck_private.intervals() i
    cross join lateral (
      select
        count(*) as steps,
        count(*) filter (where st.status = 'completed') as done,
        count(*) filter (where not unstuck_private.is_final(st.status)) as live,
        count(*) filter (where st.status in ('starting', 'running')) as working,
        -- Somebody else still has work at an asynchronous provider: SQL waits 3 minutes for an
        -- edge healer to ask.
        bool_or(
          st.status in ('starting', 'running')
          and st.sent_at is not null
          and st.provider_done_at is null
          and not p.synchronous
        ) as asked,
        bool_or(
          st.status in ('starting', 'running')
          and p.synchronous
          and st.lease_until > p_now
        ) as held,
        -- Goes back to the queue instead (`steps_rescue`).
        bool_or(p_now < c.expires_at and unstuck_private.can_requeue(st, t, p)) as rescuable,
        -- Left for the cleanup that calls the tool's function; SQL cannot, and waits 3 minutes
        -- past the deadline for it.
        bool_or(
          p_now < c.expires_at
          and st.status = 'running'
          and p.retried_by_function
          and st.provider_done_at is null
          and st.lease_until is not null
          and st.attempts < t.attempt_max
        ) as retryable,
        bool_or(
          st.provider_done_at is not null
          and not unstuck_private.is_final(st.status)
        ) as undelivered,
        min(st.deadline_at) filter (where st.status in ('starting', 'running')) as working_deadline
      from unstuck.job_steps st
      join unstuck.providers p using (provider)
      where st.job_id = c.id
    ) s
    -- A paid row is no orphan, whatever word it carries: it waits like a queued one.
    cross join lateral (
      select
        c.status = 'pending'
          and c.request_hash is null
          and not exists (
            select
            from unstuck.credit_entries e
            where e.job_id = c.id
              and e.kind = 'debit'
          ) as orphan,
        coalesce(c.queued_at, c.created_at) <= p_now - t.queue_ttl as waited_out
    ) w
    cross join lateral (
      select least(
        case when s.steps = 0 then t.run_timeout
          else unstuck_private.tool_lifetime(t, tp, c.total_steps)
        end,
        interval '100 years') as lifetime
    ) l
    where unstuck_private.is_live(c.status)
      and c.quarantined_at is null
      and not exists (
        select
        from unstuck_private.unhealed u
        where u.job_id = c.id
          and u.retry_at > p_now
      )
  )
  select j.id, j.user_id,
    case
      when j.orphan then 'cancelled'
      when j.refund_rule = 'per_step' and j.done > 0 then 'completed'
      else 'failed'
    end,
    case
      when j.orphan then 'ORPHANED'
      when j.undelivered then 'DELIVERY_FAILED'
      when j.status in ('pending', 'queued') and j.steps > 0 then 'QUEUE_TIMEOUT'
      else 'TIMEOUT'
    end,
    case
      when j.orphan then 'never started; nothing was charged.'
      when j.undelivered then 'the result could not be stored.'
      else format('%s after %s.',
        case when j.status in ('pending', 'queued') then 'not started' else 'no result' end,
        unstuck_private.minutes_text(unstuck_private.minutes_between(
          coalesce(j.started_at, j.queued_at, j.created_at), p_now)))
    end
  from judged j
  where case
    when j.too_old then true
    when j.deadline_at > p_now then false
    when j.status = 'pending' then j.orphan or j.waited_out
    when j.steps = 0 or j.live = 0 then true
    when j.expires_at <= p_now then
      not coalesce(j.asked, false)
      or coalesce(j.working_deadline, j.expires_at) <= p_now - j.sql_wait
    when j.working = 0 then true
    when j.asked then least(j.working_deadline, j.deadline_at) <= p_now - j.sql_wait
    when j.held or j.rescuable then false
    when j.retryable then j.working_deadline <= p_now - j.sql_wait
    else j.working_deadline <= p_now
  end
$$;

revoke all on function unstuck_private.jobs_due from public, anon, authenticated, service_role;
