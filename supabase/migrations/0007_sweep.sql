-- The healers. One private function closes or rescues every row whose clock ran out and that needs no question to a
-- provider; cron, pg_cron, an admin's call and a user's own next request all run it. Set-based, bounded, idempotent.

-- Live rows that may be over, in the order of their key after (p_at, p_id): past their deadline, or ('age') as old as the
-- hard limit of A5 whatever their deadline says. A page costs what it holds, not what the backlog holds.
create or replace function private.sweep_candidates(p_now timestamptz, p_by text, p_user_id uuid, p_at timestamptz, p_id uuid, p_limit int,
  out ids uuid[], out last_at timestamptz, out last_id uuid)
language plpgsql stable set search_path = '' as
$$
declare v_old timestamptz := p_now - (select min(t.run_timeout) from public.tools t);
begin
  if p_by = 'deadline' then
    select array_agg(c.id), max(c.at) into ids, last_at from (
      select j.id, j.deadline_at as at from public.jobs j
      where j.status in ('pending', 'queued', 'starting', 'running') and j.set_aside_at is null
        and j.deadline_at <= p_now and (j.deadline_at, j.id) > (p_at, p_id)
      order by j.deadline_at, j.id limit p_limit) c;
  elsif p_by = 'age' then
    select array_agg(c.id), max(c.at) into ids, last_at from (
      select j.id, coalesce(j.started_at, j.created_at) as at from public.jobs j
      where j.status in ('pending', 'queued', 'starting', 'running') and j.set_aside_at is null and j.deadline_at > p_now
        and coalesce(j.started_at, j.created_at) <= v_old and (coalesce(j.started_at, j.created_at), j.id) > (p_at, p_id)
      order by coalesce(j.started_at, j.created_at), j.id limit p_limit) c;
  else
    select array_agg(c.id), max(c.at) into ids, last_at from (
      select j.id, j.deadline_at as at from public.jobs j
      where j.status in ('pending', 'queued', 'starting', 'running') and j.set_aside_at is null and j.user_id = p_user_id
        and (j.deadline_at <= p_now or coalesce(j.started_at, j.created_at) <= v_old) and (j.deadline_at, j.id) > (p_at, p_id)
      order by j.deadline_at, j.id limit p_limit) c;
  end if;
  last_id := ids[cardinality(ids)];
end $$;

