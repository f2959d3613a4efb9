-- 0004_moving_in.sql
-- Made by `cargo xtask migration moving_in`
-- from supabase/schemas, in the order in which things can be created. Do not edit it: change the
-- sources. It is applied once, whole or not at all.

begin;

do $applied$
begin
  if exists (select from unstuck_private.migrations where number = 4) then
    raise exception 'unstuck migration 0004 is applied already';
  end if;
  if not exists (select from unstuck_private.migrations where number = 3) then
    raise exception 'unstuck migration 0003 must be applied before 0004';
  end if;
end
$applied$;

-- A function may name an object that is created below it.
set local check_function_bodies = off;
-- While this waits for a table, everybody else waits behind it: fail and retry instead.
set local lock_timeout = '5s';

-- written by hand
alter table unstuck.credit_entries
  add column actor text default nullif(current_setting('unstuck.actor', true), ''),
  add column receipt jsonb;
comment on table unstuck.credit_accounts is $c$
One row per user, which is locked before anything of the user. Its balance is the built-in wallet;
where an adapter holds the balances it stays 0. There is no foreign key to auth.users, so that the
jobs of a deleted user can still be finalised.
$c$;
insert into unstuck.retention (kind, keep)
values ('projection_errors', '30 days')
on conflict do nothing;

--: recreated below, or removed
drop function unstuck_private.refuse_over_balance;
drop function unstuck_private.order_debit;
drop function unstuck_private.job_write;
drop function unstuck_private.account_lock;
drop function unstuck_private.audited_jobs;

--: source credit/credit_accounts.sql 457bbbbaca62 by hand

--: source credit/credit_entries.sql 7550f60b623a by hand

--: source projection/host_requests.sql 147603032f15
create table unstuck.host_requests (
  job_id uuid primary key,
  host_table regclass not null,
  -- The job's own user asked, who is no admin.
  by_user boolean not null,
  at timestamptz not null default clock_timestamp(),
  error text
);

comment on table unstuck.host_requests is $c$
Jobs that the app ended in its own table while somebody else held ours: the next pass of a healer
cancels each.
$c$;

alter table unstuck.host_requests enable row level security;
revoke all on unstuck.host_requests from public, anon, authenticated, service_role;
grant select on unstuck.host_requests to service_role;

--: source projection/projection_errors.sql 702b952556df
create table unstuck.projection_errors (
  id bigint generated always as identity primary key,
  tool text not null,
  host_table regclass not null,
  job_id uuid not null,
  step int,
  at timestamptz not null default clock_timestamp(),
  error text not null,
  tries int not null default 1,
  mended_at timestamptz
);

create unique index projection_errors_owed
on unstuck.projection_errors (job_id, host_table)
where mended_at is null;

create index projection_errors_mended on unstuck.projection_errors (mended_at)
where mended_at is not null;

comment on table unstuck.projection_errors is $c$
Rows of the app that could not be written, and why. Every pass of a healer tries them until each is
written: mended_at.
$c$;

alter table unstuck.projection_errors enable row level security;
revoke all on unstuck.projection_errors from public, anon, authenticated, service_role;
revoke all on sequence unstuck.projection_errors_id_seq
from public, anon, authenticated, service_role;
grant select on unstuck.projection_errors to service_role;

--: source projection/unprojected.sql e67b6d0e7fe0
-- The jobs that a transaction changed and has not written to the app's tables yet. No committed row
-- stays here: the last act of the transaction takes its own.
create table unstuck_private.unprojected (
  xid xid8 not null default pg_current_xact_id(),
  job_id uuid not null
);

create index unprojected_by_transaction on unstuck_private.unprojected (xid);

alter table unstuck_private.unprojected enable row level security;
revoke all on unstuck_private.unprojected from public, anon, authenticated, service_role;

--: source retention/file_walks.sql f3415ea4afab
-- How far the walk through a bucket came that looks for files which are kept no longer: storage's
-- own cursor, which only storage can read. Null, or no row: the walk begins at the first file.
create table unstuck_private.file_walks (
  kind text primary key,
  cursor text
);

alter table unstuck_private.file_walks enable row level security;
revoke all on unstuck_private.file_walks from public, anon, authenticated, service_role;

--: source projection/projections.sql c28e92cd179d
create table unstuck.projections (
  tool text not null references unstuck.tools,
  host_table regclass not null,
  -- One row of the app's for each job, or for each step.
  level text not null check (level in ('job', 'step')),
  -- The app's columns and how each is made: an SQL expression over the job `j`, the step `s` and
  -- the app's word for its status, `w.status`. As {"once": …} it is written with a new row only.
  columns jsonb not null check (jsonb_typeof(columns) = 'object'),
  -- Our words for a status, and the app's. What is in a state without a word is not written.
  statuses jsonb not null check (jsonb_typeof(statuses) = 'object'),
  -- What the app's triggers ask for, beside the claims of its service.
  settings jsonb not null default '{}' check (jsonb_typeof(settings) = 'object'),
  enabled boolean not null default true,
  primary key (tool, host_table)
);

comment on table unstuck.projections is $c$
The app's own tables into which the jobs of a tool are written as they change, under the same id.
$c$;

alter table unstuck.projections enable row level security;
revoke all on unstuck.projections from public, anon, authenticated, service_role;
grant select on unstuck.projections to service_role;

--: source wallet/installed.sql 5d8a4767e2d4
-- The adapter whose functions hold the balances in place of our own accounts. Empty: the built-in
-- wallet.
create table unstuck_private.installed (
  adapter text primary key,
  at timestamptz not null default clock_timestamp()
);

-- One wallet at a time.
create unique index installed_is_one on unstuck_private.installed ((true));

alter table unstuck_private.installed enable row level security;
revoke all on unstuck_private.installed from public, anon, authenticated, service_role;

--: source wallet/refunds_owed.sql d64caa4e72cd
create table unstuck.refunds_owed (
  job_id uuid not null,
  step int,
  amount bigint not null check (amount > 0),
  error text not null,
  at timestamptz not null default clock_timestamp(),
  tries int not null default 1
);

create unique index refunds_owed_once on unstuck.refunds_owed (job_id, step) nulls not distinct;

comment on table unstuck.refunds_owed is $c$
Refunds that a wallet did not take, in full or in part, when the job ended. Every pass of a healer
tries them; one that is older than an hour is a row of invariant_violations.
$c$;

alter table unstuck.refunds_owed enable row level security;
revoke all on unstuck.refunds_owed from public, anon, authenticated, service_role;
grant select on unstuck.refunds_owed to service_role;

--: source admin/job_repeat.sql 82f557a488d5
-- Writes a new job with the input and the steps of a final one, for the same user. It costs nothing
-- unless p_charge; then the wallet prices it by the input and by its own receipt of the old job,
-- which says who paid. The old job and the user's account are locked.
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
  v_balance bigint;
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
  if exists (
    select
    from unstuck.jobs j
    where j.exclusive_key = p_tool.exclusive_group || ':' || p_job.user_id
      and j.status in ('queued', 'starting', 'running')
  ) then
    perform unstuck_private.refuse(409, 'active_job_exists');
  end if;
  perform unstuck_private.account_lock(p_job.user_id);
  if p_charge then
    v_price := unstuck_private.wallet_price(
      p_job.user_id, p_tool.tool,
      p_job.input || coalesce(unstuck_private.job_receipt(p_job.id), '{}'),
      unstuck_private.order_price(p_tool, jsonb_array_length(v_steps)));
  end if;
  v_balance := unstuck_private.refuse_over_balance(p_job.user_id, p_tool.tool, v_price);
  if exists (select from unstuck.jobs j where j.id = p_new_job_id) then
    perform unstuck_private.refuse(409, 'idempotency_conflict');
  end if;
  perform unstuck_private.job_write(
    p_job.user_id, p_new_job_id, p_tool, p_job.session_id, p_job.input,
    coalesce(p_job.request_hash, 'retry'), v_steps, v_price, v_balance, p_job.id);
end $$;

revoke all on function unstuck_private.job_repeat from public, anon, authenticated, service_role;

--: source audit/audited_jobs.sql 1353fd0be1d7
-- What the invariants compare of these jobs: the row, the sums of its steps and of its ledger. A
-- function of its own, so that each sum is computed once.
create or replace function unstuck_private.audited_jobs(p_jobs uuid[])
returns table (
  id uuid,
  user_id uuid,
  status text,
  credits_charged bigint,
  credits_refunded bigint,
  quarantined_at timestamptz,
  is_per_step boolean,
  is_final boolean,
  is_settled boolean,
  has_no_ledger boolean,
  steps bigint,
  live_steps bigint,
  delivered_share numeric,
  undelivered_share numeric,
  debit numeric,
  refunded numeric,
  owed numeric
)
language sql
stable
as
$$
  select j.id, j.user_id, j.status, j.credits_charged, j.credits_refunded, j.quarantined_at,
    j.refund_rule = 'per_step',
    unstuck_private.is_final(j.status),
    -- is_settled: an admin ended the job although its money does not agree, and the event
    -- `admin_cancelled` says so. No one can mend the ledger any more, so it is no violation.
    unstuck_private.is_final(j.status) and j.quarantined_at is not null,
    -- has_no_ledger: the ledger was deleted with its user, and the job was kept.
    exists (
      select from unstuck_private.removals r
      where r.user_id = j.user_id
        and r.ledger_removed_at >= j.created_at
    ),
    s.*, e.*, o.*
  from unnest(p_jobs) as n (id)
  join unstuck.jobs j on j.id = n.id
  cross join lateral (
    select count(*),
      count(*) filter (where not unstuck_private.is_final(st.status)),
      coalesce(sum(st.share) filter (where st.status = 'completed'), 0),
      coalesce(sum(st.share) filter (where st.status <> 'completed'), 0)
    from unstuck.job_steps st
    where st.job_id = j.id
  ) s
  cross join lateral (
    select coalesce(-sum(c.amount) filter (where c.kind = 'debit'), 0),
      coalesce(sum(c.amount) filter (where c.kind = 'refund'), 0)
    from unstuck.credit_entries c
    where c.job_id = j.id
      and c.kind in ('debit', 'refund')
  ) e
  cross join lateral (
    select coalesce(sum(r.amount), 0)
    from unstuck.refunds_owed r
    where r.job_id = j.id
  ) o
