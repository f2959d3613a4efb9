-- 0007_deployments.sql
-- Made by `cargo xtask migration deployments`
-- from supabase/schemas, in the order in which things can be created. Do not edit it: change the
-- sources. It is applied once, whole or not at all.

begin;

do $applied$
begin
  if exists (select from unstuck_private.migrations where number = 7) then
    raise exception 'unstuck migration 0007 is applied already';
  end if;
  if not exists (select from unstuck_private.migrations where number = 6) then
    raise exception 'unstuck migration 0006 must be applied before 0007';
  end if;
end
$applied$;

-- A function may name an object that is created below it.
set local check_function_bodies = off;
-- While this waits for a table, everybody else waits behind it: fail and retry instead.
set local lock_timeout = '5s';

--: recreated below, or removed
drop function unstuck.health_v1;

--: source deployment/deployment.sql 1b61b61c0465
-- Whose database this is. A copy of the database has the original's row, so that the Workers of
-- another deployment can do nothing in it until `cargo xtask deploy` has written who they are.
create table unstuck_private.deployment (
  id text not null
    check (id <> ''),
  -- The project that the row was written for: another one is a copy, or was moved.
  supabase_url text not null,
  uploads_bucket text not null default 'uploads',
  results_bucket text not null default 'results'
);

-- A database has one owner.
create unique index deployment_is_one on unstuck_private.deployment ((true));

alter table unstuck_private.deployment enable row level security;
revoke all on unstuck_private.deployment from public, anon, authenticated, service_role;

--: source deployment/deployment_alarms.sql daf907d08486
-- Which other deployments' Workers were refused, one row each. A refusal rolls back what it wrote,
-- so the Worker that was refused records it by a call of its own.
create table unstuck_private.deployment_alarms (
  id text primary key,
  at timestamptz not null default clock_timestamp(),
  last_at timestamptz not null default clock_timestamp(),
  count bigint not null default 1
);

alter table unstuck_private.deployment_alarms enable row level security;
revoke all on unstuck_private.deployment_alarms from public, anon, authenticated, service_role;

--: source doctor/events_seen.sql 94b829a702c7
-- When the platform last called each function: a cron that fired, a message that its queue brought.
-- One row for each function and event, so it grows with the functions alone.
create table unstuck_private.events_seen (
  function text not null,
  event text not null
    check (event in ('cron', 'queue')),
  at timestamptz not null default clock_timestamp(),
  primary key (function, event)
);

alter table unstuck_private.events_seen enable row level security;
revoke all on unstuck_private.events_seen from public, anon, authenticated, service_role;

--: source admin/job_cancel_admin_v1.sql c2e01e6cf6db
create or replace function unstuck.job_cancel_admin_v1(
  p_actor uuid,
  p_table text,
  p_job_id uuid,
  p_reason text
)
returns table (status text, refunded_credits bigint, provider text)
language plpgsql
security definer
set search_path = ''
set statement_timeout = '10s'
as
$$
#variable_conflict use_column
declare
  v_reason text := nullif(trim(trailing '.' from trim(p_reason)), '');
  v_message text := 'cancelled by an admin' || coalesce(': ' || v_reason, '') || '.';
  v_job unstuck.jobs;
  v_refused text;
begin
  perform unstuck_private.refuse_other_deployment();
  if not unstuck.has_role(p_actor, 'admin') then
    perform unstuck_private.refuse(403, 'forbidden');
  end if;
  perform unstuck_private.act_as('admin:' || p_actor);
  v_job := unstuck_private.job_lock(p_job_id);
  perform unstuck_private.refuse_other_table(v_job, p_table);
  perform unstuck_private.refuse_final(v_job);
  begin
    return query
    select c.status, c.refunded, t.provider
    from unstuck_private.jobs_finalise(
      array[p_job_id], array['cancelled'], array['CANCELLED'], array[v_message]) c
    join unstuck.tools t using (tool);
  exception when others then
    -- The account takes no refund. The job is cancelled all the same, and the event says why.
    v_refused := sqlerrm;
    return query
    select c.status, c.refunded, t.provider
    from unstuck_private.jobs_finalise(
      array[p_job_id], array['cancelled'], array['CANCELLED'],
      array[v_message || ' What is owed could not be returned.'], false) c
    join unstuck.tools t using (tool);
  end;
  perform unstuck_private.admin_cancel_record(v_job, v_refused);
end $$;

comment on function unstuck.job_cancel_admin_v1 is $c$
Caller: admin-cancel-job. The role of p_actor is read in the same transaction.

Effect: cancels a live job of any tool, also a quarantined one, and refunds what the ledger shows as
taken and not yet refunded, whatever the row says. If the account takes no refund, the job is
cancelled without one. The message says what was refunded; the event admin_cancelled has the sums
before and after, and why a refund failed.

Refuses: forbidden, bad_request, not_found, already_final (with status and refundedCredits).

Replay: already_final; nothing is refunded twice.
$c$;

revoke all on function unstuck.job_cancel_admin_v1 from public, anon, authenticated, service_role;
grant execute on function unstuck.job_cancel_admin_v1 to service_role;

