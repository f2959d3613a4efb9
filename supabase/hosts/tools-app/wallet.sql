-- The wallet of the app of tools: `upscaler_credits`, with a monthly and a lifetime part, through
-- the app's own functions. Send this file as one query, as the role that installed.
--
-- What the app decides: an unlimited subscriber pays nothing; a lapsed subscriber's monthly part is
-- gone; monthly credits are used before lifetime ones. What is refunded goes back to the part that
-- it came from, the part that was taken last first.

begin;

select unstuck_private.wallet_attach('tools-app');

-- The app's own price of a tool, where it has one.
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
      select s.credit_cost::bigint
      from ai_tool_settings s
      join (
        values
          ('runninghub-upscaler', 'upscaler'),
          ('runninghub-pose-changer', 'pose_changer'),
          ('runninghub-veste-ai', 'veste_ai'),
          ('runninghub-video-upscaler', 'video_upscaler')
      ) as n (tool, name) on n.name = s.tool_name
      where n.tool = p_tool
    ),
    p_price
  )
$$;

-- True while the monthly part of a subscriber is still shown and gone all the same: the app sets it
-- to 0 at the next purchase.
create or replace function unstuck_private.host_is_lapsed(p_user_id uuid) returns boolean
language sql
stable
set search_path = public, extensions
as
$$
  select exists (
    select
    from planos2_subscriptions s
    where s.user_id = p_user_id
      and s.plan_slug <> 'free'
      and s.expires_at <= now()
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
#variable_conflict use_column
declare
  v_credits upscaler_credits;
begin
  if p_wait then
    select * into v_credits
    from upscaler_credits c
    where c.user_id = p_user_id
    for no key update;
  elsif p_wait is null then
    select * into v_credits
    from upscaler_credits c
    where c.user_id = p_user_id;
  else
    select * into v_credits
    from upscaler_credits c
    where c.user_id = p_user_id
    for no key update skip locked;
    if not found
      and exists (select from upscaler_credits c where c.user_id = p_user_id)
    then
      return;
    end if;
  end if;
  return query
  select
    coalesce(
      case when unstuck_private.host_is_lapsed(p_user_id)
        then v_credits.lifetime_balance
        else v_credits.balance
      end,
      0
    )::bigint,
    is_unlimited_subscriber(p_user_id);
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
  v_settings jsonb := unstuck_private.host_enter();
  v_before upscaler_credits;
  v_after upscaler_credits;
  v_rest bigint := p_amount;
  v_part int;
  v_answer record;
begin
  select * into v_before
  from upscaler_credits c
  where c.user_id = p_user_id;
  -- The app's function takes at most 10,000 at a time.
  while v_rest > 0 loop
    v_part := least(v_rest, 10000);
    select * into v_answer
    from consume_upscaler_credits(p_user_id, v_part, p_reason);
    if v_answer.success is not true then
      perform unstuck_private.refuse(402, 'insufficient_credits', jsonb_build_object(
        'balance', coalesce(v_answer.remaining_balance, 0), 'required', p_amount));
    end if;
    v_rest := v_rest - v_part;
  end loop;
  select * into v_after
  from upscaler_credits c
  where c.user_id = p_user_id;
  taken := 0;
  if v_after.balance is distinct from v_before.balance then
    taken := p_amount;
    receipt := jsonb_build_object(
      'monthly', p_amount - (v_before.lifetime_balance - v_after.lifetime_balance),
      'lifetime', v_before.lifetime_balance - v_after.lifetime_balance);
  end if;
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
  v_before bigint;
  v_lifetime bigint;
  v_rest bigint;
  v_part int;
  v_answer record;
begin
  -- What was refunded before went to the lifetime part until that was whole.
  select coalesce(sum(e.amount), 0)
  into v_before
  from unstuck.credit_entries e
  where e.job_id = p_job_id
    and e.kind = 'refund';
  v_lifetime := least(
    p_amount, greatest(coalesce((p_receipt ->> 'lifetime')::bigint, 0) - v_before, 0));
  if v_lifetime > 0 then
    update upscaler_credits c
    set lifetime_balance = c.lifetime_balance + v_lifetime,
      balance = c.balance + v_lifetime,
      updated_at = now()
    where c.user_id = p_user_id;
    if not found then
      raise exception 'user % has no row of upscaler_credits', p_user_id;
    end if;
    insert into upscaler_credit_transactions
      (user_id, amount, balance_after, transaction_type, description, credit_type)
    select p_user_id, v_lifetime, c.balance, 'refund', p_reason, 'lifetime'
    from upscaler_credits c
    where c.user_id = p_user_id;
  end if;
  -- The app's function gives at most 100,000 at a time, always into the monthly part.
  v_rest := p_amount - v_lifetime;
  while v_rest > 0 loop
    v_part := least(v_rest, 100000);
    select * into v_answer
    from refund_upscaler_credits(p_user_id, v_part, p_reason);
    if v_answer.success is not true then
      raise exception 'refund_upscaler_credits refuses: %', v_answer.error_message;
    end if;
    v_rest := v_rest - v_part;
  end loop;
  given := p_amount;
  perform unstuck_private.settings_swap(v_settings);
end $$;

-- What is bought or given as a present does not lapse; what older code gives back does, as before.
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
  v_answer record;
begin
  if p_kind = 'adjustment' then
    select * into v_answer
    from refund_upscaler_credits(p_user_id, p_amount::int, p_reason);
    receipt := '{"part": "monthly"}';
  else
    select * into v_answer
    from add_lifetime_credits(p_user_id, p_amount::int, p_reason);
    receipt := '{"part": "lifetime"}';
  end if;
  if v_answer.success is not true then
    raise exception 'the app refuses to give % credits to %', p_amount, p_user_id;
  end if;
  balance := v_answer.new_balance;
  perform unstuck_private.settings_swap(v_settings);
end $$;

-- Of the part that was given first, then of the other.
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
  v_credits upscaler_credits;
  v_monthly bigint;
  v_lifetime bigint;
begin
  select * into v_credits
  from upscaler_credits c
  where c.user_id = p_user_id
  for no key update;
  if not found then
    taken := 0;
    return;
  end if;
  if unstuck_private.host_is_lapsed(p_user_id) then
    v_credits.monthly_balance := 0;
  end if;
  taken := least(p_amount, v_credits.monthly_balance + v_credits.lifetime_balance);
  v_monthly := case
    when p_receipt ->> 'part' = 'lifetime'
      then greatest(taken - v_credits.lifetime_balance, 0)
    else least(taken, v_credits.monthly_balance)
  end;
  v_lifetime := taken - v_monthly;
  if taken = 0 then
    return;
  end if;
  update upscaler_credits c
  set monthly_balance = c.monthly_balance - v_monthly,
    lifetime_balance = c.lifetime_balance - v_lifetime,
    balance = c.balance - taken,
    updated_at = now()
  where c.user_id = p_user_id;
  insert into upscaler_credit_transactions
    (user_id, amount, balance_after, transaction_type, description, credit_type)
  select p_user_id, -taken, c.balance, p_kind, p_reason,
    case 0 when v_monthly then 'lifetime' when v_lifetime then 'monthly' else 'mixed' end
  from upscaler_credits c
  where c.user_id = p_user_id;
end $$;

revoke all on function
  unstuck_private.wallet_price,
  unstuck_private.host_is_lapsed,
  unstuck_private.wallet_lock,
  unstuck_private.wallet_debit,
  unstuck_private.wallet_refund,
  unstuck_private.wallet_grant,
  unstuck_private.wallet_take
from public, anon, authenticated, service_role;

commit;
