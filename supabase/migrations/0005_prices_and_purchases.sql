-- 0005_prices_and_purchases.sql
-- Made by `cargo xtask migration prices_and_purchases`
-- from supabase/schemas, in the order in which things can be created. Do not edit it: change the
-- sources. It is applied once, whole or not at all.

begin;

do $applied$
begin
  if exists (select from unstuck_private.migrations where number = 5) then
    raise exception 'unstuck migration 0005 is applied already';
  end if;
  if not exists (select from unstuck_private.migrations where number = 4) then
    raise exception 'unstuck migration 0004 must be applied before 0005';
  end if;
end
$applied$;

-- A function may name an object that is created below it.
set local check_function_bodies = off;
-- While this waits for a table, everybody else waits behind it: fail and retry instead.
set local lock_timeout = '5s';

-- written by hand
grant usage on schema unstuck to anon;
grant select (
  tool, table_name, provider, credit_cost, priced_per, step_order, refund_rule, exclusive_group,
  start_timeout, run_timeout, queue_ttl, attempt_max, user_cancel_running, enabled
) on unstuck.tools to anon;
alter table unstuck.admin_log alter column actor drop not null;
comment on table unstuck.admin_log is $c$
What admins did outside of the history of single jobs, and each change of a price, by whomever.
Append-only, kept for ever.
$c$;

--: recreated below, or removed
drop policy tools_read on unstuck.tools;
drop policy providers_read on unstuck.providers;
drop policy jobs_read on unstuck.jobs;
drop policy job_steps_read on unstuck.job_steps;
drop policy job_events_read on unstuck.job_events;
drop policy credit_accounts_read on unstuck.credit_accounts;
drop policy credit_entries_read on unstuck.credit_entries;
drop policy admin_log_read on unstuck.admin_log;
drop policy provider_alarms_read on unstuck.provider_alarms;
drop policy user_roles_read on unstuck.user_roles;
drop function unstuck_private.order_price;
drop function unstuck.job_enqueue_v2;

--: source schema/unstuck.sql cdaefc63736a by hand

--: source admin/admin_log.sql 3a79b61da536 by hand

--: source tool/tools.sql 02f96fa08eb3 by hand

--: source tool/tool_prices.sql b0a787cfa066
create table unstuck.tool_prices (
  tool text not null references unstuck.tools on delete cascade,
  -- The first rule that holds gives the price.
  position int not null,
  -- What the order's input must say, field by field: a value that it equals, or an object of
  -- operators (`gt`, `gte`, `lt`, `lte` with a number, `in` with a list of values) that all hold. A
  -- field that the input lacks meets no condition.
  matches jsonb not null default '{}',
  credits bigint not null
    check (credits between 0 and 1000000000000),
  priced_per text not null default 'job'
    check (priced_per in ('job', 'step', 'second', 'megapixel')),
  -- The largest number of seconds or megapixels that is charged: of a file that has more, and of
  -- one that cannot be measured.
  quantity numeric,
  note text,
  primary key (tool, position),
  constraint tool_prices_matches_check check (
    coalesce(
      jsonb_typeof(matches) = 'object'
      and not matches @? 'strict $.* ? (
        @.type() == "array"
        || @.type() == "object" && !exists(@.keyvalue())
        || @.type() == "object" && exists(@.keyvalue() ? (
          @.key != "in" && @.value.type() != "number"
          || @.key != "in" && @.key != "gt" && @.key != "gte" && @.key != "lt" && @.key != "lte"
          || @.key == "in" && @.value.type() != "array"
          || @.key == "in" && @.value.type() == "array" && (
            !exists(@.value[*])
            || exists(@.value[*] ? (@.type() == "array" || @.type() == "object"))
          )
        ))
      )',
      false
    )
  ),
  constraint tool_prices_quantity_check check (
    case
      when priced_per in ('second', 'megapixel') then
        coalesce(quantity > 0 and quantity <= 1000000, false)
      else coalesce(quantity, 1) = 1
    end
  )
);

comment on table unstuck.tool_prices is $c$
What an order costs by its options: the first rule of its tool whose every condition holds, by
position, gives credits × quantity, rounded up, at least 1. The quantity is 1 for a job, the number
of steps, or what was measured of the order's stored files, which the column quantity limits. Where
no rule holds the price is that of the row in tools. Each change is a row of admin_log.
$c$;

alter table unstuck.tool_prices enable row level security;
revoke all on unstuck.tool_prices from public, anon, authenticated, service_role;
grant select on unstuck.tool_prices to anon, authenticated, service_role;