-- Which of these jobs are over, and how they end. The only place that knows the clocks' rules (DATA, "Clocks").
create or replace function private.jobs_due(p_now timestamptz, p_ids uuid[])
returns table (job_id uuid, user_id uuid, status text, code text, message text)
language sql stable set search_path = '' as
$$
  with judged as (
    select c.*, s.*, w.*, i.sql_wait,
      coalesce(c.started_at, c.created_at) + l.span <= p_now
        -- An admin's requeue begins its time anew.
        and not exists (select from public.job_events e where e.job_id = c.id and e.event = 'job_requeued' and e.at + l.span > p_now) as too_old
    from unnest(p_ids) as n (id)
    join public.jobs c on c.id = n.id and c.status in ('pending', 'queued', 'starting', 'running') and c.set_aside_at is null
    join public.tools t using (tool)
    join public.providers tp on tp.provider = t.provider
    cross join private.intervals() i
    cross join lateral (
      select count(*) as steps,
        count(*) filter (where st.status = 'completed') as done,
        count(*) filter (where not private.is_final(st.status)) as live,
        count(*) filter (where st.status in ('starting', 'running')) as working,
        -- Somebody else still has work at an asynchronous provider: SQL waits 3 minutes for an edge healer to ask.
        bool_or(st.status in ('starting', 'running') and st.sent_at is not null and st.provider_done_at is null and not p.synchronous) as asked,
        bool_or(st.status in ('starting', 'running') and p.synchronous and st.lease_until > p_now) as held,
        -- Goes back to the queue instead (`steps_rescue`). Without a lease nobody held it: it was written by others.
        bool_or(p_now < c.expires_at and st.lease_until is not null and (st.status = 'starting' and st.sent_at is null and st.rescues < 3
          or st.status = 'running' and p.synchronous and st.provider <> 'llm' and st.provider_done_at is null and st.attempts < t.attempt_max)) as rescuable,
        -- Left for the websites' own cleanup, which calls their function; SQL cannot, and waits 3 minutes past the deadline for it.
        bool_or(p_now < c.expires_at and st.status = 'running' and st.provider = 'llm' and st.provider_done_at is null
          and st.lease_until is not null and st.attempts < t.attempt_max) as retryable,
        bool_or(st.provider_done_at is not null and not private.is_final(st.status)) as undelivered,
        min(st.deadline_at) filter (where st.status in ('starting', 'running')) as working_deadline
      from public.job_steps st join public.providers p using (provider) where st.job_id = c.id
    ) s
    -- A paid row is no orphan, whatever word it carries: it waits like a queued one.
    cross join lateral (
      select c.status = 'pending' and c.request_hash is null
        and not exists (select from public.credit_entries e where e.job_id = c.id and e.kind = 'debit') as orphan,
        coalesce(c.queued_at, c.created_at) + t.queue_ttl as waits_until
    ) w
    cross join lateral (
      select case when s.steps = 0 then t.run_timeout else private.tool_span(t, tp, c.total_steps) end as span
    ) l
  )
  select j.id, j.user_id,
    case when j.orphan then 'cancelled' when j.refund_rule = 'per_step' and j.done > 0 then 'completed' else 'failed' end,
    case when j.orphan then 'ORPHANED'
         when j.undelivered then 'DELIVERY_FAILED'
         when j.status in ('pending', 'queued') and j.steps > 0 then 'QUEUE_TIMEOUT'
         else 'TIMEOUT' end,
    case when j.orphan then 'never started; nothing was charged.'
         when j.undelivered then 'the result could not be stored.'
         else format('%s after %s.', case when j.status in ('pending', 'queued') then 'not started' else 'no result' end,
           private.minutes_text(private.minutes_between(coalesce(j.started_at, j.queued_at, j.created_at), p_now))) end
  from judged j
  where case
    when j.too_old then true
    when j.deadline_at > p_now then false
    when j.status = 'pending' then j.orphan or j.waits_until <= p_now
    when j.steps = 0 or j.live = 0 then true
    when j.expires_at <= p_now then not coalesce(j.asked, false) or coalesce(j.working_deadline, j.expires_at) + j.sql_wait <= p_now
    when j.working = 0 then true
    when j.asked then least(j.working_deadline, j.deadline_at) + j.sql_wait <= p_now
    when j.held or j.rescuable then false
    when j.retryable then j.working_deadline + j.sql_wait <= p_now
    else j.working_deadline <= p_now
  end
$$;

-- Steps whose lease ran out and that go back to the queue: handed over but never sent (a rescue), or a synchronous
-- attempt whose worker died. Websites are left for their own cleanup, which calls the function with the service key.
create or replace function private.steps_rescue(p_now timestamptz, p_user_id uuid, p_limit int) returns int
language plpgsql set search_path = '' as
$$
declare v_jobs uuid[]; v_count int;
begin
  with due as (
    select s.job_id, s.step
    from public.job_steps s
    join public.jobs j on j.id = s.job_id
    join public.tools t using (tool)
    join public.providers p on p.provider = s.provider
    where s.status in ('starting', 'running') and s.lease_until <= p_now and j.expires_at > p_now and j.set_aside_at is null
      and (p_user_id is null or j.user_id = p_user_id)
      and ((s.status = 'starting' and s.sent_at is null and s.rescues < 3)
        or (s.status = 'running' and p.synchronous and s.provider <> 'llm' and s.provider_done_at is null and s.attempts < t.attempt_max))
    order by s.job_id, s.step limit p_limit
    for update of j, s skip locked
  ), back as (
    update public.job_steps s set status = 'queued', lease_until = null, claimed_at = null, started_at = null, sent_at = null,
      rescues = s.rescues + (s.status = 'starting')::int, deadline_at = least(p_now + t.queue_ttl, j.expires_at)
    from due d, public.jobs j, public.tools t
    where s.job_id = d.job_id and s.step = d.step and j.id = s.job_id and t.tool = j.tool
    returning s.job_id
  )
  select array_agg(distinct b.job_id), count(*) into v_jobs, v_count from back b;
  perform private.job_follow(v_jobs);
  return v_count;
end $$;

