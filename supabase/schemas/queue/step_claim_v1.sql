create or replace function unstuck.step_claim_v1(p_provider text, p_limit int)
returns table (
  job_id uuid,
  step int,
  run bigint,
  tool text,
  user_id uuid,
  attempts int,
  input jsonb,
  previous_output_url text,
  run_ms int
)
language plpgsql
security definer
set search_path = ''
set statement_timeout = '10s'
as
$$
declare
  v_provider unstuck.providers;
  v_free int;
  v_now timestamptz;
begin
  perform unstuck_private.act_as('worker');
  -- Slots are counted from rows under this lock. An ordinary `for update` would block the foreign
  -- keys' checks and deadlock with enqueue.
  select p.*
  into v_provider
  from unstuck.providers p
  where p.provider = p_provider
  for no key update;
  if not found or not v_provider.enabled then
    return;
  end if;
  v_now := clock_timestamp();
  select v_provider.max_concurrent - count(*)
  into v_free
  from unstuck.job_steps s
  where s.provider = p_provider
    and unstuck_private.holds_slot(s);
  v_free := least(v_free, greatest(p_limit, 0));
  if v_free <= 0 then
    return;
  end if;
  return query
  with picked as (
    select s.job_id, s.step, q."position"
    from (
      -- A few more than there are slots: somebody may hold a lock on one of them.
      select *
      from unstuck_private.queue_order(p_provider, v_now) o
      where o.ready
      order by o."position"
      limit v_free + 100
    ) q
    join unstuck.jobs j on j.id = q.job_id
    join unstuck.job_steps s
      on s.job_id = q.job_id
      and s.step = q.step
    where s.status = 'queued'
      and unstuck_private.is_live(j.status)
    order by q."position"
    limit v_free
    for update of j, s skip locked
  ),
  claimed as (
    update unstuck.job_steps s set
      status = case when v_provider.synchronous then 'running' else 'starting' end,
      run = s.run + 1,
      claimed_at = v_now,
      sent_at = null,
      provider_task_id = null,
      checked_at = null,
      not_before = null,
      attempts = s.attempts + v_provider.synchronous::int,
      started_at = case when v_provider.synchronous then v_now end,
      lease_until = case
        when v_provider.synchronous then v_now + i.lease
        else v_now + t.start_timeout
      end,
      deadline_at = least(
        case
          when v_provider.synchronous then v_now + t.run_timeout
          else v_now + t.start_timeout
        end,
        j.expires_at
      )
    from picked p, unstuck.jobs j, unstuck.tools t, unstuck_private.intervals() i
    where s.job_id = p.job_id
      and s.step = p.step
      and j.id = s.job_id
      and t.tool = j.tool
    returning
      s.job_id,
      s.step,
      s.run,
      j.tool,
      j.user_id,
      s.attempts,
      s.input,
      s.deadline_at,
      p."position",
      greatest(least(v_now + t.run_timeout, j.expires_at), v_now) - v_now as run_for
  ),
  turn as (
    -- Users served together go to the end of the line in the order in which they were served.
    insert into unstuck_private.queue_turns as u (provider, user_id, served_at)
    select p_provider, c.user_id, v_now + max(c."position") * interval '1 microsecond'
    from claimed c
    group by c.user_id
    on conflict on constraint queue_turns_pkey do update set
      served_at = excluded.served_at
  ),
  job as (
    update unstuck.jobs j set
      status = case
        when v_provider.synchronous or j.status = 'running' then 'running'
        else 'starting'
      end,
      started_at = case
        when v_provider.synchronous then coalesce(j.started_at, v_now)
        else j.started_at
      end,
      waited_in_queue = j.waited_in_queue
        or coalesce(j.queued_at, j.created_at) < v_now - interval '2 seconds',
      current_step = case
        when t.step_order = 'sequential' then c.step
        else j.current_step
      end,
      deadline_at = c.deadline_at
    from (
      select c.job_id, max(c.step) as step, min(c.deadline_at) as deadline_at
      from claimed c
      group by c.job_id
    ) c, unstuck.tools t
    where j.id = c.job_id
      and t.tool = j.tool
    returning j.id
  )
  select
    c.job_id,
    c.step,
    c.run,
    c.tool,
    c.user_id,
    c.attempts,
    c.input,
    (
      select pr.output_url
      from unstuck.job_steps pr
      where pr.job_id = c.job_id
        and pr.step = c.step - 1
    ),
    ceil(extract(epoch from c.run_for) * 1000)::int
  from claimed c
  join job on job.id = c.job_id;
end $$;

comment on function unstuck.step_claim_v1 is $c$
Caller: whatever dispatches a provider's work.

Effect: takes up to p_limit waiting steps in fair order while slots are free. Each gets a new run
and a lease; the answer names the picture that the step before made and for how long the step may
work.

Refuses: nothing; no rows where nothing may start.

Replay: takes the next ones.
$c$;

revoke all on function unstuck.step_claim_v1 from public, anon, authenticated, service_role;
grant execute on function unstuck.step_claim_v1 to service_role;
