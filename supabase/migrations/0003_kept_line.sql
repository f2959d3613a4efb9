-- 0003_kept_line.sql
-- Made by `cargo xtask migration kept_line`
-- from supabase/schemas, in the order in which things can be created. Do not edit it: change the
-- sources. It is applied once, whole or not at all.

begin;

do $applied$
begin
  if exists (select from unstuck_private.migrations where number = 3) then
    raise exception 'unstuck migration 0003 is applied already';
  end if;
  if not exists (select from unstuck_private.migrations where number = 2) then
    raise exception 'unstuck migration 0002 must be applied before 0003';
  end if;
end
$applied$;

-- A function may name an object that is created below it.
set local check_function_bodies = off;
-- While this waits for a table, everybody else waits behind it: fail and retry instead.
set local lock_timeout = '5s';

-- written by hand
alter table unstuck.job_steps
  add column line_user_id uuid,
  add column line_tool text,
  add column line_since timestamptz,
  add column turn_at timestamptz;

-- Who waits keeps the order: the first waiting step of each user has the turn.
update unstuck.job_steps s
set line_user_id = w.user_id,
  line_tool = w.tool,
  line_since = w.since,
  turn_at = case when w.nth = 1 then greatest(w.since, w.served_at, s.not_before) end
from (
  select o.job_id, o.step, j.user_id, j.tool, u.served_at,
    coalesce(j.queued_at, j.created_at) as since,
    row_number() over (
      partition by o.provider, j.user_id
      order by coalesce(o.not_before > clock_timestamp(), false),
        coalesce(j.queued_at, j.created_at), o.job_id, o.step
    ) as nth
  from unstuck.job_steps o
  join unstuck.jobs j on j.id = o.job_id
  left join unstuck_private.queue_turns u
    on u.provider = o.provider
    and u.user_id = j.user_id
  where o.status = 'queued'
) w
where s.job_id = w.job_id
  and s.step = w.step;

drop index unstuck.job_steps_queued;

create index job_steps_line
on unstuck.job_steps (provider, turn_at, job_id, step)
where status = 'queued' and turn_at is not null;

create index job_steps_line_of_tool
on unstuck.job_steps (provider, line_tool, turn_at, job_id, step) include (run, deadline_at)
where status = 'queued' and turn_at is not null;

create index job_steps_line_of_user
on unstuck.job_steps (provider, line_user_id, turn_at, line_since, job_id, step)
where status = 'queued';

drop table unstuck_private.queue_turns;

delete from unstuck.retention
where kind = 'queue_turns';

alter table unstuck.providers
  add column learned_limit int
    check (learned_limit >= 0),
  add column limit_probe_at timestamptz;

--: recreated below, or removed
drop view unstuck.provider_load;
drop function unstuck_private.prune_queue_turns;
drop function unstuck_private.visible_load;
drop function unstuck_private.tool_seconds;
drop function unstuck_private.steps_pick;
drop function unstuck_private.steps_claim;
drop function unstuck_private.seconds_until_slots_free;
drop function unstuck_private.queue_order;
drop function unstuck_private.jobs_finalise;
drop function unstuck_private.job_state;

--: source queue/tool_time.sql f7e82d003376
-- How long a step of a tool held its slot lately, in seconds.
create type unstuck_private.tool_time as (tool text, seconds numeric);

--: source queue/turn.sql 7237a8f06513
-- A waiting step that may be claimed: the first (nth = 1), second … of its user.
create type unstuck_private.turn as (
  job_id uuid,
  step int,
  user_id uuid,
  nth bigint,
  turn_at timestamptz
);

--: source tool/providers.sql 4e99658e04a4 by hand

--: source queue/turns_owed.sql 77d69f696a75
-- Users who wait at a provider and have no usable turn in its line: their steps were held by other
-- transactions when the turn was passed on, or the turn is of a tool whose circuit has opened. The
-- next claim gives them one.
create table unstuck_private.turns_owed (
  provider text not null references unstuck.providers,
  user_id uuid not null,
  primary key (provider, user_id)
);

alter table unstuck_private.turns_owed enable row level security;
revoke all on unstuck_private.turns_owed from public, anon, authenticated, service_role;

--: source step/job_steps.sql 6d03f0d7429e by hand

--: source audit/violations_now.sql d6415650efb0
-- The violations of the two invariants that hold or not by the clock; they are never stored.
create or replace function unstuck_private.violations_now()
returns table (invariant text, subject text, detail text)
language sql
stable
set search_path = ''
set jit = off
as
$$
  with since as (
    select clock_timestamp() as now, clock_timestamp() - interval '4 minutes' as at
  ), provider as materialized (
    select p.provider, p.enabled, p.max_concurrent, p.limit_changed_at, p.circuit_open_until,
      p.circuit_closed_at, l.live, unstuck_private.slot_limit(p, n.at) as slots
    from unstuck.providers p
    cross join since n
    cross join lateral (
      select count(*) as live
      from unstuck.job_steps s
      where s.provider = p.provider and unstuck_private.holds_slot(s)
    ) l
  ), freed as materialized (
    select s.provider, count(*) as slots
    from unstuck.job_steps s
    where coalesce(s.provider_done_at, s.completed_at) > (select since.at from since)
      and coalesce(s.claimed_at, s.sent_at, s.started_at) is not null
    group by s.provider
  ), idle as materialized (
    select p.provider, p.circuit_closed_at
    from provider p
    left join freed f on f.provider = p.provider
    where p.enabled
      and p.circuit_open_until is null
      and p.slots > p.live + coalesce(f.slots, 0)
  )
  select 'slots_within_limit', p.provider, format('%s live, limit %s', c.live, p.max_concurrent)
  from provider p
  cross join lateral (
    select count(*) as live
    from unstuck.job_steps s
    join unstuck.jobs j on j.id = s.job_id
    where s.provider = p.provider
      and unstuck_private.holds_slot(s)
      -- Rows that others wrote hold a slot without a claim.
      and coalesce(s.claimed_at, s.sent_at, s.started_at, j.created_at) > p.limit_changed_at
  ) c
  where p.live > p.max_concurrent and c.live > p.max_concurrent
  union all
  select 'work_waits_for_a_reason', s.job_id::text,
    format('step %s waits while %s has a free slot', s.step, s.provider)
  from idle i
  cross join since n
  join unstuck.job_steps s on s.provider = i.provider and s.status = 'queued'
  join unstuck.jobs j on j.id = s.job_id
  join unstuck.tools t on t.tool = j.tool and t.circuit_open_until is null
  -- Four minutes count from the moment when nothing was in the way: the step was queued, the slot
  -- was free, no circuit was open.
  where greatest(
      coalesce(j.queued_at, j.created_at), s.not_before, i.circuit_closed_at, t.circuit_closed_at
    ) < n.at
    and unstuck_private.is_live(j.status)
    and j.quarantined_at is null
    -- The queue TTL is paused while another step of the job works.
    and (
      s.deadline_at > n.now
      or exists (
        select from unstuck.job_steps w
        where w.job_id = s.job_id and w.status in ('starting', 'running')
      )
    )
    and not exists (
      select from unstuck.job_events e
      where e.job_id = s.job_id
        and e.step = s.step
        and e.to_status = 'queued'
        and e.at >= n.at
    )
$$;

revoke all on function unstuck_private.violations_now
from public, anon, authenticated, service_role;

--: source cancel/is_orphan.sql 86783141c775
-- True for a row that waits since before p_before, that nobody paid for or ordered, and that no
-- worker has claimed.
create or replace function unstuck_private.is_orphan(p_job unstuck.jobs, p_before timestamptz)
returns boolean
language plpgsql
stable
set search_path = ''
-- Planning would cost more than the work.
set plan_cache_mode = force_generic_plan
as
$$
begin
  return p_job.status in ('pending', 'queued')
    and p_job.quarantined_at is null
    and p_job.request_hash is null
    and p_job.started_at is null
    and coalesce(p_job.queued_at, p_job.created_at) <= p_before
    and not exists (
      select
      from unstuck.credit_entries e
      where e.job_id = p_job.id
        and e.kind = 'debit'
    )
    and not exists (
      select
      from unstuck.job_steps s
      where s.job_id = p_job.id
        and (s.provider_task_id is not null or s.claimed_at is not null)
    );
end $$;

revoke all on function unstuck_private.is_orphan from public, anon, authenticated, service_role;

--: source clock/probe_pause.sql 47d3f8e3522f
-- How long a provider's learned limit stands until one step more is tried: shortly after it has
-- changed, longer after a probe was refused, or is under way.
create or replace function unstuck_private.probe_pause(p_is_confirmed boolean)
returns interval
language sql
immutable
as
$$
  select case when p_is_confirmed then interval '30 seconds' else interval '5 seconds' end
$$;

revoke all on function unstuck_private.probe_pause from public, anon, authenticated, service_role;

--: source credit/account_lock.sql 3fbbd6249935
-- Locks the user's account, creates it where there is none, and returns its balance. It retries
-- where another transaction erased the account while this one waited, so that the caller always
-- holds a row.
create or replace function unstuck_private.account_lock(p_user_id uuid)
returns bigint
language plpgsql
set search_path = ''
as
$$
declare
  v_balance bigint;
begin
  loop
    select a.balance
    into v_balance
    from unstuck.credit_accounts a
    where a.user_id = p_user_id
    for update;
    if found then
      return v_balance;
    end if;
    insert into unstuck.credit_accounts (user_id)
    values (p_user_id)
    on conflict do nothing;
  end loop;
end $$;

revoke all on function unstuck_private.account_lock from public, anon, authenticated, service_role;

--: source credit/jobs_refund.sql 0545dee0d9ee
-- Refunds these jobs what `refunds_due` says of the state that each is about to have, and returns
-- the debit, the refunds before and the refund now of each. Without p_refund it refunds nothing.
-- The caller has locked the accounts (by id) and the jobs, and has ended the steps.
create or replace function unstuck_private.jobs_refund(
  p_ids uuid[],
  p_statuses text[],
  p_reasons text[],
  p_refund boolean default true
)
returns table (job_id uuid, debit bigint, refunded bigint, given bigint)
language plpgsql
set search_path = ''
-- Planning would cost more than the work on a few jobs.
set plan_cache_mode = force_generic_plan
as
$$
#variable_conflict use_column
begin
  if cardinality(p_ids) > 10 then
    perform set_config('plan_cache_mode', 'force_custom_plan', true);
  end if;
  if exists (
    select from unstuck.jobs j
    where j.id = any (p_ids)
      and not exists (select from unstuck.credit_accounts a where a.user_id = j.user_id)
  ) then
    insert into unstuck.credit_accounts (user_id)
    select distinct j.user_id
    from unstuck.jobs j
    where j.id = any (p_ids)
      and not exists (select from unstuck.credit_accounts a where a.user_id = j.user_id)
      and unstuck_private.has_ledger_entries(j.id)
    order by 1
    on conflict do nothing;
  end if;

  -- Nothing is due of a job that is completed with every step.
  if p_statuses <@ array['completed']
    and not exists (
      select from unstuck.job_steps s
      where s.job_id = any (p_ids)
        and s.status in ('failed', 'cancelled')
    )
  then
    return query
    select l.job_id, l.debit, l.refunded, 0::bigint
    from unstuck_private.jobs_ledger(p_ids) l;
    return;
  end if;

  return query
  with due as materialized (
    select *
    from unstuck_private.refunds_due(p_ids, p_statuses)
  ), entry as (
    insert into unstuck.credit_entries (
      user_id, job_id, step, kind, amount, balance_after, reason)
    select d.user_id, d.job_id, d.step, 'refund', d.amount,
      a.balance + sum(d.amount) over (
        partition by d.user_id
        order by d.job_id, d.step
        rows unbounded preceding
      ),
      coalesce(n.reason, 'refund')
    from due d
    join unnest(p_ids, p_reasons) as n (id, reason) on n.id = d.job_id
    join unstuck.credit_accounts a using (user_id)
    where p_refund
      and d.amount is not null
    returning user_id, amount
  ), account as (
    update unstuck.credit_accounts a
    set balance = a.balance + t.total
    from (
      select user_id, sum(amount)::bigint as total
      from entry
      group by 1
    ) t
    where a.user_id = t.user_id
  )
  select d.job_id, d.debit, d.refunded,
    coalesce(sum(d.amount) filter (where p_refund), 0)::bigint
  from due d
  group by d.job_id, d.debit, d.refunded;
end $$;

revoke all on function unstuck_private.jobs_refund from public, anon, authenticated, service_role;

--: source erase/user_rows_delete.sql 69a9d4197505
-- Deletes every row of a user and of these jobs, which were the user's, and returns how many ledger
-- entries there were. The account and the jobs are locked.
create or replace function unstuck_private.user_rows_delete(p_user_id uuid, p_job_ids uuid[])
returns bigint
language plpgsql
set search_path = ''
as
$$
declare
  v_entries bigint;
begin
  delete from unstuck.job_events e
  where e.job_id = any (p_job_ids);
  delete from unstuck.webhook_inbox w
  where w.job_id = any (p_job_ids);
  delete from unstuck.job_steps s
  using unstuck.jobs j
  where j.id = s.job_id and j.user_id = p_user_id;
  delete from unstuck.jobs j
  where j.user_id = p_user_id;
  delete from unstuck.cancelled_requests c
  where c.user_id = p_user_id;
  delete from unstuck_private.turns_owed o
  where o.user_id = p_user_id;
  delete from unstuck.user_roles r
  where r.user_id = p_user_id;
  delete from unstuck.credit_entries e
  where e.user_id = p_user_id;
  get diagnostics v_entries = row_count;
  delete from unstuck.credit_accounts a
  where a.user_id = p_user_id;
  return v_entries;
end $$;

revoke all on function unstuck_private.user_rows_delete
from public, anon, authenticated, service_role;

--: source job/act_as.sql 408b8276b481
-- Names the actor of this transaction. The triggers that write `job_events` store it with each
-- transition.
create or replace function unstuck_private.act_as(p_actor text) returns void
language plpgsql
set search_path = ''
as
$$
begin
  perform set_config('unstuck.actor', p_actor, true);
end $$;

revoke all on function unstuck_private.act_as from public, anon, authenticated, service_role;

--: source job/job_get_v1.sql 17a422ec0944
create or replace function unstuck.job_get_v1(
  p_job_id uuid,
  p_user_id uuid default null,
  p_tool text default null,
  p_table text default null
)
returns table (
  job_id uuid,
  tool text,
  table_name text,
  status text,
  "position" int,
  eta_seconds int,
  task_id text,
  output_url text,
  error_code text,
  error_message text,
  credits_charged bigint,
  credits_refunded bigint,
  balance bigint,
  total_steps int,
  current_step int,
  tasks jsonb
)
language plpgsql
security definer
set search_path = ''
set statement_timeout = '10s'
-- However few rows the statistics know, they are read by their indexes.
set enable_seqscan = off
set jit = off
as
$$
declare
  v_job unstuck.jobs;
begin
  select j.*
  into v_job
  from unstuck.jobs j
  where j.id = p_job_id;
  if p_table is not null then
    perform unstuck_private.refuse_other_table(v_job, p_table);
  end if;
  if v_job.id is null
    or (p_user_id is not null and v_job.user_id <> p_user_id)
    or (p_tool is not null and v_job.tool <> p_tool)
  then
    perform unstuck_private.refuse(404, 'not_found');
  end if;
  -- Heal first, so that a job that ran out of time is not shown as live.
  if unstuck_private.is_live(v_job.status) and v_job.deadline_at <= clock_timestamp() then
    perform unstuck.user_heal_v1(v_job.user_id);
  end if;
  return query
  select
    j.id,
    j.tool,
    t.table_name,
    j.status,
    e."position",
    e.eta_seconds,
    e.task_id,
    j.output_url,
    coalesce(j.error_code, w.code),
    coalesce(j.error_message, w.code || ': the provider is full; the job keeps its turn.'),
    j.credits_charged,
    j.credits_refunded,
    e.balance,
    j.total_steps,
    j.current_step,
    case
      when t.step_order = 'parallel' then (
        select jsonb_agg(
          jsonb_build_object(
            'card', j.input -> 'selectedCards' -> (s.step - 1),
            'status', s.status,
            'retrying',
            s.status = 'queued' and coalesce(s.not_before > clock_timestamp(), false),
            'output_url',
            case
              when s.status = 'completed'
                and (j.refund_rule = 'per_step' or j.status = 'completed')
              then s.output_url
            end,
            'error_message', s.error_message
          )
          order by s.step
        )
        from unstuck.job_steps s
        where s.job_id = j.id
      )
    end
  from unstuck.jobs j
  join unstuck.tools t using (tool)
  cross join unstuck_private.job_state(j.id) e
  cross join lateral (
    select case when unstuck_private.waits_for_capacity(j) then 'PROVIDER_BUSY' end as code
    -- Not inlined: it is asked once.
    offset 0
  ) w
  where j.id = p_job_id;
end $$;

comment on function unstuck.job_get_v1 is $c$
Caller: the status endpoints, for the verified user (p_user_id null: for the service), one tool
(p_tool null: any) and one table (p_table null: any).