$$;

revoke all on function unstuck_private.audited_jobs from public, anon, authenticated, service_role;

--: source audit/violations_now.sql d6e4f2e4e3da
-- The violations of the three invariants that hold or not by the clock; they are never stored.
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
  -- Four minutes count from the moment when nothing was in the way of the step.
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
  union all
  select *
  from unstuck_private.violations_of_owed()
$$;

revoke all on function unstuck_private.violations_now
from public, anon, authenticated, service_role;

--: source audit/violations_of_balances.sql 8cc539a5672b
-- The users among these whose balance is not the sum of their entries. An adapter's balance is not
-- ours to know.
create or replace function unstuck_private.violations_of_balances(p_users uuid[])
returns table (invariant text, user_id uuid, detail text)
language sql
stable
as
$$
  select 'balance_equals_entries', n.id,
    case when a.user_id is null
      then format('no account, entries %s', t.total)
      else format('balance %s, entries %s', a.balance, t.total)
    end
  from unnest(p_users) as n (id)
  left join unstuck.credit_accounts a on a.user_id = n.id
  cross join lateral (
    select count(*) as entries, coalesce(sum(e.amount), 0) as total
    from unstuck.credit_entries e
    where e.user_id = n.id
  ) t
  where case when a.user_id is null then t.entries > 0 else a.balance <> t.total end
    and not unstuck_private.has_adapter()
$$;

revoke all on function unstuck_private.violations_of_balances
from public, anon, authenticated, service_role;

--: source audit/violations_of_jobs.sql cca6fd31bde7
-- The violations among these jobs, one row each.
create or replace function unstuck_private.violations_of_jobs(p_jobs uuid[])
returns table (invariant text, job_id uuid, detail text)
language sql
stable
as
$$
  with job as materialized (
    select *
    from unstuck_private.audited_jobs(p_jobs)
  )
  select 'steps_final_iff_job_final', j.id,
    format('job is %s with %s of %s steps live', j.status, j.live_steps, j.steps)
  from job j
  where j.steps > 0
    and (
      j.is_final and j.live_steps > 0
      or not j.is_final and j.live_steps = 0 and j.quarantined_at is null
    )
  union all
  select 'cancelled_request_never_runs', j.id,
    format('job is %s, its user cancelled it at %s', j.status, c.at)
  from job j
  join unstuck.cancelled_requests c on c.user_id = j.user_id and c.job_id = j.id
  where j.status in ('queued', 'starting', 'running')
  union all
  select 'refunds_within_debit', j.id, format('refunded %s of %s', j.refunded, j.debit)
  from job j
  where j.refunded > j.debit and not j.is_settled
  union all
  select 'job_money_equals_ledger', j.id,
    format('row: %s charged, %s refunded; ledger: %s, %s',
      j.credits_charged, j.credits_refunded, j.debit, j.refunded)
  from job j
  where (j.credits_charged <> j.debit or j.credits_refunded <> j.refunded)
    and not j.has_no_ledger
    and not j.is_settled
  union all
  select 'final_refund_exact', j.id,
    format('%s with %s refunded of %s', j.status, j.refunded, j.debit)
  from job j
  -- Of a settled job, only credits that could not be refunded are a violation.
  where (j.quarantined_at is null or j.is_settled and j.refunded < j.debit)
    and not j.has_no_ledger
    and case
      -- Shares in rows of others may not add up: finalising such a job computes them anew.
      when j.is_per_step and j.delivered_share + j.undelivered_share <> j.debit then false
      when j.status = 'completed' then
        j.refunded + j.owed <> case when j.is_per_step then j.undelivered_share else 0 end
      when j.is_final then
        j.refunded + j.owed <> j.debit
          - case when j.is_per_step and j.debit > 0 then j.delivered_share else 0 end
      else false
    end
  union all
  select 'quarantined', j.id, format('live %s, quarantined at %s', j.status, j.quarantined_at)
  from job j
  where j.quarantined_at is not null and not j.is_final
$$;

revoke all on function unstuck_private.violations_of_jobs
from public, anon, authenticated, service_role;

--: source audit/violations_of_owed.sql 21ac4ac844af
-- The refunds that are owed for longer than an hour, and the tables of the app that lack rows for
-- as long.
create or replace function unstuck_private.violations_of_owed()
returns table (invariant text, subject text, detail text)
language sql
stable
as
$$
  select 'refund_owed', o.job_id::text,
    format('%s owed since %s, tried %s times: %s', o.amount, o.at, o.tries, o.error)
  from unstuck.refunds_owed o
  where o.at < clock_timestamp() - interval '1 hour'
  union all
  select 'projection_owed', e.host_table::text,
    format('%s jobs are not written since %s: %s', count(*), min(e.at), max(e.error))
  from unstuck.projection_errors e
  where e.mended_at is null
    and e.at < clock_timestamp() - interval '1 hour'
  group by e.host_table
$$;

revoke all on function unstuck_private.violations_of_owed
from public, anon, authenticated, service_role;

--: source cancel/session_cancel_v1.sql 3e88f28fe141
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

--: source credit/account_lock.sql cb4140ca900f
-- Locks the user's account, and creates it where there is none. It retries where another
-- transaction erased the account while this one waited, so that the caller always holds a row.
create or replace function unstuck_private.account_lock(p_user_id uuid)
returns void
language plpgsql
set search_path = ''
as
$$
begin
  loop
    perform
    from unstuck.credit_accounts a
    where a.user_id = p_user_id
    for update;
    exit when found;
    insert into unstuck.credit_accounts (user_id)
    values (p_user_id)
    on conflict do nothing;
  end loop;
end $$;

revoke all on function unstuck_private.account_lock from public, anon, authenticated, service_role;

--: source credit/accounts_make.sql 1f5dfd6739c3
-- Makes the accounts that rows written by hand left out: of the users of these jobs who have a
-- ledger.
create or replace function unstuck_private.accounts_make(p_ids uuid[]) returns void
language plpgsql
set search_path = ''
as
$$
begin
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
end $$;

revoke all on function unstuck_private.accounts_make from public, anon, authenticated, service_role;

--: source credit/credit_adjust.sql ab186b7c55e5
-- Writes one signed adjustment, never below a balance of zero, for the two functions that older
-- back-end code calls. It refuses by success = false and a message, as that code expects.
create or replace function unstuck_private.credit_adjust(
  p_user_id uuid,
  p_amount bigint,
  p_reason text
)
returns table (success boolean, new_balance bigint, error_message text)
language plpgsql
set search_path = ''
as
$$
declare
  v_balance bigint;
begin
  if p_user_id is null or p_amount is null or p_amount = 0 then
    return query select false, null::bigint, 'Amount must be positive';
    return;
  end if;
  if p_amount > unstuck_private.grant_max() then
    return query select false, null::bigint, 'Amount is too large';
    return;
  end if;
  perform unstuck_private.account_lock(p_user_id);
  select coalesce(max(w.balance), 0)
  into v_balance
  from unstuck_private.wallet_lock(p_user_id, null, true) w;
  if v_balance + p_amount < 0 then
    return query select false, v_balance, 'Insufficient credits';
    return;
  end if;
  insert into unstuck.credit_entries (user_id, kind, amount, reason)
  values (p_user_id, 'adjustment', p_amount, p_reason)
  returning balance_after
  into v_balance;
  return query select true, v_balance, null::text;
end $$;

revoke all on function unstuck_private.credit_adjust from public, anon, authenticated, service_role;

--: source credit/credit_entries_before_insert.sql 2d5ac972dae1
-- Moves the wallet by a new entry that has no `balance_after`, and writes what the wallet says that
-- it moved. An entry that moves nothing is not written; one that would take more than there is
-- fails. Orders and refunds of jobs ask the wallet themselves.
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
    if new.amount > v_asked then
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

--: source credit/credit_grant_v1.sql 3940889b390d
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
    values (p_user_id, 'grant', p_amount, p_reason, p_idempotency_key)
    returning *
    into v_entry;
  exception when unique_violation then
    -- Another transaction used the key for another user at the same moment.
    perform unstuck_private.refuse(409, 'idempotency_conflict');
  end;
  return query select v_entry.balance_after, false;
end $$;

comment on function unstuck.credit_grant_v1 is $c$
Caller: the purchase code of the app, as the service.

Effect: gives the user credits by a grant, and creates the account where there is none. balance:
after the grant.

Refuses: bad_request (no user, no key, an amount that is not within 1 and 10^12),
idempotency_conflict (the key belongs to another grant).

Replay: the same key with the same user and amount changes nothing: replayed = true.
$c$;

revoke all on function unstuck.credit_grant_v1 from public, anon, authenticated, service_role;
grant execute on function unstuck.credit_grant_v1 to service_role;

--: source credit/jobs_refund.sql a7013129c0b9
-- Refunds these jobs what `refunds_due` says of the state that each is about to have, and returns
-- the debit, the refunds before and the refund now of each. Without p_refund it refunds nothing.
-- The caller has locked the accounts (by id) and the jobs, and has ended the steps. The balances of
-- the built-in wallet are written here for all jobs at once.
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
  perform unstuck_private.accounts_make(p_ids);

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

  if unstuck_private.has_adapter() then
    return query
    select e.job_id, e.debit, e.refunded, sum(e.given)::bigint
    from unstuck_private.jobs_refund_each(p_ids, p_statuses, p_reasons, p_refund) e
    group by 1, 2, 3;
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

--: source erase/user_erase_v1.sql 2a37ef22956c
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
  if not unstuck.has_role(p_actor, 'admin') then
    perform unstuck_private.refuse(403, 'forbidden');
  end if;
  if p_user_id is null or p_user_id = unstuck_private.erased_user() then
    perform unstuck_private.refuse(400, 'bad_request');
  end if;
  perform unstuck_private.act_as('admin:' || p_actor);
  perform unstuck_private.account_lock(p_user_id);
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
account, cancelled orders, turns and roles, all or nothing, and records it in admin_log. A job that
a provider may still work on stays for a day as a bare row that names no user, so that its cancel is
sent. The files are listed in erasures and deleted later through the Storage API. jobs, entries:
deleted rows; files: results that the jobs named.

