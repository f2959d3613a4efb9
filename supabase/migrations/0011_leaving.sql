-- 0011_leaving.sql
-- Made by `cargo xtask migration leaving`
-- from supabase/schemas, in the order in which things can be created. Do not edit it: change the
-- sources. It is applied once, whole or not at all.

begin;

do $applied$
begin
  if exists (select from unstuck_private.migrations where number = 11) then
    raise exception 'unstuck migration 0011 is applied already';
  end if;
  if not exists (select from unstuck_private.migrations where number = 10) then
    raise exception 'unstuck migration 0010 must be applied before 0011';
  end if;
end
$applied$;

-- A function may name an object that is created below it.
set local check_function_bodies = off;
-- While this waits for a table, everybody else waits behind it: fail and retry instead.
set local lock_timeout = '5s';

-- written by hand
drop index unstuck.admin_log_by_subject;

create index admin_log_by_subject on unstuck.admin_log (subject, id desc);

create index admin_log_by_act on unstuck.admin_log (act, id desc);

--: recreated below, or removed
drop function unstuck.job_cancel_v2;

--: source admin/admin_log.sql d95d07e0a150 by hand

--: source alert/healer_marks.sql 91f259737612 by hand

--: source alert/messages_owed.sql 0560698bee94 by hand

--: source admin/jobs_refused.sql 1ff006284f81
-- Why jobs that an admin chose were not acted on: `[{jobId, code}]`. An id that the filter names
-- and nothing has is not_found, a final job already_final, one that another transaction holds
-- in_progress, and one that could not be written internal. What the time did not suffice for is not
-- listed.
create or replace function unstuck_private.jobs_refused(
  p_filter jsonb,
  p_limit int,
  p_chosen uuid[],
  p_done uuid[],
  p_locked uuid[]
)
returns jsonb
language sql
stable
set search_path = ''
as
$$
  select coalesce(jsonb_agg(jsonb_build_object('jobId', r.id, 'code', r.code)), '[]')
  from (
    select i.id, 'not_found' as code
    from (
      select n.id::uuid
      from jsonb_array_elements_text(p_filter -> 'ids') as n (id)
    ) i
    where p_limit > 0
      and not exists (select from unstuck.jobs j where j.id = i.id)
    union all
    select
      j.id,
      case
        when unstuck_private.is_final(j.status) then 'already_final'
        when j.quarantined_at is not null then 'internal'
        else 'in_progress'
      end
    from unstuck.jobs j
    where j.id = any (p_chosen)
      and j.id <> all (p_done)
      and (j.id <> all (p_locked) or j.quarantined_at is not null)
  ) r
$$;

revoke all on function unstuck_private.jobs_refused from public, anon, authenticated, service_role;

--: source admin/jobs_requeue_many_v1.sql 45f58dc35093
create or replace function unstuck.jobs_requeue_many_v1(
  p_actor uuid,
  p_filter jsonb,
  p_limit int,
  p_reason text
)
returns table (matched int, done int, refused jsonb, jobs jsonb, providers text[])
language plpgsql
security definer
set search_path = ''
set statement_timeout = '10s'
as
$$
#variable_conflict use_column
declare
  v_until timestamptz := clock_timestamp() + interval '6 seconds';
  v_found record;
  v_next record;
  v_job unstuck.jobs;
  v_retry record;
begin
  perform unstuck_private.refuse_other_deployment();
  perform unstuck_private.act_as_admin(p_actor, p_reason);
  perform unstuck_private.refuse_wide_filter(p_filter, p_limit, p_reason);
  v_found := unstuck_private.jobs_matching(p_filter, array['failed'], true, p_limit);
  refused := unstuck_private.jobs_refused(p_filter, p_limit, '{}', '{}', '{}');
  jobs := '[]';
  providers := '{}';
  -- Accounts are locked in the order of their ids, like everywhere. One that is held is left alone:
  -- two that were waited for would take the time of all.
  for v_next in
    select j.id, t.provider
    from unstuck.jobs j
    join unstuck.tools t using (tool)
    where j.id = any (v_found.ids)
    order by j.user_id, j.created_at, j.id
  loop
    exit when clock_timestamp() > v_until;
    begin
      if unstuck_private.jobs_try_lock(array[v_next.id]) = '{}' then
        perform unstuck_private.refuse(409, 'in_progress');
      end if;
      v_job := unstuck_private.job_lock(v_next.id);
      v_retry := unstuck_private.job_retry(v_job, false, gen_random_uuid());
      jobs := jobs || jsonb_build_object('of', v_next.id, 'jobId', v_retry.job_id);
      if v_next.provider <> all (providers) then
        providers := providers || v_next.provider;
      end if;
    exception when others then
      refused := refused || jsonb_build_object(
        'jobId', v_next.id,
        'code', case
          when sqlstate like 'PT%' then sqlerrm
          when sqlstate = '55P03' then 'in_progress'
          else 'internal'
        end
      );
    end;
  end loop;
  if p_limit > 0 then
    perform unstuck_private.admin_log_write(
      'jobs_retried', null, p_filter,
      jsonb_build_object(
        'matched', v_found.total, 'jobs', jobs, 'refused', jsonb_array_length(refused)
      )
    );
  end if;
  return query
  select v_found.total, jsonb_array_length(jobs), refused, jobs, providers;
