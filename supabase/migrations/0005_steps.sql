-- What workers may do to a step: claim, sent, started, requeue, heartbeat, done, complete, fail, checked. Each is one
-- transaction, fenced by the step's run; a stale run changes no state. Never decides what a provider meant.

create or replace function public.step_claim_v1(p_provider text, p_limit int)
returns table (job_id uuid, step int, run bigint, tool text, user_id uuid, attempts int, input jsonb, previous_output_url text, run_ms int)
language plpgsql set search_path = '' set statement_timeout = '10s' as
$$
#variable_conflict use_column
declare v_provider public.providers; v_free int; v_now timestamptz;
begin
  perform private.act_as('worker');
  -- Slots are counted from rows under this lock. An ordinary `for update` would block foreign keys and deadlock with enqueue.
  select * into v_provider from public.providers where provider = p_provider for no key update;
  if not found or not v_provider.enabled then return; end if;
  v_now := clock_timestamp();
  select v_provider.max_concurrent - count(*) into v_free from public.job_steps s
  where s.provider = p_provider and s.status in ('starting', 'running') and s.provider_done_at is null;
  v_free := least(v_free, greatest(p_limit, 0));
  if v_free <= 0 then return; end if;
  return query
  with picked as (
    select s.job_id, s.step, q.place
    -- A few more than are free: somebody may be at one of them.
    from (select * from private.queue_order(p_provider, v_now) o where o.ready order by o.place limit v_free + 100) q
    join public.jobs j on j.id = q.job_id
    join public.job_steps s on s.job_id = q.job_id and s.step = q.step
    where s.status = 'queued' and private.is_live(j.status)
    order by q.place limit v_free
    for update of j, s skip locked
  ), claimed as (
    update public.job_steps s set
      status = case when v_provider.synchronous then 'running' else 'starting' end,
      run = s.run + 1, claimed_at = v_now, sent_at = null, provider_task_id = null, checked_at = null, not_before = null,
      attempts = s.attempts + v_provider.synchronous::int,
      started_at = case when v_provider.synchronous then v_now end,
      lease_until = case when v_provider.synchronous then v_now + i.lease else v_now + t.start_timeout end,
      deadline_at = least(case when v_provider.synchronous then v_now + t.run_timeout else v_now + t.start_timeout end, j.expires_at)
    from picked p, public.jobs j, public.tools t, private.intervals() i
    where s.job_id = p.job_id and s.step = p.step and j.id = s.job_id and t.tool = j.tool
    returning s.job_id, s.step, s.run, j.tool, j.user_id, s.attempts, s.input, s.deadline_at, p.place,
      greatest(least(t.run_timeout, j.expires_at - v_now), '0') as run_for
  ), turn as (
    -- Those served together go to the end of the line in the order in which they were served.
    insert into private.queue_turns as u (provider, user_id, served_at)
    select p_provider, c.user_id, v_now + max(c.place) * interval '1 microsecond' from claimed c group by c.user_id
    on conflict (provider, user_id) do update set served_at = excluded.served_at
  ), job as (
    update public.jobs j set
      status = case when v_provider.synchronous or j.status = 'running' then 'running' else 'starting' end,
      started_at = case when v_provider.synchronous then coalesce(j.started_at, v_now) else j.started_at end,
      waited_in_queue = j.waited_in_queue or v_now - coalesce(j.queued_at, j.created_at) > interval '2 seconds',
      current_step = case when t.step_order = 'sequential' then c.step else j.current_step end,
      deadline_at = c.deadline_at
    from (select c.job_id, max(c.step) as step, min(c.deadline_at) as deadline_at from claimed c group by c.job_id) c, public.tools t
    where j.id = c.job_id and t.tool = j.tool
    returning j.id
  )
  select c.job_id, c.step, c.run, c.tool, c.user_id, c.attempts, c.input,
    (select pr.output_url from public.job_steps pr where pr.job_id = c.job_id and pr.step = c.step - 1),
    ceil(extract(epoch from c.run_for) * 1000)::int
  from claimed c join job on job.id = c.job_id;
end $$;
comment on function public.step_claim_v1 is 'Caller: whatever dispatches work of a provider. Takes up to p_limit waiting steps in fair order while slots are free; each gets a new run, the picture that the step before made, and how long it may work. Empty when nothing may start. Replay: a second call takes the next ones.';