Refuses: forbidden, bad_request, in_progress (the app's wallet does not take back what it owes the
user; refunds_owed: how much. Where it never will, delete the user's rows of refunds_owed first).

Replay: zeros. The user may come back and is a new user then.
$c$;

revoke all on function unstuck.user_erase_v1 from public, anon, authenticated, service_role;
grant execute on function unstuck.user_erase_v1 to service_role;

--: source erase/user_leave_app.sql 20d317bdde0a
-- What an app is told and owes before the rows of a user who is erased go: the ends of these jobs,
-- all of the user, are written to its tables, and refunds that are owed are paid. Refuses while one
-- is left. Account, wallet and jobs are locked.
create or replace function unstuck_private.user_leave_app(p_user_id uuid, p_job_ids uuid[])
returns void
language plpgsql
set search_path = ''
as
$$
declare
  v_owed bigint;
begin
  perform unstuck_private.refunds_owed_pay(p_user_id, clock_timestamp() + interval '10 seconds');
  select sum(o.amount)
  into v_owed
  from unstuck.refunds_owed o
  where o.job_id = any (p_job_ids);
  if v_owed > 0 then
    perform unstuck_private.refuse(409, 'in_progress', jsonb_build_object('refunds_owed', v_owed));
  end if;
  set constraints unstuck_private.unprojected_project immediate;
end $$;

revoke all on function unstuck_private.user_leave_app
from public, anon, authenticated, service_role;

--: source erase/user_rows_delete.sql 13ff82337525
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

--: source job/act_as.sql 68b9599aa174
-- Names the actor of this transaction. The triggers that write `job_events` store it with each
-- transition. A healer's call waits for no lock that another transaction holds.
create or replace function unstuck_private.act_as(p_actor text) returns void
language plpgsql
set search_path = ''
as
$$
begin
  perform set_config('unstuck.actor', p_actor, true);
  if unstuck_private.is_healers_call() then
    set local lock_timeout = '20ms';
  end if;
end $$;

revoke all on function unstuck_private.act_as from public, anon, authenticated, service_role;

--: source job/is_healers_call.sql 6c4be51bc14e
-- True when a healer at the edge makes this call, which says so in a header of its request. What
-- others hold it leaves to the next pass.
create or replace function unstuck_private.is_healers_call() returns boolean
language sql
stable
as
$$
  select coalesce(
    nullif(current_setting('request.headers', true), '')::jsonb ->> 'x-unstuck-caller' = 'healer',
    false)
$$;

revoke all on function unstuck_private.is_healers_call
from public, anon, authenticated, service_role;

--: source job/job_lock.sql 64bfce0e3bf9
-- Locks the account of a job's user, the wallet and the job, in this order, for a function that
-- may move credits, and returns the job. Null where there is no such job; an account that it
-- created for a user who was erased meanwhile is deleted again.
--
-- A worker waits for the call of another worker. What is held for five seconds is held by an
-- operator: the call then fails, and its caller tries again. A healer does not wait.
create or replace function unstuck_private.job_lock(p_job_id uuid)
returns unstuck.jobs
language plpgsql
set search_path = ''
set lock_timeout = '5s'
as
$$
declare
  v_user uuid;
  v_tool text;
  v_job unstuck.jobs;
begin
  if unstuck_private.is_healers_call() then
    set local lock_timeout = '20ms';
  end if;
  select j.user_id, j.tool
  into v_user, v_tool
  from unstuck.jobs j
  where j.id = p_job_id;
  if not found then
    return null;
  end if;
  perform unstuck_private.account_lock(v_user);
  perform unstuck_private.wallet_hold(v_user, v_tool);
  select *
  into v_job
  from unstuck.jobs j
  where j.id = p_job_id
  for update;
  if v_job.user_id is distinct from v_user then
    perform unstuck_private.account_drop_empty(v_user);
  end if;
  return v_job;
end $$;

revoke all on function unstuck_private.job_lock from public, anon, authenticated, service_role;

--: source job/job_state.sql d04449f30c2e
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
    unstuck_private.balance_shown(j.user_id, j.tool),
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
  left join unstuck_private.job_position(p_job_id) p on true
  where j.id = p_job_id;
end $$;

revoke all on function unstuck_private.job_state from public, anon, authenticated, service_role;

--: source job/jobs_try_lock.sql 6df434935a53
-- Locks the jobs among these that no other transaction holds, for a healer: the account, an
-- adapter's wallet, the job and each of its steps, in this order. It waits for none: the next pass
-- heals what is busy now. Returns the jobs that are locked in full.
--
-- A user without an account has nothing to lock and gets nothing back. If rows that were written by
-- hand left out the account of a ledger, it is created here; an insert of the same key that is not
-- committed yet would be waited for, hence the lock_timeout.
create or replace function unstuck_private.jobs_try_lock(p_ids uuid[]) returns uuid[]
language plpgsql
set search_path = ''
set lock_timeout = '20ms'
as
$$
declare
  v_users uuid[];
  v_jobs uuid[];
  v_user uuid;
begin
  for v_user in
    select distinct j.user_id
    from unstuck.jobs j
    where j.id = any (p_ids)
      and not exists (select from unstuck.credit_accounts a where a.user_id = j.user_id)
      and unstuck_private.has_ledger_entries(j.id)
    order by 1
  loop
    begin
      insert into unstuck.credit_accounts (user_id)
      values (v_user)
      on conflict do nothing;
    exception when lock_not_available then
      null;
    end;
  end loop;

  v_users := array(
    select distinct j.user_id
    from unstuck.jobs j
    where j.id = any (p_ids)
  );
  v_users := array(
    select a.user_id
    from unstuck.credit_accounts a
    where a.user_id = any (v_users)
    order by a.user_id
    for update skip locked
  );
  if unstuck_private.has_adapter() then
    v_users := unstuck_private.wallets_try_lock(v_users);
  end if;
  v_jobs := array(
    select j.id
    from unstuck.jobs j
    where j.id = any (p_ids)
      and (
        j.user_id = any (v_users)
        or not exists (select from unstuck.credit_accounts a where a.user_id = j.user_id)
          and not unstuck_private.has_ledger_entries(j.id)
      )
    order by j.id
    for update skip locked
  );
  return array(
    with held as (
      select s.job_id, s.step
      from unstuck.job_steps s
      where s.job_id = any (v_jobs)
      order by s.job_id, s.step
      for update skip locked
    )
    select n.id
    from unnest(v_jobs) as n (id)
    where n.id not in (
      select s.job_id
      from unstuck.job_steps s
      left join held h using (job_id, step)
      where s.job_id = any (v_jobs)
        and h.job_id is null
    )
  );
end $$;

revoke all on function unstuck_private.jobs_try_lock from public, anon, authenticated, service_role;

--: source order/job_enqueue_v2.sql fe4bb1bc56bf
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
  v_price bigint;
  v_balance bigint;
  v_taken bigint;
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
  v_price := unstuck_private.wallet_price(p_user_id, p_tool, p_input,
    unstuck_private.order_price(v_tool, jsonb_array_length(p_steps)));
  v_balance := unstuck_private.refuse_over_balance(p_user_id, p_tool, v_price);
  begin
    -- Some servers of the PostgREST protocol pass a null as ''.
    v_taken := unstuck_private.job_write(p_user_id, p_job_id, v_tool, nullif(p_session_id, ''),
      p_input, p_request_hash, p_steps, v_price, v_balance, null);
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
  select p_job_id, 'queued', false, v_taken, v_balance - v_taken, null::int, null::int, null::text,
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

--: source order/job_write.sql 4e11ab7f4472
-- Writes a queued job with its debit and its steps, or overwrites the row that the order adopts.
-- The caller has locked the account and the wallet, which holds p_balance. What is charged is what
-- the wallet says that it took, which this returns.
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

--: source order/order_claimed.sql b92961f6af52
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
  cross join clock_timestamp() as n (now)
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
    'attempts', greatest(s.attempts, 0),
    'input', s.input,
    'previous_output_url', null,
    'run_ms', ceil(
      extract(
        epoch from greatest(least(n.now + t.run_timeout, j.expires_at), n.now) - n.now
      ) * 1000
    )
  )
  into v_claimed;
  return v_claimed;
end $$;

revoke all on function unstuck_private.order_claimed
from public, anon, authenticated, service_role;

--: source order/order_debit.sql cff8121e7a1b
-- Takes the price of an order from the wallet, which the caller has locked and which holds
-- p_balance, writes the entry and returns what was taken: nothing where orders are free.
create or replace function unstuck_private.order_debit(
  p_user_id uuid,
  p_job_id uuid,
  p_tool text,
  p_price bigint,
  p_balance bigint
)
returns bigint
language plpgsql
set search_path = ''
as
$$
declare
  v_debit record;
begin
  if p_price <= 0 then
    return 0;
  end if;
  v_debit := unstuck_private.wallet_debit(p_user_id, p_tool, p_price, p_job_id, p_tool);
  if v_debit.taken > 0 then
    insert into unstuck.credit_entries (
      user_id, job_id, kind, amount, balance_after, reason, receipt)
    values (
      p_user_id, p_job_id, 'debit', -v_debit.taken, p_balance - v_debit.taken, p_tool,
      v_debit.receipt);
  end if;
  return v_debit.taken;
end $$;

revoke all on function unstuck_private.order_debit from public, anon, authenticated, service_role;

--: source order/refuse_over_balance.sql 6414505b11ab
-- Locks the wallet that pays for this order, refuses a price that it does not cover, and returns
-- what it holds. The user's row is locked; so is a job that the order adopts, against the order of
-- locks: it is the user's own, and nobody who waits for it holds the wallet.
create or replace function unstuck_private.refuse_over_balance(
  p_user_id uuid,
  p_tool text,
  p_price bigint
)
returns bigint
language plpgsql
set search_path = ''
as
$$
declare
  v_balance bigint;
  v_unlimited boolean;
