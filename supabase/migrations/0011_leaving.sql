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

insert into unstuck.retention (kind, keep)
values ('sessions', '1 day')
on conflict do nothing;

alter table unstuck.providers
add column balance_least jsonb not null default '{}'
check (jsonb_typeof(balance_least) = 'object');

--: recreated below, or removed
drop view unstuck.provider_load;
drop function unstuck_private.visible_load;

--: source admin/admin_log.sql d95d07e0a150 by hand

--: source alert/healer_marks.sql 91f259737612 by hand

--: source alert/messages_owed.sql 0560698bee94 by hand

--: source cancel/sessions.sql 7a1496b50f2f
create table unstuck.sessions (
  id text not null,
  user_id uuid not null,
  -- When its page last said that it stays; null: it never did.
  seen_at timestamptz,
  -- From when on it counts as left, unless its page says that it stays.
  left_at timestamptz not null,
  primary key (user_id, id)
);

create index sessions_by_leaving on unstuck.sessions (left_at);

comment on table unstuck.sessions is $c$
Pages of users: what waits of a page that counts as left is cancelled by the healers (`is_left`). A
page without a row is never left. Kept for a day; at most 1,000 rows per user.
$c$;

alter table unstuck.sessions enable row level security;
revoke all on unstuck.sessions from public, anon, authenticated, service_role;
grant select on unstuck.sessions to service_role;

--: source tool/providers.sql 4b22fa802c47 by hand

--: source admin/credit_grant_admin_v1.sql 1f352b6c4539
create or replace function unstuck.credit_grant_admin_v1(
  p_actor uuid,
  p_user_id uuid,
  p_amount bigint,
  p_reason text,
  p_idempotency_key text
)
returns table (balance bigint, replayed boolean)
language plpgsql
security definer
set search_path = ''
set statement_timeout = '10s'
as
$$
#variable_conflict use_column
declare
  v_grant record;
begin
  perform unstuck_private.refuse_other_deployment();
  perform unstuck_private.act_as_admin(p_actor, p_reason);
  perform unstuck_private.refuse_without_reason(p_reason);
  if p_user_id = unstuck_private.erased_user() then
    perform unstuck_private.refuse(400, 'bad_request');
  end if;
  v_grant := unstuck_private.credit_grant_once(
    p_user_id, p_amount, 'goodwill', trim(p_reason), p_idempotency_key);
  if not v_grant.replayed then
    perform unstuck_private.admin_log_write(
      'credits_granted',
      p_user_id::text,
      jsonb_build_object('balance', v_grant.balance_before),
      jsonb_build_object('balance', v_grant.balance, 'amount', p_amount)
    );
  end if;
  return query select v_grant.balance, v_grant.replayed;
end $$;

comment on function unstuck.credit_grant_admin_v1 is $c$
Caller: admin-users. The role of p_actor is read in the same transaction.

Effect: gives the user credits as goodwill, with a reason, and writes admin_log; creates the account
where there is none. An open debt is settled with them. balance: after that.

Refuses: forbidden, bad_request (no user, key or reason; an amount not within 1 and 10^12),
idempotency_conflict (the key belongs to another entry).

Replay: the same key with the same user and amount changes nothing: replayed = true.
$c$;

revoke all on function unstuck.credit_grant_admin_v1 from public, anon, authenticated, service_role;
grant execute on function unstuck.credit_grant_admin_v1 to service_role;

--: source admin/job_requeue_v1.sql 09117d2a9305
create or replace function unstuck.job_requeue_v1(
  p_actor uuid,
  p_table text,
  p_job_id uuid,
  p_charge boolean,
  p_new_job_id uuid,
  p_reason text default null
)
returns table (job_id uuid, retried boolean, retry_of uuid, provider text)
language plpgsql
security definer
set search_path = ''
set statement_timeout = '10s'
as
$$
#variable_conflict use_column
declare
  v_job unstuck.jobs;
  v_retry record;
begin
  perform unstuck_private.refuse_other_deployment();
  perform unstuck_private.act_as_admin(p_actor, p_reason);
  v_job := unstuck_private.job_lock(p_job_id);
  perform unstuck_private.refuse_other_table(v_job, p_table);
  v_retry := unstuck_private.job_retry(v_job, p_charge, p_new_job_id);
  if v_retry.is_new then
    perform unstuck_private.admin_log_write(
      'job_retried',
      p_job_id::text,
      jsonb_build_object('status', v_job.status),
      jsonb_build_object('job', v_retry.job_id, 'charge', coalesce(p_charge, false))
    );
  end if;
  return query
  select v_retry.job_id, v_retry.job_id = v_job.id, nullif(v_job.id, v_retry.job_id), t.provider
  from unstuck.tools t
  where t.tool = v_job.tool;
end $$;

comment on function unstuck.job_requeue_v1 is $c$
Caller: admin-retry-job. The role of p_actor is read in the same transaction.

Effect: a live job past its lease or deadline goes back to the queue with fresh counters: retried =
true. A final one becomes a new job, p_new_job_id, of the same user with the same input, free of
charge unless p_charge: retry_of names the old one. It is a row of admin_log.

Refuses: forbidden, bad_request, not_found, in_progress (also a quarantined job: cancel it first),
already_final (its input is kept no longer), active_job_exists, insufficient_credits,
idempotency_conflict (the new id is taken).

Replay: the same new id answers with its job; so does any other, while a retry is live.
$c$;

revoke all on function unstuck.job_requeue_v1 from public, anon, authenticated, service_role;
grant execute on function unstuck.job_requeue_v1 to service_role;

--: source admin/job_retry.sql 2b7cbb6eb959
-- Retries a job that `job_lock` locked: a live one past its lease or deadline is requeued, a final
-- one becomes the new job p_new_job_id, unless that job was made before or another retry of it is
-- live (is_new: false). Returns the retry.
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
          and (s.deadline_at <= v_now or s.lease_until <= v_now)
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

--: source admin/provider_settings.sql b17d0e45623a
-- A provider as the admin's page shows it, with what works and what waits there.
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
      order by a.at desc
      limit 1
    )
  )
