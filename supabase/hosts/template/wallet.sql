-- A wallet for any other app: copy this folder, and write what the app does in the place of what
-- is here. It stands for an app with one table `public.balances (user_id uuid primary key, balance
-- bigint)`, and a test runs it against one. Send the file as one query, as the role that installed.
--
-- The rules of the six functions:
--   * they keep their names, arguments and results; `docs/data-model.md` says what each answers;
--   * each runs under `search_path = public, extensions` and, where it calls the app's code, under
--     the claims of the service role and whatever settings that code asks for: `host_enter` sets
--     them, `settings_swap` puts them back, and where a function raises Postgres does;
--   * they change the app's tables only. Our own row of the user is locked already, and the caller
--     writes the entry;
--   * whatever they do not do they say: a refund that gives less returns less, a failure raises.
--     An order is then refused, and a refund is owed and tried again.

begin;

select unstuck_private.wallet_attach('template');

-- The app's own prices, or p_price. An order that cannot be priced is refused here, with
-- `unstuck_private.refuse(400, 'bad_request', …)`. In a paid retry p_input also has the fields of
-- the receipt that `wallet_debit` gave for the old job.
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

-- What may be spent, a credit limit included, and whether orders are free. p_tool may be null.
-- Without p_wait there is no row while somebody else holds the wallet; a user who has none gets a
-- row with 0. Where p_wait is null it only reads, and locks nothing.
create or replace function unstuck_private.wallet_lock(
  p_user_id uuid,
  p_tool text,
  p_wait boolean
)
returns table (balance bigint, unlimited boolean)
language plpgsql
set search_path = public, extensions
as
$$
declare
  v_balance bigint;
begin
  if p_wait then
    select b.balance into v_balance
    from balances b
    where b.user_id = p_user_id
    for no key update;
  elsif p_wait is null then
    select b.balance into v_balance
    from balances b
    where b.user_id = p_user_id;
  else
    select b.balance into v_balance
    from balances b
    where b.user_id = p_user_id
    for no key update skip locked;
    if not found and exists (select from balances b where b.user_id = p_user_id) then
      return;
    end if;
  end if;
  return query select coalesce(v_balance, 0), false;
end $$;

-- Takes all, or 0 where orders are free. The receipt is kept with the entry and comes back with
-- each refund: it says where the credits were taken from.
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
set search_path = public, extensions
as
$$
declare
  v_settings jsonb := unstuck_private.host_enter();
begin
  update balances b
  set balance = b.balance - p_amount
  where b.user_id = p_user_id
    and b.balance >= p_amount;
  if not found then
    perform unstuck_private.refuse(402, 'insufficient_credits', jsonb_build_object(
      'balance', coalesce((select b.balance from balances b where b.user_id = p_user_id), 0),
      'required', p_amount));
  end if;
  taken := p_amount;
  perform unstuck_private.settings_swap(v_settings);
end $$;

create or replace function unstuck_private.wallet_refund(
  p_user_id uuid,
  p_amount bigint,
  p_job_id uuid,
  p_reason text,
  p_receipt jsonb,
  out given bigint
)
language plpgsql
set search_path = public, extensions
as
$$
declare
  v_settings jsonb := unstuck_private.host_enter();
begin
  update balances b
  set balance = b.balance + p_amount
  where b.user_id = p_user_id;
  given := case when found then p_amount else 0 end;
  perform unstuck_private.settings_swap(v_settings);
end $$;

create or replace function unstuck_private.wallet_grant(
  p_user_id uuid,
  p_amount bigint,
  p_kind text,
  p_reason text,
  out balance bigint,
  out receipt jsonb
)
language plpgsql
set search_path = public, extensions
as
$$
declare
  v_settings jsonb := unstuck_private.host_enter();
begin
  insert into balances as b (user_id, balance)
  values (p_user_id, p_amount)
  on conflict (user_id) do update
  set balance = b.balance + p_amount
  returning b.balance
  into wallet_grant.balance;
  perform unstuck_private.settings_swap(v_settings);
end $$;

-- Takes at most what is there, and says how much it was.
create or replace function unstuck_private.wallet_take(
  p_user_id uuid,
  p_amount bigint,
  p_kind text,
  p_reason text,
  p_receipt jsonb,
  out taken bigint
)
language plpgsql
set search_path = public, extensions
as
$$
declare
  v_settings jsonb := unstuck_private.host_enter();
begin
  select least(b.balance, p_amount) into taken
  from balances b
  where b.user_id = p_user_id
  for no key update;
  taken := greatest(coalesce(taken, 0), 0);
  update balances b
  set balance = b.balance - taken
  where b.user_id = p_user_id;
  perform unstuck_private.settings_swap(v_settings);
end $$;

revoke all on function
  unstuck_private.wallet_price,
  unstuck_private.wallet_lock,
  unstuck_private.wallet_debit,
  unstuck_private.wallet_refund,
  unstuck_private.wallet_grant,
  unstuck_private.wallet_take
from public, anon, authenticated, service_role;

commit;
