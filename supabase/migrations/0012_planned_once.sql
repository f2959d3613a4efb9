-- 0012_planned_once.sql
-- Made by `cargo xtask migration planned_once`
-- from supabase/schemas, in the order in which things can be created. Do not edit it: change the
-- sources. It is applied once, whole or not at all.

begin;

do $applied$
begin
  if exists (select from unstuck_private.migrations where number = 12) then
    raise exception 'unstuck migration 0012 is applied already';
  end if;
  if not exists (select from unstuck_private.migrations where number = 11) then
    raise exception 'unstuck migration 0011 must be applied before 0012';
  end if;
end
$applied$;

-- A function may name an object that is created below it.
set local check_function_bodies = off;
-- While this waits for a table, everybody else waits behind it: fail and retry instead.
set local lock_timeout = '5s';

-- written by hand
-- Nothing is done for platform/storage.sql: `deploy` runs it where a bucket is missing or the
-- policy is of another one.

create index purchases_by_subscription on unstuck.purchases
using gin (jsonb_path_query_array(facts, '$[*].subscription'));

--: source purchase/purchases.sql 24eb0c9351e4 by hand

--: source admin/job_restart.sql 97cb1234b6e8
-- Requeues the open steps of the live job `p_job` with new runs, fresh counters and new deadlines,
-- and adds the tasks that the provider still works on to their cancel debts. Final steps stay as
-- they are. A step whose provider is done keeps its result, which the next healer copies. Blocked
-- steps and those get the new `expires_at` as their deadline. `job_retry` calls it and has locked
-- the job.
create or replace function unstuck_private.job_restart(
  p_job unstuck.jobs,
  p_tool unstuck.tools,
  p_now timestamptz
)
returns void
language sql
set search_path = ''
as
$$
  update unstuck.jobs j
  set expires_at = p_now + unstuck_private.job_lifetime(j.tool, j.total_steps),
    deadline_at = p_now + p_tool.queue_ttl,
    retries = 0
  where j.id = p_job.id;

  update unstuck.job_steps s
  set status = 'queued',
    attempts = 0,
    rescues = 0,
    not_before = null,
    sent_at = null,
    started_at = null,
    claimed_at = null,
    lease_until = null,
    provider_cancel_due = unstuck_private.cancel_debt_with(s),
    provider_task_id = null,
    run = s.run + 1,
    deadline_at = p_now + p_tool.queue_ttl
  where s.job_id = p_job.id
    and s.status in ('starting', 'running', 'queued')
    and s.provider_done_at is null;

  update unstuck.job_steps s
  set deadline_at = j.expires_at,
    lease_until = null
  from unstuck.jobs j
  where j.id = s.job_id
    and s.job_id = p_job.id
    and not unstuck_private.is_final(s.status)
    and (s.status = 'blocked' or s.provider_done_at is not null);

  select unstuck_private.job_sync_from_steps(array[p_job.id]);

  insert into unstuck.job_events (job_id, event, from_status, to_status, actor)
  select j.id, 'job_requeued', p_job.status, j.status,
    nullif(current_setting('unstuck.actor', true), '')
  from unstuck.jobs j
  where j.id = p_job.id
$$;

revoke all on function unstuck_private.job_restart from public, anon, authenticated, service_role;

--: source admin/job_retry.sql 9709900ef80c
-- Retries a job that `job_lock` has locked, for an admin, and returns the id of the retry.
--
-- A live job with a step past its lease or deadline is requeued (`job_restart`) under its own id;
-- any other live job is refused with in_progress, and so is a pending or quarantined one. A final
-- job is repeated as the new job `p_new_job_id` (`job_repeat`). If that job was made before, or if
-- another retry of the old job is live, `is_new` is false, that retry is returned and nothing is
-- written.
create or replace function unstuck_private.job_retry(
  p_job unstuck.jobs,
  p_charge boolean,
  p_new_job_id uuid,
  out job_id uuid,
  out is_new boolean
)
language plpgsql
set search_path = ''
as
$$
declare
  v_tool unstuck.tools;
  v_now timestamptz := clock_timestamp();
begin
  select *
  into v_tool
  from unstuck.tools t
  where t.tool = p_job.tool;
  is_new := true;
  if unstuck_private.is_live(p_job.status) then
    -- The steps of a quarantined job have ended: an admin cancels it first, then retries it.
    if p_job.status = 'pending'
      or p_job.quarantined_at is not null
      or not exists (
        select
        from unstuck.job_steps s
        where s.job_id = p_job.id
          and not unstuck_private.is_final(s.status)
          and (
            s.lease_until <= v_now
            -- The deadline of a queued step is paused while another step is at work.
            or s.deadline_at <= v_now
              and not (s.status = 'queued' and unstuck_private.is_in_time(s, v_now))
          )
      )
    then
      perform unstuck_private.refuse(
        409, 'in_progress', jsonb_build_object('status', p_job.status));
    end if;
    perform unstuck_private.job_restart(p_job, v_tool, v_now);
    job_id := p_job.id;
    return;
  end if;
  select j.id
  into job_id
  from unstuck.jobs j
  where j.retry_of = p_job.id
    and (j.id = p_new_job_id or unstuck_private.is_live(j.status))
  order by j.id = p_new_job_id desc
  limit 1;
  is_new := not found;
  if is_new then
    perform unstuck_private.job_repeat(p_job, v_tool, p_charge, p_new_job_id);
    job_id := p_new_job_id;
  end if;