begin
  select w.balance, w.unlimited
  into v_balance, v_unlimited
  from unstuck_private.wallet_lock(p_user_id, p_tool, true) w;
  if coalesce(v_balance, 0) < p_price and v_unlimited is not true then
    perform unstuck_private.refuse(
      402,
      'insufficient_credits',
      jsonb_build_object('balance', coalesce(v_balance, 0), 'required', p_price)
    );
  end if;
  return coalesce(v_balance, 0);
end $$;

revoke all on function unstuck_private.refuse_over_balance
from public, anon, authenticated, service_role;

--: source projection/heal_app.sql 42b73cb764aa
-- What a pass does for an app that we are a guest of: it carries out what the app asked for, and
-- lists what is owed to its tables. Neither stops the pass.
create or replace function unstuck_private.heal_app(p_until timestamptz) returns void
language plpgsql
set search_path = ''
as
$$
begin
  begin
    perform unstuck_private.host_requests_carry_out(p_until);
  exception when others then
    raise warning 'host_requests_carry_out failed: %', sqlerrm;
  end;
  begin
    perform unstuck_private.projections_mend();
  exception when others then
    raise warning 'projections_mend failed: %', sqlerrm;
  end;
end $$;

revoke all on function unstuck_private.heal_app from public, anon, authenticated, service_role;

--: source projection/host_request_carry_out.sql 2c726b869bf6
-- Cancels a job that the app ended in its own table, unless somebody else holds it: then the
-- request stays for the next pass. Where its user asked and a provider works on it by now, the
-- job goes on and the app's row is written back, unless the tool allows it. What fails is kept with
-- its error.
create or replace function unstuck_private.host_request_carry_out(p_job_id uuid) returns void
language plpgsql
set search_path = ''
as
$$
begin
  if unstuck_private.jobs_try_lock(array[p_job_id]) = '{}' then
    return;
  end if;
  if exists (
    select from unstuck.host_requests r
    join unstuck.jobs j on j.id = r.job_id
    join unstuck.tools t using (tool)
    where r.job_id = p_job_id
      and r.by_user
      and j.status in ('starting', 'running')
      and not t.user_cancel_running
  ) then
    insert into unstuck_private.unprojected (job_id)
    values (p_job_id);
  else
    perform unstuck_private.act_as('app');
    perform unstuck_private.jobs_finalise_each(
      array[p_job_id], array['cancelled'], array['CANCELLED'], array['cancelled in the app.'],
      clock_timestamp() + interval '3 seconds');
  end if;
  delete from unstuck.host_requests r
  where r.job_id = p_job_id;
exception when others then
  update unstuck.host_requests r
  set error = sqlerrm
  where r.job_id = p_job_id;
end $$;

revoke all on function unstuck_private.host_request_carry_out
from public, anon, authenticated, service_role;

--: source projection/host_requests_carry_out.sql c1dfea90b196
-- Carries out what the app asked for while somebody else held the job, until p_until. Requests for
-- jobs that are gone go with them.
create or replace function unstuck_private.host_requests_carry_out(p_until timestamptz)
returns void
language plpgsql
set search_path = ''
as
$$
declare
  v_job uuid;
begin
  delete from unstuck.host_requests r
  where not exists (select from unstuck.jobs j where j.id = r.job_id);
  for v_job in
    select r.job_id
    from unstuck.host_requests r
    order by r.error is not null, r.at
    limit 200
  loop
    exit when clock_timestamp() > p_until;
    perform unstuck_private.host_request_carry_out(v_job);
  end loop;
end $$;

revoke all on function unstuck_private.host_requests_carry_out
from public, anon, authenticated, service_role;

--: source projection/host_row_changed.sql 84b646b5034f
-- What others do to a row of an attached table. A row that an older page inserts is a pending job
-- of ours: unpaid, and harmless until its `/run` adopts it. A row that a page or a function of the
-- app ends while our job lives cancels the job, with its refund; but a user does not end a job of
-- the user's own that a provider works on, and the row is written back. A row that is another
-- user's is none of the job's. Our own writes are known by a setting.
--
-- The app's transaction holds its row already, against our order of locks, so nothing here waits.
create or replace function unstuck_private.host_row_changed() returns trigger
language plpgsql
security definer
set search_path = ''
as
$$
declare
  v_ends text[];
  v_user uuid;
begin
  if current_setting('unstuck.projecting', true) = 'on' then
    return null;
  end if;
  if tg_op = 'INSERT' then
    perform unstuck_private.host_row_take(tg_relid, to_jsonb(new));
    return null;
  end if;
  select array[p.statuses ->> 'failed', p.statuses ->> 'cancelled'], j.user_id
  into v_ends, v_user
  from unstuck.projections p
  join unstuck.jobs j on j.tool = p.tool
  where p.host_table = tg_relid
    and p.enabled
    and j.id = new.id
    and unstuck_private.is_live(j.status)
    and to_jsonb(new) ->> unstuck_private.projection_owner(p) is not distinct from
      case when unstuck_private.projection_owner(p) is not null then j.user_id::text end;
  if found
    and new.status is distinct from old.status
    and new.status::text = any (v_ends)
  then
    insert into unstuck.host_requests as r (job_id, host_table, by_user)
    values (new.id, tg_relid, unstuck_private.is_by_user(v_user))
    on conflict (job_id) do update
    set by_user = r.by_user and excluded.by_user;
    perform unstuck_private.host_request_carry_out(new.id);
  end if;
  return null;
end $$;

revoke all on function unstuck_private.host_row_changed
from public, anon, authenticated, service_role;

