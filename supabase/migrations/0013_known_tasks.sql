-- 0013_known_tasks.sql
-- Made by `cargo xtask migration known_tasks`
-- from supabase/schemas, in the order in which things can be created. Do not edit it: change the
-- sources. It is applied once, whole or not at all.

begin;

do $applied$
begin
  if exists (select from unstuck_private.migrations where number = 13) then
    raise exception 'unstuck migration 0013 is applied already';
  end if;
  if not exists (select from unstuck_private.migrations where number = 12) then
    raise exception 'unstuck migration 0012 must be applied before 0013';
  end if;
end
$applied$;

-- A function may name an object that is created below it.
set local check_function_bodies = off;
-- While this waits for a table, everybody else waits behind it: fail and retry instead.
set local lock_timeout = '5s';

-- written by hand
-- Nothing is done for purchase/purchases.sql: a comment in it has changed.

-- A healer looks for webhooks that nobody has applied.
create index webhook_inbox_open on unstuck.webhook_inbox (provider, received_at)
where applied_at is null;

--: source purchase/purchases.sql 62bdeeae963d by hand

--: source webhook/webhook_inbox.sql 2e38464060d3 by hand

--: source admin/job_repeat.sql 6f29c77d7358
-- Writes the new job `p_new_job_id` with the user, the input and the steps of the final job
-- `p_job`, for `job_retry`. The caller has locked the old job and the user's account.
--
-- The new job is free unless `p_charge`. Then it costs what `price_paid` says of the old one, and
-- is refused like an order that the balance does not cover, or while a debt is open; a free one
-- never is. The wallet gets the job's input together with its own receipt of the old job, which
-- says who paid.
--
-- Refuses: bad_request (a job without steps), already_final (retention has emptied an input),
-- active_job_exists, idempotency_conflict (the new id is taken).
create or replace function unstuck_private.job_repeat(
  p_job unstuck.jobs,
  p_tool unstuck.tools,
  p_charge boolean,
  p_new_job_id uuid
)
returns void
language plpgsql
set search_path = ''
as
$$
declare
  v_steps jsonb;
  v_has_lost_input boolean;
  v_price bigint := 0;
  v_balance bigint := 0;
begin
  select jsonb_agg(s.input order by s.step), coalesce(bool_or(s.input = '{}'), false)
  into v_steps, v_has_lost_input
  from unstuck.job_steps s
  where s.job_id = p_job.id;
  if v_steps is null then
    perform unstuck_private.refuse(400, 'bad_request');
  end if;
  -- Retention empties old inputs: then there is nothing to repeat.
  if v_has_lost_input then
    perform unstuck_private.refuse(
      409, 'already_final',
      jsonb_build_object(
        'status', p_job.status,
        'refundedCredits', p_job.credits_refunded,
        'reason', 'its input is kept no longer'));
  end if;
  perform unstuck_private.account_lock(p_job.user_id);
  perform unstuck_private.refuse_second_live_job(p_job.user_id, p_new_job_id, p_tool);
  -- A row that others inserted may have the key of this user's jobs.
  if exists (
    select
    from unstuck.jobs j
    where j.exclusive_key = p_tool.exclusive_group || ':' || p_job.user_id
      and j.status in ('queued', 'starting', 'running')
  ) then
    perform unstuck_private.refuse(409, 'active_job_exists');
  end if;
  if p_charge then
    v_price := unstuck_private.price_paid(p_job);
    perform unstuck_private.wallet_price(
      p_job.user_id, p_tool.tool,
      p_job.input || coalesce(unstuck_private.job_receipt(p_job.id), '{}'), v_price);
    v_balance := unstuck_private.refuse_over_balance(p_job.user_id, p_tool.tool, v_price);
  end if;
  if exists (select from unstuck.jobs j where j.id = p_new_job_id) then
    perform unstuck_private.refuse(409, 'idempotency_conflict');
  end if;
  perform unstuck_private.job_write(
    p_job.user_id, p_new_job_id, p_tool, p_job.session_id, p_job.input,
    coalesce(p_job.request_hash, 'retry'), v_steps, v_price, v_balance, p_job.id);
end $$;

