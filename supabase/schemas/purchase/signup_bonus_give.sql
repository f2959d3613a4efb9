-- Gives the bonus to a user whose account was made just now: one who signed up after the bonus was
-- switched on, and who was never here before. The account is locked.
create or replace function unstuck_private.signup_bonus_give(p_user_id uuid) returns void
language sql
set search_path = ''
as
$$
  insert into unstuck.credit_entries (user_id, kind, amount, reason, idempotency_key)
  select p_user_id, 'bonus', b.credits, 'sign-up', 'signup:' || p_user_id
  from unstuck.signup_bonus b
  where not unstuck_private.has_adapter()
    and not exists (select from unstuck.erasures e where e.user_id = p_user_id)
    and not exists (select from unstuck.credit_entries e where e.user_id = p_user_id)
    and (unstuck_private.auth_user(p_user_id, null)).created_at >= b.since
$$;

revoke all on function unstuck_private.signup_bonus_give
from public, anon, authenticated, service_role;
