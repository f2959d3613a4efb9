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
  perform unstuck_private.refuse_other_deployment();
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