revoke all on function unstuck_private.job_repeat from public, anon, authenticated, service_role;

--: source admin/job_restart.sql 51391b06f468
-- Requeues the open steps of the live job `p_job` with new runs, fresh counters and new deadlines,
-- and adds the tasks that the provider still works on to their cancel debts. Final steps stay as
-- they are, and so do steps at work whose lease or deadline is not over. A step whose provider is
-- done keeps its result, which the next healer copies. Blocked steps and those get the new
-- `expires_at` as their deadline. `job_retry` calls it and has locked the job.
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
    and s.provider_done_at is null
    and (s.status = 'queued' or coalesce(s.lease_until, s.deadline_at) <= p_now);

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

--: source admin/job_retry.sql 600928a1a665
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
        409, 'in_progress',
      jsonb_build_object('status', unstuck_private.public_status(p_job.status)));
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

--: source cancel/job_cancel_v1.sql 831cc49828d5
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
      409, 'in_progress',
      jsonb_build_object('status', unstuck_private.public_status(v_job.status)));
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
      409, 'in_progress',
      jsonb_build_object('status', unstuck_private.public_status(v_job.status)));
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

--: source cancel/sessions_before_insert.sql 19bfb25ed95c
-- Trigger that fills in what a writer leaves out of a new session: it counts as left once its page
-- has been silent for too long.
create or replace function unstuck_private.sessions_before_insert() returns trigger
language plpgsql
set search_path = ''
as
$$
begin
  new.left_at := coalesce(
    new.left_at,
    coalesce(new.seen_at, clock_timestamp()) + unstuck_private.session_silence()
  );
  return new;
end $$;

create or replace trigger sessions_before_insert
before insert on unstuck.sessions
for each row
execute function unstuck_private.sessions_before_insert();

revoke all on function unstuck_private.sessions_before_insert
from public, anon, authenticated, service_role;

--: source credit/credit_entries_before_insert.sql 5b281abae96e
-- Trigger that moves the wallet by a new entry without `balance_after`, and writes into the entry
-- what the wallet says it moved; an entry that moved nothing is not written. A chargeback takes at
-- most what is there; any other entry that asks for more than the balance fails. Orders and refunds
-- of jobs ask the wallet themselves and insert entries with a `balance_after`, which pass
-- unchanged.
create or replace function unstuck_private.credit_entries_before_insert()
returns trigger
language plpgsql
set search_path = ''
as
$$
declare
  v_asked bigint := new.amount;
  v_tool text;
begin
  if coalesce(new.amount, 0) = 0 then
    -- The constraints of the table refuse it.
    new.balance_after := coalesce(new.balance_after, 0);
  end if;
  if new.balance_after is not null then
    return new;
  end if;
  perform unstuck_private.account_lock(new.user_id);
  select j.tool
  into v_tool
  from unstuck.jobs j
  where j.id = new.job_id;
  if new.kind = 'debit' and new.amount < 0 then
    perform unstuck_private.waiting_credits_give(new.user_id);
    select -w.taken, w.receipt
    into new.amount, new.receipt
    from unstuck_private.wallet_debit(
      new.user_id, v_tool, -new.amount, new.job_id, new.reason) w;
  elsif new.kind = 'refund' then
    new.amount := unstuck_private.wallet_refund(
      new.user_id, new.amount, new.job_id, new.reason, unstuck_private.job_receipt(new.job_id));
  elsif new.amount > 0 then
    new.receipt := (
      unstuck_private.wallet_grant(new.user_id, new.amount, new.kind, new.reason)).receipt;
  else
    new.amount := -unstuck_private.wallet_take(
      new.user_id, -new.amount, new.kind, new.reason, new.receipt);
    if new.amount > v_asked and new.kind <> 'chargeback' then
      raise exception 'the balance is lower than %', -v_asked using errcode = 'check_violation';
    end if;
  end if;
  new.balance_after := unstuck_private.balance_shown(new.user_id, v_tool);
  return case when new.amount <> 0 then new end;
end $$;

create or replace trigger credit_entries_before_insert
before insert on unstuck.credit_entries
for each row execute function unstuck_private.credit_entries_before_insert();