$$;

revoke all on function unstuck_private.provider_settings
from public, anon, authenticated, service_role;

--: source admin/providers_change_v1.sql e615e8ee3d79
create or replace function unstuck.providers_change_v1(
  p_actor uuid,
  p_change jsonb default null,
  p_reason text default null
)
returns table (provider text, settings jsonb)
language plpgsql
security definer
set search_path = ''
set statement_timeout = '10s'
as
$$
#variable_conflict use_column
declare
  v_old unstuck.providers;
begin
  perform unstuck_private.refuse_other_deployment();
  perform unstuck_private.act_as_admin(p_actor, p_reason);
  if p_change is not null then
    select *
    into v_old
    from unstuck.providers p
    where p.provider = p_change ->> 'provider'
    for no key update;
    if not found then
      perform unstuck_private.refuse(404, 'not_found');
    end if;
    update unstuck.providers p
    set enabled = coalesce((p_change ->> 'enabled')::boolean, p.enabled),
      max_concurrent = coalesce((p_change ->> 'maxConcurrent')::int, p.max_concurrent),
      balance_least = coalesce(nullif(p_change -> 'balanceLeast', 'null'), p.balance_least)
    where p.provider = v_old.provider;
    if (p_change ->> 'closeCircuit')::boolean and v_old.circuit_open_until is not null then
      update unstuck.providers p
      set circuit_open_until = null
      where p.provider = v_old.provider;
      perform unstuck_private.admin_log_write(
        'circuit_closed',
        v_old.provider,
        jsonb_build_object('reason', v_old.circuit_reason),
        null
      );
    end if;
  end if;
  return query
  select p.provider, unstuck_private.provider_settings(p)
  from unstuck.providers p
  order by p.provider;
exception when check_violation or numeric_value_out_of_range or invalid_text_representation then
  perform unstuck_private.refuse(400, 'bad_request');
end $$;

comment on function unstuck.providers_change_v1 is $c$
Caller: admin-settings. The role of p_actor is read in the same transaction.

Effect: changes the settings of a provider that p_change names beside `provider` (enabled,
maxConcurrent, balanceLeast; closeCircuit: true), and writes what changed to admin_log. What works
at the provider goes on. Returns all providers as they now are; without p_change it only reads.

Refuses: forbidden, not_found, bad_request (a value that the table refuses).

Replay: changes nothing.
$c$;

revoke all on function unstuck.providers_change_v1 from public, anon, authenticated, service_role;
grant execute on function unstuck.providers_change_v1 to service_role;

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

--: source alert/watched.sql 09356148a6b0
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
  from unstuck_private.watched_balances()
  union all
  select *
  from unstuck_private.watched_receiver(p_now)
$$;

revoke all on function unstuck_private.watched from public, anon, authenticated, service_role;

--: source alert/watched_balances.sql b9499b092cce
-- Whether enough is left on our account at each provider that tells it, where the operator said how
-- much is enough.
create or replace function unstuck_private.watched_balances()
returns table (subject text, code text, is_bad boolean, words text)
language sql
stable
set search_path = ''
as
$$
  select 'provider:' || p.provider || ':balance', 'provider_balance_low', l.units is not null,
    case
      when l.units is null then format('%s: enough is left on our account.', p.provider)
      else format('%s: our account runs low: %s.', p.provider, l.units)
    end
  from unstuck.providers p
  join unstuck_private.provider_balances b using (provider)
  cross join lateral (
    select string_agg(
      format('%s %s, less than %s', b.amounts ->> u.unit, u.unit, u.least),
      '; '
      order by u.unit
    ) as units
    from jsonb_each_text(p.balance_least) as u (unit, least)
    where unstuck_private.number_or_null(b.amounts ->> u.unit)
      < unstuck_private.number_or_null(u.least)
  ) l
  where p.balance_least <> '{}'
$$;

revoke all on function unstuck_private.watched_balances
from public, anon, authenticated, service_role;

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

--: source cancel/is_left.sql 82d5b1393fce
-- True for a job that waits for a page that counts as left. An order is a word of its page too: one
-- that came after the page counted as left waits as long as a silent page may, and for good where
-- the page never said that it stays. A job that was at work waits for no page when it is retried,
-- because its page said that it may be closed; nor does one that an admin retried. A refusal for
-- capacity is no attempt.
create or replace function unstuck_private.is_left(p_job unstuck.jobs, p_now timestamptz)
returns boolean
language sql
stable
set search_path = ''
as
$$
  select p_job.status in ('pending', 'queued')
    and p_job.retry_of is null
    and not exists (
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
    )
$$;

revoke all on function unstuck_private.is_left from public, anon, authenticated, service_role;

--: source cancel/job_cancel_v3.sql b4bcf2db6d9c
create or replace function unstuck.job_cancel_v3(p_user_id uuid, p_job_id uuid) returns jsonb
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

comment on function unstuck.job_cancel_v3 is $c$
Caller: the function `jobs`, for the verified user.

Effect: that of job_cancel_v1, for a job of any tool. Answers with the job as job_show_v1 does.

Refuses: not_found, in_progress, already_final, as job_cancel_v1 does.

Replay: already_final, with what was refunded.
$c$;

revoke all on function unstuck.job_cancel_v3 from public, anon, authenticated, service_role;
grant execute on function unstuck.job_cancel_v3 to service_role;

--: source cancel/session_leave_v1.sql 8dd7008a2599
create or replace function unstuck.session_leave_v1(
  p_user_id uuid,
  p_session_id text,
  p_grace_seconds int
)
returns table (cancel_at timestamptz)
language plpgsql
security definer
set search_path = ''
set statement_timeout = '10s'
as
$$
begin
  perform unstuck_private.refuse_other_deployment();
  if p_grace_seconds is null or p_grace_seconds not between 0 and 300 then
    perform unstuck_private.refuse(400, 'bad_request');
  end if;
  return query
  select unstuck_private.session_word(
    p_user_id, p_session_id, make_interval(secs => p_grace_seconds), false);
end $$;

