-- 0006_prices_and_purchases.sql
-- Made by `cargo xtask migration prices_and_purchases`
-- from supabase/schemas, in the order in which things can be created. Do not edit it: change the
-- sources. It is applied once, whole or not at all.

begin;

do $applied$
begin
  if exists (select from unstuck_private.migrations where number = 6) then
    raise exception 'unstuck migration 0006 is applied already';
  end if;
  if not exists (select from unstuck_private.migrations where number = 5) then
    raise exception 'unstuck migration 0005 must be applied before 0006';
  end if;
end
$applied$;

-- A function may name an object that is created below it.
set local check_function_bodies = off;
-- While this waits for a table, everybody else waits behind it: fail and retry instead.
set local lock_timeout = '5s';

-- written by hand
grant usage on schema unstuck to anon;

alter table unstuck.credit_entries
  add column purchase_id uuid,
  alter column actor
    set default coalesce(nullif(current_setting('unstuck.actor', true), ''), session_user),
  drop constraint credit_entries_kind_check,
  add constraint credit_entries_kind_check check (kind in (
    'grant', 'purchase', 'bonus', 'goodwill', 'debit', 'refund', 'adjustment', 'chargeback'
  )),
  drop constraint credit_entries_sign,
  add constraint credit_entries_sign
    check (
      case kind
        when 'debit' then amount < 0
        when 'chargeback' then amount < 0
        when 'adjustment' then amount <> 0
        else amount > 0
      end
    );

create index credit_entries_by_purchase on unstuck.credit_entries (purchase_id)
where purchase_id is not null;
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

--: source credit/credit_entries.sql eb150e2441ee by hand

--: source purchase/credit_debts.sql f9916f162848
create table unstuck.credit_debts (
  id uuid primary key default gen_random_uuid(),
  user_id uuid not null,
  -- Null: written by hand.
  purchase_id uuid,
  amount bigint not null,
  settled bigint not null default 0,
  created_at timestamptz not null default clock_timestamp(),
  check (settled between 0 and amount)
);

create index credit_debts_open on unstuck.credit_debts (user_id, created_at)
where amount > settled;

create index credit_debts_by_purchase on unstuck.credit_debts (purchase_id);

comment on table unstuck.credit_debts is $c$
Credits that a seller took back after they were spent. A debt is open while `settled` is less than
`amount`: no order is taken then. Later credits settle it; what the seller gives back lessens its
amount.
$c$;

alter table unstuck.credit_debts enable row level security;
revoke all on unstuck.credit_debts from public, anon, authenticated, service_role;
grant select on unstuck.credit_debts to authenticated, service_role;

--: source purchase/credit_packs.sql 156a6234c2ed
create table unstuck.credit_packs (
  pack text primary key,
  credits bigint not null
    check (credits between 1 and 1000000000000),
  -- The seller's name of its price, or of a payment link.
  price_id text unique,
  -- Paid for each period, until it is cancelled.
  recurring boolean not null default false,
  enabled boolean not null default true,
  position int not null default 0,
  -- {"en": {"name": "…", "price": "…"}, …}
  words jsonb not null default '{}'
    check (jsonb_typeof(words) = 'object')
);

comment on table unstuck.credit_packs is $c$
What is sold for money: one row per pack of credits. A disabled pack is not offered; what was bought
of it is still given.
$c$;

alter table unstuck.credit_packs enable row level security;
revoke all on unstuck.credit_packs from public, anon, authenticated, service_role;
grant select on unstuck.credit_packs to anon, authenticated, service_role;

--: source purchase/purchases.sql e57b5b0c1204
create table unstuck.purchases (
  id uuid primary key default gen_random_uuid(),
  seller text not null,
  -- Whose it is, or who the seller says it is of; null while nobody is known.
  user_id uuid,
  email text,
  pack text,
  -- What the payment is worth in full, given once it is paid, and taken back of that since.
  credits bigint not null default 0,
  granted bigint not null default 0,
  taken bigint not null default 0,
  -- Every name by which the seller knows the payment.
  keys text[] not null,
  -- What the seller told, each fact once. Everything else here follows from it.
  facts jsonb not null default '[]',
  -- Its own id, and those of the purchases that a fact joined to it: ledger entries name either.
  ids uuid[] not null,
  -- Credits are due, and nobody is known yet who gets them.
  waits boolean not null default false,
  created_at timestamptz not null default clock_timestamp(),
  check (taken between 0 and granted)
);

create index purchases_by_key on unstuck.purchases using gin (keys);

create index purchases_by_user on unstuck.purchases (user_id);

create index purchases_waiting on unstuck.purchases (user_id)
where waits;

create index purchases_waiting_by_email on unstuck.purchases (email)
where waits;

comment on table unstuck.purchases is $c$
A payment, as a seller tells it: one row, whatever number of events it is told by. Kept for ever; of
an erased user without the e-mail address and the id.
$c$;

alter table unstuck.purchases enable row level security;
revoke all on unstuck.purchases from public, anon, authenticated, service_role;
grant select on unstuck.purchases to authenticated, service_role;

--: source purchase/signup_bonus.sql d82fc21977e3
create table unstuck.signup_bonus (
  credits bigint not null
    check (credits between 1 and 1000000000000),
  since timestamptz not null default clock_timestamp()
);

-- One bonus at a time.
create unique index signup_bonus_is_one on unstuck.signup_bonus ((true));

comment on table unstuck.signup_bonus is $c$
The credits of users who signed up since that moment, given by the built-in wallet when the user
first does something. An operator inserts the row; without it there is no bonus.
$c$;

