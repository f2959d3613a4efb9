-- What callers read: one job, the user's live job, the queue, health, and the invariants as rows. Reads of a user's own
-- jobs heal that user first, so that nobody is shown a ghost.

create or replace function public.job_get_v1(p_job_id uuid, p_user_id uuid default null, p_tool text default null)
returns table (job_id uuid, tool text, table_name text, status text, "position" int, eta_seconds int, task_id text, output_url text,
  error_code text, error_message text, credits_charged int, credits_refunded int, balance int, total_steps int, current_step int, tasks jsonb)
language plpgsql set search_path = '' set statement_timeout = '10s' as
$$
#variable_conflict use_column
declare v_job public.jobs;
begin
  select * into v_job from public.jobs where id = p_job_id;
  if not found or (p_user_id is not null and v_job.user_id <> p_user_id) or (p_tool is not null and v_job.tool <> p_tool) then
    perform private.refuse(404, 'not_found');
  end if;
  if private.is_live(v_job.status) and v_job.deadline_at <= clock_timestamp() then
    perform public.user_heal_v1(v_job.user_id);
  end if;
  return query
  select j.id, j.tool, t.table_name, j.status, e."position", e.eta_seconds, e.task_id, j.output_url, j.error_code, j.error_message,
    j.credits_charged, j.credits_refunded, e.balance, j.total_steps, j.current_step,
    case when t.step_order = 'parallel' then (
      select jsonb_agg(jsonb_build_object('card', j.input -> 'selectedCards' -> (s.step - 1), 'status', s.status,
        'retrying', s.status = 'queued' and coalesce(s.not_before > clock_timestamp(), false),
        'output_url', case when s.status = 'completed' and (j.refund_rule = 'per_step' or j.status = 'completed') then s.output_url end,
        'error_message', s.error_message) order by s.step)
      from public.job_steps s where s.job_id = j.id) end
  from public.jobs j join public.tools t using (tool) cross join private.enqueue_answer(j.id, false, true) e
  where j.id = p_job_id;
end $$;
comment on function public.job_get_v1 is 'Caller: the status endpoints, for the verified user (null: service). p_tool null: any tool. Heals that user''s overdue rows first. tasks: the parallel steps as of the same moment, a picture once it is its owner''s. Refuses: not_found, also for another user''s job.';

create or replace function public.generation_get_v1(p_user_id uuid, p_tool text, p_job_id uuid)
returns table (job_id uuid, status text, error_message text, retries int, credits_refunded int, output_url text)
language sql set search_path = '' set statement_timeout = '10s' as
$$
  select g.job_id, g.status, g.error_message, j.retries, g.credits_refunded, case when g.status = 'completed' then g.output_url end
  from public.job_get_v1(p_job_id, p_user_id, p_tool) g join public.jobs j on j.id = g.job_id
$$;
comment on function public.generation_get_v1 is 'Caller: the website functions'' GET, for the verified user. What job_get_v1 says, with retries and, once it is completed, where its files lie. Refuses: not_found.';

create or replace function public.user_active_v1(p_user_id uuid)
returns table (has_active_job boolean, active_tool text, active_table text, active_job_id uuid, active_status text, "position" int)
language plpgsql set search_path = '' set statement_timeout = '10s' as
$$
#variable_conflict use_column
declare v_orphan interval;
begin
  perform public.user_heal_v1(p_user_id);
  -- An orphan written by somebody else's hand: live, unpaid, no task, no start. Cancelled, so that it hides no real job.
  select orphan into v_orphan from private.intervals();
  insert into public.credit_accounts (user_id) values (p_user_id) on conflict do nothing;
  perform 1 from public.credit_accounts where user_id = p_user_id for update;
  perform private.orphans_cancel(array(
    select j.id from public.jobs j join public.tools t using (tool)
    where j.user_id = p_user_id and j.status in ('pending', 'queued') and j.request_hash is null and j.started_at is null
      and coalesce(j.queued_at, j.created_at) <= clock_timestamp() - v_orphan
      and not exists (select from public.credit_entries e where e.job_id = j.id and e.kind = 'debit')
      and not exists (select from public.job_steps s where s.job_id = j.id and (s.provider_task_id is not null or s.claimed_at is not null))
    order by j.id for update of j));
  return query
  select true, j.tool, t.table_name, j.id, j.status,
    case when j.status = 'queued' then (select p."position" from private.queue_places(t.provider) p where p.job_id = j.id) end
  from public.jobs j join public.tools t using (tool)
  where j.user_id = p_user_id and t.provider = 'runninghub' and j.status in ('queued', 'starting', 'running') and j.set_aside_at is null
  -- A row by hand that may be an orphan, too young to tell, hides no job that was paid.
  order by j.status = 'queued', j.request_hash is null and j.credits_charged = 0, j.created_at limit 1;
  if not found then
    return query select false, null::text, null::text, null::uuid, null::text, null::int;
  end if;
