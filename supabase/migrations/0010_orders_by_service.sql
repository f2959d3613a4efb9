-- 0010_orders_by_service.sql
-- Made by `cargo xtask migration orders_by_service`
-- from supabase/schemas, in the order in which things can be created. Do not edit it: change the
-- sources. It is applied once, whole or not at all.

begin;

do $applied$
begin
  if exists (select from unstuck_private.migrations where number = 10) then
    raise exception 'unstuck migration 0010 is applied already';
  end if;
  if not exists (select from unstuck_private.migrations where number = 9) then
    raise exception 'unstuck migration 0009 must be applied before 0010';
  end if;
end
$applied$;

-- A function may name an object that is created below it.
set local check_function_bodies = off;
-- While this waits for a table, everybody else waits behind it: fail and retry instead.
set local lock_timeout = '5s';

-- written by hand
alter table unstuck.messages_owed
add column created_at timestamptz not null default clock_timestamp(),
add column given_up_at timestamptz,
add column user_id uuid;

drop index unstuck.messages_owed_by_due;

create index messages_owed_by_due on unstuck.messages_owed (due_at)
where sent_at is null and given_up_at is null;

create index messages_owed_by_age on unstuck.messages_owed (created_at)
where kind = 'job_end' and sent_at is null;

create index messages_owed_by_user on unstuck.messages_owed (user_id)
where user_id is not null;

comment on table unstuck.messages_owed is $c$
What must be told to somebody outside. A row is owed until its receiver took it, the end of a job
for a day at most, and is sent at least once, normally once: the receiver knows a repeated one by
its id.
$c$;

insert into unstuck.retention (kind, keep)
values ('messages', '30 days')
on conflict do nothing;

--: source alert/messages_owed.sql 7deb48adb6ae by hand

--: source alert/ends_due_v1.sql e31b2832c060
create or replace function unstuck.ends_due_v1(p_limit int default 16)
returns table (id uuid, body jsonb)
language plpgsql
security definer
set search_path = ''
set statement_timeout = '5s'
as
$$
#variable_conflict use_column
declare
  v_now timestamptz := clock_timestamp();
begin
  perform unstuck_private.refuse_other_deployment();
  perform unstuck_private.healer_mark('receiver', v_now);
  update unstuck.messages_owed m
  set given_up_at = v_now
  where m.id = any (array(
    select o.id
    from unstuck.messages_owed o
    where o.kind = 'job_end'
      and o.sent_at is null
      and o.given_up_at is null
      and o.created_at <= v_now - interval '1 day'
    limit 1000
    for update skip locked
  ));
  return query
  with claimed as (
    update unstuck.messages_owed m
    set tries = m.tries + 1,
      due_at = v_now + interval '1 minute'
    where m.id = any (array(
      select o.id
      from unstuck.messages_owed o
      where o.kind = 'job_end'
        and o.sent_at is null
        and o.given_up_at is null
        and o.due_at <= v_now
      order by o.due_at
      limit least(greatest(p_limit, 1), 100)
      for update skip locked
    ))
    returning m.id, m.body, m.created_at
  )
  select c.id, c.body
  from claimed c
  order by c.created_at, c.id;
end $$;

comment on function unstuck.ends_due_v1 is $c$
Caller: each scheduled function after its work, where the app has a receiver of the ends of its
jobs. From the first call on, each end is owed to it.

Effect: gives up what nobody took for a day, and returns the messages that are due, the oldest
first, each to one caller for a minute.

Refuses: nothing.

Replay: what was returned a minute ago and is not reported by message_sent_v1 is returned once more.
$c$;

revoke all on function unstuck.ends_due_v1 from public, anon, authenticated, service_role;
grant execute on function unstuck.ends_due_v1 to service_role;

--: source alert/ends_owe.sql 7923936ddf86
-- Owes a message for each job that ended, in the transaction that ends it. What was never ordered
-- never ends for its app.
create or replace function unstuck_private.ends_owe() returns trigger
language plpgsql
set search_path = ''
set enable_nestloop = off
as
$$
declare
  v_ids uuid[];
begin
  v_ids := array(
    select n.id
    from new_rows n
    join old_rows o using (id)
    where unstuck_private.is_final(n.status)
      and not unstuck_private.is_final(o.status)
      and n.error_code is distinct from 'ORPHANED'
  );
  if v_ids = '{}' or not unstuck_private.is_receiver_there() then
    return null;
  end if;
  insert into unstuck.messages_owed (kind, "to", user_id, body)
  select 'job_end', 'app', j.user_id,
    jsonb_build_object(
      'type', 'job.' || j.status,
      'timestamp', j.completed_at,
      'data', unstuck_private.job_shown(j) || jsonb_build_object('userId', j.user_id)
    )
  from unstuck.jobs j
  where j.id = any (v_ids);
  return null;