comment on function unstuck.session_leave_v1 is $c$
Caller: leave-session, for the verified user.

Effect: the user's waiting jobs of that session, also those that arrive until then, are cancelled by
the next healer after cancel_at, as session_cancel_v1 does, unless session_stay_v1 comes first.

Refuses: bad_request (a grace outside of 0 to 300 seconds), rate_limited (1,000 sessions are kept
per user, a day each).

Replay: the grace begins anew.
$c$;

revoke all on function unstuck.session_leave_v1 from public, anon, authenticated, service_role;
grant execute on function unstuck.session_leave_v1 to service_role;

--: source cancel/session_silence.sql c542a99de275
-- For how long a page that once said that it stays may be silent before it counts as left. Pages
-- say it every minute, so that two words may be lost.
create or replace function unstuck_private.session_silence() returns interval
language sql
immutable
as
$$ select interval '150 seconds' $$;

revoke all on function unstuck_private.session_silence
from public, anon, authenticated, service_role;

--: source cancel/session_stay_v1.sql 00dd094db2db
create or replace function unstuck.session_stay_v1(p_user_id uuid, p_session_id text)
returns table (cancel_at timestamptz)
language plpgsql
security definer
set search_path = ''
set statement_timeout = '10s'
as
$$
begin
  perform unstuck_private.refuse_other_deployment();
  return query
  select unstuck_private.session_word(
    p_user_id, p_session_id, unstuck_private.session_silence(), true);
end $$;

comment on function unstuck.session_stay_v1 is $c$
Caller: stay, for the verified user: on load, and every minute while something waits.

Effect: takes back what session_leave_v1 announced, unless a healer was first. From now on the
session counts as left once it was silent for 150 seconds (cancel_at).

Refuses: bad_request, rate_limited, as session_leave_v1 does.

Replay: the silence begins anew.
$c$;

revoke all on function unstuck.session_stay_v1 from public, anon, authenticated, service_role;
grant execute on function unstuck.session_stay_v1 to service_role;

--: source cancel/session_word.sql 6facb5aa1f2d
-- Keeps what a page says of itself: that it counts as left after p_after, or, with p_stays, that it
-- is there. Returns when what waits of it is cancelled.
create or replace function unstuck_private.session_word(
  p_user_id uuid,
  p_session_id text,
  p_after interval,
  p_stays boolean
)
returns timestamptz
language plpgsql
set search_path = ''
as
$$
declare
  v_now timestamptz := clock_timestamp();
begin
  if p_user_id is null or coalesce(p_session_id, '') = '' then
    perform unstuck_private.refuse(400, 'bad_request');
  end if;
  if not exists (
      select from unstuck.sessions s
      where s.user_id = p_user_id and s.id = p_session_id
    )
    and (select count(*) from unstuck.sessions s where s.user_id = p_user_id) >= 1000
  then
    perform unstuck_private.refuse(
      429,
      'rate_limited',
      jsonb_build_object('retry_after', unstuck_private.sessions_full_for(p_user_id))
    );
  end if;
  insert into unstuck.sessions as s (id, user_id, seen_at, left_at)
  values (p_session_id, p_user_id, case when p_stays then v_now end, v_now + p_after)
  on conflict (user_id, id) do update
  set seen_at = coalesce(excluded.seen_at, s.seen_at), left_at = excluded.left_at;
  return v_now + p_after;
end $$;

revoke all on function unstuck_private.session_word from public, anon, authenticated, service_role;

--: source cancel/sessions_full_for.sql 17953e4638f4
-- Seconds until the oldest row of `sessions` of this user is kept no longer.
create or replace function unstuck_private.sessions_full_for(p_user_id uuid)
returns int
language sql
stable
set search_path = ''
as
$$
  select greatest(ceil(extract(epoch from min(s.left_at) + r.keep - clock_timestamp())), 1)::int
  from unstuck.sessions s
  join unstuck.retention r on r.kind = 'sessions'
  where s.user_id = p_user_id
  group by r.keep
$$;

revoke all on function unstuck_private.sessions_full_for
from public, anon, authenticated, service_role;

--: source credit/credit_grant_once.sql eaf9c44028a0
-- Gives the user credits by an entry of that kind, once by the key, and creates the account where
-- there is none. An open debt is settled with them. balance_before: null for a replay.
create or replace function unstuck_private.credit_grant_once(
  p_user_id uuid,
  p_amount bigint,
  p_kind text,
  p_reason text,
  p_idempotency_key text,
  out balance_before bigint,
  out balance bigint,
  out replayed boolean
)
language plpgsql
set search_path = ''
as
$$
declare
  v_entry unstuck.credit_entries;
begin
  if p_user_id is null
    or p_amount is null
    or p_amount not between 1 and unstuck_private.grant_max()
    or coalesce(p_idempotency_key, '') = ''
  then
    perform unstuck_private.refuse(400, 'bad_request');
  end if;
  perform unstuck_private.account_lock(p_user_id);
  select *
  into v_entry
  from unstuck.credit_entries e
  where e.idempotency_key = p_idempotency_key;
  replayed := found;
  if replayed then
    if v_entry.user_id <> p_user_id
      or v_entry.amount <> p_amount
      or v_entry.kind <> p_kind
    then
      perform unstuck_private.refuse(409, 'idempotency_conflict');
    end if;
  else
    balance_before := unstuck_private.balance_shown(p_user_id, null);
    begin
      insert into unstuck.credit_entries (user_id, kind, amount, reason, idempotency_key)
      values (p_user_id, p_kind, p_amount, p_reason, p_idempotency_key);
    exception when unique_violation then
      -- Another transaction used the key for another user at the same moment.
      perform unstuck_private.refuse(409, 'idempotency_conflict');
    end;
  end if;
  balance := unstuck_private.balance_shown(p_user_id, null);
end $$;

revoke all on function unstuck_private.credit_grant_once
from public, anon, authenticated, service_role;