end $$;

revoke all on function unstuck_private.job_retry from public, anon, authenticated, service_role;

--: source admin/jobs_matching.sql 3258d4d4c859
-- Finds the jobs that an admin's filter names. `p_filter` has any of the keys `ids`, `tool`,
-- `status`, `provider`, `userId`, `errorCode`, `createdAfter`, `createdBefore`; a job must meet all
-- of them. The status queued includes pending, running includes starting. A filter with neither ids
-- nor a status finds the jobs with a status of `p_statuses`.
--
-- An empty `ids` finds no job. Quarantined jobs, and with `p_once` also jobs that were retried
-- before, are found only by `ids`. The column `ids` returns the oldest `p_limit` jobs, `total`
-- counts all of them, up to 1,000,000.
create or replace function unstuck_private.jobs_matching(
  p_filter jsonb,
  p_statuses text[],
  p_once boolean,
  p_limit int,
  out total int,
  out ids uuid[]
)
language plpgsql
stable
set search_path = ''
-- A plan without the conditions that the filter leaves out.
set plan_cache_mode = 'force_custom_plan'
as
$$
declare
  v_ids uuid[] := case when jsonb_typeof(p_filter -> 'ids') = 'array' then
    array(select i.id::uuid from jsonb_array_elements_text(p_filter -> 'ids') as i (id))
  end;
  v_status text := p_filter ->> 'status';
  v_statuses text[] := case
    when v_status = 'queued' then array['pending', 'queued']
    when v_status = 'running' then array['starting', 'running']
    when v_status is not null then array[v_status]
    when v_ids is null then p_statuses
  end;
  v_tools text[] := array(
    select t.tool
    from unstuck.tools t
    where t.tool = coalesce(p_filter ->> 'tool', t.tool)
      and t.provider = coalesce(p_filter ->> 'provider', t.provider)
  );
  v_user uuid := p_filter ->> 'userId';
  v_code text := p_filter ->> 'errorCode';
  v_after timestamptz := p_filter ->> 'createdAfter';
  v_before timestamptz := p_filter ->> 'createdBefore';
begin
  select (count(*))::int, (array_agg(m.id order by m.created_at, m.id))[:p_limit]
  into total, ids
  from (
    select j.id, j.created_at
    from unstuck.jobs j
    where (v_ids is null or j.id = any (v_ids))
      and (v_statuses is null or j.status = any (v_statuses))
      and j.tool = any (v_tools)
      and (v_user is null or j.user_id = v_user)
      and (v_code is null or j.error_code = v_code)
      and (v_after is null or j.created_at > v_after)
      and (v_before is null or j.created_at < v_before)
      and (
        v_ids is not null
        or j.quarantined_at is null
          and not (p_once and exists (select from unstuck.jobs r where r.retry_of = j.id))
      )
    limit 1000000
  ) m;
  ids := coalesce(ids, '{}');
end $$;

revoke all on function unstuck_private.jobs_matching from public, anon, authenticated, service_role;

--: source admin/provider_settings.sql 314bc3ed84d7
-- Returns a provider as the admin's page shows it: its settings, its circuit, its newest alarm, how
-- many of its steps hold a slot and how many are queued.
create or replace function unstuck_private.provider_settings(p_provider unstuck.providers)
returns jsonb
language sql
stable
set search_path = ''
as
$$
  select jsonb_build_object(
    'provider', p_provider.provider,
    'enabled', p_provider.enabled,
    'maxConcurrent', p_provider.max_concurrent,
    'learnedLimit', p_provider.learned_limit,
    'running', (
      select count(*)
      from unstuck.job_steps s
      where s.provider = p_provider.provider and unstuck_private.holds_slot(s)
    ),
    'waiting', (
      select count(*)
      from unstuck.job_steps s
      where s.provider = p_provider.provider and s.status = 'queued'
    ),
    'circuitOpenUntil', p_provider.circuit_open_until,
    'circuitReason', p_provider.circuit_reason,
    'balanceLeast', p_provider.balance_least,
    'lastAlarm', (
      select jsonb_build_object('at', a.last_at, 'code', a.code, 'tool', a.tool, 'count', a.count)
      from unstuck.provider_alarms a
      where a.provider = p_provider.provider
      order by a.last_at desc
      limit 1
    )
  )
$$;

revoke all on function unstuck_private.provider_settings
from public, anon, authenticated, service_role;

--: source admin/refuse_wide_filter.sql 21c05d6cd700
-- Refuses an act on many jobs with bad_request and the field: a filter without any known key or
-- with a malformed time, a limit outside of 0 to 1,000, an empty reason. With `p_limit` 0 the call
-- only counts the jobs and needs no reason.
create or replace function unstuck_private.refuse_wide_filter(
  p_filter jsonb,
  p_limit int,
  p_reason text
)
returns void
language plpgsql
set search_path = ''
as
$$
begin
  if jsonb_typeof(p_filter) is distinct from 'object'
    or jsonb_strip_nulls(p_filter) - array[
      'ids', 'tool', 'status', 'provider', 'userId', 'errorCode', 'createdAfter', 'createdBefore'
    ] = jsonb_strip_nulls(p_filter)
  then
    perform unstuck_private.refuse(400, 'bad_request', '{"field": "filter"}');
  end if;
  begin
    perform (p_filter ->> 'createdAfter')::timestamptz, (p_filter ->> 'createdBefore')::timestamptz;
  exception when data_exception then
    perform unstuck_private.refuse(400, 'bad_request', '{"field": "filter"}');
  end;
  if p_limit is null or p_limit not between 0 and 1000 then
    perform unstuck_private.refuse(400, 'bad_request', '{"field": "limit"}');
  end if;
  if p_limit > 0 then
    perform unstuck_private.refuse_without_reason(p_reason);
  end if;