end $$;

create or replace trigger jobs_tell_ends
after update on unstuck.jobs
referencing old table as old_rows new table as new_rows
for each statement
execute function unstuck_private.ends_owe();

revoke all on function unstuck_private.ends_owe from public, anon, authenticated, service_role;

--: source alert/is_receiver_there.sql e7813be2d54d
-- True while the functions have a receiver of the ends of jobs: one of them asked for what is owed
-- to it within a day. So long what is owed is kept.
create or replace function unstuck_private.is_receiver_there() returns boolean
language sql
stable
set search_path = ''
as
$$
  select exists (
    select from unstuck_private.healer_marks m
    where m.healer = 'receiver'
      and m.seen_at > clock_timestamp() - interval '1 day'
  )
$$;

revoke all on function unstuck_private.is_receiver_there
from public, anon, authenticated, service_role;

--: source alert/message_sent_v1.sql 494a6a942c9a
create or replace function unstuck.message_sent_v1(
  p_id uuid,
  p_is_taken boolean,
  p_delay_ms int default null
)
returns void
language sql
security definer
set search_path = ''
as
$$
  select unstuck_private.refuse_other_deployment();

  update unstuck.messages_owed m
  set sent_at = case when p_is_taken then clock_timestamp() end,
    due_at = case
      when p_is_taken then m.due_at
      else clock_timestamp() + least(
        greatest(
          coalesce(p_delay_ms, 0) * interval '1 millisecond',
          interval '15 seconds' * 2 ^ least(m.tries, 10)
        ),
        case m.kind when 'alert' then interval '5 minutes' else interval '1 hour' end
      )
    end
  where m.id = p_id
    and m.sent_at is null
$$;

comment on function unstuck.message_sent_v1 is $c$
Caller: whoever sent a message that alerts_due_v1 or ends_due_v1 returned.

Effect: a message that its receiver took is sent. Any other is due once more, later after each try,
an alert after five minutes at most, the end of a job after an hour; p_delay_ms is what the receiver
asks for.

Refuses: nothing.

Replay: a message that is sent stays so.
$c$;

revoke all on function unstuck.message_sent_v1 from public, anon, authenticated, service_role;
grant execute on function unstuck.message_sent_v1 to service_role;

--: source alert/watched.sql 3947f02c6f4f
-- Everything that is watched, and how it is now, in words for an operator. It reads what sweeps
-- have stored and scans nothing, so that health and alerts may ask as often as they like.
create or replace function unstuck_private.watched(p_now timestamptz)
returns table (subject text, code text, is_bad boolean, words text)
language sql
stable
set search_path = ''
as
$$
  select 'stuck', 'stuck', s.stuck is distinct from 0,
    case
      when s.stuck is null then 'Stuck jobs could not be counted.'
      when s.stuck = 0 then 'No job is stuck.'
      else format('%s jobs are past the deadline of every healer.', s.stuck)
    end
  from unstuck_private.sweep_newest() s
  union all
  select 'invariants', 'invariants', s.violations is distinct from 0,
    case
      when s.violations is null then 'The invariants could not be checked.'
      when s.violations = 0 then 'All invariants hold.'
      else format('%s invariants are violated.', s.violations)
    end
  from unstuck_private.sweep_newest() s
  union all
  select 'settings', 'settings_disagree', count(*) > 0,
    case count(*)
      when 0 then 'All functions have the same settings.'
      else format('Not the same in all functions: %s.', string_agg(d.name, ', ' order by d.name))
    end
  from unstuck_private.settings_differing d
  union all
  select *
  from unstuck_private.watched_healers(p_now)
  union all
  select *
  from unstuck_private.watched_providers(p_now)
  union all
  select *
  from unstuck_private.watched_receiver(p_now)
$$;

revoke all on function unstuck_private.watched from public, anon, authenticated, service_role;

