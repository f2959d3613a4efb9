-- 0009_operators.sql
-- Made by `cargo xtask migration operators`
-- from supabase/schemas, in the order in which things can be created. Do not edit it: change the
-- sources. It is applied once, whole or not at all.

begin;

do $applied$
begin
  if exists (select from unstuck_private.migrations where number = 9) then
    raise exception 'unstuck migration 0009 is applied already';
  end if;
  if not exists (select from unstuck_private.migrations where number = 8) then
    raise exception 'unstuck migration 0008 must be applied before 0009';
  end if;
end
$applied$;

-- A function may name an object that is created below it.
set local check_function_bodies = off;
-- While this waits for a table, everybody else waits behind it: fail and retry instead.
set local lock_timeout = '5s';

-- written by hand
alter table unstuck.jobs add column request_id text;

create index jobs_by_request
on unstuck.jobs (request_id)
where request_id is not null;

comment on table unstuck.admin_log is $c$
What admins did, and each change of a price, a tool or a provider, by whomever. Written in the
transaction of the act, append-only for everybody, kept for ever.
$c$;

create index credit_entries_by_day on unstuck.credit_entries
using brin (created_at);

alter table unstuck.tools add column provider_cost numeric
check (provider_cost >= 0);

revoke select on unstuck.tools from authenticated;

grant select (
  tool, table_name, provider, credit_cost, priced_per, step_order, refund_rule, exclusive_group,
  start_timeout, run_timeout, queue_ttl, attempt_max, user_cancel_running, enabled,
  account_faults, circuit_open_until, circuit_opened_at, circuit_reason, circuit_closed_at
) on unstuck.tools to authenticated;

--: recreated below, or removed
drop view unstuck.provider_load;
drop function unstuck_private.sweep_finish;
drop function unstuck.sweep_end_v1;
drop function unstuck_private.visible_load;
drop function unstuck.job_requeue_v1;

--: source admin/admin_log.sql 1631add0e1c6 by hand

--: source alert/alert_states.sql 392f2322a6ff
-- What is watched, how it is, and what the receiver of alerts was told of it last.
create table unstuck_private.alert_states (
  subject text primary key,
  code text not null,
  is_bad boolean not null,
  words text not null,
  -- When it last changed between good and bad.
  since timestamptz not null,
  -- Null: the receiver knows of nothing bad.
  told_bad_at timestamptz,
  -- When the receiver was last told anything.
  told_at timestamptz
);

alter table unstuck_private.alert_states enable row level security;
revoke all on unstuck_private.alert_states from public, anon, authenticated, service_role;

--: source alert/healer_marks.sql 0f6b6b5fd68f
-- When each healer was last seen: `edge`, `sql`, `queues`, and when each provider's webhooks were
-- (`webhook:` and the provider). `asked_at`: since when the queues owe an answer to a probe,
-- `pinged_at`: when the last one was sent. `balances`: when the providers were asked for ours.
create table unstuck_private.healer_marks (
  healer text primary key,
  seen_at timestamptz,
  asked_at timestamptz,
  pinged_at timestamptz
);

alter table unstuck_private.healer_marks enable row level security;
revoke all on unstuck_private.healer_marks from public, anon, authenticated, service_role;

--: source alert/messages_owed.sql f7d96302d063
create table unstuck.messages_owed (
  id uuid primary key default gen_random_uuid(),
  -- `alert`: something turned bad, is still bad, or is good again.
  kind text not null,
  -- The receiver's name. Its address is a secret of the functions, which this database never sees.
  "to" text not null,
  body jsonb not null,
  -- When it is sent, or sent once more.
  due_at timestamptz not null default clock_timestamp(),
  tries int not null default 0,
  sent_at timestamptz
);

create index messages_owed_by_due on unstuck.messages_owed (due_at)
where sent_at is null;

create index messages_owed_by_sent on unstuck.messages_owed (sent_at)
where sent_at is not null;

comment on table unstuck.messages_owed is $c$
What must be told to somebody outside. A row is owed until its receiver took it, however long that
takes, and is sent at least once, normally once: the receiver knows a repeated one by its id.
$c$;

alter table unstuck.messages_owed enable row level security;
revoke all on unstuck.messages_owed from public, anon, authenticated, service_role;
grant select on unstuck.messages_owed to service_role;

--: source alert/settings_differing.sql 4daf4fc1ef6b
-- The settings that had more than one value among the functions when they were last compared.
create table unstuck_private.settings_differing (
  name text primary key
);

alter table unstuck_private.settings_differing enable row level security;
revoke all on unstuck_private.settings_differing from public, anon, authenticated, service_role;

--: source credit/credit_entries.sql 2b73c8695910 by hand

--: source metric/costs_by_day.sql 6ff14b6a9a25
-- What the steps that ended on a day of UTC cost at the provider, in credits, by tool: each attempt
-- at the cost that the tool had when it was counted.
create table unstuck_private.costs_by_day (
  day date not null,
  tool text not null,
  attempts bigint not null,
  cost numeric not null,
  primary key (day, tool)
);

alter table unstuck_private.costs_by_day enable row level security;
revoke all on unstuck_private.costs_by_day from public, anon, authenticated, service_role;

--: source metric/counted_until.sql 3ac36ce40e76
-- Up to when the jobs that ended are counted. One row.
create table unstuck_private.counted_until (
  only_row boolean primary key default true
    check (only_row),
  at timestamptz not null default clock_timestamp()
);

insert into unstuck_private.counted_until
default values
on conflict do nothing;

alter table unstuck_private.counted_until enable row level security;
revoke all on unstuck_private.counted_until from public, anon, authenticated, service_role;

--: source metric/counters.sql 9f9e48689cf6
-- What ended since the installation, added up by the sweeps: one row for each line of `metrics`. A
-- histogram's buckets hold what they and all smaller ones have.
create table unstuck_private.counters (
  name text not null,
  labels jsonb not null,
  value numeric not null,
  primary key (name, labels)
);

alter table unstuck_private.counters enable row level security;
revoke all on unstuck_private.counters from public, anon, authenticated, service_role;

--: source metric/ended_by_minute.sql 4f9f1969c2a6
-- How the steps of each provider ended, minute by minute, for the last hour.
create table unstuck_private.ended_by_minute (
  minute timestamptz not null,
  provider text not null,
  done int not null,
  failed int not null,
  primary key (provider, minute)
);

alter table unstuck_private.ended_by_minute enable row level security;
revoke all on unstuck_private.ended_by_minute from public, anon, authenticated, service_role;

--: source alert/provider_balances.sql ebb344c6d874
-- What a provider last told of our account there: an amount by unit (`coins`, a currency).
create table unstuck_private.provider_balances (
  provider text primary key references unstuck.providers,
  amounts jsonb not null,
  told_at timestamptz not null
);

alter table unstuck_private.provider_balances enable row level security;
revoke all on unstuck_private.provider_balances from public, anon, authenticated, service_role;

--: source tool/tools.sql 2a0db154ca35 by hand

--: source job/jobs.sql 24540891924b by hand

--: source admin/act_as_admin.sql 253f27a7b5b2
-- Admits an admin, by the role that the database has now, and names the actor and the reason of
-- this transaction for whoever writes `admin_log`.
create or replace function unstuck_private.act_as_admin(p_actor uuid, p_reason text) returns void
language plpgsql
set search_path = ''
as
$$
begin
  if p_actor is null or not unstuck.has_role(p_actor, 'admin') then
    perform unstuck_private.refuse(403, 'forbidden');
  end if;
  perform unstuck_private.act_as('admin:' || p_actor);
  perform set_config('unstuck.reason', left(coalesce(trim(p_reason), ''), 1000), true);
end $$;

revoke all on function unstuck_private.act_as_admin from public, anon, authenticated, service_role;

--: source admin/admin_log_read_v1.sql cbdffd308d7d
create or replace function unstuck.admin_log_read_v1(
  p_actor uuid,
  p_before bigint default null,
  p_subject text default null,
  p_act text default null,
  p_limit int default 100
)
returns table (
  id bigint,
  at timestamptz,
  actor uuid,
  act text,
  subject text,
  "from" jsonb,
  "to" jsonb,
  reason text
)
language plpgsql
security definer
set search_path = ''
set statement_timeout = '10s'
as
$$
#variable_conflict use_column
begin
  perform unstuck_private.refuse_other_deployment();
  perform unstuck_private.act_as_admin(p_actor, null);
  return query
  select l.id, l.at, l.actor, l.act, l.subject, l."from", l."to", l.reason
  from unstuck.admin_log l
  where l.id < coalesce(p_before, 9223372036854775807)
    and (nullif(p_subject, '') is null or l.subject = p_subject)
    and (nullif(p_act, '') is null or l.act = p_act)
  order by l.id desc
  limit least(greatest(p_limit, 1), 500);
end $$;

comment on function unstuck.admin_log_read_v1 is $c$
Caller: admin-settings. The role of p_actor is read in the same transaction.

Effect: none. The newest rows of admin_log before p_before, of one subject or of one act.

Refuses: forbidden.

Replay: reads again.
$c$;

revoke all on function unstuck.admin_log_read_v1 from public, anon, authenticated, service_role;
grant execute on function unstuck.admin_log_read_v1 to service_role;