end $$;

revoke all on function unstuck_private.refuse_wide_filter
from public, anon, authenticated, service_role;

--: source admin/tool_settings.sql 534356628f0e
-- A tool as the admin's page shows it.
create or replace function unstuck_private.tool_settings(p_tool unstuck.tools) returns jsonb
language sql
stable
set search_path = ''
as
$$
  select jsonb_build_object(
    'tool', p_tool.tool,
    'table', p_tool.table_name,
    'provider', p_tool.provider,
    'enabled', p_tool.enabled,
    'creditCost', p_tool.credit_cost,
    'pricedPer', p_tool.priced_per,
    'refundRule', p_tool.refund_rule,
    'startTimeoutSeconds', extract(epoch from p_tool.start_timeout)::bigint,
    'runTimeoutSeconds', extract(epoch from p_tool.run_timeout)::bigint,
    'queueTtlSeconds', extract(epoch from p_tool.queue_ttl)::bigint,
    'attemptMax', p_tool.attempt_max,
    'userCancelRunning', p_tool.user_cancel_running,
    'circuitOpenUntil', p_tool.circuit_open_until,
    'circuitReason', p_tool.circuit_reason,
    'providerCost', p_tool.provider_cost
  )
$$;

revoke all on function unstuck_private.tool_settings from public, anon, authenticated, service_role;

--: source alert/healer_mark.sql ea786be444c3
-- Records that a healer was seen at `p_at`, and that it owes no answer to a probe. It does not wait
-- for the row: a transaction that has locked it records the same.
create or replace function unstuck_private.healer_mark(p_healer text, p_at timestamptz)
returns void
language plpgsql
set search_path = ''
as
$$
begin
  insert into unstuck_private.healer_marks (healer)
  values (p_healer)
  on conflict do nothing;

  update unstuck_private.healer_marks m
  set seen_at = greatest(m.seen_at, p_at),
    asked_at = null
  where m.ctid = any (array(
    select h.ctid
    from unstuck_private.healer_marks h
    where h.healer = p_healer
    for update skip locked
  ));
end $$;

revoke all on function unstuck_private.healer_mark from public, anon, authenticated, service_role;

--: source audit/removals_record.sql 96771076f473
-- Called after jobs or ledger entries of these users were deleted. Records when a user lost all
-- jobs and still has ledger entries of jobs, or lost the whole ledger and still has jobs. Forgets
-- the users who have neither.
create or replace function unstuck_private.removals_record(p_users uuid[]) returns void
language plpgsql
set search_path = ''
as
$$
begin
  with remains as (
    select u.id as user_id,
      exists (select from unstuck.jobs j where j.user_id = u.id) as has_jobs,
      exists (select from unstuck.credit_entries e where e.user_id = u.id) as has_ledger
    from unnest(p_users) as u (id)
  ), forgotten as (
    delete from unstuck_private.removals r
    using remains l
    where r.user_id = l.user_id and not l.has_jobs and not l.has_ledger
  )
  insert into unstuck_private.removals as r (user_id, jobs_removed_at, ledger_removed_at)
  select l.user_id,
    case when not l.has_jobs then clock_timestamp() else '-infinity' end,
    case when not l.has_ledger then clock_timestamp() else '-infinity' end
  from remains l
  where l.has_jobs and not l.has_ledger
    or not l.has_jobs and exists (
      select from unstuck.credit_entries e
      where e.user_id = l.user_id and e.job_id is not null
    )
  on conflict (user_id) do update set
    jobs_removed_at = greatest(r.jobs_removed_at, excluded.jobs_removed_at),
    ledger_removed_at = greatest(r.ledger_removed_at, excluded.ledger_removed_at);
end $$;

revoke all on function unstuck_private.removals_record
from public, anon, authenticated, service_role;

--: source audit/violations_of.sql 639d46e44353
-- Returns one row for each violation of an invariant among these jobs, users and entries, with the
-- job, or the user and perhaps the entry, that it is about. docs/data-model.md says what each
-- invariant means.
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
language plpgsql
stable
set search_path = ''
set jit = off
as
$$
#variable_conflict use_column
begin
  return query
  select j.invariant, j.job_id::text, j.detail, j.job_id, null::uuid, null::bigint
  from unstuck_private.violations_of_jobs(p_jobs) j
  union all
  select e.invariant, e.entry_id::text, e.detail, null, e.user_id, e.entry_id
  from unstuck_private.violations_of_entries(p_jobs, p_users, p_entries) e
  union all
  select b.invariant, b.user_id::text, b.detail, null, b.user_id, null
  from unstuck_private.violations_of_balances(p_users) b
  union all
  select p.invariant, p.purchase_id::text, p.detail, null, p.user_id, null
  from unstuck_private.violations_of_purchases(p_users) p;
end $$;