--: source alert/watched_receiver.sql da41ab1465f3
-- How the app's receiver of the ends of jobs is, while there is one.
create or replace function unstuck_private.watched_receiver(p_now timestamptz)
returns table (subject text, code text, is_bad boolean, words text)
language sql
stable
set search_path = ''
as
$$
  select 'receiver', 'receiver_away', w.owed > 0,
    case
      when w.owed = 0 then 'Your receiver takes the ends of jobs.'
      else format('Your receiver has not taken the ends of %s jobs for an hour.', w.owed)
    end
  from (
    select count(*) as owed
    from unstuck.messages_owed m
    where m.kind = 'job_end'
      and m.sent_at is null
      and m.given_up_at is null
      and m.created_at <= p_now - interval '1 hour'
  ) w
  where unstuck_private.is_receiver_there()
  union all
  select 'receiver:given_up', 'ends_given_up', w.lost > 0,
    case
      when w.lost = 0 then 'The end of no job was given up within an hour.'
      else format(
        'The ends of %s jobs were given up: your receiver did not take them for a day.', w.lost)
    end
  from (
    select count(*) as lost
    from unstuck.messages_owed m
    where m.kind = 'job_end'
      and m.sent_at is null
      and m.given_up_at > p_now - interval '1 hour'
      and m.created_at > p_now - interval '2 days'
  ) w
  where unstuck_private.is_receiver_there()
$$;

revoke all on function unstuck_private.watched_receiver
from public, anon, authenticated, service_role;

--: source cancel/job_cancel_v2.sql 9336e8142e57
create or replace function unstuck.job_cancel_v2(p_user_id uuid, p_job_id uuid)
returns table (status text, refunded_credits bigint, provider text)
language plpgsql
security definer
set search_path = ''
set statement_timeout = '10s'
as
$$
declare
  v_table text;
begin
  perform unstuck_private.refuse_other_deployment();
  select t.table_name
  into v_table
  from unstuck.jobs j
  join unstuck.tools t using (tool)
  where j.id = p_job_id
    and j.user_id = p_user_id;
  if not found then
    perform unstuck_private.refuse(404, 'not_found');
  end if;
  return query
  select c.status, c.refunded_credits, c.provider
  from unstuck.job_cancel_v1(p_user_id, v_table, p_job_id) c;
end $$;

comment on function unstuck.job_cancel_v2 is $c$
Caller: the function `jobs`, for the verified user.

Effect: that of job_cancel_v1, for a job of any tool.

Refuses: not_found, in_progress, already_final, as job_cancel_v1 does.

Replay: already_final, with what was refunded.
$c$;

revoke all on function unstuck.job_cancel_v2 from public, anon, authenticated, service_role;
grant execute on function unstuck.job_cancel_v2 to service_role;

--: source erase/user_rows_delete.sql 66a18da1abe6
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
  delete from unstuck.projection_errors e
  where e.job_id = any (p_job_ids);
  delete from unstuck.host_requests r
  where r.job_id = any (p_job_ids);
  delete from unstuck.messages_owed m
  where m.user_id = p_user_id;
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

--: source job/act_as.sql 2800b161f7cb
-- Names the actor of this transaction. The triggers that write `job_events` store it with each
-- transition. What the service does on behalf of a user is the service's act. A healer's call waits
-- for no lock that another transaction holds.
create or replace function unstuck_private.act_as(p_actor text) returns void
language plpgsql
set search_path = ''
as
$$
begin
  perform set_config(
    'unstuck.actor',
    case
      when p_actor = 'user' and unstuck_private.is_call_on_behalf() then 'service'
      else p_actor
    end,
    true
  );
  if unstuck_private.is_healers_call() then
    set local lock_timeout = '20ms';
  end if;
end $$;

revoke all on function unstuck_private.act_as from public, anon, authenticated, service_role;

--: source job/is_call_on_behalf.sql b91adbb82474
-- True when the service makes this call on behalf of a user, which a header of its request says.
create or replace function unstuck_private.is_call_on_behalf() returns boolean
language sql
stable
as
$$
  select coalesce(
    nullif(current_setting('request.headers', true), '')::jsonb ->> 'x-unstuck-caller' = 'service',
    false)
$$;

revoke all on function unstuck_private.is_call_on_behalf
from public, anon, authenticated, service_role;

--: source job/job_outputs.sql a5d9e039b025
-- What a job has made, as its owner may see it: each piece of a parallel tool once it has ended,
-- the result of any other tool once the job is completed. `index` counts what was ordered, from 0.
create or replace function unstuck_private.job_outputs(p_job unstuck.jobs, p_tool unstuck.tools)
returns jsonb
language plpgsql
stable
set search_path = ''
-- Planning would cost more than the work.
set plan_cache_mode = force_generic_plan
as
$$
declare
  v_kind text := unstuck_private.output_kind(p_tool.table_name);