--: source admin/admin_log_write.sql dc6a77166554
-- Writes a row of `admin_log` with the actor and the reason of this transaction. The actor is the
-- admin, or nobody for a change by SQL.
create or replace function unstuck_private.admin_log_write(
  p_act text,
  p_subject text,
  p_from jsonb,
  p_to jsonb
)
returns void
language sql
set search_path = ''
as
$$
  insert into unstuck.admin_log (actor, act, subject, "from", "to", reason)
  values (
    substring(current_setting('unstuck.actor', true) from '^admin:([0-9a-f-]{36})$')::uuid,
    p_act,
    p_subject,
    p_from,
    p_to,
    nullif(current_setting('unstuck.reason', true), '')
  )
$$;

revoke all on function unstuck_private.admin_log_write
from public, anon, authenticated, service_role;

--: source admin/auth_email.sql 6cd4b48b310f
-- The e-mail address of a user, confirmed or not; null where our role cannot read it.
create or replace function unstuck_private.auth_email(p_user_id uuid) returns text
language plpgsql
stable
set search_path = ''
as
$$
begin
  return (
    select u.email
    from auth.users u
    where u.id = p_user_id
  );
exception
  when invalid_schema_name or undefined_table or undefined_column or insufficient_privilege then
    return null;
end $$;

revoke all on function unstuck_private.auth_email from public, anon, authenticated, service_role;

--: source admin/auth_ids_between.sql 85061819536d
-- The project's users whose ids lie between two; nobody where our role cannot read them.
create or replace function unstuck_private.auth_ids_between(p_from uuid, p_to uuid, p_limit int)
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
  where u.id between p_from and p_to
  limit p_limit;
exception
  when invalid_schema_name or undefined_table or undefined_column or insufficient_privilege then
    return;
end $$;

revoke all on function unstuck_private.auth_ids_between
from public, anon, authenticated, service_role;

--: source admin/credit_grant_admin_v1.sql 6c9fabc156f3
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
  v_entry unstuck.credit_entries;
  v_before bigint;
begin
  perform unstuck_private.refuse_other_deployment();
  perform unstuck_private.act_as_admin(p_actor, p_reason);
  perform unstuck_private.refuse_without_reason(p_reason);
  if p_user_id is null
    or p_user_id = unstuck_private.erased_user()
    or p_amount is null
    or p_amount not between 1 and unstuck_private.grant_max()
    or coalesce(p_idempotency_key, '') = ''
  then
    perform unstuck_private.refuse(400, 'bad_request');
  end if;
  perform unstuck_private.account_lock(p_user_id);
  select *
  into v_entry
  from unstuck.credit_entries
  where idempotency_key = p_idempotency_key;
  if found then
    if v_entry.user_id <> p_user_id
      or v_entry.amount <> p_amount
      or v_entry.kind <> 'goodwill'
    then
      perform unstuck_private.refuse(409, 'idempotency_conflict');
    end if;
    return query select unstuck_private.balance_shown(p_user_id, null), true;
    return;
  end if;
  v_before := unstuck_private.balance_shown(p_user_id, null);
  begin
    insert into unstuck.credit_entries (user_id, kind, amount, reason, idempotency_key)
    values (p_user_id, 'goodwill', p_amount, trim(p_reason), p_idempotency_key);
  exception when unique_violation then
    -- Another transaction used the key for another user at the same moment.
    perform unstuck_private.refuse(409, 'idempotency_conflict');
  end;
  balance := unstuck_private.balance_shown(p_user_id, null);
  perform unstuck_private.admin_log_write(
    'credits_granted',
    p_user_id::text,
    jsonb_build_object('balance', v_before),
    jsonb_build_object('balance', balance, 'amount', p_amount)
  );
  return query select balance, false;
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

--: source admin/id_beginning.sql 2a3e781fb1cd
-- The digits of a UUID or of its beginning, four at least; null for any other text.
create or replace function unstuck_private.id_beginning(p_text text) returns text
language sql
immutable
set search_path = ''
as
$$
  select case
    when p_text ~* '^[0-9a-f-]{4,36}$' and length(replace(p_text, '-', '')) between 4 and 32
      then lower(replace(p_text, '-', ''))
  end
$$;

revoke all on function unstuck_private.id_beginning from public, anon, authenticated, service_role;

--: source admin/job_cancel_admin_v1.sql 5d1b4251f344
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
  perform unstuck_private.act_as_admin(p_actor, p_reason);
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
  perform unstuck_private.admin_log_write(
    'job_cancelled',
    p_job_id::text,
    jsonb_build_object('status', v_job.status, 'refunded', v_job.credits_refunded),
    (
      select jsonb_build_object('status', j.status, 'refunded', j.credits_refunded)
      from unstuck.jobs j
      where j.id = p_job_id
    )
  );
end $$;

comment on function unstuck.job_cancel_admin_v1 is $c$
Caller: admin-cancel-job. The role of p_actor is read in the same transaction.

Effect: cancels a live job of any tool, also a quarantined one, and refunds what the ledger shows as
taken and not yet refunded, whatever the row says. If the account takes no refund, the job is
cancelled without one. The message says what was refunded; the event admin_cancelled has the sums
before and after, and why a refund failed. It is a row of admin_log.

Refuses: forbidden, bad_request, not_found, already_final (with status and refundedCredits).

Replay: already_final; nothing is refunded twice.
$c$;

revoke all on function unstuck.job_cancel_admin_v1 from public, anon, authenticated, service_role;
grant execute on function unstuck.job_cancel_admin_v1 to service_role;

--: source admin/job_requeue_v1.sql 5ccc990732eb
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

Replay: while the new job is live: that job.
$c$;

revoke all on function unstuck.job_requeue_v1 from public, anon, authenticated, service_role;
grant execute on function unstuck.job_requeue_v1 to service_role;

--: source admin/job_retry.sql e0926a8bc48e
-- Retries a job that `job_lock` locked: a live one past its lease or deadline is requeued, a final
-- one becomes the new job p_new_job_id, unless a retry of it is live already (is_new: false).
-- Returns the job that now works.
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
    and unstuck_private.is_live(j.status);
  is_new := not found;
  if is_new then
    perform unstuck_private.job_repeat(p_job, v_tool, p_charge, p_new_job_id);
    job_id := p_new_job_id;
  end if;
end $$;

revoke all on function unstuck_private.job_retry from public, anon, authenticated, service_role;

--: source admin/job_summary.sql fa1eab807ec3
-- A job as the admin's page lists it.
create or replace function unstuck_private.job_summary(p_job unstuck.jobs) returns jsonb
language sql
stable
set search_path = ''
as
$$
  select jsonb_build_object(
    'jobId', p_job.id,
    'table', (select t.table_name from unstuck.tools t where t.tool = p_job.tool),
    'tool', p_job.tool,
    'userId', p_job.user_id,
    'status', p_job.status,
    'errorCode', p_job.error_code,
    'creditsCharged', p_job.credits_charged,
    'creditsRefunded', p_job.credits_refunded,
    'createdAt', p_job.created_at,
    'completedAt', p_job.completed_at
  )
$$;

revoke all on function unstuck_private.job_summary from public, anon, authenticated, service_role;

--: source admin/jobs_cancel_many_v1.sql cf91d911086e
create or replace function unstuck.jobs_cancel_many_v1(
  p_actor uuid,
  p_filter jsonb,
  p_limit int,
  p_reason text
)
returns table (
  matched int,
  done int,
  refused jsonb,
  refunded_credits bigint,
  providers text[]
)
language plpgsql
security definer
set search_path = ''
set statement_timeout = '10s'
as
$$
#variable_conflict use_column
declare
  v_until timestamptz := clock_timestamp() + interval '6 seconds';
  v_message text := 'cancelled by an admin: ' || trim(trailing '.' from trim(p_reason)) || '.';
  v_live uuid[];
  v_locked uuid[];
  v_done uuid[];
  v_found record;
begin
  perform unstuck_private.refuse_other_deployment();
  perform unstuck_private.act_as_admin(p_actor, p_reason);
  perform unstuck_private.refuse_wide_filter(p_filter, p_limit, p_reason);
  v_found := unstuck_private.jobs_matching(
    p_filter, array['pending', 'queued', 'starting', 'running'], false, p_limit);
  v_live := array(
    select j.id
    from unstuck.jobs j
    where j.id = any (v_found.ids) and unstuck_private.is_live(j.status)
  );
  v_locked := unstuck_private.jobs_try_lock(v_live);
  -- Under the locks: a job may have ended meanwhile.
  v_locked := array(
    select j.id
    from unstuck.jobs j
    where j.id = any (v_locked) and unstuck_private.is_live(j.status)
  );
  select
    coalesce(array_agg(c.job_id), '{}'),
    coalesce(sum(c.refunded), 0)::bigint,
    array_agg(distinct t.provider)
  into v_done, refunded_credits, providers
  from unstuck_private.jobs_finalise_each(
    v_locked,
    array_fill('cancelled'::text, array[cardinality(v_locked)]),
    array_fill('CANCELLED'::text, array[cardinality(v_locked)]),
    array_fill(v_message, array[cardinality(v_locked)]),
    v_until) c
  join unstuck.tools t using (tool);
  refused := unstuck_private.jobs_refused(p_filter, p_limit, v_found.ids, v_done, v_locked);
  if p_limit > 0 then
    perform unstuck_private.admin_log_write(
      'jobs_cancelled', null, p_filter,
      jsonb_build_object(
        'matched', v_found.total,
        'jobs', v_done,
        'refused', jsonb_array_length(refused),
        'refunded', refunded_credits
      )
    );
  end if;
  return query
  select v_found.total, cardinality(v_done), refused, refunded_credits,
    coalesce(providers, '{}');