Effect: heals the user's jobs when this one is past its deadline, then answers with the job's
present state; while it waits for a provider that refuses more, error_code is PROVIDER_BUSY. tasks:
the parallel steps, each with its output once the owner may see it.

Refuses: bad_request (no tool has the table); not_found, also for a job of another user, tool or
table.

Replay: reads again.
$c$;

revoke all on function unstuck.job_get_v1 from public, anon, authenticated, service_role;
grant execute on function unstuck.job_get_v1 to service_role;

--: source job/job_state.sql 60020a6566a9
-- The present state of a job, as the reply to a request that is a replay.
create or replace function unstuck_private.job_state(p_job_id uuid)
returns table (
  job_id uuid,
  status text,
  replayed boolean,
  credits_charged bigint,
  balance bigint,
  "position" int,
  eta_seconds int,
  task_id text,
  output_url text,
  error_code text,
  error_message text,
  credits_refunded bigint
)
language plpgsql
stable
set search_path = ''
as
$$
begin
  return query
  select
    j.id,
    j.status,
    true,
    j.credits_charged,
    coalesce(a.balance, 0),
    p."position",
    p.eta_seconds,
    (
      select s.provider_task_id
      from unstuck.job_steps s
      where s.job_id = j.id
        and s.provider_task_id is not null
      order by s.step desc
      limit 1
    ),
    j.output_url,
    j.error_code,
    j.error_message,
    j.credits_refunded
  from unstuck.jobs j
  left join unstuck.credit_accounts a using (user_id)
  left join unstuck_private.job_position(p_job_id) p on true
  where j.id = p_job_id;
end $$;

revoke all on function unstuck_private.job_state from public, anon, authenticated, service_role;

--: source job/job_sync_from_steps.sql 94b67e2f13ca
-- Derives the status, the current step, the deadline and the start of these live jobs from their
-- steps. Final states are written by `jobs_finalise`.
create or replace function unstuck_private.job_sync_from_steps(p_job_ids uuid[]) returns void
language plpgsql
set search_path = ''
-- Planning would cost more than the work on a few jobs.
set plan_cache_mode = force_generic_plan
as
$$
begin
  if cardinality(p_job_ids) > 10 then
    perform set_config('plan_cache_mode', 'force_custom_plan', true);
  end if;
  update unstuck.jobs j
  set status = s.status,
    current_step = s.current_step,
    deadline_at = least(coalesce(s.deadline_at, j.deadline_at), j.expires_at),
    started_at = case when s.worked then coalesce(j.started_at, s.started_at) end
  from (
    select st.job_id,
      case
        when bool_or(st.status in ('running', 'completed', 'failed')) then 'running'
        when bool_or(st.status = 'starting') then 'starting'
        else 'queued'
      end as status,
      count(*) filter (where st.status in ('completed', 'failed'))
        + (
          max(t.step_order) = 'sequential'
          and bool_or(st.status in ('starting', 'running'))
        )::int as current_step,
      coalesce(
        min(st.deadline_at) filter (where st.status in ('starting', 'running')),
        max(st.deadline_at) filter (where st.status = 'queued')
      ) as deadline_at,
      bool_or(st.started_at is not null or st.sent_at is not null) as worked,
      min(coalesce(st.started_at, st.sent_at)) as started_at
    from unstuck.job_steps st
    join unstuck.jobs jj on jj.id = st.job_id
    join unstuck.tools t using (tool)
    where st.job_id = any (p_job_ids)
    group by st.job_id
  ) s
  where j.id = s.job_id
    and unstuck_private.is_live(j.status);
end $$;

revoke all on function unstuck_private.job_sync_from_steps
from public, anon, authenticated, service_role;

--: source job/jobs_finalise.sql b93b2d53b97f
-- Ends live jobs with everything that belongs to them: steps, refunds, balances, the rows
-- themselves. Returns what became of each. The caller has locked the accounts (by id) and then the
-- jobs.
--
-- The columns of credits are written anew from the ledger. Where more was refunded than taken, the
-- row shows as much as was taken, and the message says what the ledger shows. Without p_refund
-- nothing is refunded, whatever is due. p_output and p_output_url are the result, of a single job.
create or replace function unstuck_private.jobs_finalise(
  p_ids uuid[],
  p_statuses text[],
  p_codes text[],
  p_messages text[],
  p_refund boolean default true,
  p_output jsonb default null,
  p_output_url text default null
)
returns table (job_id uuid, tool text, status text, refunded bigint)
language plpgsql
set search_path = ''
-- Planning would cost more than the work on a few jobs.
set plan_cache_mode = force_generic_plan
as
$$
#variable_conflict use_column
declare
  v_now timestamptz := clock_timestamp();
  v_ids uuid[];
  v_statuses text[];
  v_codes text[];
  v_messages text[];
begin
  if cardinality(p_ids) > 10 then
    perform set_config('plan_cache_mode', 'force_custom_plan', true);
  end if;
  select array_agg(c.id), array_agg(c.status), array_agg(c.code), array_agg(c.message)
  into v_ids, v_statuses, v_codes, v_messages
  from unnest(p_ids, p_statuses, p_codes, p_messages) as c (id, status, code, message)
  join unstuck.jobs j using (id)
  where unstuck_private.is_live(j.status);

  if exists (
    select from unstuck.job_steps s
    where s.job_id = any (v_ids)
      and not unstuck_private.is_final(s.status)
  ) then
    update unstuck.job_steps s
    set status = case c.status when 'cancelled' then 'cancelled' else 'failed' end,
      error_code = coalesce(c.code, 'CANCELLED'),
      error_message = coalesce(c.code, 'CANCELLED') || ': ' || c.message,
      completed_at = v_now,
      lease_until = null,
      checked_at = null,
      provider_cancel_due = unstuck_private.cancel_debt_with(s)
    from unnest(v_ids, v_statuses, v_codes, v_messages) as c (id, status, code, message)
    where s.job_id = c.id
      and not unstuck_private.is_final(s.status);
  end if;

  return query
  update unstuck.jobs j
  set status = c.status,
    credits_charged = r.debit,
    credits_refunded = least(r.refunded::numeric + r.given, r.debit),
    error_code = case when c.status <> 'completed' then c.code end,
    error_message = case when c.status <> 'completed' then
      c.code || ': ' || c.message
      || case when r.given > 0 then format(' %s credits were returned.', r.given) else '' end
      || case
        when r.refunded::numeric + r.given > r.debit then
          format(' The ledger shows %s credits returned of %s.',
            r.refunded::numeric + r.given, r.debit)
        else ''
      end
    end,
    current_step = case when c.status = 'completed' then j.total_steps else j.current_step end,
    output = coalesce(p_output, j.output),
    output_url = coalesce(p_output_url, j.output_url),
    completed_at = v_now,
    deadline_at = least(j.deadline_at, v_now)
  from unnest(v_ids, v_statuses, v_codes, v_messages) as c (id, status, code, message)
  join unstuck_private.jobs_refund(v_ids, v_statuses, v_codes, p_refund) r on r.job_id = c.id
  where j.id = c.id
  returning j.id, j.tool, j.status, r.given;
end $$;

revoke all on function unstuck_private.jobs_finalise from public, anon, authenticated, service_role;

--: source order/job_enqueue_v1.sql 995180c8bfbe
create or replace function unstuck.job_enqueue_v1(
  p_user_id uuid,
  p_job_id uuid,
  p_tool text,
  p_session_id text,
  p_input jsonb,
  p_request_hash text,
  p_steps jsonb
)
returns table (
  job_id uuid,
  status text,
  replayed boolean,
  credits_charged bigint,
  balance bigint,
  "position" int,
  eta_seconds int,
  task_id text,
  output_url text,
  error_code text,
  error_message text,
  credits_refunded bigint
)
language sql
security definer
set search_path = ''
set statement_timeout = '10s'
as
$$
  select s.job_id, s.status, s.replayed, s.credits_charged, s.balance, s."position", s.eta_seconds,
    s.task_id, s.output_url, s.error_code, s.error_message, s.credits_refunded
  from unstuck.job_enqueue_v2(
    p_user_id, p_job_id, p_tool, p_session_id, p_input, p_request_hash, p_steps, false) s
$$;

comment on function unstuck.job_enqueue_v1 is $c$
Caller: Workers of the version before `job_enqueue_v2`, which does the work.

Effect: takes the price and writes the job with its steps, in one transaction. It adopts an unpaid
row of the same id that an older client inserted.

Refuses: bad_request, idempotency_conflict (the id belongs to another order), already_final (also:
the user cancelled the order before it arrived), tool_disabled, active_job_exists,
insufficient_credits, queue_full. A refusal leaves nothing behind.

Replay: the same id, user, tool and hash get the job's present state and no charge: replayed = true.
$c$;

revoke all on function unstuck.job_enqueue_v1 from public, anon, authenticated, service_role;
grant execute on function unstuck.job_enqueue_v1 to service_role;

--: source order/job_enqueue_v2.sql a54335519db5
create or replace function unstuck.job_enqueue_v2(
  p_user_id uuid,
  p_job_id uuid,
  p_tool text,
  p_session_id text,
  p_input jsonb,
  p_request_hash text,
  p_steps jsonb,
  p_claim boolean
)
returns table (
  job_id uuid,
  status text,
  replayed boolean,
  credits_charged bigint,
  balance bigint,
  "position" int,
  eta_seconds int,
  task_id text,
  output_url text,
  error_code text,
  error_message text,
  credits_refunded bigint,
  claimed jsonb
)
language plpgsql
security definer
set search_path = ''
set statement_timeout = '10s'
-- However few rows the statistics know, they are read by their indexes.
set enable_seqscan = off
set jit = off
as
$$
declare
  v_tool unstuck.tools;
  v_job unstuck.jobs;
  v_balance bigint;
  v_price bigint;
  v_seconds_over int;
  v_constraint text;
begin
  perform unstuck_private.act_as('user');
  select t.*
  into v_tool
  from unstuck.tools t
  where t.tool = p_tool;
  if not found
    or p_user_id is null
    or p_job_id is null
    or coalesce(p_request_hash, '') = ''
    or jsonb_typeof(p_steps) is distinct from 'array'
    or jsonb_array_length(p_steps) not between 1 and 20
  then
    perform unstuck_private.refuse(400, 'bad_request');
  end if;
  v_balance := unstuck_private.account_lock(p_user_id);
  -- Replay comes first: the same id is the same order, whatever has become of its job.
  select j.*
  into v_job
  from unstuck.jobs j
  where j.id = p_job_id
  for update;
  if found then
    perform unstuck_private.refuse_other_order(v_job, p_user_id, p_tool, p_request_hash);
    if v_job.request_hash is not null then
      return query
      select s.*, case when p_claim then unstuck_private.order_claimed(p_job_id) end
      from unstuck_private.job_state(p_job_id) s;
      return;
    end if;
    perform unstuck_private.refuse_adoption(v_job);
  end if;
  perform unstuck_private.refuse_cancelled_request(p_user_id, p_job_id);
  if not v_tool.enabled then
    perform unstuck_private.refuse(503, 'tool_disabled');
  end if;
  perform unstuck_private.refuse_second_live_job(p_user_id, p_job_id, v_tool);
  v_price := unstuck_private.order_price(v_tool, jsonb_array_length(p_steps));
  perform unstuck_private.refuse_over_balance(v_balance, v_price);
  begin
    -- Some servers of the PostgREST protocol pass a null as ''.
    perform unstuck_private.job_write(p_user_id, p_job_id, v_tool, nullif(p_session_id, ''),
      p_input, p_request_hash, p_steps, v_price, null);
  exception when unique_violation then
    -- Another user took this id, or another writer inserted a live row, at the same moment.
    get stacked diagnostics v_constraint = constraint_name;
    perform unstuck_private.refuse(409, case v_constraint
      when 'jobs_one_live_per_exclusive_key' then 'active_job_exists'
      else 'idempotency_conflict'
    end);
  end;
  v_seconds_over := unstuck_private.seconds_over_queue_ttl(p_job_id, v_tool);
  if v_seconds_over > 0 then
    perform unstuck_private.refuse(
      503, 'queue_full', jsonb_build_object('retry_after', v_seconds_over));
  end if;
  -- The reply shows the job as it was ordered.
  return query
  select p_job_id, 'queued', false, v_price, v_balance - v_price, null::int, null::int, null::text,
    null::text, null::text, null::text, 0::bigint,
    case when p_claim then unstuck_private.order_claim(p_job_id) end;
end $$;

comment on function unstuck.job_enqueue_v2 is $c$
Caller: the function that creates the tool's jobs, for the verified user.

Effect: takes the price and writes the job with its steps, in one transaction. It adopts an unpaid
row of the same id that an older client inserted. With p_claim the first step is claimed at once
where a slot is free and nobody waits for it; claimed: that step, as `step_claim_v1` returns it. The
other columns show the job as it was ordered.

Refuses: bad_request, idempotency_conflict (the id belongs to another order), already_final (also:
the user cancelled the order before it arrived), tool_disabled, active_job_exists,
insufficient_credits, queue_full. A refusal leaves nothing behind.

Replay: the same id, user, tool and hash get the job's present state and no charge: replayed = true.
claimed: the step with a new run, while no worker has sent it.
$c$;

revoke all on function unstuck.job_enqueue_v2 from public, anon, authenticated, service_role;
grant execute on function unstuck.job_enqueue_v2 to service_role;

--: source order/job_write.sql 92571e45e204
-- Writes a queued job with its debit and its steps, or overwrites the row that the order adopts.
-- The caller has locked the account.
create or replace function unstuck_private.job_write(
  p_user_id uuid,
  p_job_id uuid,
  p_tool unstuck.tools,
  p_session_id text,
  p_input jsonb,
  p_request_hash text,
  p_steps jsonb,
  p_price bigint,
  p_retry_of uuid
)
returns void
language plpgsql
set search_path = ''
-- Planning would cost more than the work.
set plan_cache_mode = force_generic_plan
as
$$
declare
  v_now timestamptz := clock_timestamp();
  v_steps int := jsonb_array_length(p_steps);
  v_expires timestamptz := v_now + unstuck_private.job_lifetime(p_tool.tool, v_steps);
  v_deadline timestamptz := least(v_now + p_tool.queue_ttl, v_expires);
  v_key text := p_tool.exclusive_group || ':' || p_user_id;
begin
  perform 1
  from unstuck.jobs j
  where j.id = p_job_id;
  if found then
    -- Adopt the row that an older client inserted: every column of times and credits is
    -- overwritten.
    update unstuck.jobs set
      status = 'queued',
      session_id = coalesce(p_session_id, session_id),
      credits_charged = p_price,
      credits_refunded = 0,
      refund_rule = p_tool.refund_rule,
      exclusive_key = v_key,
      input = p_input,
      total_steps = v_steps,
      current_step = 0,
      retries = 0,
      request_hash = p_request_hash,
      queued_at = v_now,
      created_at = v_now,
      started_at = null,
      deadline_at = v_deadline,
      expires_at = v_expires,
      completed_at = null,
      waited_in_queue = false,
      output = null,
      output_url = null,
      error_code = null,
      error_message = null
    where id = p_job_id
      and user_id = p_user_id
      and request_hash is null;
  end if;
  if not found then
    insert into unstuck.jobs (
      id, tool, user_id, session_id, status, credits_charged, refund_rule, exclusive_key, input,
      total_steps, request_hash, retry_of, queued_at, created_at, deadline_at, expires_at
    )
    values (
      p_job_id, p_tool.tool, p_user_id, p_session_id, 'queued', p_price, p_tool.refund_rule,
      v_key, p_input, v_steps, p_request_hash, p_retry_of, v_now, v_now, v_deadline, v_expires
    );
  end if;
  if p_price > 0 then
    perform unstuck_private.order_debit(p_user_id, p_job_id, p_tool.tool, p_price);
  end if;
  insert into unstuck.job_steps (job_id, step, status, provider, share, deadline_at, input)
  select
    p_job_id,
    s.step,
    case when s.step > 1 and p_tool.step_order = 'sequential' then 'blocked' else 'queued' end,
    p_tool.provider,
    unstuck_private.share_of(p_price, v_steps, s.step::int),
    case
      when s.step > 1 and p_tool.step_order = 'sequential' then v_expires
      else v_deadline
    end,
    s.input
  from jsonb_array_elements(p_steps) with ordinality as s (input, step);
end $$;

revoke all on function unstuck_private.job_write from public, anon, authenticated, service_role;

--: source order/order_claimed.sql eef11e96b1d7
-- Gives the first step of an order anew, as `order_claim` does, where no worker has sent it: an
-- answer to the order was lost, and the step is still to be submitted. The step gets a new run, so
-- that the worker of the first request, if there is one still, submits it no more. Null for any
-- other step. The caller has locked the job.
create or replace function unstuck_private.order_claimed(p_job_id uuid) returns jsonb
language plpgsql
set search_path = ''
as
$$
declare
  v_claimed jsonb;