--: source credit/credit_grant_v1.sql beb231067eb5
create or replace function unstuck.credit_grant_v1(
  p_user_id uuid,
  p_amount bigint,
  p_reason text,
  p_idempotency_key text
)
returns table (balance bigint, replayed boolean)
language plpgsql
security definer
set search_path = ''
as
$$
begin
  perform unstuck_private.refuse_other_deployment();
  perform unstuck_private.act_as('service');
  return query
  select g.balance, g.replayed
  from unstuck_private.credit_grant_once(
    p_user_id, p_amount, 'grant', p_reason, p_idempotency_key) g;
end $$;

comment on function unstuck.credit_grant_v1 is $c$
Caller: the purchase code of the app, as the service.

Effect: gives the user credits by a grant, and creates the account where there is none. An open debt
is settled with them. balance: after that.

Refuses: bad_request (no user, no key, an amount that is not within 1 and 10^12),
idempotency_conflict (the key belongs to another grant).

Replay: the same key with the same user and amount changes nothing: replayed = true.
$c$;

revoke all on function unstuck.credit_grant_v1 from public, anon, authenticated, service_role;
grant execute on function unstuck.credit_grant_v1 to service_role;

--: source deployment/other_deployment.sql 03e7e3065a7e
-- The deployment that makes this request, where it is not the one whose database this is; null
-- where it is, and where either of them does not say: pg_cron, psql, the app's own code, Workers
-- without an id, a database without an owner.
create or replace function unstuck_private.other_deployment() returns text
language plpgsql
stable
as
$$
declare
  v_id text := unstuck_private.request_header('x-unstuck-deployment');
begin
  if v_id is null then
    return null;
  end if;
  return (
    select v_id
    from unstuck_private.deployment d
    where d.id <> v_id
  );
end $$;

revoke all on function unstuck_private.other_deployment
from public, anon, authenticated, service_role;

--: source erase/purchases_naming.sql e7b31061faa5
-- The purchases that name a user: as their owner, by e-mail where nobody owns them yet, or in what
-- the seller told.
create or replace function unstuck_private.purchases_naming(p_user_id uuid) returns setof uuid
language sql
stable
set search_path = ''
as
$$
  select p.id
  from unstuck.purchases p
  where p.user_id = p_user_id
    or p.user_id is null
    and p.email = (select a.confirmed_email from unstuck_private.auth_user(p_user_id, null) a)
    or p.facts @> jsonb_build_array(jsonb_build_object('userId', p_user_id))
$$;

revoke all on function unstuck_private.purchases_naming
from public, anon, authenticated, service_role;

--: source erase/user_erase_v1.sql 831a31212dfc
create or replace function unstuck.user_erase_v1(p_actor uuid, p_user_id uuid, p_reason text)
returns table (jobs bigint, files bigint, entries bigint)
language plpgsql
security definer
set search_path = ''
set lock_timeout = '5s'
set statement_timeout = '60s'
as
$$
#variable_conflict use_column
declare
  v_ids uuid[];
  v_kept uuid[];
  v_files bigint;
  v_entries bigint;
  v_balance bigint;
begin
  perform unstuck_private.refuse_other_deployment();
  if not unstuck.has_role(p_actor, 'admin') then
    perform unstuck_private.refuse(403, 'forbidden');
  end if;
  if p_user_id is null or p_user_id = unstuck_private.erased_user() then
    perform unstuck_private.refuse(400, 'bad_request');
  end if;
  perform unstuck_private.act_as('admin:' || p_actor);
  perform unstuck_private.user_lock(p_user_id);
  v_balance := unstuck_private.wallet_hold(p_user_id, null);
  v_ids := array(
    select l.id
    from (
      select j.id
      from unstuck.jobs j
      where j.user_id = p_user_id
      order by j.id
      for update
    ) l
  );
  -- A provider still works for these, or is owed a cancel: their bare rows stay until it is sent.
  v_kept := array(
    select distinct s.job_id
    from unstuck.jobs j
    join unstuck.job_steps s on s.job_id = j.id
    where j.user_id = p_user_id
      and (
        s.provider_cancel_due <> '[]'
        or unstuck_private.holds_slot(s)
      )
  );
  select count(*)
  into v_files
  from unstuck.jobs j
  join unstuck.job_steps s on s.job_id = j.id
  where j.user_id = p_user_id and s.output_url is not null;
  perform unstuck_private.user_jobs_finalise(p_user_id);
  perform unstuck_private.user_leave_app(p_user_id, v_ids);
  perform unstuck_private.user_jobs_strip(p_user_id, v_kept);
  perform unstuck_private.user_purchases_strip(p_user_id);
  v_entries := unstuck_private.user_rows_delete(p_user_id, v_ids);
  perform unstuck_private.erasure_record(
    p_actor,
    p_user_id,
    jsonb_build_object(
      'jobs', cardinality(v_ids),
      'entries', v_entries,
      'balance', v_balance
    ),
    p_reason
  );
  return query select cardinality(v_ids)::bigint, v_files, v_entries;
end $$;

comment on function unstuck.user_erase_v1 is $c$
Caller: admin-users, for its erase operation. The role of p_actor is read in the same transaction.

Effect: cancels the user's live jobs, then deletes the user's jobs, steps, events, webhooks, ledger,
account, debts, cancelled orders, pages, turns and roles, all or nothing, and records it in
admin_log. Purchases are kept as the books of what was sold, and name nobody. A job that a provider
may still work on stays for a day as a bare row that names no user, so that its cancel is sent. The
files are listed in erasures and deleted later through the Storage API. jobs, entries: deleted rows;
files: results that the jobs named.

Refuses: forbidden, bad_request, in_progress (the app's wallet does not take back what it owes the
user, or its tables do not take the ends of the user's jobs; refunds_owed: how many credits,
rows_owed: how many rows. Where they never will, first delete the user's rows of refunds_owed, or
switch that row of projections off).

Replay: zeros, and no second row of admin_log. The user may come back and is a new user then.
$c$;

revoke all on function unstuck.user_erase_v1 from public, anon, authenticated, service_role;
grant execute on function unstuck.user_erase_v1 to service_role;