end $$;

comment on function unstuck.jobs_cancel_many_v1 is $c$
Caller: admin-cancel-job, for many jobs. The role of p_actor is read in the same transaction.

Effect: cancels and refunds up to p_limit of the jobs that p_filter names, oldest first, for six
seconds at most, and writes one row of admin_log. matched: all that the filter names; done: those
that were cancelled; refused: those that were not, each with a code. It waits for no lock: a job
that is held is refused as in_progress. What is left over is in neither list. With p_limit 0 it
counts.

Refuses: forbidden, bad_request (no filter, no reason, a limit beyond 1,000).

Replay: cancels further ones.
$c$;

revoke all on function unstuck.jobs_cancel_many_v1 from public, anon, authenticated, service_role;
grant execute on function unstuck.jobs_cancel_many_v1 to service_role;

--: source admin/jobs_matching.sql b5eae9bb9a8f
-- The jobs that an admin's filter names, oldest first: p_filter has any of `ids`, `tool`, `status`,
-- `provider`, `userId`, `errorCode`, `createdAfter`, `createdBefore`. Where it names neither ids
-- nor a status, those with a status of p_statuses are meant. Jobs that are kept for an operator,
-- and (p_once) those that were retried, are not, unless they are named. `total` counts all of them,
-- up to 1,000,000.
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
  v_ids uuid[] := (
    select array_agg(i.id::uuid)
    from jsonb_array_elements_text(p_filter -> 'ids') as i (id)
  );
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

--: source admin/jobs_named.sql 04986d9689c6
-- The jobs that a search text names: an id or its beginning (four characters at least), a
-- provider's id of a task, the id of the request that ordered.
create or replace function unstuck_private.jobs_named(p_text text, p_limit int)
returns table (job_id uuid)
language plpgsql
stable
set search_path = ''
as
$$
declare
  v_hex text := unstuck_private.id_beginning(p_text);
begin
  if v_hex is not null then
    return query
    select j.id
    from unstuck.jobs j
    where j.id between rpad(v_hex, 32, '0')::uuid and rpad(v_hex, 32, 'f')::uuid
    limit p_limit;
  end if;
  return query
  select s.job_id
  from unstuck.providers p
  join unstuck.job_steps s on s.provider = p.provider and s.provider_task_id = p_text
  union
  select j.id
  from unstuck.jobs j
  where j.request_id = p_text
  limit p_limit;
end $$;

revoke all on function unstuck_private.jobs_named from public, anon, authenticated, service_role;

--: source admin/jobs_refused.sql 2ac1e9551ed9
-- Why jobs that an admin chose were not cancelled: `[{jobId, code}]`. An id that the filter names
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

--: source admin/jobs_requeue_many_v1.sql b30796bb478b
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
  -- Accounts are locked in the order of their ids, like everywhere.
  for v_next in
    select j.id, t.provider
    from unstuck.jobs j
    join unstuck.tools t using (tool)
    where j.id = any (v_found.ids)
    order by j.user_id, j.created_at, j.id
  loop
    exit when clock_timestamp() > v_until;
    begin
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
with the job that now works; refused: those that were not, each with a code. What is left over is in
neither list. With p_limit 0 it counts.

Refuses: forbidden, bad_request (no filter, no reason, a limit beyond 1,000).

Replay: retries further ones; of one that it retried, the live retry is named once more.
$c$;

revoke all on function unstuck.jobs_requeue_many_v1 from public, anon, authenticated, service_role;
grant execute on function unstuck.jobs_requeue_many_v1 to service_role;

--: source admin/price_rule_change.sql 353a661c2dbc
-- Changes, adds or removes one rule of a tool's prices. A rule for a job or a step has neither a
-- quantity nor a least price.
create or replace function unstuck_private.price_rule_change(p_change jsonb) returns void
language plpgsql
set search_path = ''
as
$$
declare
  v_tool text := p_change ->> 'tool';
  v_position int := p_change ->> 'position';
begin
  if (p_change ->> 'remove')::boolean then
    delete from unstuck.tool_prices p
    where p.tool = v_tool and p.position = v_position;
    if not found then
      perform unstuck_private.refuse(404, 'not_found');
    end if;
    return;
  end if;
  update unstuck.tool_prices p
  set matches = coalesce(p_change -> 'matches', p.matches),
    credits = coalesce((p_change ->> 'credits')::bigint, p.credits),
    priced_per = coalesce(p_change ->> 'pricedPer', p.priced_per),
    quantity = case
      when p_change ->> 'pricedPer' in ('job', 'step') then (p_change ->> 'quantity')::numeric
      else coalesce((p_change ->> 'quantity')::numeric, p.quantity)
    end,
    credits_min = case
      when p_change ->> 'pricedPer' in ('job', 'step') then (p_change ->> 'creditsMin')::bigint
      else coalesce((p_change ->> 'creditsMin')::bigint, p.credits_min)
    end,
    note = coalesce(p_change ->> 'note', p.note)
  where p.tool = v_tool and p.position = v_position;
  if not found then
    insert into unstuck.tool_prices (
      tool, position, matches, credits, priced_per, quantity, credits_min, note
    )
    values (
      v_tool, v_position,
      coalesce(p_change -> 'matches', '{}'),
      (p_change ->> 'credits')::bigint,
      coalesce(p_change ->> 'pricedPer', 'job'),
      (p_change ->> 'quantity')::numeric,
      (p_change ->> 'creditsMin')::bigint,
      p_change ->> 'note'
    );
  end if;
end $$;

revoke all on function unstuck_private.price_rule_change
from public, anon, authenticated, service_role;

--: source admin/prices_change_v1.sql 0cce9b0c684f
create or replace function unstuck.prices_change_v1(
  p_actor uuid,
  p_change jsonb default null,
  p_reason text default null
)
returns table (tool text, rule jsonb)
language plpgsql
security definer
set search_path = ''
set statement_timeout = '10s'
as
$$
#variable_conflict use_column
begin
  perform unstuck_private.refuse_other_deployment();
  perform unstuck_private.act_as_admin(p_actor, p_reason);
  if p_change is not null then
    perform unstuck_private.refuse_without_reason(p_reason);
    perform unstuck_private.price_rule_change(p_change);
  end if;
  return query
  select
    p.tool,
    jsonb_build_object(
      'tool', p.tool,
      'position', p.position,
      'matches', p.matches,
      'credits', p.credits,
      'pricedPer', p.priced_per,
      'quantity', p.quantity,
      'creditsMin', p.credits_min,
      'note', p.note
    )
  from unstuck.tool_prices p
  order by p.tool, p.position;
exception
  when check_violation or numeric_value_out_of_range or invalid_text_representation
    or not_null_violation or foreign_key_violation
  then
    perform unstuck_private.refuse(400, 'bad_request');
end $$;

comment on function unstuck.prices_change_v1 is $c$
Caller: admin-settings. The role of p_actor is read in the same transaction.

Effect: changes the rule of `tool` and `position` in p_change, or adds it: matches, credits,
pricedPer, quantity, creditsMin, note; remove: true deletes it. A trigger writes admin_log. What was
ordered keeps its price. Returns all rules as they now are; without p_change it only reads.

Refuses: forbidden, not_found (a rule to remove), bad_request (no reason; a rule that the table
refuses).

Replay: changes nothing; a rule that is removed already is not_found.
$c$;

revoke all on function unstuck.prices_change_v1 from public, anon, authenticated, service_role;
grant execute on function unstuck.prices_change_v1 to service_role;

--: source admin/provider_settings.sql 58bd8208333c
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

--: source admin/providers_change_v1.sql 8d47b3f32639
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
      max_concurrent = coalesce((p_change ->> 'maxConcurrent')::int, p.max_concurrent)
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
maxConcurrent; closeCircuit: true), and writes what changed to admin_log. What works at the provider
goes on. Returns all providers as they now are; without p_change it only reads.

Refuses: forbidden, not_found, bad_request (a value that the table refuses).

Replay: changes nothing.
$c$;

revoke all on function unstuck.providers_change_v1 from public, anon, authenticated, service_role;
grant execute on function unstuck.providers_change_v1 to service_role;

--: source admin/refuse_wide_filter.sql e722977b36a6
-- Refuses to act on many jobs without a filter, beyond 1,000 a call, or without a reason; to count
-- them (p_limit: 0) needs none.
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
  exception when invalid_datetime_format or datetime_field_overflow then
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

--: source admin/refuse_without_reason.sql d3ab1e07437e
-- Refuses an act that moves money, or many rows, without a word why.
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

