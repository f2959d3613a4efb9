-- The wallet of the app of cards: `profiles.tokens_balance`, through the app's own functions. A
-- trigger of the app puts back whatever is written to that column without
-- `app.bypass_token_protection`; the setting is put back at the end of each function here. Send
-- this file as one query, as the role that installed.

begin;

select unstuck_private.wallet_attach('cards-app');

-- The app's own price of a card, where it has one.
create or replace function unstuck_private.wallet_price(
  p_user_id uuid,
  p_tool text,
  p_input jsonb,
  p_price bigint
)
returns bigint
language sql
stable
set search_path = public, extensions
as
$$
  select coalesce(
    (
      select p.tokens_cost::bigint * jsonb_array_length(p_input -> 'selectedCards')
      from generation_pricing p
      where p_tool = 'create-generation-job-banana'
        and p.price_type = 'card'
        and jsonb_typeof(p_input -> 'selectedCards') = 'array'
    ),
    p_price
  )
$$;

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
  v_balance int;
begin
  if p_wait then
    select p.tokens_balance into v_balance
    from profiles p
    where p.id = p_user_id
    for no key update;
  elsif p_wait is null then
    select p.tokens_balance into v_balance
    from profiles p
    where p.id = p_user_id;
  else
    select p.tokens_balance into v_balance
    from profiles p
    where p.id = p_user_id
    for no key update skip locked;
    if not found and exists (select from profiles p where p.id = p_user_id) then
      return;
    end if;
  end if;
  return query select coalesce(v_balance, 0)::bigint, false;
end $$;

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
  v_settings jsonb := unstuck_private.host_enter('{"app.bypass_token_protection": ""}');
begin
  if spend_tokens(p_user_id, p_amount::int) is not true then
    perform unstuck_private.refuse(402, 'insufficient_credits', jsonb_build_object(
      'balance', coalesce((select p.tokens_balance from profiles p where p.id = p_user_id), 0),
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
  v_settings jsonb := unstuck_private.host_enter('{"app.bypass_token_protection": ""}');
begin
  if refund_tokens(p_user_id, p_amount::int, p_reason) is not true then
    raise exception 'refund_tokens refuses % tokens for %', p_amount, p_user_id;
  end if;
  given := p_amount;
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
  v_settings jsonb := unstuck_private.host_enter('{"app.bypass_token_protection": "true"}');
begin
  update profiles p
  set tokens_balance = p.tokens_balance + p_amount::int
  where p.id = p_user_id
  returning p.tokens_balance
  into wallet_grant.balance;
  if not found then
    raise exception 'user % has no profile', p_user_id;
  end if;
  insert into token_transactions (user_id, amount, transaction_type, description)
  values (
    p_user_id, p_amount::int,
    case p_kind
      when 'grant' then 'purchase'
      when 'purchase' then 'purchase'
      when 'adjustment' then 'refund'
      else 'bonus'
    end,
    p_reason);
  perform unstuck_private.settings_swap(v_settings);
end $$;

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
  v_settings jsonb := unstuck_private.host_enter('{"app.bypass_token_protection": "true"}');
begin
  select least(p.tokens_balance, p_amount) into taken
  from profiles p
  where p.id = p_user_id
  for no key update;
  taken := greatest(coalesce(taken, 0), 0);
  if taken > 0 then
    update profiles p
    set tokens_balance = p.tokens_balance - taken::int
    where p.id = p_user_id;
    insert into token_transactions (user_id, amount, transaction_type, description)
    values (p_user_id, -taken::int, 'direct_sql_update', concat_ws(': ', p_kind, p_reason));
  end if;
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