begin
  update unstuck.job_steps s
  set run = s.run + 1
  from unstuck.jobs j
  join unstuck.tools t using (tool)
  where s.job_id = p_job_id
    and s.step = 1
    and s.status = 'starting'
    and s.sent_at is null
    and s.lease_until > clock_timestamp()
    and j.id = s.job_id
  returning jsonb_build_object(
    'job_id', s.job_id,
    'step', s.step,
    'run', s.run,
    'tool', j.tool,
    'user_id', j.user_id,
    'attempts', s.attempts,
    'input', s.input,
    'previous_output_url', null,
    'run_ms', greatest(
      ceil(
        extract(
          epoch from least(t.run_timeout, j.expires_at - clock_timestamp())
        ) * 1000
      ),
      0
    )
  )
  into v_claimed;
  return v_claimed;
end $$;

revoke all on function unstuck_private.order_claimed
from public, anon, authenticated, service_role;

--: source order/order_debit.sql 7acfa86ceb36
-- Takes the price of an order from its user's account, which the caller has locked, and writes the
-- entry.
create or replace function unstuck_private.order_debit(
  p_user_id uuid,
  p_job_id uuid,
  p_tool text,
  p_price bigint
)
returns void
language plpgsql
set search_path = ''
as
$$
declare
  v_balance bigint;
begin
  update unstuck.credit_accounts a
  set balance = a.balance - p_price
  where a.user_id = p_user_id
  returning a.balance
  into v_balance;
  insert into unstuck.credit_entries (user_id, job_id, kind, amount, balance_after, reason)
  values (p_user_id, p_job_id, 'debit', -p_price, v_balance, p_tool);
end $$;

revoke all on function unstuck_private.order_debit from public, anon, authenticated, service_role;

--: source order/seconds_over_queue_ttl.sql 1327e3352ad7
-- How many seconds longer than its tool's `queue_ttl` a new job would wait; 0 while a slot is free
-- or no duration was measured yet. The job's own position counts, so that a user with many waiting
-- jobs causes no refusal of other users.
create or replace function unstuck_private.seconds_over_queue_ttl(
  p_job_id uuid,
  p_tool unstuck.tools
)
returns int
language plpgsql
stable
set search_path = ''
-- Planning would cost more than the work.
set plan_cache_mode = force_generic_plan
-- However few steps the statistics know, they are read by their indexes.
set enable_seqscan = off
set enable_bitmapscan = off
set jit = off
as
$$
declare
  v_free int;
begin
  select unstuck_private.slot_limit(p, clock_timestamp()) - (
    select count(*)
    from unstuck.job_steps s
    where s.provider = p.provider
      and unstuck_private.holds_slot(s)
  )
  into v_free
  from unstuck.providers p
  where p.provider = p_tool.provider;
  if (
    select count(*)
    from (
      select
      from unstuck.job_steps s
      where s.provider = p_tool.provider
        and s.status = 'queued'
        and s.job_id <> p_job_id
      limit greatest(v_free, 0)
    ) s
  ) < v_free
    or not exists (
      select from unstuck.job_steps s
      where s.provider = p_tool.provider
        and s.status = 'completed'
        and s.started_at is not null
    )
  then
    return 0;
  end if;
  return (
    select p.eta_seconds - extract(epoch from p_tool.queue_ttl)::int
    from unstuck_private.job_position(p_job_id) p
  );
end $$;

revoke all on function unstuck_private.seconds_over_queue_ttl
from public, anon, authenticated, service_role;

--: source queue/caller_positions.sql 0e5828e2faba
-- The positions of the caller's own waiting jobs, {job id: position}; for an admin and the service,
-- of all. A view calls this once a query, not once a row. Many positions cost one pass over the
-- provider's whole line, a few are told without one.
create or replace function unstuck_private.caller_positions() returns jsonb
language plpgsql
stable
security definer
set search_path = ''
as
$$
declare
  v_ids uuid[];
begin
  if unstuck_private.may_see(null) then
    v_ids := array(
      select j.id
      from unstuck.jobs j
      where j.status = 'queued'
    );
  else
    v_ids := array(
      select j.id
      from unstuck.jobs j
      where j.status = 'queued' and j.user_id = auth.uid()
    );
  end if;
  if cardinality(v_ids) <= 3 then
    return (
      select coalesce(jsonb_object_agg(n.id, p."position"), '{}')
      from unnest(v_ids) as n (id)
      cross join lateral unstuck_private.job_position(n.id) p
    );
  end if;
  return (
    with line as (
      select q.job_id, row_number() over (partition by p.provider order by q."position") as nth
      from (
        select distinct t.provider
        from unstuck.jobs j
        join unstuck.tools t using (tool)
        where j.id = any (v_ids)
      ) p
      cross join lateral unstuck_private.queue_order(p.provider, clock_timestamp()) q
      where q.begins
    )
    select coalesce(jsonb_object_agg(l.job_id, l.nth), '{}')
    from line l
    join unnest(v_ids) as n (id) on n.id = l.job_id
  );
end $$;

revoke all on function unstuck_private.caller_positions
from public, anon, authenticated, service_role;
grant execute on function unstuck_private.caller_positions to authenticated, service_role;

--: source queue/circuit_owes_turns.sql 7ff79a1f34f2
-- Owes a turn to the users whose turn is of a tool whose circuit opens and who wait for other tools
-- of its provider too.
create or replace function unstuck_private.circuit_owes_turns() returns trigger
language plpgsql
set search_path = ''
as
$$
begin
  insert into unstuck_private.turns_owed (provider, user_id)
  select distinct s.provider, s.line_user_id
  from unstuck.job_steps s
  where s.provider = new.provider
    and s.status = 'queued'
    and s.turn_at is not null
    and s.line_tool = new.tool
    and exists (
      select from unstuck.job_steps o
      where o.provider = s.provider
        and o.line_user_id = s.line_user_id
        and o.status = 'queued'
        and o.turn_at is null
        and o.line_tool <> new.tool
    )
  on conflict do nothing;
  return null;
end $$;

create or replace trigger circuit_owes_turns
after update of circuit_open_until on unstuck.tools
for each row
when (old.circuit_open_until is null and new.circuit_open_until is not null)
execute function unstuck_private.circuit_owes_turns();

revoke all on function unstuck_private.circuit_owes_turns
from public, anon, authenticated, service_role;

--: source queue/give_turn.sql c79957d995cf
-- Gives a user who has no usable turn in a provider's line one, from now on, behind those who wait
-- already: to the first waiting step that may be claimed, else, where the user has no turn at all,
-- to the first one. Where another transaction holds that step, the turn is owed, and the next claim
-- gives it.
create or replace function unstuck_private.give_turn(p_provider text, p_user_id uuid) returns void
language plpgsql
set search_path = ''
-- However few rows the statistics know, the line is read by its index.
set enable_seqscan = off
set enable_bitmapscan = off
set enable_sort = off
set jit = off
as
$$
declare
  v_now timestamptz := clock_timestamp();
  v_shut text[] := array(
    select t.tool
    from unstuck.tools t
    where t.circuit_open_until is not null
  );
  v_turns int;
  v_usable int;
  v_next unstuck.job_steps;
begin
  select count(*),
    count(*) filter (
      where s.turn_at <= v_now
        and s.line_tool <> all (v_shut)
        and unstuck_private.is_in_time(s, v_now)
    )
  into v_turns, v_usable
  from unstuck.job_steps s
  where s.provider = p_provider
    and s.line_user_id = p_user_id
    and s.status = 'queued'
    and s.turn_at is not null;
  if v_usable > 0 then
    return;
  end if;
  select s.*
  into v_next
  from unstuck.job_steps s
  where s.provider = p_provider
    and s.line_user_id = p_user_id
    and s.status = 'queued'
    and s.turn_at is null
    and coalesce(s.not_before <= v_now, true)
    and s.line_tool <> all (v_shut)
  order by s.turn_at, s.line_since, s.job_id, s.step
  limit 1;
  if not found and v_turns = 0 then
    select s.*
    into v_next
    from unstuck.job_steps s
    where s.provider = p_provider
      and s.line_user_id = p_user_id
      and s.status = 'queued'
      and s.turn_at is null
    order by s.turn_at, s.line_since, s.job_id, s.step
    limit 1;
  end if;
  if v_next.job_id is null then
    return;
  end if;
  perform 1
  from unstuck.job_steps s
  where s.job_id = v_next.job_id
    and s.step = v_next.step
    and s.status = 'queued'
  for update skip locked;
  if found then
    update unstuck.job_steps s
    set turn_at = greatest(v_now, s.not_before)
    where s.job_id = v_next.job_id
      and s.step = v_next.step;
  else
    insert into unstuck_private.turns_owed (provider, user_id)
    values (p_provider, p_user_id)
    on conflict do nothing;
  end if;
end $$;

revoke all on function unstuck_private.give_turn from public, anon, authenticated, service_role;

--: source queue/is_at_work.sql 33b35f76fa56
-- True while a step of the job is at work: the queue TTL of the other steps is paused then.
create or replace function unstuck_private.is_at_work(p_job_id uuid) returns boolean
language sql
stable
set search_path = ''
as
$$
  select exists (
    select from unstuck.job_steps s
    where s.job_id = p_job_id
      and s.status in ('starting', 'running')
  )
$$;

revoke all on function unstuck_private.is_at_work from public, anon, authenticated, service_role;

--: source queue/is_in_time.sql c777689c3d1e
-- True while a waiting step may still start: its deadline is ahead, or is paused because another
-- step of its job is at work. It is inlined: no search_path.
create or replace function unstuck_private.is_in_time(
  p_step unstuck.job_steps,
  p_now timestamptz
)
returns boolean
language sql
stable
as
$$
  select p_step.deadline_at > p_now or unstuck_private.is_at_work(p_step.job_id)
$$;

revoke all on function unstuck_private.is_in_time from public, anon, authenticated, service_role;

--: source queue/job_position.sql 5f8281802633
-- The position of a queued job in its provider's line, and in how many seconds it will start. No
-- row for any other job.
--
-- It counts what stands before the job in the index of the line, and reads the whole line only
-- where the job's turn has not come or its tool's circuit is open. The wait is told from the total
-- of the work before it: it may differ by one job from the true one.
create or replace function unstuck_private.job_position(p_job_id uuid)
returns table ("position" int, eta_seconds int)
language plpgsql
stable
set search_path = ''
-- Planning would cost more than the work.
set plan_cache_mode = force_generic_plan
as
$$
declare
  v_now timestamptz := clock_timestamp();
  v_step unstuck.job_steps;
  v_position bigint;
  v_seconds numeric;
  v_times unstuck_private.tool_time[];
begin
  select s.*
  into v_step
  from unstuck.job_steps s
  join unstuck.jobs j on j.id = s.job_id
  where s.job_id = p_job_id
    and s.status = 'queued'
    and j.status = 'queued'
  order by s.step
  limit 1;
  if not found then
    return;
  end if;
  v_times := unstuck_private.tool_times(v_step.provider);
  select sum(a.jobs), sum(a.steps * coalesce(t.seconds, 60))
  into v_position, v_seconds
  from unstuck_private.steps_ahead(v_step, v_now) a
  left join unnest(v_times) t on t.tool = a.tool;
  return query
  select
    coalesce(v_position, 0)::int + 1,
    least(
      ceil(
        greatest(
          unstuck_private.seconds_until_work_done(
            v_step.provider, v_times, coalesce(v_seconds, 0)),
          unstuck_private.seconds_between(
            v_now, greatest(v_step.not_before, u.circuit_open_until, p.circuit_open_until)
          ),
          1
        )
      ),
      2147483647
    )::int
  from unstuck.tools u
  cross join unstuck.providers p
  where u.tool = v_step.line_tool
    and p.provider = v_step.provider;
end $$;

revoke all on function unstuck_private.job_position from public, anon, authenticated, service_role;

--: source queue/line_move.sql 8b7f29ac7789
-- Moves the waiting steps of a job in the line as far as an operator moved the time since when the
-- job waits. A time that was set to infinity moves nothing.
create or replace function unstuck_private.line_move() returns trigger
language plpgsql
set search_path = ''
as
$$
declare
  v_by interval := coalesce(new.queued_at, new.created_at)
    - coalesce(old.queued_at, old.created_at);
begin
  update unstuck.job_steps s
  set line_since = s.line_since + v_by,
    turn_at = s.turn_at + v_by
  where s.job_id = new.id
    and s.status = 'queued';
  return null;
end $$;

create or replace trigger line_move
after update of queued_at, created_at on unstuck.jobs
for each row
when (
  coalesce(new.queued_at, new.created_at) <> coalesce(old.queued_at, old.created_at)
  and isfinite(coalesce(new.queued_at, new.created_at))
  and isfinite(coalesce(old.queued_at, old.created_at))
)
execute function unstuck_private.line_move();

revoke all on function unstuck_private.line_move from public, anon, authenticated, service_role;

--: source queue/may_start.sql ac882ae2f72e
-- How many waiting steps of a provider a claim would take now. While no circuit is open it reads
-- about as many steps as there are free slots.
create or replace function unstuck_private.may_start(p_provider text) returns int
language plpgsql
stable
set search_path = ''
-- Planning would cost more than the work.
set plan_cache_mode = force_generic_plan
-- The line is read from its beginning, however long it is.
set enable_seqscan = off
set enable_bitmapscan = off
set enable_hashjoin = off
set enable_mergejoin = off
set enable_sort = off
set jit = off
as
$$
declare
  v_now timestamptz := clock_timestamp();
  v_shut text[] := array(
    select t.tool
    from unstuck.tools t
    where t.circuit_open_until is not null
  );
  v_free int;
  v_steps int;
begin
  select least(
    unstuck_private.slot_limit(p, v_now) - (
      select count(*)
      from unstuck.job_steps s
      where s.provider = p.provider
        and unstuck_private.holds_slot(s)
    ),
    case when p.circuit_open_until is not null then 1 end
  )
  into v_free
  from unstuck.providers p
  where p.provider = p_provider
    and p.enabled
    and coalesce(p.circuit_open_until <= v_now, true);
  if coalesce(v_free, 0) <= 0 then
    return 0;
  end if;
  select count(*)
  into v_steps
  from (
    select
    from unstuck.job_steps s
    join unstuck.jobs j on j.id = s.job_id
    where s.provider = p_provider
      and s.status = 'queued'
      and s.turn_at <= v_now
      and s.line_tool <> all (v_shut)
      and unstuck_private.is_live(j.status)
      and j.quarantined_at is null
      and unstuck_private.is_in_time(s, v_now)
    order by s.turn_at, s.job_id, s.step
    limit v_free
  ) s;
  if v_steps < v_free then
    select v_steps + count(*)
    into v_steps
    from (
      select
      from unstuck.job_steps s
      join unstuck.jobs j on j.id = s.job_id
      where s.provider = p_provider
        and s.status = 'queued'
        and s.line_user_id is not null
        and s.turn_at is null
        and unstuck_private.is_live(j.status)
        and j.quarantined_at is null
        and coalesce(s.not_before <= v_now, true)
        and s.line_tool <> all (v_shut)
        and unstuck_private.is_in_time(s, v_now)
      order by s.line_user_id, s.turn_at, s.line_since, s.job_id, s.step
      limit v_free - v_steps
    ) s;
  end if;
  if v_steps < v_free and v_shut <> '{}' then
    v_steps := v_steps + unstuck_private.trials_waiting(p_provider, v_now);
  end if;
  return least(v_free, v_steps);
end $$;

revoke all on function unstuck_private.may_start from public, anon, authenticated, service_role;

--: source queue/next_turns_lock.sql d622287e81ad
-- Locks up to p_limit further steps where slots are left after every turn was taken (p_turns): the
-- second step of each user, then the third. A user whose only turn cannot be taken (its tool's
-- circuit is open, or it went to nobody because the next step was locked) is served here too.
create or replace function unstuck_private.next_turns_lock(
  p_provider text,
  p_now timestamptz,
  p_without text[],
  p_turns unstuck_private.turn[],
  p_limit int
)
returns setof unstuck_private.turn
language plpgsql
rows 5
set search_path = ''
-- However few providers the statistics know, the line is read by its index.
set enable_seqscan = off
set enable_bitmapscan = off
set jit = off
as
$$
begin
  return query
  with recursive waiting (user_id) as (
    -- The users who have a step without a turn, one index probe for each.
    (
      select s.line_user_id
      from unstuck.job_steps s
      where s.provider = p_provider and s.status = 'queued' and s.turn_at is null
      order by s.line_user_id
      limit 1
    )
    union all
    select (
      select s.line_user_id
      from unstuck.job_steps s
      where s.provider = p_provider
        and s.status = 'queued'
        and s.turn_at is null
        and s.line_user_id > w.user_id
      order by s.line_user_id
      limit 1
    )
    from waiting w
    where w.user_id is not null
  ), further as materialized (
    select n.job_id, n.step, w.user_id, n.nth + 1 as nth,
      coalesce(
        (select min(t.turn_at) from unnest(p_turns) t where t.user_id = w.user_id), p_now
      ) as turn_at
    from waiting w
    cross join lateral (
      select s.job_id, s.step, row_number() over (order by s.line_since, s.job_id, s.step) as nth
      from unstuck.job_steps s
      where s.provider = p_provider
        and s.line_user_id = w.user_id
        and s.status = 'queued'
        and s.turn_at is null
        and coalesce(s.not_before <= p_now, true)
        and s.line_tool <> all (p_without)
      order by s.line_since, s.job_id, s.step
      limit p_limit
    ) n
  )
  select f.job_id, f.step, f.user_id, f.nth, f.turn_at
  from further f
  join unstuck.jobs j on j.id = f.job_id
  join unstuck.job_steps s
    on s.job_id = f.job_id
    and s.step = f.step
  where s.status = 'queued'
    and unstuck_private.is_live(j.status)
    and j.quarantined_at is null
    and unstuck_private.is_in_time(s, p_now)
  order by f.nth, f.turn_at, f.job_id, f.step
  limit p_limit
  for update of j, s skip locked;