begin
  if p_tool.step_order = 'parallel' then
    return (
      select coalesce(
        jsonb_agg(
          jsonb_build_object(
            'index', s.step - 1,
            'url', case
              when s.status = 'completed'
                and (p_job.refund_rule = 'per_step' or p_job.status = 'completed')
              then s.output_url
            end,
            'kind', v_kind,
            'error', unstuck_private.public_error(s.error_code, s.error_message)
          )
          order by s.step
        ),
        '[]')
      from unstuck.job_steps s
      where s.job_id = p_job.id
        and unstuck_private.is_final(s.status)
    );
  end if;
  if p_job.status = 'completed' and p_job.output_url is not null then
    return jsonb_build_array(jsonb_build_object(
      'index', 0, 'url', p_job.output_url, 'kind', v_kind, 'error', null));
  end if;
  return '[]';
end $$;

revoke all on function unstuck_private.job_outputs from public, anon, authenticated, service_role;

--: source job/job_show_v1.sql a4a716c046cd
create or replace function unstuck.job_show_v1(p_user_id uuid, p_job_id uuid) returns jsonb
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
  perform unstuck_private.refuse_other_deployment();
  select j.*
  into v_job
  from unstuck.jobs j
  where j.id = p_job_id;
  if v_job.user_id is distinct from p_user_id then
    perform unstuck_private.refuse(404, 'not_found');
  end if;
  -- Heal first, so that a job that ran out of time is not shown as live.
  if unstuck_private.is_live(v_job.status) and v_job.deadline_at <= clock_timestamp() then
    perform unstuck.user_heal_v1(p_user_id);
    select j.*
    into v_job
    from unstuck.jobs j
    where j.id = p_job_id;
  end if;
  return unstuck_private.job_shown(v_job);
end $$;

comment on function unstuck.job_show_v1 is $c$
Caller: the function `jobs`, and an order by way of it, for the verified user.

Effect: heals the user's jobs when this one is past its deadline, then answers with the job in the
vocabulary that all tools have in common.

Refuses: not_found, also for a job of another user.

Replay: reads again.
$c$;

revoke all on function unstuck.job_show_v1 from public, anon, authenticated, service_role;
grant execute on function unstuck.job_show_v1 to service_role;

--: source job/job_shown.sql bd3ce06bc9db
-- A job of any tool in one vocabulary, as its owner and the app's own back end see it. While it
-- waits for a provider that refuses more, its error is PROVIDER_BUSY.
create or replace function unstuck_private.job_shown(p_job unstuck.jobs) returns jsonb
language plpgsql
stable
set search_path = ''
-- Planning would cost more than the work.
set plan_cache_mode = force_generic_plan
as
$$
declare
  v_tool unstuck.tools;
  v_place record;
  v_is_busy boolean := false;
  v_waits boolean := p_job.status in ('pending', 'queued');
begin
  select t.*
  into v_tool
  from unstuck.tools t
  where t.tool = p_job.tool;
  select p."position", p.eta_seconds
  into v_place
  from unstuck_private.job_position(p_job.id) p
  where v_waits;
  if v_waits then
    v_is_busy := unstuck_private.waits_for_capacity(p_job);
  end if;
  return jsonb_build_object(
    'id', p_job.id,
    'tool', p_job.tool,
    'status', unstuck_private.public_status(p_job.status),
    'position', v_place."position",
    'etaSeconds', case when v_waits then coalesce(v_place.eta_seconds, 0) end,
    'creditsCharged', p_job.credits_charged,
    'creditsRefunded', p_job.credits_refunded,
    'outputs', unstuck_private.job_outputs(p_job, v_tool),
    'error', case
      when v_is_busy then unstuck_private.public_error(
        'PROVIDER_BUSY', 'the provider is full; the job keeps its turn.')
      else unstuck_private.public_error(p_job.error_code, p_job.error_message)
    end,
    'createdAt', p_job.created_at,
    'startedAt', p_job.started_at,
    'completedAt', p_job.completed_at
  );
end $$;

revoke all on function unstuck_private.job_shown from public, anon, authenticated, service_role;

--: source job/jobs_list_v1.sql baa089645c08
create or replace function unstuck.jobs_list_v1(
  p_user_id uuid,
  p_cursor text default null,
  p_status text default null,
  p_limit int default 20
)
returns table (jobs jsonb, next text)
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
declare
  v_limit int := least(greatest(p_limit, 1), 100);
  v_before timestamptz := 'infinity';
  v_id uuid := 'ffffffff-ffff-ffff-ffff-ffffffffffff';
  v_micros bigint;
  v_rows unstuck.jobs[];
