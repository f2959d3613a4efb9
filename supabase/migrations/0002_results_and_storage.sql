-- 0002_results_and_storage.sql
-- Made by `cargo xtask migration results_and_storage`
-- from supabase/schemas, in the order in which things can be created. Do not edit it: change the
-- sources. It is applied once, whole or not at all.

begin;

do $applied$
begin
  if exists (select from unstuck_private.migrations where number = 2) then
    raise exception 'unstuck migration 0002 is applied already';
  end if;
  if not exists (select from unstuck_private.migrations where number = 1) then
    raise exception 'unstuck migration 0001 must be applied before 0002';
  end if;
end
$applied$;

-- A function may name an object that is created below it.
set local check_function_bodies = off;
-- While this waits for a table, everybody else waits behind it: fail and retry instead.
set local lock_timeout = '5s';

-- written by hand
alter table unstuck.providers
  add column account_faults int not null default 0,
  add column circuit_open_until timestamptz,
  add column circuit_opened_at timestamptz,
  add column circuit_reason text,
  add column circuit_closed_at timestamptz not null default '-infinity';

alter table unstuck.tools
  add column account_faults int not null default 0,
  add column circuit_open_until timestamptz,
  add column circuit_opened_at timestamptz,
  add column circuit_reason text,
  add column circuit_closed_at timestamptz not null default '-infinity';

--: recreated below, or removed
drop policy tools_read on unstuck.tools;
drop policy providers_read on unstuck.providers;
drop policy jobs_read on unstuck.jobs;
drop policy job_steps_read on unstuck.job_steps;
drop policy job_events_read on unstuck.job_events;
drop policy credit_accounts_read on unstuck.credit_accounts;
drop policy credit_entries_read on unstuck.credit_entries;
drop policy admin_log_read on unstuck.admin_log;
drop policy user_roles_read on unstuck.user_roles;
drop view unstuck.provider_load;
drop function unstuck_private.steps_reserve;
drop function unstuck.steps_due_v1;
drop function unstuck.step_done_v1;
drop function unstuck_private.visible_load;

--: source tool/providers.sql fdee53ab2259 by hand

--: source tool/tools.sql f2507f3ce1fb by hand

--: source tool/provider_alarms.sql ec45b1ba6788
create table unstuck.provider_alarms (
  id bigint generated always as identity primary key,
  -- When the first of these alarms came; equal ones of the hour after it are counted here.
  at timestamptz not null default clock_timestamp(),
  last_at timestamptz not null default clock_timestamp(),
  provider text not null references unstuck.providers,
  -- Null: the alarm concerns no single tool.
  tool text references unstuck.tools,
  -- The fault in the provider's words.
  code text not null,
  -- Of the newest alarm: the job that met it.
  detail text,
  count int not null default 1
    check (count >= 1)
);

create index provider_alarms_by_time on unstuck.provider_alarms (at);

comment on table unstuck.provider_alarms is $c$
What only the operator can mend at a provider: a dead key, an empty wallet, a missing app. One row
per provider, tool and code an hour, with how often it came.
$c$;

alter table unstuck.provider_alarms enable row level security;
revoke all on unstuck.provider_alarms from public, anon, authenticated, service_role;
revoke all on sequence unstuck.provider_alarms_id_seq
from public, anon, authenticated, service_role;
grant select on unstuck.provider_alarms to service_role;
grant select on unstuck.provider_alarms to authenticated;