end $$;

revoke all on function unstuck_private.next_turns_lock
from public, anon, authenticated, service_role;

--: source queue/order_claim.sql 357a8be3b7d5
-- Claims the first step of a new order where a slot is free and no other step waits for it, and
-- returns it like `step_claim_v1`; null where `step_claim_v1` has to decide who is first, or
-- whether to try one step more than the provider took. The caller has locked account and job.
--
-- That is against the lock order, so it does not wait for the provider: whoever holds it claims,
-- and this step is claimed afterwards.
create or replace function unstuck_private.order_claim(p_job_id uuid) returns jsonb
language plpgsql
set search_path = ''
-- Planning would cost more than the work.
set plan_cache_mode = force_generic_plan
-- However few providers the statistics know, the line is read by its index.
set enable_seqscan = off
set enable_bitmapscan = off
set jit = off
as
$$
declare
  v_now timestamptz;
  v_provider unstuck.providers;
  v_step unstuck.job_steps;
begin
  select s.*
  into v_step
  from unstuck.job_steps s
  where s.job_id = p_job_id
    and s.step = 1;
  select p.*
  into v_provider
  from unstuck.providers p
  where p.provider = v_step.provider
  for no key update skip locked;
  v_now := clock_timestamp();
  if not found
    or not v_provider.enabled
    or v_provider.circuit_open_until is not null
    or v_step.turn_at is null
    or v_step.turn_at > v_now
    or exists (
      select from unstuck.tools t
      where t.tool = v_step.line_tool
        and t.circuit_open_until is not null
    )
    or exists (
      select from unstuck.job_steps s
      where s.provider = v_step.provider
        and s.status = 'queued'
        and s.turn_at < v_step.turn_at
    )
    or (
      select count(*)
      from unstuck.job_steps s
      where s.provider = v_step.provider
        and unstuck_private.holds_slot(s)
    ) >= least(v_provider.max_concurrent, v_provider.learned_limit)
  then
    return null;
  end if;
  return (
    select to_jsonb(c)
    from unstuck_private.steps_claim(
      v_provider,
      v_now,
      array[(p_job_id, 1, v_step.line_user_id, 1, v_step.turn_at)::unstuck_private.turn]
    ) c
  );
end $$;

revoke all on function unstuck_private.order_claim from public, anon, authenticated, service_role;

--: source queue/owed_turns_give.sql b51730ecd025
-- Gives the turns that are owed at a provider, up to 100 of them. The caller has locked the
-- provider.
create or replace function unstuck_private.owed_turns_give(p_provider text) returns void
language plpgsql
set search_path = ''
as
$$
declare
  v_user uuid;
begin
  for v_user in
    delete from unstuck_private.turns_owed o
    where (o.provider, o.user_id) in (
      select w.provider, w.user_id
      from unstuck_private.turns_owed w
      where w.provider = p_provider
      limit 100
      for update skip locked
    )
    returning o.user_id
  loop
    perform unstuck_private.give_turn(p_provider, v_user);
  end loop;
end $$;

revoke all on function unstuck_private.owed_turns_give
from public, anon, authenticated, service_role;

--: source queue/pass_turn.sql 39e22040a88d
-- Passes the turn of a step that left its provider's line on to the user's next waiting step.
create or replace function unstuck_private.pass_turn() returns trigger
language plpgsql
set search_path = ''
as
$$
begin
  perform unstuck_private.give_turn(old.provider, old.line_user_id);
  return null;
end $$;

create or replace trigger pass_turn_claimed
after update on unstuck.job_steps
for each row
when (old.status = 'queued' and new.status <> 'queued' and old.turn_at is not null)
execute function unstuck_private.pass_turn();

create or replace trigger pass_turn_deleted
after delete on unstuck.job_steps
for each row
when (old.status = 'queued' and old.turn_at is not null)
execute function unstuck_private.pass_turn();

revoke all on function unstuck_private.pass_turn from public, anon, authenticated, service_role;

--: source queue/peak_at_provider.sql 6fcb5414fd36
-- The largest number of our steps that an asynchronous provider had at the same time since p_since.
-- An accepted step counts from when its request left until it gave its slot back; so does one that
-- will get no answer any more, because it takes a slot here. p_with_awaited: a step that was just
-- sent counts as well, although it may yet be refused.
create or replace function unstuck_private.peak_at_provider(
  p_provider text,
  p_since timestamptz,
  p_with_awaited boolean
)
returns int
language sql
stable
set search_path = ''
as
$$
  with taken as (
    select coalesce(s.sent_at, s.started_at) as since, null::timestamptz as until
    from unstuck.job_steps s
    where s.provider = p_provider
      and unstuck_private.holds_slot(s)
      and (s.started_at is not null or p_with_awaited or s.lease_until <= clock_timestamp())
    union all
    select coalesce(s.sent_at, s.started_at), coalesce(s.provider_done_at, s.completed_at)
    from unstuck.job_steps s
    where s.provider = p_provider
      and s.started_at is not null
      and coalesce(s.provider_done_at, s.completed_at) > p_since
  )
  select coalesce(max(w.steps), 0)::int
  from (
    select sum(e.steps) over (order by e.at, e.steps) as steps
    from taken t
    cross join lateral (values (t.since, 1), (t.until, -1)) e (at, steps)
    where e.at is not null
  ) w
$$;

revoke all on function unstuck_private.peak_at_provider
from public, anon, authenticated, service_role;

--: source queue/provider_positions.sql 30f59c43dceb
-- The positions 1..n of the jobs that wait at a provider, and in how many seconds each will start:
-- in its turn, in the slot that is free first, if every step takes as long as its tool took lately.
create or replace function unstuck_private.provider_positions(p_provider text)
returns table (job_id uuid, "position" int, eta_seconds int)
language plpgsql
stable
set search_path = ''
as
$$
declare
  v_times unstuck_private.tool_time[] := unstuck_private.tool_times(p_provider);
  v_free numeric[] := unstuck_private.seconds_until_slots_free(p_provider, v_times);
  v_slot int;
  v_step record;
  v_position int := 0;
begin
  for v_step in
    select
      q.job_id,
      coalesce(t.seconds, 60) as seconds,
      greatest(
        unstuck_private.seconds_between(
          clock_timestamp(),
          greatest(s.not_before, u.circuit_open_until, p.circuit_open_until)
        ),
        1
      ) as not_in,
      q.begins
    from unstuck_private.queue_order(p_provider, clock_timestamp()) q
    join unstuck.job_steps s
      on s.job_id = q.job_id
      and s.step = q.step
    join unstuck.tools u on u.tool = q.tool
    join unstuck.providers p on p.provider = s.provider
    left join unnest(v_times) t on t.tool = q.tool
    order by q."position"
  loop
    v_slot := 1;
    for i in 2 .. cardinality(v_free) loop
      if v_free[i] < v_free[v_slot] then
        v_slot := i;
      end if;
    end loop;
    v_free[v_slot] := greatest(v_free[v_slot], v_step.not_in);
    if v_step.begins then
      v_position := v_position + 1;
      return query
      select v_step.job_id, v_position, least(ceil(v_free[v_slot]), 2147483647)::int;
    end if;
    v_free[v_slot] := v_free[v_slot] + v_step.seconds;
  end loop;
end $$;

revoke all on function unstuck_private.provider_positions
from public, anon, authenticated, service_role;

--: source queue/queue_check_v1.sql f6c3dc970381
create or replace function unstuck.queue_check_v1(p_provider text)
returns table (
  max_concurrent int,
  running int,
  slots_available int,
  total_queued int,
  queued_by_tool jsonb,
  oldest_queued_seconds int,
  last_sweep_at timestamptz,
  enabled boolean
)
language sql
stable
security definer
set search_path = ''
as
$$
  with live as (
    select count(*)::int as running
    from unstuck.job_steps s
    where s.provider = p_provider
      and unstuck_private.holds_slot(s)
  ),
  waiting as (
    select
      j.tool,
      count(*)::int as jobs,
      min(coalesce(j.queued_at, j.created_at)) as since
    from unstuck.jobs j
    join unstuck.tools t using (tool)
    where t.provider = p_provider
      and j.status = 'queued'
      and j.quarantined_at is null
    group by j.tool
  )
  select
    p.max_concurrent,
    l.running,
    greatest(unstuck_private.slot_limit(p, clock_timestamp()) - l.running, 0),
    coalesce(w.total, 0),
    coalesce(w.by_tool, '{}'),
    unstuck_private.seconds_between(w.since, clock_timestamp()),
    (select max(s.finished_at) from unstuck.sweeps s),
    p.enabled and coalesce(p.circuit_open_until <= clock_timestamp(), true)
  from unstuck.providers p
  cross join live l
  cross join (
    select
      sum(jobs)::int as total,
      jsonb_object_agg(tool, jobs) as by_tool,
      min(since) as since
    from waiting
  ) w
  where p.provider = p_provider
$$;

comment on function unstuck.queue_check_v1 is $c$
Caller: the check and status endpoints.

Effect: none; one row for a known provider: its limit, how many slots are taken, how many jobs wait.
slots_available: by what the provider takes, where it refused more for capacity.
enabled: false also while an open circuit of the provider lets no step through.

Refuses: nothing; no row where there is no such provider.

Replay: reads again.
$c$;

revoke all on function unstuck.queue_check_v1 from public, anon, authenticated, service_role;
grant execute on function unstuck.queue_check_v1 to service_role;

--: source queue/queue_order.sql f9d362397b6b
-- The waiting steps of one provider in the order in which they will be claimed. Each user has one
-- turn at a time, since the user began to wait or was last served: a thousand jobs of one user let
-- every other user through after each of them. The order does not depend on what finishes when, so
-- that a position that was shown stays true. begins: the step is the first of a job that has not
-- begun. It reads the whole line: whoever asks about one job calls `job_position`.
create or replace function unstuck_private.queue_order(p_provider text, p_now timestamptz)
returns table (job_id uuid, step int, tool text, begins boolean, "position" bigint)
language plpgsql
stable
set search_path = ''
-- Planning would cost more than the work.
set plan_cache_mode = force_generic_plan
-- However few providers the statistics know, the line is read by its index, which sorts it.
set enable_seqscan = off
set enable_bitmapscan = off
set jit = off
as
$$
begin
  return query
  with waiting as not materialized (
    select s.*, greatest(s.turn_at, s.not_before, t.circuit_open_until) as ready_at
    from unstuck.job_steps s
    left join unstuck.tools t
      on t.tool = s.line_tool
      and t.circuit_open_until > p_now
    where s.provider = p_provider
      and s.status = 'queued'
      and unstuck_private.is_in_time(s, p_now)
  ),
  -- The user's second step, third and so on: as if each had the user's turn.
  further as (
    select w.job_id, w.step, w.line_tool, w.run, w.ready_at, w.line_user_id,
      1 + row_number() over (
        partition by w.line_user_id
        order by w.line_since, w.job_id, w.step
      ) as nth
    from waiting w
    where w.turn_at is null
  ),
  turns as (
    select f.line_user_id, min(w.turn_at) as turn_at
    from (select distinct u.line_user_id from further u) f
    left join waiting w
      on w.line_user_id = f.line_user_id
      and w.turn_at is not null
    group by f.line_user_id
  ),
  line as (
    select w.job_id, w.step, w.line_tool, w.run, w.ready_at, 1::bigint as nth, w.turn_at
    from waiting w
    where w.turn_at is not null
    union all
    select f.job_id, f.step, f.line_tool, f.run, f.ready_at, f.nth, t.turn_at
    from further f
    left join turns t using (line_user_id)
  )
  select
    l.job_id,
    l.step,
    l.line_tool,
    l.step = 1 and (
      l.run = 0
      -- A step that was put back may belong to a job that has begun.
      or (
        select j.status
        from unstuck.jobs j
        where j.id = l.job_id
      ) = 'queued'
    ),
    row_number() over (
      order by coalesce(greatest(l.ready_at, l.turn_at) > p_now, false), l.nth,
        case when l.ready_at > p_now then l.ready_at end, l.turn_at, l.job_id, l.step
    )
  from line l;
end $$;

revoke all on function unstuck_private.queue_order from public, anon, authenticated, service_role;

--: source queue/seconds_until_slots_free.sql 4af842286f79
-- In how many seconds each slot of a provider will be free, the latest first. A step that takes
-- longer than its tool usually does is expected to need as much more as it is late.
create or replace function unstuck_private.seconds_until_slots_free(
  p_provider text,
  p_times unstuck_private.tool_time[]
)
returns numeric[]
language plpgsql
stable
set search_path = ''
-- Planning would cost more than the work.
set plan_cache_mode = force_generic_plan
as
$$
begin
  return (
    with busy as (
      select
        abs(
          coalesce(t.seconds, 60)
          - unstuck_private.seconds_between(
            coalesce(s.claimed_at, s.sent_at, s.started_at, j.created_at),
            clock_timestamp()
          )
        ) as seconds
      from unstuck.job_steps s
      join unstuck.jobs j on j.id = s.job_id
      left join unnest(p_times) t on t.tool = j.tool
      where s.provider = p_provider
        and unstuck_private.holds_slot(s)
    ),
    slot as (
      select generate_series(
        1, greatest(unstuck_private.slot_limit(p, clock_timestamp()), 1)
      ) as slot
      from unstuck.providers p
      where p.provider = p_provider
    ),
    held as (
      -- After the limit was lowered there are more steps than slots: those that end first free
      -- none.
      select b.seconds
      from busy b
      union all
      select 0
      from slot
      order by 1 desc
      limit (select count(*) from slot)
    )
    select array_agg(h.seconds)
    from held h
  );
end $$;

revoke all on function unstuck_private.seconds_until_slots_free
from public, anon, authenticated, service_role;

--: source queue/seconds_until_work_done.sql 869a34ec1373
-- In how many seconds a provider's slots, each from the moment when it is free, will have done so
-- many seconds of work together.
create or replace function unstuck_private.seconds_until_work_done(
  p_provider text,
  p_times unstuck_private.tool_time[],
  p_seconds numeric
)
returns numeric
language plpgsql
stable
set search_path = ''
set plan_cache_mode = force_generic_plan
as
$$
begin
  -- With the n slots that are free first: (work + the sum of their times) / n, where the next slot
  -- is not free earlier.
  return (
    select min((p_seconds + f.total) / f.slots)
    from (
      select
        s.free_in,
        sum(s.free_in) over (order by s.free_in, s.slot) as total,
        row_number() over (order by s.free_in, s.slot) as slots
      from unnest(unstuck_private.seconds_until_slots_free(p_provider, p_times))
        with ordinality as s (free_in, slot)
    ) f
  );
end $$;

revoke all on function unstuck_private.seconds_until_work_done
from public, anon, authenticated, service_role;

--: source queue/slot_limit.sql 77bfc4e0c18f
-- How many steps a provider may work on at once at a time p_at: `max_concurrent`, or fewer where it
-- refused more for capacity, and one step more once a probe of that is due. Whoever asks how many
-- slots there are asks this function; only `order_claim` leaves the probe to a claim. It is
-- inlined: no search_path.
create or replace function unstuck_private.slot_limit(
  p_provider unstuck.providers,
  p_at timestamptz
)
returns int
language sql
immutable
as
$$
  select least(
    p_provider.max_concurrent,
    p_provider.learned_limit + coalesce(p_provider.limit_probe_at <= p_at, true)::int
  )
$$;

revoke all on function unstuck_private.slot_limit from public, anon, authenticated, service_role;

--: source queue/slot_limit_fall.sql ef4ee17951db
-- Learns from a step that its provider refused for capacity: the limit falls at once to as many
-- steps as the provider had of ours meanwhile, to none where others fill it, and never rises. The
-- next probe waits, as long as the provider asked for, half a minute at most. A step that was never
-- sent teaches nothing.
--
-- Steps whose answer is awaited count: they may be what fills the provider. Those that are refused
-- too stop counting when that is recorded, one after the other, so that the last refusal of several
-- finds the limit.
--
-- Its caller holds an account and a job, against the lock order, as that of `circuit_close` does:
-- who holds a provider's row skips locked jobs.
create or replace function unstuck_private.slot_limit_fall(
  p_step unstuck.job_steps,
  p_delay interval
)
returns void
language plpgsql
set search_path = ''
as
$$
declare
  v_learned int;
  v_taken int;
begin
  if p_step.sent_at is null then
    return;
  end if;
  select p.learned_limit
  into v_learned
  from unstuck.providers p
  where p.provider = p_step.provider
  for no key update;
  v_taken := unstuck_private.peak_at_provider(p_step.provider, p_step.sent_at, true);
  update unstuck.providers p
  set learned_limit = least(v_learned, v_taken),
    limit_probe_at = clock_timestamp() + greatest(
      unstuck_private.probe_pause(coalesce(v_learned <= v_taken, false)),
      least(p_delay, unstuck_private.probe_pause(true))
    )
  where p.provider = p_step.provider;
