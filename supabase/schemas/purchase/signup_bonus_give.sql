-- Gives the sign-up bonus, where it is due, to a user whose account was just created. The account
-- is locked.
create or replace function unstuck_private.signup_bonus_give(p_user_id uuid) returns void
language sql
set search_path = ''
as
$$
  insert into unstuck.credit_entries (user_id, kind, amount, reason, idempotency_key)
  select p_user_id, 'bonus', b.credits, 'sign-up', 'signup:' || p_user_id
  from unstuck_private.signup_bonus_due(p_user_id) as b (credits)
  where b.credits is not null
$$;

revoke all on function unstuck_private.signup_bonus_give
from public, anon, authenticated, service_role;