-- A synchronous step with no attempt left fails alone where its siblings may still finish.
create or replace function private.steps_exhausted(p_now timestamptz, p_user_id uuid, p_limit int)
returns table (job_id uuid, tool text, status text, refunded int)
language plpgsql set search_path = '' as
$$
#variable_conflict use_column
declare v_row record; v_job public.jobs; v_step public.job_steps;
begin
  for v_row in
    select s.job_id, s.step, s.run, j.user_id
    from public.job_steps s
    join public.jobs j on j.id = s.job_id
    join public.tools t using (tool)
    join public.providers p on p.provider = s.provider
    where s.status = 'running' and p.synchronous and s.provider <> 'llm' and s.lease_until <= p_now and s.provider_done_at is null
      and s.attempts >= t.attempt_max and j.set_aside_at is null and (p_user_id is null or j.user_id = p_user_id)
    order by j.user_id, s.job_id, s.step limit p_limit
  loop
    v_job := private.job_lock(v_row.job_id);
    v_step := private.step_lock(v_row.job_id, v_row.step, v_row.run);
    continue when v_step.job_id is null or v_step.lease_until > p_now;
    return query select v_job.id, v_job.tool, g.job_status, g.refunded
    from private.step_give_up(v_job, v_row.step, 'TIMEOUT', format('no answer after %s attempts.', v_step.attempts)) g;
  end loop;
end $$;

-- A row whose money does not agree with the ledger is kept for an operator. It blocks neither its user nor the others: its
-- steps end, so that they hold no slot and are not run, and the provider is told.
create or replace function private.job_set_aside(p_ids uuid[], p_reason text) returns void
language sql set search_path = '' as
$$
  insert into public.job_events (job_id, event, from_status, to_status, actor, detail)
  select j.id, 'set_aside', j.status, j.status, 'sweep', jsonb_build_object('reason', p_reason)
  from public.jobs j where j.id = any (p_ids) and j.set_aside_at is null;
  update public.job_steps s set status = 'failed', error_code = 'CREDIT_ERROR', error_message = 'CREDIT_ERROR: kept for an operator.',
    completed_at = clock_timestamp(), lease_until = null, checked_at = null, provider_cancel_due = private.cancel_due_with(s)
  where s.job_id = any (p_ids) and not private.is_final(s.status);
  update public.jobs set set_aside_at = clock_timestamp(), exclusive_key = null where id = any (p_ids) and set_aside_at is null;
$$;

-- One page: accounts locked by id, jobs locked, judged under the locks (asking first would ask twice), closed. The last row
-- counts what is due and left over: locked by others, or beyond p_limit.
create or replace function private.sweep_page(p_now timestamptz, p_user_id uuid, p_ids uuid[], p_limit int)
returns table (job_id uuid, tool text, status text, refunded int, requeued int, remaining int)
language plpgsql set search_path = '' as
$$
#variable_conflict use_column
declare v_users uuid[]; v_locked uuid[]; v_ids uuid[]; v_statuses text[]; v_codes text[]; v_messages text[]; v_bad uuid[]; v_id uuid;
begin
  select array_agg(distinct j.user_id) into v_users from public.jobs j where j.id = any (p_ids);
  insert into public.credit_accounts (user_id) select u.id from unnest(v_users) as u (id) order by 1 on conflict do nothing;
  -- A user's own heal waits for its turn. A sweep over everybody waits for nobody, so that no two wait in a circle: who is
  -- busy is healed by the next one.
  if p_user_id is null then
    select array_agg(l.user_id) into v_users from (
      select a.user_id from public.credit_accounts a where a.user_id = any (v_users) order by a.user_id for update skip locked) l;
  else
    perform 1 from public.credit_accounts a where a.user_id = p_user_id for update;
  end if;
  select array_agg(l.id) into v_locked from (
    select j.id from public.jobs j where j.id = any (p_ids) and j.user_id = any (v_users) order by j.id for update skip locked) l;
  select array_agg(d.job_id), array_agg(d.status), array_agg(d.code), array_agg(d.message) into v_ids, v_statuses, v_codes, v_messages
  from private.jobs_due(p_now, v_locked) d;
  return query
  select null::uuid, null::text, null::text, 0, 0, greatest(coalesce(cardinality(v_ids), 0) - p_limit, 0)
    + (select count(*)::int from private.jobs_due(p_now, array(select i.id from unnest(p_ids) as i (id) except select l.id from unnest(v_locked) as l (id))));
  select array_agg(j.id) into v_bad from public.jobs j
  where j.id = any (v_ids) and j.credits_refunded <> coalesce((
    select sum(e.amount) from public.credit_entries e where e.job_id = j.id and e.kind = 'refund'), 0);
  if v_bad is not null then
    perform private.job_set_aside(v_bad, 'credits_refunded does not agree with the ledger');
    select array_agg(d.id), array_agg(d.status), array_agg(d.code), array_agg(d.message) into v_ids, v_statuses, v_codes, v_messages
    from unnest(v_ids, v_statuses, v_codes, v_messages) as d (id, status, code, message) where d.id <> all (v_bad);
  end if;
  begin
    return query select c.job_id, c.tool, c.status, c.refunded, 0, 0
    from private.jobs_close(v_ids[:p_limit], v_statuses[:p_limit], v_codes[:p_limit], v_messages[:p_limit]) c;
    return;
  exception when others then null;  -- one bad row fails the statement: close them one by one and set that one aside
  end;
  for i in 1 .. least(cardinality(v_ids), p_limit) loop
    v_id := v_ids[i];
    begin
      return query select c.job_id, c.tool, c.status, c.refunded, 0, 0 from private.jobs_close(array[v_id], v_statuses[i:i], v_codes[i:i], v_messages[i:i]) c;
    exception when others then
      perform private.job_set_aside(array[v_id], sqlerrm);
    end;
  end loop;