--: source admin/job_repeat.sql 9932ff5dc33b
-- Writes a new job with the input and the steps of a final one, for the same user. It costs nothing
-- unless p_charge; then it costs what the old job did, or the order of which that was a free retry.
-- The wallet is told the input and its own receipt of the old job, which says who paid. The old job
-- and the user's account are locked.
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
    v_price := unstuck_private.price_paid(p_job);
    perform unstuck_private.wallet_price(
      p_job.user_id, p_tool.tool,
      p_job.input || coalesce(unstuck_private.job_receipt(p_job.id), '{}'), v_price);
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

--: source admin/price_paid.sql be1603ff1948
-- What a job cost; of a free retry, what the order cost that it repeats.
create or replace function unstuck_private.price_paid(p_job unstuck.jobs) returns bigint
language sql
stable
set search_path = ''
as
$$
  with recursive repeated as (
    select p_job.credits_charged as charged, p_job.retry_of as retry_of, 1 as depth
    union all
    select j.credits_charged, j.retry_of, r.depth + 1
    from repeated r
    join unstuck.jobs j on j.id = r.retry_of
    where r.charged = 0
      and r.depth < 1000
  )
  select r.charged
  from repeated r
  order by r.depth desc
  limit 1
$$;

revoke all on function unstuck_private.price_paid from public, anon, authenticated, service_role;

--: source order/condition_holds.sql 6a40c442ee63
-- Whether a value of an order's input meets a condition of a price: it equals the condition, or all
-- of the condition's operators hold. Null, the value of a field that is not there, meets none.
create or replace function unstuck_private.condition_holds(p_value jsonb, p_condition jsonb)
returns boolean
language sql
immutable
set search_path = ''
as
$$
  select coalesce(
    case jsonb_typeof(p_condition)
      when 'object' then not exists (
        select
        from jsonb_each(p_condition) o
        where not coalesce(
          case o.key
            when 'in' then
              jsonb_typeof(p_value) not in ('array', 'object') and o.value @> p_value
            else
              jsonb_typeof(p_value) = 'number'
              and case o.key
                when 'gt' then p_value > o.value
                when 'gte' then p_value >= o.value
                when 'lt' then p_value < o.value
                when 'lte' then p_value <= o.value
              end
          end,
          false
        )
      )
      else p_value = p_condition
    end,
    false
  )
$$;

revoke all on function unstuck_private.condition_holds
from public, anon, authenticated, service_role;

--: source order/job_enqueue_v2.sql c07c34afa108
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
      when 'jobs_one_live_per_exclusive_key' then 'active_job_exists'
      else 'idempotency_conflict'
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
it measured. Without p_can_measure it costs the rule's largest.

Refuses: bad_request, idempotency_conflict (the id belongs to another order), already_final (also:
the user cancelled the order before it arrived), tool_disabled, active_job_exists, price_changed
(dearer than p_max_credits), insufficient_credits, queue_full. A refusal leaves nothing behind.

Replay: the same id, user, tool and hash get the job's present state and no charge: replayed = true,
whatever the price is now.
claimed: the step with a new run, while no worker has sent it.
$c$;

revoke all on function unstuck.job_enqueue_v2 from public, anon, authenticated, service_role;
grant execute on function unstuck.job_enqueue_v2 to service_role;

--: source order/order_price.sql a124b4913ccb
-- What an order of this tool with this input and so many steps costs, in credits. p_measured is
-- what the order's stored files hold together, such as {"seconds": 12.4, "megapixels": 3.2}.
-- unmeasured: the price is by this unit, which p_measured does not say; it is the rule's largest.
create or replace function unstuck_private.order_price(
  p_tool unstuck.tools,
  p_input jsonb,
  p_steps int,
  p_measured jsonb,
  out credits bigint,
  out unmeasured text
)
language plpgsql
stable
set search_path = ''
-- Planning would cost more than the work.
set plan_cache_mode = force_generic_plan
as
$$
declare
  v_rule unstuck.tool_prices;
  v_measured numeric;
begin
  select p.*
  into v_rule
  from unstuck.tool_prices p
  where p.tool = p_tool.tool
    and not exists (
      select
      from jsonb_each(p.matches) m
      where not unstuck_private.condition_holds(p_input -> m.key, m.value)
    )
  order by p.position
  limit 1;
  if not found then
    credits := p_tool.credit_cost * case p_tool.priced_per when 'step' then p_steps else 1 end;
    return;
  end if;
  if v_rule.priced_per in ('second', 'megapixel') then
    v_measured := case jsonb_typeof(p_measured -> (v_rule.priced_per || 's'))
      when 'number' then greatest((p_measured ->> (v_rule.priced_per || 's'))::numeric, 0)
    end;
    if v_measured is null then
      unmeasured := v_rule.priced_per;
    end if;
  end if;
  credits := greatest(
    v_rule.credits * case v_rule.priced_per
      when 'job' then 1
      when 'step' then p_steps
      else ceil(least(v_measured, v_rule.quantity))
    end,
    1
  );