--: source admin/job_requeue_v1.sql 981b29fb7e51
create or replace function unstuck.job_requeue_v1(
  p_actor uuid,
  p_table text,
  p_job_id uuid,
  p_charge boolean,
  p_new_job_id uuid
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
  v_tool unstuck.tools;
  v_live uuid;
  v_now timestamptz;
begin
  perform unstuck_private.refuse_other_deployment();
  if not unstuck.has_role(p_actor, 'admin') then
    perform unstuck_private.refuse(403, 'forbidden');
  end if;
  perform unstuck_private.act_as('admin:' || p_actor);
  v_job := unstuck_private.job_lock(p_job_id);
  perform unstuck_private.refuse_other_table(v_job, p_table);
  select *
  into v_tool
  from unstuck.tools
  where tool = v_job.tool;
  v_now := clock_timestamp();
  if unstuck_private.is_live(v_job.status) then
    -- The steps of a quarantined job have ended: an admin cancels it first, then retries it.
    if v_job.status = 'pending'
      or v_job.quarantined_at is not null
      or not exists (
        select
        from unstuck.job_steps s
        where s.job_id = v_job.id
          and not unstuck_private.is_final(s.status)
          and (s.deadline_at <= v_now or s.lease_until <= v_now)
      )
    then
      perform unstuck_private.refuse(
        409, 'in_progress', jsonb_build_object('status', v_job.status));
    end if;
    perform unstuck_private.job_restart(v_job, v_tool, v_now);
    return query
    select v_job.id, true, null::uuid, v_tool.provider;
    return;
  end if;
  select j.id
  into v_live
  from unstuck.jobs j
  where j.retry_of = v_job.id
    and unstuck_private.is_live(j.status);
  if not found then
    perform unstuck_private.job_repeat(v_job, v_tool, p_charge, p_new_job_id);
  end if;
  return query
  select coalesce(v_live, p_new_job_id), false, v_job.id, v_tool.provider;
end $$;

comment on function unstuck.job_requeue_v1 is $c$
Caller: admin-retry-job. The role of p_actor is read in the same transaction.

Effect: a live job past its lease or deadline goes back to the queue with fresh counters: retried =
true. A final one becomes a new job, p_new_job_id, of the same user with the same input, free of
charge unless p_charge: retry_of names the old one.

Refuses: forbidden, bad_request, not_found, in_progress (also a quarantined job: cancel it first),
already_final (its input is kept no longer), active_job_exists, insufficient_credits,
idempotency_conflict (the new id is taken).

Replay: while the new job is live: that job.
$c$;

revoke all on function unstuck.job_requeue_v1 from public, anon, authenticated, service_role;
grant execute on function unstuck.job_requeue_v1 to service_role;

--: source cancel/job_cancel_v1.sql ed3475ca5c10
create or replace function unstuck.job_cancel_v1(p_user_id uuid, p_table text, p_job_id uuid)
returns table (status text, refunded_credits bigint, provider text)
language plpgsql
security definer
set search_path = ''
set statement_timeout = '10s'
as
$$
#variable_conflict use_column
declare
  v_job unstuck.jobs;
  v_tool unstuck.tools;
begin
  perform unstuck_private.refuse_other_deployment();
  perform unstuck_private.act_as('user');
  v_job := unstuck_private.job_lock(p_job_id);
  if v_job.user_id is distinct from p_user_id then
    v_job := null;
  end if;
  perform unstuck_private.refuse_other_table(v_job, p_table);
  select *
  into v_tool
  from unstuck.tools
  where tool = v_job.tool;
  if v_job.error_code = 'ORPHANED' then
    -- A sweep cancelled it, and its `/run` could adopt it: from now on its user cancelled it.
    perform unstuck_private.cancelled_requests_add(p_user_id, array[p_job_id]);
    update unstuck.jobs
    set error_code = 'CANCELLED',
      error_message = 'CANCELLED: cancelled by the user.'
    where id = p_job_id;
    return query
    select 'cancelled', 0::bigint, v_tool.provider;
    return;
  end if;
  perform unstuck_private.refuse_final(v_job);
  if v_job.quarantined_at is not null
    or v_job.status in ('starting', 'running') and not v_tool.user_cancel_running
  then
    perform unstuck_private.refuse(
      409, 'in_progress', jsonb_build_object('status', v_job.status));
  end if;
  perform unstuck_private.cancelled_requests_add(p_user_id, array[p_job_id]);
  begin
    return query
    select c.status, c.refunded, v_tool.provider
    from unstuck_private.jobs_finalise(
      array[p_job_id], array['cancelled'], array['CANCELLED'],
      array['cancelled by the user.']) c;
  exception when data_exception or integrity_constraint_violation then
    -- Its refund does not fit into a bigint: the next sweep quarantines it, and an admin cancels
    -- it.
    perform unstuck_private.refuse(
      409, 'in_progress', jsonb_build_object('status', v_job.status));
  end;
end $$;

comment on function unstuck.job_cancel_v1 is $c$
Caller: the cancel operation of runninghub-queue-manager, for the verified user.

Effect: cancels the user's own waiting job (a running one where the tool allows it) and refunds it.
An orphan that a sweep cancelled counts as cancelled by its user from then on, and no `/run` takes
it back.

Refuses: bad_request, not_found, in_progress (also a quarantined job, and one whose refund does not
fit into a bigint, which the next sweep quarantines), already_final.

Replay: already_final, with what was refunded.
$c$;

revoke all on function unstuck.job_cancel_v1 from public, anon, authenticated, service_role;
grant execute on function unstuck.job_cancel_v1 to service_role;

--: source cancel/session_cancel_v1.sql 532550b155b8
create or replace function unstuck.session_cancel_v1(
  p_user_id uuid,
  p_session_id text,
  p_job_ids uuid[]
)
returns table (table_name text, job_id uuid, refunded_credits bigint)
language plpgsql
security definer
set search_path = ''
set statement_timeout = '10s'
as
$$
#variable_conflict use_column
declare
  v_ids uuid[];
  v_coming uuid[];
  v_count int;
begin
  perform unstuck_private.refuse_other_deployment();
  if p_user_id is null
    or coalesce(p_session_id, '') = ''
    or cardinality(p_job_ids) > 100
  then
    perform unstuck_private.refuse(400, 'bad_request');
  end if;
  perform unstuck_private.act_as('user');
  perform unstuck_private.account_lock(p_user_id);
  perform unstuck_private.wallet_hold(p_user_id, null);
  select array_agg(l.id)
  into v_ids
  from (
    select j.id
    from unstuck.jobs j
    where j.user_id = p_user_id
      and j.status in ('pending', 'queued')
      and j.quarantined_at is null
      and (j.session_id = p_session_id or j.id = any (p_job_ids))
    order by j.id
    for update
  ) l;
  -- A named job that has not arrived yet is refused when it does. One that runs, or that belongs to
  -- another user, is left alone.
  v_coming := array(
    select x.id
    from unnest(p_job_ids) as x (id)
    where not exists (
      select from unstuck.jobs j
      where j.id = x.id and not (j.status = 'cancelled' and j.error_code = 'ORPHANED')
    )
  );
  if not unstuck_private.cancelled_requests_add(p_user_id, v_coming) then
    perform unstuck_private.refuse(
      429,
      'rate_limited',
      jsonb_build_object('retry_after', unstuck_private.cancelled_requests_full_for(p_user_id))
    );
  end if;
  if v_ids is null then
    return;
  end if;
  -- Their own rows keep these cancelled, so a full list keeps no job alive.
  perform unstuck_private.cancelled_requests_add(p_user_id, v_ids);
  v_count := cardinality(v_ids);
  return query
  select t.table_name, c.job_id, c.refunded
  from unstuck_private.jobs_finalise_each(
    v_ids,
    array_fill('cancelled'::text, array[v_count]),
    array_fill('CANCELLED'::text, array[v_count]),
    array_fill('the page was closed.'::text, array[v_count]),
    clock_timestamp() + interval '5 seconds'
  ) c
  join unstuck.tools t using (tool);
end $$;

comment on function unstuck.session_cancel_v1 is $c$
Caller: cancel-session, for the verified user.

Effect: cancels the user's own waiting jobs of that session and those that p_job_ids names, and
refunds them. A named job that has not arrived yet is refused when it does. A job that cannot be
finalised is quarantined and stops none of the others. One row per cancelled job.

Refuses: bad_request (also more than 100 ids), rate_limited (1,000 orders that were cancelled before
they arrived are kept per user, a day each).

Replay: no rows.
$c$;

revoke all on function unstuck.session_cancel_v1 from public, anon, authenticated, service_role;
grant execute on function unstuck.session_cancel_v1 to service_role;

--: source credit/consume_upscaler_credits.sql e60cc315c46d
create or replace function unstuck.consume_upscaler_credits(
  _user_id uuid,
  _amount bigint,
  _description text
)
returns table (success boolean, new_balance bigint, error_message text)
language sql
security definer
set search_path = ''
as
$$
  select unstuck_private.refuse_other_deployment();
  select a.success, a.new_balance, a.error_message
  from unstuck_private.credit_adjust(_user_id, -greatest(_amount, 0), _description) a
$$;

comment on function unstuck.consume_upscaler_credits is $c$
Caller: older back-end code, as the service.

Effect: takes the amount from the user's balance by an adjustment that belongs to no job.

Refuses: by success = false and error_message: an amount that is not positive, a balance that is too
low.

Replay: takes the amount once more; the function has no idempotency key.
$c$;

revoke all on function unstuck.consume_upscaler_credits
from public, anon, authenticated, service_role;
grant execute on function unstuck.consume_upscaler_credits to service_role;

--: source credit/credit_grant_v1.sql b6bddf640226
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
#variable_conflict use_column
declare
  v_entry unstuck.credit_entries;
begin
  perform unstuck_private.refuse_other_deployment();
  if p_user_id is null
    or p_amount is null
    or p_amount not between 1 and unstuck_private.grant_max()
    or coalesce(p_idempotency_key, '') = ''
  then
    perform unstuck_private.refuse(400, 'bad_request');
  end if;
  perform unstuck_private.act_as('service');
  perform unstuck_private.account_lock(p_user_id);
  select *
  into v_entry
  from unstuck.credit_entries
  where idempotency_key = p_idempotency_key;
  if found then
    if v_entry.user_id <> p_user_id
      or v_entry.amount <> p_amount
      or v_entry.kind <> 'grant'
    then
      perform unstuck_private.refuse(409, 'idempotency_conflict');
    end if;
    return query select unstuck_private.balance_shown(p_user_id, null), true;
    return;
  end if;
  begin
    insert into unstuck.credit_entries (user_id, kind, amount, reason, idempotency_key)
    values (p_user_id, 'grant', p_amount, p_reason, p_idempotency_key);
  exception when unique_violation then
    -- Another transaction used the key for another user at the same moment.
    perform unstuck_private.refuse(409, 'idempotency_conflict');
  end;
  return query select unstuck_private.balance_shown(p_user_id, null), false;
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

--: source credit/refund_upscaler_credits.sql 6d687ac10e9c
create or replace function unstuck.refund_upscaler_credits(
  _user_id uuid,
  _amount bigint,
  _description text
)
returns table (success boolean, new_balance bigint, error_message text)
language sql
security definer
set search_path = ''
as
$$
  select unstuck_private.refuse_other_deployment();
  select a.success, a.new_balance, a.error_message
  from unstuck_private.credit_adjust(_user_id, greatest(_amount, 0), _description) a
$$;

comment on function unstuck.refund_upscaler_credits is $c$
Caller: older back-end code, as the service.

Effect: gives the amount to the user by an adjustment that belongs to no job. An adjustment within
an hour of a job's own refund shows in invariant_violations.

Refuses: by success = false and error_message: an amount that is not positive or over 10^12.

Replay: gives the amount once more; the function has no idempotency key.
$c$;

revoke all on function unstuck.refund_upscaler_credits
from public, anon, authenticated, service_role;
grant execute on function unstuck.refund_upscaler_credits to service_role;

--: source deployment/deployment_alarm_v1.sql 39d2eecac411
create or replace function unstuck.deployment_alarm_v1() returns void
language sql
security definer
set search_path = ''
set statement_timeout = '5s'
as
$$
  insert into unstuck_private.deployment_alarms as a (id)
  select left(o.id, 200)
  from unstuck_private.other_deployment() as o (id)
  where o.id is not null
  on conflict (id) do update
  set
    last_at = clock_timestamp(),
    count = a.count + 1
$$;

comment on function unstuck.deployment_alarm_v1 is $c$
Caller: a Worker whose call was refused as wrong_deployment.

Effect: counts the refusals of its deployment in one row, which health shows for ten minutes. It is
the one RPC that writes for another deployment.

Refuses: nothing; where the Worker's deployment is the database's own, it writes nothing.

Replay: counts once more.
$c$;

revoke all on function unstuck.deployment_alarm_v1 from public, anon, authenticated, service_role;
grant execute on function unstuck.deployment_alarm_v1 to service_role;

--: source deployment/other_deployment.sql 789f05abc0ab
-- The deployment that makes this request, where it is not the one whose database this is; null
-- where it is, and where either of them does not say: pg_cron, psql, the app's own code, Workers
-- without an id, a database without an owner.
create or replace function unstuck_private.other_deployment() returns text
language plpgsql
stable
as
$$
declare
  v_id text :=
    nullif(current_setting('request.headers', true), '')::jsonb ->> 'x-unstuck-deployment';
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

--: source deployment/refuse_other_deployment.sql 0810c5ecd2c1
-- Every RPC that may write calls it first: in a copy of a database, or among Workers of which some
-- belong elsewhere, nothing is claimed, ended or charged.
create or replace function unstuck_private.refuse_other_deployment() returns void
language plpgsql
stable
as
$$
begin
  if unstuck_private.other_deployment() is not null then
    perform unstuck_private.refuse(503, 'wrong_deployment');
  end if;
end $$;

revoke all on function unstuck_private.refuse_other_deployment
from public, anon, authenticated, service_role;

--: source doctor/admins_count.sql fdfb46956fcf
-- How many admins there are; null where only the host's own function knows.
create or replace function unstuck_private.admins_count() returns bigint
language plpgsql
stable
set search_path = ''
as
$$
declare
  v_count bigint;
begin
  if unstuck_private.host_has_role('00000000-0000-0000-0000-000000000000', 'admin') is null then
    select count(*)
    into v_count
    from unstuck.user_roles r
    where r.role = 'admin';
    return v_count;
  end if;
  execute 'select count(*) from public.user_roles r where r.role::text = ''admin'''
  into v_count;
  return v_count;
exception when syntax_error_or_access_rule_violation then
  return null;
end $$;

revoke all on function unstuck_private.admins_count from public, anon, authenticated, service_role;

--: source doctor/doctor_v1.sql ddfab4ece9b5
create or replace function unstuck.doctor_v1() returns jsonb
language plpgsql
stable
security definer
set search_path = ''
set statement_timeout = '10s'
as
$$
begin
  return jsonb_build_object(
    'identity', (
      select to_jsonb(d)
      from unstuck_private.deployment d
    ),
    'storage', unstuck_private.storage_state(),
    'admins', unstuck_private.admins_count(),
    'migrations', (
      select jsonb_agg(m.name order by m.number)
      from unstuck_private.migrations m
    ),
    'events', (
      select coalesce(jsonb_agg(jsonb_build_object(
        'function', e.function,
        'event', e.event,
        'seconds', extract(epoch from clock_timestamp() - e.at)
      )), '[]')
      from unstuck_private.events_seen e
    ),
    'health', (
      select to_jsonb(h)
      from unstuck.health_v1() h
    ),
    'published', exists (
      select from pg_catalog.pg_publication_tables t
      where t.pubname = 'supabase_realtime'
        and t.schemaname = 'unstuck'
        and t.tablename = 'jobs'
    ),
    'circuits', (
      select coalesce(jsonb_agg(jsonb_build_object(
        'subject', o.subject,
        'reason', o.reason
      )), '[]')
      from (
        select p.provider as subject, p.circuit_reason as reason
        from unstuck.providers p
        where p.circuit_open_until is not null
        union all
        select t.tool, t.circuit_reason
        from unstuck.tools t
        where t.circuit_open_until is not null
      ) o
    ),
    'tools', (
      select coalesce(jsonb_agg(t.tool order by t.tool), '[]')
      from unstuck.tools t
      join unstuck.providers p using (provider)
      where t.enabled and p.enabled
    ),
    'packs', (
      select count(*)
      from unstuck.credit_packs c
      where c.enabled
    )
  );
end $$;

comment on function unstuck.doctor_v1 is $c$
Caller: `cargo xtask doctor`, with the service key.

Effect: none; what a deployment's database can tell of what it lacks: storage, admins, migrations,
the newest events, the last sweep, open circuits, what is sold.

Refuses: nothing.

Replay: reads again.
$c$;

revoke all on function unstuck.doctor_v1 from public, anon, authenticated, service_role;
grant execute on function unstuck.doctor_v1 to service_role;

--: source doctor/event_seen_v1.sql 8df5a1dde354
create or replace function unstuck.event_seen_v1(p_function text, p_event text)
returns void
language sql
security definer
set search_path = ''
set statement_timeout = '5s'
as
$$
  select unstuck_private.refuse_other_deployment();

  insert into unstuck_private.events_seen as e (function, event)
  values (p_function, p_event)
  on conflict (function, event) do update
  set at = clock_timestamp();
$$;

comment on function unstuck.event_seen_v1 is $c$
Caller: every function, when its cron fires, and when its queue brings a probe of the doctor.

Effect: the time of the newest such event is now.

Refuses: the Worker of another deployment, and an event that is none of `events_seen`.

Replay: the same once more.
$c$;

revoke all on function unstuck.event_seen_v1 from public, anon, authenticated, service_role;
grant execute on function unstuck.event_seen_v1 to service_role;

--: source doctor/storage_state.sql 9ac3e7c2483c
-- The buckets and the policy of uploads as they are, and the buckets that ours should be; null
-- where there is no storage.
create or replace function unstuck_private.storage_state() returns jsonb
language plpgsql
stable
set search_path = ''
as
$$
declare
  v_state jsonb;
begin
  if to_regclass('storage.buckets') is null or to_regclass('storage.objects') is null then
    return null;
  end if;
  execute $q$
    select jsonb_build_object('buckets', coalesce(jsonb_agg(jsonb_build_object(
      'id', b.id,
      'public', b.public,
      'bytes_max', b.file_size_limit,
      'types', b.allowed_mime_types
    ) order by b.id), '[]'))
    from storage.buckets b
  $q$
  into v_state;
  return v_state || jsonb_build_object(
    'row_security', (
      select c.relrowsecurity
      from pg_catalog.pg_class c
      where c.oid = 'storage.objects'::regclass
    ),
    'upload_policy', (
      select p.with_check
      from pg_catalog.pg_policies p
      where p.schemaname = 'storage'
        and p.tablename = 'objects'
        and p.policyname = 'unstuck uploads insert'
        and p.cmd = 'INSERT'
        and p.permissive = 'PERMISSIVE'
    )
  );
exception when insufficient_privilege then
  return null;
end $$;

revoke all on function unstuck_private.storage_state from public, anon, authenticated, service_role;

--: source erase/user_erase_v1.sql 5acfdd5396ad
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
  insert into unstuck.erasures (user_id)
  values (p_user_id)
  on conflict (user_id) do update
  set
    at = clock_timestamp(),
    files_left = null;
  insert into unstuck.admin_log (actor, act, subject, "from", reason)
  values (
    p_actor,
    'user_erase',
    p_user_id::text,
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
account, debts, cancelled orders, turns and roles, all or nothing, and records it in admin_log.
Purchases are kept as the books of what was sold, and name nobody. A job that a provider may still
work on stays for a day as a bare row that names no user, so that its cancel is sent. The files are
listed in erasures and deleted later through the Storage API. jobs, entries: deleted rows; files:
results that the jobs named.

Refuses: forbidden, bad_request, in_progress (the app's wallet does not take back what it owes the
user, or its tables do not take the ends of the user's jobs; refunds_owed: how many credits,
rows_owed: how many rows. Where they never will, first delete the user's rows of refunds_owed, or
switch that row of projections off).

Replay: zeros. The user may come back and is a new user then.
$c$;

revoke all on function unstuck.user_erase_v1 from public, anon, authenticated, service_role;
grant execute on function unstuck.user_erase_v1 to service_role;

--: source job/job_get_v1.sql 4a503addce63
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
  perform unstuck_private.refuse_other_deployment();
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

--: source order/job_enqueue_v1.sql 629e617b0df8
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
  select unstuck_private.refuse_other_deployment();
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

--: source order/job_enqueue_v2.sql 4a13afe534cf
create or replace function unstuck.job_enqueue_v2(
  p_user_id uuid,
  p_job_id uuid,
  p_tool text,
  p_session_id text,
  p_input jsonb,
  p_request_hash text,
  p_steps jsonb,
  p_claim boolean,
  p_max_credits bigint default null,
  p_measured jsonb default null,
  p_can_measure boolean default false
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
  claimed jsonb,
  unmeasured text
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
  v_own record;
  v_price bigint;
  v_balance bigint;
  v_taken bigint;
  v_constraint text;
begin
  perform unstuck_private.refuse_other_deployment();
  perform unstuck_private.act_as('user');
  select t.*
  into v_tool
  from unstuck.tools t
  where t.tool = p_tool;
  if not found
    or num_nulls(p_user_id, p_job_id, nullif(p_request_hash, '')) > 0
    or jsonb_typeof(p_steps) is distinct from 'array'
    or jsonb_array_length(p_steps) not between 1 and 20
  then
    perform unstuck_private.refuse(400, 'bad_request');
  end if;
  perform unstuck_private.account_lock(p_user_id);
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
      select s.*, case when p_claim then unstuck_private.order_claimed(p_job_id) end, null::text
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
  v_own := unstuck_private.order_price(v_tool, p_input, jsonb_array_length(p_steps), p_measured);
  if v_own.unmeasured is not null and p_can_measure then
    return query
    select u.*
    from unstuck_private.order_unmeasured(p_job_id, v_own.unmeasured) u;
    return;
  end if;
  v_price := unstuck_private.price_agreed(p_user_id, p_tool, p_input, v_own.credits, p_max_credits);
  v_balance := unstuck_private.refuse_over_balance(p_user_id, p_tool, v_price);
  begin
    -- Some servers of the PostgREST protocol pass a null as ''.
    v_taken := unstuck_private.job_write(p_user_id, p_job_id, v_tool, nullif(p_session_id, ''),
      p_input, p_request_hash, p_steps, v_price, v_balance, null);
  exception when unique_violation then
    -- Another user took this id, or another writer inserted a live row, at the same moment.
    get stacked diagnostics v_constraint = constraint_name;
    perform unstuck_private.refuse(409, case v_constraint
      when 'jobs_one_live_per_exclusive_key' then 'active_job_exists' else 'idempotency_conflict'
    end);
  end;
  perform unstuck_private.refuse_full_queue(p_job_id, v_tool);
  -- The reply shows the job as it was ordered.
  return query
  select p_job_id, 'queued', false, v_taken, v_balance - v_taken, null::int, null::int, null::text,
    null::text, null::text, null::text, 0::bigint,
    case when p_claim then unstuck_private.order_claim(p_job_id) end, null::text;
end $$;

comment on function unstuck.job_enqueue_v2 is $c$
Caller: the function that creates the tool's jobs, for the verified user.

Effect: takes the price and writes the job with its steps, in one transaction. It adopts an unpaid
row of the same id that an older client inserted. With p_claim the first step is claimed at once
where a slot is free and nobody waits for it; claimed: that step, as `step_claim_v1` returns it. The
other columns show the job as it was ordered.

With p_can_measure an order whose price is by seconds or megapixels of its files, which p_measured
does not say, is not written: unmeasured names the unit, and the caller repeats the order with what
it measured. What could not be measured costs the rule's largest. A Worker of the version before,
which says neither, is charged the rule's credits_min, or the largest where it has none.

Refuses: bad_request, idempotency_conflict (the id belongs to another order), already_final (also:
the user cancelled the order before it arrived), tool_disabled, active_job_exists, price_changed
(dearer than p_max_credits), insufficient_credits, queue_full. A refusal leaves nothing behind.

Replay: the same id, user, tool and hash get the job's present state and no charge: replayed = true,
whatever the price is now.
claimed: the step with a new run, while no worker has sent it.
$c$;

revoke all on function unstuck.job_enqueue_v2 from public, anon, authenticated, service_role;
grant execute on function unstuck.job_enqueue_v2 to service_role;

--: source purchase/purchase_record_v1.sql 679cf6a9c86f
create or replace function unstuck.purchase_record_v1(p_seller text, p_fact jsonb)
returns table (granted bigint, taken bigint, replayed boolean, user_id uuid)
language plpgsql
security definer
set search_path = ''
set lock_timeout = '5s'
as
$$
#variable_conflict use_column
declare
  v_fact jsonb;
  v_keys text[];
  v_ids uuid[];
  v_is_new boolean;
  v_settled record;
begin
  perform unstuck_private.refuse_other_deployment();
  v_fact := unstuck_private.purchase_fact(p_fact);
  v_keys := array(
    select distinct k.key collate "C"
    from jsonb_array_elements_text(p_fact -> 'keys') as k (key)
    order by 1
  );
  if coalesce(p_seller, '') = '' then
    perform unstuck_private.refuse(400, 'bad_request');
  end if;
  perform unstuck_private.act_as('seller:' || p_seller);
  v_ids := unstuck_private.purchases_lock(p_seller, v_keys);
  if v_ids = '{}' then
    v_ids := array[gen_random_uuid()];
    insert into unstuck.purchases (id, seller, keys, ids)
    values (v_ids[1], p_seller, v_keys, v_ids);
  elsif cardinality(v_ids) > 1 then
    perform unstuck_private.purchases_join(v_ids);
  end if;
  update unstuck.purchases p
  set
    keys = array(select distinct unnest(p.keys || v_keys) collate "C" order by 1),
    facts = n.facts
  from unstuck.purchases o
  cross join lateral unstuck_private.purchase_facts_with(
    o.facts,
    case when o.user_id = unstuck_private.erased_user()
      then v_fact - array['userId', 'email']
      else v_fact
    end
  ) as n (facts)
  where o.id = v_ids[1]
    and p.id = o.id
    and (n.facts <> o.facts or not o.keys @> v_keys);
  v_is_new := found or cardinality(v_ids) > 1;
  v_settled := unstuck_private.purchase_settle(v_ids[1]);
  return query
  select v_settled.granted, v_settled.taken,
    not v_is_new and v_settled.granted = 0 and v_settled.taken = 0,
    nullif(v_settled.user_id, unstuck_private.erased_user());
end $$;

comment on function unstuck.purchase_record_v1 is $c$
Caller: purchase-webhook, for an authentic event of p_seller.

Effect: records what one event tells of a payment, and gives or takes back the difference between
what is due of all that was told so far and what was given: purchase entries, chargebacks, and a
debt of what is no longer there. p_fact: `keys`, every name by which the event knows the payment,
and whatever else it tells: `paid`, `userId`, `email`, `pack`, `priceIds`, `credits`, `quantity`,
`share`, `amount`, `refundTotal`, `refunds`, `refundedShare`, `disputes`. Facts that share a key are
of one payment, also where a third one shows it. The end is the same in whatever order facts come.
Without a user who is known it is kept, and given at that user's first order or quote. granted,
taken: now. user_id: whose it is, as far as it is known.

Refuses: bad_request (a malformed fact, more than 10^12 credits).

Replay: changes nothing: replayed = true.
$c$;

revoke all on function unstuck.purchase_record_v1 from public, anon, authenticated, service_role;
grant execute on function unstuck.purchase_record_v1 to service_role;

--: source queue/step_claim_v1.sql ca904596e3a2
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
  perform unstuck_private.refuse_other_deployment();
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

--: source queue/user_active_v1.sql 536efffad37d
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
  perform unstuck_private.refuse_other_deployment();
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

--: source retention/files_choose_v1.sql 720b0fcc7740
create or replace function unstuck.files_choose_v1(
  p_kind text,
  p_bucket text,
  p_objects jsonb,
  p_user_id uuid default null
)
returns table (names jsonb, due int)
language sql
security definer
set search_path = ''
as
$$
  select unstuck_private.refuse_other_deployment();
  with listed as (
    select
      o.name,
      o.created_at,
      case when p.owner ~ u.form then p.owner::uuid end as owner,
      case when p.job ~ u.form and p.file <> '' then p.job::uuid end as job
    from jsonb_to_recordset(p_objects) as o (name text, created_at timestamptz)
    cross join (
      select '^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$' as form
    ) u
    cross join lateral (
      select
        split_part(o.name, '/', 1) as owner,
        split_part(o.name, '/', 2) as job,
        split_part(o.name, '/', 3) as file
    ) p
  ), known as (
    select
      l.*,
      exists (
        select from unstuck.jobs j
        where j.user_id = l.owner
          and unstuck_private.is_live(j.status)
      ) as is_held,
      exists (
        select from unstuck.jobs j
        where j.id = l.job
          and j.user_id = l.owner
      ) as is_of_job
    from listed l
  ), due as (
    select k.name, k.is_held
    from known k
    where case p_kind
      when 'erased' then
        k.owner = p_user_id
        and exists (
          select from unstuck.erasures e
          where e.user_id = p_user_id
            and (
              k.created_at < e.at
              -- Stored by a worker that had not heard of it.
              or p_bucket = 'results' and not k.is_of_job
            )
        )
      else
        p_kind = p_bucket
        and k.owner is not null
        and k.job is not null
        and not k.is_held
        and exists (
          select from unstuck.retention r
          where r.kind = case when k.is_of_job then '' else 'abandoned_' end || p_kind
            and k.created_at < clock_timestamp() - r.keep
        )
    end
  ), chosen as (
    select d.name
    from due d
    where not d.is_held
    -- Any of them, so that files which storage refuses to delete keep none of the others.
    order by random()
    limit 100
  )
  select
    (select coalesce(jsonb_agg(c.name order by c.name), '[]') from chosen c),
    (select count(*)::int from due)
$$;

comment on function unstuck.files_choose_v1 is $c$
Caller: cleanup-stale-generations, with a page of a bucket's files (p_objects: name and created_at
of each; p_bucket: uploads | results).

Effect: none. names: at most 100 of them to delete now; due: how many are to be deleted in all. Of a
user with a live job none is deleted now. uploads and results: files of a job of ours, under
`<user id>/<job id>/`, that are older than their kind is kept; where abandoned_uploads are not kept
for ever, uploads under such a name that no job of ours has, too. erased: files of the erased user
p_user_id, those that a live job holds counted as due; what the user uploaded, or ordered, since
then is kept.

Refuses: nothing.

Replay: reads again.
$c$;

revoke all on function unstuck.files_choose_v1 from public, anon, authenticated, service_role;
grant execute on function unstuck.files_choose_v1 to service_role;

--: source retention/files_deleted_v1.sql 9e131cecfa02
create or replace function unstuck.files_deleted_v1(
  p_kind text,
  p_deleted int,
  p_left int,
  p_user_id uuid default null,
  p_cursor text default null,
  p_error text default null
)
returns void
language sql
security definer
set search_path = ''
as
$$
  select unstuck_private.refuse_other_deployment();
  insert into unstuck_private.file_walks as w (kind, cursor)
  select p_kind, p_cursor
  where p_user_id is null
  on conflict (kind) do update
  set cursor = excluded.cursor;
  update unstuck.erasures e
  set
    files_left = case
      when p_error is null then p_left
      -- Some were not counted: at least these are left, and none left is not known.
      else coalesce(nullif(p_left, 0), nullif(e.files_left, 0))
    end
  where e.user_id = p_user_id;
  insert into unstuck_private.retention_progress as p (kind, pruned, pruned_at, error, error_at)
  select
    p_kind,
    p_deleted,
    case when p_deleted > 0 then clock_timestamp() end,
    p_error,
    case when p_error is not null then clock_timestamp() end
  where p_deleted > 0
    or p_error is not null
  on conflict (kind) do update
  set
    pruned = p.pruned + excluded.pruned,
    pruned_at = coalesce(excluded.pruned_at, p.pruned_at),
    error = coalesce(excluded.error, p.error),
    error_at = coalesce(excluded.error_at, p.error_at);
$$;

comment on function unstuck.files_deleted_v1 is $c$
Caller: cleanup-stale-generations, after it deleted files of one kind.

Effect: records how many went and the last error, and where the walk goes on (p_cursor). Of an
erased user it records how many files are left, as far as they were listed; with an error, never
that none is.

Refuses: nothing.

Replay: counts the deleted files twice.
$c$;

revoke all on function unstuck.files_deleted_v1 from public, anon, authenticated, service_role;
grant execute on function unstuck.files_deleted_v1 to service_role;

--: source retention/files_due_v1.sql 6275d0e6265e
create or replace function unstuck.files_due_v1()
returns table (kind text, user_id uuid, cursor text)
language sql
security definer
set search_path = ''
as
$$
  select unstuck_private.refuse_other_deployment();
  select k.kind, null::uuid, w.cursor
  from (
    select distinct replace(r.kind, 'abandoned_', '') as kind
    from unstuck.retention r
    where r.kind in ('uploads', 'abandoned_uploads', 'results')
      and r.keep is not null
  ) k
  left join unstuck_private.file_walks w using (kind)
  union all
  (
    select 'erased', e.user_id, null
    from unstuck.erasures e
    where e.files_left is distinct from 0
      -- A result that a worker was storing at that moment.
      or e.at > clock_timestamp() - interval '1 hour'
    -- No user whose files cannot be deleted keeps the others waiting.
    order by random()
    limit 1
  )
$$;

comment on function unstuck.files_due_v1 is $c$
Caller: cleanup-stale-generations, before it deletes files through the Storage API.

Effect: none; where to look for files in this pass. kind: uploads | results (files that are older
than their kind of `retention` is kept; from cursor on) | erased (all files of user_id, in both
buckets).

Refuses: nothing.

Replay: reads again.
$c$;

revoke all on function unstuck.files_due_v1 from public, anon, authenticated, service_role;
grant execute on function unstuck.files_due_v1 to service_role;

--: source step/step_cancelled_v1.sql 3eb9fcff9e2c
create or replace function unstuck.step_cancelled_v1(p_job_id uuid, p_step int, p_task_id text)
returns table (remaining int)
language sql
security definer
set search_path = ''
as
$$
  select unstuck_private.refuse_other_deployment();
  select unstuck_private.act_as('worker');
  update unstuck.job_steps s set
    provider_cancel_due = unstuck_private.cancel_debt_without(s.provider_cancel_due, p_task_id)
  where s.job_id = p_job_id
    and s.step = p_step
  returning jsonb_array_length(s.provider_cancel_due)
$$;

comment on function unstuck.step_cancelled_v1 is $c$
Caller: the edge, after it cancelled a task at the provider.

Effect: takes the task out of the step's cancel debt. remaining: how many cancels the step still
owes.

Refuses: nothing; no row where there is no such step.

Replay: changes nothing.
$c$;

revoke all on function unstuck.step_cancelled_v1 from public, anon, authenticated, service_role;
grant execute on function unstuck.step_cancelled_v1 to service_role;

--: source step/step_checked_v1.sql 07bee6efa5e3
create or replace function unstuck.step_checked_v1(
  p_job_id uuid,
  p_step int,
  p_run bigint,
  p_answer text
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
  v_grace interval;
  v_now timestamptz;
  v_minutes int;
begin
  perform unstuck_private.refuse_other_deployment();
  perform unstuck_private.act_as('sweep');
  if p_answer not in ('running', 'no_answer') then
    perform unstuck_private.refuse(400, 'bad_request');
  end if;
  begin
    v_job := unstuck_private.job_lock(p_job_id);
    v_step := unstuck_private.step_lock(p_job_id, p_step, p_run);
  exception when lock_not_available then
    return query
    select 'waiting', 0::bigint;
    return;
  end;
  if v_step.job_id is null or v_step.provider_done_at is not null then
    return query
    select 'stale', 0::bigint;
    return;
  end if;
  v_now := clock_timestamp();
  select i.grace
  into v_grace
  from unstuck_private.intervals() i;
  update unstuck.job_steps s set
    checked_at = v_now
  where s.job_id = p_job_id
    and s.step = p_step;
  if v_step.deadline_at > v_now
    or (
      p_answer = 'no_answer'
      and v_step.provider_task_id is not null
      and v_step.deadline_at + v_grace > v_now
    )
  then
    return query
    select 'waiting', 0::bigint;
    return;
  end if;
  v_minutes := unstuck_private.minutes_between(
    coalesce(v_step.sent_at, v_step.started_at, v_job.created_at),
    v_now
  );
  return query
  select 'failed', f.refunded
  from unstuck_private.step_fail_or_quarantine(
    v_job,
    p_step,
    'TIMEOUT',
    format('no result after %s.', unstuck_private.minutes_text(v_minutes))
  ) f;
end $$;

comment on function unstuck.step_checked_v1 is $c$
Caller: a healer, after it queried the provider about a step (p_answer: running | no_answer).

Effect: records when the provider was queried. Past the step's deadline it fails the step and
refunds: at once for running, after one grace for no_answer; the provider is then owed a cancel.
outcome: waiting (also where another transaction holds the job) | failed | stale (not the present
run, or the provider is done).

Refuses: bad_request for another answer.

Replay: stale once the step has failed.
$c$;

revoke all on function unstuck.step_checked_v1 from public, anon, authenticated, service_role;
grant execute on function unstuck.step_checked_v1 to service_role;

--: source step/step_complete_v1.sql 7a8c2bf8826e
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
  select unstuck_private.refuse_other_deployment();
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

--: source step/step_complete_v2.sql a1aee4671a8a
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
  perform unstuck_private.refuse_other_deployment();
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

--: source step/step_done_v1.sql 39adacc885e4
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
  select unstuck_private.refuse_other_deployment();
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

--: source step/step_done_v2.sql be84c1722d2e
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
  perform unstuck_private.refuse_other_deployment();
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

--: source step/step_fail_v1.sql 14b1a9d8fe6a
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
  perform unstuck_private.refuse_other_deployment();
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
  from unstuck_private.step_fail_or_quarantine(v_job, p_step, p_error_code, p_error_message) f;
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

--: source step/step_heartbeat_v1.sql 0ba90a3e2572
create or replace function unstuck.step_heartbeat_v1(p_job_id uuid, p_step int, p_run bigint)
returns table (applied boolean, lease_ms int)
language plpgsql
security definer
set search_path = ''
set statement_timeout = '5s'
as
$$
declare
  v_lease timestamptz;
  v_now timestamptz;
begin
  perform unstuck_private.refuse_other_deployment();
  update unstuck.job_steps s set
    lease_until = least(clock_timestamp() + i.lease, s.deadline_at)
  from unstuck_private.intervals() i
  where s.job_id = p_job_id
    and s.step = p_step
    and s.run = p_run
    and s.status = 'running'
    and s.lease_until > clock_timestamp()
  returning s.lease_until into v_lease;
  v_now := clock_timestamp();
  return query
  select
    v_lease is not null,
    -- A deadline by hand may lie so far back that no number holds the distance.
    coalesce(extract(epoch from greatest(v_lease, v_now) - v_now) * 1000, 0)::int;
end $$;

comment on function unstuck.step_heartbeat_v1 is $c$
Caller: a worker, while a synchronous call or a copy runs.

Effect: renews the lease, never past the step's deadline. lease_ms: how long it lasts. applied =
false: the lease is lost, and the worker aborts its call.

Refuses: nothing.

Replay: renews the lease again.
$c$;

revoke all on function unstuck.step_heartbeat_v1 from public, anon, authenticated, service_role;
grant execute on function unstuck.step_heartbeat_v1 to service_role;

--: source step/step_requeue_v1.sql f44cb4d2905f
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
  perform unstuck_private.refuse_other_deployment();
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
    from unstuck_private.step_fail_or_quarantine(v_job, p_step, p_error_code, p_error_message) f;
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

--: source step/step_sent_v1.sql a06b78e211ce
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
  perform unstuck_private.refuse_other_deployment();
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

--: source step/step_started_v1.sql 67965e74d37e
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
  perform unstuck_private.refuse_other_deployment();
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
  where (s.job_id, s.step) = (p_job_id, p_step);
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

--: source step/steps_due_v1.sql 6e15d039be77
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

--: source sweep/cleanup_all_stale_ai_jobs.sql e0860a20b8fd
create or replace function unstuck.cleanup_all_stale_ai_jobs()
returns table (table_name text, cancelled_count int, refunded_credits bigint)
language plpgsql
security definer
set search_path = ''
-- PostgREST applies it to the call; for pg_cron and psql the time budgets of the healing and of its
-- report bound this function.
set statement_timeout = '55s'
as
$$
#variable_conflict use_column
declare
  v_sweep bigint;
begin
  perform unstuck_private.refuse_other_deployment();
  insert into unstuck.sweeps (source)
  values ('sql')
  returning id into v_sweep;
  return query
  select x.table_name, x.cancelled_count, x.refunded_credits
  from unstuck_private.sweep_pass(v_sweep, 20000, interval '20 seconds') p
  cross join jsonb_to_recordset(p.tables)
    as x (table_name text, cancelled_count int, refunded_credits bigint);
  -- One transaction with the healing, which no failure of the report undoes.
  perform unstuck_private.sweep_finish(v_sweep);
end $$;

comment on function unstuck.cleanup_all_stale_ai_jobs is $c$
Caller: pg_cron every minute, and an operator.

Effect: the healer that needs no edge. It finalises every live job that ran out of time, of all
tools, with its refund. A step that was sent to an asynchronous provider waits 3 minutes past its
deadline for an edge healer, which can query the provider. It waits for no lock, no job stops the
others, and a failed report undoes no healing. Always seven rows, one per table.

Refuses: nothing.

Replay: zeros.
$c$;

revoke all on function unstuck.cleanup_all_stale_ai_jobs
from public, anon, authenticated, service_role;
grant execute on function unstuck.cleanup_all_stale_ai_jobs to service_role;

--: source sweep/health_v1.sql acd922340f98
create or replace function unstuck.health_v1()
returns table (last_sweep_seconds int, stuck int, violations int, wrong_deployment boolean)
language sql
stable
security definer
set search_path = ''
as
$$
  select unstuck_private.seconds_between(s.finished_at, clock_timestamp()), s.stuck, s.violations,
    unstuck_private.other_deployment() is not null
    or exists (
      select from unstuck_private.deployment_alarms a
      where a.last_at > clock_timestamp() - interval '10 minutes'
    )
  from (select 1) one
  left join lateral (
    select *
    from unstuck.sweeps w
    where w.finished_at is not null
    order by w.finished_at desc
    limit 1
  ) s on true
$$;

comment on function unstuck.health_v1 is $c$
Caller: the gateway, for /health.

Effect: none; what the last finished pass of a healer stored. It never scans. Nulls where there was
none, or where that pass could not count. wrong_deployment: the caller is of another deployment than
the database, or a Worker of another one was refused in the last ten minutes.

Refuses: nothing.

Replay: reads again.
$c$;

revoke all on function unstuck.health_v1 from public, anon, authenticated, service_role;
grant execute on function unstuck.health_v1 to service_role;

--: source sweep/jobs_sweep_v1.sql fcfe8132b15e
create or replace function unstuck.jobs_sweep_v1(p_sweep_id bigint, p_limit int)
returns table (
  cleaned int,
  refunded_credits bigint,
  requeued int,
  remaining int,
  tables jsonb
)
language sql
security definer
set search_path = ''
set statement_timeout = '55s'
as
$$
  select unstuck_private.refuse_other_deployment();
  select p.*
  from unstuck_private.sweep_pass(p_sweep_id, p_limit, interval '6 seconds') p
$$;

comment on function unstuck.jobs_sweep_v1 is $c$
Caller: cleanup-stale-jobs, in its pass.

Effect: finalises, or requeues, every job that ran out of time and needs no query to a provider, up
to p_limit jobs and for six seconds. It waits for no lock. A job that cannot be healed is
quarantined. remaining: due, but locked by others or beyond the limit (looking one page ahead).

Refuses: nothing.

Replay: nothing left to do.
$c$;

revoke all on function unstuck.jobs_sweep_v1 from public, anon, authenticated, service_role;
grant execute on function unstuck.jobs_sweep_v1 to service_role;

--: source sweep/sweep_begin_v1.sql f9a046a1cbdf
create or replace function unstuck.sweep_begin_v1(p_source text)
returns table (sweep_id bigint)
language sql
security definer
set search_path = ''
as
$$
  select unstuck_private.refuse_other_deployment();
  insert into unstuck.sweeps (source)
  values (p_source)
  returning id
$$;

comment on function unstuck.sweep_begin_v1 is $c$
Caller: an edge healer, before its pass.

Effect: writes the row of the pass, which later calls name by sweep_id.

Refuses: nothing.

Replay: another row: each call begins a pass.
$c$;

revoke all on function unstuck.sweep_begin_v1 from public, anon, authenticated, service_role;
grant execute on function unstuck.sweep_begin_v1 to service_role;

--: source sweep/sweep_end_v1.sql 96b5a59baf3e
create or replace function unstuck.sweep_end_v1(
  p_sweep_id bigint,
  p_delivered int,
  p_cleaned int,
  p_refunded_credits bigint
)
returns table (stuck int, violations int, remaining int)
language plpgsql
security definer
set search_path = ''
-- PostgREST applies it to the call; elsewhere it bounds nothing.
set statement_timeout = '30s'
as
$$
#variable_conflict use_column
begin
  perform unstuck_private.refuse_other_deployment();
  update unstuck.sweeps s
  set delivered = s.delivered + coalesce(p_delivered, 0),
    cleaned = s.cleaned + coalesce(p_cleaned, 0),
    refunded_credits = unstuck_private.clamp_to_bigint(
      s.refunded_credits::numeric + coalesce(p_refunded_credits, 0)
    )
  where s.id = p_sweep_id;
  if found then
    return query
    select *
    from unstuck_private.sweep_finish(p_sweep_id);
  end if;
end $$;

comment on function unstuck.sweep_end_v1 is $c$
Caller: an edge healer, after its pass.

Effect: adds what the pass did, audits what changed since the last audit, for about half a second at
most, and stores what health reads: stuck jobs and violations. A count that failed is stored as
null, which is not healthy; the pass is finished all the same. remaining: jobs that are due after
all the pass did.

Refuses: nothing; no row where there is no such pass.

Replay: adds the numbers again.
$c$;

revoke all on function unstuck.sweep_end_v1 from public, anon, authenticated, service_role;
grant execute on function unstuck.sweep_end_v1 to service_role;

--: source sweep/user_heal_v1.sql 2f496ccfdf9f
create or replace function unstuck.user_heal_v1(p_user_id uuid)
returns table (healed int, refunded_credits bigint)
language sql
security definer
set search_path = ''
set statement_timeout = '10s'
as
$$
  select unstuck_private.refuse_other_deployment();
  select count(s.job_id)::int, unstuck_private.clamp_to_bigint(coalesce(sum(s.refunded), 0))
  from unstuck_private.sweep(clock_timestamp(), p_user_id, 200, interval '3 seconds') s
$$;

comment on function unstuck.user_heal_v1 is $c$
Caller: a request that was refused because of the user's own live jobs.

Effect: heals the jobs of this user that ran out of time. It waits at most a second for the user's
account; if another transaction holds it for longer, nothing is healed.

Refuses: nothing.

Replay: zeros.
$c$;

revoke all on function unstuck.user_heal_v1 from public, anon, authenticated, service_role;
grant execute on function unstuck.user_heal_v1 to service_role;

--: source tool/provider_alarm_v1.sql 3479534f61c7
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
  perform unstuck_private.refuse_other_deployment();
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

--: source webhook/webhook_applied_v1.sql 65aeb23eeea0
create or replace function unstuck.webhook_applied_v1(p_inbox_id bigint)
returns table (applied boolean)
language sql
security definer
set search_path = ''
as
$$
  select unstuck_private.refuse_other_deployment();
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

--: source webhook/webhook_record_v1.sql c83cb4826340
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
  select unstuck_private.refuse_other_deployment();
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

--: source webhook/webhook_record_v2.sql 0647b8679ac6
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
  perform unstuck_private.refuse_other_deployment();
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

--: source website/generation_get_v1.sql 1186fd2b8d64
create or replace function unstuck.generation_get_v1(p_user_id uuid, p_tool text, p_job_id uuid)
returns table (
  job_id uuid,
  status text,
  error_message text,
  retries int,
  credits_refunded bigint,
  output_url text
)
language sql
security definer
set search_path = ''
set statement_timeout = '10s'
as
$$
  select unstuck_private.refuse_other_deployment();
  select g.job_id, g.status, g.error_message, j.retries, g.credits_refunded,
    case when g.status = 'completed' then g.output_url end
  from unstuck.job_get_v1(p_job_id, p_user_id, p_tool) g
  join unstuck.jobs j on j.id = g.job_id
$$;

comment on function unstuck.generation_get_v1 is $c$
Caller: the GET of the website functions, for the verified user.

Effect: like job_get_v1, with retries and, once the website is completed, the address of its files.

Refuses: not_found.

Replay: reads again.
$c$;

revoke all on function unstuck.generation_get_v1 from public, anon, authenticated, service_role;
grant execute on function unstuck.generation_get_v1 to service_role;

--: source website/generation_put_back_v1.sql 27cce61a59f1
create or replace function unstuck.generation_put_back_v1(p_job_id uuid, p_run bigint)
returns table (applied boolean)
language sql
security definer
set search_path = ''
as
$$
  select unstuck_private.refuse_other_deployment();
  update unstuck.job_steps s
  set checked_at = null
  where s.job_id = p_job_id
    and s.run = p_run
    and s.status = 'running'
  returning true
$$;

comment on function unstuck.generation_put_back_v1 is $c$
Caller: cleanup-stale-generations, when its call of the tool's function failed.

Effect: undoes the reservation, so that the next cleanup tries again at once. No row where another
attempt has begun.

Refuses: nothing.

Replay: changes nothing.
$c$;

revoke all on function unstuck.generation_put_back_v1
from public, anon, authenticated, service_role;
grant execute on function unstuck.generation_put_back_v1 to service_role;

--: source website/generation_retry_v1.sql f4ffe2245d03
create or replace function unstuck.generation_retry_v1(
  p_job_id uuid,
  p_tool text,
  p_user_id uuid default null
)
returns table (
  outcome text,
  user_id uuid,
  status text,
  retries int,
  refunded bigint,
  balance bigint
)
language plpgsql
security definer
set search_path = ''
set statement_timeout = '10s'
as
$$
#variable_conflict use_column
declare
  v_job unstuck.jobs;
  v_step unstuck.job_steps;
  v_max int;
  v_now timestamptz;
  v_status text;
  v_refunded bigint := 0;
begin
  perform unstuck_private.refuse_other_deployment();
  perform unstuck_private.act_as(case when p_user_id is null then 'service' else 'user' end);
  v_job := unstuck_private.job_lock(p_job_id);
  if v_job.id is null
    or v_job.tool <> p_tool
    or v_job.user_id <> coalesce(p_user_id, v_job.user_id)
  then
    perform unstuck_private.refuse(404, 'not_found');
  end if;
  perform unstuck_private.refuse_final(v_job);
  select *
  into v_step
  from unstuck.job_steps s
  where s.job_id = p_job_id
    and s.step = 1
  for update;
  v_now := clock_timestamp();
  if not found
    or not unstuck_private.is_stale_attempt(v_step, v_now)
    or v_job.quarantined_at is not null
  then
    perform unstuck_private.refuse(
      409, 'in_progress', jsonb_build_object('status', v_job.status));
  end if;
  select t.attempt_max
  into v_max
  from unstuck.tools t
  where t.tool = p_tool;
  if v_step.attempts >= v_max or v_job.expires_at <= v_now then
    select f.job_status, f.refunded
    into v_status, v_refunded
    from unstuck_private.website_fail(v_job, v_step) f;
  else
    perform unstuck_private.website_requeue(v_job, v_step, v_now);
  end if;
  return query
  select case when v_status is null then 'retried' else 'closed' end,
    j.user_id, j.status, j.retries, v_refunded,
    unstuck_private.balance_shown(j.user_id, j.tool)
  from unstuck.jobs j
  where j.id = p_job_id;
end $$;

comment on function unstuck.generation_retry_v1 is $c$
Caller: the website functions, for retryHistoryId. p_user_id null: the service calls, for the user
of the record.

Effect: puts a stale attempt back into the queue, free of charge, with retries + 1. outcome: retried
| closed (no attempt or no time left: the job failed and was refunded).

Refuses: not_found (also a job of another user or tool), already_final, in_progress (also a
quarantined job).

Replay: in_progress.
$c$;

revoke all on function unstuck.generation_retry_v1 from public, anon, authenticated, service_role;
grant execute on function unstuck.generation_retry_v1 to service_role;

--: source website/generations_stale_v1.sql 54892873707b
create or replace function unstuck.generations_stale_v1(p_limit int)
returns table (
  job_id uuid,
  tool text,
  run bigint,
  retries int,
  action text,
  refunded bigint,
  remaining int
)
language plpgsql
security definer
set search_path = ''
set statement_timeout = '30s'
as
$$
#variable_conflict use_column
declare
  v_until timestamptz := clock_timestamp() + interval '6 seconds';
  v_row record;
begin
  perform unstuck_private.refuse_other_deployment();
  perform unstuck_private.act_as('sweep');
  for v_row in
    select s.job_id, s.step,
      greatest(count(*) over () - p_limit, 0)::int as remaining
    from unstuck.job_steps s
    join unstuck.jobs j on j.id = s.job_id
    join unstuck.providers p on p.provider = s.provider
    where p.retried_by_function
      and s.status = 'running'
      and unstuck_private.is_stale_attempt(s, clock_timestamp())
      and not unstuck_private.is_reserved_attempt(s, clock_timestamp())
      and j.quarantined_at is null
    order by j.user_id, s.job_id
    limit greatest(p_limit, 0)
  loop
    exit when clock_timestamp() > v_until;
    continue when unstuck_private.jobs_try_lock(array[v_row.job_id]) = '{}';
    begin
      return query
      select v_row.job_id, s.tool, s.run, s.retries, s.action, s.refunded, v_row.remaining
      from unstuck_private.website_reserve_or_fail(v_row.job_id, v_row.step) s;
    exception
      when lock_not_available or transaction_rollback or insufficient_resources or system_error then
        null;
      when others then
        perform unstuck_private.jobs_quarantine(array[v_row.job_id], sqlerrm);
    end;
  end loop;
end $$;

comment on function unstuck.generations_stale_v1 is $c$
Caller: cleanup-stale-generations.

Effect: goes through websites whose attempt stopped, up to p_limit. action: retry (reserved for 45 s
for the caller, which calls the function of its tool) | failed (no attempt or no time left: failed
and refunded here). What another transaction has locked is left to the next call; a job on which
this fails is quarantined. remaining: stale websites beyond p_limit.

Refuses: nothing.

Replay: a reserved website does not come again for 45 s.
$c$;

revoke all on function unstuck.generations_stale_v1 from public, anon, authenticated, service_role;
grant execute on function unstuck.generations_stale_v1 to service_role;

--: history
insert into unstuck_private.migrations (number, name, hash)
values (
  7,
  'deployments',
  'cdc5bb84db765caaef3e5fa6c465c3d1cb08bb97094690ce8857b3b0c7041f78'
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