--: source admin/tool_change.sql 9ae41fd59c48
-- Writes the settings that an admin changes of a locked tool; triggers write `admin_log`. A circuit
-- that is closed is an act of its own.
create or replace function unstuck_private.tool_change(p_tool unstuck.tools, p_change jsonb)
returns void
language plpgsql
set search_path = ''
as
$$
begin
  update unstuck.tools t
  set enabled = coalesce((p_change ->> 'enabled')::boolean, t.enabled),
    credit_cost = coalesce((p_change ->> 'creditCost')::bigint, t.credit_cost),
    priced_per = coalesce(p_change ->> 'pricedPer', t.priced_per),
    run_timeout = coalesce(
      (p_change ->> 'runTimeoutSeconds')::int * interval '1 second', t.run_timeout),
    queue_ttl = coalesce((p_change ->> 'queueTtlSeconds')::int * interval '1 second', t.queue_ttl),
    attempt_max = coalesce((p_change ->> 'attemptMax')::int, t.attempt_max),
    user_cancel_running = coalesce(
      (p_change ->> 'userCancelRunning')::boolean, t.user_cancel_running),
    provider_cost = coalesce((p_change ->> 'providerCost')::numeric, t.provider_cost)
  where t.tool = p_tool.tool;
  if (p_change ->> 'closeCircuit')::boolean and p_tool.circuit_open_until is not null then
    update unstuck.tools t
    set circuit_open_until = null
    where t.tool = p_tool.tool;
    perform unstuck_private.admin_log_write(
      'circuit_closed', p_tool.tool, jsonb_build_object('reason', p_tool.circuit_reason), null);
  end if;
end $$;

revoke all on function unstuck_private.tool_change from public, anon, authenticated, service_role;

--: source admin/tool_settings.sql d199465dea8a
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
    'startTimeoutSeconds', extract(epoch from p_tool.start_timeout)::int,
    'runTimeoutSeconds', extract(epoch from p_tool.run_timeout)::int,
    'queueTtlSeconds', extract(epoch from p_tool.queue_ttl)::int,
    'attemptMax', p_tool.attempt_max,
    'userCancelRunning', p_tool.user_cancel_running,
    'circuitOpenUntil', p_tool.circuit_open_until,
    'circuitReason', p_tool.circuit_reason,
    'providerCost', p_tool.provider_cost
  )
$$;

revoke all on function unstuck_private.tool_settings from public, anon, authenticated, service_role;

--: source admin/tools_change_v1.sql a9e5727f5d6f
create or replace function unstuck.tools_change_v1(
  p_actor uuid,
  p_change jsonb default null,
  p_reason text default null
)
returns table (tool text, settings jsonb)
language plpgsql
security definer
set search_path = ''
set statement_timeout = '10s'
as
$$
#variable_conflict use_column
declare
  v_old unstuck.tools;
begin
  perform unstuck_private.refuse_other_deployment();
  perform unstuck_private.act_as_admin(p_actor, p_reason);
  if p_change is not null then
    if p_change ->> 'creditCost' is not null or p_change ->> 'pricedPer' is not null then
      perform unstuck_private.refuse_without_reason(p_reason);
    end if;
    select *
    into v_old
    from unstuck.tools t
    where t.tool = p_change ->> 'tool'
    for no key update;
    if not found then
      perform unstuck_private.refuse(404, 'not_found');
    end if;
    perform unstuck_private.tool_change(v_old, p_change);
  end if;
  return query
  select t.tool, unstuck_private.tool_settings(t)
  from unstuck.tools t
  order by t.tool;
exception when check_violation or numeric_value_out_of_range or invalid_text_representation then
  perform unstuck_private.refuse(400, 'bad_request');
end $$;

comment on function unstuck.tools_change_v1 is $c$
Caller: admin-settings. The role of p_actor is read in the same transaction.

Effect: changes the settings of a tool that p_change names beside `tool` (enabled, creditCost,
pricedPer, runTimeoutSeconds, queueTtlSeconds, attemptMax, userCancelRunning, providerCost;
closeCircuit: true), and writes what changed to admin_log. Orders that are under way keep what they
were told. Returns all tools as they now are; without p_change it only reads.

Refuses: forbidden, not_found, bad_request (a value that the table refuses; a price without a
reason).

Replay: changes nothing.
$c$;

revoke all on function unstuck.tools_change_v1 from public, anon, authenticated, service_role;
grant execute on function unstuck.tools_change_v1 to service_role;

--: source admin/user_show_v1.sql f29ae422ff93
create or replace function unstuck.user_show_v1(p_actor uuid, p_user_id uuid)
returns table (account jsonb, jobs jsonb, ledger jsonb, debts jsonb, purchases jsonb)
language plpgsql
security definer
set search_path = ''
set statement_timeout = '10s'
as
$$
#variable_conflict use_column
begin
  perform unstuck_private.refuse_other_deployment();
  perform unstuck_private.act_as_admin(p_actor, null);
  account := unstuck_private.user_summary(p_user_id);
  jobs := (
    select coalesce(jsonb_agg(unstuck_private.job_summary(j) order by j.created_at desc), '[]')
    from (
      select *
      from unstuck.jobs o
      where o.user_id = p_user_id
      order by o.created_at desc
      limit 100
    ) j
  );
  ledger := (
    select coalesce(
      jsonb_agg(
        jsonb_build_object(
          'id', e.id, 'at', e.created_at, 'kind', e.kind, 'amount', e.amount,
          'balanceAfter', e.balance_after, 'jobId', e.job_id, 'reason', e.reason,
          'actor', e.actor)
        order by e.id desc),
      '[]')
    from (
      select *
      from unstuck.credit_entries o
      where o.user_id = p_user_id
      order by o.id desc
      limit 200
    ) e
  );
  debts := (
    select coalesce(
      jsonb_agg(
        jsonb_build_object(
          'at', d.created_at, 'amount', d.amount, 'settled', d.settled,
          'purchaseId', d.purchase_id)
        order by d.created_at),
      '[]')
    from unstuck.credit_debts d
    where d.user_id = p_user_id
  );
  purchases := (
    select coalesce(
      jsonb_agg(
        jsonb_build_object(
          'id', p.id, 'seller', p.seller, 'pack', p.pack, 'credits', p.credits,
          'granted', p.granted, 'taken', p.taken)),
      '[]')
    from unstuck.purchases p
    where p.user_id = p_user_id
  );
  return next;
end $$;

comment on function unstuck.user_show_v1 is $c$
Caller: admin-users. The role of p_actor is read in the same transaction.

Effect: none. One user: balance and debt, the newest 100 jobs and 200 entries of the ledger, debts
and purchases. A user whom nobody knows has zeros and empty lists.

Refuses: forbidden.

Replay: reads again.
$c$;

revoke all on function unstuck.user_show_v1 from public, anon, authenticated, service_role;
grant execute on function unstuck.user_show_v1 to service_role;

--: source admin/user_summary.sql 530b38110ea2
-- A user as the admin's page lists them.
create or replace function unstuck_private.user_summary(p_user_id uuid) returns jsonb
language sql
stable
set search_path = ''
as
$$
  select jsonb_build_object(
    'userId', p_user_id,
    'email', unstuck_private.auth_email(p_user_id),
    'balance', unstuck_private.balance_shown(p_user_id, null),
    'debt', coalesce((
      select sum(d.amount - d.settled)
      from unstuck.credit_debts d
      where d.user_id = p_user_id and d.amount > d.settled
    ), 0),
    'liveJobs', (
      select count(*)
      from unstuck.jobs j
      where j.user_id = p_user_id and unstuck_private.is_live(j.status)
    ),
    'createdAt', (unstuck_private.auth_user(p_user_id, null)).created_at
  )
$$;

revoke all on function unstuck_private.user_summary from public, anon, authenticated, service_role;

--: source admin/users_find_v1.sql 99cb71ac025f
create or replace function unstuck.users_find_v1(p_actor uuid, p_query text)
returns table (users jsonb, jobs jsonb)
language plpgsql
security definer
set search_path = ''
set statement_timeout = '10s'
as
$$
#variable_conflict use_column
declare
  v_text text := trim(p_query);
  v_hex text := unstuck_private.id_beginning(trim(p_query));
  v_from uuid := rpad(v_hex, 32, '0');
  v_to uuid := rpad(v_hex, 32, 'f');
  v_jobs uuid[];
begin
  perform unstuck_private.refuse_other_deployment();
  perform unstuck_private.act_as_admin(p_actor, null);
  if coalesce(v_text, '') = '' then
    perform unstuck_private.refuse(400, 'bad_request', '{"field": "query"}');
  end if;
  v_jobs := array(select n.job_id from unstuck_private.jobs_named(v_text, 20) n);
  select coalesce(jsonb_agg(unstuck_private.user_summary(f.user_id)), '[]')
  into users
  from (
    select n.user_id
    from unstuck_private.users_named(v_text, 20) n
    union
    select a.user_id
    from unstuck.credit_accounts a
    where a.user_id between v_from and v_to
    union
    select n.user_id
    from unstuck_private.auth_ids_between(v_from, v_to, 20) n
    union
    select j.user_id
    from unstuck.jobs j
    where j.id = any (v_jobs)
    limit 20
  ) f;
  select coalesce(jsonb_agg(unstuck_private.job_summary(j) order by j.created_at desc), '[]')
  into jobs
  from unstuck.jobs j
  where j.id = any (v_jobs);
  return next;
end $$;

comment on function unstuck.users_find_v1 is $c$
Caller: admin-users. The role of p_actor is read in the same transaction.

Effect: none. Up to twenty users, and up to twenty jobs, whom a text names: an e-mail address or its
beginning, the id of a user or a job or its beginning, a provider's id of a task, or the id of the
request that ordered. Of a job, its user is found too.

Refuses: forbidden, bad_request (an empty text).

Replay: reads again.
$c$;

