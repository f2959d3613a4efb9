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
begin
  perform unstuck_private.refuse_other_deployment();
  perform unstuck_private.act_as('service');
  return query
  select g.balance, g.replayed
  from unstuck_private.credit_grant_once(
    p_user_id, p_amount, 'grant', p_reason, p_idempotency_key) g;
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