alter table unstuck.signup_bonus enable row level security;
revoke all on unstuck.signup_bonus from public, anon, authenticated, service_role;
grant select on unstuck.signup_bonus to service_role;

--: source tool/tools.sql 02f96fa08eb3 by hand

--: source tool/tool_prices.sql b06005d585ef
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
  -- The least that a rule by second or megapixel costs, however small the files are.
  credits_min bigint
    check (credits_min between 1 and 1000000000000),
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
      else coalesce(quantity, 1) = 1 and credits_min is null
    end
  )
);

comment on table unstuck.tool_prices is $c$
What an order costs by its options: the first rule of its tool whose every condition holds, by
position, gives credits × quantity, rounded up, at least credits_min, at least 1. The quantity is 1
for a job, the number of steps, or what was measured of the order's stored files, which the column
quantity limits. Where no rule holds the price is that of the row in tools. Each change is a row of
admin_log.
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

--: source audit/purchases_unaudited.sql 65c5eb0f350e
-- Lists for the audit the users whose purchases changed.
create or replace function unstuck_private.purchases_unaudited() returns trigger
language plpgsql
set search_path = ''
as
$$
begin
  insert into unstuck_private.unaudited (user_id)
  select n.user_id
  from new_rows n
  where n.user_id is not null;
  return null;
end $$;

create or replace trigger purchases_unaudited_insert after insert on unstuck.purchases
referencing new table as new_rows
for each statement execute function unstuck_private.purchases_unaudited();

create or replace trigger purchases_unaudited_update after update on unstuck.purchases
referencing new table as new_rows
for each statement execute function unstuck_private.purchases_unaudited();

revoke all on function unstuck_private.purchases_unaudited
from public, anon, authenticated, service_role;

--: source audit/unaudited_list_all.sql 4bd6d6c065d4
-- Lists for the audit everything there is, and every stored violation.
create or replace function unstuck_private.unaudited_list_all() returns void
language sql
set search_path = ''
as
$$
  insert into unstuck_private.unaudited (job_id)
  select j.id
  from unstuck.jobs j;

  insert into unstuck_private.unaudited (user_id)
  select a.user_id
  from unstuck.credit_accounts a
  union
  select e.user_id
  from unstuck.credit_entries e
  union
  select p.user_id
  from unstuck.purchases p
  where p.user_id is not null;

  -- The other entries are audited with their jobs.
  insert into unstuck_private.unaudited (user_id, entry_id)
  select e.user_id, e.id
  from unstuck.credit_entries e
  where e.kind in ('adjustment', 'refund')
    or e.kind = 'debit' and e.job_id is not null and not exists (
      select from unstuck.jobs j
      where j.id = e.job_id
    );

  insert into unstuck_private.unaudited (job_id, user_id)
  select f.job_id, f.user_id
  from unstuck.violations_found f
$$;

revoke all on function unstuck_private.unaudited_list_all
from public, anon, authenticated, service_role;

--: source audit/violations_of.sql 444db2a4c8d9
-- One row per violation of an invariant among these jobs, users and entries, and among what belongs
-- to them. docs/data-model.md says what each invariant means.
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
language sql
stable
set search_path = ''
set jit = off
as
$$
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
  from unstuck_private.violations_of_purchases(p_users) p
$$;

revoke all on function unstuck_private.violations_of
from public, anon, authenticated, service_role;

--: source audit/violations_of_purchases.sql d0c7ba3642c9
-- The purchases of these users whose entries, less what is owed of them, are not what is due.
create or replace function unstuck_private.violations_of_purchases(p_users uuid[])
returns table (invariant text, purchase_id uuid, user_id uuid, detail text)
language sql
stable
as
$$
  select 'purchase_equals_entries', p.id, p.user_id,
    format('due %s, given %s', d.granted - d.taken, g.given)
  from unnest(p_users) as n (id)
  join unstuck.purchases p on p.user_id = n.id
  cross join lateral unstuck_private.purchase_due(p.facts) d
  cross join lateral unstuck_private.purchase_given(p.ids, null) as g (given)
  where not p.waits
    and p.user_id <> unstuck_private.erased_user()
    and d.granted - d.taken <> g.given
$$;

revoke all on function unstuck_private.violations_of_purchases
from public, anon, authenticated, service_role;

--: source credit/account_lock.sql ff3e1ecebb4c
-- Locks the user's account, and creates it where there is none, with the sign-up bonus. It retries
-- where another transaction erased the account while this one waited, so that the caller always
-- holds a row.
create or replace function unstuck_private.account_lock(p_user_id uuid)
returns void
language plpgsql
set search_path = ''
as
$$
declare
  v_is_new boolean := false;
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
    v_is_new := found;
  end loop;
  if v_is_new then
    perform unstuck_private.signup_bonus_give(p_user_id);
  end if;
end $$;

revoke all on function unstuck_private.account_lock from public, anon, authenticated, service_role;

--: source credit/credit_adjust.sql 9d476102b6be
-- Writes one signed adjustment, never below a balance of zero, for the two functions that older
-- back-end code calls. It refuses by success = false and a message, as that code expects, also
-- where the wallet refuses: a wallet may show a credit limit that is for orders only.
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
  perform unstuck_private.act_as('service');
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
exception when others then
  if sqlstate <> '23514' and sqlstate not like 'PT4%' then
    raise;
  end if;
  return query
  select false, v_balance,
    case sqlstate when '23514' then 'Insufficient credits' else sqlerrm end;