revoke all on function unstuck_private.violations_of
from public, anon, authenticated, service_role;

--: source cancel/cancelled_requests_full_for.sql 5c95083f9fa7
-- Returns in how many seconds, at least 1, the user's oldest row of `cancelled_requests` is kept no
-- longer; null where there is no row.
create or replace function unstuck_private.cancelled_requests_full_for(p_user_id uuid)
returns int
language sql
stable
set search_path = ''
as
$$
  select least(
    greatest(ceil(extract(epoch from min(c.at) + r.keep - clock_timestamp())), 1),
    2147483647)::int
  from unstuck.cancelled_requests c
  join unstuck.retention r on r.kind = 'cancelled_requests'
  where c.user_id = p_user_id
  group by r.keep
$$;

revoke all on function unstuck_private.cancelled_requests_full_for
from public, anon, authenticated, service_role;

--: source cancel/is_left.sql 8c554a0c3831
-- True for a pending or queued job whose page counts as left: it waits for nobody, and a healer
-- cancels it.
--
-- A job that was ordered after its page had counted as left shows that the page is open. It waits
-- for 150 seconds (`session_silence`) if the page has ever said that it stays, and otherwise for
-- good. Never left are a job that an admin retried, and one that was at work before: its page said
-- that it may be closed. A submit that was refused for capacity does not count as work.
create or replace function unstuck_private.is_left(p_job unstuck.jobs, p_now timestamptz)
returns boolean
language plpgsql
stable
set search_path = ''
-- Planning would cost more than the work.
set plan_cache_mode = force_generic_plan
as
$$
begin
  if p_job.status not in ('pending', 'queued')
    or p_job.session_id is null
    or p_job.retry_of is not null
  then
    return false;
  end if;
  return not exists (
      select from unstuck.job_events e
      where e.job_id = p_job.id and e.event = 'job_requeued'
    )
    and not exists (
      select from unstuck.job_steps w
      where w.job_id = p_job.id and (w.attempts > 0 or w.rescues > 0)
    )
    and exists (
      select from unstuck.sessions s
      where s.user_id = p_job.user_id
        and s.id = p_job.session_id
        and s.left_at <= p_now
        and (
          coalesce(p_job.queued_at, p_job.created_at) <= s.left_at
          or s.seen_at is not null
            and coalesce(p_job.queued_at, p_job.created_at)
              <= p_now - unstuck_private.session_silence()
        )
    );
end $$;

revoke all on function unstuck_private.is_left from public, anon, authenticated, service_role;

--: source cancel/sessions_full_for.sql b2a693f23033
-- Returns in how many seconds, at least 1, the user's oldest row of `sessions` is kept no longer;
-- null where there is no row.
create or replace function unstuck_private.sessions_full_for(p_user_id uuid)
returns int
language sql
stable
set search_path = ''
as
$$
  select least(
    greatest(ceil(extract(epoch from min(s.left_at) + r.keep - clock_timestamp())), 1),
    2147483647)::int
  from unstuck.sessions s
  join unstuck.retention r on r.kind = 'sessions'
  where s.user_id = p_user_id
  group by r.keep
$$;

revoke all on function unstuck_private.sessions_full_for
from public, anon, authenticated, service_role;

--: source job/caller_header.sql 2997211c3a34
-- Returns the header `x-unstuck-caller`, by which our functions say who makes a call. It is null in
-- a call that a page makes itself, because a page may write any header.
create or replace function unstuck_private.caller_header() returns text
language sql
stable
as
$$
  select unstuck_private.request_header('x-unstuck-caller')
  where coalesce(current_setting('role', true), 'none') not in ('anon', 'authenticated')
$$;

revoke all on function unstuck_private.caller_header
from public, anon, authenticated, service_role;

--: source job/is_call_on_behalf.sql fbb436373776
-- True when the service makes this call on behalf of a user: the request has the header
-- `x-unstuck-caller: service`.
create or replace function unstuck_private.is_call_on_behalf() returns boolean
language sql
stable
as
$$
  select coalesce(unstuck_private.caller_header() = 'service', false)
$$;

revoke all on function unstuck_private.is_call_on_behalf
from public, anon, authenticated, service_role;

--: source job/is_healers_call.sql 876bf6e31e06
-- True when a healer at the edge makes this call: the request has the header
-- `x-unstuck-caller: healer`. What other transactions have locked is then left to the next pass.
create or replace function unstuck_private.is_healers_call() returns boolean
language sql
stable
as
$$
  select coalesce(unstuck_private.caller_header() = 'healer', false)
$$;

revoke all on function unstuck_private.is_healers_call
from public, anon, authenticated, service_role;

--: source metric/costs_fold.sql c4f6ae1161da
-- Adds to `costs_by_day` the steps of the jobs that ended after `p_from` and up to `p_to`. A tool
-- without a `provider_cost` is not counted.
create or replace function unstuck_private.costs_fold(p_from timestamptz, p_to timestamptz)
returns void
language plpgsql
set search_path = ''
as
$$
begin
  insert into unstuck_private.costs_by_day as d (day, tool, attempts, cost)
  select (s.ended_at at time zone 'UTC')::date, s.tool, sum(s.attempts),
    sum(s.attempts * t.provider_cost)
  from unstuck_private.steps_ended(p_from, p_to) s
  join unstuck.tools t using (tool)
  where s.ended_at is not null
    and t.provider_cost is not null
  group by 1, 2
  on conflict (day, tool) do update
  set attempts = d.attempts + excluded.attempts,
    cost = d.cost + excluded.cost;