--: source audit/violations_now.sql 4fa023c1c89f
-- The violations of the two invariants that hold or not by the clock; they are never stored.
create or replace function unstuck_private.violations_now()
returns table (invariant text, subject text, detail text)
language sql
stable
set search_path = ''
set jit = off
as
$$
  with provider as materialized (
    select p.provider, p.enabled, p.max_concurrent, p.limit_changed_at, p.circuit_open_until,
      p.circuit_closed_at, l.live
    from unstuck.providers p
    cross join lateral (
      select count(*) as live
      from unstuck.job_steps s
      where s.provider = p.provider and unstuck_private.holds_slot(s)
    ) l
  ), since as (
    select clock_timestamp() as now, clock_timestamp() - interval '4 minutes' as at
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
      and p.max_concurrent > p.live + coalesce(f.slots, 0)
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

--: source clock/circuit_pause.sql ff7603b80588
-- How long an open circuit keeps steps waiting until it lets one through as a trial.
create or replace function unstuck_private.circuit_pause()
returns interval
language sql
immutable
as
$$ select interval '1 minute' $$;

revoke all on function unstuck_private.circuit_pause from public, anon, authenticated, service_role;

--: source queue/circuit_trial.sql 60936d1cd86d
-- Keeps further steps waiting for a minute where an open circuit let one through: the steps that
-- were claimed at p_now are its trial. The caller has locked the provider.
create or replace function unstuck_private.circuit_trial(p_provider text, p_now timestamptz)
returns void
language plpgsql
set search_path = ''
as
$$
begin
  update unstuck.providers p
  set circuit_open_until = p_now + unstuck_private.circuit_pause()
  where p.provider = p_provider
    and p.circuit_open_until is not null;
  update unstuck.tools t
  set circuit_open_until = p_now + unstuck_private.circuit_pause()
  where t.circuit_open_until is not null
    and exists (
      select from unstuck.job_steps s
      join unstuck.jobs j on j.id = s.job_id
      where s.provider = p_provider
        and unstuck_private.holds_slot(s)
        and s.claimed_at = p_now
        and j.tool = t.tool
    );
end $$;

revoke all on function unstuck_private.circuit_trial
from public, anon, authenticated, service_role;

--: source queue/provider_positions.sql a0128ee0b465
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
  v_free numeric[] := unstuck_private.seconds_until_slots_free(p_provider);
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
      j.status = 'queued'
        and row_number() over (partition by q.job_id order by q."position") = 1 as is_first
    from unstuck_private.queue_order(p_provider, clock_timestamp()) q
    join unstuck.jobs j on j.id = q.job_id
    join unstuck.job_steps s
      on s.job_id = q.job_id
      and s.step = q.step
    join unstuck.tools u on u.tool = q.tool
    join unstuck.providers p on p.provider = s.provider
    left join unstuck_private.tool_seconds(p_provider) t on t.tool = q.tool
    order by q."position"
  loop
    v_slot := 1;
    for i in 2 .. cardinality(v_free) loop
      if v_free[i] < v_free[v_slot] then
        v_slot := i;
      end if;
    end loop;
    v_free[v_slot] := greatest(v_free[v_slot], v_step.not_in);
    if v_step.is_first then
      v_position := v_position + 1;
      return query
      select v_step.job_id, v_position, least(ceil(v_free[v_slot]), 2147483647)::int;
    end if;
    v_free[v_slot] := v_free[v_slot] + v_step.seconds;
  end loop;
end $$;

revoke all on function unstuck_private.provider_positions
from public, anon, authenticated, service_role;

--: source queue/queue_check_v1.sql b072a8072489
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
    greatest(p.max_concurrent - l.running, 0),
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
enabled: false also while an open circuit of the provider lets no step through.

Refuses: nothing; no row where there is no such provider.

Replay: reads again.
$c$;

revoke all on function unstuck.queue_check_v1 from public, anon, authenticated, service_role;
grant execute on function unstuck.queue_check_v1 to service_role;

--: source queue/queue_order.sql c2473e0da7d8
-- The waiting steps of one provider in the order in which they will be claimed. Each user has one
-- turn at a time, since the user began to wait or was last served: a thousand jobs of one user let
-- every other user through after each of them. The order does not depend on what finishes when, so
-- that a position that was shown stays true.
create or replace function unstuck_private.queue_order(p_provider text, p_now timestamptz)
returns table (job_id uuid, step int, user_id uuid, tool text, ready boolean, "position" bigint)
language plpgsql
stable
set search_path = ''
as
$$
declare
  -- Tools whose steps are not let through, while their own circuit or the provider's is open.
  v_open text[] := array(
    select t.tool
    from unstuck.tools t
    where t.circuit_open_until > p_now
      or exists (
        select from unstuck.providers p
        where p.provider = p_provider
          and p.circuit_open_until > p_now
      )
  );
begin
  return query
  with waiting as (
    select
      s.job_id,
      s.step,
      j.user_id,
      j.tool,
      coalesce(s.not_before, p_now) <= p_now and j.tool <> all (v_open) as ready,
      coalesce(j.queued_at, j.created_at) as since
    from unstuck.job_steps s
    join unstuck.jobs j on j.id = s.job_id
    where s.provider = p_provider
      and s.status = 'queued'
      and unstuck_private.is_live(j.status)
      and j.quarantined_at is null
      and (
        s.deadline_at > p_now
        -- The queue TTL is paused while another step of the job works.
        or exists (
          select from unstuck.job_steps w
          where w.job_id = s.job_id
            and w.status in ('starting', 'running')
        )
      )
  ),
  ranked as (
    select
      w.*,
      row_number() over own as turn,
      greatest(first_value(w.since) over own, u.served_at) as waits_since
    from waiting w
    left join unstuck_private.queue_turns u
      on u.provider = p_provider
      and u.user_id = w.user_id
    window own as (
      partition by w.user_id
      order by not w.ready, w.since, w.job_id, w.step
    )
  )
  select
    l.job_id,
    l.step,
    l.user_id,
    l.tool,
    l.ready,
    row_number() over (order by not l.ready, l.turn, l.waits_since, l.user_id)
  from ranked l;
end $$;

revoke all on function unstuck_private.queue_order from public, anon, authenticated, service_role;

--: source queue/step_claim_v1.sql 6d9fa267ce91
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
  -- An open circuit lets one step through a minute.
  if v_provider.circuit_open_until is not null then
    v_free := least(v_free, (v_provider.circuit_open_until <= v_now)::int);
  end if;
  if v_free <= 0 then
    return;
  end if;
  return query
  select *
  from unstuck_private.steps_claim(v_provider, v_now, v_free);
  if found then
    perform unstuck_private.circuit_trial(p_provider, v_now);
  end if;
end $$;

comment on function unstuck.step_claim_v1 is $c$
Caller: a worker, before it submits steps of a provider.

Effect: claims up to p_limit waiting steps in queue order while slots are free. Each gets a new run
and a lease. The reply has each step's request, the output of the step before, and how long the step
may run. While the circuit of the provider or of a tool is open, one step of it is claimed a minute.

Refuses: nothing; no row where no step may start.

Replay: claims the next steps.
$c$;

revoke all on function unstuck.step_claim_v1 from public, anon, authenticated, service_role;
grant execute on function unstuck.step_claim_v1 to service_role;

--: source queue/steps_pick.sql a3b0572af314
-- Locks up to p_limit waiting steps of a provider with their jobs, in the order in which they are
-- claimed, and returns their keys. It skips what another transaction has locked. Of a tool whose
-- circuit is open, the first one is let through when its time has come.
create or replace function unstuck_private.steps_pick(
  p_provider text,
  p_now timestamptz,
  p_limit int
)
returns table (job_id uuid, step int, "position" bigint)
language plpgsql
-- The planner expects a few rows, not a thousand.
rows 5
set search_path = ''
as
$$
declare
  v_trials text[] := array(
    select t.tool
    from unstuck.tools t
    where t.circuit_open_until is not null
  );
begin
  return query
  with ready as materialized (
    select *
    from unstuck_private.queue_order(p_provider, p_now) o
    where o.ready
  )
  select s.job_id, s.step, q."position"
  from (
    -- Up to 100 more than there are slots: some of them may be locked.
    select *
    from ready r
    where r.tool <> all (v_trials)
      or r."position" in (
        select min(f."position")
        from ready f
        where f.tool = any (v_trials)
        group by f.tool
      )
    order by r."position"
    limit p_limit + 100
  ) q
  join unstuck.jobs j on j.id = q.job_id
  join unstuck.job_steps s
    on s.job_id = q.job_id
    and s.step = q.step
  where s.status = 'queued'
    and unstuck_private.is_live(j.status)
  order by q."position"
  limit p_limit
  for update of j, s skip locked;
end $$;

revoke all on function unstuck_private.steps_pick from public, anon, authenticated, service_role;

--: source queue/steps_waiting_v1.sql 1dcf217b3c74
create or replace function unstuck.steps_waiting_v1(p_provider text)
returns table (waiting int, may_start int)
language sql
stable
security definer
set search_path = ''
set statement_timeout = '5s'
as
$$
  select
    q.waiting::int,
    case
      when not p.enabled or p.circuit_open_until > clock_timestamp() then 0
      else greatest(
        least(
          q.ready + q.trials,
          p.max_concurrent - l.live,
          case when p.circuit_open_until is not null then 1 end
        ),
        0
      )
    end::int
  from unstuck.providers p
  cross join lateral (
    select count(*) as live
    from unstuck.job_steps s
    where s.provider = p.provider
      and unstuck_private.holds_slot(s)
  ) l
  cross join lateral (
    select
      count(*) as waiting,
      count(*) filter (where o.ready and t.circuit_open_until is null) as ready,
      count(distinct t.tool) filter (where o.ready and t.circuit_open_until is not null) as trials
    from unstuck_private.queue_order(p.provider, clock_timestamp()) o
    join unstuck.tools t on t.tool = o.tool
  ) q
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

--: source queue/visible_load.sql 769cf22cc4b8
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
  circuits_of_tools text[]
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
    )
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

