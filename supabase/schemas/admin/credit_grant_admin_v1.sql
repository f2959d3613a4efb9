create or replace function unstuck.credit_grant_admin_v1(
  p_actor uuid,
  p_user_id uuid,
  p_amount bigint,
  p_reason text,
  p_idempotency_key text
)
returns table (balance bigint, replayed boolean)
language plpgsql
security definer
set search_path = ''
set statement_timeout = '10s'
as
$$
#variable_conflict use_column
declare
  v_entry unstuck.credit_entries;
  v_before bigint;
begin
  perform unstuck_private.refuse_other_deployment();
  perform unstuck_private.act_as_admin(p_actor, p_reason);
  perform unstuck_private.refuse_without_reason(p_reason);
  if p_user_id is null
    or p_user_id = unstuck_private.erased_user()
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
      or v_entry.kind <> 'goodwill'
    then
      perform unstuck_private.refuse(409, 'idempotency_conflict');
    end if;
    return query select unstuck_private.balance_shown(p_user_id, null), true;
    return;
  end if;
  v_before := unstuck_private.balance_shown(p_user_id, null);
  begin
    insert into unstuck.credit_entries (user_id, kind, amount, reason, idempotency_key)
    values (p_user_id, 'goodwill', p_amount, trim(p_reason), p_idempotency_key);
  exception when unique_violation then
    -- Another transaction used the key for another user at the same moment.
    perform unstuck_private.refuse(409, 'idempotency_conflict');
  end;
  balance := unstuck_private.balance_shown(p_user_id, null);
  perform unstuck_private.admin_log_write(
    'credits_granted',
    p_user_id::text,
    jsonb_build_object('balance', v_before),
    jsonb_build_object('balance', balance, 'amount', p_amount)
  );
  return query select balance, false;
end $$;

comment on function unstuck.credit_grant_admin_v1 is $c$
Caller: admin-users. The role of p_actor is read in the same transaction.

Effect: gives the user credits as goodwill, with a reason, and writes admin_log; creates the account
where there is none. An open debt is settled with them. balance: after that.

Refuses: forbidden, bad_request (no user, key or reason; an amount not within 1 and 10^12),
idempotency_conflict (the key belongs to another entry).

Replay: the same key with the same user and amount changes nothing: replayed = true.
$c$;

revoke all on function unstuck.credit_grant_admin_v1 from public, anon, authenticated, service_role;
grant execute on function unstuck.credit_grant_admin_v1 to service_role;
