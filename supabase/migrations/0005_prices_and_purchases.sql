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

--: source schema/unstuck.sql cdaefc63736a by hand

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

--: source credit/credit_adjust.sql 3cdcbe948e88
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

--: source erase/user_erase_v1.sql 0ef8cf2fe6ab
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
user; refunds_owed: how much. Where it never will, delete the user's rows of refunds_owed first).

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

--: source policy/read_own_rows.sql effb2307741e
-- What a signed-in user reads of the tables: own rows, an admin all; everybody reads what is sold.
-- Nobody writes to a table.

create policy tools_read on unstuck.tools
for select to authenticated
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

--: history
insert into unstuck_private.migrations (number, name, hash)
values (
  5,
  'prices_and_purchases',
  '01519bcbb80b9afbc3ac204c09604203bbde559c496c5c4ca7a48a8b8e0ccf29'
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