--: source erase/user_lock.sql 5010a7504d0e
-- Locks the purchases that name a user who is erased, and then the account: whoever records a
-- purchase holds it and waits for the account, so it cannot be the other way round.
create or replace function unstuck_private.user_lock(p_user_id uuid) returns void
language plpgsql
set search_path = ''
as
$$
declare
  v_ids uuid[];
begin
  loop
    begin
      v_ids := array(
        select l.id
        from (
          select p.id
          from unstuck.purchases p
          where p.id in (select unstuck_private.purchases_naming(p_user_id))
          order by p.id
          for update
        ) l
      );
      perform unstuck_private.account_lock(p_user_id);
      if not exists (
        select
        from unstuck_private.purchases_naming(p_user_id) as n (id)
        where n.id <> all (v_ids)
      ) then
        return;
      end if;
      -- One was recorded meanwhile: this lets go of the account.
      raise sqlstate 'UN409';
    exception when sqlstate 'UN409' then
      null;
    end;
  end loop;
end $$;

revoke all on function unstuck_private.user_lock from public, anon, authenticated, service_role;

--: source erase/user_rows_delete.sql c5f1c3566128
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
  delete from unstuck.sessions s
  where s.user_id = p_user_id;
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

--: source job/is_call_on_behalf.sql 158d8b31e84d
-- True when the service makes this call on behalf of a user, which a header of its request says.
create or replace function unstuck_private.is_call_on_behalf() returns boolean
language sql
stable
as
$$
  select coalesce(unstuck_private.request_header('x-unstuck-caller') = 'service', false)
$$;

revoke all on function unstuck_private.is_call_on_behalf
from public, anon, authenticated, service_role;

--: source job/is_healers_call.sql a6cb29a83959
-- True when a healer at the edge makes this call, which says so in a header of its request. What
-- others hold it leaves to the next pass.
create or replace function unstuck_private.is_healers_call() returns boolean
language sql
stable
as
$$
  select coalesce(unstuck_private.request_header('x-unstuck-caller') = 'healer', false)
$$;

revoke all on function unstuck_private.is_healers_call
from public, anon, authenticated, service_role;

--: source job/jobs_before_insert.sql 16bca1a8178c
-- Fills in what a writer leaves out of a new job: a live job always has a deadline, a final one a
-- time of completion, and an order the id of its request.
create or replace function unstuck_private.jobs_before_insert() returns trigger
language plpgsql
set search_path = ''
as
$$
declare
  v_tool unstuck.tools;
  v_from timestamptz;
begin
  select t.*
  into v_tool
  from unstuck.tools t
  where t.tool = new.tool;
  if not found then
    -- The foreign key refuses the row.
    return new;
  end if;
  new.refund_rule := coalesce(new.refund_rule, v_tool.refund_rule);
  v_from := coalesce(new.started_at, new.created_at);
  new.expires_at := coalesce(
    new.expires_at,
    v_from + unstuck_private.job_lifetime(new.tool, new.total_steps)
  );
  new.deadline_at := coalesce(
    new.deadline_at,
    case new.status
      when 'pending' then v_from + (select i.orphan from unstuck_private.intervals() i)
      when 'queued' then v_from + v_tool.queue_ttl
      else v_from + v_tool.run_timeout
    end
  );
  new.request_id := coalesce(
    new.request_id,
    left(unstuck_private.request_header('x-unstuck-request'), 100)
  );
  if unstuck_private.is_final(new.status) then
    new.completed_at := coalesce(new.completed_at, new.updated_at);
  end if;
  return new;
end $$;

create or replace trigger jobs_before_insert
before insert on unstuck.jobs
for each row
execute function unstuck_private.jobs_before_insert();

revoke all on function unstuck_private.jobs_before_insert
from public, anon, authenticated, service_role;

--: source job/request_header.sql 1d7ffb29520e
-- A header of the request that PostgREST carries out; null without the header, and without a
-- request.
create or replace function unstuck_private.request_header(p_name text) returns text
language sql
stable
as
$$
  select nullif(current_setting('request.headers', true), '')::jsonb ->> p_name
$$;

revoke all on function unstuck_private.request_header
from public, anon, authenticated, service_role;

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

--: source projection/host_rows_lock.sql ff56fb89cc68
-- Locks the app's rows of a job and of its steps before one is written; 55P03 once p_wait_ms are
-- over.
--
-- The caller holds the wallet, and a transaction of the app that has such a row may wait for it,
-- perhaps for seconds behind others. So this never stands in a queue for a row, where the app's
-- transaction would see a deadlock: it asks for the rows each 10 ms.
create or replace function unstuck_private.host_rows_lock(
  p_job_id uuid,
  p_tool text,
  p_wait_ms int
)
returns void
language plpgsql
set search_path = ''
as
$$
declare
  v_until timestamptz := clock_timestamp() + p_wait_ms * interval '1 millisecond';
begin
  while not unstuck_private.host_rows_try_lock(p_job_id, p_tool) loop
    if clock_timestamp() >= v_until then
      raise lock_not_available using
        message = 'a transaction of the app holds a row of the job';
    end if;
    perform pg_sleep(0.01);
  end loop;
end $$;

revoke all on function unstuck_private.host_rows_lock
from public, anon, authenticated, service_role;

--: source projection/host_rows_try_lock.sql 757746b76836
-- Locks all rows that the app has of a job and of its steps, unless another transaction holds one.
-- All, because a trigger of the app may go from the row of a step to that of its job.
create or replace function unstuck_private.host_rows_try_lock(p_job_id uuid, p_tool text)
returns boolean
language plpgsql
set search_path = ''
as
$$
declare
  v_ids uuid[] := array(
    select unstuck_private.step_row_id(s)
    from unstuck.job_steps s
    where s.job_id = p_job_id
  );
  v_statement text;
begin
  select 'select ' || string_agg(
    format(
      '(select count(*) from (select from %s t where t.id = any ($1) order by t.id '
        || 'for no key update nowait) l)',
      p.host_table),
    ', ' order by p.level, p.host_table)
  into v_statement
  from unstuck.projections p
  where p.tool = p_tool
    and p.enabled;
  execute v_statement
  using v_ids || p_job_id;
  return true;