end $$;

revoke all on function unstuck_private.slot_limit_fall
from public, anon, authenticated, service_role;

--: source queue/slot_limit_rise.sql c19a273e80f4
-- Learns from a step that an asynchronous provider accepted: where it had more of our steps at once
-- than the limit that was learned, the limit rises to that, and the next probe may soon follow. It
-- writes only where there is something to learn.
--
-- Its caller holds a job, against the lock order, as that of `circuit_close` does, and calls this
-- first: a provider is locked before a tool.
create or replace function unstuck_private.slot_limit_rise(p_step unstuck.job_steps)
returns void
language plpgsql
set search_path = ''
as
$$
declare
  v_taken int;
begin
  if not exists (
    select from unstuck.providers p
    where p.provider = p_step.provider
      and p.learned_limit is not null
  ) then
    return;
  end if;
  v_taken := unstuck_private.peak_at_provider(p_step.provider, p_step.sent_at, false);
  update unstuck.providers p
  set learned_limit = v_taken,
    limit_probe_at = clock_timestamp() + unstuck_private.probe_pause(false)
  where p.provider = p_step.provider
    and p.learned_limit < v_taken;
end $$;

revoke all on function unstuck_private.slot_limit_rise
from public, anon, authenticated, service_role;

--: source queue/step_claim_v1.sql 389b98ecc875
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
-- However few rows the statistics know, they are read by their indexes.
set enable_seqscan = off
set jit = off
as
$$
declare
  v_provider unstuck.providers;
  v_live int;
  v_free int;
  v_claimed int;
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
  select count(*)
  into v_live
  from unstuck.job_steps s
  where s.provider = p_provider
    and unstuck_private.holds_slot(s);
  v_free := least(
    unstuck_private.slot_limit(v_provider, v_now) - v_live,
    greatest(p_limit, 0));
  -- An open circuit lets one step through a minute.
  if v_provider.circuit_open_until is not null then
    v_free := least(v_free, (v_provider.circuit_open_until <= v_now)::int);
  end if;
  if v_free <= 0 then
    return;
  end if;
  perform unstuck_private.owed_turns_give(p_provider);
  -- A turn that was given just now counts too.
  v_now := clock_timestamp();
  return query
  select *
  from unstuck_private.steps_claim(
    v_provider, v_now, unstuck_private.steps_pick(p_provider, v_now, v_free));
  get diagnostics v_claimed = row_count;
  if v_claimed > 0 then
    perform unstuck_private.circuit_trial(p_provider, v_now);
  end if;
  -- One of them is a probe beyond the learned limit: the next probe waits for its answer.
  if v_live + v_claimed > v_provider.learned_limit then
    update unstuck.providers p
    set limit_probe_at = v_now + unstuck_private.probe_pause(true)
    where p.provider = p_provider;
  end if;
end $$;

comment on function unstuck.step_claim_v1 is $c$
Caller: a worker, before it submits steps of a provider.

Effect: claims up to p_limit waiting steps in queue order while slots are free. Each gets a new run
and a lease. The reply has each step's request, the output of the step before, and how long the step
may run. While the circuit of the provider or of a tool is open, one step of it is claimed a minute.
Where the provider refused steps for capacity, there are as many slots as it took, and from time to
time one step more is claimed as a probe.

Refuses: nothing; no row where no step may start.

Replay: claims the next steps.
$c$;

revoke all on function unstuck.step_claim_v1 from public, anon, authenticated, service_role;
grant execute on function unstuck.step_claim_v1 to service_role;

--: source queue/steps_ahead.sql 74c68d0202e2
-- What stands before a waiting step in its provider's line, by tool: how many steps, and how many
-- jobs that have not begun.
--
-- Where the step's turn has come, each tool's steps are counted in the index alone. Those of a tool
-- whose circuit is open stand behind the others.
create or replace function unstuck_private.steps_ahead(
  p_step unstuck.job_steps,
  p_now timestamptz
)
returns table (tool text, steps bigint, jobs bigint)
language plpgsql
stable
set search_path = ''
-- Planning would cost more than the work.
set plan_cache_mode = force_generic_plan
-- However few providers the statistics know, the line is read by its index.
set enable_seqscan = off
set enable_bitmapscan = off
set jit = off
as
$$
begin
  if p_step.turn_at <= p_now
    and not exists (
      select from unstuck.tools t
      where t.tool = p_step.line_tool
        and t.circuit_open_until > p_now
    )
  then
    return query
    select t.tool, b.steps + e.steps,
      b.steps + e.steps - case when b.others + e.others = 0 then 0 else (
        -- Only the first step stands for a job, and only until the job has begun.
        select count(*)
        from unstuck.job_steps s
        join unstuck.jobs j on j.id = s.job_id
        where s.provider = p_step.provider
          and s.line_tool = t.tool
          and s.status = 'queued'
          and s.turn_at is not null
          and (s.turn_at, s.job_id, s.step) < (p_step.turn_at, p_step.job_id, p_step.step)
          and unstuck_private.is_in_time(s, p_now)
          and (s.step > 1 or s.run > 0 and j.status <> 'queued')
      ) end
    from unstuck.tools t
    cross join lateral (
      select count(*) as steps, count(*) filter (where s.step > 1 or s.run > 0) as others
      from unstuck.job_steps s
      where s.provider = p_step.provider
        and s.line_tool = t.tool
        and s.status = 'queued'
        and s.turn_at < p_step.turn_at
        and unstuck_private.is_in_time(s, p_now)
    ) b
    -- Those of the same moment apart: to compare one column is a fifth cheaper.
    cross join lateral (
      select count(*) as steps, count(*) filter (where s.step > 1 or s.run > 0) as others
      from unstuck.job_steps s
      where s.provider = p_step.provider
        and s.line_tool = t.tool
        and s.status = 'queued'
        and s.turn_at = p_step.turn_at
        and (s.job_id, s.step) < (p_step.job_id, p_step.step)
        and unstuck_private.is_in_time(s, p_now)
    ) e
    where coalesce(t.circuit_open_until <= p_now, true)
      and b.steps + e.steps > 0;
    return;
  end if;
  return query
  with line as materialized (
    select *
    from unstuck_private.queue_order(p_step.provider, p_now) q
  )
  select l.tool, count(*), count(*) filter (where l.begins)
  from line l
  where l."position" < (
    select m."position"
    from line m
    where m.job_id = p_step.job_id
      and m.step = p_step.step
  )
  group by l.tool;
end $$;

revoke all on function unstuck_private.steps_ahead from public, anon, authenticated, service_role;

--: source queue/steps_claim.sql 12da8289b3f5
-- Claims these steps of a provider, which are locked and wait. The caller has counted the slots
-- under the provider's lock. Each gets a new run, a lease and a deadline; its user's turn is passed
-- on (`pass_turn`); its job shows that it starts. A step of a synchronous provider runs at once,
-- and counts as an attempt from here on.
create or replace function unstuck_private.steps_claim(
  p_provider unstuck.providers,
  p_now timestamptz,
  p_turns unstuck_private.turn[]
)
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
set search_path = ''
-- Planning would cost more than the work.
set plan_cache_mode = force_generic_plan
as
$$
#variable_conflict use_column
begin
  return query
  with claimed as (
    update unstuck.job_steps s
    set status = case when p_provider.synchronous then 'running' else 'starting' end,
      run = s.run + 1,
      claimed_at = p_now,
      sent_at = null,
      provider_task_id = null,
      checked_at = null,
      not_before = null,
      -- That the provider is full is said only while the step waits.
      error_code = nullif(s.error_code, 'PROVIDER_BUSY'),
      error_message = case when s.error_code <> 'PROVIDER_BUSY' then s.error_message end,
      attempts = s.attempts + p_provider.synchronous::int,
      started_at = case when p_provider.synchronous then p_now end,
      lease_until = p_now + case when p_provider.synchronous then i.lease else t.start_timeout end,
      deadline_at = least(
        p_now + case when p_provider.synchronous then t.run_timeout else t.start_timeout end,
        j.expires_at)
    from unnest(p_turns) with ordinality as p (job_id, step, user_id, nth, turn_at, "position")
    cross join unstuck_private.intervals() i,
      unstuck.jobs j,
      unstuck.tools t
    where s.job_id = p.job_id
      and s.step = p.step
      and j.id = s.job_id
      and t.tool = j.tool
    returning s.job_id, s.step, s.run, j.tool, j.user_id, s.attempts, s.input, s.deadline_at,
      p."position", greatest(least(p_now + t.run_timeout, j.expires_at), p_now) - p_now as run_for
  ), job as (
    update unstuck.jobs j
    set status = case
        when p_provider.synchronous or j.status = 'running' then 'running'
        else 'starting'
      end,
      started_at = case
        when p_provider.synchronous then coalesce(j.started_at, p_now)
        else j.started_at
      end,
      waited_in_queue = j.waited_in_queue
        or coalesce(j.queued_at, j.created_at) < p_now - interval '2 seconds',
      current_step = case when t.step_order = 'sequential' then c.step else j.current_step end,
      deadline_at = c.deadline_at
    from (
      select c.job_id, max(c.step) as step, min(c.deadline_at) as deadline_at
      from claimed c
      group by c.job_id
    ) c, unstuck.tools t
    where j.id = c.job_id
      and t.tool = j.tool
  )
  select c.job_id, c.step, c.run, c.tool, c.user_id, c.attempts, c.input,
    (
      select b.output_url
      from unstuck.job_steps b
      where b.job_id = c.job_id
        and b.step = c.step - 1
    ),
    ceil(extract(epoch from c.run_for) * 1000)::int
  from claimed c
  order by c."position";
end $$;

revoke all on function unstuck_private.steps_claim from public, anon, authenticated, service_role;

--: source queue/steps_pick.sql 21d9dc1d3169
-- Locks up to p_limit waiting steps of a provider with their jobs, in the order in which they are
-- claimed, and returns them. It skips what another transaction has locked. Of a tool whose
-- circuit is open, the first one is let through when its time has come.
create or replace function unstuck_private.steps_pick(
  p_provider text,
  p_now timestamptz,
  p_limit int
)
returns unstuck_private.turn[]
language plpgsql
set search_path = ''
as
$$
declare
  -- The tools whose steps are not let through as usual, and those that have a trial now.
  v_shut text[] := array(
    select t.tool
    from unstuck.tools t
    where t.circuit_open_until is not null
  );
  v_trials text[] := array(
    select t.tool
    from unstuck.tools t
    where t.circuit_open_until <= p_now
  );
  v_turns unstuck_private.turn[] := array(
    select t
    from unstuck_private.turns_lock(p_provider, p_now, v_shut, null, p_limit) t
  );
  v_tool text;
begin
  foreach v_tool in array v_trials loop
    v_turns := v_turns || array(
      select t
      from unstuck_private.turns_lock(p_provider, p_now, '{}', v_tool, 1) t
    );
  end loop;
  if cardinality(v_turns) < p_limit then
    v_turns := v_turns || array(
      select t
      from unstuck_private.next_turns_lock(
        p_provider, p_now, v_shut, v_turns, p_limit - cardinality(v_turns)) t
    );
  end if;
  return array(
    select t
    from unnest(v_turns) t
    order by t.nth, t.turn_at, t.job_id, t.step
    limit p_limit
  );
end $$;

revoke all on function unstuck_private.steps_pick from public, anon, authenticated, service_role;

--: source queue/steps_waiting_v1.sql c122e77a84e2
create or replace function unstuck.steps_waiting_v1(p_provider text)
returns table (waiting int, may_start int)
language sql
stable
security definer
set search_path = ''
-- However few providers the statistics know, the line is read by its index.
set enable_seqscan = off
set enable_bitmapscan = off
set jit = off
set statement_timeout = '5s'
as
$$
  select
    -- Those with a turn and those without one, each counted in an index of its own.
    (
      select count(*)::int
      from unstuck.job_steps s
      where s.provider = p.provider
        and s.status = 'queued'
        and s.turn_at is not null
    ) + (
      select count(*)::int
      from unstuck.job_steps s
      where s.provider = p.provider
        and s.status = 'queued'
        and s.turn_at is null
    ),
    unstuck_private.may_start(p.provider)
  from unstuck.providers p
  where p.provider = p_provider
$$;

comment on function unstuck.steps_waiting_v1 is $c$
Caller: a worker of a synchronous provider at its end, and every call that may have freed a slot.

Effect: none; waiting: how many steps wait, retries included; may_start: how many of them a claim
would take now.

Refuses: nothing; no row where there is no such provider.

Replay: reads again.
$c$;

revoke all on function unstuck.steps_waiting_v1 from public, anon, authenticated, service_role;
grant execute on function unstuck.steps_waiting_v1 to service_role;

--: source queue/swap_turn.sql 025fb54b33b6
-- A step that was put back goes before the later steps of its user: it takes the turn from the one
-- that has it, at the earlier of both times.
create or replace function unstuck_private.swap_turn() returns trigger
language plpgsql
set search_path = ''
as
$$
declare
  v_now timestamptz := clock_timestamp();
  v_holder unstuck.job_steps;
begin
  select s.*
  into v_holder
  from unstuck.job_steps s
  where s.provider = new.provider
    and s.line_user_id = new.line_user_id
    and s.status = 'queued'
    and s.turn_at <= v_now
    and (s.line_since, s.job_id, s.step) > (new.line_since, new.job_id, new.step)
  limit 1
  for update skip locked;
  if found then
    update unstuck.job_steps s
    set turn_at = case
      when s.job_id = new.job_id and s.step = new.step then least(old.turn_at, v_holder.turn_at)
    end
    where (s.job_id, s.step) in ((new.job_id, new.step), (v_holder.job_id, v_holder.step));
  end if;
  return null;
end $$;

create or replace trigger swap_turn
after update on unstuck.job_steps
for each row
when (
  new.status = 'queued'
  and old.status <> 'queued'
  and new.turn_at is null
  and coalesce(new.not_before <= clock_timestamp(), true)
)
execute function unstuck_private.swap_turn();

revoke all on function unstuck_private.swap_turn from public, anon, authenticated, service_role;

--: source queue/take_turn.sql adcdaff02b40
-- The turn of a step that joins a provider's line at p_at: null where another waiting step of the
-- user has a turn by then, so that a user has one turn at a time. A turn that nobody can use does
-- not count: its deadline is over, or its tool's circuit is open.
--
-- It locks that other step until the transaction ends: a claim leaves a locked step out, and so
-- passes no turn on before it can see this step. Where another transaction holds that step, it may
-- leave the line at this moment: this one gets a turn of its own.
create or replace function unstuck_private.take_turn(
  p_provider text,
  p_user_id uuid,
  p_at timestamptz
)
returns timestamptz
language plpgsql
set search_path = ''
-- However few rows the statistics know, the line is read by its index.
set enable_seqscan = off
set enable_bitmapscan = off
set jit = off
as
$$
declare
  v_by timestamptz := greatest(p_at, clock_timestamp());
begin
  perform 1
  from unstuck.job_steps s
  where s.provider = p_provider
    and s.line_user_id = p_user_id
    and s.status = 'queued'
    and s.turn_at <= v_by
    and unstuck_private.is_in_time(s, clock_timestamp())
    and s.line_tool not in (
      select t.tool
      from unstuck.tools t
      where t.circuit_open_until is not null
    )
  order by s.turn_at
  limit 1
  for no key update skip locked;
  return case when not found then p_at end;
end $$;

revoke all on function unstuck_private.take_turn from public, anon, authenticated, service_role;

--: source queue/tool_times.sql ba0e30c60dc8
-- How long a step of each tool of a provider held its slot lately: the mean of the tool's last 20
-- among the provider's last 100. A tool without any takes the mean of the others. Without any
-- measurement it is 60 seconds.
create or replace function unstuck_private.tool_times(p_provider text)
returns unstuck_private.tool_time[]
language plpgsql
stable
set search_path = ''
-- Planning would cost more than the work.
set plan_cache_mode = force_generic_plan
as
$$
begin
  return (
    with done as (
      select
        -- A step that was claimed before migration 0003 does not name its tool.
        coalesce(
          s.line_tool,
          (
            select j.tool
            from unstuck.jobs j
            where j.id = s.job_id
          )
        ) as tool,
        least(s.claimed_at, s.started_at) as since,
        coalesce(s.provider_done_at, s.completed_at) as until,
        s.completed_at
      from unstuck.job_steps s
      where s.provider = p_provider
        and s.status = 'completed'
        and s.started_at is not null
      order by s.completed_at desc
      limit 100
    ),
    lately as (
      select d.*, row_number() over (partition by d.tool order by d.completed_at desc) as nth
      from done d
    ),
    mean as (
      select
        l.tool,
        avg(
          -- In whole seconds. A time that was written by hand may be infinite or wrong.
          round(
            greatest(
              least(extract(epoch from l.until) - extract(epoch from l.since), 2147483647),
              0
            )
          )
        ) as seconds
      from lately l
      where l.nth <= 20
      group by rollup (l.tool)
    )
    select array_agg(
      (t.tool, coalesce(m.seconds, a.seconds, 60))::unstuck_private.tool_time
    )
    from unstuck.tools t
    left join mean m on m.tool = t.tool
    left join mean a on a.tool is null
    where t.provider = p_provider
  );
