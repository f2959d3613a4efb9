-- Gives the user `p_amount` credits by an entry of this kind, once for each idempotency key; it
-- creates the account where there is none, and open debts are settled with the credits. For a
-- replay `replayed` is true, `balance_before` is null and nothing is written.
--
-- Refuses: bad_request (no user or key, an amount outside of 1 to `grant_max`),
-- idempotency_conflict (the key belongs to a grant with another user, amount or kind).
create or replace function unstuck_private.credit_grant_once(
  p_user_id uuid,
  p_amount bigint,
  p_kind text,
  p_reason text,
  p_idempotency_key text,
  out balance_before bigint,
  out balance bigint,
  out replayed boolean
)
language plpgsql
set search_path = ''
as
$$
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
  from unstuck.credit_entries e
  where e.idempotency_key = p_idempotency_key;
  replayed := found;
  if replayed then
    if v_entry.user_id <> p_user_id
      or v_entry.amount <> p_amount
      or v_entry.kind <> p_kind
    then
      perform unstuck_private.refuse(409, 'idempotency_conflict');
    end if;
  else
    balance_before := unstuck_private.balance_shown(p_user_id, null);
    begin
      insert into unstuck.credit_entries (user_id, kind, amount, reason, idempotency_key)
      values (p_user_id, p_kind, p_amount, p_reason, p_idempotency_key);
    exception when unique_violation then
      -- Another transaction used the key for another user at the same moment.
      perform unstuck_private.refuse(409, 'idempotency_conflict');
    end;
  end if;
  balance := unstuck_private.balance_shown(p_user_id, null);
end $$;

revoke all on function unstuck_private.credit_grant_once
from public, anon, authenticated, service_role;