revoke all on function unstuck.users_find_v1 from public, anon, authenticated, service_role;
grant execute on function unstuck.users_find_v1 to service_role;

--: source admin/users_named.sql 59c2286b6287
-- The users whom a search text names, and why: an e-mail address or its beginning. Where our role
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

--: source alert/alerts_due_v1.sql 6058aa4680ae
create or replace function unstuck.alerts_due_v1(
  p_quiet_from int default null,
  p_quiet_to int default null,
  p_repeat_minutes int default null,
  p_limit int default 10
)
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
  perform unstuck_private.alerts_owe(
    'alerts',
    v_now,
    unstuck_private.quiet_until(v_now, p_quiet_from, p_quiet_to),
    nullif(p_repeat_minutes, 0) * interval '1 minute'
  );
  return query
  update unstuck.messages_owed m
  set tries = m.tries + 1,
    due_at = v_now + interval '1 minute'
  where m.id = any (array(
    select o.id
    from unstuck.messages_owed o
    where o.sent_at is null
      and o.due_at <= v_now
      and o.kind = 'alert'
    order by o.due_at
    limit least(greatest(p_limit, 1), 100)
    for update skip locked
  ))
  returning m.id, m.body;
end $$;

comment on function unstuck.alerts_due_v1 is $c$
Caller: each scheduled function after its work, and the gateway when health is asked, where a
receiver of alerts is set.

Effect: owes a message for whatever turned bad, or good again, since the receiver was told, and
returns the messages that are due, each to one caller for a minute. In quiet hours (UTC, from and to
a full hour) messages wait for their end; what stays bad is told every p_repeat_minutes, or once.

Refuses: nothing.

Replay: what was returned a minute ago and is not reported by message_sent_v1 is returned once more.
$c$;

revoke all on function unstuck.alerts_due_v1 from public, anon, authenticated, service_role;
grant execute on function unstuck.alerts_due_v1 to service_role;

--: source alert/alerts_owe.sql 3f3f83f202fb
-- Compares what is watched with what the receiver was told, and owes a message for each difference.
-- Bad is told at once. Good is told when it has lasted a minute, and what was told good turns bad
-- five minutes later at the earliest: a subject that flaps is told twice at most. While it stays
-- bad, it is told every p_repeat, if that is not null. p_due_at: when a message may leave. One
-- transaction at a time works here; the others leave it to that one.
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
  insert into unstuck_private.alert_states as a (subject, code, is_bad, words, since)
  select w.subject, w.code, w.is_bad, w.words, p_now
  from unstuck_private.watched(p_now) w
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

--: source alert/balances_ask.sql 8be364870151
-- True when the edge shall ask the providers what is left on our accounts: nobody did for ten
-- minutes.
create or replace function unstuck_private.balances_ask(p_now timestamptz) returns boolean
language plpgsql
set search_path = ''
as
$$
begin
  insert into unstuck_private.healer_marks (healer)
  values ('balances')
  on conflict do nothing;
  update unstuck_private.healer_marks m
  set pinged_at = p_now
  where m.ctid = any (array(
    select h.ctid
    from unstuck_private.healer_marks h
    where h.healer = 'balances'
      and coalesce(h.pinged_at, '-infinity') < p_now - interval '10 minutes'
    for update skip locked
  ));
  return found;
end $$;

revoke all on function unstuck_private.balances_ask from public, anon, authenticated, service_role;

--: source alert/healer_mark.sql b33bf1e1f4c1
-- Records that a healer was seen. It waits for nobody: who holds the row has just seen it too.
create or replace function unstuck_private.healer_mark(p_healer text, p_at timestamptz)
returns void
language sql
set search_path = ''
as
$$
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
  ))
$$;

revoke all on function unstuck_private.healer_mark from public, anon, authenticated, service_role;

--: source alert/is_sql_scheduled.sql 8abc2a648d49
-- True where pg_cron shall run the SQL healer. A call by hand makes no healer of it. Where our role
-- cannot read the schedule, nothing is expected of it.
create or replace function unstuck_private.is_sql_scheduled() returns boolean
language plpgsql
stable
set search_path = ''
as
$$
begin
  if to_regclass('cron.job') is null then
    return false;
  end if;
  return exists (
    select from cron.job j
    where j.jobname = 'unstuck-cleanup' and j.active
  );
exception when insufficient_privilege then
  return false;
end $$;

revoke all on function unstuck_private.is_sql_scheduled
from public, anon, authenticated, service_role;

--: source alert/message_sent_v1.sql 094adb3845ea
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
        interval '5 minutes'
      )
    end
  where m.id = p_id
    and m.sent_at is null
$$;

comment on function unstuck.message_sent_v1 is $c$
Caller: whoever sent a message that alerts_due_v1 returned.

Effect: a message that its receiver took is sent. Any other is due once more, later after each try,
after five minutes at most; p_delay_ms is what the receiver asks for.

Refuses: nothing.

Replay: a message that is sent stays so.
$c$;

revoke all on function unstuck.message_sent_v1 from public, anon, authenticated, service_role;
grant execute on function unstuck.message_sent_v1 to service_role;

--: source alert/provider_balance_v1.sql e8a62092b107
create or replace function unstuck.provider_balance_v1(p_provider text, p_amounts jsonb)
returns void
language sql
security definer
set search_path = ''
as
$$
  select unstuck_private.refuse_other_deployment();

  insert into unstuck_private.provider_balances as b (provider, amounts, told_at)
  select p.provider, p_amounts, clock_timestamp()
  from unstuck.providers p
  where p.provider = p_provider
    and jsonb_typeof(p_amounts) = 'object'
  on conflict (provider) do update
  set amounts = excluded.amounts,
    told_at = excluded.told_at
$$;

comment on function unstuck.provider_balance_v1 is $c$
Caller: an edge healer that asked the provider, where sweep_end_v1 said ask_balances.

Effect: keeps what is left on our account, an amount by unit, for the admin page and metrics.

Refuses: nothing; an unknown provider changes nothing.

Replay: keeps the same.
$c$;

revoke all on function unstuck.provider_balance_v1 from public, anon, authenticated, service_role;
grant execute on function unstuck.provider_balance_v1 to service_role;

--: source alert/provider_failures.sql 2a183f1ee0ed
-- How the steps of each provider ended within 15 minutes, as the sweeps counted them, and whether
-- that is bad: more than half of at least twenty failed. Webhooks are overdue where five steps of
-- an asynchronous provider ended and none came.
create or replace function unstuck_private.provider_failures(p_now timestamptz)
returns table (
  provider text,
  ended bigint,
  failed bigint,
  is_bad boolean,
  webhook_at timestamptz,
  is_webhook_overdue boolean
)
language sql
stable
set search_path = ''
as
$$
  select p.provider, e.ended, e.failed, e.ended >= 20 and e.failed * 2 > e.ended, m.seen_at,
    not p.synchronous
      and e.done >= 5
      and coalesce(m.seen_at < p_now - interval '15 minutes', true)
  from unstuck.providers p
  cross join lateral (
    select
      coalesce(sum(b.done + b.failed), 0)::bigint as ended,
      coalesce(sum(b.done), 0)::bigint as done,
      coalesce(sum(b.failed), 0)::bigint as failed
    from unstuck_private.ended_by_minute b
    where b.provider = p.provider and b.minute > p_now - interval '15 minutes'
  ) e
  left join unstuck_private.healer_marks m on m.healer = 'webhook:' || p.provider
$$;

revoke all on function unstuck_private.provider_failures
from public, anon, authenticated, service_role;

--: source alert/queues_ask.sql 417504e44a51
-- True when the edge shall send a probe through the queues: none came through them for four
-- minutes, and the last one is two minutes old. A probe that no consumer notes shows in health.
create or replace function unstuck_private.queues_ask(p_now timestamptz) returns boolean
language plpgsql
set search_path = ''
as
$$
begin
  insert into unstuck_private.healer_marks (healer)
  values ('queues')
  on conflict do nothing;
  update unstuck_private.healer_marks m
  set asked_at = coalesce(m.asked_at, p_now),
    pinged_at = p_now
  where m.ctid = any (array(
    select h.ctid
    from unstuck_private.healer_marks h
    where h.healer = 'queues'
      and coalesce(h.seen_at, '-infinity') < p_now - interval '4 minutes'
      and coalesce(h.pinged_at, '-infinity') < p_now - interval '2 minutes'
    for update skip locked
  ));
  return found;
end $$;

revoke all on function unstuck_private.queues_ask from public, anon, authenticated, service_role;

--: source alert/quiet_until.sql 67c5b726282a
-- When the quiet hours (UTC, from one full hour to another) that hold at p_now end; p_now where
-- none hold.
create or replace function unstuck_private.quiet_until(
  p_now timestamptz,
  p_from int,
  p_to int
)
returns timestamptz
language sql
immutable
set search_path = ''
as
$$
  select case
    when p_from is null or p_to is null or p_from = p_to then p_now
    when (h.hour - p_from + 24) % 24 >= (p_to - p_from + 24) % 24 then p_now
    else (
      date_trunc('hour', p_now at time zone 'UTC')
      + ((p_to - h.hour + 24) % 24) * interval '1 hour'
    ) at time zone 'UTC'
  end
  from (select extract(hour from p_now at time zone 'UTC')::int as hour) h
$$;

