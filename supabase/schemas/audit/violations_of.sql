-- One row per offence against DATA's invariants among these jobs, users and entries, and among what
-- hangs on them. Of a user, the offences stored for single entries are looked at again.
create or replace function unstuck_private.violations_of(
  p_jobs uuid[],
  p_users uuid[],
  p_entries bigint[]
)
returns table (
  invariant text,
  subject text,
  detail text,
  job_id uuid,
  user_id uuid,
  entry_id bigint
)
language sql
stable
set search_path = ''
set jit = off
as
$$
  with job as (
    select j.id, j.user_id, j.status, j.credits_charged, j.credits_refunded, j.quarantined_at,
      j.refund_rule = 'per_step' as is_per_step,
      unstuck_private.is_final(j.status) as is_final,
      -- Odd money that an admin has closed and that the event `admin_cancelled` tells of: nobody
      -- can mend the ledger any more, so it is no offence for ever.
      unstuck_private.is_final(j.status) and j.quarantined_at is not null as is_settled,
      exists (
        select from unstuck_private.removals r
        where r.user_id = j.user_id and r.ledger_removed_at >= j.created_at
      ) as has_no_ledger,
      s.steps, s.live_steps, s.delivered_share, s.undelivered_share, e.debit, e.refunded
    from unnest(p_jobs) as n (id)
    join unstuck.jobs j on j.id = n.id
    cross join lateral (
      select count(*) as steps,
        count(*) filter (where not unstuck_private.is_final(st.status)) as live_steps,
        coalesce(sum(st.share) filter (where st.status = 'completed'), 0) as delivered_share,
        coalesce(sum(st.share) filter (where st.status <> 'completed'), 0) as undelivered_share
      from unstuck.job_steps st
      where st.job_id = j.id
    ) s
    cross join lateral (
      select coalesce(-sum(c.amount) filter (where c.kind = 'debit'), 0) as debit,
        coalesce(sum(c.amount) filter (where c.kind = 'refund'), 0) as refunded
      from unstuck.credit_entries c
      where c.job_id = j.id and c.kind in ('debit', 'refund')
    ) e
  ), changed as (
    select e.id, e.user_id, e.kind, e.amount, e.job_id,
      -- Times by hand may be so far off that an hour more is no time any more.
      least(greatest(e.created_at, '1000-01-01'), '9000-01-01') as at
    from unstuck.credit_entries e
    where e.id = any (p_entries)
    union
    select e.id, e.user_id, e.kind, e.amount, e.job_id,
      least(greatest(e.created_at, '1000-01-01'), '9000-01-01')
    from unnest(p_users) as n (id)
    join unstuck.violations_found f on f.user_id = n.id
    join unstuck.credit_entries e on e.id = f.entry_id
    union
    select e.id, e.user_id, e.kind, e.amount, e.job_id,
      least(greatest(e.created_at, '1000-01-01'), '9000-01-01')
    from unnest(p_jobs) as n (id)
    join unstuck.credit_entries e on e.job_id = n.id and e.kind in ('debit', 'refund')
    where not exists (select from unstuck.jobs j where j.id = n.id)
  ), adjustment as (
    select c.id, c.user_id, c.amount, c.at
    from changed c
    where c.kind = 'adjustment' and c.amount > 0
    union
    select a.id, a.user_id, a.amount, least(greatest(a.created_at, '1000-01-01'), '9000-01-01')
    from changed c
    join unstuck.credit_entries a on a.user_id = c.user_id and a.kind = 'adjustment'
    where c.kind = 'refund'
      and a.amount > 0
      and a.created_at between c.at - interval '1 hour' and c.at + interval '1 hour'
  )
  select 'steps_final_iff_job_final', j.id::text,
    format('job is %s with %s of %s steps live', j.status, j.live_steps, j.steps),
    j.id, null::uuid, null::bigint
  from job j
  where j.steps > 0
    and (
      j.is_final and j.live_steps > 0
      or not j.is_final and j.live_steps = 0 and j.quarantined_at is null
    )
  union all
  select 'cancelled_request_never_runs', j.id::text,
    format('job is %s, its user cancelled it at %s', j.status, c.at),
    j.id, null, null
  from job j
  join unstuck.cancelled_requests c on c.user_id = j.user_id and c.job_id = j.id
  where j.status in ('queued', 'starting', 'running')
  union all
  select 'refunds_within_debit', j.id::text, format('refunded %s of %s', j.refunded, j.debit),
    j.id, null, null
  from job j
  where j.refunded > j.debit and not j.is_settled
  union all
  select 'job_money_equals_ledger', j.id::text,
    format(
      'row: %s charged, %s refunded; ledger: %s, %s',
      j.credits_charged, j.credits_refunded, j.debit, j.refunded
    ),
    j.id, null, null
  from job j
  where (j.credits_charged <> j.debit or j.credits_refunded <> j.refunded)
    and not j.has_no_ledger
    and not j.is_settled
  union all
  select 'final_refund_exact', j.id::text,
    format('%s with %s refunded of %s', j.status, j.refunded, j.debit),
    j.id, null, null
  from job j
  -- Of what an admin has settled, only credits that could not be returned are an offence.
  where (j.quarantined_at is null or j.is_settled and j.refunded < j.debit)
    and not j.has_no_ledger
    and case
      -- Rows written by others may have shares that do not add up; closing them splits anew.
      when j.is_per_step and j.delivered_share + j.undelivered_share <> j.debit then false
      when j.status = 'completed' then
        j.refunded <> case when j.is_per_step then j.undelivered_share else 0 end
      when j.is_final then
        j.refunded <> j.debit
          - case when j.is_per_step and j.debit > 0 then j.delivered_share else 0 end
      else false
    end
  union all
  select 'quarantined', j.id::text,
    format('live %s, quarantined at %s', j.status, j.quarantined_at),
    j.id, null, null
  from job j
  where j.quarantined_at is not null and not j.is_final
  union all
  select 'entry_without_job', e.id::text,
    format('%s of %s for job %s', e.kind, e.amount, e.job_id),
    null, e.user_id, e.id
  from changed e
  where (e.kind = 'refund' or e.kind = 'debit' and e.job_id is not null)
    and not exists (select from unstuck.jobs j where j.id = e.job_id)
    and not exists (
      select from unstuck_private.removals r
      where r.user_id = e.user_id and r.jobs_removed_at >= e.at
    )
  union all
  select 'balance_equals_entries', n.id::text,
    case when a.user_id is null
      then format('no account, entries %s', t.total)
      else format('balance %s, entries %s', a.balance, t.total)
    end,
    null, n.id, null
  from unnest(p_users) as n (id)
  left join unstuck.credit_accounts a on a.user_id = n.id
  cross join lateral (
    select count(*) as entries, coalesce(sum(e.amount), 0) as total
    from unstuck.credit_entries e
    where e.user_id = n.id
  ) t
  where case when a.user_id is null then t.entries > 0 else a.balance <> t.total end
  union all
  -- Whatever its amount: older code returns the whole price where only a share came back. Taking it
  -- back settles it, by name: older code also takes for reasons of its own.
  select 'adjustment_beside_refund', a.id::text,
    format('adjustment of %s near the refund of job %s', a.amount, r.job_id),
    null, a.user_id, a.id
  from adjustment a
  cross join lateral (
    select c.job_id
    from unstuck.credit_entries c
    where c.user_id = a.user_id
      and c.kind = 'refund'
      and c.created_at between a.at - interval '1 hour' and a.at + interval '1 hour'
    order by c.id desc
    limit 1
  ) r
  where not exists (
    select from unstuck.credit_entries x
    where x.user_id = a.user_id
      and x.kind = 'adjustment'
      and x.amount = -a.amount
      and x.reason = 'settles ' || a.id
  )
$$;

revoke all on function unstuck_private.violations_of from public, anon, authenticated, service_role;