revoke all on function unstuck_private.credit_entries_before_insert
from public, anon, authenticated, service_role;

--: source job/caller_header.sql d12e802ae3fd
-- Returns the header `x-unstuck-caller`, by which our functions say who makes a call. It is null in
-- a call that a page makes itself, because a page may write any header, also by an app's own role.
create or replace function unstuck_private.caller_header() returns text
language sql
stable
as
$$
  select unstuck_private.request_header('x-unstuck-caller')
  where coalesce(current_setting('role', true), 'none') in ('none', 'service_role')
$$;

revoke all on function unstuck_private.caller_header
from public, anon, authenticated, service_role;

--: source order/job_enqueue_v2.sql 5a95a31d274e
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
    perform unstuck_private.refuse_second_live_job(p_user_id, p_job_id, v_tool);
    perform unstuck_private.refuse(409, case when v_constraint = 'jobs_one_live_per_exclusive_key'
      then 'active_job_exists' else 'idempotency_conflict' end);
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

--: source order/job_write.sql 8f650f76506d
-- Writes a queued job with its debit and its steps, or overwrites the row that the order adopts.
-- `p_retry_of` is the job that this one retries, null for an order. The caller has locked the
-- account and the wallet, in which the user has `p_balance`. Returns what the wallet took, which is
-- what the job is charged.
create or replace function unstuck_private.job_write(
  p_user_id uuid,
  p_job_id uuid,
  p_tool unstuck.tools,
  p_session_id text,
  p_input jsonb,
  p_request_hash text,
  p_steps jsonb,
  p_price bigint,
  p_balance bigint,
  p_retry_of uuid
)
returns bigint
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
  v_taken bigint := unstuck_private.order_debit(
    p_user_id, p_job_id, p_tool.tool, p_price, p_balance);
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
      credits_charged = v_taken,
      credits_refunded = 0,
      refund_rule = p_tool.refund_rule,
      exclusive_key = v_key,
      input = p_input,
      total_steps = v_steps,
      current_step = 0,
      retries = 0,
      quarantined_at = null,
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
      p_job_id, p_tool.tool, p_user_id, p_session_id, 'queued', v_taken, p_tool.refund_rule,
      v_key, p_input, v_steps, p_request_hash, p_retry_of, v_now, v_now, v_deadline, v_expires
    );
  end if;
  insert into unstuck.job_steps (job_id, step, status, provider, share, deadline_at, input)
  select
    p_job_id,
    s.step,
    case when s.step > 1 and p_tool.step_order = 'sequential' then 'blocked' else 'queued' end,
    p_tool.provider,
    unstuck_private.share_of(v_taken, v_steps, s.step::int),
    case
      when s.step > 1 and p_tool.step_order = 'sequential' then v_expires
      else v_deadline
    end,
    s.input
  from jsonb_array_elements(p_steps) with ordinality as s (input, step);
  return v_taken;
end $$;

revoke all on function unstuck_private.job_write from public, anon, authenticated, service_role;

--: source order/refuse_second_live_job.sql 87b090164c85
-- Refuses an order with active_job_exists while its user has another live job in the tool's
-- exclusive group. The caller has locked the user's account, which makes this check exact for
-- orders; the unique index `jobs_one_live_per_exclusive_key` stops every other writer.
create or replace function unstuck_private.refuse_second_live_job(
  p_user_id uuid,
  p_job_id uuid,
  p_tool unstuck.tools
)
returns void
language plpgsql
set search_path = ''
as
$$
declare
  v_other unstuck.jobs;
begin
  if p_tool.exclusive_group is null then
    return;
  end if;
  select j.*
  into v_other
  from unstuck.jobs j
  join unstuck.tools t using (tool)
  where j.user_id = p_user_id
    and t.exclusive_group = p_tool.exclusive_group
    and j.id <> p_job_id
    and j.quarantined_at is null
    and (
      j.status in ('starting', 'running')
      -- A queued row without the key was inserted by others. It may be an orphan, and an orphan
      -- blocks nobody.
      or (j.status = 'queued' and j.exclusive_key is not null)
    );
  if found then
    perform unstuck_private.refuse(
      409,
      'active_job_exists',
      jsonb_build_object(
        'activeJobId', v_other.id,
        'activeTool', v_other.tool,
        'activeStatus', unstuck_private.public_status(v_other.status)
      )
    );
  end if;