exception when lock_not_available then
  return false;
end $$;

revoke all on function unstuck_private.host_rows_try_lock
from public, anon, authenticated, service_role;

--: source projection/job_project.sql f600da245ebc
-- Writes one job to one table of the app, in a block of its own: whatever the app's triggers raise,
-- also the deferred ones, ends as a row of `projection_errors` and stops nothing. The app's code
-- runs as at its own service's call. The rows are waited for first, outside of any queue, and no
-- other lock of the app for longer than p_wait_ms (null: no time is left).
create or replace function unstuck_private.job_project(
  p_job_id uuid,
  p_projection unstuck.projections,
  p_wait_ms int
)
returns void
language plpgsql
set search_path = ''
as
$$
declare
  v_before jsonb;
  v_error text := 'no time was left';
begin
  if p_wait_ms is not null then
    begin
      v_before := unstuck_private.host_enter(
        p_projection.settings || jsonb_build_object(
          'lock_timeout', p_wait_ms || 'ms', 'unstuck.projecting', 'on'));
      perform set_config('search_path', 'public, extensions', true);
      perform unstuck_private.host_rows_lock(p_job_id, p_projection.tool, p_wait_ms);
      execute unstuck_private.projection_statement(p_projection)
      using p_job_id, p_projection.statuses;
      set constraints all immediate;
      perform unstuck_private.settings_swap(v_before);
      v_error := null;
    exception when others then
      v_error := sqlerrm;
    end;
  end if;
  if v_error is null then
    update unstuck.projection_errors e
    set mended_at = clock_timestamp()
    where e.job_id = p_job_id
      and e.host_table = p_projection.host_table
      and e.mended_at is null;
    return;
  end if;
  insert into unstuck.projection_errors as e (tool, host_table, job_id, error)
  values (p_projection.tool, p_projection.host_table, p_job_id, v_error)
  on conflict (job_id, host_table)
  where mended_at is null
  do update
  set error = excluded.error,
    tries = e.tries + 1;
end $$;

revoke all on function unstuck_private.job_project from public, anon, authenticated, service_role;

--: source projection/project.sql 6e279299c5db
-- The last act of a transaction: writes every job that it changed to the app's tables. The first
-- call at its end takes the whole list; the others find nothing. What there is no time for is owed.
--
-- All jobs together wait for the app's locks for 200 ms: the wallets are held meanwhile, and other
-- transactions of the app wait for those.
create or replace function unstuck_private.project() returns trigger
language plpgsql
security definer
set search_path = ''
as
$$
declare
  v_until timestamptz := clock_timestamp() + interval '5 seconds';
  v_wait_ms int := 200;
  v_at timestamptz;
  v_jobs uuid[];
  v_job uuid;
  v_projection unstuck.projections;
begin
  with taken as (
    delete from unstuck_private.unprojected u
    where u.xid = pg_current_xact_id()
    returning u.job_id
  )
  select array_agg(distinct t.job_id order by t.job_id)
  into v_jobs
  from taken t;
  foreach v_job in array coalesce(v_jobs, '{}') loop
    for v_projection in
      select p.*
      from unstuck.projections p
      join unstuck.jobs j on j.tool = p.tool
      where j.id = v_job
        and p.enabled
      order by p.level, p.host_table
    loop
      v_at := clock_timestamp();
      perform unstuck_private.job_project(
        v_job, v_projection, case when v_at < v_until then v_wait_ms end);
      v_wait_ms := greatest(
        v_wait_ms - extract(milliseconds from clock_timestamp() - v_at)::int, 1);
    end loop;
  end loop;
  return null;
end $$;

drop trigger if exists unprojected_project on unstuck_private.unprojected;

create constraint trigger unprojected_project
after insert on unstuck_private.unprojected
deferrable initially deferred
for each row execute function unstuck_private.project();

revoke all on function unstuck_private.project from public, anon, authenticated, service_role;

--: source queue/visible_load.sql 53d0e03b3f3a
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
  learned_limit int,
  balance jsonb,
  balance_at timestamptz,
  balance_least jsonb
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
    p.learned_limit,
    b.amounts,
    b.told_at,
    p.balance_least
  from unstuck.providers p
  left join unstuck_private.provider_balances b using (provider)
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

--: source retention/prune_kind.sql 5a60423a5a67
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
    when 'sessions' then unstuck_private.prune_sessions(v_before, p_limit, p_skip)
    when 'inputs' then unstuck_private.prune_inputs(v_before, p_limit, p_skip)
    when 'orphans' then unstuck_private.prune_orphans(v_before, p_limit, p_skip)
    when 'erased_jobs' then
      unstuck_private.prune_erased_jobs(p_now, v_before, p_limit, p_skip)
    when 'provider_alarms' then
      unstuck_private.prune_provider_alarms(v_before, p_limit, p_skip)
    when 'projection_errors' then
      unstuck_private.prune_projection_errors(v_before, p_limit, p_skip)
    when 'messages' then unstuck_private.prune_messages(v_before, p_limit, p_skip)
    when 'cron_runs' then unstuck_private.prune_cron_runs(v_before, p_limit)
    -- Files, which SQL must not delete, and kinds of a later version.
    else 0
  end;
end $$;

revoke all on function unstuck_private.prune_kind from public, anon, authenticated, service_role;