end $$;

revoke all on function unstuck_private.costs_fold from public, anon, authenticated, service_role;

--: source metric/lines_between.sql 3465e47d188b
-- Returns what the jobs that ended after `p_from` and up to `p_to` add to the rows of `counters`; a
-- row of `counters` may come several times.
create or replace function unstuck_private.lines_between(p_from timestamptz, p_to timestamptz)
returns table (name text, labels jsonb, value numeric)
language plpgsql
stable
set search_path = ''
as
$$
#variable_conflict use_column
begin
  return query
  with ended as materialized (
    select j.tool, j.status, j.error_code, j.credits_charged, j.credits_refunded,
      extract(epoch from j.started_at - coalesce(j.queued_at, j.created_at)) as waited,
      case j.status
        when 'completed' then extract(epoch from j.completed_at - j.started_at)
      end as took
    from unstuck_private.jobs_ended(p_from, p_to) j
  ), timed as (
    select 'unstuck_job_wait_seconds' as name, e.tool, greatest(e.waited, 0) as seconds
    from ended e
    where e.waited is not null
    union all
    select 'unstuck_job_duration_seconds', e.tool, greatest(e.took, 0)
    from ended e
    where e.took is not null
  )
  select 'unstuck_jobs_ended_total',
    jsonb_build_object(
      'tool', e.tool, 'status', e.status, 'code', lower(coalesce(e.error_code, ''))),
    count(*)
  from ended e
  group by e.tool, e.status, e.error_code
  union all
  select v.name, jsonb_build_object('tool', e.tool), sum(v.value)
  from ended e
  cross join lateral (
    values
      ('unstuck_credits_charged_total', e.credits_charged::numeric),
      ('unstuck_credits_refunded_total', e.credits_refunded),
      ('unstuck_refunds_total', (e.credits_refunded > 0)::int)
  ) as v (name, value)
  group by v.name, e.tool
  union all
  select t.name || '_bucket',
    jsonb_build_object('tool', t.tool, 'le', b.le),
    count(*) filter (where t.seconds <= b.le::float8)
  from timed t
  cross join unnest(array[
    '1', '5', '15', '30', '60', '120', '300', '600', '1800', '3600', '+Inf'
  ]) as b (le)
  group by t.name, t.tool, b.le
  union all
  select t.name || v.suffix, jsonb_build_object('tool', t.tool), sum(v.value)
  from timed t
  cross join lateral (
    values ('_sum', t.seconds), ('_count', 1)
  ) as v (suffix, value)
  group by t.name, t.tool, v.suffix
  union all
  select v.name, v.labels, sum(v.value)
  from unstuck_private.steps_ended(p_from, p_to) s
  cross join lateral (
    values
      (
        'unstuck_provider_answers_total',
        jsonb_build_object('provider', s.provider, 'class', s.class),
        1
      ),
      (
        'unstuck_provider_attempts_total',
        jsonb_build_object('provider', s.provider),
        s.attempts
      )
  ) as v (name, labels, value)
  group by v.name, v.labels;
end $$;

revoke all on function unstuck_private.lines_between
from public, anon, authenticated, service_role;

--: source metric/settled_before.sql fa04ff273fdb
-- Returns a time before which no transaction under way can still write a job's end: everything with
-- an earlier time is committed and can be counted for good. It is at most ten minutes ago, so that
-- a longer transaction holds nothing up. Where our role cannot see when other transactions began,
-- it assumes 65 seconds ago, because no call of ours takes longer.
create or replace function unstuck_private.settled_before(p_now timestamptz) returns timestamptz
language plpgsql
stable
set search_path = ''
as
$$
begin
  return (
    select greatest(
      least(
        p_now,
        min(a.xact_start),
        case
          when bool_or(a.query = '<insufficient privilege>') then p_now - interval '65 seconds'
        end
      ),
      p_now - interval '10 minutes'
    )
    from pg_catalog.pg_stat_activity a
    where a.datname = current_database()
      and a.pid <> pg_backend_pid()
      and a.backend_type <> 'autovacuum worker'
  );
end $$;

revoke all on function unstuck_private.settled_before
from public, anon, authenticated, service_role;

--: source metric/steps_ended.sql d97a348d9758
-- Returns the steps of the jobs that ended after `p_from` and up to `p_to`. `class` is how a step
-- ended: `completed`, `cancelled`, or the code of its failure in lower case. `is_failure`: the
-- provider is to blame, unlike for refused content or a wait in our own queue.
create or replace function unstuck_private.steps_ended(p_from timestamptz, p_to timestamptz)
returns table (
  provider text,
  class text,
  is_failure boolean,
  attempts int,
  ended_at timestamptz,
  tool text
)
language plpgsql
stable
set search_path = ''
as
$$
#variable_conflict use_column
begin
  return query
  select s.provider,
    case s.status
      when 'failed' then lower(coalesce(s.error_code, j.error_code, 'unknown'))
      else s.status
    end,
    s.status = 'failed'
      and coalesce(s.error_code, j.error_code, '') in (
        'TIMEOUT', 'PROVIDER_REJECTED', 'PROVIDER_FAILED', 'DELIVERY_FAILED'
      ),
    s.attempts,
    s.completed_at,
    j.tool
  from unstuck_private.jobs_ended(p_from, p_to) j
  join unstuck.job_steps s on s.job_id = j.id;