end $$;

revoke all on function unstuck_private.refuse_second_live_job
from public, anon, authenticated, service_role;

--: source purchase/purchase_settle.sql baff97076eb1
-- Makes the ledger agree with the facts of a purchase: its owner gets what is due, and every other
-- user gives back what was given. Returns how many credits it gave and took, and the owner, or else
-- the user whom the seller names. Refuses with bad_request a purchase worth more than `grant_max`.
-- What the app's wallet refuses waits, like a purchase whose owner is unknown.
-- The purchase is locked; the accounts are locked here, by id.
create or replace function unstuck_private.purchase_settle(
  p_id uuid,
  out granted bigint,
  out taken bigint,
  out user_id uuid
)
language plpgsql
set search_path = ''
as
$$
declare
  v_purchase unstuck.purchases;
  v_due record;
  v_owner uuid;
  v_user uuid;
  v_change bigint;
begin
  select p.*
  into v_purchase
  from unstuck.purchases p
  where p.id = p_id;
  select d.*
  into v_due
  from unstuck_private.purchase_due(v_purchase.facts) d;
  if v_due.credits > unstuck_private.grant_max() then
    perform unstuck_private.refuse(400, 'bad_request');
  end if;
  v_owner := unstuck_private.purchase_owner(v_purchase, v_due.user_id, v_due.email);
  user_id := coalesce(v_owner, v_due.user_id);
  begin
    update unstuck.purchases p
    set
      user_id = coalesce(v_owner, v_due.user_id),
      email = v_due.email,
      pack = v_due.pack,
      credits = v_due.credits,
      granted = case when v_owner is null then 0 else v_due.granted end,
      taken = case when v_owner is null then 0 else v_due.taken end,
      waits = v_owner is null and v_due.granted > v_due.taken
    where p.id = p_id
    returning p.*
    into v_purchase;
    granted := 0;
    taken := 0;
    for v_user in
      select e.user_id
      from unstuck.credit_entries e
      where e.purchase_id = any (v_purchase.ids)
      union
      select v_owner
      where v_owner <> unstuck_private.erased_user()
        and v_due.granted > v_due.taken
      order by 1
    loop
      perform unstuck_private.account_lock(v_user);
      v_change := unstuck_private.purchase_move(v_purchase, v_user,
        case when v_user = v_owner then v_due.granted - v_due.taken else 0 end);
      granted := granted + greatest(v_change, 0);
      taken := taken + greatest(-v_change, 0);
    end loop;
  exception when others then
    if sqlstate not like 'PT4%' then
      raise;
    end if;
    -- The app's wallet refuses this user, who is in no team for example. The payment is kept, and
    -- given once the wallet takes it.
    update unstuck.purchases p
    set
      user_id = coalesce(v_owner, v_due.user_id),
      email = v_due.email,
      pack = v_due.pack,
      credits = v_due.credits,
      waits = true
    where p.id = p_id;
    granted := 0;
    taken := 0;
  end;
end $$;

revoke all on function unstuck_private.purchase_settle
from public, anon, authenticated, service_role;

--: source purchase/purchases_before_insert.sql ac599f0b207a
-- Trigger that fills in what a writer leaves out of a new purchase: its ledger entries name its own
-- id.
create or replace function unstuck_private.purchases_before_insert() returns trigger
language plpgsql
set search_path = ''
as
$$
begin
  new.ids := coalesce(new.ids, array[new.id]);
  return new;
end $$;

create or replace trigger purchases_before_insert
before insert on unstuck.purchases
for each row
execute function unstuck_private.purchases_before_insert();

revoke all on function unstuck_private.purchases_before_insert
from public, anon, authenticated, service_role;

