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
on unstuck.job_steps (provider, turn_at, job_id, step) include (line_tool)
where status = 'queued' and turn_at is not null;

create index job_steps_line_of_user
on unstuck.job_steps (provider, line_user_id, turn_at, line_since, job_id, step)
where status = 'queued';

drop table unstuck_private.queue_turns;

delete from unstuck.retention
where kind = 'queue_turns';

--: recreated below, or removed
drop function unstuck_private.prune_queue_turns;
drop function unstuck_private.queue_order;

--: source queue/turn.sql 7237a8f06513
-- A waiting step that may be claimed: the first (nth = 1), second … of its user.
create type unstuck_private.turn as (
  job_id uuid,
  step int,
  user_id uuid,
  nth bigint,
  turn_at timestamptz
);

--: source step/job_steps.sql 9eb47973dd64 by hand

--: source erase/user_rows_delete.sql 09d00abaf351
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

--: source job/job_state.sql fe53852d69c0
-- The present state of a job, as the reply to the request that named it. A new job is about to be
-- claimed: it is answered without a position.
create or replace function unstuck_private.job_state(
  p_job_id uuid,
  p_replayed boolean,
  p_with_position boolean
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
    p_replayed,
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
  left join unstuck_private.job_position(case when p_with_position then p_job_id end) p on true
  where j.id = p_job_id;
end $$;

revoke all on function unstuck_private.job_state from public, anon, authenticated, service_role;

--: source order/seconds_over_queue_ttl.sql bf5491987350
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
as
$$
declare
  v_slots int;
begin
  select p.max_concurrent
  into v_slots
  from unstuck.providers p
  where p.provider = p_tool.provider;
  if (
    select count(*)
    from (
      select
      from unstuck.job_steps s
      where s.provider = p_tool.provider
        and s.provider_done_at is null
        and s.status in ('queued', 'starting', 'running')
        and s.job_id <> p_job_id
      limit v_slots
    ) s
  ) < v_slots
    or not exists (
      select from unstuck_private.tool_seconds(p_tool.provider) t
      where t.measured
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

--: source queue/caller_positions.sql 7ae2fa2ad72a
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
      join unstuck.jobs j
        on j.id = q.job_id
        and j.status = 'queued'
      where q.step = 1
    )
    select coalesce(jsonb_object_agg(l.job_id, l.nth), '{}')
    from line l
    where l.job_id = any (v_ids)
  );
end $$;

revoke all on function unstuck_private.caller_positions
from public, anon, authenticated, service_role;
grant execute on function unstuck_private.caller_positions to authenticated, service_role;

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

