-- Returns the purchases that name a user: those that the user owns, those that nobody owns yet and
-- that have the user's confirmed e-mail address, and those in whose facts the seller names the
-- user.
create or replace function unstuck_private.purchases_naming(p_user_id uuid) returns setof uuid
language sql
stable
set search_path = ''
as
$$
  select p.id
  from unstuck.purchases p
  where p.user_id = p_user_id
    or p.user_id is null
    and p.email = (select a.confirmed_email from unstuck_private.auth_user(p_user_id, null) a)
    or p.facts @> jsonb_build_array(jsonb_build_object('userId', p_user_id))
$$;

revoke all on function unstuck_private.purchases_naming
from public, anon, authenticated, service_role;