create or replace function public.steps_waiting_v1(p_provider text)
returns table (waiting int, may_start int)
language sql stable set search_path = '' set statement_timeout = '5s' as
$$
  select q.waiting::int, case when p.enabled then greatest(least(q.ready, p.max_concurrent - l.live), 0) else 0 end::int
  from public.providers p
  cross join lateral (
    select count(*) as live from public.job_steps s
    where s.provider = p.provider and s.status in ('starting', 'running') and s.provider_done_at is null
  ) l
  cross join lateral (
    select count(*) as waiting, count(*) filter (where o.ready) as ready from private.queue_order(p.provider, clock_timestamp()) o
  ) q
  where p.provider = p_provider
$$;
comment on function public.steps_waiting_v1 is 'Caller: a worker of a synchronous provider at its end, and whoever may have freed a slot. How many steps wait, retries included, and how many a claim would take now. One row per known provider.';

-- The step of a live run, its job locked first. Null fields where the run is stale or the step final.
create or replace function private.step_lock(p_job_id uuid, p_step int, p_run bigint) returns public.job_steps
language plpgsql set search_path = '' as
$$
declare v_step public.job_steps;
begin
  perform 1 from public.jobs where id = p_job_id for update;
  select * into v_step from public.job_steps where job_id = p_job_id and step = p_step and run = p_run
    and status in ('starting', 'running') for update;
  if not found then return null; end if;
  return v_step;
end $$;

create or replace function public.step_sent_v1(p_job_id uuid, p_step int, p_run bigint)
returns table (applied boolean)
language plpgsql set search_path = '' set statement_timeout = '10s' as
$$
declare v_step public.job_steps; v_now timestamptz;
begin
  perform private.act_as('worker');
  v_step := private.step_lock(p_job_id, p_step, p_run);
  if v_step.status is distinct from 'starting' or v_step.sent_at is not null then
    return query select false; return;
  end if;
  v_now := clock_timestamp();
  update public.job_steps s set sent_at = v_now, attempts = s.attempts + 1, lease_until = v_now + t.start_timeout,
    deadline_at = least(v_now + t.run_timeout, j.expires_at)
  from public.jobs j join public.tools t using (tool)
  where s.job_id = p_job_id and s.step = p_step and j.id = s.job_id;
  perform private.job_follow(array[p_job_id]);
  return query select true;
end $$;
comment on function public.step_sent_v1 is 'Caller: dispatch, before the request leaves. From here on the step counts as sent. applied = false: stale or sent already, do not submit.';

create or replace function public.step_started_v1(p_job_id uuid, p_step int, p_run bigint, p_task_id text)
returns table (outcome text, webhook_waiting boolean)
language plpgsql set search_path = '' set statement_timeout = '10s' as
$$
#variable_conflict use_column
declare v_step public.job_steps; v_waiting boolean;
begin
  perform private.act_as('worker');
  perform 1 from public.jobs where id = p_job_id for update;
  select * into v_step from public.job_steps where job_id = p_job_id and step = p_step for update;
  if not found or coalesce(p_task_id, '') = '' then return query select 'stale', false; return; end if;
  v_waiting := exists (select from public.webhook_inbox w where w.job_id = p_job_id and w.step = p_step and w.run = p_run and w.applied_at is null);
  if v_step.run = p_run and v_step.status in ('starting', 'running') and coalesce(v_step.provider_task_id, p_task_id) = p_task_id then
    begin
      -- A webhook may have come first: then a copier holds the lease.
      update public.job_steps s set status = 'running', provider_task_id = p_task_id,
        lease_until = case when s.provider_done_at is not null then s.lease_until end,
        started_at = coalesce(s.started_at, clock_timestamp()), checked_at = coalesce(s.checked_at, clock_timestamp())
      where s.job_id = p_job_id and s.step = p_step;
    exception when unique_violation then  -- another step's task: a webhook sent to the wrong address
      return query select 'stale', false; return;
    end;
    perform private.job_follow(array[p_job_id]);
    return query select 'running', v_waiting; return;
  end if;
  if v_step.provider_task_id = p_task_id or v_step.provider_cancel_due @> jsonb_build_array(jsonb_build_object('task_id', p_task_id)) then
    return query select 'stale', v_waiting; return;
  end if;
  -- The provider works for a step that is closed, or for an older run: it is owed a cancel.
  update public.job_steps s set provider_cancel_due = s.provider_cancel_due || jsonb_build_object('task_id', p_task_id, 'run', p_run)
  where s.job_id = p_job_id and s.step = p_step;
  return query select 'cancel_due', v_waiting;