end $$;

revoke all on function unstuck_private.tool_times from public, anon, authenticated, service_role;

--: source queue/trials_waiting.sql d1798fb93106
-- How many tools have a trial at a provider now: one waiting step of each tool whose circuit lets
-- one through.
create or replace function unstuck_private.trials_waiting(p_provider text, p_now timestamptz)
returns int
language sql
stable
set search_path = ''
as
$$
  select count(*)::int
  from unstuck.tools t
  where t.circuit_open_until <= p_now
    and exists (
      select from unstuck.job_steps s
      join unstuck.jobs j on j.id = s.job_id
      where s.provider = p_provider
        and s.status = 'queued'
        and s.turn_at <= p_now
        and s.line_tool = t.tool
        and unstuck_private.is_live(j.status)
        and j.quarantined_at is null
        and unstuck_private.is_in_time(s, p_now)
    )
$$;

revoke all on function unstuck_private.trials_waiting
from public, anon, authenticated, service_role;

--: source queue/turns_lock.sql 5d61b4e78af2
-- Locks the first p_limit steps of a provider's line whose turn has come, with their jobs, and
-- returns them. It skips what another transaction has locked, what ran out of time, and the tools
-- p_without; with p_tool it takes steps of that tool alone.
create or replace function unstuck_private.turns_lock(
  p_provider text,
  p_now timestamptz,
  p_without text[],
  p_tool text,
  p_limit int
)
returns setof unstuck_private.turn
language plpgsql
rows 5
set search_path = ''
-- Planning would cost more than the work.
set plan_cache_mode = force_generic_plan
-- The line is read from its beginning, however long it is.
set enable_seqscan = off
set jit = off
set enable_sort = off
set enable_bitmapscan = off
set enable_hashjoin = off
set enable_mergejoin = off
as
$$
begin
  return query
  select s.job_id, s.step, s.line_user_id, 1::bigint, s.turn_at
  from unstuck.job_steps s
  join unstuck.jobs j on j.id = s.job_id
  where s.provider = p_provider
    and s.status = 'queued'
    and s.turn_at <= p_now
    and s.line_tool <> all (p_without)
    and (p_tool is null or s.line_tool = p_tool)
    and unstuck_private.is_live(j.status)
    and j.quarantined_at is null
    and unstuck_private.is_in_time(s, p_now)
  order by s.turn_at, s.job_id, s.step
  limit p_limit
  for update of j, s skip locked;
end $$;

revoke all on function unstuck_private.turns_lock from public, anon, authenticated, service_role;

--: source queue/user_active_v1.sql 8e0eb97e22dd
create or replace function unstuck.user_active_v1(p_user_id uuid)
returns table (
  has_active_job boolean,
  active_tool text,
  active_table text,
  active_job_id uuid,
  active_status text,
  "position" int
)
language plpgsql
security definer
set search_path = ''
set statement_timeout = '10s'
-- However few rows the statistics know, they are read by their indexes.
set enable_seqscan = off
set jit = off
as
$$
#variable_conflict use_column
begin
  -- Both lock the account first and wait for no job.
  perform unstuck.user_heal_v1(p_user_id);
  perform unstuck_private.orphans_cancel(p_user_id);
  return query
  select true, j.tool, t.table_name, j.id, j.status,
    case when j.status = 'queued' then (
      select p."position"
      from unstuck_private.job_position(j.id) p
    ) end
  from unstuck.jobs j
  join unstuck.tools t using (tool)
  where j.user_id = p_user_id
    and t.exclusive_group is not null
    and j.status in ('queued', 'starting', 'running')
    and j.quarantined_at is null
  -- A queued row that may be an orphan comes last, so that it hides no paid job.
  order by
    j.status = 'queued',
    j.request_hash is null and j.credits_charged = 0,
    j.created_at
  limit 1;
  if not found then
    return query
    select false, null::text, null::text, null::uuid, null::text, null::int;
  end if;
end $$;

comment on function unstuck.user_active_v1 is $c$
Caller: check-user-active, for the verified user.

Effect: heals the user's jobs that ran out of time and cancels the user's orphans; then one row says
whether the user has a live job in an exclusive group, and which.

Refuses: nothing.

Replay: reads again.
$c$;

revoke all on function unstuck.user_active_v1 from public, anon, authenticated, service_role;
grant execute on function unstuck.user_active_v1 to service_role;

--: source queue/visible_load.sql e995fd8ba077
-- The rows of `provider_load`, for those who may see them.
create or replace function unstuck_private.visible_load()
returns table (
  provider text,
  enabled boolean,
  max_concurrent int,
  running int,
  waiting int,
  oldest_waiting_seconds int,
  circuit_open_until timestamptz,
  circuit_reason text,
  circuits_of_tools text[],
  learned_limit int
)
language sql
stable
security definer
set search_path = ''
as
$$
  select p.provider, p.enabled, p.max_concurrent, r.steps, w.steps,
    unstuck_private.seconds_between(w.since, clock_timestamp()),
    p.circuit_open_until,
    p.circuit_reason,
    array(
      select t.tool
      from unstuck.tools t
      where t.provider = p.provider and t.circuit_open_until is not null
      order by t.tool
    ),
    p.learned_limit
  from unstuck.providers p
  cross join lateral (
    select count(*)::int as steps
    from unstuck.job_steps s
    where s.provider = p.provider and unstuck_private.holds_slot(s)
  ) r
  cross join lateral (
    select count(*)::int as steps,
      min(coalesce(j.queued_at, j.created_at)) as since
    from unstuck.job_steps s
    join unstuck.jobs j on j.id = s.job_id
    where s.provider = p.provider and s.status = 'queued'
  ) w
  where (select unstuck_private.may_see(null))
$$;

revoke all on function unstuck_private.visible_load from public, anon, authenticated, service_role;
grant execute on function unstuck_private.visible_load to authenticated, service_role;

--: source queue/waits_for_capacity.sql aa895b37d7b4
-- True while a job waits because its provider refuses more than it has: the job itself was refused,
-- or as many steps as the provider took are at work. It is no rule of the queue: it is only shown.
create or replace function unstuck_private.waits_for_capacity(p_job unstuck.jobs) returns boolean
language plpgsql
stable
set search_path = ''
set plan_cache_mode = force_generic_plan
as
$$
begin
  return (
    select p_job.status = 'queued'
      and exists (
        select from unstuck.job_steps s
        join unstuck.providers p using (provider)
        where s.job_id = p_job.id
          and s.status = 'queued'
          and (
            s.error_code = 'PROVIDER_BUSY'
            or p.learned_limit <= (
              select count(*)
              from unstuck.job_steps l
              where l.provider = p.provider
                and unstuck_private.holds_slot(l)
            )
          )
      )
  );
end $$;

revoke all on function unstuck_private.waits_for_capacity
from public, anon, authenticated, service_role;

--: source retention/prune_kind.sql a8822e8c2ed5
-- Prunes up to p_limit rows of one kind, after the first p_skip of them, and returns how many.
create or replace function unstuck_private.prune_kind(
  p_kind text,
  p_now timestamptz,
  p_keep interval,
  p_limit int,
  p_skip int
)
returns int
language plpgsql
set search_path = ''
as
$$
declare
  v_before timestamptz := p_now - p_keep;
begin
  return case p_kind
    when 'job_events' then unstuck_private.prune_job_events(v_before, p_limit, p_skip)
    when 'webhook_inbox' then unstuck_private.prune_webhook_inbox(v_before, p_limit, p_skip)
    when 'sweeps' then unstuck_private.prune_sweeps(v_before, p_limit, p_skip)
    when 'cancelled_requests' then
      unstuck_private.prune_cancelled_requests(v_before, p_limit, p_skip)
    when 'inputs' then unstuck_private.prune_inputs(v_before, p_limit, p_skip)
    when 'orphans' then unstuck_private.prune_orphans(v_before, p_limit, p_skip)
    when 'erased_jobs' then
      unstuck_private.prune_erased_jobs(p_now, v_before, p_limit, p_skip)
    when 'provider_alarms' then
      unstuck_private.prune_provider_alarms(v_before, p_limit, p_skip)
    when 'cron_runs' then unstuck_private.prune_cron_runs(v_before, p_limit)
    -- Files, which SQL must not delete, and kinds of a later version.
    else 0
  end;
end $$;

revoke all on function unstuck_private.prune_kind from public, anon, authenticated, service_role;

--: source step/is_task_of_other_step.sql ec8745a91ea3
-- True when the provider's task belongs to another step, live or final, or another step owes its
-- cancel. A report that names the task for this step is a mistake and changes nothing.
create or replace function unstuck_private.is_task_of_other_step(
  p_step unstuck.job_steps,
  p_task_id text
)
returns boolean
language plpgsql
stable
set search_path = ''
as
$$
begin
  return
    exists (
      select from unstuck.job_steps o
      where o.provider = p_step.provider
        and o.provider_task_id = p_task_id
        and (o.job_id, o.step) <> (p_step.job_id, p_step.step)
    )
    or exists (
      select from unstuck.job_steps o
      where o.provider = p_step.provider
        and o.provider_cancel_due <> '[]'
        and o.provider_cancel_due @> jsonb_build_array(jsonb_build_object('task_id', p_task_id))
        and (o.job_id, o.step) <> (p_step.job_id, p_step.step)
    );
end $$;

revoke all on function unstuck_private.is_task_of_other_step
from public, anon, authenticated, service_role;

--: source step/job_steps_before_insert.sql 448266298f38
-- Fills in what a writer leaves out of a new step: a live step always has a deadline, a final one a
-- time of completion. A queued step joins its provider's line.
create or replace function unstuck_private.job_steps_before_insert() returns trigger
language plpgsql
set search_path = ''
as
$$
declare
  v_job unstuck.jobs;
  v_tool unstuck.tools;
begin
  select j.*
  into v_job
  from unstuck.jobs j
  where j.id = new.job_id;
  if not found then
    -- The foreign key refuses the row.
    return new;
  end if;
  select t.*
  into v_tool
  from unstuck.tools t
  where t.tool = v_job.tool;
  new.provider := coalesce(new.provider, v_tool.provider);
  new.deadline_at := coalesce(
    new.deadline_at,
    case
      when new.status = 'blocked' then v_job.expires_at
      when new.status = 'queued' then v_job.deadline_at
      else
        coalesce(new.sent_at, new.started_at, v_job.started_at, v_job.created_at)
        + v_tool.run_timeout
    end
  );
  new.line_tool := v_job.tool;
  if new.status = 'queued' then
    new.line_user_id := v_job.user_id;
    new.line_since := coalesce(v_job.queued_at, v_job.created_at);
    new.turn_at := unstuck_private.take_turn(
      new.provider, new.line_user_id, greatest(new.line_since, new.not_before));
  elsif unstuck_private.is_final(new.status) then
    new.completed_at := coalesce(new.completed_at, clock_timestamp());
  end if;
  return new;
end $$;

create or replace trigger job_steps_before_insert
before insert on unstuck.job_steps
for each row
execute function unstuck_private.job_steps_before_insert();

revoke all on function unstuck_private.job_steps_before_insert
from public, anon, authenticated, service_role;

--: source step/job_steps_before_update.sql 31c58401d432
-- Refuses to leave a final state. A step that becomes queued joins its provider's line: a step that
-- was put back has the turn that it had, and a chain's next step the turn of the step before it. A
-- waiting step whose `not_before` changes moves back with it, and never before its earlier turn.
--
-- When a working step's deadline is moved back by hand, the job's deadline moves with it, because
-- the healers find a job by its own deadline.
create or replace function unstuck_private.job_steps_before_update() returns trigger
language plpgsql
set search_path = ''
as
$$
begin
  if unstuck_private.is_final(old.status) and new.status is distinct from old.status then
    raise exception 'step %/% is final (%), it cannot become %',
      old.job_id, old.step, old.status, new.status
    using errcode = 'check_violation';
  end if;
  if new.status = 'queued' and (old.status <> 'queued' or new.line_user_id is null) then
    select j.user_id, j.tool, coalesce(j.queued_at, j.created_at),
      unstuck_private.take_turn(
        new.provider,
        j.user_id,
        greatest(
          coalesce(old.turn_at, b.claimed_at, j.queued_at, j.created_at),
          case when new.not_before > clock_timestamp() then new.not_before end
        )
      )
    into new.line_user_id, new.line_tool, new.line_since, new.turn_at
    from unstuck.jobs j
    left join unstuck.job_steps b
      on b.job_id = j.id
      and b.step = new.step - 1
      and old.status = 'blocked'
    where j.id = new.job_id;
  elsif new.status <> 'queued' and old.status = 'queued' then
    new.line_user_id := null;
  elsif new.status = 'queued'
    and new.not_before is distinct from old.not_before
    and new.turn_at = old.turn_at
  then
    new.turn_at := case
      when new.not_before > clock_timestamp() then greatest(old.turn_at, new.not_before)
      else least(old.turn_at, clock_timestamp())
    end;
  end if;
  if new.deadline_at < old.deadline_at
    and (new.status, new.run) = (old.status, old.run)
    and new.status in ('starting', 'running')
  then
    update unstuck.jobs set
      deadline_at = new.deadline_at
    where id = new.job_id
      and deadline_at > new.deadline_at
      and unstuck_private.is_live(status);
  end if;
  return new;
end $$;

create or replace trigger job_steps_before_update
before update on unstuck.job_steps
for each row
execute function unstuck_private.job_steps_before_update();

revoke all on function unstuck_private.job_steps_before_update
from public, anon, authenticated, service_role;

--: source step/step_complete_v1.sql 2ff3716d7db5
create or replace function unstuck.step_complete_v1(
  p_job_id uuid,
  p_step int,
  p_run bigint,
  p_output jsonb,
  p_output_url text
)
returns table (outcome text, job_status text, refunded bigint)
language sql
security definer
set search_path = ''
set statement_timeout = '10s'
as
$$
  select s.outcome, s.job_status, s.refunded
  from unstuck.step_complete_v2(p_job_id, p_step, p_run, p_output, p_output_url) s
$$;

comment on function unstuck.step_complete_v1 is $c$
Caller: Workers of the version before `step_complete_v2`, which does the work.

Effect: completes the step. The last step completes the job; any other lets the next step of a chain
queue. At a synchronous provider it closes the circuits of provider and tool. outcome: completed |
late (the step is final) | stale (not the present run, or not running).

Refuses: nothing.

Replay: late.
$c$;

revoke all on function unstuck.step_complete_v1 from public, anon, authenticated, service_role;
grant execute on function unstuck.step_complete_v1 to service_role;

--: source step/step_complete_v2.sql c4bd02189aa5
create or replace function unstuck.step_complete_v2(
  p_job_id uuid,
  p_step int,
  p_run bigint,
  p_output jsonb,
  p_output_url text
)
returns table (outcome text, job_status text, refunded bigint, may_start int)
language plpgsql
security definer
set search_path = ''
set statement_timeout = '10s'
-- However few rows the statistics know, they are read by their indexes.
set enable_seqscan = off
set jit = off
as
$$
declare
  v_job unstuck.jobs;
  v_step unstuck.job_steps;
  v_now timestamptz;
begin
  perform unstuck_private.act_as('worker');
  v_job := unstuck_private.job_lock(p_job_id);
  v_step := unstuck_private.step_lock(p_job_id, p_step, p_run);
  if v_step.status is distinct from 'running' then
    return query
    select
      case
        when exists (
          select from unstuck.job_steps s
          where s.job_id = p_job_id
            and s.step = p_step
            and s.run >= p_run
            and unstuck_private.is_final(s.status)
        ) then 'late'
        else 'stale'
      end,
      v_job.status,
      0::bigint,
      0;
    return;
  end if;
  v_now := clock_timestamp();
  update unstuck.job_steps s set
    status = 'completed',
    completed_at = v_now,
    provider_done_at = coalesce(s.provider_done_at, v_now),
    lease_until = null,
    output = coalesce(p_output, s.output),
    output_url = p_output_url,
    error_code = null,
    error_message = null
  where s.job_id = p_job_id
    and s.step = p_step;
  perform unstuck_private.circuit_close(v_step, true);
  perform unstuck_private.webhooks_apply(p_job_id, p_step, p_run);
  if not exists (
    select from unstuck.job_steps s
    where s.job_id = p_job_id
      and not unstuck_private.is_final(s.status)
  ) then
    return query
    select 'completed', c.status, c.refunded, unstuck_private.may_start(v_step.provider)
    from unstuck_private.jobs_finalise(
      array[p_job_id],
      array['completed'],
      array[null::text],
      array[null::text],
      p_output => p_output,
      p_output_url => p_output_url
    ) c;
    return;
  end if;
  -- Let a chain's next step queue. Restart the queue TTL of queued siblings: it is paused while
  -- another step of the job works.
  update unstuck.job_steps s set
    status = 'queued',
    deadline_at = least(v_now + t.queue_ttl, v_job.expires_at)
  from unstuck.tools t
  where s.job_id = p_job_id
    and (s.status = 'queued' or (s.step = p_step + 1 and s.status = 'blocked'))
    and t.tool = v_job.tool;
  perform unstuck_private.job_sync_from_steps(array[p_job_id]);
  return query
  select 'completed', 'running', 0::bigint, unstuck_private.may_start(v_step.provider);