begin
  perform unstuck_private.refuse_other_deployment();
  if p_status not in ('queued', 'running', 'completed', 'failed', 'cancelled') then
    perform unstuck_private.refuse(400, 'bad_request', jsonb_build_object('field', 'status'));
  end if;
  if p_cursor is not null then
    if p_cursor !~ '^000[0-7][0-9a-f]{44}$' then
      perform unstuck_private.refuse(400, 'bad_request', jsonb_build_object('field', 'cursor'));
    end if;
    v_micros := ('x' || left(p_cursor, 16))::bit(64)::bigint;
    v_before := 'epoch'::timestamptz + v_micros * interval '1 microsecond';
    v_id := right(p_cursor, 32)::uuid;
  end if;
  if unstuck_private.has_due_jobs(p_user_id, clock_timestamp()) then
    perform unstuck.user_heal_v1(p_user_id);
  end if;
  v_rows := array(
    select j
    from unstuck.jobs j
    where j.user_id = p_user_id
      and (j.created_at, j.id) < (v_before, v_id)
      and (p_status is null or unstuck_private.public_status(j.status) = p_status)
    order by j.created_at desc, j.id desc
    limit v_limit + 1
  );
  return query
  select
    (
      select coalesce(jsonb_agg(unstuck_private.job_shown(r) order by r.created_at desc, r.id desc),
        '[]')
      from unnest(v_rows[:v_limit]) r
    ),
    case
      when cardinality(v_rows) > v_limit then unstuck_private.list_cursor(v_rows[v_limit])
    end;
end $$;

comment on function unstuck.jobs_list_v1 is $c$
Caller: the function `jobs`, for the verified user.

Effect: heals the user's jobs that ran out of time, then answers with a page of the user's jobs, the
newest first, at most 100. next: the p_cursor of the page after it; null on the last one. p_status:
only jobs of this status, in the vocabulary that all tools have in common.

Refuses: bad_request (no such status; a cursor that is none of ours).

Replay: reads again.
$c$;

revoke all on function unstuck.jobs_list_v1 from public, anon, authenticated, service_role;
grant execute on function unstuck.jobs_list_v1 to service_role;

--: source job/list_cursor.sql dfd88edc68f6
-- The place of a job in its user's list, newest first: 16 hexadecimal digits of its time in
-- microseconds, 32 of its id.
create or replace function unstuck_private.list_cursor(p_job unstuck.jobs) returns text
language sql
immutable
as
$$
  select lpad(to_hex((extract(epoch from p_job.created_at) * 1000000)::bigint), 16, '0')
    || replace(p_job.id::text, '-', '')
$$;

revoke all on function unstuck_private.list_cursor from public, anon, authenticated, service_role;

--: source job/output_kind.sql 4f92425d4d49
-- What a tool of this family makes: `image`, `video`, or `files`, a JSON object of texts by path.
create or replace function unstuck_private.output_kind(p_table text) returns text
language sql
immutable
as
$$
  select case p_table
    when 'video_upscaler_jobs' then 'video'
    when 'generation_history' then 'files'
    else 'image'
  end
$$;

revoke all on function unstuck_private.output_kind from public, anon, authenticated, service_role;

--: source job/public_error.sql c4d4799c6bee
-- An error as everybody outside reads it: its code, and its words without the code before them.
-- Null where there is none.
create or replace function unstuck_private.public_error(p_code text, p_message text) returns jsonb
language sql
immutable
as
$$
  select case
    when p_code is not null then jsonb_build_object(
      'code', p_code,
      'message', regexp_replace(coalesce(p_message, p_code), '^' || p_code || ': ?', '')
    )
  end
$$;

revoke all on function unstuck_private.public_error from public, anon, authenticated, service_role;

--: source job/public_status.sql 0a565b6d6738
-- The one word for a status that all tools have in common.
create or replace function unstuck_private.public_status(p_status text) returns text
language sql
immutable
as
$$
  select case
    when p_status in ('pending', 'blocked') then 'queued'
    when p_status = 'starting' then 'running'
    else p_status
  end
$$;

revoke all on function unstuck_private.public_status
from public, anon, authenticated, service_role;

