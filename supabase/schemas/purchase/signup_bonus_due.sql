-- Returns how many credits the sign-up bonus gives to a user without an account; null where none is
-- due. It is due to a user who signed up after the bonus was switched on and who has neither
-- entries nor an erasure from before. An adapter's wallet gives no bonus.
create or replace function unstuck_private.signup_bonus_due(p_user_id uuid) returns bigint
language sql
stable
set search_path = ''
as
$$
  select b.credits
  from unstuck.signup_bonus b
  where not unstuck_private.has_adapter()
    and not exists (select from unstuck.erasures e where e.user_id = p_user_id)
    and not exists (select from unstuck.credit_entries e where e.user_id = p_user_id)
    and (unstuck_private.auth_user(p_user_id, null)).created_at >= b.since
$$;

revoke all on function unstuck_private.signup_bonus_due
from public, anon, authenticated, service_role;