end $$;
comment on function public.user_active_v1 is 'Caller: check-user-active. Heals the user''s overdue rows and orphans, then looks at running jobs, then at queued ones. Always one row.';

create or replace function private.orphans_cancel(p_ids uuid[]) returns void
language sql set search_path = '' as
$$
  select count(*) from private.jobs_close(p_ids, array_fill('cancelled'::text, array[cardinality(p_ids)]),
    array_fill('ORPHANED'::text, array[cardinality(p_ids)]), array_fill('never started; nothing was charged.'::text, array[cardinality(p_ids)]))
$$;

create or replace function public.queue_check_v1(p_provider text)
returns table (max_concurrent int, running int, slots_available int, total_queued int, queued_by_tool jsonb, oldest_queued_seconds int,
  last_sweep_at timestamptz, enabled boolean)
language sql stable set search_path = '' as
$$
  with live as (
    select count(*)::int as running from public.job_steps s
    where s.provider = p_provider and s.status in ('starting', 'running') and s.provider_done_at is null
  ), waiting as (
    select j.tool, count(*)::int as jobs, min(coalesce(j.queued_at, j.created_at)) as since
    from public.jobs j join public.tools t using (tool)
    where t.provider = p_provider and j.status = 'queued' group by j.tool
  )
  select p.max_concurrent, l.running, greatest(p.max_concurrent - l.running, 0), coalesce(w.total, 0), coalesce(w.by_tool, '{}'),
    extract(epoch from clock_timestamp() - w.since)::int,
    (select max(s.finished_at) from public.sweeps s), p.enabled
  from public.providers p cross join live l
  cross join (select sum(jobs)::int as total, jsonb_object_agg(tool, jobs) as by_tool, min(since) as since from waiting) w
  where p.provider = p_provider
$$;
comment on function public.queue_check_v1 is 'Caller: check, status. One row per known provider: its limit, what runs, what waits.';

create or replace function public.health_v1()
returns table (last_sweep_seconds int, stuck int, violations int)
language sql stable set search_path = '' as
$$
  select extract(epoch from clock_timestamp() - s.finished_at)::int, s.stuck, s.violations
  from (select 1) one left join lateral (
    select * from public.sweeps where finished_at is not null order by finished_at desc limit 1) s on true
$$;
comment on function public.health_v1 is 'Caller: health of the gateway. What the last finished sweep stored; never scans. Nulls when there was none.';

