-- One row per offence against DATA's invariants among rows touched since p_since; empty is healthy.
create or replace function unstuck_private.violations(p_since timestamptz)
returns table (invariant text, subject text, detail text)
language sql
stable
set search_path = ''
set jit = off
as
$$
  with job as (
    select j.*, s.steps, s.live_steps, s.delivered_share, s.undelivered_share, e.debit, e.refunded
    from unstuck.jobs j
    cross join lateral (
      select count(*) as steps, count(*) filter (where not unstuck_private.is_final(st.status)) as live_steps,
        coalesce(sum(st.share) filter (where st.status = 'completed'), 0) as delivered_share,
        coalesce(sum(st.share) filter (where st.status <> 'completed'), 0) as undelivered_share
      from unstuck.job_steps st where st.job_id = j.id
    ) s
    cross join lateral (
      select coalesce(-sum(c.amount) filter (where c.kind = 'debit'), 0) as debit, coalesce(sum(c.amount) filter (where c.kind = 'refund'), 0) as refunded
      from unstuck.credit_entries c where c.job_id = j.id and c.kind in ('debit', 'refund')
    ) e
    where j.updated_at >= p_since
  ), freed as materialized (
    select s.provider, count(*) as slots from unstuck.job_steps s
    where coalesce(s.provider_done_at, s.completed_at) > clock_timestamp() - interval '4 minutes'
      and coalesce(s.claimed_at, s.sent_at, s.started_at) is not null
    group by 1
  )
  select 'steps_final_iff_job_final', j.id::text, format('job is %s with %s of %s steps live', j.status, j.live_steps, j.steps)
  from job j where j.steps > 0 and (unstuck_private.is_final(j.status) and j.live_steps > 0 or unstuck_private.is_live(j.status) and j.live_steps = 0 and j.quarantined_at is null)
  union all
  select 'cancelled_request_never_runs', j.id::text, format('job is %s, its user cancelled it at %s', j.status, c.at)
  from job j join unstuck.cancelled_requests c on c.user_id = j.user_id and c.job_id = j.id
  where j.status in ('queued', 'starting', 'running')
  union all
  select 'refunds_within_debit', j.id::text, format('refunded %s of %s', j.refunded, j.debit) from job j where j.refunded > j.debit
  union all
  select 'job_money_equals_ledger', j.id::text, format('row: %s charged, %s refunded; ledger: %s, %s', j.credits_charged, j.credits_refunded, j.debit, j.refunded)
  from job j where j.credits_charged <> j.debit or j.credits_refunded <> j.refunded
  union all
  select 'final_refund_exact', j.id::text, format('%s with %s refunded of %s', j.status, j.refunded, j.debit)
  from job j where j.quarantined_at is null and case
    -- Rows written by others may have shares that do not add up; closing them splits anew.
    when j.status = 'completed' and j.refund_rule = 'per_step' and j.delivered_share + j.undelivered_share <> j.debit then false
    when j.status = 'completed' then j.refunded <> case when j.refund_rule = 'per_step' then j.undelivered_share else 0 end
    when unstuck_private.is_final(j.status) then j.refunded <> j.debit - case when j.refund_rule = 'per_step' and j.debit > 0 then j.delivered_share else 0 end
    else false end
  union all
  select 'quarantined', j.id::text, format('live %s, set aside at %s', j.status, j.quarantined_at) from job j where j.quarantined_at is not null and unstuck_private.is_live(j.status)
  union all
  select 'entry_without_job', e.id::text, format('%s of %s for job %s', e.kind, e.amount, e.job_id)
  from unstuck.credit_entries e where e.created_at >= p_since and (e.kind = 'refund' or e.kind = 'debit' and e.job_id is not null)
    and not exists (select from unstuck.jobs j where j.id = e.job_id)
  union all
  select 'balance_equals_entries', a.user_id::text, format('balance %s, entries %s', a.balance, coalesce(t.total, 0))
  from unstuck.credit_accounts a
  left join lateral (select sum(e.amount) as total from unstuck.credit_entries e where e.user_id = a.user_id) t on true
  where a.balance <> coalesce(t.total, 0)
    and (p_since = '-infinity' or exists (select from unstuck.credit_entries e where e.user_id = a.user_id and e.created_at >= p_since))
  union all
  select 'balance_equals_entries', e.user_id::text, format('no account, entries %s', sum(e.amount))
  from unstuck.credit_entries e where e.created_at >= p_since and not exists (select from unstuck.credit_accounts a where a.user_id = e.user_id)
  group by e.user_id
  union all
  -- Whatever its amount: older code returns the whole price where only a share came back. Taking it back settles it, by name:
  -- older code also takes for reasons of its own.
  select 'adjustment_beside_refund', e.id::text, format('adjustment of %s near the refund of job %s', e.amount, r.job_id)
  from unstuck.credit_entries e
  cross join lateral (
    select c.job_id from unstuck.credit_entries c where c.user_id = e.user_id and c.kind = 'refund'
      and c.created_at between e.created_at - interval '1 hour' and e.created_at + interval '1 hour' order by c.id desc limit 1
  ) r
  where e.kind = 'adjustment' and e.amount > 0 and e.created_at >= p_since
    and not exists (select from unstuck.credit_entries x where x.user_id = e.user_id and x.kind = 'adjustment'
      and x.amount = -e.amount and x.reason = 'settles ' || e.id)
  union all
  select 'slots_within_limit', p.provider, format('%s live, limit %s', count(*), p.max_concurrent)
  from unstuck.providers p join unstuck.job_steps s on s.provider = p.provider join unstuck.jobs j on j.id = s.job_id
  where s.status in ('starting', 'running') and s.provider_done_at is null
    -- Rows written by others were not claimed; they hold a slot all the same.
    and coalesce(s.claimed_at, s.sent_at, s.started_at, j.created_at) > p.limit_changed_at
  group by p.provider, p.max_concurrent having count(*) > p.max_concurrent
  union all
  select 'work_waits_for_a_reason', q.job_id::text, format('step %s waits while %s has a free slot', q.step, p.provider)
  from unstuck.providers p
  cross join lateral unstuck_private.queue_order(p.provider, clock_timestamp()) q
  join unstuck.job_steps s on s.job_id = q.job_id and s.step = q.step
  join unstuck.jobs j on j.id = q.job_id
  -- Counted from when nothing was in the way any more: the step put back or its turn come, the slot free.
  where p.enabled and q.ready and greatest(coalesce(j.queued_at, j.created_at), s.not_before) < clock_timestamp() - interval '4 minutes'
    and p.max_concurrent > coalesce((select f.slots from freed f where f.provider = p.provider), 0)
      + (select count(*) from unstuck.job_steps x where x.provider = p.provider and x.status in ('starting', 'running') and x.provider_done_at is null)
    and not exists (select from unstuck.job_events e where e.job_id = s.job_id and e.step = s.step and e.to_status = 'queued'
      and e.at >= clock_timestamp() - interval '4 minutes')
$$;

revoke all on function unstuck_private.violations from public, anon, authenticated, service_role;