revoke all on function unstuck_private.quiet_until from public, anon, authenticated, service_role;

--: source alert/settings_compared_v1.sql 1456cb2fd2cb
create or replace function unstuck.settings_compared_v1(p_differing text[]) returns void
language sql
security definer
set search_path = ''
as
$$
  select unstuck_private.refuse_other_deployment();

  delete from unstuck_private.settings_differing d
  where d.name <> all (p_differing);

  insert into unstuck_private.settings_differing (name)
  select unnest(p_differing)
  on conflict do nothing
$$;

comment on function unstuck.settings_compared_v1 is $c$
Caller: the gateway, which compares the fingerprints of all functions' settings.

Effect: keeps the names of those with more than one value, for health and alerts.

Refuses: nothing.

Replay: keeps the same.
$c$;

revoke all on function unstuck.settings_compared_v1 from public, anon, authenticated, service_role;
grant execute on function unstuck.settings_compared_v1 to service_role;

--: source alert/watched.sql d1d335c72e51
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
$$;

revoke all on function unstuck_private.watched from public, anon, authenticated, service_role;

--: source alert/watched_healers.sql d941121e25d4
-- How each healer is. The queues owe an answer to a probe, and pg_cron is missed only where it is
-- scheduled.
create or replace function unstuck_private.watched_healers(p_now timestamptz)
returns table (subject text, code text, is_bad boolean, words text)
language sql
stable
set search_path = ''
as
$$
  select 'healer:' || m.healer, 'healer_stopped', h.is_bad,
    case m.healer
      when 'edge' then 'The sweep of the Workers: '
      when 'sql' then 'The sweep of pg_cron: '
      else 'The consumers of the queues: '
    end
    || case
      when not h.is_bad then 'at work.'
      when m.seen_at is null then 'never seen.'
      else format(
        'last seen %s ago.',
        unstuck_private.minutes_text(unstuck_private.minutes_between(m.seen_at, p_now)))
    end
  from unstuck_private.healer_marks m
  cross join lateral (
    select case m.healer
      when 'queues' then coalesce(m.asked_at < p_now - interval '10 minutes', false)
      else coalesce(m.seen_at < p_now - interval '150 seconds', true)
        and (m.healer = 'edge' or unstuck_private.is_sql_scheduled())
    end as is_bad
  ) h
  where m.healer in ('edge', 'sql', 'queues')
$$;

revoke all on function unstuck_private.watched_healers
from public, anon, authenticated, service_role;

--: source alert/watched_providers.sql d40b48387184
-- How each provider is: its failures, its webhooks, its alarms.
create or replace function unstuck_private.watched_providers(p_now timestamptz)
returns table (subject text, code text, is_bad boolean, words text)
language sql
stable
set search_path = ''
as
$$
  select 'provider:' || f.provider || ':failures', 'provider_failing', f.is_bad,
    format('%s: %s of %s steps failed within 15 minutes.', f.provider, f.failed, f.ended)
  from unstuck_private.provider_failures(p_now) f
  union all
  select 'provider:' || f.provider || ':webhooks', 'webhook_overdue', f.is_webhook_overdue,
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
  from unstuck_private.provider_failures(p_now) f
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

--: source credit/append_only.sql 5e4a05bbbfb7
-- Refuses to change a ledger entry, which another entry corrects, and to change or remove what
-- admins did.
create or replace function unstuck_private.append_only()
returns trigger
language plpgsql
set search_path = ''
as
$$
begin
  raise exception '% is append-only', tg_table_name
  using errcode = 'restrict_violation';
end $$;

create or replace trigger credit_entries_append_only
before update on unstuck.credit_entries
for each row execute function unstuck_private.append_only();

create or replace trigger admin_log_append_only
before update or delete on unstuck.admin_log
for each row execute function unstuck_private.append_only();

create or replace trigger admin_log_never_emptied
before truncate on unstuck.admin_log
for each statement execute function unstuck_private.append_only();

revoke all on function unstuck_private.append_only from public, anon, authenticated, service_role;

--: source deployment/is_deployment_wrong.sql c9f7d8f9e978
-- True where the caller is of another deployment than the database, or a Worker of another one was
-- refused in the ten minutes before p_now.
create or replace function unstuck_private.is_deployment_wrong(p_now timestamptz) returns boolean
language sql
stable
set search_path = ''
as
$$
  select unstuck_private.other_deployment() is not null
    or exists (
      select from unstuck_private.deployment_alarms a
      where a.last_at > p_now - interval '10 minutes'
    )
$$;

revoke all on function unstuck_private.is_deployment_wrong
from public, anon, authenticated, service_role;

--: source doctor/doctor_v1.sql 75ec613f544f
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
      from unstuck.health_v2() h
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

--: source doctor/event_seen_v1.sql c557727fc916
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

  select unstuck_private.healer_mark('queues', clock_timestamp())
  where p_event = 'queue';
$$;

comment on function unstuck.event_seen_v1 is $c$
Caller: every function, when its cron fires, and when its queue brings a probe: of the doctor, or of
a sweep that sweep_end_v1 asked for it.

Effect: the time of the newest such event is now. An event of a queue shows in health.

Refuses: the Worker of another deployment, and an event that is none of `events_seen`.

Replay: the same once more.
$c$;

revoke all on function unstuck.event_seen_v1 from public, anon, authenticated, service_role;
grant execute on function unstuck.event_seen_v1 to service_role;

--: source erase/erasure_record.sql 58da9f9e394b
-- Records that an admin erased a user, and what was there: once in `admin_log`, however often the
-- same is asked for while nothing is left. The files are listed by the row of `erasures`.
create or replace function unstuck_private.erasure_record(
  p_actor uuid,
  p_user_id uuid,
  p_was jsonb,
  p_reason text
)
returns void
language sql
set search_path = ''
as
$$
  insert into unstuck.admin_log (actor, act, subject, "from", reason)
  select p_actor, 'user_erase', p_user_id::text, p_was, p_reason
  where p_was ->> 'jobs' <> '0'
    or p_was ->> 'entries' <> '0'
    or not exists (
      select
      from unstuck.erasures e
      where e.user_id = p_user_id
    );

  insert into unstuck.erasures (user_id)
  values (p_user_id)
  on conflict (user_id) do update
  set
    at = clock_timestamp(),
    files_left = null
$$;

revoke all on function unstuck_private.erasure_record
from public, anon, authenticated, service_role;

--: source erase/user_erase_v1.sql 0dda9bcf56cf
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
account, debts, cancelled orders, turns and roles, all or nothing, and records it in admin_log.
Purchases are kept as the books of what was sold, and name nobody. A job that a provider may still
work on stays for a day as a bare row that names no user, so that its cancel is sent. The files are
listed in erasures and deleted later through the Storage API. jobs, entries: deleted rows; files:
results that the jobs named.

Refuses: forbidden, bad_request, in_progress (the app's wallet does not take back what it owes the
user, or its tables do not take the ends of the user's jobs; refunds_owed: how many credits,
rows_owed: how many rows. Where they never will, first delete the user's rows of refunds_owed, or
switch that row of projections off).

Replay: zeros, and no second row of admin_log. The user may come back and is a new user then.
$c$;

revoke all on function unstuck.user_erase_v1 from public, anon, authenticated, service_role;
grant execute on function unstuck.user_erase_v1 to service_role;

--: source job/jobs_before_insert.sql acaee020639c
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
    left(
      nullif(current_setting('request.headers', true), '')::jsonb ->> 'x-unstuck-request',
      100
    )
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

--: source metric/costs_fold.sql 20572583cec8
-- Adds the jobs that ended after p_from and up to p_to to `costs_by_day`.
create or replace function unstuck_private.costs_fold(p_from timestamptz, p_to timestamptz)
returns void
language sql
set search_path = ''
as
$$
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
    cost = d.cost + excluded.cost
$$;

revoke all on function unstuck_private.costs_fold from public, anon, authenticated, service_role;

--: source metric/counters_fold.sql 40499c654862
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
  from unstuck.jobs j
  where j.updated_at > v_from - interval '1 minute'
    and j.completed_at > v_from
    and j.completed_at <= v_to
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

--: source metric/gauges.sql 4a40c360acda
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
  where m.sent_at is null
  union all
  select 'unstuck_counters_age_seconds', '{}', extract(epoch from p_now - c.at)
  from unstuck_private.counted_until c
$$;

revoke all on function unstuck_private.gauges from public, anon, authenticated, service_role;

--: source metric/jobs_ended.sql 9d7839fbfa7d
-- The jobs that ended after p_from and up to p_to. A job is written when it ends, and hardly ever
-- after that, so that the index by the last change finds them.
create or replace function unstuck_private.jobs_ended(p_from timestamptz, p_to timestamptz)
returns setof unstuck.jobs
language sql
stable
set search_path = ''
as
$$
  select *
  from unstuck.jobs j
  where j.updated_at > p_from - interval '1 minute'
    and j.completed_at > p_from
    and j.completed_at <= p_to
$$;

revoke all on function unstuck_private.jobs_ended from public, anon, authenticated, service_role;

--: source metric/lines_between.sql 682089062f6f
-- What the jobs that ended after p_from and up to p_to add to `counters`.
create or replace function unstuck_private.lines_between(p_from timestamptz, p_to timestamptz)
returns table (name text, labels jsonb, value numeric)
language sql
stable
set search_path = ''
as
$$
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
  group by v.name, v.labels