end $$;

-- Everything SQL can heal, up to p_limit jobs and a time budget, page by page. Rows without a job count what went back to the
-- queue and what is left over, looking one page ahead. `p_now` is an argument so that tests need not sleep. Planned anew for
-- each page: from the sixth on, one plan for pages of any size would read whole tables.
create or replace function private.sweep(p_now timestamptz, p_user_id uuid, p_limit int, p_budget interval)
returns table (job_id uuid, tool text, status text, refunded int, requeued int, remaining int)
language plpgsql set search_path = '' set plan_cache_mode = 'force_custom_plan' as
$$
#variable_conflict use_column
declare v_began timestamptz := clock_timestamp(); v_left int := p_limit; v_got int; v_is_over boolean;
  v_by text; v_ids uuid[]; v_at timestamptz; v_id uuid;
begin
  perform private.act_as('sweep');
  return query select e.job_id, e.tool, e.status, e.refunded, 0, 0 from private.steps_exhausted(p_now, p_user_id, least(p_limit, 200)) e;
  foreach v_by in array case when p_user_id is null then array['deadline', 'age'] else array['user'] end loop
    v_at := '-infinity';
    v_id := '00000000-0000-0000-0000-000000000000';
    loop
      v_is_over := v_left <= 0 or clock_timestamp() - v_began > p_budget;
      select c.ids, c.last_at, c.last_id into v_ids, v_at, v_id
      from private.sweep_candidates(p_now, v_by, p_user_id, v_at, v_id, case when v_is_over then 1000 else least(greatest(v_left, 100), 10000) end) c;
      exit when v_ids is null;
      if v_is_over then
        return query select null::uuid, null::text, null::text, 0, 0, count(*)::int from private.jobs_due(p_now, v_ids);
        exit;
      end if;
      if v_by = 'age' then  -- nearly all of them are well and not worth a lock
        v_ids := array(select d.job_id from private.jobs_due(p_now, v_ids) d);
      end if;
      return query select * from private.sweep_page(p_now, p_user_id, v_ids, v_left);
      get diagnostics v_got = row_count;
      v_left := v_left - (v_got - 1);
    end loop;
  end loop;
  -- Last: it locks jobs without their accounts, and nothing may wait for an account after that.
  return query select null::uuid, null::text, null::text, 0, private.steps_rescue(p_now, p_user_id, p_limit), 0;
end $$;

create or replace function private.count_stuck(p_now timestamptz) returns int
language sql stable set search_path = '' as
$$
  select count(*)::int from public.jobs j cross join private.intervals() i
  where j.status in ('pending', 'queued', 'starting', 'running') and j.set_aside_at is null
    and j.deadline_at + i.sql_wait + i.grace <= p_now
$$;

-- What the rules above would still close, looking one page ahead.
create or replace function private.count_due(p_now timestamptz) returns int
language sql stable set search_path = '' as
$$
  select count(*)::int from private.jobs_due(p_now, array(
    select unnest(c.ids) from unnest(array['deadline', 'age']) as w (way)
    cross join lateral private.sweep_candidates(p_now, w.way, null, '-infinity', '00000000-0000-0000-0000-000000000000', 1000) c))
$$;

create or replace function public.sweep_begin_v1(p_source text)
returns table (sweep_id bigint)
language sql set search_path = '' as
$$ insert into public.sweeps (source) values (p_source) returning id $$;
comment on function public.sweep_begin_v1 is 'Caller: an edge healer, before its pass. Opens the pass''s row.';