--: source retention/prune_kind.sql 8e1a3429691a
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
    when 'queue_turns' then unstuck_private.prune_queue_turns(v_before, p_limit, p_skip)
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

--: source retention/prune_provider_alarms.sql 4abe0be4c6ed
-- Deletes providers' alarms from before p_before.
create or replace function unstuck_private.prune_provider_alarms(
  p_before timestamptz,
  p_limit int,
  p_skip int
)
returns int
language plpgsql
set search_path = ''
set plan_cache_mode = 'force_custom_plan'
as
$$
declare
  v_pruned int;
begin
  delete from unstuck.provider_alarms a
  where a.ctid = any (array(
    select o.ctid
    from unstuck.provider_alarms o
    where o.at < p_before
    order by o.at
    limit p_limit
    offset p_skip
    for update skip locked
  ));
  get diagnostics v_pruned = row_count;
  return v_pruned;
end $$;

revoke all on function unstuck_private.prune_provider_alarms
from public, anon, authenticated, service_role;

--: source step/step_complete_v1.sql 2fce3d090cc0
create or replace function unstuck.step_complete_v1(
  p_job_id uuid,
  p_step int,
  p_run bigint,
  p_output jsonb,
  p_output_url text
)
returns table (outcome text, job_status text, refunded bigint)
language plpgsql
security definer
set search_path = ''
set statement_timeout = '10s'
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
      0::bigint;
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
  if not exists (
    select from unstuck.job_steps s
    where s.job_id = p_job_id
      and not unstuck_private.is_final(s.status)
  ) then
    update unstuck.jobs j set
      output = p_output,
      output_url = p_output_url
    where j.id = p_job_id;
    return query
    select 'completed', c.status, c.refunded
    from unstuck_private.jobs_finalise(
      array[p_job_id],
      array['completed'],
      array[null::text],
      array[null::text]
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
  select 'completed', 'running', 0::bigint;
end $$;

comment on function unstuck.step_complete_v1 is $c$
Caller: a worker, after it stored the step's result.

Effect: completes the step. The last step completes the job; any other lets the next step of a chain
queue. At a synchronous provider it closes the circuits of provider and tool. outcome: completed |
late (the step is final) | stale (not the present run, or not running).

Refuses: nothing.

Replay: late.
$c$;

revoke all on function unstuck.step_complete_v1 from public, anon, authenticated, service_role;
grant execute on function unstuck.step_complete_v1 to service_role;

--: source step/step_done_v1.sql 5933293f9e50
create or replace function unstuck.step_done_v1(
  p_job_id uuid,
  p_step int,
  p_run bigint,
  p_task_id text,
  p_output jsonb
)
returns table (outcome text, run bigint, result jsonb)
language plpgsql
security definer
set search_path = ''
set statement_timeout = '10s'
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
    select 'stale', p_run, null::jsonb;
    return;
  end if;
  if unstuck_private.is_final(v_step.status) then
    if v_step.status <> 'completed' then
      perform unstuck_private.step_record_late_success(v_step, p_run, p_task_id, p_output);
    end if;
    return query
    select 'late', p_run, null::jsonb;
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
    select 'stale', v_step.run, null::jsonb;
    return;
  end if;
  p_run := unstuck_private.step_take_success(v_step, v_older, p_task_id, p_output, v_expires);
  perform unstuck_private.job_sync_from_steps(array[p_job_id]);
  return query
  select 'copy', p_run, v_step.input -> 'result';
end $$;

comment on function unstuck.step_done_v1 is $c$
Caller: a worker or a healer that learned from the provider that the task finished.

Effect: frees the slot and gives the caller the lease under which it copies the result. outcome:
copy (run: the run to go on with; result: which file is the result, as the stored request says) |
late (the step is final: the success is recorded, and nothing else changes) | stale (not this run's
task, or another worker copies the result). A task of another step changes nothing.

Refuses: nothing.

Replay: stale while the lease lasts; afterwards copy, for the next worker.
$c$;

revoke all on function unstuck.step_done_v1 from public, anon, authenticated, service_role;
grant execute on function unstuck.step_done_v1 to service_role;

--: source step/step_started_v1.sql 34ba4caec4fc
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

Effect: records the task; an accepted step closes the circuits of its provider and tool. outcome:
running | cancel_due (the step is final or was claimed again: the caller cancels the task at the
provider, else a sweep does) | stale (recorded before, or a task of another step, which changes
nothing). webhook_waiting: a webhook of this run is not applied yet.

Refuses: nothing.

Replay: running for the same task; stale where its cancel is owed already.
$c$;

revoke all on function unstuck.step_started_v1 from public, anon, authenticated, service_role;
grant execute on function unstuck.step_started_v1 to service_role;

--: source step/steps_due_v1.sql b556efd973de
create or replace function unstuck.steps_due_v1(
  p_provider text,
  p_limit int,
  p_all boolean default false
)
returns table (
  job_id uuid,
  step int,
  run bigint,
  tool text,
  user_id uuid,
  due text,
  task_id text,
  overdue boolean,
  output jsonb,
  input jsonb,
  done_seconds int,
  sent_since timestamptz,
  sent_seconds int,
  open int
)
language plpgsql
security definer
set search_path = ''
set statement_timeout = '10s'
as
$$
#variable_conflict use_column
declare
  v_now timestamptz := clock_timestamp();
  v_provider unstuck.providers;
  v_open int;
  v_keys jsonb;
begin
  select *
  into v_provider
  from unstuck.providers
  where provider = p_provider;
  if not found or v_provider.synchronous then
    return;
  end if;
  select count(*)
  into v_open
  from unstuck.job_steps s
  where s.provider = p_provider
    and unstuck_private.holds_slot(s)
    and s.provider_task_id is not null;
  v_keys := unstuck_private.steps_due_at_provider(v_provider, v_now, p_all, p_limit);
  return query
  select r.job_id, r.step, r.run, j.tool, j.user_id, r.due, coalesce(r.task_id, w.task_id),
    r.overdue, r.output, r.input, unstuck_private.seconds_between(r.done_at, v_now),
    -- The provider's clock may differ from ours.
    r.sent_at - interval '2 minutes',
    unstuck_private.seconds_between(r.sent_at, v_now),
    v_open
  from unstuck_private.steps_reserve(v_now, v_keys) r
  join unstuck.jobs j on j.id = r.job_id
  -- The newest webhook of this run, unless it names the task of another step.
  left join lateral (
    select i.task_id
    from unstuck.webhook_inbox i
    where i.job_id = r.job_id
      and i.step = r.step
      and i.run = r.run
      and not exists (
        select
        from unstuck.job_steps o
        where o.provider = p_provider
          and o.provider_task_id = i.task_id
          and (o.job_id, o.step) <> (r.job_id, r.step)
      )
    order by i.id desc
    limit 1
  ) w on true;

  v_keys := unstuck_private.steps_with_cancel_debt(p_provider, v_now, p_limit);
  return query
  select o.job_id, o.step, d.run, j.tool, j.user_id, o.due, d.task_id,
    false, null::jsonb, null::jsonb, null::int, null::timestamptz, null::int, v_open
  from unstuck_private.steps_reserve(v_now, v_keys) o
  join unstuck.jobs j on j.id = o.job_id
  cross join lateral unstuck_private.cancel_debts(o.provider_cancel_due) d;
end $$;

comment on function unstuck.steps_due_v1 is $c$
Caller: a healer, for one asynchronous provider; with p_all the checker, for which every running
step is due.

Effect: reserves up to p_limit steps to query about, and up to p_limit cancels to send, for the
caller. due: query (unchecked for 30 s, or past the deadline) | inbox (sent without an answer) |
copy (the provider is done, the result is not stored) | cancel (owed). The steps that were not
queried for longest come first. input: the step's stored request. open: how many tasks the provider
works on in all.

Refuses: nothing; no row for a synchronous provider. What another transaction has locked, or a step
that cannot be reserved, is left to the next call.

Replay: a step that is reserved does not come again for some seconds.
$c$;

revoke all on function unstuck.steps_due_v1 from public, anon, authenticated, service_role;
grant execute on function unstuck.steps_due_v1 to service_role;

--: source step/steps_reserve.sql c2190d87932a
-- Reserves locked steps for the caller, which is about to query the provider: p_keys names each
-- with what is due. Returns those that could be reserved. A step whose row cannot be written (a
-- trigger refuses it) is left out.
create or replace function unstuck_private.steps_reserve(p_now timestamptz, p_keys jsonb)
returns table (
  job_id uuid,
  step int,
  run bigint,
  due text,
  task_id text,
  overdue boolean,
  output jsonb,
  input jsonb,
  done_at timestamptz,
  sent_at timestamptz,
  provider_cancel_due jsonb
)
language plpgsql
set search_path = ''
as
$$
#variable_conflict use_column
declare
  v_key jsonb;
begin
  begin
    update unstuck.job_steps s
    set checked_at = p_now,
      lease_until = case when k.due = 'copy' then p_now + i.lease else s.lease_until end
    from jsonb_to_recordset(p_keys) as k (job_id uuid, step int, due text)
    cross join unstuck_private.intervals() i
    where s.job_id = k.job_id
      and s.step = k.step;
  exception when others then
    if jsonb_array_length(p_keys) > 1 then
      for v_key in
        select k.value
        from jsonb_array_elements(p_keys) k
      loop
        return query
        select *
        from unstuck_private.steps_reserve(p_now, jsonb_build_array(v_key));
      end loop;
    end if;
    return;
  end;
  return query
  select s.job_id, s.step, s.run, k.due, s.provider_task_id, k.overdue, s.output,
    case
      when k.due = 'inbox' then s.input
      else jsonb_build_object('result', s.input -> 'result')
    end,
    s.provider_done_at, s.sent_at, s.provider_cancel_due
  from rows from (
    jsonb_to_recordset(p_keys) as (job_id uuid, step int, due text, overdue boolean)
  ) with ordinality as k (job_id, step, due, overdue, nth)
  join unstuck.job_steps s using (job_id, step)
  order by k.nth;
end $$;

revoke all on function unstuck_private.steps_reserve from public, anon, authenticated, service_role;

--: source tool/circuit_before_update.sql 765436a22226
-- An accepted step, or an operator, closes a circuit by emptying `circuit_open_until`; this clears
-- the rest of it and records when.
create or replace function unstuck_private.circuit_before_update() returns trigger
language plpgsql
set search_path = ''
as
$$
begin
  new.account_faults := 0;
  new.circuit_reason := null;
  new.circuit_opened_at := null;
  new.circuit_closed_at := clock_timestamp();
  return new;
end $$;

create or replace trigger providers_circuit_closed
before update on unstuck.providers
for each row
when (old.circuit_open_until is not null and new.circuit_open_until is null)
execute function unstuck_private.circuit_before_update();

create or replace trigger tools_circuit_closed
before update on unstuck.tools
for each row
when (old.circuit_open_until is not null and new.circuit_open_until is null)
execute function unstuck_private.circuit_before_update();

revoke all on function unstuck_private.circuit_before_update
from public, anon, authenticated, service_role;

--: source tool/circuit_close.sql 2bf27eb655c5
-- Closes the circuits of the provider and the tool of a step that the provider accepted, and clears
-- the faults that were counted. A step that was claimed before a circuit opened proves nothing
-- about it, and a completion proves something at a synchronous provider alone: elsewhere the step
-- was accepted before. It writes only where there is something to clear.
--
-- Its callers hold an account and a job, against the lock order. Nobody can wait for them in turn:
-- who holds a provider's or a tool's row skips locked jobs, and waits for nothing else.
create or replace function unstuck_private.circuit_close(
  p_step unstuck.job_steps,
  p_is_completed boolean
)
returns void
language plpgsql
set search_path = ''
as
$$
begin
  if p_is_completed
    and not (select p.synchronous from unstuck.providers p where p.provider = p_step.provider)
  then
    return;
  end if;
  update unstuck.providers p
  set account_faults = 0,
    circuit_open_until = null
  where p.provider = p_step.provider
    and (p.account_faults > 0 or p.circuit_open_until is not null)
    and (p.circuit_opened_at is null or p_step.claimed_at >= p.circuit_opened_at);
  update unstuck.tools t
  set account_faults = 0,
    circuit_open_until = null
  where t.tool = (select j.tool from unstuck.jobs j where j.id = p_step.job_id)
    and (t.account_faults > 0 or t.circuit_open_until is not null)
    and (t.circuit_opened_at is null or p_step.claimed_at >= t.circuit_opened_at);
end $$;

revoke all on function unstuck_private.circuit_close
from public, anon, authenticated, service_role;

--: source tool/provider_alarm_v1.sql 8d437efdd826
create or replace function unstuck.provider_alarm_v1(
  p_provider text,
  p_tool text,
  p_about text,
  p_code text,
  p_detail text
)
returns void
language plpgsql
security definer
set search_path = ''
set statement_timeout = '5s'
as
$$
declare
  -- Some servers of the PostgREST protocol pass a null as ''.
  v_tool text := nullif(p_tool, '');
  v_about text := nullif(p_about, '');
  v_code text := left(p_code, 200);
  v_detail text := left(nullif(p_detail, ''), 500);
  v_now timestamptz;
  v_until timestamptz;
begin
  if coalesce(v_code, '') = ''
    or not exists (select from unstuck.providers p where p.provider = p_provider)
  then
    perform unstuck_private.refuse(400, 'bad_request');
  end if;
  -- Two equal alarms become one row. Claims need the provider's own row, and most alarms do not.
  perform pg_advisory_xact_lock(hashtextextended(p_provider || ' ' || v_code, 0));
  v_now := clock_timestamp();
  v_until := v_now + unstuck_private.circuit_pause();
  update unstuck.provider_alarms a
  set count = a.count + 1,
    last_at = v_now,
    detail = v_detail
  where a.provider = p_provider
    and a.tool is not distinct from v_tool
    and a.code = v_code
    and a.at > v_now - interval '1 hour';
  if not found then
    insert into unstuck.provider_alarms (at, last_at, provider, tool, code, detail)
    values (v_now, v_now, p_provider, v_tool, v_code, v_detail);
  end if;
  -- A fault while the circuit is open moves no time: the claim of each trial has set it.
  if v_about in ('account', 'place') then
    update unstuck.providers p
    set account_faults = least(p.account_faults, 999999) + 1,
      circuit_open_until = case
        when p.account_faults >= 2 then coalesce(p.circuit_open_until, v_until)
        else p.circuit_open_until
      end,
      circuit_opened_at = case
        when p.account_faults >= 2 then coalesce(p.circuit_opened_at, v_now)
        else p.circuit_opened_at
      end,
      circuit_reason = case when p.account_faults >= 2 then v_about else p.circuit_reason end
    where p.provider = p_provider;
  elsif v_about = 'app' then
    update unstuck.tools t
    set account_faults = least(t.account_faults, 999999) + 1,
      circuit_open_until = case
        when t.account_faults >= 2 then coalesce(t.circuit_open_until, v_until)
        else t.circuit_open_until
      end,
      circuit_opened_at = case
        when t.account_faults >= 2 then coalesce(t.circuit_opened_at, v_now)
        else t.circuit_opened_at
      end,
      circuit_reason = case when t.account_faults >= 2 then v_about else t.circuit_reason end
    where t.tool = v_tool;
  end if;
end $$;

comment on function unstuck.provider_alarm_v1 is $c$
Caller: a worker that met a fault which only the operator can mend.

Effect: counts equal alarms of an hour in one row of provider_alarms. A fault of a submit or a call
says what it is about: the third of `account` or `place` without an accepted step between them opens
the provider's circuit, the third of `app` the tool's. While a circuit is open, steps wait, and one
step a minute is let through. Null: the alarm counts towards no circuit.

Refuses: bad_request (no such provider, no code).

Replay: counts once more.
$c$;

revoke all on function unstuck.provider_alarm_v1 from public, anon, authenticated, service_role;
grant execute on function unstuck.provider_alarm_v1 to service_role;

--: source queue/provider_load.sql 96ac5fc18d4f
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
  l.circuits_of_tools
from unstuck_private.visible_load() l;

comment on view unstuck.provider_load is $c$
Each provider's slots, queue and open circuits, for the admin page.
$c$;

revoke all on unstuck.provider_load from public, anon, authenticated, service_role;
grant select on unstuck.provider_load to authenticated, service_role;

--: source policy/read_own_rows.sql 0a40ed1d3201
-- What a signed-in user reads of the tables: own rows, an admin all. Nobody writes to a table.

create policy tools_read on unstuck.tools
for select to authenticated
using (true);

create policy providers_read on unstuck.providers
for select to authenticated
using (true);

create policy jobs_read on unstuck.jobs
for select to authenticated
using (user_id = (select auth.uid()) or (select unstuck_private.is_admin()));

-- A user who may read the job: the job's own policy holds inside.
create policy job_steps_read on unstuck.job_steps
for select to authenticated
using (exists (select from unstuck.jobs j where j.id = job_id));

create policy job_events_read on unstuck.job_events
for select to authenticated
using ((select unstuck_private.is_admin()));

create policy credit_accounts_read on unstuck.credit_accounts
for select to authenticated
using (user_id = (select auth.uid()) or (select unstuck_private.is_admin()));

create policy credit_entries_read on unstuck.credit_entries
for select to authenticated
using (user_id = (select auth.uid()) or (select unstuck_private.is_admin()));

create policy admin_log_read on unstuck.admin_log
for select to authenticated
using ((select unstuck_private.is_admin()));

create policy provider_alarms_read on unstuck.provider_alarms
for select to authenticated
using ((select unstuck_private.is_admin()));

create policy user_roles_read on unstuck.user_roles
for select to authenticated
using (user_id = (select auth.uid()) or (select unstuck_private.is_admin()));

--: source retention/known_kinds.sql d4a9877ca780
-- How long each kind is kept at first. A row that is there already keeps the operator's own value.
insert into unstuck.retention (kind, keep)
values
  -- Transitions, once their job is final.
  ('job_events', '90 days'),
  -- Webhooks, once their job is final.
  ('webhook_inbox', '7 days'),
  -- One row per pass of a healer; the newest finished one always stays.
  ('sweeps', '30 days'),
  -- Orders that users cancelled before they arrived.
  ('cancelled_requests', '1 day'),
  -- Inputs of final jobs: prompts, file names, provider requests.
  ('inputs', '90 days'),
  -- Unpaid rows that older clients inserted and never ordered.
  ('orphans', '1 day'),
  -- When each user was last served; it matters only while the user has a live job.
  ('queue_turns', '1 day'),
  -- What stays of an erased user's jobs until the provider was sent its cancel.
  ('erased_jobs', '1 day'),
  -- pg_cron's own rows about our schedule.
  ('cron_runs', '7 days'),
  -- What providers refused that only the operator can mend.
  ('provider_alarms', '90 days'),
  -- Files, which the Storage API deletes; SQL must not.
  ('uploads', '7 days'),
  ('results', null)
on conflict do nothing;

--: source platform/storage.sql a54eae6f22bd
-- Files: the two public buckets, and the one policy that lets users upload below their own id. A
-- public bucket opens reading only, and results are written with the service key, so nothing more
-- is granted. A bucket that exists keeps its settings. Where the role that migrates lacks a right,
-- the migration goes on, and a warning names the statements that are left to send.
do $do$
declare
  v_uploads text := 'uploads';
  v_results text := 'results';
  v_uploads_limit bigint := 50 * 1024 * 1024;
  v_results_limit bigint := 512 * 1024 * 1024;
  v_types text[] := array[
    -- `image/jpg` is no registered type, but what some phones send.
    'image/png', 'image/jpeg', 'image/jpg', 'image/webp', 'image/gif', 'image/avif',
    'video/mp4', 'video/webm', 'video/quicktime'
  ];
  v_statement text;
  v_bucket record;
begin
  if not exists (
    select from pg_catalog.pg_class c
    join pg_catalog.pg_namespace n on n.oid = c.relnamespace
    where n.nspname = 'storage' and c.relname in ('buckets', 'objects')
    having count(*) = 2
  ) then
    raise notice 'there is no schema storage: buckets and their policy are not made';
    return;
  end if;
  if to_regclass('unstuck_private.deployment') is not null then
    select coalesce(max(uploads_bucket), v_uploads), coalesce(max(results_bucket), v_results)
    into v_uploads, v_results
    from unstuck_private.deployment;
  end if;

  v_statement := format(
    'insert into storage.buckets (id, name, public, file_size_limit, allowed_mime_types) '
      || 'values (%1$L, %1$L, true, %2$s, %3$L), (%4$L, %4$L, true, %5$s, %6$L) '
      || 'on conflict do nothing',
    v_uploads, v_uploads_limit, v_types,
    v_results, v_results_limit, v_types || array['application/json']
  );
  begin
    execute v_statement;
    for v_bucket in
      select id, public
      from storage.buckets
      where id in (v_uploads, v_results) and public is not true
    loop
      raise warning 'the bucket % is there already and is not public', v_bucket.id
      using hint = format(
        'Unstuck needs it public: update storage.buckets set public = true where id = %L;',
        v_bucket.id
      );
    end loop;
  exception when syntax_error_or_access_rule_violation then
    raise warning 'Unstuck has no buckets yet: %', sqlerrm
    using hint = 'As who owns storage.buckets: ' || v_statement || ';';
  end;

  v_statement := format(
    'create policy "unstuck uploads insert" on storage.objects for insert to authenticated '
      || 'with check (bucket_id = %L and (storage.foldername(name))[1] = auth.uid()::text)',
    v_uploads
  );
  begin
    if not exists (
      select from pg_catalog.pg_policy
      where polname = 'unstuck uploads insert' and polrelid = 'storage.objects'::regclass
    ) then
      execute v_statement;
    end if;
  exception when syntax_error_or_access_rule_violation then
    raise warning 'users cannot upload yet, the policy is missing: %', sqlerrm
    using hint = 'As who owns storage.objects: ' || v_statement || ';';
  end;
end $do$;

--: history
insert into unstuck_private.migrations (number, name, hash)
values (
  2,
  'results_and_storage',
  '5d89bab11ee17f755f75810c3c7bd64b361f9d432f2daae71f865502bf896311'
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