end $$;

revoke all on function unstuck_private.credit_adjust from public, anon, authenticated, service_role;

--: source credit/credit_entries_before_insert.sql 9cc6a69920e5
-- Moves the wallet by a new entry that has no `balance_after`, and writes what the wallet says that
-- it moved. An entry that moves nothing is not written. A chargeback takes at most what is there;
-- another entry that would take more fails. Orders and refunds of jobs ask the wallet themselves.
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

--: source credit/credit_entries_settle.sql c01ec27880b4
-- Settles what a user owes with new credits, in the transaction that gives them.
create or replace function unstuck_private.credit_entries_settle() returns trigger
language plpgsql
set search_path = ''
as
$$
begin
  perform unstuck_private.debts_settle(new.user_id);
  return null;
end $$;

create or replace trigger credit_entries_settle
after insert on unstuck.credit_entries
for each row
when (new.kind in ('grant', 'purchase', 'bonus', 'goodwill'))
execute function unstuck_private.credit_entries_settle();

revoke all on function unstuck_private.credit_entries_settle
from public, anon, authenticated, service_role;

--: source credit/credit_grant_v1.sql e335704a57a1
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

--: source erase/user_erase_v1.sql 5a29ca8059e7
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

--: source erase/user_lock.sql c0496a71034f
-- Locks the purchases of a user who is erased, and then the account: whoever records a purchase
-- holds it and waits for the account, so it cannot be the other way round.
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
          where p.user_id = p_user_id
          order by p.id
          for update
        ) l
      );
      perform unstuck_private.account_lock(p_user_id);
      if not exists (
        select from unstuck.purchases p
        where p.user_id = p_user_id and p.id <> all (v_ids)
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

--: source erase/user_purchases_strip.sql 2d4ef1d38592
-- Takes what tells of a user out of the purchases, those that wait for the user included, and
-- leaves the books: whatever a seller still tells of them gives and takes nothing.
create or replace function unstuck_private.user_purchases_strip(p_user_id uuid) returns void
language sql
set search_path = ''
as
$$
  update unstuck.purchases p
  set
    user_id = unstuck_private.erased_user(),
    email = null,
    waits = false,
    facts = (
      select jsonb_agg(distinct f.value - array['userId', 'email'])
      from jsonb_array_elements(p.facts) f
    )
  where p.user_id = p_user_id
    or p.user_id is null
    and p.email = (select a.confirmed_email from unstuck_private.auth_user(p_user_id, null) a);

  -- Whose purchase another fact told.
  update unstuck.purchases p
  set facts = (
    select jsonb_agg(distinct case
      when f.value ->> 'userId' = p_user_id::text then f.value - array['userId', 'email']
      else f.value
    end)
    from jsonb_array_elements(p.facts) f
  )
  where p.facts @> jsonb_build_array(jsonb_build_object('userId', p_user_id));

  delete from unstuck.credit_debts d
  where d.user_id = p_user_id
$$;

revoke all on function unstuck_private.user_purchases_strip
from public, anon, authenticated, service_role;

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

--: source order/job_enqueue_v2.sql 3e78469b22c2
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

--: source order/order_price.sql 93599d96b50f
-- What an order of this tool with this input and so many steps costs, in credits. p_measured is
-- what the order's stored files hold together, such as {"seconds": 12.4, "megapixels": 3.2}.
-- unmeasured: the price is by this unit, which p_measured does not say; it is the rule's largest,
-- and lowest that of the smallest files. Where p_measured is null the Worker is one of the version
-- before, which measures nothing: its users pay the rule's least, where it names one.
create or replace function unstuck_private.order_price(
  p_tool unstuck.tools,
  p_input jsonb,
  p_steps int,
  p_measured jsonb,
  out credits bigint,
  out unmeasured text,
  out lowest bigint
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
    lowest := credits;
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
    v_rule.credits_min,
    1
  );
  lowest := credits;
  if unmeasured is not null then
    lowest := greatest(v_rule.credits, v_rule.credits_min, 1);
    if p_measured is null then
      credits := coalesce(v_rule.credits_min, credits);
    end if;
  end if;
end $$;

revoke all on function unstuck_private.order_price from public, anon, authenticated, service_role;

--: source order/order_quote_v1.sql 6c5fb48bed5d
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
  unmeasured text,
  lowest bigint
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
  select p.credits, p.unmeasured, p.lowest
  into credits, unmeasured, lowest
  from unstuck_private.order_price(v_tool, p_input, p_steps, coalesce(p_measured, '{}')) p;
  eta_seconds := unstuck_private.seconds_until_start(v_tool);
  if p_user_id is not null then
    credits := unstuck_private.wallet_price(p_user_id, p_tool, p_input, credits);
    lowest := unstuck_private.wallet_price(p_user_id, p_tool, p_input, lowest);
    select w.balance, w.unlimited
    into balance, v_unlimited
    from unstuck_private.wallet_lock(p_user_id, p_tool, null) w;
    balance := coalesce(balance, 0);
    if v_unlimited then
      credits := 0;
      lowest := 0;
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
say, and is the largest; lowest: that of the smallest files.

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

--: source order/refuse_over_balance.sql d3ef5fbd84be
-- Gives the user what waits, locks the wallet that pays for this order, refuses a price that it
-- does not cover, and any price while a debt is open, and returns what it holds. The user's row is
-- locked; so is a job that the order adopts, against the order of locks: it is the user's own, and
-- nobody who waits for it holds the wallet.
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
  v_debt bigint;
begin
  perform unstuck_private.waiting_credits_give(p_user_id);
  v_debt := unstuck_private.debt_open(p_user_id);
  select w.balance, w.unlimited
  into v_balance, v_unlimited
  from unstuck_private.wallet_lock(p_user_id, p_tool, true) w;
  if v_debt > 0 or (coalesce(v_balance, 0) < p_price and v_unlimited is not true) then
    perform unstuck_private.refuse(
      402,
      'insufficient_credits',
      jsonb_strip_nulls(jsonb_build_object(
        'balance', coalesce(v_balance, 0),
        'required', p_price,
        'debt', nullif(v_debt, 0)
      ))
    );
  end if;
  return coalesce(v_balance, 0);
end $$;

revoke all on function unstuck_private.refuse_over_balance
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

--: source purchase/auth_user.sql 7273d73ebb7c
-- The user of this id or, where it is null, the one whose confirmed e-mail address this is, without
-- regard to case. `confirmed_email` is in small letters. Where our role cannot read the users of
-- the project, nobody is found and `is_readable` is false.
create or replace function unstuck_private.auth_user(
  p_user_id uuid,
  p_email text,
  out is_readable boolean,
  out user_id uuid,
  out confirmed_email text,
  out created_at timestamptz
)
language plpgsql
stable
set search_path = ''
as
$$
begin
  if p_user_id is not null then
    select u.id, case when u.email_confirmed_at is not null then lower(u.email) end, u.created_at
    into user_id, confirmed_email, created_at
    from auth.users u
    where u.id = p_user_id;
  elsif p_email is not null then
    select u.id, lower(u.email), u.created_at
    into user_id, confirmed_email, created_at
    from auth.users u
    where lower(u.email) = lower(p_email)
      and u.email_confirmed_at is not null
    order by u.created_at, u.id
    limit 1;
  end if;
  is_readable := true;
exception
  when invalid_schema_name or undefined_table or undefined_column or insufficient_privilege then
    is_readable := false;
end $$;

revoke all on function unstuck_private.auth_user from public, anon, authenticated, service_role;

--: source purchase/debt_open.sql ed71df303395
-- How many credits this user owes that were spent and then taken back.
create or replace function unstuck_private.debt_open(p_user_id uuid) returns bigint
language sql
stable
as
$$
  select coalesce(sum(d.amount - d.settled), 0)::bigint
  from unstuck.credit_debts d
  where d.user_id = p_user_id
    and d.amount > d.settled
$$;

revoke all on function unstuck_private.debt_open from public, anon, authenticated, service_role;

--: source purchase/debts_lessen.sql 8aca02fae15a
-- Lessens what a user owes of these purchases by at most p_amount, and returns what is left of
-- p_amount. The account is locked.
create or replace function unstuck_private.debts_lessen(
  p_user_id uuid,
  p_ids uuid[],
  p_amount bigint
)
returns bigint
language plpgsql
set search_path = ''
as
$$
declare
  v_debt unstuck.credit_debts;
  v_rest bigint := p_amount;
begin
  for v_debt in
    select *
    from unstuck.credit_debts d
    where d.user_id = p_user_id
      and d.purchase_id = any (p_ids)
      and d.amount > d.settled
    order by d.created_at, d.id
  loop
    update unstuck.credit_debts d
    set amount = greatest(d.amount - v_rest, d.settled)
    where d.id = v_debt.id;
    v_rest := greatest(v_rest - (v_debt.amount - v_debt.settled), 0);
  end loop;
  return v_rest;
end $$;

revoke all on function unstuck_private.debts_lessen from public, anon, authenticated, service_role;

--: source purchase/debts_settle.sql 58a7baeca489
-- Settles what a user owes with what the wallet holds, the oldest debt first. The account is
-- locked.
create or replace function unstuck_private.debts_settle(p_user_id uuid) returns void
language plpgsql
set search_path = ''
as
$$
declare
  v_debt unstuck.credit_debts;
  v_taken bigint;
begin
  for v_debt in
    select *
    from unstuck.credit_debts d
    where d.user_id = p_user_id
      and d.amount > d.settled
    order by d.created_at, d.id
  loop
    v_taken := unstuck_private.purchase_take(
      p_user_id, array[v_debt.purchase_id], v_debt.amount - v_debt.settled);
    exit when v_taken = 0;
    update unstuck.credit_debts d
    set settled = d.settled + v_taken
    where d.id = v_debt.id;
  end loop;
end $$;

revoke all on function unstuck_private.debts_settle from public, anon, authenticated, service_role;

--: source purchase/purchase_back.sql 92b593b12581
-- Which part of a payment of p_amount (null: it is not known) these facts take back. Totals,
-- refunds and disputes are what they were at the latest moment; a refund that failed once stays
-- failed. Refunds are the larger one of those known singly and of the total, less what failed since
-- then. Open and lost disputes come on top.
create or replace function unstuck_private.purchase_back(p_facts jsonb, p_amount bigint)
returns numeric
language sql
immutable
as
$$
  with fact as materialized (
    select e.value as f
    from jsonb_array_elements(p_facts) e
  ), total as (
    select
      unstuck_private.purchase_part((f #>> '{refundTotal,amount}')::bigint, p_amount) as part,
      (f #>> '{refundTotal,at}')::numeric as at
    from fact
    where f ? 'refundTotal'
    order by 2 desc, 1 desc
    limit 1
  ), shown as (
    select (f #>> '{refundedShare,share}')::numeric as part
    from fact
    where f ? 'refundedShare'
    order by (f #>> '{refundedShare,at}')::numeric desc, 1 desc
    limit 1
  ), refund as materialized (
    select distinct on (r.key) s.*
    from fact
    cross join lateral jsonb_each(f -> 'refunds') r
    cross join lateral (
      select unstuck_private.purchase_part((r.value ->> 'amount')::bigint, p_amount) as part,
        r.value ->> 'status' in ('failed', 'canceled') as is_failed,
        (r.value ->> 'at')::numeric as at
    ) s
    order by r.key, s.is_failed desc, case when s.is_failed then -s.at else s.at end desc,
      s.part desc
  ), dispute as (
    select distinct on (d.key) d.value ->> 'status' as status,
      unstuck_private.purchase_part((d.value ->> 'amount')::bigint, p_amount) as part
    from fact
    cross join lateral jsonb_each(f -> 'disputes') d
    order by d.key, (d.value ->> 'at')::numeric desc,
      array_position(array['warning', 'open', 'lost', 'won'], d.value ->> 'status') desc, 2 desc
  )
  select least(
    1,
    coalesce((select sum(d.part) from dispute d where d.status in ('open', 'lost')), 0)
    + greatest(
      0,
      (select s.part from shown s),
      (select sum(r.part) from refund r where not r.is_failed),
      (
        select t.part - coalesce(sum(r.part), 0)
        from total t
        left join refund r
          on r.is_failed
          and r.at >= t.at
        group by t.part
      )
    )
  )
$$;

revoke all on function unstuck_private.purchase_back from public, anon, authenticated, service_role;

--: source purchase/purchase_checkout_v1.sql 3599de66d0e2
create or replace function unstuck.purchase_checkout_v1(p_user_id uuid, p_pack text)
returns table (pack text, credits bigint, price_id text, recurring boolean, email text)
language plpgsql
stable
security definer
set search_path = ''
as
$$
begin
  return query
  select c.pack, c.credits, c.price_id, c.recurring,
    (unstuck_private.auth_user(p_user_id, null)).confirmed_email
  from unstuck.credit_packs c
  where c.pack = p_pack
    and c.enabled;
  if not found then
    perform unstuck_private.refuse(404, 'not_found');
  end if;
end $$;

comment on function unstuck.purchase_checkout_v1 is $c$
Caller: purchase-checkout, for the verified user.

Effect: none. What the pack gives now, the seller's price of it, and the user's confirmed e-mail
address, if there is one that can be read.

Refuses: not_found (no such pack, or a disabled one).

Replay: reads again.
$c$;

revoke all on function unstuck.purchase_checkout_v1 from public, anon, authenticated, service_role;
grant execute on function unstuck.purchase_checkout_v1 to service_role;

--: source purchase/purchase_due.sql d367f0248162
-- What follows from the facts of one payment, whatever order they came in: whose it is, what it is
-- worth in full, what is given of that, and what of that is taken back.
--
-- Where facts differ: the first user and e-mail address in order of their text; the largest number;
-- a pack that is named, before one that is known by its price, then the one of most credits.
-- Rounding is done once, in favour of the user; the sixth digit hides that a third has no end.
create or replace function unstuck_private.purchase_due(p_facts jsonb)
returns table (user_id uuid, email text, pack text, credits bigint, granted bigint, taken bigint)
language sql
immutable
as
$$
  with told as materialized (
    select
      min((f ->> 'userId') collate "C")::uuid as user_id,
      min((f ->> 'email') collate "C") as email,
      min((f ->> 'pack') collate "C") as pack,
      coalesce(bool_or((f ->> 'paid')::boolean), false) as is_paid,
      max((f ->> 'credits')::bigint) as credits,
      coalesce(max((f ->> 'quantity')::bigint), 1) as quantity,
      coalesce(max((f ->> 'share')::numeric), 1) as share,
      nullif(max((f ->> 'amount')::bigint), 0) as amount,
      (array_agg(f -> 'gives' order by
        f ? 'pack' desc, (f #>> '{gives,credits}')::numeric desc, f #>> '{gives,pack}'
      ) filter (where f ? 'gives'))[1] as gives
    from jsonb_array_elements(p_facts) as e (f)
  ), worth as (
    select t.*, unstuck_private.purchase_back(p_facts, t.amount) as back,
      floor(round(
        coalesce(t.credits, (t.gives ->> 'credits')::numeric * t.quantity, 0) * t.share, 6
      )) as in_full
    from told t
  )
  select w.user_id, w.email, coalesce(w.gives ->> 'pack', w.pack), c.credits,
    case when w.is_paid then c.credits else 0 end,
    case when w.is_paid then c.taken else 0 end
  from worth w
  cross join lateral (
    select
      unstuck_private.clamp_to_bigint(w.in_full) as credits,
      unstuck_private.clamp_to_bigint(floor(round(w.in_full * w.back, 6))) as taken
  ) c
$$;

revoke all on function unstuck_private.purchase_due from public, anon, authenticated, service_role;

--: source purchase/purchase_fact.sql 530e88868a0c
-- A fact as a purchase keeps it: without its keys and its time, and with what its pack gives now,
-- so that another price of the pack changes nothing that was bought. Refuses a malformed one.
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
    or p_fact @? '$.**.share ? (@ > 1)'
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
  select jsonb_build_object(
    'pack', (array_agg(c.pack order by c.position, c.pack))[1], 'credits', sum(c.credits))
  into v_gives
  from unstuck.credit_packs c
  where c.pack = v_fact ->> 'pack'
    or v_fact -> 'priceIds' ? c.price_id and not exists (
      select from unstuck.credit_packs n
      where n.pack = v_fact ->> 'pack'
    )
  having count(*) > 0;
  return jsonb_strip_nulls(v_fact || jsonb_build_object('gives', v_gives));
end $$;

revoke all on function unstuck_private.purchase_fact from public, anon, authenticated, service_role;

--: source purchase/purchase_facts_with.sql 75796e8747f1
-- The facts of a purchase with one more, each once and in an order of their own. A fact that is
-- there already keeps what its pack gave when it was first told.
create or replace function unstuck_private.purchase_facts_with(p_facts jsonb, p_fact jsonb)
returns jsonb
language sql
immutable
as
$$
  select jsonb_agg(distinct e.value)
  from jsonb_array_elements(p_facts || jsonb_build_array(p_fact)) e
  where e.value - 'gives' <> p_fact - 'gives'
    or e.value = coalesce(
      (
        select k.value
        from jsonb_array_elements(p_facts) k
        where k.value - 'gives' = p_fact - 'gives'
          and (k.value ? 'gives' or not p_fact ? 'gives')
        limit 1
      ),
      p_fact
    )
$$;

revoke all on function unstuck_private.purchase_facts_with
from public, anon, authenticated, service_role;

--: source purchase/purchase_given.sql edd09c917f2e
-- What these purchases, which are one, gave and did not take back: the sum of their entries, less
-- what is owed of them. Of one user only, where p_user_id names one.
create or replace function unstuck_private.purchase_given(p_ids uuid[], p_user_id uuid)
returns bigint
language sql
stable
as
$$
  select (
    coalesce((
      select sum(e.amount)
      from unstuck.credit_entries e
      where e.purchase_id = any (p_ids)
        and e.user_id = coalesce(p_user_id, e.user_id)
    ), 0)
    - coalesce((
      select sum(d.amount - d.settled)
      from unstuck.credit_debts d
      where d.purchase_id = any (p_ids)
        and d.user_id = coalesce(p_user_id, d.user_id)
    ), 0)
  )::bigint
$$;

revoke all on function unstuck_private.purchase_given
from public, anon, authenticated, service_role;

--: source purchase/purchase_move.sql 4cbcb1963302
-- Gives this user what is due of a purchase and was not given, or takes back what was given and is
-- not due, and returns the difference. What is no longer there is a debt; what is given lessens
-- that debt first. The purchase and the account are locked.
create or replace function unstuck_private.purchase_move(
  p_purchase unstuck.purchases,
  p_user_id uuid,
  p_due bigint
)
returns bigint
language plpgsql
set search_path = ''
as
$$
declare
  v_change bigint := p_due - unstuck_private.purchase_given(p_purchase.ids, p_user_id);
  v_rest bigint;
begin
  if v_change > 0 then
    v_rest := unstuck_private.debts_lessen(p_user_id, p_purchase.ids, v_change);
    insert into unstuck.credit_entries (user_id, purchase_id, kind, amount, reason, actor)
    select p_user_id, p_purchase.id, 'purchase', v_rest,
      coalesce(p_purchase.pack, p_purchase.seller), 'seller:' || p_purchase.seller
    where v_rest > 0;
  elsif v_change < 0 then
    v_rest := -v_change - unstuck_private.purchase_take(p_user_id, p_purchase.ids, -v_change);
    insert into unstuck.credit_debts (user_id, purchase_id, amount)
    select p_user_id, p_purchase.id, v_rest
    where v_rest > 0;
  end if;
  return v_change;
end $$;

revoke all on function unstuck_private.purchase_move from public, anon, authenticated, service_role;

--: source purchase/purchase_owner.sql ae4c2347169e
-- Who gets what is due of a purchase: the user whom the seller tells, if there is such a user; else
-- who was found by the e-mail address before, or is found now. Null: nobody yet. An erased user's
-- purchase stays the erased user's.
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
  v_told record := unstuck_private.auth_user(p_told, null);
begin
  if p_purchase.user_id = unstuck_private.erased_user() then
    return p_purchase.user_id;
  end if;
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

--: source purchase/purchase_part.sql a8928b68b311
-- Which part of a payment an amount is, at most all of it. All, where it is not known how much one
-- of the two is.
create or replace function unstuck_private.purchase_part(p_amount numeric, p_whole numeric)
returns numeric
language sql
immutable
as
$$
  select case when p_amount = 0 then 0 else coalesce(least(p_amount / p_whole, 1), 1) end
$$;

revoke all on function unstuck_private.purchase_part
from public, anon, authenticated, service_role;

--: source purchase/purchase_record_v1.sql 0660ae341dfb
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
  v_fact jsonb := unstuck_private.purchase_fact(p_fact);
  v_keys text[] := array(
    select distinct k.key collate "C"
    from jsonb_array_elements_text(p_fact -> 'keys') as k (key)
    order by 1
  );
  v_ids uuid[];
  v_is_new boolean;
  v_settled record;
begin
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

--: source purchase/purchase_settle.sql 1c55bd65dca1
-- Makes the ledger agree with the facts of a purchase: its owner gets what is due, anybody else
-- gives back what was given. Returns what was given and taken now, and whose purchase it is. The
-- purchase is locked; the accounts are locked here, by id.
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
end $$;

revoke all on function unstuck_private.purchase_settle
from public, anon, authenticated, service_role;

--: source purchase/purchase_take.sql 06bab2c73630
-- Takes credits of these purchases back by a chargeback, at most what is there, and returns how
-- many were taken. The account is locked.
create or replace function unstuck_private.purchase_take(
  p_user_id uuid,
  p_ids uuid[],
  p_amount bigint
)
returns bigint
language plpgsql
set search_path = ''
as
$$
declare
  v_taken bigint;
begin
  insert into unstuck.credit_entries (user_id, purchase_id, kind, amount, reason, receipt)
  select p_user_id, p_ids[1], 'chargeback', -p_amount, given.reason, given.receipt
  from (select) as one
  left join lateral (
    select e.reason, e.receipt
    from unstuck.credit_entries e
    where e.purchase_id = any (p_ids)
      and e.user_id = p_user_id
      and e.kind = 'purchase'
    order by e.id desc
    limit 1
  ) given on true
  returning -amount
  into v_taken;
  return coalesce(v_taken, 0);
end $$;

revoke all on function unstuck_private.purchase_take from public, anon, authenticated, service_role;

--: source purchase/purchases_join.sql 007974ea7fa1
-- Joins these purchases, which one fact names together, into the first of them. What was given of
-- each stays in the ledger under its own id. The purchases are locked.
create or replace function unstuck_private.purchases_join(p_ids uuid[]) returns void
language sql
set search_path = ''
as
$$
  with gone as (
    delete from unstuck.purchases p
    where p.id = any (p_ids[2:])
    returning p.*
  ), part as materialized (
    select *
    from gone
    union all
    select *
    from unstuck.purchases p
    where p.id = p_ids[1]
  ), fact as materialized (
    select distinct e.value as fact
    from part
    cross join lateral jsonb_array_elements(part.facts) e
  )
  update unstuck.purchases p
  set
    keys = array(select distinct unnest(q.keys) collate "C" from part q order by 1),
    ids = array(select distinct unnest(q.ids) from part q order by 1),
    facts = (select jsonb_agg(f.fact order by f.fact) from fact f),
    -- Who was found by an e-mail address; whom a fact tells is found anew.
    user_id = (
      select q.user_id
      from part q
      where q.user_id is not null
        and not exists (select from fact f where f.fact ->> 'userId' = q.user_id::text)
      order by q.user_id
      limit 1
    )
  where p.id = p_ids[1]
$$;

revoke all on function unstuck_private.purchases_join
from public, anon, authenticated, service_role;

--: source purchase/purchases_lock.sql 6c684bd81dca
-- Locks these keys and every purchase that is known by one of them, and returns the purchases, the
-- oldest first. Nobody else makes a purchase of these keys, or joins one of these, until the
-- transaction ends. Keys are locked before rows, both in order, and rows before accounts.
create or replace function unstuck_private.purchases_lock(p_seller text, p_keys text[])
returns uuid[]
language plpgsql
set search_path = ''
as
$$
declare
  v_lock bigint;
  v_ids uuid[];
begin
  for v_lock in
    select distinct hashtextextended(p_seller || ' ' || k.key, 0)
    from unnest(p_keys) as k (key)
    order by 1
  loop
    perform pg_advisory_xact_lock(v_lock);
  end loop;
  loop
    v_ids := unstuck_private.purchases_named(p_seller, p_keys);
    begin
      perform
      from unstuck.purchases p
      where p.id = any (v_ids)
      order by p.id
      for update;
      if v_ids = unstuck_private.purchases_named(p_seller, p_keys) then
        return v_ids;
      end if;
      -- Another fact joined some of them meanwhile: this lets go of the rows.
      raise sqlstate 'UN409';
    exception when sqlstate 'UN409' then
      null;
    end;
  end loop;
end $$;

revoke all on function unstuck_private.purchases_lock
from public, anon, authenticated, service_role;

--: source purchase/purchases_named.sql b5adeb79a073
-- The purchases that this seller knows by one of these keys, the oldest first.
create or replace function unstuck_private.purchases_named(p_seller text, p_keys text[])
returns uuid[]
language sql
stable
as
$$
  select array(
    select p.id
    from unstuck.purchases p
    where p.seller = p_seller
      and p.keys && p_keys
    order by p.created_at, p.id
  )
$$;

revoke all on function unstuck_private.purchases_named
from public, anon, authenticated, service_role;

--: source purchase/signup_bonus_give.sql d4ceff5dc53b
-- Gives the bonus to a user whose account was made just now: one who signed up after the bonus was
-- switched on, and who was never here before. The account is locked.
create or replace function unstuck_private.signup_bonus_give(p_user_id uuid) returns void
language sql
set search_path = ''
as
$$
  insert into unstuck.credit_entries (user_id, kind, amount, reason, idempotency_key)
  select p_user_id, 'bonus', b.credits, 'sign-up', 'signup:' || p_user_id
  from unstuck.signup_bonus b
  where not unstuck_private.has_adapter()
    and not exists (select from unstuck.erasures e where e.user_id = p_user_id)
    and not exists (select from unstuck.credit_entries e where e.user_id = p_user_id)
    and (unstuck_private.auth_user(p_user_id, null)).created_at >= b.since
$$;

revoke all on function unstuck_private.signup_bonus_give
from public, anon, authenticated, service_role;

--: source purchase/waiting_credits_give.sql 10cd3fb2730c
-- Gives a user what waited for this moment: the sign-up bonus, with the account, and purchases that
-- were paid before anybody knew whose they are. A purchase that another transaction holds, or that
-- cannot be given, waits for the next call.
create or replace function unstuck_private.waiting_credits_give(p_user_id uuid) returns void
language plpgsql
set search_path = ''
as
$$
declare
  v_email text;
  v_id uuid;
begin
  if not exists (select from unstuck.credit_accounts a where a.user_id = p_user_id) then
    perform unstuck_private.account_lock(p_user_id);
  end if;
  if not exists (select from unstuck.purchases p where p.waits) then
    return;
  end if;
  v_email := (unstuck_private.auth_user(p_user_id, null)).confirmed_email;
  if not exists (
    select from unstuck.purchases p
    where p.waits and (p.user_id = p_user_id or p.email = v_email)
  ) then
    return;
  end if;
  perform unstuck_private.account_lock(p_user_id);
  for v_id in
    select p.id
    from unstuck.purchases p
    where p.waits and (p.user_id = p_user_id or p.email = v_email)
    order by p.id
    for update skip locked
  loop
    begin
      perform unstuck_private.purchase_settle(v_id);
    exception when others then
      raise warning 'the purchase % cannot be given: %', v_id, sqlerrm;
    end;
  end loop;
end $$;

revoke all on function unstuck_private.waiting_credits_give
from public, anon, authenticated, service_role;

--: source tool/price_log.sql e093974f9053
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
  'position', 'matches', 'credits', 'priced_per', 'quantity', 'note', 'credits_min');

revoke all on function unstuck_private.price_log from public, anon, authenticated, service_role;

--: source wallet/caller_balance.sql 8e6ee466ab10
-- What the caller may spend, and owes; for the view `my_balance`.
create or replace function unstuck_private.caller_balance(out balance bigint, out debt bigint)
language sql
stable
security definer
set search_path = ''
as
$$
  select unstuck_private.balance_shown(auth.uid(), null), unstuck_private.debt_open(auth.uid())
$$;

revoke all on function unstuck_private.caller_balance
from public, anon, authenticated, service_role;
grant execute on function unstuck_private.caller_balance to authenticated, service_role;

--: source view/my_balance.sql bac9db9a1ad3
create view unstuck.my_balance
with (security_invoker = true) as
select b.balance, b.debt
from unstuck_private.caller_balance() b;

comment on view unstuck.my_balance is $c$
One row: what the caller may spend, whoever holds the balance, and the debt that stops orders.
$c$;

revoke all on unstuck.my_balance from public, anon, authenticated, service_role;
grant select on unstuck.my_balance to authenticated, service_role;

--: source view/open_debts.sql d3df88e72e31
create view unstuck.open_debts
with (security_invoker = true) as
select
  d.user_id,
  sum(d.amount - d.settled)::bigint as owed,
  min(d.created_at) as since
from unstuck.credit_debts d
where d.amount > d.settled
group by d.user_id;

comment on view unstuck.open_debts is $c$
Who owes credits, and since when: one row for each user. Owners see their own, admins everybody's.
$c$;

revoke all on unstuck.open_debts from public, anon, authenticated, service_role;
grant select on unstuck.open_debts to authenticated, service_role;

--: source policy/read_own_rows.sql 8ac68b31e096
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

create policy credit_packs_read_offered on unstuck.credit_packs
for select to anon, authenticated
using (enabled);

create policy credit_packs_read on unstuck.credit_packs
for select to authenticated
using ((select unstuck_private.is_admin()));

create policy purchases_read on unstuck.purchases
for select to authenticated
using ((select unstuck_private.is_admin()));

create policy credit_debts_read on unstuck.credit_debts
for select to authenticated
using (user_id = (select auth.uid()) or (select unstuck_private.is_admin()));

--: source tool/tool_prices_of_options.sql 7b1b773ed3ea
-- What costs more than the default options, which the rows of `tools` price. The other tools have
-- no option that costs more. The positions leave room before, between and after the rules. What the
-- operator has decided stays: a rule that is there already, and a tool whose price is no longer the
-- one that these rules go with.
select set_config('unstuck.actor', 'migration', true);

insert into unstuck.tool_prices (
  tool, position, matches, credits, priced_per, quantity, credits_min, note
)
select r.tool, r.position, r.matches, r.credits, r.priced_per, r.quantity, r.credits_min, r.note
from (
  values
    (
      'runninghub-upscaler', 60, 110, '{"version": "pro", "resolution": {"gt": 4096}}'::jsonb,
      150, 'job', null, null,
      'the better model, at more than 4096 pixels a side'
    ),
    (
      'runninghub-upscaler', 60, 120, '{"version": "pro"}',
      90, 'job', null, null,
      'the better model'
    ),
    (
      'runninghub-upscaler', 60, 130, '{"resolution": {"gt": 4096}}',
      90, 'job', null, null,
      'more than 4096 pixels a side'
    ),
    (
      'runninghub-video-upscaler', 120, 110, '{}',
      2, 'second', 900, 120,
      'a minute at the price of the tool, and each further second'
    )
) as r (tool, credit_cost, position, matches, credits, priced_per, quantity, credits_min, note)
join unstuck.tools t
  on t.tool = r.tool and t.credit_cost = r.credit_cost and t.priced_per = 'job'
on conflict do nothing;

select set_config('unstuck.actor', '', true);

--: history
insert into unstuck_private.migrations (number, name, hash)
values (
  6,
  'prices_and_purchases',
  'ae6ceca827864dc2223778d0bbe13f4a4580f428756a4e44dee58838d4ff2120'
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