--: source retention/prune_sessions.sql 05a6f5a7097f
-- Deletes pages that counted as left before p_before.
create or replace function unstuck_private.prune_sessions(
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
  delete from unstuck.sessions s
  where s.ctid = any (array(
    select o.ctid
    from unstuck.sessions o
    where o.left_at < p_before
    order by o.left_at
    limit p_limit
    offset p_skip
    for update skip locked
  ));
  get diagnostics v_pruned = row_count;
  return v_pruned;
end $$;

revoke all on function unstuck_private.prune_sessions
from public, anon, authenticated, service_role;

--: source step/steps_due_at_provider.sql 1c9b78958a0c
-- Locks up to p_limit steps that were sent to an asynchronous provider and are due, and returns
-- their keys, what is due and whether the deadline has passed:
--   copy   the provider finished, and no worker copies the result,
--   inbox  sent without an answer: its webhooks may name the task,
--   query  the provider has the task, and was not queried for a while.
-- Past its deadline a step comes once more at once, then every five seconds. With p_all every step
-- whose task is known is due. Where webhooks are signed, the checker queries each minute, and after
-- three minutes without it every healer does, because a webhook may be lost. The steps that were
-- not queried for longest come first; what another transaction has locked is skipped.
create or replace function unstuck_private.steps_due_at_provider(
  p_provider unstuck.providers,
  p_now timestamptz,
  p_all boolean,
  p_limit int
)
returns jsonb
language plpgsql
set search_path = ''
as
$$
begin
  return (
    select jsonb_agg(to_jsonb(m))
    from (
      select s.job_id, s.step,
        case
          when s.provider_done_at is not null then 'copy'
          when s.provider_task_id is null then 'inbox'
          else 'query'
        end as due,
        s.deadline_at <= p_now as overdue
      from unstuck.job_steps s
      cross join unstuck_private.intervals() i
      where s.provider = p_provider.provider
        and s.status in ('starting', 'running')
        and s.sent_at is not null
        and case
          when s.provider_done_at is not null then
            coalesce(s.lease_until, '-infinity') <= p_now
          when s.provider_task_id is null then
            coalesce(s.lease_until, p_now) <= p_now
            and coalesce(s.checked_at, '-infinity') <= p_now - interval '5 seconds'
          when s.deadline_at <= p_now then
            coalesce(s.checked_at, '-infinity') <= p_now - interval '5 seconds'
            or s.checked_at <= s.deadline_at
          else
            p_all
            or coalesce(s.checked_at, s.sent_at) <= p_now - case
              when p_provider.signed_webhooks then interval '3 minutes'
              else i.check_every
            end
        end
      order by
        s.deadline_at > p_now,
        coalesce(s.checked_at, '-infinity'),
        s.job_id,
        s.step
      limit p_limit
      for update of s skip locked
    ) m
  );
end $$;

revoke all on function unstuck_private.steps_due_at_provider
from public, anon, authenticated, service_role;

--: source step/steps_due_v1.sql d3ff07d257be
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
cancel (owed). The steps that were not queried for longest come first. input: the step's stored
request. open: how many tasks the provider works on in all.

Refuses: nothing; no row for a synchronous provider. What another transaction has locked, or a step
that cannot be reserved, is left to the next call.

Replay: a step that is reserved does not come again for some seconds.
$c$;

revoke all on function unstuck.steps_due_v1 from public, anon, authenticated, service_role;
grant execute on function unstuck.steps_due_v1 to service_role;

--: source sweep/count_due.sql 08c76c232e2a
-- How many jobs a sweep would still finalise, in the first page of each order. A job that cannot be
-- judged counts too.
create or replace function unstuck_private.count_due(p_now timestamptz) returns int
language plpgsql
stable
set search_path = ''
as
$$
declare
  v_ids uuid[];
  v_id uuid;
  v_due int := 0;
begin
  v_ids := array(
    select distinct i.id
    from unnest(array['deadline', 'age', 'left']) as w (way)
    cross join lateral unstuck_private.sweep_candidates(
      p_now, w.way, null, '-infinity', '00000000-0000-0000-0000-000000000000', 1000
    ) c
    cross join lateral unnest(c.ids) as i (id)
  );
  begin
    return (
      select count(*)
      from unstuck_private.jobs_due(p_now, v_ids)
    );
  exception when others then
    null;
  end;
  foreach v_id in array v_ids loop
    begin
      v_due := v_due + (select count(*) from unstuck_private.jobs_due(p_now, array[v_id]));
    exception when others then
      v_due := v_due + 1;
    end;
  end loop;
  return v_due;
end $$;

revoke all on function unstuck_private.count_due from public, anon, authenticated, service_role;

--: source sweep/has_due_jobs.sql b38f39cc06e4
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
        or unstuck_private.is_left(j, p_now)
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

--: source sweep/jobs_due.sql 8d630de17336
-- Which of these jobs have run out of time, or wait for a page that left, and how each ends. No
-- other function knows these rules (`has_due_jobs` only asks whether one may apply);
-- docs/data-model.md tells them in words under "Clocks". Times are compared with what lies before
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
          where e.job_id = c.id and e.event = 'job_requeued'
            and e.at > p_now - s.lifetime
        ) as too_old,
      -- A paid row is no orphan, even a pending one: it waits like a queued one.
      c.status = 'pending'
        and c.request_hash is null
        and not exists (
          select from unstuck.credit_entries e
          where e.job_id = c.id and e.kind = 'debit'
        ) as orphan,
      coalesce(c.queued_at, c.created_at) <= p_now - t.queue_ttl as waited_out,
      unstuck_private.is_left(c, p_now) as is_left
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
        where u.job_id = c.id and u.retry_at > p_now
      )
  )
  select j.id, j.user_id,
    case
      when j.is_left or j.orphan then 'cancelled'
      when j.refund_rule = 'per_step' and j.done > 0 then 'completed'
      else 'failed'
    end,
    case
      when j.is_left then 'CANCELLED'
      when j.orphan then 'ORPHANED'
      when j.undelivered then 'DELIVERY_FAILED'
      when j.status in ('pending', 'queued') and j.steps > 0 then 'QUEUE_TIMEOUT'
      else 'TIMEOUT'
    end,
    case
      when j.is_left then 'the page was closed.'
      when j.orphan then 'never started; nothing was charged.'
      when j.undelivered then 'the result could not be stored.'
      else unstuck_private.timeout_message(
        j.status in ('pending', 'queued'),
        coalesce(j.started_at, j.queued_at, j.created_at),
        p_now)
    end
  from judged j
  where case
    when j.too_old or j.is_left then true
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