--: source queue/job_position.sql 53116a0b0db2
-- The position of a queued job in its provider's line, and in how many seconds it will start. No row
-- for any other job.
--
-- It counts what stands before the job in the index of the line, and reads the whole line only where
-- the job has no turn yet. The wait is told from the total of the work before it: it may differ by
-- one job from the true one.
create or replace function unstuck_private.job_position(p_job_id uuid)
returns table ("position" int, eta_seconds int)
language plpgsql
stable
set search_path = ''
as
$$
declare
  v_now timestamptz := clock_timestamp();
  v_step unstuck.job_steps;
  v_position bigint;
  v_seconds numeric;
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
  select sum(a.jobs), sum(a.steps * coalesce(t.seconds, 60))
  into v_position, v_seconds
  from unstuck_private.steps_ahead(v_step, v_now) a
  left join unstuck_private.tool_seconds(v_step.provider) t on t.tool = a.tool;
  return query
  select
    coalesce(v_position, 0)::int + 1,
    least(
      ceil(
        greatest(
          unstuck_private.seconds_until_work_done(v_step.provider, coalesce(v_seconds, 0)),
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

--: source queue/next_turns_lock.sql 33685b6d732f
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
    and (s.deadline_at > p_now or unstuck_private.is_at_work(s.job_id))
  order by f.nth, f.turn_at, f.job_id, f.step
  limit p_limit
  for update of j, s skip locked;
end $$;

revoke all on function unstuck_private.next_turns_lock
from public, anon, authenticated, service_role;

--: source queue/pass_turn.sql 10ef4bcd7715
-- Passes the turn of a step that left its provider's line on to the user's next waiting step: to the
-- first one that may be claimed, else to the first one. Whoever waits for others gets the turn from
-- now on, behind the users who wait already.
create or replace function unstuck_private.pass_turn() returns trigger
language plpgsql
set search_path = ''
as
$$
declare
  v_now timestamptz := clock_timestamp();
  v_next unstuck.job_steps;
begin
  if exists (
    select from unstuck.job_steps s
    where s.provider = old.provider
      and s.line_user_id = old.line_user_id
      and s.status = 'queued'
      and s.turn_at <= v_now
  ) then
    return null;
  end if;
  select s.*
  into v_next
  from unstuck.job_steps s
  where s.provider = old.provider
    and s.line_user_id = old.line_user_id
    and s.status = 'queued'
    and s.turn_at is null
  order by coalesce(s.not_before > v_now, false), s.line_since, s.job_id, s.step
  limit 1
  for update skip locked;
  if found then
    update unstuck.job_steps s
    set turn_at = greatest(v_now, s.not_before)
    where s.job_id = v_next.job_id
      and s.step = v_next.step;
  end if;
  return null;
end $$;

create or replace trigger pass_turn_claimed
after update on unstuck.job_steps
for each row
when (old.status = 'queued' and new.status <> 'queued')
execute function unstuck_private.pass_turn();

create or replace trigger pass_turn_deleted
after delete on unstuck.job_steps
for each row
when (old.status = 'queued')
execute function unstuck_private.pass_turn();

revoke all on function unstuck_private.pass_turn from public, anon, authenticated, service_role;

--: source queue/provider_positions.sql 843a263f780e
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
        and q.step = min(q.step) over (partition by q.job_id) as is_first
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

--: source queue/queue_order.sql b96ad32a9296
-- The waiting steps of one provider in the order in which they will be claimed. Each user has one
-- turn at a time, since the user began to wait or was last served: a thousand jobs of one user let
-- every other user through after each of them. The order does not depend on what finishes when, so
-- that a position that was shown stays true. It reads the whole line: whoever asks about one job
-- calls `job_position`.
create or replace function unstuck_private.queue_order(p_provider text, p_now timestamptz)
returns table (job_id uuid, step int, user_id uuid, tool text, "position" bigint)
language sql
stable
set search_path = ''
as
$$
  with own as (
    select
      s.job_id,
      s.step,
      s.line_user_id,
      s.line_tool,
      row_number() over line as nth,
      greatest(min(s.turn_at) over line, s.not_before) as turn_at
    from unstuck.job_steps s
    where s.provider = p_provider
      and s.status = 'queued'
      and (
        s.deadline_at > p_now
        -- The queue TTL is paused while another step of the job works.
        or exists (
          select from unstuck.job_steps w
          where w.job_id = s.job_id
            and w.status in ('starting', 'running')
        )
      )
    window line as (
      partition by s.line_user_id
      order by s.turn_at, s.line_since, s.job_id, s.step
    )
  )
  select
    o.job_id,
    o.step,
    o.line_user_id,
    o.line_tool,
    row_number() over (order by o.turn_at > p_now, o.nth, o.turn_at, o.job_id, o.step)
  from own o
$$;

revoke all on function unstuck_private.queue_order from public, anon, authenticated, service_role;

--: source queue/seconds_until_work_done.sql 097735c90c6d
-- In how many seconds a provider's slots, each from the moment when it is free, will have done so
-- many seconds of work together.
create or replace function unstuck_private.seconds_until_work_done(
  p_provider text,
  p_seconds numeric
)
returns numeric
language sql
stable
set search_path = ''
as
$$
  -- With the n slots that are free first: (work + the sum of their times) / n, where the next slot
  -- is not free earlier.
  select min((p_seconds + f.total) / f.slots)
  from (
    select
      s.free_in,
      sum(s.free_in) over (order by s.free_in, s.slot) as total,
      row_number() over (order by s.free_in, s.slot) as slots
    from unnest(unstuck_private.seconds_until_slots_free(p_provider))
      with ordinality as s (free_in, slot)
  ) f
$$;

revoke all on function unstuck_private.seconds_until_work_done
from public, anon, authenticated, service_role;

--: source queue/steps_ahead.sql 2738399d8981
-- What stands before a waiting step in its provider's line, by tool: how many steps, and how many
-- jobs that have not begun.
create or replace function unstuck_private.steps_ahead(
  p_step unstuck.job_steps,
  p_now timestamptz
)
returns table (tool text, steps bigint, jobs bigint)
language plpgsql
stable
set search_path = ''
as
$$
begin
  if p_step.turn_at <= p_now then
    return query
    select s.line_tool, count(*), count(*) filter (where s.step = 1)
    from unstuck.job_steps s
    where s.provider = p_step.provider
      and s.status = 'queued'
      and s.turn_at is not null
      and (s.turn_at, s.job_id, s.step) < (p_step.turn_at, p_step.job_id, p_step.step)
    group by s.line_tool;
    return;
  end if;
  return query
  with line as materialized (
    select *
    from unstuck_private.queue_order(p_step.provider, p_now) q
  )
  select l.tool, count(*), count(*) filter (where l.step = 1)
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

--: source queue/steps_claim.sql f0c0b3936e20
-- Claims up to p_limit waiting steps of a provider whose slots the caller has counted under the
-- provider's lock. Each gets a new run, a lease and a deadline; its user's turn is passed on
-- (`pass_turn`); its job shows that it starts. A step of a synchronous provider runs at once, and
-- counts as an attempt from here on.
create or replace function unstuck_private.steps_claim(
  p_provider unstuck.providers,
  p_now timestamptz,
  p_limit int
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
      attempts = s.attempts + p_provider.synchronous::int,
      started_at = case when p_provider.synchronous then p_now end,
      lease_until = p_now + case when p_provider.synchronous then i.lease else t.start_timeout end,
      deadline_at = least(
        p_now + case when p_provider.synchronous then t.run_timeout else t.start_timeout end,
        j.expires_at)
    from unstuck_private.steps_pick(p_provider.provider, p_now, p_limit) p
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

--: source queue/steps_pick.sql b034e5228032
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
#variable_conflict use_column
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
  return query
  select t.job_id, t.step, row_number() over (order by t.nth, t.turn_at, t.job_id, t.step)
  from unnest(v_turns) t
  order by 3
  limit p_limit;
end $$;

revoke all on function unstuck_private.steps_pick from public, anon, authenticated, service_role;

--: source queue/steps_waiting_v1.sql 960d626c946e
create or replace function unstuck.steps_waiting_v1(p_provider text)
returns table (waiting int, may_start int)
language sql
stable
security definer
set search_path = ''
set statement_timeout = '5s'
as
$$
  with free as (
    select p.provider, n.now,
      case
        when not p.enabled or p.circuit_open_until > n.now then 0
        else greatest(
          least(
            p.max_concurrent - l.live,
            case when p.circuit_open_until is not null then 1 end
          ),
          0
        )
      end as slots
    from unstuck.providers p
    cross join (select clock_timestamp() as now) n
    cross join lateral (
      select count(*) as live
      from unstuck.job_steps s
      where s.provider = p.provider
        and unstuck_private.holds_slot(s)
    ) l
    where p.provider = p_provider
  )
  select
    (
      select count(*)::int
      from unstuck.job_steps s
      where s.provider = f.provider
        and s.status = 'queued'
    ),
    least(f.slots, usual.steps + trial.steps)::int
  from free f
  cross join lateral (
    select count(*) as steps
    from (
      select
      from unstuck.job_steps s
      where s.provider = f.provider
        and s.status = 'queued'
        and coalesce(s.not_before <= f.now, true)
        and (s.deadline_at > f.now or unstuck_private.is_at_work(s.job_id))
        and s.line_tool not in (select t.tool from unstuck.tools t where t.circuit_open_until is not null)
      limit f.slots
    ) s
  ) usual
  cross join lateral (
    -- One step of each tool whose circuit has a trial now.
    select count(*) as steps
    from unstuck.tools t
    where t.circuit_open_until <= f.now
      and exists (
        select from unstuck.job_steps s
        where s.provider = f.provider
          and s.status = 'queued'
          and s.line_tool = t.tool
          and coalesce(s.not_before <= f.now, true)
          and (s.deadline_at > f.now or unstuck_private.is_at_work(s.job_id))
      )
  ) trial
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

--: source queue/take_turn.sql d8ca2072e6cd
-- The turn of a step that joins a provider's line at p_at: null while another waiting step of the
-- user has a turn that has come, so that a user has one turn at a time.
--
-- It locks that other step until the transaction ends: a claim leaves a locked step out, and so
-- passes no turn on before it can see this step. A step that is locked by another transaction is
-- about to leave the line: this one gets a turn of its own.
create or replace function unstuck_private.take_turn(
  p_provider text,
  p_user_id uuid,
  p_at timestamptz
)
returns timestamptz
language plpgsql
set search_path = ''
as
$$
begin
  perform 1
  from unstuck.job_steps s
  where s.provider = p_provider
    and s.line_user_id = p_user_id
    and s.status = 'queued'
    and s.turn_at <= clock_timestamp()
  limit 1
  for no key update skip locked;
  return case when not found then p_at end;
end $$;

revoke all on function unstuck_private.take_turn from public, anon, authenticated, service_role;

--: source queue/turns_lock.sql c02daba04836
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
-- The line is read from its beginning, however long it is.
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
    and (s.deadline_at > p_now or unstuck_private.is_at_work(s.job_id))
  order by s.turn_at, s.job_id, s.step
  limit p_limit
  for update of j, s skip locked;
end $$;

revoke all on function unstuck_private.turns_lock from public, anon, authenticated, service_role;

--: source queue/user_active_v1.sql 03db9cd290f5
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

--: source step/job_steps_before_insert.sql 6239cc3f464b
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
  if new.status = 'queued' then
    new.line_user_id := v_job.user_id;
    new.line_tool := v_job.tool;
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

--: source step/job_steps_before_update.sql 625291ef4328
-- Refuses to leave a final state. A step that becomes queued joins its provider's line: a step that
-- was put back has the turn that it had, and a chain's next step the turn of the step before it.
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
        greatest(coalesce(old.turn_at, b.claimed_at, j.queued_at, j.created_at), new.not_before)
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
    new.turn_at := greatest(new.line_since, new.not_before);
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

--: source retention/known_kinds.sql 1dba8d72bb5a by hand

--: removed queue/queue_turns.sql

--: removed retention/prune_queue_turns.sql

--: history
insert into unstuck_private.migrations (number, name, hash)
values (
  3,
  'kept_line',
  'a934f99a4d3ee4f9edf5a281826d1f383e719383cd04b62cb13c9f5c437f5bc5'
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