end $$;

revoke all on function unstuck_private.steps_ended from public, anon, authenticated, service_role;

--: source order/seconds_over_queue_ttl.sql f0abecb1707e
-- Returns how many seconds longer than the `queue_ttl` of its tool a new job would wait, less than
-- 0 where it would wait shorter; 0 while a slot is free or no duration was measured yet. It counts
-- from the job's own position, so that a user with many waiting jobs causes no refusal of other
-- users.
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
    select p.eta_seconds - least(extract(epoch from p_tool.queue_ttl), 2147483647)::int
    from unstuck_private.job_position(p_job_id) p
  );
end $$;

revoke all on function unstuck_private.seconds_over_queue_ttl
from public, anon, authenticated, service_role;

--: source projection/projections_mend.sql 53ad2299bc55
-- Lists in `unprojected` the jobs whose rows are owed to the app's tables, so that `project`
-- retries them at the end of this transaction. It takes 50, those with the fewest tries first,
-- because each may wait a moment for a lock of the app. It deletes what is owed for jobs that no
-- longer exist.
create or replace function unstuck_private.projections_mend() returns void
language plpgsql
set search_path = ''
as
$$
begin
  delete from unstuck.projection_errors e
  where e.id in (
    select g.id
    from unstuck.projection_errors g
    where g.mended_at is null
      and not exists (select from unstuck.jobs j where j.id = g.job_id)
    for update skip locked
  );
  insert into unstuck_private.unprojected (job_id)
  select e.job_id
  from unstuck.projection_errors e
  join unstuck.projections p on p.tool = e.tool and p.host_table = e.host_table and p.enabled
  where e.mended_at is null
  order by e.tries, e.at
  limit 50;
end $$;

revoke all on function unstuck_private.projections_mend
from public, anon, authenticated, service_role;

--: source purchase/purchase_back.sql 2cc064dee616
-- Returns which part of a payment of `p_amount` (null: unknown) the seller has taken back by these
-- facts, from 0 to 1: what was refunded, and what open and lost disputes are about. For each
-- dispute its latest fact counts.
create or replace function unstuck_private.purchase_back(p_facts jsonb, p_amount bigint)
returns numeric
language plpgsql
immutable
as
$$
begin
  return (
    with dispute as (
      select distinct on (d.key) d.value ->> 'status' as status,
        unstuck_private.purchase_part((d.value ->> 'amount')::bigint, p_amount) as part
      from jsonb_array_elements(p_facts) as e (f)
      cross join lateral jsonb_each(f -> 'disputes') d
      order by d.key, (d.value ->> 'at')::numeric desc,
        array_position(array['warning', 'open', 'lost', 'won'], d.value ->> 'status') desc, 2 desc
    )
    select least(
      1,
      coalesce((select sum(d.part) from dispute d where d.status in ('open', 'lost')), 0)
      + unstuck_private.purchase_refunded(p_facts, p_amount)
    )
  );
end $$;

revoke all on function unstuck_private.purchase_back from public, anon, authenticated, service_role;

--: source purchase/purchase_fact.sql 03ab7efff035
-- Returns a fact in the form in which a purchase keeps it: without its keys and its time, with its
-- e-mail address in lower case, and with what its pack gives now (`gives`), so that a later change
-- of the pack does not change what was bought. Refuses a malformed fact with bad_request.
create or replace function unstuck_private.purchase_fact(p_fact jsonb) returns jsonb
language plpgsql
set search_path = ''
as
$$
declare
  v_fact jsonb;
  v_gives jsonb;
begin
  if jsonb_typeof(p_fact) is distinct from 'object'
    or jsonb_typeof(p_fact -> 'keys') is distinct from 'array'
    or jsonb_array_length(p_fact -> 'keys') not between 1 and 100
    or p_fact @? '$.keys[*] ? (@.type() != "string" || @ == "")'
    or p_fact @? '$.** ? (@.type() == "number" && @ < 0)'
    or p_fact @? '$.refundedShare.share ? (@ > 1)'
    or p_fact @? '$["link", "subscription"] ? (@.type() != "string" || @ == "")'
    or p_fact @? '$.quantities.* ? (@.type() != "number")'
    or p_fact @? '$.refunds.* ? (!(@.status like_regex "^(pending|succeeded|failed|canceled)$"))'
    or p_fact @? '$.disputes.* ? (!(@.status like_regex "^(open|won|lost|warning)$"))'
    or p_fact @? '$.refunds.* ? (!exists (@.at))'
    or p_fact @? '$.disputes.* ? (!exists (@.at))'
    or p_fact @? '$.refundTotal ? (!exists (@.at) || !exists (@.amount))'
    or p_fact @? '$.refundedShare ? (!exists (@.at) || !exists (@.share))'
  then
    perform unstuck_private.refuse(400, 'bad_request');
  end if;
  begin
    v_fact := jsonb_strip_nulls(
      p_fact - array['keys', 'at', 'bound', 'gives']
      || jsonb_build_object(
        'userId', nullif((p_fact ->> 'userId')::uuid, unstuck_private.erased_user()),
        'email', nullif(lower(btrim(p_fact ->> 'email')), '')
      )
    );
    perform d.*
    from unstuck_private.purchase_due(jsonb_build_array(v_fact)) d;
  exception when data_exception then
    perform unstuck_private.refuse(400, 'bad_request');
  end;
  select jsonb_strip_nulls(jsonb_build_object(
    'pack', (array_agg(c.pack order by c.position, c.pack))[1],
    'packs', nullif(count(*), 1),
    'credits', sum(c.credits * case
      when c.pack = v_fact ->> 'pack' then 1
      else coalesce((v_fact -> 'quantities' ->> c.price_id)::numeric, 1)
    end)
  ))
  into v_gives
  from unstuck.credit_packs c
  where case
    when exists (select from unstuck.credit_packs n where n.pack = v_fact ->> 'pack')
      then c.pack = v_fact ->> 'pack'
    when exists (select from unstuck.credit_packs n where n.price_id = v_fact ->> 'link')
      then c.price_id = v_fact ->> 'link'
    else v_fact -> 'priceIds' ? c.price_id
  end
  having count(*) > 0;
  return jsonb_strip_nulls(v_fact || jsonb_build_object('gives', v_gives));