end $$;

comment on function unstuck.step_complete_v2 is $c$
Caller: a worker, after it stored the step's result.

Effect: completes the step and marks its webhooks as applied. The last step completes the job; any
other lets the next step of a chain queue. At a synchronous provider it closes the circuits of
provider and tool. outcome: completed | late (the step is final) | stale (not the present run, or
not running). may_start: how many waiting steps a claim would take now.

Refuses: nothing.

Replay: late.
$c$;

revoke all on function unstuck.step_complete_v2 from public, anon, authenticated, service_role;
grant execute on function unstuck.step_complete_v2 to service_role;

--: source step/step_done_v1.sql 8b32483dff51
create or replace function unstuck.step_done_v1(
  p_job_id uuid,
  p_step int,
  p_run bigint,
  p_task_id text,
  p_output jsonb
)
returns table (outcome text, run bigint, result jsonb)
language sql
security definer
set search_path = ''
set statement_timeout = '10s'
as
$$
  select s.outcome, s.run, s.result
  from unstuck.step_done_v2(p_job_id, p_step, p_run, p_task_id, p_output) s
$$;

comment on function unstuck.step_done_v1 is $c$
Caller: Workers of the version before `step_done_v2`, which does the work.

Effect: frees the slot and gives the caller the lease under which it copies the result. outcome:
copy (run: the run to go on with; result: which file is the result, as the stored request says) |
late (the step is final: the success is recorded, and nothing else changes) | stale (not this run's
task, or another worker copies the result). A task of another step changes nothing.

Refuses: nothing.

Replay: stale while the lease lasts; afterwards copy, for the next worker.
$c$;

revoke all on function unstuck.step_done_v1 from public, anon, authenticated, service_role;
grant execute on function unstuck.step_done_v1 to service_role;

--: source step/step_done_v2.sql 5b65c40bbdb6
create or replace function unstuck.step_done_v2(
  p_job_id uuid,
  p_step int,
  p_run bigint,
  p_task_id text,
  p_output jsonb
)
returns table (outcome text, run bigint, result jsonb, may_start int)
language plpgsql
security definer
set search_path = ''
set statement_timeout = '10s'
-- However few rows the statistics know, they are read by their indexes.
set enable_seqscan = off
set jit = off
as
$$
declare
  v_step unstuck.job_steps;
  v_expires timestamptz;
  v_older boolean;
  v_same boolean;
begin
  perform unstuck_private.act_as('worker');
  select j.expires_at
  into v_expires
  from unstuck.jobs j
  where j.id = p_job_id
  for update;
  select s.*
  into v_step
  from unstuck.job_steps s
  where s.job_id = p_job_id
    and s.step = p_step
  for update;
  if not found
    or p_run > v_step.run
    or v_step.status = 'blocked'
    or unstuck_private.is_task_of_other_step(v_step, p_task_id)
  then
    return query
    select 'stale', p_run, null::jsonb, 0;
    return;
  end if;
  if unstuck_private.is_final(v_step.status) then
    if v_step.status <> 'completed' then
      perform unstuck_private.step_record_late_success(v_step, p_run, p_task_id, p_output);
    end if;
    return query
    select 'late', p_run, null::jsonb, 0;
    return;
  end if;
  v_older := p_run < v_step.run;
  v_same := coalesce(v_step.provider_task_id, p_task_id)
    is not distinct from coalesce(p_task_id, v_step.provider_task_id);
  -- Stale: no worker has claimed the step yet; or its run has another task; or another worker
  -- copies the result; or the result of another task was taken.
  if v_step.run = 0
    or (not v_older and not v_same)
    or (
      v_step.provider_done_at is not null
      and (v_step.lease_until > clock_timestamp() or not v_same)
    )
  then
    return query
    select 'stale', v_step.run, null::jsonb, 0;
    return;
  end if;
  p_run := unstuck_private.step_take_success(v_step, v_older, p_task_id, p_output, v_expires);
  perform unstuck_private.job_sync_from_steps(array[p_job_id]);
  return query
  select 'copy', p_run, v_step.input -> 'result',
    unstuck_private.may_start(v_step.provider);
end $$;

comment on function unstuck.step_done_v2 is $c$
Caller: a worker or a healer that learned from the provider that the task finished.

Effect: frees the slot and gives the caller the lease under which it copies the result. outcome:
copy (run: the run to go on with; result: which file is the result, as the stored request says;
may_start: how many waiting steps a claim would take now) |
late (the step is final: the success is recorded, and nothing else changes) | stale (not this run's
task, or another worker copies the result). A task of another step changes nothing.

Refuses: nothing.

Replay: stale while the lease lasts; afterwards copy, for the next worker.
$c$;

revoke all on function unstuck.step_done_v2 from public, anon, authenticated, service_role;
grant execute on function unstuck.step_done_v2 to service_role;

--: source step/step_fail_v1.sql 4c0185ad748e
create or replace function unstuck.step_fail_v1(
  p_job_id uuid,
  p_step int,
  p_run bigint,
  p_error_code text,
  p_error_message text
)
returns table (outcome text, job_status text, refunded bigint)
language plpgsql
security definer
set search_path = ''
set statement_timeout = '10s'
-- However few rows the statistics know, they are read by their indexes.
set enable_seqscan = off
set jit = off
as
$$
declare
  v_job unstuck.jobs;
  v_step unstuck.job_steps;
begin
  perform unstuck_private.act_as('worker');
  v_job := unstuck_private.job_lock(p_job_id);
  v_step := unstuck_private.step_lock(p_job_id, p_step, p_run);
  if v_step.job_id is null then
    return query
    select 'stale', v_job.status, 0::bigint;
    return;
  end if;
  -- The provider says that the task ended, so no cancel is owed for it.
  update unstuck.job_steps s set
    provider_done_at = coalesce(s.provider_done_at, clock_timestamp())
  where s.job_id = p_job_id
    and s.step = p_step;
  return query
  select 'failed', f.job_status, f.refunded
  from unstuck_private.step_fail(v_job, p_step, p_error_code, p_error_message) f;
end $$;

comment on function unstuck.step_fail_v1 is $c$
Caller: a worker or a healer that learned from the provider that the step failed.

Effect: fails the step and, by the job's refund rule, the job, and refunds in the same transaction.
outcome: failed | stale (not the present run, or final).

Refuses: nothing.

Replay: stale; nothing is refunded twice.
$c$;

revoke all on function unstuck.step_fail_v1 from public, anon, authenticated, service_role;
grant execute on function unstuck.step_fail_v1 to service_role;

--: source step/step_get_v1.sql 1a47a19f2c3c
create or replace function unstuck.step_get_v1(p_job_id uuid, p_step int)
returns table (
  job_id uuid,
  step int,
  run bigint,
  tool text,
  provider text,
  user_id uuid,
  job_status text,
  status text,
  task_id text,
  done boolean,
  sent boolean,
  output jsonb
)
language plpgsql
stable
security definer
set search_path = ''
as
$$
begin
  return query
  select
    s.job_id,
    s.step,
    s.run,
    j.tool,
    s.provider,
    j.user_id,
    j.status,
    s.status,
    s.provider_task_id,
    s.provider_done_at is not null,
    s.sent_at is not null,
    s.output
  from unstuck.job_steps s
  join unstuck.jobs j on j.id = s.job_id
  where s.job_id = p_job_id
    and s.step = p_step;
end $$;

comment on function unstuck.step_get_v1 is $c$
Caller: the consumer of webhooks' messages and the reconciliation of lost submissions.

Effect: none; returns one step as it is now.

Refuses: nothing; no row where there is no such step.

Replay: reads again.
$c$;

revoke all on function unstuck.step_get_v1 from public, anon, authenticated, service_role;
grant execute on function unstuck.step_get_v1 to service_role;

--: source step/step_requeue_v1.sql cf602b297e68
create or replace function unstuck.step_requeue_v1(
  p_job_id uuid,
  p_step int,
  p_run bigint,
  p_kind text,
  p_delay_ms int,
  p_error_code text,
  p_error_message text
)
returns table (outcome text, refunded bigint)
language plpgsql
security definer
set search_path = ''
set statement_timeout = '10s'
as
$$
declare
  v_job unstuck.jobs;
  v_step unstuck.job_steps;
  v_tool unstuck.tools;
  v_delay interval := make_interval(secs => greatest(p_delay_ms, 0) / 1000.0);
  v_at timestamptz;
  v_code text := case when p_kind = 'capacity' then 'PROVIDER_BUSY' else p_error_code end;
begin
  perform unstuck_private.act_as('worker');
  if p_kind not in ('capacity', 'transient') then
    perform unstuck_private.refuse(400, 'bad_request');
  end if;
  v_job := unstuck_private.job_lock(p_job_id);
  v_step := unstuck_private.step_lock(p_job_id, p_step, p_run);
  -- A step that the provider is done with is never requeued.
  if v_step.job_id is null or v_step.provider_done_at is not null then
    return query
    select 'stale', 0::bigint;
    return;
  end if;
  select t.*
  into v_tool
  from unstuck.tools t
  where t.tool = v_job.tool;
  v_at := clock_timestamp() + v_delay;
  if v_at >= v_job.expires_at
    or (p_kind = 'transient' and v_step.attempts >= v_tool.attempt_max)
  then
    return query
    select 'failed', f.refunded
    from unstuck_private.step_fail(v_job, p_step, p_error_code, p_error_message) f;
  else
    update unstuck.job_steps s set
      status = 'queued',
      sent_at = null,
      started_at = null,
      claimed_at = null,
      lease_until = null,
      provider_task_id = null,
      not_before = case when p_delay_ms > 0 then v_at end,
      -- A refusal for capacity is no attempt.
      attempts = greatest(s.attempts - (p_kind = 'capacity')::int, 0),
      error_code = v_code,
      error_message = v_code || ': ' || p_error_message,
      deadline_at = least(v_at + v_tool.queue_ttl, v_job.expires_at)
    where s.job_id = p_job_id
      and s.step = p_step;
    perform unstuck_private.job_sync_from_steps(array[p_job_id]);
    return query
    select 'queued', 0::bigint;
  end if;
  -- In the order in which the claim takes these locks, and after everything that may wait.
  if p_kind = 'capacity' then
    perform unstuck_private.slot_limit_fall(v_step, v_delay);
  end if;
end $$;

comment on function unstuck.step_requeue_v1 is $c$
Caller: a worker whose submission the provider refused for capacity, or failed in a way that may
pass (p_kind: capacity | transient).

Effect: puts the step back into the queue until p_delay_ms have passed, and frees its slot. Past
attempt_max or expires_at it fails the step and refunds instead. capacity: the step keeps its turn
and waits with the code PROVIDER_BUSY; if it was sent, the provider's learned limit falls to what
the provider took, so that a freed slot, or the next probe, starts the step. outcome: queued |
failed | stale (not the present run, or the provider is done).

Refuses: bad_request for another kind.

Replay: stale.
$c$;

revoke all on function unstuck.step_requeue_v1 from public, anon, authenticated, service_role;
grant execute on function unstuck.step_requeue_v1 to service_role;

--: source step/step_sent_v1.sql 14c19f3bfdb1
create or replace function unstuck.step_sent_v1(p_job_id uuid, p_step int, p_run bigint)
returns table (applied boolean)
language plpgsql
security definer
set search_path = ''
set statement_timeout = '10s'
-- However few rows the statistics know, they are read by their indexes.
set enable_seqscan = off
set jit = off
as
$$
declare
  v_step unstuck.job_steps;
  v_now timestamptz;
begin
  perform unstuck_private.act_as('worker');
  v_step := unstuck_private.step_lock(p_job_id, p_step, p_run);
  if v_step.status is distinct from 'starting' or v_step.sent_at is not null then
    return query
    select false;
    return;
  end if;
  v_now := clock_timestamp();
  update unstuck.job_steps s set
    sent_at = v_now,
    attempts = s.attempts + 1,
    lease_until = v_now + t.start_timeout,
    deadline_at = least(v_now + t.run_timeout, j.expires_at)
  from unstuck.jobs j
  join unstuck.tools t using (tool)
  where s.job_id = p_job_id
    and s.step = p_step
    and j.id = s.job_id;
  perform unstuck_private.job_sync_from_steps(array[p_job_id]);
  return query
  select true;
end $$;

comment on function unstuck.step_sent_v1 is $c$
Caller: a worker, before its request leaves for the provider.

Effect: records that the step was sent, and counts the attempt. applied = false: not the present
run, or sent before; the worker must not submit.

Refuses: nothing.

Replay: applied = false.
$c$;

revoke all on function unstuck.step_sent_v1 from public, anon, authenticated, service_role;
grant execute on function unstuck.step_sent_v1 to service_role;

--: source step/step_started_v1.sql fbd62ccd2eac
create or replace function unstuck.step_started_v1(
  p_job_id uuid,
  p_step int,
  p_run bigint,
  p_task_id text
)
returns table (outcome text, webhook_waiting boolean)
language plpgsql
security definer
set search_path = ''
set statement_timeout = '10s'
-- However few rows the statistics know, they are read by their indexes.
set enable_seqscan = off
set jit = off
as
$$
declare
  v_step unstuck.job_steps;
  v_waiting boolean;
begin
  perform unstuck_private.act_as('worker');
  perform 1
  from unstuck.jobs j
  where j.id = p_job_id
  for update;
  select s.*
  into v_step
  from unstuck.job_steps s
  where s.job_id = p_job_id
    and s.step = p_step
  for update;
  if not found
    or coalesce(p_task_id, '') = ''
    or unstuck_private.is_task_of_other_step(v_step, p_task_id)
  then
    return query
    select 'stale', false;
    return;
  end if;
  v_waiting := exists (
    select from unstuck.webhook_inbox w
    where (w.job_id, w.step, w.run) = (p_job_id, p_step, p_run)
      and w.applied_at is null
  );
  if v_step.run = p_run
    and v_step.status in ('starting', 'running')
    and coalesce(v_step.provider_task_id, p_task_id) = p_task_id
  then
    begin
      update unstuck.job_steps s set
        status = 'running',
        provider_task_id = p_task_id,
        -- A webhook may have come first: then the worker that copies the result has the lease.
        lease_until = case when s.provider_done_at is not null then s.lease_until end,
        started_at = coalesce(s.started_at, clock_timestamp()),
        checked_at = coalesce(s.checked_at, clock_timestamp())
      where s.job_id = p_job_id
        and s.step = p_step;
    exception when unique_violation then
      -- Another step took the task at the same moment.
      return query
      select 'stale', false;
      return;
    end;
    perform unstuck_private.job_sync_from_steps(array[p_job_id]);
    perform unstuck_private.slot_limit_rise(v_step);
    perform unstuck_private.circuit_close(v_step, false);
    return query
    select 'running', v_waiting;
    return;
  end if;
  if v_step.provider_task_id = p_task_id
    or v_step.provider_cancel_due @> jsonb_build_array(jsonb_build_object('task_id', p_task_id))
  then
    return query
    select 'stale', v_waiting;
    return;
  end if;
  -- The provider works for a final step or for an older run: the task must be cancelled.
  update unstuck.job_steps s set
    provider_cancel_due = s.provider_cancel_due
      || jsonb_build_object('task_id', p_task_id, 'run', p_run)
  where s.job_id = p_job_id
    and s.step = p_step;
  return query
  select 'cancel_due', v_waiting;
end $$;

comment on function unstuck.step_started_v1 is $c$
Caller: a worker that got the provider's task for its submission, or a healer that found it later. A
webhook alone is no reason to call it for a task that is still at work.

Effect: records the task; an accepted step closes the circuits of its provider and tool, and raises
the provider's learned limit where it had not so many before. outcome: running | cancel_due (the
step is final or was claimed again: the caller cancels the task at the provider, else a sweep does)
| stale (recorded before, or a task of another step, which changes nothing). webhook_waiting: a
webhook of this run is not applied yet.

Refuses: nothing.

Replay: running for the same task; stale where its cancel is owed already.
$c$;

revoke all on function unstuck.step_started_v1 from public, anon, authenticated, service_role;
grant execute on function unstuck.step_started_v1 to service_role;

--: source step/step_take_success.sql c42253050d8d
-- Takes the provider's success for a step that is not final: frees its slot, keeps the output and
-- gives the caller the lease under which it copies the result. Returns the run to go on with. The
-- step is locked.
--
-- A success of an older run, or of a run that was requeued, is paid work and is taken too. The
-- worker of the newer run becomes stale, and the provider is owed a cancel of its task.
create or replace function unstuck_private.step_take_success(
  p_step unstuck.job_steps,
  p_is_older boolean,
  p_task_id text,
  p_output jsonb,
  p_deadline timestamptz
)
returns bigint
language plpgsql
set search_path = ''
-- Planning would cost more than the work.
set plan_cache_mode = force_generic_plan
as
$$
declare
  v_run bigint;