--: source metric/gauges.sql cad05435e11a
-- What is so now: slots, queues, circuits, the age of healers, webhooks and of the counters.
create or replace function unstuck_private.gauges(p_now timestamptz)
returns table (name text, labels jsonb, value double precision)
language sql
stable
set search_path = ''
as
$$
  select g.name, jsonb_build_object('provider', p.provider), g.value
  from unstuck.providers p
  cross join lateral (
    values
      (
        'unstuck_slots_in_use',
        (
          select count(*)
          from unstuck.job_steps s
          where s.provider = p.provider and unstuck_private.holds_slot(s)
        )::double precision
      ),
      ('unstuck_slots_limit', unstuck_private.slot_limit(p, p_now)),
      (
        'unstuck_steps_waiting',
        (
          select count(*)
          from unstuck.job_steps s
          where s.provider = p.provider and s.status = 'queued'
        )
      ),
      ('unstuck_provider_enabled', p.enabled::int),
      ('unstuck_circuit_open', (p.circuit_open_until is not null)::int)
  ) as g (name, value)
  union all
  select
    case when m.healer like 'webhook:%' then 'unstuck_webhook_age_seconds'
      else 'unstuck_healer_age_seconds'
    end,
    case when m.healer like 'webhook:%'
      then jsonb_build_object('provider', substr(m.healer, 9))
      else jsonb_build_object('healer', m.healer)
    end,
    extract(epoch from p_now - m.seen_at)
  from unstuck_private.healer_marks m
  where m.seen_at is not null
  union all
  select g.name, '{}', g.value
  from unstuck_private.sweep_newest() s
  cross join lateral (
    values
      ('unstuck_sweep_age_seconds', extract(epoch from p_now - s.finished_at)::float8),
      ('unstuck_stuck_jobs', s.stuck),
      ('unstuck_violations', s.violations)
  ) as g (name, value)
  where g.value is not null
  union all
  select 'unstuck_provider_balance', jsonb_build_object('provider', b.provider, 'unit', a.key),
    a.value::text::double precision
  from unstuck_private.provider_balances b
  cross join lateral jsonb_each(b.amounts) a
  where jsonb_typeof(a.value) = 'number'
  union all
  select 'unstuck_messages_owed', '{}', count(*)
  from unstuck.messages_owed m
  where m.sent_at is null and m.given_up_at is null
  union all
  select 'unstuck_counters_age_seconds', '{}', extract(epoch from p_now - c.at)
  from unstuck_private.counted_until c
$$;

revoke all on function unstuck_private.gauges from public, anon, authenticated, service_role;

--: source retention/prune_messages.sql b0d2b0083372
-- Deletes messages that were sent before p_before, and ends of jobs of before it that no receiver
-- took. What is owed stays.
create or replace function unstuck_private.prune_messages(
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
  delete from unstuck.messages_owed m
  where m.ctid = any (array(
    select o.ctid
    from unstuck.messages_owed o
    where o.sent_at < p_before
      or (o.kind = 'job_end' and o.sent_at is null and o.created_at < p_before)
    order by o.created_at
    limit p_limit
    offset p_skip
    for update skip locked
  ));
  get diagnostics v_pruned = row_count;
  return v_pruned;
end $$;

revoke all on function unstuck_private.prune_messages
from public, anon, authenticated, service_role;

--: source role/user_on_behalf_v1.sql 2bfcca4f7f85
create or replace function unstuck.user_on_behalf_v1(p_user_id uuid) returns boolean
language plpgsql
stable
security definer
set search_path = ''
as
$$
declare
  v_is_anonymous boolean;
begin
  select coalesce((to_jsonb(u) ->> 'is_anonymous')::boolean, false)
  into v_is_anonymous
  from auth.users u
  where u.id = p_user_id;
  if not found then
    perform unstuck_private.refuse(404, 'not_found', '{"field": "onBehalfOf"}');
  end if;
  return v_is_anonymous;
exception
  when invalid_schema_name or undefined_table or insufficient_privilege then
    -- Our role cannot read the users of the project: whoever is named has a wallet or has none.
    return false;
end $$;

comment on function unstuck.user_on_behalf_v1 is $c$
Caller: every function that the service may call on behalf of a user.

Effect: none; whether the user is anonymous.

Refuses: not_found, for a user whom the project does not have.

Replay: reads again.
$c$;

revoke all on function unstuck.user_on_behalf_v1 from public, anon, authenticated, service_role;
grant execute on function unstuck.user_on_behalf_v1 to service_role;

--: history
insert into unstuck_private.migrations (number, name, hash)
values (
  10,
  'orders_by_service',
  '067dfff2f8862dfe8887ab3e6dff2bb4e81a5934edb37d5398c9fec91777615d'
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