$$;

revoke all on function unstuck_private.lines_between
from public, anon, authenticated, service_role;

--: source metric/metrics_v1.sql a5a77c55ab54
create or replace function unstuck.metrics_v1()
returns table (name text, labels jsonb, value double precision)
language sql
stable
security definer
set search_path = ''
set statement_timeout = '5s'
as
$$
  select c.name, c.labels, c.value::double precision
  from unstuck_private.counters c
  union all
  select g.name, g.labels, g.value
  from unstuck_private.gauges(clock_timestamp()) g
$$;

comment on function unstuck.metrics_v1 is $c$
Caller: the gateway, for /metrics.

Effect: none; the counters that the sweeps keep, and what is so now. It scans no job that has ended.

Refuses: nothing.

Replay: reads again.
$c$;

revoke all on function unstuck.metrics_v1 from public, anon, authenticated, service_role;
grant execute on function unstuck.metrics_v1 to service_role;

--: source metric/settled_before.sql d0f9aa7ca9ed
-- A time before which no transaction can write any more: whatever has an earlier time is committed,
-- and can be counted once and for all. A transaction that lasts ten minutes holds nothing up. Where
-- our role does not see when others began, they began a minute ago: no call of ours takes longer.
create or replace function unstuck_private.settled_before(p_now timestamptz) returns timestamptz
language sql
stable
set search_path = ''
as
$$
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
$$;

revoke all on function unstuck_private.settled_before
from public, anon, authenticated, service_role;

--: source metric/steps_ended.sql 7d9d83485056
-- The steps of the jobs that ended after p_from and up to p_to, with the class of the provider's
-- last answer: `completed`, `cancelled`, or the code of the failure in small letters. A failure is
-- what the provider is to blame for: not a refused content, and not a wait in our own queue.
create or replace function unstuck_private.steps_ended(p_from timestamptz, p_to timestamptz)
returns table (
  provider text,
  class text,
  is_failure boolean,
  attempts int,
  ended_at timestamptz,
  tool text
)
language sql
stable
set search_path = ''
as
$$
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
  join unstuck.job_steps s on s.job_id = j.id
$$;

revoke all on function unstuck_private.steps_ended from public, anon, authenticated, service_role;

--: source queue/visible_load.sql 48342ac086a9
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
  balance_at timestamptz
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
    b.told_at
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

--: source retention/prune_kind.sql eb33b85f2f05
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
    when 'projection_errors' then
      unstuck_private.prune_projection_errors(v_before, p_limit, p_skip)
    when 'messages' then unstuck_private.prune_messages(v_before, p_limit, p_skip)
    when 'cron_runs' then unstuck_private.prune_cron_runs(v_before, p_limit)
    -- Files, which SQL must not delete, and kinds of a later version.
    else 0
  end;
end $$;

revoke all on function unstuck_private.prune_kind from public, anon, authenticated, service_role;

--: source retention/prune_messages.sql b629a4a6f410
-- Deletes messages that were sent before p_before. What is owed stays.
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
    order by o.sent_at
    limit p_limit
    offset p_skip
    for update skip locked
  ));
  get diagnostics v_pruned = row_count;
  return v_pruned;
end $$;

revoke all on function unstuck_private.prune_messages
from public, anon, authenticated, service_role;

--: source sweep/health_v1.sql 2380bfabdb71
create or replace function unstuck.health_v1()
returns table (last_sweep_seconds int, stuck int, violations int, wrong_deployment boolean)
language sql
stable
security definer
set search_path = ''
as
$$
  select unstuck_private.seconds_between(s.finished_at, clock_timestamp()), s.stuck, s.violations,
    unstuck_private.is_deployment_wrong(clock_timestamp())
  from (select 1) one
  left join unstuck_private.sweep_newest() s on true
$$;

comment on function unstuck.health_v1 is $c$
Caller: the gateway of the release before, for /health.

Effect: none; what the last finished pass of a healer stored. It never scans. Nulls where there was
none, or where that pass could not count. wrong_deployment: the caller is of another deployment than
the database, or a Worker of another one was refused in the last ten minutes.

Refuses: nothing.

Replay: reads again.
$c$;

revoke all on function unstuck.health_v1 from public, anon, authenticated, service_role;
grant execute on function unstuck.health_v1 to service_role;

--: source sweep/health_v2.sql 8d6a109ad545
create or replace function unstuck.health_v2()
returns table (
  last_sweep_seconds int,
  stuck int,
  violations int,
  edge_seconds int,
  sql_seconds int,
  queues_seconds int,
  degraded jsonb,
  wrong_deployment boolean
)
language sql
stable
security definer
set search_path = ''
as
$$
  select
    unstuck_private.seconds_between(s.finished_at, n.at),
    s.stuck,
    s.violations,
    unstuck_private.seconds_between(e.seen_at, n.at),
    unstuck_private.seconds_between(q.seen_at, n.at),
    unstuck_private.seconds_between(c.seen_at, n.at),
    (
      select coalesce(
        jsonb_agg(
          jsonb_build_object('code', w.code, 'subject', w.subject, 'message', w.words)
          order by w.subject),
        '[]')
      from unstuck_private.watched(n.at) w
      where w.is_bad
    ),
    unstuck_private.is_deployment_wrong(n.at)
  from (select clock_timestamp() as at) n
  left join unstuck_private.sweep_newest() s on true
  left join unstuck_private.healer_marks e on e.healer = 'edge'
  left join unstuck_private.healer_marks q on q.healer = 'sql'
  left join unstuck_private.healer_marks c on c.healer = 'queues'
$$;

comment on function unstuck.health_v2 is $c$
Caller: the gateway, for /health.

Effect: none; what the last finished pass of a healer stored, when each healer was seen, and what is
bad, in words. It never scans. Nulls where there was none, or where that pass could not count.
wrong_deployment: the caller is of another deployment than the database, or a Worker of another one
was refused in the last ten minutes.

Refuses: nothing.

Replay: reads again.
$c$;

revoke all on function unstuck.health_v2 from public, anon, authenticated, service_role;
grant execute on function unstuck.health_v2 to service_role;

--: source sweep/sweep_end_v1.sql 133c6edaac74
create or replace function unstuck.sweep_end_v1(
  p_sweep_id bigint,
  p_delivered int,
  p_cleaned int,
  p_refunded_credits bigint
)
returns table (
  stuck int,
  violations int,
  remaining int,
  ping_queues boolean,
  ask_balances boolean
)
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
null, which is not healthy; the pass is finished all the same. It also adds what ended to the
counters of metrics. remaining: jobs that are due after all the pass did; ping_queues: no probe
came through the queues for a while, and the caller shall send some. ask_balances: the caller shall
ask the providers what is left on our accounts.

Refuses: nothing; no row where there is no such pass.

Replay: adds the numbers again.
$c$;

revoke all on function unstuck.sweep_end_v1 from public, anon, authenticated, service_role;
grant execute on function unstuck.sweep_end_v1 to service_role;

--: source sweep/sweep_finish.sql 3d5c51841bf8
-- Finishes a pass with the counts that health reads. A count may fail, be cancelled or take long:
-- the pass is finished all the same, without that count, and nothing that it healed is undone.
-- Health is not good while a count is missing.
create or replace function unstuck_private.sweep_finish(p_sweep_id bigint)
returns table (
  stuck int,
  violations int,
  remaining int,
  ping_queues boolean,
  ask_balances boolean
)
language plpgsql
set search_path = ''
as
$$
declare
  v_stuck int;
  v_violations int;
  v_remaining int := 0;
  v_source text;
begin
  begin
    v_stuck := unstuck_private.count_stuck(clock_timestamp());
    v_remaining := unstuck_private.count_due(clock_timestamp());
  exception when query_canceled or others then
    raise warning 'sweep %: what is left could not be counted: %', p_sweep_id, sqlerrm;
  end;
  begin
    perform unstuck_private.audit(interval '500 milliseconds');
    v_violations := (select count(*) from unstuck.violations_found)
      + (select count(*) from unstuck_private.violations_now());
  exception when query_canceled or others then
    raise warning 'sweep %: the audit failed: %', p_sweep_id, sqlerrm;
  end;
  begin
    perform unstuck_private.counters_fold(clock_timestamp());
  exception when query_canceled or others then
    raise warning 'sweep %: what ended could not be counted: %', p_sweep_id, sqlerrm;
  end;
  update unstuck.sweeps s
  set finished_at = clock_timestamp(), stuck = v_stuck, violations = v_violations
  where s.id = p_sweep_id
  returning s.source
  into v_source;
  perform unstuck_private.healer_mark(
    case v_source when 'sql' then 'sql' else 'edge' end, clock_timestamp());
  return query
  select v_stuck, v_violations, v_remaining,
    v_source <> 'sql' and unstuck_private.queues_ask(clock_timestamp()),
    v_source <> 'sql' and unstuck_private.balances_ask(clock_timestamp());
end $$;

revoke all on function unstuck_private.sweep_finish from public, anon, authenticated, service_role;

--: source sweep/sweep_newest.sql 3dabe8f58078
-- The last finished pass of a healer.
create or replace function unstuck_private.sweep_newest() returns setof unstuck.sweeps
language sql
stable
set search_path = ''
as
$$
  select *
  from unstuck.sweeps w
  where w.finished_at is not null
  order by w.finished_at desc
  limit 1
