-- Money that is not a job's: purchases, and the two functions older front ends know. Every balance change is an entry.

create or replace function public.credit_grant_v1(p_user_id uuid, p_amount int, p_reason text, p_idempotency_key text)
returns table (balance int, replayed boolean)
language plpgsql set search_path = '' as
$$
#variable_conflict use_column
declare v_entry public.credit_entries;
begin
  if p_user_id is null or p_amount is null or p_amount <= 0 or coalesce(p_idempotency_key, '') = '' then
    perform private.refuse(400, 'bad_request');
  end if;
  insert into public.credit_accounts (user_id) values (p_user_id) on conflict do nothing;
  perform 1 from public.credit_accounts where user_id = p_user_id for update;
  select * into v_entry from public.credit_entries where idempotency_key = p_idempotency_key;
  if found then
    if v_entry.user_id <> p_user_id or v_entry.amount <> p_amount or v_entry.kind <> 'grant' then
      perform private.refuse(409, 'idempotency_conflict');
    end if;
    return query select a.balance, true from public.credit_accounts a where a.user_id = p_user_id;
    return;
  end if;
  begin
    insert into public.credit_entries (user_id, kind, amount, reason, idempotency_key)
    values (p_user_id, 'grant', p_amount, p_reason, p_idempotency_key);
  exception when unique_violation then  -- the same key for another user at the same moment
    perform private.refuse(409, 'idempotency_conflict');
  end;
  return query select a.balance, false from public.credit_accounts a where a.user_id = p_user_id;
end $$;
comment on function public.credit_grant_v1 is 'Caller: the purchase webhook of the app. Adds bought credits. Refuses: bad_request, idempotency_conflict (key used otherwise). Replay: same key, same grant: nothing changes, replayed = true.';

-- What the two legacy functions have in common: one signed adjustment, never below zero.
create or replace function private.credit_adjust(p_user_id uuid, p_amount int, p_reason text)
returns table (success boolean, new_balance int, error_message text)
language plpgsql set search_path = '' as
$$
declare v_balance int;
begin
  if p_user_id is null or p_amount is null or p_amount = 0 then
    return query select false, null::int, 'Amount must be positive'; return;
  end if;
  insert into public.credit_accounts (user_id) values (p_user_id) on conflict do nothing;
  select a.balance into v_balance from public.credit_accounts a where a.user_id = p_user_id for update;
  if v_balance + p_amount < 0 then
    return query select false, v_balance, 'Insufficient credits'; return;
  end if;
  insert into public.credit_entries (user_id, kind, amount, reason) values (p_user_id, 'adjustment', p_amount, p_reason);
  return query select true, v_balance + p_amount, null::text;
end $$;

create or replace function public.refund_upscaler_credits(_user_id uuid, _amount int, _description text)
returns table (success boolean, new_balance int, error_message text)
language sql set search_path = '' as
$$ select * from private.credit_adjust(_user_id, greatest(_amount, 0), _description) $$;
comment on function public.refund_upscaler_credits is 'Caller: older back-end code, service only. Writes an adjustment that belongs to no job; one beside a job''s own refund shows in invariant_violations.';

create or replace function public.consume_upscaler_credits(_user_id uuid, _amount int, _description text)
returns table (success boolean, new_balance int, error_message text)
language sql set search_path = '' as
$$ select * from private.credit_adjust(_user_id, -greatest(_amount, 0), _description) $$;
comment on function public.consume_upscaler_credits is 'Caller: older back-end code, service only. Writes a negative adjustment; refuses by success = false when the balance is too low.';

create or replace function public.has_role(_user_id uuid, _role public.app_role) returns boolean
language sql stable security definer set search_path = '' as
$$ select exists (select from public.user_roles r where r.user_id = _user_id and r.role = _role) $$;
comment on function public.has_role is 'Caller: policies, the admin functions. True when the user holds the role now.';