end $$;

comment on function unstuck.jobs_requeue_many_v1 is $c$
Caller: admin-retry-job, for many jobs. The role of p_actor is read in the same transaction.

Effect: retries up to p_limit of the jobs that p_filter names, as job_requeue_v1 does and free of
charge, for six seconds at most, and writes one row of admin_log. Without ids or a status the failed
jobs are meant that nobody retried yet. matched: all that the filter names; jobs: each retried job
with the job that now works; refused: those that were not, each with a code. It waits for no lock: a
job that is held is refused as in_progress. What is left over is in neither list. With p_limit 0 it
counts.

Refuses: forbidden, bad_request (no filter, no reason, a limit beyond 1,000).

Replay: retries further ones; of one that it retried, the live retry is named once more.
$c$;

revoke all on function unstuck.jobs_requeue_many_v1 from public, anon, authenticated, service_role;
grant execute on function unstuck.jobs_requeue_many_v1 to service_role;

--: source admin/refuse_without_reason.sql ed6e72184561
-- Refuses an act without a reason.
create or replace function unstuck_private.refuse_without_reason(p_reason text) returns void
language plpgsql
set search_path = ''
as
$$
begin
  if coalesce(trim(p_reason), '') = '' then
    perform unstuck_private.refuse(400, 'bad_request', '{"field": "reason"}');
  end if;
end $$;

revoke all on function unstuck_private.refuse_without_reason
from public, anon, authenticated, service_role;

--: source admin/users_named.sql ba91eb7c5928
-- The users whom a search text names: an e-mail address or its beginning. Where our role
-- cannot read the users of the project, nobody is found by it.
create or replace function unstuck_private.users_named(p_text text, p_limit int)
returns table (user_id uuid)
language plpgsql
stable
set search_path = ''
as
$$
begin
  return query
  select u.id
  from auth.users u
  where lower(u.email) = lower(p_text);
  if not found and length(p_text) >= 3 then
    return query
    select u.id
    from auth.users u
    where starts_with(lower(u.email), lower(p_text))
    order by lower(u.email)
    limit p_limit;
  end if;
exception
  when invalid_schema_name or undefined_table or undefined_column or insufficient_privilege then
    return;
end $$;

revoke all on function unstuck_private.users_named from public, anon, authenticated, service_role;

--: source alert/alerts_owe.sql a8e8655581cd
-- Compares what is watched with what the receiver was told, and owes a message for each difference.
-- Bad is told at once. Good is told when it has lasted a minute, and what was told good turns bad
-- five minutes later at the earliest: a subject that flaps is told twice at most. While it stays
-- bad, it is told every p_repeat, if that is not null. What is watched no longer is good. p_due_at:
-- when a message may leave. One transaction at a time works here; the others leave it to that one.
create or replace function unstuck_private.alerts_owe(
  p_to text,
  p_now timestamptz,
  p_due_at timestamptz,
  p_repeat interval
)
returns void
language plpgsql
set search_path = ''
as
$$
begin
  if not pg_catalog.pg_try_advisory_xact_lock(
    pg_catalog.hashtextextended('unstuck_private.alerts_owe', 0)
  ) then
    return;
  end if;
  with watched as materialized (
    select w.subject, w.code, w.is_bad, w.words
    from unstuck_private.watched(p_now) w
  ), unwatched as (
    update unstuck_private.alert_states a
    set is_bad = false,
      words = 'Nobody watches this any more.',
      since = p_now
    where a.is_bad
      and not exists (select from watched w where w.subject = a.subject)
  )
  insert into unstuck_private.alert_states as a (subject, code, is_bad, words, since)
  select w.subject, w.code, w.is_bad, w.words, p_now
  from watched w
  on conflict (subject) do update
  set is_bad = excluded.is_bad,
    words = excluded.words,
    since = case when a.is_bad = excluded.is_bad then a.since else excluded.since end
  where (a.is_bad, a.words) is distinct from (excluded.is_bad, excluded.words);

  with told as (
    select a.subject,
      case
        when not a.is_bad then 'good'
        when a.told_bad_at is null then 'bad'
        else 'still_bad'
      end as state
    from unstuck_private.alert_states a
    where case
      when not a.is_bad then
        a.told_bad_at is not null and a.since <= p_now - interval '1 minute'
      when a.told_bad_at is null then
        coalesce(a.told_at <= p_now - interval '5 minutes', true)
      else a.told_at <= p_now - p_repeat
    end
  ), marked as (
    update unstuck_private.alert_states a
    set told_at = p_now,
      told_bad_at = case t.state
        when 'good' then null
        when 'bad' then p_now
        else a.told_bad_at
      end
    from told t
    where a.subject = t.subject
    returning a.subject, a.code, a.words, a.since, t.state
  )
  insert into unstuck.messages_owed (kind, "to", body, due_at)
  select 'alert', p_to,
    jsonb_build_object(
      'state', m.state,
      'subject', m.subject,
      'code', m.code,
      'message', m.words,
      'since', m.since,
      'at', p_now
    ),
    p_due_at
  from marked m;