end $$;
comment on function public.step_started_v1 is 'Caller: dispatch, or whoever learns the task id of a step whose answer was lost. outcome running | cancel_due (closed meanwhile: cancel at the provider) | stale. Replay: same task id: running again.';

create or replace function public.step_requeue_v1(p_job_id uuid, p_step int, p_run bigint, p_kind text, p_delay_ms int, p_error_code text, p_error_message text)
returns table (outcome text, refunded int)
language plpgsql set search_path = '' set statement_timeout = '10s' as
$$
#variable_conflict use_column
declare v_job public.jobs; v_step public.job_steps; v_tool public.tools; v_at timestamptz;
begin
  perform private.act_as('worker');
  if p_kind not in ('capacity', 'transient') then perform private.refuse(400, 'bad_request'); end if;
  v_job := private.job_lock(p_job_id);
  v_step := private.step_lock(p_job_id, p_step, p_run);
  -- What the provider finished is not put back, whoever says so late.
  if v_step.job_id is null or v_step.provider_done_at is not null then return query select 'stale', 0; return; end if;
  select * into v_tool from public.tools where tool = v_job.tool;
  v_at := clock_timestamp() + make_interval(secs => greatest(p_delay_ms, 0) / 1000.0);
  if v_at >= v_job.expires_at or (p_kind = 'transient' and v_step.attempts >= v_tool.attempt_max) then
    return query select 'failed', f.refunded from private.step_give_up(v_job, p_step, p_error_code, p_error_message) f; return;
  end if;
  -- A refusal for capacity is not an attempt.
  update public.job_steps s set status = 'queued', sent_at = null, started_at = null, claimed_at = null, lease_until = null,
    provider_task_id = null, not_before = v_at, attempts = greatest(s.attempts - (p_kind = 'capacity')::int, 0),
    error_code = p_error_code, error_message = p_error_code || ': ' || p_error_message,
    deadline_at = least(v_at + v_tool.queue_ttl, v_job.expires_at)
  where s.job_id = p_job_id and s.step = p_step;
  perform private.job_follow(array[p_job_id]);
  return query select 'queued', 0;
end $$;
comment on function public.step_requeue_v1 is 'Caller: dispatch, when the provider refused for capacity or failed in passing. Back to queued with not_before, holding no slot; past attempt_max or expires_at: failed and refunded. outcome queued | failed | stale.';

-- A step that is given up: the whole job (rule all), or its own share (rule per_step). Account and job are locked.
create or replace function private.step_give_up(p_job public.jobs, p_step int, p_code text, p_message text)
returns table (job_status text, refunded int)
language plpgsql set search_path = '' as
$$
#variable_conflict use_column
declare v_share int := 0; v_open boolean; v_any boolean;
begin
  if p_job.refund_rule = 'all' then
    return query select c.status, c.refunded from private.jobs_close(array[p_job.id], array['failed'], array[p_code], array[p_message]) c;
    return;
  end if;
  update public.job_steps s set status = 'failed', error_code = p_code, error_message = p_code || ': ' || p_message,
    completed_at = clock_timestamp(), lease_until = null, provider_cancel_due = private.cancel_due_with(s)
  where s.job_id = p_job.id and s.step = p_step returning s.share into v_share;
  select bool_or(not private.is_final(s.status)), bool_or(s.status = 'completed') into v_open, v_any
  from public.job_steps s where s.job_id = p_job.id;
  if not v_open then
    return query select c.status, c.refunded from private.jobs_close(array[p_job.id],
      array[case when v_any then 'completed' else 'failed' end], array[p_code], array[p_message]) c;
    return;
  end if;
  if v_share > 0 and exists (select from public.credit_entries e where e.job_id = p_job.id and e.kind = 'debit') then
    insert into public.credit_entries (user_id, job_id, step, kind, amount, reason)
    values (p_job.user_id, p_job.id, p_step, 'refund', v_share, p_code);
    update public.jobs set credits_refunded = credits_refunded + v_share where id = p_job.id;
  else
    v_share := 0;
  end if;
  -- Waiting siblings' time did not run while this one worked.
  update public.job_steps s set deadline_at = least(clock_timestamp() + t.queue_ttl, p_job.expires_at)
  from public.tools t where s.job_id = p_job.id and s.status = 'queued' and t.tool = p_job.tool;
  perform private.job_follow(array[p_job.id]);
  return query select 'running', v_share;