--: source projection/host_row_take.sql a5d34eb2adf1
-- Keeps a row that an older page inserted into an attached table as a pending job, where the row
-- fits one tool: what a projection writes as a fixed word tells them apart. It is left alone where
-- it cannot be kept: its `/run` makes the job all the same. The limits are those of
-- `legacy_job_insert`.
create or replace function unstuck_private.host_row_take(p_host_table regclass, p_row jsonb)
returns void
language plpgsql
set search_path = ''
as
$$
declare
  v_input jsonb := unstuck_private.legacy_input(p_row);
  v_tools text[] := array(
    select p.tool
    from unstuck.projections p
    where p.host_table = p_host_table
      and p.enabled
      and not exists (
        select from jsonb_each(p.columns) c
        where c.value ->> 'once' ~ '^''[^'']*''$'
          and p_row ->> c.key is distinct from trim(both '''' from c.value ->> 'once')
      )
  );
begin
  if auth.uid() is null
    or p_row ->> 'user_id' is distinct from auth.uid()::text
    or cardinality(v_tools) <> 1
    or octet_length(v_input::text) > 20000
    or (
      select count(*) filter (where j.status = 'pending') >= 20 or count(*) >= 200
      from unstuck.jobs j
      where j.user_id = auth.uid()
        and j.request_hash is null
        and j.created_at > clock_timestamp() - interval '1 hour'
    )
  then
    return;
  end if;
  insert into unstuck.jobs (id, tool, user_id, session_id, status, input)
  values (
    (p_row ->> 'id')::uuid, v_tools[1], auth.uid(), left(p_row ->> 'session_id', 200), 'pending',
    v_input)
  on conflict do nothing;
exception when others then
  raise warning 'the row % of % is not kept: %', p_row ->> 'id', p_host_table, sqlerrm;
end $$;

revoke all on function unstuck_private.host_row_take from public, anon, authenticated, service_role;

--: source projection/is_by_user.sql 7e589ece05aa
-- True where the caller is the user whose job this is, and no admin.
create or replace function unstuck_private.is_by_user(p_user_id uuid) returns boolean
language sql
stable
set search_path = ''
as
$$
  select coalesce(p_user_id = auth.uid(), false) and not unstuck_private.is_admin()
$$;

revoke all on function unstuck_private.is_by_user from public, anon, authenticated, service_role;

--: source projection/job_project.sql fb9f6d198fba
-- Writes one job to one table of the app, in a block of its own: whatever the app's triggers raise,
-- also the deferred ones, ends as a row of `projection_errors` and stops nothing. The app's code
-- runs as at its own service's call, and no lock of the app is waited for longer than p_wait_ms
-- (null: no time is left).
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

--: source projection/job_steps_unprojected.sql 70872448f544
-- Lists the jobs for `project` of which a step changed in what an app may show: not for a lease
-- that is renewed.
create or replace function unstuck_private.job_steps_unprojected() returns trigger
language plpgsql
set search_path = ''
set enable_nestloop = off
as
$$
begin
  if not exists (select from unstuck.projections p where p.enabled) then
    return null;
  end if;
  insert into unstuck_private.unprojected (job_id)
  select distinct n.job_id
  from new_rows n
  join old_rows o on o.job_id = n.job_id and o.step = n.step
  join unstuck.jobs j on j.id = n.job_id
  where row(n.status, n.provider_task_id, n.attempts, n.output_url, n.error_message)
    is distinct from row(o.status, o.provider_task_id, o.attempts, o.output_url, o.error_message)
    and j.tool in (select p.tool from unstuck.projections p where p.enabled);
  return null;
end $$;

create or replace trigger job_steps_unprojected after update on unstuck.job_steps
referencing old table as old_rows new table as new_rows
for each statement execute function unstuck_private.job_steps_unprojected();

revoke all on function unstuck_private.job_steps_unprojected
from public, anon, authenticated, service_role;

--: source projection/jobs_unprojected.sql 97ec96a67b26
-- Lists the jobs for `project` that are new or changed in what an app may show, where the tool has
-- a projection: not where an input is pruned or a deadline moves.
create or replace function unstuck_private.jobs_unprojected() returns trigger
language plpgsql
set search_path = ''
set enable_nestloop = off
as
$$
begin
  if not exists (select from unstuck.projections p where p.enabled) then
    return null;
  end if;
  if tg_op = 'INSERT' then
    insert into unstuck_private.unprojected (job_id)
    select n.id
    from new_rows n
    where n.tool in (select p.tool from unstuck.projections p where p.enabled);
    return null;
  end if;
  insert into unstuck_private.unprojected (job_id)
  select n.id
  from new_rows n
  join old_rows o on o.id = n.id
  where row(
      n.status, n.user_id, n.session_id, n.credits_charged, n.credits_refunded, n.output_url,
      n.error_message, n.total_steps, n.current_step, n.retries, n.waited_in_queue, n.created_at,
      n.queued_at, n.started_at, n.completed_at)
    is distinct from row(
      o.status, o.user_id, o.session_id, o.credits_charged, o.credits_refunded, o.output_url,
      o.error_message, o.total_steps, o.current_step, o.retries, o.waited_in_queue, o.created_at,
      o.queued_at, o.started_at, o.completed_at)
    and n.tool in (select p.tool from unstuck.projections p where p.enabled);
  return null;
end $$;

create or replace trigger jobs_unprojected_insert after insert on unstuck.jobs
referencing new table as new_rows
for each statement execute function unstuck_private.jobs_unprojected();

create or replace trigger jobs_unprojected_update after update on unstuck.jobs
referencing old table as old_rows new table as new_rows
for each statement execute function unstuck_private.jobs_unprojected();

revoke all on function unstuck_private.jobs_unprojected
from public, anon, authenticated, service_role;

--: source projection/project.sql 9f8da0386ee6
-- The last act of a transaction: writes every job that it changed to the app's tables. The first
-- call at its end takes the whole list; the others find nothing. What there is no time for is owed.
--
-- All jobs together wait for the app's locks for 200 ms: the wallets are held meanwhile, and a
-- transaction of the app that waits for one of those would be a deadlock's victim after a second.
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

--: source projection/projection_attach.sql 5a16b414eaf3
-- Writes the jobs of a tool to a table of the app from now on, and takes what older pages and the
-- app's own functions do to those rows; `projection.sql` of an adapter calls it. A column that the
-- table does not have is refused. Repeating it changes what is given anew. Where the setting
-- `unstuck.tools` names tools, all others are left as they are.
create or replace function unstuck_private.projection_attach(
  p_tool text,
  p_host_table regclass,
  p_level text,
  p_columns jsonb,
  p_statuses jsonb,
  p_settings jsonb default '{}'
)
returns void
language plpgsql
set search_path = ''
as
$$
declare
  v_unknown text;
  v_statement text;
begin
  if p_tool <> all (string_to_array(nullif(current_setting('unstuck.tools', true), ''), ' ')) then
    return;
  end if;
  select string_agg(c.name, ', ')
  into v_unknown
  from jsonb_object_keys(p_columns) as c (name)
  where not exists (
    select from pg_catalog.pg_attribute a
    where a.attrelid = p_host_table
      and a.attname = c.name
      and not a.attisdropped
  );
  if v_unknown is not null then
    raise exception '% has no column %', p_host_table, v_unknown;
  end if;
  insert into unstuck.projections (tool, host_table, level, columns, statuses, settings)
  values (p_tool, p_host_table, p_level, p_columns, p_statuses, p_settings)
  on conflict (tool, host_table) do update
  set level = excluded.level,
    columns = excluded.columns,
    statuses = excluded.statuses,
    settings = excluded.settings;
  if p_level = 'job' then
    -- A trigger of the app's table: which one is known here only.
    v_statement := format(
      'create or replace trigger unstuck_host_row after insert or update of status on %s '
        || 'for each row execute function unstuck_private.host_row_changed()',
      p_host_table
    );
    execute v_statement;
  end if;
end $$;

revoke all on function unstuck_private.projection_attach
from public, anon, authenticated, service_role;

--: source projection/projection_detach.sql 409f158ddc63
-- Writes the jobs of this tool to this table no more. The rows stay as they are; the trigger goes
-- with the last tool that the table had. Refuses while a job of the tool lives, because its row
-- would hang for ever, and while a row is owed to the table.
create or replace function unstuck_private.projection_detach(
  p_tool text,
  p_host_table regclass
)
returns void
language plpgsql
set search_path = ''
as
$$
declare
  v_statement text;
  v_jobs bigint;
  v_owed bigint;
begin
  -- From here on nobody orders and no job ends.
  lock table unstuck.credit_accounts in exclusive mode;
  select count(*)
  into v_jobs
  from unstuck.jobs j
  where j.tool = p_tool
    and unstuck_private.is_live(j.status)
    and j.request_hash is not null;
  select count(*)
  into v_owed
  from unstuck.projection_errors e
  where e.tool = p_tool
    and e.host_table = p_host_table
    and e.mended_at is null;
  if v_jobs > 0 or v_owed > 0 then
    raise exception '% jobs of % live, and % rows are owed to %',
      v_jobs, p_tool, v_owed, p_host_table
    using hint = 'Switch the tool off and wait: update unstuck.tools set enabled = false;';
  end if;
  delete from unstuck.projection_errors e
  where e.tool = p_tool
    and e.host_table = p_host_table;
  delete from unstuck.host_requests r
  using unstuck.jobs j
  where j.id = r.job_id
    and j.tool = p_tool
    and r.host_table = p_host_table;
  delete from unstuck.projections p
  where p.tool = p_tool
    and p.host_table = p_host_table;
  if not exists (select from unstuck.projections p where p.host_table = p_host_table) then
    v_statement := format('drop trigger if exists unstuck_host_row on %s', p_host_table);
    execute v_statement;
  end if;
end $$;

revoke all on function unstuck_private.projection_detach
from public, anon, authenticated, service_role;

--: source projection/projection_owner.sql d13ed660f622
-- The column of the app's table that names whose job it is; null where the projection writes none.
create or replace function unstuck_private.projection_owner(p_projection unstuck.projections)
returns text
language sql
immutable
as
$$
  select min(c.key)
  from jsonb_each(p_projection.columns) c
  where coalesce(c.value ->> 'once', c.value #>> '{}') = 'j.user_id'
$$;

revoke all on function unstuck_private.projection_owner
from public, anon, authenticated, service_role;

--: source projection/projection_statement.sql 404d34345407
-- The statement that writes a job ($1) to a table of the app, with the app's words for states ($2).
-- Columns that the projection does not name are the app's own and stay as they are.
--
-- A job that nobody ordered is never written: its row is the app's, whose own function may run it.
-- Neither is a row that is another user's, nor a step whose job has such a row.
create or replace function unstuck_private.projection_statement(p_projection unstuck.projections)
returns text
language sql
stable
set search_path = ''
as
$$
  select format(
    'insert into %1$s as t (id, %2$s) '
      || 'select %3$s, %4$s '
      || 'from unstuck.jobs j %5$s '
      || 'cross join lateral (select $2 ->> %6$s.status as status) w '
      || 'where j.id = $1 and j.request_hash is not null and w.status is not null%10$s '
      || 'and j.user_id <> unstuck_private.erased_user() '
      || 'order by s.step '
      || 'on conflict (id) do update set %7$s '
      || 'where (%8$s) is distinct from (%9$s)%11$s',
    p_projection.host_table,
    string_agg(quote_ident(c.name), ', ' order by c.name),
    case p_projection.level when 'job' then 'j.id' else 'unstuck_private.step_row_id(s)' end,
    string_agg(format('(%s)::%s', c.made, c.type), ', ' order by c.name),
    case p_projection.level
      when 'job' then
        'left join lateral (select s.* from unstuck.job_steps s where s.job_id = j.id '
          || 'order by s.provider_task_id is not null desc, s.step desc limit 1) s on true'
      else 'join unstuck.job_steps s on s.job_id = j.id'
    end,
    left(p_projection.level, 1),
    string_agg(format('%1$I = excluded.%1$I', c.name), ', ' order by c.name)
      filter (where not c.once),
    string_agg(format('t.%I', c.name), ', ' order by c.name) filter (where not c.once),
    string_agg(format('excluded.%I', c.name), ', ' order by c.name) filter (where not c.once),
    case p_projection.level when 'step' then (
      select string_agg(
        format(
          ' and not exists (select from %s o where o.id = j.id and o.%I is distinct from '
            || 'j.user_id)',
          p.host_table, unstuck_private.projection_owner(p)),
        '' order by p.host_table)
      from unstuck.projections p
      where p.tool = p_projection.tool
        and p.level = 'job'
        and unstuck_private.projection_owner(p) is not null
    ) end,
    string_agg(format(' and t.%1$I = excluded.%1$I', c.name), '' order by c.name)
      filter (where c.made in ('j.user_id', 'j.id'))
  )
  from (
    select
      e.key as name,
      jsonb_typeof(e.value) = 'object' as once,
      coalesce(e.value ->> 'once', e.value #>> '{}') as made,
      format_type(a.atttypid, a.atttypmod) as type
    from jsonb_each(p_projection.columns) e
    join pg_catalog.pg_attribute a
      on a.attrelid = p_projection.host_table
      and a.attname = e.key
      and not a.attisdropped
  ) c
$$;

revoke all on function unstuck_private.projection_statement
from public, anon, authenticated, service_role;

--: source projection/projections_mend.sql bc16976c6ada
-- Lists what is owed to the app's tables once more, those tried least first, so that the last act
-- of this transaction writes it. At most 50, because each may wait for a lock of the app. Nothing
-- is owed of a job that is gone.
create or replace function unstuck_private.projections_mend() returns void
language sql
set search_path = ''
as
$$
  delete from unstuck.projection_errors e
  where e.mended_at is null
    and not exists (select from unstuck.jobs j where j.id = e.job_id);
  insert into unstuck_private.unprojected (job_id)
  select e.job_id
  from unstuck.projection_errors e
  join unstuck.projections p on p.tool = e.tool and p.host_table = e.host_table and p.enabled
  where e.mended_at is null
  order by e.tries, e.at
  limit 50
$$;

revoke all on function unstuck_private.projections_mend
from public, anon, authenticated, service_role;

--: source projection/step_row_id.sql 22a0dcad34e9
-- The id of the app's row of a step: the same at every write.
create or replace function unstuck_private.step_row_id(p_step unstuck.job_steps) returns uuid
language sql
immutable
as
$$
  select md5(p_step.job_id || '/' || p_step.step)::uuid
$$;

revoke all on function unstuck_private.step_row_id from public, anon, authenticated, service_role;

--: source queue/steps_claim.sql 93f34744db65
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
    ceil(extract(epoch from c.run_for) * 1000)::int
  from claimed c
  order by c."position";
end $$;

revoke all on function unstuck_private.steps_claim from public, anon, authenticated, service_role;

--: source retention/files_choose_v1.sql 314941bd0a8f
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
  ), due as (
    select l.name, row_number() over (order by l.name) as nth
    from listed l
    where not exists (
        select from unstuck.jobs j
        where j.user_id = l.owner
          and unstuck_private.is_live(j.status)
      )
      and case p_kind
        when 'erased' then
          l.owner = p_user_id
          and exists (
            select from unstuck.erasures e
            where e.user_id = p_user_id
              and (
                l.created_at < e.at
                -- Stored by a worker that had not heard of it.
                or p_bucket = 'results'
                and not exists (
                  select from unstuck.jobs j
                  where j.id = l.job
                    and j.user_id = p_user_id
                )
              )
          )
        else
          l.owner is not null
          and l.job is not null
          and (
            -- An app that moved in may keep files of its own under such names.
            not unstuck_private.has_adapter()
            or exists (
              select from unstuck.jobs j
              where j.id = l.job
                and j.user_id = l.owner
            )
          )
          and exists (
            select from unstuck.retention r
            where r.kind = p_kind
              and r.kind = p_bucket
              and l.created_at < clock_timestamp() - r.keep
          )
      end
  )
  select coalesce(jsonb_agg(d.name order by d.nth) filter (where d.nth <= 100), '[]'),
    count(*)::int
  from due d
$$;

comment on function unstuck.files_choose_v1 is $c$
Caller: cleanup-stale-generations, with a page of a bucket's files (p_objects: name and created_at
of each; p_bucket: uploads | results).

Effect: none. names: at most 100 of them to delete now; due: how many are to be deleted in all. Of a
user with a live job none is. uploads and results: files under `<user id>/<job id>/` that are older
than their kind is kept; where an adapter is installed, of jobs that we know. erased: files of the
erased user p_user_id; what the user uploaded, or ordered, since then is kept.

Refuses: nothing.

Replay: reads again.
$c$;

revoke all on function unstuck.files_choose_v1 from public, anon, authenticated, service_role;
grant execute on function unstuck.files_choose_v1 to service_role;

--: source retention/files_deleted_v1.sql 4ec5ec415879
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
  insert into unstuck_private.file_walks as w (kind, cursor)
  select p_kind, p_cursor
  where p_user_id is null
  on conflict (kind) do update
  set cursor = excluded.cursor;
  update unstuck.erasures e
  set files_left = p_left
  where e.user_id = p_user_id
    and p_error is null;
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
erased user it records how many files are left, as far as they were listed.

Refuses: nothing.

Replay: counts the deleted files twice.
$c$;

revoke all on function unstuck.files_deleted_v1 from public, anon, authenticated, service_role;
grant execute on function unstuck.files_deleted_v1 to service_role;

--: source retention/files_due_v1.sql 9b3c40536493
create or replace function unstuck.files_due_v1()
returns table (kind text, user_id uuid, cursor text)
language sql
security definer
set search_path = ''
as
$$
  select r.kind, null::uuid, w.cursor
  from unstuck.retention r
  left join unstuck_private.file_walks w using (kind)
  where r.kind in ('uploads', 'results')
    and r.keep is not null
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

Effect: none; where to look for files in this pass. kind: uploads | results (files that are kept no
longer than their kind of `retention`; from cursor on) | erased (all files of user_id, in both
buckets).

Refuses: nothing.

Replay: reads again.
$c$;

revoke all on function unstuck.files_due_v1 from public, anon, authenticated, service_role;
grant execute on function unstuck.files_due_v1 to service_role;

--: source retention/prune_kind.sql 227b80e1fed4
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
    when 'cron_runs' then unstuck_private.prune_cron_runs(v_before, p_limit)
    -- Files, which SQL must not delete, and kinds of a later version.
    else 0
  end;
end $$;

revoke all on function unstuck_private.prune_kind from public, anon, authenticated, service_role;

--: source retention/prune_projection_errors.sql bf6ae582a638
-- Deletes the errors of writes to the app's tables that were mended before.
create or replace function unstuck_private.prune_projection_errors(
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
  delete from unstuck.projection_errors e
  where e.ctid = any (array(
    select o.ctid
    from unstuck.projection_errors o
    where o.mended_at < p_before
    order by o.mended_at
    limit p_limit
    offset p_skip
    for update skip locked
  ));
  get diagnostics v_pruned = row_count;
  return v_pruned;
end $$;

revoke all on function unstuck_private.prune_projection_errors
from public, anon, authenticated, service_role;

--: source step/step_cancelled_v1.sql 8c3194fddbc2
create or replace function unstuck.step_cancelled_v1(p_job_id uuid, p_step int, p_task_id text)
returns table (remaining int)
language sql
security definer
set search_path = ''
as
$$
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

--: source step/step_checked_v1.sql dd5c10f233da
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

--: source step/step_fail_or_quarantine.sql 4fb4426b4e32
-- Fails a step for a worker (`step_fail`). A job whose row or ledger refuses the refund is
-- quarantined instead: its step has failed all the same, and an operator looks at its credits.
-- Account and job are locked.
create or replace function unstuck_private.step_fail_or_quarantine(
  p_job unstuck.jobs,
  p_step int,
  p_code text,
  p_message text
)
returns table (job_status text, refunded bigint)
language plpgsql
set search_path = ''
as
$$
begin
  return query
  select f.job_status, f.refunded
  from unstuck_private.step_fail(p_job, p_step, p_code, p_message) f;
exception
  when lock_not_available or transaction_rollback or insufficient_resources or system_error then
    raise;
  when others then
    perform unstuck_private.jobs_quarantine(array[p_job.id], sqlerrm);
    return query select p_job.status, 0::bigint;
end $$;

revoke all on function unstuck_private.step_fail_or_quarantine
from public, anon, authenticated, service_role;

--: source step/step_fail_v1.sql 901666f477c7
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

--: source step/step_heartbeat_v1.sql dc2ae2c45158
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

--: source step/step_lock.sql 90aa17c7f170
-- Locks the step of this run, its job first, and returns it. Null where the run is stale or the
-- step is not at work. A healer does not wait for them.
create or replace function unstuck_private.step_lock(p_job_id uuid, p_step int, p_run bigint)
returns unstuck.job_steps
language plpgsql
set search_path = ''
set lock_timeout = '5s'
as
$$
declare
  v_step unstuck.job_steps;
begin
  if unstuck_private.is_healers_call() then
    set local lock_timeout = '20ms';
  end if;
  perform 1
  from unstuck.jobs
  where id = p_job_id
  for update;
  select *
  into v_step
  from unstuck.job_steps
  where job_id = p_job_id
    and step = p_step
    and run = p_run
    and status in ('starting', 'running')
  for update;
  if not found then
    return null;
  end if;
  return v_step;
end $$;

revoke all on function unstuck_private.step_lock from public, anon, authenticated, service_role;

--: source step/step_requeue_v1.sql 522b21a3aac7
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

--: source step/steps_get_v1.sql 9f23363c53b6
create or replace function unstuck.steps_get_v1(p_job_id uuid)
returns table (
  job_id uuid,
  step int,
  run bigint,
  tool text,
  provider text,
  user_id uuid,
  status text,
  task_id text,
  done boolean,
  sent boolean
)
language sql
stable
security definer
set search_path = ''
as
$$
  select
    s.job_id,
    s.step,
    s.run,
    j.tool,
    s.provider,
    j.user_id,
    s.status,
    s.provider_task_id,
    s.provider_done_at is not null,
    s.sent_at is not null
  from unstuck.job_steps s
  join unstuck.jobs j on j.id = s.job_id
  where s.job_id = p_job_id
  order by s.step
  limit 100
$$;

comment on function unstuck.steps_get_v1 is $c$
Caller: reconcile, and the edge after a cancel.

Effect: none; returns the steps of a job that exist, whatever its total_steps says, at most 100.

Refuses: nothing; no row where there is no such job.

Replay: reads again.
$c$;

revoke all on function unstuck.steps_get_v1 from public, anon, authenticated, service_role;
grant execute on function unstuck.steps_get_v1 to service_role;

--: source sweep/sweep.sql f9b624e29240
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
  begin
    perform unstuck_private.refunds_owed_pay(p_user_id, v_until);
  exception when others then
    raise warning 'refunds_owed_pay failed: %', sqlerrm;
  end;
end $$;

revoke all on function unstuck_private.sweep from public, anon, authenticated, service_role;

--: source sweep/sweep_pass.sql 52160363f176
-- One pass over all users: what it did, in all and by table, added to the row of the pass. Then it
-- prunes old rows.
create or replace function unstuck_private.sweep_pass(
  p_sweep_id bigint,
  p_limit int,
  p_budget interval
)
returns table (
  cleaned int,
  refunded_credits bigint,
  requeued int,
  remaining int,
  tables jsonb
)
language plpgsql
set search_path = ''
as
$$
#variable_conflict use_column
declare
  v_sums record;
begin
  perform unstuck_private.heal_app(clock_timestamp() + p_budget / 4);
  with closed as (
    select s.*, t.table_name
    from unstuck_private.sweep(
      clock_timestamp(), null, least(greatest(p_limit, 1), 100000), p_budget) s
    left join unstuck.tools t using (tool)
  )
  select
    count(c.job_id)::int as cleaned,
    unstuck_private.clamp_to_bigint(coalesce(sum(c.refunded), 0)) as refunded,
    coalesce(sum(c.requeued), 0)::int as requeued,
    coalesce(sum(c.remaining), 0)::int as remaining,
    (
      select jsonb_agg(
        jsonb_build_object(
          'table_name', n.table_name,
          'cancelled_count', (
            select count(*)
            from closed x
            where x.table_name = n.table_name
          ),
          'refunded_credits', (
            select unstuck_private.clamp_to_bigint(coalesce(sum(x.refunded), 0))
            from closed x
            where x.table_name = n.table_name
          )
        )
        order by n.table_name
      )
      from (select distinct t.table_name from unstuck.tools t) n
    ) as tables
  into v_sums
  from closed c;
  update unstuck.sweeps s
  set cleaned = s.cleaned + v_sums.cleaned,
    refunded_credits = unstuck_private.clamp_to_bigint(
      s.refunded_credits::numeric + v_sums.refunded),
    requeued = s.requeued + v_sums.requeued
  where s.id = p_sweep_id;
  -- A failure here undoes nothing that the pass healed.
  begin
    perform 1
    from unstuck_private.prune_old_rows(clock_timestamp());
  exception when others or query_canceled then
    raise warning 'sweep %: pruning failed: %', p_sweep_id, sqlerrm;
  end;
  return query
  select v_sums.cleaned, v_sums.refunded, v_sums.requeued, v_sums.remaining, v_sums.tables;
end $$;

revoke all on function unstuck_private.sweep_pass from public, anon, authenticated, service_role;

--: source wallet/balance_last.sql 69249543739e
-- What the last entry of a user's ledger says that may be spent: for replies and reports where the
-- wallet cannot be read.
create or replace function unstuck_private.balance_last(p_user_id uuid) returns bigint
language plpgsql
stable
set search_path = ''
as
$$
begin
  return coalesce(
    (
      select e.balance_after
      from unstuck.credit_entries e
      where e.user_id = p_user_id
      order by e.id desc
      limit 1
    ),
    0
  );
end $$;

revoke all on function unstuck_private.balance_last from public, anon, authenticated, service_role;

--: source wallet/balance_shown.sql 2da68d0ac677
-- What a user may spend, as replies and reports show it, without a lock; where the wallet fails,
-- what the last entry of the ledger says.
create or replace function unstuck_private.balance_shown(p_user_id uuid, p_tool text)
returns bigint
language plpgsql
stable
set search_path = ''
as
$$
begin
  return coalesce(
    (select w.balance from unstuck_private.wallet_lock(p_user_id, p_tool, null) w),
    unstuck_private.balance_last(p_user_id)
  );
exception when others then
  raise warning 'the wallet of % cannot be read: %', p_user_id, sqlerrm;
  return unstuck_private.balance_last(p_user_id);
end $$;

revoke all on function unstuck_private.balance_shown from public, anon, authenticated, service_role;

--: source wallet/has_adapter.sql 952f04edba16
-- True where an adapter holds the balances in place of our own accounts.
create or replace function unstuck_private.has_adapter() returns boolean
language sql
stable
as
$$
  select exists (select from unstuck_private.installed)
$$;

revoke all on function unstuck_private.has_adapter from public, anon, authenticated, service_role;

--: source wallet/host_enter.sql 958a575c8f08
-- Makes the caller the app's service: its code runs under these claims, and under the settings that
-- it asks for. Returns what `settings_swap` puts back afterwards.
create or replace function unstuck_private.host_enter(p_settings jsonb default '{}') returns jsonb
language sql
set search_path = ''
as
$$
  select unstuck_private.settings_swap(
    p_settings || jsonb_build_object(
      'request.jwt.claims', '{"role":"service_role"}',
      'request.jwt.claim.role', 'service_role',
      'request.jwt.claim.sub', ''
    )
  )
$$;

revoke all on function unstuck_private.host_enter from public, anon, authenticated, service_role;

--: source wallet/job_receipt.sql 74798b6bbfd8
-- The wallet's receipt of the debit of this job.
create or replace function unstuck_private.job_receipt(p_job_id uuid) returns jsonb
language sql
stable
as
$$
  select e.receipt
  from unstuck.credit_entries e
  where e.job_id = p_job_id
    and e.kind = 'debit'
$$;

revoke all on function unstuck_private.job_receipt from public, anon, authenticated, service_role;

--: source wallet/jobs_refund_each.sql f994a51eff2b
-- `jobs_refund` over an adapter's wallet: one refund after the other. A refund that the wallet does
-- not take stops none of the others and not the end of its job.
create or replace function unstuck_private.jobs_refund_each(
  p_ids uuid[],
  p_statuses text[],
  p_reasons text[],
  p_refund boolean
)
returns table (job_id uuid, debit bigint, refunded bigint, given bigint)
language plpgsql
set search_path = ''
as
$$
declare
  v_due record;
  v_given bigint;
begin
  if p_refund then
    -- What is owed of an earlier step is not in the ledger, so it is due once more.
    delete from unstuck.refunds_owed o
    where o.job_id = any (p_ids);
  end if;
  for v_due in
    select d.job_id, d.debit, d.refunded, d.step, j as job,
      case when p_refund then d.amount end as amount,
      coalesce(n.reason, 'refund') as reason
    from unstuck_private.refunds_due(p_ids, p_statuses) d
    join unnest(p_ids, p_reasons) as n (id, reason) on n.id = d.job_id
    join unstuck.jobs j on j.id = d.job_id
    order by d.user_id, d.job_id, d.step
  loop
    v_given := 0;
    if v_due.amount is not null then
      v_given := unstuck_private.refund_ask(
        v_due.job, v_due.step, v_due.amount, v_due.reason);
    end if;
    return query select v_due.job_id, v_due.debit, v_due.refunded, v_given;
  end loop;
end $$;

revoke all on function unstuck_private.jobs_refund_each
from public, anon, authenticated, service_role;

--: source wallet/refund_ask.sql e36449284b6b
-- Asks the adapter's wallet to give back p_amount of a job, and writes what it gave as an entry.
-- What it did not give is owed, with the reason. Returns what it gave. No error of the wallet comes
-- out of here, and it waits for no lock for longer than 200 ms: the job ends all the same. The
-- user's row and the job are locked.
create or replace function unstuck_private.refund_ask(
  p_job unstuck.jobs,
  p_step int,
  p_amount bigint,
  p_reason text
)
returns bigint
language plpgsql
set search_path = ''
set lock_timeout = '200ms'
as
$$
declare
  v_given bigint := 0;
  v_error text;
begin
  begin
    v_given := least(greatest(coalesce(
      unstuck_private.wallet_refund(
        p_job.user_id, p_amount, p_job.id, p_reason, unstuck_private.job_receipt(p_job.id)),
      0), 0), p_amount);
    if v_given > 0 then
      insert into unstuck.credit_entries (
        user_id, job_id, step, kind, amount, balance_after, reason)
      values (
        p_job.user_id, p_job.id, p_step, 'refund', v_given,
        unstuck_private.balance_shown(p_job.user_id, p_job.tool), p_reason);
    end if;
    if v_given < p_amount then
      v_error := format('the wallet gave %s of %s', v_given, p_amount);
    end if;
  exception when others then
    v_given := 0;
    v_error := sqlerrm;
  end;
  if v_error is not null then
    insert into unstuck.refunds_owed as o (job_id, step, amount, error)
    values (p_job.id, p_step, p_amount - v_given, v_error)
    on conflict (job_id, step) do update
    set amount = o.amount + excluded.amount,
      error = excluded.error;
  end if;
  return v_given;
end $$;

revoke all on function unstuck_private.refund_ask from public, anon, authenticated, service_role;

--: source wallet/refunds_owed_pay.sql 75359e78f663
-- Tries the refunds that are owed, those tried least first, until p_until; of one user only where
-- p_user_id names one. It waits for no lock, and none that fails stops another.
create or replace function unstuck_private.refunds_owed_pay(p_user_id uuid, p_until timestamptz)
returns void
language plpgsql
set search_path = ''
as
$$
declare
  v_owed record;
  v_step int;
  v_given bigint;
begin
  -- Nothing is owed as a rule, and then no job is read.
  if not exists (select from unstuck.refunds_owed) then
    return;
  end if;
  for v_owed in
    select o.ctid, o.step, o.amount, o.at, o.tries, j as job
    from unstuck.refunds_owed o
    join unstuck.jobs j on j.id = o.job_id
    where j.user_id = coalesce(p_user_id, j.user_id)
    order by o.tries, o.at
    limit 200
  loop
    exit when clock_timestamp() > p_until;
    begin
      continue when unstuck_private.jobs_try_lock(array[(v_owed.job).id]) = '{}';
      -- Another pass may have paid it before this one held the job.
      delete from unstuck.refunds_owed o
      where o.ctid = v_owed.ctid
        and o.tries = v_owed.tries
        and o.amount = v_owed.amount
        and o.job_id = (v_owed.job).id;
      continue when not found;
      -- No entry ever changes: what follows a part of a refund stands under a free number.
      v_step := (
        select case
          when exists (
            select from unstuck.credit_entries e
            where e.job_id = l.job_id
              and e.kind = 'refund'
              and e.step is not distinct from v_owed.step
          ) then l.free_number
          else v_owed.step
        end
        from unstuck_private.jobs_ledger(array[(v_owed.job).id]) l
      );
      v_given := unstuck_private.refund_ask(
        v_owed.job, v_step, v_owed.amount, 'a refund that was owed');
      update unstuck.refunds_owed o
      set at = least(o.at, v_owed.at),
        tries = greatest(o.tries, v_owed.tries + 1)
      where o.job_id = (v_owed.job).id
        and o.step is not distinct from v_step;
      update unstuck.jobs j
      set credits_refunded = j.credits_refunded + v_given
      where j.id = (v_owed.job).id
        and v_given > 0;
    exception when others then
      raise warning 'the refund of % that is owed failed: %', (v_owed.job).id, sqlerrm;
    end;
  end loop;
end $$;

revoke all on function unstuck_private.refunds_owed_pay
from public, anon, authenticated, service_role;

--: source wallet/settings_swap.sql 9e1a52c7e644
-- Sets these settings for the rest of the transaction, and returns what they were, in a form that
-- this function takes: so they are put back. A failure in between puts them back too, because it
-- ends the block or the transaction that set them.
create or replace function unstuck_private.settings_swap(p_settings jsonb) returns jsonb
language plpgsql
set search_path = ''
as
$$
declare
  v_name text;
  v_value text;
  v_before jsonb := '{}';
begin
  for v_name, v_value in
    select s.key, s.value
    from jsonb_each_text(p_settings) s
  loop
    v_before := v_before
      || jsonb_build_object(v_name, coalesce(current_setting(v_name, true), ''));
    perform set_config(v_name, v_value, true);
  end loop;
  return v_before;
end $$;

revoke all on function unstuck_private.settings_swap
from public, anon, authenticated, service_role;

--: source wallet/wallet_attach.sql 492ba54959c0
-- Names the adapter that holds the balances from now on; `wallet.sql` of an adapter calls it first.
-- Refuses while another adapter is in, while the built-in wallet holds credits, and while a job
-- lives that it was paid from: their refunds would come out of another wallet. Repeating it changes
-- nothing.
create or replace function unstuck_private.wallet_attach(p_adapter text) returns void
language plpgsql
set search_path = ''
as
$$
declare
  v_other text;
  v_users bigint;
  v_jobs bigint;
begin
  -- From here on nobody orders and no healer refunds until the adapter is in.
  lock table unstuck.credit_accounts in exclusive mode;
  select i.adapter
  into v_other
  from unstuck_private.installed i;
  if v_other = p_adapter then
    return;
  end if;
  if v_other is not null then
    raise exception 'the adapter % holds the balances', v_other
    using hint = 'Detach it first.';
  end if;
  select count(*)
  into v_users
  from unstuck.credit_accounts a
  where a.balance <> 0;
  if v_users > 0 then
    raise exception '% users have credits in the built-in wallet', v_users
    using hint = 'Give them to the app''s own wallet, and take them from ours by adjustments.';
  end if;
  select count(*)
  into v_jobs
  from unstuck.jobs j
  where unstuck_private.is_live(j.status)
    and j.credits_charged > 0;
  if v_jobs > 0 then
    raise exception '% jobs live that were paid from the built-in wallet', v_jobs
    using hint = 'Wait until they have ended, or cancel them.';
  end if;
  insert into unstuck_private.installed (adapter)
  values (p_adapter);
end $$;

revoke all on function unstuck_private.wallet_attach
from public, anon, authenticated, service_role;

--: source wallet/wallet_debit.sql 6f37c781d4ba
-- Takes the price of a job: all of it, or 0 where orders are free. Refuses with
-- insufficient_credits where too little is there. The receipt says where it was taken from; the
-- built-in wallet needs none. The user's row is locked.
create or replace function unstuck_private.wallet_debit(
  p_user_id uuid,
  p_tool text,
  p_amount bigint,
  p_job_id uuid,
  p_reason text,
  out taken bigint,
  out receipt jsonb
)
language plpgsql
set search_path = ''
as
$$
begin
  update unstuck.credit_accounts a
  set balance = a.balance - p_amount
  where a.user_id = p_user_id
    and a.balance >= p_amount;
  if not found then
    perform unstuck_private.refuse_over_balance(p_user_id, p_tool, p_amount);
  end if;
  taken := p_amount;
end $$;

revoke all on function unstuck_private.wallet_debit from public, anon, authenticated, service_role;

--: source wallet/wallet_detach.sql 0974afef9c42
-- Ends the adapter: the balances are ours from now on, and 0; `cargo xtask adopt … detach` then
-- makes the built-in functions anew. What the app's wallet moved is settled by one entry a user, so
-- that each balance is the sum of its entries. Refuses while a job lives that the app's wallet paid
-- for, and while a refund is owed: both come back out of that wallet.
create or replace function unstuck_private.wallet_detach() returns void
language plpgsql
set search_path = ''
as
$$
declare
  v_jobs bigint;
  v_owed bigint;
begin
  lock table unstuck.credit_accounts in exclusive mode;
  if not unstuck_private.has_adapter() then
    return;
  end if;
  select count(*)
  into v_jobs
  from unstuck.jobs j
  where unstuck_private.is_live(j.status)
    and j.credits_charged > 0;
  select count(*)
  into v_owed
  from unstuck.refunds_owed;
  if v_jobs > 0 or v_owed > 0 then
    raise exception '% jobs live that the app''s wallet paid for, % refunds are owed',
      v_jobs, v_owed
    using hint = 'Switch the tools off and wait: update unstuck.tools set enabled = false;';
  end if;
  delete from unstuck_private.installed;
  insert into unstuck.credit_entries (user_id, kind, amount, balance_after, reason)
  select e.user_id, case when sum(e.amount) < 0 then 'grant' else 'adjustment' end,
    -sum(e.amount), 0, 'the app keeps its wallet'
  from unstuck.credit_entries e
  group by e.user_id
  having sum(e.amount) <> 0;
end $$;

revoke all on function unstuck_private.wallet_detach
from public, anon, authenticated, service_role;

--: source wallet/wallet_grant.sql 5d95367f3b41
-- Gives credits that belong to no job, and returns the balance after and a receipt. The user's row
-- is locked.
create or replace function unstuck_private.wallet_grant(
  p_user_id uuid,
  p_amount bigint,
  p_kind text,
  p_reason text,
  out balance bigint,
  out receipt jsonb
)
language plpgsql
set search_path = ''
as
$$
#variable_conflict use_column
begin
  update unstuck.credit_accounts a
  set balance = a.balance + p_amount
  where a.user_id = p_user_id
  returning a.balance
  into wallet_grant.balance;
end $$;

revoke all on function unstuck_private.wallet_grant from public, anon, authenticated, service_role;

--: source wallet/wallet_hold.sql 2821712ad20d
-- Locks the wallet of a user whose row is locked, for a function that may refund, and returns the
-- balance. The built-in wallet is the row itself. A wallet that fails to be locked at all holds
-- nothing up: the job ends, and what the wallet does not take is owed.
create or replace function unstuck_private.wallet_hold(p_user_id uuid, p_tool text) returns bigint
language plpgsql
set search_path = ''
as
$$
begin
  return coalesce(
    (select max(w.balance) from unstuck_private.wallet_lock(p_user_id, p_tool, true) w), 0);
exception
  when lock_not_available or deadlock_detected then
    raise;
  when others then
    raise warning 'the wallet of % cannot be locked: %', p_user_id, sqlerrm;
    return 0;
end $$;

revoke all on function unstuck_private.wallet_hold from public, anon, authenticated, service_role;

--: source wallet/wallet_lock.sql c041b49e5491
-- Locks what pays for this user's orders of this tool (null: of any tool), and says how much may be
-- spent, and whether orders are free. Without p_wait there is no row where another transaction
-- holds it. Where p_wait is null it only reads, and locks nothing.
--
-- The caller has locked the user's row of `credit_accounts` if it changes anything. The balance of
-- the built-in wallet is in that row, so this only reads it.
create or replace function unstuck_private.wallet_lock(
  p_user_id uuid,
  p_tool text,
  p_wait boolean
)
returns table (balance bigint, unlimited boolean)
language sql
stable
as
$$
  select a.balance, false
  from unstuck.credit_accounts a
  where a.user_id = p_user_id
$$;

revoke all on function unstuck_private.wallet_lock from public, anon, authenticated, service_role;

--: source wallet/wallet_price.sql 17c7f8c2b801
-- What this order costs its user, where the price of our own tables is p_price. The built-in wallet
-- has no prices of its own. An adapter may answer another price, and refuses what it cannot price.
create or replace function unstuck_private.wallet_price(
  p_user_id uuid,
  p_tool text,
  p_input jsonb,
  p_price bigint
)
returns bigint
language sql
as
$$
  select p_price
$$;

revoke all on function unstuck_private.wallet_price from public, anon, authenticated, service_role;

--: source wallet/wallet_refund.sql b39d6a5f71af
-- Gives back what a job took, or a part of it, and returns how much was given. p_receipt is the
-- debit's. The user's row is locked. `jobs_refund` refunds the built-in wallet set-wise and calls
-- this for an adapter only.
create or replace function unstuck_private.wallet_refund(
  p_user_id uuid,
  p_amount bigint,
  p_job_id uuid,
  p_reason text,
  p_receipt jsonb,
  out given bigint
)
language plpgsql
set search_path = ''
as
$$
begin
  update unstuck.credit_accounts a
  set balance = a.balance + p_amount
  where a.user_id = p_user_id;
  given := p_amount;
end $$;

revoke all on function unstuck_private.wallet_refund
from public, anon, authenticated, service_role;

--: source wallet/wallet_take.sql 5a5fc043940f
-- Takes credits that belong to no job, at most what is there, and returns how many were taken.
-- p_receipt is that of the grant that is taken back, where there was one. The user's row is locked.
create or replace function unstuck_private.wallet_take(
  p_user_id uuid,
  p_amount bigint,
  p_kind text,
  p_reason text,
  p_receipt jsonb,
  out taken bigint
)
language plpgsql
set search_path = ''
as
$$
begin
  select least(a.balance, p_amount)
  into taken
  from unstuck.credit_accounts a
  where a.user_id = p_user_id;
  update unstuck.credit_accounts a
  set balance = a.balance - taken
  where a.user_id = p_user_id;
end $$;

revoke all on function unstuck_private.wallet_take from public, anon, authenticated, service_role;

--: source wallet/wallets_try_lock.sql f72a7a5f8140
-- The users among these whose wallet no other transaction holds; their rows are locked, and their
-- wallets are from now on. A wallet that fails to be locked at all counts as locked: its user's
-- jobs end, and what it does not take is owed.
create or replace function unstuck_private.wallets_try_lock(p_users uuid[]) returns uuid[]
language plpgsql
set search_path = ''
as
$$
declare
  v_user uuid;
  v_users uuid[] := '{}';
begin
  foreach v_user in array p_users loop
    begin
      perform
      from unstuck_private.wallet_lock(v_user, null, false);
      continue when not found;
    exception
      when lock_not_available or deadlock_detected then
        continue;
      when others then
        raise warning 'the wallet of % cannot be locked: %', v_user, sqlerrm;
    end;
    v_users := v_users || v_user;
  end loop;
  return v_users;
end $$;

revoke all on function unstuck_private.wallets_try_lock
from public, anon, authenticated, service_role;

--: source website/generation_retry_v1.sql e5b6f1c5bbb9
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

--: source retention/known_kinds.sql cb618e10bd12 by hand

--: history
insert into unstuck_private.migrations (number, name, hash)
values (
  4,
  'moving_in',
  'd3cbe7d1d825a0b77b75b6013befb8df37f1660e42740d073445344214d83ae8'
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