--: source sweep/sweep.sql 332cf57695c4
-- Heals all that SQL can heal, up to p_limit jobs and a time budget: it finalises jobs that ran out
-- of time, page by page, then fails steps without an attempt left, then requeues steps, then pays
-- refunds that are owed. None of the four stops another, and no row stops the others.
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
    case when p_user_id is null then array['deadline', 'age', 'left'] else array['user', 'left'] end
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
  begin
    perform unstuck_private.refunds_owed_pay(p_user_id, v_until);
  exception when others then
    raise warning 'refunds_owed_pay failed: %', sqlerrm;
  end;
end $$;

revoke all on function unstuck_private.sweep from public, anon, authenticated, service_role;

--: source sweep/sweep_candidates.sql c535641f0652
-- Live jobs that may have run out of time, in the order of their key after (p_at, p_id): past their
-- deadline, ('age') so old that the lifetime may be over whatever their deadline says, or ('left')
-- waiting for a page that counts as left. A page costs what it holds, not what the backlog holds;
-- one of ('left') also a look at the page of each waiting job.
create or replace function unstuck_private.sweep_candidates(
  p_now timestamptz,
  p_by text,
  p_user_id uuid,
  p_at timestamptz,
  p_id uuid,
  p_limit int,
  out ids uuid[],
  out last_at timestamptz,
  out last_id uuid
)
language plpgsql
stable
set search_path = ''
as
$$
declare
  v_old timestamptz := p_now - (select min(t.run_timeout) from unstuck.tools t);
begin
  if p_by = 'deadline' then
    select array_agg(c.id), max(c.at)
    into ids, last_at
    from (
      select j.id, j.deadline_at as at
      from unstuck.jobs j
      where unstuck_private.is_live(j.status)
        and j.quarantined_at is null
        and j.deadline_at <= p_now
        and (j.deadline_at, j.id) > (p_at, p_id)
      order by j.deadline_at, j.id
      limit p_limit
    ) c;
  elsif p_by = 'age' then
    select array_agg(c.id), max(c.at)
    into ids, last_at
    from (
      select j.id, coalesce(j.started_at, j.created_at) as at
      from unstuck.jobs j
      where unstuck_private.is_live(j.status)
        and j.quarantined_at is null
        and j.deadline_at > p_now
        and coalesce(j.started_at, j.created_at) <= v_old
        and (coalesce(j.started_at, j.created_at), j.id) > (p_at, p_id)
      order by coalesce(j.started_at, j.created_at), j.id
      limit p_limit
    ) c;
  elsif p_by = 'left' then
    select array_agg(c.id), max(c.at)
    into ids, last_at
    from (
      select j.id, j.created_at as at
      from unstuck.jobs j
      join unstuck.sessions s on s.user_id = j.user_id and s.id = j.session_id
      where j.status in ('pending', 'queued')
        and j.quarantined_at is null
        and s.left_at <= p_now
        and (p_user_id is null or j.user_id = p_user_id)
        and unstuck_private.is_left(j, p_now)
        and (j.created_at, j.id) > (p_at, p_id)
      order by j.created_at, j.id
      limit p_limit
    ) c;
  else
    select array_agg(c.id), max(c.at)
    into ids, last_at
    from (
      select j.id, j.deadline_at as at
      from unstuck.jobs j
      where unstuck_private.is_live(j.status)
        and j.quarantined_at is null
        and j.user_id = p_user_id
        and (j.deadline_at <= p_now or coalesce(j.started_at, j.created_at) <= v_old)
        and (j.deadline_at, j.id) > (p_at, p_id)
      order by j.deadline_at, j.id
      limit p_limit
    ) c;
  end if;
  last_id := ids[cardinality(ids)];
end $$;

revoke all on function unstuck_private.sweep_candidates
from public, anon, authenticated, service_role;

--: source tool/settings_log.sql 25260cdd4ba7
-- Keeps each change that an operator makes to a tool or a provider in `admin_log`: those of the
-- columns named after the act and the key that have changed, before and after.
create or replace function unstuck_private.settings_log() returns trigger
language plpgsql
set search_path = ''
as
$$
declare
  v_old jsonb := to_jsonb(old);
  v_new jsonb := to_jsonb(new);
  v_from jsonb;
  v_to jsonb;
begin
  if current_setting('unstuck.actor', true) = 'migration' then
    return null;
  end if;
  select jsonb_object_agg(c.name, v_old -> c.name), jsonb_object_agg(c.name, v_new -> c.name)
  into v_from, v_to
  from unnest(tg_argv[2:]) as c (name)
  where v_old -> c.name is distinct from v_new -> c.name;
  if v_from is not null then
    perform unstuck_private.admin_log_write(tg_argv[0], v_new ->> tg_argv[1], v_from, v_to);
  end if;
  return null;
end $$;

create or replace trigger tools_settings_log
after update of
  enabled, run_timeout, queue_ttl, attempt_max, user_cancel_running, provider_cost
on unstuck.tools
for each row
execute function unstuck_private.settings_log(
  'tool_changed', 'tool',
  'enabled', 'run_timeout', 'queue_ttl', 'attempt_max', 'user_cancel_running', 'provider_cost');

create or replace trigger providers_settings_log
after update of enabled, max_concurrent, balance_least on unstuck.providers
for each row
execute function unstuck_private.settings_log(
  'provider_changed', 'provider', 'enabled', 'max_concurrent', 'balance_least');

revoke all on function unstuck_private.settings_log from public, anon, authenticated, service_role;

--: source queue/provider_load.sql 8e98b6b63e58
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
  l.learned_limit,
  l.balance,
  l.balance_at,
  l.balance_least
from unstuck_private.visible_load() l;

comment on view unstuck.provider_load is $c$
Each provider's slots, as configured and as learned, its queue, open circuits, and what it last told
of our account there, for the admin page.
$c$;

revoke all on unstuck.provider_load from public, anon, authenticated, service_role;
grant select on unstuck.provider_load to authenticated, service_role;

--: source retention/known_kinds.sql e4fab11ee742 by hand

--: history
insert into unstuck_private.migrations (number, name, hash)
values (
  11,
  'leaving',
  'db1eb2368cdceb4df6958709f5efee2d259890e7b7dd1aaa5ce33d12db31937c'
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