--: source role/may_see.sql 03a038098e7d
-- True for the owner of a row, for an admin, for the service role and for the database's own roles.
-- PostgREST sets `role`; psql and pg_cron leave it as `none`.
create or replace function unstuck_private.may_see(p_user_id uuid) returns boolean
language sql
stable
security definer
set search_path = ''
as
$$
  select
    coalesce(current_setting('role', true), 'none') in ('none', 'service_role')
    or p_user_id = auth.uid()
    or unstuck_private.is_admin()
$$;

revoke all on function unstuck_private.may_see from public, anon, authenticated, service_role;
grant execute on function unstuck_private.may_see to authenticated, service_role;

--: source step/is_task_of_other_run.sql 0e973a50b505
-- True when this run of the step was requeued after it had another task than this one. A report
-- that names this task for that run is a mistake and must change nothing.
create or replace function unstuck_private.is_task_of_other_run(
  p_step unstuck.job_steps,
  p_run bigint,
  p_task_id text
)
returns boolean
language plpgsql
stable
set search_path = ''
as
$$
begin
  return exists (
    select
    from unstuck.job_events e
    where e.job_id = p_step.job_id
      and e.step = p_step.step
      and e.detail -> 'last_task' @> jsonb_build_object('run', p_run)
      and e.detail -> 'last_task' ->> 'task_id' <> p_task_id
  );
end $$;

revoke all on function unstuck_private.is_task_of_other_run
from public, anon, authenticated, service_role;

--: source step/job_steps_log.sql cebb527a3e3c
-- Trigger that writes the history of steps: one event for each step that has changed its state or
-- its run, for all rows of a statement at once and without nested loops, like `jobs_log`. The event
-- of a requeue keeps the task that the run had.
create or replace function unstuck_private.job_steps_log() returns trigger
language plpgsql
set search_path = ''
set enable_nestloop = off
as
$$
begin
  insert into unstuck.job_events (
    job_id, step, run, event, from_status, to_status, actor, detail
  )
  select
    n.job_id,
    n.step,
    n.run,
    case when n.status <> o.status then 'step_' || n.status else 'step_rerun' end,
    o.status,
    n.status,
    nullif(current_setting('unstuck.actor', true), ''),
    nullif(
      jsonb_strip_nulls(jsonb_build_object(
        'error_code', n.error_code,
        'last_task', case
          when o.provider_task_id is not null and n.provider_task_id is null then
            jsonb_build_object('task_id', o.provider_task_id, 'run', o.run)
        end
      )),
      '{}'
    )
  from new_rows n
  join old_rows o using (job_id, step)
  where n.status <> o.status
    or n.run <> o.run;
  return null;
end $$;

create or replace trigger job_steps_log
after update on unstuck.job_steps
referencing old table as old_rows new table as new_rows
for each statement
execute function unstuck_private.job_steps_log();

revoke all on function unstuck_private.job_steps_log from public, anon, authenticated, service_role;

--: source step/step_done_v2.sql 9b738fd951b2
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
    or unstuck_private.is_task_of_other_run(v_step, p_run, p_task_id)
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
task, or another worker copies the result). A task of another step or run changes nothing.

Refuses: nothing.

Replay: stale while the lease lasts; afterwards copy, for the next worker.
$c$;

revoke all on function unstuck.step_done_v2 from public, anon, authenticated, service_role;
grant execute on function unstuck.step_done_v2 to service_role;

--: source step/steps_due_v1.sql 72b1d20e1f65
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
      and i.task_id is not null
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

  return query
  select e.job_id, e.step, e.run, j.tool, j.user_id, 'inbox', e.task_id,
    false, null::jsonb, null::jsonb, null::int, null::timestamptz, null::int, v_open
  from unstuck_private.webhooks_of_earlier_runs(p_provider, v_now, p_limit) e
  join unstuck.jobs j on j.id = e.job_id;

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
deadline) | inbox (sent without an answer; or a webhook of an earlier run that nobody applied, up to
p_limit more rows, which are not reserved) | copy (the provider is done, the result is not stored) |
cancel (owed). Overdue steps come first, then those that were not queried for longest. input: the
step's stored request for inbox, only its result for query and copy, null for cancel. open: how many
tasks the provider works on in all.

Refuses: nothing; no row for a synchronous provider. What another transaction has locked, or a step
that cannot be reserved, is left to the next call.

