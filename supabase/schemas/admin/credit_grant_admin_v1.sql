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
  v_grant record;
begin
  perform unstuck_private.refuse_other_deployment();
  perform unstuck_private.act_as_admin(p_actor, p_reason);
  perform unstuck_private.refuse_without_reason(p_reason);
  if p_user_id = unstuck_private.erased_user() then
    perform unstuck_private.refuse(400, 'bad_request');
  end if;
  v_grant := unstuck_private.credit_grant_once(
    p_user_id, p_amount, 'goodwill', trim(p_reason), p_idempotency_key);
  if not v_grant.replayed then
    perform unstuck_private.admin_log_write(
      'credits_granted',
      p_user_id::text,
      jsonb_build_object('balance', v_grant.balance_before),
      jsonb_build_object('balance', v_grant.balance, 'amount', p_amount)
    );
  end if;
  return query select v_grant.balance, v_grant.replayed;
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