end $$;

revoke all on function unstuck_private.alerts_owe from public, anon, authenticated, service_role;

--: source alert/watched.sql 140119ea5fd3
-- Everything that is watched, and how it is now, in words for an operator. It reads what sweeps
-- have stored and scans nothing, so that health and alerts may ask as often as they like.
create or replace function unstuck_private.watched(p_now timestamptz)
returns table (subject text, code text, is_bad boolean, words text)
language sql
stable
set search_path = ''
as
$$
  select v.subject, v.subject, v.counted is distinct from 0,
    case
      when v.counted is null then v.unknown
      when v.counted = 0 then v.good
      else format(v.bad, v.counted)
    end
  from unstuck_private.sweep_newest() s
  cross join lateral (
    values
      (
        'stuck',
        s.stuck,
        'Stuck jobs could not be counted.',
        'No job is stuck.',
        '%s jobs are past the deadline of every healer.'
      ),
      (
        'invariants',
        s.violations,
        'The invariants could not be checked.',
        'All invariants hold.',
        '%s invariants are violated.'
      )
  ) as v (subject, counted, unknown, good, bad)
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

--: source alert/watched_providers.sql 892ffc24dcca
-- How each provider is: its failures, its webhooks, its alarms.
create or replace function unstuck_private.watched_providers(p_now timestamptz)
returns table (subject text, code text, is_bad boolean, words text)
language sql
stable
set search_path = ''
as
$$
  select 'provider:' || f.provider || v.subject, v.code, v.is_bad, v.words
  from unstuck_private.provider_failures(p_now) f
  cross join lateral (
    values
      (
        ':failures',
        'provider_failing',
        f.is_bad,
        format('%s: %s of %s steps failed within 15 minutes.', f.provider, f.failed, f.ended)
      ),
      (
        ':webhooks',
        'webhook_overdue',
        f.is_webhook_overdue,
        case
          when f.is_webhook_overdue then format(
            '%s: %s steps ended within 15 minutes, and no webhook came%s.',
            f.provider,
            f.ended,
            case
              when f.webhook_at is null then ''
              else ' for ' || unstuck_private.minutes_text(
                unstuck_private.minutes_between(f.webhook_at, p_now))
            end)
          else format('%s: no webhook is overdue.', f.provider)
        end
      )
  ) as v (subject, code, is_bad, words)
  union all
  select 'provider:' || p.provider || ':alarm', 'provider_alarm', a.code is not null,
    case
      when a.code is null then format('%s: nothing was refused that only you can mend.', p.provider)
      else format('%s refused what only you can mend: %s', p.provider, a.code)
    end
  from unstuck.providers p
  left join lateral (
    select x.code
    from unstuck.provider_alarms x
    where x.provider = p.provider
      and x.at > p_now - interval '75 minutes'
      and x.last_at > p_now - interval '15 minutes'
    order by x.last_at desc
    limit 1
  ) a on true
$$;

revoke all on function unstuck_private.watched_providers
from public, anon, authenticated, service_role;

--: source alert/watched_receiver.sql 8e136fe31415
-- How the app's receiver of the ends of jobs is, while there is one. It counts to 1,000.
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
    from (
      select
      from unstuck.messages_owed m
      where m.kind = 'job_end'
        and m.sent_at is null
        and m.given_up_at is null
        and m.created_at <= p_now - interval '1 hour'
      limit 1000
    ) o
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
    from (
      select
      from unstuck.messages_owed m
      where m.kind = 'job_end'
        and m.sent_at is null
        and m.given_up_at > p_now - interval '1 hour'
        and m.created_at > p_now - interval '2 days'
      limit 1000
    ) o
  ) w
  where unstuck_private.is_receiver_there()