end $$;

revoke all on function unstuck_private.purchase_fact from public, anon, authenticated, service_role;

--: source purchase/purchase_owner.sql b7c8a2089b8f
-- Returns who gets what is due of a purchase; null while nobody is known. `p_told` is the user whom
-- the seller names, or else the one named with its subscription (`subscription_user`). This user
-- gets it if there is such a user or an account of that user, or if our role cannot read
-- `auth.users`. Otherwise it is the user who was found by the e-mail address before, or whom
-- `p_email` finds now. The purchase of an erased user stays with `erased_user`.
create or replace function unstuck_private.purchase_owner(
  p_purchase unstuck.purchases,
  p_told uuid,
  p_email text
)
returns uuid
language plpgsql
stable
set search_path = ''
as
$$
declare
  v_told record;
begin
  if p_purchase.user_id = unstuck_private.erased_user() then
    return p_purchase.user_id;
  end if;
  p_told := coalesce(
    p_told, unstuck_private.subscription_user(p_purchase.seller, p_purchase.facts));
  v_told := unstuck_private.auth_user(p_told, null);
  if p_told is not null
    and (
      v_told.user_id is not null
      or not v_told.is_readable
      or exists (select from unstuck.credit_accounts a where a.user_id = p_told)
    )
  then
    return p_told;
  end if;
  if p_purchase.user_id is null
    or p_purchase.facts @> jsonb_build_array(jsonb_build_object('userId', p_purchase.user_id))
  then
    return (unstuck_private.auth_user(null, p_email)).user_id;
  end if;
  return p_purchase.user_id;
end $$;

revoke all on function unstuck_private.purchase_owner
from public, anon, authenticated, service_role;