Replay: a step that is reserved does not come again for some seconds.
$c$;

revoke all on function unstuck.steps_due_v1 from public, anon, authenticated, service_role;
grant execute on function unstuck.steps_due_v1 to service_role;

--: source webhook/webhooks_of_earlier_runs.sql b3556248ab01
-- Returns up to `p_limit` webhooks that nobody has applied for half a minute and that name a task
-- of a run before the present one, or of a run that was requeued. Such a task may have succeeded,
-- and no step has it any more.
create or replace function unstuck_private.webhooks_of_earlier_runs(
  p_provider text,
  p_now timestamptz,
  p_limit int
)
returns table (job_id uuid, step int, run bigint, task_id text)
language plpgsql
stable
set search_path = ''
as
$$
#variable_conflict use_column
begin
  return query
  select i.job_id, i.step, i.run, i.task_id
  from unstuck.webhook_inbox i
  join unstuck.job_steps s on s.job_id = i.job_id and s.step = i.step
  where i.provider = p_provider
    and i.applied_at is null
    and i.task_id is not null
    and i.received_at <= p_now - interval '30 seconds'
    and s.status in ('queued', 'starting', 'running')
    and s.provider_done_at is null
    and (i.run < s.run or s.status = 'queued')
  order by i.received_at
  limit p_limit;
end $$;

revoke all on function unstuck_private.webhooks_of_earlier_runs
from public, anon, authenticated, service_role;

--: source website/generation_retry_v1.sql 779bcb685d3e
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
      409, 'in_progress',
      jsonb_build_object('status', unstuck_private.public_status(v_job.status)));
  end if;
  select t.attempt_max
  into v_max
  from unstuck.tools t
  where t.tool = p_tool;
  if greatest(v_step.attempts, v_job.retries + 1) >= v_max or v_job.expires_at <= v_now then
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

--: source website/website_reserve_or_fail.sql cde4a21a5742
-- Fails a website whose attempt stopped, with its refund, if it has no attempt or no time left;
-- otherwise reserves it for the caller, which retries it. Account, job and step are locked. No row
-- where another cleanup or the owner was first, and none where the ledger disagrees with the row:
-- that job is quarantined.
create or replace function unstuck_private.website_reserve_or_fail(p_job_id uuid, p_step int)
returns table (tool text, run bigint, retries int, action text, refunded bigint)
language plpgsql
set search_path = ''
as
$$
#variable_conflict use_column
declare
  v_job unstuck.jobs;
  v_step unstuck.job_steps;
  v_now timestamptz := clock_timestamp();
begin
  select *
  into v_job
  from unstuck.jobs
  where id = p_job_id;
  select *
  into v_step
  from unstuck.job_steps s
  where s.job_id = p_job_id
    and s.step = p_step;
  if v_job.quarantined_at is not null
    or not unstuck_private.is_stale_attempt(v_step, v_now)
    or unstuck_private.is_reserved_attempt(v_step, v_now)
  then
    return;
  end if;
  if unstuck_private.has_ledger_mismatch(v_job) then
    perform unstuck_private.jobs_quarantine(
      array[p_job_id], 'credits_refunded does not agree with the ledger');
    return;
  end if;
  if v_job.expires_at <= v_now
    or (
      select greatest(v_step.attempts, v_job.retries + 1) >= t.attempt_max
      from unstuck.tools t
      where t.tool = v_job.tool
    )
  then
    return query
    select v_job.tool, v_step.run, v_job.retries, 'failed', f.refunded
    from unstuck_private.website_fail(v_job, v_step) f;
    return;
  end if;
  update unstuck.job_steps s
  set checked_at = v_now
  where s.job_id = p_job_id
    and s.step = p_step;
  return query
  select v_job.tool, v_step.run, v_job.retries, 'retry', 0::bigint;
end $$;

revoke all on function unstuck_private.website_reserve_or_fail
from public, anon, authenticated, service_role;

--: history
insert into unstuck_private.migrations (number, name, hash)
values (
  13,
  'known_tasks',
  'e0f40aef90b7d6d3665f95fdae7bd4da792b8b9c56b53094ed44091a02c7b6cc'
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