$$;

revoke all on function unstuck_private.watched_receiver
from public, anon, authenticated, service_role;

--: source cancel/job_cancel_v2.sql aa96096116d5
create or replace function unstuck.job_cancel_v2(p_user_id uuid, p_job_id uuid) returns jsonb
language plpgsql
security definer
set search_path = ''
set statement_timeout = '10s'
as
$$
declare
  v_table text;
  v_job unstuck.jobs;
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
  perform unstuck.job_cancel_v1(p_user_id, v_table, p_job_id);
  select j.*
  into v_job
  from unstuck.jobs j
  where j.id = p_job_id;
  return unstuck_private.job_shown(v_job);
end $$;

comment on function unstuck.job_cancel_v2 is $c$
Caller: the function `jobs`, for the verified user.

Effect: that of job_cancel_v1, for a job of any tool. Answers with the job as job_show_v1 does.

Refuses: not_found, in_progress, already_final, as job_cancel_v1 does.

Replay: already_final, with what was refunded.
$c$;

revoke all on function unstuck.job_cancel_v2 from public, anon, authenticated, service_role;
grant execute on function unstuck.job_cancel_v2 to service_role;

--: source metric/counters_fold.sql 6dd9a60427af
-- Adds the jobs that ended since the last fold to `counters`, `costs_by_day` and `ended_by_minute`,
-- each once: up to about 20,000 a call, and none that a transaction may still write. One
-- transaction at a time works here. No transition of a job writes a counter.
create or replace function unstuck_private.counters_fold(p_now timestamptz) returns void
language plpgsql
set search_path = ''
set plan_cache_mode = 'force_custom_plan'
as
$$
declare
  v_from timestamptz;
  v_to timestamptz := unstuck_private.settled_before(p_now);
  v_page timestamptz;
begin
  select c.at
  into v_from
  from unstuck_private.counted_until c
  for update skip locked;
  if v_from is null or v_to <= v_from then
    return;
  end if;
  select j.completed_at
  into v_page
  from unstuck_private.jobs_ended(v_from, v_to) j
  order by j.completed_at
  offset 20000
  limit 1;
  v_to := coalesce(v_page, v_to);
  insert into unstuck_private.counters as c (name, labels, value)
  select l.name, l.labels, sum(l.value)
  from unstuck_private.lines_between(v_from, v_to) l
  group by l.name, l.labels
  on conflict (name, labels) do update
  set value = c.value + excluded.value;
  perform unstuck_private.costs_fold(v_from, v_to);
  insert into unstuck_private.ended_by_minute as m (minute, provider, done, failed)
  select date_trunc('minute', e.ended_at), e.provider,
    count(*) filter (where e.class = 'completed'),
    count(*) filter (where e.is_failure)
  from unstuck_private.steps_ended(v_from, v_to) e
  where e.ended_at is not null
  group by 1, 2
  on conflict (provider, minute) do update
  set done = m.done + excluded.done,
    failed = m.failed + excluded.failed;
  delete from unstuck_private.ended_by_minute m
  where m.minute < p_now - interval '1 hour';
  perform unstuck_private.healer_mark('webhook:' || w.provider, w.at)
  from (
    select i.provider, max(i.received_at) as at
    from unstuck.webhook_inbox i
    where i.received_at > v_from - interval '1 minute'
    group by i.provider
  ) w;
  update unstuck_private.counted_until c
  set at = v_to;
end $$;

revoke all on function unstuck_private.counters_fold
from public, anon, authenticated, service_role;

--: source metric/gauges.sql f40ee473413d
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
    and m.healer <> 'receiver'
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

--: source metric/jobs_ended.sql 2765150cbe49
-- The jobs that ended after p_from and up to p_to. A job is written when it ends, and hardly ever
-- after that, so that the index by the last change finds them. It sets nothing, so that it becomes
-- part of its caller's query: a page of a long backlog is not all of it.
create or replace function unstuck_private.jobs_ended(p_from timestamptz, p_to timestamptz)
returns setof unstuck.jobs
language sql
stable
as
$$
  select *
  from unstuck.jobs j
  where j.updated_at > p_from - interval '1 minute'
    and j.completed_at > p_from
    and j.completed_at <= p_to
$$;

revoke all on function unstuck_private.jobs_ended from public, anon, authenticated, service_role;

--: history
insert into unstuck_private.migrations (number, name, hash)
values (
  11,
  'leaving',
  '70e9590a4963b298ccd6bc4255d20c8bd98580327eeefba244d5e6c35a2b61ba'
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