end $$;

create or replace function public.step_heartbeat_v1(p_job_id uuid, p_step int, p_run bigint)
returns table (applied boolean, lease_ms int)
language plpgsql set search_path = '' set statement_timeout = '5s' as
$$
declare v_lease timestamptz;
begin
  update public.job_steps s set lease_until = least(clock_timestamp() + i.lease, s.deadline_at)
  from private.intervals() i
  where s.job_id = p_job_id and s.step = p_step and s.run = p_run and s.status = 'running' and s.lease_until > clock_timestamp()
  returning s.lease_until into v_lease;
  return query select v_lease is not null, coalesce(extract(epoch from v_lease - clock_timestamp()) * 1000, 0)::int;
end $$;
comment on function public.step_heartbeat_v1 is 'Caller: a worker while a synchronous call or a copy runs. Renews the lease, never past the deadline. applied = false: the lease is lost, abort.';

create or replace function public.step_done_v1(p_job_id uuid, p_step int, p_run bigint, p_task_id text, p_output jsonb)
returns table (outcome text, run bigint)
language plpgsql set search_path = '' set statement_timeout = '10s' as
$$
#variable_conflict use_column
declare v_step public.job_steps; v_expires timestamptz; v_older boolean; v_same boolean;
begin
  perform private.act_as('worker');
  select expires_at into v_expires from public.jobs where id = p_job_id for update;
  select * into v_step from public.job_steps where job_id = p_job_id and step = p_step for update;
  if not found or p_run > v_step.run or v_step.status = 'blocked' then return query select 'stale', p_run; return; end if;
  if private.is_final(v_step.status) then
    if v_step.status <> 'completed' then
      insert into public.job_events (job_id, step, run, event, from_status, to_status, actor, detail)
      select p_job_id, p_step, p_run, 'late_success', v_step.status, v_step.status, 'worker', jsonb_build_object('task_id', p_task_id, 'output', p_output)
      where not exists (select from public.job_events e where e.job_id = p_job_id and e.step = p_step and e.run = p_run and e.event = 'late_success');
      -- Finished: nothing is left to cancel there.
      update public.job_steps s set provider_cancel_due = private.cancel_due_without(s.provider_cancel_due, p_task_id)
      where s.job_id = p_job_id and s.step = p_step and s.provider_cancel_due <> '[]';
    end if;
    return query select 'late', p_run; return;
  end if;
  v_older := p_run < v_step.run;
  v_same := coalesce(v_step.provider_task_id, p_task_id) is not distinct from coalesce(p_task_id, v_step.provider_task_id);
  -- Never claimed; not this run's task; somebody copies already; another task's result was taken.
  if v_step.run = 0 or (not v_older and not v_same)
     or (v_step.provider_done_at is not null and (v_step.lease_until > clock_timestamp() or not v_same))
     or exists (select from public.job_steps o where o.provider = v_step.provider and o.provider_task_id = p_task_id
       and (o.job_id, o.step) <> (p_job_id, p_step)) then
    return query select 'stale', v_step.run; return;
  end if;
  -- A success of an older run, or of one that was put back, is paid work: it is taken, and whoever works on a newer run
  -- becomes stale.
  update public.job_steps s set status = 'running', run = s.run + v_older::int,
    provider_cancel_due = case when v_older and s.provider_task_id is distinct from p_task_id and s.provider_task_id is not null
      then s.provider_cancel_due || jsonb_build_object('task_id', s.provider_task_id, 'run', s.run)
      else private.cancel_due_without(s.provider_cancel_due, p_task_id) end,
    provider_task_id = coalesce(p_task_id, s.provider_task_id), output = p_output, not_before = null,
    sent_at = coalesce(s.sent_at, clock_timestamp()), started_at = coalesce(s.started_at, s.sent_at, clock_timestamp()),
    provider_done_at = coalesce(s.provider_done_at, clock_timestamp()),
    lease_until = clock_timestamp() + i.lease, deadline_at = v_expires
  from private.intervals() i
  where s.job_id = p_job_id and s.step = p_step
  returning s.run into p_run;
  perform private.job_follow(array[p_job_id]);
  return query select 'copy', p_run;