create or replace function public.jobs_sweep_v1(p_sweep_id bigint, p_limit int)
returns table (cleaned int, refunded_credits int, requeued int, remaining int, tables jsonb)
language plpgsql set search_path = '' set statement_timeout = '55s' as
$$
#variable_conflict use_column
declare v_now timestamptz := clock_timestamp(); v_cleaned int; v_refunded int; v_requeued int; v_tables jsonb; v_left int;
begin
  with closed as (
    select s.*, t.table_name from private.sweep(v_now, null, least(greatest(p_limit, 1), 100000), interval '20 seconds') s left join public.tools t using (tool)
  )
  select count(c.job_id), coalesce(sum(c.refunded), 0), coalesce(sum(c.requeued), 0), coalesce(sum(c.remaining), 0),
    (select jsonb_agg(jsonb_build_object('table_name', n.table_name,
        'cancelled_count', (select count(*) from closed x where x.table_name = n.table_name),
        'refunded_credits', (select coalesce(sum(x.refunded), 0) from closed x where x.table_name = n.table_name)) order by n.table_name)
     from (select distinct table_name from public.tools) n)
  into v_cleaned, v_refunded, v_requeued, v_left, v_tables from closed c;
  update public.sweeps s set cleaned = s.cleaned + v_cleaned, refunded_credits = s.refunded_credits + v_refunded, requeued = s.requeued + v_requeued
  where s.id = p_sweep_id;
  return query select v_cleaned, v_refunded, v_requeued, v_left, v_tables;
end $$;
comment on function public.jobs_sweep_v1 is 'Caller: cleanup-stale-jobs. Closes and refunds, or puts back, every row whose clock ran out and that needs no question to a provider, up to p_limit. remaining: due, but locked by others or beyond the limit (looked ahead for one page). Replay: nothing left to do.';

create or replace function public.sweep_end_v1(p_sweep_id bigint, p_delivered int, p_cleaned int, p_refunded_credits int)
returns table (stuck int, violations int, remaining int)
language plpgsql set search_path = '' set statement_timeout = '30s' as
$$
#variable_conflict use_column
begin
  return query
  update public.sweeps s set finished_at = clock_timestamp(), delivered = s.delivered + p_delivered, cleaned = s.cleaned + p_cleaned,
    refunded_credits = s.refunded_credits + p_refunded_credits,
    stuck = private.count_stuck(clock_timestamp()), violations = (select count(*) from private.violations(clock_timestamp() - interval '1 day'))
  where s.id = p_sweep_id
  returning s.stuck, s.violations, private.count_due(clock_timestamp());
end $$;
comment on function public.sweep_end_v1 is 'Caller: an edge healer, after its pass. Stores what health reads: stuck rows and violations among rows touched in the last day. remaining: due and left over after all that the pass did, also by asking providers.';

create or replace function public.cleanup_all_stale_ai_jobs()
returns table (table_name text, cancelled_count int, refunded_credits int)
language plpgsql security definer set search_path = '' set statement_timeout = '55s' as
$$
#variable_conflict use_column
declare v_sweep bigint;
begin
  insert into public.sweeps (source) values ('sql') returning id into v_sweep;
  return query
  with done as (select * from public.jobs_sweep_v1(v_sweep, 20000))
  select x.table_name, x.cancelled_count, x.refunded_credits
  from done, jsonb_to_recordset(done.tables) as x (table_name text, cancelled_count int, refunded_credits int);
  perform public.sweep_end_v1(v_sweep, 0, 0, 0);
end $$;
comment on function public.cleanup_all_stale_ai_jobs is 'Caller: pg_cron, an operator. The healer that needs no edge: closes every live job of all tools past its limit and returns the credits; what was sent to an asynchronous provider waits 3 minutes past its deadline for an edge healer to ask. Always seven rows. Replay: zeros.';

create or replace function public.user_heal_v1(p_user_id uuid)
returns table (healed int, refunded_credits int)
language sql set search_path = '' set statement_timeout = '10s' as
$$ select count(s.job_id)::int, coalesce(sum(s.refunded), 0)::int from private.sweep(clock_timestamp(), p_user_id, 200, interval '5 seconds') s $$;
comment on function public.user_heal_v1 is 'Caller: a request of that user that was refused by the user''s own rows. Heals what is over, at once. Replay: zeros.';