-- One row per offence against DATA's invariants among rows touched since p_since; empty is healthy.
create or replace function private.violations(p_since timestamptz)
returns table (invariant text, subject text, detail text)
language sql stable set search_path = '' set jit = off as
$$
  with job as (
    select j.*, s.steps, s.live_steps, s.delivered_share, s.undelivered_share, e.debit, e.refunded
    from public.jobs j
    cross join lateral (
      select count(*) as steps, count(*) filter (where not private.is_final(st.status)) as live_steps,
        coalesce(sum(st.share) filter (where st.status = 'completed'), 0) as delivered_share,
        coalesce(sum(st.share) filter (where st.status <> 'completed'), 0) as undelivered_share
      from public.job_steps st where st.job_id = j.id
    ) s
    cross join lateral (
      select coalesce(-sum(c.amount) filter (where c.kind = 'debit'), 0) as debit, coalesce(sum(c.amount) filter (where c.kind = 'refund'), 0) as refunded
      from public.credit_entries c where c.job_id = j.id and c.kind in ('debit', 'refund')
    ) e
    where j.updated_at >= p_since
  ), freed as materialized (
    select s.provider, count(*) as slots from public.job_steps s
    where coalesce(s.provider_done_at, s.completed_at) > clock_timestamp() - interval '4 minutes'
      and coalesce(s.claimed_at, s.sent_at, s.started_at) is not null
    group by 1
  )
  select 'steps_final_iff_job_final', j.id::text, format('job is %s with %s of %s steps live', j.status, j.live_steps, j.steps)
  from job j where j.steps > 0 and (private.is_final(j.status) and j.live_steps > 0 or private.is_live(j.status) and j.live_steps = 0 and j.set_aside_at is null)
  union all
  select 'cancelled_request_never_runs', j.id::text, format('job is %s, its user cancelled it at %s', j.status, c.at)
  from job j join public.cancelled_requests c on c.user_id = j.user_id and c.job_id = j.id
  where j.status in ('queued', 'starting', 'running')
  union all
  select 'refunds_within_debit', j.id::text, format('refunded %s of %s', j.refunded, j.debit) from job j where j.refunded > j.debit
  union all
  select 'job_money_equals_ledger', j.id::text, format('row: %s charged, %s refunded; ledger: %s, %s', j.credits_charged, j.credits_refunded, j.debit, j.refunded)
  from job j where j.credits_charged <> j.debit or j.credits_refunded <> j.refunded
  union all
  select 'final_refund_exact', j.id::text, format('%s with %s refunded of %s', j.status, j.refunded, j.debit)
  from job j where j.set_aside_at is null and case
    -- Rows written by others may have shares that do not add up; closing them splits anew.
    when j.status = 'completed' and j.refund_rule = 'per_step' and j.delivered_share + j.undelivered_share <> j.debit then false
    when j.status = 'completed' then j.refunded <> case when j.refund_rule = 'per_step' then j.undelivered_share else 0 end
    when private.is_final(j.status) then j.refunded <> j.debit - case when j.refund_rule = 'per_step' and j.debit > 0 then j.delivered_share else 0 end
    else false end
  union all
  select 'set_aside', j.id::text, format('live %s, set aside at %s', j.status, j.set_aside_at) from job j where j.set_aside_at is not null and private.is_live(j.status)
  union all
  select 'entry_without_job', e.id::text, format('%s of %s for job %s', e.kind, e.amount, e.job_id)
  from public.credit_entries e where e.created_at >= p_since and (e.kind = 'refund' or e.kind = 'debit' and e.job_id is not null)
    and not exists (select from public.jobs j where j.id = e.job_id)
  union all
  select 'balance_equals_entries', a.user_id::text, format('balance %s, entries %s', a.balance, coalesce(t.total, 0))
  from public.credit_accounts a
  left join lateral (select sum(e.amount) as total from public.credit_entries e where e.user_id = a.user_id) t on true
  where a.balance <> coalesce(t.total, 0)
    and (p_since = '-infinity' or exists (select from public.credit_entries e where e.user_id = a.user_id and e.created_at >= p_since))
  union all
  select 'balance_equals_entries', e.user_id::text, format('no account, entries %s', sum(e.amount))
  from public.credit_entries e where e.created_at >= p_since and not exists (select from public.credit_accounts a where a.user_id = e.user_id)
  group by e.user_id
  union all
  -- Whatever its amount: older code returns the whole price where only a share came back. Taking it back settles it, by name:
  -- older code also takes for reasons of its own.
  select 'adjustment_beside_refund', e.id::text, format('adjustment of %s near the refund of job %s', e.amount, r.job_id)
  from public.credit_entries e
  cross join lateral (
    select c.job_id from public.credit_entries c where c.user_id = e.user_id and c.kind = 'refund'
      and c.created_at between e.created_at - interval '1 hour' and e.created_at + interval '1 hour' order by c.id desc limit 1
  ) r
  where e.kind = 'adjustment' and e.amount > 0 and e.created_at >= p_since
    and not exists (select from public.credit_entries x where x.user_id = e.user_id and x.kind = 'adjustment'
      and x.amount = -e.amount and x.reason = 'settles ' || e.id)
  union all
  select 'slots_within_limit', p.provider, format('%s live, limit %s', count(*), p.max_concurrent)
  from public.providers p join public.job_steps s on s.provider = p.provider join public.jobs j on j.id = s.job_id
  where s.status in ('starting', 'running') and s.provider_done_at is null
    -- Rows written by others were not claimed; they hold a slot all the same.
    and coalesce(s.claimed_at, s.sent_at, s.started_at, j.created_at) > p.limit_changed_at
  group by p.provider, p.max_concurrent having count(*) > p.max_concurrent
  union all
  select 'work_waits_for_a_reason', q.job_id::text, format('step %s waits while %s has a free slot', q.step, p.provider)
  from public.providers p
  cross join lateral private.queue_order(p.provider, clock_timestamp()) q
  join public.job_steps s on s.job_id = q.job_id and s.step = q.step
  join public.jobs j on j.id = q.job_id
  -- Counted from when nothing was in the way any more: the step put back or its turn come, the slot free.
  where p.enabled and q.ready and greatest(coalesce(j.queued_at, j.created_at), s.not_before) < clock_timestamp() - interval '4 minutes'
    and p.max_concurrent > coalesce((select f.slots from freed f where f.provider = p.provider), 0)
      + (select count(*) from public.job_steps x where x.provider = p.provider and x.status in ('starting', 'running') and x.provider_done_at is null)
    and not exists (select from public.job_events e where e.job_id = s.job_id and e.step = s.step and e.to_status = 'queued'
      and e.at >= clock_timestamp() - interval '4 minutes')
$$;