end $$;
comment on function public.step_done_v1 is 'Caller: whoever learned, by query, that the provider finished. Frees the slot and takes the copy lease. outcome copy (with the run to go on with) | late (closed meanwhile: recorded, nothing changes) | stale (not this run''s task, or another copier is at it).';

create or replace function private.cancel_due_without(p_due jsonb, p_task_id text) returns jsonb
language sql immutable as
$$ select coalesce(jsonb_agg(d), '[]') from jsonb_array_elements(p_due) d where d ->> 'task_id' is distinct from p_task_id $$;

create or replace function public.step_complete_v1(p_job_id uuid, p_step int, p_run bigint, p_output jsonb, p_output_url text)
returns table (outcome text, job_status text, refunded int)
language plpgsql set search_path = '' set statement_timeout = '10s' as
$$
#variable_conflict use_column
declare v_job public.jobs; v_step public.job_steps; v_now timestamptz;
begin
  perform private.act_as('worker');
  v_job := private.job_lock(p_job_id);
  v_step := private.step_lock(p_job_id, p_step, p_run);
  if v_step.status is distinct from 'running' then
    return query select case when exists (select from public.job_steps s where s.job_id = p_job_id and s.step = p_step and s.run >= p_run
      and private.is_final(s.status)) then 'late' else 'stale' end, v_job.status, 0; return;
  end if;
  v_now := clock_timestamp();
  update public.job_steps s set status = 'completed', completed_at = v_now, provider_done_at = coalesce(s.provider_done_at, v_now),
    lease_until = null, output = coalesce(p_output, s.output), output_url = p_output_url, error_code = null, error_message = null
  where s.job_id = p_job_id and s.step = p_step;
  if not exists (select from public.job_steps s where s.job_id = p_job_id and not private.is_final(s.status)) then
    update public.jobs set output = p_output, output_url = p_output_url where id = p_job_id;
    return query select 'completed', c.status, c.refunded from private.jobs_close(array[p_job_id], array['completed'], array[null::text], array[null::text]) c;
    return;
  end if;
  -- A chain goes on: the next step's turn has come. Waiting siblings' time begins anew: it did not run while this one worked.
  update public.job_steps s set status = 'queued', deadline_at = least(v_now + t.queue_ttl, v_job.expires_at)
  from public.tools t
  where s.job_id = p_job_id and (s.status = 'queued' or (s.step = p_step + 1 and s.status = 'blocked')) and t.tool = v_job.tool;
  perform private.job_follow(array[p_job_id]);
  return query select 'completed', 'running', 0;
end $$;
comment on function public.step_complete_v1 is 'Caller: whoever has stored the result. Completes the step; the last one completes the job, another one lets the next step queue. outcome completed | late (final already) | stale. Replay: late.';

create or replace function public.step_fail_v1(p_job_id uuid, p_step int, p_run bigint, p_error_code text, p_error_message text)
returns table (outcome text, job_status text, refunded int)
language plpgsql set search_path = '' set statement_timeout = '10s' as
$$
#variable_conflict use_column
declare v_job public.jobs; v_step public.job_steps;
begin
  perform private.act_as('worker');
  v_job := private.job_lock(p_job_id);
  v_step := private.step_lock(p_job_id, p_step, p_run);
  if v_step.job_id is null then return query select 'stale', v_job.status, 0; return; end if;
  -- The provider itself says that this task is over: no cancel is owed for it.
  update public.job_steps s set provider_done_at = coalesce(s.provider_done_at, clock_timestamp()) where s.job_id = p_job_id and s.step = p_step;
  return query select 'failed', f.job_status, f.refunded from private.step_give_up(v_job, p_step, p_error_code, p_error_message) f;
end $$;
comment on function public.step_fail_v1 is 'Caller: dispatch or whoever learned, by query, that the provider failed. Fails the step and, by the job''s refund rule, the job; returns credits in the same transaction. outcome failed | stale. Replay: stale, nothing is returned twice.';