-- What only a question to the provider can settle, reserved so that two healers never ask twice at once.
create or replace function public.steps_due_v1(p_provider text, p_limit int, p_all boolean default false)
returns table (job_id uuid, step int, run bigint, tool text, user_id uuid, due text, task_id text, overdue boolean, output jsonb, inbox jsonb,
  sent_since timestamptz, sent_seconds int, open int)
language plpgsql set search_path = '' set statement_timeout = '10s' as
$$
#variable_conflict use_column
declare v_now timestamptz := clock_timestamp(); v_provider public.providers; v_open int;
begin
  select * into v_provider from public.providers where provider = p_provider;
  if not found or v_provider.synchronous then return; end if;
  select count(*) into v_open from public.job_steps s
  where s.provider = p_provider and s.status in ('starting', 'running') and s.provider_task_id is not null and s.provider_done_at is null;
  return query
  with mine as (
    select s.job_id, s.step, s.status, s.deadline_at <= v_now as overdue, s.provider_done_at is not null as done,
      s.provider_task_id is null as unknown
    from public.job_steps s cross join private.intervals() i
    where s.provider = p_provider and s.status in ('starting', 'running') and s.sent_at is not null
      and case
        when s.provider_done_at is not null then coalesce(s.lease_until, '-infinity') <= v_now
        when s.provider_task_id is null then coalesce(s.lease_until, v_now) <= v_now and coalesce(s.checked_at, '-infinity') <= v_now - interval '5 seconds'
        when s.deadline_at <= v_now then coalesce(s.checked_at, '-infinity') <= v_now - interval '5 seconds' or s.checked_at <= s.deadline_at
        else p_all or not v_provider.signed_webhooks and coalesce(s.checked_at, s.sent_at) <= v_now - i.check_every end
    order by s.deadline_at > v_now, coalesce(s.checked_at, '-infinity'), s.job_id, s.step
    limit p_limit for update of s skip locked
  ), reserved as (
    update public.job_steps s set checked_at = v_now, lease_until = case when m.done then v_now + i.lease else s.lease_until end
    from mine m, private.intervals() i
    where s.job_id = m.job_id and s.step = m.step
    returning s.job_id, s.step, s.run, s.provider_task_id, s.output, s.sent_at, m.overdue, m.done, m.unknown
  ), owing as (
    select s.job_id, s.step from public.job_steps s
    where s.provider = p_provider and s.provider_cancel_due <> '[]'
      and not exists (select from mine m where m.job_id = s.job_id and m.step = s.step)
      and coalesce(s.checked_at, '-infinity') <= v_now - interval '15 seconds'
    order by s.checked_at nulls first, s.job_id limit p_limit for update of s skip locked
  ), owed as (
    update public.job_steps s set checked_at = v_now from owing o where s.job_id = o.job_id and s.step = o.step
    returning s.job_id, s.step, s.run, s.provider_cancel_due
  )
  select r.job_id, r.step, r.run, j.tool, j.user_id,
    case when r.done then 'copy' when r.unknown then 'inbox' else 'query' end,
    coalesce(r.provider_task_id, w.task_id), r.overdue, r.output, w.body,
    -- The provider's clock may not be ours.
    r.sent_at - interval '2 minutes', extract(epoch from v_now - r.sent_at)::int, v_open
  from reserved r join public.jobs j on j.id = r.job_id
  -- What was said at this address about a task that is another step's says nothing of this one.
  left join lateral (select i.task_id, i.body from public.webhook_inbox i where i.job_id = r.job_id and i.step = r.step and i.run = r.run
      and not exists (select from public.job_steps o
        where o.provider = p_provider and o.provider_task_id = i.task_id and (o.job_id, o.step) <> (r.job_id, r.step))
    order by i.id desc limit 1) w on true
  union all
  select o.job_id, o.step, (d ->> 'run')::bigint, j.tool, j.user_id, 'cancel', d ->> 'task_id', false, null, null, null, null, v_open
  from owed o join public.jobs j on j.id = o.job_id cross join lateral jsonb_array_elements(o.provider_cancel_due) d;
end $$;
comment on function public.steps_due_v1 is 'Caller: sweep; with p_all the checker, for which every running step is due. Steps to ask the provider about (query: unchecked for 30 s or past the deadline; inbox: sent, no answer; copy: finished, not stored; cancel: owed), those first that were not asked about for longest, and how many are open in all. What it returns is reserved for a moment.';