end $$;

revoke all on function unstuck_private.order_price from public, anon, authenticated, service_role;

--: source order/order_quote_v1.sql ea646b161141
create or replace function unstuck.order_quote_v1(
  p_tool text,
  p_input jsonb,
  p_steps int,
  p_user_id uuid default null,
  p_measured jsonb default null
)
returns table (
  credits bigint,
  balance bigint,
  enough boolean,
  eta_seconds int,
  unmeasured text
)
language plpgsql
stable
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
  v_unlimited boolean;
begin
  select t.*
  into v_tool
  from unstuck.tools t
  where t.tool = p_tool;
  if not found or p_steps is null or p_steps not between 1 and 20 then
    perform unstuck_private.refuse(400, 'bad_request');
  end if;
  if not v_tool.enabled then
    perform unstuck_private.refuse(503, 'tool_disabled');
  end if;
  select p.credits, p.unmeasured
  into credits, unmeasured
  from unstuck_private.order_price(v_tool, p_input, p_steps, p_measured) p;
  eta_seconds := unstuck_private.seconds_until_start(v_tool);
  if p_user_id is not null then
    credits := unstuck_private.wallet_price(p_user_id, p_tool, p_input, credits);
    select w.balance, w.unlimited
    into balance, v_unlimited
    from unstuck_private.wallet_lock(p_user_id, p_tool, null) w;
    balance := coalesce(balance, 0);
    if v_unlimited then
      credits := 0;
    end if;
    enough := balance >= credits or v_unlimited is true;
  end if;
  return next;
end $$;

comment on function unstuck.order_quote_v1 is $c$
Caller: the function that creates the tool's jobs, for its quote; p_user_id is the verified user, or
null for nobody: then balance and enough are null, and an app's own wallet is not asked.

Effect: none; what `job_enqueue_v2` would charge for this order now, and in how many seconds its job
would start. unmeasured: the price is by this unit of the order's files, which p_measured does not
say, and is the largest.

Refuses: bad_request, tool_disabled; what the app's wallet refuses.

Replay: reads again.
$c$;

revoke all on function unstuck.order_quote_v1 from public, anon, authenticated, service_role;
grant execute on function unstuck.order_quote_v1 to service_role;

--: source order/order_unmeasured.sql 1fc925b9cb47
-- The reply of `job_enqueue_v2` to an order that it did not write, because its price is by this
-- unit of files that nobody has measured.
create or replace function unstuck_private.order_unmeasured(p_job_id uuid, p_unit text)
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
language sql
immutable
as
$$
  select p_job_id, 'pending', false, 0::bigint, 0::bigint, null::int, null::int, null::text,
    null::text, null::text, null::text, 0::bigint, null::jsonb, p_unit
$$;

revoke all on function unstuck_private.order_unmeasured
from public, anon, authenticated, service_role;

--: source order/price_agreed.sql 25d5f5af2937
-- What an order costs its user, where our own price is p_price: what the wallet says. Refuses an
-- order that costs more than its user agreed to; null agrees to any price. Where orders are free
-- nothing is charged, so nothing is dearer.
create or replace function unstuck_private.price_agreed(
  p_user_id uuid,
  p_tool text,
  p_input jsonb,
  p_price bigint,
  p_max_credits bigint
)
returns bigint
language plpgsql
set search_path = ''
as
$$
declare
  v_price bigint := unstuck_private.wallet_price(p_user_id, p_tool, p_input, p_price);
begin
  if v_price > p_max_credits
    and not exists (
      select
      from unstuck_private.wallet_lock(p_user_id, p_tool, null) w
      where w.unlimited
    )
  then
    perform unstuck_private.refuse(
      409, 'price_changed', jsonb_build_object('credits', v_price));
  end if;
  return v_price;
end $$;

revoke all on function unstuck_private.price_agreed
from public, anon, authenticated, service_role;

--: source order/refuse_full_queue.sql 21005c1197a2
-- Refuses a new job that would wait longer than its tool's `queue_ttl`.
create or replace function unstuck_private.refuse_full_queue(
  p_job_id uuid,
  p_tool unstuck.tools
)
returns void
language plpgsql
set search_path = ''
as
$$
declare
  v_seconds_over int := unstuck_private.seconds_over_queue_ttl(p_job_id, p_tool);