create or replace function public.step_checked_v1(p_job_id uuid, p_step int, p_run bigint, p_answer text)
returns table (outcome text, refunded int)
language plpgsql set search_path = '' set statement_timeout = '10s' as
$$
#variable_conflict use_column
declare v_job public.jobs; v_step public.job_steps; v_grace interval; v_now timestamptz; v_minutes int;
begin
  perform private.act_as('sweep');
  if p_answer not in ('running', 'no_answer') then perform private.refuse(400, 'bad_request'); end if;
  v_job := private.job_lock(p_job_id);
  v_step := private.step_lock(p_job_id, p_step, p_run);
  if v_step.job_id is null or v_step.provider_done_at is not null then return query select 'stale', 0; return; end if;
  v_now := clock_timestamp();
  select grace into v_grace from private.intervals();
  update public.job_steps s set checked_at = v_now where s.job_id = p_job_id and s.step = p_step;
  if v_step.deadline_at > v_now or (p_answer = 'no_answer' and v_step.provider_task_id is not null and v_step.deadline_at + v_grace > v_now) then
    return query select 'waiting', 0; return;
  end if;
  v_minutes := private.minutes_between(coalesce(v_step.sent_at, v_step.started_at, v_job.created_at), v_now);
  return query select 'failed', f.refunded from private.step_give_up(v_job, p_step, 'TIMEOUT',
    format('no result after %s.', private.minutes_text(v_minutes))) f;
end $$;
comment on function public.step_checked_v1 is 'Caller: sweep, after asking the provider (running | no_answer). Before the deadline: noted. Past it: running fails at once, no_answer after one grace; refunded, and a cancel at the provider is owed. outcome waiting | failed | stale.';

create or replace function private.minutes_between(p_from timestamptz, p_to timestamptz) returns int
language sql immutable as
$$ select greatest(round(extract(epoch from p_to - p_from) / 60), 1)::int $$;

create or replace function private.minutes_text(p_minutes int) returns text
language sql immutable as
$$ select p_minutes || case p_minutes when 1 then ' minute' else ' minutes' end $$;

create or replace function public.step_cancelled_v1(p_job_id uuid, p_step int, p_task_id text)
returns table (remaining int)
language sql set search_path = '' as
$$
  update public.job_steps s set provider_cancel_due = private.cancel_due_without(s.provider_cancel_due, p_task_id)
  where s.job_id = p_job_id and s.step = p_step
  returning jsonb_array_length(s.provider_cancel_due)
$$;
comment on function public.step_cancelled_v1 is 'Caller: whoever told the provider to cancel. Strikes the debt. Replay: nothing changes.';

create or replace function public.step_get_v1(p_job_id uuid, p_step int)
returns table (job_id uuid, step int, run bigint, tool text, provider text, user_id uuid, job_status text, status text, task_id text,
  done boolean, sent boolean, output jsonb)
language sql stable set search_path = '' as
$$
  select s.job_id, s.step, s.run, j.tool, s.provider, j.user_id, j.status, s.status, s.provider_task_id,
    s.provider_done_at is not null, s.sent_at is not null, s.output
  from public.job_steps s join public.jobs j on j.id = s.job_id where s.job_id = p_job_id and s.step = p_step
$$;
comment on function public.step_get_v1 is 'Caller: the webhook consumer, reconcile. A snapshot of one step; no row when there is none.';

create or replace function public.webhook_record_v1(p_provider text, p_job_id uuid, p_step int, p_run bigint, p_task_id text, p_dedup_key text, p_body jsonb)
returns table (recorded boolean, inbox_id bigint)
language plpgsql set search_path = '' set statement_timeout = '5s' as
$$
#variable_conflict use_column
declare v_id bigint;
begin
  insert into public.webhook_inbox (provider, job_id, step, run, task_id, dedup_key, body)
  values (p_provider, p_job_id, p_step, p_run, nullif(p_task_id, ''), p_dedup_key, p_body)
  on conflict (provider, dedup_key) do nothing returning id into v_id;
  if found then return query select true, v_id; return; end if;
  return query select false, w.id from public.webhook_inbox w where w.provider = p_provider and w.dedup_key = p_dedup_key;
end $$;
comment on function public.webhook_record_v1 is 'Caller: provider-webhook, after the token was verified. Keeps the call; changes no job. Replay: recorded = false.';

create or replace function public.webhook_applied_v1(p_inbox_id bigint)
returns table (applied boolean)
language sql set search_path = '' as
$$ update public.webhook_inbox set applied_at = coalesce(applied_at, clock_timestamp()) where id = p_inbox_id returning true $$;
comment on function public.webhook_applied_v1 is 'Caller: the webhook consumer. Marks an inbox row as dealt with.';