$$;

revoke all on function unstuck_private.sweep_newest from public, anon, authenticated, service_role;

--: source tool/price_log.sql 3020c4fd6e75
-- Keeps each change of a price in `admin_log`: the columns that the trigger names, before and
-- after. What a migration writes is no change of a price.
create or replace function unstuck_private.price_log() returns trigger
language plpgsql
set search_path = ''
as
$$
declare
  v_old jsonb := case when tg_op <> 'INSERT' then to_jsonb(old) end;
  v_new jsonb := case when tg_op <> 'DELETE' then to_jsonb(new) end;
begin
  -- The same sent a second time changes nothing.
  if current_setting('unstuck.actor', true) = 'migration' or v_old = v_new then
    return null;
  end if;
  perform unstuck_private.admin_log_write(
    'price_changed',
    coalesce(v_new, v_old) ->> 'tool',
    case when v_old is not null then jsonb_object_agg(c.name, v_old -> c.name) end,
    case when v_new is not null then jsonb_object_agg(c.name, v_new -> c.name) end
  )
  from unnest(tg_argv) as c (name);
  return null;
end $$;

create or replace trigger tools_price_log
after update on unstuck.tools
for each row
when (old.credit_cost <> new.credit_cost or old.priced_per <> new.priced_per)
execute function unstuck_private.price_log('credit_cost', 'priced_per');

create or replace trigger tool_prices_log
after insert or update or delete on unstuck.tool_prices
for each row
execute function unstuck_private.price_log(
  'position', 'matches', 'credits', 'priced_per', 'quantity', 'note', 'credits_min');

revoke all on function unstuck_private.price_log from public, anon, authenticated, service_role;

--: source tool/settings_log.sql 8543327a1c35
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
after update of enabled, max_concurrent on unstuck.providers
for each row
execute function unstuck_private.settings_log(
  'provider_changed', 'provider', 'enabled', 'max_concurrent');

revoke all on function unstuck_private.settings_log from public, anon, authenticated, service_role;

--: source view/visible_costs.sql f870c412f3a3
-- The rows of `tool_costs`, for those who may see them.
create or replace function unstuck_private.visible_costs()
returns table (tool text, provider_cost numeric, attempts bigint, cost numeric)
language sql
stable
security definer
set search_path = ''
as
$$
  select t.tool, t.provider_cost, coalesce(sum(d.attempts), 0)::bigint, coalesce(sum(d.cost), 0)
  from unstuck.tools t
  left join unstuck_private.costs_by_day d
    on d.tool = t.tool
    and d.day >= (clock_timestamp() at time zone 'UTC')::date - 61
  where (select unstuck_private.may_see(null))
  group by t.tool
$$;

revoke all on function unstuck_private.visible_costs from public, anon, authenticated, service_role;
grant execute on function unstuck_private.visible_costs to authenticated, service_role;

--: source view/visible_errors.sql 4d7079e695cf
-- The rows of `provider_errors`, for those who may see them.
create or replace function unstuck_private.visible_errors()
returns table (
  provider text,
  error_code text,
  failures bigint,
  last_at timestamptz,
  last_job_id uuid,
  last_message text
)
language sql
stable
security definer
set search_path = ''
as
$$
  select distinct on (s.provider, s.error_code)
    s.provider,
    s.error_code,
    count(*) over (partition by s.provider, s.error_code),
    s.completed_at,
    s.job_id,
    s.error_message
  from unstuck.job_steps s
  where (select unstuck_private.may_see(null))
    and s.status = 'failed'
    and coalesce(s.provider_done_at, s.completed_at) > clock_timestamp() - interval '1 day'
  order by s.provider, s.error_code, s.completed_at desc
$$;

revoke all on function unstuck_private.visible_errors
from public, anon, authenticated, service_role;
grant execute on function unstuck_private.visible_errors to authenticated, service_role;

--: source view/visible_money.sql ac7b91285785
-- The rows of `money_by_day`, for those who may see them.
create or replace function unstuck_private.visible_money()
returns table (day date, kind text, tool text, entries bigint, credits bigint)
language sql
stable
security definer
set search_path = ''
as
$$
  select
    (e.created_at at time zone 'UTC')::date,
    e.kind,
    j.tool,
    count(*),
    unstuck_private.clamp_to_bigint(sum(e.amount))
  from unstuck.credit_entries e
  left join unstuck.jobs j on j.id = e.job_id
  where (select unstuck_private.may_see(null))
    and e.created_at >= date_trunc('day', clock_timestamp(), 'UTC') - interval '61 days'
  group by 1, 2, 3
  order by 1 desc, 2, 3
$$;

revoke all on function unstuck_private.visible_money from public, anon, authenticated, service_role;
grant execute on function unstuck_private.visible_money to authenticated, service_role;

--: source view/visible_outcomes.sql 3d0125153f65
-- The rows of `provider_outcomes`, for those who may see them.
create or replace function unstuck_private.visible_outcomes()
returns table (
  provider text,
  tool text,
  completed bigint,
  failed bigint,
  p50_seconds double precision,
  p95_seconds double precision
)
language sql
stable
security definer
set search_path = ''
as
$$
  with ended as (
    select
      s.provider,
      j.tool,
      s.status,
      extract(epoch from
        coalesce(s.provider_done_at, s.completed_at) - coalesce(s.sent_at, s.started_at)
      )::double precision as seconds
    from unstuck.job_steps s
    join unstuck.jobs j on j.id = s.job_id
    where (select unstuck_private.may_see(null))
      and s.status in ('completed', 'failed')
      -- The expression of the index `job_steps_freed`.
      and coalesce(s.provider_done_at, s.completed_at) > clock_timestamp() - interval '1 day'
  )
  select
    e.provider,
    e.tool,
    count(*) filter (where e.status = 'completed'),
    count(*) filter (where e.status = 'failed'),
    percentile_cont(0.5) within group (order by e.seconds) filter (where e.status = 'completed'),
    percentile_cont(0.95) within group (order by e.seconds) filter (where e.status = 'completed')
  from ended e
  group by grouping sets ((e.provider), (e.provider, e.tool))
$$;

revoke all on function unstuck_private.visible_outcomes
from public, anon, authenticated, service_role;
grant execute on function unstuck_private.visible_outcomes to authenticated, service_role;

--: source queue/provider_load.sql b7769f524e47
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
  l.balance_at
from unstuck_private.visible_load() l;

comment on view unstuck.provider_load is $c$
Each provider's slots, as configured and as learned, its queue, open circuits, and what it last told
of our account there, for the admin page.
$c$;

revoke all on unstuck.provider_load from public, anon, authenticated, service_role;
grant select on unstuck.provider_load to authenticated, service_role;

--: source view/money_by_day.sql 39979cb5094a
create view unstuck.money_by_day
with (security_invoker = true) as
select m.day, m.kind, m.tool, m.entries, m.credits
from unstuck_private.visible_money() m;

comment on view unstuck.money_by_day is $c$
What moved in the ledger in the last 62 days of UTC: a row per day, kind of entry and tool, for the
service and admins. Entries without a job have no tool.
$c$;

revoke all on unstuck.money_by_day from public, anon, authenticated, service_role;
grant select on unstuck.money_by_day to authenticated, service_role;

--: source view/provider_errors.sql d8dd90609143
create view unstuck.provider_errors
with (security_invoker = true) as
select
  f.provider,
  f.error_code,
  f.failures,
  f.last_at,
  f.last_job_id,
  f.last_message
from unstuck_private.visible_errors() f;

comment on view unstuck.provider_errors is $c$
Why steps failed in the last 24 hours: a row per provider and code, with how often and the newest of
them. For the service and admins.
$c$;

revoke all on unstuck.provider_errors from public, anon, authenticated, service_role;
grant select on unstuck.provider_errors to authenticated, service_role;

--: source view/provider_outcomes.sql cddee2e37c1b
create view unstuck.provider_outcomes
with (security_invoker = true) as
select o.provider, o.tool, o.completed, o.failed, o.p50_seconds, o.p95_seconds
from unstuck_private.visible_outcomes() o;

comment on view unstuck.provider_outcomes is $c$
How the steps of the last 24 hours ended, and how long the completed ones took at the provider: a
row per provider and tool, and one per provider whose tool is null. For the service and admins.
$c$;

revoke all on unstuck.provider_outcomes from public, anon, authenticated, service_role;
grant select on unstuck.provider_outcomes to authenticated, service_role;

--: source view/tool_costs.sql 9a24ff8c6e34
create view unstuck.tool_costs
with (security_invoker = true) as
select c.tool, c.provider_cost, c.attempts, c.cost
from unstuck_private.visible_costs() c;

comment on view unstuck.tool_costs is $c$
What an attempt of each tool costs at its provider, in credits (null: nobody has said), and the
attempts and costs of the steps that ended in the last 62 days of UTC, for the service and admins.
$c$;

revoke all on unstuck.tool_costs from public, anon, authenticated, service_role;
grant select on unstuck.tool_costs to authenticated, service_role;

--: source retention/known_kinds.sql 3dee30754e1d by hand

--: history
insert into unstuck_private.migrations (number, name, hash)
values (
  9,
  'operators',
  'e8f07d99b1b92dfd4e19d1876f6cf0d730e98cae028212082f739494cfdfa73e'
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