--: source purchase/purchase_refunded.sql 5ae08594b401
-- Returns which part of a payment of `p_amount` (null: unknown) was refunded by these facts. It is
-- more than 1 where they contradict each other.
--
-- Facts tell single refunds, totals of a charge or of the payment, and a share of the payment. The
-- latest fact about each counts, except that a refund that failed once stays failed. The largest of
-- these four is the result: the share; the sum of all single refunds; the sum over all charges; a
-- total that names no charge, if it is later than every total of a charge. Of each charge the
-- larger one counts: its single refunds, or its total less the refunds that failed since.
create or replace function unstuck_private.purchase_refunded(p_facts jsonb, p_amount bigint)
returns numeric
language plpgsql
immutable
as
$$
begin
  return (
    with fact as materialized (
      select e.value as f
      from jsonb_array_elements(p_facts) e
    ), refund as materialized (
      select distinct on (r.key) s.*
      from fact
      cross join lateral jsonb_each(f -> 'refunds') r
      cross join lateral (
        select unstuck_private.purchase_part((r.value ->> 'amount')::bigint, p_amount) as part,
          r.value ->> 'status' in ('failed', 'canceled') as is_failed,
          r.value ->> 'charge' as charge,
          (r.value ->> 'at')::numeric as at
      ) s
      order by r.key, s.is_failed desc, case when s.is_failed then -s.at else s.at end desc,
        s.part desc, s.charge
    ), told as materialized (
      select distinct on (charge) f #>> '{refundTotal,charge}' as charge,
        unstuck_private.purchase_part((f #>> '{refundTotal,amount}')::bigint, p_amount) as part,
        (f #>> '{refundTotal,at}')::numeric as at
      from fact
      where f ? 'refundTotal'
      order by 1, 3 desc, 2 desc
    ), total as (
      select t.charge, t.at,
        t.part - coalesce(sum(r.part), 0) as part
      from told t
      left join refund r
        on r.is_failed
        and r.at >= t.at
        and (t.charge is null or r.charge is null or r.charge = t.charge)
      group by t.charge, t.at, t.part
    ), of_charge as (
      select c.charge, max(c.part) as part
      from (
        select t.charge, t.part
        from total t
        union all
        select r.charge, sum(r.part)
        from refund r
        where not r.is_failed
        group by r.charge
      ) c
      where c.charge is not null
      group by c.charge
    ), shown as (
      select (f #>> '{refundedShare,share}')::numeric as part
      from fact
      where f ? 'refundedShare'
      order by (f #>> '{refundedShare,at}')::numeric desc, 1 desc
      limit 1
    )
    select greatest(
      0,
      (select s.part from shown s),
      (select sum(r.part) from refund r where not r.is_failed),
      (select sum(greatest(c.part, 0)) from of_charge c),
      (
        select t.part
        from total t
        where t.charge is null
          and t.at > all (select o.at from told o where o.charge is not null)
      )
    )
  );
end $$;

revoke all on function unstuck_private.purchase_refunded
from public, anon, authenticated, service_role;

--: source purchase/subscription_user.sql 1f66096ddc57
-- Returns the user whom this seller named with a subscription of which these facts are; null where
-- nobody was. A renewal itself names nobody where the first payment was by a payment link.
create or replace function unstuck_private.subscription_user(p_seller text, p_facts jsonb)
returns uuid
language plpgsql
stable
as
$$
begin
  return (
    select min((f ->> 'userId') collate "C")::uuid
    from jsonb_array_elements(jsonb_path_query_array(p_facts, '$[*].subscription')) as o (name)
    join unstuck.purchases p
      on p.seller = p_seller
      and jsonb_path_query_array(p.facts, '$[*].subscription') @> o.name
    cross join jsonb_array_elements(p.facts) as e (f)
    where f -> 'subscription' = o.name
  );
end $$;

revoke all on function unstuck_private.subscription_user
from public, anon, authenticated, service_role;

--: source queue/peak_at_provider.sql 738b197f7329
-- Returns the largest number of our steps that an asynchronous provider had at the same time since
-- `p_since`. A step that it accepted counts from when the request left until its slot was free. So
-- does a sent step without an answer once its lease is over, because it holds a slot here; with
-- `p_with_awaited` also before, although the provider may yet refuse it.
create or replace function unstuck_private.peak_at_provider(
  p_provider text,
  p_since timestamptz,
  p_with_awaited boolean
)
returns int
language plpgsql
stable
set search_path = ''
as
$$
begin
  return (
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
  );
end $$;

revoke all on function unstuck_private.peak_at_provider
from public, anon, authenticated, service_role;

--: source queue/steps_claim.sql 1fae799c0b8f
-- Claims these queued steps of a provider, which are locked. The caller has counted the slots under
-- the provider's lock. Each step gets a new run, a lease and a deadline, its user's turn is passed
-- on (`pass_turn`), and its job becomes starting or running. A step of a synchronous provider is
-- running at once, and counts as an attempt from here on.
--
-- Returns the steps in the order of `p_turns`, with the result of the step before (null for the
-- first one) and the milliseconds for which each may run.
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
      attempts = greatest(s.attempts, 0) + p_provider.synchronous::int,
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
    least(ceil(extract(epoch from c.run_for) * 1000), 2147483647)::int
  from claimed c
  order by c."position";
end $$;

revoke all on function unstuck_private.steps_claim from public, anon, authenticated, service_role;

--: source queue/steps_waiting_v1.sql 4a9bbc157c6c
create or replace function unstuck.steps_waiting_v1(p_provider text)
returns table (waiting int, may_start int)
language plpgsql
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
#variable_conflict use_column
begin
  return query
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
  where p.provider = p_provider;
end $$;

comment on function unstuck.steps_waiting_v1 is $c$
Caller: a worker of a synchronous provider at its end, and every call that may have freed a slot.

Effect: none; waiting: how many steps wait, retries included; may_start: how many of them a claim
would take now.

Refuses: nothing; no row where there is no such provider.

Replay: reads again.
$c$;

revoke all on function unstuck.steps_waiting_v1 from public, anon, authenticated, service_role;
grant execute on function unstuck.steps_waiting_v1 to service_role;

--: source step/steps_due_v1.sql dbfc57143aa0
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
  perform unstuck_private.refuse_other_deployment();
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
caller. due: query (unchecked for 30 s, for three minutes where webhooks are signed, or past the
deadline) | inbox (sent without an answer) | copy (the provider is done, the result is not stored) |
cancel (owed). Overdue steps come first, then those that were not queried for longest. input: the
step's stored request for inbox, only its result for query and copy, null for cancel. open: how many
tasks the provider works on in all.

Refuses: nothing; no row for a synchronous provider. What another transaction has locked, or a step
that cannot be reserved, is left to the next call.

Replay: a step that is reserved does not come again for some seconds.
$c$;

revoke all on function unstuck.steps_due_v1 from public, anon, authenticated, service_role;
grant execute on function unstuck.steps_due_v1 to service_role;

--: source sweep/count_stuck.sql f6c5ca42d667
-- Returns how many live jobs are past the deadline of every healer, up to 10,000.
create or replace function unstuck_private.count_stuck(p_now timestamptz) returns int
language plpgsql
stable
set search_path = ''
as
$$
begin
  return (
    select count(*)::int
    from (
      select
      from unstuck.jobs j
      cross join unstuck_private.intervals() i
      where unstuck_private.is_live(j.status)
        and j.quarantined_at is null
        and j.deadline_at <= p_now - i.sql_wait - i.grace
      limit 10000
    ) s
  );
end $$;

revoke all on function unstuck_private.count_stuck from public, anon, authenticated, service_role;

--: source platform/storage.sql dd0d8c1344f9 by hand

--: history
insert into unstuck_private.migrations (number, name, hash)
values (
  12,
  'planned_once',
  'cf616fa230db263206d834cfede43934e8097122118230ae6d899229aca5bb82'
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