begin
  if v_seconds_over > 0 then
    perform unstuck_private.refuse(
      503, 'queue_full', jsonb_build_object('retry_after', v_seconds_over));
  end if;
end $$;

revoke all on function unstuck_private.refuse_full_queue
from public, anon, authenticated, service_role;

--: source order/seconds_until_start.sql 3140e1e0a228
-- In how many seconds an order of this tool that is made now would start: what waits for its
-- provider is before it. It counts as `job_position` does for a job that waits.
create or replace function unstuck_private.seconds_until_start(p_tool unstuck.tools) returns int
language plpgsql
stable
set search_path = ''
-- Planning would cost more than the work.
set plan_cache_mode = force_generic_plan
as
$$
declare
  v_now timestamptz := clock_timestamp();
  v_times unstuck_private.tool_time[] := unstuck_private.tool_times(p_tool.provider);
  v_next unstuck.job_steps;
  v_seconds numeric;
begin
  -- The last of those whose turn has come.
  v_next.provider := p_tool.provider;
  v_next.line_tool := p_tool.tool;
  v_next.turn_at := v_now;
  v_next.job_id := 'ffffffff-ffff-ffff-ffff-ffffffffffff';
  v_next.step := 1;
  select sum(a.steps * coalesce(t.seconds, 60))
  into v_seconds
  from unstuck_private.steps_ahead(v_next, v_now) a
  left join unnest(v_times) t on t.tool = a.tool;
  return (
    select least(
      ceil(
        greatest(
          unstuck_private.seconds_until_work_done(
            p_tool.provider, v_times, coalesce(v_seconds, 0)),
          unstuck_private.seconds_between(
            v_now, greatest(p_tool.circuit_open_until, p.circuit_open_until)),
          0
        )
      ),
      2147483647
    )::int
    from unstuck.providers p
    where p.provider = p_tool.provider
  );
end $$;

revoke all on function unstuck_private.seconds_until_start
from public, anon, authenticated, service_role;

--: source tool/price_log.sql be0b87b767f0
-- Keeps each change of a price in `admin_log`: the columns that the trigger names, before and
-- after. The actor is the admin of this transaction, or nobody for a change by SQL. What a
-- migration writes is no change of a price.
create or replace function unstuck_private.price_log() returns trigger
language plpgsql
set search_path = ''
as
$$
declare
  v_old jsonb := case when tg_op <> 'INSERT' then to_jsonb(old) end;
  v_new jsonb := case when tg_op <> 'DELETE' then to_jsonb(new) end;
begin
  if current_setting('unstuck.actor', true) = 'migration' then
    return null;
  end if;
  insert into unstuck.admin_log (actor, act, subject, "from", "to")
  select
    substring(current_setting('unstuck.actor', true) from '^admin:([0-9a-f-]{36})$')::uuid,
    'price_changed',
    coalesce(v_new, v_old) ->> 'tool',
    case when v_old is not null then jsonb_object_agg(c.name, v_old -> c.name) end,
    case when v_new is not null then jsonb_object_agg(c.name, v_new -> c.name) end
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
  'position', 'matches', 'credits', 'priced_per', 'quantity', 'note');

revoke all on function unstuck_private.price_log from public, anon, authenticated, service_role;

--: source policy/read_own_rows.sql c53d46f97af1
-- What a signed-in user reads of the tables: own rows, an admin all; everybody reads what is sold.
-- Nobody writes to a table.

create policy tools_read on unstuck.tools
for select to anon, authenticated
using (true);

create policy tool_prices_read on unstuck.tool_prices
for select to anon, authenticated
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

--: source tool/tool_prices_of_options.sql 476a1202a080
-- What costs more than the default options, which the rows of `tools` price. The positions leave
-- room before, between and after them. A rule that is there already stays the operator's own.
select set_config('unstuck.actor', 'migration', true);

insert into unstuck.tool_prices (tool, position, matches, credits, note)
values
  (
    'runninghub-upscaler', 110, '{"version": "pro", "resolution": {"gt": 4096}}', 150,
    'the better model, at more than 4096 pixels a side'
  ),
  (
    'runninghub-upscaler', 120, '{"version": "pro"}', 90,
    'the better model'
  ),
  (
    'runninghub-upscaler', 130, '{"resolution": {"gt": 4096}}', 90,
    'more than 4096 pixels a side'
  )
on conflict do nothing;

select set_config('unstuck.actor', '', true);

--: history
insert into unstuck_private.migrations (number, name, hash)
values (
  5,
  'prices_and_purchases',
  '32f5ab462451c6646ab0d6c893a81a2e2dfb8f32abf636cf5d934a8026ff4242'
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