begin
  update unstuck.job_steps s
  set status = 'running',
    run = s.run + p_is_older::int,
    provider_cancel_due = case
      when p_is_older
        and s.provider_task_id is distinct from p_task_id
        and s.provider_task_id is not null
      then
        s.provider_cancel_due
        || jsonb_build_object('task_id', s.provider_task_id, 'run', s.run)
      else unstuck_private.cancel_debt_without(s.provider_cancel_due, p_task_id)
    end,
    provider_task_id = coalesce(p_task_id, s.provider_task_id),
    output = p_output,
    not_before = null,
    sent_at = coalesce(s.sent_at, clock_timestamp()),
    started_at = coalesce(s.started_at, s.sent_at, clock_timestamp()),
    provider_done_at = coalesce(s.provider_done_at, clock_timestamp()),
    lease_until = clock_timestamp() + i.lease,
    deadline_at = p_deadline
  from unstuck_private.intervals() i
  where s.job_id = p_step.job_id
    and s.step = p_step.step
  returning s.run
  into v_run;
  return v_run;
end $$;

revoke all on function unstuck_private.step_take_success
from public, anon, authenticated, service_role;

--: source sweep/has_due_jobs.sql d03edbec196d
-- True when a sweep of the user's live jobs may find something to heal. It costs less than to plan
-- the sweep, and most users who ask have nothing to heal. Where a row cannot be judged, the sweep
-- finds out which.
create or replace function unstuck_private.has_due_jobs(p_user_id uuid, p_now timestamptz)
returns boolean
language plpgsql
stable
set search_path = ''
-- Planning would cost more than the work.
set plan_cache_mode = force_generic_plan
-- However few jobs the statistics know, they are read by their index.
set enable_seqscan = off
set enable_bitmapscan = off
set enable_hashjoin = off
set enable_mergejoin = off
set jit = off
as
$$
begin
  return exists (
    select from unstuck.jobs j
    join unstuck.tools t using (tool)
    join unstuck.providers p using (provider)
    where j.user_id = p_user_id
      and unstuck_private.is_live(j.status)
      and j.quarantined_at is null
      and (
        j.deadline_at <= p_now
        or coalesce(j.started_at, j.created_at) <= p_now - unstuck_private.lifetime_limit(
          t,
          p,
          j.total_steps,
          (
            select count(*)
            from unstuck.job_steps s
            where s.job_id = j.id
          )
        )
        or exists (
          select from unstuck.job_steps s
          where s.job_id = j.id
            and s.status in ('starting', 'running')
            and s.lease_until <= p_now
        )
      )
  );
exception when others then
  return true;
end $$;

revoke all on function unstuck_private.has_due_jobs from public, anon, authenticated, service_role;

--: source sweep/job_steps_summary.sql 2a488d285f65
-- What the clocks' rules need to know of a job's steps, in one row. It is inlined into `jobs_due`:
-- no search_path.
create or replace function unstuck_private.job_steps_summary(
  p_job unstuck.jobs,
  p_tool unstuck.tools,
  p_provider unstuck.providers,
  p_now timestamptz
)
returns table (
  steps bigint,
  done bigint,
  live bigint,
  working bigint,
  at_provider boolean,
  leased boolean,
  rescuable boolean,
  retryable boolean,
  undelivered boolean,
  working_deadline timestamptz,
  lifetime interval
)
language sql
stable
as
$$
  select
    count(*),
    count(*) filter (where s.status = 'completed'),
    count(*) filter (where not unstuck_private.is_final(s.status)),
    count(*) filter (where s.status in ('starting', 'running')),
    -- at_provider: an asynchronous provider has the step. SQL waits 3 minutes past the deadline for
    -- an edge healer, which can query the provider.
    bool_or(unstuck_private.holds_slot(s) and s.sent_at is not null and not p.synchronous),
    -- leased: a worker waits for a synchronous provider.
    bool_or(
      s.status in ('starting', 'running') and p.synchronous and s.lease_until > p_now
    ),
    -- rescuable: `steps_rescue` puts the step back into the queue.
    bool_or(p_now < p_job.expires_at and unstuck_private.can_requeue(s, p_tool, p)),
    -- retryable: the cleanup that calls the tool's function retries the step. SQL cannot, and waits
    -- 3 minutes past the deadline for that cleanup.
    bool_or(
      p_now < p_job.expires_at
      and s.status = 'running'
      and p.retried_by_function
      and s.provider_done_at is null
      and s.lease_until is not null
      and s.attempts < p_tool.attempt_max
    ),
    -- undelivered: the provider finished, and the result is not in our storage.
    bool_or(s.provider_done_at is not null and not unstuck_private.is_final(s.status)),
    min(s.deadline_at) filter (where s.status in ('starting', 'running')),
    unstuck_private.lifetime_limit(p_tool, p_provider, p_job.total_steps, count(*))
  from unstuck.job_steps s
  join unstuck.providers p using (provider)
  where s.job_id = p_job.id
$$;

revoke all on function unstuck_private.job_steps_summary
from public, anon, authenticated, service_role;

--: source sweep/jobs_due.sql ef5ecaa30170
-- Which of these jobs have run out of time, and how each ends. No other function knows these rules
-- (`has_due_jobs` only asks whether one may apply); docs/data-model.md tells them in words under
-- "Clocks". Times are compared with what lies before
-- now: a time that was written by hand may be so far off that nothing can be added to it.
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
          where e.job_id = c.id
            and e.event = 'job_requeued'
            and e.at > p_now - s.lifetime
        ) as too_old,
      -- A paid row is no orphan, even a pending one: it waits like a queued one.
      c.status = 'pending'
        and c.request_hash is null
        and not exists (
          select from unstuck.credit_entries e
          where e.job_id = c.id
            and e.kind = 'debit'
        ) as orphan,
      coalesce(c.queued_at, c.created_at) <= p_now - t.queue_ttl as waited_out
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
      else unstuck_private.timeout_message(
        j.status in ('pending', 'queued'),
        coalesce(j.started_at, j.queued_at, j.created_at),
        p_now)
    end
  from judged j
  where case
    when j.too_old then true
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

--: source sweep/lifetime_limit.sql 0052cf882c3e
-- The longest that a job with so many steps of p_total_steps may live. More than a century cannot
-- be subtracted from every time. It is inlined: no search_path.
create or replace function unstuck_private.lifetime_limit(
  p_tool unstuck.tools,
  p_provider unstuck.providers,
  p_total_steps int,
  p_steps bigint
)
returns interval
language sql
immutable
as
$$
  select least(
    case
      when p_steps = 0 then p_tool.run_timeout
      else unstuck_private.tool_lifetime(p_tool, p_provider, p_total_steps)
    end,
    interval '100 years'
  )
$$;

revoke all on function unstuck_private.lifetime_limit
from public, anon, authenticated, service_role;

--: source sweep/sweep.sql 3afc2ecff1bd
-- Heals all that SQL can heal, up to p_limit jobs and a time budget: it finalises jobs that ran out
-- of time, page by page, then fails steps without an attempt left, then requeues steps. None of the
-- three stops another, and no row stops the others.
--
-- A row without a job counts requeued steps, or due jobs that are left over, looking one page
-- ahead. `p_now` is an argument so that tests need not wait. Each page is planned anew: a plan for
-- pages of any size would read whole tables.
create or replace function unstuck_private.sweep(
  p_now timestamptz,
  p_user_id uuid,
  p_limit int,
  p_budget interval
)
returns table (
  job_id uuid,
  tool text,
  status text,
  refunded bigint,
  requeued int,
  remaining int
)
language plpgsql
set search_path = ''
set plan_cache_mode = 'force_custom_plan'
as
$$
#variable_conflict use_column
declare
  v_until timestamptz := clock_timestamp() + p_budget;
  v_remaining int := p_limit;
  v_rows int;
  v_is_stopped boolean;
  v_by text;
  v_ids uuid[];
  v_at timestamptz;
  v_id uuid;
begin
  perform unstuck_private.act_as('sweep');
  -- A user's own heal locks the account first, like every other function that works on the user.
  if p_user_id is not null
    and not (
      unstuck_private.has_due_jobs(p_user_id, p_now)
      and unstuck_private.account_try_lock(p_user_id)
    )
  then
    return;
  end if;
  foreach v_by in array
    case when p_user_id is null then array['deadline', 'age'] else array['user'] end
  loop
    v_at := '-infinity';
    v_id := '00000000-0000-0000-0000-000000000000';
    loop
      v_is_stopped := v_remaining <= 0 or clock_timestamp() > v_until;
      select c.ids, c.last_at, c.last_id
      into v_ids, v_at, v_id
      from unstuck_private.sweep_candidates(p_now, v_by, p_user_id, v_at, v_id,
        case when v_is_stopped then 1000 else least(greatest(v_remaining, 100), 2000) end) c;
      exit when v_ids is null;
      if v_is_stopped then
        return query
        select null::uuid, null::text, null::text, 0::bigint, 0,
          unstuck_private.count_due_among(p_now, v_ids);
        exit;
      end if;
      begin
        return query
        select *
        from unstuck_private.sweep_page(p_now, v_by, v_ids, v_remaining, v_until);
        get diagnostics v_rows = row_count;
        v_remaining := v_remaining - (v_rows - 1);
      exception when others then
        raise warning 'a page of the sweep failed: %', sqlerrm;
      end;
    end loop;
  end loop;
  begin
    return query
    select e.job_id, e.tool, e.status, e.refunded, 0, 0
    from unstuck_private.steps_fail_exhausted(p_now, p_user_id, least(p_limit, 200), v_until) e;
  exception when others then
    raise warning 'steps_fail_exhausted failed: %', sqlerrm;
  end;
  begin
    return query
    select null::uuid, null::text, null::text, 0::bigint,
      unstuck_private.steps_rescue(p_now, p_user_id, p_limit), 0;
  exception when others then
    raise warning 'steps_rescue failed: %', sqlerrm;
  end;
end $$;

revoke all on function unstuck_private.sweep from public, anon, authenticated, service_role;

--: source tool/job_lifetime.sql e33fb583e765
-- The longest that a job of this tool with this many steps may live.
create or replace function unstuck_private.job_lifetime(p_tool text, p_steps int) returns interval
language plpgsql
stable
set search_path = ''
as
$$
begin
  return (
    select unstuck_private.tool_lifetime(t, p, p_steps)
    from unstuck.tools t
    join unstuck.providers p using (provider)
    where t.tool = p_tool
  );
end $$;

revoke all on function unstuck_private.job_lifetime from public, anon, authenticated, service_role;

--: source tool/providers_before_update.sql ecf23f77cce7
-- Records when a limit is lowered. Steps that were claimed before may exceed the new limit; that is
-- no violation. What the provider taught by refusals is forgotten when an operator changes the
-- limit, and where it limits nothing.
create or replace function unstuck_private.providers_before_update() returns trigger
language plpgsql
set search_path = ''
as
$$
begin
  if new.max_concurrent < old.max_concurrent then
    new.limit_changed_at := clock_timestamp();
  end if;
  if new.max_concurrent <> old.max_concurrent or new.learned_limit >= new.max_concurrent then
    new.learned_limit := null;
  end if;
  if new.learned_limit is null then
    new.limit_probe_at := null;
  end if;
  return new;
end $$;

create or replace trigger providers_before_update
before update on unstuck.providers
for each row
execute function unstuck_private.providers_before_update();

revoke all on function unstuck_private.providers_before_update
from public, anon, authenticated, service_role;

--: source webhook/webhook_applied_v1.sql 2edea64037eb
create or replace function unstuck.webhook_applied_v1(p_inbox_id bigint)
returns table (applied boolean)
language sql
security definer
set search_path = ''
as
$$
  update unstuck.webhook_inbox w set
    applied_at = coalesce(w.applied_at, clock_timestamp())
  where w.id = p_inbox_id
  returning true
$$;

comment on function unstuck.webhook_applied_v1 is $c$
Caller: whoever settled a step after its webhook: the background of the webhook's request, or the
queue's consumer.

Effect: marks the webhook as applied.

Refuses: nothing; no row where there is no such webhook.

Replay: keeps the first time.
$c$;

revoke all on function unstuck.webhook_applied_v1 from public, anon, authenticated, service_role;
grant execute on function unstuck.webhook_applied_v1 to service_role;

--: source webhook/webhook_record_v1.sql d1f2436742a3
create or replace function unstuck.webhook_record_v1(
  p_provider text,
  p_job_id uuid,
  p_step int,
  p_run bigint,
  p_task_id text,
  p_dedup_key text,
  p_body jsonb
)
returns table (recorded boolean, inbox_id bigint)
language sql
security definer
set search_path = ''
set statement_timeout = '5s'
as
$$
  select s.recorded, s.inbox_id
  from unstuck.webhook_record_v2(
    p_provider, p_job_id, p_step, p_run, p_task_id, p_dedup_key, p_body) s
$$;

comment on function unstuck.webhook_record_v1 is $c$
Caller: Workers of the version before `webhook_record_v2`, which does the work.

Effect: stores the webhook; it changes no job.

Refuses: nothing.

Replay: recorded = false, with the id of the webhook that is stored.
$c$;

revoke all on function unstuck.webhook_record_v1 from public, anon, authenticated, service_role;
grant execute on function unstuck.webhook_record_v1 to service_role;

--: source webhook/webhook_record_v2.sql f6af8d02417a
create or replace function unstuck.webhook_record_v2(
  p_provider text,
  p_job_id uuid,
  p_step int,
  p_run bigint,
  p_task_id text,
  p_dedup_key text,
  p_body jsonb
)
returns table (recorded boolean, inbox_id bigint, step jsonb)
language plpgsql
security definer
set search_path = ''
set statement_timeout = '5s'
-- However few rows the statistics know, they are read by their indexes.
set enable_seqscan = off
set jit = off
as
$$
declare
  v_id bigint;
  v_is_new boolean;
  v_step jsonb;
begin
  insert into unstuck.webhook_inbox (provider, job_id, step, run, task_id, dedup_key, body)
  values (p_provider, p_job_id, p_step, p_run, nullif(p_task_id, ''), p_dedup_key, p_body)
  on conflict (provider, dedup_key) do nothing
  returning id into v_id;
  v_is_new := found;
  if not found then
    select w.id
    into v_id
    from unstuck.webhook_inbox w
    where w.provider = p_provider
      and w.dedup_key = p_dedup_key;
  end if;
  select to_jsonb(s) - 'output'
  into v_step
  from unstuck.step_get_v1(p_job_id, p_step) s;
  return query
  select v_is_new, v_id, v_step;
end $$;

comment on function unstuck.webhook_record_v2 is $c$
Caller: provider-webhook, after it verified the token.

Effect: stores the webhook; it changes no job. step: the step as `step_get_v1` returns it, without
its output.

Refuses: nothing.

Replay: recorded = false, with the id of the webhook that is stored.
$c$;

revoke all on function unstuck.webhook_record_v2 from public, anon, authenticated, service_role;
grant execute on function unstuck.webhook_record_v2 to service_role;

--: source webhook/webhooks_apply.sql 49493ad8addc
-- Marks the webhooks of a step as applied, those of this run and of earlier ones: what they say is
-- done.
create or replace function unstuck_private.webhooks_apply(p_job_id uuid, p_step int, p_run bigint)
returns void
language plpgsql
set search_path = ''
as
$$
begin
  update unstuck.webhook_inbox w
  set applied_at = clock_timestamp()
  where w.job_id = p_job_id
    and w.step = p_step
    and w.run <= p_run
    and w.applied_at is null;
end $$;

revoke all on function unstuck_private.webhooks_apply
from public, anon, authenticated, service_role;

--: source queue/provider_load.sql a341513c0e21
create view unstuck.provider_load
with (security_invoker = true) as
select
  l.provider,
  l.enabled,
  l.max_concurrent,
  l.running,
  l.waiting,
  l.oldest_waiting_seconds,
  l.circuit_open_until,
  l.circuit_reason,
  l.circuits_of_tools,
  l.learned_limit
from unstuck_private.visible_load() l;

comment on view unstuck.provider_load is $c$
Each provider's slots, as configured and as learned, its queue and open circuits, for the admin
page.
$c$;

revoke all on unstuck.provider_load from public, anon, authenticated, service_role;
grant select on unstuck.provider_load to authenticated, service_role;

--: source retention/known_kinds.sql 1dba8d72bb5a by hand

--: removed queue/queue_turns.sql

--: removed queue/tool_seconds.sql

--: removed retention/prune_queue_turns.sql

--: history
insert into unstuck_private.migrations (number, name, hash)
values (
  3,
  'kept_line',
  'a606fa1c744b57ff210afc1e30c5b5a25326090cfb4065b3f4e3100484949744'
);

notify pgrst, 'reload schema';

commit;

-- pg_cron overlooks a schedule among so many changes: change it once more, alone.
do $scheduled$
declare
  v_job bigint;
begin
  select j.jobid
  into v_job
  from cron.job j
  where j.command = 'select unstuck.cleanup_all_stale_ai_jobs()';
  if found then
    perform pg_sleep(2.5);
    perform cron.alter_job(v_job, schedule => '* * * * *');
  end if;
exception when undefined_table or undefined_function or insufficient_privilege then
  null;
end $scheduled$;
